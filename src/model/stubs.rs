//! Services whose pods lie in other clusters: a Service without pods in their place, and a
//! `WorkloadEntry` for each gateway.

use std::collections::BTreeSet;

use indexmap::IndexSet;

use super::far;
use super::{EndpointPort, Stub, WorkloadEntry};
use crate::topology::{ClusterId, Port, ServiceId, TargetPort, Topology};

/// The Service of a name that nothing here answers for.
pub(super) fn service<'a>(
    topology: &'a Topology,
    here: ClusterId,
    callee: ServiceId,
    ports: &BTreeSet<usize>,
) -> Stub<'a> {
    let service = topology.service(callee);
    Stub {
        name: &service.name,
        namespace: &service.namespace,
        selector: &service.selector,
        ports: ports.iter().map(|it| &service.ports[*it]).collect(),
        host: topology.local_host(callee),
        owners: far::owners(&far::endpoints(topology, here, callee), topology),
    }
}

/// The gateways as endpoints of the Service of this name, which takes them for pods.
pub(super) fn workload_entries<'a>(
    topology: &'a Topology,
    here: ClusterId,
    callee: ServiceId,
    ports: &BTreeSet<usize>,
) -> Vec<WorkloadEntry<'a>> {
    let service = topology.service(callee);
    let ports: Vec<&Port> = ports.iter().map(|index| &service.ports[*index]).collect();
    // The target port of one may be called like another port.
    let names: IndexSet<&str> = ports.iter().flat_map(|port| keys(port)).collect();
    // A Service with pods drops an endpoint that does not have the name of its target port, though istiod puts
    // the gateway's own port in its place.
    let targets: Vec<&str> = ports.iter().filter(|_| service.runs_in(here)).filter_map(|it| target(it)).collect();
    let far = far::endpoints(topology, here, callee);
    far.into_iter()
        .map(|it| {
            let owner = &topology.cluster(it.owner).name;
            // Neither the name of a Service nor that of a cluster has a dot.
            let name = match it.index {
                0 => format!("{}.{owner}", service.name),
                index => format!("{}.{owner}.{}", service.name, index + 1),
            };
            let selected = service.selector.iter().map(|(key, value)| (key.clone(), value.clone()));
            WorkloadEntry {
                api_version: topology.cluster(here).target.networking,
                name,
                namespace: &service.namespace,
                ports: names
                    .iter()
                    .filter(|name| it.address.is_some() || targets.contains(name))
                    .map(|name| EndpointPort { name, number: it.port })
                    .collect(),
                address: it.address,
                network: it.network,
                locality: it.locality,
                labels: selected.chain(it.labels).collect(),
                service_account: service.account_known.then_some(service.service_account.as_str()),
                file: super::file(service),
            }
        })
        .collect()
}

/// The keys under which an endpoint names a port: its name, and that of the target port, if it has
/// one. A Service with named target ports looks for those.
fn keys(port: &Port) -> impl Iterator<Item = &str> {
    let target = target(port).filter(|it| *it != port.name);
    std::iter::once(port.name.as_str()).chain(target)
}

/// The name of a target port, if it has one.
fn target(port: &Port) -> Option<&str> {
    match &port.target {
        TargetPort::Name(name) => Some(name),
        TargetPort::Number(_) => None,
    }
}
