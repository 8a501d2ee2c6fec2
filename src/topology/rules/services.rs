//! Rules of a service: its names, placement and calls.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::references::{self, References};
use super::{balance, form, names, password, ports, workloads};
use crate::diag::{Code, Diagnostics};
use crate::source::Span;
use crate::syntax::{CallSpec, Place, ServiceSpec, Short, TopologySpec};
use crate::target::Release;
use crate::topology::{Call, Cluster, Form, Mesh, Service, Variable, Workload};

/// Checks every service, then every call between them.
pub(in crate::topology) fn resolve(
    spec: &TopologySpec,
    mesh: &Mesh,
    clusters: &[Cluster],
    root: Place<'_>,
    diags: &mut Diagnostics,
) -> Vec<Service> {
    let references = References { spec, root };
    let place = root.get("services");
    let written = spec.services.iter().collect();
    let mut services = diags.each(written, |(key, service): (&String, &ServiceSpec), diags| {
        one(key, service, mesh, clusters, references, place.get(key), diags)
    });
    unique_hosts(&services, diags);
    let written = spec.services.values().enumerate().collect();
    let calls = diags.each(written, |(index, spec): (usize, &ServiceSpec), diags| {
        let at = place.get(&services[index].key);
        let calls = calls(&services, index, spec, references, at.get("calls"), diags);
        workloads::variables(&services[index], spec, &calls, at, diags);
        calls
    });
    for (service, calls) in services.iter_mut().zip(calls) {
        service.calls = calls;
    }
    services
}

fn one(
    key: &str,
    spec: &ServiceSpec,
    mesh: &Mesh,
    clusters: &[Cluster],
    references: References<'_>,
    place: Place<'_>,
    diags: &mut Diagnostics,
) -> Service {
    let who = format!("`{key}`");
    let name = match &spec.name {
        Some(name) => {
            names::label("Service", name, place.get("name"), diags);
            name.clone()
        }
        None => {
            names::key_label("Service", key, place, diags);
            key.to_owned()
        }
    };
    let namespace = namespace(spec.namespace.as_deref(), place, diags);
    if name == "kubernetes" && namespace == "default" {
        diags
            .error(Code::ReservedNamespace, "`kubernetes` in `default` is the Service of the API server")
            .at(place.key(), "")
            .help("another name or another namespace");
    }
    let placement = references.clusters(&who, &spec.clusters.0, place.get("clusters"), diags);
    if spec.clusters.0.is_empty() {
        diags
            .error(Code::UnplacedService, format!("no cluster runs {who}"))
            .at(place.get("clusters").value(), "")
            .help("name at least one: `clusters: [east]`");
    }
    let app_protocol = placement.iter().all(|id| {
        let cluster = &clusters[id.0];
        cluster.passes_through()
            || cluster.target.app_protocol && cluster.kubernetes.is_some_and(|it| it >= Release::minor(1, 19))
    });
    names::labels(&spec.labels, place.get("labels"), diags);
    names::annotations(&spec.annotations, place.get("annotations"), diags);
    let selector = spec.selector.clone().unwrap_or_else(|| std::iter::once(("app".to_owned(), name.clone())).collect());
    // The default is made of the name, which was looked at above.
    if spec.selector.is_some() {
        names::labels(&selector, place.get("selector"), diags);
    }
    if selector.is_empty() {
        diags
            .error(
                Code::InvalidWorkload,
                format!("the selector of {who} is empty: it takes every pod of the namespace"),
            )
            .at(place.get("selector").key(), "")
            .help(format!("leave it out, which means `app: {name}`, or name labels of its pods"));
    }
    let ports = ports::resolve(&spec.ports, app_protocol, place.get("ports"), diags);
    // Without a sidecar there is nothing to collide with.
    if spec.annotations.get("sidecar.istio.io/inject").is_none_or(|it| it != "false") {
        ports::beside_sidecar(&ports, place.get("ports"), diags);
    }
    let workload = workloads::resolve(&name, spec, &ports, &placement, clusters, place, diags);
    let service_account = match &spec.service_account {
        Some(account) => {
            names::label("ServiceAccount", account, place.get("serviceAccount"), diags);
            account.clone()
        }
        // What somebody else deploys has the account of its namespace until the topology says otherwise.
        None if matches!(workload, crate::topology::Workload::Deployment(_)) => name.clone(),
        None => "default".to_owned(),
    };
    let account_known = spec.service_account.is_some() || matches!(workload, Workload::Deployment(_));
    let balance = balance::resolve(&who, spec, &placement, clusters, references, place, diags);
    Service {
        key: key.to_owned(),
        at: place.key(),
        ports,
        name,
        namespace,
        placement,
        service_account,
        account_known,
        labels: spec.labels.clone(),
        annotations: spec.annotations.clone(),
        selector,
        calls: Vec::new(),
        workload,
        virtual_ips: virtual_ips(spec, place.get("virtualIP"), diags),
        names: spec.names.unwrap_or(mesh.names),
        balance,
        called_from_afar: false,
        has_virtual_ip: false,
    }
}

/// The namespace of a service or an external host.
pub(super) fn namespace(written: Option<&str>, place: Place<'_>, diags: &mut Diagnostics) -> String {
    let namespace = written.unwrap_or("default");
    let place = place.get("namespace");
    names::label("Namespace", namespace, place, diags);
    if namespace == "istio-system" || namespace.starts_with("kube-") {
        diags
            .error(Code::ReservedNamespace, format!("`{namespace}` is not a namespace for services of the mesh"))
            .at(place.value(), "")
            .help("pods there get no sidecar, and an upgrade may remove what is not its own");
    }
    namespace.to_owned()
}

fn virtual_ips(spec: &ServiceSpec, place: Place<'_>, diags: &mut Diagnostics) -> Vec<(IpAddr, Span)> {
    let mut pins: Vec<(IpAddr, Span)> = Vec::new();
    for (index, text) in spec.virtual_ip.0.iter().enumerate() {
        let at = references::element(place, index).value();
        let Ok(ip) = text.parse::<IpAddr>() else {
            diags
                .error(Code::InvalidVirtualIp, format!("`{text}` is not an IP address"))
                .at(at, "")
                .help("an address of `mesh.virtualIPs`, without a prefix length: `240.0.0.2`");
            continue;
        };
        if let Some((first, first_at)) = pins.iter().find(|it| it.0.is_ipv4() == ip.is_ipv4()) {
            diags
                .error(Code::InvalidVirtualIp, format!("{ip} is a second virtual IP of one family, beside {first}"))
                .at(at, "the second")
                .context(*first_at, "the first")
                .help("a service has at most one of IPv4 and one of IPv6");
        } else {
            pins.push((ip, at));
        }
    }
    pins
}

fn unique_hosts(services: &[Service], diags: &mut Diagnostics) {
    let mut hosts: BTreeMap<(&str, &str), &Service> = BTreeMap::new();
    for service in services {
        if let Some(first) = hosts.insert((&service.namespace, &service.name), service) {
            diags
                .error(
                    Code::DuplicateHost,
                    format!("`{}` and `{}` are both called `{}` in the namespace `{}`", first.key, service.key, service.name, service.namespace),
                )
                .at(service.at, "this service")
                .context(first.at, "and this one")
                .help("they would have one host; if they are one service in several clusters, declare it once: `clusters: [a, b]`");
        }
    }
}

fn calls(
    services: &[Service],
    own: usize,
    spec: &ServiceSpec,
    references: References<'_>,
    place: Place<'_>,
    diags: &mut Diagnostics,
) -> Vec<Call> {
    let who = format!("`{}`", services[own].key);
    let mut calls: Vec<Call> = Vec::with_capacity(spec.calls.0.len());
    for (index, call) in spec.calls.0.iter().enumerate() {
        let place = references::element(place, index);
        let (name, port, at) = match call {
            Short::Text(text) => {
                let (name, port) =
                    text.split_once(':').map_or((text.as_str(), None), |(name, port)| (name, Some(port)));
                (name, port, place)
            }
            Short::Full(call) => (call.service.as_str(), call.port.as_deref(), place.get("service")),
        };
        let Some(callee) = references.service(&who, name, at.value(), diags) else { continue };
        let target = &services[callee.0];
        if target.ports.len() < references.spec.services[callee.0].ports.len() {
            // Some of its ports were wrong; that was said where they stand.
            continue;
        }
        let port_at = if at.value() == place.value() { place } else { place.find("port").unwrap_or(at) };
        let Some(port) = references::port(&who, name, &target.ports, port, port_at.value(), target.at, diags) else {
            continue;
        };
        if let Some(first) = calls.iter().find(|it| it.callee == callee && it.port == port) {
            diags
                .error(Code::RepeatedCall, format!("{who} declares its call to `{name}` twice"))
                .at(at.value(), "here again")
                .context(first.at, "first here")
                .help("one entry can fill several variables: `env: {CART_HOST: \"{host}\", CART_PORT: \"{port}\"}`");
            continue;
        }
        let variables = match call {
            Short::Full(call) => variables(&services[own].key, call, place.get("env"), diags),
            Short::Text(_) => Vec::new(),
        };
        calls.push(Call { callee, port, variables, at: at.value() });
    }
    calls
}

fn variables(caller: &str, call: &CallSpec, place: Place<'_>, diags: &mut Diagnostics) -> Vec<Variable> {
    match &call.env {
        None => Vec::new(),
        Some(Short::Text(name)) => {
            vec![Variable { name: name.clone(), form: Form::host_and_port(), at: place.value() }]
        }
        Some(Short::Full(map)) => map
            .iter()
            .filter_map(|(name, text)| {
                password::check_url(caller, name, text, place.get(name).key(), diags);
                let form = form::read(text, place.get(name), diags)?;
                Some(Variable { name: name.clone(), form, at: place.get(name).key() })
            })
            .collect(),
    }
}
