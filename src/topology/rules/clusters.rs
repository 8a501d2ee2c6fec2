//! Rules of a cluster: its releases, gateway, ranges, locality, add-ons.

use std::collections::BTreeMap;

use super::references::element;
use super::{addresses, dns, gateways, names, trust};
use crate::diag::{Code, Diagnostics, nearest};
use crate::inputs::Inputs;
use crate::source::Span;
use crate::syntax::{ClusterSpec, Installer, Place, RangesSpec, TopologySpec};
use crate::target::{self, Crossing, InstallFormat, Istio, Release};
use crate::topology::{Cluster, IngressGateway, Mesh, ROOT_NAMESPACE, Ranges};

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
    let mut networks: BTreeMap<String, (String, Span)> = BTreeMap::new();
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
                installer: installer(cluster, target, place, diags),
                network: network(name, cluster, target, place, &mut networks, diags),
                trust_domain: trust_domain(cluster, mesh, target, place, diags),
                kubernetes,
                gateway: gateways::resolve(name, spec, inputs, target, root, diags),
                dns: dns::resolve(name, cluster, mesh, target, &ranges, inputs, place, diags),
                ranges,
                locality: locality(cluster, place, diags),
                addons,
                egress_gateway: cluster.egress_gateway,
                ingress_gateway: ingress_gateway(cluster, place, diags),
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
const STAND_IN: &Istio = target::RELEASES[target::RELEASES.len() - 1];

fn releases(name: &str, cluster: &ClusterSpec, place: Place<'_>, diags: &mut Diagnostics) -> (Release, &'static Istio) {
    let at = place.get("istio");
    let Some((release, 3)) = Release::parse(&cluster.istio) else {
        let example = Release::parse(&cluster.istio)
            .and_then(|(it, _)| target::RELEASES.into_iter().find(|known| known.minor == it));
        let example =
            example.map_or_else(|| "1.30.3".to_owned(), |it| format!("{}.{}", it.line(), it.patches.1.min(5)));
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
    if release.line() > target.minor {
        diags
            .warning(
                Code::NewerIstio,
                format!("Istio {release} is newer than what this compiler knows, which ends at {}", target.line()),
            )
            .at(at.value(), "")
            .help(format!(
                "the bundle is written as for {}; see the release notes for what has changed since",
                target.line()
            ));
    }
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
    if target.refused_by.is_some_and(|it| release.line() >= it) {
        diags
            .error(Code::UnsupportedKubernetes, format!("Istio {istio} cannot be installed on Kubernetes {written}"))
            .at(place.value(), format!("`{cluster}`"))
            .help("Kubernetes 1.22 no longer serves the v1beta1 CRDs and webhooks that this release is made of")
            .help(tested);
    } else if let Some(needed) = target.needs_kubernetes.filter(|it| release.line() < *it) {
        diags
            .error(Code::UnsupportedKubernetes, format!("Istio {istio} cannot be installed on Kubernetes {written}"))
            .at(place.value(), format!("`{cluster}`"))
            .help(format!(
                "its charts have objects of `autoscaling/v2`, which Kubernetes {}.{} is the first to serve",
                needed.major, needed.minor
            ))
            .help(tested);
    } else if release.line() < first || release.line() > last {
        diags
            .warning(Code::UntestedKubernetes, format!("Istio {istio} was not tested on Kubernetes {written}"))
            .at(place.value(), "")
            .help(tested);
    }
}

/// What installs Istio; the old line knows one way each.
fn installer(cluster: &ClusterSpec, target: &Istio, place: Place<'_>, diags: &mut Diagnostics) -> Installer {
    let only = match target.install {
        InstallFormat::Chosen => return cluster.install.unwrap_or(Installer::Istioctl),
        InstallFormat::HelmValues => (Installer::Helm, "helm"),
        InstallFormat::IstioOperator { .. } => (Installer::Istioctl, "istioctl"),
    };
    if cluster.install.is_some_and(|it| it != only.0) {
        diags
            .error(Code::FieldNotInRelease, format!("Istio {} is installed with `{}` only", target.line(), only.1))
            .at(place.get("install").value(), "")
            .help("leave `install` out");
    }
    only.0
}

/// The name of a cluster's network, which is its own: endpoints of another network lie behind a
/// gateway, and a gateway does not see them.
fn network(
    name: &str,
    cluster: &ClusterSpec,
    target: &Istio,
    place: Place<'_>,
    seen: &mut BTreeMap<String, (String, Span)>,
    diags: &mut Diagnostics,
) -> String {
    let at = place.get("network");
    if let Some(network) = &cluster.network {
        if target.crossing == Crossing::Rewrite {
            not_in_release(target, "network", at, diags);
        }
        names::label("network", network, at, diags);
    }
    let network = cluster.network.clone().unwrap_or_else(|| name.to_owned());
    let span = if cluster.network.is_some() { at.value() } else { place.key() };
    if let Some((other, first)) = seen.insert(network.clone(), (name.to_owned(), span)) {
        diags
            .error(Code::SharedNetwork, format!("`{other}` and `{name}` are both on the network `{network}`"))
            .at(span, "here again")
            .context(first, "first here")
            .help("their gateways would pass calls back and forth; leave `network` out, each cluster then has its own");
    }
    network
}

/// The trust domain of a cluster.
fn trust_domain(
    cluster: &ClusterSpec,
    mesh: &Mesh,
    target: &Istio,
    place: Place<'_>,
    diags: &mut Diagnostics,
) -> String {
    let Some(own) = &cluster.trust_domain else { return mesh.trust_domain.clone() };
    let at = place.get("trustDomain");
    if target.crossing == Crossing::Rewrite {
        not_in_release(target, "trustDomain", at, diags);
    }
    names::dns_name("a trust domain", own, false, at, diags);
    own.clone()
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
    if target.crossing == Crossing::Passthrough && cluster.egress_gateway {
        diags
            .error(Code::FieldNotInRelease, format!("Istio {line} needs no egress gateway to leave the cluster"))
            .at(place.get("egressGateway").key(), "")
            .help("leave `egressGateway` out");
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

fn ingress_gateway(cluster: &ClusterSpec, place: Place<'_>, diags: &mut Diagnostics) -> IngressGateway {
    let place = place.get("ingress");
    let own = || std::iter::once(("istio".to_owned(), "ingressgateway".to_owned())).collect();
    let Some(ingress) = &cluster.ingress else {
        let namespace = ROOT_NAMESPACE.to_owned();
        return IngressGateway { selector: own(), namespace, service_account: None, installed: true };
    };
    if place.find("selector").is_some() && ingress.selector.is_empty() {
        diags
            .error(Code::InvalidIngress, "an empty selector takes every pod for an ingress gateway")
            .at(place.get("selector").key(), "")
            .help("leave `ingress` out to use Istio's own gateway: `istio: ingressgateway`");
    }
    names::labels(&ingress.selector, place.get("selector"), diags);
    if let Some(namespace) = &ingress.namespace {
        names::label("Namespace", namespace, place.get("namespace"), diags);
    }
    if let Some(account) = &ingress.service_account {
        names::label("ServiceAccount", account, place.get("serviceAccount"), diags);
    }
    let selector = if ingress.selector.is_empty() { own() } else { ingress.selector.clone() };
    // Istio's own gateway, unless somebody else's is described.
    let installed = ingress.namespace.is_none() && selector == own();
    IngressGateway {
        installed,
        selector,
        namespace: ingress.namespace.clone().unwrap_or_else(|| ROOT_NAMESPACE.to_owned()),
        service_account: ingress.service_account.clone(),
    }
}

/// A field that only newer releases can serve.
pub(super) fn not_in_release(target: &Istio, field: &str, place: Place<'_>, diags: &mut Diagnostics) {
    diags
        .error(Code::FieldNotInRelease, format!("Istio {} cannot do what `{field}` asks for", target.line()))
        .at(place.key(), "")
        .help("Istio 1.22 and newer can; leave it out for this cluster");
}
