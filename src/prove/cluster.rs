//! `Cluster`: the objects of one cluster at one moment, found by host, label and address.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use serde_yaml::Value;

use super::gateways::{is_gateway, is_of_kubernetes};
use super::install::Install;
use super::matches::gateway;
use super::object::{Id, Object};
use super::pod::WORKLOADS;
use super::read::SCRIPT;
use super::servers::{self, Server};
use super::service::whole;
use super::value::{at, fits, list, pairs, word, words};
use crate::target::Release;

/// One cluster at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(super) name: String,
    /// Its release of Istio.
    pub(super) istio: Release,
    /// Whether its gateway has a filter chain a service, which is what Istio does today.
    pub(super) passes_through: bool,
    /// `region/zone/subzone` of its nodes; empty if nobody says it.
    pub(super) locality: String,
    pub(super) install: Install,
    objects: BTreeMap<Id, Arc<Object>>,
    /// Objects by their kind and a host that they are about.
    hosts: BTreeMap<&'static str, BTreeMap<String, BTreeMap<Id, Arc<Object>>>>,
    /// Routes by the gateway behind which they stand, as `namespace/name`.
    behind: BTreeMap<String, BTreeMap<Id, Arc<Object>>>,
    /// What Gateways open, once somebody has asked.
    servers: OnceLock<Vec<Server>>,
    /// Pods and endpoints by their namespace and a label.
    labelled: BTreeMap<(String, String, String), BTreeSet<Id>>,
    /// Objects `ServiceEntry` and `Service` by an address.
    addresses: BTreeMap<String, BTreeSet<Id>>,
    /// What brings gateways.
    gateways: BTreeSet<Id>,
    /// Workloads whose pods are ready.
    ready: BTreeSet<Id>,
}

impl Cluster {
    pub(super) fn new(name: &str, istio: Release, passes_through: bool, install: Install) -> Self {
        Self {
            name: name.to_owned(),
            istio,
            passes_through,
            locality: String::new(),
            install,
            objects: BTreeMap::new(),
            hosts: BTreeMap::new(),
            behind: BTreeMap::new(),
            servers: OnceLock::new(),
            labelled: BTreeMap::new(),
            addresses: BTreeMap::new(),
            gateways: BTreeSet::new(),
            ready: BTreeSet::new(),
        }
    }

    /// An object is applied; pods of a new workload are not ready yet.
    pub(super) fn put(&mut self, object: Arc<Object>) {
        self.forget(&object.id);
        let id = &object.id;
        for (kind, host) in about(&object) {
            self.hosts.entry(kind).or_default().entry(host).or_default().insert(id.clone(), object.clone());
        }
        for gateway in gateways(&object) {
            self.behind.entry(gateway).or_default().insert(id.clone(), object.clone());
        }
        if id.kind == "Gateway" {
            self.servers.take();
        }
        for (key, text) in labels(&object) {
            self.labelled.entry((id.namespace.clone(), key, text)).or_default().insert(id.clone());
        }
        for address in addresses(&object) {
            self.addresses.entry(address.to_owned()).or_default().insert(id.clone());
        }
        if is_gateway(&object) || is_of_kubernetes(&object) {
            self.gateways.insert(id.clone());
        }
        self.objects.insert(id.clone(), object);
    }

    /// An object is deleted, with its pods.
    pub(super) fn remove(&mut self, id: &Id) {
        self.forget(id);
        self.objects.remove(id);
        self.ready.remove(id);
    }

    fn forget(&mut self, id: &Id) {
        let Some(old) = self.objects.get(id).cloned() else { return };
        self.gateways.remove(id);
        if id.kind == "Gateway" {
            self.servers.take();
        }
        for gateway in gateways(&old) {
            if let Some(objects) = self.behind.get_mut(&gateway) {
                objects.remove(id);
            }
        }
        for (kind, host) in about(&old) {
            if let Some(objects) = self.hosts.get_mut(kind).and_then(|it| it.get_mut(&host)) {
                objects.remove(id);
            }
        }
        for (key, text) in labels(&old) {
            drop_from(&mut self.labelled, &(id.namespace.clone(), key, text), id);
        }
        for address in addresses(&old) {
            drop_from(&mut self.addresses, &address.to_owned(), id);
        }
    }

    /// All pods are ready.
    pub(super) fn roll_out(&mut self) {
        self.ready = self.objects.keys().filter(|it| WORKLOADS.contains(&it.kind.as_str())).cloned().collect();
    }

    pub(super) fn is_ready(&self, id: &Id) -> bool {
        self.ready.contains(id)
    }

    /// The object of this name.
    pub(super) fn same(&self, id: &Id) -> Option<&Arc<Object>> {
        self.objects.get(id)
    }

    /// Scripts that lead the names of a zone to a server: each with both.
    pub(super) fn scripts(&self) -> impl Iterator<Item = (&Arc<Object>, String, String)> {
        let all = self.of_kind_anywhere(SCRIPT);
        all.map(|it| (it, word(&it.value, &["zone"]).to_owned(), word(&it.value, &["server"]).to_owned()))
    }

    /// Every host that something is about.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.values().flat_map(BTreeMap::keys).map(String::as_str)
    }

    /// What brings gateways.
    pub(super) fn gateway_objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.gateways.iter().filter_map(|id| self.objects.get(id))
    }

    pub(super) fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.values()
    }

    /// The object of this name, of the group of Istio or of Kubernetes itself.
    pub(super) fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        let first =
            Id { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned(), group: String::new() };
        // Its group sorts last.
        let (id, object) = self.objects.range(&first..).next()?;
        ((&id.kind, &id.namespace, &id.name) == (&first.kind, &first.namespace, &first.name)).then_some(object)
    }

    /// Objects of a kind in a namespace.
    pub(super) fn of_kind(&self, kind: &str, namespace: &str) -> impl Iterator<Item = &Arc<Object>> {
        let id = |name: &str| Id {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            group: String::new(),
        };
        // No namespace is longer by a character that sorts before any of a name.
        let end = Id { namespace: format!("{namespace}\0"), ..id("") };
        self.objects.range((Bound::Included(id("")), Bound::Excluded(end))).map(|it| it.1)
    }

    /// Objects of a kind in all namespaces.
    pub(super) fn of_kind_anywhere(&self, kind: &str) -> impl Iterator<Item = &Arc<Object>> {
        let id = |kind: String| Id { kind, namespace: String::new(), name: String::new(), group: String::new() };
        let (first, end) = (id(kind.to_owned()), id(format!("{kind}\0")));
        self.objects.range((Bound::Included(first), Bound::Excluded(end))).map(|it| it.1)
    }

    /// Objects of a kind that are about a host, the most precise first: by name, then by ever wider wildcards.
    pub(super) fn about(&self, kind: &'static str, host: &str) -> Vec<&Arc<Object>> {
        let Some(hosts) = self.hosts.get(kind) else { return Vec::new() };
        let mut objects: Vec<_> = hosts.get(host).into_iter().flat_map(BTreeMap::values).collect();
        // Most kinds have no wildcards at all.
        if hosts.range("*".to_owned()..).next().is_some_and(|it| it.0.starts_with('*')) {
            let dots = host.match_indices('.').map(|it| &host[it.0..]);
            let wildcards = dots.chain([""]).filter_map(|rest| hosts.get(&format!("*{rest}")));
            objects.extend(wildcards.flat_map(BTreeMap::values));
        }
        objects
    }

    /// The routes behind a Gateway, as `namespace/name`.
    pub(super) fn behind(&self, gateway: &str) -> impl Iterator<Item = &Arc<Object>> {
        self.behind.get(gateway).into_iter().flat_map(BTreeMap::values)
    }

    /// Everything that Gateways open.
    pub(super) fn servers(&self) -> &[Server] {
        self.servers.get_or_init(|| servers::read(self))
    }

    /// The objects of a kind that have an address.
    pub(super) fn with_address<'a>(&'a self, kind: &'a str, address: &str) -> impl Iterator<Item = &'a Arc<Object>> {
        let ids = self.addresses.get(address).into_iter().flatten();
        ids.filter(move |id| id.kind == kind).filter_map(|id| self.objects.get(id))
    }

    /// Workloads, by the labels of their pods, and endpoints that a selector names.
    pub(super) fn selected(&self, namespace: &str, selector: &BTreeMap<String, String>) -> Vec<&Arc<Object>> {
        let Some((key, text)) = selector.iter().next() else { return Vec::new() };
        let ids = self.labelled.get(&(namespace.to_owned(), key.clone(), text.clone()));
        let all = ids.into_iter().flatten().filter_map(|id| self.objects.get(id));
        all.filter(|it| fits(&labels(it), selector)).collect()
    }
}

fn drop_from<K: Ord>(index: &mut BTreeMap<K, BTreeSet<Id>>, key: &K, id: &Id) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(id);
    }
}

/// The hosts that an object is about, by its kind.
fn about(object: &Object) -> Vec<(&'static str, String)> {
    let value = &object.value;
    let whole = |it: &str| whole(it, &object.id.namespace);
    match object.id.kind.as_str() {
        "ServiceEntry" => words(value, &["spec", "hosts"]).map(|it| ("ServiceEntry", it.to_owned())).collect(),
        // One for a gateway leads what comes from outside.
        "VirtualService" if is_for_sidecars(value) => {
            words(value, &["spec", "hosts"]).map(|it| ("VirtualService", whole(it))).collect()
        }
        "DestinationRule" => vec![("DestinationRule", whole(word(value, &["spec", "host"])))],
        _ => Vec::new(),
    }
}

/// The gateways behind which routes stand.
fn gateways(object: &Object) -> Vec<String> {
    let is_route = object.id.kind == "VirtualService";
    let names = words(&object.value, &["spec", "gateways"]).filter(|_| is_route);
    names.map(|it| gateway(it, &object.id.namespace)).collect()
}

fn is_for_sidecars(route: &Value) -> bool {
    let gateways = list(route, &["spec", "gateways"]);
    gateways.is_empty() || gateways.iter().any(|it| it == "mesh")
}

/// The labels by which an object is selected.
fn labels(object: &Object) -> BTreeMap<String, String> {
    let value = &object.value;
    match object.id.kind.as_str() {
        "WorkloadEntry" => {
            let mut labels = pairs(value, &["metadata", "labels"]);
            labels.extend(pairs(value, &["spec", "labels"]));
            labels
        }
        "Pod" => pairs(value, &["metadata", "labels"]),
        "CronJob" => pairs(value, &["spec", "jobTemplate", "spec", "template", "metadata", "labels"]),
        kind if WORKLOADS.contains(&kind) => pairs(value, &["spec", "template", "metadata", "labels"]),
        _ => BTreeMap::new(),
    }
}

fn addresses(object: &Object) -> Vec<&str> {
    match object.id.kind.as_str() {
        "ServiceEntry" => words(&object.value, &["spec", "addresses"]).collect(),
        "Service" => at(&object.value, &["spec", "clusterIP"]).and_then(Value::as_str).into_iter().collect(),
        _ => Vec::new(),
    }
}
