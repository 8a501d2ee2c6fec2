//! What becomes of calls when a cluster, a gateway or a service is gone.

use std::collections::BTreeMap;

use meshlatch::Mesh;
use meshlatch::prove::{Fate, Loss, json, json_of, review, survival};

use super::{topology, world};
use crate::support;

fn case(name: &str) -> (Mesh, BTreeMap<String, String>) {
    let folder = support::root().join("tests/golden").join(name);
    (topology(&folder), support::read_tree(&folder.join("out")))
}

/// What becomes of a call: `dies`, `survives`, `75 %`, or the clusters that answer.
fn fate(mesh: &Mesh, tree: &BTreeMap<String, String>, losses: &[Loss], cluster: &str, callee: &str) -> String {
    let world = world(mesh, tree);
    let proof = world.prove();
    let effect = proof.without(losses);
    let touched = effect.touched.iter().find(|(call, _)| call.cluster == cluster && call.callee == callee);
    match touched.map(|it| &it.1) {
        Some(Fate::FallsOver(ways)) => ways.iter().filter_map(|it| it.cluster.as_deref()).collect::<Vec<_>>().join(" "),
        Some(Fate::FailsInPart { share, .. }) => share.map_or_else(|| "a part".to_owned(), |it| format!("{it} %")),
        Some(Fate::Dies(broken)) => format!("dies at {}", broken.kind),
        _ => "survives".to_owned(),
    }
}

/// The tree with each text of the files of `20-mesh` replaced.
fn replaced(tree: &BTreeMap<String, String>, from: &str, to: &str) -> BTreeMap<String, String> {
    let found = tree.values().filter(|it| it.contains(from)).count();
    assert!(found > 0, "nothing says {from}");
    tree.iter().map(|(path, text)| (path.clone(), text.replace(from, to))).collect()
}

#[test]
fn each_failure_is_a_table_for_a_review() {
    let (mesh, tree) = case("failover");
    let world = world(&mesh, &tree);
    let proof = world.prove();
    let effects: Vec<_> = Loss::each(&mesh).into_iter().map(|it| proof.without(&[it])).collect();
    insta::assert_snapshot!("each_failure", review(&proof, &effects));
}

#[test]
fn every_call_of_every_golden_case_has_one_fate() {
    let mut points = 0;
    for (name, folder) in support::golden_cases() {
        let mesh = topology(&folder);
        let world = world(&mesh, &support::read_tree(&folder.join("out")));
        let proof = world.prove();
        let single = proof.single_points();
        let read: serde_json::Value = serde_json::from_str(&json(&proof)).expect("it is JSON");
        assert_eq!(read["singlePoints"].as_array().map(Vec::len), Some(single.len()), "{name}");
        for loss in Loss::each(&mesh) {
            let effect = proof.without(std::slice::from_ref(&loss));
            let touched = effect.falling_over() + effect.failing_in_part() + effect.dying();
            assert_eq!(effect.surviving + effect.gone + touched, proof.proved.len(), "{name}: {loss}");
            if !matches!(loss, Loss::Service(_, None)) && single.contains_key(&loss) {
                assert_eq!(single[&loss].len(), effect.dying(), "{name}: {loss}");
                points += 1;
            }
        }
    }
    assert!(points > 100, "{points}");
}

#[test]
fn own_pods_that_are_gone_are_no_endpoints_and_a_gateway_that_is_gone_is_one() {
    let (mesh, tree) = case("nearness");
    let gone = |cluster: &str| [Loss::Service("alike".to_owned(), Some(cluster.to_owned()))];
    assert_eq!(fate(&mesh, &tree, &gone("west"), "west", "alike"), "east");
    assert_eq!(fate(&mesh, &tree, &gone("west"), "north", "alike"), "east");
    let detection = "    outlierDetection:\n      consecutive5xxErrors: 0\n      consecutiveGatewayErrors: 5\n      maxEjectionPercent: 100\n";
    let kept = replaced(&tree, detection, "");
    assert_eq!(fate(&mesh, &kept, &gone("west"), "west", "alike"), "east");
    assert_eq!(fate(&mesh, &kept, &gone("west"), "north", "alike"), "50 %");
    let off = replaced(&tree, "consecutiveGatewayErrors: 5", "consecutiveGatewayErrors: 0");
    assert_eq!(fate(&mesh, &off, &gone("west"), "north", "alike"), "50 %");
    let limited = replaced(&tree, "maxEjectionPercent: 100", "maxEjectionPercent: 20");
    assert_eq!(fate(&mesh, &limited, &gone("west"), "north", "alike"), "a part");
    let both = [gone("west"), gone("east")].concat();
    assert_eq!(fate(&mesh, &tree, &both, "north", "alike"), "dies at owner");
    assert_eq!(fate(&mesh, &tree, &both, "west", "alike"), "dies at endpoint");
}

#[test]
fn the_nearest_that_are_left_answer() {
    let (mesh, tree) = case("nearness");
    let gateway = |cluster: &str| [Loss::Gateway(cluster.to_owned())];
    assert_eq!(fate(&mesh, &tree, &gateway("west"), "north", "by-locality"), "survives");
    assert_eq!(fate(&mesh, &tree, &gateway("east"), "north", "by-locality"), "west");
    // Without the locality of its nodes, all are alike.
    let text = support::root().join("tests/golden/nearness/topology.yaml");
    let text = std::fs::read_to_string(text).expect("there is one").replace(", locality: us-east1/us-east1-c", "");
    let unknown = support::compile(&text);
    assert_eq!(fate(&unknown, &tree, &gateway("west"), "north", "by-locality"), "east");
}

#[test]
fn weights_do_not_fall_over() {
    let (mesh, tree) = case("weights");
    let cluster = |name: &str| [Loss::Cluster(name.to_owned())];
    assert_eq!(fate(&mesh, &tree, &cluster("east"), "south", "cart"), "75 %");
    assert_eq!(fate(&mesh, &tree, &cluster("west"), "south", "cart"), "25 %");
    assert_eq!(fate(&mesh, &tree, &cluster("north"), "south", "cart"), "survives");
    assert_eq!(fate(&mesh, &tree, &cluster("west"), "south", "shop"), "10 %");
    let all = [cluster("east"), cluster("west")].concat();
    assert_eq!(fate(&mesh, &tree, &all, "south", "cart"), "dies at gateway");
}

/// What changes the shares and is not understood is named, wherever losses are told.
#[test]
fn what_is_not_understood_of_the_choice_is_named() {
    let (mesh, tree) = case("nearness");
    let told = |from: &str, to: &str| {
        let tree = replaced(&tree, from, to);
        let world = world(&mesh, &tree);
        let proof = world.prove();
        let effects = [proof.without(&[Loss::Gateway("west".to_owned())])];
        let texts = [review(&proof, &effects), survival(&proof, &effects[0])];
        let read: serde_json::Value = serde_json::from_str(&json_of(&proof, &effects)).expect("it is JSON");
        let count = read["notUnderstood"].as_array().map_or(0, Vec::len);
        let lines = |it: &String| it.lines().filter(|it| it.starts_with("not understood: ")).count();
        assert_eq!(texts.iter().map(lines).collect::<Vec<_>>(), [count; 2], "{texts:?}");
        texts[0].clone()
    };
    assert!(!told("kind: ServiceEntry", "kind: ServiceEntry").contains("not understood"));
    let enabled = "        enabled: false\n";
    let distribute = "        distribute:\n        - {from: '*', to: {'us-east1/*': 100}}\n";
    assert!(
        told(enabled, distribute).contains("`distribute` of DestinationRule default/alike-default-global, at out/")
    );
    let failover = "        failover:\n        - {from: us-east1, to: us-west1}\n";
    assert!(told(enabled, failover).contains("`failover` of DestinationRule default/alike-default-global"));
    let health = "      maxEjectionPercent: 100\n      minHealthPercent: 30\n";
    assert!(told("      maxEjectionPercent: 100\n", health).contains("`minHealthPercent` of DestinationRule"));
    let weighed = "  - address: 198.51.100.2\n    weight: 3\n";
    let told_of_one = told("  - address: 198.51.100.2\n", weighed);
    assert!(told_of_one.contains("`weight` of ServiceEntry default/alike-default-global"), "{told_of_one}");
    // As none are those that are all alike.
    let labels = "    labels:\n      security.istio.io/tlsMode: istio\n";
    assert!(!told(labels, &format!("    weight: 3\n{labels}")).contains("not understood"));
}
