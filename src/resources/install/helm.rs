//! Values for Helm's charts: `istiod`, and `gateway` once for each gateway. `base` needs none.

use std::collections::BTreeMap;

use serde::Serialize;

use super::gateways::{FrontService, NETWORK_VIEW};
use super::settings::Settings;
use crate::bundle::Bundle;
use crate::model::{ControlPlane, GatewayPods};
use crate::topology::NETWORK_LABEL;
use crate::yaml;

/// Values of the chart `gateway`, whose release is called like the gateway.
#[derive(Serialize)]
struct Values<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'static str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<&'static str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<FrontService<'a>>,
}

pub(super) fn write(plane: &ControlPlane<'_>, settings: &Settings<'_>, bundle: &mut Bundle) {
    bundle.keep("10-istio/istiod.yaml", yaml::to_string(settings));
    for gateway in &plane.gateways {
        bundle.keep(format!("10-istio/{}.yaml", gateway.name), yaml::to_string(&values(gateway)));
    }
}

/// The chart names `app` and `istio` after the release. Its own `networkGateway` would open ports
/// that only clusters without a control plane need.
fn values<'a>(gateway: &'a GatewayPods<'a>) -> Values<'a> {
    let network = gateway.network;
    Values {
        labels: network.iter().map(|it| (NETWORK_LABEL, *it)).collect(),
        env: network.iter().map(|it| (NETWORK_VIEW, *it)).collect(),
        service: FrontService::of(gateway),
    }
}
