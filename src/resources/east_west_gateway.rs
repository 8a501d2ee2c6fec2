//! `Gateway`: what the gateway lets in from other clusters.

use serde::Serialize;

use super::template::{Template, fill};
use crate::bundle::Bundle;
use crate::model::ClusterModel;
use crate::syntax::GatewayApi;

#[derive(Serialize)]
struct View<'a> {
    api_version: &'static str,
    network: &'a str,
    address: Option<String>,
    hosts: &'a [String],
}

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    if model.exports.is_empty() {
        return;
    }
    let view = View {
        api_version: model.target.networking,
        network: model.network,
        address: model.gateway.filter(|it| it.pin).map(|it| it.addresses[0].to_string()),
        hosts: &model.exports,
    };
    let template = match model.gateway.map(|it| it.api) {
        Some(GatewayApi::GatewayApi) => Template::EastWestGatewayApi,
        _ => Template::EastWestGateway,
    };
    bundle.apply("20-mesh/east-west-gateway.yaml", fill(template, &view));
}
