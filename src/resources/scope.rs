//! `Sidecar` and `AuthorizationPolicy`: what a namespace is told of, and who is let in.

use super::template::{Template, fill};
use crate::bundle::Bundle;
use crate::model::ClusterModel;

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    for sidecar in &model.sidecars {
        // A service's file has a dot in its name, this one has none.
        bundle.apply(format!("20-mesh/sidecar-{}.yaml", sidecar.namespace), fill(Template::Sidecar, sidecar));
    }
    for policy in &model.policies {
        bundle.apply(format!("20-mesh/{}.yaml", policy.file), fill(Template::AuthorizationPolicy, policy));
    }
}
