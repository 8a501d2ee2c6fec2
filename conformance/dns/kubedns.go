// kube-dns: its ConfigMap, by its own rules.
//
// They are those of pkg/dns/config in github.com/kubernetes/dns, as that folder says them, with the functions of
// Kubernetes that it calls: the program itself is not to be had. The Go proxy refuses k8s.io/dns (its list, its latest,
// v0.0.0-20240509164341-b0ef0c1c1ab7, 1.22.23) and github.com/kubernetes/dns; Debian has no package of it; stub domains
// were written there when it had left k8s.io/kubernetes.
package dns

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (c *cluster) judgeKubeDNS(o object) {
	domains, err := kubeDNS(data(o))
	c.judge("kube-dns takes its ConfigMap", err)
	if err != nil {
		return
	}
	servers := domains[c.suffix]
	if len(servers) == 0 {
		c.judge("kube-dns has the stub domain", fmt.Errorf("no server for %s", c.suffix))
		return
	}
	for _, word := range servers {
		at, err := nameserver(word)
		if err != nil {
			c.judge("kube-dns has the stub domain", err)
			continue
		}
		c.judgeServer("the server of kube-dns's stub domain", at)
	}
	if c.stub.script == "" {
		return
	}
	before, _ := kubeDNS(data(live(c.stub.provider, c.stub.version)))
	for domain := range before {
		var err error
		if fmt.Sprint(domains[domain]) != fmt.Sprint(before[domain]) {
			err = fmt.Errorf("it leads to %v, and led to %v", domains[domain], before[domain])
		}
		c.judge("kube-dns keeps the stub domain "+domain, err)
	}
}

// kubeDNS reads the ConfigMap, and returns its stub domains.
func kubeDNS(texts map[string]string) (map[string][]string, error) {
	domains, upstream := map[string][]string{}, []string{}
	for key, text := range texts {
		var err error
		switch key {
		case "stubDomains":
			err = json.Unmarshal([]byte(text), &domains)
		case "upstreamNameservers":
			err = json.Unmarshal([]byte(text), &upstream)
		default:
			err = errors.New("kube-dns does not know this key")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	for domain, servers := range domains {
		if wrong := validation.IsDNS1123Subdomain(domain); len(wrong) > 0 {
			return nil, fmt.Errorf("the domain %q: %v", domain, wrong)
		}
		for _, it := range servers {
			if err := stubServer(it); err != nil {
				return nil, err
			}
		}
	}
	if len(upstream) > 3 {
		return nil, errors.New("more than three upstreamNameservers")
	}
	for _, it := range upstream {
		if err := upstreamServerOf(it); err != nil {
			return nil, err
		}
	}
	return domains, nil
}

// stubServer judges a server of a stub domain: an IP address, with or without a port. kube-dns would look names up, too;
// NodeLocal DNSCache, which reads the same ConfigMap, would not.
func stubServer(it string) error {
	host, port, split := net.SplitHostPort(it)
	if split != nil {
		host, port = it, "53"
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("the server %q has no port %q", it, port)
	}
	if wrong := validation.IsValidIP(field.NewPath("stubDomains"), host); len(wrong) > 0 {
		return fmt.Errorf("the server %q: %w", it, wrong.ToAggregate())
	}
	return nil
}

// upstreamServerOf judges a server of upstreamNameservers: as above, and no port 0.
func upstreamServerOf(it string) error {
	if _, err := netip.ParseAddr(it); err == nil {
		return nil
	}
	at, err := netip.ParseAddrPort(it)
	if err == nil && at.Port() == 0 {
		err = fmt.Errorf("bad port number of %q", it)
	}
	return err
}
