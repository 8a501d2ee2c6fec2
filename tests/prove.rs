//! Every declared call followed through written trees: good ones, and ones that are broken on purpose.

mod defect;
mod fields;
mod foreign;
mod listed;
mod loss;
mod mixed;
mod odd;
mod outside;
mod pods;
mod routes;
mod rules;
mod text;
mod trees;
mod unasked;

use std::collections::BTreeMap;
use std::path::Path;

use meshlatch::Mesh;
use meshlatch::diff::{File, Files};
use meshlatch::prove::{Call, Proof, World};
use proptest::prelude::*;

use crate::made::{Line, made};
use crate::support;
use defect::Defect;

/// Files as the tree of all clusters.
fn files(tree: &BTreeMap<String, String>) -> Files {
    let file = |text: &String| File { bytes: text.clone().into_bytes(), foreign: false };
    tree.iter().map(|(path, text)| (path.clone(), file(text))).collect()
}

fn world(mesh: &Mesh, tree: &BTreeMap<String, String>) -> World {
    World::of_tree(mesh, "out", &files(tree), "default").unwrap_or_else(|error| panic!("{error}"))
}

fn topology(folder: &Path) -> Mesh {
    support::compile(&std::fs::read_to_string(folder.join("topology.yaml")).expect("a case has a topology"))
}

/// What is said of the calls that are broken.
fn broken(proof: &Proof<'_>) -> Vec<String> {
    proof.broken.iter().map(|(call, it)| format!("{call}: {}: {}", it.broken.kind, it.broken.why)).collect()
}

#[test]
fn every_call_of_every_golden_case_is_proved() {
    let mut calls = 0;
    for (name, folder) in support::golden_cases() {
        let mesh = topology(&folder);
        let world = world(&mesh, &support::read_tree(&folder.join("out")));
        let proof = world.prove();
        assert_eq!(broken(&proof), Vec::<String>::new(), "{name}");
        assert!(proof.absent.is_empty() || name == "pending", "{name}: {:?}", proof.absent);
        assert!(proof.proved.iter().all(|it| it.1.latent.is_empty()), "{name}");
        let odd: Vec<_> = proof.odd.iter().filter(|it| !it.1.is_empty()).map(|it| &it.0.what).collect();
        assert!(odd.is_empty(), "{name}: {odd:?}");
        calls += proof.proved.len();
    }
    assert!(calls > 200, "{calls}");
}

#[test]
fn every_call_of_the_example_is_proved() {
    let folder = support::root();
    let mesh = topology(&folder);
    let world = world(&mesh, &support::read_tree(&folder.join("out")));
    let proof = world.prove();
    assert_eq!(broken(&proof), Vec::<String>::new());
    assert!(!proof.proved.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn every_call_of_a_made_mesh_is_proved(made in prop_oneof![made(Line::New, 2), made(Line::Old, 2), made(Line::Mixed, 2)]) {
        let topology = made.granted().yaml();
        let mesh = support::compile(&topology);
        let world = world(&mesh, &support::tree(&mesh));
        let proof = world.prove();
        prop_assert_eq!(broken(&proof), Vec::<String>::new(), "{}", topology);
        prop_assert!(proof.odd.iter().all(|it| it.1.is_empty()), "{}", topology);
    }
}

/// Whether a call is the one that a defect names.
fn is(call: &Call, meant: &defect::Call, mesh: &Mesh) -> bool {
    call.caller.key() == meant.caller
        && call.cluster == meant.cluster
        && call.callee == meant.callee
        && meant.port.as_ref().is_none_or(|it| mesh.port_name(&call.callee, call.port) == Some(it))
}

#[test]
fn every_defect_is_found_at_its_hop() {
    let mut wrong = Vec::new();
    let defects = Defect::all();
    assert!(defects.len() > 50, "{}", defects.len());
    for (name, defect) in &defects {
        let folder = support::root().join(&defect.case);
        let mesh = topology(&folder);
        let tree = defect.apply(&support::read_tree(&folder.join("out")));
        let world = world(&mesh, &tree);
        let proof = world.prove();
        let found = proof.broken.iter().find(|(call, _)| defect.breaks.as_ref().is_none_or(|it| is(call, it, &mesh)));
        match found {
            _ if defect.harmless => wrong.extend(broken(&proof)),
            None => wrong.push(format!("{name}: nothing is broken")),
            Some((_, it)) if it.broken.kind.name() != defect.hop => {
                wrong.push(format!("{name}: not at {} but at {}: {}", defect.hop, it.broken.kind, it.broken.why));
            }
            Some((_, it)) if it.broken.effect.is_empty() || it.broken.mend.is_empty() => {
                wrong.push(format!("{name}: it is not said what happens, or how to mend it"));
            }
            Some(_) => {}
        }
        for call in &defect.still {
            if !proof.proved.iter().any(|it| is(it.0, call, &mesh)) {
                wrong.push(format!("{name}: {call:?} goes on working, and {:?}", broken(&proof)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), defects.len(), wrong.join("\n"));
}
