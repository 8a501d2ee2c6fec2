// Images: what stands for each on this machine.
package cluster

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// image is the programs and the files of a container image.
type image struct {
	entry    []string
	programs []string          // in /usr/local/bin
	files    map[string]string // where a file of the programs' folder is
	user     int
	workload bool // one of ours, in place of an application
}

// imageOf finds an image by its name, without registry and tag. What we do not know is an application:
// the test workload stands for it.
func imageOf(reference string) image {
	name := reference[strings.LastIndex(reference, "/")+1:]
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, ":")
	switch name {
	case "proxyv2":
		return image{
			entry: []string{"pilot-agent"}, programs: []string{"pilot-agent", "envoy"}, user: 1337,
			files: map[string]string{"envoy_bootstrap_tmpl.json": "/var/lib/istio/envoy/envoy_bootstrap_tmpl.json"},
		}
	case "pilot":
		return image{entry: []string{"pilot-discovery"}, programs: []string{"pilot-discovery"}, user: 1337}
	case "coredns":
		return image{entry: []string{"coredns"}, programs: []string{"coredns"}}
	}
	return image{entry: []string{"workload", "serve"}, programs: []string{"workload"}, user: 1000, workload: true}
}

// program is the path of a program, which an older Istio beside a newer one may bring itself.
func (c *Cluster) program(name string) string {
	if c.Istio != "" {
		if own := filepath.Join(c.Programs, c.Istio, name); exists(own) {
			return own
		}
	}
	return filepath.Join(c.Programs, name)
}

// etc is the files of /etc that every container finds.
func etc(addresses []netip.Addr, host, resolv string) map[string]string {
	hosts := "127.0.0.1 localhost\n::1 localhost\n"
	for _, it := range addresses {
		hosts += it.String() + " " + host + "\n"
	}
	return map[string]string{
		"/etc/resolv.conf":   resolv,
		"/etc/hosts":         hosts,
		"/etc/nsswitch.conf": "hosts: files dns\n",
		"/etc/passwd":        "root:x:0:0::/root:/bin/sh\nistio-proxy:x:1337:1337::/home:/bin/sh\n",
		"/etc/group":         "root:x:0:\nistio-proxy:x:1337:\n",
	}
}

// machineFiles are parts of this machine's /etc that its programs need: which iptables is meant, roots.
func machineFiles() []bind {
	var binds []bind
	for _, path := range []string{"/etc/alternatives", "/etc/ssl", "/etc/ld.so.cache", "/etc/protocols", "/etc/services"} {
		if _, err := os.Stat(path); err == nil {
			binds = append(binds, bind{path, path})
		}
	}
	return binds
}
