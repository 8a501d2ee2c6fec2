//! Rules of what can be reached from outside.

use super::references::{self, References, element};
use super::{names, ports};
use crate::diag::{Code, Diagnostics};
use crate::syntax::{IngressSpec, Place, TopologySpec};
use crate::topology::{Cluster, ClusterId, Family, Ingress, Service};

/// Checks every ingress. One that leads nowhere is left out after saying so.
pub(in crate::topology) fn resolve(
    spec: &TopologySpec,
    clusters: &[Cluster],
    services: &[Service],
    root: Place<'_>,
    diags: &mut Diagnostics,
) -> Vec<Ingress> {
    let references = References { spec, root };
    let place = root.get("ingress");
    let ingresses: Vec<_> = spec
        .ingress
        .iter()
        .filter_map(|(name, ingress)| {
            let place = place.get(name);
            names::key_label("Gateway", name, place, diags);
            one(name, ingress, services, references, place, diags)
        })
        .collect();
    conflicts(&ingresses, clusters, diags);
    ingresses
}

fn one(
    name: &str,
    spec: &IngressSpec,
    services: &[Service],
    references: References<'_>,
    place: Place<'_>,
    diags: &mut Diagnostics,
) -> Option<Ingress> {
    let who = format!("the ingress `{name}`");
    let at = place.get("service");
    let service = references.service(&who, &spec.service, at.value(), diags)?;
    let target = &services[service.0];
    if target.ports.len() < references.spec.services[service.0].ports.len() {
        // Some of its ports were wrong; that was said where they stand.
        return None;
    }
    let at_port = place.find("port").unwrap_or(at);
    let port =
        references::port(&who, &spec.service, &target.ports, spec.port.as_deref(), at_port.value(), target.at, diags)?;
    if target.ports[port].protocol.family() != Family::Http {
        diags
            .error(
                Code::InvalidIngress,
                format!("{who} leads to a port that speaks {}", target.ports[port].protocol.istio()),
            )
            .at(at_port.value(), "")
            .context(target.at, format!("`{}` is declared here", target.key))
            .help("an ingress routes requests of HTTP, HTTP/2 and gRPC");
    }
    let hosts = hosts(&who, spec, place, diags);
    let paths = spec.paths.clone().unwrap_or_default().0;
    for (index, path) in paths.iter().enumerate() {
        if !path.starts_with('/')
            || !names::is_one_word_of_prose(path)
            || path.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '?' | '#'))
        {
            diags
                .error(Code::InvalidIngress, format!("`{path}` is not the beginning of a path"))
                .at(element(place.get("paths"), index).value(), "")
                .help("it begins with `/` and has no `?` or `#`");
        }
    }
    if let Some(tls) = &spec.tls {
        let at = place.get("tls").get("credentialName");
        if !names::is_dns_name(&tls.credential_name) {
            diags
                .error(Code::InvalidName, format!("`{}` cannot be the name of a Secret", tls.credential_name))
                .at(at.value(), "")
                .help("lower-case letters, digits, `-` and `.`; the Secret is in `istio-system`");
        }
    }
    let clusters = match &spec.clusters {
        Some(names) => references.clusters(&who, &names.0, place.get("clusters"), diags),
        None => target.placement.clone(),
    };
    if spec.clusters.as_ref().is_some_and(|it| it.0.is_empty()) {
        diags
            .error(Code::InvalidIngress, format!("{who} is served by no cluster"))
            .at(place.get("clusters").key(), "")
            .help("leave `clusters` out: those that run the service serve it");
    }
    let listen = match &spec.listen {
        Some(text) => ports::number(text, place.get("listen"), diags)?,
        None if spec.tls.is_some() => 443,
        None => 80,
    };
    // A gateway's pod opens these itself: the way between clusters, its health and its statistics.
    if listen == 15443 || (15000..=15090).contains(&listen) {
        diags
            .error(Code::InvalidIngress, format!("{who} listens on port {listen}, which the gateway needs itself"))
            .at(place.get("listen").value(), "")
            .help("15443 carries the calls between clusters, 15000 to 15090 are the proxy's own; take `listen: 9443`");
    }
    if listen < 1024 && !matches!(listen, 80 | 443) {
        diags
            .error(Code::InvalidIngress, format!("{who} listens on port {listen}, which only root may open"))
            .at(place.get("listen").value(), "")
            .help("80 and 443 are mapped for the gateway; any other port is 1024 or higher");
    }
    if spec.tls.as_ref().is_some_and(|it| it.redirect) && listen == 80 {
        diags
            .error(Code::InvalidIngress, format!("{who} listens for TLS on port 80, where it also redirects from"))
            .at(place.get("listen").value(), "")
            .help("leave `listen` out: TLS then listens on 443");
        return None;
    }
    if spec.tls.as_ref().is_some_and(|it| it.redirect) && listen != 443 {
        diags
            .error(Code::InvalidIngress, format!("{who} redirects to port 443, and listens on {listen}"))
            .at(place.get("tls").get("redirect").value(), "")
            .context(place.get("listen").value(), "here")
            .help("a redirect of the gateway names no port: leave `listen` or `redirect` out");
    }
    Some(Ingress {
        name: name.to_owned(),
        at: place.key(),
        service,
        port,
        clusters,
        hosts,
        listen,
        tls: spec.tls.as_ref().map(|it| (it.credential_name.clone(), it.redirect)),
        paths,
    })
}

/// The host names of an ingress; all if none is written.
fn hosts(who: &str, spec: &IngressSpec, place: Place<'_>, diags: &mut Diagnostics) -> Vec<String> {
    let hosts = spec.hosts.clone().map_or_else(|| vec!["*".to_owned()], |it| it.0);
    for (index, host) in hosts.iter().enumerate().filter(|it| it.1 != "*") {
        let at = element(place.get("hosts"), index);
        if names::dns_name("the host of an ingress", host, true, at, diags) && !host.contains('.') {
            diags
                .error(Code::InvalidIngress, format!("the host `{host}` of {who} has no dot"))
                .at(at.value(), "Istio takes no short names in a Gateway")
                .help("write the full name, as the outside calls it");
        }
    }
    if let Some((a, b)) = overlapping(&hosts) {
        diags
            .error(Code::InvalidIngress, format!("the hosts `{a}` and `{b}` of {who} overlap"))
            .at(place.get("hosts").key(), "")
            .help("one VirtualService takes each host once; leave out the narrower one");
    }
    if hosts.is_empty() {
        diags
            .error(Code::InvalidIngress, format!("{who} has no hosts"))
            .at(place.get("hosts").key(), "")
            .help("`hosts: \"*\"` serves all");
    }
    hosts
}

/// Two hosts of which one covers the other.
fn overlapping(hosts: &[String]) -> Option<(&str, &str)> {
    let covers = |a: &str, b: &str| a == b || a.strip_prefix('*').is_some_and(|suffix| b.ends_with(suffix));
    hosts.iter().enumerate().find_map(|(index, host)| {
        let other = hosts[..index].iter().find(|it| covers(it, host) || covers(host, it))?;
        Some((other.as_str(), host.as_str()))
    })
}

/// A gateway serves a host on a port once; the later of two Gateways is ignored.
fn conflicts(ingresses: &[Ingress], clusters: &[Cluster], diags: &mut Diagnostics) {
    for (index, ingress) in ingresses.iter().enumerate() {
        for other in &ingresses[..index] {
            let both: Vec<ClusterId> =
                ingress.clusters.iter().copied().filter(|id| other.clusters.contains(id)).collect();
            let Some(cluster) = both.first() else { continue };
            let both = |(port, tls): (u16, bool)| {
                let (_, other) = listens(other).into_iter().find(|it| it.0 == port)?;
                Some((port, tls != other))
            };
            let Some((port, differ)) = listens(ingress).into_iter().find_map(both) else { continue };
            if differ {
                diags
                    .error(
                        Code::IngressConflict,
                        format!(
                            "`{}` and `{}` speak TLS and plain HTTP on port {port} of one gateway",
                            other.name, ingress.name
                        ),
                    )
                    .at(ingress.at, "this ingress")
                    .context(other.at, "and this one")
                    .help("give one of them another port: `listen: 9443`");
            } else if let Some(host) = ingress.hosts.iter().find(|it| other.hosts.contains(it)) {
                diags
                    .error(
                        Code::IngressConflict,
                        format!(
                            "`{}` and `{}` both claim `{host}` on port {port} in `{}`",
                            other.name, ingress.name, clusters[cluster.0].name
                        ),
                    )
                    .at(ingress.at, "this ingress")
                    .context(other.at, "and this one")
                    .help("give each hosts of its own");
            }
        }
    }
}

/// The ports of the gateway that an ingress takes, and whether it speaks TLS there: its own, and
/// 80 to redirect from.
fn listens(ingress: &Ingress) -> Vec<(u16, bool)> {
    let redirect = ingress.tls.as_ref().is_some_and(|it| it.1);
    std::iter::once((ingress.listen, ingress.tls.is_some())).chain(redirect.then_some((80, false))).collect()
}
