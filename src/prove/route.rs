//! The hop `route`: which listener takes a call, and where its routes lead.

use std::sync::Arc;

use serde_yaml::Value;

use super::hop::{Break, HopKind, Trail};
use super::object::{Object, Place};
use super::service::{CLUSTER_DOMAIN, Known, KnownPort, Viewer, not_exported};
use super::value::{at, list, number, word};
use crate::topology::{Family, Protocol, ROOT_NAMESPACE};

/// Where a route leads.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) subset: Option<String>,
    /// In percent, if there are several.
    pub(super) share: Option<u64>,
    /// What says so; `None` if the call is its own route.
    pub(super) place: Option<Place>,
}

/// What is asked of a listener.
pub(super) struct Request<'a> {
    pub(super) viewer: &'a Viewer<'a>,
    pub(super) known: &'a Known<'a>,
    pub(super) port: u16,
    /// What the caller speaks, if it is known.
    pub(super) spoken: Option<Protocol>,
}

impl Request<'_> {
    fn broken(&self, why: impl Into<String>) -> Box<Break> {
        Break::new(HopKind::Route, &self.viewer.cluster.name, why)
    }

    /// The listener that takes the call.
    pub(super) fn listener(&self, trail: &mut Trail) -> Result<KnownPort, Box<Break>> {
        let ports = self.known.ports();
        let Some(port) = ports.iter().find(|it| it.number == self.port) else {
            let has: Vec<_> = ports.iter().map(|it| it.number.to_string()).collect();
            let why = format!("`{}` has no port {}, so no listener takes the call", self.known.host, self.port);
            return Err(self
                .broken(why)
                .at(self.known.place(&["spec", "ports"]))
                .effect("the call is passed on to an address at which nobody is: timeout, or connection refused")
                .mend(format!("its ports are {}", has.join(", "))));
        };
        if let Some((why, effect)) = self.spoken.and_then(|it| misunderstood(it, port.protocol)) {
            let field = port.place.as_ref().map(|it| {
                let of_service = if it.below(&["appProtocol"]).value().is_some() { "appProtocol" } else { "name" };
                it.below(&[if self.known.is_service() { of_service } else { "protocol" }])
            });
            let spoken = self.spoken.map_or("", Protocol::istio);
            return Err(self
                .broken(why)
                .at(field)
                .effect(effect)
                .mend(format!("say {spoken}, which is what is spoken")));
        }
        let said = port.protocol.map_or("whatever is spoken", Protocol::istio);
        let text = format!("port {} takes {said}", port.number);
        trail.holds(HopKind::Route, &self.viewer.cluster.name, said, text, port.place.clone());
        Ok(port.clone())
    }

    /// Where the routes of the host lead; the call itself if it has none.
    pub(super) fn targets(&self, port: &KnownPort, trail: &mut Trail) -> Result<Vec<Target>, Box<Break>> {
        let host = &self.known.host;
        let own = || Target { host: host.clone(), port: self.port, subset: None, share: None, place: None };
        let cluster = self.viewer.cluster;
        let seen = |it: &&Arc<Object>| not_exported(cluster, it, &self.viewer.namespace).is_none();
        if self.viewer.is_gateway {
            return Ok(vec![own()]);
        }
        let Some(routes) = cluster.about("VirtualService", host).into_iter().find(seen) else {
            return Ok(vec![own()]);
        };
        let kinds: &[&str] = match port.protocol.map(Protocol::family) {
            Some(Family::Http) => &["http"],
            Some(Family::Tls) => &["tls", "tcp"],
            Some(Family::Tcp | Family::Udp) => &["tcp"],
            None => &["http", "tcp"],
        };
        let mut targets = Vec::new();
        for kind in kinds {
            let all = list(&routes.value, &["spec", kind]);
            for (index, route) in all.iter().enumerate() {
                let Some(whole) = self.matches(route) else { continue };
                let place = Place::new(routes, &["spec", kind, &index.to_string()]);
                targets.extend(destinations(route, &place, self.port, &routes.id.namespace));
                if whole {
                    return self.told(targets, place, trail);
                }
            }
            if !targets.is_empty() {
                // What fits none of the matches is answered with 404.
                return self.told(targets, Place::new(routes, &["spec", kind]), trail);
            }
        }
        // Routes that are all for other ports are as none: the host leads to itself.
        Ok(vec![own()])
    }

    fn told(&self, targets: Vec<Target>, place: Place, trail: &mut Trail) -> Result<Vec<Target>, Box<Break>> {
        if targets.is_empty() {
            return Err(self
                .broken(format!("the route of {} leads nowhere", place.object()))
                .at(place)
                .effect("503, or 404 NR: no cluster")
                .mend("give a destination a weight"));
        }
        let shown: Vec<_> = targets.iter().map(Target::to_string).collect();
        let text = format!("{} leads to {}", place.object(), shown.join(", "));
        trail.holds(HopKind::Route, &self.viewer.cluster.name, "", text, Some(place));
        Ok(targets)
    }

    /// Whether a route is for calls of this port, and whether for all of them.
    fn matches(&self, route: &Value) -> Option<bool> {
        let all = list(route, &["match"]);
        if all.is_empty() {
            return Some(true);
        }
        let of_port = |it: &&Value| number(it, &["port"]).is_none_or(|it| it == self.port);
        let of_sidecar = |it: &&Value| {
            let gateways = list(it, &["gateways"]);
            gateways.is_empty() || gateways.iter().any(|it| it == "mesh")
        };
        let of_name = |it: &&Value| {
            let names = list(it, &["sniHosts"]);
            names.is_empty()
                || names.iter().filter_map(Value::as_str).any(|it| super::service::covers(it, &self.known.host))
        };
        let mut fitting = all.iter().filter(of_port).filter(of_sidecar).filter(of_name).peekable();
        fitting.peek()?;
        Some(fitting.any(takes_all))
    }
}

/// Whether a match asks for nothing of a request but its port.
pub(super) fn takes_all(it: &Value) -> bool {
    let keys = super::value::keys(it, &[]);
    let is_root = |key: &str| key == "uri" && word(it, &["uri", "prefix"]) == "/";
    keys.filter(|key| !["port", "name", "gateways", "sniHosts"].contains(key)).all(is_root)
}

/// Where a route leads, by weight.
pub(super) fn destinations(route: &Value, place: &Place, port: u16, namespace: &str) -> Vec<Target> {
    let all = list(route, &["route"]);
    let destination = |(index, it): (usize, &Value)| {
        let share = at(it, &["weight"]).and_then(Value::as_u64);
        if share == Some(0) && all.len() > 1 {
            return None;
        }
        let host = word(it, &["destination", "host"]);
        // A name without dots is one of the route's own namespace.
        let host = if host.contains('.') { host.to_owned() } else { format!("{host}.{namespace}.{CLUSTER_DOMAIN}") };
        let subset = word(it, &["destination", "subset"]);
        Some(Target {
            host,
            port: number(it, &["destination", "port", "number"]).unwrap_or(port),
            subset: (!subset.is_empty()).then(|| subset.to_owned()),
            share: share.filter(|_| all.len() > 1),
            place: Some(place.below(&["route", &index.to_string(), "destination"])),
        })
    };
    all.iter().enumerate().filter_map(destination).collect()
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)?;
        if let Some(subset) = &self.subset {
            write!(f, " subset {subset}")?;
        }
        match self.share {
            Some(share) => write!(f, " ({share} %)"),
            None => Ok(()),
        }
    }
}

/// Why a sidecar misunderstands what is spoken, and what it does then.
fn misunderstood(spoken: Protocol, said: Option<Protocol>) -> Option<(String, &'static str)> {
    let said = said?;
    let is_h2 = |it: Protocol| matches!(it, Protocol::Http2 | Protocol::Grpc);
    let effect = match (spoken.family(), said.family()) {
        (Family::Http, Family::Http) if is_h2(spoken) && !is_h2(said) => {
            "the sidecar talks HTTP/1.1 to a server of HTTP/2: 502, or grpc status Internal"
        }
        (Family::Http, Family::Http) if !is_h2(spoken) && is_h2(said) => {
            "the sidecar talks HTTP/2 to a server of HTTP/1.1: 502 UPE, protocol error"
        }
        (_, Family::Tcp) | (Family::Http, Family::Http) | (Family::Tls, Family::Tls) => return None,
        (Family::Tcp | Family::Tls, Family::Http) => {
            "the sidecar finds no HTTP in it, and passes it on to an address at which nobody is"
        }
        (_, Family::Tls) => "the sidecar finds no TLS in it: no filter chain, and the connection is reset",
        (_, Family::Udp) | (Family::Udp, _) => "sidecars do not lead datagrams",
    };
    Some((format!("{} is spoken, and the port says {}", spoken.istio(), said.istio()), effect))
}

/// Each `DestinationRule` that a viewer applies to a host: of its own namespace, of the host's, or of the root.
pub(super) fn rules<'a>(viewer: &Viewer<'a>, known: &Known<'a>) -> Vec<&'a Arc<Object>> {
    let cluster = viewer.cluster;
    let all = cluster.about("DestinationRule", &known.host);
    for namespace in [viewer.namespace.as_str(), known.namespace(), ROOT_NAMESPACE] {
        let seen: Vec<_> = all
            .iter()
            .filter(|it| it.id.namespace == namespace && not_exported(cluster, it, &viewer.namespace).is_none())
            .copied()
            .collect();
        if let Some(first) = seen.first() {
            // Those of the same host are merged; a wildcard is for what nothing more precise is about.
            let host = word(&first.value, &["spec", "host"]).to_owned();
            return seen.into_iter().filter(|it| word(&it.value, &["spec", "host"]) == host).collect();
        }
    }
    Vec::new()
}

/// The subset of a host, and its rule.
pub(super) fn subset<'a>(rules: &[&'a Arc<Object>], name: &str) -> Option<(&'a Value, Place)> {
    rules.iter().find_map(|rule| {
        let subsets = list(&rule.value, &["spec", "subsets"]);
        let index = subsets.iter().position(|it| word(it, &["name"]) == name)?;
        Some((&subsets[index], Place::new(rule, &["spec", "subsets", &index.to_string()])))
    })
}

/// The names of the subsets of a host.
pub(super) fn subsets(rules: &[&Arc<Object>]) -> Vec<String> {
    let all = rules.iter().flat_map(|it| list(&it.value, &["spec", "subsets"]));
    all.map(|it| word(it, &["name"]).to_owned()).collect()
}
