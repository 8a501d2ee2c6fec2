//! Rules of what holds for all clusters: the suffix, the trust domain, the range of virtual IPs.

use ipnet::{IpNet, Ipv4Net};

use super::{addresses, names, references::element};
use crate::diag::{Code, Diagnostics};
use crate::source::Span;
use crate::syntax::{Authorization, GatewayAddresses, MeshSpec, Names, Outbound, Place, Scope};
use crate::topology::{ISTIO_RANGES, Mesh};

/// Checks the suffix, the trust domain and the range.
pub(in crate::topology) fn resolve(spec: &MeshSpec, place: Place<'_>, diags: &mut Diagnostics) -> Mesh {
    let suffix = spec.suffix.clone().unwrap_or_else(|| "global".into());
    // A wrong suffix was reported; what depends on it is looked at with one that is right.
    let suffix = if self::suffix(&suffix, place.get("suffix"), diags) { suffix } else { "global".to_owned() };
    let trust_domain = spec.trust_domain.clone().unwrap_or_else(|| "cluster.local".into());
    names::dns_name("a trust domain", &trust_domain, false, place.get("trustDomain"), diags);
    Mesh {
        suffix,
        trust_domain,
        virtual_ranges: virtual_ranges(spec, place.get("virtualIPs"), diags),
        names: spec.names.unwrap_or(Names::Global),
        scope: spec.scope.unwrap_or(Scope::Declared),
        outbound: spec.outbound.unwrap_or(Outbound::AllowAny),
        authorization: spec.authorization.unwrap_or(Authorization::Anybody),
        gateway_addresses: spec.gateway_addresses.unwrap_or(GatewayAddresses::Inline),
    }
}

/// The ranges of virtual IPs, IPv4 first; the default if none is written or none is right.
fn virtual_ranges(spec: &MeshSpec, place: Place<'_>, diags: &mut Diagnostics) -> Vec<(IpNet, Span)> {
    let mut ranges: Vec<(IpNet, Span)> = Vec::new();
    for (index, text) in spec.virtual_ips.0.iter().enumerate() {
        let at = element(place, index);
        let Some(range) = addresses::range(text, at, diags) else { continue };
        let room = range.max_prefix_len() - range.prefix_len();
        if room < 4 {
            diags
                .error(Code::InvalidRange, format!("virtual IPs cannot be taken from `{range}`"))
                .at(at.value(), "")
                .help("a range with at least 16 addresses that nothing routes: `240.0.0.0/16`, `fd00:240::/64`");
        } else if let Some((first, first_at)) = ranges.iter().find(|it| same_family(it.0, range)) {
            diags
                .error(
                    Code::InvalidRange,
                    format!("virtual IPs are taken from two ranges of one family, {first} and {range}"),
                )
                .at(at.value(), "the second")
                .context(*first_at, "the first")
                .help("one range of IPv4, one of IPv6, or one of each");
        } else {
            usable(range, at, diags);
            ranges.push((range, at.value()));
        }
    }
    ranges.sort_by_key(|it| it.0.max_prefix_len());
    if ranges.is_empty() {
        ranges.push((Ipv4Net::new_assert([240, 0, 0, 0].into(), 16).into(), place.value()));
    }
    ranges
}

fn same_family(a: IpNet, b: IpNet) -> bool {
    a.max_prefix_len() == b.max_prefix_len()
}

fn suffix(suffix: &str, place: Place<'_>, diags: &mut Diagnostics) -> bool {
    if !names::dns_name("the suffix", suffix, false, place, diags) {
        return false;
    }
    let kubernetes = ["cluster.local", "svc", "local", "localhost"];
    if kubernetes.contains(&suffix) || suffix.ends_with(".cluster.local") {
        diags
            .error(
                Code::ReservedSuffix,
                format!("`{suffix}` cannot be the suffix: names under it are resolved already"),
            )
            .at(place.value(), "")
            .help("take a name that nothing else uses: `mesh.internal`, or `global` as Istio's charts do");
        return false;
    }
    true
}

/// Where no virtual IP can lie, and why.
const RESERVED: [(&str, &str); 9] = [
    ("0.0.0.0/8", "has no meaning as a destination"),
    ("127.0.0.0/8", "is loopback: a sidecar takes it for itself"),
    ("169.254.0.0/16", "is link-local"),
    ("224.0.0.0/4", "is multicast: pods have no route for it"),
    (ISTIO_RANGES[0], "is where Istio itself allocates"),
    ("::/16", "has no meaning as a destination"),
    ("fe80::/10", "is link-local"),
    ("ff00::/8", "is multicast: pods have no route for it"),
    (ISTIO_RANGES[1], "is where Istio itself allocates"),
];

/// A range of virtual IPs must be one that a sidecar can capture and nothing else means.
fn usable(net: IpNet, place: Place<'_>, diags: &mut Diagnostics) {
    let parsed = |text: &str| text.parse::<IpNet>().expect("a range written above");
    // Istio's own range may be a part: those addresses are left out.
    let meets = |text: &str| {
        let reserved = parsed(text);
        reserved.contains(&net) || net.contains(&reserved) && !ISTIO_RANGES.contains(&text)
    };
    if let Some((_, reason)) = RESERVED.iter().find(|it| meets(it.0)) {
        diags
            .error(Code::InvalidRange, format!("virtual IPs cannot be taken from `{net}`: it {reason}"))
            .at(place.value(), "")
            .help("`240.0.0.0/16` is reserved, routed by nobody and captured by sidecars");
    }
}
