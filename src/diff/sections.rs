//! `Section`: what is the same in several clusters, told once for all of them.

use indexmap::IndexMap;
use serde::Serialize;

use super::Report;
use super::changes::{ClusterChange, FileChange, ObjectChange, Presence, Use, What};
use super::meaning::ServiceChange;
use super::words::count;

/// What happens in some clusters alike.
pub(super) struct Section<'a> {
    /// The clusters.
    pub(super) clusters: Vec<&'a str>,
    /// Whether they are on both sides.
    pub(super) presence: Presence,
    /// Objects; those to which the very same happens stand together.
    pub(super) objects: Vec<Vec<&'a ObjectChange>>,
    /// Files that are not applied.
    pub(super) files: Vec<&'a FileChange>,
}

/// What a change is, as far as it is the same in several clusters.
#[derive(Clone, Copy)]
enum Item<'a> {
    Object(&'a ObjectChange),
    File(&'a FileChange),
}

/// The sections, in the order in which their first change comes.
pub(super) fn sections(clusters: &[ClusterChange]) -> Vec<Section<'_>> {
    let mut items: IndexMap<(u8, String), (Item<'_>, Vec<usize>)> = IndexMap::new();
    for (index, cluster) in clusters.iter().enumerate() {
        let presence = cluster.presence as u8;
        let objects = cluster.objects.iter().map(|it| ((presence, format!("{it:?}")), Item::Object(it)));
        let files = cluster.files.iter().map(|it| ((presence, format!("{it:?}")), Item::File(it)));
        for (key, item) in objects.chain(files) {
            items.entry(key).or_insert_with(|| (item, Vec::new())).1.push(index);
        }
    }
    let mut sections: IndexMap<Vec<usize>, Vec<Item<'_>>> = IndexMap::new();
    for (item, of) in items.into_values() {
        sections.entry(of).or_default().push(item);
    }
    // A cluster may come or go with nothing in it.
    for (index, cluster) in clusters.iter().enumerate() {
        if cluster.objects.is_empty() && cluster.files.is_empty() {
            sections.entry(vec![index]).or_default();
        }
    }
    sections
        .into_iter()
        .map(|(of, items)| Section {
            presence: clusters[of[0]].presence,
            clusters: of.iter().map(|it| clusters[*it].name.as_str()).collect(),
            objects: alike(&items),
            files: items.iter().filter_map(|it| if let Item::File(file) = it { Some(*file) } else { None }).collect(),
        })
        .collect()
}

/// Objects that change, by how they change; each of the others by itself.
fn alike<'a>(items: &[Item<'a>]) -> Vec<Vec<&'a ObjectChange>> {
    let mut groups: IndexMap<String, Vec<&ObjectChange>> = IndexMap::new();
    for (index, item) in items.iter().enumerate() {
        let Item::Object(object) = item else { continue };
        let key = match &object.what {
            What::Changed { fields } => format!("{fields:?}"),
            What::Added | What::Removed => index.to_string(),
        };
        groups.entry(key).or_default().push(object);
    }
    groups.into_values().collect()
}

/// The whole in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Clusters that differ.
    pub clusters: usize,
    /// Objects that are new, counted in every cluster.
    pub added: usize,
    /// Objects that are not the same.
    pub changed: usize,
    /// Objects that are gone.
    pub removed: usize,
    /// Files that take effect only if somebody runs them.
    pub by_hand: usize,
    /// Workloads whose pods are replaced, counted in every cluster.
    pub restarts: usize,
    /// Services that run in other clusters; `None` without a topology on both sides, as those that follow.
    pub moves: Option<usize>,
    /// Virtual IPs and gateways that are found at another address.
    pub addresses: Option<usize>,
    /// Calls that have no path if the clusters are applied in a wrong order.
    pub breaks: Option<usize>,
}

impl Report {
    /// The whole in numbers.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let objects =
            |is: fn(&What) -> bool| self.clusters.iter().flat_map(|it| &it.objects).filter(|it| is(&it.what)).count();
        let declared = self.meaning.declared.as_ref();
        let between = declared.and_then(|it| it.paths.as_ref()).map(|it| it.between.as_ref());
        Summary {
            clusters: self.clusters.len(),
            added: objects(|it| matches!(it, What::Added)),
            changed: objects(|it| matches!(it, What::Changed { .. })),
            removed: objects(|it| matches!(it, What::Removed)),
            by_hand: self
                .clusters
                .iter()
                .flat_map(|it| &it.files)
                .filter(|it| it.usage == Use::ByHand && it.change != Presence::Removed)
                .count(),
            restarts: self.meaning.restarts.iter().map(|it| it.clusters.len()).sum(),
            moves: declared.map(|it| it.services.iter().filter(|it| matches!(it, ServiceChange::Moved { .. })).count()),
            addresses: declared.map(|it| it.virtual_ips.iter().chain(&it.gateways).filter(|it| it.moves()).count()),
            breaks: between.map(|it| {
                let steps = it.iter().flat_map(|it| &it.steps);
                let broken = steps.flat_map(|it| it.first.iter().chain(&it.last));
                let calls = broken.flat_map(|it| it.clusters.iter().map(move |cluster| (cluster, &it.call)));
                calls.collect::<std::collections::BTreeSet<_>>().len()
            }),
        }
    }

    /// The whole in a line.
    #[must_use]
    pub fn sentence(&self) -> String {
        let left_out: std::collections::BTreeSet<&str> = self.left_out.iter().map(|it| it.cluster.as_str()).collect();
        let left_out = (!left_out.is_empty()).then(|| format!("{} left out", count(left_out.len(), "cluster")));
        if self.is_empty() {
            let parts = ["no differences".to_owned()].into_iter().chain(left_out);
            return parts.collect::<Vec<_>>().join("; ");
        }
        let it = self.summary();
        let objects = [(it.added, "added"), (it.changed, "changed"), (it.removed, "removed")];
        let mut objects: Vec<String> =
            objects.iter().filter(|it| it.0 > 0).map(|(number, word)| format!("{number} {word}")).collect();
        if let Some(first) = objects.first_mut() {
            let (number, word) = first.split_once(' ').expect("it was written so");
            let noun = if number == "1" { "object" } else { "objects" };
            *first = format!("{number} {noun} {word}");
        }
        let mut parts = vec![count(it.clusters, "cluster") + ": "];
        parts[0] += &if objects.is_empty() { "no object changes".to_owned() } else { objects.join(", ") };
        let verb = |number: usize, noun: &str, verb: &str| {
            let ending = if number == 1 { "s" } else { "" };
            format!("{} {verb}{ending}", count(number, noun))
        };
        if it.by_hand > 0 {
            parts.push(format!("{} to be run by hand", count(it.by_hand, "file")));
        }
        if let Some(moves) = it.moves.filter(|it| *it > 0) {
            parts.push(verb(moves, "service", "move"));
        }
        if it.restarts > 0 {
            parts.push(verb(it.restarts, "workload", "restart"));
        }
        match it.addresses {
            None => {}
            Some(0) => parts.push("no address changes".to_owned()),
            Some(1) => parts.push("1 address changes".to_owned()),
            Some(number) => parts.push(format!("{number} addresses change")),
        }
        if let Some(breaks) = it.breaks.filter(|it| *it > 0) {
            parts.push(format!("{} in a wrong order", verb(breaks, "call", "break")));
        }
        parts.extend(left_out);
        parts.join("; ")
    }
}
