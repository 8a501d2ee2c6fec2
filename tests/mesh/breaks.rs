//! Good trees, broken one place at a time: each break is told under the number of its invariant.

use std::fmt::Write as _;

use super::verdict;
use super::written::Tree;
use crate::support;

/// What is done to a tree.
enum Break {
    /// The first place of a text in a file takes another.
    Change(&'static str, &'static str),
    /// Something is added to a file.
    Add(&'static str),
    /// A file is gone, and the kustomization does not list it.
    Remove,
}
use Break::{Add, Change, Remove};

/// The three installers; both kinds of names; calls in order, by weight and to one cluster; a gateway
/// in order and with an address for one caller; policies.
const NEW: &str = "
version: 1
mesh: {suffix: mesh.internal, authorization: declared}
clusters:
  east: {istio: \"1.31.0\", gateway: {address: [198.51.100.1, 198.51.100.2], balance: failover}, locality: r1/z1}
  west: {istio: \"1.30.3\", gateway: {address: 203.0.113.1, from: {east: 203.0.113.9}}, install: helm, trustDomain: west.example}
  north: {istio: \"1.22.8\", gateway: {address: 192.0.2.1, nodePort: 31443}, install: sail}
services:
  web:
    namespace: front
    clusters: east
    ports: {http: \"80:8080\"}
    calls: [{service: cart, env: CART}, stock, {service: pay, env: {PAY: \"http://{host}\"}}, mail]
    workload: {image: example.com/web}
  cart: {namespace: shop, clusters: west, ports: {grpc: \"7070:7071\"}, workload: {image: example.com/cart}}
  stock: {namespace: shop, clusters: [east, west, north], ports: {http: 8080}, calls: far, workload: {image: example.com/stock}}
  pay:
    namespace: shop
    clusters: [west, north]
    ports: {http: 9000}
    names: cluster-local
    balance: {weights: {west: 70, north: 30}}
    calls: [web]
    workload: {image: example.com/pay}
  mail: {namespace: shop, clusters: north, ports: {tcp: 25}, names: cluster-local, workload: {image: example.com/mail}}
  far: {namespace: shop, clusters: [east, west], ports: {http: 8081}, balance: network, workload: {image: example.com/far}}
externals:
  rates: {hosts: rates.example.com, ports: {https: 443}, callers: web}
ingress:
  web: {service: web, hosts: shop.example.com, clusters: west}
";

/// Both kinds of install files, and a server of names.
const OLD: &str = "
version: 1
allow: [T0306]
clusters:
  east: {istio: \"1.8.5\", gateway: {address: 198.51.100.1, nodePort: 31443}, dns: {provider: kube-dns, address: 10.0.0.53}}
  west: {istio: \"1.4.2\", gateway: 203.0.113.1, dns: {provider: coredns, address: 10.1.0.53}}
services:
  web: {clusters: east, ports: {http: 80}, calls: {service: cart, env: CART}, workload: {image: example.com/web}}
  cart: {clusters: west, ports: {grpc: 7070}, calls: web, workload: {image: example.com/cart}}
";

const OF_TODAY: [(&str, &str, Break); 66] = [
    ("I1", "east/20-mesh/cart.shop.yaml", Remove),
    ("I1", "east/20-mesh/cart.shop.yaml", Change("exportTo:\n  - front\n", "exportTo:\n  - back\n")),
    ("I1", "east/20-mesh/mail.shop.yaml", Change("app: mail\n    security", "app: male\n    security")),
    (
        "I1",
        "east/20-mesh/sidecar-front.yaml",
        Change("shop/cart.shop.mesh.internal", "shop/cart.shop.svc.cluster.local"),
    ),
    ("I1", "east/20-mesh/sidecar-front.yaml", Change("    - default/rates.example.com\n", "")),
    ("I1", "east/20-mesh/sidecar-front.yaml", Add("    - \"*/*\"\n")),
    ("I1", "east/20-mesh/sidecar-front.yaml", Remove),
    ("I1", "east/20-mesh/external-rates.yaml", Remove),
    ("I1", "east/40-apps/stock.shop.yaml", Change("kind: Service\n", "kind: Servant\n")),
    ("I2", "east/20-mesh/cart.shop.yaml", Change("- cart.shop.mesh.internal", "- card.shop.mesh.internal")),
    ("I2", "west/40-apps/cart.shop.yaml", Change("kind: Service\n", "kind: Servant\n")),
    ("I3", "east/20-mesh/cart.shop.yaml", Change("- cart.shop.mesh.internal", "- stock.shop.svc.cluster.local")),
    ("I3", "east/00-namespaces/shop.yaml", Remove),
    ("I4", "east/20-mesh/cart.shop.yaml", Change("number: 7070", "number: 7071")),
    ("I4", "east/20-mesh/cart.shop.yaml", Change("protocol: GRPC", "protocol: HTTP")),
    ("I4", "east/20-mesh/mail.shop.yaml", Change("- name: tcp\n", "- name: http\n")),
    ("I4", "west/20-mesh/cart.shop.yaml", Change("targetPort: 7071", "targetPort: 7070")),
    ("I4", "west/40-apps/cart.shop.yaml", Change("port: 7070", "port: 7071")),
    ("I4", "west/40-apps/cart.shop.yaml", Change("targetPort: 7071", "targetPort: 7072")),
    ("I5", "east/20-mesh/cart.shop.yaml", Change("grpc: 15443", "http: 15443")),
    ("I5", "east/20-mesh/mail.shop.yaml", Change("tcp: 31443", "tcp: 15443")),
    ("I5", "east/20-mesh/mail.shop.yaml", Change("selector:\n    app: mail", "selector:\n    app: male")),
    ("I6", "east/40-apps/web.front.yaml", Change("cart.shop.mesh.internal:7070", "cart.shop.mesh.internal:7071")),
    ("I6", "east/40-apps/web.front.yaml", Change("pay.shop.svc.cluster.local", "pay.shop.mesh.internal")),
    ("I7", "east/20-mesh/cart.shop.yaml", Change("- 240.0.", "- 241.0.")),
    ("I7", "east/20-mesh/cart.shop.yaml", Change("- 240.0.", "- 240.240.")),
    ("I7", "west/20-mesh/cart.shop.yaml", Change("addresses:\n", "addresses:\n  - 240.0.1.1\n")),
    ("I8", "east/20-mesh/cart.shop.yaml", Change("203.0.113.9", "203.0.113.1")),
    ("I8", "east/20-mesh/cart.shop.yaml", Change("203.0.113.9", "198.51.100.1")),
    ("I8", "east/20-mesh/cart.shop.yaml", Change("resolution: STATIC", "resolution: DNS")),
    ("I8", "west/20-mesh/web.front.yaml", Change("locality: r1/z1", "locality: r1/z2")),
    (
        "I9",
        "east/10-istio/istio-operator.yaml",
        Change("ISTIO_META_DNS_CAPTURE: \"true\"", "ISTIO_META_DNS_CAPTURE: \"false\""),
    ),
    ("I10", "east/10-istio/istio-operator.yaml", Change("- west.example", "- waste.example")),
    ("I10", "west/10-istio/istiod.yaml", Change("trustDomain: west.example", "trustDomain: cluster.local")),
    (
        "I10",
        "east/20-mesh/cart.shop.yaml",
        Change("spiffe://west.example/ns/shop/sa/cart", "spiffe://cluster.local/ns/shop/sa/cart"),
    ),
    ("I10", "east/20-mesh/mail.shop.yaml", Change("serviceAccount: mail", "serviceAccount: default")),
    (
        "I10",
        "west/20-mesh/cart.shop.yaml",
        Change("- cluster.local/ns/front/sa/web", "- cluster.local/ns/front/sa/pay"),
    ),
    ("I10", "north/20-mesh/mail.shop.yaml", Remove),
    (
        "I11",
        "east/20-mesh/cart.shop.yaml",
        Change("security.istio.io/tlsMode: istio", "security.istio.io/tlsMode: disabled"),
    ),
    ("I11", "north/20-mesh/peer-authentication.yaml", Change("STRICT", "DISABLE")),
    ("I11", "west/00-namespaces/shop.yaml", Change("istio-injection: enabled", "istio-injection: disabled")),
    (
        "I11",
        "east/20-mesh/stock.shop.yaml",
        Change("  trafficPolicy:\n", "  trafficPolicy:\n    tls: {mode: SIMPLE}\n"),
    ),
    ("I12", "west/20-mesh/east-west-gateway.yaml", Change("    - cart.shop.mesh.internal\n", "")),
    ("I12", "west/20-mesh/east-west-gateway.yaml", Add("    - \"*.local\"\n")),
    ("I12", "north/20-mesh/istio-eastwestgateway.yaml", Change("nodePort: 31443", "nodePort: 31444")),
    ("I12", "west/10-istio/istio-eastwestgateway.yaml", Change("port: 15443", "port: 15444")),
    ("I13", "west/20-mesh/cart.shop.yaml", Change("  - istio-system\n", "  - shop\n")),
    ("I13", "west/20-mesh/cart.shop.yaml", Change("app: cart", "app: card")),
    ("I13", "east/20-mesh/cart.shop.yaml", Change("  exportTo:\n  - front\n", "")),
    ("I14", "east/20-mesh/cart.shop.yaml", Change("    network: west\n", "")),
    ("I14", "east/20-mesh/mail.shop.yaml", Change("network: north", "network: west")),
    ("I14", "east/00-namespaces/istio-system.yaml", Change("network: east", "network: west")),
    ("I14", "east/10-istio/istio-operator.yaml", Change("value: east", "value: west")),
    ("I14", "west/10-istio/istio-eastwestgateway.yaml", Change("NETWORK_VIEW: west", "NETWORK_VIEW: east")),
    ("I14", "north/20-mesh/istio-eastwestgateway.yaml", Change("value: north", "value: east")),
    ("I14", "west/10-istio/istiod.yaml", Change("network: west", "network: east")),
    ("I15", "east/20-mesh/pay.shop.yaml", Change("  - name: north\n", "  - name: south\n")),
    ("I15", "north/20-mesh/pay.shop.yaml", Change("  - name: north\n", "  - name: south\n")),
    ("I15", "east/20-mesh/pay.shop.yaml", Change("weight: 70", "weight: 60")),
    ("I15", "east/20-mesh/stock.shop.yaml", Change("        - meshlatch/failover-1\n", "")),
    (
        "I15",
        "east/20-mesh/stock.shop.yaml",
        Change("  host: stock.shop.svc", "  exportTo:\n  - front\n  host: stock.shop.svc"),
    ),
    ("I15", "east/20-mesh/stock.shop.yaml", Change("    meshlatch/failover-1: \"true\"\n", "")),
    ("I16", "east/20-mesh/cart.shop.yaml", Change("networking.istio.io/v1", "networking.istio.io/v1alpha3")),
    ("I17", "east/20-mesh/cart.shop.yaml", Change("  exportTo:\n  - front\n", "  exportTo:\n  - front\n  - front\n")),
    ("I17", "east/20-mesh/stock.shop.yaml", Change("outlierDetection:", "tunnel:")),
    ("I18", "east/kustomization.yaml", Add("- 10-istio/istio-operator.yaml\n")),
];

const OF_OLD: [(&str, &str, Break); 12] = [
    ("I1", "east/20-mesh/cart.default.yaml", Remove),
    ("I4", "east/20-mesh/cart.default.yaml", Change("number: 7070", "number: 7071")),
    ("I5", "west/20-mesh/web.default.yaml", Change("http: 31443", "http: 15443")),
    ("I6", "east/40-apps/web.default.yaml", Change("cart.default.global", "cart.default.svc.cluster.local")),
    ("I8", "east/20-mesh/cart.default.yaml", Change("203.0.113.1", "203.0.113.2")),
    ("I9", "east/10-istio/istio-operator.yaml", Change("clusterIP: 10.0.0.53", "clusterIP: 10.0.0.54")),
    ("I9", "west/30-dns/apply.sh", Change("address=10.1.0.53", "address=10.1.0.54")),
    (
        "I11",
        "east/10-istio/istio-operator.yaml",
        Change("enabled: true\n        clusterName", "enabled: false\n        clusterName"),
    ),
    ("I12", "east/10-istio/istio-operator.yaml", Change("nodePort: 31443", "nodePort: 31444")),
    (
        "I14",
        "east/20-mesh/cart.default.yaml",
        Change("  - address: 203.0.113.1\n", "  - address: 203.0.113.1\n    network: west\n"),
    ),
    ("I16", "east/20-mesh/cart.default.yaml", Change("networking.istio.io/v1beta1", "networking.istio.io/v1")),
    (
        "I18",
        "west/40-apps/cart.default.yaml",
        Add("---\napiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: default}\n"),
    ),
];

fn apply(it: &Break, path: &str, tree: &mut Tree) {
    match it {
        Change(from, to) => {
            let text = tree.get_mut(path).unwrap_or_else(|| panic!("no {path}"));
            assert!(text.contains(from), "{path} has no `{from}`:\n{text}");
            *text = text.replacen(from, to, 1);
        }
        Add(text) => tree.get_mut(path).unwrap_or_else(|| panic!("no {path}")).push_str(text),
        Remove => {
            tree.remove(path).unwrap_or_else(|| panic!("no {path}"));
            let (cluster, file) = path.split_once('/').expect("a file lies in a folder");
            let list = tree.get_mut(&format!("{cluster}/kustomization.yaml")).expect("there is one");
            *list = list.replace(&format!("- {file}\n"), "");
        }
    }
}

fn each_is_told(topology: &str, breaks: &[(&str, &str, Break)]) {
    let good = support::tree(&support::compile(topology));
    assert_eq!(verdict(topology, &good), "");
    let mut missed = String::new();
    for (index, (number, path, it)) in breaks.iter().enumerate() {
        let mut tree = good.clone();
        apply(it, path, &mut tree);
        let said = verdict(topology, &tree);
        if !said.lines().any(|it| it.starts_with(&format!("{number}: "))) {
            let _ = writeln!(missed, "break {index} of {path} is not told as {number}:\n{said}");
        }
    }
    assert_eq!(missed, "");
}

#[test]
fn every_break_of_a_mesh_of_today_is_told() {
    each_is_told(NEW, &OF_TODAY);
}

#[test]
fn every_break_of_an_old_mesh_is_told() {
    each_is_told(OLD, &OF_OLD);
}

#[test]
fn every_invariant_is_broken_once() {
    let told: std::collections::BTreeSet<_> = OF_TODAY.iter().chain(&OF_OLD).map(|it| it.0.to_owned()).collect();
    assert_eq!(told, (1..=18).map(|it| format!("I{it}")).collect());
}
