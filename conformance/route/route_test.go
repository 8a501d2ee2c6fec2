// Package meshlatch drives Istio's own control plane code over bundles of isolated
// clusters and follows each declared call through caller sidecar, gateway and pod.
package meshlatch

import (
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"testing"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/miekg/dns"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8slabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/util"
	labelutil "istio.io/istio/pilot/pkg/serviceregistry/util/label"
	"istio.io/istio/pilot/pkg/simulation"
	"istio.io/istio/pilot/pkg/xds/endpoints"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pilot/test/xdstest"
	istiocluster "istio.io/istio/pkg/cluster"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/mesh/meshwatcher"
	"istio.io/istio/pkg/config/protocol"
	"istio.io/istio/pkg/config/schema/collections"
	dnsServer "istio.io/istio/pkg/dns/server"
	kubelib "istio.io/istio/pkg/kube"
	"istio.io/istio/pkg/network"
	"istio.io/istio/pkg/util/protomarshal"
)

var (
	dirFlag  = flag.String("bundle", "", "directory with <cluster>/**.yaml and calls.yaml; several separated by commas")
	callFile = flag.String("calls", "", "calls file (default <bundle>/calls.yaml)")
	topoFile = flag.String("topology", "", "meshlatch topology.yaml for bundles without calls.yaml (default: beside the output directory)")
	dump     = flag.String("dump", "", "print the JSON of every cluster/listener chain whose name contains this text")
	dumpFull = flag.Bool("dumpfull", false, "with -dump: print whole filter chains")
	verbose  = flag.Bool("trace", true, "print the trace of every call")
)

type clusterSpec struct {
	GatewayAPI    bool              `json:"gatewayAPI"` // istiod makes the gateway's Service and pods
	Network       string            `json:"network"`
	Gateways      []string          `json:"gateways"`
	GatewayPort   int               `json:"gatewayPort"`
	GatewayLabels map[string]string `json:"gatewayLabels"`
	GatewayNS     string            `json:"gatewayNamespace"`
	Locality      string            `json:"locality"`
	DNSCapture    bool              `json:"dnsCapture"`
	DualStack     bool              `json:"dualStack"`
	NoView        bool              `json:"noView"` // gateway without REQUESTED_NETWORK_VIEW
	MeshConfig    map[string]any    `json:"meshConfig"`
	MeshNetworks  map[string]any    `json:"meshNetworks"`
	NoPods        []string          `json:"noPods"` // app labels whose pods are down
}

type callSpec struct {
	From     string `json:"from"` // cluster/namespace/app
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Protocol string `json:"protocol"` // http http2 grpc tcp
	Path     string `json:"path"`
	owners   []string
	Expect   string `json:"expect"` // e.g. "east", "west>east", "east+west", "none"
}

// topoService is what the harness needs of a service of topology.yaml.
type topoService struct {
	key, name, ns, sa string
	clusters          []string
	balance           any // as written
	selector          map[string]string
	ports             []corev1.ServicePort
	calls             []string
}

type fileSpec struct {
	services []topoService
	suffix   string
	Clusters map[string]*clusterSpec `json:"clusters"`
	DNS      map[string]string       `json:"dns"` // what public DNS says of gateway names
	Calls    []callSpec              `json:"calls"`
}

type podInfo struct {
	ns, name, ip string
	labels       map[string]string
	sa           string
}

type world struct {
	t           *testing.T
	name        string
	spec        *clusterSpec
	f           *xds.FakeDiscoveryServer
	pods        []podInfo
	services    []*corev1.Service
	deployments []*appsv1.Deployment
	podPorts    map[string][]corev1.ContainerPort
	gw          *model.Proxy
	all         map[string]*world
	proxies     map[string]*model.Proxy
}

var public map[string]string

func serveDNS(t *testing.T, names map[string]string) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := dns.HandlerFunc(func(rw dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg)
		r.SetReply(m)
		if ip := names[strings.TrimSuffix(m.Question[0].Name, ".")]; ip != "" && m.Question[0].Qtype == dns.TypeA {
			rr, _ := dns.NewRR(fmt.Sprintf("%s 60 IN A %s", m.Question[0].Name, ip))
			r.Answer = append(r.Answer, rr)
		}
		_ = rw.WriteMsg(r)
	})
	srv := &dns.Server{PacketConn: pc, Handler: h}
	go srv.ActivateAndServe() //nolint
	t.Cleanup(func() { _ = srv.Shutdown() })
	model.NetworkGatewayTestDNSServers = []string{pc.LocalAddr().String()}
}

func out(format string, a ...any) { fmt.Printf(format+"\n", a...) }

func splitDocs(b string) []string {
	var docs []string
	for _, d := range strings.Split("\n"+b, "\n---") {
		if strings.TrimSpace(d) != "" {
			docs = append(docs, strings.TrimPrefix(d, "\n"))
		}
	}
	return docs
}

func loadCluster(t *testing.T, name, dir string, spec *clusterSpec, idx int, own []topoService) *world {
	w := &world{t: t, name: name, spec: spec, proxies: map[string]*model.Proxy{}}
	var istio []string
	var objs []runtime.Object
	nss := map[string]*corev1.Namespace{}
	decode := kubelib.IstioCodec.UniversalDeserializer().Decode
	ipn := 1
	nextIP := func() string { ipn++; return fmt.Sprintf("10.%d.0.%d", idx+10, ipn) }
	addPod := func(ns, pname string, labels map[string]string, sa string, ip string, ports []corev1.ContainerPort) {
		for _, np := range spec.NoPods {
			if labels["app"] == np {
				return
			}
		}
		if ip == "" {
			ip = nextIP()
		}
		l := map[string]string{"security.istio.io/tlsMode": "istio", "service.istio.io/canonical-name": labels["app"]}
		for k, v := range labels {
			l[k] = v
		}
		if sa == "" {
			sa = "default"
		}
		objs = append(objs, &corev1.Pod{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
			ObjectMeta: metav1.ObjectMeta{Name: pname, Namespace: ns, Labels: l},
			Spec: corev1.PodSpec{
				NodeName: "node", ServiceAccountName: sa,
				Containers: []corev1.Container{{Name: "app", Ports: ports}},
			},
			Status: corev1.PodStatus{
				Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}, HostIP: "10.0.0.1",
				Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			},
		})
		w.pods = append(w.pods, podInfo{ns, pname, ip, l, sa})
	}
	var pods []*corev1.Pod
	podPorts := map[string][]corev1.ContainerPort{}
	w.podPorts = podPorts
	err := filepath.Walk(dir, func(p string, fi os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if fi.IsDir() || (!strings.HasSuffix(p, ".yaml") && !strings.HasSuffix(p, ".yml")) || fi.Name() == "kustomization.yaml" {
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		for _, d := range splitDocs(string(b)) {
			var m map[string]any
			if err := yaml.Unmarshal([]byte(d), &m); err != nil {
				out("  [%s] %s: not YAML: %v", name, p, err)
				continue
			}
			if m == nil {
				continue
			}
			api, _ := m["apiVersion"].(string)
			kind, _ := m["kind"].(string)
			switch {
			case kind == "IstioOperator" || api == "" || strings.HasPrefix(api, "sailoperator.io"):
				loadOperator(w, m)
			case strings.Contains(api, ".istio.io/"):
				istio = append(istio, d)
			default:
				o, _, err := decode([]byte(d), nil, nil)
				if err != nil {
					out("  [%s] skipped %s %s: %v", name, api, kind, err)
					continue
				}
				switch x := o.(type) {
				case *corev1.Namespace:
					nss[x.Name] = x
				case *corev1.Service:
					w.services = append(w.services, x)
				case *corev1.Pod:
					pods = append(pods, x)
				case *appsv1.Deployment:
					w.deployments = append(w.deployments, x)
					var ports []corev1.ContainerPort
					for _, c := range x.Spec.Template.Spec.Containers {
						ports = append(ports, c.Ports...)
					}
					nsn := x.Namespace
					if nsn == "" {
						nsn = "default"
					}
					if x.Spec.Template.Labels["sidecar.istio.io/inject"] == "false" || x.Spec.Template.Annotations["sidecar.istio.io/inject"] == "false" {
						continue
					}
					podPorts[nsn+"/"+x.Name+"-0"] = ports
					addPod(nsn, x.Name+"-0", x.Spec.Template.Labels, x.Spec.Template.Spec.ServiceAccountName, "", ports)
				default:
					objs = append(objs, o)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if spec.Network == "" {
		spec.Network = name
	}
	if spec.GatewayPort == 0 {
		spec.GatewayPort = 15443
	}
	if spec.GatewayNS == "" {
		spec.GatewayNS = "istio-system"
	}
	gatewayService := "istio-eastwestgateway"
	if spec.GatewayAPI {
		spec.GatewayLabels = map[string]string{"gateway.networking.k8s.io/gateway-name": gatewayService, "topology.istio.io/network": spec.Network}
		gatewayService += "-istio"
		istio = append(istio, "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: istio}\nspec: {controllerName: istio.io/gateway-controller}\n")
	}
	if spec.GatewayLabels == nil {
		spec.GatewayLabels = map[string]string{"istio": "eastwestgateway", "app": "istio-eastwestgateway", "topology.istio.io/network": spec.Network}
	}
	for _, p := range pods {
		var ports []corev1.ContainerPort
		for _, c := range p.Spec.Containers {
			ports = append(ports, c.Ports...)
		}
		podPorts[p.Namespace+"/"+p.Name] = ports
		addPod(p.Namespace, p.Name, p.Labels, p.Spec.ServiceAccountName, p.Status.PodIP, ports)
	}
	for _, o := range own { // workloads that come from elsewhere
		var svc *corev1.Service
		for _, x := range w.services {
			if x.Name == o.name && (x.Namespace == o.ns || x.Namespace == "" && o.ns == "default") {
				svc = x
			}
		}
		if svc == nil && len(o.ports) > 0 {
			svc = &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: o.name, Namespace: o.ns}, Spec: corev1.ServiceSpec{Selector: o.selector, Ports: o.ports}}
			w.services = append(w.services, svc)
			out("  [%s] made up: Service %s/%s", name, o.ns, o.name)
		}
		sel := o.selector
		var ports []corev1.ContainerPort
		if svc != nil {
			if len(svc.Spec.Selector) > 0 {
				sel = svc.Spec.Selector
			}
			for _, sp := range svc.Spec.Ports {
				cp := corev1.ContainerPort{ContainerPort: sp.TargetPort.IntVal, Name: sp.TargetPort.StrVal}
				if cp.ContainerPort == 0 {
					cp.ContainerPort = sp.Port
				}
				ports = append(ports, cp)
			}
		}
		found := false
		for _, p := range w.pods {
			found = found || p.ns == o.ns && k8slabels.SelectorFromSet(sel).Matches(k8slabels.Set(p.labels))
		}
		if !found {
			podPorts[o.ns+"/"+o.name+"-0"] = ports
			addPod(o.ns, o.name+"-0", sel, o.sa, "", ports)
			out("  [%s] made up: pod %s/%s-0", name, o.ns, o.name)
		}
	}
	// the system namespace, a node with the locality, the gateway's Service and pod
	if nss["istio-system"] == nil {
		nss["istio-system"] = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "istio-system", Labels: map[string]string{"topology.istio.io/network": spec.Network}}}
	}
	for _, p := range w.pods {
		if nss[p.ns] == nil {
			nss[p.ns] = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.ns}}
		}
	}
	for _, n := range nss {
		objs = append(objs, n)
	}
	region, zone, sub := labelutil.SplitLocalityLabel(spec.Locality)
	nl := map[string]string{}
	if region != "" {
		nl["topology.kubernetes.io/region"] = region
		nl["topology.kubernetes.io/zone"] = zone
		if sub != "" {
			nl["topology.istio.io/subzone"] = sub
		}
	}
	objs = append(objs, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node", Labels: nl}})
	gwIP := fmt.Sprintf("10.%d.255.1", idx+10)
	if len(spec.Gateways) > 0 {
		have := false
		for _, s := range w.services {
			if s.Namespace == spec.GatewayNS && k8slabels.SelectorFromSet(s.Spec.Selector).Matches(k8slabels.Set(spec.GatewayLabels)) && len(s.Spec.Selector) > 0 {
				have = true
			}
		}
		if !have {
			s := &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Name: gatewayService, Namespace: spec.GatewayNS, Labels: spec.GatewayLabels},
				Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Selector: spec.GatewayLabels, Ports: []corev1.ServicePort{
					{Name: "status-port", Port: 15021, TargetPort: intstr.FromInt32(15021)},
					{Name: "tls", Port: int32(spec.GatewayPort), TargetPort: intstr.FromInt32(15443)},
				}},
			}
			for _, g := range spec.Gateways {
				if net.ParseIP(g) != nil {
					s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: g})
				} else {
					s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{Hostname: g})
				}
			}
			w.services = append(w.services, s)
		}
		addPod(spec.GatewayNS, "gateway-0", spec.GatewayLabels, "gateway", gwIP, nil)
	}
	for i, s := range w.services {
		if s.Namespace == "" {
			s.Namespace = "default"
		}
		if s.Spec.ClusterIP == "" && s.Spec.Type != corev1.ServiceTypeExternalName {
			s.Spec.ClusterIP = fmt.Sprintf("10.%d.128.%d", idx+10, i+1)
		}
		for j := range s.Spec.Ports { // what the API server fills in
			if sp := &s.Spec.Ports[j]; sp.TargetPort.Type == intstr.Int && sp.TargetPort.IntVal == 0 {
				sp.TargetPort = intstr.FromInt32(sp.Port)
			}
		}
		objs = append(objs, s)
		if len(s.Spec.Selector) == 0 {
			continue
		}
		es := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: s.Name + "-x", Namespace: s.Namespace, Labels: map[string]string{"kubernetes.io/service-name": s.Name}},
			AddressType: discoveryv1.AddressTypeIPv4,
		}
		ready := true
		for _, p := range w.pods {
			if p.ns != s.Namespace || !k8slabels.SelectorFromSet(s.Spec.Selector).Matches(k8slabels.Set(p.labels)) {
				continue
			}
			node := "node"
			es.Endpoints = append(es.Endpoints, discoveryv1.Endpoint{
				Addresses: []string{p.ip}, NodeName: &node,
				Conditions: discoveryv1.EndpointConditions{Ready: &ready},
				TargetRef:  &corev1.ObjectReference{Kind: "Pod", Name: p.name, Namespace: p.ns},
			})
			if len(es.Ports) == 0 {
				for _, sp := range s.Spec.Ports {
					tp := int32(sp.TargetPort.IntValue())
					if sp.TargetPort.Type == intstr.String {
						tp = 0
						for _, cp := range podPorts[p.ns+"/"+p.name] {
							if cp.Name == sp.TargetPort.StrVal {
								tp = cp.ContainerPort
							}
						}
					}
					if tp == 0 && sp.TargetPort.Type == intstr.Int {
						tp = sp.Port
					}
					if tp == 0 {
						out("  [%s] Service %s/%s: targetPort %v not on pod", name, s.Namespace, s.Name, sp.TargetPort)
						continue
					}
					n, pt := sp.Name, tp
					pr := corev1.ProtocolTCP
					es.Ports = append(es.Ports, discoveryv1.EndpointPort{Name: &n, Port: &pt, Protocol: &pr})
				}
			}
		}
		objs = append(objs, es)
	}

	for i, o := range objs { // the API server gives every object its own UID (istio-remote Gateways are keyed by it)
		if a, err := meta.Accessor(o); err == nil && a.GetUID() == "" {
			a.SetUID(types.UID(fmt.Sprintf("uid-%s-%d", name, i)))
		}
	}
	// validation by Istio
	var cfgs []config.Config
	for _, d := range istio {
		cs, _, err := crd.ParseInputs(d)
		if err != nil {
			out("  [%s] PARSE ERROR: %v", name, err)
			continue
		}
		for _, c := range cs {
			if c.Namespace == "" {
				c.Namespace = "default"
			}
			cfgs = append(cfgs, c)
			if s, ok := collections.PilotGatewayAPI().FindByGroupVersionAliasesKind(c.GroupVersionKind); ok {
				warn, err := s.ValidateConfig(c)
				if warn != nil {
					out("  [%s] VALIDATION WARNING %s %s/%s: %v", name, c.GroupVersionKind.Kind, c.Namespace, c.Name, warn)
				}
				if err != nil {
					out("  [%s] VALIDATION ERROR %s %s/%s: %v", name, c.GroupVersionKind.Kind, c.Namespace, c.Name, err)
				}
			}
		}
	}
	mc := mesh.DefaultMeshConfig()
	if spec.MeshConfig != nil {
		b, _ := yaml.Marshal(spec.MeshConfig)
		mc, err = mesh.ApplyMeshConfigDefaults(string(b))
		if err != nil {
			t.Fatal(err)
		}
	}
	var nw mesh.NetworksWatcher
	if spec.MeshNetworks != nil {
		b, _ := yaml.Marshal(spec.MeshNetworks)
		mn := &meshconfig.MeshNetworks{}
		if err := protomarshal.ApplyYAML(string(b), mn); err != nil {
			t.Fatal(err)
		}
		nw = meshwatcher.NewFixedNetworksWatcher(mn)
	}
	w.f = xds.NewFakeDiscoveryServer(t, xds.FakeOptions{
		DefaultClusterName: istiocluster.ID(name),
		KubernetesObjects:  objs,
		Configs:            cfgs,
		MeshConfig:         mc,
		NetworksWatcher:    nw,
	})
	if len(spec.Gateways) > 0 {
		md := &model.NodeMetadata{
			Labels: spec.GatewayLabels, Network: network.ID(spec.Network), ClusterID: istiocluster.ID(name), Namespace: spec.GatewayNS, IstioVersion: "1.31.0",
		}
		if !spec.NoView {
			md.RequestedNetworkView = []string{spec.Network}
		}
		w.gw = w.setup(&model.Proxy{
			Type: model.Router, IPAddresses: []string{gwIP}, ID: "gateway-0." + spec.GatewayNS, ConfigNamespace: spec.GatewayNS,
			Labels: spec.GatewayLabels, Metadata: md,
		})
	}
	return w
}

// loadOperator takes network and meshConfig from an install file (IstioOperator, Helm values, Sail CR).
func loadOperator(w *world, m map[string]any) {
	get := func(m map[string]any, path ...string) any {
		var v any = m
		for _, p := range path {
			mm, ok := v.(map[string]any)
			if !ok {
				return nil
			}
			v = mm[p]
		}
		return v
	}
	for _, p := range [][]string{{"spec", "values", "global", "network"}, {"global", "network"}} {
		if s, ok := get(m, p...).(string); ok && w.spec.Network == "" {
			w.spec.Network = s
		}
	}
	for _, p := range [][]string{{"spec", "values", "global", "meshNetworks"}, {"global", "meshNetworks"}} {
		if mm, ok := get(m, p...).(map[string]any); ok && w.spec.MeshNetworks == nil {
			w.spec.MeshNetworks = map[string]any{"networks": mm}
		}
	}
	for _, p := range [][]string{{"spec", "meshConfig"}, {"spec", "values", "meshConfig"}, {"meshConfig"}} {
		if mm, ok := get(m, p...).(map[string]any); ok && w.spec.MeshConfig == nil {
			w.spec.MeshConfig = mm
			if s, ok := get(mm, "defaultConfig", "proxyMetadata", "ISTIO_META_DNS_CAPTURE").(string); ok && s == "true" {
				w.spec.DNSCapture = true
			}
			if s, ok := get(mm, "defaultConfig", "proxyMetadata", "ISTIO_DUAL_STACK").(string); ok && s == "true" {
				w.spec.DualStack = true
			}
		}
	}
}

func (w *world) setup(p *model.Proxy) *model.Proxy {
	p.Locality = &core.Locality{}
	if w.spec.Locality != "" {
		p.Locality = util.ConvertLocality(w.spec.Locality)
	}
	p.Metadata.Labels = p.Labels
	p.Labels = labelutil.AugmentLabels(p.Labels, p.Metadata.ClusterID, w.spec.Locality, "node", p.Metadata.Network)
	p.Metadata.DNSCapture = model.StringBool(w.spec.DNSCapture)
	return w.f.SetupProxy(p)
}

func (w *world) sidecar(ns, app string) *model.Proxy {
	key := ns + "/" + app
	if p := w.proxies[key]; p != nil {
		return p
	}
	pi := podInfo{ns: ns, name: app + "-client", ip: "10.200.0.9", labels: map[string]string{"app": app}, sa: app}
	for _, p := range w.pods {
		if p.ns == ns && (p.labels["app"] == app || p.name == app) {
			pi = p
		}
	}
	ips := []string{pi.ip}
	if w.spec.DualStack {
		ips = append(ips, "fd00::9")
	}
	typ := model.SidecarProxy
	if strings.HasPrefix(app, "@") { // an ingress gateway with that label
		typ = model.Router
		kv := strings.SplitN(app[1:], "=", 2)
		pi = podInfo{ns: ns, name: "ingress-0", ip: "10.200.0.8", labels: map[string]string{kv[0]: kv[1]}, sa: "istio-ingressgateway-service-account"}
		ips[0] = pi.ip
	}
	p := w.setup(&model.Proxy{
		Type: typ, IPAddresses: ips, ID: pi.name + "." + ns, ConfigNamespace: ns, Labels: pi.labels,
		Metadata: &model.NodeMetadata{
			Labels: pi.labels, Network: network.ID(w.spec.Network), ClusterID: istiocluster.ID(w.name), Namespace: ns,
			ServiceAccount: pi.sa, IstioVersion: "1.31.0",
		},
	})
	w.proxies[key] = p
	return p
}

type ep struct {
	priority   uint32
	addr       string
	port       int
	weight     uint32
	tlsMode    string
	sni        string
	alpn       []string
	sans       []string
	socket     string
	localityLb string
	client     string // SPIFFE id of the calling proxy
	http       simulation.Protocol
}

func (e ep) String() string {
	return fmt.Sprintf("p%d %s w%d [%s] socket=%s sni=%s alpn=%s san=%s", e.priority, net.JoinHostPort(e.addr, strconv.Itoa(e.port)), e.weight, e.localityLb,
		e.socket, e.sni, strings.Join(e.alpn, ","), strings.Join(e.sans, ","))
}

func tlsOf(t *testing.T, ts *core.TransportSocket, e *ep) {
	if ts == nil {
		return
	}
	c := &tls.UpstreamTlsContext{}
	if ts.GetTypedConfig().MessageIs(c) {
		if err := ts.GetTypedConfig().UnmarshalTo(c); err != nil {
			t.Fatal(err)
		}
		e.sni = c.Sni
		e.alpn = c.GetCommonTlsContext().GetAlpnProtocols()
		for _, s := range c.GetCommonTlsContext().GetCombinedValidationContext().GetDefaultValidationContext().GetMatchSubjectAltNames() {
			e.sans = append(e.sans, s.GetExact())
		}
		e.socket += "(mtls)"
	}
}

func (w *world) endpoints(p *model.Proxy, name string) (*cluster.Cluster, []ep) {
	c := xdstest.ExtractCluster(name, w.f.Clusters(p))
	if c == nil {
		return nil, nil
	}
	var la *endpoint.ClusterLoadAssignment
	if c.GetType() == cluster.Cluster_EDS {
		n := c.GetEdsClusterConfig().GetServiceName()
		if n == "" {
			n = c.Name
		}
		b := endpoints.NewEndpointBuilder(n, p, w.f.PushContext())
		la = b.BuildClusterLoadAssignment(w.f.Discovery.Env.EndpointIndex)
	} else {
		la = c.LoadAssignment
	}
	var eps []ep
	for _, l := range la.GetEndpoints() {
		for _, le := range l.LbEndpoints {
			sa := le.GetEndpoint().GetAddress().GetSocketAddress()
			e := ep{client: w.identity(p.ConfigNamespace, p.Metadata.ServiceAccount), priority: l.Priority, addr: sa.GetAddress(), port: int(sa.GetPortValue()), weight: le.GetLoadBalancingWeight().GetValue(), localityLb: util.LocalityToString(l.Locality)}
			md := le.GetMetadata().GetFilterMetadata()["envoy.transport_socket_match"].GetFields()
			e.tlsMode = md["tlsMode"].GetStringValue()
			e.socket = "raw"
			ts := c.TransportSocket
			if ts != nil {
				e.socket = "cluster"
			}
			for _, m := range c.TransportSocketMatches {
				ok := true
				for k, v := range m.GetMatch().GetFields() {
					if md[k].GetStringValue() != v.GetStringValue() {
						ok = false
					}
				}
				if ok {
					ts = m.TransportSocket
					e.socket = m.Name
					break
				}
			}
			tlsOf(w.t, ts, &e)
			eps = append(eps, e)
		}
	}
	sort.SliceStable(eps, func(i, j int) bool {
		if eps[i].priority != eps[j].priority {
			return eps[i].priority < eps[j].priority
		}
		return eps[i].addr < eps[j].addr
	})
	return c, eps
}

// resolve answers as the caller's resolver would.
func (w *world) resolve(p *model.Proxy, host string) ([]string, string) {
	names := []string{host, host + "." + p.ConfigNamespace + ".svc.cluster.local", host + ".svc.cluster.local", host + ".cluster.local"}
	if net.ParseIP(host) != nil {
		return []string{host}, "literal"
	}
	var nt map[string][]string
	if w.spec.DNSCapture {
		nt = map[string][]string{}
		for k, v := range dnsServer.BuildNameTable(dnsServer.Config{Node: p, Push: w.f.PushContext()}).Table {
			nt[k] = v.Ips
		}
	}
	for _, n := range names {
		if ips := nt[n]; len(ips) > 0 {
			return ips, "name table " + n
		}
		for _, s := range w.services {
			if n == s.Name+"."+s.Namespace+".svc.cluster.local" && s.Spec.ClusterIP != "" {
				return []string{s.Spec.ClusterIP}, "cluster DNS " + n
			}
		}
	}
	return nil, "NXDOMAIN"
}

func (w *world) chainMatch(sni string) string {
	for _, l := range w.f.Listeners(w.gw) {
		for _, fc := range l.FilterChains {
			for _, s := range fc.GetFilterChainMatch().GetServerNames() {
				if s == sni {
					return fmt.Sprintf("sni=%v transport=%s alpn=%v", fc.FilterChainMatch.ServerNames, fc.FilterChainMatch.TransportProtocol, fc.FilterChainMatch.ApplicationProtocols)
				}
			}
		}
	}
	return "none"
}

func (w *world) identity(ns, sa string) string {
	return "spiffe://" + w.f.PushContext().Mesh.GetTrustDomain() + "/ns/" + ns + "/sa/" + sa
}

func contains(l []string, s string) bool {
	for _, x := range l {
		if x == s {
			return true
		}
	}
	return false
}

func (w *world) podByIP(ip string) *podInfo {
	for i := range w.pods {
		if w.pods[i].ip == ip {
			return &w.pods[i]
		}
	}
	return nil
}

// follow says where a connection from a proxy of w to an endpoint ends: "pod <cluster>/<ns>/<name>" or an error.
func (w *world) follow(e ep, proto simulation.Protocol, depth int, ind string) (string, bool) {
	if depth > 4 {
		return "LOOP", false
	}
	for _, o := range w.all {
		for _, g := range o.spec.Gateways {
			if g != e.addr && public[g] != e.addr {
				continue
			}
			if e.port != o.spec.GatewayPort {
				return fmt.Sprintf("gateway %s wrong port %d", o.name, e.port), false
			}
			if len(e.alpn) == 0 && e.sni == "" {
				return "PLAINTEXT to gateway " + o.name, false
			}
			res, ok := "", false
			sim := simulation.NewSimulation(w.t, o.f, o.gw)
			alpns := []string{e.alpn[0]}
			switch proto { // what the istio.alpn filter of the caller sends instead
			case simulation.HTTP:
				alpns = append(alpns, "istio-http/1.1")
			case simulation.HTTP2:
				alpns = append(alpns, "istio-h2")
			}
			var r simulation.Result
			for _, a := range alpns {
				r = sim.Run(simulation.Call{Address: o.gw.IPAddresses[0], Port: 15443, Protocol: simulation.TCP, TLS: simulation.MTLS, Alpn: a, Sni: e.sni, CallMode: simulation.CallModeGateway})
				if r.Error != nil {
					break
				}
			}
			if r.Error != nil {
				return fmt.Sprintf("gateway %s: sni %s alpn %s: %v", o.name, e.sni, e.alpn[0], r.Error), false
			}
			c, eps := o.endpoints(o.gw, r.ClusterMatched)
			if *verbose {
				out("%s  gateway %s: listener %s chain[%s] -> cluster %s", ind, o.name, r.ListenerMatched, o.chainMatch(e.sni), r.ClusterMatched)
			}
			if c == nil {
				return fmt.Sprintf("gateway %s: cluster %q missing (NC reset)", o.name, r.ClusterMatched), false
			}
			if len(eps) == 0 {
				return fmt.Sprintf("gateway %s: cluster %s has no endpoints (UH reset)", o.name, c.Name), false
			}
			ok = true
			for _, g := range eps {
				// the gateway passes TLS through: what the pod sees is the client's handshake
				g2 := g
				g2.sni, g2.alpn, g2.sans, g2.client = e.sni, e.alpn, e.sans, e.client
				if *verbose {
					out("%s    %s", ind, g)
				}
				s, k := o.follow(g2, proto, depth+1, ind+"    ")
				if res == "" || !k {
					res = s
				}
				ok = ok && k
			}
			return res, ok
		}
	}
	if p := w.podByIP(e.addr); p != nil {
		prox := w.sidecar(p.ns, p.name)
		sim := simulation.NewSimulation(w.t, w.f, prox)
		call := simulation.Call{Address: e.addr, Port: e.port, Protocol: proto, CallMode: simulation.CallModeInbound}
		if e.sni != "" || len(e.alpn) > 0 {
			call.TLS = simulation.MTLS
			call.Sni = e.sni
			if id := w.identity(p.ns, p.sa); len(e.sans) > 0 && !contains(e.sans, id) {
				return fmt.Sprintf("pod %s/%s/%s is %s, client wants %v", w.name, p.ns, p.name, id, e.sans), false
			}
			call.CustomListenerValidations = append(call.CustomListenerValidations, func(fc *listener.FilterChain) error {
				d := &tls.DownstreamTlsContext{}
				if fc.GetTransportSocket() == nil || fc.GetTransportSocket().GetTypedConfig().UnmarshalTo(d) != nil {
					return nil
				}
				want := d.GetCommonTlsContext().GetCombinedValidationContext().GetDefaultValidationContext().GetMatchSubjectAltNames()
				var l []string
				for _, m := range want {
					l = append(l, m.GetPrefix())
					if strings.HasPrefix(e.client, m.GetPrefix()) {
						return nil
					}
				}
				if len(l) == 0 {
					return nil
				}
				return fmt.Errorf("server accepts client ids %v only, client is %s", l, e.client)
			})
		}
		r := sim.Run(call)
		if call.TLS == simulation.MTLS && r.Error == nil {
			for _, a := range append([]string{"istio-http/1.1", "istio-h2"}, e.alpn...) { // what an old or new client may send first
				if !strings.HasPrefix(a, "istio") || proto == simulation.TCP && strings.HasPrefix(a, "istio-h") {
					continue
				}
				call.Alpn = a
				if r2 := sim.Run(call); r2.Error != nil {
					return fmt.Sprintf("pod %s/%s/%s inbound with ALPN %s: %v", w.name, p.ns, p.name, a, r2.Error), false
				}
			}
		}
		if *verbose {
			out("%s  pod %s/%s inbound: chain %s -> %s err=%v", ind, p.ns, p.name, r.FilterChainMatched, r.ClusterMatched, r.Error)
		}
		if r.Error != nil {
			return fmt.Sprintf("pod %s/%s/%s inbound: %v", w.name, p.ns, p.name, r.Error), false
		}
		ports := w.podPorts[p.ns+"/"+p.name]
		declared := len(ports) == 0 && !strings.HasPrefix(r.ClusterMatched, "InboundPassthrough")
		for _, cp := range ports {
			declared = declared || int(cp.ContainerPort) == e.port
		}
		if !declared {
			return fmt.Sprintf("pod %s/%s/%s has no container port %d (inbound cluster %s)", w.name, p.ns, p.name, e.port, r.ClusterMatched), false
		}
		return fmt.Sprintf("pod %s/%s/%s:%d", w.name, p.ns, p.name, e.port), true
	}
	for _, s := range w.services {
		if e.addr == s.Name+"."+s.Namespace+".svc.cluster.local" || e.addr == s.Spec.ClusterIP {
			for _, sp := range s.Spec.Ports {
				if int(sp.Port) != e.port {
					continue
				}
				for _, p := range w.pods {
					if p.ns == s.Namespace && k8slabels.SelectorFromSet(s.Spec.Selector).Matches(k8slabels.Set(p.labels)) {
						e2 := e
						e2.addr = p.ip
						e2.port = int(sp.TargetPort.IntVal)
						if e2.port == 0 {
							e2.port = int(sp.Port)
						}
						return w.follow(e2, proto, depth+1, ind)
					}
				}
			}
		}
	}
	return fmt.Sprintf("nothing at %s:%d", e.addr, e.port), false
}

func protoOf(s string) simulation.Protocol {
	switch strings.ToLower(s) {
	case "grpc", "http2":
		return simulation.HTTP2
	case "http", "":
		return simulation.HTTP
	}
	return simulation.TCP
}

func (w *world) call(c callSpec, p *model.Proxy) (string, bool) {
	ips, how := []string{"10.200.0.8"}, "ingress"
	mode, header := simulation.CallModeGateway, c.Host
	if p.Type == model.SidecarProxy {
		ips, how = w.resolve(p, c.Host)
		mode, header = simulation.CallModeOutbound, fmt.Sprintf("%s:%d", c.Host, c.Port)
	}
	if len(ips) == 0 {
		return "name does not resolve", false
	}
	proto := protoOf(c.Protocol)
	var verdicts []string
	allok := true
	for _, ip := range ips {
		sim := simulation.NewSimulation(w.t, w.f, p)
		r := sim.Run(simulation.Call{
			Address: ip, Port: c.Port, Protocol: proto, Path: c.Path, CallMode: mode, HostHeader: header,
		})
		if *verbose {
			out("  %s -> %s; listener %s chain %s vhost %q route %q cluster %q %v", how, ip, r.ListenerMatched, r.FilterChainMatched, r.VirtualHostMatched, r.RouteMatched, r.ClusterMatched, r.Weighted)
		}
		if r.Error != nil {
			return fmt.Sprintf("sidecar: %v", r.Error), false
		}
		if strings.Contains(ip, ":") && strings.HasPrefix(r.ListenerMatched, "0.0.0.0") {
			l := xdstest.ExtractListener(r.ListenerMatched, w.f.Listeners(p))
			v6 := false
			if *verbose {
				out("    listener %s addresses %v + %v", l.GetName(), l.GetAddress().GetSocketAddress().GetAddress(), l.GetAdditionalAddresses())
			}
			for _, a := range l.GetAdditionalAddresses() {
				v6 = v6 || a.GetAddress().GetSocketAddress().GetAddress() == "::"
			}
			if !v6 {
				verdicts = append(verdicts, ip+": IPv6 not on listener "+r.ListenerMatched)
				allok = false
			}
		}
		names := []string{r.ClusterMatched}
		if len(r.Weighted) > 0 {
			names = nil
			for _, x := range r.Weighted {
				names = append(names, strings.SplitN(x, " ", 2)[1])
			}
		}
		for _, n := range names {
			if n == util.PassthroughCluster || n == util.BlackHoleCluster {
				verdicts = append(verdicts, n)
				allok = false
				continue
			}
			cl, eps := w.endpoints(p, n)
			if cl == nil {
				verdicts = append(verdicts, "cluster missing "+n)
				allok = false
				continue
			}
			if *verbose {
				out("  cluster %s type=%v outlier=%v localityWeighted=%v", n, cl.GetType(), cl.OutlierDetection != nil, cl.GetCommonLbConfig().GetLocalityWeightedLbConfig() != nil)
			}
			if len(eps) == 0 {
				verdicts = append(verdicts, n+": no endpoints")
				allok = false
			}
			tiers := map[uint32]map[string]bool{}
			for _, e := range eps {
				if *verbose {
					out("    %s", e)
				}
				s, ok := w.follow(e, proto, 0, "    ")
				if *verbose {
					out("      => %v %s", ok, s)
				}
				if tiers[e.priority] == nil {
					tiers[e.priority] = map[string]bool{}
				}
				where := "FAIL(" + s + ")"
				if ok {
					where = strings.SplitN(strings.TrimPrefix(s, "pod "), "/", 2)[0]
				} else {
					allok = false
				}
				tiers[e.priority][where] = true
			}
			var parts []string
			for i := uint32(0); int(i) < len(tiers); i++ {
				var ks []string
				for k := range tiers[i] {
					ks = append(ks, k)
				}
				sort.Strings(ks)
				parts = append(parts, strings.Join(ks, "+"))
			}
			v := strings.Join(parts, ">")
			if len(names) > 1 {
				v = n + "=" + v
			}
			verdicts = append(verdicts, v)
		}
	}
	return strings.Join(dedup(verdicts), " ; "), allok
}

func (w *world) safeCall(c callSpec, p *model.Proxy) (v string, ok bool) {
	defer func() {
		if r := recover(); r != nil {
			st := strings.Split(string(debug.Stack()), "\n")
			for _, l := range st {
				if strings.Contains(l, "istio.io/istio/pilot/pkg/networking") || strings.Contains(l, "istio.io/istio/pilot/pkg/xds/") {
					out("    %s", l)
				}
			}
			v, ok = fmt.Sprintf("ISTIOD PANIC %v", r), false
		}
	}()
	return w.call(c, p)
}

func dedup(a []string) []string {
	var o []string
	seen := map[string]bool{}
	for _, s := range a {
		if !seen[s] {
			seen[s] = true
			o = append(o, s)
		}
	}
	return o
}

// fromTopology reads what the harness needs of meshlatch's topology.yaml: the file beside the output directory (or -topology).
func fromTopology(t *testing.T, dir string) fileSpec {
	p := *topoFile
	if p == "" {
		p = filepath.Join(filepath.Dir(filepath.Clean(dir)), "topology.yaml")
	}
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatalf("neither calls.yaml nor a topology: %v", err)
	}
	var topo struct {
		Mesh     map[string]any            `json:"mesh"`
		Clusters map[string]map[string]any `json:"clusters"`
		Services map[string]map[string]any `json:"services"`
	}
	if err := yaml.Unmarshal(b, &topo); err != nil {
		t.Fatal(err)
	}
	fs := fileSpec{Clusters: map[string]*clusterSpec{}}
	for n, c := range topo.Clusters {
		s := &clusterSpec{}
		var add func(v any)
		add = func(v any) {
			switch x := v.(type) {
			case string:
				s.Gateways = append(s.Gateways, x)
			case []any:
				for _, y := range x {
					add(y)
				}
			case map[string]any:
				add(x["address"])
				if from, ok := x["from"].(map[string]any); ok { // other addresses of the same gateway
					for _, y := range from {
						add(y)
					}
				}
				s.GatewayAPI = x["api"] == "gateway-api"
				for _, k := range []string{"port", "nodePort"} {
					if f, ok := x[k].(float64); ok {
						s.GatewayPort = int(f)
					}
				}
			}
		}
		add(c["gateway"])
		s.Locality, _ = c["locality"].(string)
		if st, err := os.Stat(filepath.Join(dir, n)); err == nil && st.IsDir() {
			fs.Clusters[n] = s
		}
		for _, g := range s.Gateways { // what public DNS says of a name
			if net.ParseIP(g) == nil {
				if fs.DNS == nil {
					fs.DNS = map[string]string{}
				}
				fs.DNS[g] = fmt.Sprintf("192.0.2.%d", len(fs.DNS)+1)
			}
		}
	}
	fs.suffix = "global"
	if x, ok := topo.Mesh["suffix"].(string); ok {
		fs.suffix = x
	}
	for key, m := range topo.Services {
		str := func(k, def string) string {
			if x, ok := m[k].(string); ok {
				return x
			}
			return def
		}
		ts := topoService{key: key, name: str("name", key), ns: str("namespace", "default"), clusters: nameList(m["clusters"], "")}
		ts.balance = m["balance"]
		ts.sa = str("serviceAccount", ts.name)
		ts.calls = nameList(m["calls"], "service")
		ts.selector = map[string]string{"app": ts.name}
		if sel, ok := m["selector"].(map[string]any); ok {
			ts.selector = map[string]string{}
			for k, v := range sel {
				ts.selector[k] = fmt.Sprint(v)
			}
		}
		if ps, ok := m["ports"].(map[string]any); ok {
			for n, v := range ps {
				if x, ok := v.(map[string]any); ok {
					v = x["port"]
				}
				parts := strings.SplitN(fmt.Sprint(v), ":", 2)
				a, _ := strconv.Atoi(parts[0])
				b := a
				if len(parts) == 2 {
					b, _ = strconv.Atoi(parts[1])
				}
				ts.ports = append(ts.ports, corev1.ServicePort{Name: n, Port: int32(a), TargetPort: intstr.FromInt(b)})
			}
		}
		fs.services = append(fs.services, ts)
	}
	sort.Slice(fs.services, func(i, j int) bool { return fs.services[i].key < fs.services[j].key })
	return fs
}

// nameList reads "a", [a, b], [{service: a}], {service: a} or {a: ..., b: ...}.
func nameList(v any, field string) []string {
	switch x := v.(type) {
	case string:
		return []string{x}
	case []any:
		var l []string
		for _, y := range x {
			l = append(l, nameList(y, field)...)
		}
		return l
	case map[string]any:
		if n, ok := x[field].(string); ok && field != "" {
			return []string{n}
		}
		var l []string
		for k := range x {
			l = append(l, k)
		}
		sort.Strings(l)
		return l
	}
	return nil
}

// callsOfTopology makes the calls that topology.yaml declares and no Deployment of the tree shows.
func (w *world) callsOfTopology(fs fileSpec, have []callSpec) []callSpec {
	byKey := map[string]topoService{}
	for _, s := range fs.services {
		byKey[s.key] = s
	}
	known := map[string]bool{}
	for _, s := range w.f.Env().ServiceDiscovery.Services() {
		known[string(s.Hostname)] = true
	}
	var cs []callSpec
	for _, s := range fs.services {
		if !contains(s.clusters, w.name) {
			continue
		}
		for _, k := range s.calls {
			callee, ok := byKey[k]
			if !ok {
				continue
			}
			for _, port := range callee.ports {
				hosts := []string{callee.name + "." + callee.ns + ".svc.cluster.local", callee.name + "." + callee.ns + "." + fs.suffix}
				host := hosts[0]
				if !known[host] || !contains(callee.clusters, w.name) && known[hosts[1]] {
					host = hosts[1]
				}
				from := w.name + "/" + s.ns + "/" + s.name
				shown := false
				for _, h := range have {
					if h.Port == int(port.Port) && strings.HasPrefix(h.From, from) && contains(h.owners, callee.clusters[0]) {
						shown = true
					}
				}
				if !shown {
					cs = append(cs, callSpec{From: from, Host: host, Port: int(port.Port), Protocol: w.protocolOf(host, s.ns, int(port.Port)), owners: callee.clusters})
				}
			}
		}
	}
	return cs
}

// expected says who answers a call, as the topology's balance means it: tiers with ">" between, and
// "+" within one. It is empty where something else decides: localities, or shares.
func expected(fs fileSpec, host, caller string) string {
	for _, s := range fs.services {
		if host != s.name+"."+s.ns+"."+fs.suffix && host != s.name+"."+s.ns+".svc.cluster.local" {
			continue
		}
		runs := contains(s.clusters, caller)
		all := append([]string{}, s.clusters...)
		sort.Strings(all)
		order := s.clusters
		word, _ := s.balance.(string)
		if m, ok := s.balance.(map[string]any); ok {
			if m["weights"] != nil {
				return ""
			}
			word, order = "failover", nameList(m["failover"], "")
		}
		switch word {
		case "", "failover":
			var tiers []string
			if runs {
				tiers = append(tiers, caller)
			}
			for _, o := range order {
				if o != caller {
					tiers = append(tiers, o)
				}
			}
			return strings.Join(tiers, ">")
		case "local":
			if runs {
				return caller
			}
			return strings.Join(all, "+")
		case "network":
			if !runs {
				return strings.Join(all, "+")
			}
			var others []string
			for _, o := range all {
				if o != caller {
					others = append(others, o)
				}
			}
			return strings.Join(append([]string{caller}, strings.Join(others, "+")), ">")
		case "spread":
			return strings.Join(all, "+")
		}
	}
	return ""
}

// ownersOf finds the clusters of the topology's service behind a name.
func ownersOf(fs fileSpec, host, ns string) []string {
	for _, s := range fs.services {
		for _, n := range []string{s.name + "." + s.ns + "." + fs.suffix, s.name + "." + s.ns + ".svc.cluster.local", s.name + "." + s.ns + ".svc", s.name + "." + s.ns} {
			if host == n {
				return s.clusters
			}
		}
		if host == s.name && ns == s.ns {
			return s.clusters
		}
	}
	return nil
}

var hostPort = regexp.MustCompile(`^(?:[a-z]+://)?([a-z0-9][a-z0-9.-]*[a-z][a-z0-9.-]*):([0-9]+)(?:/.*)?$`)

// callsFromEnv makes a call of every "host:port" in the environment of the cluster's Deployments.
func (w *world) callsFromEnv(suffix string) []callSpec {
	var cs []callSpec
	for _, d := range w.deployments {
		ns := d.Namespace
		if ns == "" {
			ns = "default"
		}
		for _, c := range d.Spec.Template.Spec.Containers {
			for _, e := range c.Env {
				m := hostPort.FindStringSubmatch(e.Value)
				if m == nil {
					continue
				}
				if !strings.HasSuffix(m[1], ".svc.cluster.local") && !strings.HasSuffix(m[1], "."+suffix) {
					continue // an address that is not of the mesh
				}
				port, _ := strconv.Atoi(m[2])
				cs = append(cs, callSpec{From: w.name + "/" + ns + "/" + d.Name + "-0", Host: m[1], Port: port, Protocol: w.protocolOf(m[1], ns, port)})
			}
		}
	}
	return cs
}

// protocolOf asks the push context which protocol the caller's cluster gives the port.
func (w *world) protocolOf(host, ns string, port int) string {
	for _, s := range w.f.Env().ServiceDiscovery.Services() {
		for _, n := range []string{host, host + "." + ns + ".svc.cluster.local", host + ".svc.cluster.local", host + ".cluster.local"} {
			if string(s.Hostname) != n {
				continue
			}
			if p, ok := s.Ports.GetByPort(port); ok {
				switch {
				case p.Protocol.IsHTTP2():
					return "grpc"
				case p.Protocol.IsHTTP():
					return "http"
				case p.Protocol == protocol.Unsupported:
					return "http"
				}
				return "tcp"
			}
		}
	}
	return "http"
}

// squeezed names each cluster once where the gateways of one follow one another.
func squeezed(v string) string {
	var tiers []string
	for _, tier := range strings.Split(v, ">") {
		if len(tiers) == 0 || tiers[len(tiers)-1] != tier {
			tiers = append(tiers, tier)
		}
	}
	return strings.Join(tiers, ">")
}

func TestBundle(t *testing.T) {
	if *dirFlag == "" {
		t.Skip("no -bundle")
	}
	for _, dir := range strings.Split(*dirFlag, ",") {
		t.Run(filepath.Base(dir), func(t *testing.T) { runBundle(t, dir) })
	}
}

func runBundle(t *testing.T, dir string) {
	cf := *callFile
	if cf == "" {
		cf = filepath.Join(dir, "calls.yaml")
	}
	var fs fileSpec
	auto := false
	if b, err := os.ReadFile(cf); err == nil {
		if err := yaml.UnmarshalStrict(b, &fs); err != nil {
			t.Fatal(err)
		}
		auto = len(fs.Calls) == 0
	} else {
		fs = fromTopology(t, dir)
		auto = true
	}
	out("\n######## %s", dir)
	if len(fs.DNS) > 0 {
		serveDNS(t, fs.DNS)
	}
	public = fs.DNS
	all := map[string]*world{}
	var names []string
	for n := range fs.Clusters {
		names = append(names, n)
	}
	sort.Strings(names)
	for i, n := range names {
		var own []topoService
		for _, s := range fs.services {
			if contains(s.clusters, n) {
				own = append(own, s)
			}
		}
		all[n] = loadCluster(t, n, filepath.Join(dir, n), fs.Clusters[n], i, own)
	}
	for _, w := range all {
		w.all = all
	}
	if auto {
		for _, n := range names {
			cs := all[n].callsFromEnv(fs.suffix)
			for i := range cs {
				cs[i].owners = ownersOf(fs, cs[i].Host, strings.Split(cs[i].From, "/")[1])
				cs[i].Expect = expected(fs, cs[i].Host, n)
			}
			fs.Calls = append(fs.Calls, cs...)
			fs.Calls = append(fs.Calls, all[n].callsOfTopology(fs, cs)...)
		}
	}
	for _, c := range fs.Calls {
		parts := strings.SplitN(c.From, "/", 3)
		w := all[parts[0]]
		if w == nil {
			t.Errorf("no cluster %q", parts[0])
			continue
		}
		out("\nCALL %s -> %s:%d %s", c.From, c.Host, c.Port, c.Protocol)
		var p *model.Proxy
		if parts[1] == "@gateway" {
			p = w.gw
			n := c.Host
			func() {
				defer func() {
					if r := recover(); r != nil {
						if c.Expect == "panic" {
							out("RESULT OK   %s gateway %s : ISTIOD PANIC %v", w.name, n, r)
							return
						}
						t.Errorf("ISTIOD PANIC for the gateway of %s: %v", w.name, r)
						out("RESULT BAD  %s gateway %s : ISTIOD PANIC %v", w.name, n, r)
					}
				}()
				cl, eps := w.endpoints(p, n)
				var r []string
				for _, e := range eps {
					out("    %s", e)
					r = append(r, net.JoinHostPort(e.addr, strconv.Itoa(e.port)))
				}
				out("RESULT INFO %s gateway cluster %s exists=%v type=%v endpoints %v", w.name, n, cl != nil, cl.GetType(), r)
			}()
			continue
		}
		p = w.sidecar(parts[1], parts[2])
		v, ok := w.safeCall(c, p)
		got := v
		if !ok && !strings.Contains(v, "FAIL") {
			got = "none: " + v
		}
		mark := "OK  "
		if c.Expect != "" && squeezed(v) == c.Expect {
			v = c.Expect // several gateways of one cluster, one after the other
		}
		if (c.Expect != "" && c.Expect != v && !(c.Expect == "none" && !ok)) || (c.Expect == "" && !ok) {
			mark = "BAD "
			t.Errorf("%s -> %s:%d: got %q want %q", c.From, c.Host, c.Port, got, c.Expect)
		}
		if ok && len(c.owners) > 0 {
			missing := []string{}
			reached := regexp.MustCompile(`[>+=; ]+`).Split(v, -1)
			for _, r := range reached {
				if all[r] != nil && !contains(c.owners, r) {
					mark = "BAD "
					t.Errorf("%s -> %s:%d reaches %s, which does not run the service", c.From, c.Host, c.Port, r)
				}
			}
			for _, o := range c.owners {
				if !contains(reached, o) {
					missing = append(missing, o)
				}
			}
			if len(missing) > 0 {
				got += fmt.Sprintf("   (also run by %v, not used)", missing)
			}
		}
		out("RESULT %s %s -> %s:%d : %s", mark, c.From, c.Host, c.Port, got)
	}
	if *dump != "" {
		for _, n := range names {
			w := all[n]
			ps := map[string]*model.Proxy{}
			for k, p := range w.proxies {
				ps[k] = p
			}
			if w.gw != nil {
				ps["@gateway"] = w.gw
			}
			for k, p := range ps {
				for _, c := range w.f.Clusters(p) {
					if strings.Contains(c.Name, *dump) {
						out("DUMP %s %s cluster %s", n, k, xdstest.Dump(t, c))
					}
				}
				for _, l := range w.f.Listeners(p) {
					for _, fc := range l.FilterChains {
						if strings.Contains(fc.Name, *dump) {
							out("DUMP %s %s listener %s match %s", n, k, l.Name, xdstest.Dump(t, fc.FilterChainMatch))
							if *dumpFull {
								out("%s", xdstest.Dump(t, fc))
							}
						}
					}
				}
			}
		}
	}
}
