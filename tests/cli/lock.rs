//! topology.lock: when it is written, read, refused.

use super::{Folder, Run, TWO};

const LOCK: &str = "topology.lock";

/// One more service that is called from afar.
fn with_mail() -> String {
    TWO.replace("calls: [cart]", "calls: [cart, mail]")
}

#[test]
fn compile_writes_it_and_touches_it_no_more() {
    let folder = Folder::new(TWO);
    let run = folder.compile();
    assert!(run.stdout.ends_with("\ntopology.lock  written\n"), "{run:?}");
    let lock = folder.read(LOCK);
    let lines: Vec<_> = lock.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("# meshlatch lock 1: "), "{lock}");
    assert!(lines[1].starts_with("cart.default.global 240.0."), "{lock}");
    let time = || folder.path(LOCK).metadata().and_then(|it| it.modified()).expect("it has a time");
    let before = time();
    assert!(!folder.compile().stdout.contains("topology.lock"));
    assert_eq!(time(), before);
    // A checkout with Windows lines is the same lock.
    folder.write(LOCK, &lock.replace('\n', "\r\n"));
    folder.run(&["compile", "--check", "--locked"]).says(0, &[]);
    assert!(!folder.compile().stdout.contains("topology.lock"));
}

#[test]
fn an_address_stays_whatever_its_name_would_have() {
    let folder = Folder::new(TWO);
    folder.compile();
    let first = folder.read(LOCK);
    let (_, was) = first.trim_end().rsplit_once(' ').expect("a name and an address");
    folder.write(LOCK, &first.replace(was, "240.0.77.7"));
    folder.compile();
    assert!(folder.read("out/east/20-mesh/cart.default.yaml").contains("- 240.0.77.7\n"));
    // Nobody calls it any more, then somebody does again.
    folder.write("topology.yaml", &TWO.replace("calls: [cart]", "calls: [mail]"));
    folder.compile();
    let lock = folder.read(LOCK);
    assert!(
        lock.contains("cart.default.global was 240.0.77.7\n") && lock.contains("mail.default.global 240.0."),
        "{lock}"
    );
    folder.write("topology.yaml", &with_mail());
    folder.compile();
    assert!(folder.read(LOCK).contains("cart.default.global 240.0.77.7\n"));
}

#[test]
fn locked_and_check_say_what_would_change() {
    let folder = Folder::new(TWO);
    let missing: Run = folder.run(&["compile", "--locked"]);
    missing.says(1, &["error[T1305]", "topology.lock is not what the topology needs: +cart.default.global 240.0."]);
    assert!(!folder.exists("out") && !folder.exists(LOCK));
    let run = folder.run(&["compile", "--check"]);
    assert!(run.code == Some(1) && run.stdout.starts_with("missing    topology.lock\n"), "{run:?}");
    folder.compile();
    folder.run(&["compile", "--locked"]).says(0, &[]);
    folder.run(&["check", "--locked"]).says(0, &[]);
    folder.write("topology.yaml", &with_mail());
    let before = folder.snapshot(".");
    folder.run(&["check", "--locked"]).says(1, &["error[T1305]", "+mail.default.global 240.0.", "meshlatch compile"]);
    folder.run(&["check"]).says(0, &[]);
    let run = folder.run(&["compile", "--check"]);
    assert!(run.code == Some(1) && run.stdout.starts_with("changed    topology.lock\n"), "{run:?}");
    assert_eq!(folder.snapshot("."), before);
}

#[test]
fn prune_frees_what_nobody_has() {
    let folder = Folder::new(&with_mail());
    folder.run(&["lock", "prune"]).says(2, &["there is no topology.lock", "meshlatch compile"]);
    folder.compile();
    folder.write("topology.yaml", TWO);
    folder.compile();
    assert!(folder.read(LOCK).contains("mail.default.global was "));
    let run = folder.run(&["lock", "prune"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "topology.lock  1 address freed\n"));
    assert!(!folder.read(LOCK).contains("mail"));
    folder.run(&["lock", "prune", "-"]).says(2, &["standard input has no lock"]);
}

#[test]
fn a_broken_lock_is_told_beside_the_mistakes_of_the_topology_and_nothing_is_written() {
    let folder =
        Folder::new(&TWO.replace("clusters: west, ports: {grpc: 5000}", "clusters: wset, ports: {grpc: 5000}"));
    folder.write(LOCK, "<<<<<<< HEAD\n");
    let before = folder.snapshot(".");
    folder.run(&["compile"]).says(1, &["error[T1302]", "topology.lock:1:1", "error[T0201]", "topology.yaml:"]);
    folder.run(&["lock", "prune"]).says(1, &["error[T1302]"]);
    assert_eq!(folder.snapshot("."), before);
}

#[test]
fn what_is_printed_or_comes_from_standard_input_writes_no_lock() {
    let folder = Folder::new(TWO);
    folder.run(&["compile", "-o", "-", "--cluster", "east"]).says(0, &[]);
    folder.run_with(&["compile", "-"], TWO.as_bytes()).says(0, &[]);
    assert!(!folder.exists(LOCK));
    folder.compile();
    let lock = folder.read(LOCK);
    folder.write("topology.yaml", &with_mail());
    folder
        .run(&["compile", "-o", "-", "--cluster", "east"])
        .says(0, &["topology.lock does not know all of these addresses"]);
    assert_eq!(folder.read(LOCK), lock);
}

#[cfg(unix)]
#[test]
fn a_link_stays_and_nothing_is_written() {
    let folder = Folder::new(TWO);
    folder.write("elsewhere", "");
    std::os::unix::fs::symlink("elsewhere", folder.path(LOCK)).expect("a link can be made");
    folder.run(&["compile"]).says(1, &["error[T1301]", "no lock of meshlatch"]);
    std::fs::remove_file(folder.path("elsewhere")).expect("it is there");
    folder.run(&["compile"]).says(2, &["topology.lock is a symbolic link"]);
    assert!(!folder.exists("out") && !folder.exists("elsewhere"));
}

#[test]
fn a_topology_that_is_no_file_has_no_lock() {
    let folder = Folder::new(TWO);
    folder
        .run_with(&["compile", "--locked", "-"], TWO.as_bytes())
        .says(2, &["a topology from standard input has no lock"]);
    folder.run(&["compile", "--locked", "-o", "-", "--cluster", "west"]).says(1, &["error[T1305]"]);
    folder.run(&["lock", "prune", "nosuch.yaml"]).says(2, &["cannot read nosuch.yaml"]);
    folder.write("mesh.lock", TWO);
    folder.run(&["compile", "mesh.lock"]).says(2, &["a topology cannot be called mesh.lock"]);
    // What stands behind a dot need not be an ending.
    folder.write("mesh.eu", TWO);
    folder.run(&["compile", "mesh.eu", "-o", "eu"]).says(0, &[]);
    assert!(folder.exists("mesh.eu.lock"));
    #[cfg(unix)]
    {
        folder.run_with(&["compile", "/dev/stdin"], TWO.as_bytes()).says(0, &[]);
        assert!(!std::path::Path::new("/dev/stdin.lock").exists());
    }
}

#[cfg(unix)]
#[test]
fn what_lies_where_the_lock_is_prepared_is_not_written_into() {
    let folder = Folder::new(TWO);
    folder.write("victim", "mine");
    std::os::unix::fs::symlink("victim", folder.path(".meshlatch-staging-topology.lock")).expect("a link can be made");
    folder.compile();
    assert_eq!(folder.read("victim"), "mine");
    assert!(!folder.exists(".meshlatch-staging-topology.lock"));
    assert!(folder.path(LOCK).symlink_metadata().expect("it is there").is_file());
}

#[test]
fn what_says_the_same_is_left_as_it_is() {
    let folder = Folder::new(TWO);
    folder.compile();
    let lock = folder.read(LOCK) + "\n";
    folder.write(LOCK, &lock);
    folder.run(&["compile", "--check", "--locked"]).says(0, &[]);
    folder.compile();
    assert_eq!(folder.read(LOCK), lock);
}
