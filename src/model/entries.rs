//! `ServiceEntry`: services of other clusters, and hosts outside the mesh.

use std::collections::BTreeSet;

use super::{Endpoint, EndpointPort, Entry, EntryPort};
use crate::addresses::Addresses;
use crate::topology::{Address, Cluster, ClusterId, External, ServiceId, Topology};

/// The entry by which a service of other clusters is known here: its virtual IP in front, the
/// gateways of its clusters behind.
pub(super) fn remote<'a>(
    topology: &'a Topology,
    addresses: &Addresses,
    here: ClusterId,
    callee: ServiceId,
    ports: &BTreeSet<usize>,
) -> Entry<'a> {
    let service = topology.service(callee);
    let host = topology.global_host(callee);
    let ports: Vec<_> = ports.iter().map(|index| &service.ports[*index]).collect();
    let owners: Vec<_> = service.placement.iter().map(|id| topology.cluster(*id)).collect();
    let endpoints: Vec<_> = owners
        .iter()
        .map(|owner| {
            let gateway = owner.gateway.as_ref().expect("a cluster that is called into has a gateway");
            let address = match &gateway.address {
                Address::Ip(ip) => ip.to_string(),
                Address::Name(name) => name.clone(),
                Address::Pending => unreachable!("a cluster that needs a pending address waits"),
            };
            let ports = ports.iter().map(|port| EndpointPort { name: &port.name, number: gateway.dial() }).collect();
            Endpoint { address, ports, locality: owner.locality.as_deref() }
        })
        .collect();
    // An address is static; one name among the endpoints and Envoy has to resolve them.
    let named = owners.iter().any(|it| matches!(it.gateway.as_ref().map(|it| &it.address), Some(Address::Name(_))));
    Entry {
        api_version: topology.cluster(here).target.networking,
        name: host.replace('.', "-"),
        namespace: &service.namespace,
        location: "MESH_INTERNAL",
        resolution: if named { "DNS" } else { "STATIC" },
        addresses: vec![addresses.get(callee).to_string()],
        ports: ports
            .iter()
            .map(|port| EntryPort { number: port.number, name: &port.name, protocol: port.protocol.istio() })
            .collect(),
        endpoints,
        file: format!("{}.{}", service.name, service.namespace),
        owners: owners.iter().map(|it| it.name.as_str()).collect(),
        hosts: vec![host],
    }
}

/// The entry of a host outside the mesh.
pub(super) fn external<'a>(cluster: &'a Cluster, external: &'a External) -> Entry<'a> {
    // A wildcard has no address to look up, and a range has no single one: calls go where the caller meant them.
    let as_meant = external.hosts.iter().any(|it| it.starts_with('*'))
        || external.addresses.iter().any(|net| net.prefix_len() != net.max_prefix_len());
    let addresses: Vec<_> = external
        .addresses
        .iter()
        .map(|net| if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() })
        .collect();
    // Addresses that are known need no resolver, and the host no entry in anybody's DNS.
    let endpoints = if as_meant { &[] } else { addresses.as_slice() };
    Entry {
        api_version: cluster.target.networking,
        name: external.name.clone(),
        namespace: &external.namespace,
        hosts: external.hosts.clone(),
        location: "MESH_EXTERNAL",
        resolution: match (as_meant, endpoints) {
            (true, _) => "NONE",
            (false, []) => "DNS",
            (false, _) => "STATIC",
        },
        endpoints: endpoints
            .iter()
            .map(|address| Endpoint { address: address.clone(), ports: Vec::new(), locality: None })
            .collect(),
        addresses,
        ports: external
            .ports
            .iter()
            .map(|port| EntryPort { number: port.number, name: &port.name, protocol: port.protocol.istio() })
            .collect(),
        // A service's file has a dot in its name, this one has none.
        file: format!("external-{}", external.name),
        owners: Vec::new(),
    }
}
