//! Rules that hold between the parts of a mesh: gateways, names, listeners, membership.

use std::collections::{BTreeMap, BTreeSet};

use super::addresses::overlap;
use super::order;
use crate::diag::{Code, Diagnostics};
use crate::source::Span;
use crate::syntax::{Authorization, GatewayApi, Names, Place};
use crate::target::Release;
use crate::topology::{
    Address, Balance, Cluster, ClusterId, EAST_WEST_GATEWAY, Family, INGRESS_GATEWAY, ServiceId, Topology, Workload,
};

/// Checks the whole and marks the services that are called from afar.
pub(in crate::topology) fn check(topology: &mut Topology, place: Place<'_>, diags: &mut Diagnostics) {
    let crossings = crossings(topology);
    for crossing in crossings.iter().filter(|it| !it.from.is_empty()) {
        topology.services[crossing.callee.0].called_from_afar = true;
    }
    virtual_ips(topology, &crossings);
    gateways(topology, &crossings, place, diags);
    releases(topology, &crossings, place, diags);
    weights(topology, &crossings, place, diags);
    order::check(topology, place, diags);
    trust_domains(topology, place, diags);
    identities(topology, diags);
    selectors(topology, place, diags);
    ingress_identities(topology, place, diags);
    gateway_listeners(topology, place, diags);
    dns(topology, &crossings, diags);
    families(topology, place, diags);
    suffix(topology, &crossings, place, diags);
    ranges(topology, diags);
    udp(topology, &crossings, diags);
    membership(topology, &crossings, place, diags);
    pinned(topology, diags);
    names(topology, diags);
    listeners(topology, place, diags);
}

/// A call of a service, or of an ingress, that another cluster may answer.
struct Crossing {
    callee: ServiceId,
    port: usize,
    caller: Caller,
    at: Span,
    /// The clusters of the caller that do not run the callee.
    from: Vec<ClusterId>,
    /// Those that run it and share its calls with others.
    shared: Vec<ClusterId>,
}

impl Crossing {
    /// Whether it would stay in its cluster if the callee shared no calls.
    fn stays(&self) -> bool {
        self.from.is_empty()
    }

    /// What happens, for people.
    fn story(&self, topology: &Topology) -> String {
        let (who, callee) = (self.caller.name(topology), &topology.service(self.callee).key);
        if self.stays() {
            format!("{who} calls `{callee}`, and another cluster may answer")
        } else {
            format!("{who} calls `{callee}` from another cluster")
        }
    }

    /// The clusters that may answer from afar.
    fn owners(&self, topology: &Topology) -> BTreeSet<ClusterId> {
        let service = topology.service(self.callee);
        self.from.iter().chain(&self.shared).flat_map(|from| service.elsewhere(*from)).collect()
    }
}

/// Marks the services that callers know by a virtual IP: by a name that is the same everywhere, or by
/// the name of a Service that is not there, where a gateway's DNS name rules a stub out.
fn virtual_ips(topology: &mut Topology, crossings: &[Crossing]) {
    for crossing in crossings {
        let by_virtual_ip = crossing.from.iter().any(|from| !topology.has_stub(*from, crossing.callee));
        topology.services[crossing.callee.0].has_virtual_ip |= by_virtual_ip;
    }
}

/// Who makes a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Caller {
    Service(ServiceId),
    /// Index into the ingresses.
    Ingress(usize),
}

impl Caller {
    fn name(self, topology: &Topology) -> String {
        match self {
            Self::Service(id) => format!("`{}`", topology.service(id).key),
            Self::Ingress(index) => format!("the ingress `{}`", topology.ingresses[index].name),
        }
    }
}

fn crossings(topology: &Topology) -> Vec<Crossing> {
    let crossing = |callee: ServiceId, port: usize, caller: Caller, at: Span, clusters: &[ClusterId]| {
        let service = topology.service(callee);
        let (local, from): (Vec<_>, Vec<_>) = clusters.iter().copied().partition(|id| service.runs_in(*id));
        let crosses = service.ports[port].protocol.family() != Family::Udp;
        let shared = local.into_iter().filter(|id| crosses && service.elsewhere(*id).next().is_some()).collect();
        Crossing { callee, port, caller, at, from, shared }
    };
    let calls = topology.services.iter().enumerate().flat_map(|(index, caller)| {
        let id = Caller::Service(ServiceId(index));
        caller.calls.iter().map(move |call| crossing(call.callee, call.port, id, call.at, &caller.placement))
    });
    let ingresses = topology.ingresses.iter().enumerate().map(|(index, ingress)| {
        crossing(ingress.service, ingress.port, Caller::Ingress(index), ingress.at, &ingress.clusters)
    });
    calls.chain(ingresses).filter(|it| !it.from.is_empty() || !it.shared.is_empty()).collect()
}

/// Every cluster that is called into has a gateway, and no two have the same.
fn gateways(topology: &Topology, crossings: &[Crossing], place: Place<'_>, diags: &mut Diagnostics) {
    let mut reported = BTreeSet::new();
    for crossing in crossings {
        for owner in crossing.owners(topology) {
            let cluster = topology.cluster(owner);
            if cluster.gateway.is_none() && reported.insert(owner) {
                diags
                    .error(
                        Code::MissingGateway,
                        format!("`{}` has no gateway, yet other clusters call into it", cluster.name),
                    )
                    .at(cluster.at, "no `gateway:` here")
                    .context(crossing.at, crossing.story(topology))
                    .help(format!(
                        "give the address of its `{}`, or `gateway: pending` until it has one",
                        gateway_name(cluster)
                    ))
                    .help_if(
                        crossing.stays().then(|| "or keep its calls in their cluster: `balance: local`".to_owned()),
                    );
            }
        }
    }
    let mut seen: BTreeMap<(String, u16), &Cluster> = BTreeMap::new();
    for cluster in &topology.clusters {
        let Some(gateway) = &cluster.gateway else { continue };
        let at = place.get("clusters").get(&cluster.name).get("gateway").get("address");
        for address in gateway.all_addresses() {
            let text = match address {
                Address::Ip(ip) => ip.to_string(),
                Address::Name(name) => name.clone(),
                Address::Pending => continue,
            };
            if let Address::Ip(ip) = address
                && let Some((range, range_at)) = topology.mesh.virtual_ranges.iter().find(|it| it.0.contains(ip))
            {
                diags
                    .error(Code::GatewayIsVirtual, format!("the gateway of `{}`, {ip}, lies in the range of virtual IPs", cluster.name))
                    .at(at.value(), "")
                    .context(*range_at, format!("virtual IPs are taken from {range}"))
                    .help("a sidecar would take a call to the gateway for a call to a service; move the range: `mesh: {virtualIPs: …}`");
            }
            let Some(first) = seen.insert((text.clone(), gateway.dial()), cluster) else { continue };
            if first.name == cluster.name {
                continue;
            }
            diags
                .error(Code::SharedGateway, format!("`{}` and `{}` have one gateway, {text}", first.name, cluster.name))
                .at(at.value(), "here again")
                .context(place.get("clusters").get(&first.name).get("gateway").get("address").value(), "first here")
                .help(format!("each cluster has its own `{}`; one of the two is a copy", gateway_name(cluster)));
        }
    }
}

/// What a call asks of the clusters at both its ends, their releases can do.
fn releases(topology: &Topology, crossings: &[Crossing], place: Place<'_>, diags: &mut Diagnostics) {
    let mut reported = BTreeSet::new();
    for crossing in crossings {
        let service = topology.service(crossing.callee);
        let ends = crossing.from.iter().copied().chain(crossing.owners(topology));
        let old = ends.map(|it| topology.cluster(it)).find(|it| !it.passes_through());
        let Some(old) = old.filter(|_| !crossing.from.is_empty()) else { continue };
        let line = old.target.line();
        let here = place.get("services").get(&service.key);
        if service.names == Names::ClusterLocal && reported.insert((crossing.callee, "names")) {
            let at = here.find("names").or_else(|| place.get("mesh").find("names")).map_or(service.at, Place::value);
            diags
                .error(
                    Code::FieldNotInRelease,
                    format!(
                        "`{}` cannot be called by its cluster-local name: `{}` has Istio {line}",
                        service.key, old.name
                    ),
                )
                .at(at, "")
                .context(old.at, format!("its gateway passes names under `.{}` only", topology.mesh.suffix))
                .context(crossing.at, format!("{} calls it from another cluster", crossing.caller.name(topology)))
                .help("write `names: global` at the service, or take Istio 1.22 or newer in both clusters");
        }
        if matches!(service.balance, Balance::Weights(_)) && reported.insert((crossing.callee, "balance")) {
            diags
                .error(
                    Code::FieldNotInRelease,
                    format!(
                        "`{}` is called from `{}`, where Istio {line} cannot share calls by weight",
                        service.key, old.name
                    ),
                )
                .at(here.get("balance").key(), "")
                .context(old.at, format!("Istio {line} here"))
                .context(crossing.at, format!("{} calls it from there", crossing.caller.name(topology)))
                .help("Istio 1.22 and newer can; until then, `balance: spread` treats all alike from everywhere");
        }
    }
}

/// A share is given by request, or by connection; of TLS that is passed on, Istio sees neither.
fn weights(topology: &Topology, crossings: &[Crossing], place: Place<'_>, diags: &mut Diagnostics) {
    let mut reported = BTreeSet::new();
    for crossing in crossings {
        let service = topology.service(crossing.callee);
        let port = &service.ports[crossing.port];
        let shared = matches!(service.balance, Balance::Weights(_)) && port.protocol.family() == Family::Tls;
        if !shared || !reported.insert((crossing.callee, crossing.port)) {
            continue;
        }
        let here = place.get("services").get(&service.key);
        diags
            .error(
                Code::InvalidBalance,
                format!("calls to port `{}` of `{}` cannot be shared by weight: it speaks {}", port.name, service.key, port.protocol.istio()),
            )
            .at(here.get("balance").key(), "")
            .context(here.get("ports").get(&port.name).key(), "this port")
            .context(crossing.at, format!("{} calls it", crossing.caller.name(topology)))
            .help("Istio routes such calls by the name in their handshake and shares none of them out; call the port `tcp-…`, or take another `balance`");
    }
}

/// Trust domains of their own, beside a cluster that knows one for all.
fn trust_domains(topology: &Topology, place: Place<'_>, diags: &mut Diagnostics) {
    let Some(old) = topology.clusters.iter().find(|it| !it.passes_through()) else { return };
    for cluster in topology.clusters.iter().filter(|it| it.trust_domain != topology.mesh.trust_domain) {
        diags
            .error(
                Code::FieldNotInRelease,
                format!(
                    "`{}` has a trust domain of its own, which `{}` with Istio {} does not accept",
                    cluster.name,
                    old.name,
                    old.target.line()
                ),
            )
            .at(place.get("clusters").get(&cluster.name).get("trustDomain").value(), "")
            .context(old.at, "its pods take callers of their own trust domain only")
            .help("leave `trustDomain` out as long as that cluster is part of the mesh");
    }
}

/// A gateway that stands for the pods of one service is none of another's: no Service beside it selects
/// what it is labelled with.
fn selectors(topology: &Topology, place: Place<'_>, diags: &mut Diagnostics) {
    let mut reported = BTreeSet::new();
    for here in topology.cluster_ids() {
        let view = topology.view(here);
        let stubs: Vec<ServiceId> = view.outgoing.keys().copied().filter(|it| topology.has_stub(here, *it)).collect();
        for id in stubs.iter().chain(view.shared.keys()) {
            let service = topology.service(*id);
            let takes = |other: &&ServiceId| {
                let it = topology.service(**other);
                *other != id
                    && it.namespace == service.namespace
                    && it.selector.iter().all(|(key, value)| service.selector.get(key) == Some(value))
            };
            let Some(other) = view.local.iter().chain(&stubs).find(takes) else { continue };
            if !reported.insert((*id).min(*other)) {
                continue;
            }
            let other = topology.service(*other);
            diags
                .error(
                    Code::SharedSelector,
                    format!(
                        "in `{}` the Service of `{}` selects what answers for `{}`, too",
                        topology.cluster(here).name,
                        other.key,
                        service.key
                    ),
                )
                .at(service.at, "its endpoints lie in another cluster, too")
                .context(
                    place.get("services").get(&other.key).find("selector").map_or(other.at, Place::key),
                    "this selector fits them",
                )
                .help("give each a selector of its own, or keep the calls in their cluster with `balance: local`");
        }
    }
}

/// Whoever is let in by identity has one that is known.
fn identities(topology: &Topology, diags: &mut Diagnostics) {
    if topology.mesh.authorization != Authorization::Declared {
        return;
    }
    for service in topology.services.iter().filter(|it| !it.account_known && !it.calls.is_empty()) {
        diags
            .error(Code::UnknownIdentity, format!("nobody knows as whom `{}` calls others", service.key))
            .at(service.at, "its Deployment comes from elsewhere")
            .context(service.calls[0].at, "this call is let in by identity")
            .help("say which ServiceAccount its pods have: `serviceAccount: NAME`");
    }
}

/// So has the gateway that serves the outside, unless it is somebody else's.
fn ingress_identities(topology: &Topology, place: Place<'_>, diags: &mut Diagnostics) {
    if topology.mesh.authorization != Authorization::Declared {
        return;
    }
    let mut reported = BTreeSet::new();
    for ingress in &topology.ingresses {
        for id in &ingress.clusters {
            let cluster = topology.cluster(*id);
            let gateway = &cluster.ingress_gateway;
            if gateway.installed || gateway.service_account.is_some() || !reported.insert(*id) {
                continue;
            }
            let at = place.get("clusters").get(&cluster.name).get("ingress");
            diags
                .error(
                    Code::UnknownIdentity,
                    format!("nobody knows as whom the ingress gateway of `{}` calls services", cluster.name),
                )
                .at(at.key(), "it is not the one that the bundle installs")
                .context(ingress.at, "its calls are let in by identity")
                .help("say which ServiceAccount its pods have: `ingress: {…, serviceAccount: NAME}`");
        }
    }
}

/// The most listeners that a Gateway of the Gateway API has.
const LISTENERS: usize = 64;

/// A Gateway of the Gateway API has a listener for each host.
fn gateway_listeners(topology: &Topology, place: Place<'_>, diags: &mut Diagnostics) {
    for id in topology.cluster_ids() {
        let cluster = topology.cluster(id);
        let exports = topology.view(id).exports.values();
        let hosts: usize =
            exports.map(|it| usize::from(!it.global.is_empty()) + usize::from(!it.cluster_local.is_empty())).sum();
        let listens = cluster.gateway.as_ref().is_some_and(|it| it.api == GatewayApi::GatewayApi);
        if listens && hosts > LISTENERS {
            diags
                .error(
                    Code::TooManyListeners,
                    format!("other clusters call {hosts} hosts of `{}`, and its gateway takes {LISTENERS}", cluster.name),
                )
                .at(place.get("clusters").get(&cluster.name).get("gateway").get("api").value(), "")
                .help("the Gateway API allows a Gateway that many listeners, one for each host; leave `api` out: a Gateway of Istio's own has no such limit");
        }
    }
}

/// Patch releases that lose entries with several addresses (release notes 51967-revert and
/// revert-multi-vip).
const ONE_ADDRESS: [Release; 2] =
    [Release { major: 1, minor: 22, patch: 4 }, Release { major: 1, minor: 23, patch: 0 }];

/// What serves names of the suffix, and what the old line knows, is IPv4.
fn families(topology: &Topology, place: Place<'_>, diags: &mut Diagnostics) {
    let two = topology.mesh.virtual_ranges.len() > 1;
    for cluster in topology.clusters.iter().filter(|it| two && ONE_ADDRESS.contains(&it.istio)) {
        diags
            .error(Code::UnsupportedIstio, format!("Istio {} cannot hold hosts of two virtual IPs", cluster.istio))
            .at(place.get("clusters").get(&cluster.name).get("istio").value(), "")
            .context(topology.mesh.virtual_ranges[1].1, "one of IPv4 and one of IPv6")
            .help("the patch releases before and after it can");
    }
    if topology.mesh.virtual_ranges.iter().any(|it| it.0.addr().is_ipv4()) {
        return;
    }
    if let Some(cluster) = topology.clusters.iter().find(|it| it.dns.is_some() || !it.passes_through()) {
        diags
            .error(
                Code::InvalidRange,
                format!("`{}` knows virtual IPs of IPv4 only, and the mesh has none", cluster.name),
            )
            .at(place.get("mesh").get("virtualIPs").value(), "")
            .context(
                cluster.at,
                if cluster.passes_through() {
                    "the server of its `dns:` answers with IPv4".to_owned()
                } else {
                    format!("Istio {} here", cluster.target.line())
                },
            )
            .help("add a range of IPv4: `virtualIPs: [240.0.0.0/16, …]`")
            .help_if(
                cluster
                    .passes_through()
                    .then(|| "or leave `dns` out: sidecars answer for the names themselves".to_owned()),
            );
    }
}

/// The Service in front of the gateway that other clusters call.
fn gateway_name(cluster: &Cluster) -> &'static str {
    if cluster.passes_through() { EAST_WEST_GATEWAY } else { INGRESS_GATEWAY }
}

/// Every cluster that calls out can resolve the suffix.
fn dns(topology: &Topology, crossings: &[Crossing], diags: &mut Diagnostics) {
    let mut reported = BTreeSet::new();
    for crossing in crossings {
        for from in crossing.from.iter().copied() {
            let cluster = topology.cluster(from);
            // An ingress routes by configuration, not by name.
            // Sidecars of today's Istio answer for the names themselves.
            let resolves = cluster.dns.is_some() || cluster.passes_through();
            if !resolves && matches!(crossing.caller, Caller::Service(_)) && reported.insert(from) {
                diags
                    .error(Code::MissingStubAddress, format!("`{}` cannot resolve `.{}`: it has no `dns:`", cluster.name, topology.mesh.suffix))
                    .at(cluster.at, "")
                    .context(crossing.at, format!("{} calls another cluster from here", crossing.caller.name(topology)))
                    .help("say what serves its DNS and choose an address: `dns: {provider: kube-dns, address: 10.0.0.53}`");
            }
        }
    }
}

/// Top-level domains that exist and that a mesh might be called by. Two letters are a country's.
const PUBLIC: [&str; 24] = [
    "app", "biz", "blue", "cloud", "com", "company", "dev", "domains", "edu", "global", "gov", "green", "group",
    "host", "info", "int", "live", "net", "network", "org", "red", "services", "systems", "zone",
];

/// A stub domain hides what the Internet has under the same name.
fn suffix(topology: &Topology, crossings: &[Crossing], place: Place<'_>, diags: &mut Diagnostics) {
    let suffix = topology.mesh.suffix.as_str();
    // A sidecar answers for the very names that are called; a stub domain takes them all.
    let stub = |it: &ClusterId| topology.cluster(*it).dns.is_some() || !topology.cluster(*it).passes_through();
    let served =
        crossings.iter().flat_map(|it| &it.from).any(stub) || topology.clusters.iter().any(|it| it.dns.is_some());
    if !served || !(PUBLIC.contains(&suffix) || suffix.len() == 2) {
        return;
    }
    let written = place.get("mesh").find("suffix");
    let what = if written.is_some() { "" } else { ", the default," };
    diags
        .warning(
            Code::PublicSuffix,
            format!("the suffix `{suffix}`{what} is a real top-level domain: pods no longer reach sites under it"),
        )
        .at(
            written.map_or(place.get("mesh").key(), Place::value),
            if written.is_some() { "" } else { "no `mesh: {suffix: …}` is written" },
        )
        .help("take a name that is nobody's, such as `mesh.internal` (Istio 1.6 or newer), or accept it: `allow: [T0306]`");
}

/// Virtual IPs stay clear of what the topology declares; a range half covered deserves a word.
fn ranges(topology: &Topology, diags: &mut Diagnostics) {
    for cluster in &topology.clusters {
        for (what, declared, at) in &cluster.ranges.all {
            for (range, _) in topology.mesh.virtual_ranges.iter().filter(|it| overlap(declared, &it.0)) {
                diags
                    .warning(
                        Code::VirtualRangeOverlap,
                        format!(
                            "the range of {what} of `{}`, {declared}, overlaps the range of virtual IPs, {range}",
                            cluster.name
                        ),
                    )
                    .at(*at, "")
                    .help("addresses that both have are not given to services; choose a range that nothing routes");
            }
        }
    }
}

/// The gateways carry TLS over TCP.
fn udp(topology: &Topology, crossings: &[Crossing], diags: &mut Diagnostics) {
    for crossing in crossings {
        let callee = topology.service(crossing.callee);
        if callee.ports[crossing.port].protocol.family() == Family::Udp {
            diags
                .error(
                    Code::UdpAcrossClusters,
                    format!("{} calls `{}` over UDP from another cluster", crossing.caller.name(topology), callee.key),
                )
                .at(crossing.at, "")
                .context(callee.at, "it runs elsewhere")
                .help("gateways carry TCP only; run the callee beside its caller");
        }
    }
}

/// What Istio's injector takes for a yes; anything else in the annotation is a no.
const INJECTED: [&str; 5] = ["", "y", "yes", "true", "on"];

/// mTLS between clusters needs a sidecar at both ends.
fn membership(topology: &Topology, crossings: &[Crossing], place: Place<'_>, diags: &mut Diagnostics) {
    let mut across: BTreeMap<ServiceId, &Crossing> = BTreeMap::new();
    for crossing in crossings {
        if let Caller::Service(id) = crossing.caller {
            across.entry(id).or_insert(crossing);
        }
        across.entry(crossing.callee).or_insert(crossing);
    }
    for (id, crossing) in across {
        let service = topology.service(id);
        let here = place.get("services").get(&service.key);
        let refused = |annotations: Option<&std::collections::BTreeMap<String, String>>| {
            annotations
                .and_then(|it| it.get("sidecar.istio.io/inject"))
                .is_some_and(|it| !INJECTED.contains(&it.to_ascii_lowercase().as_str()))
        };
        let own: std::collections::BTreeMap<_, _> = service.annotations.clone().into_iter().collect();
        let workload = here.get("workload");
        let mut found = refused(Some(&own))
            .then(|| (here.get("annotations").key(), "`sidecar.istio.io/inject` keeps the sidecar out"));
        if let Workload::Deployment(spec) = &service.workload {
            let pods = |it: &crate::syntax::WorkloadSpec| {
                it.pod.as_ref().and_then(|it| it.host_network).or_else(|| {
                    it.deployment.as_ref().and_then(|it| it.template.spec.as_ref()).and_then(|it| it.host_network)
                })
            };
            if pods(spec) == Some(true) {
                found = Some((workload.get("pod").key(), "with `hostNetwork` a pod gets no sidecar"));
            }
            let template = spec
                .deployment
                .as_ref()
                .and_then(|it| it.template.metadata.as_ref())
                .and_then(|it| it.annotations.as_ref());
            if refused(template) {
                found = Some((workload.get("deployment").key(), "`sidecar.istio.io/inject` keeps the sidecar out"));
            }
        }
        if let Some((span, reason)) = found {
            diags
                .error(Code::NotInMesh, format!("the pods of `{}` have no sidecar, yet take part in a call between clusters", service.key))
                .at(span, reason)
                .context(crossing.at, crossing.story(topology))
                .help("a gateway takes mTLS only, which the sidecar speaks; let it in, or keep the call within one cluster")
                .help_if(crossing.stays().then(|| {
                    format!("such as by `balance: local` at `{}`", topology.service(crossing.callee).key)
                }));
        }
    }
}

/// A pin that nothing uses is a leftover.
fn pinned(topology: &Topology, diags: &mut Diagnostics) {
    for service in topology.services.iter().filter(|it| !it.has_virtual_ip) {
        for (ip, at) in &service.virtual_ips {
            diags
                .warning(
                    Code::UnusedVirtualIp,
                    format!("`{}` has the virtual IP {ip}, and nobody calls it from another cluster", service.key),
                )
                .at(*at, "")
                .help("it is used by no entry; remove the pin, or declare the call");
        }
    }
}

/// Entries of services and of external hosts share the names of a namespace.
fn names(topology: &Topology, diags: &mut Diagnostics) {
    let mut seen: BTreeMap<(&str, String), Span> = BTreeMap::new();
    for (index, service) in topology.services.iter().enumerate() {
        let host = topology.global_host(ServiceId(index));
        if host.len() > 253 {
            diags
                .error(
                    Code::NameTooLong,
                    format!("the host of `{}` has {} characters, DNS allows 253", service.key, host.len()),
                )
                .at(service.at, "")
                .help("a shorter name, namespace or `mesh.suffix`");
        }
        seen.insert((&service.namespace, host.replace('.', "-")), service.at);
    }
    for external in &topology.externals {
        if let Some(at) = seen.get(&(external.namespace.as_str(), external.name.clone())) {
            diags
                .error(
                    Code::NameCollision,
                    format!("the entry of the external `{}` would have the name of another entry", external.name),
                )
                .at(external.at, "")
                .context(*at, "the entry of this service")
                .help("give the external another name");
        }
    }
}

/// What listens on `0.0.0.0:<port>` of a sidecar.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Listener {
    /// Shared by everything that names its host in a request.
    Http,
    /// Shared by everything that names its host in a handshake.
    Tls,
    /// Not shared.
    Tcp,
}

/// External ports without addresses listen on all addresses, as HTTP does: only one kind fits a port.
fn listeners(topology: &Topology, place: Place<'_>, diags: &mut Diagnostics) {
    let mut reported = BTreeSet::new();
    for cluster in topology.cluster_ids() {
        let mut taken: BTreeMap<u16, Vec<(Listener, String, Span)>> = BTreeMap::new();
        let view = topology.view(cluster);
        let local = view.local.iter().flat_map(|id| topology.service(*id).ports.iter().map(move |port| (*id, port)));
        let called = view.outgoing.iter().flat_map(|(id, ports)| {
            let all = &topology.service(*id).ports;
            ports.iter().map(move |port| (*id, &all[*port]))
        });
        for (id, port) in local.chain(called).filter(|it| it.1.protocol.family() == Family::Http) {
            let service = topology.service(id);
            taken.entry(port.number).or_default().push((Listener::Http, format!("`{}`", service.key), service.at));
        }
        for (index, external) in topology.externals.iter().enumerate() {
            if !external.clusters.contains(&cluster) {
                continue;
            }
            for port in &external.ports {
                let listener = match port.protocol.family() {
                    Family::Http => Listener::Http,
                    Family::Tls => Listener::Tls,
                    _ if external.addresses.is_empty() => Listener::Tcp,
                    _ => continue,
                };
                let at = place.get("externals").get(&external.name).get("ports").get(&port.name).key();
                let others = taken.entry(port.number).or_default();
                let clash = others.iter().find(|it| it.0 != listener || listener == Listener::Tcp);
                if let Some((_, other, first)) = clash
                    && reported.insert((index, port.number))
                {
                    diags
                        .error(
                            Code::ListenerCollision,
                            format!(
                                "in `{}` port {} of the external `{}` collides with {other}: a sidecar cannot tell them apart",
                                topology.cluster(cluster).name,
                                port.number,
                                external.name
                            ),
                        )
                        .at(at, "this port")
                        .context(*first, "and the same number here")
                        .help("give the external host its addresses, `addresses: [203.0.113.7]`, or call one of them on another port");
                }
                others.push((listener, format!("the external `{}`", external.name), at));
            }
        }
    }
}
