//! The plan of a roll-out: what is applied where, in which order.

use serde::Serialize;

use super::PlanAction;
use super::template::{Template, fill};

/// A roll-out.
#[derive(Debug, Serialize)]
pub(crate) struct RolloutView<'a> {
    /// What writes the bundles of a step, but for which.
    pub(crate) command: &'a str,
    /// What opens and closes its block.
    pub(crate) fence: String,
    /// What must hold outside of the bundles.
    pub(crate) conditions: &'a [String],
    /// Which calls are cut, where and why.
    pub(crate) interruptions: Vec<String>,
    /// The steps, in order.
    pub(crate) steps: Vec<RolloutStep<'a>>,
}

/// A step.
#[derive(Debug, Serialize)]
pub(crate) struct RolloutStep<'a> {
    /// Counted from 1.
    pub(crate) number: usize,
    /// What it is called on the command line.
    pub(crate) name: &'a str,
    /// What it is for.
    pub(crate) title: &'static str,
    /// Why it is safe.
    pub(crate) why: &'static str,
    /// What else to know.
    pub(crate) notes: Vec<String>,
    /// The clusters that change, in their order.
    pub(crate) actions: Vec<PlanAction<'a>>,
}

/// Writes the plan.
pub(crate) fn write(view: &RolloutView<'_>) -> String {
    fill(Template::Rollout, view)
}
