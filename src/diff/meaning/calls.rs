//! Declared calls that are new, gone, or take another way.

use indexmap::IndexMap;
use serde::Serialize;

use super::shared;
use crate::prove::{Call, Caller, World};

/// What became of a declared call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallChange {
    /// Which call.
    #[serde(flatten)]
    pub call: Called,
    /// The clusters of the caller in which this holds.
    pub clusters: Vec<String>,
    /// How it went; `None` if it is new.
    pub old: Option<Route>,
    /// How it goes; `None` if it is gone.
    pub new: Option<Route>,
}

/// Who calls whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Called {
    /// The key of the service or of the ingress that calls.
    pub caller: String,
    /// Whether it is an ingress.
    pub ingress: bool,
    /// The key of the service that is called.
    pub callee: String,
}

/// How a call goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// The host and the port that are called.
    pub address: String,
    /// Who answers, and through which gateway: `west via 203.0.113.20:15443`; or where it ends, and why.
    pub path: String,
    /// Whether somebody answers.
    pub answered: bool,
}

/// Who calls whom in a call.
pub(super) fn called(call: &Call) -> Called {
    let (caller, ingress) = match &call.caller {
        Caller::Service(key) => (key.clone(), false),
        Caller::Ingress(key) => (key.clone(), true),
    };
    Called { caller, ingress, callee: call.callee.clone() }
}

/// What became of the calls of some clusters.
pub(super) fn changes(old: &World, new: &World, is_meant: impl Fn(&str) -> bool) -> Vec<CallChange> {
    let mut all = Vec::new();
    let gone = old.clusters().filter(|it| new.calls_of(it).is_empty());
    for cluster in new.clusters().chain(gone).filter(|it| is_meant(it)) {
        let (before, after) = (by_callee(old.calls_of(cluster)), by_callee(new.calls_of(cluster)));
        let gone = before.keys().filter(|it| !after.contains_key(*it));
        for called in after.keys().chain(gone) {
            for (was, is) in pairs(before.get(called), after.get(called)) {
                let (was, is) = (was.map(|it| route(old, it)), is.map(|it| route(new, it)));
                if was != is {
                    all.push(((called.clone(), was, is), cluster.to_owned()));
                }
            }
        }
    }
    shared(all.into_iter(), |it| format!("{it:?}"))
        .into_iter()
        .map(|((call, old, new), clusters)| CallChange { call, clusters, old, new })
        .collect()
}

fn by_callee(calls: &[Call]) -> IndexMap<Called, Vec<&Call>> {
    let mut by_callee: IndexMap<Called, Vec<&Call>> = IndexMap::new();
    for call in calls {
        by_callee.entry(called(call)).or_default().push(call);
    }
    by_callee
}

/// Which call was which: the one to the same port, or the next that is left.
fn pairs<'a>(old: Option<&Vec<&'a Call>>, new: Option<&Vec<&'a Call>>) -> Vec<(Option<&'a Call>, Option<&'a Call>)> {
    let mut left: Vec<&Call> = old.cloned().unwrap_or_default();
    let mut pairs = Vec::new();
    let mut rest = Vec::new();
    for call in new.into_iter().flatten() {
        match left.iter().position(|it| it.port == call.port) {
            Some(at) => pairs.push((Some(left.remove(at)), Some(*call))),
            None => rest.push(*call),
        }
    }
    let mut left = left.into_iter();
    pairs.extend(rest.into_iter().map(|it| (left.next(), Some(it))));
    pairs.extend(left.map(|it| (Some(it), None)));
    pairs
}

fn route(world: &World, call: &Call) -> Route {
    let (path, answered) = match world.follow(call) {
        Ok(path) => (path.to_string(), true),
        Err(stopped) => (stopped.broken.to_string(), false),
    };
    Route { address: format!("{}:{}", call.host, call.port), path, answered }
}
