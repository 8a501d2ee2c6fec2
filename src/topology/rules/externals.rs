//! Rules of hosts outside the mesh.

use super::references::{References, element};
use super::{addresses, names, ports, services};
use crate::diag::{Code, Diagnostics};
use crate::syntax::{ExternalSpec, Place, TopologySpec};
use crate::topology::{External, Family, Mesh, Service, TargetPort};

/// Checks every external host.
pub(in crate::topology) fn resolve(
    spec: &TopologySpec,
    mesh: &Mesh,
    all: &[Service],
    root: Place<'_>,
    diags: &mut Diagnostics,
) -> Vec<External> {
    let references = References { spec, root };
    let place = root.get("externals");
    let mut seen: Vec<(String, crate::source::Span)> = Vec::new();
    spec.externals
        .iter()
        .map(|(name, external)| {
            let place = place.get(name);
            names::key_label("external host", name, place, diags);
            for (index, host) in external.hosts.0.iter().enumerate() {
                let at = element(place.get("hosts"), index);
                self::host(name, host, mesh, at, diags);
                if let Some((_, first)) = seen.iter().find(|it| it.0 == *host) {
                    diags
                        .error(Code::ExternalHost, format!("the host `{host}` is declared twice"))
                        .at(at.value(), "here again")
                        .context(*first, "first here")
                        .help("one entry can have several ports and several callers");
                }
                seen.push((host.clone(), at.value()));
            }
            if external.hosts.0.is_empty() {
                diags
                    .error(Code::MissingField, format!("`{name}` has no hosts"))
                    .at(place.get("hosts").key(), "")
                    .help("write `hosts: www.example.com`");
            }
            one(name, external, all, references, place, diags)
        })
        .collect()
}

fn one(
    name: &str,
    spec: &ExternalSpec,
    all: &[Service],
    references: References<'_>,
    place: Place<'_>,
    diags: &mut Diagnostics,
) -> External {
    let mut callers = Vec::new();
    let mut clusters = Vec::new();
    for (index, caller) in spec.callers.0.iter().enumerate() {
        let at = element(place.get("callers"), index);
        if let Some(id) = references.service(&format!("`{name}`"), caller, at.value(), diags) {
            clusters.extend(all[id.0].placement.iter().copied());
            callers.push(id);
        }
    }
    clusters.sort();
    clusters.dedup();
    if spec.callers.0.is_empty() {
        diags
            .warning(Code::UnusedExternal, format!("nobody calls `{name}`: no cluster gets an entry for it"))
            .at(place.key(), "")
            .help("name its callers, `callers: [currencyservice]`, or remove it");
    }
    let ports = ports::resolve(&spec.ports, true, place.get("ports"), diags);
    if ports.is_empty() && spec.ports.is_empty() {
        diags
            .error(Code::NoPorts, format!("`{name}` has no ports"))
            .at(place.key(), "")
            .help("write `ports: {https: 443}`");
    }
    for port in ports.iter().filter(|it| it.target != TargetPort::Number(it.number)) {
        diags
            .error(
                Code::ExternalHost,
                format!("port `{}` of `{name}` has a target port, which only a container has", port.name),
            )
            .at(place.get("ports").get(&port.name).value(), "")
            .help(format!("the port that is called, and nothing else: `{}`", port.number));
    }
    for port in ports.iter().filter(|it| it.protocol.family() == Family::Udp) {
        diags
            .error(
                Code::ExternalHost,
                format!("port `{}` of `{name}` speaks UDP, for which Istio makes no entry", port.name),
            )
            .at(place.get("ports").get(&port.name).key(), "")
            .help("leave it out: sidecars let UDP pass");
    }
    let wildcard = spec.hosts.0.iter().any(|it| it.starts_with("*."));
    let several = spec.hosts.0.len() > 1;
    for port in ports.iter().filter(|it| it.protocol.family() == Family::Tcp && (wildcard || several)) {
        diags
            .error(
                Code::ExternalHost,
                format!("port `{}` of `{name}` speaks {}, which names no host", port.name, port.protocol.istio()),
            )
            .at(place.get("ports").get(&port.name).key(), "")
            .help("an entry with such a port has exactly one host, and no wildcard");
    }
    let addresses = spec
        .addresses
        .0
        .iter()
        .enumerate()
        .filter_map(|(index, text)| {
            let text = if text.parse::<std::net::IpAddr>().is_ok() {
                format!("{text}/{}", if text.contains(':') { 128 } else { 32 })
            } else {
                text.clone()
            };
            addresses::range(&text, element(place.get("addresses"), index), diags)
        })
        .collect();
    External {
        name: name.to_owned(),
        at: place.key(),
        namespace: services::namespace(spec.namespace.as_deref(), place, diags),
        hosts: spec.hosts.0.clone(),
        ports,
        addresses,
        callers,
        clusters,
    }
}

fn host(name: &str, host: &str, mesh: &Mesh, place: Place<'_>, diags: &mut Diagnostics) {
    if host.parse::<std::net::IpAddr>().is_ok() {
        diags
            .error(Code::ExternalHost, format!("`{name}` is called by an IP address, not by a name"))
            .at(place.value(), "")
            .help("give it a name of your own as host, and the IP under `addresses:`");
        return;
    }
    if !names::dns_name("the host of an external", host, true, place, diags) {
        return;
    }
    let inside = ["cluster.local", &mesh.suffix];
    if let Some(suffix) = inside.iter().find(|it| host == **it || host.ends_with(&format!(".{it}"))) {
        diags
            .error(Code::ExternalHost, format!("`{host}` lies under `.{suffix}`, which is the mesh's own"))
            .at(place.value(), "")
            .help("declare it as a service if it runs in one of the clusters");
    } else if host.ends_with(".svc") {
        diags
            .error(
                Code::ExternalHost,
                format!("`{host}` is the short name of a Service: pods look for it in their own cluster"),
            )
            .at(place.value(), "")
            .help("declare it as a service if it runs in one of the clusters");
    } else if !host.contains('.') {
        diags
            .error(Code::ExternalHost, format!("`{host}` has no dot: pods would look for it in their own namespace"))
            .at(place.value(), "")
            .help("write the full name");
    }
}
