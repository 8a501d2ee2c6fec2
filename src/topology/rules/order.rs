//! Rules of order: which gateways can be tried one after the other.

use std::collections::BTreeSet;

use crate::diag::{Code, Diagnostics};
use crate::syntax::{GatewayBalance, Place};
use crate::topology::{Address, Balance, ClusterId, Topology};

/// Whoever asks for an order gets one, or is told why not.
pub(in crate::topology) fn check(topology: &Topology, place: Place<'_>, diags: &mut Diagnostics) {
    named_gateways(topology, diags);
    clusters(topology, diags);
    addresses(topology, place, diags);
}

/// Where a gateway has a DNS name that Envoy would have to look up, it cannot stand beside pods, and
/// Istio cannot put it in order: before 1.30 the order is ignored, and 1.30 and 1.31 crash over it
/// (`failoverPriority` of a `DNS` entry whose endpoints differ in locality).
fn named_gateways(topology: &Topology, diags: &mut Diagnostics) {
    let mut reported = BTreeSet::new();
    let inline = |it: &ClusterId| topology.cluster(*it).passes_through() && topology.addresses_inline(*it);
    for here in topology.cluster_ids().filter(inline) {
        let view = topology.view(here);
        for callee in view.shared.keys().chain(view.outgoing.keys()) {
            let service = topology.service(*callee);
            let local = service.runs_in(here);
            let owners: Vec<_> = service.elsewhere(here).map(|it| topology.cluster(it)).collect();
            let gateways = || owners.iter().filter_map(|it| Some((*it, it.gateway.as_ref()?)));
            let in_order = service.tiers(here).len() > 1
                || service.balance == Balance::Network && owners.len() > 1
                || gateways()
                    .any(|(_, it)| it.balance == GatewayBalance::Failover && it.addresses_from(here).len() > 1);
            let named = gateways().find_map(|(owner, gateway)| {
                let name = gateway.addresses_from(here).iter().find(|it| matches!(it, Address::Name(_)))?;
                Some((owner, name))
            });
            let Some((owner, name)) = named.filter(|_| (local || in_order) && reported.insert(*callee)) else {
                continue;
            };
            let cluster = &topology.cluster(here).name;
            let (why, at) = if local {
                (format!("cannot stand beside the pods of `{}`", service.key), "it runs in both clusters")
            } else {
                (format!("cannot be one of several that `{}` is looked for at, in order", service.key), "this service")
            };
            diags
                .error(Code::NamedGateway, format!("in `{cluster}` the gateway of `{}`, {name}, {why}", owner.name))
                .at(service.at, at)
                .context(owner.at, "the gateway has a DNS name")
                .help("only IPs can; let istiod look the name up: `mesh: {gatewayAddresses: mesh-networks}`")
                .help(if local {
                    "or keep its calls in their cluster: `balance: local`"
                } else {
                    "or treat all alike: `balance: spread`"
                });
        }
    }
}

/// Where istiod puts the gateways' addresses in, it can tell one cluster from the others, not put the
/// others in order.
fn clusters(topology: &Topology, diags: &mut Diagnostics) {
    let mut reported = BTreeSet::new();
    for here in topology.cluster_ids().filter(|it| !topology.addresses_inline(*it)) {
        let view = topology.view(here);
        for callee in view.shared.keys().chain(view.outgoing.keys()) {
            let service = topology.service(*callee);
            let near = service.balance == Balance::Locality && service.elsewhere(here).count() > 1;
            if (near || service.tiers(here).len() > 2) && reported.insert(*callee) {
                diags
                    .error(
                        Code::UnorderedGateways,
                        format!(
                            "`{}` is looked for in several other clusters in order, and their gateways are written once",
                            service.key
                        ),
                    )
                    .at(service.at, "")
                    .context(topology.cluster(here).at, "from here")
                    .help("istiod can try one cluster before the others, not one after the other: write `balance: network`, or name fewer: `balance: {failover: […]}`")
                    .help("or leave `mesh.gatewayAddresses` out, if all gateways have IPs");
            }
        }
    }
}

/// Several addresses of one gateway, of which the second is for when the first fails, where nobody keeps
/// to that.
fn addresses(topology: &Topology, place: Place<'_>, diags: &mut Diagnostics) {
    let mut reported = BTreeSet::new();
    for here in topology.cluster_ids() {
        let view = topology.view(here);
        for callee in view.shared.keys().chain(view.outgoing.keys()) {
            let service = topology.service(*callee);
            for id in service.elsewhere(here) {
                let owner = topology.cluster(id);
                let Some(gateway) = &owner.gateway else { continue };
                if gateway.balance != GatewayBalance::Failover || gateway.addresses_from(here).len() < 2 {
                    continue;
                }
                let at = place.get("clusters").get(&owner.name).get("gateway").get("balance");
                let caller = topology.cluster(here);
                let (code, why, help) = if !caller.passes_through() {
                    let why = format!("`{}` tries both alike", caller.name);
                    (
                        Code::FieldWithoutEffect,
                        why,
                        "Istio 1.22 and newer keep to the order; if it may wait until then, write `allow: [T0607]`",
                    )
                } else if !topology.addresses_inline(here) {
                    let why = "istiod puts them in, all alike".to_owned();
                    (
                        Code::UnorderedGateways,
                        why,
                        "leave `mesh.gatewayAddresses` out, if all gateways have IPs, or write `balance: spread`",
                    )
                } else if service.balance == Balance::Locality {
                    let why = format!("`{}` is looked for where it is nearest, and both are equally near", service.key);
                    (
                        Code::InvalidBalance,
                        why,
                        "share the calls to the service in another way, or write `balance: spread` here",
                    )
                } else {
                    continue;
                };
                if reported.insert((id, code)) {
                    diags
                        .report(
                            code,
                            format!("the addresses of the gateway of `{}` are tried in no order: {why}", owner.name),
                        )
                        .at(at.value(), "")
                        .context(service.at, format!("it is called from `{}`", caller.name))
                        .help(help);
                }
            }
        }
    }
}
