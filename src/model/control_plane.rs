//! The control plane and the gateways of today's releases: what they are told, whatever installs them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::install::{listened, pinned};
use super::{ControlPlane, GatewayPods, GatewayPort, IngressModel};
use crate::syntax::{GatewayAddresses, GatewayApi, Installer, Outbound};
use crate::target::Release;
use crate::topology::{Address, Cluster, ClusterId, EAST_WEST_GATEWAY, INGRESS_GATEWAY, Topology};

/// What the control plane of a cluster and its gateways are told.
pub(super) fn lower<'a>(topology: &'a Topology, id: ClusterId, ingresses: &[IngressModel<'_>]) -> ControlPlane<'a> {
    let cluster = topology.cluster(id);
    let others: BTreeSet<&str> = topology.clusters.iter().map(|it| it.trust_domain.as_str()).collect();
    ControlPlane {
        installer: cluster.installer,
        cluster: &cluster.name,
        network: &cluster.network,
        trust_domain: Some(cluster.trust_domain.as_str()).filter(|it| *it != "cluster.local"),
        trust_domain_aliases: others.into_iter().filter(|it| *it != cluster.trust_domain).collect(),
        registry_only: topology.mesh.outbound == Outbound::RegistryOnly,
        dual_stack: topology.mesh.virtual_ranges.len() > 1,
        // Native sidecars are up before the application by themselves; older kubelets have none.
        hold_application: !(cluster.target.native_sidecars
            && cluster.kubernetes.is_some_and(|it| it >= Release::minor(1, 33))),
        find_remote_gateways: topology.mesh.gateway_addresses == GatewayAddresses::IstioRemote
            && !cluster.target.finds_remote_gateways,
        gateways: ingress(cluster, ingresses).into_iter().chain(east_west(topology, id)).collect(),
    }
}

/// The gateway that other clusters call. Where istiod brings its pods, nothing is installed.
fn east_west(topology: &Topology, id: ClusterId) -> Option<GatewayPods<'_>> {
    let cluster = topology.cluster(id);
    let gateway = cluster.gateway.as_ref().filter(|it| it.api == GatewayApi::Istio)?;
    let status = port("status-port", cluster.target.status_port, cluster.target.status_port, None);
    let families: BTreeSet<bool> = gateway
        .all_addresses()
        .filter_map(|it| if let Address::Ip(ip) = it { Some(ip.is_ipv4()) } else { None })
        .collect();
    Some(GatewayPods {
        name: EAST_WEST_GATEWAY,
        label: "eastwestgateway",
        network: Some(&cluster.network),
        // Load balancers ask the first port whether the gateway is healthy.
        ports: vec![status, port("tls", 15443, 15443, gateway.node_port)],
        load_balancer_ip: pinned(topology, id),
        node_port: gateway.node_port.is_some(),
        dual_stack: families.len() > 1,
        reads_secrets: false,
    })
}

/// The gateway that serves the outside, if anything does and it is not somebody else's.
fn ingress<'a>(cluster: &Cluster, ingresses: &[IngressModel<'_>]) -> Option<GatewayPods<'a>> {
    if ingresses.is_empty() || !cluster.ingress_gateway.installed {
        return None;
    }
    let listened = listened(ingresses);
    let ports = if listened.is_empty() { Vec::new() } else { web_ports(cluster, &listened) };
    Some(GatewayPods {
        name: INGRESS_GATEWAY,
        label: "ingressgateway",
        network: None,
        ports,
        load_balancer_ip: None::<IpAddr>,
        node_port: false,
        dual_stack: false,
        reads_secrets: ingresses.iter().flat_map(|it| &it.servers).any(|it| it.credential.is_some()),
    })
}

/// The usual ports of a gateway for the web, and these.
fn web_ports(cluster: &Cluster, listened: &[u16]) -> Vec<GatewayPort> {
    let status = cluster.target.status_port;
    // The chart of gateways lets them open low ports, the IstioOperator's does not.
    let (http, https) = match cluster.installer {
        Installer::Istioctl => cluster.target.web_ports,
        Installer::Helm | Installer::Sail => (80, 443),
    };
    // A gateway has one listener a container port.
    let free = |from: u16| (from..=u16::MAX).find(|it| !listened.contains(it)).unwrap_or(from);
    let target = |it: u16| if it == http || it == https { free(it + 10_000) } else { it };
    [port("status-port", status, status, None), port("http2", 80, http, None), port("https", 443, https, None)]
        .into_iter()
        .chain(listened.iter().map(|it| port(&format!("tcp-{it}"), *it, target(*it), None)))
        .collect()
}

fn port(name: &str, port: u16, target_port: u16, node_port: Option<u16>) -> GatewayPort {
    GatewayPort { name: name.to_owned(), port, target_port, node_port }
}
