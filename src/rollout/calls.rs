//! `Candidate`: a call of one of the two meshes, who makes it, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::State;
use crate::phases::Id;
use crate::prove::{Call, Object};
use crate::topology::Service;

/// Which topology pods know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Age {
    Old,
    New,
}

pub(super) type Ages = BTreeSet<Age>;

/// The calls that have to do with a cluster.
#[derive(Default)]
pub(super) struct Nearby {
    pub(super) all: Vec<usize>,
    /// By the files of who is called and of who calls.
    pub(super) by_file: BTreeMap<String, Vec<usize>>,
}

/// A call that is made at some moments.
pub(super) struct Candidate<'a> {
    pub(super) cluster: &'a str,
    pub(super) call: &'a Call,
    /// Which topology has it.
    pub(super) age: Age,
    /// The clusters in which it is made or may be answered.
    pub(super) clusters: BTreeSet<&'a str>,
    /// The files, without folder, of who is called and of who calls.
    pub(super) files: [String; 2],
    /// Whether one of them is not the same in some cluster.
    pub(super) touched: bool,
    /// Who makes it.
    pub(super) pods: Pods,
    /// The Deployment of the pods, as this topology has it.
    pub(super) deployment: Option<&'a Arc<Object>>,
}

/// Who makes a call.
pub(super) enum Pods {
    /// Those of a Deployment that is another one before and after.
    Of(Id),
    /// Those that nobody is seen to replace.
    Told,
    /// Those that nobody is seen to replace, and that call it no longer before anything changes.
    Stopped,
    /// Clients outside, through the gateway that serves them: the call at each host, and when they ask for it here.
    Outside(Vec<(Call, Asked)>),
}

/// When clients outside ask a cluster for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// All the time: both meshes serve it here.
    Always,
    /// From when its public name leads here.
    Later,
    /// Until its public name leads to where nobody has served it before.
    UntilMoved,
    /// Until the step in which it goes: its public name can lead elsewhere before, or there is nowhere else.
    UntilItGoes,
}

/// The calls of a mesh, and who makes them.
pub(super) fn candidates<'a>(
    state: &'a State<'a>,
    age: Age,
    both: [&'a State<'a>; 2],
    touched: &BTreeSet<String>,
) -> Vec<Candidate<'a>> {
    let mut answered: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for topology in both.map(State::topology) {
        for service in &topology.services {
            let names = service.placement.iter().map(|it| topology.cluster(*it).name.as_str());
            answered.entry(&service.key).or_default().extend(names);
        }
    }
    let services: BTreeMap<&str, &Service> = state.topology().services.iter().map(|it| (it.key.as_str(), it)).collect();
    let file = |key: &str| {
        let service = services.get(key).map(|it| format!("{}.{}.yaml", it.name, it.namespace));
        service.unwrap_or_else(|| format!("external-{key}.yaml"))
    };
    let mut candidates = Vec::new();
    for cluster in state.world.clusters() {
        for call in state.world.calls_of(cluster) {
            let key = call.caller.key();
            let (pods, deployment, caller) = match services.get(key).filter(|_| !call.caller.is_ingress()) {
                None => {
                    let asked = asked(both, age, cluster, key).into_iter();
                    let doors = asked.map(|(host, asked)| (call.at_host(host), asked)).collect();
                    (Pods::Outside(doors), None, format!("{key}.yaml"))
                }
                Some(service) => {
                    // Nothing of the bundle tells pods whose Deployment stays as it is.
                    let pods = match () {
                        () if is_replaced(both, cluster, service) => {
                            Pods::Of(("Deployment".to_owned(), service.namespace.clone(), service.name.clone()))
                        }
                        () if age == Age::Old && stops(both[0], both[1], cluster, call) => Pods::Stopped,
                        () => Pods::Told,
                    };
                    (pods, state.world.deployment(cluster, &service.namespace, &service.name), file(key))
                }
            };
            let files = [file(&call.callee), caller];
            let touched = files.iter().any(|it| touched.contains(it));
            let mut clusters = answered.get(call.callee.as_str()).cloned().unwrap_or_default();
            clusters.insert(cluster);
            candidates.push(Candidate { cluster, call, age, clusters, files, touched, pods, deployment });
        }
    }
    candidates
}

/// Whether the Deployment of a service is another one before and after.
pub(super) fn is_replaced(both: [&State<'_>; 2], cluster: &str, service: &Service) -> bool {
    let [old, new] = both.map(|it| it.world.deployment(cluster, &service.namespace, &service.name));
    match (old, new) {
        (Some(old), Some(new)) => !old.is_like(new),
        _ => old.is_some() != new.is_some(),
    }
}

/// Whether a caller is still there, and makes a call no longer, nor any new one in its place.
pub(super) fn stops(before: &State<'_>, after: &State<'_>, cluster: &str, call: &Call) -> bool {
    let services = &after.topology().services;
    let caller = services.iter().find(|it| it.key == call.caller.key());
    let runs = caller.is_some_and(|it| it.placement.iter().any(|it| after.topology().cluster(*it).name == cluster));
    let is_made = |it: &Call| before.world.calls_of(cluster).iter().any(|made| made.is_like(it));
    let mut others =
        after.world.calls_of(cluster).iter().filter(|it| it.caller == call.caller && it.callee == call.callee);
    runs && others.all(|it| !it.is_like(call) && is_made(it))
}

/// When clients outside ask a cluster for the hosts of an ingress that one of two meshes has.
fn asked<'a>(both: [&'a State<'a>; 2], age: Age, cluster: &str, ingress: &str) -> Vec<(&'a str, Asked)> {
    let serves = |state: &State<'_>, host: &str, at: &str| {
        let topology = state.topology();
        let mut ingresses = topology.ingresses.iter().filter(|it| it.hosts.iter().any(|it| it == host));
        ingresses.any(|it| it.clusters.iter().any(|it| topology.cluster(*it).name == at))
    };
    let [own, other] = if age == Age::Old { both } else { [both[1], both[0]] };
    let hosts = own.topology().ingresses.iter().filter(|it| it.name == ingress).flat_map(|it| &it.hosts);
    let clusters = || own.topology().clusters.iter().map(|it| it.name.as_str());
    hosts
        .map(|host| {
            let stays = clusters().any(|it| serves(own, host, it) && serves(other, host, it));
            let goes = !other.topology().ingresses.iter().any(|it| it.hosts.contains(host));
            let asked = match age {
                _ if serves(other, host, cluster) => Asked::Always,
                Age::New => Asked::Later,
                Age::Old if stays || goes => Asked::UntilItGoes,
                Age::Old => Asked::UntilMoved,
            };
            (host.as_str(), asked)
        })
        .collect()
}

/// The files, without folder, that are not the same in some cluster.
pub(super) fn touched(old: &State<'_>, new: &State<'_>) -> BTreeSet<String> {
    let mut touched = BTreeSet::new();
    for (cluster, bundle) in old.bundles.iter().chain(&new.bundles) {
        let other = if new.bundles.get(cluster).is_some_and(|it| std::ptr::eq(it, bundle)) { old } else { new };
        let other = other.bundles.get(cluster);
        let files = bundle.files().filter(|(path, file)| other.and_then(|it| it.get(path)) != Some(&file.text));
        touched.extend(files.filter_map(|(path, _)| Some(path.split_once('/')?.1.to_owned())));
    }
    touched
}
