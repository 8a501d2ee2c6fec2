// An Envoy as its control plane configures it: of a pod, or of a gateway.
package follow

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/util"
	labelutil "istio.io/istio/pilot/pkg/serviceregistry/util/label"
	"istio.io/istio/pilot/pkg/simulation"
	"istio.io/istio/pilot/pkg/xds/endpoints"
	"istio.io/istio/pilot/test/xdstest"
	istiocluster "istio.io/istio/pkg/cluster"
	dns "istio.io/istio/pkg/dns/server"
	"istio.io/istio/pkg/network"
)

type proxy struct {
	*model.Proxy
	world      *world
	simulation *simulation.Simulation
	clusters   map[string]*cluster.Cluster
	account    string
}

// proxyOf is the Envoy of a pod.
func (w *world) proxyOf(p *pod) *proxy {
	if known := w.proxies[p.namespace+"/"+p.name]; known != nil {
		return known
	}
	metadata := &model.NodeMetadata{
		Labels: p.labels, Namespace: p.namespace, ServiceAccount: p.account, IstioVersion: "1.31.0",
		ClusterID: istiocluster.ID(w.name), Network: network.ID(w.bundle.network),
		DNSCapture: model.StringBool(w.bundle.dnsCapture()),
	}
	if view := p.env["ISTIO_META_REQUESTED_NETWORK_VIEW"]; view != "" {
		metadata.RequestedNetworkView = strings.Split(view, ",")
	}
	kind := model.SidecarProxy
	if p.gateway {
		kind = model.Router
	}
	locality := &core.Locality{}
	if w.spec().Locality != "" {
		locality = util.ConvertLocality(w.spec().Locality)
	}
	made := &proxy{world: w, account: p.account, clusters: map[string]*cluster.Cluster{}}
	made.Proxy = w.plane.SetupProxy(&model.Proxy{
		Type: kind, IPAddresses: p.addresses, ID: p.name + "." + p.namespace, ConfigNamespace: p.namespace,
		Labels:   labelutil.AugmentLabels(p.labels, metadata.ClusterID, w.spec().Locality, "node", metadata.Network),
		Metadata: metadata, Locality: locality,
	})
	made.simulation = simulation.NewSimulation(w.t, w.plane, made.Proxy)
	for _, it := range made.simulation.Clusters {
		made.clusters[it.Name] = it
	}
	w.proxies[p.namespace+"/"+p.name] = made
	return made
}

// identity is what its certificate says.
func (p *proxy) identity() string { return p.world.identity(p.ConfigNamespace, p.account) }

func (w *world) identity(namespace, account string) string {
	return "spiffe://" + w.bundle.mesh.GetTrustDomain() + "/ns/" + namespace + "/sa/" + account
}

// upstream is an endpoint, and how a connection to it is opened.
type upstream struct {
	priority uint32
	address  string
	port     int
	mtls     bool
	sni      string
	alpn     []string
	accepted []string // identities that the client accepts
	client   string   // its own
}

func (u upstream) String() string {
	return fmt.Sprintf("%d: %s sni=%s alpn=%v", u.priority, net.JoinHostPort(u.address, strconv.Itoa(u.port)), u.sni, u.alpn)
}

// upstreams are the endpoints of a cluster of Envoy's, in the order in which they are tried.
func (p *proxy) upstreams(name string) ([]upstream, error) {
	c := p.clusters[name]
	if c == nil {
		return nil, fmt.Errorf("there is no cluster %s", name)
	}
	assignment := c.LoadAssignment
	if c.GetType() == cluster.Cluster_EDS {
		service := c.GetEdsClusterConfig().GetServiceName()
		if service == "" {
			service = c.Name
		}
		builder := endpoints.NewEndpointBuilder(service, p.Proxy, p.world.plane.PushContext())
		assignment = builder.BuildClusterLoadAssignment(p.world.plane.Discovery.Env.EndpointIndex)
	}
	var all []upstream
	for _, locality := range assignment.GetEndpoints() {
		for _, it := range locality.LbEndpoints {
			u := upstream{priority: locality.Priority, client: p.identity()}
			at := it.GetEndpoint().GetAddress().GetSocketAddress()
			u.address, u.port = at.GetAddress(), int(at.GetPortValue())
			if err := u.secure(socketFor(c, it)); err != nil {
				return nil, err
			}
			all = append(all, u)
		}
	}
	slices.SortStableFunc(all, func(a, b upstream) int { return int(a.priority) - int(b.priority) })
	return all, nil
}

// socketFor picks the transport socket that an endpoint's metadata asks for.
func socketFor(c *cluster.Cluster, it *endpoint.LbEndpoint) *core.TransportSocket {
	asked := it.GetMetadata().GetFilterMetadata()["envoy.transport_socket_match"].GetFields()
	for _, match := range c.TransportSocketMatches {
		fits := true
		for name, value := range match.GetMatch().GetFields() {
			fits = fits && asked[name].GetStringValue() == value.GetStringValue()
		}
		if fits {
			return match.TransportSocket
		}
	}
	return c.TransportSocket
}

func (u *upstream) secure(socket *core.TransportSocket) error {
	context := &tls.UpstreamTlsContext{}
	if socket == nil || !socket.GetTypedConfig().MessageIs(context) {
		return nil
	}
	if err := socket.GetTypedConfig().UnmarshalTo(context); err != nil {
		return err
	}
	u.mtls, u.sni, u.alpn = true, context.Sni, context.GetCommonTlsContext().GetAlpnProtocols()
	for _, it := range context.GetCommonTlsContext().GetCombinedValidationContext().GetDefaultValidationContext().GetMatchSubjectAltNames() {
		u.accepted = append(u.accepted, it.GetExact())
	}
	return nil
}

// resolve answers as the resolver of a pod does: from the sidecar's table, or the cluster's DNS.
func (p *proxy) resolve(host string) []string {
	if net.ParseIP(host) != nil {
		return []string{host}
	}
	table := map[string][]string{}
	if p.world.bundle.dnsCapture() {
		for name, it := range dns.BuildNameTable(dns.Config{Node: p.Proxy, Push: p.world.plane.PushContext()}).Table {
			table[name] = it.Ips
		}
	}
	search := []string{"", "." + p.ConfigNamespace + ".svc.cluster.local", ".svc.cluster.local", ".cluster.local"}
	for _, suffix := range search {
		if addresses := table[host+suffix]; len(addresses) > 0 {
			return addresses
		}
		for _, s := range p.world.bundle.services {
			if host+suffix == s.Name+"."+s.Namespace+".svc.cluster.local" {
				return append([]string{s.Spec.ClusterIP}, s.Spec.ClusterIPs[min(1, len(s.Spec.ClusterIPs)):]...)
			}
		}
	}
	return nil
}

// destination is a cluster of Envoy's that a route leads to, with its share.
type destination struct {
	cluster string
	share   int
}

// run puts a call through Envoy's listeners and routes; the chain is that which took it.
func (p *proxy) run(c simulation.Call) ([]destination, *listener.FilterChain, error) {
	var chain *listener.FilterChain
	c.CustomListenerValidations = append(c.CustomListenerValidations, func(it *listener.FilterChain) error {
		chain = it
		return nil
	})
	result := p.simulation.Run(c)
	if result.Error != nil {
		return nil, chain, result.Error
	}
	if strings.Contains(c.Address, ":") && !p.listensOnSix(result.ListenerMatched) {
		return nil, chain, fmt.Errorf("the listener %s has no address of IPv6", result.ListenerMatched)
	}
	if result.ClusterMatched != "" {
		return []destination{{result.ClusterMatched, 100}}, chain, nil
	}
	shares := p.weighted(result, chain, c.Path)
	if shares == nil {
		return nil, chain, fmt.Errorf("the route leads nowhere")
	}
	return shares, chain, nil
}

func (p *proxy) listensOnSix(name string) bool {
	l := xdstest.ExtractListener(name, p.simulation.Listeners)
	six := strings.Contains(l.GetAddress().GetSocketAddress().GetAddress(), ":")
	for _, it := range l.GetAdditionalAddresses() {
		six = six || strings.Contains(it.GetAddress().GetSocketAddress().GetAddress(), ":")
	}
	return six
}

// weighted are the shares of a route, of which the simulation says nothing.
func (p *proxy) weighted(result simulation.Result, chain *listener.FilterChain, path string) []destination {
	var shares []destination
	if tcp := xdstest.ExtractTCPProxy(p.world.t, chain); tcp != nil {
		for _, it := range tcp.GetWeightedClusters().GetClusters() {
			shares = append(shares, destination{it.Name, int(it.Weight)})
		}
		return shares
	}
	config := xdstest.ExtractRouteConfigurations(p.simulation.Routes)[result.RouteConfigMatched]
	for _, host := range config.GetVirtualHosts() {
		if host.Name != result.VirtualHostMatched {
			continue
		}
		for _, it := range host.Routes {
			if it.Name != result.RouteMatched || !taken(it.GetMatch(), path) {
				continue
			}
			for _, share := range it.GetRoute().GetWeightedClusters().GetClusters() {
				shares = append(shares, destination{share.Name, int(share.Weight.GetValue())})
			}
			return shares
		}
	}
	return nil
}

func taken(match *route.RouteMatch, path string) bool {
	if path == "" {
		path = "/"
	}
	switch it := match.GetPathSpecifier().(type) {
	case *route.RouteMatch_Prefix:
		return strings.HasPrefix(path, it.Prefix)
	case *route.RouteMatch_PathSeparatedPrefix:
		return path == it.PathSeparatedPrefix || strings.HasPrefix(path, it.PathSeparatedPrefix+"/")
	case *route.RouteMatch_Path:
		return path == it.Path
	}
	return false
}
