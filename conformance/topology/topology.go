// What a topology means for calls: a reader of its own, which shares nothing with the compiler.
package topology

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// Topology is the whole file.
type Topology struct {
	Mesh struct {
		Suffix        string `json:"suffix"`
		TrustDomain   string `json:"trustDomain"`
		Names         string `json:"names"`
		Authorization string `json:"authorization"`
		Outbound      string `json:"outbound"`
	} `json:"mesh"`
	Clusters  map[string]*Cluster  `json:"clusters"`
	Services  map[string]*Service  `json:"services"`
	Externals map[string]*External `json:"externals"`
	Ingress   map[string]*Ingress  `json:"ingress"`
	Moving    *Moving              `json:"moving"`
}

// Cluster is one cluster.
type Cluster struct {
	Istio       string  `json:"istio"`
	Install     string  `json:"install"`
	Kubernetes  string  `json:"kubernetes"`
	Network     string  `json:"network"`
	TrustDomain string  `json:"trustDomain"`
	Locality    string  `json:"locality"`
	Gateway     Gateway `json:"gateway"`
	Ranges      struct {
		Pods     Names `json:"pods"`
		Services Names `json:"services"`
	} `json:"ranges"`
	DNS     any `json:"dns"` // as written
	Ingress struct {
		Selector       map[string]string `json:"selector"`
		Namespace      string            `json:"namespace"`
		ServiceAccount string            `json:"serviceAccount"`
	} `json:"ingress"`
}

// Gateway is where other clusters reach a cluster.
type Gateway struct {
	Address  Names            `json:"address"`
	From     map[string]Names `json:"from"`
	Balance  string           `json:"balance"`
	API      string           `json:"api"`
	Port     int              `json:"port"`
	NodePort int              `json:"nodePort"`
}

// Service is one service of the mesh.
type Service struct {
	Key            string            `json:"-"`
	Name           string            `json:"name"`
	Namespace      string            `json:"namespace"`
	Clusters       Names             `json:"clusters"`
	Ports          map[string]Port   `json:"ports"`
	ServiceAccount string            `json:"serviceAccount"`
	Labels         map[string]string `json:"labels"`
	Selector       map[string]string `json:"selector"`
	Calls          Calls             `json:"calls"`
	Names          string            `json:"names"`
	Balance        Balance           `json:"balance"`
	Workload       any               `json:"workload"` // as written
	HasWorkload    bool              `json:"-"`        // the bundles bring its pods; else they come from elsewhere
	Elsewhere      bool              `json:"-"`        // its Service comes from elsewhere, too
	Image          string            `json:"-"`        // of the workload
}

// External is a host outside the mesh, with those who call it.
type External struct {
	Hosts     Names           `json:"hosts"`
	Addresses Names           `json:"addresses"`
	Ports     map[string]Port `json:"ports"`
	Callers   Names           `json:"callers"`
}

// Ingress is what can be reached from outside.
type Ingress struct {
	Service  string `json:"service"`
	Port     any    `json:"port"`
	Clusters Names  `json:"clusters"`
	Hosts    Names  `json:"hosts"`
	Listen   int    `json:"listen"`
	TLS      *struct {
		Credential string `json:"credentialName"`
		Redirect   bool   `json:"redirect"`
	} `json:"tls"`
	Paths Names `json:"paths"`
}

// Moving is a service on its way from some clusters to others.
type Moving struct {
	Service string `json:"service"`
	Phase   string `json:"phase"`
	Before  struct {
		Clusters Names   `json:"clusters"`
		Balance  Balance `json:"balance"`
	} `json:"before"`
}

// Names is a list of words that may be a single one.
type Names []string

// UnmarshalJSON reads a word or a list of words.
func (n *Names) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*n = Names{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(n))
}

// Or are the names, or one if there are none.
func (n Names) Or(one string) Names {
	if len(n) == 0 {
		return Names{one}
	}
	return n
}

// UnmarshalJSON reads addresses, or a map that has them.
func (g *Gateway) UnmarshalJSON(b []byte) error {
	type plain Gateway
	if b[0] == '{' {
		return json.Unmarshal(b, (*plain)(g))
	}
	return json.Unmarshal(b, &g.Address)
}

// Port is a number, and that of the container or its name.
type Port struct {
	Number   int
	Target   string
	Protocol string // as written; see ProtocolOf
}

// UnmarshalJSON reads `80`, `80:8080` or a map.
func (p *Port) UnmarshalJSON(b []byte) error {
	if b[0] == '{' {
		var m struct {
			Port       int    `json:"port"`
			TargetPort any    `json:"targetPort"`
			Protocol   string `json:"protocol"`
		}
		if err := json.Unmarshal(b, &m); err != nil {
			return err
		}
		*p = Port{m.Port, fmt.Sprint(m.TargetPort), m.Protocol}
		if m.TargetPort == nil {
			p.Target = strconv.Itoa(m.Port)
		}
		return nil
	}
	number, target, found := strings.Cut(strings.Trim(string(b), `"`), ":")
	if !found {
		target = number
	}
	n, err := strconv.Atoi(number)
	*p = Port{Number: n, Target: target}
	return err
}

var protocols = []string{"HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS", "TLS", "TCP", "UDP", "MONGO", "MYSQL", "REDIS"}

// ProtocolOf is what is spoken on a port, by its own word or by the beginning of its name, in upper
// case; nothing if neither says it.
func ProtocolOf(name string, p Port) string {
	word := strings.ToUpper(p.Protocol)
	if word == "" {
		name = strings.ToUpper(name)
		word, _, _ = strings.Cut(name, "-")
		if name == "GRPC-WEB" || strings.HasPrefix(name, "GRPC-WEB-") {
			word = "GRPC-WEB"
		}
	}
	if !slices.Contains(protocols, word) {
		return ""
	}
	return word
}

// Call is a declared call to a service, and the variables that carry its address.
type Call struct {
	Service string
	Port    any
	Env     string            // the variable that holds `host:port`, if it is only named
	Forms   map[string]string // else what each variable holds, as `http://{host}:{port}`
}

// UnmarshalJSON reads `service`, `service:port` or a map.
func (c *Call) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		var word string
		_ = json.Unmarshal(b, &word)
		name, at, found := strings.Cut(word, ":")
		c.Service = name
		if found {
			c.Port = at
		}
		return nil
	}
	var m struct {
		Service string `json:"service"`
		Port    any    `json:"port"`
		Env     any    `json:"env"`
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	*c = Call{Service: m.Service, Port: m.Port}
	switch env := m.Env.(type) {
	case nil:
	case map[string]any:
		c.Forms = map[string]string{}
		for name, form := range env {
			c.Forms[name] = fmt.Sprint(form)
		}
	default:
		c.Env = fmt.Sprint(env)
	}
	return nil
}

// Calls is a list of calls that may be a single one.
type Calls []Call

// UnmarshalJSON reads a call or a list of calls.
func (c *Calls) UnmarshalJSON(b []byte) error {
	if b[0] == '[' {
		return json.Unmarshal(b, (*[]Call)(c))
	}
	*c = make(Calls, 1)
	return json.Unmarshal(b, &(*c)[0])
}

// Balance says how calls are shared between the clusters that run a service.
type Balance struct {
	Word    string
	Order   Names
	Weights map[string]int
}

// UnmarshalJSON reads a word, or a map with an order or with weights.
func (l *Balance) UnmarshalJSON(b []byte) error {
	if b[0] != '{' {
		return json.Unmarshal(b, &l.Word)
	}
	var m struct {
		Failover Names          `json:"failover"`
		Weights  map[string]int `json:"weights"`
	}
	err := json.Unmarshal(b, &m)
	*l = Balance{"failover", m.Failover, m.Weights}
	return err
}

// Read reads a file, and fills in what holds where nothing is written.
func Read(path string) (*Topology, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t := &Topology{}
	if err := yaml.Unmarshal(text, t); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	or := func(s *string, otherwise string) {
		if *s == "" {
			*s = otherwise
		}
	}
	or(&t.Mesh.Suffix, "global")
	or(&t.Mesh.TrustDomain, "cluster.local")
	for name, c := range t.Clusters {
		or(&c.Install, "istioctl")
		or(&c.Network, name)
		or(&c.TrustDomain, t.Mesh.TrustDomain)
		or(&c.Ingress.Namespace, "istio-system")
		if c.Gateway.Port == 0 {
			c.Gateway.Port = 15443
		}
	}
	for key, s := range t.Services {
		s.Key = key
		or(&s.Name, key)
		or(&s.Namespace, "default")
		or(&s.Names, t.Mesh.Names)
		or(&s.Balance.Word, "failover")
		if s.Selector == nil {
			s.Selector = map[string]string{"app": s.Name}
		}
		s.Elsewhere = s.Workload == "elsewhere"
		s.Image, s.HasWorkload = imageOf(s.Workload)
		if s.HasWorkload {
			or(&s.ServiceAccount, s.Name)
		}
		or(&s.ServiceAccount, "default")
	}
	if t.Moving != nil {
		or(&t.Moving.Before.Balance.Word, "failover")
	}
	return t, nil
}

// imageOf is the image of a workload, if there is a workload.
func imageOf(workload any) (string, bool) {
	fields, is := workload.(map[string]any)
	container, _ := fields["container"].(map[string]any)
	for _, it := range []any{fields["image"], container["image"]} {
		if image, written := it.(string); written {
			return image, is
		}
	}
	return "", is
}

// Server is the address of the cluster's own DNS server for the mesh, if the topology says one.
func (c *Cluster) Server() netip.Addr {
	written, _ := c.DNS.(map[string]any)
	text, _ := written["address"].(string)
	address, _ := netip.ParseAddr(text)
	return address
}

// Listening is the ports at which a cluster's gateway serves the outside; none where it serves nothing.
func (t *Topology) Listening(cluster string) []int {
	var numbers []int
	for _, key := range Keys(t.Ingress) {
		i := t.Ingress[key]
		if !slices.Contains(t.Serving(i), cluster) {
			continue
		}
		numbers = append(numbers, 80, 443)
		if i.Listen != 0 {
			numbers = append(numbers, i.Listen)
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// Unprivileged is the port at which a gateway's pod listens for one of its Service.
func Unprivileged(port int) int {
	if port < 1024 {
		return port + 8000
	}
	return port
}

var oldLine = regexp.MustCompile(`^1\.[4-8]\.`)

// Old names a cluster whose Istio is too old for today's control plane.
func (t *Topology) Old() string {
	for _, name := range Keys(t.Clusters) {
		if oldLine.MatchString(t.Clusters[name].Istio) {
			return name
		}
	}
	return ""
}

// Placement says where calls to a service go: while it moves, the old way until it is switched.
func (t *Topology) Placement(s *Service) (Names, Balance) {
	if m := t.Moving; m != nil && m.Service == s.Key && (m.Phase == "prepare" || m.Phase == "open") {
		return m.Before.Clusters, m.Before.Balance
	}
	return s.Clusters, s.Balance
}

// Hosted are the clusters that have pods of the service: while it moves, at first those of before, at
// last those of after, and both in between.
func (t *Topology) Hosted(s *Service) Names {
	m := t.Moving
	if m == nil || m.Service != s.Key || m.Phase == "release" {
		return s.Clusters
	}
	if m.Phase == "prepare" {
		return m.Before.Clusters
	}
	all := slices.Clone(s.Clusters)
	for _, c := range m.Before.Clusters {
		if !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return all
}

// Answer is who answers a call: tiers of clusters, each for when nobody of the one before is left, or
// shares in percent.
type Answer struct {
	Tiers  [][]string
	Shares map[string]int
}

// String writes `west>east` for one after the other, `east+west` for both alike, and shares in percent.
func (a Answer) String() string {
	var parts []string
	if a.Shares != nil {
		for _, name := range Keys(a.Shares) {
			parts = append(parts, fmt.Sprintf("%d%% %s", a.Shares[name], name))
		}
		return strings.Join(parts, ", ")
	}
	for _, tier := range a.Tiers {
		parts = append(parts, strings.Join(tier, "+"))
	}
	return strings.Join(parts, ">")
}

// Clusters are all that may answer.
func (a Answer) Clusters() []string {
	if a.Shares != nil {
		return Keys(a.Shares)
	}
	return slices.Concat(a.Tiers...)
}

// First are the clusters that answer while everybody lives.
func (a Answer) First() []string {
	if a.Shares != nil {
		return a.Clusters()
	}
	return a.Tiers[0]
}

// Without is the answer when a cluster has nobody left.
func (a Answer) Without(cluster string) Answer {
	var rest Answer
	for _, tier := range a.Tiers {
		tier = slices.DeleteFunc(slices.Clone(tier), func(it string) bool { return it == cluster })
		if len(tier) > 0 {
			rest.Tiers = append(rest.Tiers, tier)
		}
	}
	return rest
}

// Answers says who answers the calls to a service from one cluster, as its `balance` means it.
func (t *Topology) Answers(s *Service, caller string) Answer {
	clusters, balance := t.Placement(s)
	all := slices.Sorted(slices.Values(clusters))
	if balance.Weights != nil {
		shares := map[string]int{}
		for name, weight := range balance.Weights {
			if weight > 0 {
				shares[name] = weight
			}
		}
		if len(shares) > 1 {
			return Answer{Shares: shares}
		}
		return Answer{Tiers: [][]string{Keys(shares)}}
	}
	own := slices.Contains(clusters, caller)
	switch balance.Word {
	case "spread":
		return Answer{Tiers: [][]string{all}}
	case "local":
		if own {
			return Answer{Tiers: [][]string{{caller}}}
		}
		return Answer{Tiers: [][]string{all}}
	case "network":
		tiers := Answer{Tiers: [][]string{{caller}, all}}
		if !own {
			return Answer{Tiers: [][]string{all}}
		}
		tiers.Tiers[1] = slices.DeleteFunc(all, func(it string) bool { return it == caller })
		return tiers
	case "locality":
		return t.nearest(all, caller)
	}
	order := balance.Order
	if order == nil {
		order = clusters
	}
	var tiers Answer
	if own {
		tiers.Tiers = append(tiers.Tiers, []string{caller})
	}
	for _, name := range order {
		if name != caller {
			tiers.Tiers = append(tiers.Tiers, []string{name})
		}
	}
	return tiers
}

func (t *Topology) nearest(clusters []string, caller string) Answer {
	here := strings.Split(t.Clusters[caller].Locality, "/")
	byDepth := map[int][]string{}
	for _, name := range clusters {
		there := strings.Split(t.Clusters[name].Locality, "/")
		depth := 0
		for depth < min(len(here), len(there)) && here[depth] == there[depth] {
			depth++
		}
		byDepth[depth] = append(byDepth[depth], name)
	}
	var tiers Answer
	for depth := len(here); depth >= 0; depth-- {
		if byDepth[depth] != nil {
			tiers.Tiers = append(tiers.Tiers, byDepth[depth])
		}
	}
	return tiers
}

// PortOf finds a port by its number or name; without either it is the only one.
func (s *Service) PortOf(at any) (string, Port, bool) {
	for _, name := range Keys(s.Ports) {
		p := s.Ports[name]
		if at == nil || fmt.Sprint(at) == name || fmt.Sprint(at) == strconv.Itoa(p.Number) {
			return name, p, true
		}
	}
	return "", Port{}, false
}

// LocalHost is the name that a service has in its own cluster.
func (s *Service) LocalHost() string { return s.Name + "." + s.Namespace + ".svc.cluster.local" }

// GlobalHost is the name that a service has everywhere.
func (t *Topology) GlobalHost(s *Service) string {
	return s.Name + "." + s.Namespace + "." + t.Mesh.Suffix
}

// Host is the name by which a service is called from a cluster.
func (t *Topology) Host(s *Service, caller string) string {
	clusters, _ := t.Placement(s)
	if slices.Contains(clusters, caller) || s.Names == "cluster-local" {
		return s.LocalHost()
	}
	return t.GlobalHost(s)
}

// Named finds the service behind a host, as a caller in a namespace writes it.
func (t *Topology) Named(host, namespace string) *Service {
	for _, key := range Keys(t.Services) {
		s := t.Services[key]
		local := s.LocalHost()
		short := []string{local, strings.TrimSuffix(local, ".cluster.local"), strings.TrimSuffix(local, ".svc.cluster.local"), t.GlobalHost(s)}
		if slices.Contains(short, host) || host == s.Name && namespace == s.Namespace {
			return s
		}
	}
	return nil
}

// Caller is somebody who may call a service.
type Caller struct {
	Cluster   string
	Namespace string
	Account   string
	Service   *Service // nobody for an ingress gateway
}

// Known says whether an identity is that of one of some callers. With aliases, to Istio the trust
// domains of a mesh are one: a policy that names one of them lets in the same account of every other.
func (t *Topology) Known(list []Caller, c Caller) bool {
	return slices.ContainsFunc(list, func(it Caller) bool { return it.Namespace == c.Namespace && it.Account == c.Account })
}

// Identity is what the certificate of a caller says.
func (t *Topology) Identity(c Caller) string {
	return "spiffe://" + t.Clusters[c.Cluster].TrustDomain + "/ns/" + c.Namespace + "/sa/" + c.Account
}

// Callers are those who declare calls to a service.
func (t *Topology) Callers(callee *Service) []Caller {
	var list []Caller
	for _, key := range Keys(t.Services) {
		s := t.Services[key]
		if slices.ContainsFunc(s.Calls, func(it Call) bool { return it.Service == callee.Key }) {
			for _, cluster := range t.Hosted(s) {
				list = append(list, Caller{cluster, s.Namespace, s.ServiceAccount, s})
			}
		}
	}
	for _, key := range Keys(t.Ingress) {
		i := t.Ingress[key]
		if i.Service == callee.Key {
			for _, cluster := range t.Serving(i) {
				it := t.Clusters[cluster].Ingress
				list = append(list, Caller{cluster, it.Namespace, it.ServiceAccount, nil})
			}
		}
	}
	return list
}

// OnTheWay says whether a service that moves calls another from a cluster that it comes to or leaves: the
// way is there before its pods, and after them.
func (t *Topology) OnTheWay(callee *Service, cluster, namespace string) bool {
	m := t.Moving
	if m == nil {
		return false
	}
	s := t.Services[m.Service]
	there := slices.Contains(s.Clusters, cluster) || slices.Contains(m.Before.Clusters, cluster)
	return there && s.Namespace == namespace && slices.ContainsFunc(s.Calls, func(it Call) bool { return it.Service == callee.Key })
}

// Serving are the clusters whose gateways serve an ingress.
func (t *Topology) Serving(i *Ingress) Names {
	if len(i.Clusters) > 0 {
		return i.Clusters
	}
	return t.Services[i.Service].Clusters
}

// CalledFromAfar says whether calls of another cluster may come in through this one's gateway.
func (t *Topology) CalledFromAfar(s *Service, cluster string) bool {
	return slices.ContainsFunc(t.Callers(s), func(it Caller) bool { return it.Cluster != cluster && t.Reaches(it, s, cluster) })
}

// Reaches says whether a caller's calls to a service may come to a cluster. One without a share is
// ready for one.
func (t *Topology) Reaches(c Caller, s *Service, cluster string) bool {
	clusters, balance := t.Placement(s)
	if balance.Weights != nil {
		return slices.Contains(clusters, cluster)
	}
	return slices.Contains(t.Answers(s, c.Cluster).Clusters(), cluster)
}

// Addresses are those of a cluster's gateway for a caller of another cluster.
func (t *Topology) Addresses(owner, caller string) Names {
	g := t.Clusters[owner].Gateway
	if from := g.From[caller]; from != nil {
		return from
	}
	return g.Address
}

// Keys are the keys of a map in their order.
func Keys[V any](m map[string]V) []string {
	var list []string
	for name := range m {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}
