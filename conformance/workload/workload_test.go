// The server, asked over loopback by the client.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var protocols = []string{"HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS", "TLS", "TCP", "MONGO"}

// pod starts a server with a port of each protocol; the targets are its ports.
func pod(t *testing.T, cluster string) (*server, map[string]target) {
	c := config{Cluster: cluster, Service: "default/cart", Pod: "cart-" + cluster}
	for _, it := range protocols {
		c.Listen = append(c.Listen, port{Protocol: it})
	}
	s, err := start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	targets := map[string]target{}
	for _, it := range s.Listen {
		one, err := parseTarget(it.Protocol, fmt.Sprintf("localhost:%d", it.Port))
		if err != nil {
			t.Fatal(err)
		}
		one.timeout = 2 * time.Second
		targets[it.Protocol] = one
	}
	return s, targets
}

func TestEachProtocolAnswers(t *testing.T) {
	s, targets := pod(t, "c1")
	want := map[string]answer{
		"HTTP": {Protocol: "HTTP/1.1"}, "GRPC-WEB": {Protocol: "HTTP/1.1"}, "HTTP2": {Protocol: "HTTP/2"},
		"GRPC": {Protocol: "GRPC"}, "HTTPS": {Protocol: "HTTPS"}, "TLS": {Protocol: "TLS", Host: "sni.example"},
		"TCP": {Protocol: "TCP"}, "MONGO": {Protocol: "TCP"},
	}
	for _, p := range s.Listen {
		to := targets[p.Protocol]
		it := want[p.Protocol]
		it.Cluster, it.Service, it.Pod, it.Port = "c1", "default/cart", "cart-c1", p.Port
		if it.Protocol != "TCP" && it.Protocol != "TLS" {
			to.authority, to.path = "cart.default", "/a?b=c"
			it.Host, it.Path = to.authority, to.path
		}
		if p.Protocol == "GRPC" {
			it.Path = askMethod
		}
		to.serverName = "sni.example"
		got := askOnce(to)
		if !got.OK || len(got.Resolved) == 0 || got.Answer.From == "" {
			t.Fatalf("%s: %+v", p.Protocol, got)
		}
		it.From = got.Answer.From
		if *got.Answer != it {
			t.Errorf("%s: got %+v, want %+v", p.Protocol, *got.Answer, it)
		}
	}
}

// Each call has a connection of its own, unless a worker keeps one.
func TestConnections(t *testing.T) {
	_, targets := pod(t, "c1")
	for _, protocol := range protocols {
		for _, keep := range []bool{false, true} {
			var out bytes.Buffer
			call(&out, targets[protocol], 12, 3, keep)
			from := map[string]int{}
			lines := json.NewDecoder(&out)
			calls := 0
			for ; lines.More(); calls++ {
				var got result
				if err := lines.Decode(&got); err != nil || !got.OK {
					t.Fatalf("%s: %v, %+v", protocol, err, got)
				}
				from[got.Answer.From]++
			}
			if calls != 12 || keep && len(from) > 3 || !keep && len(from) != 12 {
				t.Errorf("%s, keep %v: %d calls from %d ports", protocol, keep, calls, len(from))
			}
		}
	}
}

func TestIdentity(t *testing.T) {
	const a, b = "spiffe://a.example/ns/x/sa/y", "spiffe://b.example/ns/x/sa/y"
	for header, want := range map[string]string{
		"":                               "",
		"By=z;Hash=1":                    "",
		"By=z;Hash=1;URI=" + a:           a,
		"URI=" + a + ",URI=" + b:         b,
		"URI=" + a + ",By=z":             "",
		`uri="` + a + `"; By=z`:          a,
		`Subject="CN=\",URI=x";URI=` + a: a,
		`URI=` + b + `,Subject="O=A;B, C";URI=` + a: a,
	} {
		if got := identity([]string{header}); got != want {
			t.Errorf("%s: got %q, want %q", header, got, want)
		}
	}
	_, targets := pod(t, "c1")
	request, _ := http.NewRequest("GET", "http://"+targets["HTTP"].address, nil)
	request.Header.Add(clientCertificateHeader, "URI="+a)
	request.Header.Add(clientCertificateHeader, "URI="+b)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var got answer
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil || got.Identity != b {
		t.Errorf("HTTP: %v, %+v", err, got)
	}
	c := newClient(targets["GRPC"])
	defer c.close()
	said := new(wrapperspb.StringValue)
	ctx := metadata.AppendToOutgoingContext(t.Context(), clientCertificateHeader, "URI="+a+",URI="+b)
	if err := c.rpc.Invoke(ctx, askMethod, wrapperspb.String("{}"), said); err != nil || !strings.Contains(said.Value, b) {
		t.Errorf("GRPC: %v, %s", err, said)
	}
}

func TestFailSwitch(t *testing.T) {
	_, targets := pod(t, "c1")
	health := newClient(targets["GRPC"])
	defer health.close()
	control := targets["HTTP"]
	for _, on := range []bool{true, false} {
		control.path = fmt.Sprintf("%s?on=%v", failPath, on)
		if got := askOnce(control); !got.OK {
			t.Fatalf("the switch itself: %+v", got)
		}
		for protocol, to := range targets {
			got := askOnce(to)
			want := map[string]any{"HTTP": 503, "GRPC-WEB": 503, "HTTP2": 503, "HTTPS": 503, "GRPC": "Unavailable"}[protocol]
			if on && (got.OK || got.Status != want || got.Error == "") || !on && !got.OK {
				t.Errorf("%s, failing %v: %+v", protocol, on, got)
			}
		}
		_, err := healthpb.NewHealthClient(health.rpc).Check(t.Context(), &healthpb.HealthCheckRequest{})
		if (status.Code(err) == codes.Unavailable) != on || !on && err != nil {
			t.Errorf("health, failing %v: %v", on, err)
		}
	}
}

// After the signal the server goes on, then says goodbye to an idle connection of HTTP/2 and is gone.
func TestDrain(t *testing.T) {
	s, targets := pod(t, "c1")
	conn, err := net.Dial("tcp", targets["GRPC"].address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, http2.ClientPreface)
	frames := http2.NewFramer(conn, conn)
	frames.WriteSettings()
	kept := newClient(targets["TCP"])
	defer kept.close()
	kept.ask()

	ctx, signal := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		s.run(ctx, 300*time.Millisecond)
		close(ended)
	}()
	signal()
	time.Sleep(100 * time.Millisecond)
	for protocol, to := range targets {
		if got := askOnce(to); !got.OK {
			t.Errorf("%s while it drains: %+v", protocol, got)
		}
	}
	for {
		frame, err := frames.ReadFrame()
		if err != nil {
			t.Fatalf("no GOAWAY: %v", err)
		}
		if _, ok := frame.(*http2.GoAwayFrame); ok {
			break
		}
	}
	select {
	case <-ended:
	case <-time.After(3 * time.Second):
		t.Fatal("it does not end")
	}
	for protocol, to := range targets {
		if got := askOnce(to); got.OK {
			t.Errorf("%s answers after the end: %+v", protocol, got)
		}
	}
	if got := kept.ask(); got.OK {
		t.Errorf("a conversation goes on after the end: %+v", got)
	}
}

func TestTakenPort(t *testing.T) {
	s, _ := pod(t, "c1")
	if _, err := start(config{Listen: s.Listen[:1]}); err == nil {
		t.Error("two servers on a port")
	}
}

// A call is over in time also when nobody speaks.
func TestTimeout(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, protocol := range protocols {
		to, _ := parseTarget(protocol, silent.Addr().String())
		to.timeout = 200 * time.Millisecond
		began := time.Now()
		if got := askOnce(to); got.OK || time.Since(began) > time.Second {
			t.Errorf("%s after %v: %+v", protocol, time.Since(began), got)
		}
	}
}

func TestParseTarget(t *testing.T) {
	for _, it := range []struct{ protocol, written, address, authority, path string }{
		{"HTTP", "cart", "cart:80", "cart", "/"},
		{"HTTPS", "cart", "cart:443", "cart", "/"},
		{"GRPC", "cart.default:9000", "cart.default:9000", "cart.default:9000", "/"},
		{"HTTP", "http://cart.default", "cart.default:80", "cart.default", "/"},
		{"HTTP", "http://cart:8080/a/b?c=d", "cart:8080", "cart:8080", "/a/b?c=d"},
		{"HTTPS", "https://cart/", "cart:443", "cart", "/"},
		{"TCP", "[fd00::1]:27017", "[fd00::1]:27017", "[fd00::1]:27017", "/"},
		{"TCP", "fd00::1", "[fd00::1]:80", "[fd00::1]", "/"},
	} {
		got, err := parseTarget(it.protocol, it.written)
		if err != nil || got.address != it.address || got.authority != it.authority || got.path != it.path {
			t.Errorf("%s: %v, %+v", it.written, err, got)
		}
	}
	if _, err := parseTarget("HTTP", "http://"); err == nil {
		t.Error("no host, no error")
	}
}

func TestLoad(t *testing.T) {
	s, targets := pod(t, "c1")
	for _, protocol := range []string{"HTTP", "GRPC", "TCP"} {
		for _, keep := range []bool{false, true} {
			ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
			time.AfterFunc(300*time.Millisecond, func() { s.failing.Store(true) })
			var lines bytes.Buffer
			got := newReport()
			got.lines = json.NewEncoder(&lines)
			load(ctx, targets[protocol], 50, keep, got)
			cancel()
			s.failing.Store(false)
			answered := got.ByCluster["c1"]
			if got.Calls < 25 || got.Calls > 35 || answered < 10 || got.Failed < 10 || answered+got.Failed != got.Calls ||
				got.ByPod["cart-c1"] != answered || bytes.Count(lines.Bytes(), []byte("\n")) != got.Calls || len(got.Failures) != got.Failed || len(got.Transitions) != 0 {
				t.Errorf("%s, keep %v: %+v", protocol, keep, got)
			}
		}
	}
}

func TestReport(t *testing.T) {
	r := newReport()
	for _, it := range []string{"", "c1", "c1", "c2", "", "c2", "c1"} {
		got := result{Error: "no answer"}
		if it != "" {
			got = result{OK: true, Answer: &answer{Cluster: it}}
		}
		r.add(time.Now(), got)
	}
	var clusters []string
	for _, it := range r.Transitions {
		clusters = append(clusters, it.Cluster)
	}
	if want := []string{"c2", "c1"}; !reflect.DeepEqual(clusters, want) || r.Failed != 2 {
		t.Errorf("%+v", r)
	}
	for range 2 * shownFailures {
		r.add(time.Now(), result{})
	}
	if len(r.Failures) != shownFailures || r.Calls != 7+2*shownFailures {
		t.Errorf("%d failures are shown of %d calls", len(r.Failures), r.Calls)
	}
}
