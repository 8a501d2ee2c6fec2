//! The rules by which an object comes from a topology, one for each kind: the same decisions as those of
//! `model`, told as places.

use super::places::Places;
use super::{Cause, Id, Origin, Way};
use crate::syntax::{Authorization, GatewayAddresses, GatewayApi, Installer, Names};
use crate::topology::{
    Balance, ClusterId, EAST_WEST_GATEWAY, External, Family, INGRESS_GATEWAY, Ingress, Port, Protocol, ROOT_NAMESPACE,
    Service, ServiceId, TrustOrigin, Workload,
};

/// Why a cluster has an object, or a file that holds none.
pub(super) fn origin(places: Places<'_>, here: ClusterId, path: &str, id: Option<&Id>) -> Option<Origin> {
    let rules = Rules { places, here };
    let (folder, file) = path.split_once('/').unwrap_or(("", path));
    let stem = file.strip_suffix(".yaml").unwrap_or(file);
    match (folder, id) {
        ("00-namespaces", Some(_)) => rules.namespace(stem),
        ("05-secrets", _) => rules.secret(id),
        ("10-istio", _) => rules.install(stem),
        ("20-mesh", Some(id)) => rules.mesh(stem, id),
        ("30-dns", _) => rules.dns(),
        ("40-apps", Some(id)) => rules.app(stem, id),
        ("50-ingress", Some(_)) => rules.ingress(stem),
        ("", _) => Some(rules.cluster()),
        _ => None,
    }
}

#[derive(Clone, Copy)]
struct Rules<'a> {
    places: Places<'a>,
    here: ClusterId,
}

/// A port that Istio carries from cluster to cluster.
fn crosses(port: &Port) -> bool {
    port.protocol.family() != Family::Udp
}

/// A port whose connections live as long as nobody ends them.
fn is_sticky(port: &Port) -> bool {
    matches!(port.protocol, Protocol::Grpc | Protocol::Http2)
}

impl<'a> Rules<'a> {
    fn cluster(self) -> Origin {
        let text = format!("every bundle has it; `{}` is declared here", self.places.name(self.here));
        Origin::default().need(self.places.cluster(self.here, text))
    }

    /// The service whose files have this name.
    fn of_file(self, stem: &str) -> Option<(ServiceId, &'a Service)> {
        let (name, namespace) = stem.split_once('.')?;
        let services = &self.places.topology.services;
        let index = services.iter().position(|it| it.name == name && it.namespace == namespace)?;
        Some((ServiceId(index), &services[index]))
    }

    fn local(self) -> impl Iterator<Item = &'a Service> {
        let topology = self.places.topology;
        topology.view(self.here).local.iter().map(|it| topology.service(*it))
    }

    fn ingresses(self) -> impl Iterator<Item = &'a Ingress> {
        self.places.topology.ingresses.iter().filter(move |it| it.clusters.contains(&self.here))
    }

    /// The calls of a service from this cluster, on ports that fit, if another one may answer.
    fn calls(self, callee: ServiceId, fits: impl Fn(&Port) -> bool) -> Vec<Way> {
        let cross = self.places.service(callee).elsewhere(self.here).next().is_some();
        if cross { self.all_calls(callee, fits) } else { Vec::new() }
    }

    /// The calls of a service from this cluster, on ports that fit, whoever answers.
    fn all_calls(self, callee: ServiceId, fits: impl Fn(&Port) -> bool) -> Vec<Way> {
        let (places, here) = (self.places, self.here);
        let service = places.service(callee);
        let stays = service.runs_in(here);
        let fits = |port: usize| {
            let port = &service.ports[port];
            fits(port) && (!stays || crosses(port))
        };
        let by_services = self.local().flat_map(|caller| {
            let calls = caller.calls.iter().enumerate();
            let fitting = calls.filter(|(_, it)| it.callee == callee && fits(it.port));
            fitting.map(move |(index, _)| vec![places.call(caller, index, None), places.runs(caller, here)])
        });
        let by_ingresses = self.ingresses().filter(|it| it.service == callee && fits(it.port));
        by_services.chain(by_ingresses.map(|it| vec![places.ingress(it), places.serves(it, here)])).collect()
    }

    /// The calls of a service from other clusters that this one may answer, under this name or any.
    fn calls_from_afar(self, callee: ServiceId, names: Option<Names>) -> Vec<Way> {
        let (places, here) = (self.places, self.here);
        let service = places.service(callee);
        if !service.runs_in(here) {
            return Vec::new();
        }
        let reaches = |from: ClusterId, port: usize| {
            let beside = service.runs_in(from);
            let own = if beside { Names::ClusterLocal } else { service.names };
            from != here
                && names.is_none_or(|it| it == own)
                && (!beside || crosses(&service.ports[port]))
                && service.elsewhere(from).any(|it| it == here)
        };
        // Where it does not run, it is called by another name.
        let beside = |from: ClusterId| {
            let counts = service.runs_in(from) && names.is_some() && service.names == Names::Global;
            counts.then(|| places.runs(service, from))
        };
        let mut ways = Vec::new();
        for caller in &places.topology.services {
            for (index, call) in caller.calls.iter().enumerate().filter(|(_, it)| it.callee == callee) {
                for from in caller.placement.iter().copied().filter(|it| reaches(*it, call.port)) {
                    let way = [places.call(caller, index, Some(from)), places.runs(caller, from)];
                    ways.push(way.into_iter().chain([places.runs(service, here)]).chain(beside(from)).collect());
                }
            }
        }
        for ingress in places.topology.ingresses.iter().filter(|it| it.service == callee) {
            for from in ingress.clusters.iter().copied().filter(|it| reaches(*it, ingress.port)) {
                let way = [places.ingress(ingress), places.serves(ingress, from), places.runs(service, here)];
                ways.push(way.into_iter().chain(beside(from)).collect());
            }
        }
        ways
    }

    /// The other clusters that may answer. One that an order leaves out may do so without the order.
    fn owners(self, service: &Service) -> Vec<Way> {
        let others = service.placement.iter().filter(|it| **it != self.here);
        others.map(|it| vec![self.places.runs(service, *it)]).collect()
    }

    /// The gateways of the other clusters that may answer.
    fn gateways(self, service: &Service) -> Vec<Cause> {
        service.elsewhere(self.here).flat_map(|it| self.places.addresses(it, self.here)).collect()
    }

    /// What makes a service be called by this kind of name from elsewhere, if that is not so anyway.
    fn named(self, service: &Service, names: Names) -> Vec<Way> {
        let places = self.places;
        let own = places.spec.services[&service.key].names;
        let of_mesh = places.topology.mesh.names;
        let text = match names {
            Names::Global => "by its global name",
            Names::ClusterLocal => "by the name that it has in its own cluster",
        };
        let own_at = (own == Some(names)).then(|| vec![places.field(service, "names", text)]);
        let mesh_at = (of_mesh == names).then(|| places.mesh_field(&["names"], text).map(|it| vec![it])).flatten();
        match names {
            Names::ClusterLocal => own_at.into_iter().chain(mesh_at).collect(),
            Names::Global => own_at.filter(|_| of_mesh != names).into_iter().collect(),
        }
    }

    fn namespace(self, name: &str) -> Option<Origin> {
        if name == ROOT_NAMESPACE {
            return Some(self.cluster());
        }
        let (places, here) = (self.places, self.here);
        let mut ways: Vec<Way> =
            self.local().filter(|it| it.namespace == name).map(|it| vec![places.runs(it, here)]).collect();
        // What runs here alone is gone with its pods.
        let is_elsewhere = |it: &Service| it.placement != [here];
        // A caller of this namespace is there itself.
        for caller in self.local().filter(|it| it.namespace != name) {
            for (index, call) in caller.calls.iter().enumerate() {
                let callee = places.service(call.callee);
                if callee.namespace == name && is_elsewhere(callee) {
                    ways.push(vec![places.call(caller, index, None), places.runs(caller, here)]);
                }
            }
        }
        for external in places.topology.externals.iter().filter(|it| it.namespace == name) {
            ways.extend(self.external_calls(external).filter(|it| it.0.namespace != name).map(|it| it.1));
        }
        for ingress in self.ingresses().filter(|it| places.service(it.service).namespace == name) {
            // One that is served where the service runs has nothing of its own to add.
            if places.is_served_where_it_says(ingress) && is_elsewhere(places.service(ingress.service)) {
                ways.push(vec![places.ingress(ingress), places.serves(ingress, here)]);
            }
        }
        found(Origin::default().any(ways))
    }

    /// The callers of a host outside the mesh that run here.
    fn external_calls(self, external: &'a External) -> impl Iterator<Item = (&'a Service, Way)> {
        let (places, here) = (self.places, self.here);
        let callers = external.callers.iter().map(move |it| places.service(*it)).enumerate();
        callers
            .filter(move |(_, caller)| caller.runs_in(here))
            .map(move |(index, it)| (it, vec![places.external_caller(external, index), places.runs(it, here)]))
    }

    fn secret(self, id: Option<&Id>) -> Option<Origin> {
        let (places, here) = (self.places, self.here);
        if id.is_none() {
            // Where the mesh has a secret store, files are a cluster's own wish.
            let stored = places.mesh_field(&["trust", "externalSecret"], "").is_some();
            let files = places.cluster_field(here, &["trust", "files"], "it has files of its own").filter(|_| stored);
            return Some(Origin::default().any(files.into_iter().map(|it| vec![it]).collect()).both(self.cluster()));
        }
        let TrustOrigin::ExternalSecret { .. } = places.topology.cluster(here).trust.origin else { return None };
        let text = "a secret store has the certificates";
        let own = places.cluster_field(here, &["trust", "externalSecret"], text);
        let has_files = places.cluster_field(here, &["trust", "files"], "").is_some();
        let mesh = places.mesh_field(&["trust", "externalSecret"], text).filter(|_| !has_files);
        let ways = own.into_iter().chain(mesh).map(|it| vec![it]).collect();
        let name = places.name(here);
        found(Origin::default().any(ways).need(places.cluster(here, format!("for `{name}`"))))
    }

    fn install(self, stem: &str) -> Option<Origin> {
        let (places, here) = (self.places, self.here);
        match stem {
            EAST_WEST_GATEWAY | INGRESS_GATEWAY => self.gateway_pods(stem, false),
            "istiocoredns-service" => self.dns(),
            _ => {
                let installer = match places.topology.cluster(here).installer {
                    Installer::Istioctl => None,
                    Installer::Helm => places.cluster_field(here, &["install"], "Helm installs Istio"),
                    Installer::Sail => places.cluster_field(here, &["install"], "the Sail operator installs Istio"),
                };
                let cluster = self.cluster();
                Some(match installer {
                    Some(installer) => cluster.need(installer),
                    None => cluster,
                })
            }
        }
    }

    /// The pods of a gateway, where an installer needs a file or objects for them.
    fn gateway_pods(self, name: &str, reads_secrets: bool) -> Option<Origin> {
        let (places, here) = (self.places, self.here);
        let ways = if name == EAST_WEST_GATEWAY {
            let at = places.cluster_field(here, &["gateway"], "other clusters reach it here");
            at.map(|it| vec![it]).into_iter().collect()
        } else {
            let served = self.ingresses().filter(|it| !reads_secrets || it.tls.is_some());
            let lead = |it: &Ingress| {
                if reads_secrets {
                    places.ingress_field(it, "tls", format!("the ingress `{}` has a certificate", it.name))
                } else {
                    places.ingress(it)
                }
            };
            served.map(|it| vec![lead(it), places.serves(it, here)]).collect()
        };
        let text = "this way of installing Istio brings no gateways";
        let installer = places.cluster_field(here, &["install"], text);
        let origin = Origin::default().any(ways);
        found(match installer {
            Some(it) => origin.need(it),
            None => origin,
        })
    }

    fn dns(self) -> Option<Origin> {
        let (places, here) = (self.places, self.here);
        let text = format!("pods of `{}` resolve names of the mesh by its DNS", places.name(here));
        let server = places.cluster_field(here, &["dns", "server"], "which server knows the names");
        Some(Origin::default().need(places.cluster_field(here, &["dns"], text)?).related(server))
    }

    fn mesh(self, stem: &str, id: &Id) -> Option<Origin> {
        let (places, here) = (self.places, self.here);
        match stem {
            "peer-authentication" => return Some(self.cluster()),
            "east-west-gateway" => return self.east_west_gateway(),
            EAST_WEST_GATEWAY | INGRESS_GATEWAY => {
                return self.gateway_pods(stem, matches!(id.kind.as_str(), "Role" | "RoleBinding"));
            }
            _ => {}
        }
        if let Some((callee, service)) = self.of_file(stem) {
            return match id.kind.as_str() {
                "ServiceEntry" => self.service_entry(callee, service),
                "Service" => self.stub(callee, service),
                "WorkloadEntry" => self.workload_entry(callee, service, &id.name),
                "DestinationRule" => self.destination_rule(callee, service, self.names_of(callee, &id.name)?),
                "VirtualService" => self.split(callee, service, self.names_of(callee, &id.name)?),
                "AuthorizationPolicy" => self.policy(service),
                _ => None,
            };
        }
        if let Some(namespace) = stem.strip_prefix("sidecar-") {
            let local = self.local().filter(|it| it.namespace == namespace);
            let ways = local.map(|it| vec![places.runs(it, here)]).collect();
            return found(
                Origin::default().any(ways).related(places.mesh_field(&["scope"], "what sidecars are told of")),
            );
        }
        if let Some(name) = stem.strip_prefix("external-") {
            let external = places.topology.externals.iter().find(|it| it.name == name)?;
            let ways: Vec<Way> = self.external_calls(external).map(|it| it.1).collect();
            return found_if(!ways.is_empty(), Origin::default().any(ways).need(places.external(external)));
        }
        self.remote_gateway(stem.strip_prefix("network-")?)
    }

    /// The kind of name of the host that an object is called after.
    fn names_of(self, callee: ServiceId, name: &str) -> Option<Names> {
        let topology = self.places.topology;
        let is = |host: String| host.replace('.', "-") == name;
        if is(topology.global_host(callee)) {
            Some(Names::Global)
        } else {
            is(topology.local_host(callee)).then_some(Names::ClusterLocal)
        }
    }

    fn east_west_gateway(self) -> Option<Origin> {
        let (places, here) = (self.places, self.here);
        let local = &places.topology.view(here).local;
        let ways: Vec<Way> = local.iter().flat_map(|it| self.calls_from_afar(*it, None)).collect();
        let exports = !ways.is_empty();
        let gateway = places.topology.cluster(here).gateway.as_ref()?;
        let api = (gateway.api == GatewayApi::GatewayApi)
            .then(|| places.cluster_field(here, &["gateway", "api"], "a Gateway of the Gateway API"));
        let origin = Origin::default().any(ways).related(places.addresses(here, here));
        let origin = match api.flatten() {
            Some(api) => origin.need(api),
            None => origin,
        };
        found_if(exports, origin)
    }

    fn remote_gateway(self, network: &str) -> Option<Origin> {
        let (places, here) = (self.places, self.here);
        let topology = places.topology;
        let owner = topology.cluster_ids().find(|it| topology.cluster(*it).network == network)?;
        if topology.mesh.gateway_addresses != GatewayAddresses::IstioRemote {
            return None;
        }
        let view = topology.view(here);
        let mut ways = Vec::new();
        for callee in view.outgoing.keys().chain(view.shared.keys()) {
            let service = places.service(*callee);
            if service.elsewhere(here).any(|it| it == owner) {
                let with_owner = |mut way: Way| {
                    way.push(places.runs(service, owner));
                    way
                };
                ways.extend(self.calls(*callee, |_| true).into_iter().map(with_owner));
            }
        }
        let called = !ways.is_empty();
        let setting = places.mesh_field(&["gatewayAddresses"], "gateways are written once a cluster")?;
        let origin = Origin::default().any(ways).need(setting).related(places.addresses(owner, here));
        found_if(called, origin)
    }

    fn service_entry(self, callee: ServiceId, service: &'a Service) -> Option<Origin> {
        let (places, here) = (self.places, self.here);
        if service.runs_in(here) {
            let pods = places.runs(service, here);
            // Without its pods it may be is_written from here by the same name.
            let remains = self.all_calls(callee, |_| true).iter().any(|it| !it.contains(&pods));
            let mut ways = self.calls_from_afar(callee, Some(Names::Global));
            let exported = !ways.is_empty();
            let origin = if remains {
                for way in &mut ways {
                    way.retain(|it| *it != pods);
                }
                Origin::default().any(ways).related([pods])
            } else {
                Origin::default().any(ways).need(pods)
            };
            return found_if(exported, origin.need(places.declared(service)).any(self.named(service, Names::Global)));
        }
        let ways = self.calls(callee, |_| true);
        let is_written = !ways.is_empty() && !places.topology.has_stub(here, callee);
        let origin = Origin::default().any(ways).need(places.declared(service)).any(self.owners(service));
        found_if(is_written, origin.any(self.named(service, service.names)).related(self.gateways(service)))
    }

    fn stub(self, callee: ServiceId, service: &'a Service) -> Option<Origin> {
        let ways = self.calls(callee, |_| true);
        let is_written = !ways.is_empty() && self.places.topology.has_stub(self.here, callee);
        let origin = Origin::default().any(ways).need(self.places.declared(service)).any(self.owners(service));
        found_if(is_written, origin.any(self.named(service, Names::ClusterLocal)).related(self.gateways(service)))
    }

    fn workload_entry(self, callee: ServiceId, service: &'a Service, name: &str) -> Option<Origin> {
        let (places, here) = (self.places, self.here);
        let (owner, index) = service.elsewhere(here).find_map(|owner| {
            let first = format!("{}.{}", service.name, places.name(owner));
            let rest = name.strip_prefix(&first)?;
            let index = if rest.is_empty() { 1 } else { rest.strip_prefix('.')?.parse().ok()? };
            Some((owner, index))
        })?;
        let ways = self.calls(callee, |_| true);
        let is_written = !ways.is_empty();
        let mut origin = Origin::default().any(ways).need(places.declared(service)).need(places.runs(service, owner));
        let addresses = places.addresses(owner, here);
        if index > 1 && places.topology.addresses_inline(here) {
            origin = origin.any(choices(&addresses, index));
        }
        if service.runs_in(here) {
            // Without its pods, a Service of this name has the gateways alone.
            if service.names == Names::Global {
                origin = origin.need(places.runs(service, here));
            }
        } else {
            origin = origin.any(self.named(service, Names::ClusterLocal));
        }
        let one = if addresses.len() > 1 { addresses.get(index - 1).cloned().into_iter().collect() } else { addresses };
        found_if(is_written, origin.related(one))
    }

    /// Whether callers beside the pods of a service may use its global name, too.
    fn is_selected(self, callee: ServiceId) -> bool {
        let service = self.places.service(callee);
        let exports = &self.places.topology.view(self.here).exports;
        exports.get(&callee).is_some_and(|it| !it.global.is_empty() && service.target_numbers(&it.global).is_some())
    }

    /// The calls from here by this name, if objects of the name know of them.
    fn calls_by(self, callee: ServiceId, names: Names, fits: impl Fn(&Port) -> bool) -> Vec<Way> {
        let own = self.places.topology.named(self.here, callee) == names;
        if own || names == Names::Global && self.is_selected(callee) { self.calls(callee, fits) } else { Vec::new() }
    }

    fn destination_rule(self, callee: ServiceId, service: &'a Service, names: Names) -> Option<Origin> {
        let (places, here) = (self.places, self.here);
        // Connections are renewed, or several endpoints answer, or shares have names.
        let sticky = self.calls_by(callee, names, is_sticky);
        let calls = self.calls_by(callee, names, |_| true);
        let of_others = !choices(&self.far_endpoints(service), 2).is_empty();
        let host = self.host(callee, service, names, if of_others { &calls } else { &sticky });
        let mut ways;
        if host.is_of_pods {
            ways = calls;
        } else {
            ways = sticky.clone();
            let pairs = choices(&self.endpoints(service), 2);
            for call in calls.iter().filter(|it| !sticky.contains(it)) {
                ways.extend(pairs.iter().map(|it| with(call, it)));
            }
        }
        // Routes of other clusters name the shares. One cluster alone has none.
        let mut for_gateway: Vec<Way> = Vec::new();
        if let Balance::Weights(_) = service.balance {
            for other in service.placement.iter().filter(|it| **it != here) {
                let shares = [places.weights(service), places.runs(service, *other)];
                if host.is_own {
                    for_gateway.extend(host.exported.iter().map(|it| with(it, &shares)));
                } else if !host.exported.is_empty() {
                    for_gateway.push(shares.to_vec());
                }
            }
        }
        let by_any_owner = host.is_of_pods || !sticky.is_empty() || !for_gateway.is_empty();
        let owners = if by_any_owner { self.owners(service) } else { Vec::new() };
        ways.extend(for_gateway);
        let needed = !ways.is_empty();
        found_if(needed, self.of_host(Origin::default().any(ways), service, host).any(owners))
    }

    /// What a host of a service needs for itself; for these calls there would be such an object without pods
    /// here, too.
    fn host(self, callee: ServiceId, service: &Service, names: Names, calls: &[Way]) -> Host {
        let (places, here) = (self.places, self.here);
        let runs = service.runs_in(here);
        let pods = runs.then(|| places.runs(service, here));
        let is_pods = |it: &Cause| Some(it) == pods.as_ref();
        let remains = service.names == names && calls.iter().any(|it| !it.iter().any(is_pods));
        let mut exported = self.calls_from_afar(callee, Some(names));
        if remains {
            for way in &mut exported {
                way.retain(|it| !is_pods(it));
            }
        }
        let is_own = places.topology.named(here, callee) == names;
        let renamed = if runs && is_own { Vec::new() } else { self.named(service, names) };
        Host { exported, is_own, is_of_pods: runs && !remains, named: renamed }
    }

    /// An origin with what its host needs.
    fn of_host(self, origin: Origin, service: &Service, host: Host) -> Origin {
        let mut origin = origin.need(self.places.declared(service));
        if !host.is_own {
            origin = origin.any(host.exported);
        }
        if host.is_of_pods {
            origin = origin.need(self.places.runs(service, self.here));
        }
        origin.any(host.named)
    }

    /// What answers a call from here: other clusters' gateways, and the pods beside.
    fn endpoints(self, service: &Service) -> Vec<Cause> {
        let pods = service.runs_in(self.here).then(|| self.places.runs(service, self.here));
        self.far_endpoints(service).into_iter().chain(pods).collect()
    }

    /// Other clusters' gateways: one that has several addresses counts as often.
    fn far_endpoints(self, service: &Service) -> Vec<Cause> {
        let (places, here) = (self.places, self.here);
        let inline = places.topology.addresses_inline(here);
        let of = |owner: ClusterId| {
            let addresses = if inline { places.addresses(owner, here) } else { Vec::new() };
            if addresses.len() > 1 { addresses } else { vec![places.runs(service, owner)] }
        };
        service.elsewhere(here).flat_map(of).collect()
    }

    fn split(self, callee: ServiceId, service: &'a Service, names: Names) -> Option<Origin> {
        let (places, here) = (self.places, self.here);
        let Balance::Weights(_) = service.balance else { return None };
        let mut ways = self.calls_by(callee, names, |it| it.protocol.family() != Family::Tls);
        let host = self.host(callee, service, names, &ways);
        // Beside pods every port is there, whichever is is_written.
        if service.runs_in(here) {
            let more = self.calls_by(callee, names, |it| it.protocol.family() == Family::Tls);
            ways.extend(more.iter().map(|it| with(it, &[places.runs(service, here)])));
        }
        let is_written = !ways.is_empty();
        // One cluster alone has no shares.
        let runs = |it: &ClusterId| places.runs(service, *it);
        let several = if host.is_of_pods {
            self.owners(service)
        } else {
            choices(&service.placement.iter().map(runs).collect::<Vec<_>>(), 2)
        };
        let origin = Origin::default().any(ways).need(places.weights(service));
        found_if(is_written, self.of_host(origin, service, host).any(several))
    }

    fn policy(self, service: &'a Service) -> Option<Origin> {
        let (places, here) = (self.places, self.here);
        if !service.runs_in(here) || places.topology.mesh.authorization != Authorization::Declared {
            return None;
        }
        let setting = places.mesh_field(&["authorization"], "only declared callers are let in")?;
        Some(Origin::default().need(places.runs(service, here)).need(places.declared(service)).need(setting))
    }

    fn app(self, stem: &str, id: &Id) -> Option<Origin> {
        let (places, here) = (self.places, self.here);
        let (callee, service) = self.of_file(stem)?;
        let runs = |service: &'a Service| service.runs_in(here).then(|| places.runs(service, here));
        let workload = |it: &Service| {
            let text = format!("the bundle brings the pods of `{}`", it.key);
            matches!(it.workload, Workload::Deployment(_)).then(|| places.field(it, "workload", text))
        };
        match id.kind.as_str() {
            "ServiceAccount" => {
                let sharing = self.local().filter(|it| it.namespace == id.namespace && it.service_account == id.name);
                let ways: Vec<Way> =
                    sharing.filter_map(|it| Some(vec![workload(it)?, places.runs(it, here)])).collect();
                found(Origin::default().any(ways))
            }
            "Service" => {
                let pods = runs(service)?;
                let mut ways = vec![vec![pods.clone()]];
                if places.topology.takes_stub(here, callee) {
                    // Without its pods, a Service of this name has the gateways alone.
                    let calls = self.calls(callee, |_| true).into_iter().filter(|it| !it.contains(&pods));
                    let owners = self.owners(service);
                    ways.extend(
                        calls.flat_map(|call| owners.iter().map(move |it| with(&call, it)).collect::<Vec<_>>()),
                    );
                }
                Some(Origin::default().any(ways).need(places.declared(service)))
            }
            "Deployment" => {
                let origin = Origin::default().need(runs(service)?).need(places.declared(service));
                Some(origin.need(workload(service)?))
            }
            _ => None,
        }
    }

    fn ingress(self, name: &str) -> Option<Origin> {
        let (places, here) = (self.places, self.here);
        let ingress = self.ingresses().find(|it| it.name == name)?;
        let service = places.declared(places.service(ingress.service));
        Some(Origin::default().need(places.ingress(ingress)).need(places.serves(ingress, here)).need(service))
    }
}

/// What is known of the name that an object is about.
struct Host {
    /// The calls of it from other clusters.
    exported: Vec<Way>,
    /// Whether it is the name by which this cluster calls the service.
    is_own: bool,
    /// Whether it is there for the sake of pods.
    is_of_pods: bool,
    /// What makes it be called so.
    named: Vec<Way>,
}

fn with(way: &Way, causes: &[Cause]) -> Way {
    way.iter().chain(causes).cloned().collect()
}

/// An origin that has a need.
fn found(origin: Origin) -> Option<Origin> {
    found_if(!origin.needs.is_empty(), origin)
}

fn found_if(found: bool, origin: Origin) -> Option<Origin> {
    found.then_some(origin)
}

/// Every way to choose this many of these.
fn choices(of: &[Cause], count: usize) -> Vec<Way> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let mut ways = Vec::new();
    for (index, first) in of.iter().enumerate() {
        for rest in choices(&of[index + 1..], count - 1) {
            ways.push(std::iter::once(first.clone()).chain(rest).collect());
        }
    }
    ways
}
