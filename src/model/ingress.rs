//! What can be reached from outside in a cluster.

use super::{IngressModel, IngressServer, routing};
use crate::topology::{ClusterId, Topology};

/// Every ingress that a gateway of this cluster serves.
pub(super) fn lower(topology: &Topology, id: ClusterId) -> Vec<IngressModel<'_>> {
    let cluster = topology.cluster(id);
    topology
        .ingresses
        .iter()
        .filter(|it| it.clusters.contains(&id))
        .map(|ingress| {
            let service = topology.service(ingress.service);
            let (credential, redirect) = match &ingress.tls {
                Some((credential, redirect)) => (Some(credential.as_str()), *redirect),
                None => (None, false),
            };
            let (name, protocol) = if credential.is_some() { ("https", "HTTPS") } else { ("http", "HTTP") };
            let own = IngressServer {
                // Names are unique over all servers of a gateway; 80 and 443 have the short ones.
                name: if matches!(ingress.listen, 80 | 443) {
                    name.to_owned()
                } else {
                    format!("{name}-{}", ingress.listen)
                },
                number: ingress.listen,
                protocol,
                credential,
                redirect: false,
            };
            let from = redirect.then(|| IngressServer {
                name: "http".to_owned(),
                number: 80,
                protocol: "HTTP",
                credential: None,
                redirect: true,
            });
            IngressModel {
                api_version: cluster.target.networking,
                name: &ingress.name,
                namespace: &service.namespace,
                selector: cluster
                    .ingress_gateway
                    .selector
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.as_str()))
                    .collect(),
                servers: from.into_iter().chain([own]).collect(),
                hosts: &ingress.hosts,
                paths: &ingress.paths,
                destination: topology.host(id, ingress.service),
                // An ingress gateway does not look at the routes of the mesh.
                shares: if cluster.passes_through() { routing::shares(topology, ingress.service) } else { Vec::new() },
                destination_port: service.ports[ingress.port].number,
            }
        })
        .collect()
}
