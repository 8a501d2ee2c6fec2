//! `render`: writes a [`ClusterModel`] down. Nothing is decided here.
//!
//! Kinds that Kubernetes owns are `k8s_openapi` structs, kinds that others own are a template and
//! a view. Both leave through [`crate::yaml`]. To add a kind: its file here, a template if it is
//! not Kubernetes' own, a line in [`PHASES`] at its place in the order of application, a golden
//! case.

mod apps;
mod dns;
mod east_west_gateway;
mod entries;
mod ingress;
mod install;
mod kustomization;
mod namespaces;
mod peer_authentication;
mod plan;
mod remote_gateways;
mod rollout;
mod routing;
mod runbook;
mod scope;
mod secrets;
mod template;

pub use secrets::CaFiles;
pub(crate) use secrets::command as cacerts_command;
pub use template::shell_word;

use crate::bundle::Bundle;
use crate::model::ClusterModel;
pub(crate) use plan::{PlanAction, PlanStep, PlanView, write as plan};
pub(crate) use rollout::{RolloutStep, RolloutView, write as rollout};

/// What writes the files of a bundle, in the order in which their objects are applied.
const PHASES: [fn(&ClusterModel<'_>, &mut Bundle); 14] = [
    namespaces::write,
    secrets::write,
    install::write,
    peer_authentication::write,
    east_west_gateway::write,
    remote_gateways::write,
    entries::write,
    routing::write,
    scope::write,
    dns::write,
    apps::write,
    ingress::write,
    // Both list what the others wrote.
    kustomization::write,
    runbook::write,
];

/// A kustomization of these files.
#[must_use]
pub(crate) fn kustomization(paths: Vec<&str>) -> String {
    crate::yaml::to_string(&kustomization::of(paths))
}

/// Writes one cluster's bundle.
#[must_use]
pub(crate) fn render(model: &ClusterModel<'_>) -> Bundle {
    let mut bundle = Bundle::default();
    for write in PHASES {
        write(model, &mut bundle);
    }
    bundle
}
