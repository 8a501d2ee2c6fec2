//! Rules of workloads: what runs, and its environment variables.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;

use super::{names, password, pods, probes, resources};
use crate::diag::{Code, Diagnostics};
use crate::source::Span;
use crate::syntax::{Place, ServiceSpec, Short, WorkloadSpec};
use crate::topology::{Call, Cluster, ClusterId, Port, Service, Workload};

/// Checks the workload of a service, apart from its variables.
pub(super) fn resolve(
    name: &str,
    spec: &ServiceSpec,
    ports: &[Port],
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
        if image.as_ref().is_some_and(|it| !names::is_image(it)) {
            diags
                .error(Code::InvalidWorkload, "this is not the name of an image")
                .at(at.get("image").value(), "")
                .help("write `registry/name:tag`, without blanks and templates");
        }
    }
    resources::check(workload, place, diags);
    if workload.replicas.is_some_and(|it| it < 0) {
        diags
            .error(Code::InvalidWorkload, "there cannot be fewer than 0 replicas")
            .at(place.get("replicas").value(), "")
            .help("leave it out if something else counts the pods");
    }
    selector(name, spec, workload, service, diags);
    account(workload, place, diags);
    pods::check(workload, ports, service, diags);
    probes::check(workload, ports, placement, clusters, place, diags);
    Workload::Deployment(workload.clone())
}

/// The pods must carry the labels that the Service and the Deployment select by.
fn selector(name: &str, spec: &ServiceSpec, workload: &WorkloadSpec, place: Place<'_>, diags: &mut Diagnostics) {
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
        let selected = match &spec.selector {
            Some(selector) => selector.get(key).map(String::as_str),
            None => Some(name).filter(|_| key == "app"),
        };
        if let Some(selected) = selected
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

/// The account that is created must be the one that is used.
fn account(workload: &WorkloadSpec, place: Place<'_>, diags: &mut Diagnostics) {
    let deployment = workload.deployment.as_ref().and_then(|it| it.template.spec.as_ref());
    for (pod, at) in
        [(workload.pod.as_ref(), place.get("pod")), (deployment, place.get("deployment").get("template").get("spec"))]
    {
        if pod.is_some_and(|it| it.service_account_name.is_some()) {
            diags
                .error(Code::InvalidWorkload, "the ServiceAccount of the pods is given beside that of the service")
                .at(at.get("serviceAccountName").key(), "")
                .help("write `serviceAccount:` at the service: the account is then created, too");
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
        if let Short::Text(text) = value {
            password::check(&service.key, name, text, at.key(), diags);
        }
    }
    let container_env = own.and_then(|it| it.container.as_ref()).and_then(|it| it.env.as_ref());
    for (index, variable) in container_env.into_iter().flatten().enumerate() {
        let at = place.get("workload").get("container").get("env").item(index);
        set(&variable.name, at.get("name").value(), ONE_OF_TWO, diags);
        if let Some(text) = &variable.value {
            password::check(&service.key, &variable.name, text, at.get("name").value(), diags);
        }
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
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !fits {
        let word: String = name.chars().take(60).collect();
        diags
            .error(Code::InvalidEnvironmentName, format!("`{word}` cannot be the name of an environment variable"))
            .at(at, "")
            .help("letters, digits and `_`, and no digit first: `CART_SERVICE_ADDR`");
    }
}
