//! Callers that no bundle tells whom to call, and that must be told another name.

use std::collections::BTreeSet;

use serde::Serialize;

use super::shared;
use crate::topology::{ClusterId, Topology, Workload};

/// A caller that no bundle tells whom to call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    /// Its key in the topology.
    pub caller: String,
    /// Where it runs.
    pub clusters: Vec<String>,
    /// Whom it calls.
    pub callee: String,
    /// The host and the port that it called.
    pub old: String,
    /// Those that it must call from now on.
    pub new: String,
}

/// The same in one cluster, with hosts alone.
#[derive(Debug, Clone)]
pub(crate) struct Renamed {
    pub(crate) cluster: String,
    pub(crate) caller: String,
    pub(crate) callee: String,
    pub(crate) old: String,
    pub(crate) new: String,
    ports: [u16; 2],
}

/// Every call that such callers made before and make now: their pods come from elsewhere, or no variable has
/// what they call.
fn untold(old: &Topology, new: &Topology) -> Vec<Renamed> {
    let cluster = |name: &str| old.clusters.iter().position(|it| it.name == name).map(ClusterId);
    let service = |key: &str| old.services.iter().position(|it| it.key == key).map(crate::topology::ServiceId);
    let mut renamed = Vec::new();
    for caller in &new.services {
        let Some(caller_before) = service(&caller.key).map(|it| old.service(it)) else { continue };
        let is_told = matches!(caller.workload, Workload::Deployment(_));
        for call in caller.calls.iter().filter(|it| !is_told || it.variables.is_empty()) {
            let callee = new.service(call.callee);
            let Some(was) = service(&callee.key) else { continue };
            if !caller_before.calls.iter().any(|it| it.callee == was) {
                continue;
            }
            for id in &caller.placement {
                let name = &new.cluster(*id).name;
                let Some(before) = cluster(name).filter(|it| caller_before.runs_in(*it)) else { continue };
                let port = &callee.ports[call.port];
                // The same port: by its name, or the only one.
                let ports = &old.service(was).ports;
                let old_port = ports.iter().find(|it| it.name == port.name).or_else(|| ports.first());
                renamed.push(Renamed {
                    cluster: name.clone(),
                    caller: caller.key.clone(),
                    callee: callee.key.clone(),
                    old: old.host(before, was),
                    new: new.host(*id, call.callee),
                    ports: [old_port.map_or(port.number, |it| it.number), port.number],
                });
            }
        }
    }
    renamed
}

/// Calls of such callers whose host is another one.
pub(crate) fn renamed_untold(old: &Topology, new: &Topology) -> Vec<Renamed> {
    let mut renamed = untold(old, new);
    // A callee of several ports is told once.
    let mut seen = BTreeSet::new();
    let once = |it: &Renamed| (it.cluster.clone(), it.caller.clone(), it.callee.clone());
    renamed.retain(|it| it.old != it.new && seen.insert(once(it)));
    renamed
}

/// The callers that must be told.
pub(super) fn changes(old: &Topology, new: &Topology, is_meant: impl Fn(&str) -> bool) -> Vec<Caller> {
    let all = untold(old, new).into_iter().filter(|it| is_meant(&it.cluster)).filter_map(|it| {
        let [old, new] = [format!("{}:{}", it.old, it.ports[0]), format!("{}:{}", it.new, it.ports[1])];
        (old != new).then_some(((it.caller, it.callee, old, new), it.cluster))
    });
    shared(all, |it| format!("{it:?}"))
        .into_iter()
        .map(|((caller, callee, old, new), clusters)| Caller { caller, clusters, callee, old, new })
        .collect()
}
