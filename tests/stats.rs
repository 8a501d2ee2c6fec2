//! What is counted is what is written.

use std::collections::BTreeMap;

use serde_yaml::Value;

use crate::support;

/// The objects that a kustomization applies, by kind, read from the tree.
fn by_kind(tree: &BTreeMap<String, String>, cluster: &str) -> BTreeMap<String, usize> {
    let kustomization: Value =
        serde_yaml::from_str(&tree[&format!("{cluster}/kustomization.yaml")]).expect("a kustomization is YAML");
    let mut kinds = BTreeMap::new();
    for file in kustomization["resources"].as_sequence().expect("it lists files") {
        let text = &tree[&format!("{cluster}/{}", file.as_str().expect("a file is text"))];
        for document in serde_yaml::Deserializer::from_str(text) {
            let object: Value = serde::Deserialize::deserialize(document).expect("YAML");
            *kinds.entry(object["kind"].as_str().expect("an object has a kind").to_owned()).or_insert(0) += 1;
        }
    }
    kinds
}

#[test]
fn objects_and_files_are_those_of_the_tree() {
    for (name, folder) in support::golden_cases() {
        let text = std::fs::read_to_string(folder.join("topology.yaml")).expect("a case has a topology");
        let mesh = support::compile(&text);
        let tree = support::tree(&mesh);
        for (id, cluster) in mesh.clusters() {
            let Some(stats) = mesh.stats(id) else { continue };
            assert_eq!(stats.objects, by_kind(&tree, cluster), "{name}/{cluster}");
            let files = tree.keys().filter(|it| it.starts_with(&format!("{cluster}/"))).count();
            assert_eq!(stats.files, files, "{name}/{cluster}");
            assert!(stats.sidecars.iter().all(|it| it.clusters <= it.clusters_of_whole_mesh), "{name}/{cluster}");
        }
    }
}

/// Ten namespaces of which each calls the next: a sidecar holds two hosts, not ten.
#[test]
fn a_sidecar_holds_what_is_called_from_its_namespace() {
    let service = |it: usize| {
        let (next, ports) = ((it + 1) % 10, "{http: 80, tcp: 81}");
        format!("  s{it}: {{namespace: n{it}, clusters: a, ports: {ports}, calls: \"s{next}:http\"}}\n")
    };
    let services = (0..10).map(service).collect::<Vec<_>>().concat();
    let text = format!("version: 1\nclusters:\n  a: {{istio: 1.30.3}}\nservices:\n{services}");
    let mesh = support::compile(&text);
    let (id, _) = mesh.clusters().next().expect("there is a cluster");
    let stats = mesh.stats(id).expect("it waits for nothing");
    // Seven of its own, four of istiod, and two ports a host.
    assert!(stats.sidecars.iter().all(|it| it.clusters == 7 + 4 + 2 * 2), "{stats:?}");
    assert!(stats.sidecars.iter().all(|it| it.clusters_of_whole_mesh == 7 + 4 + 10 * 2), "{stats:?}");
    assert_eq!((stats.east_west_gateway, stats.ingress_gateway), (None, None));
}

/// A gateway holds what it lets in twice, with each subset.
#[test]
fn a_gateway_holds_what_it_lets_in() {
    let text = "
version: 1
clusters:
  a: {istio: 1.30.3, gateway: 198.51.100.1}
  b: {istio: 1.30.3, gateway: 198.51.100.2}
  c: {istio: 1.30.3}
services:
  cart: {clusters: [a, b], ports: {http: 80}, balance: {weights: {a: 50, b: 50}}}
  other: {clusters: a, ports: {http: 80}}
  web: {clusters: c, calls: cart}
";
    let mesh = support::compile(text);
    let (id, _) = mesh.clusters().next().expect("there is a cluster");
    let stats = mesh.stats(id).expect("it waits for nothing");
    // Seven of its own, four of istiod, two of its own Service; cart and other as Services; cart under
    // the name it is called by, with a subset for each cluster, and once more by server name.
    assert_eq!(stats.east_west_gateway, Some(7 + 4 + 2 + 2 + 3 + 3));
}
