//! Rules of a cluster: its releases, gateway, ranges, locality, add-ons.

use super::{addresses, dns, names, ports, references::element, trust};
use crate::diag::{Code, Diagnostics, nearest};
use crate::inputs::{Inputs, Part};
use crate::syntax::{ClusterSpec, Place, RangesSpec, Short, TopologySpec};
use crate::target::{self, Istio, Release};
use crate::topology::{Address, Cluster, Gateway, Mesh, Ranges};

/// Checks every cluster. A broken one is left with what could be read, so that the ids stay right.
pub(in crate::topology) fn resolve(
    spec: &TopologySpec,
    mesh: &Mesh,
    root: Place<'_>,
    inputs: &Inputs,
    diags: &mut Diagnostics,
) -> Vec<Cluster> {
    given(spec, inputs, diags);
    let mut roots = trust::Roots::default();
    spec.clusters
        .iter()
        .map(|(name, cluster)| {
            let place = root.get("clusters").get(name);
            names::key_label("cluster", name, place, diags);
            let (istio, target) = releases(name, cluster, place, diags);
            let ranges = ranges(name, &cluster.ranges, place.get("ranges"), diags);
            let trust = trust::resolve(
                name,
                cluster.trust.as_ref(),
                &spec.mesh.trust,
                place,
                root.get("mesh"),
                &mut roots,
                diags,
            );
            let kubernetes = cluster.kubernetes.as_deref().and_then(Release::parse).map(|it| it.0);
            features(cluster, mesh, target, place, diags);
            let mut addons = cluster.addons.0.clone();
            addons.sort_unstable();
            addons.dedup();
            Cluster {
                name: name.clone(),
                at: place.key(),
                context: context(name, cluster, place, diags),
                istio,
                target,
                kubernetes,
                gateway: gateway(name, cluster, inputs, place, diags),
                dns: dns::resolve(name, cluster, mesh, target, &ranges, inputs, place, diags),
                ranges,
                locality: locality(cluster, place, diags),
                addons,
                egress_gateway: cluster.egress_gateway,
                ingress_selector: ingress_selector(cluster, place, diags),
                trust,
            }
        })
        .collect()
}

/// What was given from outside belongs to a cluster.
fn given(spec: &TopologySpec, inputs: &Inputs, diags: &mut Diagnostics) {
    let near = |name: &str| nearest(name, spec.clusters.keys().map(String::as_str));
    for (name, given) in inputs.required() {
        if spec.clusters.contains_key(name) {
            continue;
        }
        let cluster = name.split('.').next().unwrap_or(name);
        let near = if spec.clusters.contains_key(cluster) { None } else { near(cluster) };
        diags
            .error(
                Code::UnknownAddressName,
                format!("`{}` gives an address for `{name}`, which is no cluster of the topology", given.origin),
            )
            .help_if(near.map(|near| format!("a cluster with a similar name exists: `{near}`")))
            .help_if(name.contains('.').then(|| {
                let cluster = near.unwrap_or(cluster);
                format!("a name is a cluster, `{cluster}`, for its gateway, or `{cluster}.dns` for its DNS server")
            }));
    }
    for outputs in inputs.outputs() {
        if outputs.names.iter().any(|(_, cluster)| spec.clusters.contains_key(cluster)) {
            continue;
        }
        let meant = outputs.names.iter().find_map(|(name, cluster)| Some((name, near(cluster)?)));
        let first = spec.clusters.keys().next().map_or("east", String::as_str);
        diags
            .error(
                Code::UnknownAddressName,
                format!("`{}` gives no address: none of its outputs names a cluster", outputs.file),
            )
            .help(match meant {
                Some((name, near)) => format!("did you mean the cluster `{near}` with `{name}`?"),
                None => format!(
                    "call an output `{0}_gateway` or `{0}_dns`, or print a map of clusters called `gateways`",
                    first.replace('-', "_")
                ),
            });
    }
}

/// What stands in when the release is wrong; nothing is written for it.
const STAND_IN: &Istio = target::RELEASES[0];

fn releases(name: &str, cluster: &ClusterSpec, place: Place<'_>, diags: &mut Diagnostics) -> (Release, &'static Istio) {
    let at = place.get("istio");
    let Some((release, 3)) = Release::parse(&cluster.istio) else {
        let example = Release::parse(&cluster.istio)
            .and_then(|(it, _)| target::RELEASES.into_iter().find(|known| known.minor == it));
        let example = example.map_or_else(|| "1.5.2".to_owned(), |it| format!("{}.{}", it.line(), it.patches.1.min(5)));
        diags
            .error(Code::InvalidRelease, format!("`{}` is not an exact Istio release", cluster.istio))
            .at(at.value(), "")
            .help(format!("three numbers, for the install file depends on the last: `istio: \"{example}\"`"));
        return (STAND_IN.minor, STAND_IN);
    };
    let target = match target::find(release) {
        Ok(target) => target,
        Err(refusal) => {
            diags.error(Code::UnsupportedIstio, refusal.reason).at(at.value(), "").help(refusal.help);
            return (release, STAND_IN);
        }
    };
    if let Some(written) = &cluster.kubernetes {
        kubernetes(name, written, release, target, place.get("kubernetes"), diags);
    }
    (release, target)
}

fn kubernetes(cluster: &str, written: &str, istio: Release, target: &Istio, place: Place<'_>, diags: &mut Diagnostics) {
    let Some((release, _)) = Release::parse(written) else {
        diags
            .error(Code::InvalidRelease, format!("`{written}` is not a Kubernetes release"))
            .at(place.value(), "")
            .help("two numbers or three, quoted: `kubernetes: \"1.16\"`");
        return;
    };
    let (first, last) = target.tested_on;
    let tested = format!(
        "Istio {} was tested on {}.{} to {}.{}",
        target.line(),
        first.major,
        first.minor,
        last.major,
        last.minor
    );
    if release.line() >= target.refused_by {
        diags
            .error(Code::UnsupportedKubernetes, format!("Istio {istio} cannot be installed on Kubernetes {written}"))
            .at(place.value(), format!("`{cluster}`"))
            .help("Kubernetes 1.22 no longer serves the v1beta1 CRDs and webhooks that this release is made of")
            .help(tested);
    } else if release.line() < first || release.line() > last {
        diags
            .warning(Code::UntestedKubernetes, format!("Istio {istio} was not tested on Kubernetes {written}"))
            .at(place.value(), "")
            .help(tested);
    }
}

/// Things that only some releases can do.
fn features(cluster: &ClusterSpec, mesh: &Mesh, target: &Istio, place: Place<'_>, diags: &mut Diagnostics) {
    let line = target.line();
    if !cluster.addons.0.is_empty() && !target.addons {
        diags
            .error(Code::FieldNotInRelease, format!("Istio {line} no longer brings add-ons"))
            .at(place.get("addons").key(), "")
            .help("install them from `samples/addons` of the release, and leave `addons` out");
    }
    if mesh.suffix != "global" && !target.any_suffix {
        diags
            .error(
                Code::FieldNotInRelease,
                format!("Istio {line} rewrites `.global` names only, not `.{}`", mesh.suffix),
            )
            .at(place.get("istio").value(), "this release")
            .help("take Istio 1.6 or newer, or leave `mesh.suffix` at `global`");
    }
    if cluster.dns.as_ref().is_some_and(|dns| dns.search) && target.search == target::Search::Ignored {
        diags
            .error(Code::FieldNotInRelease, format!("Istio {line} gives pods no search domains any more"))
            .at(place.get("dns").get("search").key(), "")
            .help("leave `search` out and call services by their full names");
    }
}

fn context(name: &str, cluster: &ClusterSpec, place: Place<'_>, diags: &mut Diagnostics) -> String {
    let context = cluster.context.clone().unwrap_or_else(|| name.to_owned());
    if !names::is_one_word_of_prose(&context) {
        diags
            .error(Code::InvalidName, "this cannot be the name of a kubectl context")
            .at(place.get("context").value(), "")
            .help("`kubectl config get-contexts` lists them");
    }
    context
}

fn ranges(name: &str, spec: &RangesSpec, place: Place<'_>, diags: &mut Diagnostics) -> Ranges {
    let mut all = Vec::new();
    for (what, list) in [("pods", &spec.pods), ("services", &spec.services), ("nodes", &spec.nodes)] {
        for (index, text) in list.0.iter().enumerate() {
            let place = element(place.get(what), index);
            if let Some(range) = addresses::range(text, place, diags) {
                all.push((what, range, place.value()));
            }
        }
    }
    addresses::overlapping(name, &all, diags);
    Ranges { all }
}

fn locality(cluster: &ClusterSpec, place: Place<'_>, diags: &mut Diagnostics) -> Option<String> {
    let locality = cluster.locality.clone()?;
    let part = |it: &str| {
        !it.is_empty()
            && it.len() <= 63
            && it.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    let parts: Vec<_> = locality.split('/').collect();
    if parts.len() > 3 || !parts.iter().all(|it| part(it)) {
        diags
            .error(Code::InvalidLocality, format!("`{locality}` is not a locality"))
            .at(place.get("locality").value(), "")
            .help("a region, or a region and a zone, or a third part: `us-central1/us-central1-b`");
        return None;
    }
    Some(locality)
}

fn ingress_selector(
    cluster: &ClusterSpec,
    place: Place<'_>,
    diags: &mut Diagnostics,
) -> indexmap::IndexMap<String, String> {
    let place = place.get("ingress").get("selector");
    match &cluster.ingress {
        Some(ingress) => {
            if ingress.selector.is_empty() {
                diags
                    .error(Code::InvalidIngress, "an empty selector takes every pod for an ingress gateway")
                    .at(place.key(), "")
                    .help("leave `ingress` out to use Istio's own gateway: `istio: ingressgateway`");
            }
            names::labels(&ingress.selector, place, diags);
            ingress.selector.clone()
        }
        None => std::iter::once(("istio".to_owned(), "ingressgateway".to_owned())).collect(),
    }
}

fn gateway(
    name: &str,
    cluster: &ClusterSpec,
    inputs: &Inputs,
    place: Place<'_>,
    diags: &mut Diagnostics,
) -> Option<Gateway> {
    let place = place.get("gateway");
    let given = inputs.get(name, Part::Gateway);
    let (text, spec) = match &cluster.gateway {
        Some(Short::Text(text)) => (Some(text.as_str()), None),
        Some(Short::Full(spec)) => (spec.address.as_deref(), Some(spec)),
        None => (None, None),
    };
    let place_of_address = place.get("address");
    let address = match (given, text) {
        (Some(given), _) => addresses::read(&given.address).or_else(|| {
            diags
                .error(
                    Code::InvalidAddressValue,
                    format!(
                        "`{}` gives `{}` as the gateway of `{name}`, which is no address",
                        given.origin, given.address
                    ),
                )
                .help(addresses::advice(&given.address));
            None
        })?,
        (None, Some(text)) => addresses::read(text).or_else(|| {
            diags
                .error(Code::InvalidAddress, format!("`{text}` is no address of a gateway"))
                .at(place_of_address.value(), "")
                .help(addresses::advice(text));
            None
        })?,
        (None, None) if spec.is_some() => {
            diags
                .error(Code::MissingField, format!("the gateway of `{name}` has no `address`"))
                .at(place.value(), "")
                .help("write `address: pending` until it is known");
            return None;
        }
        (None, None) => return None,
    };
    if let Address::Ip(ip) = address {
        // The file's own address, if it has one, is not to blame for that of an option.
        let (by, at) = match given {
            Some(given) => (format!(", given by `{}`,", given.origin), None),
            None => (String::new(), Some(place_of_address.value())),
        };
        if let Some(what) = addresses::unusable(ip) {
            diags
                .error(
                    Code::UnusableGateway,
                    format!("the gateway of `{name}`{by} is {ip}, {what}: no other cluster can reach it"),
                )
                .at_if(at)
                .help("take the address of the load balancer in front of `istio-ingressgateway`");
        } else if addresses::private(ip) {
            diags
                .warning(Code::PrivateGateway, format!("the gateway of `{name}`{by} has a private address, {ip}"))
                .at_if(at)
                .help("right if the clusters' networks are peered; if so, write `allow: [T0403]`");
        }
    }
    let port = |text: &Option<String>, field: &str, diags: &mut Diagnostics| {
        text.as_deref().and_then(|it| ports::number(it, place.get(field), diags))
    };
    let pin = spec.is_some_and(|it| it.pin);
    if pin && matches!(address, Address::Name(_)) {
        diags
            .error(Code::InvalidAddress, format!("the gateway of `{name}` cannot be pinned to a DNS name"))
            .at(place.get("pin").key(), "")
            .help("a cloud reserves IP addresses; leave `pin` out");
    }
    if let Some(spec) = spec
        && spec.port.is_some()
        && spec.node_port.is_some()
    {
        diags
            .error(Code::InvalidPort, format!("the gateway of `{name}` has a port and a node port"))
            .at(place.get("port").key(), "others connect to one of the two")
            .context(place.get("nodePort").key(), "the node port")
            .help("leave `port` out where nodes are reached directly");
    }
    Some(Gateway {
        address,
        port: spec.and_then(|it| port(&it.port, "port", diags)).unwrap_or(15443),
        node_port: spec.and_then(|it| port(&it.node_port, "nodePort", diags)),
        pin,
    })
}
