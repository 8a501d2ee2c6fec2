// The network: clusters that cannot see one another, but for the addresses of their gateways.
package cluster

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Outside makes the namespace we are in the world between the clusters: it routes, but only to
// addresses that Publish names, and to itself.
func Outside() error {
	return script(`
		sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
		for tables in iptables ip6tables; do
			$tables -P FORWARD DROP
			$tables -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
		done`)
}

// node is the network namespace that is a cluster's only node.
type node struct {
	namespace string
	families  []*family // IPv4; IPv6 behind it in clusters of both
	mutex     sync.Mutex
}

// address is the node's own, of IPv4.
func (n *node) address() netip.Addr { return n.families[0].address }

// family is the network of one kind of addresses.
type family struct {
	address  netip.Addr // on the link to the outside
	outside  netip.Addr // the other end of it
	next     netip.Addr // of a pod
	via      string     // what pods see of the node
	iptables string
	ip       string
	whole    int // the length of the prefix that is one address
}

// families are those of a cluster with this number: one for each range of pods.
func families(number int, pods []netip.Prefix) []*family {
	var list []*family
	for _, it := range pods {
		f := &family{next: it.Masked().Addr().Next(), via: "169.254.1.1", iptables: "iptables", ip: "ip -4", whole: 32,
			address: netip.AddrFrom4([4]byte{198, 18, byte(number), 2}), outside: netip.AddrFrom4([4]byte{198, 18, byte(number), 1})}
		if it.Addr().Is6() {
			f.via, f.iptables, f.ip, f.whole = "fe80::1", "ip6tables", "ip -6", 128
			f.address = netip.MustParseAddr(fmt.Sprintf("fd00:198:18:%x::2", number))
			f.outside = netip.MustParseAddr(fmt.Sprintf("fd00:198:18:%x::1", number))
		}
		list = append(list, f)
	}
	return list
}

// of is the family of an address, if the cluster has it.
func (n *node) of(address netip.Addr) (*family, error) {
	for _, f := range n.families {
		if f.address.Is4() == address.Is4() {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%s has no addresses like %s", n.namespace, address)
}

// makeNode makes the namespace of the cluster with this number.
func makeNode(name string, number int, pods []netip.Prefix) (*node, error) {
	n := &node{namespace: name, families: families(number, pods)}
	text := fmt.Sprintf(`
		ip netns add %[1]s
		ip link add up%[2]d type veth peer name out netns %[1]s
		ip link set up%[2]d up
		in="ip netns exec %[1]s"
		$in ip link set lo up
		$in ip link set out up
		$in sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1`, n.namespace, number)
	for _, f := range n.families {
		// Pods reach what is outside under the node's address: ranges of pods may be the same everywhere.
		text += fmt.Sprintf(`
		%[1]s addr add %[3]s/%[5]d dev up%[6]d %[7]s
		$in %[1]s addr add %[2]s/%[5]d dev out %[7]s
		$in %[1]s route add default via %[3]s
		$in %[4]s -t nat -A POSTROUTING -o out ! -s %[2]s -j MASQUERADE`,
			f.ip, f.address, f.outside, f.iptables, f.whole-2, number, f.atOnce())
	}
	return n, script(text)
}

// atOnce is for addresses of which nobody need ask whether another has them.
func (f *family) atOnce() string {
	if f.address.Is6() {
		return "nodad"
	}
	return ""
}

// publish makes an address of the node's known outside, and lets everybody in there.
func (n *node) publish(address netip.Addr) error {
	f, err := n.of(address)
	if err != nil {
		return err
	}
	return script(fmt.Sprintf(`
		%[4]s route replace %[1]s/%[6]d via %[2]s
		%[5]s -C FORWARD -d %[1]s -j ACCEPT 2>/dev/null || %[5]s -A FORWARD -d %[1]s -j ACCEPT
		ip netns exec %[3]s %[4]s addr replace %[1]s/%[6]d dev lo`, address, f.address, n.namespace, f.ip, f.iptables, f.whole))
}

// withdraw takes an address back.
func (n *node) withdraw(address netip.Addr) error {
	f, err := n.of(address)
	if err != nil {
		return err
	}
	return script(fmt.Sprintf(`
		%[3]s route del %[1]s/%[5]d
		%[4]s -D FORWARD -d %[1]s -j ACCEPT
		ip netns exec %[2]s %[3]s addr del %[1]s/%[5]d dev lo`, address, n.namespace, f.ip, f.iptables, f.whole))
}

// wire makes a pod's namespace, and gives it an address of each family.
func (n *node) wire(namespace, device string) ([]netip.Addr, error) {
	text := fmt.Sprintf(`
		ip netns add %[1]s
		ip link add %[2]s netns %[3]s type veth peer name eth0 netns %[1]s
		node="ip netns exec %[3]s"
		$node ip link set %[2]s up
		in="ip netns exec %[1]s"
		$in sysctl -qw net.ipv4.ip_unprivileged_port_start=0
		$in ip link set lo up
		$in ip link set eth0 up`, namespace, device, n.namespace)
	var addresses []netip.Addr
	for _, f := range n.families {
		address := n.take(f)
		addresses = append(addresses, address)
		text += fmt.Sprintf(`
		$node %[1]s addr add %[3]s/%[4]d dev %[5]s %[6]s
		$node %[1]s route add %[2]s/%[4]d dev %[5]s
		$in %[1]s addr add %[2]s/%[4]d dev eth0 %[6]s
		$in %[1]s route add %[3]s dev eth0
		$in %[1]s route add default via %[3]s dev eth0`, f.ip, address, f.via, f.whole, device, f.atOnce())
	}
	return addresses, script(text)
}

// take is the next address for a pod; pods start side by side.
func (n *node) take(f *family) netip.Addr {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	f.next = f.next.Next()
	return f.next
}

// unwire ends a pod's namespace, and its link with it.
func unwire(namespace string) error { return run("ip", "netns", "del", namespace) }

// dialer opens connections from within a network namespace.
func dialer(namespace string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			// The thread ends with this goroutine: no other may get one of another namespace.
			runtime.LockOSThread()
			fd, failed := unix.Open("/run/netns/"+namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if failed != nil {
				err = failed
				return
			}
			defer func() { _ = unix.Close(fd) }()
			if err = unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
				return
			}
			conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		}()
		<-done
		return conn, err
	}
}
