//! `Walk`: every moment of a roll-out, with the calls that pods make at it.
//!
//! Objects of a bundle arrive one by one, in the order of the kustomization or, as `kubectl apply -k`
//! sends them, those of Kubernetes itself before those of Istio; then pods are replaced, old ones
//! beside new ones; then what is left over is deleted, in one order or the other. After each of these
//! every call that may be concerned is followed, and at the end of a turn every call there is.
//!
//! Pods of a bundle call what their Deployment says. Of pods that come from elsewhere nobody sees
//! when they change: they call as before until *switch* has been applied, may call either way until
//! the next step, and call as after from then on. The plan asks for that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;
use serde_yaml::Value;

use super::{Interruption, State, Turn};
use crate::bundle::Bundle;
use crate::follow::{Break, Call, Site, World};
use crate::phases::{self, Id};
use crate::syntax::Phase;
use crate::topology::Service;

/// Which topology pods know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    Old,
    New,
}

type Ages = BTreeSet<Age>;

/// A call and the cluster of its caller.
type Made = (String, Call);

/// Both meshes, and the world between them.
pub(super) struct Walk<'a> {
    old: &'a State<'a>,
    new: &'a State<'a>,
    world: World,
    /// What the pods of a Deployment know that is another one before and after, by its cluster.
    pods: BTreeMap<String, BTreeMap<Id, Ages>>,
    /// What pods know that nobody is seen to replace, by cluster.
    told: BTreeMap<String, Ages>,
    calls: Vec<Candidate<'a>>,
    /// The calls that are made in a cluster or may be answered there: nothing else is cut by what changes in it.
    by_cluster: BTreeMap<&'a str, Vec<usize>>,
    interrupted: IndexMap<Made, Interruption>,
}

/// A call that is made at some moments.
struct Candidate<'a> {
    cluster: &'a str,
    call: &'a Call,
    /// Which topology has it.
    age: Age,
    /// The clusters in which it is made or may be answered.
    clusters: BTreeSet<&'a str>,
    /// The files, without folder, of who is called and of who calls.
    files: [String; 2],
    /// Whether one of them is not the same in some cluster.
    touched: bool,
    /// Who makes it.
    pods: Pods,
}

/// Who makes a call.
enum Pods {
    /// Those of a Deployment that is another one before and after.
    Of(Id),
    /// Those that nobody is seen to replace.
    Told,
    /// The gateway that serves the outside.
    Ingress,
}

/// Objects as they are applied, one after the other.
type Objects = Vec<(Id, Arc<Value>)>;

/// Which calls are followed.
#[derive(Clone, Copy)]
enum Scope<'a> {
    /// All that are made in the cluster, or may be answered there.
    All,
    /// Those of them that have to do with what changes.
    Touched,
    /// Those that have to do with what is in this file.
    Of(&'a str),
}

impl<'a> Scope<'a> {
    /// What is about no service is about all.
    fn of(path: &'a str) -> Self {
        match path.rsplit_once('/') {
            Some(("20-mesh" | "40-apps", file)) if file.matches('.').count() > 1 => Self::Of(file),
            _ => Self::Touched,
        }
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(old: &'a State<'a>, new: &'a State<'a>) -> Self {
        let mut world = old.world.clone();
        world.join(&new.world, |name| {
            let id = new.mesh.clusters().find(|it| it.1 == name).map(|it| it.0);
            Site::empty(new.mesh, id.expect("it is a cluster of the mesh"))
        });
        let touched = touched(old, new);
        let calls = [(old, Age::Old), (new, Age::New)].map(|(state, age)| candidates(state, age, [old, new], &touched));
        let calls: Vec<_> = calls.into_iter().flatten().collect();
        let mut by_cluster: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, call) in calls.iter().enumerate() {
            for cluster in &call.clusters {
                by_cluster.entry(cluster).or_default().push(index);
            }
        }
        let mut walk = Self {
            calls,
            by_cluster,
            told: BTreeMap::new(),
            pods: BTreeMap::new(),
            interrupted: IndexMap::new(),
            old,
            new,
            world,
        };
        for cluster in walk.world.clusters().map(str::to_owned).collect::<Vec<_>>() {
            let ids: Vec<Id> = walk.world.sites[&cluster].ids().filter(|it| it.0 == "Deployment").cloned().collect();
            let pods = ids.into_iter().map(|id| (id, Ages::from([Age::Old])));
            walk.pods.insert(cluster.clone(), pods.collect());
            walk.told.insert(cluster, Ages::from([Age::Old]));
        }
        walk
    }

    /// Applies the turns of a step in the order that cuts the fewest calls, and gives that order. Of
    /// two that are alike the first comes first. It may give up when a call is cut.
    pub(super) fn order(
        &mut self,
        step: &str,
        phase: Option<Phase>,
        mut turns: Vec<Turn>,
        bundles: &IndexMap<String, Bundle>,
        give_up: bool,
    ) -> Vec<Turn> {
        if phase.is_none_or(|it| it == Phase::Release) && self.is_told() {
            // Whoever deploys them has told the pods by now.
            self.told.values_mut().for_each(|it| *it = Ages::from([Age::New]));
        }
        let direct = phase.is_none() && !self.is_told();
        let mut ordered = Vec::new();
        while !turns.is_empty() {
            let mut best: Option<(usize, BTreeMap<Made, Break>)> = None;
            for (index, turn) in turns.iter().enumerate() {
                let cut = self.attempt(turn, phase, direct, bundles);
                if best.as_ref().is_none_or(|it| cut.len() < it.1.len()) {
                    best = Some((index, cut));
                }
                if best.as_ref().is_some_and(|it| it.1.is_empty()) {
                    break;
                }
            }
            let Some((index, cut)) = best else { break };
            let turn = turns.remove(index);
            for ((cluster, call), at) in cut {
                let interruption = Interruption {
                    step: step.to_owned(),
                    turn: turn.cluster.clone(),
                    cluster: cluster.clone(),
                    call: call.clone(),
                    at,
                };
                self.interrupted.entry((cluster, call)).or_insert(interruption);
            }
            self.settle(&turn, phase, direct, bundles);
            ordered.push(turn);
            if give_up && !self.is_gapless() {
                break;
            }
        }
        ordered
    }

    /// Whether no call was cut so far.
    pub(super) fn is_gapless(&self) -> bool {
        self.interrupted.is_empty()
    }

    pub(super) fn interruptions(self) -> Vec<Interruption> {
        self.interrupted.into_values().collect()
    }

    /// Whether pods from elsewhere have been told, somewhere.
    fn is_told(&self) -> bool {
        self.told.values().any(|it| it.contains(&Age::New))
    }

    /// The calls that are cut if it is the turn of a cluster now.
    fn attempt(
        &mut self,
        turn: &Turn,
        phase: Option<Phase>,
        direct: bool,
        bundles: &IndexMap<String, Bundle>,
    ) -> BTreeMap<Made, Break> {
        let cluster = &turn.cluster;
        let saved = (self.world.sites[cluster].clone(), self.pods.get(cluster).cloned(), self.told[cluster].clone());
        let objects = objects(&bundles[&turn.cluster], turn);
        let mut own_first = objects.clone();
        own_first.sort_by_key(|it| it.1["apiVersion"].as_str().is_some_and(|it| it.contains(".istio.io/")));
        let mut orders = vec![objects.clone(), own_first];
        if direct {
            // Nothing says which of them is there first.
            orders.push(objects.into_iter().rev().collect());
        }
        orders.dedup();
        let gone = turn.change.removed().len();
        let mut cut = BTreeMap::new();
        let mut ended = false;
        for order in orders {
            for backwards in [false, true].into_iter().take(gone.clamp(1, 2)) {
                self.apply(turn, phase, direct, &order, backwards, Some(&mut cut));
                if !ended {
                    // In whatever order it came, it ends alike.
                    self.look(&mut cut, cluster, Scope::All);
                    ended = true;
                }
                self.world.sites.insert(cluster.clone(), saved.0.clone());
                self.pods.insert(cluster.clone(), saved.1.clone().unwrap_or_default());
                self.told.insert(cluster.clone(), saved.2.clone());
            }
        }
        // Who was cut before is told of before.
        cut.retain(|made, _| !self.interrupted.contains_key(made));
        cut
    }

    fn settle(&mut self, turn: &Turn, phase: Option<Phase>, direct: bool, bundles: &IndexMap<String, Bundle>) {
        let objects = objects(&bundles[&turn.cluster], turn);
        self.apply(turn, phase, direct, &objects, false, None);
    }

    /// A turn, moment by moment, with the calls that are cut at each, if they are asked for.
    fn apply(
        &mut self,
        turn: &Turn,
        phase: Option<Phase>,
        direct: bool,
        objects: &Objects,
        backwards: bool,
        mut cut: Option<&mut BTreeMap<Made, Break>>,
    ) {
        let cluster = &turn.cluster;
        for (id, value) in objects {
            self.put(cluster, id, value);
            self.look_into(&mut cut, cluster, Scope::of(&turn.change.new[id].path));
        }
        if phase == Some(Phase::Switch) || direct {
            // From here on they may be told.
            self.told.insert(cluster.clone(), Ages::from([Age::Old, Age::New]));
            self.look_into(&mut cut, cluster, Scope::Touched);
        }
        self.roll_out(cluster);
        self.look_into(&mut cut, cluster, Scope::Touched);
        if direct {
            self.told.insert(cluster.clone(), Ages::from([Age::New]));
        }
        let mut gone = turn.change.removed();
        // Who prunes does so in an order of his own.
        if backwards {
            gone.reverse();
        }
        // Pods that go together need no longer call one another.
        let (pods, others): (Vec<&Id>, Vec<&Id>) = gone.into_iter().partition(|it| it.0 == "Deployment" && !backwards);
        for id in &pods {
            self.remove(cluster, id);
        }
        for id in &pods {
            self.look_into(&mut cut, cluster, Scope::of(&turn.change.old[*id].path));
        }
        for id in others {
            self.remove(cluster, id);
            self.look_into(&mut cut, cluster, Scope::of(&turn.change.old[id].path));
        }
    }

    fn put(&mut self, cluster: &str, id: &Id, value: &Arc<Value>) {
        if id.0 == "Deployment" {
            let is_new = self.new.world.sites.get(cluster).and_then(|it| it.get(id)) == Some(value);
            let is_old = self.old.world.sites.get(cluster).and_then(|it| it.get(id)) == Some(value);
            // Pods that are the first of their kind make no calls before they are ready.
            let starts = self.world.sites[cluster].get(id).is_none();
            let ages = self.pods.entry(cluster.to_owned()).or_default().entry(id.clone()).or_default();
            ages.extend((is_new && !starts).then_some(Age::New));
            ages.extend((is_old && !starts).then_some(Age::Old));
        }
        self.site(cluster).put(id.clone(), value.clone());
    }

    fn remove(&mut self, cluster: &str, id: &Id) {
        self.pods.entry(cluster.to_owned()).or_default().remove(id);
        self.site(cluster).remove(id);
    }

    /// Pods of what was applied are ready, and those of before have ended.
    fn roll_out(&mut self, cluster: &str) {
        self.site(cluster).roll_out();
        let new = self.new.world.sites.get(cluster);
        for (id, ages) in self.pods.entry(cluster.to_owned()).or_default() {
            let is_new = new.and_then(|it| it.get(id)) == self.world.sites[cluster].get(id);
            if is_new {
                *ages = Ages::from([Age::New]);
            }
        }
    }

    fn site(&mut self, cluster: &str) -> &mut Site {
        self.world.sites.get_mut(cluster).expect("clusters of both meshes are in the world")
    }

    fn look_into(&self, cut: &mut Option<&mut BTreeMap<Made, Break>>, cluster: &str, scope: Scope<'_>) {
        if let Some(cut) = cut {
            self.look(cut, cluster, scope);
        }
    }

    /// Follows the calls that pods make now and that what changes in a cluster may cut.
    fn look(&self, cut: &mut BTreeMap<Made, Break>, cluster: &str, scope: Scope<'_>) {
        let within = |it: &&Candidate<'_>| match scope {
            Scope::All => true,
            Scope::Touched => it.touched,
            Scope::Of(file) => it.files.iter().any(|it| it == file),
        };
        let calls = self.by_cluster.get(cluster).into_iter().flatten().map(|it| &self.calls[*it]);
        for it in calls.filter(within).filter(|it| self.is_made(it)) {
            if let Err(at) = self.world.follow(it.cluster, it.call) {
                cut.entry((it.cluster.to_owned(), it.call.clone())).or_insert(at);
            }
        }
    }

    fn is_made(&self, it: &Candidate<'_>) -> bool {
        match &it.pods {
            Pods::Ingress => self.world.sites[it.cluster].leads_in(it.call.caller.key(), &it.call.host, it.call.port),
            Pods::Told => self.told[it.cluster].contains(&it.age),
            Pods::Of(id) => {
                self.pods.get(it.cluster).and_then(|it| it.get(id)).is_some_and(|ages| ages.contains(&it.age))
            }
        }
    }
}

/// The calls of a mesh, and who makes them.
fn candidates<'a>(
    state: &'a State<'a>,
    age: Age,
    both: [&'a State<'a>; 2],
    touched: &BTreeSet<String>,
) -> Vec<Candidate<'a>> {
    let mut answered: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for topology in both.map(State::topology) {
        for service in &topology.services {
            let names = service.placement.iter().map(|it| topology.cluster(*it).name.as_str());
            answered.entry(&service.key).or_default().extend(names);
        }
    }
    let services: BTreeMap<&str, &Service> = state.topology().services.iter().map(|it| (it.key.as_str(), it)).collect();
    let file = |key: &str| services.get(key).map(|it| format!("{}.{}.yaml", it.name, it.namespace)).unwrap_or_default();
    let mut candidates = Vec::new();
    for cluster in state.world.clusters() {
        for call in state.world.calls(cluster) {
            let key = call.caller.key();
            let (pods, caller) = match services.get(key).filter(|_| !call.caller.is_ingress()) {
                None => (Pods::Ingress, String::new()),
                Some(service) => {
                    let id: Id = ("Deployment".to_owned(), service.namespace.clone(), service.name.clone());
                    let [old, new] = both.map(|it| it.world.sites.get(cluster).and_then(|it| it.get(&id)));
                    // Nothing of the bundle tells pods whose Deployment stays as it is.
                    (if old == new { Pods::Told } else { Pods::Of(id) }, file(key))
                }
            };
            let files = [file(&call.callee), caller];
            let touched = files.iter().any(|it| touched.contains(it));
            let mut clusters = answered.get(call.callee.as_str()).cloned().unwrap_or_default();
            clusters.insert(cluster);
            candidates.push(Candidate { cluster, call, age, clusters, files, touched, pods });
        }
    }
    candidates
}

/// The objects of a bundle that are not there yet, in its order.
fn objects(bundle: &Bundle, turn: &Turn) -> Objects {
    let paths: BTreeSet<&str> = turn.change.new.values().map(|it| it.path.as_str()).collect();
    let files = bundle.files().filter(|(path, _)| paths.contains(path));
    let objects = files.flat_map(|(path, file)| phases::objects(path, &file.text));
    objects.filter(|(id, _)| turn.change.new.contains_key(id)).map(|(id, it)| (id, Arc::new(it.value))).collect()
}

/// The files, without folder, that are not the same in some cluster.
fn touched(old: &State<'_>, new: &State<'_>) -> BTreeSet<String> {
    let mut touched = BTreeSet::new();
    for (cluster, bundle) in old.bundles.iter().chain(&new.bundles) {
        let other = if new.bundles.get(cluster).is_some_and(|it| std::ptr::eq(it, bundle)) { old } else { new };
        let other = other.bundles.get(cluster);
        let files = bundle.files().filter(|(path, file)| other.and_then(|it| it.get(path)) != Some(&file.text));
        touched.extend(files.filter_map(|(path, _)| Some(path.split_once('/')?.1.to_owned())));
    }
    touched
}
