//! Rules of fields that only the new line serves, in a mesh that has a cluster of the old one.

use crate::diag::{Code, Diagnostics};
use crate::syntax::{Authorization, GatewayAddresses, Outbound, Place, Scope};
use crate::topology::{Balance, Cluster, ClusterId, ServiceId, Topology};

/// What the old cluster would not keep to is refused where somebody relies on it, and told where it
/// is a matter of size or order.
pub(in crate::topology) fn check(topology: &Topology, place: Place<'_>, diags: &mut Diagnostics) {
    let Some(old) = topology.clusters.iter().find(|it| !it.passes_through()) else { return };
    let mesh = place.get("mesh");
    if topology.mesh.outbound == Outbound::RegistryOnly {
        refused("outbound", "registry-only", "let everything out", old, mesh, diags);
    }
    if topology.mesh.authorization == Authorization::Declared {
        refused("authorization", "declared", "let in everybody of the mesh", old, mesh, diags);
    }
    if topology.mesh.scope == Scope::Declared && mesh.find("scope").is_some() {
        ignored("scope", "are told of the whole mesh", old, mesh, diags);
    }
    if topology.mesh.gateway_addresses != GatewayAddresses::Inline {
        ignored("gatewayAddresses", "have the addresses in every entry", old, mesh, diags);
    }
    for here in topology.cluster_ids().filter(|it| !topology.cluster(*it).passes_through()) {
        for callee in topology.view(here).outgoing.keys() {
            order(topology, here, *callee, place.get("services"), diags);
        }
    }
}

/// A setting that protects, and would protect a part only.
fn refused(field: &str, value: &str, does: &str, old: &Cluster, mesh: Place<'_>, diags: &mut Diagnostics) {
    diags
        .error(
            Code::FieldNotInRelease,
            format!("`{field}: {value}` would not hold in `{}`: its sidecars {does}", old.name),
        )
        .at(mesh.get(field).value(), "")
        .context(old.at, format!("Istio {} here", old.target.line()))
        .help(format!("leave `{field}` out until every cluster has Istio 1.22 or newer"));
}

/// A setting that changes nothing in an old cluster, and nothing goes wrong for it.
fn ignored(field: &str, does: &str, old: &Cluster, mesh: Place<'_>, diags: &mut Diagnostics) {
    diags
        .warning(Code::FieldWithoutEffect, format!("`{field}` has no effect in `{}`: its sidecars {does}", old.name))
        .at(mesh.get(field).value(), "")
        .context(old.at, format!("Istio {} here", old.target.line()))
        .help("it holds in clusters with Istio 1.22 and newer; if that will do, write `allow: [T0607]`");
}

/// Of several gateways an old sidecar takes any.
fn order(topology: &Topology, here: ClusterId, callee: ServiceId, services: Place<'_>, diags: &mut Diagnostics) {
    let service = topology.service(callee);
    let Some(written) = services.get(&service.key).find("balance") else { return };
    let in_order = match &service.balance {
        Balance::Failover(_) | Balance::Locality => service.elsewhere(here).count() > 1,
        // Weights are refused; the others treat all alike where the service does not run.
        Balance::Local | Balance::Network | Balance::Spread | Balance::Weights(_) => false,
    };
    if !in_order {
        return;
    }
    let cluster = topology.cluster(here);
    diags
        .warning(
            Code::FieldWithoutEffect,
            format!("calls to `{}` from `{}` go to all its clusters alike, in no order", service.key, cluster.name),
        )
        .at(written.value(), "")
        .context(cluster.at, format!("Istio {} here", cluster.target.line()))
        .help("Istio 1.22 and newer keep to the order; if it may wait until then, write `allow: [T0607]`");
}
