//! The hop `route`: which listener takes a call, and where its routes lead.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_yaml::Value;

use super::delegate;
use super::hop::{Break, HopKind, Trail};
use super::matches::{Asker, Fit, MESH};
use super::object::{Object, Place};
use super::rules::as_spoken;
use super::service::{Known, KnownPort, Lookup, Viewer, covers, not_exported, turn, whole};
use super::value::{at, list, number, word, words};
use crate::topology::{Family, Protocol, ROOT_NAMESPACE};

/// Where a route leads.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) subset: Option<String>,
    /// In percent, if there are several.
    pub(super) share: Option<u64>,
    /// Whether some requests only are led here, by what they ask for.
    pub(super) in_part: bool,
    /// What says so; `None` if the call is its own route.
    pub(super) place: Option<Place>,
}

/// The weight of a destination; one that is no number from 0 on counts as none.
fn weight(destination: &Value) -> u64 {
    at(destination, &["weight"]).map_or(0, |it| read_weight(it).unwrap_or(0))
}

fn read_weight(weight: &Value) -> Option<u64> {
    weight.as_u64().filter(|it| i32::try_from(*it).is_ok())
}

/// What is asked of a listener.
pub(super) struct Request<'a> {
    pub(super) viewer: &'a Viewer<'a>,
    pub(super) known: &'a Known<'a>,
    /// The name that is asked for, of which a wildcard may be what is known.
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// What the caller speaks, if it is known.
    pub(super) spoken: Option<Protocol>,
}

impl<'a> Request<'a> {
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
        let is_http = |it: Option<Protocol>| it.is_some_and(|it| it.family() == Family::Http);
        let are_http = is_http(self.spoken) && is_http(port.protocol);
        let asked = are_http.then(|| as_spoken(self.viewer, self.known, self.port)).flatten();
        let wrong = self.spoken.and_then(|it| misunderstood(it, port.protocol));
        if let (Some(rule), Some(_)) = (&asked, &wrong) {
            self.trust_answer(rule.object(), trail);
        } else if let Some((why, effect)) = wrong {
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

    /// Takes on trust that a rule is told to the sidecars that answer, too, which lead on as callers speak, too.
    fn trust_answer(&self, rule: &Object, trail: &mut Trail) {
        let is_told = [self.known.namespace(), ROOT_NAMESPACE].contains(&rule.id.namespace.as_str());
        if !is_told || !self.known.is_service() {
            let host = &self.known.host;
            trail.trusts(format!("that sidecars of `{host}` lead on what is spoken, as {rule} says of it"));
        }
    }

    /// Where the routes of the host lead; the call itself if it has none.
    pub(super) fn targets(&self, port: &KnownPort, trail: &mut Trail) -> Result<Vec<Target>, Box<Break>> {
        let is_http = self.spoken.map(|it| it.family() == Family::Http);
        let kinds: &[&str] = match (port.protocol.map(Protocol::family), is_http) {
            (Some(Family::Http), _) | (None, Some(true)) => &["http"],
            (Some(Family::Tls), _) => &["tls"],
            (Some(Family::Tcp | Family::Udp), _) | (None, Some(false)) => &["tcp"],
            (None, None) => &["http", "tcp"],
        };
        let mut targets: Vec<Target> = Vec::new();
        for kind in kinds {
            for target in self.of_kind(kind, trail)? {
                if !targets.iter().any(|it| it.is_same(&target)) {
                    targets.push(target);
                }
            }
        }
        Ok(targets)
    }

    /// The call as its own route.
    fn own(&self) -> Target {
        Target {
            host: self.known.host.clone(),
            port: self.port,
            subset: None,
            share: None,
            in_part: false,
            place: None,
        }
    }

    fn of_kind(&self, kind: &str, trail: &mut Trail) -> Result<Vec<Target>, Box<Break>> {
        let viewer = self.viewer;
        let asker = Asker { viewer, gateway: MESH.to_owned(), port: self.port, host: self.host, path: "/" };
        let mut targets = Vec::new();
        for routes in self.routes(kind) {
            let led: Result<Vec<Option<Led>>, _> = routes.iter().map(|it| asker.led(it, kind)).collect();
            let led: Vec<Led> = led?.into_iter().flatten().collect();
            for it in &led {
                let text: Vec<_> = it.targets.iter().map(Target::to_string).collect();
                let text = format!("{} leads to {}", it.place.object(), text.join(", "));
                trail.holds(HopKind::Route, &viewer.cluster.name, "", text, Some(it.place.clone()));
                it.answers.iter().for_each(|it| trail.trusts(it));
            }
            let is_whole = led.iter().all(|it| it.is_whole);
            if kind != "tcp" {
                led.iter().filter(|it| !it.is_whole).for_each(|it| trail.trusts(it.trust(kind)));
            }
            let is_one = led.len() == 1;
            let all = led.into_iter().flat_map(|it| it.targets);
            targets.extend(all.map(|it| Target { share: it.share.filter(|_| is_one), ..it }));
            // What fits no match of TCP goes on to others, and to the host itself.
            if !targets.is_empty() && (is_whole || kind != "tcp") {
                return Ok(targets);
            }
        }
        // Routes that are all for other calls are as none: the host leads to itself.
        targets.push(self.own());
        Ok(targets)
    }

    /// The objects with routes of the host, in the order in which they are asked. Of those that come together the
    /// oldest is, and no file says which that is.
    fn routes(&self, kind: &str) -> Vec<Vec<&'a Arc<Object>>> {
        let viewer = self.viewer;
        let all = viewer.cluster.about("VirtualService", self.host).into_iter();
        // From the most precise name to the widest, which counts for HTTP of today only.
        let by_name = kind == "http" && viewer.cluster.istio.minor >= 9;
        let mut names: Vec<String> = Vec::new();
        let mut ranked: BTreeMap<(usize, usize), Vec<&Arc<Object>>> = BTreeMap::new();
        for object in all.filter(|it| viewer.sees_routes(it)) {
            let hosts = words(&object.value, &["spec", "hosts"]).map(|it| whole(it, &object.id.namespace));
            let name = hosts.filter(|it| covers(it, self.host)).max_by_key(|it| (*it == self.host, it.len()));
            let name = name.unwrap_or_default();
            if !names.contains(&name) {
                names.push(name.clone());
            }
            let precise = names.iter().position(|it| *it == name).unwrap_or_default();
            let rank = (if by_name { precise } else { 0 }, turn(viewer.cluster, object, &viewer.namespace));
            let same = ranked.entry(rank).or_default();
            if !same.iter().any(|it| it.id == object.id) {
                same.push(object);
            }
        }
        ranked.into_values().collect()
    }
}

/// Looks for a host to which a route leads. From 1.5 on, a Sidecar that lets in the routes lets in that, too.
pub(super) fn destination<'a>(viewer: &Viewer<'a>, host: &str, port: u16) -> Lookup<'a> {
    let is_let_in = viewer.is_gateway || viewer.cluster.istio.minor >= 5;
    Viewer { is_gateway: is_let_in, ..viewer.clone() }.look_at(host, Some(port))
}

/// Where the routes of an object lead.
pub(super) struct Led {
    pub(super) targets: Vec<Target>,
    /// Whether there is a route for every request.
    pub(super) is_whole: bool,
    /// What is taken on trust where some requests are answered and not led on.
    pub(super) answers: Vec<String>,
    pub(super) place: Place,
}

impl Led {
    /// What is taken on trust if not every request has a route.
    pub(super) fn trust(&self, kind: &str) -> String {
        let otherwise = if kind == "http" { "404 NR: no route" } else { "reset" };
        format!("that a match of {} fits, for what fits none is answered with {otherwise}", self.place.object())
    }
}

impl Asker<'_> {
    /// Where the routes of an object lead, if any is for what is asked.
    pub(super) fn led(&self, object: &Arc<Object>, kind: &str) -> Result<Option<Led>, Box<Break>> {
        self.is_weighed(object)?;
        let place = Place::new(object, &["spec", kind]);
        let mut led = Led { targets: Vec::new(), is_whole: false, answers: Vec::new(), place };
        let mut count = 0;
        for (fit, route, place) in self.fitting(object, kind)? {
            led.is_whole = fit == Fit::All;
            let namespace = &place.object().id.namespace;
            let mut targets = self.destinations(kind, route, &place, namespace);
            for it in &mut targets {
                it.in_part = !led.is_whole;
            }
            let answer = answer(route);
            if let Some(answer) = answer.as_ref().filter(|_| !led.is_whole || !led.targets.is_empty()) {
                led.answers.push(format!("that the request is none of those that {} {answer}", place.object()));
            } else if targets.is_empty() {
                return Err(self.leads_nowhere(place, answer));
            }
            count += 1;
            led.targets.extend(targets);
            if led.is_whole {
                led.place = place;
                break;
            }
        }
        if count > 0 && led.targets.is_empty() {
            return Err(self.leads_nowhere(led.place, None));
        }
        // A share is one of the requests that a match takes, and nobody knows how many those are.
        if count > 1 || !led.is_whole {
            led.targets.iter_mut().for_each(|it| it.share = None);
        }
        Ok((count > 0).then_some(led))
    }

    /// The routes of an object that take requests, each with how many and where it stands. In the place of one that
    /// names a delegate come those of the delegate that do not conflict with it; it is passed over if there is none.
    fn fitting<'b>(&'b self, object: &'b Arc<Object>, kind: &str) -> Result<Vec<(Fit, &'b Value, Place)>, Box<Break>> {
        let mut all = Vec::new();
        for (index, route) in list(&object.value, &["spec", kind]).iter().enumerate() {
            let fit = self.fit(kind, route, &object.id.namespace);
            let place = Place::new(object, &["spec", kind, &index.to_string()]);
            let Some((namespace, name)) = delegate::named(route, &object.id.namespace) else {
                all.push((fit, route, place));
                continue;
            };
            let cluster = self.viewer.cluster;
            // Before 1.8, a switch of istiod that is off lets it read such an object as none.
            if cluster.istio.minor < 8 {
                return Ok(Vec::new());
            }
            let delegate = cluster.get("VirtualService", namespace, name);
            let is_told = |it: &&Arc<Object>| not_exported(cluster, it, &object.id.namespace).is_none();
            for delegate in delegate.into_iter().filter(is_told) {
                self.is_weighed(delegate)?;
                for (index, part) in list(&delegate.value, &["spec", kind]).iter().enumerate() {
                    if delegate::conflicts(route, part) {
                        continue;
                    }
                    let place = Place::new(delegate, &["spec", kind, &index.to_string()]);
                    all.push((fit.min(self.fit(kind, part, namespace)), part, place));
                }
            }
        }
        all.retain(|it| it.0 != Fit::No);
        Ok(all)
    }

    /// Breaks at a route by which nobody is called, for it gives an answer itself, or is none.
    fn leads_nowhere(&self, place: Place, answer: Option<String>) -> Box<Break> {
        let object = place.object();
        let why = match &answer {
            Some(answer) => format!("{object} {answer}"),
            None => format!("the route of {object} leads nowhere"),
        };
        Break::new(HopKind::Route, &self.viewer.cluster.name, why)
            .at(place)
            .effect(answer.map_or("503, or 404 NR: no cluster", |_| "the caller gets that answer from its own proxy"))
            .mend("give it a destination")
    }

    /// Breaks if the API server refuses the weights of an object.
    fn is_weighed(&self, object: &Arc<Object>) -> Result<(), Box<Break>> {
        let cluster = self.viewer.cluster;
        for kind in ["http", "tls", "tcp"] {
            for (index, route) in list(&object.value, &["spec", kind]).iter().enumerate() {
                let all = list(route, &["route"]);
                let weights = all.iter().enumerate().filter_map(|(index, it)| Some((index, at(it, &["weight"])?)));
                if let Some((bad, _)) = weights.filter(|it| !it.1.is_null()).find(|it| read_weight(it.1).is_none()) {
                    let why = format!("a weight of {object} is no whole number from 0 on");
                    let (index, bad) = (index.to_string(), bad.to_string());
                    return Err(Break::new(HopKind::Route, &cluster.name, why)
                        .at(Place::new(object, &["spec", kind, &index, "route", &bad, "weight"]))
                        .effect("the API server refuses the object")
                        .mend("give a whole number, 0 or more"));
                }
                let sum: u64 = all.iter().map(weight).sum();
                let (is_refused, wanted) = match cluster.istio.minor {
                    15.. => (sum == 0, "a weight"),
                    _ => (sum != 100, "weights of 100 in all"),
                };
                if all.len() < 2 || !is_refused {
                    continue;
                }
                let why = format!("the weights of a route of {object} are {sum} in all");
                return Err(Break::new(HopKind::Route, &cluster.name, why)
                    .at(Place::new(object, &["spec", kind, &index.to_string(), "route"]))
                    .effect("the API server refuses the object")
                    .mend(format!("give its destinations {wanted}")));
            }
        }
        Ok(())
    }

    /// Where a route leads, by weight. Of several destinations, those without one are never chosen.
    fn destinations(&self, kind: &str, route: &Value, place: &Place, namespace: &str) -> Vec<Target> {
        let all = list(route, &["route"]);
        let sum = all.iter().map(weight).sum::<u64>().max(1);
        let mut before = 0;
        let destination = |(index, it): (usize, &Value)| {
            if weight(it) == 0 && all.len() > 1 {
                return None;
            }
            // Shares are rounded so that they are 100 in all.
            let percent = |it: u64| (it * 100 + sum / 2) / sum;
            let share = percent(before + weight(it)) - percent(before);
            before += weight(it);
            let host = whole(word(it, &["destination", "host"]), namespace);
            let subset = word(it, &["destination", "subset"]);
            Some(Target {
                port: number(it, &["destination", "port", "number"]).unwrap_or_else(|| self.port_of(kind, &host)),
                host,
                subset: (!subset.is_empty()).then(|| subset.to_owned()),
                share: (all.len() > 1).then_some(share),
                in_part: false,
                place: Some(place.below(&["route", &index.to_string(), "destination"])),
            })
        };
        all.iter().enumerate().filter_map(destination).collect()
    }

    /// The port of a host of which a route says none: the only one that it has, or that of the listener.
    fn port_of(&self, kind: &str, host: &str) -> u16 {
        // For HTTP, a sidecar looks at those ports of a host only that are the listener's.
        if kind == "http" && self.gateway == MESH {
            return self.port;
        }
        match destination(self.viewer, host, self.port) {
            Lookup::Seen(known) => match known.ports().as_slice() {
                [only] => only.number,
                _ => self.port,
            },
            _ => self.port,
        }
    }
}

/// What a route does with its requests if it does not lead them on.
fn answer(route: &Value) -> Option<String> {
    let redirect = at(route, &["redirect"]).map(|it| number(it, &["redirectCode"]).unwrap_or(301));
    let direct = at(route, &["directResponse"]).map(|it| number(it, &["status"]).unwrap_or(200));
    let redirect = redirect.map(|it| format!("redirects, with {it}"));
    redirect.or_else(|| direct.map(|it| format!("answers itself, with {it}")))
}

impl Target {
    /// Whether both lead to the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.host, self.port, &self.subset) == (&other.host, other.port, &other.subset)
    }
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
