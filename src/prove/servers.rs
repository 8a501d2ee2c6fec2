//! `Server`: what a Gateway opens at the pods that it selects, and whom of two that collide istiod leaves out.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_yaml::Value;

use super::cluster::Cluster;
use super::gateways::{GatewayPods, NAME, is_of_kubernetes};
use super::object::{Object, Place};
use super::service::covers;
use super::value::{at, fits, list, number, pairs, word, words};
use crate::topology::{Family, NETWORK_LABEL, Protocol};

/// A server of a Gateway of Istio, or a listener of one of Kubernetes.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// The labels of the pods that open it.
    selector: BTreeMap<String, String>,
    pub(super) port: Option<u16>,
    /// Whether it passes connections on by their server name.
    pub(super) passes: bool,
    /// As they are written.
    hosts: Vec<String>,
    bind: String,
    has_tls: bool,
    family: Option<Family>,
    /// Its number in the object, if others of the same pods may collide with it.
    index: Option<usize>,
    pub(super) place: Place,
}

/// Reads what Gateways open in a cluster; those that say where another cluster is open nothing.
pub(super) fn read(cluster: &Cluster) -> Vec<Server> {
    let own = |it: &&Arc<Object>| word(&it.value, &["spec", "gatewayClassName"]) != "istio-remote";
    let objects = cluster.of_kind_anywhere("Gateway").filter(own);
    objects.flat_map(|it| if is_of_kubernetes(it) { listeners(it) } else { servers(it) }).collect()
}

fn servers(object: &Arc<Object>) -> Vec<Server> {
    let selector = pairs(&object.value, &["spec", "selector"]);
    let all = list(&object.value, &["spec", "servers"]).iter().enumerate();
    all.map(|(index, it)| Server {
        selector: selector.clone(),
        port: number(it, &["port", "number"]),
        passes: word(it, &["tls", "mode"]) == "AUTO_PASSTHROUGH",
        hosts: words(it, &["hosts"]).map(str::to_owned).collect(),
        bind: word(it, &["bind"]).to_owned(),
        has_tls: at(it, &["tls"]).is_some_and(|it| !it.is_null()),
        family: family(word(it, &["port", "protocol"])),
        index: Some(index),
        place: Place::new(object, &["spec", "servers", &index.to_string()]),
    })
    .collect()
}

/// The listeners of a Gateway of Kubernetes, which pass connections on where its network is known.
fn listeners(object: &Arc<Object>) -> Vec<Server> {
    let labels = pairs(&object.value, &["metadata", "labels"]);
    let port = labels.get("networking.istio.io/gatewayPort").map_or("15443", String::as_str);
    let all = list(&object.value, &["spec", "listeners"]).iter().enumerate();
    all.map(|(index, it)| {
        let is_meant = number(it, &["port"]).is_some_and(|it| it.to_string() == port);
        let host = word(it, &["hostname"]);
        Server {
            selector: BTreeMap::from([(NAME.to_owned(), object.id.name.clone())]),
            port: number(it, &["port"]),
            passes: word(it, &["protocol"]) == "TLS"
                && word(it, &["tls", "mode"]) == "Passthrough"
                && labels.contains_key(NETWORK_LABEL)
                && is_meant,
            hosts: vec![if host.is_empty() { "*" } else { host }.to_owned()],
            bind: String::new(),
            has_tls: at(it, &["tls"]).is_some_and(|it| !it.is_null()),
            family: family(word(it, &["protocol"])),
            index: None,
            place: Place::new(object, &["spec", "listeners", &index.to_string()]),
        }
    })
    .collect()
}

impl Server {
    /// Whether pods are those that open it.
    pub(super) fn is_of(&self, pods: &GatewayPods) -> bool {
        fits(&pods.labels, &self.selector)
    }

    /// Whether it is at one of these ports.
    pub(super) fn is_at(&self, ports: [Option<u16>; 2]) -> bool {
        self.port.is_some() && ports.contains(&self.port)
    }

    pub(super) fn takes(&self, host: &str) -> bool {
        self.hosts.iter().any(|it| covers(name(it), host))
    }

    /// How precisely its hosts name one, for routes of a namespace: some are bound to one namespace.
    pub(super) fn precision(&self, host: &str, namespace: &str) -> Option<usize> {
        let own = &self.place.object().id.namespace;
        let is_open = |it: &&String| match it.split_once('/') {
            None | Some(("*", _)) => true,
            Some((".", _)) => own == namespace,
            Some((bound, _)) => bound == namespace,
        };
        self.hosts.iter().filter(is_open).map(|it| name(it)).filter(|it| covers(it, host)).map(str::len).max()
    }

    /// Whether it answers every request with a redirect to HTTPS.
    pub(super) fn redirects(&self) -> bool {
        self.place.value().and_then(|it| at(it, &["tls", "httpsRedirect"])) == Some(&Value::Bool(true))
    }

    /// Whether it takes TLS and does not say how, which the API server refuses.
    pub(super) fn lacks_tls(&self) -> bool {
        self.family == Some(Family::Tls) && !self.has_tls
    }

    /// The name of the Secret with its certificate, if it names one.
    pub(super) fn secret(&self) -> Option<&str> {
        Some(self.said(&["tls", "credentialName"])).filter(|it| !it.is_empty())
    }

    /// Whether its mode is one in which it reads nothing but the server name.
    pub(super) fn reads_names(&self) -> bool {
        self.said(&["tls", "mode"]).ends_with("PASSTHROUGH")
    }

    /// Each of its hosts, with its place.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (&str, Place)> {
        self.hosts.iter().enumerate().map(|(index, host)| match self.index {
            Some(_) => (name(host), self.place.below(&["hosts", &index.to_string()])),
            None => (name(host), self.at_hosts()),
        })
    }

    pub(super) fn at_hosts(&self) -> Place {
        self.place.below(&[if self.index.is_some() { "hosts" } else { "hostname" }])
    }

    /// Whether istiod may leave this one out for the sake of another: the older Gateway is taken, and no file says
    /// which that is; of one Gateway the first.
    pub(super) fn is_lost_to(&self, other: &Self) -> bool {
        let (Some(own), Some(others)) = (self.index, other.index) else { return false };
        let is_same = self.place.object().id == other.place.object().id;
        if is_same && own <= others || self.bind != other.bind {
            return false;
        }
        if self.has_tls && other.has_tls {
            let all = other.whole();
            if self.whole().iter().any(|it| all.contains(it)) {
                return true;
            }
        }
        match (self.is_plain(), other.is_plain()) {
            (false, false) => false,
            (true, true) => !(self.is_http() && other.is_http()),
            _ => true,
        }
    }

    /// Whether istiod makes one server of both, in which the routes of both are.
    pub(super) fn is_merged_with(&self, other: &Self) -> bool {
        let is_http = |it: &Self| it.is_http();
        self.port == other.port && is_http(self) && is_http(other)
    }

    fn said(&self, path: &[&str]) -> &str {
        self.place.value().map_or("", |it| word(it, path))
    }

    fn is_http(&self) -> bool {
        self.family == Some(Family::Http)
    }

    fn is_plain(&self) -> bool {
        !self.has_tls || self.is_http()
    }

    /// Its hosts as istiod compares them: with their namespace, if it is one.
    fn whole(&self) -> Vec<String> {
        let whole = |it: &String| match it.split_once('/') {
            Some((".", name)) => format!("{}/{name}", self.place.object().id.namespace),
            Some(("*", name)) => name.to_owned(),
            _ => it.clone(),
        };
        self.hosts.iter().map(whole).collect()
    }
}

fn family(protocol: &str) -> Option<Family> {
    Protocol::parse(protocol).map(Protocol::family)
}

/// A host without its namespace.
fn name(host: &str) -> &str {
    host.rsplit('/').next().unwrap_or(host)
}

/// The first of some that nobody may take the place of; else the first, and who may.
pub(super) fn kept<'a>(
    wanted: &[&'a Server],
    rivals: &[&'a Server],
) -> Option<Result<&'a Server, (&'a Server, &'a Server)>> {
    let rival = |it: &Server| rivals.iter().find(|other| it.is_lost_to(other)).copied();
    match wanted.iter().find(|it| rival(it).is_none()) {
        Some(server) => Some(Ok(server)),
        None => wanted.first().and_then(|it| Some(Err((*it, rival(it)?)))),
    }
}
