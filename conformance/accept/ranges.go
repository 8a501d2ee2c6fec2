// Ranges of Services: those of topologies, and where a pinned ClusterIP must be.
package accept

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// usualRange is that of the API server itself.
var usualRange = netip.MustParsePrefix("10.96.0.0/16")

// ranges are those of IPv4 that the topology gives; the API server has no other family.
func (b *bundle) ranges() []netip.Prefix {
	var list []netip.Prefix
	for _, it := range b.topology.Ranges.Services {
		if p, err := netip.ParsePrefix(it); err == nil && p.Addr().Is4() {
			list = append(list, p)
		}
	}
	return list
}

// pinned is the ClusterIP that a Service asks for.
func (o object) pinned() (netip.Addr, bool) {
	text, _, _ := unstructured.NestedString(o.Object, "spec", "clusterIP")
	address, err := netip.ParseAddr(text)
	return address, err == nil && o.GetKind() == "Service"
}

// elsewhere says whether an object asks for an address outside of the ranges that the topology gives. The API server has
// those of other bundles, too, and would not say it.
func (b *bundle) elsewhere(o object) error {
	address, pinned := o.pinned()
	ranges := b.ranges()
	if !pinned || len(ranges) == 0 || slices.ContainsFunc(ranges, func(it netip.Prefix) bool { return it.Contains(address) }) {
		return nil
	}
	return fmt.Errorf("%s is not in the cluster's range of Services, %v", address, ranges)
}

// rangesOf are all ranges that bundles need. Where a topology gives none, its cluster has one in which the address is.
func rangesOf(bundles []*bundle) []*unstructured.Unstructured {
	list := []netip.Prefix{usualRange}
	for _, b := range bundles {
		list = append(list, b.ranges()...)
	}
	for _, b := range bundles {
		for _, o := range b.objects {
			address, pinned := o.pinned()
			if pinned && address.Is4() && !slices.ContainsFunc(list, func(it netip.Prefix) bool { return it.Contains(address) }) {
				list = append(list, netip.PrefixFrom(address, 24).Masked())
			}
		}
	}
	var objects []*unstructured.Unstructured
	for _, it := range list[1:] {
		objects = append(objects, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
			"metadata": map[string]any{"name": strings.NewReplacer(".", "-", "/", "-").Replace(it.String())},
			"spec":     map[string]any{"cidrs": []any{it.String()}}}})
	}
	return objects
}
