// Servers of other people: each answers every question for an address with its own.
package dns

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/miekg/dns"
)

// upstreamAddress is the server in every /etc/resolv.conf.
var upstreamAddress = netip.MustParseAddrPort("192.0.2.53:53")

type upstreamServer struct {
	at    netip.AddrPort
	mutex sync.Mutex
	names []string
}

// ServeDNS answers a question.
func (u *upstreamServer) ServeDNS(w dns.ResponseWriter, question *dns.Msg) {
	reply := new(dns.Msg)
	reply.SetReply(question)
	for _, it := range question.Question {
		u.mutex.Lock()
		u.names = append(u.names, it.Name)
		u.mutex.Unlock()
		switch it.Qtype {
		case dns.TypeA:
			reply.Answer = append(reply.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: it.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
				A:   u.at.Addr().AsSlice(),
			})
		case dns.TypeAAAA:
		default:
			reply.Rcode = dns.RcodeNameError
		}
	}
	_ = w.WriteMsg(reply)
}

// upstream starts a server on the node, unless there is one.
func (n *node) upstream(at netip.AddrPort) error {
	if slices.ContainsFunc(n.servers, func(it *upstreamServer) bool { return it.at == at }) {
		return nil
	}
	u := &upstreamServer{at: at}
	n.servers = append(n.servers, u)
	if err := script(fmt.Sprintf("ip netns exec %s ip addr replace %s/32 dev lo", n.namespace, at.Addr())); err != nil {
		return err
	}
	tcp, err := listen(n.namespace, at.String())
	if err != nil {
		return err
	}
	var udp net.PacketConn
	if err := within(n.namespace, func() (err error) {
		udp, err = net.ListenPacket("udp", at.String())
		return err
	}); err != nil {
		return err
	}
	for _, it := range []*dns.Server{{Listener: tcp, Handler: u}, {PacketConn: udp, Handler: u}} {
		go func() { _ = it.ActivateAndServe() }()
	}
	n.closers = append(n.closers, func() { _, _ = tcp.Close(), udp.Close() })
	return nil
}

// asked are all names for which the servers of others were asked.
func (n *node) asked() (names []string) {
	for _, it := range n.servers {
		it.mutex.Lock()
		names = append(names, it.names...)
		it.mutex.Unlock()
	}
	return names
}
