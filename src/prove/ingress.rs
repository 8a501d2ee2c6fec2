//! From outside through an ingress: the Gateway that listens, and the routes behind it.

use std::sync::Arc;

use super::call::Call;
use super::cluster::Cluster;
use super::gateways::{self, GatewayPods, is_of_kubernetes};
use super::hop::{Break, HopKind, Trail};
use super::object::{Object, Place};
use super::route::{Target, destinations, takes_all};
use super::service::{covers, not_exported};
use super::value::{fits, list, number, pairs, shown, word, words};
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
    let mut targets: Vec<Target> = Vec::new();
    for host in &door.hosts {
        let gateway = listening(cluster, pods, [Some(door.port), target], host)?;
        trail.holds(
            HopKind::Chain,
            &cluster.name,
            host.as_str(),
            format!("{} takes calls of `{host}`", gateway.object()),
            Some(gateway.below(&["hosts"])),
        );
        let (found, place) = led(cluster, pods, &gateway, call, host)?;
        let text: Vec<_> = found.iter().map(Target::to_string).collect();
        trail.holds(
            HopKind::Route,
            &cluster.name,
            "",
            format!("{} leads to {}", place.object(), text.join(", ")),
            Some(place),
        );
        for target in found {
            let is_known = |it: &Target| (&it.host, it.port, &it.subset) == (&target.host, target.port, &target.subset);
            if !targets.iter().any(is_known) {
                targets.push(target);
            }
        }
    }
    Ok(targets)
}

/// The server of a Gateway that takes calls of a host at a port.
fn listening(cluster: &Cluster, pods: &GatewayPods, ports: [Option<u16>; 2], host: &str) -> Result<Place, Box<Break>> {
    let mut near = None;
    for object in cluster.of_kind_anywhere("Gateway").filter(|it| !is_of_kubernetes(it)) {
        for (index, server) in list(&object.value, &["spec", "servers"]).iter().enumerate() {
            let place = Place::new(object, &["spec", "servers", &index.to_string()]);
            let takes = words(server, &["hosts"]).any(|it| covers(it.rsplit('/').next().unwrap_or(it), host));
            let at_port =
                ports.contains(&number(server, &["port", "number"])) && number(server, &["port", "number"]).is_some();
            let selects = fits(&pods.labels, &pairs(&object.value, &["spec", "selector"]));
            match (selects, at_port, takes) {
                (true, true, true) => return Ok(place),
                (false, true, true) => near = near.or(Some(Place::new(object, &["spec", "selector"]))),
                (true, false, true) => near = near.or(Some(place.below(&["port"]))),
                (true, true, false) => near = near.or(Some(place.below(&["hosts"]))),
                _ => {}
            }
        }
    }
    let port = ports[0].unwrap_or_default();
    Err(Break::new(
        HopKind::Gateway,
        &cluster.name,
        format!("no Gateway takes calls of `{host}` at port {port} of {}", pods.name),
    )
    .at(near)
    .effect("connection refused, or 404 NR: no route")
    .mend("let a Gateway with these labels, this port and this host select the pods"))
}

/// Where the routes behind a Gateway lead, and what says so.
fn led(
    cluster: &Cluster,
    pods: &GatewayPods,
    server: &Place,
    call: &Call,
    host: &str,
) -> Result<(Vec<Target>, Place), Box<Break>> {
    let gateway = server.shared();
    let mut near = None;
    for object in cluster.of_kind_anywhere("VirtualService") {
        let is_behind = words(&object.value, &["spec", "gateways"]).any(|it| match it.split_once('/') {
            Some((namespace, name)) => namespace == gateway.id.namespace && name == gateway.id.name,
            None => it == gateway.id.name && object.id.namespace == gateway.id.namespace,
        });
        let takes = words(&object.value, &["spec", "hosts"]).any(|it| covers(it, host) || covers(host, it));
        if is_behind && !takes {
            near = near.or(Some(Place::new(object, &["spec", "hosts"])));
        }
        if !is_behind || !takes {
            continue;
        }
        if let Some(place) = not_exported(cluster, object, &pods.namespace) {
            near = near.or(Some(place));
            continue;
        }
        let mut targets = Vec::new();
        for kind in served(server) {
            for (index, route) in list(&object.value, &["spec", kind]).iter().enumerate() {
                let place = Place::new(object, &["spec", kind, &index.to_string()]);
                targets.extend(destinations(route, &place, call.port, &object.id.namespace));
                if list(route, &["match"]).iter().any(takes_all) {
                    break;
                }
            }
        }
        if !targets.is_empty() {
            covers_paths(cluster, object, call)?;
            return Ok((targets, Place::new(object, &["spec"])));
        }
        near = near.or(Some(Place::new(object, &["spec"])));
    }
    Err(Break::new(
        HopKind::Route,
        &cluster.name,
        format!("no VirtualService leads calls of `{host}` on from {gateway}"),
    )
    .at(near.or_else(|| Some(Place::new(gateway, &["metadata", "name"]))))
    .effect("404 NR: no route")
    .mend("add a VirtualService with this gateway and this host"))
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

/// Breaks if a declared path is none that a route takes.
fn covers_paths(cluster: &Cluster, routes: &Arc<Object>, call: &Call) -> Result<(), Box<Break>> {
    let all: Vec<_> = list(&routes.value, &["spec", "http"]).iter().collect();
    let paths = call.door.iter().flat_map(|it| &it.paths);
    for path in paths {
        let takes = |it: &&serde_yaml::Value| {
            let matches = list(it, &["match"]);
            let prefix = |it: &serde_yaml::Value| {
                let uri = ["exact", "regex"].iter().any(|kind| !word(it, &["uri", kind]).is_empty());
                uri || path.starts_with(word(it, &["uri", "prefix"]))
            };
            matches.is_empty() || matches.iter().any(prefix)
        };
        if !all.is_empty() && !all.iter().any(takes) {
            return Err(Break::new(
                HopKind::Route,
                &cluster.name,
                format!("no route of {routes} takes the path `{path}`"),
            )
            .at(Place::new(routes, &["spec", "http"]))
            .effect("404 NR: no route")
            .mend("add a match of this prefix"));
        }
    }
    Ok(())
}
