// The network: clusters that cannot see one another, but for the addresses of their gateways.
package cluster

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"

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
	address   netip.Addr // on the link to the outside
	outside   netip.Addr // the other end of it
	pods      netip.Prefix
	next      netip.Addr
}

// makeNode makes the namespace of the cluster with this number.
func makeNode(name string, number int, pods netip.Prefix) (*node, error) {
	n := &node{
		namespace: name,
		address:   netip.AddrFrom4([4]byte{198, 18, byte(number), 2}),
		outside:   netip.AddrFrom4([4]byte{198, 18, byte(number), 1}),
		pods:      pods,
		next:      pods.Masked().Addr().Next(),
	}
	// Pods reach what is outside under the node's address: ranges of pods may be the same everywhere.
	return n, script(fmt.Sprintf(`
		ip netns add %[1]s
		ip link add up%[4]d type veth peer name out netns %[1]s
		ip addr add %[3]s/30 dev up%[4]d
		ip link set up%[4]d up
		in="ip netns exec %[1]s"
		$in ip link set lo up
		$in ip addr add %[2]s/30 dev out
		$in ip link set out up
		$in ip route add default via %[3]s
		$in sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
		$in iptables -t nat -A POSTROUTING -o out ! -s %[2]s -j MASQUERADE`,
		n.namespace, n.address, n.outside, number))
}

// publish makes an address of the node's known outside, and lets everybody in there.
func (n *node) publish(address netip.Addr) error {
	return script(fmt.Sprintf(`
		ip route replace %[1]s/32 via %[2]s
		iptables -C FORWARD -d %[1]s -j ACCEPT 2>/dev/null || iptables -A FORWARD -d %[1]s -j ACCEPT
		ip netns exec %[3]s ip addr replace %[1]s/32 dev lo`, address, n.address, n.namespace))
}

// withdraw takes an address back.
func (n *node) withdraw(address netip.Addr) error {
	return script(fmt.Sprintf(`
		ip route del %[1]s/32
		iptables -D FORWARD -d %[1]s -j ACCEPT
		ip netns exec %[2]s ip addr del %[1]s/32 dev lo`, address, n.namespace))
}

// wire makes a pod's namespace, and gives it an address on the node.
func (n *node) wire(namespace, device string) (netip.Addr, error) {
	n.next = n.next.Next()
	address := n.next
	return address, script(fmt.Sprintf(`
		ip netns add %[1]s
		ip link add %[2]s netns %[3]s type veth peer name eth0 netns %[1]s
		node="ip netns exec %[3]s"
		$node ip addr add 169.254.1.1/32 dev %[2]s
		$node ip link set %[2]s up
		$node ip route add %[4]s/32 dev %[2]s
		in="ip netns exec %[1]s"
		$in sysctl -qw net.ipv4.ip_unprivileged_port_start=0
		$in ip link set lo up
		$in ip addr add %[4]s/32 dev eth0
		$in ip link set eth0 up
		$in ip route add 169.254.1.1 dev eth0
		$in ip route add default via 169.254.1.1`, namespace, device, n.namespace, address))
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
