//! `Install`: what the install file of a cluster says of its mesh, its sidecars and its gateways.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_yaml::Value;

use super::gateways::{GatewayPods, GatewayPort};
use super::object::{Object, Place};
use super::value::{at, list, number, pairs, text, word};
use crate::target::Release;
use crate::topology::{INGRESS_GATEWAY, ROOT_NAMESPACE};

/// The files that install Istio: an IstioOperator, a Sail `Istio`, or values of charts.
#[derive(Debug, Clone, Default)]
pub(super) struct Install {
    /// Where `meshConfig` may stand.
    mesh: Vec<Place>,
    /// Where values of the charts may stand.
    values: Vec<Place>,
    /// The gateways that the files bring.
    pub(super) gateways: Vec<GatewayPods>,
}

impl Install {
    /// What the files of a cluster say, of which charts' values have no kind.
    pub(super) fn of(files: &[Arc<Object>], istio: Release) -> Self {
        let mut install = Self::default();
        for file in files {
            let is_operator = ["IstioOperator", "IstioControlPlane"].contains(&file.id.kind.as_str());
            let root: &[&str] = if file.id.kind.is_empty() { &[] } else { &["spec"] };
            let root = Place::new(file, root);
            if file.id.kind.is_empty() && is_chart_of_a_gateway(&file.value) {
                install.gateways.push(of_chart(file));
                continue;
            }
            install.mesh.push(root.below(&["meshConfig"]));
            let values = if file.id.kind.is_empty() { root.clone() } else { root.below(&["values"]) };
            install.mesh.push(values.below(&["meshConfig"]));
            install.values.push(values);
            if is_operator {
                install.gateways.extend(of_operator(&root, istio));
            }
            if is_old_chart(file) {
                install.gateways.push(of_old_chart(file, istio));
            }
        }
        install
    }

    /// Whether charts install it that need no values, so that a gateway may be there of which no file tells.
    pub(super) fn is_of_charts(&self) -> bool {
        self.mesh.iter().any(|it| it.object().id.kind.is_empty()) && self.multi_cluster().is_none()
    }

    /// Whether there are no files that install Istio.
    pub(super) fn is_missing(&self) -> bool {
        self.mesh.is_empty()
    }

    /// A field of `meshConfig`.
    pub(super) fn mesh(&self, path: &[&str]) -> Option<(&Value, Place)> {
        self.mesh.iter().find_map(|it| Some((at(it.value()?, path)?, it.below(path))))
    }

    /// A field of the charts' values.
    pub(super) fn value(&self, path: &[&str]) -> Option<(&Value, Place)> {
        self.values.iter().find_map(|it| Some((at(it.value()?, path)?, it.below(path))))
    }

    /// The trust domain, and where it is said.
    pub(super) fn trust_domain(&self) -> (String, Option<Place>) {
        let said = self.mesh(&["trustDomain"]).or_else(|| self.value(&["global", "trustDomain"]));
        match said.and_then(|(value, place)| Some((value.as_str()?.to_owned(), place))) {
            Some((domain, place)) => (domain, Some(place)),
            None => ("cluster.local".to_owned(), None),
        }
    }

    /// Other trust domains that are taken for the own one.
    pub(super) fn aliases(&self) -> impl Iterator<Item = &str> {
        let said = self.mesh(&["trustDomainAliases"]).map(|it| it.0);
        said.and_then(Value::as_sequence).into_iter().flatten().filter_map(Value::as_str)
    }

    /// The network of its pods; empty if none is said.
    pub(super) fn network(&self) -> String {
        self.value(&["global", "network"]).and_then(|it| it.0.as_str()).unwrap_or_default().to_owned()
    }

    /// Whether sidecars answer for names, as far as all of them do.
    pub(super) fn captures_names(&self) -> Option<Place> {
        let path = ["defaultConfig", "proxyMetadata", "ISTIO_META_DNS_CAPTURE"];
        self.mesh(&path).filter(|it| text(it.0).is_some_and(|it| it == "true")).map(|it| it.1)
    }

    /// Whether sidecars let out only what they know.
    pub(super) fn registry_only(&self) -> Option<Place> {
        let said = self.mesh(&["outboundTrafficPolicy", "mode"]);
        said.filter(|it| it.0 == "REGISTRY_ONLY").map(|it| it.1)
    }

    /// The charts of 1.4 to 1.8 open a gateway for the suffix, and lead names of it through others' gateways.
    pub(super) fn multi_cluster(&self) -> Option<Place> {
        let said = self.value(&["global", "multiCluster", "enabled"]);
        said.filter(|it| text(it.0).is_some_and(|it| it == "true")).map(|it| it.1)
    }

    /// What keeps the charts of 1.6 to 1.8 from rewriting names of the suffix at the gateway.
    pub(super) fn no_rewriting(&self) -> Option<Place> {
        let said = self.value(&["global", "multiCluster", "includeEnvoyFilter"]);
        said.filter(|it| text(it.0).is_some_and(|it| it == "false")).map(|it| it.1)
    }

    /// The suffix that the charts of 1.4 to 1.8 know.
    pub(super) fn suffix(&self) -> &str {
        let said = self.value(&["global", "multiCluster", "globalDomainSuffix"]);
        said.and_then(|it| it.0.as_str()).unwrap_or("global")
    }

    /// Whether sidecars of 1.4 speak mTLS to one another.
    pub(super) fn mutual(&self) -> Option<Place> {
        let said = self.value(&["global", "mtls", "enabled"]);
        said.filter(|it| text(it.0).is_some_and(|it| it == "true")).map(|it| it.1)
    }

    /// The address of Istio's own DNS server, and whether it is there at all.
    pub(super) fn istiocoredns(&self) -> Option<(Option<String>, Place)> {
        let addon = self.values.iter().chain(&self.mesh).find_map(|it| {
            let root = Place::new(it.shared(), &["spec", "addonComponents", "istiocoredns"]);
            root.value().is_some().then_some(root)
        });
        let enabled = |it: &Value| at(it, &["enabled"]).and_then(text).is_some_and(|it| it == "true");
        if let Some(addon) = addon.filter(|it| it.value().is_some_and(enabled)) {
            let path = ["k8s", "service", "clusterIP"];
            let address = at(addon.value()?, &path).and_then(Value::as_str).map(str::to_owned);
            return Some((address, addon.below(&path)));
        }
        let (_, place) = self.value(&["istiocoredns"]).filter(|it| enabled(it.0))?;
        Some((None, place))
    }

    /// The gateways of a network that istiod is told of: address and port.
    pub(super) fn network_gateways(&self, network: &str) -> Vec<(String, u16, Place)> {
        let path = ["global", "meshNetworks", network, "gateways"];
        let Some((value, place)) = self.value(&path) else { return Vec::new() };
        let all = value.as_sequence().into_iter().flatten().enumerate();
        all.filter_map(|(index, it)| {
            let place = place.below(&[&index.to_string(), "address"]);
            Some((word(it, &["address"]).to_owned(), number(it, &["port"])?, place))
        })
        .collect()
    }
}

/// Values of the chart `gateway`, which a release has for itself.
fn is_chart_of_a_gateway(values: &Value) -> bool {
    let has = |key: &str| values.get(key).is_some();
    !has("global") && !has("meshConfig") && !has("pilot") && (has("service") || has("labels") || has("env"))
}

fn of_chart(file: &Arc<Object>) -> GatewayPods {
    let name = file.id.name.clone();
    let mut labels = BTreeMap::from([
        ("app".to_owned(), name.clone()),
        ("istio".to_owned(), name.strip_prefix("istio-").unwrap_or(&name).to_owned()),
    ]);
    labels.extend(pairs(&file.value, &["labels"]));
    let view = at(&file.value, &["env", VIEW]).and_then(text).map(|it| (it, Place::new(file, &["env", VIEW])));
    GatewayPods {
        namespace: ROOT_NAMESPACE.to_owned(),
        labels,
        ports: Some(ports(list(&file.value, &["service", "ports"]), &[80, 443])),
        view,
        passes_names: true,
        account: Some(name.clone()),
        place: Some(Place::new(file, &["service", "ports"])),
        name,
    }
}

/// What lets a gateway see the endpoints of one network only.
pub(super) const VIEW: &str = "ISTIO_META_REQUESTED_NETWORK_VIEW";

fn of_operator(spec: &Place, istio: Release) -> Vec<GatewayPods> {
    let Some(value) = spec.value() else { return Vec::new() };
    let mut gateways = Vec::new();
    let profile = word(value, &["profile"]);
    let written = list(value, &["components", "ingressGateways"]);
    let is_default = ["", "default", "demo"].contains(&profile);
    let known = |name: &str| written.iter().any(|it| word(it, &["name"]) == name);
    if is_default && !known(INGRESS_GATEWAY) {
        gateways.push(of_component(&Value::Null, spec, INGRESS_GATEWAY, istio));
    }
    for (index, component) in written.iter().enumerate() {
        let name = word(component, &["name"]);
        let default = is_default && name == INGRESS_GATEWAY;
        if at(component, &["enabled"]).and_then(Value::as_bool).unwrap_or(default) {
            let place = spec.below(&["components", "ingressGateways", &index.to_string()]);
            gateways.push(of_component(component, &place, name, istio));
        }
    }
    gateways
}

fn of_component(component: &Value, place: &Place, name: &str, istio: Release) -> GatewayPods {
    let mut labels = BTreeMap::from([
        ("app".to_owned(), INGRESS_GATEWAY.to_owned()),
        ("istio".to_owned(), "ingressgateway".to_owned()),
    ]);
    labels.extend(pairs(component, &["label"]));
    let env = list(component, &["k8s", "env"]);
    let variable = |name: &str| env.iter().position(|it| word(it, &["name"]) == name);
    let at_variable = |index: usize| place.below(&["k8s", "env", &index.to_string(), "value"]);
    let written = ["k8s", "service", "ports"];
    let namespace = word(component, &["namespace"]);
    GatewayPods {
        name: name.to_owned(),
        namespace: if namespace.is_empty() { ROOT_NAMESPACE } else { namespace }.to_owned(),
        labels,
        ports: Some(match list(component, &written) {
            [] => default_ports(istio),
            written => ports(written, &[]),
        }),
        view: variable(VIEW).map(|it| (word(&env[it], &["value"]).to_owned(), at_variable(it))),
        // Of 1.8 the gateway must be told.
        passes_names: istio.minor != 8
            || variable("ISTIO_META_ROUTER_MODE").is_some_and(|it| word(&env[it], &["value"]) == "sni-dnat"),
        account: Some(format!("{name}-service-account")),
        place: Some(if at(component, &written).is_some() { place.below(&written) } else { place.clone() }),
    }
}

fn is_old_chart(file: &Object) -> bool {
    file.id.kind.is_empty() && at(&file.value, &["global", "multiCluster", "enabled"]).is_some()
}

fn of_old_chart(file: &Arc<Object>, istio: Release) -> GatewayPods {
    let path = ["gateways", INGRESS_GATEWAY, "ports"];
    let written = list(&file.value, &path);
    GatewayPods {
        name: INGRESS_GATEWAY.to_owned(),
        namespace: ROOT_NAMESPACE.to_owned(),
        labels: BTreeMap::from([
            ("app".to_owned(), INGRESS_GATEWAY.to_owned()),
            ("istio".to_owned(), "ingressgateway".to_owned()),
        ]),
        ports: Some(if written.is_empty() { default_ports(istio) } else { ports(written, &[]) }),
        view: None,
        passes_names: true,
        account: Some(format!("{INGRESS_GATEWAY}-service-account")),
        place: Some(Place::new(file, if written.is_empty() { &[] } else { &path })),
    }
}

/// The ports of the ingress gateway if none are said; from 1.9 on it has none for other clusters.
pub(super) fn default_ports(istio: Release) -> Vec<GatewayPort> {
    let all: &[u16] = if istio.minor < 9 { &[80, 443, 15443] } else { &[80, 443] };
    all.iter().map(|it| GatewayPort { number: *it, target: None, node_port: None }).collect()
}

pub(super) fn ports(written: &[Value], default: &[u16]) -> Vec<GatewayPort> {
    if written.is_empty() {
        return default.iter().map(|it| GatewayPort { number: *it, target: None, node_port: None }).collect();
    }
    let port = |it: &Value| {
        let number = self::number(it, &["port"])?;
        Some(GatewayPort {
            number,
            target: self::number(it, &["targetPort"]),
            node_port: self::number(it, &["nodePort"]),
        })
    };
    written.iter().filter_map(port).collect()
}
