//! What the control plane is told, whatever installs it: `meshConfig` and `global`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::{ClusterModel, ControlPlane};
use crate::topology::Address;

/// The part of the values that differs from mesh to mesh.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settings<'a> {
    pub(super) mesh_config: MeshConfig<'a>,
    pub(super) global: Global<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pilot: Option<Pilot>,
}

/// What istiod itself is told by its environment.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Pilot {
    env: BTreeMap<&'static str, &'static str>,
}

/// Listeners of both families: istiod and the sidecars must agree.
const DUAL_STACK: (&str, &str) = ("ISTIO_DUAL_STACK", "true");

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MeshConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    trust_domain: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    trust_domain_aliases: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    outbound_traffic_policy: Option<OutboundTrafficPolicy>,
    default_config: ProxyConfig,
}

#[derive(Debug, Serialize)]
struct OutboundTrafficPolicy {
    mode: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProxyConfig {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    hold_application_until_proxy_starts: bool,
    proxy_metadata: BTreeMap<&'static str, &'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Global<'a> {
    network: &'a str,
    multi_cluster: MultiCluster<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    mesh_networks: BTreeMap<&'a str, Network>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MultiCluster<'a> {
    cluster_name: &'a str,
}

/// Where the gateways of another cluster are.
#[derive(Debug, Serialize)]
struct Network {
    gateways: Vec<NetworkGateway>,
}

#[derive(Debug, Serialize)]
struct NetworkGateway {
    address: String,
    port: u16,
}

impl<'a> Settings<'a> {
    pub(super) fn of(plane: &'a ControlPlane<'a>, model: &'a ClusterModel<'a>) -> Self {
        Self {
            mesh_config: MeshConfig {
                trust_domain: plane.trust_domain,
                trust_domain_aliases: &plane.trust_domain_aliases,
                outbound_traffic_policy: plane.registry_only.then_some(OutboundTrafficPolicy { mode: "REGISTRY_ONLY" }),
                default_config: ProxyConfig {
                    hold_application_until_proxy_starts: plane.hold_application,
                    // Sidecars answer for the names of the mesh.
                    proxy_metadata: [("ISTIO_META_DNS_CAPTURE", "true")]
                        .into_iter()
                        .chain(plane.dual_stack.then_some(DUAL_STACK))
                        .collect(),
                },
            },
            global: Global {
                network: plane.network,
                multi_cluster: MultiCluster { cluster_name: plane.cluster },
                mesh_networks: networks(model),
            },
            pilot: pilot(plane),
        }
    }
}

fn pilot(plane: &ControlPlane<'_>) -> Option<Pilot> {
    let find = plane.find_remote_gateways.then_some(("PILOT_MULTI_NETWORK_DISCOVER_GATEWAY_API", "true"));
    let env: BTreeMap<_, _> = plane.dual_stack.then_some(DUAL_STACK).into_iter().chain(find).collect();
    (!env.is_empty()).then_some(Pilot { env })
}

fn networks<'a>(model: &'a ClusterModel<'a>) -> BTreeMap<&'a str, Network> {
    let written = model.remote_networks.iter().filter(|_| model.mesh_networks);
    let gateway = |address: &Address, port: u16| NetworkGateway { address: address.to_string(), port };
    written
        .map(|it| (it.network, Network { gateways: it.addresses.iter().map(|at| gateway(at, it.port)).collect() }))
        .collect()
}
