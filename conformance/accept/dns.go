// What a cluster's DNS is before a bundle comes: the object that a runbook's step changes.
package accept

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// provider is the cluster's DNS as the topology says it; nothing if it says nothing.
func (b *bundle) provider() string {
	fields, _ := b.topology.DNS.(map[string]any)
	word, _ := fields["provider"].(string)
	return word
}

// dns is the object that a provider has. Package dns judges what comes of a real one; here it is one that an API server
// takes, with nothing in it that matters.
func (b *bundle) dns() *unstructured.Unstructured {
	config := func(name string, data map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{"name": name, "namespace": "kube-system"}, "data": data}}
	}
	switch b.provider() {
	case "kube-dns":
		return config("kube-dns", map[string]any{"stubDomains": `{"corp.example.com":["10.1.2.3"]}`})
	case "nodelocal-dns":
		return config("node-local-dns", map[string]any{"Corefile": ".:53 {\n    bind 169.254.20.10\n    forward . /etc/resolv.conf\n}\n"})
	case "aks":
		return config("coredns-custom", map[string]any{"log.override": "log\n"})
	case "openshift":
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "operator.openshift.io/v1", "kind": "DNS",
			"metadata": map[string]any{"name": "default"}, "spec": map[string]any{"servers": []any{map[string]any{
				"name": "corp", "zones": []any{"corp.example.com"}, "forwardPlugin": map[string]any{"upstreams": []any{"10.1.2.3"}}}}}}}
	default:
		return config("coredns", map[string]any{"Corefile": ".:53 {\n    forward . /etc/resolv.conf\n}\n"})
	}
}

// changesDNS says whether a step of the runbook changes the cluster's DNS.
func (b *bundle) changesDNS() bool {
	return strings.Contains(b.runbook.text, "30-dns/apply.sh") || strings.Contains(b.runbook.text, "30-dns/stub")
}

// haveDNS makes the object where the runbook changes it, and returns what it then is.
func (s *server) haveDNS(ctx context.Context, b *bundle) (*unstructured.Unstructured, error) {
	if !b.changesDNS() {
		return nil, nil
	}
	api, _, err := s.in(b.dns())
	if err != nil {
		return nil, err
	}
	return api.Create(ctx, b.dns(), metav1.CreateOptions{})
}

// sameDNS says whether the object is what it was, unless the runbook says that its entry stays.
func (s *server) sameDNS(ctx context.Context, b *bundle, was *unstructured.Unstructured) error {
	if was == nil || strings.Contains(b.runbook.stays, "in the cluster's DNS") {
		return nil
	}
	api, _, err := s.in(was)
	if err != nil {
		return err
	}
	is, err := api.Get(ctx, was.GetName(), metav1.GetOptions{})
	if err == nil && !reflect.DeepEqual(essence(was), essence(is)) {
		err = fmt.Errorf("%s is not what it was: %s", nameOf(is), difference(essence(was), essence(is)))
	}
	return err
}
