//! Rules of a gateway: its addresses, and how others connect to them.

use std::collections::BTreeSet;

use super::clusters::not_in_release;
use super::references::{References, element};
use super::{addresses, ports};
use crate::diag::{Code, Diagnostics};
use crate::inputs::{Given, Inputs, Part};
use crate::syntax::{ClusterSpec, GatewayApi, GatewayBalance, GatewaySpec, Installer, Place, Short, TopologySpec};
use crate::target::{Crossing, Istio};
use crate::topology::{Address, Gateway};

/// Checks `gateway:` of a cluster.
pub(super) fn resolve(
    name: &str,
    spec: &TopologySpec,
    inputs: &Inputs,
    target: &Istio,
    root: Place<'_>,
    diags: &mut Diagnostics,
) -> Option<Gateway> {
    let place = root.get("clusters").get(name).get("gateway");
    let default = GatewaySpec::default();
    let (texts, full): (&[String], &GatewaySpec) = match &spec.clusters[name].gateway {
        Some(Short::Text(text)) => (std::slice::from_ref(text), &default),
        Some(Short::Full(spec)) => (&spec.address.0, spec),
        None => (&[], &default),
    };
    let addresses = match inputs.get(name, Part::Gateway) {
        Some(given) => vec![from_outside(name, given, place, diags)?],
        None if texts.is_empty() => {
            if spec.clusters[name].gateway.is_some() {
                diags
                    .error(Code::MissingField, format!("the gateway of `{name}` has no `address`"))
                    .at(place.value(), "")
                    .help("write `address: pending` until it is known");
            }
            return None;
        }
        None => written(name, texts, place.get("address"), diags)?,
    };
    let references = References { spec, root };
    let from = full.from.iter().filter_map(|(caller, texts)| {
        let at = place.get("from").get(caller);
        let id = references.cluster_at(&format!("the gateway of `{name}`"), caller, at.key(), diags)?;
        if caller == name {
            diags
                .error(Code::InvalidAddress, format!("the gateway of `{name}` has an address for `{name}` itself"))
                .at(at.key(), "")
                .help("a cluster never calls its own gateway; name the cluster of a caller");
        }
        if texts.0.is_empty() {
            diags
                .error(Code::MissingField, format!("the gateway of `{name}` has no address for `{caller}`"))
                .at(at.value(), "")
                .help("leave it out: the gateway's own address then holds for it, too");
        }
        Some((id, written(name, &texts.0, at, diags)?))
    });
    let from = from.collect();
    let port = |text: &Option<String>, field: &str, diags: &mut Diagnostics| {
        text.as_deref().and_then(|it| ports::number(it, place.get(field), diags))
    };
    fits(name, &spec.clusters[name], full, &addresses, target, place, diags);
    Some(Gateway {
        addresses,
        from,
        balance: full.balance.unwrap_or(GatewayBalance::Spread),
        api: full.api.unwrap_or(GatewayApi::Istio),
        port: port(&full.port, "port", diags).unwrap_or(15443),
        node_port: port(&full.node_port, "nodePort", diags),
        pin: full.pin,
    })
}

/// The address that was given on the command line or in a file.
fn from_outside(name: &str, given: &Given, place: Place<'_>, diags: &mut Diagnostics) -> Option<Address> {
    let address = addresses::read(&given.address);
    match &address {
        Some(address) => reachable(name, address, Some(&given.origin), place.get("address"), diags),
        None => {
            diags
                .error(
                    Code::InvalidAddressValue,
                    format!(
                        "`{}` gives `{}` as the gateway of `{name}`, which is no address",
                        given.origin, given.address
                    ),
                )
                .help(addresses::advice(&given.address));
        }
    }
    address
}

/// Whether the fields of a gateway go together, and the release can do what they ask for.
fn fits(
    name: &str,
    cluster: &ClusterSpec,
    full: &GatewaySpec,
    addresses: &[Address],
    target: &Istio,
    place: Place<'_>,
    diags: &mut Diagnostics,
) {
    if full.pin && addresses.iter().any(|it| matches!(it, Address::Name(_))) {
        diags
            .error(Code::InvalidAddress, format!("the gateway of `{name}` cannot be pinned to a DNS name"))
            .at(place.get("pin").key(), "")
            .help("a cloud reserves IP addresses; leave `pin` out");
    } else if full.pin && addresses.len() > 1 {
        diags
            .error(Code::InvalidAddress, format!("the gateway of `{name}` cannot be pinned to several addresses"))
            .at(place.get("pin").key(), "")
            .help("the install file makes one load balancer, which has one address; leave `pin` out");
    }
    if full.pin && full.node_port.is_some() {
        diags
            .error(
                Code::InvalidAddress,
                format!("the gateway of `{name}` is reached at its nodes, and pins an address"),
            )
            .at(place.get("pin").key(), "a load balancer would have it")
            .context(place.get("nodePort").key(), "the node port")
            .help("leave one of the two out");
    }
    let families: BTreeSet<bool> =
        addresses.iter().filter_map(|it| if let Address::Ip(ip) = it { Some(ip.is_ipv4()) } else { None }).collect();
    let by_istioctl = !matches!(cluster.install, Some(Installer::Helm | Installer::Sail));
    if families.len() > 1
        && by_istioctl
        && target.crossing == Crossing::Passthrough
        && !target.gateways_of_both_families
    {
        diags
            .error(
                Code::FieldNotInRelease,
                format!("`istioctl` {} gives the gateway of `{name}` no Service of both families", target.line()),
            )
            .at(place.get("address").value(), "addresses of IPv4 and of IPv6")
            .help("write `install: helm`, or take Istio 1.24 or newer");
    }
    if full.port.is_some() && full.node_port.is_some() {
        diags
            .error(Code::InvalidPort, format!("the gateway of `{name}` has a port and a node port"))
            .at(place.get("port").key(), "others connect to one of the two")
            .context(place.get("nodePort").key(), "the node port")
            .help("leave `port` out where nodes are reached directly");
    }
    if full.api == Some(GatewayApi::GatewayApi) && full.node_port.is_some() {
        diags
            .error(Code::InvalidPort, format!("the gateway of `{name}` cannot have a node port of your choice"))
            .at(place.get("nodePort").key(), "")
            .context(place.get("api").value(), "istiod makes its Service, with any node port")
            .help("leave `api` out: the install file then makes the Service");
    }
    if target.crossing == Crossing::Rewrite {
        let newer = [("from", !full.from.is_empty()), ("balance", full.balance.is_some()), ("api", full.api.is_some())];
        for (field, _) in newer.into_iter().filter(|it| it.1) {
            not_in_release(target, field, place.get(field), diags);
        }
    }
}

/// The addresses as written; `None` if one is none.
fn written(name: &str, texts: &[String], place: Place<'_>, diags: &mut Diagnostics) -> Option<Vec<Address>> {
    let mut addresses: Vec<Address> = Vec::with_capacity(texts.len());
    let mut good = true;
    for (index, text) in texts.iter().enumerate() {
        let at = element(place, index);
        let Some(address) = addresses::read(text) else {
            diags
                .error(Code::InvalidAddress, format!("`{text}` is no address of a gateway"))
                .at(at.value(), "")
                .help(addresses::advice(text));
            good = false;
            continue;
        };
        reachable(name, &address, None, at, diags);
        if addresses.contains(&address) {
            diags
                .error(Code::InvalidAddress, format!("the gateway of `{name}` has the address {text} twice"))
                .at(at.value(), "here again")
                .help("name each address once");
        }
        if address == Address::Pending && texts.len() > 1 {
            diags
                .error(Code::InvalidAddress, format!("one of several addresses of `{name}` is pending"))
                .at(at.value(), "")
                .help("write those that are known, or `pending` alone");
        }
        addresses.push(address);
    }
    (good && !addresses.is_empty()).then_some(addresses)
}

/// Whether other clusters can reach an address.
fn reachable(name: &str, address: &Address, origin: Option<&str>, place: Place<'_>, diags: &mut Diagnostics) {
    let Address::Ip(ip) = *address else { return };
    // The file's own address, if it has one, is not to blame for that of an option.
    let (by, at) = match origin {
        Some(origin) => (format!(", given by `{origin}`,"), None),
        None => (String::new(), Some(place.value())),
    };
    if let Some(what) = addresses::unusable(ip) {
        diags
            .error(
                Code::UnusableGateway,
                format!("the gateway of `{name}`{by} is {ip}, {what}: no other cluster can reach it"),
            )
            .at_if(at)
            .help("take the address of the load balancer in front of the gateway");
    } else if addresses::private(ip) {
        diags
            .warning(Code::PrivateGateway, format!("the gateway of `{name}`{by} has a private address, {ip}"))
            .at_if(at)
            .help("right if the clusters' networks are peered; if so, write `allow: [T0403]`");
    }
}
