//! `Istio`: the object that the Sail operator installs. It brings no gateways: theirs are Deployments
//! whose pods the injector fills in.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EnvVar, PodSecurityContext, PodSpec, PodTemplateSpec, SecurityContext, Service,
    ServiceAccount, ServicePort, ServiceSpec, Sysctl,
};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;

use super::gateways::{NETWORK_VIEW, labels};
use super::settings::Settings;
use crate::bundle::Bundle;
use crate::model::{ControlPlane, GatewayPods};
use crate::topology::ROOT_NAMESPACE;
use crate::yaml;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Istio<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    spec: Spec<'a>,
}

#[derive(Serialize)]
struct Metadata {
    name: &'static str,
}

#[derive(Serialize)]
struct Spec<'a> {
    version: String,
    namespace: &'static str,
    values: &'a Settings<'a>,
}

pub(super) fn write(plane: &ControlPlane<'_>, settings: &Settings<'_>, release: &str, bundle: &mut Bundle) {
    let istio = Istio {
        api_version: "sailoperator.io/v1",
        kind: "Istio",
        metadata: Metadata { name: "default" },
        spec: Spec { version: format!("v{release}"), namespace: ROOT_NAMESPACE, values: settings },
    };
    bundle.keep("10-istio/istio.yaml", yaml::to_string(&istio));
    for gateway in &plane.gateways {
        let path = format!("20-mesh/{}.yaml", gateway.name);
        let account = ServiceAccount { metadata: metadata(gateway), ..ServiceAccount::default() };
        bundle.apply(&path, yaml::to_string(&account));
        if gateway.reads_secrets {
            let (role, bound) = reads_secrets(gateway);
            bundle.apply(&path, yaml::to_string(&role));
            bundle.apply(&path, yaml::to_string(&bound));
        }
        bundle.apply(&path, yaml::to_string(&service(gateway)));
        bundle.apply(&path, yaml::to_string(&deployment(gateway)));
    }
}

fn metadata(gateway: &GatewayPods<'_>) -> ObjectMeta {
    ObjectMeta {
        name: Some(gateway.name.to_owned()),
        namespace: Some(ROOT_NAMESPACE.to_owned()),
        labels: Some(owned(labels(gateway))),
        ..ObjectMeta::default()
    }
}

fn owned<'a>(map: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    map.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// What the gateway's Service and Deployment select; it stays when the network's name changes.
fn selector(gateway: &GatewayPods<'_>) -> BTreeMap<String, String> {
    owned([("app", gateway.name), ("istio", gateway.label)])
}

fn service(gateway: &GatewayPods<'_>) -> Service {
    let port = |name: &str, port: u16, target: u16, node_port: Option<u16>| ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(port),
        target_port: (target != port).then(|| IntOrString::Int(i32::from(target))),
        node_port: node_port.map(i32::from),
        ..ServicePort::default()
    };
    let ports = if gateway.ports.is_empty() {
        vec![port("status-port", 15021, 15021, None), port("http2", 80, 80, None), port("https", 443, 443, None)]
    } else {
        gateway.ports.iter().map(|it| port(&it.name, it.port, it.target_port, it.node_port)).collect()
    };
    let spec = ServiceSpec {
        type_: Some(if gateway.node_port { "NodePort" } else { "LoadBalancer" }.to_owned()),
        load_balancer_ip: gateway.load_balancer_ip.map(|it| it.to_string()),
        ip_family_policy: gateway.dual_stack.then(|| "RequireDualStack".to_owned()),
        ports: Some(ports),
        selector: Some(selector(gateway)),
        ..ServiceSpec::default()
    };
    Service { metadata: metadata(gateway), spec: Some(spec), ..Service::default() }
}

/// Image, command and probes are the injector's; ports below 1024 are for whoever the pod runs as.
fn deployment(gateway: &GatewayPods<'_>) -> Deployment {
    let env: Vec<_> = gateway
        .network
        .iter()
        .map(|it| EnvVar { name: NETWORK_VIEW.to_owned(), value: Some((*it).to_owned()), ..EnvVar::default() })
        .collect();
    let proxy = Container {
        name: "istio-proxy".to_owned(),
        image: Some("auto".to_owned()),
        env: (!env.is_empty()).then_some(env),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() }),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            ..SecurityContext::default()
        }),
        ..Container::default()
    };
    let low_ports = Sysctl { name: "net.ipv4.ip_unprivileged_port_start".to_owned(), value: "0".to_owned() };
    let pod = PodSpec {
        containers: vec![proxy],
        security_context: Some(PodSecurityContext { sysctls: Some(vec![low_ports]), ..PodSecurityContext::default() }),
        service_account_name: Some(gateway.name.to_owned()),
        ..PodSpec::default()
    };
    let mut pod_labels = owned(labels(gateway));
    pod_labels.insert("sidecar.istio.io/inject".to_owned(), "true".to_owned());
    let template = ObjectMeta {
        annotations: Some(owned([("inject.istio.io/templates", "gateway")])),
        labels: Some(pod_labels),
        ..ObjectMeta::default()
    };
    let spec = DeploymentSpec {
        selector: LabelSelector { match_labels: Some(selector(gateway)), ..LabelSelector::default() },
        template: PodTemplateSpec { metadata: Some(template), spec: Some(pod) },
        ..DeploymentSpec::default()
    };
    Deployment { metadata: metadata(gateway), spec: Some(spec), ..Deployment::default() }
}

/// Certificates of an ingress lie in secrets beside the gateway.
fn reads_secrets(gateway: &GatewayPods<'_>) -> (Role, RoleBinding) {
    let verbs = ["get", "watch", "list"].map(str::to_owned).to_vec();
    let secrets = PolicyRule {
        api_groups: Some(vec![String::new()]),
        resources: Some(vec!["secrets".to_owned()]),
        verbs,
        ..PolicyRule::default()
    };
    let role = Role { metadata: metadata(gateway), rules: Some(vec![secrets]) };
    let binding = RoleBinding {
        metadata: metadata(gateway),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: gateway.name.to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: gateway.name.to_owned(),
            namespace: Some(ROOT_NAMESPACE.to_owned()),
            ..Subject::default()
        }]),
    };
    (role, binding)
}
