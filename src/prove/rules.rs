//! `DestinationRule`s: which a viewer applies to a host, and their subsets.

use std::sync::Arc;

use serde_yaml::Value;

use super::cluster::Cluster;
use super::object::{Object, Place};
use super::service::{Known, Viewer, not_exported, whole};
use super::value::{at, list, number, word, words};
use crate::topology::ROOT_NAMESPACE;

/// Each `DestinationRule` that a viewer applies to a host: of its own namespace, of the host's, or of the root.
pub(super) fn rules<'a>(viewer: &Viewer<'a>, known: &Known<'a>) -> Vec<&'a Arc<Object>> {
    let cluster = viewer.cluster;
    let all = cluster.about("DestinationRule", &known.host);
    let is_of_root = viewer.namespace == ROOT_NAMESPACE;
    for (turn, namespace) in [viewer.namespace.as_str(), known.namespace(), ROOT_NAMESPACE].into_iter().enumerate() {
        // Rules of the root namespace are for everybody, so a gateway there asks for them last. It asks first for
        // those that are for itself alone, which nobody does before 1.8.
        let is_asked = |it: &Object| match turn {
            _ if !is_of_root => true,
            0 => cluster.istio.minor >= 8 && is_private(cluster, it),
            _ => !is_private(cluster, it),
        };
        let seen: Vec<_> = all
            .iter()
            .filter(|it| it.id.namespace == namespace && not_exported(cluster, it, &viewer.namespace).is_none())
            .filter(|it| is_asked(it))
            .copied()
            .collect();
        if let Some(first) = seen.first() {
            // Those of the same host are merged; a wildcard is for what nothing more precise is about.
            let host = |it: &Object| whole(word(&it.value, &["spec", "host"]), &it.id.namespace);
            let wanted = host(first);
            return seen.into_iter().filter(|it| host(it) == wanted).collect();
        }
    }
    Vec::new()
}

/// The subset of a host, and its rule.
pub(super) fn subset<'a>(rules: &[&'a Arc<Object>], name: &str) -> Option<(&'a Value, Place)> {
    rules.iter().find_map(|rule| {
        let subsets = list(&rule.value, &["spec", "subsets"]);
        let index = subsets.iter().position(|it| word(it, &["name"]) == name)?;
        Some((&subsets[index], Place::new(rule, &["spec", "subsets", &index.to_string()])))
    })
}

/// The names of the subsets of a host.
pub(super) fn subsets(rules: &[&Arc<Object>]) -> Vec<String> {
    let all = rules.iter().flat_map(|it| list(&it.value, &["spec", "subsets"]));
    all.map(|it| word(it, &["name"]).to_owned()).collect()
}

/// Whether a rule is for its own namespace alone.
fn is_private(cluster: &Cluster, rule: &Object) -> bool {
    let default = cluster.install.mesh(&["defaultDestinationRuleExportTo"]).map(|it| it.0);
    let to = at(&rule.value, &["spec", "exportTo"]).or(default);
    let to: Vec<&str> = to.iter().flat_map(|it| words(it, &[])).collect();
    !to.is_empty() && to.iter().all(|it| *it == "." || *it == rule.id.namespace)
}

/// What says that a host is spoken to as whoever calls it speaks, if anything does.
pub(super) fn as_spoken(viewer: &Viewer<'_>, known: &Known<'_>, port: u16) -> Option<Place> {
    // Before 1.10, the sidecar of the server is not told.
    if viewer.cluster.istio.minor < 10 {
        return None;
    }
    let policies = rules(viewer, known).into_iter().map(|it| Place::new(it, &["spec", "trafficPolicy"]));
    let policy = policies.into_iter().find(|it| it.value().is_some())?;
    let said = of_port(&policy, port).below(&["connectionPool", "http", "useClientProtocol"]);
    (said.value() == Some(&Value::Bool(true))).then_some(said)
}

/// What a policy says for a port; what a port does not say is not taken from the whole.
pub(super) fn of_port(policy: &Place, port: u16) -> Place {
    let all = policy.value().map_or(&[][..], |it| list(it, &["portLevelSettings"]));
    match all.iter().position(|it| number(it, &["port", "number"]) == Some(port)) {
        Some(index) => policy.below(&["portLevelSettings", &index.to_string()]),
        None => policy.clone(),
    }
}
