//! `GatewayPods`: the gateways of a cluster, whether an install file, a Deployment or a Gateway brings them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cluster::Cluster;
use super::install::{self, VIEW};
use super::object::{Object, Place};
use super::value::{at, fits, list, number, pairs, word};
use crate::topology::NETWORK_LABEL;

/// The pods of a gateway, with their Service.
#[derive(Debug, Clone)]
pub(super) struct GatewayPods {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) labels: BTreeMap<String, String>,
    /// Of their Service; `None` if somebody else has it.
    pub(super) ports: Option<Vec<GatewayPort>>,
    /// The network whose endpoints alone they see, and where that is said.
    pub(super) view: Option<(String, Place)>,
    /// Whether they pass on connections by server name, as far as they have to be told.
    pub(super) passes_names: bool,
    pub(super) account: Option<String>,
    /// Where their ports are said.
    pub(super) place: Option<Place>,
}

/// A port of a gateway's Service.
#[derive(Debug, Clone)]
pub(super) struct GatewayPort {
    pub(super) number: u16,
    pub(super) target: Option<u16>,
    pub(super) node_port: Option<u16>,
}

/// The label by which pods say the Gateway of Kubernetes for which istiod deploys them.
pub(super) const NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// The class of Gateways that istiod deploys.
const CLASS: &str = "istio";

/// Whether a Gateway is one of Kubernetes, and no mere configuration of pods that are there.
pub(super) fn is_of_kubernetes(object: &Object) -> bool {
    object.id.kind == "Gateway" && object.id.group == "gateway.networking.k8s.io"
}

/// The gateways of a cluster.
pub(super) fn all(cluster: &Cluster) -> Vec<GatewayPods> {
    let mut gateways = cluster.install.gateways.clone();
    for object in cluster.gateway_objects() {
        let pods = match object.id.kind.as_str() {
            "Gateway" if word(&object.value, &["spec", "gatewayClassName"]) == CLASS => of_gateway(object),
            "Gateway" => continue,
            _ => of_deployment(cluster, object),
        };
        gateways.push(pods);
    }
    gateways
}

/// Whether pods of a workload are a gateway's.
pub(super) fn is_gateway(workload: &Object) -> bool {
    let path = ["spec", "template", "metadata", "annotations", "inject.istio.io/templates"];
    workload.id.kind == "Deployment" && word(&workload.value, &path) == "gateway"
}

fn of_gateway(object: &Arc<Object>) -> GatewayPods {
    let network = pairs(&object.value, &["metadata", "labels"]).remove(NETWORK_LABEL);
    let numbers = list(&object.value, &["spec", "listeners"]).iter().filter_map(|it| number(it, &["port"]));
    let name = format!("{}-{CLASS}", object.id.name);
    GatewayPods {
        namespace: object.id.namespace.clone(),
        labels: BTreeMap::from([(NAME.to_owned(), object.id.name.clone())]),
        ports: Some(numbers.map(|number| GatewayPort { number, target: None, node_port: None }).collect()),
        view: network.map(|it| (it, Place::new(object, &["metadata", "labels", NETWORK_LABEL]))),
        passes_names: true,
        account: Some(name.clone()),
        place: Some(Place::new(object, &["spec", "listeners"])),
        name,
    }
}

fn of_deployment(cluster: &Cluster, object: &Arc<Object>) -> GatewayPods {
    let template = ["spec", "template"];
    let value = at(&object.value, &template).unwrap_or(&object.value);
    let labels = pairs(value, &["metadata", "labels"]);
    let containers = list(value, &["spec", "containers"]);
    let view = containers.iter().enumerate().find_map(|(index, container)| {
        let env = list(container, &["env"]);
        let variable = env.iter().position(|it| word(it, &["name"]) == VIEW)?;
        let (index, variable) = (index.to_string(), variable.to_string());
        let field = ["spec", "template", "spec", "containers", &index, "env", &variable, "value"];
        let place = Place::new(object, &field);
        Some((place.value()?.as_str()?.to_owned(), place))
    });
    let service = cluster.of_kind("Service", &object.id.namespace).find(|it| {
        let selector = pairs(&it.value, &["spec", "selector"]);
        !selector.is_empty() && fits(&labels, &selector)
    });
    let account = word(value, &["spec", "serviceAccountName"]);
    GatewayPods {
        name: object.id.name.clone(),
        namespace: object.id.namespace.clone(),
        labels,
        ports: Some(service.map_or_else(Vec::new, |it| install::ports(list(&it.value, &["spec", "ports"]), &[]))),
        view,
        passes_names: true,
        account: Some(if account.is_empty() { "default" } else { account }.to_owned()),
        place: service.map_or_else(|| Some(Place::new(object, &[])), |it| Some(Place::new(it, &["spec", "ports"]))),
    }
}
