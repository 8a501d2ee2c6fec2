// Corefiles, as far as one must know them to ask their servers. CoreDNS itself judges whether they are right.
package dns

import (
	"net/netip"
	"strconv"
	"strings"
)

// block is a server block with one directive a line, as in all Corefiles that we write and that clusters come with.
type block struct {
	zones      []string // without their last dot
	port       uint16
	binds      []netip.Addr
	forwards   []string
	kubernetes string // its first zone
	proxy      bool   // forwards by the plugin that CoreDNS had before 1.4
}

func blocksOf(corefile string) (blocks []block) {
	depth := 0
	for _, line := range strings.Split(corefile, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		opens := words[len(words)-1] == "{"
		if opens {
			words = words[:len(words)-1]
		}
		switch {
		case len(words) == 0:
		case words[0] == "}":
			depth--
		case depth == 0 && opens:
			b := block{port: 53}
			for _, word := range words {
				zone, port, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(word, "dns://"), ","), ":")
				if number, err := strconv.ParseUint(port, 10, 16); err == nil {
					b.port = uint16(number)
				}
				b.zones = append(b.zones, strings.TrimSuffix(zone, "."))
			}
			blocks = append(blocks, b)
		case depth == 1:
			blocks[len(blocks)-1].take(words)
		}
		if opens {
			depth++
		}
	}
	return blocks
}

// take notes a directive.
func (b *block) take(words []string) {
	switch words[0] {
	case "bind":
		for _, word := range words[1:] {
			if address, err := netip.ParseAddr(word); err == nil {
				b.binds = append(b.binds, address)
			}
		}
	case "kubernetes":
		b.kubernetes = "cluster.local"
		if len(words) > 1 {
			b.kubernetes = words[1]
		}
	case "forward", "proxy":
		b.proxy = b.proxy || words[0] == "proxy"
		if len(words) > 2 && words[1] == "." {
			b.forwards = append(b.forwards, words[2:]...)
		}
	}
}

// targets are the servers to which it forwards.
func (b *block) targets() (targets []netip.AddrPort) {
	for _, word := range b.forwards {
		if word == "/etc/resolv.conf" {
			targets = append(targets, upstreamAddress)
		} else if at, err := nameserver(word); err == nil {
			targets = append(targets, at)
		}
	}
	return targets
}

// nameserver is an address with or without a port.
func nameserver(word string) (netip.AddrPort, error) {
	word = strings.TrimPrefix(word, "dns://")
	if address, err := netip.ParseAddr(word); err == nil {
		return netip.AddrPortFrom(address, 53), nil
	}
	return netip.ParseAddrPort(word)
}

func addressesOf(list []netip.AddrPort) (addresses []netip.Addr) {
	for _, it := range list {
		addresses = append(addresses, it.Addr())
	}
	return addresses
}
