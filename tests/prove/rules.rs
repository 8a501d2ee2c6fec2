//! `DestinationRule`s: which of them a sidecar or a gateway applies, and what they say of what is spoken.

use super::routes::{MESH, end, followed, tree};

fn rule(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
         metadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}\n"
    )
}

const EVERYBODY: &str = "host: '*.local', trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}";

/// A service behind the gateway of another cluster, which stands in the root namespace.
const ACROSS: &str = r#"version: 1
mesh: {names: cluster-local}
clusters:
  one: {istio: "1.31.0", gateway: 192.0.2.1}
  two: {istio: "1.31.0", gateway: 192.0.2.2}
services:
  cart: {namespace: shop, clusters: one, ports: {tcp: 7070}, workload: {image: example.com/cart}}
  web: {namespace: shop, clusters: two, ports: {http: 8000}, calls: [cart], workload: {image: example.com/web}}
"#;

/// Rules of the root namespace are for everybody: a gateway there takes those of the service first.
#[test]
fn a_gateway_in_the_root_namespace_takes_the_rules_of_the_service_first() {
    let plain = rule("cart", "shop", "host: cart, trafficPolicy: {tls: {mode: DISABLE}}");
    let everybody = rule("all", "istio-system", EVERYBODY);
    let wrong = end(ACROSS, std::slice::from_ref(&plain), "cart");
    assert!(wrong.starts_with("chain: ") || wrong.starts_with("owner: ") || wrong.starts_with("tls: "), "{wrong}");
    assert_eq!(end(ACROSS, &[everybody.clone(), plain.clone()], "cart"), wrong);
    // One for the root namespace alone is meant for its gateways.
    let own = rule("all", "istio-system", &format!("exportTo: [.], {EVERYBODY}"));
    assert_eq!(end(ACROSS, &[own, plain], "cart"), "proved");
}

/// Before 1.8, rules that are for the root namespace alone are for nobody.
#[test]
fn a_subset_of_a_service_is_known_to_the_gateway_of_an_ingress() {
    let versions = "host: web, subsets: [{name: v1, labels: {app: web}}]";
    let ends = |topology: &str, more: &[String]| {
        let mut tree = tree(topology, more);
        let routes = tree.get_mut("one/50-ingress/door.yaml").expect("it is written");
        let host = "host: web.default.svc.cluster.local\n";
        assert!(routes.contains(host), "{routes}");
        *routes = routes.replace(host, &format!("{host}        subset: v1\n"));
        followed(topology, &tree, "web").map_or_else(|it| it.broken.why, |_| "proved".to_owned())
    };
    let everybody = |export: &str| rule("all", "istio-system", &format!("{export}{EVERYBODY}"));
    let old = MESH.replace("1.31.0", "1.7.8").replace("clusters: {one: {", "allow: [T0306]\nclusters: {one: {");
    for topology in [MESH, &old] {
        assert_eq!(ends(topology, &[everybody(""), rule("web", "default", versions)]), "proved");
        assert!(ends(topology, &[everybody("")]).contains("has the subset `v1`"));
    }
    let own = [everybody("exportTo: [.], "), rule("web", "default", versions)];
    assert!(ends(MESH, &own).contains("has the subset `v1`"));
    assert_eq!(ends(&old, &own), "proved");
}

/// Who leads on what its client speaks needs not be told what that is.
#[test]
fn a_rule_may_ask_for_what_the_client_speaks() {
    let topology =
        MESH.replace("shop: {clusters: one, ports: {http: 8080}", "shop: {clusters: one, ports: {grpc: 8080}");
    let old = topology.replace("1.31.0", "1.8.5").replace("clusters: {one: {", "allow: [T0306]\nclusters: {one: {");
    let with = |topology: &str, rule: String| {
        let mut tree = tree(topology, &[rule]);
        let text = tree.get_mut("one/40-apps/shop.default.yaml").expect("it is written");
        assert!(text.contains("- name: grpc\n"), "{text}");
        *text = text.replace("- name: grpc\n", "- name: http\n");
        followed(topology, &tree, "shop").map_or_else(|it| it.broken.why, |it| it.trusts.join(", "))
    };
    let http = |field: &str| format!("host: shop.default.svc.cluster.local, trafficPolicy: {{{field}}}");
    let client = "connectionPool: {http: {useClientProtocol: true}}";
    assert_eq!(with(&topology, rule("shop", "default", &http(client))), "");
    let port = format!("portLevelSettings: [{{port: {{number: 8080}}, {client}}}]");
    assert_eq!(with(&topology, rule("shop", "default", &http(&port))), "");
    let wrong = "grpc is spoken, and the port says http";
    let wrongly = |topology: &str, field: &str| with(topology, rule("shop", "default", &http(field)));
    let upgrade = "connectionPool: {http: {h2UpgradePolicy: UPGRADE}}";
    assert!(wrongly(&topology, upgrade).to_lowercase().contains(wrong));
    assert!(wrongly(&topology, &port.replace("8080", "9090")).to_lowercase().contains(wrong));
    // The sidecar of the server does so from 1.10 on.
    assert!(wrongly(&old, client).to_lowercase().contains(wrong));
    // Nobody tells it of a rule that stands beside the caller alone.
    let apart = topology.replace("web: {clusters", "web: {namespace: front, clusters");
    let trust = "that sidecars of `shop.default.svc.cluster.local` lead on what is spoken, as \
                 DestinationRule front/shop says of it";
    assert_eq!(with(&apart, rule("shop", "front", &http(client))), trust);
}
