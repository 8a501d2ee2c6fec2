// istiocoredns: CoreDNS as Istio's charts of 1.4 to 1.8 set it up, with a plugin beside it that knows ServiceEntries.
//
// The plugin's program is not to be had (the Go proxy has no github.com/istio-ecosystem/istio-coredns-plugin); what
// stands here answers as it does: from ServiceEntries with addresses whose resolution is not NONE, one address each
// without a prefix; by the whole name, letter by letter; "no such name" to every question of another type.
package dns

import (
	"context"
	"net"

	"github.com/miekg/dns"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// As manifests/istiocoredns/templates/configmap.yaml of 1.5 has it, and for 1.4, whose chart has a CoreDNS above 1.4.0, too.
const istiocorednsCorefile = `.:53 {
      errors
      health
      grpc global 127.0.0.1:8053
      forward . /etc/resolv.conf {
        except global
      }
      prometheus :9153
      cache 30
      reload
    }
`

// runIstiocoredns runs it at the address that the bundle pins.
func (c *cluster) runIstiocoredns() error {
	pod, err := c.node.makePod()
	if err != nil {
		return err
	}
	l, err := listen(pod.namespace, "127.0.0.1:8053")
	if err != nil {
		return err
	}
	plugin := grpc.NewServer()
	plugin.RegisterService(&pluginService, &istioPlugin{c.entries})
	go func() { _ = plugin.Serve(l) }()
	c.node.closers = append(c.node.closers, plugin.Stop)
	if _, err := c.node.start(pod, container{
		program: c.program, arguments: []string{"-conf", "/etc/coredns/Corefile"},
		files: map[string]string{"/etc/coredns/Corefile": istiocorednsCorefile},
	}); err != nil {
		return err
	}
	for _, protocol := range []string{"UDP", "TCP"} {
		if err := c.node.forward(c.istiocoredns, protocol, 53, pod, 53); err != nil {
			return err
		}
	}
	return nil
}

type istioPlugin struct{ entries []serviceEntry }

// Query answers one packet.
func (p *istioPlugin) Query(packet []byte) ([]byte, error) {
	question, reply := new(dns.Msg), new(dns.Msg)
	if err := question.Unpack(packet); err != nil {
		return nil, err
	}
	reply.SetReply(question)
	reply.Authoritative = true
	for _, it := range question.Question {
		if it.Qtype != dns.TypeA {
			continue
		}
		for _, address := range p.addresses(it.Name) {
			reply.Answer = append(reply.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: it.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 3600}, A: address,
			})
		}
	}
	if len(reply.Answer) == 0 {
		reply.Rcode = dns.RcodeNameError
	}
	return reply.Pack()
}

// addresses are those of a name; of several ServiceEntries the last one counts.
func (p *istioPlugin) addresses(name string) (addresses []net.IP) {
	for _, entry := range p.entries {
		var own []net.IP
		for _, text := range entry.Spec.Addresses {
			if ip := net.ParseIP(text); ip != nil {
				own = append(own, ip)
			}
		}
		// Without a word the resolution is NONE.
		if entry.Spec.Resolution == "NONE" || entry.Spec.Resolution == "" || len(own) == 0 {
			continue
		}
		for _, host := range entry.Spec.Hosts {
			if host+"." == name {
				addresses = own
			}
		}
	}
	return addresses
}

// pluginService is CoreDNS's service for such plugins. Its packet is a message with bytes as its first field.
var pluginService = grpc.ServiceDesc{
	ServiceName: "coredns.dns.DnsService",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Query",
		Handler: func(plugin any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			packet := &wrapperspb.BytesValue{}
			if err := decode(packet); err != nil {
				return nil, err
			}
			reply, err := plugin.(*istioPlugin).Query(packet.Value)
			return &wrapperspb.BytesValue{Value: reply}, err
		},
	}},
}
