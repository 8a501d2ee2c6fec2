//! What holds of every compilation: the same bytes in any order, nothing changed that has no business
//! to, no address that moves. What holds of a mesh is in `mesh`.

use std::collections::{BTreeMap, BTreeSet};

use meshlatch::inputs::Inputs;
use proptest::prelude::*;

use crate::made::{Line, Made, made};
use crate::support;

type Tree = BTreeMap<String, String>;

/// What holds of the paths and texts of any tree, whatever it was made from.
fn sound(tree: &Tree) {
    for (path, text) in tree {
        assert!(
            path.split('/').all(|part| !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))),
            "{path} is not the path of a bundle"
        );
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{path} ends in one newline");
        let (cluster, _) = path.split_once('/').expect("a file lies in the folder of a cluster");
        assert!(tree.contains_key(&format!("{cluster}/RUNBOOK.md")), "{cluster} has no RUNBOOK");
    }
}

#[test]
fn golden_trees_are_sound() {
    for (_, folder) in support::golden_cases() {
        sound(&support::read_tree(&folder.join("out")));
    }
}

#[test]
fn golden_cases_compile_to_the_same_bytes_in_any_order() {
    for (_, folder) in support::golden_cases() {
        let source = std::fs::read_to_string(folder.join("topology.yaml")).expect("a case has a topology");
        let first = support::tree(&support::compile(&source));
        let mesh = support::compile(&source.replace('\n', "\r\n"));
        let clusters: Vec<_> = mesh.clusters().collect();
        let mut second = Tree::new();
        for (id, name) in clusters.iter().rev() {
            if let meshlatch::Outcome::Ready(bundle) = mesh.bundle(*id) {
                second.extend(bundle.files().map(|(path, file)| (format!("{name}/{path}"), file.text.clone())));
            }
        }
        assert_eq!(first, second);
    }
}

fn tree_of(made: &Made) -> Tree {
    support::tree(&support::compile(&made.yaml()))
}

fn any_mesh() -> impl Strategy<Value = Made> {
    prop_oneof![made(Line::Old, 1), made(Line::New, 1), made(Line::Mixed, 1)].prop_map(Made::granted)
}

/// Files that list what others hold.
fn is_index(path: &str) -> bool {
    path.ends_with("kustomization.yaml") || path.ends_with("RUNBOOK.md")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16) })]

    #[test]
    fn the_order_of_the_file_changes_no_object(made in any_mesh()) {
        let tree = tree_of(&made);
        // The same services, declared the other way round.
        let head = made.head();
        let services: String = made.services.iter().rev().map(|it| made.service(it)).collect();
        let turned = support::tree(&support::compile(&format!("{head}services:\n{services}")));
        // An account that several services share stands with the first of them.
        let objects = |tree: &Tree| {
            let files = tree.iter().filter(|it| !is_index(it.0));
            let objects = files.flat_map(|(path, text)| text.split("---\n").map(move |it| (path[..2].to_owned(), it.to_owned())));
            objects.collect::<BTreeSet<_>>()
        };
        let (before, after) = (objects(&tree), objects(&turned));
        let changed: Vec<_> = before.symmetric_difference(&after).collect();
        prop_assert!(changed.is_empty(), "{:?}", changed);
    }

    #[test]
    fn a_new_service_changes_no_file_it_has_no_business_in(made in any_mesh(), cluster in any::<prop::sample::Index>()) {
        let cluster = cluster.index(made.clusters.len());
        let before = tree_of(&made);
        let mut more = made.clone();
        more.services.push(Made::newcomer(cluster));
        let after = tree_of(&more);
        for (path, text) in &after {
            let namespace = ["00-namespaces/default.yaml", "20-mesh/sidecar-default.yaml"].map(|it| format!("c{cluster}/{it}"));
            let own = path.contains("newcomer") || namespace.contains(path);
            let index = is_index(path) && path.starts_with(&format!("c{cluster}/"));
            prop_assert!(own || index || before.get(path) == Some(text), "{} changed", path);
        }
        prop_assert!(before.keys().all(|path| after.contains_key(path)));
    }

    #[test]
    fn removing_services_moves_no_address(made in any_mesh(), keep in proptest::collection::vec(any::<bool>(), 12)) {
        let before: BTreeMap<_, _> = support::compile(&made.yaml()).virtual_ips().collect();
        let mut less = made.clone();
        // A service that goes takes the calls to it along.
        for service in &mut less.services {
            service.calls.retain(|(callee, _)| keep[*callee]);
        }
        let head = less.head_without_callers();
        let kept: String = less.services.iter().enumerate().filter(|it| keep[it.0]).map(|it| less.service(it.1)).collect();
        let services = if kept.is_empty() { "services: {}\n".to_owned() } else { format!("services:\n{kept}") };
        let after: BTreeMap<_, _> = support::compile(&format!("{head}{services}")).virtual_ips().collect();
        for (host, ip) in after {
            prop_assert_eq!(before.get(&host), Some(&ip), "{} moved", host);
        }
    }
}

#[test]
fn a_pending_address_holds_back_only_who_needs_it() {
    let text = "
version: 1
allow: [T0306]
clusters:
  a: {istio: \"1.5.2\", gateway: pending}
  b: {istio: \"1.5.2\", gateway: 198.51.100.2, dns: {provider: coredns, address: 10.0.0.53}}
  c: {istio: \"1.5.2\", dns: {provider: coredns, address: 10.0.0.53}}
services:
  in-a: {clusters: a, ports: {http: 80}}
  in-b: {clusters: b, ports: {http: 80}, calls: [in-a]}
  in-c: {clusters: c, calls: [in-b]}
";
    let waiting = support::compile(text);
    let written: BTreeSet<_> = support::tree(&waiting).keys().map(|it| it[..1].to_owned()).collect();
    assert_eq!(written, BTreeSet::from(["a".to_owned(), "c".to_owned()]));
    let mut inputs = Inputs::default();
    inputs.set("a", "198.51.100.1");
    let (mesh, said, _) = support::compile_bytes("topology.yaml", text.as_bytes().to_vec(), &inputs);
    let tree = support::tree(&mesh.unwrap_or_else(|| panic!("{said}")));
    assert!(tree["b/20-mesh/in-a.default.yaml"].contains("- address: 198.51.100.1\n"));
}
