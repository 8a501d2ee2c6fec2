//! Who calls what in a cluster: namespaces that must see an object, identities that must be let in.

use std::collections::BTreeSet;

use super::identity;
use crate::syntax::Installer;
use crate::topology::{Cluster, ClusterId, External, ServiceId, Topology};

/// The namespaces that see an object of a service: those of its callers in this cluster, and these.
pub(super) fn visible_to(topology: &Topology, here: ClusterId, callee: ServiceId, also: &[&str]) -> Vec<String> {
    let own = topology.service(callee).namespace.as_str();
    let mut namespaces: BTreeSet<&str> = also.iter().copied().collect();
    let local = topology.view(here).local.iter().map(|it| topology.service(*it));
    namespaces
        .extend(local.filter(|it| it.calls.iter().any(|call| call.callee == callee)).map(|it| it.namespace.as_str()));
    if topology.ingresses.iter().any(|it| it.service == callee && it.clusters.contains(&here)) {
        namespaces.insert(&topology.cluster(here).ingress_gateway.namespace);
    }
    spelled(namespaces, own)
}

/// The namespaces that see the entry of an external host.
pub(super) fn external_visible_to(topology: &Topology, here: ClusterId, external: &External) -> Vec<String> {
    let callers = external.callers.iter().map(|it| topology.service(*it)).filter(|it| it.runs_in(here));
    spelled(callers.map(|it| it.namespace.as_str()).collect(), &external.namespace)
}

/// As `exportTo` says it: the own namespace is a dot, and comes first.
fn spelled(mut namespaces: BTreeSet<&str>, own: &str) -> Vec<String> {
    let dot = namespaces.remove(own).then_some(".");
    dot.into_iter().chain(namespaces).map(str::to_owned).collect()
}

/// The identities of all that call a service in this cluster, as an AuthorizationPolicy names them.
pub(super) fn principals(topology: &Topology, here: ClusterId, callee: ServiceId) -> Vec<String> {
    let service = topology.service(callee);
    let reaches = |from: ClusterId| service.tiers(from).iter().flatten().any(|it| *it == here);
    let mut principals = BTreeSet::new();
    for caller in topology.services.iter().filter(|it| it.calls.iter().any(|call| call.callee == callee)) {
        principals.extend(
            caller.placement.iter().filter(|it| reaches(**it)).map(|it| identity(topology.cluster(*it), caller)),
        );
    }
    for ingress in topology.ingresses.iter().filter(|it| it.service == callee) {
        principals.extend(ingress.clusters.iter().filter(|it| reaches(**it)).map(|it| gateway(topology.cluster(*it))));
    }
    principals.into_iter().collect()
}

/// The identity of the gateway that serves the outside.
fn gateway(cluster: &Cluster) -> String {
    let gateway = &cluster.ingress_gateway;
    let account = gateway.service_account.as_deref().unwrap_or(match cluster.installer {
        Installer::Helm | Installer::Sail if cluster.passes_through() => "istio-ingressgateway",
        // The charts inside istioctl, which Helm took as they are until 1.7.
        _ => "istio-ingressgateway-service-account",
    });
    format!("{}/ns/{}/sa/{account}", cluster.trust_domain, gateway.namespace)
}
