//! `IstioOperator`: the file that `istioctl install -f` reads.

use std::collections::BTreeMap;

use serde::Serialize;

use super::gateways::{FrontService, NETWORK_VIEW, labels};
use super::settings::{Global, MeshConfig, Pilot, Settings};
use crate::bundle::Bundle;
use crate::model::{ControlPlane, GatewayPods};
use crate::yaml;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IstioOperator<'a> {
    api_version: &'static str,
    kind: &'static str,
    spec: Spec<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    /// istiod alone; the gateways are listed.
    profile: &'static str,
    mesh_config: &'a MeshConfig<'a>,
    values: Values<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    components: Option<Components<'a>>,
}

#[derive(Serialize)]
struct Values<'a> {
    global: &'a Global<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pilot: &'a Option<Pilot>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Components<'a> {
    ingress_gateways: Vec<Gateway<'a>>,
}

#[derive(Serialize)]
struct Gateway<'a> {
    name: &'static str,
    enabled: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    label: BTreeMap<&'static str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    k8s: Option<Kubernetes<'a>>,
}

#[derive(Serialize)]
struct Kubernetes<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    env: Vec<Variable<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<FrontService<'a>>,
}

#[derive(Serialize)]
struct Variable<'a> {
    name: &'static str,
    value: &'a str,
}

pub(super) fn write(plane: &ControlPlane<'_>, settings: &Settings<'_>, bundle: &mut Bundle) {
    let gateways: Vec<_> = plane.gateways.iter().map(gateway).collect();
    let operator = IstioOperator {
        api_version: "install.istio.io/v1alpha1",
        kind: "IstioOperator",
        spec: Spec {
            profile: "minimal",
            mesh_config: &settings.mesh_config,
            values: Values { global: &settings.global, pilot: &settings.pilot },
            components: (!gateways.is_empty()).then_some(Components { ingress_gateways: gateways }),
        },
    };
    bundle.keep("10-istio/istio-operator.yaml", yaml::to_string(&operator));
}

fn gateway<'a>(gateway: &'a GatewayPods<'a>) -> Gateway<'a> {
    let env: Vec<_> = gateway.network.iter().map(|it| Variable { name: NETWORK_VIEW, value: it }).collect();
    let service = FrontService::of(gateway);
    Gateway {
        name: gateway.name,
        enabled: true,
        // The gateway for the outside has the labels of the chart.
        label: if gateway.network.is_some() { labels(gateway) } else { BTreeMap::new() },
        k8s: (!env.is_empty() || service.is_some()).then_some(Kubernetes { env, service }),
    }
}
