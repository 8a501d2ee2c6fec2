//! Rules of probes: what they do, and on which port.

use k8s_openapi::api::core::v1::Probe;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::pods;
use crate::diag::{Code, Diagnostics};
use crate::syntax::{Place, WorkloadSpec};
use crate::target::Release;
use crate::topology::{Cluster, ClusterId, Port, TargetPort};

/// Checks the probes of a workload. Those that the declared Kubernetes does not know would be dropped
/// without a word.
pub(super) fn check(
    workload: &WorkloadSpec,
    ports: &[Port],
    placement: &[ClusterId],
    clusters: &[Cluster],
    place: Place<'_>,
    diags: &mut Diagnostics,
) {
    let container = workload.container.as_ref();
    let inner = place.get("container");
    let probes: [(Option<&Probe>, Place<'_>, bool); 7] = [
        (workload.probe.as_ref(), place.get("probe"), false),
        (workload.readiness_probe.as_ref(), place.get("readinessProbe"), false),
        (workload.liveness_probe.as_ref(), place.get("livenessProbe"), false),
        (workload.startup_probe.as_ref(), place.get("startupProbe"), true),
        (container.and_then(|it| it.readiness_probe.as_ref()), inner.get("readinessProbe"), false),
        (container.and_then(|it| it.liveness_probe.as_ref()), inner.get("livenessProbe"), false),
        (container.and_then(|it| it.startup_probe.as_ref()), inner.get("startupProbe"), true),
    ];
    let names = pods::port_names(workload, place);
    for (probe, at, startup) in probes {
        let Some(probe) = probe else { continue };
        let needs = [
            (probe.grpc.is_some(), "a probe by `grpc`", Release::minor(1, 24), "use `exec` with `grpc_health_probe`"),
            (startup, "a startup probe", Release::minor(1, 18), "use `initialDelaySeconds` of the liveness probe"),
        ];
        for (_, what, since, instead) in needs.iter().filter(|it| it.0) {
            let old = placement.iter().map(|id| &clusters[id.0]).find(|it| it.kubernetes.is_some_and(|it| it < *since));
            // Istio's old line runs on nothing newer than 1.21, whether the release is written or not.
            let ceiling = placement
                .iter()
                .map(|id| &clusters[id.0])
                .find(|it| it.target.refused_by.is_some_and(|refused| refused <= *since));
            if let Some(cluster) = old.or(ceiling) {
                diags
                    .error(
                        Code::FieldNeedsKubernetes,
                        format!(
                            "{what} needs Kubernetes {}.{}, which `{}` does not have",
                            since.major, since.minor, cluster.name
                        ),
                    )
                    .at(at.key(), "")
                    .help(*instead);
            }
        }
        let actions =
            [probe.exec.is_some(), probe.http_get.is_some(), probe.tcp_socket.is_some(), probe.grpc.is_some()];
        if actions.iter().filter(|it| **it).count() != 1 {
            diags
                .error(Code::InvalidWorkload, "a probe does exactly one of `exec`, `httpGet`, `tcpSocket` and `grpc`")
                .at(at.key(), "")
                .help("write two probes if two things are asked: `readinessProbe:` and `livenessProbe:`");
        }
        port(probe, &names, ports, at, diags);
    }
}

/// The port of a probe is a number, or the name of a container port.
fn port(probe: &Probe, names: &[&str], ports: &[Port], place: Place<'_>, diags: &mut Diagnostics) {
    let grpc = probe.grpc.as_ref().map(|it| IntOrString::Int(it.port));
    let asked = [
        (probe.http_get.as_ref().map(|it| &it.port), "httpGet"),
        (probe.tcp_socket.as_ref().map(|it| &it.port), "tcpSocket"),
        (grpc.as_ref(), "grpc"),
    ];
    for (port, action) in asked {
        let Some(port) = port else { continue };
        let Some(at) = place.get(action).find("port") else {
            diags
                .error(Code::InvalidWorkload, format!("`{action}` of a probe has no `port`"))
                .at(place.get(action).key(), "")
                .help(format!("write the number of the container port: `{action}: {{port: 8080}}`"));
            continue;
        };
        match port {
            IntOrString::Int(number) => {
                super::ports::number(&number.to_string(), at, diags);
            }
            IntOrString::String(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                diags
                    .error(Code::InvalidPort, format!("`{text}` in quotes is the name of a port, not its number"))
                    .at(at.value(), "")
                    .help(format!("write it without quotes: `port: {text}`"));
            }
            IntOrString::String(name) if names.contains(&name.as_str()) => {}
            IntOrString::String(name) => {
                let number = ports.iter().find(|it| it.name == *name).and_then(|it| match it.target {
                    TargetPort::Number(number) => Some(number),
                    TargetPort::Name(_) => None,
                });
                diags
                    .error(Code::InvalidWorkload, format!("the probe asks the container port `{name}`, and no container has it"))
                    .at(at.value(), "")
                    .help(match number {
                        Some(number) => format!("`{name}` is a port of the Service; write the number: `port: {number}`"),
                        None => format!(
                            "write the number, or declare it: `container: {{ports: [{{name: {name}, containerPort: 8080}}]}}`"
                        ),
                    });
            }
        }
    }
}
