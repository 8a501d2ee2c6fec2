//! `Known`: a host as istiod knows it, whether a Service or a ServiceEntry says so, and who is told of it.

use std::sync::Arc;

use serde_yaml::Value;

use super::cluster::Cluster;
use super::hop::{Break, HopKind};
use super::object::{Object, Place};
use super::pod::Target;
use super::value::{at, fits, list, number, pairs, text, word, words};
use crate::topology::{Protocol, ROOT_NAMESPACE};

/// The last part of the names of a cluster's Services.
pub(super) const CLUSTER_DOMAIN: &str = "svc.cluster.local";

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Viewer<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) namespace: String,
    /// Of its pods, if they are known.
    pub(super) labels: Option<std::collections::BTreeMap<String, String>>,
    /// Whether it is a gateway, which no Sidecar restricts.
    pub(super) is_gateway: bool,
}

/// A host that is known.
#[derive(Debug, Clone)]
pub(super) struct Known<'a> {
    pub(super) host: String,
    pub(super) object: &'a Arc<Object>,
}

/// A port of a host.
#[derive(Debug, Clone)]
pub(super) struct KnownPort {
    pub(super) number: u16,
    pub(super) name: String,
    /// `None` if the sidecar finds out.
    pub(super) protocol: Option<Protocol>,
    pub(super) target: Target,
    pub(super) place: Option<Place>,
}

/// What becomes of a look for a host.
pub(super) enum Lookup<'a> {
    Seen(Known<'a>),
    /// Somebody else is told of it.
    Hidden(Box<Break>),
    Missing,
}

impl<'a> Known<'a> {
    pub(super) fn is_service(&self) -> bool {
        self.object.id.kind == "Service"
    }

    pub(super) fn namespace(&self) -> &'a str {
        &self.object.id.namespace
    }

    /// A field of the object; `None` if the topology tells of it.
    pub(super) fn place(&self, field: &[&str]) -> Option<Place> {
        (!self.object.is_told()).then(|| Place::new(self.object, field))
    }

    pub(super) fn is_external(&self) -> bool {
        let is_internal = word(&self.object.value, &["spec", "location"]) == "MESH_INTERNAL";
        if self.is_service() { self.other_name().is_some() } else { !is_internal }
    }

    /// The name for which a Service stands, if it is but another one.
    pub(super) fn other_name(&self) -> Option<&'a str> {
        let spec = &self.object.value["spec"];
        let name = word(spec, &["externalName"]);
        (self.is_service() && word(spec, &["type"]) == "ExternalName" && !name.is_empty()).then_some(name)
    }

    /// Whether somebody else than its selector says who stands behind it.
    pub(super) fn is_listed(&self) -> bool {
        self.is_service() && pairs(&self.object.value, &["spec", "selector"]).is_empty() && self.other_name().is_none()
    }

    pub(super) fn ports(&self) -> Vec<KnownPort> {
        let ports = list(&self.object.value, &["spec", "ports"]).iter().enumerate();
        ports.filter_map(|(index, it)| self.read(index, it)).collect()
    }

    fn read(&self, index: usize, port: &Value) -> Option<KnownPort> {
        let name = word(port, &["name"]).to_owned();
        let number = number(port, &[if self.is_service() { "port" } else { "number" }])?;
        let target = match port.get("targetPort") {
            Some(Value::String(name)) => Target::Name(name.clone()),
            Some(value) => Target::Number(value.as_u64().and_then(|it| u16::try_from(it).ok()).unwrap_or(number)),
            None => Target::Number(number),
        };
        let protocol = if self.is_service() { of_service(port, &name, number) } else { of_entry(port) };
        let place = self.place(&["spec", "ports", &index.to_string()]);
        Some(KnownPort { number, name, protocol, target, place })
    }

    /// Its addresses that are no ranges.
    pub(super) fn addresses(&self) -> Vec<&'a str> {
        let all = words(&self.object.value, &["spec", "addresses"]);
        all.filter_map(|it| match it.split_once('/') {
            None => Some(it),
            Some((address, "32" | "128")) => Some(address),
            Some(_) => None,
        })
        .collect()
    }

    /// Whether it has addresses, be they ranges.
    pub(super) fn has_addresses(&self) -> bool {
        !list(&self.object.value, &["spec", "addresses"]).is_empty()
    }
}

fn of_service(port: &Value, name: &str, number: u16) -> Option<Protocol> {
    if word(port, &["protocol"]) == "UDP" {
        return Some(Protocol::Udp);
    }
    let said = match word(port, &["appProtocol"]) {
        "" => Protocol::of_port_name(name),
        "kubernetes.io/h2c" => Some(Protocol::Http2),
        "kubernetes.io/ws" => Some(Protocol::Http),
        "kubernetes.io/wss" => Some(Protocol::Https),
        other => Protocol::parse(other),
    };
    // Servers speak first here, which nobody can find out.
    said.or_else(|| [25, 53, 3306, 27017].contains(&number).then_some(Protocol::Tcp))
}

fn of_entry(port: &Value) -> Option<Protocol> {
    Protocol::parse(word(port, &["protocol"]))
}

impl<'a> Viewer<'a> {
    /// Looks for a host as istiod tells it to this viewer.
    pub(super) fn look(&self, host: &str) -> Lookup<'a> {
        self.look_at(host, None)
    }

    /// Looks for a host that is called at a port: entries of one namespace that are alike have theirs together.
    pub(super) fn look_at(&self, host: &str, port: Option<u16>) -> Lookup<'a> {
        let mut hidden = None;
        let mut seen: Vec<Known<'a>> = Vec::new();
        for known in self.cluster.known(host) {
            match self.hides(&known) {
                None => seen.push(known),
                Some(why) => hidden = hidden.or(Some(why)),
            }
        }
        // The own namespace first, then what Kubernetes itself knows.
        let rank = |it: &Known<'_>| (it.host != host, it.namespace() != self.namespace, !it.is_service());
        let first = seen.iter().min_by_key(|it| rank(it));
        let has = |it: &Known<'_>| port.is_none_or(|port| it.ports().iter().any(|it| it.number == port));
        let other =
            first.filter(|it| !has(it)).and_then(|it| seen.iter().find(|more| self.adds(it, more) && has(more)));
        match (other.or(first).cloned(), hidden) {
            (Some(known), _) => Lookup::Seen(known),
            (None, Some(why)) => Lookup::Hidden(why),
            (None, None) => Lookup::Missing,
        }
    }

    /// Whether the ports of one entry are added to those of another.
    fn adds(&self, known: &Known<'_>, more: &Known<'_>) -> bool {
        let resolution = |it: &Known<'_>| word(&it.object.value, &["spec", "resolution"]).replace("NONE", "");
        // A Sidecar of 1.4 takes the first alone.
        let is_first_alone = self.cluster.istio.minor < 5 && !self.is_gateway && self.sidecar().is_some();
        !is_first_alone
            && !known.is_service()
            && !more.is_service()
            && (&known.host, known.namespace()) == (&more.host, more.namespace())
            && resolution(known) == resolution(more)
    }

    /// Why this viewer is not told of a host, if it is not.
    pub(super) fn hides(&self, known: &Known<'_>) -> Option<Box<Break>> {
        let name = &self.cluster.name;
        let broken = |why: String| Break::new(HopKind::Scope, name, why);
        if let Some(place) = not_exported(self.cluster, known.object, &self.namespace) {
            let why = format!("{} is not exported to the namespace `{}`", known.object, self.namespace);
            return Some(broken(why).at(place).mend(format!("add `{}` to its `exportTo`", self.namespace)));
        }
        if self.is_gateway {
            return None;
        }
        let sidecar = self.sidecar()?;
        let is_meant = |it: &str| covers(it, &known.host);
        if self.imports(sidecar, known.namespace(), is_meant) {
            return None;
        }
        let why = format!("{sidecar} does not list `{}/{}`", known.namespace(), known.host);
        let mend = format!("add `{}/{}` to the `hosts` of its `egress`", known.namespace(), known.host);
        Some(broken(why).at(Place::new(sidecar, &["spec", "egress"])).mend(mend))
    }

    /// The Sidecar that restricts this viewer, if one does.
    pub(super) fn sidecar(&self) -> Option<&'a Arc<Object>> {
        let all = |namespace: &str| self.cluster.of_kind("Sidecar", namespace).collect::<Vec<_>>();
        let selector = |it: &Object| pairs(&it.value, &["spec", "workloadSelector", "labels"]);
        let own = all(&self.namespace);
        let labels = self.labels.as_ref();
        let chosen = own.iter().find(|it| {
            let selector = selector(it);
            !selector.is_empty() && labels.is_some_and(|it| fits(it, &selector))
        });
        let chosen = chosen.or_else(|| own.iter().find(|it| selector(it).is_empty()));
        chosen.copied().or_else(|| all(ROOT_NAMESPACE).into_iter().find(|it| selector(it).is_empty()))
    }

    /// Whether a Sidecar lets in objects of a namespace, for a host that is meant.
    fn imports(&self, sidecar: &Object, from: &str, is_meant: impl Fn(&str) -> bool) -> bool {
        let mut hosts =
            list(&sidecar.value, &["spec", "egress"]).iter().flat_map(|it| words(it, &["hosts"])).peekable();
        hosts.peek().is_none()
            || hosts.any(|pattern| {
                let (namespace, name) = pattern.split_once('/').unwrap_or(("*", pattern));
                let from_there = match namespace {
                    "*" => true,
                    "." => from == self.namespace,
                    "~" => false,
                    namespace => namespace == from,
                };
                from_there && is_meant(name)
            })
    }

    /// Whether this viewer is told of the routes of an object.
    pub(super) fn sees_routes(&self, object: &Arc<Object>) -> bool {
        let hosts: Vec<_> =
            words(&object.value, &["spec", "hosts"]).map(|it| whole(it, &object.id.namespace)).collect();
        let is_meant = |name: &str| hosts.iter().any(|it| covers(name, it) || covers(it, name));
        not_exported(self.cluster, object, &self.namespace).is_none()
            && (self.is_gateway || self.sidecar().is_none_or(|it| self.imports(it, &object.id.namespace, is_meant)))
    }
}

impl Cluster {
    /// Everything that is about a host.
    pub(super) fn known(&self, host: &str) -> Vec<Known<'_>> {
        let local = host.strip_suffix(CLUSTER_DOMAIN).and_then(|it| it.strip_suffix('.')?.split_once('.'));
        let service = local.and_then(|(name, namespace)| self.get("Service", namespace, name));
        let mut known: Vec<_> = service.into_iter().map(|object| Known { host: host.to_owned(), object }).collect();
        for object in self.about("ServiceEntry", host) {
            // The Service of the same namespace is the definition.
            if service.is_some_and(|it| it.id.namespace == object.id.namespace) {
                continue;
            }
            let hosts = words(&object.value, &["spec", "hosts"]);
            let host = hosts.filter(|it| covers(it, host)).max_by_key(|it| (*it == host, it.len())).unwrap_or(host);
            known.push(Known { host: host.to_owned(), object });
        }
        known
    }
}

/// In which turn a namespace is told of routes that it sees: of its own for itself, of those for some, of all others.
pub(super) fn turn(cluster: &Cluster, routes: &Arc<Object>, namespace: &str) -> usize {
    let default = cluster.install.mesh(&["defaultVirtualServiceExportTo"]).map(|it| it.0);
    let said = at(&routes.value, &["spec", "exportTo"]).or(default);
    let to: Vec<&str> = said.iter().flat_map(|it| words(it, &[])).collect();
    match to.as_slice() {
        to if to.is_empty() || to.contains(&"*") => 2,
        _ if routes.id.namespace == namespace => 0,
        // Before 1.8 they are as those for all.
        _ if cluster.istio.minor < 8 => 2,
        _ => 1,
    }
}

/// What keeps an object from a namespace, if anything does.
pub(super) fn not_exported(cluster: &Cluster, object: &Arc<Object>, namespace: &str) -> Option<Place> {
    let sees = |to: &str| to == "*" || to == namespace || to == "." && object.id.namespace == namespace;
    if object.id.kind == "Service" {
        let field = ["metadata", "annotations", "networking.istio.io/exportTo"];
        return match at(&object.value, &field).and_then(text) {
            Some(said) => (!said.split(',').any(|it| sees(it.trim()))).then(|| Place::new(object, &field)),
            None => by_default(cluster, "defaultServiceExportTo", sees),
        };
    }
    let field = ["spec", "exportTo"];
    let to = list(&object.value, &field);
    if !to.is_empty() {
        return (!to.iter().filter_map(Value::as_str).any(sees)).then(|| Place::new(object, &field));
    }
    let default = match object.id.kind.as_str() {
        "VirtualService" => "defaultVirtualServiceExportTo",
        "DestinationRule" => "defaultDestinationRuleExportTo",
        _ => "defaultServiceExportTo",
    };
    by_default(cluster, default, sees)
}

fn by_default(cluster: &Cluster, field: &str, sees: impl Fn(&str) -> bool) -> Option<Place> {
    let (value, place) = cluster.install.mesh(&[field])?;
    let to = value.as_sequence()?;
    (!to.iter().filter_map(Value::as_str).any(sees)).then_some(place)
}

/// The whole name of a host that a route or a rule is about: one without dots is a Service of its own namespace.
pub(super) fn whole(host: &str, namespace: &str) -> String {
    let is_whole = host.contains('.') || host.starts_with('*') || host.is_empty();
    if is_whole { host.to_owned() } else { format!("{host}.{namespace}.{CLUSTER_DOMAIN}") }
}

/// Whether a host, perhaps with `*` for what comes first, covers another.
pub(super) fn covers(pattern: &str, host: &str) -> bool {
    pattern == host
        || pattern == "*"
        || pattern.strip_prefix('*').is_some_and(|it| it.starts_with('.') && host.ends_with(it))
}
