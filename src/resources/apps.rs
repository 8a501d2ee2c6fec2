//! `ServiceAccount`, `Service` and `Deployment`: what runs in a cluster.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use k8s_openapi::DeepMerge;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, PodSpec, PodTemplateSpec, Service, ServiceAccount, ServicePort, ServiceSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::bundle::Bundle;
use crate::model::{App, ClusterModel};
use crate::syntax::{Short, WorkloadSpec};
use crate::topology::{Protocol, TargetPort};
use crate::yaml;

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    for app in &model.apps {
        let path = format!("40-apps/{}.{}.yaml", app.name, app.namespace);
        if let Some(account) = app.create_account {
            let object = ServiceAccount { metadata: metadata(account, app), ..ServiceAccount::default() };
            bundle.apply(&path, yaml::to_string(&object));
        }
        if app.service {
            bundle.apply(&path, yaml::to_string(&service(app)));
        }
        if let Some(workload) = app.workload {
            bundle.apply(&path, yaml::to_string(&deployment(app, workload)));
        }
    }
}

fn metadata(name: &str, app: &App<'_>) -> ObjectMeta {
    let labels = (!app.labels.is_empty()).then(|| owned(app.labels));
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(app.namespace.to_owned()),
        labels,
        ..ObjectMeta::default()
    }
}

fn owned(map: &IndexMap<String, String>) -> BTreeMap<String, String> {
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn service(app: &App<'_>) -> Service {
    let ports = app
        .ports
        .iter()
        .map(|port| ServicePort {
            name: Some(port.name.clone()),
            port: i32::from(port.number),
            // Kubernetes takes the port's own number where none is said.
            target_port: (port.target != TargetPort::Number(port.number)).then(|| match &port.target {
                TargetPort::Number(number) => IntOrString::Int(i32::from(*number)),
                TargetPort::Name(name) => IntOrString::String(name.clone()),
            }),
            protocol: (port.protocol == Protocol::Udp).then(|| "UDP".to_owned()),
            app_protocol: port.app_protocol.then(|| port.protocol.name().to_owned()),
            ..ServicePort::default()
        })
        .collect();
    let spec = ServiceSpec { ports: Some(ports), selector: Some(owned(app.selector)), ..ServiceSpec::default() };
    Service { metadata: metadata(app.name, app), spec: Some(spec), ..Service::default() }
}

fn deployment(app: &App<'_>, spec: &WorkloadSpec) -> Deployment {
    let mut pod = PodSpec {
        containers: vec![container(app, spec)],
        service_account_name: (app.service_account != "default").then(|| app.service_account.to_owned()),
        termination_grace_period_seconds: spec.termination_grace_period_seconds,
        ..PodSpec::default()
    };
    if let Some(more) = &spec.pod {
        pod.merge_from(more.clone());
    }
    let mut labels = owned(app.labels);
    labels.extend(owned(app.selector));
    let annotations: BTreeMap<_, _> =
        app.annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let template = ObjectMeta {
        labels: Some(labels),
        annotations: (!annotations.is_empty()).then_some(annotations),
        ..ObjectMeta::default()
    };
    let mut deployment = DeploymentSpec {
        replicas: spec.replicas,
        selector: LabelSelector { match_labels: Some(owned(app.selector)), ..LabelSelector::default() },
        template: PodTemplateSpec { metadata: Some(template), spec: Some(pod) },
        ..DeploymentSpec::default()
    };
    if let Some(more) = &spec.deployment {
        deployment.merge_from(more.clone());
    }
    Deployment { metadata: metadata(app.name, app), spec: Some(deployment), ..Deployment::default() }
}

fn container(app: &App<'_>, spec: &WorkloadSpec) -> Container {
    let own = spec.env.iter().map(|(name, value)| match value {
        Short::Text(text) => variable(name, text),
        Short::Full(source) => EnvVar { name: name.clone(), value_from: Some((**source).clone()), ..EnvVar::default() },
    });
    let env: Vec<_> = own.chain(app.variables.iter().map(|(name, value)| variable(name, value))).collect();
    let mut ports: Vec<ContainerPort> = Vec::new();
    for port in app.ports.iter().filter_map(container_port) {
        // Two ports of the Service may lead to one of the container.
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    let mut container = Container {
        name: "server".to_owned(),
        image: spec.image.clone(),
        command: spec.command.clone(),
        args: spec.args.clone(),
        env: (!env.is_empty()).then_some(env),
        ports: (!ports.is_empty()).then_some(ports),
        resources: spec.resources.clone(),
        readiness_probe: spec.readiness_probe.clone().or_else(|| spec.probe.clone()),
        liveness_probe: spec.liveness_probe.clone().or_else(|| spec.probe.clone()),
        startup_probe: spec.startup_probe.clone(),
        ..Container::default()
    };
    if let Some(more) = &spec.container {
        let name = if more.name.is_empty() { container.name.clone() } else { more.name.clone() };
        container.merge_from(Container { name, ..more.clone() });
    }
    container
}

fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), ..EnvVar::default() }
}

/// A port with a name belongs to the `container:` that names it.
fn container_port(port: &crate::topology::Port) -> Option<ContainerPort> {
    let TargetPort::Number(number) = port.target else { return None };
    let protocol = (port.protocol == Protocol::Udp).then(|| "UDP".to_owned());
    Some(ContainerPort { container_port: i32::from(number), protocol, ..ContainerPort::default() })
}
