// Judges compiled cases through the code of Istio's own control plane; see conformance/README.md.
package follow

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	dnslib "github.com/miekg/dns"

	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/simulation"
	"istio.io/istio/pkg/log"

	"meshlatch/conformance/topology"
)

// publicDNS is what the world outside says of the names of gateways.
var publicDNS map[string]string

// report counts what was judged, and prints a line for each.
type report struct {
	t      *testing.T
	name   string
	passed int
	failed int
}

func (r *report) judge(what string, err error) {
	if err != nil {
		r.failed++
		r.t.Fail()
		fmt.Printf("FAIL  %s: %s: %v\n", r.name, what, err)
		return
	}
	r.passed++
	fmt.Printf("ok    %s: %s\n", r.name, what)
}

func TestMain(m *testing.M) {
	flag.Parse()
	for _, scope := range log.Scopes() {
		scope.SetOutputLevel(log.NoneLevel)
	}
	os.Exit(m.Run())
}

// TestCases judges each folder named after the flags: topology.yaml and out/<cluster>/.
func TestCases(t *testing.T) {
	passed, failed := 0, 0
	for _, dir := range flag.Args() {
		t.Run(dir, func(t *testing.T) {
			r := &report{t: t, name: dir}
			judgeCase(r, dir)
			passed, failed = passed+r.passed, failed+r.failed
		})
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
}

func judgeCase(r *report, dir string) {
	topo, err := topology.Read(filepath.Join(dir, "topology.yaml"))
	if err != nil {
		r.judge("topology.yaml", err)
		return
	}
	if old := topo.Old(); old != "" {
		fmt.Printf("skip  %s: today's control plane cannot speak for Istio %s of %s\n", r.name, topo.Clusters[old].Istio, old)
		return
	}
	serveDNS(r.t, topo)
	alive, err := load(r.t, topo, dir, false)
	if err != nil {
		r.judge("out", err)
		return
	}
	for _, name := range topology.Keys(alive.worlds) {
		alive.worlds[name].validate(r)
	}
	alive.judgeCalls(r)
	alive.judgeIngress(r)
	alive.judgeExternals(r)
	alive.judgeUndeclared(r)
	alive.judgeGateways(r)
	alive.judgePolicies(r)
	if !alive.shared() {
		return
	}
	dead, err := load(r.t, topo, dir, true)
	if err != nil {
		r.judge("out, with shared services dead", err)
		return
	}
	dead.judgeDead(r)
}

// load starts a control plane for every cluster that has a folder.
func load(t *testing.T, topo *topology.Topology, dir string, dead bool) (*mesh, error) {
	m := &mesh{topology: topo, worlds: map[string]*world{}}
	for i, name := range topology.Keys(topo.Clusters) {
		folder := filepath.Join(dir, "out", name)
		if _, err := os.Stat(folder); err != nil {
			continue
		}
		b, err := readBundle(folder)
		if err != nil {
			return nil, err
		}
		m.worlds[name] = makeWorld(t, topo, name, i, b, dead)
		if p := m.worlds[name].entering; p != nil {
			topo.Clusters[name].Ingress.ServiceAccount = p.account
		}
	}
	return m, nil
}

// shared says whether a service runs in several clusters.
func (m *mesh) shared() bool {
	return slices.ContainsFunc(topology.Keys(m.topology.Services), func(it string) bool { return len(m.topology.Services[it].Clusters) > 1 })
}

// declared is a call of the topology, or one that a variable of a Deployment makes.
type declared struct {
	from    *pod
	request request
	callee  *topology.Service
}

// protocolOf is how a call to a port is simulated.
func protocolOf(name string, p topology.Port) simulation.Protocol {
	switch topology.ProtocolOf(name, p) {
	case "GRPC", "GRPC-WEB", "HTTP2":
		return simulation.HTTP2
	case "HTTP":
		return simulation.HTTP
	}
	return simulation.TCP
}

var hostPort = regexp.MustCompile(`^(?:[a-z0-9]+://)?([a-z0-9][a-z0-9.-]*[a-z][a-z0-9.-]*):([0-9]+)(?:/.*)?$`)

// declaredIn are the calls from a cluster.
func (m *mesh) declaredIn(w *world) []declared {
	var list []declared
	add := func(from *pod, callee *topology.Service, host string, at any) {
		name, p, found := callee.PortOf(at)
		if strings.HasPrefix(name, "udp") {
			return
		}
		it := declared{from, request{host, p.Number, protocolOf(name, p)}, callee}
		if !found { // it ends nowhere, and shall be seen to
			it.request.port, _ = strconv.Atoi(fmt.Sprint(at))
		}
		if !slices.Contains(list, it) {
			list = append(list, it)
		}
	}
	for _, p := range w.pods {
		if p.gateway {
			continue
		}
		for _, name := range topology.Keys(p.env) {
			found := hostPort.FindStringSubmatch(p.env[name])
			if found == nil {
				continue
			}
			if callee := m.topology.Named(found[1], p.namespace); callee != nil {
				add(p, callee, found[1], found[2])
			}
		}
		if p.service == nil {
			continue
		}
		for _, it := range p.service.Calls {
			callee := m.topology.Services[it.Service]
			if it.Port != nil || len(callee.Ports) == 1 {
				add(p, callee, m.topology.Host(callee, w.name), it.Port)
				continue
			}
			for _, name := range topology.Keys(callee.Ports) {
				add(p, callee, m.topology.Host(callee, w.name), name)
			}
		}
	}
	return list
}

func (m *mesh) judgeCalls(r *report) {
	for _, name := range topology.Keys(m.worlds) {
		w := m.worlds[name]
		for _, it := range m.declaredIn(w) {
			want := m.topology.Answers(it.callee, name)
			got, err := m.call(w.proxyOf(it.from), it.request)
			if err == nil {
				err = m.compare(name, want, got)
			}
			r.judge(fmt.Sprintf("%s/%s -> %s  %s", name, it.from.name, it.request, want), err)
		}
	}
}

// compare says in what an outcome differs from what is meant.
func (m *mesh) compare(caller string, want topology.Answer, got outcome) error {
	if got.String() != want.String() {
		return fmt.Errorf("got %s", got)
	}
	for _, owner := range topology.Keys(got.addresses) {
		var tiers [][]string
		for _, tier := range got.addresses[owner] {
			if tier != nil {
				tiers = append(tiers, tier)
			}
		}
		var expected [][]string
		addresses := m.topology.Addresses(owner, caller)
		if m.topology.Clusters[owner].Gateway.Balance == "failover" && m.topology.Clusters[owner].Gateway.From[caller] == nil {
			for _, it := range addresses {
				expected = append(expected, []string{it})
			}
		} else {
			expected = [][]string{addresses}
		}
		if a, b := spelled(tiers), spelled(expected); a != b {
			return fmt.Errorf("the gateway of %s is tried at %s, not at %s", owner, a, b)
		}
	}
	return nil
}

// spelled writes tiers of addresses, names as what they stand for.
func spelled(tiers [][]string) string {
	var parts []string
	for _, tier := range tiers {
		var list []string
		for _, it := range tier {
			if address := publicDNS[it]; address != "" {
				it = address
			}
			list = append(list, it)
		}
		slices.Sort(list)
		parts = append(parts, strings.Join(list, "+"))
	}
	return strings.Join(parts, ">")
}

// judgeIngress lets requests enter at the gateways that serve the outside.
func (m *mesh) judgeIngress(r *report) {
	for _, key := range topology.Keys(m.topology.Ingress) {
		i := m.topology.Ingress[key]
		callee := m.topology.Services[i.Service]
		for _, name := range m.topology.Serving(i) {
			w := m.worlds[name]
			if w == nil {
				continue
			}
			want := m.topology.Answers(callee, name)
			for _, host := range i.Hosts.Or("*") {
				for _, path := range i.Paths.Or("/") {
					got, err := m.enter(w, i, callee, some(host), path)
					if err == nil {
						err = m.compare(name, want, got)
					}
					r.judge(fmt.Sprintf("%s, ingress %s of %s%s  %s", name, key, host, path, want), err)
				}
			}
		}
	}
}

// some is a host that a pattern matches.
func some(pattern string) string {
	if pattern == "*" {
		return "any.example.org"
	}
	return strings.Replace(pattern, "*", "any", 1)
}

func (m *mesh) enter(w *world, i *topology.Ingress, callee *topology.Service, host, path string) (got outcome, err error) {
	if w.entering == nil {
		return got, errors.New("no gateway serves the outside")
	}
	p := w.proxyOf(w.entering)
	number := i.Listen
	if number == 0 {
		number = 80
		if i.TLS != nil {
			number = 443
		}
	}
	if i.TLS != nil && i.TLS.Redirect {
		if _, err := m.knock(p, w, 80, host, path, false); !errors.Is(err, simulation.ErrTLSRedirect) {
			return got, fmt.Errorf("no redirect from port 80: %v", err)
		}
	}
	name, at, found := callee.PortOf(i.Port)
	if !found {
		return got, fmt.Errorf("no port %v", i.Port)
	}
	destinations, err := m.knock(p, w, number, host, path, i.TLS != nil)
	if err != nil {
		return got, err
	}
	return m.split(p, destinations, protocolOf(name, at))
}

// knock sends a request to a port of the gateway's Service.
func (m *mesh) knock(p *proxy, w *world, number int, host, path string, secure bool) ([]destination, error) {
	s := w.serviceOf(w.entering)
	if s == nil {
		return nil, errors.New("no Service selects the gateway")
	}
	for _, it := range s.Spec.Ports {
		if int(it.Port) != number {
			continue
		}
		c := simulation.Call{Address: p.IPAddresses[0], Port: int(it.TargetPort.IntVal), Protocol: simulation.HTTP, HostHeader: host, Path: path, CallMode: simulation.CallModeGateway}
		if secure {
			c.TLS = simulation.TLS
		}
		destinations, _, err := p.run(c)
		return destinations, err
	}
	return nil, fmt.Errorf("the gateway's Service has no port %d", number)
}

// judgeExternals calls what is outside, by who declared it and, where only what is known may leave,
// by who did not.
func (m *mesh) judgeExternals(r *report) {
	for _, key := range topology.Keys(m.topology.Externals) {
		x := m.topology.Externals[key]
		for _, name := range topology.Keys(m.worlds) {
			w := m.worlds[name]
			calling := map[string]bool{}
			for _, it := range x.Callers {
				if s := m.topology.Services[it]; slices.Contains(m.topology.Hosted(s), name) {
					calling[s.Namespace] = true
				}
			}
			asked := map[string]bool{}
			for _, p := range w.pods {
				if p.gateway || asked[p.namespace] {
					continue
				}
				asked[p.namespace] = true
				for _, host := range x.Hosts {
					for _, portName := range topology.Keys(x.Ports) {
						m.judgeExternal(r, w, p, host, portName, x.Ports[portName], calling[p.namespace])
					}
				}
			}
		}
	}
}

func (m *mesh) judgeExternal(r *report, w *world, p *pod, host, name string, at topology.Port, allowed bool) {
	sidecar := w.proxyOf(p)
	address := "203.0.113.200"
	if known := sidecar.resolve(host); len(known) > 0 {
		address = known[0]
	}
	c := simulation.Call{Address: address, Port: at.Number, Protocol: protocolOf(name, at), CallMode: simulation.CallModeOutbound, HostHeader: some(host)}
	if c.Protocol == simulation.TCP {
		c.TLS, c.Protocol = simulation.TLS, simulation.HTTP
	}
	destinations, _, err := sidecar.run(c)
	want := fmt.Sprintf("outbound|%d||%s", at.Number, host)
	what := fmt.Sprintf("%s/%s -> %s:%d outside", w.name, p.namespace, host, at.Number)
	switch known := err == nil && destinations[0].cluster == want; {
	case allowed && !known:
		r.judge(what, fmt.Errorf("got %v %v", destinations, err))
	case allowed:
		r.judge(what, nil)
	case m.topology.Mesh.Outbound == "registry-only" && err == nil && destinations[0].cluster != "BlackHoleCluster":
		r.judge(what+" undeclared", fmt.Errorf("it goes to %s", destinations[0].cluster))
	case known:
		r.judge(what+" undeclared", errors.New("it is known"))
	}
}

// judgeUndeclared tries every call between clusters that nobody in a namespace declares.
func (m *mesh) judgeUndeclared(r *report) {
	tried, passed := 0, 0
	for _, name := range topology.Keys(m.worlds) {
		w := m.worlds[name]
		asked := map[string]bool{}
		for _, p := range w.pods {
			if p.gateway || asked[p.namespace] {
				continue
			}
			asked[p.namespace] = true
			for _, key := range topology.Keys(m.topology.Services) {
				s := m.topology.Services[key]
				from := func(it topology.Caller) bool { return it.Cluster == name && it.Namespace == p.namespace }
				if slices.Contains(m.topology.Hosted(s), name) || slices.ContainsFunc(m.topology.Callers(s), from) || m.topology.OnTheWay(s, name, p.namespace) {
					continue
				}
				for _, host := range []string{m.topology.GlobalHost(s), s.LocalHost()} {
					for _, portName := range topology.Keys(s.Ports) {
						tried++
						q := request{host, s.Ports[portName].Number, protocolOf(portName, s.Ports[portName])}
						if got, err := m.call(w.proxyOf(p), q); err == nil {
							r.judge(fmt.Sprintf("%s/%s -> %s undeclared", name, p.namespace, q), fmt.Errorf("%s answers", got))
							continue
						}
						passed++
					}
				}
			}
		}
	}
	if tried > 0 && tried == passed {
		r.judge(fmt.Sprintf("%d calls that nobody declares end nowhere", tried), nil)
	}
}

// judgeGateways knocks at every east-west gateway with the names of all services.
func (m *mesh) judgeGateways(r *report) {
	for _, name := range topology.Keys(m.worlds) {
		w := m.worlds[name]
		if w.crossing == nil {
			continue
		}
		s := w.serviceOf(w.crossing)
		if s == nil {
			r.judge(name+", east-west gateway", errors.New("no Service selects it"))
			continue
		}
		var open, closed int
		for _, key := range topology.Keys(m.topology.Services) {
			it := m.topology.Services[key]
			called := m.topology.CalledFromAfar(it, name)
			for _, host := range []string{m.topology.GlobalHost(it), it.LocalHost()} {
				for _, portName := range topology.Keys(it.Ports) {
					for _, subset := range append([]string{""}, topology.Keys(m.topology.Clusters)...) {
						sni := fmt.Sprintf("outbound_.%d_.%s_.%s", it.Ports[portName].Number, subset, host)
						let := w.letsIn(sni)
						if let && !called && m.topology.Moving == nil {
							r.judge(name+", east-west gateway", fmt.Errorf("it lets in %s, which nobody calls from another cluster", sni))
						}
						if let {
							open++
						} else {
							closed++
						}
					}
				}
			}
		}
		r.judge(fmt.Sprintf("%s, east-west gateway: lets in %d names, refuses %d", name, open, closed), nil)
	}
}

func (w *world) letsIn(sni string) bool {
	p := w.proxyOf(w.crossing)
	for _, it := range w.serviceOf(w.crossing).Spec.Ports {
		c := simulation.Call{Address: p.IPAddresses[0], Port: int(it.TargetPort.IntVal), Protocol: simulation.TCP, TLS: simulation.MTLS, Alpn: "istio", Sni: sni, CallMode: simulation.CallModeGateway}
		if _, _, err := p.run(c); err == nil {
			return true
		}
	}
	return false
}

// judgePolicies knocks at every pod: without TLS, and with the identity of everybody in the mesh.
func (m *mesh) judgePolicies(r *report) {
	for _, name := range topology.Keys(m.worlds) {
		w := m.worlds[name]
		for _, p := range w.pods {
			if p.gateway || p.service == nil {
				continue
			}
			for _, portName := range topology.Keys(p.service.Ports) {
				m.judgePolicy(r, w, p, portName)
			}
		}
	}
}

func (m *mesh) judgePolicy(r *report, w *world, p *pod, portName string) {
	s := p.service
	if strings.HasPrefix(portName, "udp") {
		return
	}
	protocol := protocolOf(portName, s.Ports[portName])
	u := upstream{address: p.addresses[0], port: targetOn(s, p, portName)}
	what := fmt.Sprintf("%s, pod of %s:%d", w.name, s.Key, u.port)
	if err := w.arrive(u, protocol); err == nil {
		r.judge(what, errors.New("it is reached without TLS"))
	}
	u.mtls, u.alpn = true, []string{"istio-peer-exchange", "istio"}
	if m.topology.Mesh.Authorization != "declared" {
		return
	}
	callers := slices.DeleteFunc(m.topology.Callers(s), func(it topology.Caller) bool { return !m.topology.Reaches(it, s, w.name) })
	admitted, denied := 0, 0
	for _, key := range topology.Keys(m.topology.Services) {
		it := m.topology.Services[key]
		for _, cluster := range topology.Keys(m.topology.Clusters) {
			client := topology.Caller{Cluster: cluster, Namespace: it.Namespace, Account: it.ServiceAccount, Service: it}
			u.client = m.topology.Identity(client)
			may, err := m.topology.Known(callers, client), w.arrive(u, protocol)
			switch {
			case may && err != nil:
				r.judge(what, err)
			case !may && err == nil:
				r.judge(what, fmt.Errorf("it lets in %s, whose calls do not come here", u.client))
			case err == nil:
				admitted++
			case errors.Is(err, errDenied):
				denied++
			default:
				r.judge(what, err)
			}
		}
	}
	r.judge(fmt.Sprintf("%s: lets in %d identities, denies %d", what, admitted, denied), nil)
}

// targetOn is the number of a port on a pod.
func targetOn(s *topology.Service, p *pod, name string) int {
	target := s.Ports[name].Target
	if number, err := strconv.Atoi(target); err == nil {
		return number
	}
	for _, it := range p.ports {
		if it.Name == target {
			return int(it.ContainerPort)
		}
	}
	return 0
}

// judgeDead looks at a mesh in which nobody of the shared services is left. A caller's own cluster is
// passed over, the others come in the same order, and a gateway that nobody is left behind ends the
// call: it knows no other gateway.
func (m *mesh) judgeDead(r *report) {
	for _, name := range topology.Keys(m.worlds) {
		w := m.worlds[name]
		for _, it := range m.declaredIn(w) {
			if len(m.topology.Hosted(it.callee)) < 2 {
				continue
			}
			want := m.topology.Answers(it.callee, name).Without(name)
			what := fmt.Sprintf("%s/%s -> %s, dead", name, it.from.name, it.request)
			if len(want.Tiers) > 0 {
				m.toGateway = true
				got, err := m.call(w.proxyOf(it.from), it.request)
				if err == nil {
					err = m.compare(name, want, got)
				}
				r.judge(fmt.Sprintf("%s in %s  %s", what, name, want), err)
			}
			m.toGateway = false
			got, err := m.call(w.proxyOf(it.from), it.request)
			switch {
			case err == nil:
				err = fmt.Errorf("%s answers", got)
			case errors.Is(err, errNobody):
				err = nil
			}
			r.judge(what+" everywhere  nobody", err)
		}
	}
}

// serveDNS answers for the names of gateways, on this machine only.
func serveDNS(t *testing.T, topo *topology.Topology) {
	publicDNS = map[string]string{}
	for _, name := range topology.Keys(topo.Clusters) {
		g := topo.Clusters[name].Gateway
		all := slices.Clone(g.Address)
		for _, from := range topology.Keys(g.From) {
			all = append(all, g.From[from]...)
		}
		for _, it := range all {
			if _, err := netip.ParseAddr(it); err != nil && publicDNS[it] == "" {
				publicDNS[it] = fmt.Sprintf("192.0.2.%d", len(publicDNS)+1)
			}
		}
	}
	if len(publicDNS) == 0 {
		return
	}
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dnslib.Server{PacketConn: socket, Handler: dnslib.HandlerFunc(func(w dnslib.ResponseWriter, question *dnslib.Msg) {
		reply := new(dnslib.Msg)
		reply.SetReply(question)
		asked := question.Question[0]
		if address := publicDNS[strings.TrimSuffix(asked.Name, ".")]; address != "" && asked.Qtype == dnslib.TypeA {
			record, _ := dnslib.NewRR(fmt.Sprintf("%s 60 IN A %s", asked.Name, address))
			reply.Answer = append(reply.Answer, record)
		}
		_ = w.WriteMsg(reply)
	})}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown() })
	model.NetworkGatewayTestDNSServers = []string{socket.LocalAddr().String()}
}
