//! Our own CoreDNS: it knows the names that its cluster calls, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMap, ConfigMapVolumeSource, Container, ContainerPort, HTTPGetAction, PodAffinityTerm,
    PodAntiAffinity, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SecurityContext, Service, ServicePort,
    ServiceSpec, Volume, VolumeMount, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;

use crate::bundle::Bundle;
use crate::model::Dns;
use crate::resources::template::{Template, fill};
use crate::yaml;

const NAME: &str = "meshlatch-dns";
const NAMESPACE: &str = "istio-system";
/// Its full name, for the zone's own records.
const HOST: &str = "meshlatch-dns.istio-system.svc.cluster.local";
/// A port that needs no privilege.
const PORT: u16 = 1053;
const HEALTH_PORT: u16 = 8080;
const READY_PORT: u16 = 8181;
const FOLDER: &str = "/etc/coredns";
const ZONE_KEY: &str = "zone";
/// How long an answer, or that there is none, may be remembered: a moved service is seen after it.
const TTL_SECONDS: u32 = 60;
/// The user of CoreDNS' own images.
const USER: i64 = 65532;

#[derive(Serialize)]
struct Corefile<'a> {
    suffix: &'a str,
    port: u16,
    health_port: u16,
    ready_port: u16,
    ttl: u32,
    zone_file: String,
    hosts: Vec<Host<'a>>,
}

#[derive(Serialize)]
struct Host<'a> {
    name: &'a str,
    address: String,
}

#[derive(Serialize)]
struct Zone<'a> {
    suffix: &'a str,
    ttl: u32,
    server: &'static str,
    between: BTreeSet<&'a str>,
}

pub(super) fn write(dns: &Dns<'_>, image: &str, bundle: &mut Bundle) {
    let path = "30-dns/server.yaml";
    bundle.apply(path, yaml::to_string(&config_map(dns)));
    bundle.apply(path, yaml::to_string(&deployment(image)));
    bundle.apply(path, yaml::to_string(&service(dns)));
}

fn config_map(dns: &Dns<'_>) -> ConfigMap {
    let corefile = Corefile {
        suffix: dns.suffix,
        port: PORT,
        health_port: HEALTH_PORT,
        ready_port: READY_PORT,
        ttl: TTL_SECONDS,
        zone_file: format!("{FOLDER}/{ZONE_KEY}"),
        hosts: dns.hosts.iter().map(|(name, ip)| Host { name, address: ip.to_string() }).collect(),
    };
    let zone = Zone { suffix: dns.suffix, ttl: TTL_SECONDS, server: HOST, between: between(dns) };
    let data = [
        ("Corefile".to_owned(), fill(Template::ServerCorefile, &corefile)),
        (ZONE_KEY.to_owned(), fill(Template::ServerZone, &zone)),
    ];
    ConfigMap { metadata: metadata(), data: Some(data.into()), ..ConfigMap::default() }
}

/// The names between those of services and the suffix. They exist, though nothing runs there: who is told
/// that one does not may take it that nothing below does (RFC 8020).
fn between<'a>(dns: &'a Dns<'_>) -> BTreeSet<&'a str> {
    let above = |name: &&'a str| name.split_once('.').map(|(_, rest)| rest).filter(|rest| *rest != dns.suffix);
    dns.hosts.keys().flat_map(|name| std::iter::successors(Some(name.as_str()), above).skip(1)).collect()
}

fn deployment(image: &str) -> Deployment {
    let pod = PodSpec {
        affinity: Some(apart()),
        // It asks nobody; above all it must not wait for the DNS that waits for it.
        dns_policy: Some("Default".to_owned()),
        automount_service_account_token: Some(false),
        containers: vec![container(image)],
        volumes: Some(vec![Volume {
            name: "config".to_owned(),
            config_map: Some(ConfigMapVolumeSource { name: NAME.to_owned(), ..ConfigMapVolumeSource::default() }),
            ..Volume::default()
        }]),
        ..PodSpec::default()
    };
    let no_sidecar = ("sidecar.istio.io/inject".to_owned(), "false".to_owned());
    let mut pod_labels = labels();
    pod_labels.extend([no_sidecar.clone()]);
    let template =
        ObjectMeta { labels: Some(pod_labels), annotations: Some([no_sidecar].into()), ..ObjectMeta::default() };
    let spec = DeploymentSpec {
        replicas: Some(2),
        selector: selector(),
        template: PodTemplateSpec { metadata: Some(template), spec: Some(pod) },
        ..DeploymentSpec::default()
    };
    Deployment { metadata: metadata(), spec: Some(spec), ..Deployment::default() }
}

fn container(image: &str) -> Container {
    let port = |name: &str, protocol: &str| ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(PORT),
        protocol: Some(protocol.to_owned()),
        ..ContainerPort::default()
    };
    let probe = |path: &str, port: u16| Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(i32::from(port)),
            ..HTTPGetAction::default()
        }),
        ..Probe::default()
    };
    let quantities = |list: &[(&str, &str)]| {
        Some(list.iter().map(|(name, value)| ((*name).to_owned(), Quantity((*value).to_owned()))).collect())
    };
    Container {
        name: "coredns".to_owned(),
        image: Some(image.to_owned()),
        args: Some(vec!["-conf".to_owned(), format!("{FOLDER}/Corefile")]),
        ports: Some(vec![port("dns", "UDP"), port("dns-tcp", "TCP")]),
        readiness_probe: Some(probe("/ready", READY_PORT)),
        liveness_probe: Some(probe("/health", HEALTH_PORT)),
        resources: Some(ResourceRequirements {
            requests: quantities(&[("cpu", "50m"), ("memory", "32Mi")]),
            limits: quantities(&[("memory", "128Mi")]),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            // The program in CoreDNS' images carries this capability; without it in the bounding
            // set the kernel does not start the program, whatever port it listens on.
            capabilities: Some(Capabilities {
                add: Some(vec!["NET_BIND_SERVICE".to_owned()]),
                drop: Some(vec!["ALL".to_owned()]),
            }),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![VolumeMount {
            name: "config".to_owned(),
            mount_path: FOLDER.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        }]),
        ..Container::default()
    }
}

/// On two nodes, if there are two.
fn apart() -> Affinity {
    let term = WeightedPodAffinityTerm {
        weight: 100,
        pod_affinity_term: PodAffinityTerm {
            label_selector: Some(selector()),
            topology_key: "kubernetes.io/hostname".to_owned(),
            ..PodAffinityTerm::default()
        },
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![term]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

fn service(dns: &Dns<'_>) -> Service {
    let port = |name: &str, protocol: &str| ServicePort {
        name: Some(name.to_owned()),
        port: 53,
        target_port: Some(IntOrString::Int(i32::from(PORT))),
        protocol: Some(protocol.to_owned()),
        ..ServicePort::default()
    };
    let spec = ServiceSpec {
        cluster_ip: Some(dns.address.to_string()),
        ports: Some(vec![port("dns", "UDP"), port("dns-tcp", "TCP")]),
        selector: Some(labels()),
        ..ServiceSpec::default()
    };
    Service { metadata: metadata(), spec: Some(spec), ..Service::default() }
}

fn metadata() -> ObjectMeta {
    ObjectMeta {
        name: Some(NAME.to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        labels: Some(labels()),
        ..ObjectMeta::default()
    }
}

fn labels() -> BTreeMap<String, String> {
    [("app".to_owned(), NAME.to_owned())].into()
}

fn selector() -> LabelSelector {
    LabelSelector { match_labels: Some(labels()), ..LabelSelector::default() }
}
