//! `PeerAuthentication`: strict mTLS in the whole cluster.

use serde::Serialize;

use super::template::{Template, fill};
use crate::bundle::Bundle;
use crate::model::ClusterModel;

#[derive(Serialize)]
struct View {
    api_version: &'static str,
}

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    if model.peer_authentication {
        bundle.apply(
            "20-mesh/peer-authentication.yaml",
            fill(Template::PeerAuthentication, &View { api_version: model.target.security }),
        );
    }
}
