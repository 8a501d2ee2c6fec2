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

// judgeExternals calls every external host from each cluster and namespace. Of who does not declare it,
// no call may come out where only what is known may leave.
func (w *World) judgeExternals(ctx context.Context) {
	closed := w.Topology.Mesh.Outbound == "registry-only"
	var all errgroup.Group
	all.SetLimit(4)
	for _, key := range topology.Keys(w.Topology.Externals) {
		x := w.Topology.Externals[key]
		for _, name := range topology.Keys(w.Clusters) {
			for _, from := range w.households(name) {
				if !from.declares(x) && !closed {
					continue
				}
				for _, host := range x.Hosts {
					for _, portName := range topology.Keys(x.Ports) {
						number := x.Ports[portName].Number
						q := request{
							protocol: protocolOf(topology.ProtocolOf(portName, x.Ports[portName])), address: at(some(host), number),
							count: 3, timeout: 5 * time.Second,
						}
						all.Go(func() error {
							w.judgeExternal(ctx, from, q, from.declares(x))
							return nil
						})
					}
				}
			}
		}
	}
	_ = all.Wait()
}

func (w *World) judgeExternal(ctx context.Context, from household, q request, declared bool) {
	pods := w.Clusters[from.cluster].Running(from.namespace, from.services[0].Selector)
	if len(pods) == 0 {
		w.Case.Judge(from.String(), errors.New("no pod runs"))
		return
	}
	try := func() error {
		results, err := q.make(ctx, pods[0])
		for _, it := range results {
			switch {
			case it.OK && it.Answer.Cluster != "outside":
				return fmt.Errorf("%s in %s answered", it.Answer.Service, it.Answer.Cluster)
			case it.OK && !declared:
				return errors.New("it answered")
			case !it.OK && declared:
				return fmt.Errorf("no answer: %s %v %s (resolved to %v)", it.Error, it.Status, it.Body, it.Resolved)
			}
		}
		return err
	}
	if declared {
		w.Case.Judge(fmt.Sprintf("%s call %s (%s): outside", from, q.address, q.protocol), cluster.Eventually(ctx, time.Minute, try))
		return
	}
	w.Case.Judge(fmt.Sprintf("%s do not get out to %s, which they do not declare", from, q.address), try())
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
