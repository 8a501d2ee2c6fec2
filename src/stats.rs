//! `count`: about how much a cluster's objects ask of Kubernetes and of Envoy.
//!
//! Envoy holds a cluster for each host and port that a proxy is told of, and one more for each
//! subset of it. Counted is what the bundle makes, and what every Istio has: istiod's Service, the
//! gateways' and the clusters that a proxy has of its own. Services that the topology does not
//! know are not counted, and neither is what a pod listens on.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bundle::Bundle;
use crate::model::{ClusterModel, Entry};
use crate::syntax::GatewayApi;
use crate::topology::{Port, Protocol, ROOT_NAMESPACE};

/// Clusters that every proxy has of its own: those of its bootstrap (`prometheus_stats`, `agent`,
/// `sds-grpc`, `xds-grpc`) and `BlackHoleCluster`, `PassthroughCluster`,
/// `InboundPassthroughCluster`.
const OWN_CLUSTERS: usize = 7;
/// Ports of the Service `istiod`: 15010, 15012, 443, 15014.
const ISTIOD_PORTS: usize = 4;

/// What a cluster's bundle amounts to.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStats {
    /// Its name.
    pub cluster: String,
    /// Files of its bundle.
    pub files: usize,
    /// Objects of the kustomization, by kind.
    pub objects: BTreeMap<String, usize>,
    /// About how many clusters a sidecar of each namespace holds.
    pub sidecars: Vec<NamespaceStats>,
    /// About how many clusters the gateway for other clusters holds, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub east_west_gateway: Option<usize>,
    /// About how many clusters the gateway for the outside holds, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_gateway: Option<usize>,
}

/// What the sidecars of a namespace hold.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceStats {
    /// Its name.
    pub namespace: String,
    /// Clusters, as the bundle is.
    pub clusters: usize,
    /// Clusters, if its sidecars were told of the whole mesh.
    pub clusters_of_whole_mesh: usize,
}

impl ClusterStats {
    /// Objects of all kinds.
    #[must_use]
    pub fn total(&self) -> usize {
        self.objects.values().sum()
    }
}

/// A host that proxies are told of.
struct Host<'a> {
    name: &'a str,
    namespace: &'a str,
    /// The namespaces that see it; empty for all.
    export_to: &'a [String],
    /// Clusters of Envoy: one a port, times its subsets and the whole.
    clusters: usize,
}

impl Host<'_> {
    fn visible_in(&self, namespace: &str) -> bool {
        let own = self.namespace == namespace;
        self.export_to.is_empty() || self.export_to.iter().any(|it| it == namespace || it == "." && own)
    }
}

/// Counts what a bundle amounts to.
#[must_use]
pub(crate) fn count(model: &ClusterModel<'_>, bundle: &Bundle) -> ClusterStats {
    let locals: Vec<_> =
        model.apps.iter().map(|app| format!("{}.{}.svc.cluster.local", app.name, app.namespace)).collect();
    let subsets =
        |host: &str| model.destination_rules.iter().find(|it| it.host == host).map_or(0, |it| it.subsets.len());
    let mut hosts: Vec<Host<'_>> = Vec::new();
    for (app, name) in model.apps.iter().zip(&locals) {
        let clusters = tcp(app.ports.iter()) * (1 + subsets(name));
        hosts.push(Host { name, namespace: app.namespace, export_to: &[], clusters });
    }
    for stub in &model.stubs {
        let clusters = tcp(stub.ports.iter().copied()) * (1 + subsets(&stub.host));
        hosts.push(Host { name: &stub.host, namespace: stub.namespace, export_to: &[], clusters });
    }
    let entries = model.owned.iter().chain(&model.remotes).chain(&model.externals);
    hosts.extend(entries.flat_map(|entry: &Entry<'_>| {
        entry.hosts.iter().map(|name| Host {
            name,
            namespace: entry.namespace,
            export_to: &entry.export_to,
            clusters: entry.ports.len() * (1 + subsets(name)),
        })
    }));
    let gateways = model.control_plane.iter().flat_map(|it| &it.gateways);
    let root = ISTIOD_PORTS + gateways.map(|it| if it.ports.is_empty() { 3 } else { it.ports.len() }).sum::<usize>();
    let told = |sees: &dyn Fn(&Host<'_>) -> bool| -> usize {
        OWN_CLUSTERS + root + hosts.iter().filter(|it| sees(it)).map(|it| it.clusters).sum::<usize>()
    };
    let mut namespaces: Vec<_> = model.apps.iter().map(|it| it.namespace).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let sidecars = namespaces.into_iter().map(|namespace| {
        let scope = model.sidecars.iter().find(|it| it.namespace == namespace);
        let whole = |host: &Host<'_>| host.visible_in(namespace);
        let declared = |host: &Host<'_>| {
            let named = |it: &crate::model::Sidecar<'_>| {
                host.namespace == namespace
                    || it.hosts.iter().any(|it| *it == format!("{}/{}", host.namespace, host.name))
            };
            whole(host) && scope.is_none_or(named)
        };
        NamespaceStats {
            namespace: namespace.to_owned(),
            clusters: told(&declared),
            clusters_of_whole_mesh: told(&whole),
        }
    });
    let by_gateway = told(&|host| host.visible_in(ROOT_NAMESPACE));
    // A host that it lets in has a second set of clusters, by server name.
    let let_in: usize =
        hosts.iter().filter(|it| model.exports.iter().any(|name| name == it.name)).map(|it| it.clusters).sum();
    // The gateways that rewrite names hold one for every Service.
    let every: usize = hosts.iter().filter(|it| locals.iter().any(|name| name == it.name)).map(|it| it.clusters).sum();
    let second = if model.control_plane.is_some() { let_in } else { every };
    let brought_by_istiod = model.gateway.is_some_and(|it| it.api == GatewayApi::GatewayApi);
    let installed =
        |name: &str| model.control_plane.as_ref().is_none_or(|it| it.gateways.iter().any(|it| it.name == name));
    ClusterStats {
        cluster: model.name.to_owned(),
        files: bundle.files().count(),
        objects: objects(bundle),
        sidecars: sidecars.collect(),
        east_west_gateway: (model.gateway.is_some() && (brought_by_istiod || installed("istio-eastwestgateway")))
            .then_some(by_gateway + second),
        ingress_gateway: (!model.ingresses.is_empty()).then_some(by_gateway),
    }
}

fn tcp<'a>(ports: impl Iterator<Item = &'a Port>) -> usize {
    ports.filter(|it| it.protocol != Protocol::Udp).count()
}

/// Objects by kind: every document says its kind at its left margin.
fn objects(bundle: &Bundle) -> BTreeMap<String, usize> {
    let mut objects = BTreeMap::new();
    for (_, file) in bundle.files().filter(|it| it.1.applied) {
        for kind in file.text.lines().filter_map(|it| it.strip_prefix("kind: ")) {
            *objects.entry(kind.to_owned()).or_insert(0) += 1;
        }
    }
    objects
}
