//! What is printed of a proof.

use meshlatch::prove::{Detail, human, json, traced};

use super::defect::Defect;
use super::{broken, topology, world};
use crate::support;

/// The text for a golden case in which one thing is broken.
fn printed(defect: &str, detail: Detail) -> String {
    let defect = &Defect::all()[defect];
    let folder = support::root().join(&defect.case);
    let mesh = topology(&folder);
    let world = world(&mesh, &defect.apply(&support::read_tree(&folder.join("out"))));
    human(&world.prove(), detail, false)
}

#[test]
fn a_break_is_told_with_its_line_what_happens_and_how_to_mend_it() {
    insta::assert_snapshot!("a_route_that_is_no_http", printed("tcp_called_http.yaml", Detail::Line));
    insta::assert_snapshot!("a_gateway_that_nobody_is", printed("gateway_selects_nobody.yaml", Detail::Line));
    insta::assert_snapshot!("a_policy_that_keeps_out", printed("policy_without_the_caller.yaml", Detail::Quiet));
    insta::assert_snapshot!("nobody_to_fail_over_to", printed("trust_domain_without_alias.yaml", Detail::Quiet));
    insta::assert_snapshot!("a_host_that_nobody_knows", printed("variable_names_another_host.yaml", Detail::Quiet));
}

#[test]
fn every_hop_has_its_file_and_line() {
    let folder = support::root().join("tests/golden/weights");
    let mesh = topology(&folder);
    let world = world(&mesh, &support::read_tree(&folder.join("out")));
    let call = world.call(&mesh, "web", "south", "cart:7071").expect("it is declared");
    insta::assert_snapshot!("every_hop", traced(&call, &world.follow(&call), false));
}

#[test]
fn a_call_that_is_not_declared_is_followed_too() {
    let folder = support::root().join("tests/golden/cluster_local");
    let mesh = topology(&folder);
    let world = world(&mesh, &support::read_tree(&folder.join("out")));
    let end = |to: &str| {
        let call = world.call(&mesh, "web", "west", to).expect("it can be asked for");
        world.follow(&call).map_or_else(|it| it.broken.kind.to_string(), |it| format!("{:?}", it.ways[0].cluster))
    };
    // A short name is one of the caller's own namespace.
    assert_eq!(end("cart:7070"), "Some(\"east\")");
    assert_eq!(end("cart.shop:7070"), "Some(\"east\")");
    assert_eq!(end("cart.shop.svc.cluster.local.:7070"), "Some(\"east\")");
    assert_eq!(end("stock.shop.global:9000"), "Some(\"east\")");
    assert_eq!(end("stock.shop.global:9001"), "route");
    assert_eq!(end("carts.shop.global:7070"), "name");
    assert_eq!(end("example.com:443"), "None");
    for (caller, cluster, to) in [
        ("wab", "west", "cart"),
        ("web", "east", "cart"),
        ("web", "wst", "cart"),
        ("web", "west", "a.b"),
        ("web", "west", "a.b:0"),
    ] {
        let unknown = world.call(&mesh, caller, cluster, to).expect_err("it does not exist");
        assert!(!unknown.message.is_empty(), "{caller} {cluster} {to}");
    }
}

#[test]
fn programs_read_the_same() {
    let defect = &Defect::all()["gateway_without_host.yaml"];
    let folder = support::root().join(&defect.case);
    let mesh = topology(&folder);
    let world = world(&mesh, &defect.apply(&support::read_tree(&folder.join("out"))));
    let proof = world.prove();
    let read: serde_json::Value = serde_json::from_str(&json(&proof)).expect("it is JSON");
    assert_eq!(read["broken"].as_array().map(Vec::len), Some(broken(&proof).len()));
    let found = &read["broken"][0]["break"];
    assert_eq!(found["hop"], "chain");
    assert_eq!(found["place"]["file"], "out/east/20-mesh/east-west-gateway.yaml");
    assert_eq!(found["place"]["field"], "spec.servers.0.hosts");
    assert_eq!(read["proved"].as_array().map(Vec::len), Some(proof.proved.len()));
}
