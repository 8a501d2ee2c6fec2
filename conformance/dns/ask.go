// Questions and answers.
package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	a     = dns.TypeA
	aaaa  = dns.TypeAAAA
	https = dns.TypeHTTPS

	noError    = dns.RcodeSuccess
	noSuchName = dns.RcodeNameError

	patience = 5 * time.Second
)

func kindName(kind uint16) string { return dns.TypeToString[kind] }

// answer is what a server says of a name.
type answer struct {
	code      int
	addresses []netip.Addr
}

func (a answer) String() string {
	if len(a.addresses) == 0 {
		return dns.RcodeToString[a.code] + " without addresses"
	}
	return dns.RcodeToString[a.code] + " " + join(a.addresses)
}

// ask asks a server from the node.
func (n *node) ask(transport string, server netip.AddrPort, name string, kind uint16) (answer, error) {
	conn, err := dial(n.namespace, transport, server.String())
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = conn.Close() }()
	question := new(dns.Msg)
	question.SetQuestion(dns.Fqdn(name), kind)
	client := &dns.Client{Net: transport, Timeout: patience}
	reply, _, err := client.ExchangeWithConn(question, &dns.Conn{Conn: conn})
	if err != nil {
		return answer{}, err
	}
	got := answer{code: reply.Rcode}
	for _, it := range reply.Answer {
		if !strings.EqualFold(it.Header().Name, dns.Fqdn(name)) {
			return got, fmt.Errorf("an answer for %s", it.Header().Name)
		}
		switch it := it.(type) {
		case *dns.A:
			address, _ := netip.AddrFromSlice(it.A)
			got.addresses = append(got.addresses, address.Unmap())
		case *dns.AAAA:
			address, _ := netip.AddrFromSlice(it.AAAA)
			got.addresses = append(got.addresses, address)
		default:
			return got, fmt.Errorf("an answer of another kind: %s", it)
		}
	}
	return got, nil
}

// expect asks, and compares.
func (n *node) expect(transport string, server netip.AddrPort, name string, kind uint16, want answer) error {
	got, err := n.ask(transport, server, name, kind)
	if err != nil {
		return err
	}
	for _, it := range [][]netip.Addr{got.addresses, want.addresses} {
		slices.SortFunc(it, netip.Addr.Compare)
	}
	if got.code != want.code || !slices.Equal(got.addresses, want.addresses) {
		return fmt.Errorf("got %s, want %s", got, want)
	}
	return nil
}

func join(addresses []netip.Addr) string {
	var words []string
	for _, it := range addresses {
		words = append(words, it.String())
	}
	return strings.Join(words, " or ")
}
