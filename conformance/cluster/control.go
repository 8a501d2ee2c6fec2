// The control plane of a cluster: its programs, and what it takes to talk to them.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Spec is what a cluster is made of.
type Spec struct {
	Name     string
	Number   int            // 1 to 254, one for each cluster of a run
	Programs string         // the folder with the programs
	Logs     string         // a folder for what they say
	Pods     []netip.Prefix // of IPv4; in a cluster of both families, IPv6 behind it
	Services []netip.Prefix // as Pods
	Locality string         // region/zone/subzone of its node
	// Balancers are the addresses of a Service of type LoadBalancer; none leaves it pending.
	Balancers func(service *corev1.Service) []corev1.LoadBalancerIngress
	// Workload says how an application container listens, as its variable MESHLATCH_WORKLOAD.
	Workload func(pod *corev1.Pod) string
	// Istio is a folder below Programs whose programs of Istio are used rather than those there.
	Istio string
	// Upstream is the DNS server of the world outside.
	Upstream netip.Addr
	// NoNode leaves the cluster without a node, kubelet and kube-proxy: pods are made, and wait.
	NoNode bool
	// Without names controllers that do not run: whoever started the cluster does their work.
	Without []string
}

// Cluster is a running cluster.
type Cluster struct {
	Spec
	Kubeconfig string
	Client     kubernetes.Interface

	dir     string // its files
	node    *node  // none where there are no namespaces
	place   place
	config  *rest.Config
	kubelet *kubelet
	stop    context.CancelFunc
	started []*exec.Cmd
}

const token = "meshlatch"

// place is where the control plane listens.
type place struct {
	address                         netip.Addr
	etcd, peers, server, controller int
}

// onLoopback finds free ports for a control plane without a namespace of its own.
func onLoopback() (place, error) {
	p := place{address: netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	for _, port := range []*int{&p.etcd, &p.peers, &p.server, &p.controller} {
		// All stay open until the last is known: no two are the same.
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return p, err
		}
		defer func() { _ = listener.Close() }()
		*port = listener.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}

// Start starts a cluster and returns when its API server is ready. Outside of a sandbox it can be one
// without a node only.
func Start(ctx context.Context, spec Spec) (*Cluster, error) {
	c := &Cluster{Spec: spec}
	ctx, c.stop = context.WithCancel(ctx)
	if err := os.MkdirAll(spec.Logs, 0o755); err != nil {
		return nil, err
	}
	// A new folder each time: clients remember certificates by their paths. In a sandbox it goes with it.
	var err error
	if c.dir, err = os.MkdirTemp("", "cluster-"+spec.Name+"-"); err != nil {
		return nil, err
	}
	if err := os.Chmod(c.dir, 0o755); err != nil {
		return nil, err
	}
	if Sandboxed() {
		if c.node, err = makeNode("node-"+spec.Name, spec.Number, spec.Pods); err != nil {
			return nil, err
		}
		c.place = place{c.node.address(), 2379, 2380, 6443, 10257}
	} else if c.place, err = onLoopback(); err != nil {
		return nil, err
	}
	if err := certify(c.dir, c.place.address, c.apiServer()); err != nil {
		return nil, err
	}
	if err := c.credentials(); err != nil {
		return nil, err
	}
	if err := c.serve(); err != nil {
		return nil, err
	}
	if c.config, err = clientcmd.BuildConfigFromFlags("", c.Kubeconfig); err != nil {
		return nil, err
	}
	c.config.QPS, c.config.Burst = 200, 400
	if c.Client, err = kubernetes.NewForConfig(c.config); err != nil {
		return nil, err
	}
	if err := c.ready(ctx); err != nil {
		return nil, fmt.Errorf("%s: kube-apiserver does not become ready: %w", spec.Name, err)
	}
	if err := c.control(); err != nil {
		return nil, err
	}
	if spec.NoNode {
		return c, nil
	}
	return c, c.join(ctx)
}

// credentials writes the token of the one user there is, and a kubeconfig with it.
func (c *Cluster) credentials() error {
	c.Kubeconfig = filepath.Join(c.dir, "kubeconfig")
	return errors.Join(
		os.WriteFile(filepath.Join(c.dir, "tokens.csv"), []byte(token+`,admin,admin,"system:masters"`+"\n"), 0o600),
		os.WriteFile(c.Kubeconfig, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster: {server: "https://%[2]s:%[5]d", certificate-authority: %[3]s/ca.crt}
users:
- name: admin
  user: {token: %[4]s}
contexts:
- name: %[1]s
  context: {cluster: %[1]s, user: admin}
current-context: %[1]s
`, c.Name, c.place.address, c.dir, token, c.place.server), 0o600))
}

// serve starts what the API server is.
func (c *Cluster) serve() error {
	etcd := fmt.Sprintf("http://127.0.0.1:%d", c.place.etcd)
	if err := c.start("etcd", "--data-dir="+c.in("etcd"), "--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
		fmt.Sprintf("--listen-peer-urls=http://127.0.0.1:%d", c.place.peers), "--unsafe-no-fsync",
		"--quota-backend-bytes=1073741824", "--log-level=warn"); err != nil {
		return err
	}
	arguments := []string{"--etcd-servers=" + etcd, "--bind-address=" + c.place.address.String(), fmt.Sprintf("--secure-port=%d", c.place.server),
		"--service-cluster-ip-range=" + join(c.Services),
		"--client-ca-file=" + c.in("ca.crt"), "--tls-cert-file=" + c.in("apiserver.crt"), "--tls-private-key-file=" + c.in("apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.in("sa.key"), "--service-account-signing-key-file=" + c.in("sa.key"),
		"--token-auth-file=" + c.in("tokens.csv"), "--authorization-mode=RBAC", "--allow-privileged=true"}
	if c.node == nil {
		// Nobody is told an address, which must not be one of loopback.
		arguments = append(arguments, "--endpoint-reconciler-type=none", "--advertise-address=192.0.2.1")
	}
	return c.start("kube-apiserver", arguments...)
}

// control starts those who work for the API server; they give up if it is not ready.
func (c *Cluster) control() error {
	// Nobody but us says how the node is: without its controller nothing is evicted while we are busy.
	controllers := []string{"*", "-node-lifecycle-controller", "-node-ipam-controller"}
	for _, it := range c.Without {
		controllers = append(controllers, "-"+it)
	}
	if err := c.start("kube-controller-manager", "--kubeconfig="+c.Kubeconfig, "--service-account-private-key-file="+c.in("sa.key"),
		"--root-ca-file="+c.in("ca.crt"), "--leader-elect=false", fmt.Sprintf("--secure-port=%d", c.place.controller),
		"--service-cluster-ip-range="+join(c.Services), "--controllers="+strings.Join(controllers, ","),
		"--kube-api-qps=200", "--kube-api-burst=400"); err != nil {
		return err
	}
	if c.NoNode {
		return nil
	}
	return c.start("kube-proxy", "--kubeconfig="+c.Kubeconfig, "--hostname-override="+c.node.namespace, "--proxy-mode=iptables",
		"--iptables-min-sync-period=200ms", "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s",
		"--conntrack-tcp-timeout-close-wait=0s")
}

// in is the path of one of the cluster's files.
func (c *Cluster) in(name string) string { return filepath.Join(c.dir, name) }

// start starts a program on the node, if there is one, with its log in the cluster's folder. It ends with us.
func (c *Cluster) start(name string, arguments ...string) error {
	log, err := os.Create(filepath.Join(c.Logs, name+".log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	command := exec.Command(filepath.Join(c.Programs, name), arguments...)
	if c.node != nil {
		command = exec.Command("nsenter", append([]string{"--net=/run/netns/" + c.node.namespace, command.Path}, arguments...)...)
	}
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The signal comes when the thread ends that started the program: this one stays as long as the program.
		runtime.LockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	c.started = append(c.started, command)
	return nil
}

func (c *Cluster) ready(ctx context.Context) error {
	return Eventually(ctx, 2*time.Minute, func() error {
		answer, err := c.Client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		if err == nil && string(answer) != "ok" {
			err = errors.New(string(answer))
		}
		return err
	})
}

// Stop ends everything that the cluster runs.
func (c *Cluster) Stop() {
	if c.kubelet != nil {
		c.kubelet.end()
	}
	c.stop()
	for _, it := range c.started {
		_ = syscall.Kill(-it.Process.Pid, syscall.SIGKILL)
	}
	_ = os.RemoveAll(c.dir)
	if c.node == nil {
		return
	}
	_ = run("ip", "netns", "del", c.node.namespace)
	_ = run("ip", "link", "del", fmt.Sprintf("up%d", c.Number))
}

// Kubectl runs kubectl in the cluster and returns what it prints, errors and warnings too.
func (c *Cluster) Kubectl(ctx context.Context, input string, arguments ...string) (string, error) {
	return c.tool(ctx, input, "kubectl", arguments...)
}

// Istioctl runs istioctl in the cluster.
func (c *Cluster) Istioctl(ctx context.Context, arguments ...string) (string, error) {
	return c.tool(ctx, "", "istioctl", arguments...)
}

// Helm runs helm in the cluster.
func (c *Cluster) Helm(ctx context.Context, arguments ...string) (string, error) {
	return c.tool(ctx, "", "helm", arguments...)
}

func (c *Cluster) tool(ctx context.Context, input, name string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, name, arguments...)
	if path := c.program(name); exists(path) {
		command = exec.CommandContext(ctx, path, arguments...)
	}
	command.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "HOME="+c.dir)
	command.Stdin = strings.NewReader(input)
	out, err := command.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(arguments, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Eventually tries until it works, or the time is over; then it says why the last try failed.
func Eventually(ctx context.Context, limit time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// DNS is the address of the cluster's DNS Service: the tenth of its range.
func (c *Cluster) DNS() netip.Addr {
	address := c.Services[0].Masked().Addr()
	for range 10 {
		address = address.Next()
	}
	return address
}

// apiServer is the address at which pods know the API server: the first of its range.
func (c *Cluster) apiServer() netip.Addr { return c.Services[0].Masked().Addr().Next() }

// join writes ranges or addresses as programs of Kubernetes take them.
func join[T fmt.Stringer](list []T) string {
	var words []string
	for _, it := range list {
		words = append(words, it.String())
	}
	return strings.Join(words, ",")
}

// Publish makes an address of the cluster known to the world outside.
func (c *Cluster) Publish(address netip.Addr) error { return c.node.publish(address) }

// Withdraw takes a published address back.
func (c *Cluster) Withdraw(address netip.Addr) error { return c.node.withdraw(address) }
