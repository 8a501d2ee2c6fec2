//! `PLAN.md`: what to do in each step, in which order, how to see that it worked, and the way back.

use indexmap::IndexMap;
use serde_yaml::Value;

use super::{Change, Order, State, Step};
use crate::phases::{Id, Object, Part};
use crate::resources::{PlanAction, PlanStep, PlanView};
use crate::syntax::Phase;
use crate::topology::{ClusterId, ServiceId, Workload};

/// What the template of the plan needs.
pub(super) fn view<'a>(order: &Order<'a>, by_weight: bool, now: &'a State, steps: &'a [Step]) -> PlanView<'a> {
    let states = std::iter::once(now).chain(steps.iter().map(|it| &it.state));
    let steps = steps
        .iter()
        .zip(states)
        .enumerate()
        .map(|(index, (step, previous))| PlanStep {
            number: index + 1,
            name: &step.state.name,
            previous: &previous.name,
            title: title(step),
            why: why(step.act),
            notes: notes(order, previous, step),
            actions: step.order.iter().map(|it| action(&step.state, it)).collect(),
            in_order: step.order.len() > 1 && !is_share(step),
            reversed: step.order.iter().rev().map(|it| back(&step.state, it)).collect(),
        })
        .collect();
    PlanView { service: order.service, from: order.from, to: order.to, by_weight, steps }
}

fn title(step: &Step) -> String {
    let aim = &step.aim;
    match step.phase {
        None => aim.clone(),
        Some(Phase::Prepare) => format!("{aim}: prepare the way"),
        Some(Phase::Open) => format!("{aim}: the new pods start"),
        Some(Phase::Switch) => format!("{aim}: callers change over"),
        Some(Phase::Release) => format!("{aim}: the old way is left"),
    }
}

fn why(phase: Option<Phase>) -> &'static str {
    match phase {
        Some(Phase::Prepare) => {
            "Gateways let in the names of before and of after, rules know the subsets that routes will name, and what new pods \
             will call is known beside them. Nobody calls another way yet."
        }
        Some(Phase::Open) => "The new pods start, with routes that lead past them.",
        Some(Phase::Switch) => {
            "Callers call the new way. What the old way needs is still there, for pods that still have the old address."
        }
        Some(Phase::Release) => "What led callers the old way goes. What answered there stays until the next step.",
        None => "From here on the bundle is that of the topology alone.",
    }
}

/// Whether only shares change, in which no cluster waits for another.
fn is_share(step: &Step) -> bool {
    step.phase.is_none()
        && step.order.iter().all(|it| it.old.keys().chain(it.new.keys()).all(|id| id.0 == "VirtualService"))
}

fn action<'a>(state: &'a State, change: &Change) -> PlanAction<'a> {
    let cluster = state.mesh.topology.cluster(change.cluster);
    let added = change.new.keys().filter(|it| !change.old.contains_key(*it));
    let changed = change.new.keys().filter(|it| change.old.contains_key(*it));
    // A namespace may hold more than this bundle's objects.
    let removed = change.old.keys().filter(|it| !change.new.contains_key(*it) && it.0 != "Namespace");
    let removed: Vec<&Id> = sorted(removed.collect());
    PlanAction {
        cluster: &cluster.name,
        context: &cluster.context,
        part: part(change.part),
        added: list(added),
        changed: list(changed),
        removed: list(removed.iter().copied()),
        by_hand: change.by_hand.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", "),
        rollouts: rollouts(&change.old, &change.new),
        deletions: removed.iter().map(|it| deletion(it, &change.old[*it])).collect(),
    }
}

/// The same, from after to before: what goes, and what is replaced.
fn back<'a>(state: &'a State, change: &Change) -> PlanAction<'a> {
    let turned = Change {
        cluster: change.cluster,
        part: change.part,
        old: change.new.clone(),
        new: change.old.clone(),
        by_hand: Vec::new(),
    };
    PlanAction { added: String::new(), changed: String::new(), ..action(state, &turned) }
}

/// Pods go while routes still lead past them, what leads calls goes before what it needs.
fn sorted(mut ids: Vec<&Id>) -> Vec<&Id> {
    let first = ["Deployment", "VirtualService", "WorkloadEntry", "ServiceEntry", "DestinationRule"];
    ids.sort_by_key(|id| first.iter().position(|it| *it == id.0).unwrap_or(first.len()));
    ids
}

fn part(part: Part) -> &'static str {
    match part {
        Part::Joining => "the service comes here",
        Part::Staying => "it runs here all the time",
        Part::Leaving => "the service leaves",
        Part::Calling => "it is called from here",
    }
}

fn list<'a>(ids: impl Iterator<Item = &'a Id>) -> String {
    ids.map(|(kind, namespace, name)| match namespace.as_str() {
        "" => format!("{kind} `{name}`"),
        namespace => format!("{kind} `{namespace}/{name}`"),
    })
    .collect::<Vec<_>>()
    .join(", ")
}

/// Deployments that start or are replaced: namespace and name.
fn rollouts(old: &IndexMap<Id, Object>, new: &IndexMap<Id, Object>) -> Vec<[String; 2]> {
    let changed = |(id, it): &(&Id, &Object)| old.get(*id).is_none_or(|old| old.value != it.value);
    let deployments = new.iter().filter(|(id, _)| id.0 == "Deployment").filter(changed);
    deployments.map(|(id, _)| [id.1.clone(), id.2.clone()]).collect()
}

/// As kubectl takes it: namespace, kind with its group and what it waits for, name. Two groups have a Gateway.
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

/// What a person must know of a step beside its commands.
fn notes(order: &Order<'_>, previous: &State, step: &Step) -> Vec<String> {
    let service = step.state.mesh.service(order.service);
    let mut notes: Vec<String> = step.order.iter().flat_map(|it| restarts(&step.state, it)).collect();
    if step.act == Some(Phase::Switch) {
        notes.extend(elsewhere(previous, step, service));
    }
    for change in &step.order {
        let name = &step.state.mesh.topology.cluster(change.cluster).name;
        let gone = |it: &(&Id, &Object)| !change.new.contains_key(it.0);
        if change.old.iter().filter(gone).any(|(_, it)| it.path.starts_with("50-ingress/")) {
            notes.push(format!(
                "Before this step nobody outside may be led to the ingress gateway of `{name}` any longer: change the public \
                 DNS name, and wait until its old answers have run out."
            ));
        }
        for (id, _) in change.old.iter().filter(gone).filter(|(id, _)| id.0 == "Namespace") {
            notes.push(format!(
                "The namespace `{}` of `{name}` is no longer in its bundle. What prunes would delete it with all that is in it: \
                 keep it (`argocd.argoproj.io/sync-options: Prune=false`) until it is empty.",
                id.2
            ));
        }
    }
    notes
}

/// Which pods are replaced, and what they call then.
fn restarts(state: &State, change: &Change) -> Vec<String> {
    let cluster = &state.mesh.topology.cluster(change.cluster).name;
    let deployments = change.new.iter().filter(|(id, _)| id.0 == "Deployment");
    deployments
        .filter_map(|(id, new)| {
            let old = environment(&change.old.get(id)?.value);
            let new = environment(&new.value);
            let changed: Vec<_> = new
                .iter()
                .filter(|it| !old.contains(it))
                .map(|(name, value)| format!("`{}`", format!("{name}={value}").replace(['`', '\n'], " ")))
                .collect();
            (!changed.is_empty()).then(|| {
                format!("In `{cluster}` the pods of `{}` are replaced: they get {}.", id.2, changed.join(", "))
            })
        })
        .collect()
}

fn environment(deployment: &Value) -> Vec<(String, String)> {
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_sequence();
    let variables = containers.into_iter().flatten().filter_map(|it| it["env"].as_sequence()).flatten();
    variables.filter_map(|it| Some((it["name"].as_str()?.to_owned(), it["value"].as_str()?.to_owned()))).collect()
}

/// Callers whose pods somebody else deploys, and the name that they must call from now on.
fn elsewhere(previous: &State, step: &Step, service: ServiceId) -> Vec<String> {
    let after = &step.state.mesh.topology;
    let before = step.state.mesh.before.as_ref().map_or(&previous.mesh.topology, |it| &it.0.topology);
    let callers = after.services.iter().filter(|it| it.calls.iter().any(|call| call.callee == service));
    let foreign = callers.filter(|it| !matches!(it.workload, Workload::Deployment(_)));
    foreign
        .flat_map(|caller| {
            let renamed = |id: &&ClusterId| after.host(**id, service) != before.host(**id, service);
            caller.placement.iter().filter(renamed).map(move |id| {
                format!(
                    "In `{}` the pods of `{}` come from elsewhere. After this step, and before the next, let them call `{}` in \
                     place of `{}`.",
                    after.cluster(*id).name,
                    caller.key,
                    after.host(*id, service),
                    before.host(*id, service)
                )
            })
        })
        .collect()
}
