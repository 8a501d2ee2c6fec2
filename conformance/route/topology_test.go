// What a topology means for calls: a reader of its own, which shares nothing with the compiler.
package route

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

type topology struct {
	Mesh struct {
		Suffix        string `json:"suffix"`
		TrustDomain   string `json:"trustDomain"`
		Names         string `json:"names"`
		Authorization string `json:"authorization"`
		Outbound      string `json:"outbound"`
	} `json:"mesh"`
	Clusters  map[string]*clusterSpec `json:"clusters"`
	Services  map[string]*service     `json:"services"`
	Externals map[string]*external    `json:"externals"`
	Ingress   map[string]*ingress     `json:"ingress"`
	Moving    *moving                 `json:"moving"`
}

type clusterSpec struct {
	Istio       string  `json:"istio"`
	Network     string  `json:"network"`
	TrustDomain string  `json:"trustDomain"`
	Locality    string  `json:"locality"`
	Gateway     gateway `json:"gateway"`
	Ingress     struct {
		Selector       map[string]string `json:"selector"`
		Namespace      string            `json:"namespace"`
		ServiceAccount string            `json:"serviceAccount"`
	} `json:"ingress"`
}

type gateway struct {
	Address  names            `json:"address"`
	From     map[string]names `json:"from"`
	Balance  string           `json:"balance"`
	API      string           `json:"api"`
	Port     int              `json:"port"`
	NodePort int              `json:"nodePort"`
}

type service struct {
	key            string
	Name           string            `json:"name"`
	Namespace      string            `json:"namespace"`
	Clusters       names             `json:"clusters"`
	Ports          map[string]port   `json:"ports"`
	ServiceAccount string            `json:"serviceAccount"`
	Labels         map[string]string `json:"labels"`
	Selector       map[string]string `json:"selector"`
	Calls          calls             `json:"calls"`
	Names          string            `json:"names"`
	Balance        balance           `json:"balance"`
}

type external struct {
	Hosts   names           `json:"hosts"`
	Ports   map[string]port `json:"ports"`
	Callers names           `json:"callers"`
}

type ingress struct {
	Service  string `json:"service"`
	Port     any    `json:"port"`
	Clusters names  `json:"clusters"`
	Hosts    names  `json:"hosts"`
	Listen   int    `json:"listen"`
	TLS      *struct {
		Redirect bool `json:"redirect"`
	} `json:"tls"`
	Paths names `json:"paths"`
}

type moving struct {
	Service string `json:"service"`
	Phase   string `json:"phase"`
	Before  struct {
		Clusters names   `json:"clusters"`
		Balance  balance `json:"balance"`
	} `json:"before"`
}

// names is a list of words that may be a single one.
type names []string

func (n *names) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*n = names{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(n))
}

func (g *gateway) UnmarshalJSON(b []byte) error {
	type plain gateway
	if b[0] == '{' {
		return json.Unmarshal(b, (*plain)(g))
	}
	return json.Unmarshal(b, &g.Address)
}

// port is a number, and that of the container or its name.
type port struct {
	number   int
	target   string
	protocol string
}

func (p *port) UnmarshalJSON(b []byte) error {
	if b[0] == '{' {
		var m struct {
			Port       int    `json:"port"`
			TargetPort any    `json:"targetPort"`
			Protocol   string `json:"protocol"`
		}
		if err := json.Unmarshal(b, &m); err != nil {
			return err
		}
		*p = port{m.Port, fmt.Sprint(m.TargetPort), m.Protocol}
		if m.TargetPort == nil {
			p.target = strconv.Itoa(m.Port)
		}
		return nil
	}
	number, target, found := strings.Cut(strings.Trim(string(b), `"`), ":")
	if !found {
		target = number
	}
	n, err := strconv.Atoi(number)
	*p = port{number: n, target: target}
	return err
}

type call struct {
	Service string `json:"service"`
	Port    any    `json:"port"`
}

type calls []call

func (c *calls) UnmarshalJSON(b []byte) error {
	var list []json.RawMessage
	if b[0] == '[' {
		if err := json.Unmarshal(b, &list); err != nil {
			return err
		}
	} else {
		list = []json.RawMessage{b}
	}
	for _, it := range list {
		var one call
		if it[0] == '"' {
			var word string
			_ = json.Unmarshal(it, &word)
			name, at, found := strings.Cut(word, ":")
			one.Service = name
			if found {
				one.Port = at
			}
		} else if err := json.Unmarshal(it, &one); err != nil {
			return err
		}
		*c = append(*c, one)
	}
	return nil
}

type balance struct {
	word    string
	order   names
	weights map[string]int
}

func (l *balance) UnmarshalJSON(b []byte) error {
	if b[0] != '{' {
		return json.Unmarshal(b, &l.word)
	}
	var m struct {
		Failover names          `json:"failover"`
		Weights  map[string]int `json:"weights"`
	}
	err := json.Unmarshal(b, &m)
	*l = balance{"failover", m.Failover, m.Weights}
	return err
}

func readTopology(path string) (*topology, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t := &topology{}
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
		or(&c.Network, name)
		or(&c.TrustDomain, t.Mesh.TrustDomain)
		or(&c.Ingress.Namespace, "istio-system")
		if c.Gateway.Port == 0 {
			c.Gateway.Port = 15443
		}
	}
	for key, s := range t.Services {
		s.key = key
		or(&s.Name, key)
		or(&s.Namespace, "default")
		or(&s.ServiceAccount, s.Name)
		or(&s.Names, t.Mesh.Names)
		or(&s.Balance.word, "failover")
		if s.Selector == nil {
			s.Selector = map[string]string{"app": s.Name}
		}
	}
	if t.Moving != nil {
		or(&t.Moving.Before.Balance.word, "failover")
	}
	return t, nil
}

var oldLine = regexp.MustCompile(`^1\.[4-8]\.`)

// old names a cluster whose Istio is too old for today's control plane.
func (t *topology) old() string {
	for _, name := range keys(t.Clusters) {
		if oldLine.MatchString(t.Clusters[name].Istio) {
			return name
		}
	}
	return ""
}

// placement says where calls to a service go: while it moves, the old way until it is switched.
func (t *topology) placement(s *service) (names, balance) {
	if m := t.Moving; m != nil && m.Service == s.key && (m.Phase == "prepare" || m.Phase == "open") {
		return m.Before.Clusters, m.Before.Balance
	}
	return s.Clusters, s.Balance
}

// hosted are the clusters that have pods of the service: while it moves, at first those of before, at
// last those of after, and both in between.
func (t *topology) hosted(s *service) names {
	m := t.Moving
	if m == nil || m.Service != s.key || m.Phase == "release" {
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

// answer is who answers a call: tiers of clusters, each for when nobody of the one before is left, or
// shares in percent.
type answer struct {
	tiers  [][]string
	shares map[string]int
}

func (a answer) String() string {
	var parts []string
	if a.shares != nil {
		for _, name := range keys(a.shares) {
			parts = append(parts, fmt.Sprintf("%d%% %s", a.shares[name], name))
		}
		return strings.Join(parts, ", ")
	}
	for _, tier := range a.tiers {
		parts = append(parts, strings.Join(tier, "+"))
	}
	return strings.Join(parts, ">")
}

func (a answer) clusters() []string {
	if a.shares != nil {
		return keys(a.shares)
	}
	return slices.Concat(a.tiers...)
}

// without is the answer when a cluster has nobody left.
func (a answer) without(cluster string) answer {
	var rest answer
	for _, tier := range a.tiers {
		tier = slices.DeleteFunc(slices.Clone(tier), func(it string) bool { return it == cluster })
		if len(tier) > 0 {
			rest.tiers = append(rest.tiers, tier)
		}
	}
	return rest
}

// answers says who answers the calls to a service from one cluster, as its `balance` means it.
func (t *topology) answers(s *service, caller string) answer {
	clusters, balance := t.placement(s)
	all := slices.Sorted(slices.Values(clusters))
	if balance.weights != nil {
		shares := map[string]int{}
		for name, weight := range balance.weights {
			if weight > 0 {
				shares[name] = weight
			}
		}
		if len(shares) > 1 {
			return answer{shares: shares}
		}
		return answer{tiers: [][]string{keys(shares)}}
	}
	own := slices.Contains(clusters, caller)
	switch balance.word {
	case "spread":
		return answer{tiers: [][]string{all}}
	case "local":
		if own {
			return answer{tiers: [][]string{{caller}}}
		}
		return answer{tiers: [][]string{all}}
	case "network":
		tiers := answer{tiers: [][]string{{caller}, all}}
		if !own {
			return answer{tiers: [][]string{all}}
		}
		tiers.tiers[1] = slices.DeleteFunc(all, func(it string) bool { return it == caller })
		return tiers
	case "locality":
		return t.nearest(all, caller)
	}
	order := balance.order
	if order == nil {
		order = clusters
	}
	var tiers answer
	if own {
		tiers.tiers = append(tiers.tiers, []string{caller})
	}
	for _, name := range order {
		if name != caller {
			tiers.tiers = append(tiers.tiers, []string{name})
		}
	}
	return tiers
}

func (t *topology) nearest(clusters []string, caller string) answer {
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
	var tiers answer
	for depth := len(here); depth >= 0; depth-- {
		if byDepth[depth] != nil {
			tiers.tiers = append(tiers.tiers, byDepth[depth])
		}
	}
	return tiers
}

// portOf finds a port by its number or name; without either it is the only one.
func (s *service) portOf(at any) (string, port, bool) {
	for _, name := range keys(s.Ports) {
		p := s.Ports[name]
		if at == nil || fmt.Sprint(at) == name || fmt.Sprint(at) == strconv.Itoa(p.number) {
			return name, p, true
		}
	}
	return "", port{}, false
}

func (s *service) localHost() string { return s.Name + "." + s.Namespace + ".svc.cluster.local" }

func (t *topology) globalHost(s *service) string {
	return s.Name + "." + s.Namespace + "." + t.Mesh.Suffix
}

// host is the name by which a service is called from a cluster.
func (t *topology) host(s *service, caller string) string {
	clusters, _ := t.placement(s)
	if slices.Contains(clusters, caller) || s.Names == "cluster-local" {
		return s.localHost()
	}
	return t.globalHost(s)
}

// named finds the service behind a host, as a caller in a namespace writes it.
func (t *topology) named(host, namespace string) *service {
	for _, key := range keys(t.Services) {
		s := t.Services[key]
		local := s.localHost()
		short := []string{local, strings.TrimSuffix(local, ".cluster.local"), strings.TrimSuffix(local, ".svc.cluster.local"), t.globalHost(s)}
		if slices.Contains(short, host) || host == s.Name && namespace == s.Namespace {
			return s
		}
	}
	return nil
}

// caller is somebody who may call a service.
type caller struct {
	cluster   string
	namespace string
	account   string
	service   *service // nobody for an ingress gateway
}

// known says whether an identity is that of one of some callers. With aliases, to Istio the trust
// domains of a mesh are one: a policy that names one of them lets in the same account of every other.
func (t *topology) known(list []caller, c caller) bool {
	return slices.ContainsFunc(list, func(it caller) bool { return it.namespace == c.namespace && it.account == c.account })
}

func (t *topology) identity(c caller) string {
	return "spiffe://" + t.Clusters[c.cluster].TrustDomain + "/ns/" + c.namespace + "/sa/" + c.account
}

// callers are those who declare calls to a service.
func (t *topology) callers(callee *service) []caller {
	var list []caller
	for _, key := range keys(t.Services) {
		s := t.Services[key]
		if slices.ContainsFunc(s.Calls, func(it call) bool { return it.Service == callee.key }) {
			for _, cluster := range t.hosted(s) {
				list = append(list, caller{cluster, s.Namespace, s.ServiceAccount, s})
			}
		}
	}
	for _, key := range keys(t.Ingress) {
		i := t.Ingress[key]
		if i.Service == callee.key {
			for _, cluster := range t.serving(i) {
				it := t.Clusters[cluster].Ingress
				list = append(list, caller{cluster, it.Namespace, it.ServiceAccount, nil})
			}
		}
	}
	return list
}

// serving are the clusters whose gateways serve an ingress.
func (t *topology) serving(i *ingress) names {
	if len(i.Clusters) > 0 {
		return i.Clusters
	}
	return t.Services[i.Service].Clusters
}

// calledFromAfar says whether calls of another cluster may come in through this one's gateway.
func (t *topology) calledFromAfar(s *service, cluster string) bool {
	return slices.ContainsFunc(t.callers(s), func(it caller) bool { return it.cluster != cluster && t.reaches(it, s, cluster) })
}

// reaches says whether a caller's calls to a service may come to a cluster. One without a share is
// ready for one.
func (t *topology) reaches(c caller, s *service, cluster string) bool {
	clusters, balance := t.placement(s)
	if balance.weights != nil {
		return slices.Contains(clusters, cluster)
	}
	return slices.Contains(t.answers(s, c.cluster).clusters(), cluster)
}

// addresses are those of a cluster's gateway for a caller of another cluster.
func (t *topology) addresses(owner, caller string) names {
	g := t.Clusters[owner].Gateway
	if from := g.From[caller]; from != nil {
		return from
	}
	return g.Address
}

func keys[V any](m map[string]V) []string {
	var list []string
	for name := range m {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}
