//! `shares`: a route while clusters come to a service, or go from it.

use std::collections::BTreeSet;

use serde_yaml::Value;

use super::Object;
use crate::yaml;

/// A route that leads to shares of its host, with none for these clusters: the largest other has theirs.
///
/// Endpoints reach an Envoy before or after the route that leads to them. As long as a share is nothing, that is
/// one to nobody. Where no other is left, the route stays as it is.
pub(super) fn without(route: &Object, clusters: &BTreeSet<String>) -> Object {
    let mut value = route.value.clone();
    for kind in ["http", "tcp", "tls"] {
        let ways = value.get_mut("spec").and_then(|it| it.get_mut(kind)).and_then(Value::as_sequence_mut);
        for way in ways.into_iter().flatten() {
            if let Some(ends) = way.get_mut("route").and_then(Value::as_sequence_mut) {
                give_up(ends, clusters);
            }
        }
    }
    if value == route.value {
        return route.clone();
    }
    Object { path: route.path.clone(), text: yaml::to_string(&value), value }
}

fn give_up(ends: &mut [Value], clusters: &BTreeSet<String>) {
    let weight = |it: &Value| it["weight"].as_u64().unwrap_or_default();
    let moves = |it: &Value| it["destination"]["subset"].as_str().is_some_and(|it| clusters.contains(it));
    let given: u64 = ends.iter().filter(|it| moves(it)).map(weight).sum();
    let largest =
        (0..ends.len()).filter(|at| !moves(&ends[*at])).max_by_key(|at| (weight(&ends[*at]), usize::MAX - at));
    let Some(largest) = largest.filter(|at| weight(&ends[*at]) > 0) else { return };
    for (at, end) in ends.iter_mut().enumerate() {
        if moves(end) {
            end["weight"] = 0.into();
        } else if at == largest {
            end["weight"] = (weight(end) + given).into();
        }
    }
}
