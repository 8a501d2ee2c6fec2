//! Rules of pods: names in them lead somewhere.

use k8s_openapi::api::core::v1::{Container, EnvVarSource, PodSpec};

use super::ports;
use crate::diag::{Code, Diagnostics, nearest};
use crate::syntax::{Place, Short, WorkloadSpec};
use crate::topology::{Port, TargetPort};

/// Checks what the Service, the containers and the variables of a workload name.
pub(super) fn check(workload: &WorkloadSpec, ports: &[Port], service: Place<'_>, diags: &mut Diagnostics) {
    let place = service.get("workload");
    container_ports(workload, place, diags);
    targets(workload, ports, service, diags);
    sources(workload, place, diags);
    mounts(workload, place, diags);
}

/// What a workload adds to its pod: fields of the pod itself, and of the Deployment's template.
fn pods<'a>(workload: &'a WorkloadSpec, place: Place<'a>) -> Vec<(&'a PodSpec, Place<'a>)> {
    let template = workload.deployment.as_ref().and_then(|it| it.template.spec.as_ref());
    let below = place.get("deployment").get("template").get("spec");
    let both = [(workload.pod.as_ref(), place.get("pod")), (template, below)];
    both.into_iter().filter_map(|(pod, at)| pod.map(|pod| (pod, at))).collect()
}

/// The containers of a pod and where they are written: the fields of its own, then all that are added.
pub(super) fn containers<'a>(workload: &'a WorkloadSpec, place: Place<'a>) -> Vec<(&'a Container, Place<'a>)> {
    let own = workload.container.iter().map(|it| (it, place.get("container")));
    let pods = pods(workload, place);
    let added = pods.into_iter().flat_map(|(pod, at)| {
        let list = at.get("containers");
        pod.containers.iter().enumerate().map(move |(index, it)| (it, list.item(index)))
    });
    own.chain(added).collect()
}

/// The names of all container ports.
pub(super) fn port_names<'a>(workload: &'a WorkloadSpec, place: Place<'a>) -> Vec<&'a str> {
    let containers = containers(workload, place).into_iter();
    containers.flat_map(|it| it.0.ports.iter().flatten()).filter_map(|it| it.name.as_deref()).collect()
}

fn container_ports(workload: &WorkloadSpec, place: Place<'_>, diags: &mut Diagnostics) {
    for (container, at) in containers(workload, place) {
        for (index, port) in container.ports.iter().flatten().enumerate() {
            let at = at.get("ports").item(index).get("containerPort");
            if let Some(number) = ports::number(&port.container_port.to_string(), at, diags) {
                ports::not_of_sidecar(number, at, diags);
            }
        }
    }
}

/// A Service that leads to a port by name finds a container port of that name.
fn targets(workload: &WorkloadSpec, ports: &[Port], service: Place<'_>, diags: &mut Diagnostics) {
    let names = port_names(workload, service.get("workload"));
    for port in ports {
        let TargetPort::Name(name) = &port.target else { continue };
        if names.contains(&name.as_str()) {
            continue;
        }
        diags
            .error(
                Code::InvalidWorkload,
                format!("port `{}` leads to the container port `{name}`, and no container has it", port.name),
            )
            .at(service.get("ports").get(&port.name).get("targetPort").value(), "the Service would have no endpoints")
            .help_if(nearest(name, names.iter().copied()).map(|near| format!("did you mean `{near}`?")))
            .help(format!(
                "write the number, `{}:8080`, or declare it: `container: {{ports: [{{name: {name}, containerPort: 8080}}]}}`",
                port.number
            ));
    }
}

/// What a variable is taken from is named in full.
fn sources(workload: &WorkloadSpec, place: Place<'_>, diags: &mut Diagnostics) {
    let env = place.get("env");
    for (name, value) in &workload.env {
        if let Short::Full(from) = value {
            source(from, env.get(name), diags);
        }
    }
    for (container, at) in containers(workload, place) {
        for (index, variable) in container.env.iter().flatten().enumerate() {
            if let Some(from) = &variable.value_from {
                source(from, at.get("env").item(index).get("valueFrom"), diags);
            }
        }
    }
}

fn source(from: &EnvVarSource, place: Place<'_>, diags: &mut Diagnostics) {
    // Kubernetes' types fill a field that is missing with an empty text.
    let secret = from.secret_key_ref.as_ref().map(|it| ("secretKeyRef", vec![("name", &it.name), ("key", &it.key)]));
    let map =
        from.config_map_key_ref.as_ref().map(|it| ("configMapKeyRef", vec![("name", &it.name), ("key", &it.key)]));
    let field = from.field_ref.as_ref().map(|it| ("fieldRef", vec![("fieldPath", &it.field_path)]));
    let resource = from.resource_field_ref.as_ref().map(|it| ("resourceFieldRef", vec![("resource", &it.resource)]));
    let found: Vec<_> = [secret, map, field, resource].into_iter().flatten().collect();
    for (kind, fields) in &found {
        let form: Vec<_> = fields.iter().map(|it| format!("{}: …", it.0)).collect();
        for (field, _) in fields.iter().filter(|it| it.1.is_empty()) {
            diags
                .error(Code::InvalidWorkload, format!("`{kind}` has no `{field}`"))
                .at(place.get(kind).key(), "")
                .help(format!("write `{kind}: {{{}}}`", form.join(", ")));
        }
    }
    if found.len() != 1 {
        diags
            .error(Code::InvalidWorkload, "a variable is taken from exactly one place")
            .at(place.key(), "")
            .help("one of `secretKeyRef`, `configMapKeyRef`, `fieldRef` and `resourceFieldRef`");
    }
}

/// What a container mounts is a volume of its pod.
fn mounts(workload: &WorkloadSpec, place: Place<'_>, diags: &mut Diagnostics) {
    let pods = pods(workload, place);
    let volumes: Vec<&str> =
        pods.iter().flat_map(|it| it.0.volumes.iter().flatten()).map(|it| it.name.as_str()).collect();
    let first = pods.iter().flat_map(|(pod, at)| {
        let list = at.get("initContainers");
        pod.init_containers.iter().flatten().enumerate().map(move |(index, it)| (it, list.item(index)))
    });
    for (container, at) in containers(workload, place).into_iter().chain(first) {
        for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
            if volumes.contains(&mount.name.as_str()) {
                continue;
            }
            diags
                .error(
                    Code::InvalidWorkload,
                    format!("a container mounts the volume `{}`, and the pod has none of this name", mount.name),
                )
                .at(at.get("volumeMounts").item(index).get("name").value(), "")
                .help(match nearest(&mount.name, volumes.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "declare it below `workload:`: `pod: {volumes: [{name: …, emptyDir: {}}]}`".to_owned(),
                });
        }
    }
}
