// The world outside of all clusters: names, hosts that everybody may call, addresses of gateways.
package route

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/miekg/dns"

	"meshlatch/conformance/topology"
)

// outside is a DNS server, and one program that is all external hosts.
type outside struct {
	dns     netip.Addr
	world   *World
	mutex   sync.Mutex
	names   map[string][]netip.Addr
	points  map[string][]point // the gateway of each cluster
	servers []*dns.Server
	hosts   *exec.Cmd
}

// point is an address of a gateway, and the name it is known by, if it has one.
type point struct {
	name    string
	address netip.Addr
}

func openOutside(w *World) (*outside, error) {
	o := &outside{dns: netip.MustParseAddr("198.19.0.53"), world: w, names: map[string][]netip.Addr{}, points: map[string][]point{}}
	if err := own(o.dns); err != nil {
		return nil, err
	}
	o.addressGateways()
	if err := o.serveHosts(); err != nil {
		return nil, err
	}
	return o, o.serveNames()
}

// own gives an address to the world outside itself.
func own(address netip.Addr) error {
	out, err := exec.Command("ip", "addr", "replace", address.String()+"/32", "dev", "lo").CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip addr replace %s: %w: %s", address, err, out)
	}
	return nil
}

// addressGateways takes the gateways' addresses from the topology. A name gets an address from us.
func (o *outside) addressGateways() {
	number := byte(0)
	add := func(cluster, text string) {
		if address, err := netip.ParseAddr(text); err == nil {
			o.points[cluster] = append(o.points[cluster], point{address: address})
			return
		}
		number++
		address := netip.AddrFrom4([4]byte{198, 19, 1, number})
		o.names[dns.Fqdn(text)] = []netip.Addr{address}
		o.points[cluster] = append(o.points[cluster], point{name: text, address: address})
	}
	for _, name := range topology.Keys(o.world.Topology.Clusters) {
		g := o.world.Topology.Clusters[name].Gateway
		for _, it := range g.Address {
			add(name, it)
		}
		for _, from := range topology.Keys(g.From) {
			for _, it := range g.From[from] {
				add(name, it)
			}
		}
	}
}

func (o *outside) gateway(cluster string) []point {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.points[cluster]
}

// ingress is the address of all other load balancers of a cluster.
func (o *outside) ingress(cluster string) netip.Addr {
	for i, name := range topology.Keys(o.world.Topology.Clusters) {
		if name == cluster {
			return netip.AddrFrom4([4]byte{198, 19, 2, byte(i + 1)})
		}
	}
	panic("a cluster of the topology")
}

// addressesOf are all that lead to a cluster from outside.
func (o *outside) addressesOf(cluster string) []netip.Addr {
	list := []netip.Addr{o.ingress(cluster)}
	for _, it := range o.gateway(cluster) {
		list = append(list, it.address)
	}
	return list
}

// both says whether a gateway has an address of IPv6: then the clusters have both families.
func (o *outside) both() bool {
	for _, points := range o.points {
		if slices.ContainsFunc(points, func(it point) bool { return it.address.Is6() }) {
			return true
		}
	}
	return false
}

// serveHosts starts what stands for every external host, each at an address of its own.
func (o *outside) serveHosts() error {
	type listen struct {
		Port     int    `json:"port"`
		Protocol string `json:"protocol"`
	}
	var ports []listen
	known := map[int]bool{}
	number := byte(0)
	for _, key := range topology.Keys(o.world.Topology.Externals) {
		it := o.world.Topology.Externals[key]
		for _, host := range it.Hosts {
			number++
			address := netip.AddrFrom4([4]byte{198, 19, 3, number})
			for _, text := range it.Addresses {
				if known, err := netip.ParseAddr(text); err == nil {
					address = known
					break
				}
			}
			if err := own(address); err != nil {
				return err
			}
			o.names[dns.Fqdn(some(host))] = []netip.Addr{address}
		}
		for _, name := range topology.Keys(it.Ports) {
			p := it.Ports[name]
			if !known[p.Number] {
				known[p.Number] = true
				ports = append(ports, listen{p.Number, topology.ProtocolOf(name, p)})
			}
		}
	}
	if ports == nil {
		return nil
	}
	config, err := json.Marshal(map[string]any{"cluster": "outside", "service": "outside", "pod": "outside", "listen": ports})
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(o.world.Logs, "outside.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	o.hosts = exec.Command(filepath.Join(o.world.Programs, "workload"), "serve")
	o.hosts.Env = append(os.Environ(), "MESHLATCH_WORKLOAD="+string(config), "MESHLATCH_DRAIN=0s")
	o.hosts.Stdout, o.hosts.Stderr = log, log
	o.hosts.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return o.hosts.Start()
}

// serveNames answers for the names of gateways and of external hosts.
func (o *outside) serveNames() error {
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg)
		answer.SetReply(question)
		answer.Authoritative = true
		for _, q := range question.Question {
			o.mutex.Lock()
			addresses, found := o.names[strings.ToLower(q.Name)]
			o.mutex.Unlock()
			if !found {
				answer.Rcode = dns.RcodeNameError
			}
			for _, it := range addresses {
				if q.Qtype == dns.TypeA && it.Is4() {
					answer.Answer = append(answer.Answer, &dns.A{
						Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: it.AsSlice()})
				}
				if q.Qtype == dns.TypeAAAA && it.Is6() {
					answer.Answer = append(answer.Answer, &dns.AAAA{
						Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeAAAA, Class: dns.ClassINET, Ttl: 1}, AAAA: it.AsSlice()})
				}
			}
		}
		_ = w.WriteMsg(answer)
	})
	for _, network := range []string{"udp", "tcp"} {
		ready := make(chan error, 1)
		server := &dns.Server{Addr: netip.AddrPortFrom(o.dns, 53).String(), Net: network, Handler: handler, NotifyStartedFunc: func() { ready <- nil }}
		go func() {
			if err := server.ListenAndServe(); err != nil {
				ready <- err
			}
		}()
		if err := <-ready; err != nil {
			return err
		}
		o.servers = append(o.servers, server)
	}
	return nil
}

func (o *outside) close() {
	for _, it := range o.servers {
		_ = it.Shutdown()
	}
	if o.hosts != nil {
		_ = o.hosts.Process.Kill()
		_ = o.hosts.Wait()
	}
}
