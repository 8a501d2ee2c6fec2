// A call from its caller to the pods that answer it, hop by hop.
package follow

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	corev1 "k8s.io/api/core/v1"

	"istio.io/istio/pilot/pkg/networking/util"
	"istio.io/istio/pilot/pkg/simulation"

	"meshlatch/conformance/topology"
)

// mesh is all clusters of a case.
type mesh struct {
	topology  *topology.Topology
	worlds    map[string]*world
	toGateway bool // calls are followed as far as gateways only
}

// request is a call as an application makes it.
type request struct {
	host     string
	port     int
	protocol simulation.Protocol
}

func (r request) String() string { return fmt.Sprintf("%s:%d", r.host, r.port) }

var (
	errUnknownName = errors.New("the name does not resolve")
	errNobody      = errors.New("there is nobody")
	errDenied      = errors.New("its policy denies")
)

// outcome is who answers, and which addresses of gateways were tried, by cluster, in their order.
type outcome struct {
	topology.Answer
	addresses map[string][][]string
}

// call follows a request from a pod's sidecar, or through a gateway that serves the outside.
func (m *mesh) call(p *proxy, r request) (got outcome, err error) {
	defer func() {
		if it := recover(); it != nil {
			err = fmt.Errorf("istiod panics: %v\n%s", it, debug.Stack())
		}
	}()
	addresses := p.resolve(r.host)
	if len(addresses) == 0 {
		return got, errUnknownName
	}
	for i, address := range addresses {
		destinations, _, err := p.run(simulation.Call{
			Address: address, Port: r.port, Protocol: r.protocol, CallMode: simulation.CallModeOutbound, HostHeader: r.String(),
		})
		if err != nil {
			return got, fmt.Errorf("at %s: %w", address, err)
		}
		one, err := m.split(p, destinations, r.protocol)
		if err != nil {
			return got, err
		}
		if i > 0 && one.String() != got.String() {
			return got, fmt.Errorf("%s by one address of %s, %s by another", got, r.host, one)
		}
		got = one
	}
	return got, nil
}

// split follows each share of a route.
func (m *mesh) split(p *proxy, destinations []destination, protocol simulation.Protocol) (outcome, error) {
	got := outcome{addresses: map[string][][]string{}}
	for _, it := range destinations {
		if it.cluster == util.BlackHoleCluster || it.cluster == util.PassthroughCluster {
			return got, fmt.Errorf("the call goes to %s", it.cluster)
		}
		tiers, err := m.tiers(p, it.cluster, protocol, got.addresses)
		if err != nil {
			return got, err
		}
		if len(destinations) == 1 {
			got.Tiers = tiers
			return got, nil
		}
		if len(tiers) != 1 || len(tiers[0]) != 1 {
			return got, fmt.Errorf("the share %s has %s", it.cluster, topology.Answer{Tiers: tiers})
		}
		if got.Shares == nil {
			got.Shares = map[string]int{}
		}
		got.Shares[tiers[0][0]] += it.share
	}
	return got, nil
}

// tiers are the clusters behind a cluster of Envoy's, in the order in which they are tried.
func (m *mesh) tiers(p *proxy, name string, protocol simulation.Protocol, addresses map[string][][]string) ([][]string, error) {
	upstreams, err := p.upstreams(name)
	if err != nil {
		return nil, err
	}
	if len(upstreams) == 0 {
		return nil, fmt.Errorf("%w behind %s", errNobody, name)
	}
	var tiers [][]string
	for i, it := range upstreams {
		owner, err := m.follow(p.world, it, protocol)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", it, err)
		}
		fresh := i == 0 || it.priority != upstreams[i-1].priority
		if owner != p.world.name {
			note(addresses, owner, it.address, it.priority)
		}
		if fresh {
			tiers = append(tiers, nil)
		}
		last := &tiers[len(tiers)-1]
		if !slices.Contains(*last, owner) {
			*last = append(*last, owner)
			slices.Sort(*last)
		}
	}
	return firsts(tiers), nil
}

// firsts names each cluster where it is first tried: a second gateway of it, for when the first
// fails, is no other answer.
func firsts(tiers [][]string) [][]string {
	var seen []string
	var rest [][]string
	for _, tier := range tiers {
		tier = slices.DeleteFunc(tier, func(it string) bool { return slices.Contains(seen, it) })
		if len(tier) > 0 {
			rest = append(rest, tier)
		}
		seen = append(seen, tier...)
	}
	return rest
}

// note keeps the addresses of a cluster's gateways, one list a priority.
func note(addresses map[string][][]string, owner, address string, priority uint32) {
	for len(addresses[owner]) <= int(priority) {
		addresses[owner] = append(addresses[owner], nil)
	}
	at := &addresses[owner][priority]
	if !slices.Contains(*at, address) {
		*at = append(*at, address)
	}
}

// follow says which cluster's pods a connection from a cluster ends at.
func (m *mesh) follow(from *world, u upstream, protocol simulation.Protocol) (string, error) {
	owner, number, err := reached(m.worlds, from.name, u.address, u.port)
	if err != nil {
		return "", err
	}
	if owner != nil && m.toGateway {
		return owner.name, nil
	}
	if owner != nil {
		return owner.name, m.cross(owner, u, number, protocol)
	}
	return from.name, from.arrive(u, protocol)
}

// cross follows a connection through a cluster's east-west gateway. The gateway opens no TLS: what
// the pods behind it see is the client's handshake.
func (m *mesh) cross(owner *world, u upstream, number int, protocol simulation.Protocol) error {
	if !u.mtls {
		return fmt.Errorf("no TLS at the gateway of %s", owner.name)
	}
	p := owner.proxyOf(owner.crossing)
	for _, alpn := range offered(u.alpn, protocol) {
		destinations, _, err := p.run(simulation.Call{
			Address: p.IPAddresses[0], Port: number, Protocol: simulation.TCP, TLS: simulation.MTLS, Alpn: alpn, Sni: u.sni, CallMode: simulation.CallModeGateway,
		})
		if err != nil {
			return fmt.Errorf("the gateway of %s refuses %s with %s: %w", owner.name, u.sni, alpn, err)
		}
		behind, err := p.upstreams(destinations[0].cluster)
		if err != nil {
			return fmt.Errorf("the gateway of %s: %w", owner.name, err)
		}
		if len(behind) == 0 {
			return fmt.Errorf("the gateway of %s: %w behind %s", owner.name, errNobody, destinations[0].cluster)
		}
		for _, it := range behind {
			if it.mtls {
				return fmt.Errorf("the gateway of %s puts TLS into TLS", owner.name)
			}
			if next, _, err := reached(m.worlds, owner.name, it.address, it.port); next != nil || err != nil {
				return fmt.Errorf("the gateway of %s leads out again, to %s", owner.name, it)
			}
			inner := u
			inner.address, inner.port = it.address, it.port
			if err := owner.arrive(inner, protocol); err != nil {
				return err
			}
		}
	}
	return nil
}

// offered are the protocols that a client may offer first: Istio's filter replaces that of the cluster.
func offered(alpn []string, protocol simulation.Protocol) []string {
	list := slices.Clone(alpn[:min(1, len(alpn))])
	switch protocol {
	case simulation.HTTP:
		list = append(list, "istio-http/1.1")
	case simulation.HTTP2:
		list = append(list, "istio-h2")
	}
	if len(list) == 0 {
		list = []string{"istio"}
	}
	return list
}

// arrive follows a connection into a pod of the cluster.
func (w *world) arrive(u upstream, protocol simulation.Protocol) error {
	at := slices.IndexFunc(w.pods, func(p *pod) bool { return slices.Contains(p.addresses, u.address) })
	if at < 0 {
		return w.arriveByService(u, protocol)
	}
	p := w.pods[at]
	who := fmt.Sprintf("%s/%s in %s", p.namespace, p.name, w.name)
	if p.dead {
		return fmt.Errorf("%s is dead, and it is called", who)
	}
	if !slices.ContainsFunc(p.ports, func(it corev1.ContainerPort) bool { return int(it.ContainerPort) == u.port }) {
		return fmt.Errorf("%s does not listen on %d", who, u.port)
	}
	alpns := []string{""}
	if u.mtls {
		alpns = append(offered(u.alpn, protocol), u.alpn...)
		identity := w.identity(p.namespace, p.account)
		if len(u.accepted) > 0 && !slices.Contains(u.accepted, identity) {
			return fmt.Errorf("%s is %s, and the client accepts %v", who, identity, u.accepted)
		}
	}
	for _, alpn := range alpns {
		if u.mtls && !strings.HasPrefix(alpn, "istio") {
			continue
		}
		c := simulation.Call{Address: u.address, Port: u.port, Protocol: protocol, CallMode: simulation.CallModeInbound, Alpn: alpn, Sni: u.sni}
		if u.mtls {
			c.TLS = simulation.MTLS
		}
		destinations, chain, err := w.proxyOf(p).run(c)
		if err != nil {
			return fmt.Errorf("%s refuses %s: %w", who, alpn, err)
		}
		if strings.HasPrefix(destinations[0].cluster, "InboundPassthrough") {
			return fmt.Errorf("%s has no listener for %d", who, u.port)
		}
		if err := trusts(chain, u.client); u.mtls && err != nil {
			return fmt.Errorf("%s: %w", who, err)
		}
		admitted, err := admits(chain, u.client)
		if err != nil {
			return err
		}
		if !admitted {
			return fmt.Errorf("%s: %w %s", who, errDenied, u.client)
		}
	}
	return nil
}

// arriveByService follows a connection to the address or the name of a Service.
func (w *world) arriveByService(u upstream, protocol simulation.Protocol) error {
	for _, s := range w.bundle.services {
		if u.address != s.Spec.ClusterIP && u.address != s.Name+"."+s.Namespace+".svc.cluster.local" {
			continue
		}
		for _, port := range s.Spec.Ports {
			for _, p := range w.pods {
				if int(port.Port) == u.port && p.selectedBy(s.Namespace, s.Spec.Selector) {
					inner := u
					inner.address, inner.port = p.addresses[0], int(p.target(port))
					return w.arrive(inner, protocol)
				}
			}
		}
	}
	return fmt.Errorf("nobody in %s is at %s:%d", w.name, u.address, u.port)
}

// trusts says whether a pod's TLS takes the identity of a client: its trust domain, or an alias.
func trusts(chain *listener.FilterChain, client string) error {
	context := &tls.DownstreamTlsContext{}
	if chain.GetTransportSocket() == nil {
		return nil
	}
	if err := chain.GetTransportSocket().GetTypedConfig().UnmarshalTo(context); err != nil {
		return err
	}
	known := context.GetCommonTlsContext().GetCombinedValidationContext().GetDefaultValidationContext().GetMatchSubjectAltNames()
	for _, it := range known {
		if strings.HasPrefix(client, it.GetPrefix()) {
			return nil
		}
	}
	if len(known) == 0 {
		return nil
	}
	return fmt.Errorf("the trust domain of %s is unknown", client)
}
