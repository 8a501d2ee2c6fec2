package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"meshlatch/conformance/report"
	"meshlatch/conformance/topology"
)

// judgeCalls follows every declared call from the caller's sidecar to the pods.
func judgeCalls(c *report.Case, t *topology.Topology, worlds map[string]*world) {
	for _, key := range topology.Keys(t.Services) {
		caller := t.Services[key]
		for _, from := range t.Hosted(caller) {
			w := worlds[from]
			if w == nil {
				continue
			}
			i := slices.IndexFunc(w.pods, func(p *pod) bool { return p.service == caller })
			for _, call := range caller.Calls {
				callee := t.Services[call.Service]
				what := fmt.Sprintf("%s: %s calls %s", from, key, call.Service)
				name, port, found := callee.PortOf(call.Port)
				if i < 0 || !found {
					c.Judge(what, errors.New("nobody calls, or no such port"))
					continue
				}
				if topology.ProtocolOf(name, port) == "UDP" {
					c.Skip(what, "UDP")
					continue
				}
				host := t.Host(callee, from)
				what = fmt.Sprintf("%s as %s:%d in %s", what, host, port.Number, strings.Join(t.Answers(callee, from).Clusters(), ", "))
				notes, err := w.follow(worlds, w.pods[i], callee, host, port)
				c.Judge(what, err)
				for _, note := range notes {
					c.Skip(what, note)
				}
			}
		}
	}
	for _, key := range topology.Keys(t.Ingress) {
		it := t.Ingress[key]
		for _, at := range t.Serving(it) {
			if w := worlds[at]; w != nil {
				w.ingress(c, key, it)
			}
		}
	}
	for _, key := range topology.Keys(t.Externals) {
		for _, from := range topology.Keys(worlds) {
			worlds[from].external(c, key, t.Externals[key])
		}
	}
}

// follow walks one call. What is in clusters that are not judged here comes back as notes.
func (w *world) follow(worlds map[string]*world, p *pod, callee *topology.Service, host string, port topology.Port) ([]string, error) {
	it := w.proxy(p)
	address, err := w.resolve(host, p.namespace)
	if err != nil {
		return nil, err
	}
	name, err := it.route(address, host, port.Number)
	if err != nil {
		return nil, err
	}
	if wanted := fmt.Sprintf("outbound|%d||%s", port.Number, host); name != wanted {
		return nil, fmt.Errorf("it goes to %s, not to %s", name, wanted)
	}
	reached, err := it.reached(name)
	if err != nil {
		return nil, err
	}
	if host == callee.LocalHost() {
		return nil, w.isPodsOf(reached, callee, port)
	}

	sni := fmt.Sprintf("outbound_.%d_._.%s", port.Number, host)
	if err := it.mutual(name, sni); err != nil {
		return nil, err
	}
	var wanted, notes []string
	owners := w.t.Answers(callee, w.name).Clusters()
	for _, owner := range owners {
		g := w.t.Clusters[owner].Gateway
		number := g.Port
		if g.NodePort != 0 {
			number = g.NodePort
		}
		for _, address := range w.t.Addresses(owner, w.name) {
			wanted = append(wanted, address+":"+strconv.Itoa(number))
		}
	}
	if a, b := sorted(wanted), sorted(reached); !slices.Equal(a, b) {
		return nil, fmt.Errorf("its endpoints are %v, the gateways are %v", b, a)
	}
	for _, owner := range owners {
		o := worlds[owner]
		if o == nil {
			notes = append(notes, owner+"'s gateway is not of the old line")
			continue
		}
		if err := o.enter(sni, callee, port); err != nil {
			return notes, fmt.Errorf("at the gateway of %s: %w", owner, err)
		}
	}
	return notes, nil
}

func sorted(it []string) []string { return slices.Compact(slices.Sorted(slices.Values(it))) }

// resolve says which address a name stands for: that of a ServiceEntry, or of a Service.
func (w *world) resolve(host, namespace string) (string, error) {
	if name, is := strings.CutSuffix(host, ".svc.cluster.local"); is {
		name, namespace, _ := strings.Cut(name, ".")
		if s := w.service(namespace, name); s != nil {
			return s.Spec.ClusterIP, nil
		}
		return "", fmt.Errorf("no Service %s", host)
	}
	entries := w.find("ServiceEntry", func(it object) bool { return slices.Contains(list(it, "spec", "hosts"), any(host)) })
	if len(entries) != 1 {
		return "", fmt.Errorf("%d ServiceEntries for %s", len(entries), host)
	}
	address := text(entries[0], "spec", "addresses", 0)
	if address == "" {
		return "", fmt.Errorf("%s has no address", host)
	}
	return address, nil
}

// settings are those of a filter or a transport socket, in any of their forms.
func settings(it any) any {
	for _, key := range []string{"typed_config", "config"} {
		if found := at(it, key); found != nil {
			return found
		}
	}
	return nil
}

// listener finds the one that a connection to an address comes to.
func (p *proxy) listener(address string, port int) object {
	for _, bind := range []string{address, "0.0.0.0"} {
		for _, it := range p.Listeners {
			socket := at(it, "address", "socket_address")
			if text(socket, "address") == bind && number(socket, "port_value") == port {
				return it
			}
		}
	}
	return nil
}

// route finds the cluster that a request goes to.
func (p *proxy) route(address, host string, port int) (string, error) {
	it := p.listener(address, port)
	if it == nil {
		return "", fmt.Errorf("no listener for %s:%d", address, port)
	}
	for _, chain := range list(it, "filter_chains") {
		for _, filter := range list(chain, "filters") {
			switch text(filter, "name") {
			case "envoy.http_connection_manager", "envoy.filters.network.http_connection_manager":
				return p.virtualHost(settings(filter), host, port)
			case "envoy.tcp_proxy", "envoy.filters.network.tcp_proxy":
				if len(list(it, "filter_chains")) == 1 || text(it, "address", "socket_address", "address") == address {
					return text(settings(filter), "cluster"), nil
				}
			}
		}
	}
	return "", fmt.Errorf("the listener for %s:%d leads nowhere", address, port)
}

func (p *proxy) virtualHost(manager any, host string, port int) (string, error) {
	table := at(manager, "route_config")
	if name := text(manager, "rds", "route_config_name"); name != "" {
		for _, it := range p.Routes {
			if text(it, "name") == name {
				table = it
			}
		}
	}
	for _, exact := range []string{fmt.Sprintf("%s:%d", host, port), host, "*"} {
		for _, it := range list(table, "virtual_hosts") {
			if slices.Contains(list(it, "domains"), any(exact)) {
				for _, route := range list(it, "routes") {
					if text(route, "match", "prefix") == "/" {
						return text(route, "route", "cluster"), nil
					}
				}
				return "", fmt.Errorf("the host %s has no route for every path", exact)
			}
		}
	}
	return "", fmt.Errorf("no route for %s in %s", host, text(table, "name"))
}

func (p *proxy) cluster(name string) object {
	for _, it := range p.Clusters {
		if text(it, "name") == name {
			return it
		}
	}
	return nil
}

// reached are the endpoints of a cluster.
func (p *proxy) reached(name string) ([]string, error) {
	it := p.cluster(name)
	if it == nil {
		return nil, fmt.Errorf("there is no cluster %s", name)
	}
	assignment := at(it, "load_assignment")
	if text(it, "type") == "EDS" {
		for _, endpoints := range p.Endpoints {
			if text(endpoints, "cluster_name") == name {
				assignment = endpoints
			}
		}
	}
	var all []string
	for _, locality := range list(assignment, "endpoints") {
		for _, endpoint := range list(locality, "lb_endpoints") {
			socket := at(endpoint, "endpoint", "address", "socket_address")
			all = append(all, fmt.Sprintf("%s:%d", text(socket, "address"), number(socket, "port_value")))
		}
	}
	// 1.4 has an older form, too.
	for _, host := range list(it, "hosts") {
		all = append(all, fmt.Sprintf("%s:%d", text(host, "socket_address", "address"), number(host, "socket_address", "port_value")))
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no endpoint", name)
	}
	return all, nil
}

// mutual says whether a cluster speaks Istio's mTLS with a server name.
func (p *proxy) mutual(name, sni string) error {
	it := p.cluster(name)
	tls := at(it, "tls_context")
	if tls == nil {
		tls = settings(at(it, "transport_socket"))
	}
	if tls == nil {
		return errors.New("the call is sent without TLS")
	}
	if said := text(tls, "sni"); said != sni {
		return fmt.Errorf("its server name is %q, not %q", said, sni)
	}
	common := at(tls, "common_tls_context")
	if !slices.Contains(list(common, "alpn_protocols"), any("istio")) {
		return fmt.Errorf("its ALPN is %v", list(common, "alpn_protocols"))
	}
	file := text(common, "tls_certificates", 0, "certificate_chain", "filename")
	secret := text(common, "tls_certificate_sds_secret_configs", 0, "name")
	if file == "" && secret != "default" {
		return errors.New("it shows no certificate of the mesh")
	}
	return nil
}

// isPodsOf says whether endpoints are the pods of a service here, all of them and nobody else.
func (w *world) isPodsOf(reached []string, callee *topology.Service, port topology.Port) error {
	var wanted []string
	for _, p := range w.pods {
		if p.service != callee {
			continue
		}
		target := port.Target
		for _, it := range p.ports {
			if it.Name != "" && it.Name == target {
				target = strconv.Itoa(int(it.ContainerPort))
			}
		}
		wanted = append(wanted, p.address+":"+target)
	}
	if a, b := sorted(wanted), sorted(reached); !slices.Equal(a, b) {
		return fmt.Errorf("its endpoints are %v, the pods are %v", b, a)
	}
	return nil
}

// enter follows a connection from another cluster through the gateway.
func (w *world) enter(sni string, callee *topology.Service, port topology.Port) error {
	if w.crossing == nil {
		return errors.New("there is none")
	}
	it := w.proxy(w.crossing)
	// That the Service brings the connection to this port was judged with the install file.
	listener := it.listener(w.crossing.address, 15443)
	if listener == nil {
		return errors.New("nothing listens on 15443")
	}
	chain := chainFor(listener, sni)
	if chain == nil {
		return fmt.Errorf("no filter chain takes %s", sni)
	}
	name, err := rewritten(chain, sni)
	if err != nil {
		return err
	}
	if wanted := fmt.Sprintf("outbound_.%d_._.%s", port.Number, callee.LocalHost()); name != wanted {
		return fmt.Errorf("%s is rewritten to %s, not to %s", sni, name, wanted)
	}
	if at(chain, "tls_context") != nil || at(chain, "transport_socket") != nil {
		return errors.New("the gateway ends TLS")
	}
	reached, err := it.reached(name)
	if err != nil {
		return err
	}
	if made := it.cluster(name); at(made, "tls_context") != nil || at(made, "transport_socket") != nil {
		return errors.New("the gateway begins TLS anew")
	}
	if err := w.isPodsOf(reached, callee, port); err != nil {
		return err
	}
	return w.received(callee, reached)
}

// chainFor finds the filter chain for a server name, as Envoy does: the most exact one.
func chainFor(listener object, sni string) any {
	for pattern := sni; ; {
		for _, chain := range list(listener, "filter_chains") {
			if slices.Contains(list(chain, "filter_chain_match", "server_names"), any(pattern)) {
				return chain
			}
		}
		_, rest, found := strings.Cut(strings.TrimPrefix(pattern, "*."), ".")
		if !found {
			return nil
		}
		pattern = "*." + rest
	}
}

// rewritten does what the filters of a chain do to the name of the cluster: sni_cluster takes the
// server name, tcp_cluster_rewrite replaces what a pattern finds in it, tcp_proxy connects.
func rewritten(chain any, sni string) (string, error) {
	name, order := "", []string{}
	for _, filter := range list(chain, "filters") {
		kind := strings.TrimPrefix(text(filter, "name"), "envoy.filters.network.")
		order = append(order, strings.TrimPrefix(kind, "envoy."))
		switch kind {
		case "sni_cluster":
			name = sni
		case "tcp_cluster_rewrite":
			it := settings(filter)
			pattern, err := regexp.Compile(text(it, "cluster_pattern"))
			if err != nil {
				return "", err
			}
			if text(it, "cluster_pattern") == "" {
				return "", errors.New("tcp_cluster_rewrite comes without its pattern")
			}
			if name != "" {
				name = pattern.ReplaceAllString(name, text(it, "cluster_replacement"))
			}
		case "envoy.tcp_proxy", "tcp_proxy":
			if i := slices.Index(order, "sni_cluster"); i < 0 || slices.Index(order, "tcp_cluster_rewrite") < i {
				return "", fmt.Errorf("its filters are %s", strings.Join(order, ", "))
			}
			return name, nil
		}
	}
	return "", fmt.Errorf("its filters are %s", strings.Join(order, ", "))
}

// received says whether the sidecars of the pods take the connection, and ask for a certificate.
func (w *world) received(callee *topology.Service, reached []string) error {
	for _, p := range w.pods {
		if p.service != callee {
			continue
		}
		for _, at := range reached {
			address, port, _ := strings.Cut(at, ":")
			if number, _ := strconv.Atoi(port); address == p.address {
				if err := w.proxy(p).inbound(p.address, number); err != nil {
					return fmt.Errorf("%s on %s: %w", p.name, at, err)
				}
			}
		}
	}
	return nil
}

func (p *proxy) inbound(address string, port int) error {
	it := p.listener("0.0.0.0", 15006)
	if it == nil {
		return errors.New("nothing is bound to 15006")
	}
	asks := false
	for _, chain := range list(it, "filter_chains") {
		match := at(chain, "filter_chain_match")
		if number(match, "destination_port") != port {
			continue
		}
		if prefixes := list(match, "prefix_ranges"); len(prefixes) > 0 && text(prefixes[0], "address_prefix") != address {
			continue
		}
		tls := at(chain, "tls_context")
		if tls == nil {
			tls = settings(at(chain, "transport_socket"))
		}
		if tls == nil {
			return errors.New("the pod takes calls without mTLS")
		}
		if at(tls, "require_client_certificate") != true {
			return errors.New("the pod asks for no certificate")
		}
		asks = true
	}
	if !asks {
		return fmt.Errorf("no filter chain for port %d", port)
	}
	return nil
}

// ingress follows requests from outside, in plain HTTP.
func (w *world) ingress(c *report.Case, key string, it *topology.Ingress) {
	what := fmt.Sprintf("%s: %s from outside", w.name, key)
	if w.entering == nil {
		c.Skip(what, "the gateway comes from elsewhere")
		return
	}
	callee := w.t.Services[it.Service]
	_, port, _ := callee.PortOf(it.Port)
	listen := it.Listen
	if listen == 0 {
		listen = 80
	}
	if it.TLS != nil {
		c.Skip(what, "TLS")
		return
	}
	host := "anything.example.org"
	if len(it.Hosts) > 0 {
		host = strings.Replace(it.Hosts[0], "*", "any", 1)
	}
	c.Judge(what, func() error {
		s := w.serviceOf(w.entering)
		if s == nil {
			return errors.New("no Service in front of the gateway")
		}
		for _, open := range s.Spec.Ports {
			if int(open.Port) != listen {
				continue
			}
			proxy := w.proxy(w.entering)
			target := int(w.entering.target(open))
			name, err := proxy.route(w.entering.address, host, target)
			if err != nil {
				return err
			}
			host := callee.LocalHost()
			if !slices.Contains(callee.Clusters, w.name) {
				host = w.t.GlobalHost(callee)
			}
			if wanted := fmt.Sprintf("outbound|%d||%s", port.Number, host); name != wanted {
				return fmt.Errorf("it goes to %s, not to %s", name, wanted)
			}
			reached, err := proxy.reached(name)
			if err != nil || host != callee.LocalHost() {
				return err
			}
			return w.isPodsOf(reached, callee, port)
		}
		return fmt.Errorf("the gateway's Service has no port %d", listen)
	}())
}

// external follows calls to hosts outside the mesh.
func (w *world) external(c *report.Case, key string, it *topology.External) {
	for _, caller := range it.Callers {
		i := slices.IndexFunc(w.pods, func(p *pod) bool { return p.service != nil && p.service.Key == caller })
		if i < 0 {
			continue
		}
		for _, host := range it.Hosts {
			if strings.Contains(host, "*") {
				continue
			}
			for _, name := range topology.Keys(it.Ports) {
				number := it.Ports[name].Number
				what := fmt.Sprintf("%s: %s calls %s:%d outside", w.name, caller, host, number)
				wanted := fmt.Sprintf("outbound|%d||%s", number, host)
				if w.proxy(w.pods[i]).cluster(wanted) == nil {
					c.Judge(what, fmt.Errorf("there is no cluster %s", wanted))
					continue
				}
				c.Judge(what, nil)
			}
		}
	}
}
