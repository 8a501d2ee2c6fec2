//! What is not understood, and the calls on which it may act.

use meshlatch::prove::World;

use super::routes::{MESH, route, tree};
use crate::support;

/// What may act on calls, each with those who are called.
fn acts(topology: &str, more: &[String]) -> Vec<(String, Vec<String>)> {
    let mesh = support::compile(topology);
    let world: World = super::world(&mesh, &tree(topology, more));
    let proof = world.prove();
    let called = |it: &[&meshlatch::prove::Call]| it.iter().map(|it| it.callee.clone()).collect();
    proof.odd.iter().map(|(it, calls)| (it.what.clone(), called(calls))).collect()
}

fn elsewhere(text: &str) -> String {
    text.replace("namespace: default", "namespace: infra")
}

fn is(what: &str, callees: &[&str]) -> Vec<(String, Vec<String>)> {
    vec![(what.to_owned(), callees.iter().map(|it| (*it).to_owned()).collect())]
}

/// Routes act on the calls of their hosts, wherever they stand.
#[test]
fn routes_act_on_the_calls_of_their_hosts() {
    let topology = MESH.replace("version: 1\n", "version: 1\nmesh: {scope: mesh}\n");
    let own = "route: [{destination: {host: shop.default.svc.cluster.local, port: {number: 8080}}}]";
    let fault = format!("http: [{{fault: {{abort: {{httpStatus: 500, percentage: {{value: 100}}}}}}, {own}}}]");
    let near = route("shop", "shop", &fault);
    assert_eq!(acts(&topology, std::slice::from_ref(&near)), is("`fault` of VirtualService default/shop", &["shop"]));
    let far = elsewhere(&route("shop", "shop.default.svc.cluster.local", &fault));
    assert_eq!(acts(&topology, std::slice::from_ref(&far)), is("`fault` of VirtualService infra/shop", &["shop"]));
    assert_eq!(acts(&topology, &[elsewhere(&near)]), is("`fault` of VirtualService infra/shop", &[]));
    // Those of gateways act on what comes through them.
    let door = |host: &str| route("x", host, &format!("gateways: [door], {fault}"));
    let what = "`fault` of VirtualService default/x";
    assert_eq!(acts(&topology, &[door("door.example.com")])[..1], is(what, &["web"]));
    assert_eq!(acts(&topology, &[door("shop")]), is(what, &[]));
    // Those of a delegate act where the routes that name it do.
    let root = route("shop", "shop", "http: [{delegate: {name: part, namespace: infra}}]");
    let part = elsewhere(&route("part", "x", &fault).replace("hosts: [x], ", ""));
    assert_eq!(acts(&topology, &[root, part]), is("`fault` of VirtualService infra/part", &["shop"]));
}

/// The path that a rewrite changes leads nobody astray; the name of the host may.
#[test]
fn of_a_rewrite_the_name_of_the_host_is_not_understood() {
    let own = "route: [{destination: {host: shop, port: {number: 8080}}}]";
    let rewritten =
        |field: &str| acts(MESH, &[route("shop", "shop", &format!("http: [{{rewrite: {{{field}}}, {own}}}]"))]);
    assert_eq!(rewritten("uri: /"), []);
    assert_eq!(rewritten("uri: /, authority: x"), is("`authority` of VirtualService default/shop", &["shop"]));
    assert_eq!(acts(MESH, &[route("shop", "shop", "http: [{delegate: {name: part}}]")]), []);
}

/// Rules act on the calls of their host, and on those that routes lead there.
#[test]
fn rules_act_on_the_calls_that_get_to_their_host() {
    let topology = MESH.replace(
        "ingress:\n",
        "externals: {stripe: {hosts: api.stripe.com, ports: {https: 443}, callers: [web]}}\ningress:\n",
    );
    let rule = |host: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: it, namespace: infra}}\n\
             spec: {{host: {host}, trafficPolicy: {{proxyProtocol: {{version: V1}}}}}}\n"
        )
    };
    let what = "`proxyProtocol` of DestinationRule infra/it";
    assert_eq!(acts(&topology, &[rule("api.stripe.com")]), is(what, &["stripe"]));
    assert_eq!(acts(&topology, &[rule("cart.default.svc.cluster.local")]), is(what, &["cart"]));
    assert_eq!(acts(&topology, &[rule("other.default.svc.cluster.local")]), is(what, &[]));
    let led = route("shop", "shop", "http: [{route: [{destination: {host: other}}]}]");
    assert_eq!(acts(&topology, &[rule("other.default.svc.cluster.local"), led]), is(what, &["shop"]));
}

/// A Gateway acts where its selector finds pods.
#[test]
fn a_gateway_acts_on_the_calls_that_pass_its_pods() {
    let gateway = |selector: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: it, namespace: infra}}\n\
             spec: {{selector: {{{selector}}}, servers: [{{bind: 127.0.0.1, hosts: [a.example.com], \
             port: {{number: 8081, name: x, protocol: HTTP}}}}]}}\n"
        )
    };
    let what = "`bind` of Gateway infra/it";
    assert_eq!(acts(MESH, &[gateway("istio: ingressgateway")]), is(what, &["web"]));
    assert_eq!(acts(MESH, &[gateway("istio: other")]), is(what, &[]));
}
