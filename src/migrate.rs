//! `migrate`: the steps by which a service moves from one cluster to another.
//!
//! A step is a topology: the user's own files with the smallest edit. From each placement to the
//! next lead up to four steps more, whose topology says `moving` and how far ([`crate::phases`]).
//! A step that would change nothing is left out, and the order of the clusters in each is that in
//! which no declared call is without a path at any moment.

mod edit;
mod order;
mod report;

pub use order::Order;

use indexmap::IndexMap;
use similar::TextDiff;

use crate::Mesh;
use crate::bundle::Bundle;
use crate::change::Change;
use crate::diag::{Code, Diagnostics, Reported};
use crate::inputs::Inputs;
use crate::phases::{self, Part};
use crate::resources;
use crate::source::Source;
use crate::syntax::{self, Document, Phase};
use crate::topology::{ClusterId, ServiceId};
use order::Placement;

/// What there is to tell, and the text it is told of: the topology, or that of a step.
#[derive(Debug)]
pub struct Told {
    /// The text.
    pub source: Source,
    /// All that was said.
    pub diags: Diagnostics,
}

/// The files of a plan: `PLAN.md`, and a folder a step with its topology and what changes.
#[derive(Debug)]
pub struct Plan {
    /// The files.
    pub files: Bundle,
    /// The text of `PLAN.md`.
    pub text: String,
    /// The steps, in order; the first is what there is now.
    pub steps: Vec<PlannedStep>,
}

/// A step of a plan.
#[derive(Debug)]
pub struct PlannedStep {
    /// The name of its folder.
    pub name: String,
    /// The clusters that change, in the order in which they are applied.
    pub clusters: Vec<String>,
}

/// A mesh as one step leaves it.
struct State {
    name: String,
    mesh: Mesh,
    source: Source,
    bundles: IndexMap<String, Bundle>,
}

impl State {
    fn cluster(&self, id: ClusterId) -> String {
        self.mesh.topology.cluster(id).name.clone()
    }
}

/// A state with the way that leads to it.
struct Step {
    state: State,
    /// What the step belongs to.
    aim: String,
    /// How far its topology says that the service is.
    phase: Option<Phase>,
    /// What happens in it: the same, or the phase after which nothing was left to do.
    act: Option<Phase>,
    /// The clusters that change, in the order in which they are applied.
    order: Vec<Turn>,
}

/// What a step changes in a cluster.
struct Turn {
    cluster: ClusterId,
    part: Part,
    change: Change,
}

/// Writes the plan of a move.
pub fn plan(source: &Source, inputs: &Inputs, order: &Order<'_>, mut diags: Diagnostics) -> (Option<Plan>, Told) {
    let whole = |diags| Told { source: source.clone(), diags };
    let Ok(mesh) = crate::compile(source, inputs, &mut diags) else { return (None, whole(diags)) };
    let Ok(document) = syntax::parse(source, &mut Diagnostics::new()) else { return (None, whole(diags)) };
    let Ok(route) = order::route(&mesh, &document, order, &mut diags) else { return (None, whole(diags)) };
    let now = match state("00-now".to_owned(), source.clone(), mesh) {
        Ok(now) => now,
        Err(waits) => {
            pending(&waits, &mut diags);
            return (None, whole(diags));
        }
    };
    // Every step keeps what there is now.
    let mut kept = inputs.clone();
    kept.lock = Some(now.mesh.lock().adopted());
    match steps(source, &kept, order, &document, &route.placements, &now, &mut diags) {
        Ok(steps) => (Some(files(order, route.by_weight, inputs.lock.is_some(), &now, &steps)), whole(diags)),
        Err(None) => (None, whole(diags)),
        Err(Some(told)) => (None, *told),
    }
}

/// The bundles of every cluster, or what they wait for.
fn state(name: String, source: Source, mesh: Mesh) -> Result<State, Vec<crate::model::Wait>> {
    let bundles = mesh.bundles()?;
    Ok(State { name, mesh, source, bundles })
}

fn pending(waits: &[crate::model::Wait], diags: &mut Diagnostics) {
    let mut seen = std::collections::BTreeSet::new();
    for wait in waits.iter().filter(|it| seen.insert(&it.what)) {
        diags
            .error(Code::MovePending, format!("the move waits for {}: {}", wait.what, wait.why))
            .help(format!("a plan needs every address: `{}`", wait.give));
    }
}

/// Every step, numbered; the mistakes of a step are told of its own text.
fn steps(
    source: &Source,
    inputs: &Inputs,
    order: &Order<'_>,
    document: &Document,
    placements: &[Placement],
    now: &State,
    diags: &mut Diagnostics,
) -> Result<Vec<Step>, Option<Box<Told>>> {
    let mut steps: Vec<Step> = Vec::new();
    for pair in placements.windows(2) {
        let [from, to] = pair else { continue };
        let make = |phase: Option<Phase>, diags: &mut Diagnostics| {
            let moving = phase.map(|phase| (from, phase));
            let source = edit::place(source, document, order.service, to, moving, diags).map_err(|_| None)?;
            compile_step(&source, inputs, &slug(to, phase)).map_err(Some)
        };
        // All of a step's phases are made, then those that change nothing are dropped.
        let last = make(None, diags)?;
        let mut phases = Vec::new();
        for phase in [Phase::Prepare, Phase::Open, Phase::Switch, Phase::Release] {
            phases.push((Some(phase), make(Some(phase), diags)?));
        }
        // What is as it is afterwards needs no name of its own.
        let end = phases.iter().position(|(_, it)| same(it, &last)).unwrap_or(phases.len());
        let last_act = phases.get(end).and_then(|it| it.0);
        phases.truncate(end);
        let service = last.mesh.service(order.service);
        let before_mesh = steps.last().map_or(&now.mesh, |it| &it.state.mesh);
        let parts: Vec<Part> = last.mesh.clusters().map(|(id, _)| last.mesh.part(before_mesh, service, id)).collect();
        phases.push((None, last));
        for (phase, mut state) in phases {
            let previous = steps.last().map_or(now, |it| &it.state);
            if same(previous, &state) {
                continue;
            }
            let act = if phase.is_none() { last_act } else { phase };
            let order = turns(previous, &state, &parts, act);
            state.name = format!("{:02}-{}", steps.len() + 1, state.name);
            steps.push(Step { state, aim: to.aim.clone(), phase, act, order });
        }
    }
    Ok(steps)
}

fn slug(placement: &Placement, phase: Option<Phase>) -> String {
    match phase {
        None => placement.slug.clone(),
        Some(phase) => format!("{}-{}", placement.slug, phases::name(phase)),
    }
}

fn compile_step(edited: &Source, inputs: &Inputs, name: &str) -> Result<State, Box<Told>> {
    let mut source = Source::default();
    for (path, file) in paths(edited).into_iter().zip(edited.files()) {
        source.push(format!("{name}/{path}"), edited.slice(file.span).to_owned());
    }
    let mut diags = Diagnostics::new();
    let Ok(mesh) = crate::compile(&source, inputs, &mut diags) else {
        let message = format!("the step `{name}` of the move has errors; they are told of its own topology");
        diags.error(Code::BrokenStep, message).help("mend what they say, then ask for the plan again");
        return Err(Box::new(Told { source, diags }));
    };
    state(name.to_owned(), source.clone(), mesh).map_err(|waits| {
        pending(&waits, &mut diags);
        Box::new(Told { source, diags })
    })
}

/// Where the files of a topology lie in the folder of a step, so that `topology.yaml` is all of them: the
/// others in `topology.d`, in the same order.
fn paths(source: &Source) -> Vec<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' };
    let name = |path: &str| -> String {
        let name: String = path.rsplit(['/', '\\']).next().unwrap_or_default().chars().map(plain).collect();
        name.trim_start_matches('.').to_owned()
    };
    let mut names: Vec<_> = source.files().skip(1).map(|it| name(it.name)).collect();
    let kept = names.is_sorted_by(|a, b| a < b) && names.iter().all(|it| it.ends_with(".yaml") || it.ends_with(".yml"));
    if !kept {
        let width = names.len().to_string().len();
        let stem = |it: &str| it.trim_end_matches(".yaml").trim_end_matches(".yml").to_owned();
        names = (1..).zip(&names).map(|(number, it)| format!("{number:0width$}-{}.yaml", stem(it))).collect();
    }
    let others = names.into_iter().map(|it| format!("topology.d/{it}"));
    std::iter::once("topology.yaml".to_owned()).chain(others).collect()
}

/// Whether two states have the same objects everywhere, and the same installation.
fn same(a: &State, b: &State) -> bool {
    a.bundles.iter().all(|(name, bundle)| Change::between(bundle, &b.bundles[name]).is_none())
}

fn turns(previous: &State, state: &State, parts: &[Part], phase: Option<Phase>) -> Vec<Turn> {
    let turn = |(cluster, name): (ClusterId, &str)| {
        let change = Change::between(&previous.bundles[name], &state.bundles[name])?;
        Some(Turn { cluster, part: parts[cluster.0], change })
    };
    let mut order: Vec<_> = state.mesh.clusters().filter_map(turn).collect();
    order.sort_by_key(|it| it.part.rank(phase));
    order
}

/// The files of the plan.
fn files(order: &Order<'_>, by_weight: bool, locked: bool, now: &State, steps: &[Step]) -> Plan {
    let mut files = Bundle::default();
    let text = resources::plan(&report::view(order, by_weight, now, steps));
    files.keep("PLAN.md", text.clone());
    let mut keep = |state: &State| {
        for (path, file) in paths(&state.source).into_iter().zip(state.source.files()) {
            files.keep(format!("{}/{path}", state.name), state.source.slice(file.span).to_owned());
        }
        // The same addresses in every step.
        if locked && !state.mesh.lock().is_empty() {
            files.keep(format!("{}/topology.lock", state.name), state.mesh.lock().to_string());
        }
    };
    keep(now);
    for step in steps {
        keep(&step.state);
    }
    let mut previous = now;
    for step in steps {
        let name = &step.state.name;
        files.keep(format!("{name}/changes.diff"), difference(previous, &step.state));
        previous = &step.state;
    }
    let clusters = |step: &Step| step.order.iter().map(|it| step.state.cluster(it.cluster)).collect();
    let planned = steps.iter().map(|it| PlannedStep { name: it.state.name.clone(), clusters: clusters(it) });
    let now = PlannedStep { name: now.name.clone(), clusters: Vec::new() };
    Plan { files, text, steps: std::iter::once(now).chain(planned).collect() }
}

/// How the bundles of two states differ, as `diff -u` writes it.
fn difference(old: &State, new: &State) -> String {
    let mut text = String::new();
    for (cluster, after) in &new.bundles {
        let before = &old.bundles[cluster];
        let gone = before.files().filter(|(path, _)| after.get(path).is_none());
        for (path, _) in after.files().chain(gone) {
            let (old, new) = (before.get(path), after.get(path));
            if old == new {
                continue;
            }
            let side = |side: &str, text: Option<&str>| match text {
                Some(_) => format!("{side}/{cluster}/{path}"),
                None => "/dev/null".to_owned(),
            };
            let difference = TextDiff::from_lines(old.unwrap_or_default(), new.unwrap_or_default());
            text += &difference.unified_diff().header(&side("a", old), &side("b", new)).to_string();
        }
    }
    text
}

/// The service that moves, and whether every cluster that has to do with it can share calls by weight.
fn weighs(mesh: &Mesh, service: ServiceId, clusters: &[ClusterId]) -> bool {
    let callers = mesh.topology.services.iter().filter(|it| it.calls.iter().any(|call| call.callee == service));
    let ingresses = mesh.topology.ingresses.iter().filter(|it| it.service == service);
    let from = callers.flat_map(|it| &it.placement).chain(ingresses.flat_map(|it| &it.clusters));
    from.chain(clusters).all(|it| mesh.topology.cluster(*it).passes_through())
}

/// Says that the order cannot be followed.
fn impossible(message: String, help: impl Into<String>, diags: &mut Diagnostics) -> Reported {
    diags.error(Code::InvalidMove, message).help(help).reported()
}
