//! Rules of addresses: IPs, DNS names, ranges.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::names;
use crate::diag::{Code, Diagnostics};
use crate::source::Span;
use crate::syntax::Place;
use crate::topology::Address;

/// An IP, a DNS name or `pending`.
pub(super) fn read(text: &str) -> Option<Address> {
    if text == "pending" {
        Some(Address::Pending)
    } else if let Ok(ip) = text.parse() {
        Some(Address::Ip(ip))
    } else {
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_suffix('.').unwrap_or(&lower);
        (names::is_dns_name(name) && name.contains('.')).then(|| Address::Name(name.to_owned()))
    }
}

/// What ails an address that is no address.
pub(super) fn advice(text: &str) -> &'static str {
    if text.is_empty() {
        "write `pending` until the load balancer has its address"
    } else if text.contains("://") || text.contains('/') {
        "an address has no scheme and no path: `34.1.2.3` or `lb.example.com`"
    } else if text.rsplit_once(':').is_some_and(|(host, port)| !host.contains(':') && port.parse::<u16>().is_ok()) {
        "the port stands apart: `gateway: {address: 34.1.2.3, port: 15443}`"
    } else {
        "an IP such as `34.1.2.3`, a DNS name such as `lb.example.com`, or `pending`"
    }
}

/// A gateway's address that no other cluster can ever reach.
pub(super) fn unusable(ip: IpAddr) -> Option<&'static str> {
    if ip.is_unspecified() {
        Some("the unspecified address")
    } else if ip.is_loopback() {
        Some("a loopback address")
    } else if ip.is_multicast() {
        Some("a multicast address")
    } else {
        match ip {
            IpAddr::V4(ip) if ip.is_broadcast() => Some("the broadcast address"),
            IpAddr::V4(ip) if ip.is_link_local() => Some("a link-local address"),
            IpAddr::V6(ip) if ip.is_unicast_link_local() => Some("a link-local address"),
            _ => None,
        }
    }
}

/// Addresses that only a private network routes: RFC 1918, carrier-grade NAT, unique local.
pub(super) fn private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || (ip.octets()[0] == 100 && (64..128).contains(&ip.octets()[1])),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

/// A range of addresses as written: `10.4.0.0/14`.
pub(super) fn range(text: &str, place: Place<'_>, diags: &mut Diagnostics) -> Option<IpNet> {
    let Ok(net) = text.parse::<IpNet>() else {
        let help = match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => format!("a single address is `{text}/32`"),
            Ok(IpAddr::V6(_)) => format!("a single address is `{text}/128`"),
            Err(_) => "a range is an address and the length of its prefix: `10.4.0.0/14`".to_owned(),
        };
        diags
            .error(Code::InvalidRange, format!("`{text}` is not a range of addresses"))
            .at(place.value(), "")
            .help(help);
        return None;
    };
    if net.addr() != net.network() {
        diags
            .error(Code::InvalidRange, format!("`{text}` is an address inside a range, not the range"))
            .at(place.value(), "")
            .help(format!("the range is `{}`", net.trunc()));
        return None;
    }
    Some(net)
}

/// An IPv4 address as written.
pub(super) fn ipv4(what: &str, text: &str, place: Place<'_>, diags: &mut Diagnostics) -> Option<Ipv4Addr> {
    let ip = text.parse().ok();
    if ip.is_none() {
        diags
            .error(Code::InvalidAddress, format!("`{text}` cannot be {what}"))
            .at(place.value(), "")
            .help("an IPv4 address: `10.0.0.53`");
    }
    ip
}

/// Whether two ranges share an address.
pub(crate) fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// Reports ranges of one cluster that overlap.
pub(super) fn overlapping(cluster: &str, ranges: &[(&'static str, IpNet, Span)], diags: &mut Diagnostics) {
    for (index, (what, range, span)) in ranges.iter().enumerate() {
        if let Some((other, first, at)) = ranges[..index].iter().find(|it| overlap(&it.1, range)) {
            diags
                .error(
                    Code::OverlappingRanges,
                    format!("in `{cluster}` the ranges {first} of {other} and {range} of {what} overlap"),
                )
                .at(*span, "this range")
                .context(*at, "and this one")
                .help("a cluster cannot tell their addresses apart; copy the ranges it was made with");
        }
    }
}
