//! From outside through an ingress: the Gateway that listens, and the routes behind it.

use std::sync::Arc;

use super::call::Call;
use super::cluster::Cluster;
use super::gateways::{self, GatewayPods, is_of_kubernetes};
use super::hop::{Break, HopKind, Trail};
use super::matches::Asker;
use super::object::{Object, Place};
use super::route::{Led, Target};
use super::servers::{self, Server};
use super::service::{Viewer, covers, not_exported};
use super::value::{fits, list, number, shown, word, words};
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
                format!("{} takes calls of `{host}`", server.object()),
                Some(server.below(&["hosts"])),
            );
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
fn listening(
    viewer: &Viewer<'_>,
    pods: &GatewayPods,
    ports: [Option<u16>; 2],
    host: &str,
) -> Result<Vec<Place>, Box<Break>> {
    let all = servers::all(viewer.cluster);
    let all: Vec<&Server> = all.iter().filter(|it| !is_of_kubernetes(it.place.shared())).collect();
    let here = |it: &&Server| it.is_of(pods) && it.is_at(ports);
    let (taking, others): (Vec<&Server>, Vec<&Server>) =
        all.iter().copied().filter(here).partition(|it| it.takes(host));
    let (routed, rest): (Vec<&Server>, Vec<&Server>) =
        taking.iter().partition(|it| !behind(viewer, std::slice::from_ref(&it.place), host).0.is_empty());
    let wanted = if routed.is_empty() { &taking } else { &routed };
    let rivals = if routed.is_empty() { others } else { [rest, others].concat() };
    let port = ports[0].unwrap_or_default();
    let broken = |why: String| Break::new(HopKind::Gateway, &viewer.cluster.name, why);
    match servers::kept(wanted, &rivals) {
        Some(Ok(server)) => {
            let merged = wanted.iter().filter(|it| !std::ptr::eq(**it, server) && it.is_merged_with(server));
            return Ok([server].iter().chain(merged).map(|it| it.place.clone()).collect());
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
fn led(
    viewer: &Viewer<'_>,
    servers: &[Place],
    call: &Call,
    host: &str,
    trail: &mut Trail,
) -> Result<(Vec<Target>, Place), Box<Break>> {
    let (routes, mut near) = behind(viewer, servers, host);
    let declared = call.door.as_ref().map_or(&[][..], |it| it.paths.as_slice());
    let paths = if declared.is_empty() { vec!["/"] } else { declared.iter().map(String::as_str).collect() };
    let server = &servers[0];
    let mut targets = Vec::new();
    for kind in served(server) {
        for path in &paths {
            // Routes of several objects are merged, those for all paths last; no file says which is older.
            let led: Result<Vec<Option<Led>>, _> = routes
                .iter()
                .map(|(server, routes)| {
                    let gateway = server.shared();
                    let port = server.value().and_then(|it| number(it, &["port", "number"])).unwrap_or(call.port);
                    let gateway = format!("{}/{}", gateway.id.namespace, gateway.id.name);
                    Asker { viewer, gateway, port, host, path }.led(routes, kind)
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
    if let Some((_, object)) = routes.first() {
        if !targets.is_empty() {
            return Ok((targets, Place::new(object, &["spec"])));
        }
        near = Some(Place::new(object, &["spec"]));
    }
    let gateway = server.shared();
    Err(Break::new(
        HopKind::Route,
        &viewer.cluster.name,
        format!("no VirtualService leads calls of `{host}` on from {gateway}"),
    )
    .at(near.or_else(|| Some(Place::new(gateway, &["metadata", "name"]))))
    .effect("404 NR: no route")
    .mend("add a VirtualService with this gateway and this host"))
}

/// Routes, and the server behind which they stand.
type Behind<'a, 's> = (&'s Place, &'a Arc<Object>);

/// The routes behind servers that are for a host by its most precise name; else what comes near.
fn behind<'a, 's>(viewer: &Viewer<'a>, servers: &'s [Place], host: &str) -> (Vec<Behind<'a, 's>>, Option<Place>) {
    let cluster = viewer.cluster;
    let takes = |it: &str| covers(it, host) || covers(host, it);
    let mut near = None;
    let mut found: Vec<(usize, Behind<'a, 's>)> = Vec::new();
    for server in servers {
        let gateway = server.shared();
        let hosts = server.value().into_iter().flat_map(|it| words(it, &["hosts"]));
        let hosts = hosts.map(|it| it.rsplit('/').next().unwrap_or(it));
        let at_server = hosts.filter(|it| takes(it)).map(str::len).max().unwrap_or(0);
        for object in cluster.of_kind_anywhere("VirtualService") {
            let is_behind = words(&object.value, &["spec", "gateways"]).any(|it| match it.split_once('/') {
                Some((namespace, name)) => namespace == gateway.id.namespace && name == gateway.id.name,
                None => it == gateway.id.name && object.id.namespace == gateway.id.namespace,
            });
            if !is_behind {
                continue;
            }
            let hosts = words(&object.value, &["spec", "hosts"]).filter(|it| takes(it));
            let Some(precise) = hosts.map(str::len).max() else {
                near = near.or(Some(Place::new(object, &["spec", "hosts"])));
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
