//! Services whose pods lie in other clusters: a Service without pods in their place, and a
//! WorkloadEntry for each gateway.

use std::collections::BTreeSet;

use super::far;
use super::{EndpointPort, Stub, WorkloadEntry};
use crate::topology::{ClusterId, Port, ServiceId, Topology};

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
    let local = service.runs_in(here);
    let ports: Vec<&Port> = ports.iter().map(|index| &service.ports[*index]).collect();
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
                ports: ports
                    .iter()
                    .filter(|_| it.address.is_some())
                    .map(|port| EndpointPort { name: port.target_name(local), number: it.port })
                    .collect(),
                address: it.address,
                network: it.network,
                locality: it.locality,
                labels: selected.chain(it.labels).collect(),
                service_account: service.account_known.then_some(service.service_account.as_str()),
                file: format!("{}.{}", service.name, service.namespace),
            }
        })
        .collect()
}

impl Port {
    /// The key under which an endpoint of a Service names this port: the target port's name where
    /// the Service has one, else the port's own.
    fn target_name(&self, local: bool) -> &str {
        match &self.target {
            crate::topology::TargetPort::Name(name) if local => name,
            _ => &self.name,
        }
    }
}
