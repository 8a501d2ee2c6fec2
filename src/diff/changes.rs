//! `ClusterChange`: what differs in one cluster.

use indexmap::{IndexMap, IndexSet};
use serde::Serialize;
use similar::TextDiff;

use super::Unreadable;
use super::fields::{self, Field};
use super::object::{self, Header, Object, ObjectId};
use super::pods::{self, Rollout};
use crate::bundle;
use crate::trees::Cluster;

/// A cluster that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterChange {
    /// Its name.
    pub name: String,
    /// Whether it is on both sides.
    pub presence: Presence,
    /// Its objects that differ, in the order of their files.
    pub objects: Vec<ObjectChange>,
    /// Its files that are not applied and differ.
    pub files: Vec<FileChange>,
    /// Pods that are replaced.
    pub(super) rollouts: Vec<Rollout>,
}

/// On which sides a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Presence {
    /// On both.
    Changed,
    /// On the new side.
    Added,
    /// On the old side.
    Removed,
}

/// An object that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObjectChange {
    /// Which object: as it is now, or was last.
    #[serde(flatten)]
    pub header: Header,
    /// What became of it.
    #[serde(flatten)]
    pub what: What,
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "camelCase")]
pub enum What {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is not the same.
    Changed {
        /// Where; never empty.
        fields: Vec<Field>,
    },
}

/// A file that nobody applies and that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileChange {
    /// Its path in the cluster's folder.
    pub path: String,
    /// `added`, `removed` or `changed`.
    pub change: Presence,
    /// What it is for.
    pub usage: Use,
    /// The lines that differ, as `diff -u` writes them, of what somebody runs; empty of other files.
    pub diff: String,
}

/// What a file that is not applied is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Use {
    /// Somebody runs it, or hands it to a tool: it takes no effect by itself.
    ByHand,
    /// Somebody reads it.
    Reading,
    /// kustomize does more with it than to apply what it lists.
    Kustomization,
}

/// What differs in a cluster, if anything does.
pub(super) fn of_cluster(
    name: &str,
    old: Option<&Cluster>,
    new: Option<&Cluster>,
) -> Result<Option<ClusterChange>, Unreadable> {
    let nothing = Cluster::default();
    let presence = match (old, new) {
        (None, _) => Presence::Added,
        (_, None) => Presence::Removed,
        _ => Presence::Changed,
    };
    let (old, new) = (old.unwrap_or(&nothing), new.unwrap_or(&nothing));
    let in_tree = |error: Unreadable| Unreadable { file: format!("{name}/{}", error.file), ..error };
    let (objects, rollouts) = objects(old, new).map_err(in_tree)?;
    let files = files(old, new);
    let differs = presence != Presence::Changed || !objects.is_empty() || !files.is_empty();
    Ok(differs.then(|| ClusterChange { name: name.to_owned(), presence, objects, files, rollouts }))
}

fn objects(old: &Cluster, new: &Cluster) -> Result<(Vec<ObjectChange>, Vec<Rollout>), Unreadable> {
    // What stands in a file that is the same on both sides is the same.
    let read = |of: &Cluster, other: &Cluster| -> Result<IndexMap<ObjectId, Object>, Unreadable> {
        let mut objects = IndexMap::new();
        for (path, text) in of.applied.iter().filter(|(path, text)| other.applied.get(*path) != Some(text)) {
            objects.extend(object::read(path, text)?);
        }
        Ok(objects)
    };
    let (old, new) = (read(old, new)?, read(new, old)?);
    let ids: IndexSet<&ObjectId> = new.keys().chain(old.keys()).collect();
    let mut rollouts = Vec::new();
    let mut changes: Vec<ObjectChange> = ids
        .into_iter()
        .filter_map(|id| {
            let (object, what) = match (old.get(id), new.get(id)) {
                (None, Some(new)) => (new, What::Added),
                (Some(old), None) => (old, What::Removed),
                (Some(old), Some(new)) if old.value != new.value => {
                    let [before, after] = object::without_secrets(&old.value, &new.value);
                    let fields = fields::differences(&before, &after);
                    rollouts.extend(pods::rollout(&new.header(), &old.value, &new.value, &fields));
                    (new, What::Changed { fields })
                }
                _ => return None,
            };
            Some(ObjectChange { header: object.header(), what })
        })
        .collect();
    changes.sort_by(|a, b| a.header.file.cmp(&b.header.file));
    Ok((changes, rollouts))
}

fn files(old: &Cluster, new: &Cluster) -> Vec<FileChange> {
    let mut changes = Vec::new();
    let paths: std::collections::BTreeSet<&String> = old.kept.keys().chain(new.kept.keys()).collect();
    for path in paths {
        let (before, after) = (old.kept.get(path), new.kept.get(path));
        if before == after {
            continue;
        }
        let usage = if bundle::is_by_hand(path) { Use::ByHand } else { Use::Reading };
        let diff = match (before, after) {
            (Some(before), Some(after)) if usage == Use::ByHand => unified(before, after),
            _ => String::new(),
        };
        changes.push(FileChange { path: path.clone(), change: presence(before, after), usage, diff });
    }
    let paths: std::collections::BTreeSet<&String> = old.transforms.keys().chain(new.transforms.keys()).collect();
    for path in paths {
        let (before, after) = (old.transforms.get(path), new.transforms.get(path));
        if before != after {
            // The file itself is on both sides, as far as anybody can tell.
            let change = Presence::Changed;
            changes.push(FileChange { path: path.clone(), change, usage: Use::Kustomization, diff: String::new() });
        }
    }
    changes
}

fn presence<T>(before: Option<&T>, after: Option<&T>) -> Presence {
    match (before, after) {
        (None, _) => Presence::Added,
        (_, None) => Presence::Removed,
        _ => Presence::Changed,
    }
}

/// The lines that differ with two around them; of what is no text there are none.
fn unified(before: &[u8], after: &[u8]) -> String {
    match (std::str::from_utf8(before), std::str::from_utf8(after)) {
        (Ok(before), Ok(after)) => lines(before, after),
        _ => String::new(),
    }
}

/// The lines in which two texts differ, as `diff -u` writes them, with two around them.
pub(super) fn lines(before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after).unified_diff().context_radius(2).missing_newline_hint(false).to_string()
}
