//! `Odd`: an object or a field that this model does not understand, and on whose calls it may act.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_yaml::Value;

use super::World;
use super::call::Call;
use super::cluster::Cluster;
use super::delegate;
use super::hop::Passed;
use super::matches::MESH;
use super::object::{Object, Place};
use super::pod::Pods;
use super::service::{CLUSTER_DOMAIN, covers, not_exported, turn, whole};
use super::unasked::hosts_led_to;
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
    hosts: Hosts,
    /// The namespaces on whose calls alone it may act, if they are some.
    callers: Option<BTreeSet<String>>,
}

/// On the calls of which hosts it may act.
#[derive(Debug, Clone)]
enum Hosts {
    All,
    /// Of routes, of sidecars or gateways.
    Routed {
        hosts: Vec<String>,
        by_sidecars: bool,
        by_gateways: bool,
    },
    /// Of a rule.
    Ruled(Vec<String>),
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
const FIELDS: [(&str, &[&str], &[&str]); 8] = [
    ("DestinationRule", &["spec"], &["workloadSelector"]),
    ("DestinationRule", &["spec", "trafficPolicy"], &["tunnel", "proxyProtocol"]),
    ("VirtualService", &["spec", "http"], &["fault"]),
    ("VirtualService", &["spec", "http", "rewrite"], &["authority"]),
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
                hosts: Hosts::All,
                callers: None,
            });
            of_mesh.into_iter().chain(cluster.objects().flat_map(|it| of(cluster, it)))
        })
    }
}

fn of(cluster: &Cluster, object: &Arc<Object>) -> Vec<Odd> {
    let group = object.id.group.as_str();
    let kind = object.id.kind.as_str();
    // What is for some pods is for those of its own namespace.
    let is_for_some = at(&object.value, &["spec", "workloadSelector"]).is_some();
    let is_anywhere = ["VirtualService", "DestinationRule", "Gateway"].contains(&kind) && !is_for_some;
    let namespace = Some(object.id.namespace.clone()).filter(|it| it != ROOT_NAMESPACE && !is_anywhere);
    let of_others: &[&str] = &["spec", "selector", "matchLabels"];
    let selectors: [&[&str]; 2] =
        [&["spec", "workloadSelector", "labels"], if kind == "Gateway" { &["spec", "selector"] } else { of_others }];
    let selector = selectors.iter().map(|it| pairs(&object.value, it)).find(|it| !it.is_empty()).unwrap_or_default();
    let odd = |what: String, place: Place| Odd {
        cluster: cluster.name.clone(),
        what,
        place,
        namespace: namespace.clone(),
        selector: selector.clone(),
        hosts: Hosts::of(cluster, object),
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
            hosts: Hosts::Routed { hosts: vec![host], by_sidecars: true, by_gateways: false },
            callers: Some(callers),
        })
    });
    second.collect()
}

/// The value at a way, with its way; each element where there are lists.
fn expanded<'a>(value: &'a Value, path: &[&str]) -> Vec<(Vec<String>, &'a Value)> {
    let mut all = vec![(Vec::new(), value)];
    for key in path {
        all = all
            .into_iter()
            .filter_map(|(way, it)| Some(([way, vec![(*key).to_owned()]].concat(), it.get(*key)?)))
            .flat_map(|(way, it)| match it.as_sequence() {
                Some(list) => {
                    let way = |index: usize| [way.clone(), vec![index.to_string()]].concat();
                    list.iter().enumerate().map(|(index, it)| (way(index), it)).collect()
                }
                None => vec![(way, it)],
            })
            .collect();
    }
    all
}

impl Hosts {
    fn of(cluster: &Cluster, object: &Arc<Object>) -> Self {
        match object.id.kind.as_str() {
            "VirtualService" => {
                let gateways: Vec<&str> =
                    roots(cluster, object).iter().flat_map(|it| words(&it.value, &["spec", "gateways"])).collect();
                Self::Routed {
                    hosts: own_hosts(cluster, object),
                    by_sidecars: gateways.is_empty() || gateways.contains(&MESH),
                    by_gateways: gateways.iter().any(|it| *it != MESH),
                }
            }
            "DestinationRule" => {
                let host = whole(word(&object.value, &["spec", "host"]), &object.id.namespace);
                let leads = |it: &&Arc<Object>| hosts_led_to(it).any(|it| covers(&host, &it));
                let led = cluster.of_kind_anywhere("VirtualService").filter(leads);
                let led: Vec<String> = led.flat_map(|it| own_hosts(cluster, it)).collect();
                Self::Ruled([led, vec![host]].concat())
            }
            _ => Self::All,
        }
    }

    fn have(&self, call: &Call, cluster: &str) -> bool {
        let from_outside = call.door.iter().flat_map(|it| &it.hosts);
        match self {
            Self::All => true,
            Self::Routed { hosts, by_sidecars, by_gateways } => {
                let is_from_outside = |it: &String| from_outside.clone().any(|to| covers(it, to) || covers(to, it));
                cluster == call.cluster
                    && match call.door {
                        Some(_) => *by_gateways && hosts.iter().any(is_from_outside),
                        None => *by_sidecars && hosts.iter().any(|it| covers(it, &call.host)),
                    }
            }
            Self::Ruled(hosts) => {
                // A gateway may know it by the name of its Service.
                let mut parts = call.host.splitn(3, '.');
                let (name, namespace) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                let service = (cluster != call.cluster).then(|| format!("{name}.{namespace}.{CLUSTER_DOMAIN}"));
                let names: Vec<&String> = from_outside.chain([&call.host]).chain(&service).collect();
                hosts.iter().any(|host| names.iter().any(|it| covers(host, it)))
            }
        }
    }
}

/// The hosts whose routes a `VirtualService` has; those of others if it is their delegate.
fn own_hosts(cluster: &Cluster, object: &Arc<Object>) -> Vec<String> {
    let hosts = |it: &&Arc<Object>| -> Vec<String> {
        words(&it.value, &["spec", "hosts"]).map(|host| whole(host, &it.id.namespace)).collect()
    };
    roots(cluster, object).iter().flat_map(hosts).collect()
}

/// A `VirtualService`, or those that name it as their delegate.
fn roots<'a>(cluster: &'a Cluster, object: &'a Arc<Object>) -> Vec<&'a Arc<Object>> {
    if !list(&object.value, &["spec", "hosts"]).is_empty() {
        return vec![object];
    }
    let own = (object.id.namespace.as_str(), object.id.name.as_str());
    let names = |it: &&Arc<Object>| {
        list(&it.value, &["spec", "http"]).iter().any(|route| delegate::named(route, &it.id.namespace) == Some(own))
    };
    cluster.of_kind_anywhere("VirtualService").filter(names).collect()
}

impl Odd {
    /// Whether it may act on a call that passes these pods.
    pub(super) fn may_act_on(&self, call: &Call, passed: &Passed) -> bool {
        self.hosts.have(call, &self.cluster)
            && self.callers.as_ref().is_none_or(|it| it.contains(&call.namespace))
            && self.cluster == passed.cluster
            && self.namespace.as_ref().is_none_or(|it| *it == passed.namespace)
            && fits(&passed.labels, &self.selector)
    }
}
