//! `Change`: what happens in a cluster when one bundle is applied in place of another.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use crate::bundle::{self, Bundle};
use crate::diff;
use crate::phases::{self, Id, Object};
use crate::resources::PlanAction;

/// The objects and files that are not the same.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// Objects as they are, those that go too.
    pub(crate) old: IndexMap<Id, Object>,
    /// Objects as they will be, those that come too.
    pub(crate) new: IndexMap<Id, Object>,
    /// Objects that the bundle no longer has, and somebody else now looks after.
    pub(crate) handed_over: Vec<Id>,
    /// Hosts that no ingress of the cluster leads in any longer.
    unserved: BTreeSet<String>,
    /// Files that are not applied but install something, and changed.
    pub(crate) by_hand: Vec<ByHand>,
}

/// A file that somebody hands to a tool.
#[derive(Debug, Clone)]
pub(crate) struct ByHand {
    /// Where it lies in the bundle.
    pub(crate) path: String,
    /// Whether it only takes something away, which must wait until nothing needs it.
    pub(crate) last: bool,
}

impl Change {
    /// What differs; `None` if nothing does. What only moved to another file, or is spelled in another
    /// way, is no change.
    pub(crate) fn between(old: &Bundle, new: &Bundle) -> Option<Self> {
        let by_hand = by_hand(old, new);
        let [mut before, mut after] = phases::differing(old, new);
        let same: Vec<Id> = before
            .iter()
            .filter(|(id, it)| after.get(*id).is_some_and(|new| new.value == it.value))
            .map(|it| it.0.clone())
            .collect();
        for id in same {
            before.shift_remove(&id);
            after.shift_remove(&id);
        }
        let unserved = hosts(old).difference(&hosts(new)).cloned().collect();
        let changes = !before.is_empty() || !after.is_empty() || !by_hand.is_empty();
        changes.then_some(Self { old: before, new: after, handed_over: Vec::new(), unserved, by_hand })
    }

    /// Some of the objects that go are not deleted, for somebody else looks after them from now on.
    pub(crate) fn hand_over(&mut self, is_meant: impl Fn(&Id) -> bool) {
        let goes = |it: &Id| !self.new.contains_key(it) && is_meant(it);
        self.handed_over = self.old.keys().filter(|it| goes(it)).cloned().collect();
        self.old.retain(|id, _| !self.handed_over.contains(id));
    }

    /// Objects that come.
    pub(crate) fn added(&self) -> impl Iterator<Item = &Id> {
        self.new.keys().filter(|it| !self.old.contains_key(*it))
    }

    /// Objects that change.
    pub(crate) fn changed(&self) -> impl Iterator<Item = &Id> {
        self.new.keys().filter(|it| self.old.contains_key(*it))
    }

    /// Objects that go, in the order in which they are deleted. A namespace may hold more than this
    /// bundle's objects.
    pub(crate) fn removed(&self) -> Vec<&Id> {
        in_order(self.old.keys().filter(|it| !self.new.contains_key(*it) && it.0 != "Namespace").collect())
    }

    /// Deployments that select other pods than before, which the API server takes for new ones only.
    pub(crate) fn recreated(&self) -> impl Iterator<Item = &Id> {
        let selector = |it: &Object| it.value["spec"]["selector"].clone();
        let is_other = move |(id, new): &(&Id, &Object)| {
            id.0 == "Deployment" && self.old.get(*id).is_some_and(|old| selector(old) != selector(new))
        };
        self.new.iter().filter(is_other).map(|it| it.0)
    }

    /// Deployments that start or are replaced: namespace and name.
    pub(crate) fn rollouts(&self) -> Vec<[String; 2]> {
        let deployments = self.new.keys().filter(|id| id.0 == "Deployment");
        deployments.map(|id| [id.1.clone(), id.2.clone()]).collect()
    }

    /// What goes, as kubectl takes it: namespace, kind with its group and what it waits for, name.
    pub(crate) fn deletions(&self) -> Vec<[String; 3]> {
        self.removed().into_iter().map(|it| deletion(it, &self.old[it])).collect()
    }

    /// What it takes in a cluster of this `kubectl` context, for a plan; `part` is what the cluster has to do
    /// with it.
    pub(crate) fn action<'a>(&self, cluster: &'a str, context: &'a str, part: &'static str) -> PlanAction<'a> {
        PlanAction {
            cluster,
            context,
            part,
            added: list(self.added()),
            changed: list(self.changed()),
            removed: list(self.removed()),
            by_hand: files(self.by_hand.iter().filter(|it| !it.last)),
            by_hand_last: files(self.by_hand.iter().filter(|it| it.last)),
            is_applied: !self.new.is_empty(),
            recreated: self.recreated().map(|it| deletion(it, &self.old[it])).collect(),
            rollouts: self.rollouts(),
            deletions: self.deletions(),
        }
    }

    /// What a person must know before it is done in the cluster of this name: pods that are replaced,
    /// ingresses that go, namespaces that are left.
    pub(crate) fn notes(&self, cluster: &str) -> Vec<String> {
        let mut notes = self.restarts(cluster);
        if !self.unserved.is_empty() {
            let hosts: Vec<_> = self.unserved.iter().map(|it| format!("`{it}`")).collect();
            notes.push(format!(
                "Before this step nobody outside may be led to the ingress gateway of `{cluster}` any longer for {}: change \
                 the public DNS name, and wait until its old answers have run out.",
                hosts.join(", ")
            ));
        }
        for id in self.recreated() {
            notes.push(format!(
                "The Deployment `{}/{}` of `{cluster}` selects other pods than before, which no API server lets be changed: it \
                 is deleted and made anew. What delivers it must be told to (`argocd.argoproj.io/sync-options: \
                 Force=true,Replace=true`, `kustomize.toolkit.fluxcd.io/force: enabled`).",
                id.1, id.2
            ));
        }
        if !self.handed_over.is_empty() {
            notes.push(format!(
                "{} of `{cluster}`: somebody else looks after what the bundle no longer has. What prunes would delete it: \
                 take it out of its hands first (`argocd.argoproj.io/sync-options: Prune=false`, \
                 `kustomize.toolkit.fluxcd.io/prune: disabled`).",
                list(&self.handed_over)
            ));
        }
        let gone = || self.old.iter().filter(|(id, _)| !self.new.contains_key(*id));
        for (id, _) in gone().filter(|(id, _)| id.0 == "Namespace") {
            notes.push(format!(
                "The namespace `{}` of `{cluster}` is no longer in its bundle. What prunes would delete it with all that is in it: \
                 keep it (`argocd.argoproj.io/sync-options: Prune=false`) until it is empty.",
                id.2
            ));
        }
        notes
    }

    /// Which pods are replaced, and what they call then.
    fn restarts(&self, cluster: &str) -> Vec<String> {
        let deployments = self.new.iter().filter(|(id, _)| id.0 == "Deployment");
        deployments
            .filter_map(|(id, new)| {
                let changed: Vec<_> = diff::variables(&self.old.get(id)?.value, &new.value)
                    .into_iter()
                    .filter_map(|it| {
                        Some(format!("`{}`", format!("{}={}", it.name, it.new?).replace(['`', '\n'], " ")))
                    })
                    .collect();
                (!changed.is_empty()).then(|| {
                    format!("In `{cluster}` the pods of `{}` are replaced: they get {}.", id.2, changed.join(", "))
                })
            })
            .collect()
    }

    /// The same, from after to before.
    pub(crate) fn turned(&self) -> Self {
        Self { old: self.new.clone(), new: self.old.clone(), ..Self::default() }
    }
}

/// Files that differ, are not applied, and install something.
fn by_hand(old: &Bundle, new: &Bundle) -> Vec<ByHand> {
    let paths = new.files().chain(old.files()).filter(|(path, file)| !file.applied && bundle::is_by_hand(path));
    let mut paths: Vec<_> = paths.map(|it| it.0).filter(|path| old.get(path) != new.get(path)).collect();
    paths.sort_unstable();
    paths.dedup();
    let file = |path: &str| ByHand {
        path: path.to_owned(),
        last: phases::only_takes(old.get(path), new.get(path)) == Some(true),
    };
    paths.into_iter().map(file).collect()
}

/// The hosts that ingresses of a bundle lead in.
fn hosts(bundle: &Bundle) -> BTreeSet<String> {
    let files = bundle.files().filter(|(path, file)| file.applied && path.starts_with("50-ingress/"));
    let routes = files.flat_map(|(path, file)| phases::objects(path, &file.text));
    routes.filter(|it| it.0.0 == "VirtualService").flat_map(|it| phases::led_in(&it.1)).collect()
}

/// Paths, for people.
fn files<'a>(files: impl Iterator<Item = &'a ByHand>) -> String {
    files.map(|it| format!("`{}`", it.path)).collect::<Vec<_>>().join(", ")
}

/// Pods go while routes still lead past them, what leads calls goes before what it needs.
fn in_order(mut ids: Vec<&Id>) -> Vec<&Id> {
    let first = ["Deployment", "VirtualService", "WorkloadEntry", "ServiceEntry", "DestinationRule"];
    ids.sort_by_key(|id| first.iter().position(|it| *it == id.0).unwrap_or(first.len()));
    ids
}

/// Two groups have a Gateway.
fn deletion(id: &Id, object: &Object) -> [String; 3] {
    let (kind, group) = (id.0.to_lowercase(), object.value["apiVersion"].as_str().unwrap_or_default());
    // A policy is one of policies, a gateway one of gateways.
    let stem = kind.strip_suffix('y').filter(|it| !it.ends_with(['a', 'e', 'o', 'u']));
    let plural = stem.map_or_else(|| format!("{kind}s"), |it| format!("{it}ies"));
    let kind = match group.split_once('/') {
        Some((group, _)) if group.contains('.') => format!("{plural}.{group}"),
        // Until its pods have ended, too: what is deleted next led past them.
        _ if kind == "deployment" => format!("--cascade=foreground {kind}"),
        _ => kind,
    };
    [id.1.clone(), kind, id.2.clone()]
}

/// Objects, for people.
fn list<'a>(ids: impl IntoIterator<Item = &'a Id>) -> String {
    let name = |(kind, namespace, name): &Id| match namespace.as_str() {
        "" => format!("{kind} `{name}`"),
        namespace => format!("{kind} `{namespace}/{name}`"),
    };
    ids.into_iter().map(name).collect::<Vec<_>>().join(", ")
}
