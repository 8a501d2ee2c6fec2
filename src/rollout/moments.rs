//! `Walk`: every moment of a roll-out, with the calls that pods make at it.
//!
//! Objects of a bundle arrive one by one, in the order of the kustomization or, as `kubectl apply -k`
//! sends them, those of Kubernetes itself before those of Istio; then pods are replaced, old ones
//! beside new ones; then what is left over is deleted, in one order or the other. After each of these
//! every call that may be concerned is followed, and at the end of a turn every call there is.
//!
//! Pods of a bundle call what their Deployment says. Of pods that it does not tell whom to call, and of
//! clients outside, nobody sees when they change: they call as before until *switch* has been applied, may
//! call either way until the next step, and call as after from then on. The plan asks for that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;
use rayon::prelude::*;

use super::calls::{Age, Ages, Asked, Candidate, Nearby, Pods, candidates, touched};
use super::{Interruption, State, Turn};
use crate::phases::{self, Id};
use crate::prove::{self, Break, Call, Caller, World};
use crate::syntax::Phase;

/// What tells calls apart, of whichever mesh: the cluster of the caller, who calls whom, host and port.
type Made = (String, Caller, String, String, u16);

/// Where calls end.
type Cut<'a> = BTreeMap<Made, (&'a Call, Break)>;

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
    by_cluster: BTreeMap<&'a str, Nearby>,
    /// Whether everything changes in one step.
    direct: bool,
    interrupted: IndexMap<Made, Interruption>,
}

/// Objects as they are applied, one after the other.
type Objects = Vec<(Id, Arc<prove::Object>)>;

/// Which calls are followed.
#[derive(Clone, Copy)]
enum Scope<'a> {
    /// All that are made in the cluster, or may be answered there.
    All,
    /// Those of them that have to do with what changes.
    Touched,
    /// Those of these that pods of this namespace make.
    From(&'a str),
    /// Those that have to do with what is in this file.
    Of(&'a str),
    /// None.
    Nobody,
}

impl<'a> Scope<'a> {
    /// Those that may be led another way by an object. What is about no service is about all.
    fn of(id: &'a Id, path: &'a str) -> Self {
        match (id.0.as_str(), path.rsplit_once('/')) {
            ("ServiceAccount" | "ExternalSecret", _) => Self::Nobody,
            ("Sidecar", _) => Self::From(&id.1),
            (_, Some(("20-mesh" | "40-apps", file))) if file.matches('.').count() > 1 => Self::Of(file),
            _ => Self::Touched,
        }
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(old: &'a State<'a>, new: &'a State<'a>) -> Self {
        let mut world = old.world.clone();
        world.join(&new.world);
        let touched = touched(old, new);
        let calls = [(old, Age::Old), (new, Age::New)].map(|(state, age)| candidates(state, age, [old, new], &touched));
        let calls: Vec<_> = calls.into_iter().flatten().collect();
        let mut by_cluster: BTreeMap<&str, Nearby> = BTreeMap::new();
        for (index, call) in calls.iter().enumerate() {
            for cluster in &call.clusters {
                let nearby = by_cluster.entry(cluster).or_default();
                nearby.all.push(index);
                for file in &call.files {
                    nearby.by_file.entry(file.clone()).or_default().push(index);
                }
            }
        }
        let mut walk = Self {
            calls,
            by_cluster,
            direct: false,
            told: BTreeMap::new(),
            pods: BTreeMap::new(),
            interrupted: IndexMap::new(),
            old,
            new,
            world,
        };
        for cluster in walk.world.clusters().map(str::to_owned).collect::<Vec<_>>() {
            let ids = walk.world.deployments(&cluster).map(|it| key(it.id()));
            let pods = ids.map(|id| (id, Ages::from([Age::Old])));
            walk.pods.insert(cluster.clone(), pods.collect());
            walk.told.insert(cluster, Ages::from([Age::Old]));
        }
        walk
    }

    /// Applies the turns of a step in the order that cuts the fewest calls, and gives that order. Of
    /// two that are alike the first comes first. It may give up when a call is cut.
    pub(super) fn order(&mut self, step: &str, phase: Option<Phase>, mut turns: Vec<Turn>, give_up: bool) -> Vec<Turn> {
        if phase.is_none_or(|it| it == Phase::Release) && self.is_told() {
            // Whoever deploys them has told the pods by now.
            self.told.values_mut().for_each(|it| *it = Ages::from([Age::New]));
        }
        self.direct = phase.is_none() && !self.is_told();
        let mut ordered = Vec::new();
        while !turns.is_empty() {
            let mut best: Option<(usize, Cut<'a>)> = None;
            for (index, turn) in turns.iter().enumerate() {
                let cut = self.attempt(turn, phase);
                if best.as_ref().is_none_or(|it| cut.len() < it.1.len()) {
                    best = Some((index, cut));
                }
                if best.as_ref().is_some_and(|it| it.1.is_empty()) {
                    break;
                }
            }
            let Some((index, cut)) = best else { break };
            let turn = turns.remove(index);
            self.interrupt(step, Some(&turn.cluster), cut);
            self.settle(&turn, phase);
            ordered.push(turn);
            if give_up && !self.is_gapless() {
                break;
            }
        }
        if phase == Some(Phase::Switch) {
            self.tell(step);
        }
        ordered
    }

    /// From here on callers may be told that no bundle tells, and public names lead where they will.
    fn tell(&mut self, step: &str) {
        for ages in self.told.values_mut() {
            ages.insert(Age::New);
        }
        let mut cut = BTreeMap::new();
        for cluster in self.by_cluster.keys() {
            self.look(&mut cut, cluster, Scope::Touched);
        }
        self.interrupt(step, None, cut);
    }

    fn interrupt(&mut self, step: &str, turn: Option<&str>, cut: Cut<'a>) {
        for (made, (call, at)) in cut {
            let (step, turn) = (step.to_owned(), turn.map(str::to_owned));
            self.interrupted.entry(made).or_insert_with(|| Interruption { step, turn, call: call.clone(), at });
        }
    }

    /// Whether somebody must be told between two steps, whom no bundle tells.
    pub(super) fn tells(&self) -> bool {
        let before = || self.calls.iter().filter(|it| it.age == Age::Old);
        let before_made: BTreeSet<_> = before().map(|it| it.call.key()).collect();
        let callers: BTreeSet<_> = before().map(|it| (it.cluster, &it.call.caller)).collect();
        self.calls.iter().any(|it| match &it.pods {
            Pods::Of(_) | Pods::Stopped => false,
            // A caller that comes knows what to call.
            Pods::Told => {
                let was_there = callers.contains(&(it.cluster, &it.call.caller));
                it.age == Age::New && was_there && !before_made.contains(&it.call.key())
            }
            Pods::Outside(hosts) => hosts.iter().any(|it| matches!(it.1, Asked::UntilMoved | Asked::Later)),
        })
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
    fn attempt(&mut self, turn: &Turn, phase: Option<Phase>) -> Cut<'a> {
        let cluster = &turn.cluster;
        let site = self.world.saved(cluster).expect("clusters of both meshes are in the world");
        let saved = (site, self.pods.get(cluster).cloned(), self.told[cluster].clone());
        let objects = turn.objects.clone();
        let mut own_first = objects.clone();
        own_first.sort_by_key(|it| it.1.id().group.ends_with(".istio.io"));
        let mut orders = vec![objects.clone(), own_first];
        if self.direct {
            // Nothing says which of them is there first.
            orders.push(objects.iter().cloned().rev().collect());
        }
        orders.dedup_by(|one, other| one.iter().map(|it| &it.0).eq(other.iter().map(|it| &it.0)));
        let mut cut = BTreeMap::new();
        let restore = |walk: &mut Self| {
            walk.world.restore(saved.0.clone());
            walk.pods.insert(cluster.clone(), saved.1.clone().unwrap_or_default());
            walk.told.insert(cluster.clone(), saved.2.clone());
        };
        for order in &orders[1..] {
            self.put_all(turn, order, Some(&mut cut));
            restore(self);
        }
        // In whatever order they came, objects end alike.
        self.put_all(turn, &objects, Some(&mut cut));
        if turn.change.removed().len() > 1 {
            self.end(turn, phase, true, Some(&mut cut));
            restore(self);
            self.put_all(turn, &objects, None);
        }
        self.end(turn, phase, false, Some(&mut cut));
        self.look(&mut cut, cluster, Scope::All);
        restore(self);
        // Who was cut before is told of before.
        cut.retain(|made, _| !self.interrupted.contains_key(made));
        cut
    }

    fn settle(&mut self, turn: &Turn, phase: Option<Phase>) {
        self.put_all(turn, &turn.objects, None);
        self.end(turn, phase, false, None);
    }

    /// The objects of a turn are applied, one by one, with the calls that are cut at each, if they are asked for.
    fn put_all(&mut self, turn: &Turn, objects: &Objects, mut cut: Option<&mut Cut<'a>>) {
        let cluster = &turn.cluster;
        if let Some((installed, false)) = &turn.installed {
            self.world.install(cluster, installed);
            self.look_into(&mut cut, cluster, Scope::Touched);
        }
        let recreated: BTreeSet<&Id> = turn.change.recreated().collect();
        for id in &recreated {
            self.remove(cluster, id, &turn.change.old[*id]);
            self.look_into(&mut cut, cluster, Scope::of(id, &turn.change.old[*id].path));
        }
        for (id, object) in objects {
            self.put(cluster, id, object);
            self.look_into(&mut cut, cluster, Scope::of(id, &turn.change.new[id].path));
        }
    }

    /// Pods are replaced, and what is left over is deleted, in the same manner.
    fn end(&mut self, turn: &Turn, phase: Option<Phase>, backwards: bool, mut cut: Option<&mut Cut<'a>>) {
        let cluster = &turn.cluster;
        if phase == Some(Phase::Switch) || self.direct {
            // From here on they may be told.
            self.told.insert(cluster.clone(), Ages::from([Age::Old, Age::New]));
            self.look_into(&mut cut, cluster, Scope::Touched);
        }
        self.roll_out(cluster);
        self.look_into(&mut cut, cluster, Scope::Touched);
        if self.direct {
            self.told.insert(cluster.clone(), Ages::from([Age::New]));
        }
        let mut gone = turn.change.removed();
        // Pods of a service that nobody has any longer need not call to their very end.
        for id in &gone {
            let is_left = id.0 == "Deployment" && !self.new.subjects.contains_key(&format!("{}.{}", id.2, id.1));
            if let Some(pods) = self.pods.get_mut(cluster).filter(|_| is_left) {
                pods.remove(*id);
            }
        }
        // Who prunes does so in an order of his own.
        if backwards {
            gone.reverse();
        }
        // Pods that go together need no longer call one another.
        let (pods, others): (Vec<&Id>, Vec<&Id>) = gone.into_iter().partition(|it| it.0 == "Deployment" && !backwards);
        for id in &pods {
            self.remove(cluster, id, &turn.change.old[*id]);
        }
        for id in &pods {
            self.look_into(&mut cut, cluster, Scope::of(id, &turn.change.old[*id].path));
        }
        for id in others {
            self.remove(cluster, id, &turn.change.old[id]);
            self.look_into(&mut cut, cluster, Scope::of(id, &turn.change.old[id].path));
        }
        if let Some((installed, true)) = &turn.installed {
            self.world.install(cluster, installed);
            self.look_into(&mut cut, cluster, Scope::Touched);
        }
    }

    fn put(&mut self, cluster: &str, id: &Id, object: &Arc<prove::Object>) {
        if id.0 == "Deployment" {
            let is_like = |it: &World| it.deployment(cluster, &id.1, &id.2).is_some_and(|it| it.is_like(object));
            let (is_new, is_old) = (is_like(&self.new.world), is_like(&self.old.world));
            // Pods that are the first of their kind make no calls before they are ready.
            let starts = self.world.deployment(cluster, &id.1, &id.2).is_none();
            let ages = self.pods.entry(cluster.to_owned()).or_default().entry(id.clone()).or_default();
            ages.extend((is_new && !starts).then_some(Age::New));
            ages.extend((is_old && !starts).then_some(Age::Old));
        }
        self.world.put(cluster, object.clone());
    }

    fn remove(&mut self, cluster: &str, id: &Id, object: &phases::Object) {
        self.pods.entry(cluster.to_owned()).or_default().remove(id);
        self.world.remove(cluster, &prove::Id::of(&object.value));
    }

    /// Pods of what was applied are ready, and those of before have ended.
    fn roll_out(&mut self, cluster: &str) {
        self.world.roll_out(cluster);
        for (id, ages) in self.pods.entry(cluster.to_owned()).or_default() {
            let [new, now] = [&self.new.world, &self.world].map(|it| it.deployment(cluster, &id.1, &id.2));
            if new.zip(now).is_some_and(|(new, now)| new.is_like(now)) {
                *ages = Ages::from([Age::New]);
            }
        }
    }

    fn look_into(&self, cut: &mut Option<&mut Cut<'a>>, cluster: &str, scope: Scope<'_>) {
        if let Some(cut) = cut {
            self.look(cut, cluster, scope);
        }
    }

    /// Follows the calls that pods make now and that what changes in a cluster may cut.
    fn look(&self, cut: &mut Cut<'a>, cluster: &str, scope: Scope<'_>) {
        let Some(nearby) = self.by_cluster.get(cluster) else { return };
        let indices = match scope {
            Scope::Of(file) => nearby.by_file.get(file),
            Scope::Nobody => None,
            Scope::All | Scope::Touched | Scope::From(_) => Some(&nearby.all),
        };
        let within = |it: &&Candidate<'_>| match scope {
            Scope::Touched => it.touched,
            Scope::From(namespace) => it.touched && it.cluster == cluster && it.call.is_from(namespace),
            Scope::All | Scope::Of(_) | Scope::Nobody => true,
        };
        let calls = indices.into_iter().flatten().map(|it| &self.calls[*it]);
        let calls: Vec<_> = calls.filter(within).collect();
        let ends: Vec<_> = calls.par_iter().filter_map(|it| Some((it.call, *self.made(it).err()?))).collect();
        for (call, at) in ends {
            cut.entry(call.key()).or_insert((call, at));
        }
    }

    /// Follows a call, if it is made now.
    fn made(&self, it: &Candidate<'_>) -> Result<(), Box<Break>> {
        let told = &self.told[it.cluster];
        let is_made = match &it.pods {
            Pods::Stopped => false,
            Pods::Told => told.contains(&it.age),
            Pods::Of(id) => {
                self.pods.get(it.cluster).and_then(|it| it.get(id)).is_some_and(|ages| ages.contains(&it.age))
            }
            Pods::Outside(hosts) => {
                let asked = hosts.iter().filter(|(_, asked)| match asked {
                    Asked::Always => true,
                    Asked::Later => !self.direct && told.contains(&Age::New),
                    Asked::UntilMoved => self.direct || told.contains(&Age::Old),
                    Asked::UntilItGoes => !self.direct && told.contains(&Age::Old),
                });
                for (call, _) in asked {
                    let led = self.world.led(call)?;
                    if led.iter().any(|(host, port)| (host, *port) == (&call.host, call.port)) {
                        self.follow(call, None)?;
                    }
                }
                false
            }
        };
        if is_made { self.follow(it.call, it.deployment) } else { Ok(()) }
    }

    fn follow(&self, call: &Call, deployment: Option<&Arc<prove::Object>>) -> Result<(), Box<Break>> {
        self.world.follow_by(call, deployment).map(|_| ()).map_err(|it| Box::new(it.broken))
    }
}

/// What tells an object of a bundle apart.
fn key(id: &prove::Id) -> Id {
    (id.kind.clone(), id.namespace.clone(), id.name.clone())
}
