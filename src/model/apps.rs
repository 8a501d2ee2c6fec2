//! What runs in a cluster: names of callees filled in for this very cluster.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::App;
use crate::syntax::WorkloadSpec;
use crate::topology::{ClusterId, Topology, Workload};

/// Every service that runs here and of which the bundle holds anything.
pub(super) fn lower(topology: &Topology, id: ClusterId) -> Vec<App<'_>> {
    let cluster = topology.cluster(id);
    let mut accounts = BTreeSet::new();
    topology
        .view(id)
        .local
        .iter()
        .map(|it| topology.service(*it))
        .map(|service| {
            let workload = match &service.workload {
                Workload::Deployment(spec) => Some(&**spec),
                _ => None,
            };
            let account = service.service_account.as_str();
            // `default` is there already, and an account that two services share is written once.
            let create = workload.is_some() && account != "default" && accounts.insert((&service.namespace, account));
            let mut annotations: IndexMap<&str, &str> =
                service.annotations.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            if workload.is_some_and(has_http_probe) && !cluster.target.rewrites_probes {
                // Under strict mTLS the kubelet's plain request would be refused.
                annotations.entry("sidecar.istio.io/rewriteAppHTTPProbers").or_insert("true");
            }
            let variables = service.calls.iter().flat_map(|call| {
                let callee = topology.service(call.callee);
                let host = topology.host(id, call.callee);
                let port = callee.ports[call.port].number;
                call.variables.iter().map(move |it| (it.name.as_str(), it.form.fill(&host, port)))
            });
            App {
                name: &service.name,
                namespace: &service.namespace,
                create_account: create.then_some(account),
                service_account: account,
                labels: &service.labels,
                annotations,
                selector: &service.selector,
                ports: &service.ports,
                variables: variables.collect(),
                workload,
                service: !matches!(service.workload, Workload::Elsewhere) && !service.ports.is_empty(),
            }
        })
        .collect()
}

fn has_http_probe(spec: &WorkloadSpec) -> bool {
    let container = spec.container.as_ref();
    [
        spec.probe.as_ref(),
        spec.readiness_probe.as_ref(),
        spec.liveness_probe.as_ref(),
        spec.startup_probe.as_ref(),
        container.and_then(|it| it.readiness_probe.as_ref()),
        container.and_then(|it| it.liveness_probe.as_ref()),
        container.and_then(|it| it.startup_probe.as_ref()),
    ]
    .into_iter()
    .flatten()
    .any(|it| it.http_get.is_some())
}
