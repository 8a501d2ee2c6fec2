//! `ServiceEntry` and `PeerAuthentication`: how a cluster takes part in the mesh.

use serde::Serialize;

use super::template::{Template, fill};
use crate::bundle::Bundle;
use crate::model::ClusterModel;

#[derive(Serialize)]
struct PeerAuthentication {
    mode: &'static str,
}

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    if model.peer_authentication {
        bundle.apply(
            "20-mesh/peer-authentication.yaml",
            fill(Template::PeerAuthentication, &PeerAuthentication { mode: "STRICT" }),
        );
    }
    for entry in model.remotes.iter().chain(&model.externals) {
        bundle.apply(format!("20-mesh/{}.yaml", entry.file), fill(Template::ServiceEntry, entry));
    }
}
