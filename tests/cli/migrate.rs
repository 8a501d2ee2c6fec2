//! `migrate`: the folder of a plan, what is refused, what is printed.

use super::Folder;

/// `cart` may move from `east` to `west`.
pub(super) const TWO: &str = r#"version: 1
clusters:
  east: {istio: "1.31.0", gateway: 203.0.113.10}
  west: {istio: "1.31.0", gateway: 203.0.113.20}
services:
  cart: {clusters: east, ports: {grpc: 7070}, workload: {image: example.com/cart}}
  web: {clusters: east, ports: {http: 80}, calls: [{service: cart, env: CART}], workload: {image: example.com/web}}
"#;

const MOVE: [&str; 6] = ["migrate", "cart", "--from", "east", "--to", "west"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    MOVE.iter().copied().chain(more.iter().copied()).collect()
}

#[test]
fn every_step_compiles_into_one_folder_after_the_other_and_back() {
    let folder = Folder::new(TWO);
    folder.compile();
    let first = folder.snapshot("out");
    let run = folder.run(&with(&["--steps", "0,50,100", "-o", "moves/cart"]));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines.last(), Some(&"moves/cart/PLAN.md"));
    let steps = &lines[..lines.len() - 1];
    assert!(steps.len() >= 5, "{steps:?}");
    let compile = |step: &str| {
        let run = folder.run(&["compile", &format!("{step}/topology.yaml")]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{step}");
        let run = folder.run(&["compile", "--check", &format!("{step}/topology.yaml")]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{step}");
    };
    for step in steps {
        compile(step);
    }
    assert!(
        !folder.exists("out/east/40-apps/cart.default.yaml") && folder.exists("out/west/40-apps/cart.default.yaml")
    );
    for step in steps.iter().rev().skip(1) {
        compile(step);
    }
    compile("moves/cart/00-now");
    assert_eq!(folder.snapshot("out"), first);
}

#[test]
fn a_plan_replaces_an_earlier_plan_and_nothing_else() {
    let folder = Folder::new(TWO);
    folder.run(&with(&[])).says(0, &[]);
    folder.write("move/notes.txt", "mine\n");
    folder.run(&with(&["--steps", "0,100"])).says(0, &[]);
    assert!(folder.exists("move/notes.txt"));
    let names = folder.snapshot("move");
    assert!(!names.keys().any(|it| it.contains("25-percent")), "{:?}", names.keys());
    let again = folder.run(&with(&["--steps", "0,100"]));
    assert_eq!((again.code, folder.snapshot("move")), (Some(0), names));

    folder.write("other/notes.txt", "mine\n");
    folder.run(&with(&["-o", "other"])).says(2, &["other holds something else than a plan", "nothing was changed"]);
    folder.compile();
    let before = folder.snapshot("out");
    folder.run(&with(&["-o", "out/east"])).says(2, &["out/east holds something else"]);
    folder.run(&with(&["-o", "out"])).says(2, &["out holds something else"]);
    folder.run(&with(&["-o", ".."])).says(2, &["has no name of its own"]);
    assert_eq!(folder.snapshot("out"), before);
}

#[test]
fn a_plan_can_be_printed() {
    let folder = Folder::new(TWO);
    let run = folder.run(&with(&["--dry-run"]));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(run.stdout.starts_with("# Moving `cart` from `east` to `west`\n"), "{}", run.stdout);
    assert_eq!(run.stdout, folder.run(&with(&["-o", "-"])).stdout);
    assert!(!folder.exists("move"));
}

#[test]
fn what_cannot_be_done_writes_nothing() {
    let folder = Folder::new(TWO);
    folder.run(&["migrate", "crat", "--from", "east", "--to", "west"]).says(1, &["T0202", "`cart`"]);
    folder.run(&with(&["--steps", "50,20"])).says(1, &["T1202"]);
    folder.run(&with(&["--steps", "many"])).says(2, &["--steps"]);
    folder.run(&["migrate", "cart", "--from", "east"]).says(2, &["--to"]);
    assert!(!folder.exists("move"));
}
