//! From outside through an ingress: the Gateway that listens, and the routes behind it.

use std::sync::Arc;

use super::call::{Call, Meant};
use super::cluster::Cluster;
use super::gateways::{self, GatewayPods, is_of_kubernetes};
use super::hop::{Break, HopKind, Trail};
use super::matches::Asker;
use super::object::{Object, Place};
use super::route::{Led, Target};
use super::servers::{self, Server};
use super::service::{Lookup, Viewer, covers, not_exported};
use super::value::{fits, list, pairs, shown, word, words};
use crate::topology::{Family, Protocol};

/// Where the routes of an ingress lead.
pub(super) fn targets(cluster: &Cluster, call: &Call, trail: &mut Trail) -> Result<Vec<Target>, Box<Break>> {
    let Some(door) = &call.door else { return Ok(Vec::new()) };
    let broken = |kind: HopKind, why: String| Break::new(kind, &cluster.name, why);
    let all = gateways::all(cluster);
    let Some(pods) = all.iter().find(|it| fits(&it.labels, &call.selector)) else {
        return Err(broken(HopKind::Gateway, format!("no gateway has the labels {}", shown(&call.selector)))
            .effect("connection refused")
            .mend("install the gateway that serves the outside"));
    };
    let port = pods.ports.as_ref().map(|all| all.iter().find(|it| it.number == door.port));
    if let Some(None) = port {
        return Err(broken(HopKind::Gateway, format!("the Service of {} has no port {}", pods.name, door.port))
            .at(pods.place.clone())
            .effect("connection refused")
            .mend(format!("give it the port {}", door.port)));
    }
    trail.holds(
        HopKind::Gateway,
        &cluster.name,
        pods.name.clone(),
        format!("{} has port {}", pods.name, door.port),
        pods.place.clone(),
    );
    let target = port.flatten().and_then(|it| it.target);
    let viewer =
        Viewer { cluster, namespace: pods.namespace.clone(), labels: Some(pods.labels.clone()), is_gateway: true };
    let mut targets: Vec<Target> = Vec::new();
    for host in &door.hosts {
        let servers = listening(&viewer, pods, [Some(door.port), target], host)?;
        for server in &servers {
            trail.holds(
                HopKind::Chain,
                &cluster.name,
                host.as_str(),
                format!("{} takes calls of `{host}`", server.place.object()),
                Some(server.at_hosts()),
            );
            let secret = server.secret().filter(|it| !brings_secret(cluster, &pods.namespace, it));
            if let Some(secret) = secret {
                trail.trusts(format!(
                    "the Secret {}/{secret} in `{}`, which no file brings",
                    pods.namespace, cluster.name
                ));
            }
        }
        let (found, place) = led(&viewer, &servers, call, host, trail)?;
        let text: Vec<_> = found.iter().map(Target::to_string).collect();
        trail.holds(
            HopKind::Route,
            &cluster.name,
            "",
            format!("{} leads to {}", place.object(), text.join(", ")),
            Some(place),
        );
        for target in found {
            if !targets.iter().any(|it| it.is_same(&target)) {
                targets.push(target);
            }
        }
    }
    Ok(targets)
}

/// The servers of Gateways that take calls of a host at a port: of several one that has routes, and those of HTTP that
/// are merged with it.
fn listening<'a>(
    viewer: &Viewer<'a>,
    pods: &GatewayPods,
    ports: [Option<u16>; 2],
    host: &str,
) -> Result<Vec<&'a Server>, Box<Break>> {
    let all: Vec<&Server> = viewer.cluster.servers().iter().filter(|it| !is_of_kubernetes(it.place.shared())).collect();
    let here = |it: &&Server| it.is_of(pods) && it.is_at(ports);
    let (taking, others): (Vec<&Server>, Vec<&Server>) =
        all.iter().copied().filter(here).partition(|it| it.takes(host));
    let (routed, rest): (Vec<&Server>, Vec<&Server>) =
        taking.iter().partition(|it| !behind(viewer, &[it], host).0.is_empty());
    let wanted = if routed.is_empty() { &taking } else { &routed };
    let rivals = if routed.is_empty() { others } else { [rest, others].concat() };
    let port = ports[0].unwrap_or_default();
    let broken = |why: String| Break::new(HopKind::Gateway, &viewer.cluster.name, why);
    match servers::kept(wanted, &rivals) {
        Some(Ok(server)) => {
            let merged = taking.iter().filter(|it| !std::ptr::eq(**it, server) && it.is_merged_with(server));
            if server.lacks_tls() {
                return Err(broken(format!("{} takes TLS, and does not say how", server.place.object()))
                    .at(server.place.clone())
                    .effect("the API server refuses the object")
                    .mend("add `tls`, or say HTTP"));
            }
            let merged: Vec<&Server> = [server].iter().chain(merged).copied().collect();
            // One that redirects does so for all of the same host.
            let is_same =
                |it: &Server| wanted.iter().any(|own| std::ptr::eq(*own, it)) || it.hosts().any(|it| it.0 == host);
            if let Some(redirecting) = merged.iter().find(|it| it.redirects() && is_same(it)) {
                let why = format!("{} redirects to HTTPS, with 301", redirecting.place.object());
                return Err(Break::new(HopKind::Route, &viewer.cluster.name, why)
                    .at(redirecting.place.below(&["tls", "httpsRedirect"]))
                    .effect("the caller gets that answer from the gateway")
                    .mend("call the port of HTTPS, or leave `httpsRedirect` out"));
            }
            return Ok(merged);
        }
        Some(Err((server, other))) => {
            let why = format!(
                "{} and {} open port {port} in ways that exclude each other, and only the older is taken",
                server.place.object(),
                other.place.object()
            );
            return Err(broken(why)
                .at(other.place.clone())
                .effect("connection reset, or 404 NR: no route")
                .mend("name each host once for a port, or open another port"));
        }
        None => {}
    }
    let near = all.iter().find_map(|it| match (it.is_of(pods), it.is_at(ports), it.takes(host)) {
        (false, true, true) => Some(Place::new(it.place.shared(), &["spec", "selector"])),
        (true, false, true) => Some(it.place.below(&["port"])),
        (true, true, false) => Some(it.at_hosts()),
        _ => None,
    });
    Err(broken(format!("no Gateway takes calls of `{host}` at port {port} of {}", pods.name))
        .at(near)
        .effect("connection refused, or 404 NR: no route")
        .mend("let a Gateway with these labels, this port and this host select the pods"))
}

/// Where the routes behind servers of Gateways lead, and what says so.
fn led<'a>(
    viewer: &Viewer<'a>,
    servers: &[&'a Server],
    call: &Call,
    host: &str,
    trail: &mut Trail,
) -> Result<(Vec<Target>, Place), Box<Break>> {
    let (routes, mut near) = behind(viewer, servers, host);
    let declared = call.door.as_ref().map_or(&[][..], |it| it.paths.as_slice());
    let paths = if declared.is_empty() { vec!["/"] } else { declared.iter().map(String::as_str).collect() };
    let mut targets = Vec::new();
    for kind in served(&servers[0].place) {
        for path in &paths {
            // Routes of several objects are merged, those for all paths last; no file says which is older.
            let led: Result<Vec<Option<Led>>, _> = routes
                .iter()
                .map(|(server, routes)| {
                    let port = server.port.unwrap_or(call.port);
                    Asker { viewer, gateway: name(server), port, host, path }.led(routes, kind)
                })
                .collect();
            let mut led: Vec<Led> = led?.into_iter().flatten().collect();
            let Some(first) = led.first() else {
                let is_http = |it: &Object| *kind == "http" && !list(&it.value, &["spec", "http"]).is_empty();
                match routes.iter().find(|it| is_http(it.1)) {
                    Some((_, object)) if !declared.is_empty() => return Err(untaken(viewer, object, path)),
                    _ => continue,
                }
            };
            led.iter().flat_map(|it| &it.answers).for_each(|it| trail.trusts(it));
            if !led.iter().any(|it| it.is_whole) {
                trail.trusts(first.trust(kind));
            }
            if led.len() > 1 {
                led.iter_mut().flat_map(|it| &mut it.targets).for_each(|it| it.share = None);
            }
            targets.extend(led.into_iter().flat_map(|it| it.targets));
        }
    }
    if declared.is_empty() {
        let is_aside = |it: &Target| it.in_part && !leads_to_meant(viewer, call, it);
        let (aside, rest): (Vec<Target>, Vec<Target>) = targets.into_iter().partition(is_aside);
        // If there is nothing else, they are what is wrong.
        targets = if rest.is_empty() { aside.clone() } else { rest };
        for it in aside {
            let leads = it.place.as_ref().map_or_else(String::new, |it| it.object().to_string());
            trail.trusts(format!("that the request is none of those that {leads} leads to `{}`", it.host));
        }
    }
    if let Some((_, object)) = routes.first() {
        if !targets.is_empty() {
            return Ok((targets, Place::new(object, &["spec"])));
        }
        near = Some(Place::new(object, &["spec"]));
    }
    let gateway = servers[0].place.shared();
    Err(Break::new(
        HopKind::Route,
        &viewer.cluster.name,
        format!("no VirtualService leads calls of `{host}` on from {gateway}"),
    )
    .at(near.or_else(|| Some(Place::new(gateway, &["metadata", "name"]))))
    .effect("404 NR: no route")
    .mend("add a VirtualService with this gateway and this host, in a namespace that the hosts of the Gateway let in"))
}

/// Whether a route leads to those that are meant, as far as their Service says so.
fn leads_to_meant(viewer: &Viewer<'_>, call: &Call, target: &Target) -> bool {
    let Lookup::Seen(known) = viewer.look(&target.host) else { return true };
    let selector = pairs(&known.object.value, &["spec", "selector"]);
    let is_meant = |it: &Meant| it.0 == known.namespace() && fits(&it.1, &selector);
    !known.is_service() || selector.is_empty() || call.meant.is_empty() || call.meant.iter().any(is_meant)
}

/// Whether a Secret is written, or what makes it.
fn brings_secret(cluster: &Cluster, namespace: &str, name: &str) -> bool {
    let of = |kind: &'static str, path: &'static [&str]| {
        let is_it = move |it: &&Arc<Object>| it.id.name == name || word(&it.value, path) == name;
        cluster.of_kind(kind, namespace).any(|it| is_it(&it))
    };
    of("Secret", &[]) || of("ExternalSecret", &["spec", "target", "name"]) || of("Certificate", &["spec", "secretName"])
}

/// The Gateway of a server, as `namespace/name`.
fn name(server: &Server) -> String {
    let id = &server.place.shared().id;
    format!("{}/{}", id.namespace, id.name)
}

/// Routes, and the server behind which they stand.
type Behind<'a> = (&'a Server, &'a Arc<Object>);

/// The routes behind servers that are for a host by its most precise name; else what comes near.
fn behind<'a>(viewer: &Viewer<'a>, servers: &[&'a Server], host: &str) -> (Vec<Behind<'a>>, Option<Place>) {
    let cluster = viewer.cluster;
    let mut near = None;
    let mut found: Vec<(usize, Behind<'a>)> = Vec::new();
    for server in servers {
        for object in cluster.behind(&name(server)) {
            let hosts = words(&object.value, &["spec", "hosts"]).filter(|it| covers(it, host));
            let Some(precise) = hosts.map(str::len).max() else {
                near = near.or(Some(Place::new(object, &["spec", "hosts"])));
                continue;
            };
            let Some(at_server) = server.precision(host, &object.id.namespace) else {
                near = near.or(Some(server.at_hosts()));
                continue;
            };
            match not_exported(cluster, object, &viewer.namespace) {
                Some(place) => near = near.or(Some(place)),
                None => found.push((precise.max(at_server), (server, object))),
            }
        }
    }
    let most = found.iter().map(|it| it.0).max();
    (found.into_iter().filter(|it| Some(it.0) == most).map(|it| it.1).collect(), near)
}

/// A declared path that no route takes.
fn untaken(viewer: &Viewer<'_>, routes: &Arc<Object>, path: &str) -> Box<Break> {
    Break::new(HopKind::Route, &viewer.cluster.name, format!("no route of {routes} takes the path `{path}`"))
        .at(Place::new(routes, &["spec", "http"]))
        .effect("404 NR: no route")
        .mend("add a match of this prefix")
}

/// The routes that a server of a Gateway serves, by what it is told to take.
fn served(server: &Place) -> &'static [&'static str] {
    let said = |path: &[&str]| server.value().map_or("", |it| word(it, path)).to_ascii_uppercase();
    let is_passed = said(&["tls", "mode"]).ends_with("PASSTHROUGH");
    match Protocol::parse(&said(&["port", "protocol"])).map(Protocol::family) {
        Some(Family::Http) => &["http"],
        Some(Family::Tls) if is_passed => &["tls"],
        // What is called HTTPS is HTTP behind the certificate, and what is called TLS any stream.
        Some(Family::Tls) if said(&["port", "protocol"]) == "HTTPS" => &["http"],
        Some(Family::Tls | Family::Tcp) => &["tcp"],
        _ => &["http", "tls", "tcp"],
    }
}
