package proof

import (
	"errors"
	"testing"
)

const said = `{
  "proved": [
    {"call": {"cluster": "west", "caller": {"kind": "service", "name": "web"}, "callee": "cart", "host": "cart.shop.global", "port": 7070},
     "ways": [{"cluster": "east", "via": "198.51.100.2:15443"}, {"cluster": "north"}]},
    {"call": {"cluster": "west", "caller": {"kind": "service", "name": "web"}, "callee": "rates", "host": "www.ecb.europa.eu", "port": 443},
     "ways": [{"cluster": null}]}
  ],
  "broken": [
    {"call": {"cluster": "west", "caller": {"kind": "ingress", "name": "web"}, "callee": "web", "host": "web.shop.global", "port": 80},
     "break": {"hop": "tls", "why": "nobody shakes hands"}}
  ]
}`

var (
	cart  = Call{"west", Caller{"service", "web"}, "cart", "cart.shop.global", 7070}
	rates = Call{"west", Caller{"service", "web"}, "rates", "www.ecb.europa.eu", 443}
	web   = Call{"west", Caller{"ingress", "web"}, "web", "web.shop.global", 80}
	reset = errors.New("connection reset")
)

func TestCallsAreComparedWithTheProof(t *testing.T) {
	p, err := read([]byte(said))
	if err != nil {
		t.Fatal(err)
	}
	good := []Made{{cart, []string{"east"}, nil}, {rates, nil, nil}, {web, nil, reset}}
	for _, it := range []struct {
		made []Made
		want string
		err  string
	}{
		{good, "2 of 2 proved calls worked, 1 of 1 broken calls failed", ""},
		// One variable leads there, the other does not.
		{append(good, Made{web, []string{"east"}, nil}), "2 of 2 proved calls worked, 1 of 1 broken calls failed", ""},
		{append(good, Made{cart, nil, reset}), "1 of 2 proved calls worked, 1 of 1 broken calls failed",
			"web in west calls cart at cart.shop.global:7070: it is proved, and fails: connection reset"},
		{[]Made{good[0], good[1], {web, []string{"west"}, nil}}, "2 of 2 proved calls worked, 0 of 1 broken calls failed",
			"ingress web in west calls web at web.shop.global:80: it works, and ends for the proof at tls: nobody shakes hands"},
		{append(good, Made{cart, []string{"west"}, nil}), "1 of 2 proved calls worked, 1 of 1 broken calls failed",
			"web in west calls cart at cart.shop.global:7070: west answers, for the proof only east+north may"},
		{good[1:], "1 of 1 proved calls worked, 1 of 1 broken calls failed", "web in west calls cart at cart.shop.global:7070: nobody made it"},
		{append(good, Made{Call{Cluster: "east", Callee: "cart"}, nil, nil}), "2 of 2 proved calls worked, 1 of 1 broken calls failed",
			" in east calls cart at :0: the proof does not know it"},
	} {
		a := p.Compare(it.made)
		got := ""
		if err := a.Err(); err != nil {
			got = err.Error()
		}
		if a.String() != it.want || got != it.err {
			t.Errorf("%v: %s: %s", it.made, a, got)
		}
	}
}

func TestALossChangesTheFatesOfTheCallsItTouches(t *testing.T) {
	const lost = `{"losses": [{"survive": 1, "calls": [
	  {"call": {"cluster": "west", "caller": {"kind": "service", "name": "web"}, "callee": "cart", "host": "cart.shop.global", "port": 7070},
	   "fate": "fallsOver", "to": [{"cluster": "north", "via": null, "share": null}]},
	  {"call": {"cluster": "west", "caller": {"kind": "ingress", "name": "web"}, "callee": "web", "host": "web.shop.global", "port": 80},
	   "fate": "dies", "break": {"hop": "endpoint", "why": "nobody is left"}}]}]}`
	p := Proof{cart: {Clusters: []string{"east", "north"}}, web: {Clusters: []string{"west"}}, rates: {}}
	if err := p.lose([]byte(lost)); err != nil {
		t.Fatal(err)
	}
	good := p.Compare([]Made{{cart, []string{"north"}, nil}, {web, nil, reset}, {rates, nil, nil}})
	if err := good.Err(); err != nil || good.Proved != 2 || good.Broken != 1 {
		t.Errorf("%s: %v", good, err)
	}
	wrong := p.Compare([]Made{{cart, []string{"east"}, nil}, {web, []string{"west"}, nil}, {rates, nil, nil}})
	if len(wrong.Wrong) != 2 {
		t.Errorf("%s: %v", wrong, wrong.Err())
	}
}

func TestAgreementsAddUp(t *testing.T) {
	var sum Agreement
	sum.Add(Agreement{Proved: 2, Worked: 1, Wrong: []string{"one"}})
	sum.Add(Agreement{Proved: 3, Worked: 3, Broken: 2, Failed: 2})
	if got := sum.String(); got != "4 of 5 proved calls worked, 2 of 2 broken calls failed" || sum.Err() == nil {
		t.Error(got)
	}
}
