//! `fmt`: which files are written, what is printed, what stays as it is.

use super::Folder;

const UGLY: &str = "version:  1\nclusters:\n    east:   {istio: '1.31.0'}   # here\n";
const FINE: &str = "version: 1\nclusters:\n  east: {istio: \"1.31.0\"} # here\n";
const MORE: &str = "version: 1\nservices:\n  cart: {clusters: east}\n";

#[test]
fn every_file_of_the_topology_is_formatted_once() {
    let folder = Folder::new(UGLY);
    folder.write("topology.d/b.yaml", &MORE.replace("  cart", "      cart"));
    folder.write("topology.d/a.yaml", "version: 1\n");
    let time = |name: &str| folder.path(name).metadata().and_then(|it| it.modified()).expect("it has a time");
    let before = time("topology.d/a.yaml");

    let run = folder.run(&["fmt", "--check"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""));
    let difference = "changed    topology.yaml\n--- topology.yaml\n+++ topology.yaml\n@@ -1,3 +1,3 @@\n";
    assert!(run.stdout.starts_with(difference), "{}", run.stdout);
    assert!(run.stdout.contains("\nchanged    topology.d/b.yaml\n"), "{}", run.stdout);
    assert!(!run.stdout.contains("a.yaml"), "{}", run.stdout);
    assert_eq!(folder.read("topology.yaml"), UGLY);

    let run = folder.run(&["fmt"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert_eq!(run.stdout, "topology.yaml  written\ntopology.d/b.yaml  written\n");
    assert_eq!((folder.read("topology.yaml"), folder.read("topology.d/b.yaml")), (FINE.to_owned(), MORE.to_owned()));
    assert_eq!(time("topology.d/a.yaml"), before);

    let before = (time("topology.yaml"), folder.snapshot("."));
    for args in [&["fmt"][..], &["fmt", "--check"], &["fmt", "topology.d", "topology.yaml"]] {
        let run = folder.run(args);
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(0), "", ""), "{args:?}");
    }
    assert_eq!((time("topology.yaml"), folder.snapshot(".")), before);
}

#[test]
fn standard_input_is_printed() {
    let folder = Folder::new(UGLY);
    let run = folder.run_with(&["fmt", "-"], UGLY.as_bytes());
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(0), FINE, ""));
    let run = folder.run_with(&["fmt", "--check", "-"], UGLY.as_bytes());
    assert!(run.code == Some(1) && run.stdout.starts_with("changed    <stdin>\n"), "{run:?}");
    assert_eq!(folder.run_with(&["fmt", "--check", "-"], FINE.as_bytes()).code, Some(0));
    // A mark at the beginning goes, also if it is all.
    let run = folder.run_with(&["fmt", "-"], format!("\u{feff}{FINE}").as_bytes());
    assert_eq!(run.stdout, FINE);
    let run = folder.run_with(&["fmt", "-"], b"services: [");
    run.says(1, &["--> <stdin>:"]);
    assert_eq!(run.stdout, "");
    folder.run(&["fmt", "-", "topology.yaml"]).says(2, &["leave one of the two out"]);
    assert_eq!(folder.read("topology.yaml"), UGLY);
}

#[test]
fn a_mistake_in_one_file_leaves_all_as_they_are() {
    let folder = Folder::new(UGLY);
    for wrong in ["services: {a: [}\n", "env:   {A: }\n", "a:  1\na: 2\n"] {
        folder.write("topology.d/wrong.yaml", wrong);
        folder.write("topology.d/zwei.yaml", "services:   {a: }\n");
        let before = folder.snapshot(".");
        // Every file is looked at.
        folder.run(&["fmt"]).says(1, &["--> topology.d/wrong.yaml:", "--> topology.d/zwei.yaml:1:14"]);
        folder.run(&["fmt", "--check"]).says(1, &["--> topology.d/wrong.yaml:"]);
        assert_eq!(folder.snapshot("."), before);
    }
    folder.run(&["fmt", "gone.yaml"]).says(2, &["cannot read gone.yaml"]);
    // What only `check` knows to be wrong is formatted all the same.
    folder.write("part.yaml", "services:  {cart: {clusters: nowhere}}\n");
    folder.run(&["fmt", "part.yaml"]).says(0, &[]);
    assert_eq!(folder.read("part.yaml"), "services: {cart: {clusters: nowhere}}\n");
}

#[cfg(unix)]
#[test]
fn who_may_read_a_file_stays_and_a_link_is_left_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new(UGLY);
    let mode = || folder.path("topology.yaml").metadata().expect("it is there").permissions().mode() & 0o777;
    for wanted in [0o600, 0o664] {
        folder.write("topology.yaml", UGLY);
        let permissions = std::fs::Permissions::from_mode(wanted);
        std::fs::set_permissions(folder.path("topology.yaml"), permissions).expect("they can be set");
        folder.run(&["fmt"]).says(0, &[]);
        assert_eq!((mode(), folder.read("topology.yaml").as_str()), (wanted, FINE));
    }
    folder.write("elsewhere.yaml", UGLY);
    std::os::unix::fs::symlink("elsewhere.yaml", folder.path("link.yaml")).expect("a link can be made");
    let before = folder.snapshot(".");
    folder.run(&["fmt", "link.yaml"]).says(2, &["link.yaml is a symbolic link", "name the file itself"]);
    assert_eq!(folder.snapshot("."), before);
}
