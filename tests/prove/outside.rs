//! Calls of what lies outside of the mesh: what rules and routes make of them, and who answers instead.

use std::collections::BTreeMap;

use super::broken;
use super::routes::{end, route, tree, trusts};
use crate::support;

/// A caller, what it calls outside, and a service beside it.
const MESH: &str = r#"version: 1
clusters: {one: {istio: "1.31.0"}}
services:
  cart: {clusters: one, ports: {tcp: 7070}, workload: {image: example.com/cart}}
  web: {clusters: one, ports: {http: 8000}, calls: [cart], workload: {image: example.com/web}}
externals: {stripe: {hosts: api.stripe.com, ports: {https: 443}, callers: [web]}}
"#;

const ENTRY: &str = "one/20-mesh/external-stripe.yaml";

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

/// What is broken if the entry says something else.
fn edited(topology: &str, edits: &[(&str, &str)], more: &[String]) -> Vec<String> {
    let mut tree = tree(topology, more);
    let entry = tree.get_mut(ENTRY).expect("it is written");
    for (from, to) in edits {
        assert!(entry.contains(from), "{entry}");
        *entry = entry.replace(from, to);
    }
    ends(topology, &tree)
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

#[test]
fn pods_of_the_mesh_do_not_answer_for_the_outside() {
    let cart = "owner: the pods of Deployment default/cart answer, and `stripe` is meant, which is outside of the mesh";
    assert_eq!(end(MESH, &[tls("host: cart, port: {number: 7070}")], "stripe"), cart);
    // A gateway may lead on, and nobody follows it there.
    let gateway = |annotations: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: egress, namespace: default}}\n\
             spec: {{selector: {{matchLabels: {{app: egress}}}}, template: {{metadata: {{labels: {{app: egress}}{annotations}}}, \
             spec: {{containers: [{{name: istio-proxy, image: auto}}]}}}}}}\n"
        )
    };
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: egress, namespace: default}\n\
                   spec: {selector: {app: egress}, ports: [{name: tls, port: 443, targetPort: 8443}]}\n";
    let led = |more: &[String]| [&[tls("host: egress, port: {number: 443}"), service.to_owned()], more].concat();
    let injected = gateway(", annotations: {inject.istio.io/templates: gateway}");
    let trust = "that the gateway Deployment default/egress leads `api.stripe.com` on to the outside";
    assert_eq!(trusts(MESH, &led(&[injected]), "stripe"), trust);
    let object = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: egress, namespace: default}\n\
                  spec: {selector: {app: egress}, servers: [{port: {number: 443, name: tls, protocol: TLS}, \
                  tls: {mode: PASSTHROUGH}, hosts: [api.stripe.com]}]}\n";
    assert_eq!(trusts(MESH, &led(&[gateway(""), object.to_owned()]), "stripe"), trust);
    assert_eq!(end(MESH, &led(&[gateway("")]), "stripe"), cart.replace("default/cart", "default/egress"));
}

/// What a sidecar is not told of it passes on, unless it lets out only what it knows.
#[test]
fn what_is_hidden_lies_outside_all_the_same() {
    let only = MESH.replace("version: 1\n", "version: 1\nmesh: {outbound: registry-only}\n");
    let others = [("exportTo:\n  - \".\"\n", "exportTo: [other]\n")];
    assert_eq!(edited(MESH, &others, &[]), Vec::<String>::new());
    let wrong = edited(&only, &others, &[]).concat();
    assert!(wrong.contains("scope: ServiceEntry default/stripe is not exported"), "{wrong}");
    let sidecar = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: a, namespace: default}\n\
                   spec: {workloadSelector: {labels: {app: web}}, egress: [{hosts: ['*/*.local']}]}\n";
    assert_eq!(edited(MESH, &[], &[sidecar.to_owned()]), Vec::<String>::new());
    assert!(edited(&only, &[], &[sidecar.to_owned()]).concat().contains("scope: "));
}

/// A host without endpoints is its own endpoint, wherever it is said to be.
#[test]
fn a_host_that_is_looked_up_stands_behind_itself() {
    let internal = ("MESH_EXTERNAL", "MESH_INTERNAL");
    assert_eq!(edited(MESH, &[internal], &[]), Vec::<String>::new());
    assert!(edited(MESH, &[internal, ("DNS", "STATIC")], &[]).concat().contains("nobody stands behind"));
    let selector = ("  resolution:", "  workloadSelector: {labels: {app: nobody}}\n  resolution:");
    assert!(edited(MESH, &[internal, selector], &[]).concat().contains("stripe"));
    let mutual = rule("default", "api.stripe.com", &policy("ISTIO_MUTUAL"));
    assert!(edited(MESH, &[internal], &[mutual]).concat().contains("tls: "));
}

#[test]
fn entries_of_one_host_have_their_ports_together() {
    let entry = |name: &str, more: &str| {
        let (port, said) = if name == "a" { (80, "HTTP") } else { (443, "HTTPS") };
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: default}}\n\
             spec: {{hosts: [api.stripe.com], location: MESH_EXTERNAL, resolution: {more}, \
             ports: [{{number: {port}, name: {said}, protocol: {said}}}]}}\n"
        )
    };
    let ends = |second: &str| {
        let mut tree = tree(&both(), &[]);
        tree.insert(ENTRY.to_owned(), [entry("a", "DNS"), entry("b", second)].join("---\n"));
        ends(&both(), &tree)
    };
    assert_eq!(ends("DNS"), Vec::<String>::new());
    assert!(ends("NONE").concat().contains("has no port 443"), "{:?}", ends("NONE"));
}

/// A route of a name is for it, though an entry knows it by a wildcard only.
#[test]
fn routes_of_a_name_under_a_wildcard_are_followed() {
    let wide = [("- api.stripe.com", "- \"*.stripe.com\""), ("resolution: DNS", "resolution: NONE")];
    assert_eq!(edited(&both(), &wide, &[]), Vec::<String>::new());
    let http = |host: &str| route("stripe", host, "http: [{route: [{destination: {host: nobody}}]}]");
    for (host, port) in [("api.stripe.com", 80), ("'*.stripe.com'", 80), ("other.stripe.com", 0)] {
        let found = edited(&both(), &wide, &[http(host)]);
        assert_eq!(found.len(), usize::from(port > 0), "{host}: {found:?}");
        assert!(found.iter().all(|it| it.contains(&format!(":{port}`")) && it.contains("nobody")), "{found:?}");
    }
    let found = edited(&both(), &wide, &[tls("host: nobody")]).concat();
    assert!(found.contains(":443`") && found.contains("nobody"), "{found}");
    // Nothing is led to the name itself.
    let found = edited(&both(), &wide, &[tls("host: api.stripe.com")]).concat();
    let wrong = "route: a route leads to `api.stripe.com`, of which ServiceEntry default/stripe has a wildcard only";
    assert!(found.contains(wrong), "{found}");
}

#[test]
fn a_wildcard_is_not_looked_up() {
    let wide = ("- api.stripe.com", "- \"*.stripe.com\"");
    let refused = edited(MESH, &[wide], &[]).concat();
    assert!(refused.contains("endpoint: the resolution is DNS, and nobody looks up `*.stripe.com`"), "{refused}");
    let named = ("  resolution: DNS", "  endpoints: [{address: eu.stripe.com}]\n  resolution: DNS");
    assert_eq!(edited(MESH, &[wide, named], &[]), Vec::<String>::new());
}
