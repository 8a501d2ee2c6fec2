//! Services without a selector: those whose endpoints somebody lists, and those that are but another name.

use std::collections::BTreeMap;

use meshlatch::prove::{Path, Stopped};

use crate::support;

const MESH: &str = r#"version: 1
clusters:
  one: {istio: "1.31.0"}
  two: {istio: "1.31.0", gateway: 34.70.9.157}
services:
  cart: {clusters: one, ports: {tcp: 7070}, workload: elsewhere, serviceAccount: cart}
  shop: {clusters: one, ports: {tcp: 80}, workload: {image: example.com/shop}}
  web: {clusters: one, ports: {http: 8000}, calls: [cart], workload: {image: example.com/web}}
"#;

fn service(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: cart, namespace: default}}\nspec: {{{spec}}}\n")
}

const PORTS: &str = "ports: [{name: tcp, port: 7070}]";

fn endpoints(ip: &str, port: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Endpoints\nmetadata: {{name: cart, namespace: default}}\n\
         subsets: [{{addresses: [{{ip: {ip}}}], ports: [{{name: {port}, port: 8080}}]}}]\n"
    )
}

fn slice(of: &str, more: &str) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: cart-1, namespace: default, labels: {{kubernetes.io/service-name: {of}}}}}\n\
         addressType: IPv4\nendpoints: [{{addresses: [10.0.0.2]{more}}}]\nports: [{{name: tcp, port: 8080}}]\n"
    )
}

fn followed(topology: &str, more: &[String]) -> Result<Path, Box<Stopped>> {
    let mesh = support::compile(topology);
    let mut tree: BTreeMap<_, _> = support::tree(&mesh);
    tree.insert("one/more.yaml".to_owned(), more.join("---\n"));
    *tree.get_mut("one/kustomization.yaml").expect("a cluster has one") += "- more.yaml\n";
    let world = super::world(&mesh, &tree);
    let call = world.calls().find(|it| it.callee == "cart").expect("it is declared");
    world.follow(call)
}

/// What is taken on trust, or the hop at which it breaks, and why.
fn told(topology: &str, more: &[String]) -> String {
    match followed(topology, more) {
        Ok(path) => format!("{:?} {}", path.ways[0].cluster.as_deref(), path.trusts.join(", ")),
        Err(it) => format!("{}: {}", it.broken.kind, it.broken.why),
    }
}

#[test]
fn endpoints_that_somebody_lists_are_followed() {
    let listed = service(PORTS);
    let at = |ip: &str, by: &str| format!("None whoever answers at {ip}:8080, which {by} says");
    assert_eq!(told(MESH, &[listed.clone(), endpoints("10.0.0.1", "tcp")]), at("10.0.0.1", "Endpoints default/cart"));
    assert_eq!(told(MESH, &[listed.clone(), slice("cart", "")]), at("10.0.0.2", "EndpointSlice default/cart-1"));
    // None of them, or none that is ready or of this port: somebody writes them.
    let nobody = "None whoever stands behind Service default/cart in `one`, which no file says";
    for more in [
        vec![],
        vec![slice("other", "")],
        vec![slice("cart", ", conditions: {ready: false}")],
        vec![slice("cart", "").replace("IPv4", "FQDN")],
        vec![endpoints("10.0.0.1", "other")],
    ] {
        assert_eq!(told(MESH, &[std::slice::from_ref(&listed), &more[..]].concat()), nobody, "{more:?}");
    }
    // Whom a selector names is not listed, and a name is looked up for nobody.
    let selected = service(&format!("selector: {{app: cart}}, {PORTS}"));
    let trust = "Some(\"one\") pods with app=cart in `one`, which somebody else deploys";
    assert_eq!(told(MESH, &[selected, endpoints("10.0.0.1", "tcp")]), trust);
    let machine = "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: vm, namespace: default}\n\
                   spec: {address: cart.example.com, labels: {app: vm}}\n";
    let of_machine = service(&format!("selector: {{app: vm}}, {PORTS}"));
    let wrong = "endpoint: nobody stands behind `cart.default.svc.cluster.local`";
    assert_eq!(told(MESH, &[of_machine, machine.to_owned()]), wrong);
    // Pods of it are written: then it is the selector that is missing.
    let written = MESH.replace("workload: elsewhere, serviceAccount: cart", "workload: {image: example.com/cart}");
    let mesh = support::compile(&written);
    let mut tree = support::tree(&mesh);
    let cart = tree.get_mut("one/40-apps/cart.default.yaml").expect("it is written");
    let selector = "  selector:\n    app: cart\n---\n";
    assert!(cart.contains(selector), "{cart}");
    *cart = cart.replacen(selector, "---\n", 1);
    let proof = super::world(&mesh, &tree);
    let proof = proof.prove();
    assert!(super::broken(&proof).concat().contains("nobody stands behind"), "{:?}", super::broken(&proof));
    // The gateway of another cluster is somebody, and waits for mTLS.
    let gateway = endpoints("34.70.9.157", "tcp").replace("8080", "15443");
    assert!(told(MESH, &[listed, gateway]).starts_with("tls: "));
}

/// Before 1.9 istiod reads Endpoints only.
#[test]
fn releases_before_1_9_read_no_slices() {
    let old = MESH
        .replace("version: 1\n", "version: 1\nallow: [T0306]\n")
        .replace("one: {istio: \"1.31.0\"}", "one: {istio: \"1.7.8\"}");
    let listed = service(PORTS);
    assert!(told(&old, &[listed.clone(), slice("cart", "")]).contains("whoever stands behind"));
    assert!(told(&old, &[listed, endpoints("10.0.0.1", "tcp")]).contains("10.0.0.1:8080"));
}

#[test]
fn a_service_that_is_another_name_leads_there() {
    let named = |name: &str| service(&format!("type: ExternalName, externalName: {name}, {PORTS}"));
    assert_eq!(told(MESH, &[named("cart.example.com")]), "None ");
    let other = "apiVersion: v1\nkind: Service\nmetadata: {name: real, namespace: default}\n\
                 spec: {selector: {app: cart}, ports: [{name: tcp, port: PORT, targetPort: 7070}]}\n";
    let own = named("real.default.svc.cluster.local");
    assert!(told(MESH, &[own.clone(), other.replace("PORT", "7070")]).starts_with("Some(\"one\")"));
    // Its own ports are nobody's: those of the other count.
    assert!(told(MESH, &[own.clone(), other.replace("PORT", "7071")]).contains("has no port 7070"));
    assert!(told(MESH, &[own]).contains("which nothing in `one` knows"));
    let itself = named("cart.default.svc.cluster.local");
    assert!(told(MESH, &[itself]).contains("leads to itself"));
    // Who is led there by a route needs a host that the mesh knows.
    let route = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: cart, namespace: default}\n\
                 spec: {hosts: [cart], tcp: [{route: [{destination: {host: alias}}]}]}\n";
    let alias = |name: &str| named(name).replace("name: cart,", "name: alias,");
    let more = |name: &str| vec![service(&format!("selector: {{app: cart}}, {PORTS}")), route.to_owned(), alias(name)];
    assert!(told(MESH, &more("cart.default.svc.cluster.local")).starts_with("Some(\"one\")"));
    for name in ["cart.example.com", "alias.default.svc.cluster.local", "second.default.svc.cluster.local"] {
        let second = named("cart.default.svc.cluster.local").replace("name: cart,", "name: second,");
        assert!(told(MESH, &[more(name), vec![second]].concat()).starts_with("route: "), "{name}");
    }
    // Before 1.9 the sidecar looks it up, at its own ports.
    let old = MESH
        .replace("version: 1\n", "version: 1\nallow: [T0306]\n")
        .replace("one: {istio: \"1.31.0\"}", "one: {istio: \"1.7.8\"}");
    assert_eq!(told(&old, &[named("cart.example.com")]), "None ");
    assert_eq!(told(&old, &more("cart.example.com")), "None ");
    let wrong = named("cart.example.com").replace("port: 7070", "port: 7071");
    assert!(told(&old, std::slice::from_ref(&wrong)).contains("has no port 7070"));
    assert_eq!(told(MESH, &[wrong]), "None ");
}
