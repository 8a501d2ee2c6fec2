//! `Gateway` of the class `istio-remote`: where the gateways of another cluster are. Nothing is deployed
//! for it.

use serde::Serialize;

use super::template::{Template, fill};
use crate::bundle::Bundle;
use crate::model::ClusterModel;
use crate::topology::Address;

#[derive(Serialize)]
struct View<'a> {
    name: String,
    network: &'a str,
    addresses: Vec<GatewayAddress>,
    port: u16,
}

#[derive(Serialize)]
struct GatewayAddress {
    kind: &'static str,
    value: String,
}

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    for remote in model.remote_networks.iter().filter(|_| !model.mesh_networks) {
        let kind = |address: &Address| if matches!(address, Address::Name(_)) { "Hostname" } else { "IPAddress" };
        let view = View {
            name: format!("network-{}", remote.network),
            network: remote.network,
            addresses: remote
                .addresses
                .iter()
                .map(|it| GatewayAddress { kind: kind(it), value: it.to_string() })
                .collect(),
            port: remote.port,
        };
        // A service's file has a dot in its name, this one has none.
        bundle.apply(format!("20-mesh/network-{}.yaml", remote.network), fill(Template::RemoteGateway, &view));
    }
}
