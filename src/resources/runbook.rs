//! `RUNBOOK.md`: what to do with a bundle, in order.

use std::collections::BTreeMap;

use serde::Serialize;

use super::template::{Template, fill};
use crate::bundle::Bundle;
use crate::model::{App, ClusterModel, ControlPlane, Entry, IngressModel, Stub};
use crate::syntax::{GatewayApi, Installer};
use crate::target::InstallFormat;
use crate::topology::{Address, DnsServer, EAST_WEST_GATEWAY, TrustOrigin};

#[derive(Serialize)]
struct View<'a> {
    cluster: &'a str,
    context: &'a str,
    release: &'a str,
    line: String,
    suffix: &'a str,
    kubernetes: Option<&'a str>,
    tested: String,
    ranges: &'a [(&'static str, String)],
    remotes: Vec<Remote<'a>>,
    /// Those that have a virtual IP.
    named: Vec<Remote<'a>>,
    exports: &'a [String],
    plane: Option<Plane<'a>>,
    refused_by: Option<String>,
    /// Whether Istio's own kinds outlive it.
    keeps_crds: bool,
    callers: Option<String>,
    gateway: Option<Gateway>,
    helm: bool,
    install_command: &'static str,
    manifest_has_namespace: bool,
    needs_old_helm: bool,
    external_secret: bool,
    /// The version of its API.
    external_secrets: &'static str,
    root_fingerprint: Option<&'a str>,
    stub_address: Option<String>,
    stub_service: bool,
    istiocoredns: bool,
    own_server: bool,
    script: bool,
    eks: bool,
    folders: Vec<&'a str>,
    removal: Vec<&'a str>,
    expected: Vec<Expected<'a>>,
    app_namespaces: Vec<Deployments<'a>>,
    injected: Vec<&'a str>,
    elsewhere: Vec<Elsewhere<'a>>,
    example: Option<Example<'a>>,
    ingress_gateway: String,
    ingresses: Vec<String>,
    kiali: bool,
    grafana: bool,
    tracing: bool,
    /// Whether any add-on is there.
    watched: bool,
    addons_of_release: bool,
}

/// How today's releases are installed.
#[derive(Serialize)]
struct Plane<'a> {
    istioctl: bool,
    helm: bool,
    sail: bool,
    gateway_api: bool,
    gateways: Vec<&'a str>,
    gateways_installed: bool,
    gateways_later: bool,
    /// Whether Helm must be kept from looking at the values of gateways.
    loose_schema: bool,
    /// The Deployment of the gateway that other clusters call.
    east_west: String,
}

#[derive(Serialize)]
struct Remote<'a> {
    host: &'a str,
    address: String,
    ports: String,
    owners: String,
}

#[derive(Serialize)]
struct Gateway {
    address: String,
    port: u16,
    pinned: bool,
}

#[derive(Serialize)]
struct Expected<'a> {
    namespace: &'a str,
    name: &'a str,
    replicas: i32,
}

#[derive(Serialize)]
struct Deployments<'a> {
    name: &'a str,
    deployments: Vec<&'a str>,
}

#[derive(Serialize)]
struct Elsewhere<'a> {
    namespace: &'a str,
    name: &'a str,
    variable: &'a str,
    value: String,
}

#[derive(Serialize)]
struct Example<'a> {
    caller: &'a str,
    namespace: &'a str,
    selector: String,
    host: &'a str,
    port: u16,
}

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    let text = fill(Template::Runbook, &view(model, bundle));
    bundle.keep("RUNBOOK.md", text);
}

fn view<'a>(model: &'a ClusterModel<'a>, bundle: &'a Bundle) -> View<'a> {
    let (first, last) = model.target.tested_on;
    let mut folders: Vec<&str> = bundle.applied().filter_map(|path| path.split('/').next()).collect();
    folders.dedup();
    // Only files that are applied; the stub is a step of its own.
    for folder in &mut folders {
        if *folder == "30-dns" {
            *folder = "30-dns/server.yaml";
        }
    }
    let removal = folders.iter().rev().copied().filter(|it| *it != "00-namespaces").collect();
    let charts = model.install.charts();
    let addons = charts.map_or(&[][..], |it| &it.addons);
    View {
        cluster: model.name,
        context: model.context,
        release: &model.release,
        line: model.target.line(),
        suffix: model.suffix,
        kubernetes: model.kubernetes.as_deref(),
        tested: format!("{}.{} to {}.{}", first.major, first.minor, last.major, last.minor),
        ranges: &model.ranges,
        remotes: remotes(model),
        named: model.remotes.iter().map(remote).collect(),
        exports: &model.exports,
        plane: model.install.control_plane().map(|it| plane(it, model)),
        keeps_crds: model.install.control_plane().is_some_and(|it| it.installer != Installer::Istioctl),
        refused_by: model.target.refused_by.map(|it| format!("{}.{}", it.major, it.minor)),
        callers: (!model.callers.is_empty()).then(|| and(model.callers.iter().map(|it| format!("`{it}`")))),
        gateway: model.gateway.map(|gateway| Gateway {
            address: and(gateway.addresses.iter().map(|address| match address {
                Address::Pending => "an address that is not known yet".to_owned(),
                known => known.to_string(),
            })),
            port: gateway.dial(),
            pinned: gateway.pin,
        }),
        helm: model.target.install == InstallFormat::HelmValues,
        install_command: match model.target.install {
            InstallFormat::IstioOperator { command } => command,
            InstallFormat::HelmValues | InstallFormat::Chosen => "",
        },
        manifest_has_namespace: model.target.manifest_has_namespace,
        needs_old_helm: model.needs_old_helm,
        external_secrets: model.target.external_secrets.rsplit('/').next().unwrap_or_default(),
        external_secret: matches!(model.trust.origin, TrustOrigin::ExternalSecret { .. }),
        root_fingerprint: model.trust.root_fingerprint.as_deref(),
        stub_address: model.dns.as_ref().map(|it| it.address.to_string()),
        stub_service: bundle.get("10-istio/istiocoredns-service.yaml").is_some(),
        istiocoredns: charts.is_some_and(|it| it.istiocoredns.is_some()),
        own_server: model.dns.as_ref().is_some_and(|it| *it.server != DnsServer::Istiocoredns),
        script: bundle.get("30-dns/apply.sh").is_some(),
        eks: bundle.get("30-dns/eks-addon.json").is_some(),
        folders,
        removal,
        expected: model.apps.iter().filter_map(expected).collect(),
        app_namespaces: app_namespaces(model),
        injected: model.namespaces.iter().filter(|it| it.injected).map(|it| it.name).collect(),
        elsewhere: model.apps.iter().filter(|it| it.workload.is_none()).flat_map(elsewhere).collect(),
        example: example(model),
        ingress_gateway: model.ingresses.first().map(|it| labels(it.selector.iter().copied())).unwrap_or_default(),
        ingresses: model.ingresses.iter().map(ingress).collect(),
        kiali: addons.contains(&"kiali"),
        grafana: addons.contains(&"grafana"),
        tracing: addons.contains(&"tracing"),
        watched: !addons.is_empty(),
        addons_of_release: model.target.addons,
    }
}

fn plane<'a>(plane: &ControlPlane<'a>, model: &ClusterModel<'_>) -> Plane<'a> {
    let sail = plane.installer == Installer::Sail;
    let by_istiod = model.gateway.is_some_and(|it| it.api == GatewayApi::GatewayApi);
    Plane {
        istioctl: plane.installer == Installer::Istioctl,
        helm: plane.installer == Installer::Helm,
        sail,
        gateway_api: by_istiod || !model.remote_networks.is_empty() && !model.mesh_networks,
        gateways: plane.gateways.iter().map(|it| it.name).collect(),
        gateways_installed: !plane.gateways.is_empty() && !sail,
        loose_schema: model.loose_gateway_schema,
        gateways_later: by_istiod || !plane.gateways.is_empty() && sail,
        east_west: if by_istiod { format!("{EAST_WEST_GATEWAY}-istio") } else { EAST_WEST_GATEWAY.to_owned() },
    }
}

fn remotes<'a>(model: &'a ClusterModel<'a>) -> Vec<Remote<'a>> {
    let stub = |stub: &'a Stub<'a>| Remote {
        host: &stub.host,
        address: "that of its Service".to_owned(),
        ports: ports(stub.ports.iter().map(|it| it.number)),
        owners: stub.owners.join(", "),
    };
    model.remotes.iter().map(remote).chain(model.stubs.iter().map(stub)).collect()
}

fn remote<'a>(entry: &'a Entry<'a>) -> Remote<'a> {
    Remote {
        host: &entry.hosts[0],
        address: entry.addresses.join(", "),
        ports: ports(entry.ports.iter().map(|it| it.number)),
        owners: entry.owners.join(", "),
    }
}

fn ports(numbers: impl Iterator<Item = u16>) -> String {
    numbers.map(|it| it.to_string()).collect::<Vec<_>>().join(", ")
}

fn expected<'a>(app: &App<'a>) -> Option<Expected<'a>> {
    let spec = app.workload?;
    let more = spec.deployment.as_ref().and_then(|it| it.replicas);
    Some(Expected { namespace: app.namespace, name: app.name, replicas: more.or(spec.replicas).unwrap_or(1) })
}

fn app_namespaces<'a>(model: &ClusterModel<'a>) -> Vec<Deployments<'a>> {
    let mut namespaces: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for app in model.apps.iter().filter(|it| it.workload.is_some()) {
        namespaces.entry(app.namespace).or_default().push(app.name);
    }
    namespaces.into_iter().map(|(name, deployments)| Deployments { name, deployments }).collect()
}

fn elsewhere<'a>(app: &'a App<'a>) -> impl Iterator<Item = Elsewhere<'a>> {
    app.variables.iter().map(|(variable, value)| Elsewhere {
        namespace: app.namespace,
        name: app.name,
        variable,
        // A table's cell ends at a bar, a span of code at a backtick, a row with its line.
        value: value
            .chars()
            .map(|c| if c == ' ' || c.is_ascii_graphic() && !"|`".contains(c) { c } else { '?' })
            .collect(),
    })
}

/// One call to another cluster that can be looked at.
fn example<'a>(model: &'a ClusterModel<'a>) -> Option<Example<'a>> {
    let entries = model.remotes.iter().map(|it| (it.hosts[0].as_str(), it.ports[0].number));
    let far: Vec<_> = entries.chain(model.stubs.iter().map(|it| (it.host.as_str(), it.ports[0].number))).collect();
    model.apps.iter().find_map(|app| {
        let called = |host: &str| app.variables.iter().any(|(_, value)| value.contains(host));
        let (host, port) = *far.iter().find(|it| called(it.0))?;
        Some(Example {
            caller: app.name,
            namespace: app.namespace,
            selector: labels(app.selector.iter().map(|(key, value)| (key.as_str(), value.as_str()))),
            host,
            port,
        })
    })
}

/// As `kubectl` takes a selector.
fn labels<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    labels.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn ingress(ingress: &IngressModel<'_>) -> String {
    let server = ingress.servers.last().expect("an ingress has a server");
    let hosts = and(ingress.hosts.iter().map(|it| if it == "*" { "any host".to_owned() } else { format!("`{it}`") }));
    let paths = match ingress.paths {
        [] => String::new(),
        paths => format!(", paths {}", and(paths.iter().map(|it| format!("`{}`", it.replace('`', " "))))),
    };
    let secret = server
        .credential
        .map_or_else(String::new, |it| format!(" (certificate: secret `{it}` in the gateway's namespace)"));
    format!("`{}`: port {}, {hosts}{paths}{secret}", ingress.destination, server.number)
}

/// `a`, `b` and `c`.
fn and(words: impl Iterator<Item = String>) -> String {
    let words: Vec<_> = words.collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => words.concat(),
    }
}
