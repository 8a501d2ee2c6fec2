//! `Unasked`: what is written although no declared call asks for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cluster::Cluster;
use super::crossing::passes_all;
use super::hop::Hop;
use super::object::{Id, Object, Place};
use super::servers::Server;
use super::service::{CLUSTER_DOMAIN, covers, whole};
use super::value::{fits, list, pairs, word, words};
use super::{Call, Proof, World};
use crate::topology::ROOT_NAMESPACE;

/// What no declared call asks for.
#[derive(Debug)]
pub struct Unasked {
    /// Its cluster.
    pub cluster: String,
    /// Which.
    pub kind: UnaskedKind,
    /// What it is.
    pub what: String,
    /// Where it stands.
    pub place: Place,
}

/// In which manner nobody asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnaskedKind {
    /// An object by which no declared call goes.
    Dead,
    /// A host that a gateway lets in from other clusters, where nobody is declared to call it.
    Open,
    /// Every name of a suffix, which a gateway before 1.9 passes on, whoever is declared to call it.
    Suffix,
    /// Pods that let anybody in: those of other callers than declared ones, too.
    Unguarded,
}

/// What declared calls use in one cluster.
#[derive(Default)]
struct Used<'a> {
    objects: BTreeSet<&'a Id>,
    hosts: BTreeSet<String>,
    /// Hosts that are called from other clusters.
    entered: BTreeSet<&'a str>,
    /// Namespaces and labels by which endpoints are selected.
    selectors: Vec<(&'a str, BTreeMap<String, String>)>,
    /// Namespaces and labels of pods that are called.
    called: BTreeSet<&'a (String, BTreeMap<String, String>)>,
}

/// Kinds whose objects are there for the sake of calls.
const KINDS: [&str; 5] = ["AuthorizationPolicy", "DestinationRule", "ServiceEntry", "VirtualService", "WorkloadEntry"];

impl World {
    /// What no call of a proof asks for, by cluster.
    pub(super) fn unasked(&self, proof: &Proof<'_>) -> Vec<Unasked> {
        let mut used = self.used(proof);
        let mut found = Vec::new();
        for (name, cluster) in &self.clusters {
            let used = used.entry(name).or_default();
            used.follow(cluster);
            let mut add = |kind, what: String, place| found.push(Unasked { cluster: name.clone(), kind, what, place });
            for object in KINDS.iter().flat_map(|it| cluster.of_kind_anywhere(it)) {
                if !object.is_told() && !used.needs(cluster, object) {
                    add(UnaskedKind::Dead, object.to_string(), Place::new(object, &["metadata", "name"]));
                }
            }
            for (host, place) in opened(cluster) {
                if !is_asked(&host, |it| used.entered.contains(it), || used.entered.iter().copied()) {
                    add(UnaskedKind::Open, host, place);
                }
            }
        }
        for (name, cluster) in &self.clusters {
            let Some(place) = passes_all(cluster) else { continue };
            let suffix = cluster.install.suffix();
            let entered = used.get(name.as_str()).map(|it| &it.entered);
            let is_called = |it: &Object| {
                let host = format!("{}.{}.{suffix}", it.id.name, it.id.namespace);
                entered.is_some_and(|it| it.contains(host.as_str()))
            };
            if !cluster.of_kind_anywhere("Service").all(|it| is_called(it)) {
                let what = format!("*.{suffix}");
                found.push(Unasked { cluster: name.clone(), kind: UnaskedKind::Suffix, what, place });
            }
        }
        for (name, cluster) in &self.clusters {
            for (namespace, labels) in used.get(name.as_str()).into_iter().flat_map(|it| &it.called) {
                let pods = cluster.selected(namespace, labels);
                // What a topology tells of stands in no file.
                let Some(pods) = pods.into_iter().find(|it| it.id.kind != "WorkloadEntry" && !it.is_told()) else {
                    continue;
                };
                if !is_guarded(cluster, namespace, labels) {
                    let place = Place::new(pods, &["metadata", "name"]);
                    let what = pods.to_string();
                    found.push(Unasked { cluster: name.clone(), kind: UnaskedKind::Unguarded, what, place });
                }
            }
        }
        found.sort_by_key(|it| it.kind);
        found
    }

    fn used<'p>(&'p self, proof: &'p Proof<'p>) -> BTreeMap<&'p str, Used<'p>> {
        let mut used: BTreeMap<&str, Used<'_>> = BTreeMap::new();
        let mut takes = |call: &'p Call, hops: &mut dyn Iterator<Item = &'p Hop>| {
            used.entry(&call.cluster).or_default().hosts.insert(call.host.clone());
            for hop in hops {
                if let Some(place) = &hop.place {
                    used.entry(&hop.cluster).or_default().objects.insert(&place.shared().id);
                }
            }
        };
        for (call, path) in &proof.proved {
            takes(call, &mut path.hops.iter().chain(path.ways.iter().flat_map(|it| &it.hops)));
        }
        for (call, stopped) in &proof.broken {
            takes(call, &mut stopped.hops.iter());
        }
        for (call, path) in &proof.proved {
            for owner in path.ways.iter().filter_map(|it| it.cluster.as_deref()).filter(|it| *it != call.cluster) {
                let used = used.entry(owner).or_default();
                used.hosts.insert(call.host.clone());
                used.entered.insert(&call.host);
            }
        }
        for (call, path) in &proof.proved {
            for owner in path.ways.iter().filter_map(|it| it.cluster.as_deref()) {
                used.entry(owner).or_default().called.extend(&call.meant);
            }
        }
        // Where a call ends before it gets there, it is asked for everywhere.
        let unended = proof.proved.iter().filter(|it| !it.1.latent.is_empty()).map(|it| it.0);
        for call in proof.broken.iter().map(|it| it.0).chain(unended) {
            for name in self.clusters.keys() {
                let used = used.entry(name).or_default();
                used.hosts.insert(call.host.clone());
                used.entered.insert(&call.host);
            }
        }
        used
    }
}

impl<'a> Used<'a> {
    /// The hosts of the objects that are used, those to which their routes lead, and the endpoints that they select.
    fn follow(&mut self, cluster: &'a Cluster) {
        for object in self.objects.iter().filter_map(|it| cluster.same(it)) {
            let spec = &object.value["spec"];
            let selector = match object.id.kind.as_str() {
                "Service" => pairs(spec, &["selector"]),
                _ => pairs(spec, &["workloadSelector", "labels"]),
            };
            if !selector.is_empty() {
                self.selectors.push((&object.id.namespace, selector));
            }
            match object.id.kind.as_str() {
                "Service" => {
                    self.hosts.insert(format!("{}.{}.{CLUSTER_DOMAIN}", object.id.name, object.id.namespace));
                }
                "ServiceEntry" => self.hosts.extend(words(spec, &["hosts"]).map(str::to_owned)),
                "VirtualService" => self.hosts.extend(hosts_led_to(object)),
                _ => {}
            }
        }
    }

    fn needs(&self, cluster: &Cluster, object: &Arc<Object>) -> bool {
        let spec = &object.value["spec"];
        let is_asked =
            |host: &str| is_asked(host, |it| self.hosts.contains(it), || self.hosts.iter().map(String::as_str));
        self.objects.contains(&object.id)
            || match object.id.kind.as_str() {
                "ServiceEntry" => words(spec, &["hosts"]).any(is_asked),
                "VirtualService" => {
                    let own = words(spec, &["hosts"]).map(|it| whole(it, &object.id.namespace));
                    own.chain(hosts_led_to(object)).any(|it| is_asked(&it))
                }
                "DestinationRule" => is_asked(&whole(word(spec, &["host"]), &object.id.namespace)),
                // One of several endpoints; the path names one.
                "WorkloadEntry" => {
                    let labels = pairs(spec, &["labels"]);
                    let selects = |it: &(&str, BTreeMap<_, _>)| it.0 == object.id.namespace && fits(&labels, &it.1);
                    self.selectors.iter().any(selects)
                }
                // One that selects nobody.
                "AuthorizationPolicy" => {
                    let selector = pairs(spec, &["selector", "matchLabels"]);
                    selector.is_empty() || !cluster.selected(&object.id.namespace, &selector).is_empty()
                }
                _ => false,
            }
    }
}

/// Whether an AuthorizationPolicy says who is let in to pods. One that denies says who is not.
fn is_guarded(cluster: &Cluster, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
    let allows = |it: &&Arc<Object>| ["", "ALLOW", "CUSTOM"].contains(&word(&it.value, &["spec", "action"]));
    let selects = |it: &&Arc<Object>| fits(labels, &pairs(&it.value, &["spec", "selector", "matchLabels"]));
    let mut all = [namespace, ROOT_NAMESPACE].into_iter().flat_map(|it| cluster.of_kind("AuthorizationPolicy", it));
    all.any(|it| allows(&it) && selects(&it))
}

/// Whether a host is one of those that are asked for, or covers one of them.
fn is_asked<'a, I: Iterator<Item = &'a str>>(host: &str, has: impl Fn(&str) -> bool, all: impl Fn() -> I) -> bool {
    has(host) || host.starts_with('*') && all().any(|it| covers(host, it))
}

/// The hosts to which a VirtualService leads, or copies requests.
pub(super) fn hosts_led_to(object: &Object) -> impl Iterator<Item = String> {
    let ways = ["http", "tls", "tcp"].into_iter().flat_map(|it| list(&object.value, &["spec", it]));
    let hosts = ways.flat_map(|it| {
        let all = list(it, &["route"]).iter().chain(list(it, &["mirrors"]));
        all.map(|it| word(it, &["destination", "host"])).chain([word(it, &["mirror", "host"])])
    });
    hosts.filter(|it| !it.is_empty()).map(|it| whole(it, &object.id.namespace))
}

/// The hosts that gateways pass on by their server name.
fn opened(cluster: &Cluster) -> Vec<(String, Place)> {
    let passing = cluster.servers().iter().filter(|it| it.passes).flat_map(Server::hosts);
    passing.map(|(host, place)| (host.to_owned(), place)).collect()
}
