//! Rules of ports: numbers, names, protocols, short forms.

use indexmap::IndexMap;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::protocol::Protocol;
use crate::diag::{Code, Diagnostics, nearest};
use crate::syntax::{Place, PortSpec, Short};
use crate::topology::{Port, TargetPort};

/// The ports of a service or an external host; those that are wrong are left out after saying so.
///
/// `app_protocol` tells whether the clusters honour a Service port's `appProtocol`.
pub(super) fn resolve(
    spec: &IndexMap<String, Short<PortSpec>>,
    app_protocol: bool,
    place: Place<'_>,
    diags: &mut Diagnostics,
) -> Vec<Port> {
    let mut ports: Vec<Port> = Vec::with_capacity(spec.len());
    for (name, spec) in spec {
        let here = place.get(name);
        let Some(port) = port(name, spec, app_protocol, here, diags) else { continue };
        let twin = ports
            .iter()
            .find(|it| it.number == port.number && (it.protocol == Protocol::Udp) == (port.protocol == Protocol::Udp));
        if let Some(twin) = twin {
            diags
                .error(
                    Code::DuplicatePort,
                    format!("the ports `{}` and `{name}` have one number, {}", twin.name, port.number),
                )
                .at(here.key(), "here again")
                .context(place.get(&twin.name).key(), "first here")
                .help("a Service has one port of a number; give one of them another, `8081:7070`, or leave one out");
            continue;
        }
        ports.push(port);
    }
    ports
}

fn port(
    name: &str,
    spec: &Short<PortSpec>,
    app_protocol: bool,
    place: Place<'_>,
    diags: &mut Diagnostics,
) -> Option<Port> {
    if !port_name(name, place, diags) {
        return None;
    }
    let (number, target, protocol) = match spec {
        Short::Text(text) => {
            let (port, target) =
                text.split_once(':').map_or((text.as_str(), None), |(port, target)| (port, Some(target)));
            if target.is_some_and(|it| it.contains(':')) || text.contains('/') {
                diags
                    .error(Code::InvalidPort, format!("`{text}` is not a port"))
                    .at(place.value(), "")
                    .help("port and container port, `80:8080`; the protocol is the beginning of the name: `tcp: 80`");
                return None;
            }
            let number = number(port, place, diags)?;
            let target = match target {
                None => TargetPort::Number(number),
                Some(target) => target_port(&text_target(target), place, diags)?,
            };
            (number, target, None)
        }
        Short::Full(spec) => {
            let number = number(&spec.port, place.get("port"), diags)?;
            let target = match &spec.target_port {
                None => TargetPort::Number(number),
                Some(target) => target_port(target, place.get("targetPort"), diags)?,
            };
            (number, target, spec.protocol.as_deref())
        }
    };
    let (protocol, app_protocol) = self::protocol(name, protocol, app_protocol, place, diags)?;
    Some(Port { name: name.to_owned(), number, target, protocol, app_protocol })
}

/// A port number as written.
pub(super) fn number(text: &str, place: Place<'_>, diags: &mut Diagnostics) -> Option<u16> {
    let number = text.parse().ok().filter(|&it| it > 0 && !text.starts_with(['0', '+']));
    if number.is_none() {
        diags
            .error(Code::InvalidPort, format!("`{text}` is not a port"))
            .at(place.value(), "")
            .help("a port is a number from 1 to 65535, without zeros before it");
    }
    number
}

/// What the sidecar of a release has for itself in every pod.
const SIDECAR: [u16; 8] = [15000, 15001, 15006, 15008, 15020, 15021, 15053, 15090];

/// Container ports that the sidecar does not listen on; a Service may have any.
pub(super) fn beside_sidecar(ports: &[Port], place: Place<'_>, diags: &mut Diagnostics) {
    for port in ports {
        if let TargetPort::Number(number) = port.target {
            let at = place.get(&port.name);
            not_of_sidecar(number, at.find("targetPort").unwrap_or_else(|| at.get("port")), diags);
        }
    }
}

/// Says so if the sidecar listens on this port of a pod.
pub(super) fn not_of_sidecar(number: u16, place: Place<'_>, diags: &mut Diagnostics) {
    if SIDECAR.contains(&number) {
        diags
            .error(Code::InvalidPort, format!("a container cannot listen on {number}: Istio's sidecar does"))
            .at(place.value(), "")
            .help(format!("let it listen elsewhere; the Service may keep the number: `\"{number}:8080\"`"));
    }
}

fn text_target(text: &str) -> IntOrString {
    text.parse().map_or_else(|_| IntOrString::String(text.to_owned()), IntOrString::Int)
}

fn target_port(target: &IntOrString, place: Place<'_>, diags: &mut Diagnostics) -> Option<TargetPort> {
    match target {
        IntOrString::Int(number) => self::number(&number.to_string(), place, diags).map(TargetPort::Number),
        // Kubernetes' IANA_SVC_NAME.
        IntOrString::String(name) if is_service_name(name) => Some(TargetPort::Name(name.clone())),
        IntOrString::String(name) => {
            diags
                .error(Code::InvalidPortName, format!("`{name}` is not the name of a container port"))
                .at(place.value(), "")
                .help("a number, or at most 15 lower-case letters, digits and `-` with a letter among them");
            None
        }
    }
}

/// `IANA_SVC_NAME`: what Kubernetes calls a port of a container and OpenShift a forwarder.
pub(super) fn is_service_name(name: &str) -> bool {
    name.len() <= 15
        && name.bytes().any(|b| b.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

fn port_name(name: &str, place: Place<'_>, diags: &mut Diagnostics) -> bool {
    let fits = (1..=62).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !fits {
        let near = name.to_ascii_lowercase().replace(['_', '.', ' '], "-");
        diags
            .error(Code::InvalidPortName, format!("`{name}` is not the name of a port"))
            .at(place.key(), "")
            .help("at most 62 lower-case letters, digits and `-`, with a letter or digit at both ends")
            .help_if(super::names::is_label(&near).then(|| format!("`{near}` would do")));
    }
    fits
}

/// The protocol of a port, and whether the Service must say it in `appProtocol`.
fn protocol(
    name: &str,
    written: Option<&str>,
    app_protocol: bool,
    place: Place<'_>,
    diags: &mut Diagnostics,
) -> Option<(Protocol, bool)> {
    let by_name = Protocol::of_port_name(name);
    let Some(written) = written else {
        if by_name.is_none() {
            diags
                .error(Code::ProtocolNotSaid, format!("the name of port `{name}` does not say what is spoken there"))
                .at(place.key(), "")
                .help(format!("begin it with the protocol: `http-{name}`, `grpc-{name}`, `tcp-{name}`"));
        }
        return by_name.map(|it| (it, false));
    };
    let place = place.get("protocol");
    let Some(protocol) = Protocol::parse(written) else {
        diags.error(Code::UnknownProtocol, format!("Istio knows no protocol `{written}`")).at(place.value(), "").help(
            match nearest(written, Protocol::names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it knows {}", Protocol::names().collect::<Vec<_>>().join(", ")),
            },
        );
        return None;
    };
    match by_name {
        Some(by_name) if by_name == protocol => Some((protocol, false)),
        Some(by_name) => {
            let http1 = by_name == Protocol::Http && matches!(protocol, Protocol::Grpc | Protocol::Http2);
            diags
                .error(
                    Code::ProtocolMismatch,
                    format!(
                        "the name of port `{name}` says {}, its protocol says {}",
                        by_name.istio(),
                        protocol.istio()
                    ),
                )
                .at(place.value(), "Istio goes by the name")
                .help(format!("call the port `{0}`, or a name that begins with `{0}-`", protocol.name()))
                .help_if(
                    (protocol == Protocol::Tcp && by_name != Protocol::Udp)
                        .then(|| format!("{} runs over TCP: leave `protocol` out if that is meant", by_name.istio())),
                )
                .help_if(http1.then(|| format!("behind `{name}` it would be sent as HTTP/1.1 and fail")));
            None
        }
        None if app_protocol || protocol == Protocol::Udp => Some((protocol, protocol != Protocol::Udp)),
        None => {
            diags
                .error(Code::ProtocolNotSaid, format!("the name of port `{name}` does not say that {} is spoken there", protocol.istio()))
                .at(place.value(), "Istio does not see this")
                .help(format!("call the port `{}-{name}`", protocol.name()))
                .help("Istio 1.6 on Kubernetes 1.19 or newer reads `appProtocol`; every cluster of the service must have both");
            None
        }
    }
}
