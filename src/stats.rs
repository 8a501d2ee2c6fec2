//! `Stats`: how many objects a cluster gets, and about how many clusters its Envoys hold.
//!
//! Envoy calls a *cluster* what pilot makes of one port of one host: a sidecar and a gateway hold one
//! for each port of each host they are told of, and one more for each subset. What they are told of
//! depends on `exportTo` and, for sidecars, on the `Sidecar` of their namespace. Counted is what the
//! topology knows, and what every Istio has.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::bundle::Bundle;
use crate::model::{ClusterModel, DestinationRule, Entry, Sidecar};
use crate::topology::{Family, Port, ROOT_NAMESPACE, TargetPort};

/// Clusters that every proxy has of its own: those of its bootstrap (`prometheus_stats`, `agent`,
/// `sds-grpc`, `xds-grpc`) and `BlackHoleCluster`, `PassthroughCluster`, `InboundPassthroughCluster`.
const OWN_CLUSTERS: usize = 7;
/// Ports of the Service `istiod`: 15010, 15012, 443, 15014.
const ISTIOD_PORTS: usize = 4;
/// Ports of the Service of a gateway, where nobody asks for others: 15021, 80, 443.
const GATEWAY_PORTS: usize = 3;

/// What becomes of one cluster, in numbers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Files of the bundle.
    pub files: usize,
    /// Objects that its kustomization applies, by kind.
    pub objects: BTreeMap<String, usize>,
    /// Clusters that each of its Envoys holds for Istio itself; part of the numbers that follow.
    pub of_istio: usize,
    /// What sidecars hold with `scope: declared`; `None` where the release has no such thing, or
    /// nothing runs.
    pub declared: Option<Range>,
    /// What sidecars hold with `scope: mesh`; `None` where nothing runs.
    pub mesh: Option<Range>,
    /// What the gateway that other clusters call holds, if there is one.
    pub east_west_gateway: Option<Gateway>,
    /// The clusters of the gateway that serves the outside, if anything is served. In the old line it
    /// is the one that other clusters call, too.
    pub ingress_gateway: Option<usize>,
}

/// The sidecars with the fewest and with the most clusters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Range {
    /// The fewest.
    pub least: Held,
    /// The most.
    pub most: Held,
}

/// How many clusters a sidecar holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// How many.
    pub clusters: usize,
    /// The service beside which it runs.
    pub service: String,
    /// And its namespace.
    pub namespace: String,
}

/// What the gateway that other clusters call holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// Clusters: those of any gateway, and one more each for calls that come in.
    pub clusters: usize,
    /// Filter chains: what it lets in. `None` where it lets in every name of the suffix by one.
    pub filter_chains: Option<usize>,
}

impl Stats {
    /// All objects.
    #[must_use]
    pub fn object_count(&self) -> usize {
        self.objects.values().sum()
    }
}

/// A host that a proxy may be told of.
struct Host<'a> {
    name: String,
    namespace: &'a str,
    /// Those that get a cluster: Istio makes none for UDP.
    ports: usize,
    /// Whether it is part of the mesh.
    internal: bool,
    /// The namespaces that see it; empty for all.
    export_to: &'a [String],
    rule: Option<&'a DestinationRule<'a>>,
}

impl Host<'_> {
    /// The clusters it makes in a proxy of a namespace that is told of it.
    fn clusters(&self, namespace: &str) -> usize {
        let rule = self.rule.filter(|it| seen(&it.export_to, it.namespace, namespace));
        self.ports * (1 + rule.map_or(0, |it| it.subsets.len()))
    }
}

/// Whether an object that is exported to these namespaces is seen from another.
fn seen(export_to: &[String], own: &str, from: &str) -> bool {
    export_to.is_empty() || export_to.iter().any(|it| it == from || it == "." && own == from)
}

/// Counts what becomes of a cluster. `scope` is what `scope: declared` would write.
pub(crate) fn count(
    model: &ClusterModel<'_>,
    scope: &[Sidecar<'_>],
    ingress_namespace: &str,
    bundle: &Bundle,
) -> Stats {
    let hosts = hosts(model);
    let passes_through = model.install.control_plane().is_some();
    let of_istio = of_istio(model);
    let all = |namespace: &str| of_istio + outbound(&hosts, namespace, |_| true);
    let incoming = || outbound(&hosts, ROOT_NAMESPACE, |it| it.internal);
    let let_in = || outbound(&hosts, ROOT_NAMESPACE, |it| model.exports.contains(&it.name));
    // pilot makes them as soon as the gateway passes anything through, and then for every host.
    let passes = !passes_through || !model.exports.is_empty();
    Stats {
        files: bundle.files().count(),
        objects: objects(bundle),
        of_istio,
        declared: passes_through.then(|| declared(model, scope, &hosts, of_istio)).flatten(),
        mesh: range(model, all),
        east_west_gateway: model.gateway.map(|_| Gateway {
            clusters: all(ROOT_NAMESPACE) + if passes { incoming() } else { 0 },
            filter_chains: passes_through.then(let_in),
        }),
        ingress_gateway: (!model.ingresses.is_empty())
            .then(|| all(ingress_namespace) + if passes_through { 0 } else { incoming() }),
    }
}

/// What every proxy has, and the Services of `istio-system`, which every namespace sees.
fn of_istio(model: &ClusterModel<'_>) -> usize {
    let gateways = model.install.control_plane().into_iter().flat_map(|it| &it.gateways);
    let ports = gateways.map(|it| if it.ports.is_empty() { GATEWAY_PORTS } else { it.ports.len() });
    OWN_CLUSTERS + ISTIOD_PORTS + ports.sum::<usize>()
}

/// Objects that the kustomization applies, by kind. Nothing else begins a line with `kind:`.
fn objects(bundle: &Bundle) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    let lines = bundle.files().filter(|it| it.1.applied).flat_map(|it| it.1.text.lines());
    for kind in lines.filter_map(|it| it.strip_prefix("kind: ")) {
        *kinds.entry(kind.to_owned()).or_default() += 1;
    }
    kinds
}

/// What sidecars hold that are told of their own namespace and what is called from it.
fn declared(model: &ClusterModel<'_>, scope: &[Sidecar<'_>], hosts: &[Host<'_>], of_istio: usize) -> Option<Range> {
    let told: BTreeMap<&str, BTreeSet<&str>> =
        scope.iter().map(|it| (it.namespace, it.hosts.iter().map(String::as_str).collect())).collect();
    range(model, |namespace| {
        let told = &told[namespace];
        let told = outbound(hosts, namespace, |it| {
            it.namespace == namespace || told.contains(format!("{}/{}", it.namespace, it.name).as_str())
        });
        of_istio + told
    })
}

/// The fewest and the most over everything that runs: what a namespace is told of, and a cluster for each
/// container port.
fn range(model: &ClusterModel<'_>, outbound: impl Fn(&str) -> usize) -> Option<Range> {
    let mut by_namespace: BTreeMap<&str, usize> = BTreeMap::new();
    let held: Vec<_> = model
        .apps
        .iter()
        .map(|app| Held {
            clusters: *by_namespace.entry(app.namespace).or_insert_with(|| outbound(app.namespace))
                + inbound(app.ports),
            service: app.name.to_owned(),
            namespace: app.namespace.to_owned(),
        })
        .collect();
    // Among equals the first of the topology.
    let least = held.iter().min_by_key(|it| it.clusters)?.clone();
    let most = held.iter().rev().max_by_key(|it| it.clusters)?.clone();
    Some(Range { least, most })
}

fn inbound(ports: &[Port]) -> usize {
    let mut targets: Vec<&TargetPort> = Vec::new();
    for port in ports.iter().filter(|it| it.protocol.family() != Family::Udp) {
        if !targets.contains(&&port.target) {
            targets.push(&port.target);
        }
    }
    targets.len()
}

/// The clusters that a proxy of a namespace holds for those of the hosts which it sees.
fn outbound(hosts: &[Host<'_>], namespace: &str, told: impl Fn(&Host<'_>) -> bool) -> usize {
    let seen = hosts.iter().filter(|it| seen(it.export_to, it.namespace, namespace) && told(it));
    seen.map(|it| it.clusters(namespace)).sum()
}

/// Every host of a cluster: its own Services, those without pods, and what has an entry.
fn hosts<'a>(model: &'a ClusterModel<'a>) -> Vec<Host<'a>> {
    let rules: BTreeMap<&str, &DestinationRule<'_>> =
        model.destination_rules.iter().map(|it| (it.host.as_str(), it)).collect();
    let host = |name: String, namespace: &'a str, ports: usize, internal: bool, export_to: &'a [String]| Host {
        rule: rules.get(name.as_str()).copied(),
        name,
        namespace,
        ports,
        internal,
        export_to,
    };
    let own = model.apps.iter().map(|it| {
        let ports = it.ports.iter().filter(|it| it.protocol.family() != Family::Udp).count();
        host(format!("{}.{}.svc.cluster.local", it.name, it.namespace), it.namespace, ports, true, &[])
    });
    let stubs = model.stubs.iter().map(|it| host(it.host.clone(), it.namespace, it.ports.len(), true, &[]));
    let entry = |it: &'a Entry<'a>, internal| {
        it.hosts.iter().map(move |name| host(name.clone(), it.namespace, it.ports.len(), internal, &it.export_to))
    };
    let internal = model.owned.iter().chain(&model.remotes).flat_map(|it| entry(it, true));
    let external = model.externals.iter().flat_map(|it| entry(it, false));
    own.chain(stubs).chain(internal).chain(external).collect()
}
