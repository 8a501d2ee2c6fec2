// Agreement: every declared call, beside what `meshlatch prove` says of it.
package route

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"meshlatch/conformance/cluster"
	"meshlatch/conformance/proof"
)

// declared is an attempt at a declared call, as somebody makes it who is told of it.
type declared struct {
	call    proof.Call
	from    *cluster.Pod // whose sidecar, or the gateway, passes it on
	answers []string     // the clusters that answer; none outside of the mesh
	try     func(context.Context, asking) error
}

// attempts are those at all declared calls: of services, of the outside at ingresses, to external hosts.
func (w *World) attempts(ctx context.Context) ([]declared, error) {
	calls, err := w.calls()
	if err != nil {
		return nil, err
	}
	var list []declared
	for _, c := range calls {
		answers := w.Topology.Answers(c.callee, c.cluster)
		list = append(list, declared{
			call: proof.Call{
				Cluster: c.cluster, Caller: proof.Caller{Kind: "service", Name: c.caller.Key},
				Callee: c.callee.Key, Host: w.Topology.Host(c.callee, c.cluster), Port: c.port.Number,
			},
			from: c.from, answers: answers.First(),
			try: func(ctx context.Context, a asking) error { return w.answered(ctx, c, a) },
		})
	}
	for _, e := range w.entries() {
		gateway, err := w.entering(ctx, e.cluster)
		if err != nil {
			return nil, err
		}
		_, port, _ := e.callee.PortOf(e.ingress.Port)
		list = append(list, declared{
			call: proof.Call{
				Cluster: e.cluster, Caller: proof.Caller{Kind: "ingress", Name: e.key},
				Callee: e.callee.Key, Host: w.Topology.Host(e.callee, e.cluster), Port: port.Number,
			},
			from: gateway, answers: w.Topology.Answers(e.callee, e.cluster).First(),
			try: func(ctx context.Context, a asking) error { return w.enters(ctx, e, a) },
		})
	}
	for _, l := range w.leavings() {
		pod, err := w.sender(l)
		if err != nil {
			return nil, err
		}
		list = append(list, declared{
			call: proof.Call{
				Cluster: l.cluster, Caller: proof.Caller{Kind: "service", Name: l.caller.Key},
				Callee: l.key, Host: l.host, Port: l.port,
			},
			from: pod,
			try:  func(ctx context.Context, a asking) error { return w.leaves(ctx, l, a) },
		})
	}
	return list, nil
}

// agreement waits until every declared call becomes what the proof of the tree says that is applied.
func (w *World) agreement(ctx context.Context, tree, topology string) (a proof.Agreement, err error) {
	said, err := proof.Of(ctx, w.Meshlatch, tree, topology)
	if err != nil {
		return a, err
	}
	for deadline := time.Now().Add(time.Minute); ; sleep(ctx, 300*time.Millisecond) {
		var made []proof.Made
		if made, err = w.make(ctx); err == nil {
			if a = said.Compare(made); a.Err() == nil {
				return a, nil
			}
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return a, err
		}
	}
}

// make makes every declared call some times, over new connections.
func (w *World) make(ctx context.Context) ([]proof.Made, error) {
	list, err := w.attempts(ctx)
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
			made[i] = proof.Made{Call: it.call, Answers: it.answers, Err: it.try(ctx, asking{count: 3, timeout: 3 * time.Second})}
			return nil
		})
	}
	return made, all.Wait()
}

// judgeProof compares all calls with the proof of the tree that is applied.
func (w *World) judgeProof(ctx context.Context, what, tree, topology string) {
	a, err := w.agreement(ctx, tree, topology)
	if err != nil {
		w.Case.Judge(what, err)
		return
	}
	w.Case.Compare(what, a)
}
