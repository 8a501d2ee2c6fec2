//! `Between`: what has no path while some clusters have the new objects and others still the old ones.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::calls::{Called, called};
use super::shared;
use crate::prove::{Call, World};

/// What happens on the way from the old state to the new one, cluster by cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Between {
    /// Every cluster that changes and is better not the first or not the last, with what breaks then.
    pub steps: Vec<Step>,
}

/// What breaks around one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The cluster.
    pub cluster: String,
    /// What has no path while it alone is new.
    pub first: Vec<Broken>,
    /// What has no path while it alone is old. Of two clusters, that is told of the other one.
    pub last: Vec<Broken>,
}

/// A declared call without a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Broken {
    /// Which call.
    #[serde(flatten)]
    pub call: Called,
    /// The clusters of the caller in which this holds.
    pub clusters: Vec<String>,
    /// The host and the port that are called.
    pub address: String,
    /// Where it ends, and why.
    pub why: String,
}

/// What happens while these clusters change; `None` if there is nothing between the two states.
pub(super) fn between(old: &World, new: &World, changed: &[&str], is_meant: impl Fn(&str) -> bool) -> Option<Between> {
    if changed.len() < 2 {
        return None;
    }
    let (before, after) = (Index::of(old, new), Index::of(new, old));
    let mut early = Moment::of(&before, &after);
    let mut late = Moment::of(&after, &before);
    let mut steps = Vec::new();
    // While the one is the first, the other is the last.
    let two = changed.len() == 2 && changed.iter().all(|it| is_meant(it));
    for cluster in changed.iter().filter(|it| is_meant(it)) {
        let (first, last) = (early.with(cluster), if two { Vec::new() } else { late.with(cluster) });
        early.back(cluster);
        late.back(cluster);
        if !first.is_empty() || !last.is_empty() {
            steps.push(Step { cluster: (*cluster).to_owned(), first, last });
        }
    }
    Some(Between { steps })
}

/// A call by the cluster that makes it and its place among the calls made there.
type Key = (String, usize);

/// A mesh, and which calls have to do with which cluster.
struct Index<'a> {
    world: &'a World,
    /// Calls that a cluster answers, or might, by that cluster.
    answered: BTreeMap<String, Vec<Key>>,
    /// Calls that have no path in the mesh itself, which is nothing of the change.
    broken: BTreeSet<Key>,
    /// Calls that may have to do with any cluster.
    any: Vec<Key>,
}

impl<'a> Index<'a> {
    fn of(world: &'a World, other: &World) -> Self {
        let mut index = Self { world, answered: BTreeMap::new(), broken: BTreeSet::new(), any: Vec::new() };
        // An address may have been that of another cluster: the gateways of both meshes answer.
        let mut both = world.clone();
        if let Some(cluster) = other.clusters().next() {
            both.take(cluster, other);
            both.take(cluster, world);
        }
        for cluster in world.clusters() {
            for (at, call) in world.calls_of(cluster).iter().enumerate() {
                let key = (cluster.to_owned(), at);
                if world.follow(call).is_err() {
                    index.broken.insert(key);
                    continue;
                }
                match both.follow(call) {
                    Ok(path) => {
                        for owner in path.ways.into_iter().filter_map(|it| it.cluster).filter(|it| it != cluster) {
                            index.answered.entry(owner).or_default().push(key.clone());
                        }
                    }
                    Err(_) => index.any.push(key),
                }
            }
        }
        index
    }
}

/// A mesh in which some clusters are already those of another.
struct Moment<'a> {
    from: &'a Index<'a>,
    to: &'a Index<'a>,
    now: World,
    /// The clusters that are those of the other mesh.
    taken: BTreeSet<String>,
}

impl<'a> Moment<'a> {
    fn of(from: &'a Index<'a>, to: &'a Index<'a>) -> Self {
        Self { from, to, now: from.world.clone(), taken: BTreeSet::new() }
    }

    /// One more cluster is that of the other mesh: what has no path then, and has one in its own mesh.
    fn with(&mut self, cluster: &str) -> Vec<Broken> {
        self.now.take(cluster, self.to.world);
        self.taken.insert(cluster.to_owned());
        let own = (0..self.now.calls_of(cluster).len()).map(|at| (cluster.to_owned(), at));
        let of = |index: &Index<'_>| -> Vec<Key> {
            index.answered.get(cluster).into_iter().flatten().chain(&index.any).cloned().collect()
        };
        let is_taken = |it: &Key| self.taken.contains(&it.0);
        let old = of(self.from).into_iter().filter(|it| !is_taken(it));
        let new = of(self.to).into_iter().filter(is_taken);
        let keys: BTreeSet<Key> = own.chain(old).chain(new).collect();
        let told = keys.into_iter().filter_map(|key| {
            let index = if is_taken(&key) { self.to } else { self.from };
            if index.broken.contains(&key) {
                return None;
            }
            let (caller, at) = key;
            let call: &Call = self.now.calls_of(&caller).get(at)?;
            let end = self.now.follow(call).err()?.broken;
            Some(((called(call), format!("{}:{}", call.host, call.port), end.to_string()), caller))
        });
        shared(told, |it| format!("{it:?}"))
            .into_iter()
            .map(|((call, address, why), clusters)| Broken { call, clusters, address, why })
            .collect()
    }

    /// It is that of the first mesh again.
    fn back(&mut self, cluster: &str) {
        self.now.take(cluster, self.from.world);
        self.taken.remove(cluster);
    }
}
