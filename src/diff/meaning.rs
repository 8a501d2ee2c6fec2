//! `Meaning`: what a change does to whoever runs there, calls, or applies it.

mod addresses;
mod between;
mod callers;
mod calls;
mod services;

use indexmap::IndexMap;
use serde::Serialize;

pub use addresses::AddressChange;
pub use between::{Between, Broken, Step};
pub use callers::Caller;
pub use calls::{CallChange, Called, Route};
pub use services::ServiceChange;

pub(crate) use callers::renamed_untold;

use super::changes::ClusterChange;
use super::pods::{Rollout, Variable};
use super::side::Side;
use crate::Mesh;
use crate::prove::World;

/// What a change means.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Meaning {
    /// Pods that are replaced.
    pub restarts: Vec<Restart>,
    /// What can only be said of two topologies.
    #[serde(flatten)]
    pub declared: Option<Declared>,
}

/// What two topologies say.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Declared {
    /// Services that come, go, move, or have another name.
    pub services: Vec<ServiceChange>,
    /// Callers that no bundle tells whom to call, and that must call another name.
    pub callers: Vec<Caller>,
    /// Names that have another virtual IP, a first one, or none any more.
    pub virtual_ips: Vec<AddressChange>,
    /// Clusters that are reached at other addresses.
    pub gateways: Vec<AddressChange>,
    /// Where calls go; `None` while a cluster waits for an address.
    #[serde(flatten)]
    pub paths: Option<Paths>,
}

/// Where declared calls go.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Paths {
    /// Those that are new, gone, or take another way.
    pub calls: Vec<CallChange>,
    /// What breaks while clusters are applied one after the other; `None` where only one changes.
    pub between: Option<Between>,
}

/// Pods of one workload that are replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restart {
    /// Such as a Deployment.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where.
    pub clusters: Vec<String>,
    /// Variables that are not the same.
    pub variables: Vec<Variable>,
    /// Other fields of the pod template that are not the same.
    pub fields: Vec<String>,
}

/// What the changes of all clusters mean, as far as it has to do with those that are meant.
pub(super) fn of(
    old: &Side,
    new: &Side,
    clusters: &[ClusterChange],
    is_meant: impl Fn(&str) -> bool + Copy,
) -> Meaning {
    let declared = match (&old.mesh, &new.mesh) {
        (Some(before), Some(after)) => Some(Declared {
            services: services::changes(&before.topology, &after.topology),
            callers: callers::changes(&before.topology, &after.topology, is_meant),
            virtual_ips: addresses::virtual_ips(before, after),
            gateways: addresses::gateways(&before.topology, &after.topology),
            paths: paths(before, after, clusters, is_meant),
        }),
        _ => None,
    };
    Meaning { restarts: restarts(clusters.iter().filter(|it| is_meant(&it.name))), declared }
}

fn paths(old: &Mesh, new: &Mesh, clusters: &[ClusterChange], is_meant: impl Fn(&str) -> bool + Copy) -> Option<Paths> {
    let read = |mesh: &Mesh| World::of_mesh(mesh).expect("a bundle can be read");
    let (mut old, mut new) = rayon::join(|| read(old), || read(new));
    if !old.absent().is_empty() || !new.absent().is_empty() {
        return None;
    }
    old.mean(&new);
    new.mean(&old);
    let changed: Vec<&str> = clusters.iter().filter(|it| !it.objects.is_empty()).map(|it| it.name.as_str()).collect();
    Some(Paths {
        calls: calls::changes(&old, &new, is_meant),
        between: between::between(&old, &new, &changed, is_meant),
    })
}

fn restarts<'a>(clusters: impl Iterator<Item = &'a ClusterChange>) -> Vec<Restart> {
    let all = clusters.flat_map(|cluster| cluster.rollouts.iter().map(move |it| (it.clone(), cluster.name.clone())));
    let restart = |(it, clusters): (Rollout, Vec<String>)| Restart {
        kind: it.workload.kind,
        namespace: it.workload.namespace,
        name: it.workload.name,
        clusters,
        variables: it.variables,
        fields: it.fields,
    };
    shared(all, |it| format!("{it:?}")).into_iter().map(restart).collect()
}

/// What is the same in several clusters, once, with the clusters; `key` tells what is the same.
fn shared<T>(all: impl Iterator<Item = (T, String)>, key: impl Fn(&T) -> String) -> Vec<(T, Vec<String>)> {
    let mut found: IndexMap<String, (T, Vec<String>)> = IndexMap::new();
    for (it, cluster) in all {
        found.entry(key(&it)).or_insert_with(|| (it, Vec::new())).1.push(cluster);
    }
    found.into_values().collect()
}
