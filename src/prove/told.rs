//! What no file says and the topology does: pods and Services that somebody else deploys.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_yaml::Value;

use super::cluster::Cluster;
use super::gateways::{self, GatewayPods};
use super::install::default_ports;
use super::object::Object;
use super::service::CLUSTER_DOMAIN;
use super::value::fits;
use crate::topology::{ClusterId, INGRESS_GATEWAY, Service, TargetPort, Topology, Workload};

/// Adds to a cluster what is not written in it, unless it is.
pub(super) fn tell(topology: &Topology, here: ClusterId, cluster: &mut Cluster) {
    cluster.locality = topology.cluster(here).locality.clone().unwrap_or_default();
    for service in topology.view(here).local.iter().map(|it| topology.service(*it)) {
        if matches!(service.workload, Workload::Deployment(_)) {
            continue;
        }
        let selector = service.selector.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let is_written = cluster.selected(&service.namespace, &selector).iter().any(|it| it.id.kind != "WorkloadEntry");
        if !is_written {
            let object = Object::told("Deployment", &service.namespace, &service.name, pods(service));
            cluster.put(Arc::new(object));
        }
        let host = format!("{}.{}.{CLUSTER_DOMAIN}", service.name, service.namespace);
        let is_known = cluster.known(&host).iter().any(super::service::Known::is_service);
        if matches!(service.workload, Workload::Elsewhere) && !service.ports.is_empty() && !is_known {
            let object = Object::told("Service", &service.namespace, &service.name, of_service(service));
            cluster.put(Arc::new(object));
        }
    }
    tell_gateway(topology, here, cluster);
}

/// The gateway that serves the outside, unless it is written.
pub(super) fn tell_gateway(topology: &Topology, here: ClusterId, cluster: &mut Cluster) {
    let gateway = &topology.cluster(here).ingress_gateway;
    let labels: BTreeMap<_, _> = gateway.selector.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let is_written = gateways::all(cluster).iter().any(|it| fits(&it.labels, &labels));
    if is_written || gateway.installed && !cluster.install.is_of_charts() {
        return;
    }
    let of_chart = gateway.installed.then(|| INGRESS_GATEWAY.to_owned());
    cluster.install.gateways.push(GatewayPods {
        name: of_chart.clone().unwrap_or_else(|| "the ingress gateway of somebody else".to_owned()),
        namespace: gateway.namespace.clone(),
        labels,
        ports: gateway.installed.then(|| default_ports(cluster.istio)),
        view: None,
        passes_names: true,
        account: gateway.service_account.clone().or(of_chart),
        place: None,
    });
}

fn pods(service: &Service) -> Value {
    let port = |target: &TargetPort| match target {
        TargetPort::Number(number) => map([("containerPort", Value::from(*number))]),
        TargetPort::Name(name) => map([("name", name.as_str().into())]),
    };
    let ports: Vec<_> = service.ports.iter().map(|it| port(&it.target)).collect();
    let account = service.account_known.then(|| ("serviceAccountName", Value::from(service.service_account.as_str())));
    let containers = ("containers", Value::from(vec![map([("ports", ports.into())])]));
    let labels = service.selector.iter().map(|(key, value)| (key.as_str(), value.as_str().into()));
    let template =
        [("metadata", map([("labels", map(labels))])), ("spec", map([containers].into_iter().chain(account)))];
    map([("spec", map([("template", map(template))]))])
}

fn of_service(service: &Service) -> Value {
    let port = |it: &crate::topology::Port| {
        let target = match &it.target {
            TargetPort::Number(number) => Value::from(*number),
            TargetPort::Name(name) => Value::from(name.as_str()),
        };
        let protocol = Value::from(it.protocol.name());
        map([
            ("name", it.name.as_str().into()),
            ("port", it.number.into()),
            ("targetPort", target),
            ("appProtocol", protocol),
        ])
    };
    let selector = service.selector.iter().map(|(key, value)| (key.as_str(), value.as_str().into()));
    let ports: Vec<Value> = service.ports.iter().map(port).collect();
    map([("spec", map([("selector", map(selector)), ("ports", ports.into())]))])
}

fn map<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Mapping(fields.into_iter().map(|(key, value)| (key.into(), value)).collect())
}
