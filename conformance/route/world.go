// Package route runs the clusters of a case for real and makes its calls.
package route

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"meshlatch/conformance/cluster"
	"meshlatch/conformance/report"
	"meshlatch/conformance/topology"
)

// Settings is what a run is told.
type Settings struct {
	Programs  string // the folder with the real programs
	Meshlatch string // the program under test
	Logs      string
}

// clearLogs makes the folder of the logs an empty one.
func (s Settings) clearLogs() error {
	return errors.Join(os.RemoveAll(s.Logs), os.MkdirAll(s.Logs, 0o755))
}

// World is the running clusters of a case, and what is between them.
type World struct {
	Settings
	Case     *report.Case
	Dir      string // topology.yaml and out/
	Topology *topology.Topology
	Clusters map[string]*cluster.Cluster
	Outside  *outside

	later     []*topology.Topology // others whose pods will run
	installed map[string]bool      // clusters that have Istio and a bundle
}

// Open starts the clusters of a case and does what their runbooks say, up to running applications.
func Open(ctx context.Context, settings Settings, c *report.Case, dir string) (*World, error) {
	return openWith(ctx, settings, c, dir, nil)
}

// openWith also knows the pods of other topologies. A cluster that has no bundle yet gets no Istio.
func openWith(ctx context.Context, settings Settings, c *report.Case, dir string, later []*topology.Topology) (*World, error) {
	t, err := topology.Read(filepath.Join(dir, "topology.yaml"))
	if err != nil {
		return nil, err
	}
	w := &World{Settings: settings, Case: c, Dir: dir, Topology: t, Clusters: map[string]*cluster.Cluster{},
		later: later, installed: map[string]bool{}}
	if err := cluster.Outside(); err != nil {
		return nil, err
	}
	if w.Outside, err = openOutside(w); err != nil {
		return nil, err
	}
	names := topology.Keys(t.Clusters)
	made := make([]*cluster.Cluster, len(names))
	var all errgroup.Group
	for i, name := range names {
		all.Go(func() error {
			it, err := w.startCluster(ctx, name, i+1)
			made[i] = it
			return err
		})
	}
	err = all.Wait()
	for i, name := range names {
		if made[i] != nil {
			w.Clusters[name] = made[i]
		}
	}
	if err != nil {
		return w, err
	}
	c.Progress("%d clusters run", len(names))
	if err := w.trust(); err != nil {
		return w, err
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, "out", name))
		return err != nil
	})
	for _, name := range names {
		w.installed[name] = true
		all.Go(func() error { return w.install(ctx, name) })
	}
	if err := all.Wait(); err != nil {
		return w, err
	}
	for _, name := range names {
		all.Go(func() error { return w.Clusters[name].Available(ctx, 5*time.Minute) })
	}
	return w, all.Wait()
}

// Close ends the clusters.
func (w *World) Close() {
	for _, it := range w.Clusters {
		it.Stop()
	}
	w.Outside.close()
}

// ranges are the same in all clusters unless the topology gives them, or a Service's address that must be
// in one: addresses of pods mean nothing outside of their cluster.
func (w *World) ranges(c *topology.Cluster) (pods, services []netip.Prefix) {
	first := func(list topology.Names, otherwise string) netip.Prefix {
		prefix := netip.MustParsePrefix(otherwise)
		for _, it := range list {
			if p, err := netip.ParsePrefix(it); err == nil && p.Addr().Is4() == prefix.Addr().Is4() {
				return p
			}
		}
		return prefix
	}
	pods = []netip.Prefix{first(c.Ranges.Pods, "10.244.0.0/16")}
	usual := "10.96.0.0/16"
	if server := c.Server(); server.Is4() {
		usual = netip.PrefixFrom(server, 16).Masked().String()
	}
	services = []netip.Prefix{first(c.Ranges.Services, usual)}
	if w.Outside.both() {
		pods = append(pods, first(c.Ranges.Pods, "fd00:244::/64"))
		services = append(services, first(c.Ranges.Services, "fd00:96::/112"))
	}
	return pods, services
}

func (w *World) startCluster(ctx context.Context, name string, number int) (*cluster.Cluster, error) {
	it := w.Topology.Clusters[name]
	pods, services := w.ranges(it)
	c, err := cluster.Start(ctx, cluster.Spec{
		Name: name, Number: number, Programs: w.Programs, Istio: w.line(it.Istio), Logs: filepath.Join(w.Logs, name),
		Pods: pods, Services: services, Locality: it.Locality, Upstream: w.Outside.dns,
		Balancers: func(s *corev1.Service) []corev1.LoadBalancerIngress { return w.balancers(name, s) },
		Workload:  func(pod *corev1.Pod) string { return w.workload(name, pod) },
	})
	if err != nil {
		return c, fmt.Errorf("%s: %w", name, err)
	}
	for _, address := range w.Outside.addressesOf(name) {
		if err := c.Publish(address); err != nil {
			return c, err
		}
	}
	return c, c.InstallDNS(ctx)
}

// balancers gives the east-west gateway the addresses that the topology says it has, and another
// Service one of its own.
func (w *World) balancers(name string, s *corev1.Service) []corev1.LoadBalancerIngress {
	if !w.crosses(name, s) {
		return []corev1.LoadBalancerIngress{{IP: w.Outside.ingress(name).String()}}
	}
	var list []corev1.LoadBalancerIngress
	for _, it := range w.Outside.gateway(name) {
		one := corev1.LoadBalancerIngress{IP: it.address.String()}
		if it.name != "" {
			one.Hostname = it.name
		}
		list = append(list, one)
	}
	return list
}

// crosses says whether a Service is that of the east-west gateway.
func (w *World) crosses(name string, s *corev1.Service) bool {
	return slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool {
		return p.Name == "tls" && p.Port == int32(w.Topology.Clusters[name].Gateway.Port) || p.Port == 15443
	})
}

// workload says what an application's container listens on: the ports of the services that it is.
func (w *World) workload(name string, pod *corev1.Pod) string {
	type listen struct {
		Port     int    `json:"port"`
		Protocol string `json:"protocol"`
	}
	it := struct {
		Cluster string   `json:"cluster"`
		Service string   `json:"service"`
		Pod     string   `json:"pod"`
		Listen  []listen `json:"listen"`
	}{Cluster: name, Pod: pod.Name}
	for _, t := range append([]*topology.Topology{w.Topology}, w.later...) {
		for _, key := range topology.Keys(t.Services) {
			s := t.Services[key]
			if s.Namespace != pod.Namespace || !covers(s.Selector, pod.Labels) {
				continue
			}
			it.Service = key
			for i, port := range topology.Keys(s.Ports) {
				number := targetOf(s, s.Ports[port], i)
				if !slices.ContainsFunc(it.Listen, func(l listen) bool { return l.Port == number }) {
					it.Listen = append(it.Listen, listen{number, topology.ProtocolOf(port, s.Ports[port])})
				}
			}
		}
	}
	text, err := json.Marshal(it)
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(text)
}

// covers says whether a selector, which is never empty, selects something with these labels.
func covers(selector, of map[string]string) bool {
	return len(selector) > 0 && labels.SelectorFromSet(selector).Matches(labels.Set(of))
}

// trust has meshlatch make the certificates of all clusters.
func (w *World) trust() error {
	if err := os.RemoveAll(authority); err != nil {
		return err
	}
	out, err := exec.Command(w.Meshlatch, "certs", filepath.Join(w.Dir, "topology.yaml"), "--to", authority).CombinedOutput()
	if err != nil {
		return fmt.Errorf("meshlatch certs: %w: %s", err, out)
	}
	return nil
}

// authority is the folder of the certificates, gone with the sandbox.
const authority = "/run/certificates"

// install does what the runbook of a cluster says.
func (w *World) install(ctx context.Context, name string) error {
	c := w.Clusters[name]
	folder := filepath.Join(w.Dir, "out", name)
	if _, err := c.Kubectl(ctx, "", "apply", "-f", filepath.Join(folder, "00-namespaces")); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(authority, "certs", name, "*"))
	if err != nil {
		return err
	}
	secret := []string{"create", "secret", "generic", "cacerts", "-n", "istio-system"}
	for _, it := range files {
		secret = append(secret, "--from-file="+it)
	}
	if _, err := c.Kubectl(ctx, "", secret...); err != nil {
		return err
	}
	if err := w.installIstio(ctx, name, folder); err != nil {
		return err
	}
	w.Case.Progress("%s: Istio is installed", name)
	if _, err := c.Kubectl(ctx, identityLog, "apply", "-f", "-"); err != nil {
		return err
	}
	if objects := w.elsewhere(name, folder); objects != "" {
		if _, err := c.Kubectl(ctx, objects, "apply", "-f", "-"); err != nil {
			return err
		}
	}
	_, err = c.Kubectl(ctx, "", "apply", "-k", folder)
	w.Case.Progress("%s: the bundle is applied", name)
	return err
}

// elsewhere is the objects that the topology says come from elsewhere: pods, and Services where the
// bundle has none.
func (w *World) elsewhere(name, folder string) string {
	var text strings.Builder
	for _, key := range topology.Keys(w.Topology.Services) {
		s := w.Topology.Services[key]
		if s.HasWorkload || !slices.Contains(w.Topology.Hosted(s), name) {
			continue
		}
		text.WriteString(deploymentOf(s))
		if s.Elsewhere && len(s.Ports) > 0 {
			text.WriteString(serviceOf(s))
		}
	}
	text.WriteString(w.foreignGateway(name, folder))
	return text.String()
}
