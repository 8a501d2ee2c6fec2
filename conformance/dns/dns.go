// Package dns asks real DNS servers for the names that bundles promise.
//
// CoreDNS starts with every Corefile that a bundle has, or that its script makes of a provider's, and is asked over
// UDP and TCP: promised names have the addresses of the ServiceEntries and nothing else, other names of the suffix do
// not exist, all further names are answered by whom they were answered before.
//
// A cluster is a network namespace with one more for each pod, so that nothing of a Corefile must be changed:
// addresses, ports, files, arguments, users and probes are those that are written. The one form that is not run is
// `proxy` of CoreDNS before 1.4. Made up are:
//   - what a provider has where the topology does not say it: `live.go`;
//   - the API server, whose one Service is `kubernetes`: `api.go`;
//   - the servers to which a Corefile forwards, and that of /etc/resolv.conf: `upstream.go`;
//   - istiocoredns: its Corefile and its plugin, whose program is not to be had: `istiocoredns.go`;
//   - kube-dns, which is not to be had either: its rules read the ConfigMap, and the servers named there are asked
//     without it: `kubedns.go`;
//   - the operator of OpenShift, which makes a Corefile of the object `DNS`: `openshift.go`.
package dns

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"meshlatch/conformance/topology"

	"sigs.k8s.io/yaml"
)

// Judge judges one case, a folder with topology.yaml and out/, with the program `coredns` of a folder. It makes
// network namespaces, which are gone when it returns; it needs root, iptables, jq and util-linux.
func Judge(programs string, dir string, judge func(what string, err error), skip func(what, why string)) {
	t, err := topology.Read(filepath.Join(dir, "topology.yaml"))
	if err != nil {
		judge("dns: reads the topology", err)
		return
	}
	text, err := os.ReadFile(filepath.Join(dir, "topology.yaml"))
	if err != nil {
		judge("dns: reads the topology", err)
		return
	}
	for _, name := range topology.Keys(t.Clusters) {
		c := &cluster{
			program: filepath.Join(programs, "coredns"), written: string(text),
			judge: func(what string, err error) { judge("dns: "+name+": "+what, err) },
			skip:  func(what, why string) { skip("dns: "+name+": "+what, why) },
		}
		err := c.open(filepath.Join(dir, "out", name), t.Mesh.Suffix, t.Clusters[name].DNS)
		if errors.Is(err, fs.ErrNotExist) && strings.Contains(c.written, "pending") {
			c.skip("its DNS", "the cluster has no bundle while a gateway is pending")
		} else if err != nil {
			c.judge("opens", err)
		} else if c.stub != nil {
			c.run()
		}
	}
}

// cluster is one cluster of a case.
type cluster struct {
	*bundle
	program string // CoreDNS
	written string // the topology
	judge   func(what string, err error)
	skip    func(what, why string)
	node    *node
}

// open reads the bundle; there is a stub where the cluster's DNS is to learn the suffix.
func (c *cluster) open(folder, suffix string, written any) (err error) {
	if c.bundle, err = read(folder, suffix); err != nil {
		return err
	}
	if c.stub == nil {
		if written != nil && len(c.promised) > 0 {
			return fmt.Errorf("promises %d names, and has nothing for the DNS that the topology describes", len(c.promised))
		}
		return nil
	}
	var declared struct {
		Provider string `json:"provider"`
		Version  string `json:"version"`
	}
	text, err := yaml.Marshal(written)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, &declared); err != nil {
		return err
	}
	c.stub.provider, c.stub.version = declared.Provider, declared.Version
	if len(c.promised) == 0 {
		return fmt.Errorf("leads names of %s to a server, and promises none", suffix)
	}
	return nil
}

// run starts what answers, and asks it.
func (c *cluster) run() {
	node, err := makeNode()
	if err != nil {
		c.judge("has a network", err)
		return
	}
	c.node = node
	defer node.close()
	if err := node.upstream(upstreamAddress); err != nil {
		c.judge("has an upstream", err)
		return
	}
	if c.server != nil {
		c.judge("its own server runs as its Deployment and Service say", c.runOwnServer())
	} else {
		c.judge("istiocoredns runs at its pinned address", c.runIstiocoredns())
	}
	if object, err := c.stub.object(); err != nil {
		c.judge("the entry is merged into the cluster's DNS", err)
	} else if c.stub.provider == "kube-dns" {
		c.judgeKubeDNS(object)
	} else {
		c.judgeCoreDNS(object)
	}
	for _, name := range node.asked() {
		if below(name, c.suffix) {
			c.judge("no other server is asked for names of "+c.suffix, fmt.Errorf("%s was asked for", name))
			return
		}
	}
	c.judge("no other server is asked for names of "+c.suffix, nil)
}

// judgeServer judges one that answers for the suffix: the cluster's DNS, or the server to which it leads.
func (c *cluster) judgeServer(who string, at netip.AddrPort) {
	if c.server == nil {
		c.skip(who+": other types and letters of names that there are", "istiocoredns says that the name does not exist; for AAAA the runbook tells it")
	}
	for _, transport := range []string{"udp", "tcp"} {
		ask := func(name string, kind uint16, want answer) {
			what := fmt.Sprintf("%s: %s %s over %s", who, name, kindName(kind), transport)
			c.judge(what, c.node.expect(transport, at, name, kind, want))
		}
		for _, name := range topology.Keys(c.promised) {
			var four, six []netip.Addr
			for _, it := range c.promised[name] {
				if it.Is4() {
					four = append(four, it)
				} else {
					six = append(six, it)
				}
			}
			ask(name, a, answer{noError, four})
			if c.server != nil {
				ask(name, aaaa, answer{noError, six})
				ask(name, https, answer{noError, nil})
				ask(strings.ToUpper(name), a, answer{noError, four})
			}
		}
		known := topology.Keys(c.promised)[0]
		for _, name := range []string{"no-such-service.default." + c.suffix, "below." + known} {
			ask(name, a, answer{noSuchName, nil})
			ask(name, aaaa, answer{noSuchName, nil})
		}
	}
}

// judgeOthers judges that a name is answered by one of these servers, each of which answers with its own address.
func (c *cluster) judgeOthers(who string, at netip.AddrPort, name string, servers []netip.Addr) {
	for _, transport := range []string{"udp", "tcp"} {
		got, err := c.node.ask(transport, at, name, a)
		if err == nil && (got.code != noError || len(got.addresses) != 1 || !slices.Contains(servers, got.addresses[0])) {
			err = fmt.Errorf("got %s, want the answer of %s", got, join(servers))
		}
		c.judge(fmt.Sprintf("%s: %s is answered by %s over %s", who, name, join(servers), transport), err)
	}
}

// below says whether a name is the suffix or below it.
func below(name, suffix string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name == suffix || strings.HasSuffix(name, "."+suffix)
}
