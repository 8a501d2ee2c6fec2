//! `rollout`: what it reads, what it prints and writes, and how it ends.

use super::Folder;
use super::diff::{commit, git};

const TWO: &str = r#"version: 1
clusters:
  east: {istio: "1.31.0", gateway: 34.70.9.157}
  west: {istio: "1.31.0", gateway: 35.193.92.27}
services:
  cart: {clusters: east, ports: {grpc: 7070}, workload: {image: example.com/cart}}
  web: {clusters: west, ports: {http: 80}, calls: [{service: cart, env: CART}], workload: {image: example.com/web}}
"#;

/// What runs is `before.yaml`; `cart` is renamed.
fn renamed() -> Folder {
    let folder = Folder::new(&TWO.replace("cart: {clusters", "cart: {name: basket, clusters"));
    folder.write("before.yaml", TWO);
    folder
}

/// What runs is committed, and `cart` is renamed; and the commit.
fn committed() -> (Folder, String) {
    let folder = Folder::new(TWO);
    folder.compile();
    git(&folder, &["init", "--quiet", "--initial-branch", "main"]);
    commit(&folder, "first");
    let first = git(&folder, &["rev-parse", "--short=12", "HEAD"]);
    folder.write("topology.yaml", &TWO.replace("cart: {clusters", "cart: {name: basket, clusters"));
    (folder, first)
}

const BOTH: [&str; 3] = ["rollout", "before.yaml", "topology.yaml"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    BOTH.iter().copied().chain(more.iter().copied()).collect()
}

#[test]
fn the_steps_lead_from_one_tree_to_the_other() {
    let folder = renamed();
    folder.run(&["compile", "before.yaml"]).says(0, &[]);
    let plan = folder.run(&BOTH);
    assert_eq!((plan.code, plan.stderr.as_str()), (Some(0), ""));
    let commands: Vec<_> = plan.stdout.lines().filter_map(|it| it.strip_prefix("meshlatch ")).collect();
    assert!(commands.len() >= 4, "{}", plan.stdout);
    for command in commands {
        let run = folder.run(&command.split(' ').collect::<Vec<_>>());
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{command}");
    }
    // The last is what the topology alone says.
    let check = folder.run(&["compile", "--check", "--locked"]);
    assert_eq!((check.code, check.stdout.as_str()), (Some(0), ""));
    assert!(
        folder.exists("out/east/40-apps/basket.default.yaml") && !folder.exists("out/east/40-apps/cart.default.yaml")
    );
}

#[test]
fn a_revision_is_what_runs_and_stays_what_it_was() {
    let (folder, first) = committed();
    let plan = folder.run(&["rollout"]);
    assert_eq!((plan.code, plan.stderr.as_str()), (Some(0), ""));
    assert!(plan.stdout.contains(&format!("meshlatch rollout {first} --step 01-prepare -o out\n")), "{}", plan.stdout);
    assert_eq!(folder.run(&["rollout", "main"]).stdout, plan.stdout);
    folder.run(&["rollout", "--step", "01-prepare", "-o", "out"]).says(0, &[]);
    commit(&folder, "prepare");
    // HEAD has the new topology from here on, and the tree says of what it is a step.
    let again = folder.run(&["rollout"]);
    assert_eq!((again.code, &again.stdout), (Some(0), &plan.stdout), "{}", again.stderr);
    assert!(again.stderr.contains(&format!("out is at `01-prepare` of a roll-out from `{first}`")), "{}", again.stderr);
    folder.run(&["rollout", &first, "--step", "03-switch", "-o", "out"]).says(0, &[]);
    let path = folder.run(&["rollout", "main~1:topology.yaml"]);
    assert!(path.stdout.contains(&format!("meshlatch rollout {first}:topology.yaml --step")), "{}", path.stdout);
}

/// Every step is a commit that CI finds well, and nothing else is.
#[test]
fn a_tree_that_is_a_step_is_checked_as_that_step() {
    let (folder, first) = committed();
    let names = ["01-prepare", "02-open", "03-switch", "04-release", "05-finish"];
    for name in names {
        // Only the first is asked of what runs; then the tree knows.
        folder.run(&["rollout", "--step", name, "-o", "out"]).says(0, &[]);
        folder.run(&["compile", "--check", "--locked"]).says(0, &[]);
        folder.run(&["check", "--locked"]).says(0, &[]);
        assert_eq!(folder.exists("out/.meshlatch-rollout"), name != "05-finish");
        commit(&folder, name);
        if name == "05-finish" {
            break;
        }
        // What was changed by hand, or is another step, is found.
        let (file, text) = ("out/east/kustomization.yaml", folder.read("out/east/kustomization.yaml"));
        folder.write(file, &format!("{text}# mine\n"));
        assert_eq!(folder.run(&["compile", "--check"]).stdout, format!("edited     {file}\n"));
        folder.write(file, &text);
        let record = folder.read("out/.meshlatch-rollout");
        folder.write("out/.meshlatch-rollout", &record.replace(name, "05-finish"));
        assert_eq!(folder.run(&["compile", "--check"]).code, Some(1), "{name}");
        folder.write("out/.meshlatch-rollout", &record.replace(name, "07-dance"));
        folder.run(&["compile", "--check"]).says(1, &["07-dance is no step of the way", "--step 01-prepare"]);
        folder.write("out/.meshlatch-rollout", &format!("<<<<<<< HEAD\n{record}"));
        folder.run(&["compile", "--check"]).says(2, &["does not name a step of a roll-out"]);
        folder.write("out/.meshlatch-rollout", &record);
        // The rest is not left out unasked.
        let next = format!("`meshlatch rollout {first}`");
        folder.run(&["compile"]).says(2, &[&format!("out is at `{name}` of a roll-out from"), &next, "--force"]);
        // A further change begins where the roll-out has ended.
        let now = folder.read("topology.yaml");
        folder.write("topology.yaml", &now.replace("http: 80}", "http: 80, admin: {port: 81, protocol: http}}"));
        folder.run(&["rollout"]).says(0, &["warning: out is at", "end that roll-out first"]);
        folder.write("topology.yaml", &now);
    }
    folder.run(&["compile"]).says(0, &[]);
    assert_eq!(git(&folder, &["status", "--porcelain"]), "");
    // Who wants it all at once may have it.
    folder.run(&["rollout", &first, "--step", "01-prepare", "-o", "out"]).says(0, &[]);
    folder.run(&["compile", "--force"]).says(0, &[]);
    assert_eq!(git(&folder, &["status", "--porcelain"]), "");
}

#[test]
fn the_topology_of_revisions_may_have_another_name() {
    let folder = Folder::new(TWO);
    folder.write("mesh.yaml", TWO);
    git(&folder, &["init", "--quiet", "--initial-branch", "main"]);
    commit(&folder, "first");
    folder.write("mesh.yaml", &TWO.replace("cart: {clusters", "cart: {name: basket, clusters"));
    let plan = folder.run(&["rollout", "-t", "mesh.yaml"]);
    assert!(
        plan.code == Some(0) && plan.stdout.contains(" --topology mesh.yaml --step 01-prepare -o out\n"),
        "{plan:?}"
    );
}

#[test]
fn a_call_that_is_cut_is_told_and_is_no_success() {
    let folder = Folder::new(&TWO.replace("grpc: 7070", "grpc: 7071"));
    folder.write("before.yaml", TWO);
    let plan = folder.run(&BOTH);
    assert_eq!(plan.code, Some(1));
    assert!(
        plan.stdout.contains("No order was found that spares these calls:")
            && plan.stdout.contains("`web` in `west` calls `cart`")
    );
    let json = folder.run(&with(&["--format", "json"]));
    assert_eq!(json.code, Some(1));
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("it is JSON");
    assert_eq!(json["interruptions"][0]["callee"], "cart");
}

#[test]
fn an_order_of_one_step_is_for_who_delivers() {
    let folder = renamed();
    let argo = folder.run(&with(&["--step", "01-prepare", "--format", "argo-cd", "--name", "mesh-{cluster}"]));
    assert_eq!(argo.code, Some(0));
    assert!(
        argo.stdout.contains("  name: mesh-east\n") && argo.stdout.contains("sync-wave: \"1\"\n"),
        "{}",
        argo.stdout
    );
    let flux = folder.run(&with(&["--step", "01-prepare", "--format", "flux"]));
    assert!(flux.stdout.contains("dependsOn:\n  - name: east\n"), "{}", flux.stdout);
    folder
        .run(&with(&["--step", "01-prepare", "--format", "flux", "--name", "mesh"]))
        .says(2, &["the same for every cluster"]);
    folder
        .run(&with(&["--step", "01-prepare", "--format", "flux", "--name", "Mesh: {cluster}"]))
        .says(2, &["`Mesh: east` is no name of an object of Kubernetes"]);
    folder.run(&with(&["--format", "flux"])).says(2, &["each step has an order of its own", "--step 01-prepare"]);
}

#[test]
fn what_is_asked_wrongly_is_said_and_nothing_is_written() {
    let folder = renamed();
    folder.run(&with(&["--step", "01-prepar", "-o", "out"])).says(2, &["no step `01-prepar`", "`01-prepare`"]);
    folder.run(&with(&["-o", "out"])).says(2, &["none is named", "--step 01-prepare"]);
    folder.run(&with(&["--force"])).says(2, &["--output"]);
    folder.run(&["rollout", "nowhere.yaml"]).says(2, &["nowhere.yaml"]);
    folder.write("before.yaml", "version: 1\n");
    folder.run(&BOTH).says(2, &["before.yaml"]);
    assert!(!folder.exists("out"));
    let folder = renamed();
    folder.compile();
    folder.run(&["rollout", "out", "topology.yaml"]).says(2, &["out is a tree"]);
    folder.write("before.yaml", &TWO.replace("34.70.9.157", "pending"));
    folder.run(&BOTH).says(2, &["waits for the gateway address of `east`\n", "--address east=ADDRESS"]);
    let plan = folder.run(&with(&["--address", "east=34.70.9.157"]));
    let command = "meshlatch rollout before.yaml topology.yaml --address east=34.70.9.157 --step ";
    assert!(plan.code == Some(0) && plan.stdout.contains(command), "{plan:?}");
}
