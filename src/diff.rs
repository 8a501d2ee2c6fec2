//! `diff`: what clusters have against what they would have, object by object, and what it means.
//!
//! ```text
//! Side + Side --compare--> Report --human, markdown, json--> text
//! ```
//!
//! A [`Side`] is a tree of files, whoever wrote it, or what a topology is compiled to. What stands in another
//! file, or is spelled in another way, is no difference; nor is a comment. What a change means is told in
//! [`meaning`].

mod changes;
mod fields;
mod human;
mod json;
mod lines;
mod lists;
mod markdown;
mod meaning;
mod object;
mod pods;
mod sections;
mod side;
mod story;
mod words;

pub(crate) use meaning::renamed_untold;
pub(crate) use pods::variables;

use indexmap::IndexSet;
use rayon::prelude::*;
use serde::Serialize;

pub use crate::trees::{File, Files, KUSTOMIZATIONS, Unreadable};
pub use changes::{ClusterChange, FileChange, ObjectChange, Presence, Use, What};
pub use fields::{Change, Field};
pub use human::human;
pub use json::json;
pub use markdown::markdown;
pub use meaning::{
    AddressChange, Between, Broken, CallChange, Called, Caller, Declared, Meaning, Paths, Restart, Route,
    ServiceChange, Step,
};
pub use object::Header;
pub use pods::Variable;
pub use sections::Summary;
pub use side::Side;

/// All that differs.
#[derive(Debug)]
pub struct Report {
    /// What was compared with what.
    pub sides: [String; 2],
    /// The clusters that differ: those of the new side in its order, then those that are gone.
    pub clusters: Vec<ClusterChange>,
    /// What it means.
    pub meaning: Meaning,
    /// Clusters that are not compared, for on one side they wait for an address.
    pub left_out: Vec<LeftOut>,
    /// What was not looked at.
    pub notes: Vec<String>,
}

/// A cluster that cannot be compared yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// Its name.
    pub cluster: String,
    /// The side on which it waits.
    pub side: String,
    /// What it waits for.
    pub waits_for: Vec<String>,
}

impl Report {
    /// Whether there is nothing to tell apart.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty()
    }
}

/// Compares two sides; of what differs, tells of these clusters only, or of all if none are named.
///
/// # Errors
/// When an object cannot be read.
pub fn compare(mut old: Side, mut new: Side, only: &[String]) -> Result<Report, Unreadable> {
    let is_meant = |cluster: &str| only.is_empty() || only.iter().any(|it| it == cluster);
    align(&mut old, &mut new);
    let waiting: IndexSet<&String> = old.waits.keys().chain(new.waits.keys()).collect();
    let names: IndexSet<&String> = new.clusters.keys().chain(old.clusters.keys()).collect();
    let names: Vec<&String> = names.into_iter().filter(|it| !waiting.contains(*it)).collect();
    let clusters: Vec<_> = names
        .into_par_iter()
        .map(|name| changes::of_cluster(name, old.clusters.get(name), new.clusters.get(name)))
        .collect();
    // Of several mistakes the first by order is told, not the first by chance.
    let mut clusters: Vec<ClusterChange> =
        clusters.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?;
    let meaning = meaning::of(&old, &new, &clusters, is_meant);
    clusters.retain(|it| is_meant(&it.name));
    let left_out = [&old, &new].into_iter().flat_map(|side| {
        side.waits.iter().filter(|it| is_meant(it.0)).map(|(cluster, waits)| LeftOut {
            cluster: cluster.clone(),
            side: side.name.clone(),
            waits_for: waits.iter().map(|it| it.what.clone()).collect(),
        })
    });
    let notes = [&old, &new]
        .into_iter()
        .flat_map(|side| side.clusters.iter().filter(|it| is_meant(it.0)).flat_map(|(_, it)| it.notes.clone()));
    Ok(Report {
        left_out: left_out.collect(),
        notes: notes.collect::<IndexSet<_>>().into_iter().collect(),
        sides: [old.name, new.name],
        clusters,
        meaning,
    })
}

/// The folder of one cluster is compared with that cluster only; two such folders with one another.
fn align(old: &mut Side, new: &mut Side) {
    let alone = |side: &Side| side.alone.then(|| side.clusters.keys().next().cloned()).flatten();
    match (alone(old), alone(new)) {
        (Some(before), Some(after)) if before != after => {
            let cluster = old.clusters.swap_remove(&before).expect("it is the only one");
            old.clusters.insert(after, cluster);
        }
        (Some(name), None) => new.restrict(&[name]),
        (None, Some(name)) => old.restrict(&[name]),
        _ => {}
    }
}
