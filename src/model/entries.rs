//! `ServiceEntry`: services of other clusters, services of this one under the name that is the same
//! from everywhere, and hosts outside the mesh.

use std::collections::BTreeSet;

use super::far::{self, Far};
use super::{Endpoint, EndpointPort, Entry, EntryPort, callers, identity};
use crate::addresses::Addresses;
use crate::topology::{Cluster, ClusterId, External, Port, ServiceId, TargetPort, Topology};

/// The entry by which a service of other clusters is known here: its virtual IPs in front, the
/// gateways of its clusters behind.
pub(super) fn remote<'a>(
    topology: &'a Topology,
    addresses: &Addresses,
    here: ClusterId,
    callee: ServiceId,
    ports: &BTreeSet<usize>,
) -> Entry<'a> {
    let service = topology.service(callee);
    let cluster = topology.cluster(here);
    let ports: Vec<_> = ports.iter().map(|index| &service.ports[*index]).collect();
    let far = far::endpoints(topology, here, callee);
    // An address is static; one name among the endpoints and Envoy has to resolve them.
    let named = far.iter().any(|it| it.named);
    let endpoints = far.iter().map(|it| endpoint(it, &ports, cluster)).collect();
    let mut entry = Entry {
        resolution: if named { "DNS" } else { "STATIC" },
        ports: ports.iter().map(|it| entry_port(it)).collect(),
        endpoints,
        owners: far::owners(&far, topology),
        ..internal(topology, addresses, here, callee)
    };
    entry.hosts = vec![topology.host(here, callee)];
    entry.name = entry.hosts[0].replace('.', "-");
    if cluster.passes_through() {
        entry.subject_alt_names = far
            .iter()
            .filter(|_| service.account_known)
            .map(|it| format!("spiffe://{}", identity(topology.cluster(it.owner), service)))
            .collect();
        entry.subject_alt_names.dedup();
        entry.export_to = callers::visible_to(topology, here, callee, &[]);
    }
    entry
}

/// The entry by which this cluster's gateway knows a service of its own under the name that is the
/// same from everywhere.
pub(super) fn owned<'a>(
    topology: &'a Topology,
    addresses: &Addresses,
    here: ClusterId,
    callee: ServiceId,
    ports: &BTreeSet<usize>,
) -> Entry<'a> {
    let service = topology.service(callee);
    let targets = service.target_numbers(ports);
    let ports: Vec<_> = ports.iter().map(|index| &service.ports[*index]).collect();
    let mut entry = internal(topology, addresses, here, callee);
    // The gateway asks for it, and whoever lives beside it may use the name, too.
    entry.export_to = callers::visible_to(topology, here, callee, &[crate::topology::ROOT_NAMESPACE]);
    match targets {
        Some(targets) => {
            entry.workload_selector = Some(&service.selector);
            entry.ports = ports
                .iter()
                .zip(targets)
                .map(|(port, target)| EntryPort {
                    target_port: (target != port.number).then_some(target),
                    ..entry_port(port)
                })
                .collect();
        }
        None => {
            // A target port whose number nobody knows is known to the Service: its address stands in.
            entry.resolution = "DNS";
            entry.ports = ports.iter().map(|it| entry_port(it)).collect();
            entry.endpoints = vec![Endpoint {
                address: Some(topology.local_host(callee)),
                labels: vec![far::mtls()],
                ..Endpoint::default()
            }];
        }
    }
    entry
}

/// What every entry of a service of the mesh has.
fn internal<'a>(topology: &'a Topology, addresses: &Addresses, here: ClusterId, callee: ServiceId) -> Entry<'a> {
    let service = topology.service(callee);
    let host = topology.global_host(callee);
    let cluster = topology.cluster(here);
    // The old line knows virtual IPs of IPv4 only.
    let known = addresses.get(callee).iter().filter(|it| it.is_ipv4() || cluster.passes_through());
    Entry {
        api_version: cluster.target.networking,
        name: host.replace('.', "-"),
        namespace: &service.namespace,
        location: "MESH_INTERNAL",
        resolution: "STATIC",
        addresses: known.map(ToString::to_string).collect(),
        file: super::file(service),
        hosts: vec![host],
        ..Entry::default()
    }
}

fn entry_port(port: &Port) -> EntryPort<'_> {
    EntryPort { number: port.number, name: &port.name, protocol: port.protocol.istio(), target_port: None }
}

fn endpoint<'a>(far: &Far<'a>, ports: &[&'a Port], cluster: &Cluster) -> Endpoint<'a> {
    let ports = match &far.address {
        Some(_) => ports.iter().map(|it| EndpointPort { name: &it.name, number: far.port }).collect(),
        // istiod fills in the gateway's address and its port.
        None => Vec::new(),
    };
    let newer = cluster.passes_through();
    Endpoint {
        address: far.address.clone(),
        ports,
        locality: far.locality,
        // Before 1.8 an endpoint with a network is invisible to sidecars.
        network: newer.then_some(far.network),
        labels: if newer { far.labels.clone() } else { Vec::new() },
    }
}

impl crate::topology::Service {
    /// The numbers of the target ports of these ports, if all are known: then an entry can select the pods.
    pub(crate) fn target_numbers(&self, ports: &BTreeSet<usize>) -> Option<Vec<u16>> {
        ports.iter().map(|it| self.target_number(&self.ports[*it])).collect()
    }

    /// The number of a target port, if it is known.
    fn target_number(&self, port: &Port) -> Option<u16> {
        match &port.target {
            TargetPort::Number(number) => Some(*number),
            TargetPort::Name(name) => {
                let crate::topology::Workload::Deployment(spec) = &self.workload else { return None };
                let ports = spec.container.as_ref()?.ports.as_ref()?;
                let named = ports.iter().find(|it| it.name.as_ref() == Some(name))?;
                u16::try_from(named.container_port).ok()
            }
        }
    }
}

/// The entry of a host outside the mesh.
pub(super) fn external<'a>(topology: &'a Topology, here: ClusterId, external: &'a External) -> Entry<'a> {
    let cluster = topology.cluster(here);
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
    let export_to =
        if cluster.passes_through() { callers::external_visible_to(topology, here, external) } else { Vec::new() };
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
            .map(|address| Endpoint { address: Some(address.clone()), ..Endpoint::default() })
            .collect(),
        addresses,
        ports: external.ports.iter().map(entry_port).collect(),
        // A service's file has a dot in its name, this one has none.
        file: format!("external-{}", external.name),
        export_to,
        ..Entry::default()
    }
}
