//! What a roll-out says: as text for people, as JSON, and for Argo CD and Flux.

use serde::Serialize;
use serde_json::json;

use super::{Interruption, Rollout, Step, Turn};
use crate::phases::Id;
use crate::resources::{self, RolloutStep, RolloutView};
use crate::syntax::Phase;
use crate::topology::is_dns_name;
use crate::yaml;

/// Whether an object of Kubernetes can be called this.
#[must_use]
pub fn is_object_name(name: &str) -> bool {
    is_dns_name(name)
}

/// What applies the bundles, cluster by cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// `sync-wave` of an Application for each cluster.
    ArgoCd,
    /// `dependsOn` of a Kustomization for each cluster.
    Flux,
}

impl Rollout {
    /// The plan as Markdown; `command` is what writes the bundles of a step, but for which step.
    #[must_use]
    pub fn text(&self, command: &str) -> String {
        let steps = self.steps.iter().enumerate().map(|(index, step)| RolloutStep {
            number: index + 1,
            name: &step.name,
            title: title(step.phase, self.steps.len()),
            why: self.why(step.phase),
            notes: notes(step),
            actions: step.turns.iter().map(|it| it.change.action(&it.cluster, &it.context, "")).collect(),
        });
        resources::rollout(&RolloutView {
            command,
            fence: fence(command),
            conditions: &self.conditions,
            interruptions: self.interruptions.iter().map(ToString::to_string).collect(),
            steps: steps.collect(),
        })
    }

    fn why(&self, phase: Option<Phase>) -> &'static str {
        match phase {
            Some(Phase::Prepare) => {
                "Gateways and policies let in what they did and what they will, and what will answer is known. Nobody is \
                 led another way yet."
            }
            Some(Phase::Open) => "New pods start, and names are known that nobody calls yet.",
            Some(Phase::Switch) => {
                "Callers call the new way. What the old way needs is still there, for pods that still have the old address."
            }
            Some(Phase::Release) => "What led callers the old way goes. What answered there stays until the next step.",
            None if self.steps.len() > 1 => "From here on each bundle is that of the new topology alone.",
            None if self.is_gapless() => "In this order no cluster calls what is not there yet, or not there any more.",
            None => "Steps between were tried, and spare nothing.",
        }
    }

    /// The plan as JSON.
    #[must_use]
    pub fn json(&self) -> String {
        let steps: Vec<_> = self
            .steps
            .iter()
            .map(|step| {
                let turns: Vec<_> = step.turns.iter().map(turn).collect();
                json!({ "name": step.name, "clusters": turns, "notes": notes(step) })
            })
            .collect();
        let interruptions: Vec<_> = self.interruptions.iter().map(interruption).collect();
        let whole = json!({ "steps": steps, "interruptions": interruptions, "conditions": self.conditions });
        serde_json::to_string_pretty(&whole).expect("it is maps, lists and text") + "\n"
    }
}

impl Step {
    /// The order of this step's clusters for what delivers them: a document for each, to be merged into
    /// the object that delivers the cluster. `name` gives the name of that object.
    #[must_use]
    pub fn delivery(&self, delivery: Delivery, name: &dyn Fn(&str) -> String) -> String {
        let mut documents = Vec::new();
        let mut previous: Option<String> = None;
        for (index, turn) in self.turns.iter().enumerate() {
            let own = name(&turn.cluster);
            documents.push(match delivery {
                Delivery::ArgoCd => yaml::to_string(&Document {
                    api_version: "argoproj.io/v1alpha1",
                    kind: "Application",
                    metadata: Metadata { name: own.clone(), annotations: Some(Wave { wave: (index + 1).to_string() }) },
                    spec: None,
                }),
                Delivery::Flux => yaml::to_string(&Document {
                    api_version: "kustomize.toolkit.fluxcd.io/v1",
                    kind: "Kustomization",
                    metadata: Metadata { name: own.clone(), annotations: None },
                    spec: Some(Dependencies {
                        depends_on: previous.iter().map(|name| Dependency { name: name.clone() }).collect(),
                        wait: true,
                    }),
                }),
            });
            previous = Some(own);
        }
        documents.join("---\n")
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<Dependencies>,
}

#[derive(Serialize)]
struct Metadata {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Wave>,
}

#[derive(Serialize)]
struct Wave {
    #[serde(rename = "argocd.argoproj.io/sync-wave")]
    wave: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependencies {
    depends_on: Vec<Dependency>,
    wait: bool,
}

#[derive(Serialize)]
struct Dependency {
    name: String,
}

fn title(phase: Option<Phase>, steps: usize) -> &'static str {
    match phase {
        Some(Phase::Prepare) => "Prepare the way",
        Some(Phase::Open) => "New pods start",
        Some(Phase::Switch) => "Callers change over",
        Some(Phase::Release) => "The old way is left",
        None if steps == 1 => "Every cluster takes its bundle",
        None => "What is left over goes",
    }
}

/// What opens and closes a block of code that has this text.
fn fence(text: &str) -> String {
    let longest = text.split(|it| it != '`').map(str::len).max().unwrap_or_default();
    "`".repeat(3.max(longest + 1))
}

/// What a person must know of a step beside its commands.
fn notes(step: &Step) -> Vec<String> {
    step.turns.iter().flat_map(|it| it.change.notes(&it.cluster)).collect()
}

fn turn(turn: &Turn) -> serde_json::Value {
    let list = |ids: Vec<&Id>| -> Vec<_> {
        ids.into_iter().map(|it| json!({ "kind": it.0, "namespace": it.1, "name": it.2 })).collect()
    };
    let change = &turn.change;
    let named = |[namespace, name]: [String; 2]| json!({ "namespace": namespace, "name": name });
    json!({
        "cluster": turn.cluster,
        "context": turn.context,
        "byHand": change.by_hand.iter().map(|it| json!({ "path": it.path, "last": it.last })).collect::<Vec<_>>(),
        "recreated": list(change.recreated().collect()),
        "handedOver": list(change.handed_over.iter().collect()),
        "added": list(change.added().collect()),
        "changed": list(change.changed().collect()),
        "removed": list(change.removed()),
        "waitFor": change.rollouts().into_iter().map(named).collect::<Vec<_>>(),
    })
}

fn interruption(it: &Interruption) -> serde_json::Value {
    json!({
        "step": it.step,
        "turn": it.turn,
        "cluster": it.call.cluster,
        "caller": it.call.caller.key(),
        "ingress": it.call.caller.is_ingress(),
        "callee": it.call.callee,
        "host": it.call.host,
        "port": it.call.port,
        "where": it.at.cluster,
        "why": it.at.why,
    })
}

impl std::fmt::Display for Interruption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { step, turn, call, at } = self;
        write!(f, "{call}. It is cut in `{step}`, ")?;
        match turn {
            Some(turn) => write!(f, "when it is the turn of `{turn}`: {at}."),
            None => write!(f, "when callers are told that no bundle tells: {at}."),
        }
    }
}
