//! Services that come, go, move, or have another name.

use serde::Serialize;

use crate::topology::{Service, Topology, Workload};

/// What became of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "camelCase")]
pub enum ServiceChange {
    /// It is new.
    Added {
        /// Its key in the topology.
        service: String,
        /// Where it runs.
        clusters: Vec<String>,
    },
    /// It is gone.
    Removed {
        /// Its key in the topology.
        service: String,
        /// Where it ran.
        clusters: Vec<String>,
    },
    /// It runs in other clusters.
    Moved {
        /// Its key in the topology.
        service: String,
        /// Where it ran.
        old: Vec<String>,
        /// Where it runs.
        new: Vec<String>,
    },
    /// It is known by another name: `name.namespace` of Kubernetes.
    Renamed {
        /// Its key in the topology.
        service: String,
        /// What its key was, which is a guess if it is another one.
        was: String,
        /// Its name before.
        old: String,
        /// Its name now.
        new: String,
    },
}

/// What became of all services: in the order of the new topology, then those that are gone.
pub(super) fn changes(old: &Topology, new: &Topology) -> Vec<ServiceChange> {
    let mut changes = Vec::new();
    let find = |topology: &'_ Topology, key: &str| topology.services.iter().position(|it| it.key == key);
    let gone: Vec<&Service> = old.services.iter().filter(|it| find(new, &it.key).is_none()).collect();
    let come: Vec<&Service> = new.services.iter().filter(|it| find(old, &it.key).is_none()).collect();
    // Two that are alike are the same one under another key, if no third is alike.
    let partner = |service: &Service, here: &Topology, others: &[&Service], there: &Topology, own: &[&Service]| {
        let mut like = others.iter().filter(|it| alike(service, here, it, there));
        let one = like.next().filter(|_| like.next().is_none())?;
        (own.iter().filter(|it| alike(it, here, one, there)).count() == 1).then(|| one.key.clone())
    };
    for service in &new.services {
        let was = match find(old, &service.key) {
            Some(at) => Some(&old.services[at]),
            None => partner(service, new, &gone, old, &come).and_then(|key| Some(&old.services[find(old, &key)?])),
        };
        let clusters = placement(new, service);
        let Some(was) = was else {
            changes.push(ServiceChange::Added { service: service.key.clone(), clusters });
            continue;
        };
        if was.key != service.key || kubernetes(was) != kubernetes(service) {
            changes.push(ServiceChange::Renamed {
                service: service.key.clone(),
                was: was.key.clone(),
                old: kubernetes(was),
                new: kubernetes(service),
            });
        }
        let before = placement(old, was);
        let mut sorted = [before.clone(), clusters.clone()];
        for it in &mut sorted {
            it.sort();
        }
        if sorted[0] != sorted[1] {
            changes.push(ServiceChange::Moved { service: service.key.clone(), old: before, new: clusters });
        }
    }
    for service in &gone {
        if partner(service, old, &come, new, &gone).is_none() {
            let clusters = placement(old, service);
            changes.push(ServiceChange::Removed { service: service.key.clone(), clusters });
        }
    }
    changes
}

/// Whether two services differ by their name only.
fn alike(a: &Service, in_a: &Topology, b: &Service, in_b: &Topology) -> bool {
    let image = |it: &Service| match &it.workload {
        Workload::Deployment(workload) => Some(workload.image.clone()),
        Workload::ServiceOnly | Workload::Elsewhere => None,
    };
    let same_name = kubernetes(a) == kubernetes(b);
    let same_work = image(a).is_some() && image(a) == image(b) && placement(in_a, a) == placement(in_b, b);
    a.ports == b.ports && (same_name || same_work)
}

fn kubernetes(service: &Service) -> String {
    format!("{}.{}", service.name, service.namespace)
}

fn placement(topology: &Topology, service: &Service) -> Vec<String> {
    service.placement.iter().map(|it| topology.cluster(*it).name.clone()).collect()
}
