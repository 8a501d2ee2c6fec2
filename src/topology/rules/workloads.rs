//! Rules of workloads: environment variables, probes, and what a pod of the mesh must be.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Probe, ResourceRequirements};

use crate::diag::{Code, Diagnostics};
use crate::source::Span;
use crate::syntax::{Place, ServiceSpec, Short, WorkloadSpec};
use crate::target::Release;
use crate::topology::{Call, Cluster, ClusterId, Service, Workload};

/// Checks the workload of a service, apart from its variables.
pub(super) fn resolve(
    spec: &ServiceSpec,
    placement: &[ClusterId],
    clusters: &[Cluster],
    place: Place<'_>,
    diags: &mut Diagnostics,
) -> Workload {
    let service = place;
    let place = place.get("workload");
    let workload = match &spec.workload {
        None => return Workload::ServiceOnly,
        Some(Short::Text(word)) if word == "elsewhere" => return Workload::Elsewhere,
        Some(Short::Text(word)) => {
            diags
                .error(Code::InvalidWorkload, format!("`{word}` is no workload"))
                .at(place.value(), "")
                .help("describe it, `workload: {image: …}`, or write `workload: elsewhere` if its Deployment and Service come from somewhere else");
            return Workload::Elsewhere;
        }
        Some(Short::Full(workload)) => workload,
    };
    let container_image = |it: &Container| it.image.is_some();
    if workload.image.is_none() && !workload.container.as_ref().is_some_and(container_image) {
        diags
            .error(Code::InvalidWorkload, "the workload has no `image`")
            .at(place.key(), "")
            .help("write `image: registry/name:tag`");
    }
    let inner = place.get("container");
    let images = [(&workload.image, place), (workload.container.as_ref().map_or(&None, |it| &it.image), inner)];
    for (image, at) in images {
        // A blank or a sign of the shell is what remains of a template that was not filled in.
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@');
        if image.as_ref().is_some_and(|it| it.is_empty() || !it.chars().all(word)) {
            diags
                .error(Code::InvalidWorkload, "this is not the name of an image")
                .at(at.get("image").value(), "")
                .help("write `registry/name:tag`, without blanks and templates");
        }
    }
    quantities(workload.resources.as_ref(), place.get("resources"), diags);
    quantities(workload.container.as_ref().and_then(|it| it.resources.as_ref()), inner.get("resources"), diags);
    if workload.replicas.is_some_and(|it| it < 0) {
        diags
            .error(Code::InvalidWorkload, "there cannot be fewer than 0 replicas")
            .at(place.get("replicas").value(), "")
            .help("leave it out if something else counts the pods");
    }
    selector(spec, workload, service, diags);
    probes(workload, placement, clusters, place, diags);
    Workload::Deployment(workload.clone())
}

/// Requests and limits are numbers with a unit.
fn quantities(resources: Option<&ResourceRequirements>, place: Place<'_>, diags: &mut Diagnostics) {
    let Some(resources) = resources else { return };
    for (field, map) in [("requests", &resources.requests), ("limits", &resources.limits)] {
        for (name, quantity) in map.iter().flatten().filter(|it| !is_quantity(&it.1.0)) {
            diags
                .error(Code::InvalidWorkload, format!("`{}` is not a quantity of `{name}`", quantity.0))
                .at(place.get(field).get(name).value(), "")
                .help("a number with a unit of Kubernetes, and no blank between: `250m`, `0.5`, `64Mi`, `1Gi`");
        }
    }
}

/// A number, and a unit, or an exponent of ten.
fn is_quantity(text: &str) -> bool {
    const UNITS: [&str; 16] = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, unit) = unsigned.split_at(end);
    let exponent = unit.strip_prefix(['e', 'E']).map(|it| it.strip_prefix(['+', '-']).unwrap_or(it));
    let is_number = number.matches('.').count() <= 1 && number.contains(|c: char| c.is_ascii_digit());
    is_number
        && (UNITS.contains(&unit)
            || exponent.is_some_and(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit())))
}

/// The pods must carry the labels that the Service and the Deployment select by.
fn selector(spec: &ServiceSpec, workload: &WorkloadSpec, place: Place<'_>, diags: &mut Diagnostics) {
    let Some(deployment) = &workload.deployment else { return };
    let at = place.get("workload").get("deployment");
    if deployment.selector.match_labels.is_some() || deployment.selector.match_expressions.is_some() {
        diags
            .error(Code::InvalidWorkload, "the selector of the Deployment is given beside the selector of the service")
            .at(at.get("selector").key(), "")
            .help("write `selector:` one level up, at the service: the Service and the Deployment then agree");
    }
    let labels = deployment.template.metadata.as_ref().and_then(|it| it.labels.as_ref());
    for (key, value) in labels.into_iter().flatten() {
        if let Some(selected) = spec.selector.as_ref().and_then(|it| it.get(key))
            && selected != value
        {
            diags
                .error(
                    Code::InvalidWorkload,
                    format!("the pods are labelled `{key}: {value}`, the service selects `{key}: {selected}`"),
                )
                .at(at.get("template").get("metadata").get("labels").get(key).value(), "")
                .context(place.get("selector").get(key).value(), "the service selects this")
                .help("the Service would find no pod; make the two equal");
        }
    }
}

/// Probes that the declared Kubernetes does not know would be dropped without a word.
fn probes(
    workload: &WorkloadSpec,
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
    for (probe, at, startup) in probes {
        let Some(probe) = probe else { continue };
        let needs = [
            (probe.grpc.is_some(), "a probe by `grpc`", Release::minor(1, 24), "use `exec` with `grpc_health_probe`"),
            (startup, "a startup probe", Release::minor(1, 18), "use `initialDelaySeconds` of the liveness probe"),
        ];
        for (_, what, since, instead) in needs.iter().filter(|it| it.0) {
            let old = placement.iter().map(|id| &clusters[id.0]).find(|it| it.kubernetes.is_some_and(|it| it < *since));
            // Istio's old line runs on nothing newer than 1.21, whether the release is written or not.
            let ceiling = placement.iter().map(|id| &clusters[id.0]).find(|it| it.target.refused_by <= *since);
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
    }
}

const ONE_OF_TWO: &str = "keep one of the two; what a call carries is set by its `env`";

/// Every variable is set once, by somebody who can, under a name that a program can read.
pub(super) fn variables(
    service: &Service,
    spec: &ServiceSpec,
    calls: &[Call],
    place: Place<'_>,
    diags: &mut Diagnostics,
) {
    let own = match &spec.workload {
        Some(Short::Full(workload)) => Some(workload),
        _ => None,
    };
    let env_place = place.get("workload").get("env");
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    let mut set = |name, span, help, diags: &mut Diagnostics| {
        if let Some(first) = seen.insert(name, span) {
            diags
                .error(Code::EnvironmentTwice, format!("the variable `{name}` of `{}` is set twice", service.key))
                .at(span, "here again")
                .context(first, "first here")
                .help(help);
        } else {
            variable_name(name, span, diags);
        }
    };
    for (name, value) in own.into_iter().flat_map(|it| &it.env) {
        let at = env_place.get(name);
        set(name, at.key(), ONE_OF_TWO, diags);
        if let Short::Text(text) = value
            && looks_like_password(name)
            && !text.is_empty()
        {
            diags
                .warning(
                    Code::PlaintextPassword,
                    format!("the variable `{name}` of `{}` looks like a password in clear", service.key),
                )
                .at(at.key(), "")
                .help(format!("take it from a Secret: `{name}: {{secretKeyRef: {{name: …, key: …}}}}`"));
        }
    }
    let container_env = own.and_then(|it| it.container.as_ref()).and_then(|it| it.env.as_ref());
    for (index, variable) in container_env.into_iter().flatten().enumerate() {
        let at = place.get("workload").get("container").get("env").item(index);
        set(&variable.name, at.get("name").value(), ONE_OF_TWO, diags);
    }
    for variable in calls.iter().flat_map(|it| &it.variables) {
        set(&variable.name, variable.at, "the compiler fills the variable of a call; remove the other", diags);
        if own.is_none() {
            diags
                .warning(
                    Code::NobodySetsVariable,
                    format!("nobody sets `{}`: the Deployment of `{}` is not written here", variable.name, service.key),
                )
                .at(variable.at, "")
                .help("set it where the Deployment is kept; the RUNBOOK lists the value");
        }
    }
}

/// Letters, digits and `_`: what every shell and every Kubernetes takes.
fn variable_name(name: &str, at: Span, diags: &mut Diagnostics) {
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if !fits {
        let word: String = name.chars().take(60).collect();
        diags
            .error(Code::InvalidEnvironmentName, format!("`{word}` cannot be the name of an environment variable"))
            .at(at, "")
            .help("letters, digits and `_`, and no digit first: `CART_SERVICE_ADDR`");
    }
}

fn looks_like_password(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "APIKEY", "PRIVATE_KEY"].iter().any(|it| upper.ends_with(it))
}
