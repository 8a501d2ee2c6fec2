//! What breaks between two clusters is what is found by looking at every call of the mixed mesh.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use meshlatch::diff::{self, Between, Broken, Side};
use meshlatch::prove::{Caller, World};

use crate::support;

const CLUSTERS: usize = 4;
const SERVICES: usize = 5;

/// Numbers that depend on a seed, the same on every machine: the steps of a well-known generator.
fn numbers(seed: usize) -> impl FnMut(usize) -> usize {
    let mut state = seed as u64;
    move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    }
}

/// A mesh that depends on a number: where services run, whom they call, by which names, at which addresses;
/// of some services, it depends on another number.
fn mesh(seed: usize, changed: std::ops::Range<usize>, other: usize) -> String {
    let mut next = numbers(other);
    let mut text = "version: 1\nallow: [T0306]\nclusters:\n".to_owned();
    let swapped = next(3) == 0;
    for it in 0..CLUSTERS {
        // Sometimes two clusters have changed their addresses.
        let address = if swapped && it < 2 { 1 - it } else { it } + 1;
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "  c{it}: {{istio: \"1.31.0\", gateway: 34.70.9.{address}}}");
    }
    text += "services:\n";
    for it in 0..SERVICES {
        let mut next = numbers(if changed.contains(&it) { other } else { seed } * SERVICES + it);
        let first = next(CLUSTERS);
        let clusters = match next(3) {
            0 => format!("[c{first}, c{}]", (first + 1) % CLUSTERS),
            _ => format!("c{first}"),
        };
        let names = if next(4) == 0 { "cluster-local" } else { "global" };
        let port = 80 + next(2);
        let callee = (it + 1 + next(SERVICES - 1)) % SERVICES;
        let workload = if next(4) == 0 { "elsewhere" } else { "{image: example.com/a}" };
        let env = if workload == "elsewhere" { String::new() } else { format!(", env: S{callee}") };
        let _ = writeln!(
            text,
            "  s{it}: {{clusters: {clusters}, names: {names}, ports: {{http: {port}}}, workload: {workload}, \
             calls: [{{service: s{callee}{env}}}]}}"
        );
    }
    text
}

/// Caller, callee, address, why and cluster of each call that has no path, in the manner of the report.
type Told = BTreeSet<(String, String, String, String, String)>;

fn told(broken: &[Broken]) -> Told {
    broken
        .iter()
        .flat_map(|it| {
            it.clusters.iter().map(|cluster| {
                (it.call.caller.clone(), it.call.callee.clone(), it.address.clone(), it.why.clone(), cluster.clone())
            })
        })
        .collect()
}

fn found(world: &World) -> Told {
    let key = |it: &Caller| it.to_string().replace('`', "");
    let broken = world.breaks().broken.into_iter();
    broken
        .map(|(call, stopped)| {
            let address = format!("{}:{}", call.host, call.port);
            let why = stopped.broken.to_string();
            (key(&call.caller), call.callee.clone(), address, why, call.cluster.clone())
        })
        .collect()
}

fn mixed(from: &World, to: &World, clusters: &[&str]) -> World {
    let mut world = from.clone();
    for it in clusters {
        world.take(it, to);
    }
    world
}

#[test]
fn nothing_else_breaks() {
    let mut broken = 0;
    for seed in 0..20 {
        // From one service that changes to all of them.
        let (old, new) = (mesh(seed, 0..0, seed), mesh(seed, 0..1 + seed % SERVICES, seed + 1000));
        let side = |text: &str| Side::of_mesh("a", support::compile(text));
        let report = diff::compare(side(&old), side(&new), &[]).expect("every bundle can be read");
        let paths = report.meaning.declared.and_then(|it| it.paths).expect("both have topologies and addresses");
        let Some(Between { steps }) = paths.between else { continue };
        let world = |text: &str| World::of_mesh(&support::compile(text)).expect("a bundle can be read");
        let (mut old, mut new) = (world(&old), world(&new));
        old.mean(&new);
        new.mean(&old);
        let changed: BTreeSet<String> =
            report.clusters.iter().filter(|it| !it.objects.is_empty()).map(|it| it.name.clone()).collect();
        for cluster in &changed {
            let step = steps.iter().find(|it| it.cluster == *cluster);
            let (first, last) = step.map(|it| (told(&it.first), told(&it.last))).unwrap_or_default();
            broken += first.len() + last.len();
            assert_eq!(first, found(&mixed(&old, &new, &[cluster])), "seed {seed}: {cluster} first");
            if changed.len() == 2 {
                assert_eq!(last, Told::new(), "seed {seed}: of two, the first says it");
                continue;
            }
            assert_eq!(last, found(&mixed(&new, &old, &[cluster])), "seed {seed}: {cluster} last");
        }
    }
    assert!(broken > 50, "{broken} broken calls");
}
