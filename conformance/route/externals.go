// Externals: hosts outside the mesh, called by who declares them and by who does not.
package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"meshlatch/conformance/cluster"
	"meshlatch/conformance/topology"
)

// leaving is a call to a host outside the mesh.
type leaving struct {
	cluster string
	caller  *topology.Service
	key     string // of the external
	host    string // as the topology says it, perhaps a pattern
	port    int
	request request
}

func (l leaving) String() string {
	return fmt.Sprintf("%s in %s calls %s (%s)", l.caller.Key, l.cluster, l.request.address, l.request.protocol)
}

// outward are the calls of a service to all hosts and ports of an external.
func (w *World) outward(cluster string, caller *topology.Service, key string) []leaving {
	var list []leaving
	x := w.Topology.Externals[key]
	for _, host := range x.Hosts {
		for _, portName := range topology.Keys(x.Ports) {
			number := x.Ports[portName].Number
			q := request{protocol: protocolOf(topology.ProtocolOf(portName, x.Ports[portName])), address: at(some(host), number)}
			list = append(list, leaving{cluster, caller, key, host, number, q})
		}
	}
	return list
}

// leavings are all that are declared.
func (w *World) leavings() []leaving {
	var list []leaving
	for _, key := range topology.Keys(w.Topology.Externals) {
		for _, it := range w.Topology.Externals[key].Callers {
			caller := w.Topology.Services[it]
			for _, name := range w.Topology.Hosted(caller) {
				list = append(list, w.outward(name, caller, key)...)
			}
		}
	}
	return list
}

// judgeExternals makes every declared call to an external host. From namespaces where nobody declares it, no
// call may come out where only what is known may leave.
func (w *World) judgeExternals(ctx context.Context) {
	var all errgroup.Group
	all.SetLimit(4)
	often := asking{count: 3, timeout: 5 * time.Second}
	for _, it := range w.leavings() {
		all.Go(func() error {
			err := cluster.Eventually(ctx, time.Minute, func() error { return w.leaves(ctx, it, often) })
			w.Case.Judge(it.String()+": outside", err)
			return nil
		})
	}
	if w.Topology.Mesh.Outbound == "registry-only" {
		for _, it := range w.undeclaredLeavings() {
			all.Go(func() error {
				w.Case.Judge(it.String()+": held back, nobody there declares it", w.heldBack(ctx, it, often))
				return nil
			})
		}
	}
	_ = all.Wait()
}

// undeclaredLeavings are calls to external hosts that nobody of a namespace declares.
func (w *World) undeclaredLeavings() []leaving {
	var list []leaving
	for _, key := range topology.Keys(w.Topology.Externals) {
		for _, name := range topology.Keys(w.Clusters) {
			for _, from := range w.households(name) {
				if !from.declares(w.Topology.Externals[key]) {
					list = append(list, w.outward(name, from.services[0], key)...)
				}
			}
		}
	}
	return list
}

// leaves makes a call some times: the host outside must answer each.
func (w *World) leaves(ctx context.Context, l leaving, a asking) error {
	results, err := w.leave(ctx, l, a)
	for _, it := range results {
		switch {
		case !it.OK:
			return fmt.Errorf("no answer: %s %v %s (resolved to %v)", it.Error, it.Status, it.Body, it.Resolved)
		case it.Answer.Cluster != "outside":
			return fmt.Errorf("%s in %s answered", it.Answer.Service, it.Answer.Cluster)
		}
	}
	return err
}

// heldBack makes a call some times: nobody may answer.
func (w *World) heldBack(ctx context.Context, l leaving, a asking) error {
	results, err := w.leave(ctx, l, a)
	if slices.ContainsFunc(results, func(it result) bool { return it.OK }) {
		return errors.New("it is answered")
	}
	return err
}

func (w *World) leave(ctx context.Context, l leaving, a asking) ([]result, error) {
	pod, err := w.sender(l)
	if err != nil {
		return nil, err
	}
	return a.of(l.request).make(ctx, pod)
}

// sender is a pod of the caller.
func (w *World) sender(l leaving) (*cluster.Pod, error) {
	pods := w.Clusters[l.cluster].Running(l.caller.Namespace, l.caller.Selector)
	if len(pods) == 0 {
		return nil, fmt.Errorf("%s has no pod in %s", l.caller.Key, l.cluster)
	}
	return pods[0], nil
}

// household is the services of a namespace that one cluster runs; Istio tells them the same.
type household struct {
	cluster   string
	namespace string
	services  []*topology.Service
}

func (h household) String() string {
	var names []string
	for _, it := range h.services {
		names = append(names, it.Key)
	}
	return fmt.Sprintf("%s in %s", strings.Join(names, ", "), h.cluster)
}

// households are those of a cluster.
func (w *World) households(name string) []household {
	var list []household
	for _, key := range topology.Keys(w.Topology.Services) {
		s := w.Topology.Services[key]
		if !slices.Contains(w.Topology.Hosted(s), name) {
			continue
		}
		known := slices.IndexFunc(list, func(it household) bool { return it.namespace == s.Namespace })
		if known < 0 {
			list = append(list, household{cluster: name, namespace: s.Namespace})
			known = len(list) - 1
		}
		list[known].services = append(list[known].services, s)
	}
	return list
}

func (h household) declares(x *topology.External) bool {
	return slices.ContainsFunc(h.services, func(it *topology.Service) bool { return slices.Contains(x.Callers, it.Key) })
}
