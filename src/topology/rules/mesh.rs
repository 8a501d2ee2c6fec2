//! Rules of what holds for all clusters: the suffix, the trust domain, the range of virtual IPs.

use ipnet::{IpNet, Ipv4Net};

use super::{addresses, names};
use crate::diag::{Code, Diagnostics};
use crate::syntax::{MeshSpec, Place};
use crate::topology::Mesh;

/// Checks the suffix, the trust domain and the range.
pub(in crate::topology) fn resolve(spec: &MeshSpec, place: Place<'_>, diags: &mut Diagnostics) -> Mesh {
    let suffix = spec.suffix.clone().unwrap_or_else(|| "global".into());
    // A wrong suffix was reported; what depends on it is looked at with one that is right.
    let suffix = if self::suffix(&suffix, place.get("suffix"), diags) { suffix } else { "global".to_owned() };
    let trust_domain = spec.trust_domain.clone().unwrap_or_else(|| "cluster.local".into());
    names::dns_name("a trust domain", &trust_domain, false, place.get("trustDomain"), diags);
    let range_place = place.get("virtualIPs");
    let default = Ipv4Net::new_assert([240, 0, 0, 0].into(), 16);
    let virtual_range = match spec.virtual_ips.as_deref().map(|text| addresses::range(text, range_place, diags)) {
        None | Some(None) => default,
        Some(Some(IpNet::V4(net))) if net.prefix_len() <= 28 => usable(net, range_place, diags),
        Some(Some(net)) => {
            diags
                .error(Code::InvalidRange, format!("virtual IPs cannot be taken from `{net}`"))
                .at(range_place.value(), "")
                .help("a range of IPv4 with at least 16 addresses that nothing routes: `240.0.0.0/16`");
            default
        }
    };
    Mesh { suffix, trust_domain, virtual_range, virtual_range_at: range_place.value() }
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

/// A range of virtual IPs must be one that a sidecar can capture and nothing else means.
fn usable(net: Ipv4Net, place: Place<'_>, diags: &mut Diagnostics) -> Ipv4Net {
    let istio = Ipv4Net::new_assert([240, 240, 0, 0].into(), 16);
    let reserved = [
        (Ipv4Net::new_assert([0, 0, 0, 0].into(), 8), "has no meaning as a destination"),
        (Ipv4Net::new_assert([127, 0, 0, 0].into(), 8), "is loopback: a sidecar takes it for itself"),
        (Ipv4Net::new_assert([169, 254, 0, 0].into(), 16), "is link-local"),
        (Ipv4Net::new_assert([224, 0, 0, 0].into(), 4), "is multicast: pods have no route for it"),
        (istio, "is where Istio itself allocates"),
    ];
    if let Some((_, reason)) = reserved.iter().find(|(it, _)| it.contains(&net) || (net.contains(it) && *it != istio)) {
        diags
            .error(Code::InvalidRange, format!("virtual IPs cannot be taken from `{net}`: it {reason}"))
            .at(place.value(), "")
            .help("`240.0.0.0/16` is reserved, routed by nobody and captured by sidecars");
    }
    net
}
