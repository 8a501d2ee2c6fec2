//! The install file of the releases that rewrite names: only the values that this release takes and this cluster needs.

use std::net::IpAddr;

use super::{Charts, GatewayPort, IngressModel};
use crate::syntax::Addon;
use crate::target::{Search, StrictMtls};
use crate::topology::{Address, ClusterId, DnsServer, Topology};

/// The values of a cluster's install file.
pub(super) fn lower<'a>(topology: &'a Topology, id: ClusterId, ingresses: &[IngressModel<'_>]) -> Charts<'a> {
    let cluster = topology.cluster(id);
    let target = cluster.target;
    let suffix = topology.mesh.suffix.as_str();
    let dns = cluster.dns.as_ref();
    let search = match target.search {
        _ if !dns.is_some_and(|it| it.search) => Vec::new(),
        // Rendered by the injector, once for each pod.
        Search::WithNamespace => {
            vec![suffix.to_owned(), format!("{{{{ valueOrDefault .DeploymentMeta.Namespace \"default\" }}}}.{suffix}")]
        }
        Search::Suffix => vec![suffix.to_owned()],
        Search::Ignored => Vec::new(),
    };
    Charts {
        cluster: &cluster.name,
        suffix: target.any_suffix.then_some(suffix),
        istiocoredns: dns.filter(|it| it.server == DnsServer::Istiocoredns).and_then(|it| it.address),
        mtls: target.strict_mtls == StrictMtls::Value,
        control_plane_security: target.control_plane_security,
        disable_self_signed: target.must_disable_self_signed,
        search,
        trust_domain: Some(topology.mesh.trust_domain.as_str()).filter(|it| *it != "cluster.local"),
        load_balancer_ip: pinned(topology, id),
        gateway_ports: gateway_ports(topology, id, ingresses),
        router_mode: target.router_mode,
        gateway_sds: target.gateway_sds
            && ingresses.iter().flat_map(|it| &it.servers).any(|it| it.credential.is_some()),
        egress_gateway: cluster.egress_gateway,
        addons: cluster
            .addons
            .iter()
            .map(|it| match it {
                Addon::Grafana => "grafana",
                Addon::Kiali => "kiali",
                Addon::Prometheus => "prometheus",
                Addon::Tracing => "tracing",
            })
            .collect(),
    }
}

/// The address to ask the cloud for.
pub(super) fn pinned(topology: &Topology, id: ClusterId) -> Option<IpAddr> {
    match topology.cluster(id).gateway.as_ref()? {
        gateway if !gateway.pin => None,
        gateway => match gateway.addresses[..] {
            [Address::Ip(ip)] => Some(ip),
            _ => None,
        },
    }
}

/// The ports that ingresses listen on beside 80 and 443.
pub(super) fn listened(ingresses: &[IngressModel<'_>]) -> Vec<u16> {
    let mut listened: Vec<u16> = ingresses.iter().flat_map(|it| &it.servers).map(|it| it.number).collect();
    listened.retain(|it| !matches!(it, 80 | 443));
    listened.sort_unstable();
    listened.dedup();
    listened
}

/// The whole list of the gateway's ports, when its defaults do not do: the list that is written
/// replaces the release's own. Ports of add-ons and of the mesh's expansion serve nothing here.
fn gateway_ports(topology: &Topology, id: ClusterId, ingresses: &[IngressModel<'_>]) -> Vec<GatewayPort> {
    let cluster = topology.cluster(id);
    let node_port = cluster.gateway.as_ref().and_then(|it| it.node_port);
    // The mesh's own gateway serves these; one that somebody else runs has ports of its own.
    let own = cluster.ingress_gateway.selector.get("istio").is_some_and(|it| it == "ingressgateway");
    let listened = if own { listened(ingresses) } else { Vec::new() };
    if node_port.is_none() && listened.is_empty() {
        return Vec::new();
    }
    let (http, https) = cluster.target.web_ports;
    let status = cluster.target.status_port;
    let port =
        |name: &str, port, target_port, node_port| GatewayPort { name: name.to_owned(), port, target_port, node_port };
    // A gateway has one listener a container port, and the web ports are taken by 80 and 443.
    let free = |from: u16| (from..=u16::MAX).find(|it| !listened.contains(it)).unwrap_or(from);
    let target = |it: u16| if it == http || it == https { free(it + 10_000) } else { it };
    // Load balancers ask the first port whether the gateway is healthy.
    [port("status-port", status, status, None), port("http2", 80, http, None), port("https", 443, https, None)]
        .into_iter()
        .chain([port("tls", 15443, 15443, node_port)])
        .chain(listened.iter().copied().map(|it| port(&format!("tcp-{it}"), it, target(it), None)))
        .collect()
}
