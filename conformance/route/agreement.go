// Agreement: every declared call, beside what `meshlatch prove` says of it.
package route

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"meshlatch/conformance/cluster"
	"meshlatch/conformance/proof"
	"meshlatch/conformance/topology"
)

// declared is a declared call as somebody makes it: a service by each name that it is told, the outside at an
// ingress, a service to a host outside.
type declared struct {
	call proof.Call
	from *cluster.Pod // whose sidecar, or the gateway, passes it on
	ask  func(context.Context, asking) ([]result, error)
}

func (w *World) declared(ctx context.Context) ([]declared, error) {
	calls, err := w.calls()
	if err != nil {
		return nil, err
	}
	var list []declared
	for _, c := range calls {
		list = append(list, declared{w.called(c), c.from, func(ctx context.Context, a asking) ([]result, error) {
			return a.of(c.request).make(ctx, c.from)
		}})
	}
	for _, e := range w.entries() {
		gateway, err := w.entering(ctx, e.cluster)
		if err != nil {
			return nil, err
		}
		list = append(list, declared{w.entered(e), gateway, func(ctx context.Context, a asking) ([]result, error) {
			return w.fromOutside(ctx, a.of(e.request))
		}})
	}
	for _, l := range w.leavings() {
		pod, err := w.sender(l)
		if err != nil {
			return nil, err
		}
		call := proof.Call{
			Cluster: l.cluster, Caller: proof.Caller{Kind: "service", Name: l.caller.Key}, Callee: l.key, Host: l.host, Port: l.port,
		}
		list = append(list, declared{call, pod, func(ctx context.Context, a asking) ([]result, error) { return w.leave(ctx, l, a) }})
	}
	return list, nil
}

// called is a call between services, as a proof names it.
func (w *World) called(c call) proof.Call {
	return proof.Call{
		Cluster: c.cluster, Caller: proof.Caller{Kind: "service", Name: c.caller.Key},
		Callee: c.callee.Key, Host: w.Topology.Host(c.callee, c.cluster), Port: c.port.Number,
	}
}

// entered is a request at an ingress, as a proof names it.
func (w *World) entered(e entry) proof.Call {
	_, port, _ := e.callee.PortOf(e.ingress.Port)
	return proof.Call{
		Cluster: e.cluster, Caller: proof.Caller{Kind: "ingress", Name: e.key},
		Callee: e.callee.Key, Host: w.Topology.Host(e.callee, e.cluster), Port: port.Number,
	}
}

// make makes every declared call some times, over new connections.
func (w *World) make(ctx context.Context) ([]proof.Made, error) {
	list, err := w.declared(ctx)
	if err != nil {
		return nil, err
	}
	for _, it := range list {
		forgetConnections(it.call.Cluster, it.from)
	}
	made := make([]proof.Made, len(list))
	var all errgroup.Group
	all.SetLimit(4)
	for i, it := range list {
		all.Go(func() error {
			made[i] = it.make(ctx)
			return nil
		})
	}
	return made, all.Wait()
}

func (d declared) make(ctx context.Context) proof.Made {
	results, err := d.ask(ctx, asking{count: 4, timeout: 3 * time.Second})
	made := proof.Made{Call: d.call, Err: err}
	for _, it := range results {
		outside := it.Answer.Cluster == "outside"
		switch {
		case !it.OK:
			made.Err = errors.New("no answer: " + told{it.Error, fmt.Sprint(it.Status), it.Body}.String())
		case !outside && it.Answer.Service != d.call.Callee:
			made.Err = fmt.Errorf("%s answered", it.Answer.Service)
		case !outside && !slices.Contains(made.Answers, it.Answer.Cluster):
			made.Answers = append(made.Answers, it.Answer.Cluster)
		}
	}
	return made
}

// agreement waits until every declared call becomes what the proof of the case says that is applied. A call that is
// said to be broken has to fail twice: each may while a change arrives.
func (w *World) agreement(ctx context.Context, dir string) (a proof.Agreement, err error) {
	said, err := proof.Of(ctx, w.Meshlatch, filepath.Join(dir, "out"), filepath.Join(dir, "topology.yaml"))
	if err != nil {
		return a, err
	}
	rounds := 0
	err = cluster.Eventually(ctx, time.Minute, func() error {
		made, err := w.make(ctx)
		if err != nil {
			return err
		}
		a = said.Compare(made)
		rounds++
		if a.Err() != nil {
			rounds = 0
		} else if a.Broken > 0 && rounds < 2 {
			return errors.New("broken calls failed only once")
		}
		return a.Err()
	})
	if a.Err() != nil {
		return a, nil
	}
	return a, err
}

// judgeProof compares all calls with the proof of the case that is applied.
func (w *World) judgeProof(ctx context.Context, what, dir string) {
	a, err := w.agreement(ctx, dir)
	if err != nil {
		w.Case.Judge(what, err)
		return
	}
	w.Case.Compare("proof", what, a)
}

// judgeLoss compares what became of the calls to a service that has died in some clusters with what the proof says.
func (w *World) judgeLoss(ctx context.Context, s *topology.Service, dead []string, made []proof.Made) {
	what := loss(s, dead) + ", proof"
	said, err := proof.Without(ctx, w.Meshlatch, filepath.Join(w.Dir, "out"), filepath.Join(w.Dir, "topology.yaml"), s.Key, dead)
	if err != nil {
		w.Case.Judge(what, err)
		return
	}
	w.Case.Compare("what if", what, said.Compare(made))
}
