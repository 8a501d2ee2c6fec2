//! Each field of each object that leads calls, dropped or changed in turn: what becomes of the calls.

mod change;
mod reasons;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use meshlatch::Mesh;
use meshlatch::diff::{File, Files};
use meshlatch::prove::{HopKind, World};
use serde::Deserialize;
use serde_yaml::Value;

use super::{files, topology};
use crate::support;
use change::{Act, Change};
use reasons::{CLASSES, Class, Verdict};

/// Golden cases of both lines, with names of the mesh and of the cluster, and every kind of object.
const CASES: [&str; 13] = [
    "beside_the_old_line",
    "cluster_local",
    "dns_coredns_existing",
    "dns_own_server",
    "externals",
    "failover",
    "gateway_api",
    "gateway_names_once",
    "least_scope",
    "only_declared_callers",
    "service_in_two_clusters",
    "two_namespaces",
    "weights",
];

/// Hops that nothing decides before 1.9: no object there restricts who is told, or says who may answer or call.
const UNDECIDED_BEFORE_1_9: [HopKind; 2] = [HopKind::Scope, HopKind::Identity];

/// What became of a change.
enum Outcome {
    /// The hops at which calls end, each with whether the call is of a name of the cluster.
    Broken(BTreeSet<(HopKind, bool)>),
    /// Calls would end if those that are asked first were gone.
    Latent,
    /// The tree cannot be read.
    Unreadable,
    Same,
}

/// An object of a file of a case, and the change that is tried.
struct Trial<'a> {
    case: &'a str,
    path: &'a str,
    kind: &'a str,
    change: Change,
}

/// What becomes of all trials of a case. Of the fields that stand at the same way in objects of the same kind,
/// one of as many as there are clusters.
fn trials(case: &str, mut took: impl FnMut(&Trial<'_>, bool, Outcome)) {
    let folder = support::root().join("tests/golden").join(case);
    let mesh = topology(&folder);
    let tree = support::read_tree(&folder.join("out"));
    let mut files: Files = files(&tree);
    let clusters = mesh.clusters().count();
    let mut seen: BTreeMap<(String, String, Act), usize> = BTreeMap::new();
    let is_read = |path: &str| path.ends_with(".yaml") && !path.ends_with("kustomization.yaml");
    for (path, text) in tree.iter().filter(|it| is_read(it.0)) {
        let cluster = path.split('/').next().unwrap_or_default();
        let is_old = mesh.clusters().any(|(id, name)| name == cluster && mesh.cluster(id).istio.minor < 9);
        let documents = serde_yaml::Deserializer::from_str(text);
        let documents: Vec<Value> =
            documents.map(|it| Value::deserialize(it).expect("a golden file is YAML")).collect();
        let texts: Vec<String> = documents.iter().map(meshlatch::yaml::to_string).collect();
        for (index, object) in documents.iter().enumerate() {
            let kind = object["kind"].as_str().unwrap_or("values");
            for change in Change::all(object) {
                let alike = (kind.to_owned(), change.pattern(), change.act.clone());
                let before = seen.entry(alike).or_default();
                *before += 1;
                if *before % clusters != 1 % clusters {
                    continue;
                }
                let mut texts = texts.clone();
                match change.apply(object) {
                    Some(it) => texts[index] = meshlatch::yaml::to_string(&it),
                    None => drop(texts.remove(index)),
                }
                let changed = File { bytes: texts.join("---\n").into_bytes(), foreign: false };
                let good = files.insert(path.clone(), changed).expect("the file is there");
                let outcome = outcome(&mesh, &files);
                files.insert(path.clone(), good);
                took(&Trial { case, path, kind, change }, is_old, outcome);
            }
        }
    }
}

fn outcome(mesh: &Mesh, files: &Files) -> Outcome {
    let Ok(world) = World::of_tree(mesh, "out", files, "default") else { return Outcome::Unreadable };
    let proof = world.prove();
    let is_local = |host: &str| host.ends_with(".svc.cluster.local");
    let broken: BTreeSet<_> = proof.broken.iter().map(|(call, it)| (it.broken.kind, is_local(&call.host))).collect();
    if !broken.is_empty() {
        return Outcome::Broken(broken);
    }
    if proof.proved.iter().any(|it| !it.1.latent.is_empty()) { Outcome::Latent } else { Outcome::Same }
}

/// What is counted, by line and by how the callee is named.
#[derive(Default)]
struct Counts {
    tried: usize,
    broken: usize,
    latent: usize,
    unreadable: usize,
    /// By hop, by whether the cluster is of the old line, by whether the name is the cluster's.
    hops: BTreeMap<(HopKind, bool, bool), usize>,
    verdicts: BTreeMap<Verdict, usize>,
    classes: BTreeMap<usize, usize>,
}

impl Counts {
    fn table(&self) -> String {
        let mut text = format!(
            "{} changes: {} break calls, {} would if the first were gone, {} cannot be read\n",
            self.tried, self.broken, self.latent, self.unreadable
        );
        for (verdict, count) in &self.verdicts {
            let classes = self.classes.keys().filter(|it| CLASSES[**it].verdict == *verdict).count();
            writeln!(text, "{verdict:?}: {count} of {classes} classes").expect("a text takes all");
        }
        text += "\nhop        old mesh  old cluster  new mesh  new cluster\n";
        let kinds: BTreeSet<HopKind> = self.hops.keys().map(|it| it.0).collect();
        for kind in kinds {
            let count = |old: bool, local: bool| self.hops.get(&(kind, old, local)).copied().unwrap_or_default();
            writeln!(
                text,
                "{:<9} {:>9} {:>12} {:>9} {:>12}",
                kind.name(),
                count(true, false),
                count(true, true),
                count(false, false),
                count(false, true)
            )
            .expect("a text takes all");
        }
        text
    }
}

#[test]
fn each_change_breaks_calls_or_has_a_reason_why_not() {
    let mut counts = Counts::default();
    let mut unexplained = BTreeMap::new();
    for case in CASES {
        trials(case, |trial, is_old, outcome| {
            counts.tried += 1;
            match outcome {
                Outcome::Broken(hops) => {
                    counts.broken += 1;
                    for (kind, is_local) in hops {
                        *counts.hops.entry((kind, is_old, is_local)).or_default() += 1;
                    }
                }
                Outcome::Latent => counts.latent += 1,
                Outcome::Unreadable => counts.unreadable += 1,
                Outcome::Same => match Class::of(trial.kind, &trial.change) {
                    Some(class) => {
                        *counts.classes.entry(class).or_default() += 1;
                        *counts.verdicts.entry(CLASSES[class].verdict).or_default() += 1;
                    }
                    None => {
                        let key = format!("{} {} {}", trial.kind, trial.change.pattern(), trial.change.verb());
                        unexplained.entry(key).or_insert_with(|| format!("{}/{}", trial.case, trial.path));
                    }
                },
            }
        });
    }
    let dead = (0..CLASSES.len()).filter(|it| !counts.classes.contains_key(it));
    let dead: Vec<_> = dead.map(|it| CLASSES[it].name()).collect();
    assert!(unexplained.is_empty() && dead.is_empty(), "no reason: {unexplained:#?}\nnever met: {dead:#?}");
    assert!(CLASSES.iter().all(|it| !it.reason.is_empty()));
    assert!(counts.broken >= 60, "{}", counts.broken);
    for (is_old, never) in [(true, &UNDECIDED_BEFORE_1_9[..]), (false, &[])] {
        let hit: BTreeSet<HopKind> = counts.hops.keys().filter(|it| it.1 == is_old).map(|it| it.0).collect();
        let missed: Vec<_> = HopKind::ALL.into_iter().filter(|it| !hit.contains(it)).collect();
        assert_eq!(missed, never, "old line: {is_old}");
    }
    insta::assert_snapshot!("changes", counts.table());
}
