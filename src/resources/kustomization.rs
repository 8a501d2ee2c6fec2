//! `kustomization.yaml`: every object that is applied, in order.

use serde::Serialize;

use crate::bundle::Bundle;
use crate::model::ClusterModel;
use crate::yaml;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kustomization<'a> {
    api_version: &'static str,
    kind: &'static str,
    resources: Vec<&'a str>,
}

/// A kustomization of these files.
pub(super) fn of(resources: Vec<&str>) -> Kustomization<'_> {
    Kustomization { api_version: "kustomize.config.k8s.io/v1beta1", kind: "Kustomization", resources }
}

pub(super) fn write(_: &ClusterModel<'_>, bundle: &mut Bundle) {
    let text = yaml::to_string(&of(bundle.applied().collect()));
    bundle.keep("kustomization.yaml", text);
}
