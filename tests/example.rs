//! The worked example and the README are in step with the code.

use std::path::Path;
use std::process::Command;

use meshlatch::inputs::Inputs;

use crate::support;

fn readme() -> String {
    std::fs::read_to_string(support::root().join("README.md")).expect("there is a README")
}

/// The fenced blocks of the README: what stands behind the fence, and the text.
fn blocks() -> Vec<(String, String)> {
    let readme = readme();
    let mut blocks = Vec::new();
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let text: String = lines.by_ref().take_while(|it| *it != "```").flat_map(|it| [it, "\n"]).collect();
            blocks.push((info.to_owned(), text));
        }
    }
    blocks
}

fn block(info: &str) -> String {
    let found = blocks().into_iter().find(|it| it.0 == info);
    found.unwrap_or_else(|| panic!("the README has no block `{info}`")).1
}

#[test]
fn the_worked_example_is_in_step() {
    let bytes = std::fs::read(support::root().join("topology.yaml")).expect("there is an example");
    let (mesh, said, _) = support::compile_bytes("topology.yaml", bytes, &Inputs::default());
    let mesh = mesh.unwrap_or_else(|| panic!("{said}"));
    assert_eq!(said, "", "the example has warnings");
    support::check_tree(&support::root().join("out"), &support::tree(&mesh));
}

#[test]
fn the_worked_example_is_what_the_binary_wrote() {
    // With its inventories and the modes of its scripts, as a clone has it.
    let folder = tempfile::tempdir().expect("a folder can be made");
    copy(&support::root().join("out"), &folder.path().join("out"));
    for file in ["topology.yaml", "topology.lock"] {
        copy(&support::root().join(file), &folder.path().join(file));
    }
    let output = Command::new(env!("CARGO_BIN_EXE_meshlatch"))
        .args(["compile", "--check"])
        .current_dir(folder.path())
        .output()
        .expect("the program starts");
    assert_eq!((String::from_utf8_lossy(&output.stdout).as_ref(), output.status.code()), ("", Some(0)));
}

fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        std::fs::copy(from, to).expect("a file can be copied");
        return;
    }
    std::fs::create_dir(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("a folder can be listed") {
        let entry = entry.expect("a folder can be listed");
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

#[test]
fn the_example_fits_on_three_screens() {
    let lines =
        std::fs::read_to_string(support::root().join("topology.yaml")).expect("there is an example").lines().count();
    assert!(lines <= 190, "{lines} lines");
}

#[test]
fn the_readme_shows_what_is_written() {
    let mesh = support::compile(&block("yaml topology"));
    let tree = support::tree(&mesh);
    let path = "west/20-mesh/cart.default.yaml";
    assert_eq!(tree[path], block(&format!("yaml out/{path}")));
    assert!(
        tree["west/40-apps/web.default.yaml"].contains("name: CART_ADDR\n          value: cart.default.global:7070\n")
    );
    assert!(readme().contains(&format!("among {} files", tree.len())), "it writes {} files", tree.len());
}

#[test]
fn moving_a_service_is_a_change_of_one_word() {
    let text = block("yaml topology");
    let moved =
        text.replacen("    clusters: east\n    ports: {grpc: 7070}", "    clusters: west\n    ports: {grpc: 7070}", 1);
    assert_ne!(text, moved);
    let tree = support::tree(&support::compile(&moved));
    assert!(!tree.contains_key("west/20-mesh/cart.default.yaml"));
    assert!(tree["west/40-apps/web.default.yaml"].contains("value: cart.default.svc.cluster.local:7070\n"));
}

#[test]
fn the_readme_shows_what_is_said() {
    let text = block("yaml topology").replace("clusters: west\n    ports: {http", "clusters: wset\n    ports: {http");
    let (_, said, _) = support::compile_bytes("topology.yaml", text.into_bytes(), &Inputs::default());
    assert!(said.starts_with(&block("text error")), "it says\n{said}");
}

#[test]
fn the_readme_shows_what_is_counted() {
    let output = Command::new(env!("CARGO_BIN_EXE_meshlatch"))
        .args(["stats", "tests/golden/weights/topology.yaml"])
        .current_dir(support::root())
        .output()
        .expect("the program starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains(&block("text stats")), "it prints\n{printed}");
}

#[test]
fn the_readme_shows_why() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    std::fs::write(folder.path().join("topology.yaml"), block("yaml topology")).expect("a file can be written");
    let line = "out/west/20-mesh/cart.default.yaml:18";
    assert!(readme().contains(&format!("`meshlatch why {line}`")));
    let output = Command::new(env!("CARGO_BIN_EXE_meshlatch"))
        .args(["why", line])
        .current_dir(folder.path())
        .output()
        .expect("the program starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout), block("text why"));
}

#[test]
fn the_readme_shows_what_each_failure_does() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let north = "35.193.92.27}\n  north: {istio: \"1.31.0\", gateway: 198.51.100.3}\n";
    let text = block("yaml topology").replace("35.193.92.27}\n", north);
    let text = text.replace("    clusters: east\n    ports: {grpc", "    clusters: [east, north]\n    ports: {grpc");
    std::fs::write(folder.path().join("topology.yaml"), text).expect("a file can be written");
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshlatch"));
        let output = command.args(words).current_dir(folder.path()).output().expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    run(&["compile"]);
    let printed = run(&["prove", "--each-failure"]);
    assert!(printed.starts_with(&block("markdown failures")), "it prints\n{printed}");
}

/// Every script of the workflow, as it is written, over a pull request that moves a service and one
/// that forgot to write its tree.
#[test]
#[cfg(unix)]
fn the_workflow_of_the_readme_runs() {
    let workflow: serde_yaml::Value =
        serde_yaml::from_str(&block("yaml .github/workflows/mesh.yaml")).expect("a workflow is YAML");
    let steps = workflow["jobs"]["mesh"]["steps"].as_sequence().expect("it has steps");
    let scripts: Vec<_> = steps.iter().filter_map(|it| it["run"].as_str()).collect();
    let binary = Path::new(env!("CARGO_BIN_EXE_meshlatch"));
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path =
        format!("{}:{}", binary.parent().expect("it has a folder").display(), std::env::var("PATH").expect("a path"));
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-ec", script]).current_dir(folder.path()).env("PATH", &path);
        command.env("GITHUB_BASE_REF", "main").env("GITHUB_STEP_SUMMARY", "../summary.md");
        support::as_somebody(&mut command);
        let output = command.output().expect("there is a shell");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    let well = |script: &str| {
        let (success, said) = shell(script);
        assert!(success, "{script}\n{said}");
    };
    std::fs::create_dir(folder.path().join("work")).expect("a folder can be made");
    let topology = folder.path().join("work/topology.yaml");
    let text = block("yaml topology");
    let moved =
        text.replacen("    clusters: east\n    ports: {grpc: 7070}", "    clusters: west\n    ports: {grpc: 7070}", 1);
    std::fs::write(&topology, &text).expect("a file can be written");
    well("cd work; git init -q -b main; meshlatch fmt; meshlatch compile; git add -A; git commit -qm first");
    // What the action checks out knows the base as that of the origin.
    well("cd work; git update-ref refs/remotes/origin/main HEAD; git checkout -qb move");
    std::fs::write(&topology, moved).expect("a file can be written");
    well("cd work; meshlatch fmt; git add -A; git commit -qm forgotten");
    let ends: Vec<_> = scripts.iter().map(|it| shell(&format!("cd work\n{it}")).0).collect();
    assert_eq!(ends, [false, false, true, true], "the lock and the tree were forgotten");
    std::fs::remove_file(folder.path().join("summary.md")).expect("it was written");
    well("cd work; meshlatch compile; git add -A; git commit -qm written");
    for script in scripts {
        well(&format!("cd work\n{script}"));
    }
    let summary = std::fs::read_to_string(folder.path().join("summary.md")).expect("it was written");
    assert!(
        summary.contains("cart")
            && summary.contains("Every declared call has a path at every moment, if what is listed below holds."),
        "{summary}"
    );
}

#[test]
fn the_docs_show_what_differs() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let text = block("yaml topology");
    let moved =
        text.replacen("    clusters: east\n    ports: {grpc: 7070}", "    clusters: west\n    ports: {grpc: 7070}", 1);
    std::fs::write(folder.path().join("east-cart.yaml"), &text).expect("a file can be written");
    std::fs::write(folder.path().join("west-cart.yaml"), moved).expect("a file can be written");
    let output = Command::new(env!("CARGO_BIN_EXE_meshlatch"))
        .args(["diff", "east-cart.yaml", "west-cart.yaml"])
        .current_dir(folder.path())
        .output()
        .expect("the program starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    let docs = std::fs::read_to_string(support::root().join("docs/diff.md")).expect("there is a page");
    let (_, shown) = docs.split_once("```text diff\n").expect("it shows a difference");
    let (shown, _) = shown.split_once("```\n").expect("a block ends");
    assert!(printed.starts_with(shown), "it prints\n{printed}");
}

#[test]
fn every_topology_of_the_readme_compiles() {
    let mesh = support::compile(&block("yaml right"));
    assert_eq!(mesh.clusters().count(), 2);
}

#[test]
fn the_readme_shows_the_steps_of_a_move() {
    let source = meshlatch::source::Source::new("topology.yaml", block("yaml moving"));
    let order = meshlatch::migrate::Order { service: "cart", from: "east", to: "west", shares: &[0, 10, 100] };
    assert!(readme().contains("`meshlatch migrate cart --from east --to west --steps 0,10,100 -o moves`"));
    let (plan, told) =
        meshlatch::migrate::plan(&source, &Inputs::default(), &order, meshlatch::diag::Diagnostics::new());
    let plan = plan.unwrap_or_else(|| panic!("{}", support::said(&told.diags, &told.source)));
    let steps = plan.steps.iter().skip(1).map(|it| format!("{:18}  {}\n", it.name, it.clusters.join(", ")));
    assert_eq!(steps.collect::<String>(), block("text steps"));
    let start = plan.files.get("05-start/topology.yaml").expect("a step of this name");
    assert!(
        start
            .contains("clusters: [east, west]  # until the lease ends\n    balance: {weights: {east: 100, west: 0}}\n")
    );
}

#[test]
fn the_files_of_the_readme_are_one_topology() {
    let clusters = block("yaml topology").split("services:").next().expect("it has clusters").to_owned();
    let tree = block("text tree");
    let owners = block("text CODEOWNERS");
    let files: Vec<_> = tree.lines().filter_map(|it| it.split_whitespace().next()).collect();
    assert_eq!(files, ["topology.yaml", "topology.d/payments.yaml", "topology.d/shop.yaml", "topology.lock"]);
    for (line, owned) in tree.lines().zip(owners.lines()) {
        let owner = |it: &str| it.split('@').nth(1).map(str::to_owned);
        assert!(owned.starts_with(&format!("/{}", line.split(' ').next().unwrap_or_default())), "{owned}");
        assert_eq!(owner(line), owner(owned));
    }
    let shop = "version: 1\nservices: {web: {clusters: west, calls: payments}}\n".to_owned();
    let texts = [clusters, block("yaml topology.d/payments.yaml"), shop];
    let files = files.iter().zip(texts).map(|(name, text)| ((*name).to_owned(), text.into_bytes())).collect();
    let (mesh, said, _) = support::compile_files(files, &Inputs::default());
    assert!(mesh.is_some_and(|it| support::tree(&it).contains_key("west/20-mesh/payments.payments.yaml")), "{said}");
}

#[test]
fn the_commands_of_the_readme_work() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let commands = block("sh meshlatch");
    let mut run = 0;
    for line in commands.lines() {
        let words: Vec<_> = line.split('#').next().unwrap_or("").split_whitespace().collect();
        let [program, arguments @ ..] = &words[..] else { continue };
        assert_eq!(*program, "meshlatch");
        let output = Command::new(env!("CARGO_BIN_EXE_meshlatch"))
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .expect("the program starts");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        run += 1;
    }
    assert!(run >= 5, "{run} commands");
}

#[test]
fn ci_runs_the_commands_of_the_readme() {
    let ci = std::fs::read_to_string(support::root().join(".ci/run")).expect("there is a CI script");
    let commands = blocks().into_iter().find(|it| it.1.contains("cargo test")).expect("the README says how to test").1;
    let commands: Vec<_> = commands.lines().map(|it| it.split('#').next().unwrap_or("").trim()).collect();
    assert_eq!(commands.len(), 2, "two commands");
    for command in commands {
        assert!(ci.lines().any(|it| it == command), "`.ci/run` does not run `{command}`");
    }
}
