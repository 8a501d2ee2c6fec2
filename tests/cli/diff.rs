//! `diff`: what its arguments mean, git revisions among them, and how it ends.
//!
//! What is tested:
//!
//! - a topology, a tree, one cluster's folder, standard input; what nobody named; what is both a path and a revision;
//! - revisions in git's spellings, with and without a committed tree, from a folder below, in a shallow clone;
//! - no git, no repository, no such revision, no topology there, a topology or a lock with errors;
//! - exit codes, formats, colors, one cluster of several; clusters that wait; files of others in the tree.

use std::process::Command;

use super::{Folder, Run};
use crate::support;

const TWO: &str = r#"version: 1
clusters:
  east: {istio: "1.31.0", gateway: 34.70.9.157}
  west: {istio: "1.31.0", gateway: 35.193.92.27}
services:
  cart: {clusters: east, ports: {grpc: 7070}, workload: {image: example.com/cart}}
  web: {clusters: west, ports: {http: 80}, calls: [{service: cart, env: CART}], workload: {image: example.com/web}}
"#;

fn moved() -> String {
    TWO.replace("clusters: east", "clusters: west")
}

/// Runs git as somebody without any settings.
pub(super) fn git(folder: &Folder, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder.path("")).args(args);
    support::as_somebody(&mut command);
    let output = command.output().expect("git is installed");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(super) fn commit(folder: &Folder, message: &str) {
    git(folder, &["add", "--all"]);
    git(folder, &["commit", "--quiet", "--message", message]);
}

/// A repository on the branch `main` whose first commit holds the topology and its tree.
fn repository() -> Folder {
    let folder = Folder::new(TWO);
    folder.compile();
    git(&folder, &["init", "--quiet", "--initial-branch", "main"]);
    commit(&folder, "first");
    folder
}

impl Run {
    /// Asserts the exit code and that stdout says all of this, and stderr nothing.
    #[track_caller]
    fn prints(&self, code: i32, words: &[&str]) -> &Self {
        assert_eq!((self.code, self.stderr.as_str()), (Some(code), ""), "{self:#?}");
        for word in words {
            assert!(self.stdout.contains(word), "no `{word}` in:\n{}", self.stdout);
        }
        self
    }
}

#[test]
fn the_tree_is_compared_with_what_would_be_written() {
    let folder = Folder::new(TWO);
    folder.run(&["diff"]).prints(1, &["--- out\n+++ topology.yaml\n2 clusters: ", "In east, new\n", "In west, new\n"]);
    folder.compile();
    assert_eq!(folder.run(&["diff"]).prints(0, &[]).stdout, "no differences\n");
    let before = folder.snapshot(".");
    folder.write("topology.yaml", &moved());
    let run = folder.run(&["diff"]);
    run.prints(
        1,
        &["2 clusters: ", "\n  - Deployment default/cart\n", "\n      ~ CART: \"cart.default.global:7070\" -> "],
    );
    // Of a tree nobody knows who calls whom.
    assert!(!run.stdout.contains("\nCalls\n") && !run.stdout.contains("moves"), "{}", run.stdout);
    folder.write("topology.yaml", TWO);
    assert_eq!(folder.snapshot("."), before, "nothing is written");
}

#[test]
fn files_of_others_in_the_tree_are_none_of_ours() {
    let folder = Folder::new(TWO);
    folder.compile();
    folder.write("out/east/notes.txt", "mine\n");
    folder.write("out/east/10-istio/extra.sh", "mine\n");
    folder.write("out/README.md", "mine\n");
    folder.write("out/plans/a.yaml", "kind: [\n");
    folder.run(&["diff"]).prints(0, &[]);
    folder.write("out/east/10-istio/istio-operator.yaml", "mine\n");
    folder.run(&["diff"]).prints(1, &["! 10-istio/istio-operator.yaml changed, to be run by hand"]);
}

#[test]
fn two_files_are_compared() {
    let folder = Folder::new(TWO);
    folder.write("new.yaml", &moved());
    let words =
        ["--- topology.yaml\n+++ new.yaml\n", "cart moves from east to west", "\nCalls\n  ~ web -> cart from west\n"];
    folder.run(&["diff", "topology.yaml", "new.yaml"]).prints(1, &words);
    folder.run(&["diff", "new.yaml"]).prints(1, &["--- new.yaml\n+++ topology.yaml\n", "cart moves from west to east"]);
    let run = folder.run_with(&["diff", "topology.yaml", "-"], moved().as_bytes());
    run.prints(1, &["+++ <stdin>\n", "cart moves from east to west"]);
    folder.run(&["diff", "-", "-"]).says(2, &["standard input can be read only once"]);
    folder.run(&["diff", "topology.yaml", "new.yaml", "--addresses", "-"]).says(2, &["read only once"]);
    folder.run(&["diff", "-t", "new.yaml", "topology.yaml"]).prints(1, &["--- topology.yaml\n+++ new.yaml\n"]);
}

#[test]
fn trees_and_folders_of_one_cluster_are_compared() {
    let folder = Folder::new(TWO);
    folder.compile();
    folder.write("topology.yaml", &moved());
    folder.run(&["compile", "-o", "next"]).prints(0, &[]);
    folder.run(&["diff", "out", "next"]).prints(1, &["--- out\n+++ next\n2 clusters: "]);
    folder.run(&["diff", "next"]).prints(0, &[]);
    folder.run(&["diff", "out/east/", "next"]).prints(1, &["1 cluster: ", "\nIn east\n"]);
    folder.run(&["diff", "next", "out/west"]).prints(1, &["1 cluster: ", "\nIn west\n"]);
    folder.run(&["diff", "out/west", "topology.yaml"]).prints(1, &["1 cluster: ", "\nIn west\n"]);
    folder.run(&["diff", "out/west", "next/west"]).prints(1, &["1 cluster: ", "\nIn west\n"]);
    folder.run(&["diff", "out/east", "out/west"]).prints(1, &["1 cluster: ", "\nIn west\n"]);
    folder.write("empty/notes.txt", "");
    folder.run(&["diff", "empty"]).says(2, &["`empty` holds no bundle", "kustomization.yaml"]);
    folder.write("next/west/20-mesh/web.yaml", "kind: [\n");
    folder.write("next/west/kustomization.yaml", "resources: [20-mesh/web.yaml]\n");
    folder.run(&["diff", "out", "next"]).says(2, &["cannot be read: west/20-mesh/web.yaml: "]);
    folder.write("next/west/kustomization.yaml", "resources: [20-mesh/gone.yaml]\n");
    folder
        .run(&["diff", "out", "next"])
        .says(2, &["next/west/kustomization.yaml: it lists `20-mesh/gone.yaml`, which is not there"]);
}

#[test]
fn exit_codes_are_those_of_diff() {
    let folder = Folder::new(TWO);
    folder.compile();
    for format in [&[][..], &["--format", "markdown"], &["--format", "json"], &["--quiet"], &["-q", "--all"]] {
        let args = |more: &[&'static str]| [&["diff"], more, format].concat();
        assert_eq!(folder.run(&args(&[])).code, Some(0), "{format:?}");
        folder.write("new.yaml", &moved());
        let run = folder.run(&args(&["out", "new.yaml"]));
        assert_eq!(
            (run.code, run.stdout.is_empty()),
            (Some(1), format.iter().any(|it| it.starts_with("-q") || *it == "--quiet")),
            "{format:?}"
        );
        // A difference and a mistake are told apart.
        folder.write("wrong.yaml", &TWO.replace("clusters: east", "clusters: esat"));
        for sides in [&["wrong.yaml"][..], &["out", "wrong.yaml"], &["wrong.yaml", "new.yaml"]] {
            let run = folder.run(&[&["diff"], sides, format].concat());
            run.says(2, &["T0201", "wrong.yaml has errors, and nothing was compared"]);
            assert_eq!(run.stdout, "");
        }
    }
    folder.run(&["diff", "a", "b", "c"]).says(2, &["unexpected argument 'c'"]);
    folder.run(&["diff", "--format", "xml"]).says(2, &["human", "markdown", "json"]);
    folder.run(&["diff", "-t", "gone.yaml"]).says(2, &["cannot read gone.yaml"]);
    folder.write("topology.lock", "no lock\n");
    folder.run(&["diff"]).says(2, &["T1301"]);
}

#[test]
fn one_cluster_of_several() {
    let folder = Folder::new(TWO);
    folder.compile();
    folder.write("topology.yaml", &moved());
    let run = folder.run(&["diff", "--cluster", "east"]);
    run.prints(1, &["1 cluster: ", "\nIn east\n"]);
    assert!(!run.stdout.contains("In west"), "{}", run.stdout);
    folder.run(&["diff", "--cluster", "esat"]).says(2, &["no side has a cluster `esat`", "`east`"]);
    folder.run(&["diff", "--cluster", "mars"]).says(2, &["there are `east`, `west`"]);
}

#[test]
fn a_cluster_that_waits_is_left_out() {
    let folder = Folder::new(TWO);
    folder.compile();
    folder.write("topology.yaml", &TWO.replace("gateway: 34.70.9.157", "gateway: pending"));
    let run = folder.run(&["diff"]);
    run.says(1, &["`west` is not written yet", "--address east="]);
    assert!(run.stdout.contains("! west is left out: in topology.yaml it waits for"), "{}", run.stdout);
    assert!(!run.stdout.contains("In west"), "{}", run.stdout);
    let run = folder.run(&["diff", "--address", "east=34.70.9.157"]);
    assert!(!run.stdout.contains("left out"), "{}", run.stdout);
}

#[test]
fn colors_follow_the_usual_rules() {
    let folder = Folder::new(TWO);
    assert!(!folder.run(&["diff"]).stdout.contains('\u{1b}'));
    assert!(folder.run(&["diff", "--color", "always"]).stdout.contains("\u{1b}[1m--- out"));
    for format in ["json", "markdown"] {
        assert!(!folder.run(&["diff", "--color", "always", "--format", format]).stdout.contains('\u{1b}'), "{format}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&folder.run(&["diff", "--format", "json"]).stdout).expect("it is JSON");
    assert_eq!(
        (&json["old"], &json["new"], &json["summary"]["clusters"]),
        (&"out".into(), &"topology.yaml".into(), &2.into())
    );
}

#[test]
fn a_revision_is_its_committed_tree_with_its_topology() {
    let folder = repository();
    folder.run(&["diff", "HEAD"]).prints(0, &[]);
    folder.write("topology.yaml", &moved());
    let words =
        ["--- HEAD:out\n+++ topology.yaml\n", "cart moves from east to west", "\nCalls\n", "\nCluster by cluster\n"];
    folder.run(&["diff", "HEAD"]).prints(1, &words);
    // The tree is what the topology of the last commit says: that speaks for it.
    folder.run(&["diff"]).prints(1, &["--- out\n", words[1], words[2]]);
    folder.run(&["compile"]).prints(0, &[]);
    assert!(!folder.run(&["diff", "HEAD"]).stdout.is_empty());
    commit(&folder, "second");
    git(&folder, &["tag", "--annotate", "v2", "--message", "two"]);
    git(&folder, &["branch", "feature/x"]);
    for args in [
        &["HEAD~1", "HEAD"][..],
        &["HEAD^", "main"],
        &["HEAD~1..HEAD"],
        &["HEAD~1.."],
        &["HEAD~1...feature/x"],
        &["HEAD~1:out", "v2"],
        &["main~1", "v2"],
        &["HEAD~1:topology.yaml", "HEAD:topology.yaml"],
        &["HEAD~1:./topology.yaml", "feature/x"],
        &["HEAD~1"],
        &["@{0}~1", "topology.yaml"],
        &[&git(&folder, &["rev-parse", "HEAD~1"])],
    ] {
        let run = folder.run(&[&["diff"], args].concat());
        run.prints(1, &["2 clusters: ", "\n  - Deployment default/cart\n"]);
        assert_eq!(run.stdout.contains("cart moves from east to west"), !args[0].ends_with(":out"), "{args:?}");
    }
    folder.run(&["diff", "HEAD:out", "out"]).prints(0, &[]);
    folder.run(&["diff", "HEAD:out/east", "out/east"]).prints(0, &[]);
    folder.run(&["diff", "HEAD", "v2"]).prints(0, &[]);
}

/// What a branch changes, whatever happened to the other one since.
#[test]
fn three_dots_mean_since_the_two_parted() {
    let folder = repository();
    git(&folder, &["switch", "--quiet", "--create", "branch"]);
    folder.write("topology.yaml", &TWO.replace("example.com/web", "example.com/web:v2"));
    folder.compile();
    commit(&folder, "branch");
    git(&folder, &["switch", "--quiet", "main"]);
    folder.write("topology.yaml", &moved());
    folder.compile();
    commit(&folder, "main");
    let since = folder.run(&["diff", "main...branch"]);
    since.prints(1, &["web:v2"]);
    assert!(!since.stdout.contains("cart moves"), "{}", since.stdout);
    folder.run(&["diff", "main..branch"]).prints(1, &["web:v2", "cart moves from west to east"]);
    folder.run(&["diff", "main...gone"]).says(2, &["`gone` is no file, no folder, and no revision"]);
    git(&folder, &["switch", "--quiet", "--orphan", "alone"]);
    folder.write("topology.yaml", TWO);
    commit(&folder, "alone");
    folder.run(&["diff", "main...alone"]).says(2, &["have no commit in common"]);
}

/// Without a tree a revision is what its topology is compiled to, with the lock that it had.
#[test]
fn a_revision_without_a_tree_is_compiled() {
    let folder = Folder::new(TWO);
    git(&folder, &["init", "--quiet", "--initial-branch", "main"]);
    folder.write("topology.lock", &Folder::new(TWO).lock_with("cart.default.global 240.0.7.7"));
    commit(&folder, "first");
    folder.run(&["diff", "HEAD"]).prints(0, &[]);
    folder.write("topology.lock", &Folder::new(TWO).lock_with("cart.default.global 240.0.7.8"));
    let words = ["--- HEAD:topology.yaml\n", "! cart.default.global: 240.0.7.7 -> 240.0.7.8\n", "; 1 address changes"];
    folder.run(&["diff", "HEAD"]).prints(1, &words);
    folder.run(&["diff", "HEAD:topology.yaml"]).prints(1, &words);
    // One of two revisions has a tree: both are compiled.
    folder.compile();
    commit(&folder, "second");
    folder.run(&["diff", "HEAD~1", "HEAD"]).prints(1, &["--- HEAD~1:topology.yaml\n+++ HEAD:topology.yaml\n"]);
    folder.run(&["diff", "HEAD"]).prints(0, &[]);
    // A lock that was broken then, or a topology.
    folder.write("topology.lock", "no lock\n");
    commit(&folder, "third");
    folder
        .run(&["diff", "HEAD", "HEAD~1"])
        .says(2, &["T1301", "HEAD:topology.lock:1", "HEAD:topology.yaml has errors"]);
    folder.write("topology.yaml", &TWO.replace("clusters: east", "clusters: esat"));
    git(&folder, &["rm", "--quiet", "--cached", "topology.lock"]);
    std::fs::remove_file(folder.path("topology.lock")).expect("it is there");
    commit(&folder, "fourth");
    folder
        .run(&["diff", "HEAD~2", "HEAD"])
        .says(2, &["T0201", "HEAD:topology.yaml:6", "HEAD:topology.yaml has errors"]);
}

#[test]
fn a_tree_that_is_not_in_step_is_told() {
    let folder = repository();
    folder.write("topology.yaml", &moved());
    commit(&folder, "no tree");
    let run = folder.run(&["diff", "HEAD~1", "HEAD"]);
    run.says(
        0,
        &["HEAD:out is not what HEAD:topology.yaml is compiled to today", "`meshlatch compile` writes the tree"],
    );
    assert!(run.stdout.starts_with("no differences\n\nServices\n  ~ cart moves from east to west\n"), "{}", run.stdout);
    // Nor does the topology of the last commit speak for such a tree.
    folder.write("topology.yaml", TWO);
    assert_eq!(folder.run(&["diff"]).prints(0, &[]).stdout, "no differences\n");
}

#[test]
fn a_name_that_means_two_things_is_refused() {
    let folder = repository();
    git(&folder, &["branch", "next"]);
    git(&folder, &["branch", "out"]);
    folder.write("next", &moved());
    for name in ["next", "out"] {
        folder.run(&["diff", name]).says(
            2,
            &[
                &format!("`{name}` is both a path and a revision"),
                &format!("write `./{name}` for the path, `{name}^0` for the revision"),
            ],
        );
    }
    folder.run(&["diff", "./next"]).prints(1, &["--- ./next\n", "cart moves from west to east"]);
    folder.run(&["diff", "next^0"]).prints(0, &[]);
    folder.run(&["diff", "./out", "out^0"]).prints(0, &[]);
    // Nobody named the folder: it is what it always is.
    folder.run(&["diff"]).prints(0, &[]);
}

#[test]
fn what_is_no_revision_is_said() {
    let folder = repository();
    for name in ["HAED", "HEAD~7", "HEAD:gone.yaml", "no such thing", "", "HEAD\n", "a..b", "HEAD..gone"] {
        let run = folder.run(&["diff", name]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{name}: {run:?}");
        assert!(
            run.stderr.contains("is no file, no folder, and no revision") || run.stderr.contains("holds no"),
            "{run:?}"
        );
    }
    // Names that git would take for options, or for more than a name.
    for name in
        ["--help", "--output=pwned", "-C/", "--upload-pack=touch pwned", "HEAD --output=pwned", "^HEAD", "--all"]
    {
        let run = folder.run(&["diff", "--", name]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{name}: {run:?}");
        assert!(!folder.exists("pwned"), "{name}");
    }
    git(&folder, &["rm", "--quiet", "--cached", "topology.yaml"]);
    git(&folder, &["commit", "--quiet", "--message", "gone"]);
    folder.run(&["diff", "HEAD"]).says(2, &["there is no topology.yaml in `HEAD`", "HEAD:path/to/topology.yaml"]);
    folder.run(&["diff", "HEAD", "-t", "../topology.yaml"]).says(2, &["git says: fatal: not a git repository"]);
    let mut bare = folder.command();
    bare.env("PATH", folder.path("nowhere")).args(["diff", "HEAD"]);
    Run::of(&mut bare, b"").says(2, &["`HEAD` is no file", "there is no program `git` here"]);
    let mut bare = folder.command();
    bare.env("PATH", folder.path("nowhere")).args(["diff"]);
    Run::of(&mut bare, b"").prints(0, &[]);
    let outside = Folder::new(TWO);
    outside.run(&["diff", "HEAD"]).says(2, &["`HEAD` is no file", "git says: fatal: not a git repository"]);
}

#[test]
fn the_end_of_a_history_is_told() {
    let folder = repository();
    folder.write("topology.yaml", &moved());
    folder.compile();
    commit(&folder, "second");
    let url = format!("file://{}", folder.path("").display());
    git(&folder, &["clone", "--quiet", "--depth", "1", &url, "shallow"]);
    let run = Run::of(folder.command().current_dir(folder.path("shallow")).args(["diff", "HEAD~1"]), b"");
    run.says(2, &["no revision", "the clone is shallow", "git fetch --unshallow"]);
}

/// The repository is that of the topology, wherever somebody stands.
#[test]
fn paths_lead_from_the_topology_to_its_repository() {
    let folder = Folder::new("unused: true\n");
    std::fs::create_dir_all(folder.path("mesh é/deep")).expect("folders can be made");
    folder.write("mesh é/topo logy.yaml", TWO);
    let args = ["-t", "mesh é/topo logy.yaml", "-o", "mesh é/out"];
    folder.run(&["compile", args[1], "-o", args[3]]).prints(0, &[]);
    git(&folder, &["init", "--quiet", "--initial-branch", "main"]);
    commit(&folder, "first");
    folder.write("mesh é/topo logy.yaml", &moved());
    folder.run(&[&["diff", "HEAD"], &args[..]].concat()).prints(1, &["--- HEAD:mesh é/out\n", "cart moves"]);
    let below = |args: &[&str]| Run::of(folder.command().current_dir(folder.path("mesh é/deep")).args(args), b"");
    below(&["diff", "HEAD", "-t", "../topo logy.yaml", "-o", "../out"]).prints(1, &["--- HEAD:mesh é/out\n"]);
    below(&["diff", "HEAD:mesh é/topo logy.yaml", "../topo logy.yaml"]).prints(1, &["cart moves"]);
    let elsewhere = Folder::new(TWO);
    let (topology, out) = (folder.path("mesh é/topo logy.yaml"), folder.path("mesh é/out"));
    let (topology, out) = (topology.to_string_lossy(), out.to_string_lossy());
    elsewhere.run(&["diff", "HEAD", "-t", &topology, "-o", &out]).prints(1, &["--- HEAD:mesh é/out\n"]);
    // A tree outside the repository is none of the revision.
    elsewhere.run(&["diff", "HEAD", "-t", &topology]).prints(1, &["--- HEAD:mesh é/topo logy.yaml\n"]);
}

/// A topology in several files is found in a commit as on the disk.
#[test]
fn a_topology_may_stand_in_several_files() {
    let folder = Folder::new(TWO);
    let (head, services) = TWO.split_once("services:\n").expect("it has services");
    folder.write("topology.yaml", head);
    folder.write("topology.d/b.yaml", &format!("version: 1\nservices:\n{services}"));
    folder.write("topology.d/.hidden.yaml", "services: [\n");
    folder.write("topology.d/notes.txt", "mine\n");
    git(&folder, &["init", "--quiet", "--initial-branch", "main"]);
    commit(&folder, "first");
    folder.write(
        "topology.d/b.yaml",
        &format!("version: 1\nservices:\n{services}").replace("clusters: east", "clusters: west"),
    );
    let words = ["--- HEAD:topology.yaml\n+++ topology.yaml\n", "cart moves from east to west"];
    folder.run(&["diff", "HEAD"]).prints(1, &words);
    folder.run(&["diff", "HEAD:topology.yaml"]).prints(1, &words);
    folder.run(&["diff", "HEAD", "-t", "topology.yaml", "-t", "topology.d/"]).prints(1, &words);
    // A folder of YAML files is a topology; its lock lies in it.
    git(&folder, &["mv", "topology.yaml", "topology.d/a.yaml"]);
    commit(&folder, "second");
    folder.write("topology.d/b.yaml", &format!("version: 1\nservices:\n{services}"));
    let words = ["--- HEAD:topology.d\n+++ topology.d\n", "cart moves from west to east"];
    folder.run(&["diff", "HEAD:topology.d", "topology.d"]).prints(1, &words);
    folder.run(&["diff", "HEAD", "-t", "topology.d"]).prints(1, &words);
    folder.run(&["diff", "HEAD:topology.d", "HEAD~1:topology.yaml"]).prints(1, &["cart moves from west to east"]);
}

/// A cluster of today, whose address is given from outside, was not there then.
#[test]
fn an_address_may_be_of_a_cluster_that_is_new() {
    let folder = repository();
    let north = "  north: {istio: \"1.31.0\", gateway: pending}\nservices:";
    let new = TWO.replace("services:", north).replace("cart: {clusters: east", "cart: {clusters: north");
    folder.write("topology.yaml", &new);
    let run = folder.run(&["diff", "HEAD", "--address", "north=34.70.9.1"]);
    run.prints(1, &["cart moves from east to north", "In north, new"]);
    folder.run(&["diff", "HEAD", "--address", "south=34.70.9.1"]).says(2, &["T1101"]);
}

impl Folder {
    /// The text of a lock with this line.
    fn lock_with(&self, line: &str) -> String {
        self.compile();
        let first = self.read("topology.lock").lines().next().map(str::to_owned).expect("a lock has a first line");
        format!("{first}\n{line}\n")
    }
}
