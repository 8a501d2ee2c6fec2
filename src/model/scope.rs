//! `Sidecar` and `AuthorizationPolicy`: what a namespace is told of, and who is let in.

use std::collections::{BTreeMap, BTreeSet};

use super::{Policy, Sidecar, callers};
use crate::syntax::Authorization;
use crate::topology::{ClusterId, ROOT_NAMESPACE, Topology};

/// A Sidecar for each namespace that runs something: its own hosts, and what is called from it.
#[must_use]
pub fn sidecars(topology: &Topology, here: ClusterId) -> Vec<Sidecar<'_>> {
    let mut hosts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for id in &topology.view(here).local {
        let service = topology.service(*id);
        let hosts = hosts.entry(&service.namespace).or_default();
        for call in &service.calls {
            let namespace = &topology.service(call.callee).namespace;
            if *namespace != service.namespace {
                hosts.insert(format!("{namespace}/{}", topology.host(here, call.callee)));
            }
        }
        for external in topology.externals.iter().filter(|it| it.callers.contains(id)) {
            if external.namespace != service.namespace {
                hosts.extend(external.hosts.iter().map(|host| format!("{}/{host}", external.namespace)));
            }
        }
    }
    hosts
        .into_iter()
        .map(|(namespace, called)| {
            let always = ["./*".to_owned(), format!("{ROOT_NAMESPACE}/*")];
            Sidecar {
                api_version: topology.cluster(here).target.networking,
                namespace,
                hosts: always.into_iter().chain(called).collect(),
            }
        })
        .collect()
}

/// A policy for each service that runs here: its declared callers and nobody else.
pub(super) fn policies(topology: &Topology, here: ClusterId) -> Vec<Policy<'_>> {
    if topology.mesh.authorization != Authorization::Declared {
        return Vec::new();
    }
    topology
        .view(here)
        .local
        .iter()
        .map(|id| {
            let service = topology.service(*id);
            Policy {
                api_version: topology.cluster(here).target.security,
                name: format!("{}-callers", service.name),
                namespace: &service.namespace,
                selector: &service.selector,
                principals: callers::principals(topology, here, *id),
                file: super::file(service),
            }
        })
        .collect()
}
