// Undeclared calls: nobody gets to another cluster but who declares it, by no name and not straight through
// its gateway.
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

// judgeUndeclared has every pod try what nobody of its namespace declares, and the world outside try
// every gateway.
func (w *World) judgeUndeclared(ctx context.Context) {
	var all errgroup.Group
	all.SetLimit(6)
	for _, name := range topology.Keys(w.Clusters) {
		for _, from := range w.households(name) {
			tries := w.undeclared(from)
			if len(tries) == 0 {
				continue
			}
			for _, s := range from.services {
				for _, pod := range w.Clusters[name].Running(s.Namespace, s.Selector) {
					all.Go(func() error {
						w.Case.Judge(fmt.Sprintf("%s in %s: %d calls that nobody there declares end nowhere", s.Key, name, len(tries)), refused(ctx, pod, tries))
						return nil
					})
				}
			}
		}
	}
	for _, name := range topology.Keys(w.Clusters) {
		for _, from := range w.households(name) {
			all.Go(func() error {
				w.judgeHome(ctx, from)
				return nil
			})
		}
		all.Go(func() error {
			w.judgeGateway(ctx, name)
			return nil
		})
	}
	_ = all.Wait()
}

// undeclared are all calls to services of other clusters that nobody of a namespace declares.
func (w *World) undeclared(from household) []request {
	var tries []request
	for _, key := range topology.Keys(w.Topology.Services) {
		s := w.Topology.Services[key]
		declares := func(it topology.Caller) bool { return it.Cluster == from.cluster && it.Namespace == from.namespace }
		if slices.Contains(w.Topology.Hosted(s), from.cluster) || slices.ContainsFunc(w.Topology.Callers(s), declares) ||
			w.Topology.OnTheWay(s, from.cluster, from.namespace) {
			continue
		}
		for _, portName := range topology.Keys(s.Ports) {
			protocol := topology.ProtocolOf(portName, s.Ports[portName])
			if protocol == "UDP" {
				continue
			}
			for _, host := range []string{w.Topology.GlobalHost(s), s.LocalHost()} {
				tries = append(tries, request{protocol: protocolOf(protocol), address: at(host, s.Ports[portName].Number)})
				for _, owner := range w.Topology.Hosted(s) {
					tries = append(tries, w.straight(owner, s.Ports[portName].Number, host)...)
				}
			}
		}
	}
	return tries
}

// judgeHome has a pod call the services that run in its cluster, also in others, and that nobody of its
// namespace declares: by the name in the cluster. If others of its cluster declare them, they are answered
// as those are; else nobody of another cluster may answer.
func (w *World) judgeHome(ctx context.Context, from household) {
	pods := w.Clusters[from.cluster].Running(from.namespace, from.services[0].Selector)
	var failed error
	tried := 0
	for _, key := range topology.Keys(w.Topology.Services) {
		s := w.Topology.Services[key]
		beside := func(it topology.Caller) bool { return it.Cluster == from.cluster }
		declares := func(it topology.Caller) bool { return beside(it) && it.Namespace == from.namespace }
		callers := w.Topology.Callers(s)
		hosted := w.Topology.Hosted(s)
		if len(hosted) < 2 || !slices.Contains(hosted, from.cluster) || slices.ContainsFunc(callers, declares) {
			continue
		}
		allowed := []string{from.cluster}
		if slices.ContainsFunc(callers, beside) {
			allowed = w.Topology.Answers(s, from.cluster).First()
		}
		if len(pods) == 0 {
			failed = fmt.Errorf("%s: no pod runs", from)
			continue
		}
		for _, portName := range topology.Keys(s.Ports) {
			protocol := topology.ProtocolOf(portName, s.Ports[portName])
			if protocol == "UDP" {
				continue
			}
			tried++
			q := request{protocol: protocolOf(protocol), address: at(s.LocalHost(), s.Ports[portName].Number), count: 12, timeout: 4 * time.Second}
			results, err := q.make(ctx, pods[0])
			if err != nil {
				failed = err
			}
			for _, it := range results {
				if it.OK && !slices.Contains(allowed, it.Answer.Cluster) {
					failed = fmt.Errorf("%s called %s, and %s answered", pods[0].Name(), q.address, it.Answer.Cluster)
				}
			}
		}
	}
	if tried > 0 {
		w.Case.Judge(fmt.Sprintf("%s: %d ports called by the name at home, which nobody there declares, answer from home, or as others there are answered", from, tried), failed)
	}
}

// straight are calls to a service at all addresses of a cluster's gateway, with the server name and the
// protocol that sidecars use, without a certificate.
func (w *World) straight(owner string, port int, host string) []request {
	g := w.Topology.Clusters[owner].Gateway
	number := g.Port
	if g.NodePort != 0 {
		number = g.NodePort
	}
	var list []request
	for _, it := range w.Outside.gateway(owner) {
		list = append(list, request{protocol: "TLS", address: at(it.address.String(), number), serverName: fmt.Sprintf("outbound_.%d_._.%s", port, host), alpn: "istio"})
	}
	return list
}

// refused makes calls that nobody may answer.
func refused(ctx context.Context, pod *cluster.Pod, tries []request) error {
	var all errgroup.Group
	all.SetLimit(4)
	for _, q := range tries {
		q.timeout = 4 * time.Second
		all.Go(func() error {
			results, err := q.make(ctx, pod)
			for _, it := range results {
				if it.reached() {
					return fmt.Errorf("%s %s was answered: %+v", q.address, q.serverName, it)
				}
			}
			return err
		})
	}
	return all.Wait()
}

// reached says whether a program was reached: it answered, or what it said was not what a client of TLS
// expects.
func (r result) reached() bool {
	return r.OK || r.Body != "" && r.Status == nil || strings.Contains(r.Error, "first record does not look like a TLS handshake")
}

// judgeGateway knocks at a gateway from outside. Where others call, the pod behind it asks for a certificate; with
// any other name the gateway lets nobody come so far.
func (w *World) judgeGateway(ctx context.Context, name string) {
	const asked = "certificate required"
	var closed, open int
	judge := func(s *topology.Service, q request, called bool) error {
		q.timeout = 4 * time.Second
		return cluster.Eventually(ctx, 20*time.Second, func() error {
			results, err := w.fromOutside(ctx, q)
			for _, it := range results {
				switch come := strings.Contains(it.Error, asked); {
				case it.reached():
					return fmt.Errorf("%s at %s was answered: %+v", q.serverName, q.address, it)
				case !come && called:
					return fmt.Errorf("%s at %s comes to no pod: %s", q.serverName, q.address, it.Error)
				case come && !called:
					return fmt.Errorf("%s at %s comes to a pod, and nobody calls %s from another cluster", q.serverName, q.address, s.Key)
				}
			}
			return err
		})
	}
	for _, key := range topology.Keys(w.Topology.Services) {
		s := w.Topology.Services[key]
		if m := w.Topology.Moving; m != nil && m.Service == key {
			continue // names are open before and after they are called
		}
		called := w.calledAs(s, name)
		for portName, port := range s.Ports {
			if topology.ProtocolOf(portName, port) == "UDP" {
				continue
			}
			for _, host := range []string{w.Topology.GlobalHost(s), s.LocalHost()} {
				for _, q := range w.straight(name, port.Number, host) {
					here := slices.Contains(called, host)
					if err := judge(s, q, here); err != nil {
						w.Case.Judge("the gateway of "+name+", from outside", err)
						return
					}
					if here {
						open++
					} else {
						closed++
					}
				}
			}
		}
	}
	if open+closed > 0 {
		w.Case.Judge(fmt.Sprintf("the gateway of %s, from outside: %d names come to pods, which ask for a certificate; %d come nowhere", name, open, closed), nil)
	}
}

// calledAs are the names of a service by which calls of other clusters come to this one.
func (w *World) calledAs(s *topology.Service, name string) []string {
	var hosts []string
	for _, it := range w.Topology.Callers(s) {
		if it.Cluster != name && slices.Contains(w.Topology.Hosted(s), name) && w.Topology.Reaches(it, s, name) {
			hosts = append(hosts, w.Topology.Host(s, it.Cluster))
		}
	}
	return hosts
}
