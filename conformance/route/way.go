// Ways to call a service: from a pod that declares it, and in through a gateway that serves the outside.
package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"meshlatch/conformance/cluster"
	"meshlatch/conformance/proof"
	"meshlatch/conformance/topology"
)

// way is one of them.
type way struct {
	name     string // as a line says it
	cluster  string // whose proxy chooses who answers
	call     proof.Call
	callee   *topology.Service
	protocol string // of the port
	answers  topology.Answer
	ask      func(context.Context, asking) ([]result, error)
}

// asking is how often to call, and how.
type asking struct {
	count   int
	keep    bool
	timeout time.Duration
}

func (a asking) of(q request) request {
	q.count, q.keep, q.timeout = a.count, a.keep, a.timeout
	return q
}

// ways are all there are, as pods run now.
func (w *World) ways() ([]way, error) {
	calls, err := w.calls()
	var list []way
	for _, it := range calls {
		list = append(list, way{
			name: it.String(), cluster: it.cluster, call: w.called(it), callee: it.callee, protocol: it.request.protocol,
			answers: w.Topology.Answers(it.callee, it.cluster),
			ask: func(ctx context.Context, a asking) ([]result, error) {
				return a.of(it.request).make(ctx, it.from)
			},
		})
	}
	for _, it := range w.entries() {
		list = append(list, way{
			name: it.String(), cluster: it.cluster, call: w.entered(it), callee: it.callee, protocol: "HTTP",
			answers: w.Topology.Answers(it.callee, it.cluster),
			ask: func(ctx context.Context, a asking) ([]result, error) {
				return w.fromOutside(ctx, a.of(it.request))
			},
		})
	}
	return list, err
}

// errElsewhere is no matter of time: nobody there may ever answer.
var errElsewhere = errors.New("answered, whom the topology does not name")

// answeredBy calls some times: each call must be answered, only these clusters may answer, and each of them
// must.
func (w way) answeredBy(ctx context.Context, a asking, clusters []string) error {
	results, err := w.ask(ctx, a)
	if err != nil {
		return err
	}
	missing := slices.Clone(clusters)
	for _, it := range results {
		if !it.OK {
			err = fmt.Errorf("no answer: %s %v %s", it.Error, it.Status, it.Body)
			continue
		}
		if it.Answer.Service != w.callee.Key || !slices.Contains(w.answers.Clusters(), it.Answer.Cluster) {
			return fmt.Errorf("%s in %s %w", it.Answer.Service, it.Answer.Cluster, errElsewhere)
		}
		if !slices.Contains(clusters, it.Answer.Cluster) {
			err = fmt.Errorf("%s answered, not %s", it.Answer.Cluster, strings.Join(clusters, "+"))
		}
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == it.Answer.Cluster })
	}
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("none of %d calls was answered by %s", len(results), strings.Join(missing, "+"))
	}
	return err
}

// comesTo waits until only these clusters answer, and says how long it took. A few calls say that it is time
// for so many that none is answered so by chance.
func (w way) comesTo(ctx context.Context, limit time.Duration, clusters []string) (time.Duration, error) {
	began := time.Now()
	var never error
	err := cluster.Eventually(ctx, limit, func() error {
		for _, count := range []int{5 + 10*(len(clusters)-1), 40} {
			err := w.answeredBy(ctx, asking{count: count, timeout: 5 * time.Second}, clusters)
			if errors.Is(err, errElsewhere) {
				never = err
				return nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return time.Since(began).Round(time.Second), errors.Join(err, never)
}
