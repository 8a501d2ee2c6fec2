// The cluster's own DNS, if it is CoreDNS.
package dns

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

const customFolder = "/etc/coredns/custom/"

// filesOf are the files of the cluster's CoreDNS.
func filesOf(provider string, o object) map[string]string {
	switch provider {
	case "aks":
		files := map[string]string{"/etc/coredns/Corefile": aksCorefile}
		for key, text := range data(o) {
			files[customFolder+key] = text
		}
		return files
	case "openshift":
		return map[string]string{"/etc/coredns/Corefile": corefileOfOperator(o)}
	default:
		return map[string]string{"/etc/coredns/Corefile": data(o)["Corefile"]}
	}
}

// whole is a Corefile with what it imports.
func whole(files map[string]string) string {
	text := files["/etc/coredns/Corefile"]
	for path, it := range files {
		if strings.HasSuffix(path, ".override") {
			text = strings.Replace(text, "import custom/*.override", it+"\nimport custom/*.override", 1)
		} else if strings.HasSuffix(path, ".server") {
			text += it
		}
	}
	return text
}

var unknownDirective = regexp.MustCompile(`Unknown directive '([^']*)'`)

func (c *cluster) judgeCoreDNS(o object) {
	files := filesOf(c.stub.provider, o)
	blocks := blocksOf(whole(files))
	ours := slices.IndexFunc(blocks, func(it block) bool { return slices.Contains(it.zones, c.suffix) })
	if ours < 0 {
		c.judge("CoreDNS starts", fmt.Errorf("no server block for %s", c.suffix))
		return
	}
	if blocks[ours].proxy {
		c.skip("CoreDNS starts", "the plugin `proxy` is of CoreDNS before 1.4; the server behind it is asked itself")
		for _, target := range blocks[ours].targets() {
			c.judgeServer("the server of "+c.suffix, target)
		}
		return
	}
	pod, process, err := c.startCoreDNS(files, blocks)
	if err != nil {
		if word := unknownDirective.FindStringSubmatch(err.Error()); word != nil && strings.Contains(c.written, word[1]) {
			c.skip("CoreDNS starts", fmt.Sprintf("the plugin %s of the declared Corefile is its provider's own", word[1]))
			return
		}
	}
	c.judge("CoreDNS starts", err)
	if err != nil {
		return
	}
	for i, it := range blocks {
		for _, address := range listening(it, pod) {
			at := netip.AddrPortFrom(address, it.port)
			who := "CoreDNS"
			if len(it.binds) > 1 {
				who += " at " + address.String()
			}
			if i == ours {
				c.judgeServer(who, at)
				continue
			}
			if it.kubernetes != "" {
				c.judgeOthers(who, at, "kubernetes.default.svc."+it.kubernetes, []netip.Addr{apiAddress})
			}
			for _, zone := range it.zones {
				name := "www." + zone
				if zone == "" {
					name = "www.example.org"
				}
				if targets := it.targets(); len(targets) > 0 {
					c.judgeOthers(who, at, name, addressesOf(targets))
				}
			}
		}
	}
	c.judge("CoreDNS runs on", process.runs())
}

// startCoreDNS starts it, with those around to whom its blocks forward.
func (c *cluster) startCoreDNS(files map[string]string, blocks []block) (*pod, *process, error) {
	pod, err := c.node.makePod()
	if err != nil {
		return nil, nil, err
	}
	for _, it := range blocks {
		for _, target := range it.targets() {
			if target.Addr() == c.serverAddress() {
				continue
			}
			if err := c.node.upstream(target); err != nil {
				return nil, nil, err
			}
		}
		for _, address := range it.binds {
			if err := c.node.own(pod, address); err != nil {
				return nil, nil, err
			}
		}
	}
	account, err := c.node.api()
	if err != nil {
		return nil, nil, err
	}
	for name, text := range account {
		files[serviceAccountFolder+"/"+name] = text
	}
	process, err := c.node.start(pod, container{
		program: c.program, arguments: []string{"-conf", "/etc/coredns/Corefile"}, files: files,
		variables: []string{"KUBERNETES_SERVICE_HOST=" + apiAddress.String(), "KUBERNETES_SERVICE_PORT=443"},
	})
	return pod, process, err
}

// listening are the addresses of a block.
func listening(it block, p *pod) []netip.Addr {
	if len(it.binds) > 0 {
		return it.binds
	}
	return []netip.Addr{p.address}
}
