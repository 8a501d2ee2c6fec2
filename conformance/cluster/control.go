// The control plane of a cluster: its programs, and what it takes to talk to them.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
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
	Number   int    // 1 to 254, one for each cluster of a run
	Programs string // the folder with the programs
	Logs     string // a folder for what they say
	Pods     netip.Prefix
	Services netip.Prefix
	Locality string // region/zone/subzone of its node
	// Balancers are the addresses of a Service of type LoadBalancer; none leaves it pending.
	Balancers func(service *corev1.Service) []corev1.LoadBalancerIngress
	// Workload says how an application container listens, as its variable MESHLATCH_WORKLOAD.
	Workload func(namespace, pod string, labels map[string]string) string
	// Istio is a folder below Programs whose programs of Istio are used rather than those there.
	Istio string
	// Upstream is the DNS server of the world outside.
	Upstream netip.Addr
	// NoNode leaves the cluster without a node, kubelet and kube-proxy: pods are made, and wait.
	NoNode bool
}

// Cluster is a running cluster.
type Cluster struct {
	Spec
	Kubeconfig string
	Client     kubernetes.Interface

	dir     string // its files
	node    *node
	config  *rest.Config
	kubelet *kubelet
	stop    context.CancelFunc
	started []*exec.Cmd
}

const (
	token = "meshlatch"
	// clusters is the folder of all clusters' files, gone with the sandbox.
	clusters = "/run/clusters"
)

// Start starts a cluster and returns when its API server is ready.
func Start(ctx context.Context, spec Spec) (*Cluster, error) {
	c := &Cluster{Spec: spec}
	ctx, c.stop = context.WithCancel(ctx)
	if err := errors.Join(os.MkdirAll(clusters, 0o755), os.MkdirAll(spec.Logs, 0o755)); err != nil {
		return nil, err
	}
	// A new folder each time: clients remember certificates by their paths.
	var err error
	if c.dir, err = os.MkdirTemp(clusters, spec.Name+"-"); err != nil {
		return nil, err
	}
	if err := os.Chmod(c.dir, 0o755); err != nil {
		return nil, err
	}
	if c.node, err = makeNode("node-"+spec.Name, spec.Number, spec.Pods); err != nil {
		return nil, err
	}
	if err := certify(c.dir, c.node.address, spec.Services.Masked().Addr().Next()); err != nil {
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
  cluster: {server: "https://%[2]s:6443", certificate-authority: %[3]s/ca.crt}
users:
- name: admin
  user: {token: %[4]s}
contexts:
- name: %[1]s
  context: {cluster: %[1]s, user: admin}
current-context: %[1]s
`, c.Name, c.node.address, c.dir, token), 0o600))
}

// serve starts what the API server is.
func (c *Cluster) serve() error {
	if err := c.start("etcd", "--data-dir="+c.in("etcd"), "--listen-peer-urls=http://127.0.0.1:2380", "--unsafe-no-fsync",
		"--quota-backend-bytes=1073741824", "--log-level=warn"); err != nil {
		return err
	}
	return c.start("kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", "--advertise-address="+c.node.address.String(),
		"--secure-port=6443", "--service-cluster-ip-range="+c.Services.String(),
		"--client-ca-file="+c.in("ca.crt"), "--tls-cert-file="+c.in("apiserver.crt"), "--tls-private-key-file="+c.in("apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+c.in("sa.key"), "--service-account-signing-key-file="+c.in("sa.key"),
		"--token-auth-file="+c.in("tokens.csv"), "--authorization-mode=RBAC", "--allow-privileged=true")
}

// control starts those who work for the API server; they give up if it is not ready.
func (c *Cluster) control() error {
	// Nobody but us says how the node is: without its controller nothing is evicted while we are busy.
	if err := c.start("kube-controller-manager", "--kubeconfig="+c.Kubeconfig, "--service-account-private-key-file="+c.in("sa.key"),
		"--root-ca-file="+c.in("ca.crt"), "--leader-elect=false", "--controllers=*,-node-lifecycle-controller,-node-ipam-controller",
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

// start starts a program on the node, with its log in the cluster's folder.
func (c *Cluster) start(name string, arguments ...string) error {
	log, err := os.Create(filepath.Join(c.Logs, name+".log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	command := exec.Command("nsenter", append([]string{"--net=/run/netns/" + c.node.namespace, filepath.Join(c.Programs, name)}, arguments...)...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return err
	}
	go func() { _ = command.Wait() }()
	c.started = append(c.started, command)
	return nil
}

func (c *Cluster) ready(ctx context.Context) error {
	return eventually(ctx, 2*time.Minute, func() error {
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

func (c *Cluster) tool(ctx context.Context, input, name string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, name, arguments...)
	if path := filepath.Join(c.Programs, name); exists(path) {
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

// eventually tries until it works, or the time is over; then it says why the last try failed.
func eventually(ctx context.Context, limit time.Duration, try func() error) error {
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
	address := c.Services.Masked().Addr()
	for range 10 {
		address = address.Next()
	}
	return address
}

// Publish makes an address of the cluster known to the world outside.
func (c *Cluster) Publish(address netip.Addr) error { return c.node.publish(address) }

// Withdraw takes a published address back.
func (c *Cluster) Withdraw(address netip.Addr) error { return c.node.withdraw(address) }
