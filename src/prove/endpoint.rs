//! The hop `endpoint`: who stands behind a host, and whether a subset leaves anybody.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde_yaml::Value;

use super::cluster::Cluster;
use super::hop::{Break, HopKind, Trail};
use super::object::{Object, Place};
use super::pod::{Pods, Target};
use super::rules::{rules, subset};
use super::service::{Known, KnownPort, Lookup, Viewer};
use super::value::{at, fits, keys, list, number, pairs, shown, word, words};
use crate::topology::NETWORK_LABEL;

/// Whom a sidecar connects to.
#[derive(Debug, Clone)]
pub(super) enum Endpoint<'a> {
    /// Pods of its own cluster, and the port on which they listen.
    Pods(Pods<'a>, Option<u16>),
    /// An address that somebody wrote down.
    Address(Remote),
}

/// An endpoint that is written down.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) network: String,
    /// `region/zone/subzone`; empty if nobody says it.
    pub(super) locality: String,
    pub(super) labels: BTreeMap<String, String>,
    /// Whether it takes mTLS.
    pub(super) takes_mtls: bool,
    /// Its identity, if it says its account.
    pub(super) account: Option<(String, Place)>,
    /// Whether it is one of a Service without a selector, at which anybody may be.
    pub(super) is_listed: bool,
    pub(super) place: Place,
}

/// The label by which an `EndpointSlice` says its Service.
const SLICE_OF: &str = "kubernetes.io/service-name";

/// Whether a label or an account says that an endpoint takes mTLS.
const TLS_MODE: &str = "security.istio.io/tlsMode";

impl<'a> Known<'a> {
    /// Every endpoint of a port, of all networks.
    pub(super) fn endpoints(&self, viewer: &Viewer<'a>, port: &KnownPort) -> Result<Vec<Endpoint<'a>>, Box<Break>> {
        let value = &self.object.value;
        let path: &[&str] =
            if self.is_service() { &["spec", "selector"] } else { &["spec", "workloadSelector", "labels"] };
        let selector = pairs(value, path);
        let mut endpoints = Vec::new();
        if !selector.is_empty() {
            for object in viewer.cluster.selected(self.namespace(), &selector) {
                if object.id.kind == "WorkloadEntry" {
                    let place = Place::new(object, &["spec"]);
                    endpoints.extend(self.written(viewer, &object.value["spec"], place, port));
                } else if viewer.cluster.is_ready(&object.id)
                    && let Some(pods) = Pods::of(object)
                {
                    let listens = self.listens(viewer, &pods, port)?;
                    endpoints.push(Endpoint::Pods(pods, listens));
                }
            }
        }
        if self.is_listed() {
            endpoints.extend(self.listed(viewer.cluster, port));
        }
        // Endpoints of an entry of the same host and namespace are added to those of a Service.
        let beside = viewer.cluster.about("ServiceEntry", &self.host).into_iter();
        let beside = beside.filter(|it| it.id.namespace == self.object.id.namespace);
        let entries: Vec<_> = if self.is_service() { beside.collect() } else { vec![self.object] };
        for entry in entries {
            endpoints.extend(self.of_entry(viewer, entry, port)?);
        }
        Ok(endpoints)
    }

    fn of_entry(
        &self,
        viewer: &Viewer<'a>,
        entry: &'a Arc<Object>,
        port: &KnownPort,
    ) -> Result<Vec<Endpoint<'a>>, Box<Break>> {
        let mut endpoints = Vec::new();
        let names: Vec<_> = list(&entry.value, &["spec", "ports"]).iter().map(|it| word(it, &["name"])).collect();
        for (index, it) in list(&entry.value, &["spec", "endpoints"]).iter().enumerate() {
            let place = Place::new(entry, &["spec", "endpoints", &index.to_string()]);
            if let Some(other) = keys(it, &["ports"]).find(|it| !names.contains(it)) {
                let why = format!("the endpoint has a port `{other}`, and {entry} has none of this name");
                return Err(Break::new(HopKind::Endpoint, &viewer.cluster.name, why)
                    .at(place.below(&["ports", other]))
                    .effect("the API server refuses the object")
                    .mend(format!("its ports are called {}", names.join(", "))));
            }
            let beside = word(it, &["address"]);
            if beside.ends_with(super::service::CLUSTER_DOMAIN)
                && let Lookup::Seen(service) = (Viewer { is_gateway: true, ..viewer.clone() }).look(beside)
                && service.is_service()
            {
                let number = number(it, &["ports", &port.name]).unwrap_or(match port.target {
                    Target::Number(number) => number,
                    Target::Name(_) => port.number,
                });
                if let Some(port) = service.ports().into_iter().find(|it| it.number == number) {
                    endpoints.extend(service.endpoints(viewer, &port)?);
                }
                continue;
            }
            endpoints.extend(self.written(viewer, it, place, port));
        }
        Ok(endpoints)
    }

    /// The endpoints that are written beside a Service without a selector.
    fn listed(&self, cluster: &'a Cluster, port: &KnownPort) -> Vec<Endpoint<'a>> {
        let mut endpoints = Vec::new();
        let mut add = |it: &Value, ports: &Value, ips: &[&str], place: &Place| {
            let is_off = at(it, &["conditions", "ready"]) == Some(&Value::Bool(false));
            let named = list(ports, &["ports"]).iter().filter(|it| word(it, &["name"]) == port.name);
            for number in named.filter_map(|it| number(it, &["port"])).filter(|_| !is_off) {
                let remote = |ip: &&str| Remote {
                    address: (*ip).to_owned(),
                    port: number,
                    network: String::new(),
                    locality: String::new(),
                    labels: BTreeMap::new(),
                    takes_mtls: false,
                    account: None,
                    is_listed: true,
                    place: place.clone(),
                };
                endpoints.extend(ips.iter().map(remote).map(Endpoint::Address));
            }
        };
        let (namespace, name) = (self.namespace(), &self.object.id.name);
        if let Some(object) = cluster.get("Endpoints", namespace, name) {
            for (index, subset) in list(&object.value, &["subsets"]).iter().enumerate() {
                for (at, it) in list(subset, &["addresses"]).iter().enumerate() {
                    let place = Place::new(object, &["subsets", &index.to_string(), "addresses", &at.to_string()]);
                    add(it, subset, &[word(it, &["ip"])], &place);
                }
            }
        }
        // Before 1.9 istiod reads no slices.
        let slices = cluster.of_kind("EndpointSlice", namespace).filter(|_| cluster.istio.minor >= 9);
        let is_of_it = |it: &&Arc<Object>| word(&it.value, &["metadata", "labels", SLICE_OF]) == name;
        for object in slices.filter(is_of_it).filter(|it| word(&it.value, &["addressType"]) != "FQDN") {
            for (index, it) in list(&object.value, &["endpoints"]).iter().enumerate() {
                let ips: Vec<&str> = words(it, &["addresses"]).collect();
                add(it, &object.value, &ips, &Place::new(object, &["endpoints", &index.to_string()]));
            }
        }
        endpoints
    }

    /// An endpoint that is written down; none if it does not have the port.
    fn written(&self, viewer: &Viewer<'a>, value: &Value, place: Place, port: &KnownPort) -> Option<Endpoint<'a>> {
        let number = match &port.target {
            // Of a Service, the name of the target is the key, and who lacks it is no endpoint.
            Target::Name(name) if self.is_service() => number(value, &["ports", name])?,
            Target::Name(_) => number(value, &["ports", &port.name]).unwrap_or(port.number),
            Target::Number(target) => number(value, &["ports", &port.name]).unwrap_or(*target),
        };
        let address = word(value, &["address"]);
        // Nobody looks up a name for a Service, nor for an entry that asks for none.
        let is_looked_up = word(&self.object.value, &["spec", "resolution"]).starts_with("DNS");
        // Before 1.8 a sidecar sees no endpoint of a network.
        let is_visible = viewer.cluster.istio.minor >= 8 || word(value, &["network"]).is_empty();
        if is_name(address) && !is_looked_up || !is_visible {
            return None;
        }
        let mut labels = pairs(value, &["labels"]);
        let network = word(value, &["network"]).to_owned();
        if !network.is_empty() {
            labels.insert(NETWORK_LABEL.to_owned(), network.clone());
        }
        let account = word(value, &["serviceAccount"]);
        let (domain, _) = viewer.cluster.install.trust_domain();
        let identity = format!("spiffe://{domain}/ns/{}/sa/{account}", self.namespace());
        let said = labels.get(TLS_MODE).map(String::as_str);
        Some(Endpoint::Address(Remote {
            address: address.to_owned(),
            port: number,
            takes_mtls: said.map_or(!account.is_empty(), |it| it == "istio"),
            is_listed: false,
            account: (!account.is_empty()).then(|| (identity, place.below(&["serviceAccount"]))),
            network,
            locality: word(value, &["locality"]).to_owned(),
            labels,
            place,
        }))
    }

    /// The number of the port on which pods listen.
    fn listens(&self, viewer: &Viewer<'_>, pods: &Pods<'_>, port: &KnownPort) -> Result<Option<u16>, Box<Break>> {
        // What `targetPort` of an entry names is the port of its own.
        pods.listen(&port.target).map_err(|()| {
            let target = match &port.target {
                Target::Number(number) => number.to_string(),
                Target::Name(name) => format!("`{name}`"),
            };
            let place = port.place.as_ref().map(|it| {
                let target = it.below(&["targetPort"]);
                if target.value().is_some() { target } else { it.clone() }
            });
            let why = format!("{} leads to port {target}, on which {} does not listen", self.object, pods.object);
            Break::new(HopKind::Owner, &viewer.cluster.name, why)
                .at(place)
                .effect("connection refused by the pod: 503 UF, or the connection is reset")
                .mend("set `targetPort` to a port of the container")
        })
    }

    /// The endpoints that a subset leaves.
    pub(super) fn chosen(
        &self,
        viewer: &Viewer<'a>,
        port: &KnownPort,
        name: Option<&str>,
        trail: &mut Trail,
    ) -> Result<Vec<Endpoint<'a>>, Box<Break>> {
        let cluster = viewer.cluster;
        self.has_resolution(&cluster.name)?;
        let all = self.endpoints(viewer, port)?;
        if all.is_empty() && self.is_listed() {
            trail.trusts(format!("whoever stands behind {} in `{}`, which no file says", self.object, cluster.name));
            return Ok(all);
        }
        if all.is_empty() {
            return Err(self.nobody(none(cluster, format!("nobody stands behind `{}`", self.host))));
        }
        let Some(name) = name else {
            trail.holds(HopKind::Endpoint, &cluster.name, "", counted(&all), self.place(&["spec"]));
            return Ok(all);
        };
        let (left, place) = self.left(viewer, all, name)?;
        trail.holds(
            HopKind::Endpoint,
            &cluster.name,
            name,
            format!("the subset `{name}`: {}", counted(&left)),
            Some(place),
        );
        Ok(left)
    }

    /// Of some endpoints those that a subset leaves, and what says so.
    fn left(
        &self,
        viewer: &Viewer<'a>,
        all: Vec<Endpoint<'a>>,
        name: &str,
    ) -> Result<(Vec<Endpoint<'a>>, Place), Box<Break>> {
        let cluster = viewer.cluster;
        let rules = rules(viewer, self);
        let Some((value, place)) = subset(&rules, name) else {
            return Err(none(cluster, format!("no DestinationRule of `{}` has the subset `{name}`", self.host))
                .at(rules.first().map(|it| Place::new(it, &["spec"])))
                .mend("add the subset"));
        };
        let labels = pairs(value, &["labels"]);
        let own = cluster.install.network();
        let left: Vec<_> = all.into_iter().filter(|it| fits(&it.labels(&own), &labels)).collect();
        // What the DNS outside says has no labels, and where nothing is looked up nobody asks for them.
        let is_asked = !self.is_looked_up() || word(&self.object.value, &["spec", "resolution"]).starts_with("DNS");
        if left.is_empty() && is_asked && (!labels.is_empty() || !self.is_looked_up()) {
            let why =
                format!("no endpoint of `{}` has the labels {} of its subset `{name}`", self.host, shown(&labels));
            return Err(none(cluster, why).at(place).mend("give the endpoints these labels"));
        }
        Ok((left, place))
    }

    /// Breaks if nothing is left to be looked up in the DNS outside.
    pub(super) fn can_be_looked_up(
        &self,
        viewer: &Viewer<'a>,
        port: &KnownPort,
        name: Option<&str>,
    ) -> Result<(), Box<Break>> {
        self.has_resolution(&viewer.cluster.name)?;
        let Some(name) = name else { return Ok(()) };
        self.left(viewer, self.endpoints(viewer, port)?, name).map(|_| ())
    }

    /// Breaks if calls of a host of the mesh go to its own address, or its endpoints are none that it can have.
    fn has_resolution(&self, cluster: &str) -> Result<(), Box<Break>> {
        let broken = |why: String| Break::new(HopKind::Endpoint, cluster, why);
        let field = ["spec", "resolution"];
        if let Some(index) = self.looks_up_a_wildcard() {
            let field = ["spec", "hosts", &index.to_string()];
            let why = format!("the resolution is DNS, and nobody looks up `{}`", self.host);
            return Err(broken(why)
                .at(self.place(&field))
                .effect("the API server refuses the object")
                .mend("set `resolution` to NONE, or write `endpoints`"));
        }
        if self.is_service() || self.is_external() {
            return Ok(());
        }
        let place = if at(&self.object.value, &field).is_some() { self.place(&field) } else { self.place(&["spec"]) };
        if ["", "NONE"].contains(&word(&self.object.value, &field)) {
            return Err(broken(format!("calls of `{}` go to its own address, for its resolution is NONE", self.host))
                .at(place)
                .effect("nobody is at a virtual address: timeout, or connection refused")
                .mend("say STATIC, or DNS if an endpoint is a name"));
        }
        let named =
            list(&self.object.value, &["spec", "endpoints"]).iter().position(|it| is_name(word(it, &["address"])));
        match named {
            Some(index) if word(&self.object.value, &field) == "STATIC" => {
                Err(broken("the address of an endpoint is a name, and the resolution STATIC".to_owned())
                    .at(self.place(&["spec", "endpoints", &index.to_string(), "address"]))
                    .effect("the API server refuses the object")
                    .mend("set `resolution` to DNS"))
            }
            _ => Ok(()),
        }
    }

    /// Says what selects nobody.
    pub(super) fn nobody(&self, broken: Box<Break>) -> Box<Break> {
        let path: &[&str] =
            if self.is_service() { &["spec", "selector"] } else { &["spec", "workloadSelector", "labels"] };
        match at(&self.object.value, path) {
            Some(_) => broken
                .at(self.place(path))
                .mend("no pods and no WorkloadEntry of the namespace have these labels; compare them"),
            None => broken.at(self.place(&["spec"])).mend("add `endpoints`, or a selector"),
        }
    }

    /// Whether its endpoints are looked up in the DNS outside.
    pub(super) fn is_looked_up(&self) -> bool {
        let resolution = word(&self.object.value, &["spec", "resolution"]);
        self.other_name().is_some()
            || !self.is_service()
                && (resolution.is_empty() || ["DNS", "NONE", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"].contains(&resolution))
    }

    /// Whether the host is its own and only endpoint, which the DNS outside knows.
    pub(super) fn is_own_endpoint(&self) -> bool {
        let spec = &self.object.value["spec"];
        !self.is_service()
            && word(spec, &["resolution"]).starts_with("DNS")
            && list(spec, &["endpoints"]).is_empty()
            && at(spec, &["workloadSelector"]).is_none()
    }

    /// The host of an entry that is to be looked up and is no name, if one is.
    fn looks_up_a_wildcard(&self) -> Option<usize> {
        let spec = &self.object.value["spec"];
        let is_looked_up = !self.is_service() && word(spec, &["resolution"]).starts_with("DNS");
        let is_written = !list(spec, &["endpoints"]).is_empty();
        let mut hosts = words(spec, &["hosts"]);
        hosts.position(|it| it.starts_with('*')).filter(|_| is_looked_up && !is_written)
    }

    /// Identities that are expected of whoever answers.
    pub(super) fn alternatives(&self) -> Vec<(String, Option<Place>)> {
        if self.is_service() {
            return Vec::new();
        }
        let names = words(&self.object.value, &["spec", "subjectAltNames"]).enumerate();
        names.map(|(index, it)| (it.to_owned(), self.place(&["spec", "subjectAltNames", &index.to_string()]))).collect()
    }
}

/// Whether an address is a name that somebody must look up.
fn is_name(address: &str) -> bool {
    !address.is_empty() && address.parse::<IpAddr>().is_err()
}

fn none(cluster: &Cluster, why: String) -> Box<Break> {
    Break::new(HopKind::Endpoint, &cluster.name, why).effect("503 UH: no healthy upstream, or the connection is reset")
}

fn counted(endpoints: &[Endpoint<'_>]) -> String {
    match endpoints {
        [one] => format!("the endpoint is {one}"),
        all => format!("the endpoints are {}", all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

impl std::fmt::Display for Endpoint<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pods(pods, _) if pods.object.is_told() => write!(f, "pods with {}", shown(&pods.labels)),
            Self::Pods(pods, _) => write!(f, "the pods of {}", pods.object),
            Self::Address(it) if it.address.is_empty() => write!(f, "network {}", it.network),
            Self::Address(it) => f.write_str(&it.shown()),
        }
    }
}

impl Endpoint<'_> {
    /// The labels by which a subset chooses it.
    pub(super) fn labels(&self, own_network: &str) -> BTreeMap<String, String> {
        match self {
            Self::Pods(pods, _) => {
                let mut labels = pods.labels.clone();
                if !own_network.is_empty() {
                    labels.entry(NETWORK_LABEL.to_owned()).or_insert_with(|| own_network.to_owned());
                }
                labels
            }
            Self::Address(it) => it.labels.clone(),
        }
    }
}

impl Remote {
    /// `[2001:db8::1]:15443`.
    pub(super) fn shown(&self) -> String {
        match self.address.parse::<IpAddr>() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]:{}", self.port),
            _ => format!("{}:{}", self.address, self.port),
        }
    }
}
