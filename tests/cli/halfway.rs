//! A run that fails half-way: the old tree stays, byte for byte.

use super::{Folder, Run, TWO};

/// Changes `cart` in both clusters, removes `mail`, and adds a service in `west`.
fn next(name: &str) -> String {
    TWO.replace("7070", "7071").replace("mail:", &format!("{name}:"))
}

/// The longest path that Linux takes ends within a folder name, so that some files of a cluster can
/// be put in place and one, with a long name, cannot: also for root, on every file system.
#[cfg(target_os = "linux")]
#[test]
fn a_rename_that_fails_takes_all_others_back() {
    let long = "a".repeat(63);
    let folder = Folder::new(TWO);
    folder.compile();
    folder.write("out/west/mine.txt", "mine\n");
    let before = folder.snapshot("out");
    folder.write("topology.yaml", &next(&long));
    let far = format!("{}out", "./".repeat(2010));
    let run = folder.run(&["compile", "-o", &far]);
    run.says(
        2,
        &["cannot write ", &format!("/west/40-apps/{long}.default.yaml: File name too long"), "nothing was changed"],
    );
    assert_eq!(run.stdout, "");
    assert_eq!(folder.snapshot("out"), before, "the tree is as it was, and no staging is left");

    // It was the one file: the same run by a shorter way goes well.
    let run = folder.compile();
    assert!(run.stdout.ends_with("3 written, 1 removed\n"), "{}", run.stdout);
    assert!(folder.exists(&format!("out/west/40-apps/{long}.default.yaml")));
    assert!(!folder.exists("out/west/40-apps/mail.default.yaml"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_removed_cluster_comes_back_when_another_fails() {
    let long = "a".repeat(63);
    let folder = Folder::new(TWO);
    folder.compile();
    // `north` is gone before `west` is reached, or after: either way it must be there again.
    folder.write("topology.yaml", &TWO.replace("east", "north"));
    folder.run(&["compile", "--cluster", "north"]).says(0, &[]);
    let before = folder.snapshot("out");
    folder.write("topology.yaml", &next(&long));
    let far = format!("{}out", "./".repeat(2010));
    folder.run(&["compile", "-o", &far]).says(2, &["File name too long", "nothing was changed"]);
    assert_eq!(folder.snapshot("out"), before);
}

/// A disk that is full while files are staged, as a limit on the size of files.
#[cfg(target_os = "linux")]
#[test]
fn a_write_that_fails_changes_nothing() {
    let folder = Folder::new(TWO);
    let limited = |folder: &Folder| {
        let script = format!("trap '' XFSZ; ulimit -f 40; exec {} compile", env!("CARGO_BIN_EXE_meshlatch"));
        Run::of(std::process::Command::new("sh").args(["-c", &script]).current_dir(folder.0.path()), b"")
    };
    let large = TWO.replace("grpc: 5000}", &format!("grpc: 5000}}, annotations: {{note: {}}}", "x".repeat(50_000)));
    let large = large.replace("annotations", "workload: {image: mail:v1}, annotations");
    folder.write("topology.yaml", &large.replace("7070", "7071"));
    limited(&folder).says(2, &["cannot write out/west/40-apps/mail.default.yaml: File too large"]);
    assert!(!folder.exists("out"), "a first run that fails leaves no folder");

    folder.write("topology.yaml", TWO);
    folder.compile();
    let before = folder.snapshot("out");
    folder.write("topology.yaml", &large.replace("7070", "7071"));
    let run = limited(&folder);
    run.says(2, &["cannot write out/west/40-apps/mail.default.yaml: File too large"]);
    assert_eq!(run.stdout, "");
    assert_eq!(folder.snapshot("out"), before);
    folder.compile();
}
