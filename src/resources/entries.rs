//! `ServiceEntry`: services of other clusters, and hosts outside the mesh.

use super::template::{Template, fill};
use crate::bundle::Bundle;
use crate::model::ClusterModel;

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    for entry in model.remotes.iter().chain(&model.externals) {
        bundle.apply(format!("20-mesh/{}.yaml", entry.file), fill(Template::ServiceEntry, entry));
    }
}
