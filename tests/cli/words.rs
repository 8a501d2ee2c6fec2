//! What the command says of itself: help, codes, the starter file, completions, color.

use super::{Folder, Run, TWO};

#[test]
fn help_and_version_are_results() {
    let folder = Folder::new(TWO);
    for args in [
        &["--help"][..],
        &["compile", "--help"],
        &["check", "--help"],
        &["diff", "--help"],
        &["fmt", "--help"],
        &["stats", "--help"],
        &["why", "--help"],
        &["migrate", "--help"],
        &["certs", "--help"],
        &["explain", "--help"],
        &["init", "--help"],
        &["completions", "--help"],
    ] {
        let run = folder.run(args);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(run.stdout.contains("Examples:\n  "), "{}", run.stdout);
        assert!(run.stdout.contains("--color <WHEN>"), "{}", run.stdout);
    }
    assert_eq!(folder.run(&["--version"]).stdout, format!("meshlatch {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let folder = Folder::new(TWO);
    folder.run(&["compil"]).says(2, &["compile"]);
    folder.run(&[]).says(2, &["Usage: meshlatch"]);
    folder.run(&["compile", "--address", "east"]).says(2, &["NAME=ADDRESS"]);
    folder.run(&["compile", "--address", "east="]).says(2, &["both sides"]);
    folder.run(&["compile", "--color", "sometimes"]).says(2, &["always", "never"]);
    assert!(!folder.exists("out"));
}

#[test]
fn init_writes_a_topology_without_a_warning() {
    let folder = Folder::new(TWO);
    let run = folder.run(&["init", "new.yaml"]);
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(0), "new.yaml  written\n", ""));
    let run = folder.run(&["compile", "new.yaml"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(folder.exists("out/east/kustomization.yaml"));
    assert_eq!(folder.run(&["init", "-"]).stdout, folder.read("new.yaml"));
}

#[test]
fn what_init_comments_out_is_right_too() {
    let folder = Folder::new(TWO);
    let text = folder.run(&["init", "-"]).stdout;
    let field = |line: &str| line.trim_start().starts_with("# ") && line.contains(": ") || line.ends_with(':');
    let code: Vec<_> = text
        .lines()
        .map(|line| if field(line) && is_yaml(line) { line.replacen("# ", "", 1) } else { line.to_owned() })
        .collect();
    folder.write("topology.yaml", &code.join("\n"));
    let run = folder.run(&["check"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", code.join("\n"));
    assert!(code.contains(&"externals:".to_owned()) && code.contains(&"    workload: elsewhere".to_owned()));
}

/// Whether a comment of the starter file is a line of YAML: a key without a space, and no sentence.
fn is_yaml(line: &str) -> bool {
    let text = line.trim_start().trim_start_matches("# ").trim();
    text.split_once(':').is_some_and(|(key, _)| !key.contains([' ', '`'])) && !text.ends_with('.')
}

#[test]
fn init_overwrites_nothing() {
    let folder = Folder::new("mine\n");
    folder.run(&["init"]).says(2, &["topology.yaml exists already", "meshlatch init -"]);
    assert_eq!(folder.read("topology.yaml"), "mine\n");
    folder
        .run(&["init", "no/such/folder.yaml"])
        .says(2, &["cannot write no/such/folder.yaml: No such file or directory"]);
}

#[test]
fn explain_tells_one_code_or_lists_all() {
    let folder = Folder::new(TWO);
    for word in ["T0201", "t0201", "UnknownCluster"] {
        let run = folder.run(&["explain", word]);
        assert_eq!(run.code, Some(0));
        assert!(run.stdout.starts_with("# T0201: no cluster has this name\n\n"), "{}", run.stdout);
        assert_eq!(run.stdout, meshlatch::diag::Code::UnknownCluster.explanation());
    }
    let run = folder.run(&["explain"]);
    assert_eq!(run.code, Some(0));
    assert_eq!(run.stdout.lines().count(), meshlatch::diag::Code::ALL.len());
    assert!(run.stdout.contains("T0306  warning  the suffix is a real top-level domain\n"));
}

#[test]
fn explain_guesses_what_was_meant() {
    let folder = Folder::new(TWO);
    let run = folder.run(&["explain", "UnknwonCluster"]);
    run.says(2, &["no code `UnknwonCluster`", "`UnknownCluster`"]);
    assert_eq!(run.stdout, "");
    let run = folder.run(&["explain", "everything"]);
    run.says(2, &["no code `everything`", "lists all codes"]);
    assert!(!run.stderr.contains("similar"));
}

#[test]
fn completions_know_the_commands() {
    let folder = Folder::new(TWO);
    for (shell, word) in
        [("bash", "complete -F _meshlatch"), ("zsh", "#compdef meshlatch"), ("fish", "complete -c meshlatch")]
    {
        let run = folder.run(&["completions", shell]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
        assert!(run.stdout.contains(word), "{shell}");
        assert!(run.stdout.contains("--addresses") || run.stdout.contains("-l addresses"), "{shell}");
    }
    folder.run(&["completions", "tcsh"]).says(2, &["bash"]);
}

#[test]
fn color_follows_the_usual_rules() {
    let folder = Folder::new("version: 2\n");
    let colored = |args: &[&str], env: &[(&str, &str)]| {
        let run = Run::of(folder.command().arg("check").args(args).envs(env.iter().copied()), b"");
        run.says(1, &["T0104"]);
        run.stderr.contains('\u{1b}')
    };
    assert!(!colored(&[], &[]), "a pipe gets no color");
    assert!(colored(&["--color", "always"], &[]));
    assert!(colored(&["--color=always"], &[("NO_COLOR", "1")]), "the command line has the last word");
    assert!(colored(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(!colored(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(!colored(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
}

#[test]
fn failures_are_colored_by_the_same_rules() {
    let folder = Folder::new(TWO);
    let run = folder.run(&["check", "--color=always", "nothing.yaml"]);
    run.says(2, &["nothing.yaml: No such file"]);
    assert!(run.stderr.contains('\u{1b}'));
    assert!(!folder.run(&["check", "nothing.yaml"]).stderr.contains('\u{1b}'));
}

/// `meshlatch explain | head` closes the pipe before everything is written.
#[test]
fn a_closed_pipe_is_no_panic() {
    let folder = Folder::new(TWO);
    for args in [
        &["explain"][..],
        &["compile"],
        &["compile", "-o", "-", "--cluster", "east"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe can be made");
        drop(reader);
        let output = folder.command().args(args).stdout(writer).output().expect("the binary can be started");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_stdout_is_a_failure() {
    let folder = Folder::new(TWO);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it exists on Linux");
    let output = folder.command().arg("explain").stdout(full).output().expect("the binary can be started");
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("cannot write to standard output: No space left on device"), "{stderr}");
}
