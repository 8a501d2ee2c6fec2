package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"meshlatch/conformance/report"
)

// judgeInstall judges what the installer made.
func (w *world) judgeInstall(c *report.Case) {
	judge := func(what string, err error) { c.Judge(w.name+": "+what, err) }
	judge("the control plane is there", w.controlPlane())
	judge("the gateway passes mTLS through", w.gatewayIsThere())
	judge("the gateway's port", w.gatewayPort())
	judge("every Gateway has its gateway", w.selectors())
	judge("every object of Istio's is of a version that is served", w.served())
	judge("names are rewritten at the gateway", w.rewriting())
	judge("mTLS to every global name", w.globalRule())
	judge("the trust domain", w.trustDomain())
	if dns, is := w.spec().DNS.(object); is && dns["server"] != "coredns" && dns["address"] != nil {
		judge("istiocoredns has its address", w.coreDNS(fmt.Sprint(dns["address"])))
	}
	if w.pin {
		judge("the gateway asks for its address", w.pinned())
	}
}

func (w *world) controlPlane() error {
	all := []string{}
	for _, d := range w.deployments {
		if d.Namespace == "istio-system" && d.Name == w.pilot() {
			return nil
		}
		all = append(all, d.Name)
	}
	return fmt.Errorf("no Deployment %s, but %s", w.pilot(), strings.Join(all, ", "))
}

func (w *world) gatewayIsThere() error {
	if w.crossing == nil {
		return errors.New("no gateway has the label istio: ingressgateway")
	}
	if mode := w.crossing.env["ISTIO_META_ROUTER_MODE"]; mode != "sni-dnat" {
		return fmt.Errorf("ISTIO_META_ROUTER_MODE is %q", mode)
	}
	if id := w.crossing.env["ISTIO_META_CLUSTER_ID"]; id != w.name {
		return fmt.Errorf("ISTIO_META_CLUSTER_ID is %q", id)
	}
	return nil
}

// gatewayPort says whether what reaches the cluster comes to the port that the gateway listens on.
func (w *world) gatewayPort() error {
	if w.crossing == nil {
		return errors.New("no gateway")
	}
	s := w.serviceOf(w.crossing)
	if s == nil {
		return errors.New("no Service selects the gateway")
	}
	if !slices.Contains([]string{"LoadBalancer", "NodePort"}, string(s.Spec.Type)) {
		return fmt.Errorf("its Service is a %s", s.Spec.Type)
	}
	for _, it := range s.Spec.Ports {
		if it.Port != 15443 {
			continue
		}
		if it.TargetPort != intstr.FromInt32(15443) {
			return fmt.Errorf("15443 leads to %s", it.TargetPort.String())
		}
		if n := w.spec().Gateway.NodePort; n != 0 && int(it.NodePort) != n {
			return fmt.Errorf("the node port is %d", it.NodePort)
		}
		return nil
	}
	return errors.New("its Service has no port 15443")
}

// selectors says whether the Gateways of the bundle are served by a gateway, and their ports by its Service.
func (w *world) selectors() error {
	for _, it := range w.all() {
		if text(it, "kind") != "Gateway" || !strings.HasPrefix(text(it, "apiVersion"), "networking.istio.io/") {
			continue
		}
		name := text(it, "metadata", "name")
		selector := map[string]string{}
		for key, value := range at(it, "spec", "selector").(object) {
			selector[key] = fmt.Sprint(value)
		}
		i := slices.IndexFunc(w.pods, func(p *pod) bool { return p.gateway && p.selectedBy("istio-system", selector) })
		if i < 0 {
			if maps.Equal(selector, w.spec().Ingress.Selector) {
				continue // a gateway from elsewhere
			}
			return fmt.Errorf("no gateway has the labels %v of %s", selector, name)
		}
		s := w.serviceOf(w.pods[i])
		if s == nil {
			return fmt.Errorf("no Service in front of the gateway of %s", name)
		}
		for _, server := range list(it, "spec", "servers") {
			open := false
			for _, port := range s.Spec.Ports {
				open = open || int(port.Port) == number(server, "port", "number")
			}
			if !open {
				return fmt.Errorf("%s: the Service %s has no port %d", name, s.Name, number(server, "port", "number"))
			}
		}
	}
	return nil
}

// served says whether the release's definitions know the kinds and versions of what is applied.
func (w *world) served() error {
	definitions := w.find("CustomResourceDefinition", func(object) bool { return true })
	if w.release == "1.4" {
		files, err := filepath.Glob(filepath.Join(programs, "istio-1.4-charts", "istio-init", "files", "*.yaml"))
		if err != nil {
			return err
		}
		for _, path := range files {
			file, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			objects, err := parse(file)
			if err != nil {
				return err
			}
			definitions = append(definitions, objects...)
		}
	}
	versions := map[string]bool{}
	for _, it := range definitions {
		group, kind := text(it, "spec", "group"), text(it, "spec", "names", "kind")
		versions[group+"/"+text(it, "spec", "version")+" "+kind] = true
		for _, version := range list(it, "spec", "versions") {
			versions[group+"/"+text(version, "name")+" "+kind] = at(version, "served") == true
		}
	}
	for _, it := range w.applied {
		version := text(it, "apiVersion")
		if group, _, _ := strings.Cut(version, "/"); strings.HasSuffix(group, ".istio.io") && !versions[version+" "+text(it, "kind")] {
			return fmt.Errorf("nobody serves %s %s", version, text(it, "kind"))
		}
	}
	return nil
}

func (w *world) find(kind string, wanted func(object) bool) []object {
	var found []object
	for _, it := range w.all() {
		if text(it, "kind") == kind && wanted(it) {
			found = append(found, it)
		}
	}
	return found
}

// rewriting finds the Gateway and the EnvoyFilter, as the chart makes them.
func (w *world) rewriting() error {
	gateways := w.find("Gateway", func(it object) bool {
		for _, server := range list(it, "spec", "servers") {
			if text(server, "tls", "mode") == "AUTO_PASSTHROUGH" && number(server, "port", "number") == 15443 &&
				slices.Contains(list(server, "hosts"), any("*."+w.t.Mesh.Suffix)) && text(it, "spec", "selector", "istio") == "ingressgateway" {
				return true
			}
		}
		return false
	})
	if len(gateways) != 1 {
		return fmt.Errorf("%d Gateways for *.%s", len(gateways), w.t.Mesh.Suffix)
	}
	var values []any
	for _, it := range w.find("EnvoyFilter", func(object) bool { return true }) {
		// 1.4 has an older form.
		for _, filter := range list(it, "spec", "filters") {
			if text(filter, "filterName") == "envoy.filters.network.tcp_cluster_rewrite" {
				values = append(values, at(filter, "filterConfig"))
			}
		}
		for _, patch := range list(it, "spec", "configPatches") {
			if text(patch, "patch", "value", "name") == "envoy.filters.network.tcp_cluster_rewrite" {
				values = append(values, settings(at(patch, "patch", "value")))
			}
		}
	}
	if len(values) != 1 {
		return fmt.Errorf("%d EnvoyFilters bring tcp_cluster_rewrite", len(values))
	}
	// Some charts leave the dots of the suffix as they are; no other name gets here.
	pattern, err := regexp.Compile(text(values[0], "cluster_pattern"))
	if err != nil {
		return err
	}
	end := "." + w.t.Mesh.Suffix
	for name, wanted := range map[string]string{"a.b" + end: "a.b.svc.cluster.local", "a.b" + end + ".org": "a.b" + end + ".org", "a.b" + end[1:]: "a.b" + end[1:]} {
		if made := pattern.ReplaceAllString(name, text(values[0], "cluster_replacement")); made != wanted {
			return fmt.Errorf("%v makes %s of %s, not %s", values[0], made, name, wanted)
		}
	}
	return nil
}

// globalRule finds the DestinationRule.
func (w *world) globalRule() error {
	rules := w.find("DestinationRule", func(it object) bool { return text(it, "spec", "host") == "*."+w.t.Mesh.Suffix })
	if len(rules) != 1 {
		return fmt.Errorf("%d DestinationRules for *.%s", len(rules), w.t.Mesh.Suffix)
	}
	if mode := text(rules[0], "spec", "trafficPolicy", "tls", "mode"); mode != "ISTIO_MUTUAL" {
		return fmt.Errorf("its mode is %q", mode)
	}
	return nil
}

func (w *world) trustDomain() error {
	var mesh object
	if err := yaml.Unmarshal([]byte(w.mesh), &mesh); err != nil {
		return err
	}
	it := text(mesh, "trustDomain")
	if it == "" {
		it = "cluster.local"
	}
	if it != w.spec().TrustDomain {
		return fmt.Errorf("it is %q", it)
	}
	return nil
}

func (w *world) coreDNS(address string) error {
	s := w.service("istio-system", "istiocoredns")
	if s == nil {
		return errors.New("no Service istiocoredns")
	}
	if s.Spec.ClusterIP != address {
		return fmt.Errorf("it is %s", s.Spec.ClusterIP)
	}
	if !slices.ContainsFunc(w.deployments, func(d *appsv1.Deployment) bool {
		return d.Namespace == "istio-system" && d.Name == "istiocoredns" && d.Spec.Template.Labels["app"] == s.Spec.Selector["app"]
	}) {
		return errors.New("no Deployment istiocoredns behind it")
	}
	return nil
}

func (w *world) pinned() error {
	s := w.serviceOf(w.crossing)
	if s == nil || !slices.Contains([]string(w.spec().Gateway.Address), s.Spec.LoadBalancerIP) {
		return fmt.Errorf("it is not in its Service %+v", s)
	}
	return nil
}
