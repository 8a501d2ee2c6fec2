//! `PLAN.md`: what to do in each step, in which order, how to see that it worked, and the way back.

use super::{Order, State, Step, Turn};
use crate::change::Change;
use crate::diff;
use crate::phases::Part;
use crate::resources::{PlanAction, PlanStep, PlanView};
use crate::syntax::Phase;
use crate::topology::ServiceId;

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
            actions: step.order.iter().map(|it| action(&step.state, it, &it.change)).collect(),
            in_order: step.order.len() > 1 && !is_share(step),
            // The same, from after to before: what goes, and what is replaced.
            reversed: step.order.iter().rev().map(|it| action(&step.state, it, &it.change.turned())).collect(),
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
        && step
            .order
            .iter()
            .all(|it| it.change.old.keys().chain(it.change.new.keys()).all(|id| id.0 == "VirtualService"))
}

fn action<'a>(state: &'a State, turn: &Turn, change: &Change) -> PlanAction<'a> {
    let cluster = state.mesh.topology.cluster(turn.cluster);
    change.action(&cluster.name, &cluster.context, part(turn.part))
}

fn part(part: Part) -> &'static str {
    match part {
        Part::Joining => "the service comes here",
        Part::Staying => "it runs here all the time",
        Part::Leaving => "the service leaves",
        Part::Calling => "it is called from here",
    }
}

/// What a person must know of a step beside its commands.
fn notes(order: &Order<'_>, previous: &State, step: &Step) -> Vec<String> {
    let service = step.state.mesh.service(order.service);
    let of_clusters =
        step.order.iter().flat_map(|it| it.change.notes(&step.state.mesh.topology.cluster(it.cluster).name));
    let switch = step.act == Some(Phase::Switch);
    let told = switch.then(|| untold(previous, step, service));
    of_clusters.chain(told.into_iter().flatten()).collect()
}

/// Callers that no variable tells whom to call, and the name that they must call from now on.
fn untold(previous: &State, step: &Step, service: ServiceId) -> Vec<String> {
    let after = &step.state.mesh.topology;
    let before = step.state.mesh.before.as_ref().map_or(&previous.mesh.topology, |it| &it.0.topology);
    let callee = &after.service(service).key;
    diff::renamed_untold(before, after)
        .into_iter()
        .filter(|it| it.callee == *callee)
        .map(|it| {
            format!(
                "In `{}` no variable tells the pods of `{}` whom to call. After this step, and before the next, let them \
                 call `{}` in place of `{}`.",
                it.cluster, it.caller, it.new, it.old
            )
        })
        .collect()
}
