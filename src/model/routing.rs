//! `DestinationRule` and `VirtualService` of services that several endpoints answer for: which is
//! tried first, which is left alone for a while, who gets which share.

use std::collections::BTreeSet;

use super::far::{self, tier_label};
use super::{DestinationRule, Split, Subset, callers};
use crate::syntax::Names;
use crate::topology::{Balance, ClusterId, Family, NETWORK_LABEL, Protocol, ROOT_NAMESPACE, ServiceId, Topology};

/// Requests after which a connection of HTTP/2 is replaced. A gateway shares out connections, not
/// requests: one that lived for ever would keep all calls at one pod.
const REQUESTS_A_CONNECTION: u32 = 1000;

/// The rules of a cluster for the services it calls and the services it exports, by name.
pub(super) fn lower(topology: &Topology, here: ClusterId) -> (Vec<DestinationRule<'_>>, Vec<Split<'_>>) {
    let view = topology.view(here);
    let mut rules = Vec::new();
    let mut splits = Vec::new();
    let known: BTreeSet<ServiceId> =
        view.outgoing.keys().chain(view.shared.keys()).chain(view.exports.keys()).copied().collect();
    for id in known {
        let called = view.outgoing.get(&id).or_else(|| view.shared.get(&id));
        let exported = view.exports.get(&id);
        for names in [Names::Global, Names::ClusterLocal] {
            // What an entry selects are pods and, beside them, other clusters' gateways.
            let selected = exported.is_some_and(|it| topology.service(id).target_numbers(&it.global).is_some());
            let exported = exported.is_some_and(|it| match names {
                Names::Global => !it.global.is_empty(),
                Names::ClusterLocal => !it.cluster_local.is_empty(),
            });
            // Where a service runs, its name that is the same everywhere is for whoever was told that one.
            let known = topology.named(here, id) == names || names == Names::Global && exported && selected;
            let called = called.filter(|_| known);
            rules.extend(rule(topology, here, id, names, called, exported));
            splits.extend(called.and_then(|ports| split(topology, here, id, names, ports)));
        }
    }
    (rules, splits)
}

fn host(topology: &Topology, id: ServiceId, names: Names) -> String {
    match names {
        Names::Global => topology.global_host(id),
        Names::ClusterLocal => topology.local_host(id),
    }
}

/// The namespaces that see order and shares of a host's endpoints. The gateways of other clusters that
/// stand beside a Service's pods are there for whoever calls it, declared or not: so are these.
fn visible_to(topology: &Topology, here: ClusterId, id: ServiceId, names: Names, also: &[&str]) -> Vec<String> {
    let joined = names == Names::ClusterLocal && topology.view(here).shared.contains_key(&id);
    if joined { Vec::new() } else { callers::visible_to(topology, here, id, also) }
}

/// The rule of a host, if calls need one, or the subsets that calls from afar name.
fn rule<'a>(
    topology: &'a Topology,
    here: ClusterId,
    id: ServiceId,
    names: Names,
    called: Option<&BTreeSet<usize>>,
    exported: bool,
) -> Option<DestinationRule<'a>> {
    let service = topology.service(id);
    let host = host(topology, id, names);
    let mut rule = DestinationRule {
        api_version: topology.cluster(here).target.networking,
        name: host.replace('.', "-"),
        namespace: &service.namespace,
        host,
        file: super::file(service),
        ..DestinationRule::default()
    };
    if let Some(ports) = called {
        let far = far::endpoints(topology, here, id);
        let last = far.iter().map(|it| it.tier).max().unwrap_or(0);
        let sticky = |index: &usize| matches!(service.ports[*index].protocol, Protocol::Grpc | Protocol::Http2);
        rule.requests_a_connection = ports.iter().any(sticky).then_some(REQUESTS_A_CONNECTION);
        if far.len() + usize::from(service.runs_in(here)) > 1 {
            rule.outlier_detection = true;
            rule.failover_priority = if topology.addresses_inline(here) {
                let own_network = (service.balance == Balance::Network).then(|| NETWORK_LABEL.to_owned());
                // The first label that differs decides: with the network in front, no tier behind would count.
                (1..=last).rev().map(tier_label).chain(own_network).collect()
            } else {
                first_network(topology, here, id)
            };
            // Outlier detection alone would prefer the caller's zone.
            rule.ignore_locality = rule.failover_priority.is_empty() && service.balance != Balance::Locality;
        }
    }
    if let Balance::Weights(shares) = &service.balance
        && (called.is_some() || exported)
    {
        rule.subsets = shares
            .iter()
            .map(|(cluster, _)| topology.cluster(*cluster))
            .map(|it| Subset { name: &it.name, network: &it.network })
            .collect();
    }
    // A gateway looks for the subsets of what it exports.
    let also: &[&str] = if exported && !rule.subsets.is_empty() { &[ROOT_NAMESPACE] } else { &[] };
    rule.export_to = visible_to(topology, here, id, names, also);
    let needed = rule.outlier_detection || rule.requests_a_connection.is_some() || !rule.subsets.is_empty();
    needed.then_some(rule)
}

/// The label of the endpoints that are tried first, where istiod fills in the others' addresses: those
/// of the own network, or those of the first cluster.
fn first_network(topology: &Topology, here: ClusterId, id: ServiceId) -> Vec<String> {
    let service = topology.service(id);
    let tiers = service.tiers(here);
    if service.balance == Balance::Network || tiers.len() > 1 && service.runs_in(here) {
        vec![NETWORK_LABEL.to_owned()]
    } else if tiers.len() > 1 {
        vec![format!("{NETWORK_LABEL}={}", topology.cluster(tiers[0][0]).network)]
    } else {
        Vec::new()
    }
}

/// The shares of a host's calls, if they have any.
fn split<'a>(
    topology: &'a Topology,
    here: ClusterId,
    id: ServiceId,
    names: Names,
    ports: &BTreeSet<usize>,
) -> Option<Split<'a>> {
    let service = topology.service(id);
    let host = host(topology, id, names);
    let shares = shares(topology, id);
    if shares.is_empty() {
        return None;
    }
    let mut split = Split {
        api_version: topology.cluster(here).target.networking,
        name: host.replace('.', "-"),
        namespace: &service.namespace,
        host,
        export_to: visible_to(topology, here, id, names, &[]),
        shares,
        file: super::file(service),
        ..Split::default()
    };
    for port in ports.iter().map(|it| &service.ports[*it]) {
        let kind = match port.protocol.family() {
            Family::Http => "http",
            // Of TLS Istio sees no request to share out; such a port is none that anybody calls.
            Family::Tls => continue,
            Family::Tcp | Family::Udp => "tcp",
        };
        split.routes.entry(kind).or_default().push(port.number);
    }
    // `http` before `tcp`, in whatever order the ports are.
    split.routes.sort_unstable_keys();
    Some(split)
}

/// The clusters that get a share of a service's calls, as subsets, with their percent.
pub(super) fn shares(topology: &Topology, id: ServiceId) -> Vec<(&str, u32)> {
    let Balance::Weights(shares) = &topology.service(id).balance else { return Vec::new() };
    let given = shares.iter().filter(|it| it.1 > 0);
    given.map(|(cluster, percent)| (topology.cluster(*cluster).name.as_str(), *percent)).collect()
}
