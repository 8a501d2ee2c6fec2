//! Ports and labels of the gateways, as the installers spell them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::{GatewayPods, GatewayPort};
use crate::topology::NETWORK_LABEL;

/// The environment variable that limits what a gateway sees to one network: a call that came in
/// must not go out to another cluster again.
pub(super) const NETWORK_VIEW: &str = "ISTIO_META_REQUESTED_NETWORK_VIEW";

/// The Service in front of a gateway, where it is not the chart's own.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FrontService<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(rename = "loadBalancerIP", skip_serializing_if = "Option::is_none")]
    load_balancer_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_family_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    ports: &'a [GatewayPort],
}

impl<'a> FrontService<'a> {
    /// `None` if the chart's own does.
    pub(super) fn of(gateway: &'a GatewayPods<'a>) -> Option<Self> {
        let service = Self {
            kind: gateway.node_port.then_some("NodePort"),
            load_balancer_ip: gateway.load_balancer_ip.map(|it| it.to_string()),
            ip_family_policy: gateway.dual_stack.then_some("RequireDualStack"),
            ports: &gateway.ports,
        };
        let as_the_charts = gateway.ports.is_empty() && gateway.load_balancer_ip.is_none();
        (!as_the_charts).then_some(service)
    }
}

/// The labels of a gateway's pods.
pub(super) fn labels<'a>(gateway: &GatewayPods<'a>) -> BTreeMap<&'static str, &'a str> {
    let network = gateway.network.map(|it| (NETWORK_LABEL, it));
    [("app", gateway.name), ("istio", gateway.label)].into_iter().chain(network).collect()
}
