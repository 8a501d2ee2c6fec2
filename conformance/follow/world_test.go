// One control plane a cluster: what its bundle holds, and what a cluster would add to that by itself.
package follow

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	k8s "sigs.k8s.io/gateway-api/apis/v1"

	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pilot/test/xds"
	istiocluster "istio.io/istio/pkg/cluster"
	meshes "istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/mesh/meshwatcher"

	"meshlatch/conformance/topology"
)

// world is a cluster with its control plane.
type world struct {
	t        *testing.T
	name     string
	index    int
	topology *topology.Topology
	bundle   *bundle
	plane    *xds.FakeDiscoveryServer
	pods     []*pod
	proxies  map[string]*proxy
	crossing *pod // of the east-west gateway
	entering *pod // of the gateway that serves the outside
	objects  []runtime.Object
}

// pod is one of a Deployment's, or one that stands for those that come from elsewhere.
type pod struct {
	namespace string
	name      string
	addresses []string
	labels    map[string]string
	account   string
	env       map[string]string
	ports     []corev1.ContainerPort
	gateway   bool
	service   *topology.Service
	dead      bool // it answers nobody; its callers are not told of it
}

func (p *pod) selectedBy(namespace string, selector map[string]string) bool {
	return p.namespace == namespace && len(selector) > 0 && labels.SelectorFromSet(selector).Matches(labels.Set(p.labels))
}

// makeWorld starts a cluster's control plane. With `dead`, no pod of a service that several clusters
// run answers; what they call they still do.
func makeWorld(t *testing.T, topo *topology.Topology, name string, index int, b *bundle, dead bool) *world {
	w := &world{t: t, name: name, index: index, topology: topo, bundle: b, proxies: map[string]*proxy{}}
	configs := slices.Clone(b.configs)
	if w.spec().Gateway.API == "gateway-api" {
		class := &k8s.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "istio"}}
		class.Spec.ControllerName = "istio.io/gateway-controller"
		w.objects = append(w.objects, class)
	}
	for _, d := range b.deployments {
		w.deploy(d)
	}
	w.managedGateway()
	w.foreignIngress()
	w.elsewhere()
	w.addressesOfTheGateway()
	for _, p := range w.pods {
		p.dead = dead && p.service != nil && len(topo.Hosted(p.service)) > 1
		w.objects = append(w.objects, w.podObject(p))
	}
	for i, s := range b.services {
		w.complete(s, i)
		w.objects = append(w.objects, s)
		w.objects = append(w.objects, w.slices(s)...)
	}
	w.objects = append(w.objects, w.namespaces()...)
	w.objects = append(w.objects, w.node())
	w.objects = append(w.objects, b.others...)
	for i, it := range w.objects { // Gateways of the class istio-remote are told apart by it
		if object, err := meta.Accessor(it); err == nil && object.GetUID() == "" {
			object.SetUID(types.UID(fmt.Sprintf("%s-%d", name, i)))
		}
	}
	for i := range configs {
		if configs[i].Namespace == "" {
			configs[i].Namespace = "default"
		}
		configs[i].UID = fmt.Sprintf("%s-config-%d", name, i)
	}
	features.EnableDualStack = b.dualStack
	var networks meshes.NetworksWatcher
	if b.meshNetworks != nil {
		networks = meshwatcher.NewFixedNetworksWatcher(b.meshNetworks)
	}
	w.plane = xds.NewFakeDiscoveryServer(t, xds.FakeOptions{
		DefaultClusterName: istiocluster.ID(name),
		KubernetesObjects:  w.objects,
		Configs:            configs,
		MeshConfig:         b.mesh,
		NetworksWatcher:    networks,
	})
	return w
}

func (w *world) spec() *topology.Cluster { return w.topology.Clusters[w.name] }

func (w *world) newPod(namespace, name string) *pod {
	n := len(w.pods) + 2
	p := &pod{namespace: namespace, name: name, labels: map[string]string{}, account: "default"}
	p.addresses = []string{fmt.Sprintf("10.%d.0.%d", w.index+10, n)}
	if w.bundle.dualStack {
		p.addresses = append(p.addresses, fmt.Sprintf("fd00:%d::%x", w.index+10, n))
	}
	w.pods = append(w.pods, p)
	return p
}

// deploy makes one pod of a Deployment, with what injection adds to it.
func (w *world) deploy(d *appsv1.Deployment) {
	template := d.Spec.Template
	isGateway := slices.ContainsFunc(template.Spec.Containers, func(it corev1.Container) bool { return it.Name == "istio-proxy" })
	inject := template.Labels["sidecar.istio.io/inject"] + template.Annotations["sidecar.istio.io/inject"]
	if inject == "false" && !isGateway {
		return
	}
	namespace := d.Namespace
	if namespace == "" {
		namespace = "default"
	}
	p := w.newPod(namespace, d.Name+"-0")
	for name, value := range template.Labels {
		p.labels[name] = value
	}
	p.env, p.gateway = envOf(d), isGateway
	if template.Spec.ServiceAccountName != "" {
		p.account = template.Spec.ServiceAccountName
	}
	for _, container := range template.Spec.Containers {
		for _, it := range container.Ports {
			if it.Protocol == "" {
				it.Protocol = corev1.ProtocolTCP
			}
			p.ports = append(p.ports, it)
		}
	}
	for _, key := range topology.Keys(w.topology.Services) {
		s := w.topology.Services[key]
		if !p.gateway && p.selectedBy(s.Namespace, s.Selector) {
			p.service = s
		}
	}
	if !p.gateway {
		return
	}
	if w.spec().Gateway.API != "gateway-api" && p.labels["istio"] == "eastwestgateway" {
		w.crossing = p
	}
	if p.selectedBy(w.spec().Ingress.Namespace, w.ingressSelector()) {
		w.entering = p
	}
}

func (w *world) ingressSelector() map[string]string {
	if selector := w.spec().Ingress.Selector; selector != nil {
		return selector
	}
	return map[string]string{"istio": "ingressgateway"}
}

// managedGateway makes what istiod makes of a Gateway of the Gateway API: a Service and its pods.
func (w *world) managedGateway() {
	for _, it := range w.bundle.others {
		c, is := it.(*k8s.Gateway)
		if !is || string(c.Spec.GatewayClassName) != "istio" {
			continue
		}
		p := w.newPod(c.Namespace, c.Name+"-istio-0")
		p.gateway, p.account = true, c.Name+"-istio"
		for name, value := range c.Labels {
			p.labels[name] = value
		}
		p.labels["gateway.networking.k8s.io/gateway-name"] = c.Name
		p.env = map[string]string{"ISTIO_META_REQUESTED_NETWORK_VIEW": c.Labels["topology.istio.io/network"]}
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: c.Name + "-istio", Namespace: c.Namespace, Labels: p.labels}}
		s.Spec.Type = corev1.ServiceTypeLoadBalancer
		s.Spec.Selector = map[string]string{"gateway.networking.k8s.io/gateway-name": c.Name}
		for _, it := range c.Spec.Listeners {
			number := int32(it.Port)
			if !slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == number }) {
				s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: fmt.Sprintf("tls-%d", number), Port: number})
			}
		}
		w.bundle.services = append(w.bundle.services, s)
		w.crossing = p
	}
}

// foreignIngress stands for a gateway that the cluster has from elsewhere.
func (w *world) foreignIngress() {
	numbers := w.topology.Listening(w.name)
	if numbers == nil || w.entering != nil || w.spec().Ingress.Selector == nil {
		return
	}
	it := w.spec().Ingress
	p := w.newPod(it.Namespace, "edge-0")
	p.gateway, p.labels, p.account = true, it.Selector, it.ServiceAccount
	w.entering = p
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "edge", Namespace: it.Namespace}}
	s.Spec.Selector = it.Selector
	for _, number := range numbers {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: fmt.Sprintf("http-%d", number), Port: int32(number), TargetPort: intstr.FromInt(topology.Unprivileged(number))})
	}
	w.bundle.services = append(w.bundle.services, s)
}

// elsewhere makes the Services and pods that the topology says come from elsewhere.
func (w *world) elsewhere() {
	for _, key := range topology.Keys(w.topology.Services) {
		s := w.topology.Services[key]
		if !slices.Contains(w.topology.Hosted(s), w.name) {
			continue
		}
		if slices.ContainsFunc(w.pods, func(p *pod) bool { return p.selectedBy(s.Namespace, s.Selector) }) {
			continue
		}
		p := w.newPod(s.Namespace, s.Name+"-0")
		p.service, p.account = s, s.ServiceAccount
		for name, value := range s.Labels {
			p.labels[name] = value
		}
		for name, value := range s.Selector {
			p.labels[name] = value
		}
		var ports []corev1.ServicePort
		for i, name := range topology.Keys(s.Ports) {
			it := s.Ports[name]
			protocol := corev1.ProtocolTCP
			if strings.HasPrefix(name, "udp") {
				protocol = corev1.ProtocolUDP
			}
			target := intstr.Parse(it.Target)
			container := corev1.ContainerPort{ContainerPort: target.IntVal, Protocol: protocol}
			if target.Type == intstr.String {
				container.Name, container.ContainerPort = it.Target, int32(18000+i)
			}
			p.ports = append(p.ports, container)
			ports = append(ports, corev1.ServicePort{Name: name, Port: int32(it.Number), TargetPort: target, Protocol: protocol})
		}
		if w.service(s.Namespace, s.Name) == nil && len(ports) > 0 {
			made := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace}}
			made.Spec.Selector, made.Spec.Ports = s.Selector, ports
			w.bundle.services = append(w.bundle.services, made)
		}
	}
}

func (w *world) service(namespace, name string) *corev1.Service {
	for _, s := range w.bundle.services {
		if s.Name == name && (s.Namespace == namespace || s.Namespace == "" && namespace == "default") {
			return s
		}
	}
	return nil
}

// serviceOf finds the Service in front of a gateway.
func (w *world) serviceOf(p *pod) *corev1.Service {
	for _, s := range w.bundle.services {
		if p.selectedBy(s.Namespace, s.Spec.Selector) {
			return s
		}
	}
	return nil
}

// addressesOfTheGateway is what the cloud writes into the Service of the east-west gateway.
func (w *world) addressesOfTheGateway() {
	if w.crossing == nil {
		return
	}
	s := w.serviceOf(w.crossing)
	if s == nil {
		return
	}
	for _, address := range w.spec().Gateway.Address {
		at := corev1.LoadBalancerIngress{Hostname: address}
		if _, err := netip.ParseAddr(address); err == nil {
			at = corev1.LoadBalancerIngress{IP: address}
		}
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, at)
	}
}

// complete fills in what the API server does.
func (w *world) complete(s *corev1.Service, i int) {
	if s.Namespace == "" {
		s.Namespace = "default"
	}
	if s.Spec.ClusterIP == "" {
		s.Spec.ClusterIP = fmt.Sprintf("10.%d.128.%d", w.index+10, i+1)
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
		if w.bundle.dualStack && s.Spec.IPFamilyPolicy != nil && *s.Spec.IPFamilyPolicy != corev1.IPFamilyPolicySingleStack {
			s.Spec.ClusterIPs = append(s.Spec.ClusterIPs, fmt.Sprintf("fd00:%d:1::%x", w.index+10, i+1))
		}
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

// slices are the endpoints of a Service, one EndpointSlice a family.
func (w *world) slices(s *corev1.Service) []runtime.Object {
	var all []runtime.Object
	for family, kind := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
		slice := &discoveryv1.EndpointSlice{AddressType: kind}
		slice.Name, slice.Namespace = s.Name+"-"+strings.ToLower(string(kind)), s.Namespace
		slice.Labels = map[string]string{discoveryv1.LabelServiceName: s.Name}
		ready, node := true, "node"
		for _, p := range w.pods {
			if p.dead || !p.selectedBy(s.Namespace, s.Spec.Selector) || family >= len(p.addresses) {
				continue
			}
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
				Addresses: []string{p.addresses[family]}, NodeName: &node,
				Conditions: discoveryv1.EndpointConditions{Ready: &ready},
				TargetRef:  &corev1.ObjectReference{Kind: "Pod", Name: p.name, Namespace: p.namespace},
			})
			if slice.Ports == nil {
				for _, it := range s.Spec.Ports {
					if number := p.target(it); number != 0 {
						slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &it.Name, Port: &number, Protocol: &it.Protocol})
					}
				}
			}
		}
		if len(slice.Endpoints) > 0 {
			all = append(all, slice)
		}
	}
	return all
}

func (w *world) podObject(p *pod) runtime.Object {
	// What injection adds.
	p.labels["security.istio.io/tlsMode"] = "istio"
	if w.bundle.network != "" {
		p.labels["topology.istio.io/network"] = w.bundle.network
	}
	it := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: p.name, Namespace: p.namespace, Labels: p.labels}}
	it.Spec = corev1.PodSpec{NodeName: "node", ServiceAccountName: p.account, Containers: []corev1.Container{{Name: "server", Ports: p.ports}}}
	it.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: p.addresses[0], HostIP: "10.0.0.1"}
	for _, address := range p.addresses {
		it.Status.PodIPs = append(it.Status.PodIPs, corev1.PodIP{IP: address})
	}
	ready := corev1.ConditionTrue
	if p.dead {
		ready = corev1.ConditionFalse
	}
	it.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
	return it
}

func (w *world) namespaces() []runtime.Object {
	all := w.bundle.namespaces
	for _, p := range w.pods {
		if all[p.namespace] == nil {
			all[p.namespace] = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.namespace}}
		}
	}
	var list []runtime.Object
	for _, name := range topology.Keys(all) {
		list = append(list, all[name])
	}
	return list
}

func (w *world) node() runtime.Object {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node", Labels: map[string]string{}}}
	for i, part := range strings.Split(w.spec().Locality, "/") {
		name := []string{"topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"}[i]
		if part != "" {
			node.Labels[name] = part
		}
	}
	return node
}

// reached finds the cluster whose gateway listens at an address, as a caller of `from` sees it, and
// the port of its pods that the connection comes to.
func reached(worlds map[string]*world, from, address string, number int) (*world, int, error) {
	for _, name := range topology.Keys(worlds) {
		w := worlds[name]
		g := w.spec().Gateway
		known := func(it string) bool { return it == address || publicDNS[it] == address }
		if name == from || !slices.ContainsFunc(w.topology.Addresses(name, from), known) {
			if name != from && slices.ContainsFunc(g.Address, known) {
				return nil, 0, fmt.Errorf("%s is not the address of %s for callers of %s", address, name, from)
			}
			continue
		}
		if w.crossing == nil {
			return nil, 0, fmt.Errorf("%s has no east-west gateway", name)
		}
		s := w.serviceOf(w.crossing)
		if s == nil {
			return nil, 0, fmt.Errorf("no Service selects the east-west gateway of %s", name)
		}
		for _, it := range s.Spec.Ports {
			if g.NodePort == 0 && int(it.Port) == number && number == g.Port || g.NodePort == number && int(it.NodePort) == number {
				return w, int(it.TargetPort.IntVal), nil
			}
		}
		return nil, 0, fmt.Errorf("the gateway of %s has no port %s", name, strconv.Itoa(number))
	}
	return nil, 0, nil
}
