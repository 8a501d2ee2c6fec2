//! `Site`: the objects of one cluster at one moment, and which of its pods are ready.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use serde_yaml::Value;

use super::Call;
use crate::phases::Id;

/// One cluster at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// Whether its gateway passes each service through by itself, which is what Istio does today.
    pub(super) newer: bool,
    /// `global`.
    pub(super) suffix: String,
    /// Of its pods.
    pub(super) trust_domain: String,
    /// What was applied.
    objects: BTreeMap<Id, Arc<Value>>,
    /// Objects by the kind and a host that they are about.
    hosts: BTreeMap<(String, String), BTreeSet<Id>>,
    /// Pods and endpoints by their namespace and a label.
    labelled: BTreeMap<(String, String, String), BTreeSet<Id>>,
    /// Deployments whose pods are ready.
    ready: BTreeSet<Id>,
    /// What answers here and is in no bundle.
    pub(crate) foreign: Vec<Foreign>,
    /// What its pods call.
    pub(crate) calls: Vec<Call>,
}

/// Pods that somebody else deploys, as the topology tells of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Foreign {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) account: Option<String>,
    /// Their Service, if that comes from elsewhere, too.
    pub(super) service: Option<Value>,
}

/// Pods that answer.
#[derive(Debug, Clone)]
pub(super) struct Pods {
    pub(super) labels: BTreeMap<String, String>,
    /// Of their identity, if it is known.
    pub(super) account: Option<String>,
}

/// A text in a value; empty if there is none.
pub(super) fn word<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// A list in a value; empty if there is none.
pub(super) fn list<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path).and_then(Value::as_sequence).map_or(&[], Vec::as_slice)
}

/// The texts of a list.
pub(super) fn words<'a>(value: &'a Value, path: &[&str]) -> impl Iterator<Item = &'a str> {
    list(value, path).iter().filter_map(Value::as_str)
}

pub(super) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

/// The texts of a map.
pub(super) fn pairs(value: &Value, path: &[&str]) -> BTreeMap<String, String> {
    let map = at(value, path).and_then(Value::as_mapping).into_iter().flatten();
    map.filter_map(|(key, value)| Some((key.as_str()?.to_owned(), value.as_str()?.to_owned()))).collect()
}

impl Site {
    pub(super) fn new(newer: bool, suffix: &str, trust_domain: &str) -> Self {
        Self {
            newer,
            suffix: suffix.to_owned(),
            trust_domain: trust_domain.to_owned(),
            objects: BTreeMap::new(),
            hosts: BTreeMap::new(),
            labelled: BTreeMap::new(),
            ready: BTreeSet::new(),
            foreign: Vec::new(),
            calls: Vec::new(),
        }
    }

    /// An object is applied; pods of a new Deployment are not ready yet.
    pub(crate) fn put(&mut self, id: Id, value: Arc<Value>) {
        self.forget(&id);
        for host in about(&id, &value) {
            self.hosts.entry((id.0.clone(), host.to_owned())).or_default().insert(id.clone());
        }
        for (key, text) in labels(&id, &value) {
            self.labelled.entry((id.1.clone(), key, text)).or_default().insert(id.clone());
        }
        self.objects.insert(id, value);
    }

    /// An object is deleted, with its pods.
    pub(crate) fn remove(&mut self, id: &Id) {
        self.forget(id);
        self.objects.remove(id);
        self.ready.remove(id);
    }

    fn forget(&mut self, id: &Id) {
        let Some(old) = self.objects.get(id).cloned() else { return };
        for host in about(id, &old) {
            let key = (id.0.clone(), host.to_owned());
            if let Some(ids) = self.hosts.get_mut(&key) {
                ids.remove(id);
            }
        }
        for (key, text) in labels(id, &old) {
            if let Some(ids) = self.labelled.get_mut(&(id.1.clone(), key, text)) {
                ids.remove(id);
            }
        }
    }

    /// All pods are ready.
    pub(crate) fn roll_out(&mut self) {
        self.ready = self.objects.keys().filter(|it| it.0 == "Deployment").cloned().collect();
    }

    pub(crate) fn get(&self, id: &Id) -> Option<&Arc<Value>> {
        self.objects.get(id)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &Id> {
        self.objects.keys()
    }

    /// Where its ingress gateways lead what asks for a host, by host and port.
    pub(crate) fn leads_in(&self, host: &str) -> Vec<(&str, Option<u64>)> {
        let mut led = Vec::new();
        let first = ("VirtualService".to_owned(), String::new(), String::new());
        let routes = self.objects.range((Bound::Included(first), Bound::Unbounded));
        for (id, route) in routes.take_while(|it| it.0.0 == "VirtualService") {
            let is_open = words(route, &["spec", "gateways"]).any(|it| self.opens(&id.1, it, host));
            if !is_open || !words(route, &["spec", "hosts"]).any(|it| covers(it, host)) {
                continue;
            }
            let ways = ["http", "tcp"].into_iter().flat_map(|kind| list(route, &["spec", kind]));
            let ends = ways.flat_map(|it| list(it, &["route"]));
            led.extend(
                ends.map(|it| (word(it, &["destination", "host"]), it["destination"]["port"]["number"].as_u64())),
            );
        }
        led
    }

    /// Whether a Gateway that a route of a namespace names lets a host in.
    fn opens(&self, namespace: &str, name: &str, host: &str) -> bool {
        let (namespace, name) = name.split_once('/').unwrap_or((namespace, name));
        let gateway = self.objects.get(&("Gateway".to_owned(), namespace.to_owned(), name.to_owned()));
        let servers = gateway.into_iter().flat_map(|it| list(it, &["spec", "servers"]));
        servers.flat_map(|it| words(it, &["hosts"])).any(|it| covers(it, host))
    }

    /// Pods that answer in either of two states.
    pub(super) fn join(&mut self, other: &Self) {
        for it in &other.foreign {
            if !self.foreign.contains(it) {
                self.foreign.push(it.clone());
            }
        }
    }

    /// The Service of this name, of the bundle or of somebody else.
    pub(super) fn service(&self, namespace: &str, name: &str) -> Option<&Value> {
        let own = self.objects.get(&("Service".to_owned(), namespace.to_owned(), name.to_owned()));
        let foreign = || self.foreign.iter().filter(|it| it.namespace == namespace && it.name == name);
        own.map(|it| &**it).or_else(|| foreign().find_map(|it| it.service.as_ref()))
    }

    /// Objects of a kind in a namespace.
    pub(super) fn of_kind<'a>(&'a self, kind: &'a str, namespace: &'a str) -> impl Iterator<Item = &'a Value> {
        let first = (kind.to_owned(), namespace.to_owned(), String::new());
        let all = self.objects.range((Bound::Included(first), Bound::Unbounded));
        all.take_while(move |(id, _)| id.0 == kind && id.1 == namespace).map(|(_, value)| &**value)
    }

    /// Whether a namespace has an entry of a host.
    pub(super) fn has_entry(&self, namespace: &str, host: &str) -> bool {
        let ids = self.hosts.get(&("ServiceEntry".to_owned(), host.to_owned()));
        ids.into_iter().flatten().any(|it| it.1 == namespace)
    }

    /// Objects of a kind that are about a host, and that a namespace sees; and whether there are any that it does not.
    pub(super) fn about(&self, kind: &str, host: &str, namespace: &str) -> (Vec<&Value>, bool) {
        let ids = self.hosts.get(&(kind.to_owned(), host.to_owned()));
        let all: Vec<_> = ids.into_iter().flatten().filter_map(|id| Some((id, &**self.objects.get(id)?))).collect();
        let seen: Vec<_> = all.iter().filter(|(id, it)| sees(it, &id.1, namespace)).map(|it| it.1).collect();
        let hidden = seen.len() < all.len();
        (seen, hidden)
    }

    /// Objects with labels that a selector names: `Deployment` by those of their pods, or `WorkloadEntry`.
    fn selected<'a>(
        &'a self,
        kind: &'a str,
        namespace: &str,
        selector: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = (&'a Id, &'a Value)> {
        let first = selector.iter().next();
        let ids = first.and_then(|(key, text)| self.labelled.get(&(namespace.to_owned(), key.clone(), text.clone())));
        ids.into_iter()
            .flatten()
            .filter(move |it| it.0 == kind)
            .filter_map(|id| Some((id, &**self.objects.get(id)?)))
            .filter(move |(id, value)| fits(&labels(id, value), selector))
    }

    pub(super) fn workload_entries<'a>(
        &'a self,
        namespace: &str,
        selector: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'a Value> {
        self.selected("WorkloadEntry", namespace, selector).map(|it| it.1)
    }

    /// The pods of a selector that are ready, and listen on the port that is asked for.
    pub(super) fn pods(
        &self,
        namespace: &str,
        selector: &BTreeMap<String, String>,
        target: &Value,
    ) -> Result<Vec<Pods>, String> {
        let mut found = Vec::new();
        for (id, deployment) in self.selected("Deployment", namespace, selector).filter(|it| self.ready.contains(it.0))
        {
            let template = &deployment["spec"]["template"];
            let ports = || list(template, &["spec", "containers"]).iter().flat_map(|it| list(it, &["ports"]));
            let listens = |it: &Value| it["containerPort"] == *target || it["name"] == *target;
            if ports().next().is_some() && !ports().any(listens) {
                return Err(format!("the pods of `{}` do not listen on {}", id.2, scalar(target)));
            }
            let account = word(template, &["spec", "serviceAccountName"]);
            found.push(Pods {
                labels: pairs(template, &["metadata", "labels"]),
                account: Some(if account.is_empty() { "default" } else { account }.to_owned()),
            });
        }
        for it in self.foreign.iter().filter(|it| it.namespace == namespace && fits(&it.labels, selector)) {
            found.push(Pods { labels: it.labels.clone(), account: it.account.clone() });
        }
        Ok(found)
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Number(it) => it.to_string(),
        other => format!("`{}`", other.as_str().unwrap_or_default()),
    }
}

/// Whether labels have all that a selector names.
pub(super) fn fits(labels: &BTreeMap<String, String>, selector: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether a host, perhaps with `*` for what comes first, covers another.
pub(super) fn covers(pattern: &str, host: &str) -> bool {
    pattern == host
        || pattern == "*"
        || pattern.strip_prefix('*').is_some_and(|it| it.starts_with('.') && host.ends_with(it))
}

/// The hosts that an object is about.
fn about<'a>(id: &Id, value: &'a Value) -> Vec<&'a str> {
    match id.0.as_str() {
        "ServiceEntry" => words(value, &["spec", "hosts"]).collect(),
        // One for a gateway leads what comes from outside.
        "VirtualService" if list(value, &["spec", "gateways"]).is_empty() => words(value, &["spec", "hosts"]).collect(),
        "DestinationRule" => vec![word(value, &["spec", "host"])],
        _ => Vec::new(),
    }
}

/// The labels by which an object is selected.
fn labels(id: &Id, value: &Value) -> BTreeMap<String, String> {
    match id.0.as_str() {
        "Deployment" => pairs(value, &["spec", "template", "metadata", "labels"]),
        "WorkloadEntry" => pairs(value, &["spec", "labels"]),
        _ => BTreeMap::new(),
    }
}

/// `exportTo`: whether a namespace sees an object of another.
fn sees(object: &Value, own: &str, namespace: &str) -> bool {
    let to = list(object, &["spec", "exportTo"]);
    to.is_empty()
        || to.iter().filter_map(Value::as_str).any(|it| it == "*" || it == namespace || it == "." && own == namespace)
}
