package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"meshlatch/conformance/topology"
)

// world is a cluster: what its bundle holds, and what a cluster would add to that by itself.
type world struct {
	t       *topology.Topology
	name    string
	release string // of Istio, as 1.5
	index   int
	pin     bool // whether the gateway's address is asked for
	*bundle

	mesh        string // its configuration, as YAML
	cluster     string // its name, as injection tells it to sidecars
	services    []*corev1.Service
	deployments []*appsv1.Deployment
	pods        []*pod
	crossing    *pod // of the gateway that other clusters reach
	entering    *pod // of the gateway that serves the outside
	answer      struct {
		Refused []string
		Nodes   map[string]*proxy
	}
}

// proxy is what pilot tells one.
type proxy struct {
	Clusters, Endpoints, Listeners, Routes []object
}

// pod is one of a Deployment's, or one that stands for those that come from elsewhere.
type pod struct {
	namespace, name, address, account string
	labels                            map[string]string
	env                               map[string]string
	ports                             []corev1.ContainerPort
	gateway                           bool
	service                           *topology.Service
}

func (p *pod) selectedBy(namespace string, selector map[string]string) bool {
	return p.namespace == namespace && len(selector) > 0 && labels.SelectorFromSet(selector).Matches(labels.Set(p.labels))
}

func (w *world) spec() *topology.Cluster { return w.t.Clusters[w.name] }

func open(t *topology.Topology, written object, name, dir, release string, index int) (*world, error) {
	b, err := readBundle(dir, release)
	if err != nil {
		return nil, err
	}
	w := &world{t: t, name: name, release: release, index: index, bundle: b}
	w.pin = at(written, "clusters", name, "gateway", "pin") == true
	clusterIPs := map[string]string{}
	for _, it := range b.all() {
		switch {
		case text(it, "kind") == "Service":
			s, err := decode[corev1.Service](it)
			if err != nil {
				return nil, err
			}
			if s.Namespace == "" {
				s.Namespace = "default"
			}
			// Applied over one that is there, a Service keeps the address.
			key := s.Namespace + "/" + s.Name
			if s.Spec.ClusterIP == "" {
				s.Spec.ClusterIP = clusterIPs[key]
			}
			clusterIPs[key] = s.Spec.ClusterIP
			w.services = slices.DeleteFunc(w.services, func(it *corev1.Service) bool { return it.Namespace+"/"+it.Name == key })
			w.services = append(w.services, s)
		case text(it, "kind") == "Deployment":
			d, err := decode[appsv1.Deployment](it)
			if err != nil {
				return nil, err
			}
			w.deployments = append(w.deployments, d)
		case text(it, "kind") == "ConfigMap" && text(it, "metadata", "name") == "istio" && text(it, "metadata", "namespace") == "istio-system":
			w.mesh = text(it, "data", "mesh")
		case text(it, "kind") == "ConfigMap" && text(it, "metadata", "name") == "istio-sidecar-injector" && text(it, "metadata", "namespace") == "istio-system":
			var values object
			if err := json.Unmarshal([]byte(text(it, "data", "values")), &values); err != nil {
				return nil, fmt.Errorf("the injector's values: %w", err)
			}
			w.cluster = text(values, "global", "multiCluster", "clusterName")
		}
	}
	if w.mesh == "" {
		return nil, errors.New("there is no mesh configuration")
	}
	for _, d := range w.deployments {
		w.deploy(d)
	}
	w.elsewhere()
	for i, s := range w.services {
		complete(s, fmt.Sprintf("10.%d.128.%d", index+10, i+1))
	}
	return w, nil
}

func decode[T any](it object) (*T, error) {
	made := new(T)
	bytes, err := json.Marshal(it)
	if err == nil {
		err = json.Unmarshal(bytes, made)
	}
	return made, err
}

func (w *world) newPod(namespace, name string) *pod {
	p := &pod{namespace: namespace, name: name, account: "default", labels: map[string]string{}, env: map[string]string{}}
	if namespace == "" {
		p.namespace = "default"
	}
	p.address = fmt.Sprintf("10.%d.0.%d", w.index+10, len(w.pods)+2)
	w.pods = append(w.pods, p)
	return p
}

// deploy makes one pod of a Deployment that has a proxy, or gets one.
func (w *world) deploy(d *appsv1.Deployment) {
	template := d.Spec.Template
	isGateway := slices.ContainsFunc(template.Spec.Containers, func(it corev1.Container) bool {
		return it.Name == "istio-proxy" && slices.Contains(it.Args, "router")
	})
	if d.Namespace == "istio-system" && !isGateway || template.Annotations["sidecar.istio.io/inject"] == "false" && !isGateway {
		return
	}
	p := w.newPod(d.Namespace, d.Name+"-0")
	p.gateway = isGateway
	for name, value := range template.Labels {
		p.labels[name] = value
	}
	if template.Spec.ServiceAccountName != "" {
		p.account = template.Spec.ServiceAccountName
	}
	for _, container := range template.Spec.Containers {
		p.ports = append(p.ports, container.Ports...)
		for _, it := range container.Env {
			if isGateway && it.ValueFrom == nil {
				p.env[it.Name] = it.Value
			}
		}
	}
	for _, key := range topology.Keys(w.t.Services) {
		if s := w.t.Services[key]; !isGateway && p.selectedBy(s.Namespace, s.Selector) {
			p.service = s
		}
	}
	if isGateway && p.labels["istio"] == "ingressgateway" {
		w.crossing = p
	}
	if isGateway && p.selectedBy(w.spec().Ingress.Namespace, w.ingressSelector()) {
		w.entering = p
	}
}

func (w *world) ingressSelector() map[string]string {
	if selector := w.spec().Ingress.Selector; selector != nil {
		return selector
	}
	return map[string]string{"istio": "ingressgateway"}
}

// elsewhere makes the Services and pods that the topology says come from elsewhere.
func (w *world) elsewhere() {
	for _, key := range topology.Keys(w.t.Services) {
		s := w.t.Services[key]
		if !slices.Contains(w.t.Hosted(s), w.name) || slices.ContainsFunc(w.pods, func(p *pod) bool { return p.selectedBy(s.Namespace, s.Selector) }) {
			continue
		}
		p := w.newPod(s.Namespace, s.Name+"-0")
		p.service, p.account = s, s.ServiceAccount
		for _, all := range []map[string]string{s.Labels, s.Selector} {
			for name, value := range all {
				p.labels[name] = value
			}
		}
		made := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace}}
		made.Spec.Selector = s.Selector
		for i, name := range topology.Keys(s.Ports) {
			it := s.Ports[name]
			target := intstr.Parse(it.Target)
			container := corev1.ContainerPort{ContainerPort: target.IntVal}
			if target.Type == intstr.String {
				container.Name, container.ContainerPort = it.Target, int32(18000+i)
			}
			p.ports = append(p.ports, container)
			port := corev1.ServicePort{Name: name, Port: int32(it.Number), TargetPort: target}
			if strings.HasPrefix(name, "udp") {
				port.Protocol = corev1.ProtocolUDP
			}
			made.Spec.Ports = append(made.Spec.Ports, port)
		}
		if w.service(s.Namespace, s.Name) == nil && len(made.Spec.Ports) > 0 {
			w.services = append(w.services, made)
		}
	}
}

func (w *world) service(namespace, name string) *corev1.Service {
	for _, s := range w.services {
		if s.Namespace == namespace && s.Name == name {
			return s
		}
	}
	return nil
}

// serviceOf finds the Service in front of a gateway.
func (w *world) serviceOf(p *pod) *corev1.Service {
	for _, s := range w.services {
		if p.selectedBy(s.Namespace, s.Spec.Selector) {
			return s
		}
	}
	return nil
}

// complete fills in what the API server does.
func complete(s *corev1.Service, address string) {
	if s.Spec.ClusterIP == "" {
		s.Spec.ClusterIP = address
	}
	for j := range s.Spec.Ports {
		p := &s.Spec.Ports[j]
		if p.Protocol == "" {
			p.Protocol = corev1.ProtocolTCP
		}
		if p.TargetPort.Type == intstr.Int && p.TargetPort.IntVal == 0 {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
}

// target is the number behind a port of a Service, on a pod.
func (p *pod) target(port corev1.ServicePort) int32 {
	if port.TargetPort.Type == intstr.Int {
		return port.TargetPort.IntVal
	}
	for _, it := range p.ports {
		if it.Name == port.TargetPort.StrVal {
			return it.ContainerPort
		}
	}
	return 0
}

func (w *world) endpoints(s *corev1.Service) *corev1.Endpoints {
	e := &corev1.Endpoints{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Endpoints"}}
	e.Name, e.Namespace = s.Name, s.Namespace
	node := "node"
	for _, p := range w.pods {
		if !p.selectedBy(s.Namespace, s.Spec.Selector) {
			continue
		}
		subset := corev1.EndpointSubset{Addresses: []corev1.EndpointAddress{{
			IP: p.address, NodeName: &node, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: p.name, Namespace: p.namespace},
		}}}
		for _, it := range s.Spec.Ports {
			if number := p.target(it); number != 0 {
				subset.Ports = append(subset.Ports, corev1.EndpointPort{Name: it.Name, Port: number, Protocol: it.Protocol})
			}
		}
		e.Subsets = append(e.Subsets, subset)
	}
	return e
}

// question is what pilot is asked.
type question struct {
	Mesh, Domain      string
	Kubernetes, Istio []string
	Nodes             []node
}

type node struct {
	ID       string
	Metadata object
	Locality []string
}

func (p *pod) id() string {
	kind := "sidecar"
	if p.gateway {
		kind = "router"
	}
	return fmt.Sprintf("%s~%s~%s.%s~%s.svc.cluster.local", kind, p.address, p.name, p.namespace, p.namespace)
}

// node is what a pod's agent tells pilot.
func (w *world) node(p *pod) node {
	metadata := object{
		"LABELS": p.labels, "NAMESPACE": p.namespace, "CONFIG_NAMESPACE": p.namespace, "SERVICE_ACCOUNT": p.account,
		"INSTANCE_IPS": p.address, "ISTIO_VERSION": w.release + ".0", "CLUSTER_ID": cmp.Or(w.cluster, "Kubernetes"), "INTERCEPTION_MODE": "REDIRECT",
		"SDS": "true", "USER_SDS": "true",
	}
	if p.gateway {
		delete(metadata, "INTERCEPTION_MODE")
	}
	for name, value := range p.env {
		if key, is := strings.CutPrefix(name, "ISTIO_META_"); is {
			metadata[key] = value
		}
	}
	return node{p.id(), metadata, strings.Split(w.spec().Locality, "/")}
}

// ask has pilot say what each proxy is told.
func (w *world) ask() error {
	q := question{Mesh: w.mesh, Domain: "cluster.local"}
	add := func(it any) {
		bytes, err := json.Marshal(it)
		if err != nil {
			panic(err)
		}
		q.Kubernetes = append(q.Kubernetes, string(bytes))
	}
	namespaces := map[string]bool{}
	for _, s := range w.services {
		s.APIVersion, s.Kind = "v1", "Service"
		add(s)
		if len(s.Spec.Selector) > 0 {
			add(w.endpoints(s))
		}
	}
	for _, p := range w.pods {
		p.labels["security.istio.io/tlsMode"] = "istio" // what injection adds
		it := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}}
		it.Name, it.Namespace, it.Labels = p.name, p.namespace, p.labels
		it.Spec = corev1.PodSpec{NodeName: "node", ServiceAccountName: p.account, Containers: []corev1.Container{{Name: "server", Ports: p.ports}}}
		it.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: p.address, HostIP: "10.0.0.1"}
		add(it)
		namespaces[p.namespace] = true
		q.Nodes = append(q.Nodes, w.node(p))
	}
	for _, name := range topology.Keys(namespaces) {
		add(&corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	machine := &corev1.Node{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: metav1.ObjectMeta{Name: "node", Labels: map[string]string{}}}
	for i, part := range strings.Split(w.spec().Locality, "/") {
		if part != "" && i < 2 {
			machine.Labels[[]string{"failure-domain.beta.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone"}[i]] = part
		}
	}
	add(machine)
	for _, it := range w.all() {
		group, _, _ := strings.Cut(text(it, "apiVersion"), "/")
		if slices.Contains([]string{"networking.istio.io", "security.istio.io", "authentication.istio.io", "rbac.istio.io"}, group) {
			// An API server hands out every object in the version that pilot asks for; nothing else changes.
			it := maps.Clone(it)
			if group == "networking.istio.io" {
				it["apiVersion"] = group + "/v1alpha3"
			}
			bytes, err := json.Marshal(it)
			if err != nil {
				return err
			}
			q.Istio = append(q.Istio, string(bytes))
		}
	}
	asked, err := json.Marshal(q)
	if err != nil {
		return err
	}
	command := exec.Command(program(w.release), "pilot")
	command.Env = append(os.Environ(), w.settings()...)
	command.Stdin = bytes.NewReader(asked)
	said, err := answered(command)
	if err != nil {
		return err
	}
	if keep := os.Getenv("OLD_KEEP"); keep != "" {
		_ = os.WriteFile(filepath.Join(keep, w.name+".question.json"), asked, 0o644)
		_ = os.WriteFile(filepath.Join(keep, w.name+".answer.json"), said, 0o644)
	}
	return json.Unmarshal(said, &w.answer)
}

// settings are the variables that the installer gives to pilot.
func (w *world) settings() []string {
	var all []string
	for _, d := range w.deployments {
		if d.Namespace != "istio-system" || d.Name != w.pilot() {
			continue
		}
		for _, container := range d.Spec.Template.Spec.Containers {
			for _, it := range container.Env {
				if container.Name == "discovery" && it.ValueFrom == nil {
					all = append(all, it.Name+"="+it.Value)
				}
			}
		}
	}
	return all
}

// pilot is the name of its Deployment.
func (w *world) pilot() string {
	if w.release == "1.4" {
		return "istio-pilot"
	}
	return "istiod"
}

// refused says what pilot did not take.
func (w *world) refused() error {
	if len(w.answer.Refused) > 0 {
		return errors.New(strings.Join(w.answer.Refused, "; "))
	}
	return nil
}

func (w *world) proxy(p *pod) *proxy { return w.answer.Nodes[p.id()] }
