//! `why`: the lines that an object comes from are taken away, and it is gone; nothing else takes it away.

mod edit;

use std::collections::{BTreeMap, BTreeSet};

use meshlatch::diag::Diagnostics;
use meshlatch::inputs::Inputs;
use meshlatch::source::{Source, Span};
use meshlatch::syntax::{self, Document};
use meshlatch::why::{self, Cause, Id, Need, Origin};
use meshlatch::{Mesh, Outcome};
use rayon::prelude::*;

use crate::support;
use edit::Tree;

/// Cluster and object; without an object, the file of this path.
type Key = (String, Option<Id>, String);

/// A topology that compiles.
struct Case {
    name: String,
    source: Source,
    document: Document,
    mesh: Mesh,
}

impl Case {
    fn of(name: &str, text: &str) -> Self {
        let mut diags = Diagnostics::new();
        let source = Source::new("topology.yaml", text);
        let document = syntax::parse(&source, &mut diags);
        let read = document.and_then(|it| Ok((meshlatch::build(&it, &Inputs::default(), &mut diags)?, it)));
        let Ok((mesh, document)) = read else { panic!("{name}: {}", support::said(&diags, &source)) };
        Self { name: name.to_owned(), source, document, mesh }
    }

    /// Every object and every other file of every cluster, with its origin.
    fn origins(&self) -> BTreeMap<Key, Origin> {
        let mut origins = BTreeMap::new();
        for (cluster, key) in written(&self.mesh) {
            let (id, path) = (key.1.as_ref(), key.2.as_str());
            let found = why::origin(&self.mesh, &self.document, &self.source, cluster, path, id);
            let origin = found.unwrap_or_else(|| panic!("{}: no rule for {path} {id:?}", self.name));
            assert!(!origin.needs.is_empty(), "{}: nothing asked for {key:?}", self.name);
            assert!(origin.needs.iter().all(|it| !it.ways.is_empty() && it.ways.iter().all(|it| !it.is_empty())));
            origins.insert(key, origin);
        }
        origins
    }

    fn tree(&self) -> Tree {
        Tree::of(&self.document, &self.source)
    }
}

/// What is written of every cluster that is ready.
fn written(mesh: &Mesh) -> Vec<(meshlatch::topology::ClusterId, Key)> {
    let mut all = Vec::new();
    for (cluster, name) in mesh.clusters() {
        let Outcome::Ready(bundle) = mesh.bundle(cluster) else { continue };
        for (path, file) in bundle.files() {
            let mut ids: Vec<_> = if path.ends_with(".yaml") {
                why::objects(&file.text).into_iter().map(|it| it.id).collect()
            } else {
                vec![None]
            };
            ids.dedup();
            all.extend(ids.into_iter().map(|id| (cluster, (name.to_owned(), id, path.to_owned()))));
        }
    }
    all
}

/// What tells objects apart; a file that holds none is told by its path.
fn names(mesh: &Mesh) -> BTreeSet<(String, String)> {
    written(mesh).into_iter().map(|(_, key)| named(&key)).collect()
}

fn named((cluster, id, path): &Key) -> (String, String) {
    let name = match id {
        Some(id) if !id.name.is_empty() => format!("{} {} {}", id.group(), id.kind, id.qualified()),
        _ => path.clone(),
    };
    (cluster.clone(), name)
}

fn cases() -> Vec<Case> {
    support::golden_cases()
        .into_iter()
        .map(|(name, folder)| (name, folder.join("topology.yaml")))
        .chain([("example".to_owned(), support::root().join("topology.yaml"))])
        .map(|(name, path)| Case::of(&name, &std::fs::read_to_string(path).expect("a case has a topology")))
        .collect()
}

/// What is left of a mesh.
#[derive(Default)]
struct Left {
    /// All the lines that went.
    removed: BTreeSet<Span>,
    /// Whether nothing but that was changed.
    only: bool,
    /// What is still written.
    names: BTreeSet<(String, String)>,
}

/// Takes these lines away, with what refers to them, and compiles the rest.
fn without(case: &Case, tree: &Tree, lines: &BTreeSet<Span>) -> Result<Left, String> {
    let mut less = tree.clone();
    let only = !less.remove(lines);
    let removed = tree.spans().difference(&less.spans()).copied().collect();
    let mut left = Left { removed, only, names: BTreeSet::new() };
    if less.has_clusters() {
        let (mesh, said, _) = support::compile_bytes("less.yaml", less.text().into_bytes(), &Inputs::default());
        let mesh = mesh.ok_or_else(|| format!("{}: without {:?}\n{said}", case.name, shown(case, lines)))?;
        left.names = names(&mesh);
    }
    Ok(left)
}

fn shown<'a>(case: &'a Case, lines: &BTreeSet<Span>) -> Vec<&'a str> {
    lines.iter().map(|it| case.source.slice(*it)).collect()
}

/// Whether a need is no longer met.
fn is_unmet(need: &Need, removed: &BTreeSet<Span>) -> bool {
    let gone = |it: &Cause| removed.contains(&it.whole);
    need.ways.iter().all(|way| way.iter().any(gone))
}

/// The lines to take away so that a need is not met, or is met by this way alone.
fn lines(need: &Need, but: Option<&[Cause]>) -> BTreeSet<Span> {
    let kept: BTreeSet<_> = but.into_iter().flatten().map(|it| it.whole).collect();
    let others = need.ways.iter().filter_map(|way| way.iter().find(|it| !kept.contains(&it.whole)));
    others.map(|it| it.whole).collect()
}

/// Looks at every case at once, and tells what is wrong in all of them.
fn in_every_case(look: impl Fn(&Case) -> Vec<String> + Send + Sync) {
    let wrong: Vec<String> = cases().par_iter().flat_map(look).collect();
    assert!(wrong.is_empty(), "{} are wrong\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n\n"));
}

#[test]
fn an_object_is_there_as_long_as_its_lines_are() {
    in_every_case(|case| {
        let origins = case.origins();
        let tree = case.tree();
        // What is taken away: who must be gone then, and who must not.
        let mut orders: BTreeMap<BTreeSet<Span>, BTreeMap<&Key, bool>> = BTreeMap::new();
        // Without nothing, everything is there.
        orders.entry(BTreeSet::new()).or_default().extend(origins.keys().map(|it| (it, true)));
        let lines_apart = tree.named().into_iter().chain(tree.settings());
        orders.extend(lines_apart.map(|it| (BTreeSet::from([it]), BTreeMap::new())));
        for (key, origin) in &origins {
            for need in &origin.needs {
                orders.entry(lines(need, None)).or_default().insert(key, false);
                for way in need.ways.iter().filter(|_| need.ways.len() > 1) {
                    orders.entry(lines(need, Some(way))).or_default().insert(key, true);
                }
            }
        }
        let balances = tree.balances();
        let mut wrong = Vec::new();
        for (lines, keys) in &orders {
            let left = match without(case, &tree, lines) {
                Ok(left) => left,
                // A setting that nobody names as a cause may be one that the rest cannot do without.
                Err(said) => {
                    wrong.extend((!keys.is_empty()).then_some(said));
                    continue;
                }
            };
            for (key, origin) in &origins {
                let there = left.names.contains(&named(key));
                let cluster = left.removed.contains(&tree.cluster(&key.0));
                let expected = cluster || origin.needs.iter().any(|it| is_unmet(it, &left.removed));
                // Of one line, all that comes of it is known, unless an order of clusters is another without it.
                let ordered = left.removed.is_disjoint(&balances);
                let told = match keys.get(key) {
                    Some(false) => Some(false),
                    Some(true) => Some(!expected),
                    None => (lines.len() == 1 && left.only && ordered).then_some(!expected),
                };
                if told.is_some_and(|it| it != there) {
                    let word = if there { "is still there" } else { "is gone" };
                    wrong.push(format!("{}: {key:?} {word} without {:#?}", case.name, shown(case, lines)));
                }
            }
        }
        wrong
    });
}

/// A service that comes to a second cluster, in each phase of the way.
fn moving(phase: &str) -> String {
    format!(
        "
version: 1
clusters:
  east: {{istio: \"1.31.0\", gateway: 34.70.9.157}}
  west: {{istio: \"1.31.0\", gateway: 35.193.92.27}}
services:
  cart: {{clusters: west, ports: {{grpc: 7070}}, workload: {{image: \"example.com/cart:v1\"}}}}
  web: {{clusters: east, ports: {{http: 80}}, calls: [cart], workload: {{image: \"example.com/web:v1\"}}}}
moving: {{service: cart, phase: {phase}, before: {{clusters: [east, west]}}}}
"
    )
}

#[test]
fn what_is_there_because_a_service_moves_says_so() {
    let (mut moved, mut looked) = (0, 0);
    for phase in ["prepare", "open", "switch", "release"] {
        let case = Case::of(phase, &moving(phase));
        let tree = case.tree();
        for (key, origin) in case.origins() {
            let last = origin.needs.last().expect("it has needs");
            if last.ways[0][0].text != "`cart` is moving: this is of before" {
                continue;
            }
            moved += 1;
            for need in &origin.needs {
                match without(&case, &tree, &lines(need, None)) {
                    Ok(left) => {
                        looked += 1;
                        assert!(!left.names.contains(&named(&key)), "{phase}: {key:?} is there without {need:?}");
                    }
                    // Without the cluster that stays, it is no move any more.
                    Err(said) => assert!(said.contains("T1201"), "{said}"),
                }
            }
        }
    }
    assert!(moved > 4 && looked > 2 * moved, "{moved} objects, {looked} times without a line");
}

#[test]
fn the_name_of_an_object_is_read_off_its_lines() {
    for (name, folder) in support::golden_cases() {
        for (path, text) in support::read_tree(&folder.join("out")).iter().filter(|it| it.0.ends_with(".yaml")) {
            let objects = why::objects(text);
            let values = serde_yaml::Deserializer::from_str(text)
                .map(|it| <serde_yaml::Value as serde::Deserialize>::deserialize(it).expect("a bundle is YAML"));
            for (object, value) in objects.iter().zip(values) {
                let word = |it: &serde_yaml::Value| it.as_str().unwrap_or_default().to_owned();
                let metadata = value.get("metadata").cloned().unwrap_or_default();
                let at = |key: &str| metadata.get(key).map(word).unwrap_or_default();
                let found = object.id.as_ref().map(|it| (it.kind.clone(), it.namespace.clone(), it.name.clone()));
                let wanted = value.get("kind").map(|it| (word(it), at("namespace"), at("name")));
                assert_eq!(found, wanted, "{name}: {path}");
                if let Some(id) = &object.id {
                    assert!(why::Kind::parse(&id.kind).is_some(), "add {} to Kind::ALL", id.kind);
                }
                // Lines in their places.
                let lines: Vec<_> = text.lines().collect();
                let shown = &lines[object.lines.start() - 1..*object.lines.end()];
                assert_eq!(shown.join("\n") + "\n", object.text);
            }
        }
    }
}

#[test]
fn a_line_is_told_by_its_field() {
    let text = "kind: A\nmetadata:\n  labels:\n    a.b/c: x\nspec:\n  ports:\n  - number: 1\n    name: a\n  - number: 2\n  \
                text: |\n    inner: no field\n  list:\n    - - x\n";
    for (line, field) in [
        (1, "kind"),
        (4, "metadata.labels[\"a.b/c\"]"),
        (7, "spec.ports[0].number"),
        (8, "spec.ports[0].name"),
        (9, "spec.ports[1].number"),
        (11, "spec.text"),
        (13, "spec.list[0][0]"),
    ] {
        assert_eq!(why::field(text, line).as_deref(), Some(field), "line {line}");
    }
}

/// What is told of the objects of a kind.
fn told(text: &str, cluster: &str, path: &str, kind: &str) -> String {
    let case = Case::of(cluster, text);
    let mut told = String::new();
    for ((name, id, at), origin) in case.origins() {
        if name != cluster || at != path || id.as_ref().is_none_or(|it| it.kind != kind) {
            continue;
        }
        let (file, notes) = (format!("out/{name}/{at}"), Vec::new());
        let answer = why::Answer { cluster: name, file, id, line: 1, asked: None, origin, notes };
        told += &why::render(&answer, &case.source, &Diagnostics::new(), false);
    }
    told
}

#[test]
fn answers_read_well() {
    let golden = |name: &str| {
        let path = support::root().join("tests/golden").join(name).join("topology.yaml");
        std::fs::read_to_string(path).expect("a case has a topology")
    };
    let cases = [
        ("an_entry", golden("least_scope"), "east", "20-mesh/cart.shop.yaml", "ServiceEntry"),
        ("several_callers", golden("weights"), "west", "20-mesh/east-west-gateway.yaml", "Gateway"),
        ("two_of_several", golden("weights"), "south", "20-mesh/cart.shop.yaml", "VirtualService"),
        ("an_installation", golden("installers"), "c", "10-istio/istio.yaml", "Istio"),
        ("a_move", moving("switch"), "east", "40-apps/cart.default.yaml", "Deployment"),
    ];
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("why");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (name, text, cluster, path, kind) in cases {
        let told = told(&text, cluster, path, kind);
        assert_ne!(told, "", "{name} asks for something");
        settings.bind(|| insta::assert_snapshot!(name, told));
    }
}

#[test]
fn a_password_is_not_shown() {
    let text = "version: 1\nclusters:\n  east: {istio: \"1.31.0\"}\nservices:\n  web: {clusters: east, ports: {http: 80}, workload: {image: \"example.com/web:v1\", env: {DB_PASSWORD: hunter2}}}\n";
    let source = Source::new("topology.yaml", text);
    let mut diags = Diagnostics::new();
    let document = syntax::parse(&source, &mut diags).expect("it is right");
    let mesh = meshlatch::build(&document, &Inputs::default(), &mut diags).expect("it warns only");
    assert!(support::said(&diags, &source).contains("T0805"), "it is known to be a password");
    for (cluster, (name, id, path)) in written(&mesh) {
        let origin = why::origin(&mesh, &document, &source, cluster, &path, id.as_ref()).expect("there is a rule");
        let answer = why::Answer { cluster: name, file: path, id, line: 1, asked: None, origin, notes: Vec::new() };
        let said = why::render(&answer, &source, &diags, false);
        assert!(!said.contains("hunter2"), "{said}");
    }
}
