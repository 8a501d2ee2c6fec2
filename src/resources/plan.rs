//! `PLAN.md`: how a service moves, step by step.

use serde::Serialize;

use super::template::{Template, fill};

/// A move.
#[derive(Debug, Serialize)]
pub(crate) struct PlanView<'a> {
    /// The service.
    pub(crate) service: &'a str,
    /// The cluster that it leaves.
    pub(crate) from: &'a str,
    /// The cluster that it comes to.
    pub(crate) to: &'a str,
    /// Whether calls are shared by weight on the way.
    pub(crate) by_weight: bool,
    /// The steps, in order.
    pub(crate) steps: Vec<PlanStep<'a>>,
}

/// A step.
#[derive(Debug, Serialize)]
pub(crate) struct PlanStep<'a> {
    /// Counted from 1.
    pub(crate) number: usize,
    /// Its folder.
    pub(crate) name: &'a str,
    /// The folder of the step before it.
    pub(crate) previous: &'a str,
    /// What it is for.
    pub(crate) title: String,
    /// Why it is safe.
    pub(crate) why: &'static str,
    /// What else to know.
    pub(crate) notes: Vec<String>,
    /// The clusters that change.
    pub(crate) actions: Vec<PlanAction<'a>>,
    /// Whether a cluster waits for the one before it.
    pub(crate) in_order: bool,
    /// The same, on the way back.
    pub(crate) reversed: Vec<PlanAction<'a>>,
}

/// What a step does in a cluster.
#[derive(Debug, Serialize)]
pub(crate) struct PlanAction<'a> {
    /// Its name.
    pub(crate) cluster: &'a str,
    /// The `kubectl` context.
    pub(crate) context: &'a str,
    /// What it has to do with the move.
    pub(crate) part: &'static str,
    /// Objects that come.
    pub(crate) added: String,
    /// Objects that change.
    pub(crate) changed: String,
    /// Objects that go.
    pub(crate) removed: String,
    /// Files that `kubectl apply` does not take.
    pub(crate) by_hand: String,
    /// Those of them that only take something away.
    pub(crate) by_hand_last: String,
    /// Whether there is anything to apply.
    pub(crate) is_applied: bool,
    /// Namespace, kind and name of objects to delete before that.
    pub(crate) recreated: Vec<[String; 3]>,
    /// Namespace and name of Deployments to wait for.
    pub(crate) rollouts: Vec<[String; 2]>,
    /// Namespace, kind and name of objects to delete.
    pub(crate) deletions: Vec<[String; 3]>,
}

/// Writes the plan.
pub(crate) fn write(view: &PlanView<'_>) -> String {
    fill(Template::Plan, view)
}
