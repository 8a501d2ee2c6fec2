// Plain pods: what a pod without a sidecar gets of the mesh.
package route

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"meshlatch/conformance/cluster"
	"meshlatch/conformance/topology"
)

// plain is the name of a pod of ours, and of its namespace, that Istio leaves alone.
const plain = "meshlatch-plain"

// judgePlain has a pod without a sidecar try, in each cluster, everything that others there may call.
func (w *World) judgePlain(ctx context.Context) {
	var all errgroup.Group
	for _, name := range topology.Keys(w.Clusters) {
		all.Go(func() error {
			text := fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n", plain) +
				podsOfOurs(plain, plain, map[string]string{"sidecar.istio.io/inject": "false"})
			pod, err := w.enter(ctx, name, text, plain, plain)
			if err != nil {
				w.Case.Judge("a pod without a sidecar in "+name, err)
				return nil
			}
			w.judgeNames(ctx, name, pod)
			w.judgeLocal(ctx, name, pod)
			return nil
		})
	}
	_ = all.Wait()
}

// judgeNames calls services of other clusters by name and straight at their gateways.
func (w *World) judgeNames(ctx context.Context, name string, pod *cluster.Pod) {
	resolved := map[string]bool{}
	var tried, names int
	var failed error
	for _, key := range topology.Keys(w.Topology.Services) {
		s := w.Topology.Services[key]
		from := func(it topology.Caller) bool { return it.Cluster == name }
		if slices.Contains(w.Topology.Hosted(s), name) || !slices.ContainsFunc(w.Topology.Callers(s), from) {
			continue
		}
		for _, portName := range topology.Keys(s.Ports) {
			protocol := protocolOf(topology.ProtocolOf(portName, s.Ports[portName]))
			if protocol == "UDP" {
				continue
			}
			host, number := w.Topology.Host(s, name), s.Ports[portName].Number
			tries := []request{{protocol: protocol, address: at(host, number)}}
			for _, owner := range w.Topology.Hosted(s) {
				tries = append(tries, w.straight(owner, number, host)...)
			}
			for i, q := range tries {
				q.timeout = 4 * time.Second
				results, err := q.make(ctx, pod)
				if err != nil {
					failed = err
				}
				tried++
				for _, it := range results {
					if it.reached() {
						failed = fmt.Errorf("%s %s was answered: %+v", q.address, q.serverName, it)
					}
					if i == 0 {
						names++
						if len(it.Resolved) > 0 {
							resolved[strings.Join(it.Resolved, " ")] = true
						}
					}
				}
			}
		}
	}
	if tried == 0 {
		return
	}
	seen := fmt.Sprintf("%d names do not resolve", names)
	if len(resolved) > 0 {
		seen = fmt.Sprintf("%d names resolve to %s", names, strings.Join(topology.Keys(resolved), ", "))
	}
	w.Case.Judge(fmt.Sprintf("a pod without a sidecar in %s: %s, and %d calls, by them and straight at gateways, get no answer", name, seen, tried), failed)
}

// judgeLocal calls the services of the cluster itself, in plain text.
func (w *World) judgeLocal(ctx context.Context, name string, pod *cluster.Pod) {
	var tried int
	var failed error
	for _, from := range w.households(name) {
		for _, s := range from.services {
			for _, portName := range topology.Keys(s.Ports) {
				protocol := protocolOf(topology.ProtocolOf(portName, s.Ports[portName]))
				if protocol == "UDP" {
					continue
				}
				tried++
				q := request{protocol: protocol, address: at(s.LocalHost(), s.Ports[portName].Number), timeout: 4 * time.Second}
				results, err := q.make(ctx, pod)
				if err != nil {
					failed = err
				}
				for _, it := range results {
					if it.reached() || len(it.Resolved) == 0 {
						failed = fmt.Errorf("%s: %+v", q.address, it)
					}
				}
			}
		}
	}
	if tried > 0 {
		w.Case.Judge(fmt.Sprintf("a pod without a sidecar in %s: %d calls in plain text to pods there are refused", name, tried), failed)
	}
}
