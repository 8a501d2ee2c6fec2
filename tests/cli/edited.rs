//! Files that a person edited: nothing of it is lost unasked.

use super::{Folder, TWO};

const CART: &str = "out/west/40-apps/cart.default.yaml";
const MAIL: &str = "out/west/40-apps/mail.default.yaml";

/// A tree in which `cart` was given a label by hand.
fn edited() -> Folder {
    let folder = Folder::new(TWO);
    folder.compile();
    folder.write(CART, &(folder.read(CART) + "# ask the shop team first\n"));
    folder
}

/// Everything in the folder, the lock too.
fn refused(folder: &Folder, args: &[&str], words: &[&str]) {
    let before = folder.snapshot(".");
    let run = folder.run(args);
    run.says(2, &["nothing was changed", "`--force` writes over", "kustomization of your own"]);
    run.says(2, words);
    assert_eq!(run.stdout, "");
    assert_eq!(folder.snapshot("."), before);
}

#[test]
fn an_edited_file_is_not_overwritten() {
    let folder = edited();
    let run = folder.run(&["compile", "--check"]);
    assert_eq!((run.code, run.stdout), (Some(1), format!("edited     {CART}\n")));
    let lost = [
        "a file was edited by hand",
        "out/west/40-apps/cart.default.yaml was edited since `meshlatch` wrote it, and would lose",
        "-# ask the shop team first\n",
    ];
    refused(&folder, &["compile"], &lost);
    // Nor with a topology that changes it, and the addresses that are kept.
    folder.write("topology.yaml", &TWO.replace("7070", "7071").replace("[cart]", "[cart, mail]"));
    refused(&folder, &["compile"], &lost);
    refused(&folder, &["compile"], &["-    port: 7070\n", "+    port: 7071\n"]);
    refused(&folder, &["compile", "--cluster", "west"], &lost);
    folder.run(&["compile", "--cluster", "east"]).says(0, &[]);
}

#[test]
fn force_overwrites_what_was_edited_and_nothing_foreign() {
    let folder = edited();
    folder.write("out/west/mine.yaml", "mine\n");
    let run = folder.run(&["compile", "--force"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(!folder.read(CART).contains("ask") && folder.read("out/west/mine.yaml") == "mine\n");
    assert_eq!(folder.run(&["compile", "--check"]).code, Some(0));

    folder.write(CART, "edited\n");
    let inventory: String = folder
        .read("out/west/.meshlatch")
        .lines()
        .filter(|it| !it.contains("mail"))
        .flat_map(|it| [it, "\n"])
        .collect();
    folder.write("out/west/.meshlatch", &inventory);
    folder.write(MAIL, "foreign\n");
    let before = folder.snapshot(".");
    folder.run(&["compile"]).says(2, &["2 things are in the way", "was edited since", "was not written by", "--force"]);
    let run = folder.run(&["compile", "--force"]);
    run.says(2, &["something is in the way", "mail.default.yaml was not written by `meshlatch`"]);
    assert!(!run.stderr.contains("--force"), "{}", run.stderr);
    assert_eq!(folder.snapshot("."), before);
    folder.run(&["compile", "--force", "--check"]).says(2, &["--force", "--check"]);
}

#[test]
fn an_edit_is_no_edit_when_it_says_what_is_written() {
    let folder = Folder::new(TWO);
    folder.compile();
    folder.write(CART, &folder.read(CART).replace("7070", "7071"));
    folder.write("topology.yaml", &TWO.replace("7070", "7071"));
    folder.compile();
    assert_eq!(folder.run(&["compile", "--check"]).code, Some(0));
}

#[test]
fn what_is_removed_or_emptied_is_written_again() {
    let folder = Folder::new(TWO);
    folder.compile();
    let whole = folder.snapshot("out");
    std::fs::remove_file(folder.path(CART)).expect("it is there");
    // Nothing to lose: as after a power cut.
    folder.write(MAIL, "");
    folder.compile();
    assert_eq!(folder.snapshot("out"), whole);
    folder.write(MAIL, "");
    folder.write("topology.yaml", &TWO.lines().filter(|it| !it.contains("mail:")).collect::<Vec<_>>().join("\n"));
    folder.compile();
    assert!(!folder.exists(MAIL));
}

#[test]
fn an_edited_file_is_not_removed_either() {
    let folder = edited();
    // The service is gone, then its cluster.
    folder.write("topology.yaml", &TWO.replace("cart", "shop"));
    let run = folder.run(&["compile", "--check"]);
    assert!(run.stdout.contains(&format!("edited     {CART}\n")), "{run:?}");
    let lost = ["a file was edited by hand", "-# ask the shop team first"];
    refused(&folder, &["compile"], &lost);
    let one = TWO.lines().filter(|it| !it.contains("west")).collect::<Vec<_>>().join("\n").replace("[cart]", "[]");
    folder.write("topology.yaml", &one);
    refused(&folder, &["compile"], &lost);
    folder.run(&["compile", "--force"]).says(0, &[]);
    assert!(!folder.exists("out/west"));
}

#[test]
fn what_is_shown_is_bounded_and_safe() {
    let folder = Folder::new(TWO);
    folder.compile();
    let lines = (0..50).map(|it| format!("line {it}\n")).collect::<Vec<_>>().concat();
    folder.write(CART, &format!("\u{1b}[2J\u{9b}{}\n{lines}", "x".repeat(300)));
    std::fs::write(folder.path(MAIL), [b'a', 0, 0xff, b'\n']).expect("it is ours");
    folder.write("out/west/kustomization.yaml", &"y".repeat(2_000_000));
    let run = folder.run(&["compile"]);
    run.says(
        2,
        &[
            "3 files were edited by hand",
            "\\u{1b}[2J\\u{9b}xxx",
            "xxx…\n",
            " more lines\n",
            "-a\\u{0}\u{fffd}\n",
            "2000000 bytes, too many to be compared here",
        ],
    );
    assert!(!run.stderr.contains('\u{1b}') && !run.stderr.contains("line 40"), "{}", run.stderr);
    assert!(run.stderr.lines().count() < 80, "{}", run.stderr);

    let large =
        (0..30).map(|it| format!("  s{it}: {{clusters: west, ports: {{http: 80}}}}\n")).collect::<Vec<_>>().concat();
    folder.write("topology.yaml", &(TWO.trim_end().to_owned() + "\n" + &large));
    folder.run(&["compile", "--force"]).says(0, &[]);
    for number in 0..30 {
        folder.write(&format!("out/west/40-apps/s{number}.default.yaml"), "edited\n");
    }
    folder.run(&["compile"]).says(2, &["30 files were edited by hand", "and 20 more"]);
}

#[test]
fn line_ends_of_windows_are_no_edit() {
    let folder = Folder::new(TWO);
    folder.compile();
    let whole = folder.snapshot("out");
    let files: Vec<_> = whole.keys().filter(|it| !it.ends_with('/')).collect();
    let convert = || {
        for path in &files {
            let path = format!("out/{path}");
            folder.write(&path, &folder.read(&path).replace('\n', "\r\n"));
        }
    };
    convert();
    let run = folder.run(&["compile", "--check"]);
    run.says(
        1,
        &["20 files have the line ends of Windows, in out/east and 1 more", "`.gitattributes`, such as `out/** -text`"],
    );
    assert_eq!(run.stdout.matches("line ends  out/").count(), 20, "{}", run.stdout);
    assert!(!run.stdout.contains(".meshlatch"), "an inventory says the same: {}", run.stdout);
    folder.run(&["compile"]).says(0, &["20 files have the line ends of Windows"]);
    for path in &files {
        assert!(path.ends_with(".meshlatch") || !folder.read(&format!("out/{path}")).contains('\r'), "{path}");
    }
    folder.run(&["compile", "--check"]).says(0, &[]);

    // A difference is one whatever the line ends are, and only it is shown.
    convert();
    folder.write(CART, &folder.read(CART).replace("port: 7070", "port: 7079"));
    let run = folder.run(&["compile"]);
    run.says(2, &["a file was edited by hand", "-    port: 7079\n", "+    port: 7070\n"]);
    assert!(!run.stderr.contains("name: grpc\n         +"), "{}", run.stderr);
    folder.write("topology.yaml", &TWO.replace("7070", "7071"));
    folder.run(&["compile", "--force"]).says(0, &[]);
}

/// Topologies of the steps are there to be read, and somebody may write into them.
#[test]
fn a_plan_is_as_safe_as_a_tree() {
    let folder = Folder::new(super::migrate::TWO);
    let migrate = ["migrate", "cart", "--from", "east", "--to", "west"];
    folder.run(&migrate).says(0, &[]);
    folder.write("move/PLAN.md", &(folder.read("move/PLAN.md") + "Ask Ada before step 3.\n"));
    refused(&folder, &migrate, &["move/PLAN.md was edited since", "-Ask Ada before step 3."]);
    folder.run(&[&migrate[..], &["--force"]].concat()).says(0, &[]);
    assert!(!folder.read("move/PLAN.md").contains("Ada"));
}
