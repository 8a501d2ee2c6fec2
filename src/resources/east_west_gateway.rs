//! `Gateway`: what the gateway lets in from other clusters.

use serde::Serialize;

use super::template::{Template, fill};
use crate::bundle::Bundle;
use crate::model::ClusterModel;

#[derive(Serialize)]
struct View<'a> {
    api_version: &'static str,
    hosts: &'a [String],
}

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    if !model.exports.is_empty() {
        let view = View { api_version: model.target.networking, hosts: &model.exports };
        bundle.apply("20-mesh/east-west-gateway.yaml", fill(Template::EastWestGateway, &view));
    }
}
