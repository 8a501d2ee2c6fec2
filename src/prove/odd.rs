//! `Odd`: an object or a field that this model does not understand, and on whose calls it may act.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_yaml::Value;

use super::World;
use super::call::Call;
use super::cluster::Cluster;
use super::hop::Passed;
use super::object::{Object, Place};
use super::pod::Pods;
use super::service::{covers, not_exported, turn, whole};
use super::value::{at, fits, keys, list, pairs, word, words};
use crate::topology::ROOT_NAMESPACE;

/// What is not understood.
#[derive(Debug, Clone)]
pub struct Odd {
    /// Its cluster.
    pub cluster: String,
    /// What it is, and what of it.
    pub what: String,
    /// Where it stands.
    pub place: Place,
    /// The namespace on whose pods it may act; `None` if all.
    namespace: Option<String>,
    selector: BTreeMap<String, String>,
    /// The name on whose calls alone it may act, if it is one.
    host: Option<String>,
    /// The namespaces on whose calls alone it may act, if they are some.
    callers: Option<BTreeSet<String>>,
}

impl PartialEq for Odd {
    fn eq(&self, other: &Self) -> bool {
        (&self.cluster, &self.what) == (&other.cluster, &other.what)
    }
}

impl Eq for Odd {}

impl std::hash::Hash for Odd {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.cluster, &self.what).hash(state);
    }
}

/// Groups whose objects act on calls.
const GROUPS: [&str; 5] = [
    "networking.istio.io",
    "security.istio.io",
    "extensions.istio.io",
    "gateway.networking.k8s.io",
    "authentication.istio.io",
];

/// Kinds of these groups that are understood, or act on no call.
const KINDS: [&str; 10] = [
    "ServiceEntry",
    "WorkloadEntry",
    "WorkloadGroup",
    "DestinationRule",
    "VirtualService",
    "Gateway",
    "GatewayClass",
    "Sidecar",
    "PeerAuthentication",
    "AuthorizationPolicy",
];

/// Fields of these kinds that are not understood, where they stand.
const FIELDS: [(&str, &[&str], &[&str]); 7] = [
    ("DestinationRule", &["spec"], &["workloadSelector"]),
    ("DestinationRule", &["spec", "trafficPolicy"], &["tunnel", "proxyProtocol"]),
    ("VirtualService", &["spec", "http"], &["delegate", "fault", "rewrite"]),
    ("Sidecar", &["spec"], &["ingress", "outboundTrafficPolicy"]),
    ("Sidecar", &["spec", "egress"], &["port", "bind", "captureMode"]),
    ("Gateway", &["spec", "servers"], &["bind"]),
    ("AuthorizationPolicy", &["spec"], &["targetRef", "targetRefs"]),
];

impl World {
    /// Everything that is not understood.
    pub(super) fn odd(&self) -> impl Iterator<Item = Odd> {
        self.clusters.values().flat_map(|cluster| {
            let of_mesh = cluster.install.mesh(&["discoverySelectors"]).map(|(_, place)| Odd {
                cluster: cluster.name.clone(),
                what: "`discoverySelectors` of the mesh".to_owned(),
                place,
                namespace: None,
                selector: BTreeMap::new(),
                host: None,
                callers: None,
            });
            of_mesh.into_iter().chain(cluster.objects().flat_map(|it| of(cluster, it)))
        })
    }
}

fn of(cluster: &Cluster, object: &Arc<Object>) -> Vec<Odd> {
    let group = object.id.group.as_str();
    let kind = object.id.kind.as_str();
    let namespace = Some(object.id.namespace.clone()).filter(|it| it != ROOT_NAMESPACE);
    let selectors = [&["spec", "workloadSelector", "labels"][..], &["spec", "selector", "matchLabels"]];
    let selector = selectors.iter().map(|it| pairs(&object.value, it)).find(|it| !it.is_empty()).unwrap_or_default();
    let odd = |what: String, place: Place| Odd {
        cluster: cluster.name.clone(),
        what,
        place,
        namespace: namespace.clone(),
        selector: selector.clone(),
        host: None,
        callers: None,
    };
    if kind == "NetworkPolicy" {
        let selector = pairs(&object.value, &["spec", "podSelector", "matchLabels"]);
        return vec![Odd { selector, ..odd(object.to_string(), Place::new(object, &["kind"])) }];
    }
    if let Some(pods) = Pods::of(object) {
        let fields = pods.oddities().into_iter();
        let selector = &pods.labels;
        let odd = |(field, place)| Odd {
            namespace: Some(object.id.namespace.clone()),
            selector: selector.clone(),
            ..odd(format!("`{field}` of {object}"), place)
        };
        return fields.map(odd).collect();
    }
    if !GROUPS.contains(&group) {
        return Vec::new();
    }
    if !KINDS.contains(&kind) {
        return vec![odd(object.to_string(), Place::new(object, &["kind"]))];
    }
    let mut all = Vec::new();
    if kind == "VirtualService" {
        all.extend(second_routes(cluster, object));
    }
    for (_, path, names) in FIELDS.iter().filter(|it| it.0 == kind) {
        for (path, value) in expanded(&object.value, path) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let found = keys(value, &[]).filter(|it| names.contains(it));
            all.extend(
                found.map(|it| odd(format!("`{it}` of {object}"), Place::new(object, &[&path[..], &[it]].concat()))),
            );
        }
    }
    if kind == "AuthorizationPolicy" && word(&object.value, &["spec", "action"]) == "CUSTOM" {
        all.push(odd(format!("the action of {object}"), Place::new(object, &["spec", "action"])));
    }
    all
}

/// Hosts of a `VirtualService` that another one has, too: the older is taken, and no file says which that is.
fn second_routes(cluster: &Cluster, object: &Arc<Object>) -> Vec<Odd> {
    let whole_of = |it: &Object| -> Vec<String> {
        words(&it.value, &["spec", "hosts"]).map(|host| whole(host, &it.id.namespace)).collect()
    };
    let second = whole_of(object).into_iter().enumerate().filter_map(|(index, host)| {
        let all = cluster.about("VirtualService", &host).into_iter();
        let mut same = all.filter(|it| whole_of(it).contains(&host));
        let first = same.next().filter(|it| it.id < object.id && same.any(|it| it.id == object.id))?;
        let namespaces: BTreeSet<&String> = cluster.objects().map(|it| &it.id.namespace).collect();
        let is_between = |it: &&String| {
            [first, object].iter().all(|routes| not_exported(cluster, routes, it).is_none())
                && turn(cluster, first, it) == turn(cluster, object, it)
        };
        let callers: BTreeSet<String> = namespaces.into_iter().filter(is_between).cloned().collect();
        (!callers.is_empty()).then(|| Odd {
            cluster: cluster.name.clone(),
            what: format!("{object} beside {first}, which has the host `{host}`, too,"),
            place: Place::new(object, &["spec", "hosts", &index.to_string()]),
            namespace: None,
            selector: BTreeMap::new(),
            host: Some(host),
            callers: Some(callers),
        })
    });
    second.collect()
}

/// The value at a way, or each element of the list there, with its way.
fn expanded<'a>(value: &'a Value, path: &[&str]) -> Vec<(Vec<String>, &'a Value)> {
    let way: Vec<String> = path.iter().map(|it| (*it).to_owned()).collect();
    let elements = list(value, path);
    if elements.is_empty() {
        return at(value, path).map(|it| (way, it)).into_iter().collect();
    }
    let element = |(index, it): (usize, &'a Value)| {
        let mut way = way.clone();
        way.push(index.to_string());
        (way, it)
    };
    elements.iter().enumerate().map(element).collect()
}

impl Odd {
    /// Whether it may act on a call that passes these pods.
    pub(super) fn may_act_on(&self, call: &Call, passed: &Passed) -> bool {
        let is_called = |host: &String| covers(host, &call.host) && self.cluster == call.cluster;
        self.host.as_ref().is_none_or(is_called)
            && self.callers.as_ref().is_none_or(|it| it.contains(&call.namespace))
            && self.cluster == passed.cluster
            && self.namespace.as_ref().is_none_or(|it| *it == passed.namespace)
            && fits(&passed.labels, &self.selector)
    }
}
