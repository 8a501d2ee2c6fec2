//! `rollout`: in which order the clusters take what a changed topology says, so that no declared
//! call is ever without a path, and what to remove only afterwards.
//!
//! First the bundles of after are tried as they are, cluster by cluster. Where that would cut a
//! call, what changes is mixed in [`phases`], as for a service that moves: what answers comes before
//! what leads there, and goes after it. Every order that is given was followed call by call, through
//! each object that is applied and each that is deleted ([`moments`]). What no order can spare is
//! said: which call, where it ends, and why.

mod calls;
mod conditions;
mod moments;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use crate::Mesh;
use crate::bundle::{Bundle, is_by_hand};
use crate::change::{ByHand, Change};
use crate::model::Wait;
use crate::phases::{self, Id, Install, Mixing, Part};
use crate::prove::{self, Break, Call, Installed, World};
use crate::syntax::Phase;
use crate::topology::{Cluster, Topology, Workload};
use moments::Walk;

pub use report::{Delivery, is_object_name};

/// The way from one mesh to another.
#[derive(Debug)]
pub struct Rollout {
    steps: Vec<Step>,
    interruptions: Vec<Interruption>,
    conditions: Vec<String>,
}

/// A step: bundles of clusters, and the order in which they are applied.
#[derive(Debug)]
pub struct Step {
    /// `01-prepare`.
    pub name: String,
    /// How far it leads; `None` is the end.
    phase: Option<Phase>,
    /// What is in the folder of bundles, by cluster.
    pub bundles: IndexMap<String, Bundle>,
    /// The clusters that change, in their order.
    turns: Vec<Turn>,
}

/// What a step changes in a cluster.
#[derive(Debug)]
struct Turn {
    cluster: String,
    context: String,
    change: Change,
    /// The objects that are applied, in the order of the bundle.
    objects: Vec<(Id, Arc<prove::Object>)>,
    /// How Istio is installed from then on, if it is installed anew, and whether that comes last.
    installed: Option<(Installed, bool)>,
}

/// A call that has no path for a while, whatever the order.
#[derive(Debug, Clone)]
struct Interruption {
    /// The step in which it begins.
    step: String,
    /// The cluster whose turn it is; none while callers are told that no bundle tells.
    turn: Option<String>,
    call: Call,
    at: Break,
}

/// One mesh and what it is compiled to.
struct State<'a> {
    mesh: &'a Mesh,
    bundles: IndexMap<String, Bundle>,
    world: World,
    /// The service that a file is about, by the file's name without ending.
    subjects: BTreeMap<String, usize>,
}

impl<'a> State<'a> {
    fn of(mesh: &'a Mesh) -> Result<Self, Vec<Wait>> {
        let bundles = mesh.bundles()?;
        let world = World::of_bundles(mesh, &bundles).expect("a bundle can be read");
        let services = mesh.topology.services.iter().enumerate();
        let subjects = services.map(|(index, it)| (format!("{}.{}", it.name, it.namespace), index)).collect();
        Ok(Self { mesh, bundles, world, subjects })
    }

    fn topology(&self) -> &'a Topology {
        &self.mesh.topology
    }

    fn cluster(&self, name: &str) -> Option<&'a Cluster> {
        self.topology().clusters.iter().find(|it| it.name == name)
    }
}

/// Finds the way from one mesh to another.
///
/// # Errors
/// When clusters of either wait for an address; says for which.
pub fn plan(old: &Mesh, new: &Mesh) -> Result<Rollout, Vec<Wait>> {
    let (mut old, mut new) = (State::of(old)?, State::of(new)?);
    old.world.mean(&new.world);
    new.world.mean(&old.world);
    let (old, new) = (old, new);
    let clusters: IndexSet<&str> = new.bundles.keys().chain(old.bundles.keys()).map(String::as_str).collect();
    let conditions = conditions::of(&old, &new);
    let direct = |give_up| ordered(&old, &new, &clusters, &[None], give_up);
    let best = match direct(true).filter(|_| !clusters.iter().any(|it| is_installed_twice(&old, &new, it))) {
        Some(best) => best,
        None => {
            let phases = [Phase::Prepare, Phase::Open, Phase::Switch, Phase::Release].map(Some);
            let stepwise = ordered(&old, &new, &clusters, &[&phases[..], &[None]].concat(), false);
            let stepwise = stepwise.expect("it does not give up");
            // More steps must spare something.
            let direct = if stepwise.1.is_empty() { None } else { direct(false) };
            direct.filter(|it| it.1.len() <= stepwise.1.len()).unwrap_or(stepwise)
        }
    };
    Ok(Rollout { steps: best.0, interruptions: best.1, conditions })
}

/// Whether what installs something in a cluster gives as well as it takes.
fn is_installed_twice(old: &State<'_>, new: &State<'_>, cluster: &str) -> bool {
    let (Some(old), Some(new)) = (old.bundles.get(cluster), new.bundles.get(cluster)) else { return false };
    let files = new.files().filter(|(path, file)| !file.applied && is_by_hand(path));
    files.into_iter().any(|(path, it)| {
        old.get(path).is_some_and(|was| was != it.text && phases::only_takes(Some(was), Some(&it.text)).is_none())
    })
}

/// The steps of these phases, each in the order that cuts the fewest calls, and those that it cuts; `None`
/// if it is to give up when one is.
fn ordered(
    old: &State<'_>,
    new: &State<'_>,
    clusters: &IndexSet<&str>,
    phases: &[Option<Phase>],
    give_up: bool,
) -> Option<(Vec<Step>, Vec<Interruption>)> {
    let mut walk = Walk::new(old, new);
    let mut steps: Vec<Step> = Vec::new();
    for phase in phases {
        let bundles: IndexMap<_, _> = clusters
            .iter()
            .map(|it| ((*it).to_owned(), phase.map_or_else(|| last(new, it), |phase| mixed(old, new, it, phase))))
            .collect();
        let before = |cluster: &str| match steps.last() {
            Some(step) => step.bundles[cluster].clone(),
            None => last(old, cluster),
        };
        let turn = |it: &&str| {
            let change = change(old, new, it, [&before(it), &bundles[*it]])?;
            let cluster = new.cluster(it).or_else(|| old.cluster(it))?;
            let installed = installed(old, new, it, &change, &bundles[*it]);
            Some(Turn::new(it, &cluster.context, change, installed))
        };
        let mut turns: Vec<Turn> = clusters.iter().filter_map(turn).collect();
        let tells = *phase == Some(Phase::Switch) && walk.tells();
        if turns.is_empty() && !tells {
            continue;
        }
        turns.sort_by_key(|it| rank(old, new, it, *phase));
        let name = format!("{:02}-{}", steps.len() + 1, phase.map_or("finish", phases::name));
        let turns = walk.order(&name, *phase, turns, give_up);
        if give_up && !walk.is_gapless() {
            return None;
        }
        steps.push(Step { name, phase: *phase, bundles, turns });
    }
    if let Some(step) = steps.last_mut() {
        // Phases in which no object changes are left out, and what is for people may have changed in them.
        for (cluster, bundle) in &mut step.bundles {
            *bundle = last(new, cluster);
        }
    }
    Some((steps, walk.interruptions()))
}

/// What changes in a cluster from one bundle to the next.
fn change(old: &State<'_>, new: &State<'_>, cluster: &str, bundles: [&Bundle; 2]) -> Option<Change> {
    let mut change = Change::between(bundles[0], bundles[1]);
    let release = |state: &State<'_>| state.cluster(cluster).map(|it| it.istio);
    let is_upgraded = release(old).zip(release(new)).is_some_and(|(was, now)| was != now);
    if is_upgraded && bundles[0].get(RUNBOOK) != bundles[1].get(RUNBOOK) {
        // Which release is installed stands nowhere else.
        let change = change.get_or_insert_default();
        if change.by_hand.is_empty() {
            change.by_hand.push(ByHand { path: RUNBOOK.to_owned(), last: false });
        }
    }
    if let Some(change) = &mut change {
        let owned = handed_over(new, cluster);
        change.hand_over(|it| owned.contains(it));
    }
    change
}

impl Turn {
    fn new(cluster: &str, context: &str, change: Change, installed: Option<(Installed, bool)>) -> Self {
        let read = |it: &phases::Object| prove::Object::of_bundle(&it.path, &it.text, it.value.clone());
        let objects = change.new.iter().map(|(id, it)| (id.clone(), Arc::new(read(it)))).collect();
        Self { cluster: cluster.to_owned(), context: context.to_owned(), change, objects, installed }
    }
}

/// How Istio is installed in a cluster when a bundle is applied there, if anything changes in that, and whether
/// it is what comes last.
fn installed(
    old: &State<'_>,
    new: &State<'_>,
    cluster: &str,
    change: &Change,
    bundle: &Bundle,
) -> Option<(Installed, bool)> {
    let is_last = change.by_hand.iter().all(|it| it.last);
    if change.by_hand.is_empty() {
        return None;
    }
    // The release stands in what is for people alone.
    let is_told = new.bundles.get(cluster).is_some_and(|it| it.get(RUNBOOK) == bundle.get(RUNBOOK));
    let mesh = if is_told { new.mesh } else { old.mesh };
    let id = mesh.clusters().find(|it| it.1 == cluster)?.0;
    Some((Installed::of(mesh, id, bundle).expect("a bundle can be read"), is_last))
}

const RUNBOOK: &str = "RUNBOOK.md";

/// Objects of a cluster that somebody else looks after.
fn handed_over(state: &State<'_>, cluster: &str) -> BTreeSet<Id> {
    let topology = state.topology();
    let mut owned = BTreeSet::new();
    for service in &topology.services {
        if !service.placement.iter().any(|it| topology.cluster(*it).name == cluster) {
            continue;
        }
        let kinds: &[_] = match service.workload {
            Workload::Deployment(_) => &[],
            Workload::ServiceOnly => &["Deployment"],
            Workload::Elsewhere => &["Deployment", "Service"],
        };
        let id = |kind: &str, name: &str| (kind.to_owned(), service.namespace.clone(), name.to_owned());
        owned.extend(kinds.iter().map(|it| id(it, &service.name)));
        owned.extend((!kinds.is_empty()).then(|| id("ServiceAccount", &service.service_account)));
    }
    owned
}

/// The bundle of a cluster; empty if the mesh does not have it.
fn last(state: &State<'_>, cluster: &str) -> Bundle {
    state.bundles.get(cluster).cloned().unwrap_or_default()
}

fn mixed(old: &State<'_>, new: &State<'_>, cluster: &str, phase: Phase) -> Bundle {
    let part = |path: &str| part(old, new, cluster, path);
    // Nobody is told the old in a cluster that is new, or the new in one that goes.
    let is_new = !old.bundles.contains_key(cluster);
    let told = is_new || phase >= Phase::Switch && new.bundles.contains_key(cluster);
    let moving = |path: &str| moving(old, new, path);
    let mixing = Mixing { phase, part: &part, moving: &moving, install: Install::Both, told };
    phases::between(&last(old, cluster), last(new, cluster), &mixing)
}

/// The part that a cluster plays for the service that a file is about. What is about none has to do with
/// all. With the last that calls a service goes what leads there.
fn part(old: &State<'_>, new: &State<'_>, cluster: &str, path: &str) -> Part {
    let runs = |state: &State<'_>| subject(state, path).map(|it| runs_in(state.topology(), it, cluster));
    let is_left = |state: &State<'_>| state.bundles.get(cluster).is_none_or(|it| it.get(path).is_none());
    match (runs(old), runs(new)) {
        (None, None) | (Some(true), Some(true)) => Part::Staying,
        (None | Some(false), Some(true)) => Part::Joining,
        (Some(true), None | Some(false)) => Part::Leaving,
        _ if is_left(new) => Part::Leaving,
        _ => Part::Calling,
    }
}

/// The clusters that run the service that a file is about only before, or only after.
fn moving(old: &State<'_>, new: &State<'_>, path: &str) -> BTreeSet<String> {
    let clusters = |state: &State<'_>| -> BTreeSet<String> {
        let service = subject(state, path).map(|it| &state.topology().services[it]);
        let placement = service.into_iter().flat_map(|it| &it.placement);
        placement.map(|it| state.topology().cluster(*it).name.clone()).collect()
    };
    clusters(old).symmetric_difference(&clusters(new)).cloned().collect()
}

/// The service that a file is about, by its index.
fn subject(state: &State<'_>, path: &str) -> Option<usize> {
    let (folder, file) = path.split_once('/')?;
    let stem = file.strip_suffix(".yaml")?;
    match folder {
        "20-mesh" | "40-apps" => state.subjects.get(stem).copied(),
        "50-ingress" => state.topology().ingresses.iter().find(|it| it.name == stem).map(|it| it.service.0),
        _ => None,
    }
}

fn runs_in(topology: &Topology, service: usize, cluster: &str) -> bool {
    topology.services[service].placement.iter().any(|it| topology.cluster(*it).name == cluster)
}

/// Where a cluster stands in a phase, before its calls are followed: by what it does first.
fn rank(old: &State<'_>, new: &State<'_>, turn: &Turn, phase: Option<Phase>) -> u8 {
    let objects = turn.change.new.values().chain(turn.change.old.values());
    let parts = objects.map(|it| part(old, new, &turn.cluster, &it.path).rank(phase));
    parts.min().unwrap_or_default()
}

impl Rollout {
    /// The steps, in order; none if nothing changes.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether every declared call has a path at every moment.
    #[must_use]
    pub fn is_gapless(&self) -> bool {
        self.interruptions.is_empty()
    }
}
