// Network namespaces: a node with its pods, gone with the judgement.
package dns

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

var nodes atomic.Int64

// nodeAddress is where pods find their node.
var nodeAddress = netip.MustParseAddr("100.64.0.1")

// node is the network of a cluster.
type node struct {
	namespace string
	pods      []*pod
	servers   []*upstreamServer
	closers   []func()
}

// pod is a network namespace behind a node.
type pod struct {
	namespace string
	address   netip.Addr
}

func makeNode() (*node, error) {
	n := &node{namespace: fmt.Sprintf("dns-%d-%d", os.Getpid(), nodes.Add(1))}
	// What has no address here leads nowhere.
	err := script(fmt.Sprintf(`
		ip netns add %[1]s
		in="ip netns exec %[1]s"
		$in sysctl -qw net.ipv4.ip_forward=1
		$in ip link set lo up
		$in ip addr add %[2]s/32 dev lo
		$in ip route add default dev lo src %[2]s`, n.namespace, nodeAddress))
	if err != nil {
		n.close()
	}
	return n, err
}

// close ends all that runs here.
func (n *node) close() {
	for i := len(n.closers) - 1; i >= 0; i-- {
		n.closers[i]()
	}
	for _, it := range n.pods {
		_ = script("ip netns del " + it.namespace)
	}
	_ = script("ip netns del " + n.namespace)
}

func (n *node) makePod() (*pod, error) {
	number := len(n.pods) + 2
	p := &pod{
		namespace: fmt.Sprintf("%s-%d", n.namespace, number),
		address:   netip.AddrFrom4([4]byte{100, 64, 0, byte(number)}),
	}
	n.pods = append(n.pods, p)
	return p, script(fmt.Sprintf(`
		ip netns add %[1]s
		ip link add pod%[5]d netns %[2]s type veth peer name eth0 netns %[1]s
		ip netns exec %[2]s ip link set pod%[5]d up
		ip netns exec %[2]s ip route add %[3]s/32 dev pod%[5]d src %[4]s
		in="ip netns exec %[1]s"
		$in ip link set lo up
		$in ip addr add %[3]s/32 dev eth0
		$in ip link set eth0 up
		$in ip route add %[4]s dev eth0
		$in ip route add default via %[4]s`, p.namespace, n.namespace, p.address, nodeAddress, number))
}

// own gives a pod one more address, as nodes give one to their DNS cache.
func (n *node) own(p *pod, address netip.Addr) error {
	return script(fmt.Sprintf(`
		ip netns exec %[1]s ip addr replace %[3]s/32 dev lo
		ip netns exec %[2]s ip route replace %[3]s/32 via %[4]s dev pod%[5]d onlink src %[6]s`,
		p.namespace, n.namespace, address, p.address, p.address.As4()[3], nodeAddress))
}

// forward leads a port of a ClusterIP to a pod, as kube-proxy does.
func (n *node) forward(cluster netip.Addr, protocol string, port int, p *pod, target int) error {
	return script(fmt.Sprintf(`
		for chain in PREROUTING OUTPUT; do
			ip netns exec %s iptables -w -t nat -A $chain -d %s/32 -p %s --dport %d -j DNAT --to-destination %s:%d
		done`, n.namespace, cluster, strings.ToLower(protocol), port, p.address, target))
}

// within does something whose sockets and processes belong to a network namespace.
func within(namespace string, do func() error) error {
	done := make(chan error)
	go func() {
		// The thread ends with this goroutine: no other may get one of another namespace.
		runtime.LockOSThread()
		fd, err := unix.Open("/run/netns/"+namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			_ = unix.Close(fd)
		}
		if err == nil {
			err = do()
		}
		done <- err
	}()
	return <-done
}

// listen listens at an address of a namespace.
func listen(namespace string, at string) (l net.Listener, err error) {
	err = within(namespace, func() (err error) {
		l, err = net.Listen("tcp", at)
		return err
	})
	return l, err
}

// dial connects from a namespace.
func dial(namespace, network, to string) (conn net.Conn, err error) {
	err = within(namespace, func() (err error) {
		conn, err = (&net.Dialer{Timeout: patience}).Dial(network, to)
		return err
	})
	return conn, err
}

func script(text string) error {
	out, err := exec.Command("sh", "-ec", text).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
