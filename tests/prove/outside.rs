//! Calls of what lies outside of the mesh: what rules and routes make of them, and who answers instead.

use std::collections::BTreeMap;

use super::broken;
use super::routes::{end, route, tree};
use crate::support;

/// A caller, what it calls outside, and a service beside it.
const MESH: &str = r#"version: 1
clusters: {one: {istio: "1.31.0"}}
services:
  cart: {clusters: one, ports: {tcp: 7070}, workload: {image: example.com/cart}}
  web: {clusters: one, ports: {http: 8000}, calls: [cart], workload: {image: example.com/web}}
externals: {stripe: {hosts: api.stripe.com, ports: {https: 443}, callers: [web]}}
"#;

/// The same, called in plain text, too.
fn both() -> String {
    MESH.replace("{https: 443}", "{http: 80, https: 443}")
}

fn rule(namespace: &str, host: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
         metadata: {{name: stripe, namespace: {namespace}}}\nspec: {{host: '{host}', {spec}}}\n"
    )
}

fn policy(mode: &str) -> String {
    format!("trafficPolicy: {{tls: {{mode: {mode}}}}}")
}

fn tls(to: &str) -> String {
    let matched = "match: [{sniHosts: [api.stripe.com]}]";
    route("stripe", "api.stripe.com", &format!("tls: [{{{matched}, route: [{{destination: {{{to}}}}}]}}]"))
}

fn ends(topology: &str, tree: &BTreeMap<String, String>) -> Vec<String> {
    let mesh = support::compile(topology);
    broken(&super::world(&mesh, tree).prove())
}

#[test]
fn a_subset_of_the_outside_is_one_that_a_rule_has() {
    let routed = tls("host: api.stripe.com, subset: v9");
    let missing = "endpoint: no DestinationRule of `api.stripe.com` has the subset `v9`";
    assert_eq!(end(MESH, std::slice::from_ref(&routed), "stripe"), missing);
    let of = |labels: &str| rule("default", "api.stripe.com", &format!("subsets: [{{name: v9{labels}}}]"));
    assert_eq!(end(MESH, &[routed.clone(), of("")], "stripe"), "proved");
    // The name is the only endpoint, and has no labels.
    let nobody = "endpoint: no endpoint of `api.stripe.com` has the labels version=9 of its subset `v9`";
    assert_eq!(end(MESH, &[routed, of(", labels: {version: '9'}")], "stripe"), nobody);
}

#[test]
fn what_a_rule_says_of_tls_counts_outside_of_the_mesh() {
    let tls = |more: &[String]| end(MESH, more, "stripe");
    let mutual = "tls: the sidecar speaks mTLS to `api.stripe.com`, which is outside of the mesh";
    assert_eq!(tls(&[rule("default", "api.stripe.com", &policy("ISTIO_MUTUAL"))]), mutual);
    assert_eq!(tls(&[rule("istio-system", "*", &policy("ISTIO_MUTUAL"))]), mutual);
    assert_eq!(tls(&[rule("default", "api.stripe.com", &policy("DISABLE"))]), "proved");
    assert_eq!(tls(&[rule("default", "api.example.com", &policy("ISTIO_MUTUAL"))]), "proved");
    let twice = "tls: the sidecar speaks TLS as `SIMPLE` says, around the TLS that the caller speaks";
    let simple = rule("default", "api.stripe.com", &policy("SIMPLE"));
    assert_eq!(tls(std::slice::from_ref(&simple)), twice);
    // Addresses are written: the same holds.
    let written = MESH.replace("hosts: api.stripe.com, ports: {https: 443}", "hosts: api.stripe.com, ADDRESS");
    let written = written.replace("ADDRESS", "addresses: 203.0.113.9, ports: {tcp: 443}");
    assert_eq!(end(&written, &[], "stripe"), "proved");
    assert_eq!(end(&written, &[rule("default", "api.stripe.com", &policy("ISTIO_MUTUAL"))], "stripe"), mutual);
    assert_eq!(end(&written, std::slice::from_ref(&simple), "stripe"), "proved");
    // Rules are for sidecars.
    let mut bare = tree(MESH, &[rule("default", "api.stripe.com", &policy("ISTIO_MUTUAL"))]);
    let namespace = bare.get_mut("one/00-namespaces/default.yaml").expect("it is written");
    *namespace = namespace.replace("istio-injection: enabled", "istio-injection: disabled");
    assert!(ends(MESH, &bare).iter().all(|it| !it.contains("stripe")), "{:?}", ends(MESH, &bare));
}

/// Plain text that a route leads to the port of HTTPS is TLS if a rule says so, and only then.
#[test]
fn plain_text_is_led_to_a_port_of_tls_with_a_rule_only() {
    let to = "http: [{match: [{port: 80}], route: [{destination: {host: api.stripe.com, port: {number: 443}}}]}]";
    let routed = route("stripe", "api.stripe.com", to);
    let plain = "tls: plain text comes to port 443 of `api.stripe.com`, which takes HTTPS";
    assert_eq!(end(&both(), std::slice::from_ref(&routed), "stripe"), plain);
    let of_port = "trafficPolicy: {portLevelSettings: [{port: {number: 443}, tls: {mode: SIMPLE}}]}";
    assert_eq!(end(&both(), &[routed.clone(), rule("default", "api.stripe.com", of_port)], "stripe"), "proved");
    let off = rule("default", "api.stripe.com", &policy("DISABLE"));
    assert_eq!(end(&both(), &[routed, off], "stripe"), plain);
}
