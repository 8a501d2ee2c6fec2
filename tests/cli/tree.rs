//! The tree: what is written, kept, removed and refused.

use std::fs::File;
use std::time::{Duration, SystemTime};

use super::{Folder, Run, TWO, line};

const INVENTORY: &str = "out/west/.meshlatch";

#[test]
fn a_first_run_writes_every_cluster() {
    let folder = Folder::new(TWO);
    let run = folder.compile();
    let lines = run.stdout.lines().filter(|it| !it.starts_with("topology.lock"));
    let counts: Vec<_> = lines.map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    for (name, line) in ["east", "west"].iter().zip(&counts) {
        let files = folder.read(&format!("out/{name}/.meshlatch")).lines().count() - 1;
        let files = files.to_string();
        assert_eq!(line, &[name, files.as_str(), "files", &files, "written"]);
    }
    assert_eq!(counts.len(), 2);
    assert_eq!(folder.snapshot("out").keys().filter(|it| it.starts_with('.')).count(), 0, "no staging is left");
    let inventory = folder.read(INVENTORY);
    let (first, lines) = inventory.split_once('\n').expect("it has lines");
    assert!(first.starts_with("# meshlatch inventory 2: "), "{first}");
    let paths: Vec<_> = lines.lines().filter_map(|it| Some(it.split_once("  ")?.1)).collect();
    assert!(paths.is_sorted() && paths.contains(&"40-apps/cart.default.yaml"), "{lines}");
    // As `sha256sum` writes it.
    let expected: String = paths.iter().map(|it| line(&folder.read(&format!("out/west/{it}")), it)).collect();
    assert_eq!(lines, expected);
}

#[test]
fn the_output_folder_may_be_deep_or_a_link_or_here() {
    let folder = Folder::new(TWO);
    folder.run(&["compile", "-o", "a/b/c"]).says(0, &[]);
    assert!(folder.exists("a/b/c/west/kustomization.yaml"));
    folder.run(&["compile", "-o", "."]).says(0, &[]);
    assert_eq!(folder.snapshot("west"), folder.snapshot("a/b/c/west"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("a/b/c", folder.path("link")).expect("a link can be made");
        let run = folder.run(&["compile", "-o", "link"]);
        assert_eq!((run.code, run.stdout.matches("unchanged").count()), (Some(0), 2));
    }
    folder.run(&["compile", "-o", "topology.yaml"]).says(2, &["topology.yaml is not a folder", "-o"]);
    folder.run(&["compile", "-o", "topology.yaml/out"]).says(2, &["topology.yaml is not a folder"]);
}

#[test]
fn a_second_run_touches_nothing() {
    let folder = Folder::new(TWO);
    folder.compile();
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = |path: &str| File::options().write(true).open(folder.path(path)).expect("it was written");
    let modified = |path: &str| file(path).metadata().and_then(|it| it.modified()).expect("it has a time");
    let (cart, mail) = ("out/west/40-apps/cart.default.yaml", "out/west/40-apps/mail.default.yaml");
    for path in [cart, mail, INVENTORY] {
        file(path).set_modified(past).expect("a time can be set");
    }
    let before = folder.snapshot("out");
    let run = folder.compile();
    assert_eq!(run.stdout.lines().filter(|it| it.ends_with("unchanged")).count(), 2, "{}", run.stdout);
    assert_eq!(folder.snapshot("out"), before);
    assert_eq!([cart, mail, INVENTORY].map(modified), [past; 3]);

    folder.write("topology.yaml", &TWO.replace("7070", "7071"));
    let run = folder.compile();
    // Who runs `cart` has its Service, who calls it has the entry and a line in the runbook.
    assert_eq!(run.stdout, "east  10 files  2 written\nwest  10 files  1 written\n");
    assert_eq!(modified(mail), past, "what did not change is not written");
    assert!(modified(cart) != past && modified(INVENTORY) != past);
}

#[test]
fn a_removed_service_takes_its_files_and_empty_folders_along() {
    let folder = Folder::new(TWO);
    folder.compile();
    folder.write("out/west/40-apps/mine/notes.txt", "mine\n");
    let without = TWO.lines().filter(|it| !it.contains("mail:")).collect::<Vec<_>>().join("\n");
    folder.write("topology.yaml", &without);
    let run = folder.compile();
    assert!(run.stdout.ends_with(" files  1 written, 1 removed\n"), "{}", run.stdout);
    assert!(
        !folder.exists("out/west/40-apps/mail.default.yaml") && folder.exists("out/west/40-apps/cart.default.yaml")
    );
    assert!(!folder.read(INVENTORY).contains("mail"));
    assert_eq!(folder.read("out/west/40-apps/mine/notes.txt"), "mine\n");

    // Nothing runs in `west` any more, and nothing of its folder for apps is ours.
    folder.write("topology.yaml", &without.replace("clusters: west", "clusters: east"));
    folder.compile();
    assert!(folder.exists("out/west/40-apps/mine/notes.txt"), "a folder in use stays");
    assert!(!folder.exists("out/west/40-apps/cart.default.yaml"));
    assert!(!folder.exists("out/east/20-mesh/cart.default.yaml"));
    std::fs::remove_dir_all(folder.path("out/west/40-apps")).expect("it is there");
    folder.write("topology.yaml", &without);
    folder.compile();
    folder.write("topology.yaml", &without.replace("clusters: west", "clusters: east"));
    folder.compile();
    assert!(!folder.exists("out/west/40-apps"), "a folder left empty goes");
}

#[test]
fn a_removed_cluster_takes_its_files_along() {
    let folder = Folder::new(TWO);
    folder.compile();
    folder.write("out/mine/notes.txt", "mine\n");
    let one = TWO.lines().filter(|it| !it.contains("west")).collect::<Vec<_>>().join("\n").replace("[cart]", "[]");
    folder.write("topology.yaml", &one);

    let run = folder.run(&["compile", "--cluster", "east"]);
    run.says(0, &[]);
    assert!(folder.exists("out/west/kustomization.yaml"), "with `--cluster` other clusters are left alone");
    let run = folder.run(&["compile", "--check"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("left over  out/west/kustomization.yaml\n"), "{}", run.stdout);
    assert!(run.stdout.contains("left over  out/west/.meshlatch\n"), "{}", run.stdout);

    folder.write("out/west/notes.txt", "mine\n");
    let run = folder.compile();
    assert!(run.stdout.contains("\nwest  no longer in the topology  "), "{}", run.stdout);
    assert_eq!(folder.snapshot("out/west").keys().collect::<Vec<_>>(), ["notes.txt"]);
    assert_eq!(folder.read("out/mine/notes.txt"), "mine\n");
    assert_eq!(folder.run(&["compile", "--check"]).stdout, "");

    folder.write("topology.yaml", TWO);
    folder.compile();
    std::fs::remove_file(folder.path("out/west/notes.txt")).expect("it is there");
    folder.write("topology.yaml", &one);
    folder.compile();
    assert!(!folder.exists("out/west"), "a folder without foreign files goes");
}

#[test]
fn one_cluster_can_be_written_alone() {
    let folder = Folder::new(TWO);
    let run = folder.run(&["compile", "--cluster", "west", "--cluster", "west"]);
    run.says(0, &[]);
    assert!(run.stdout.starts_with("west  ") && !run.stdout.contains("east"), "{}", run.stdout);
    assert!(!folder.exists("out/east"));
}

#[test]
fn check_lists_what_differs_and_writes_nothing() {
    let folder = Folder::new(TWO);
    let run = folder.run(&["compile", "--check"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("missing    out/east/kustomization.yaml\n"), "{}", run.stdout);
    assert!(!folder.exists("out"));

    folder.compile();
    let run = folder.run(&["compile", "--check"]);
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(0), "", ""));

    folder.write("out/east/40-apps/web.default.yaml", "edited\n");
    std::fs::remove_file(folder.path("out/west/40-apps/cart.default.yaml")).expect("it is there");
    folder.write("out/west/40-apps/old.yaml", "old\n");
    folder.write(INVENTORY, &(folder.read(INVENTORY) + &line("old\n", "40-apps/old.yaml")));
    folder.write("out/west/mine.txt", "mine\n");
    let before = folder.snapshot("out");
    let run = folder.run(&["compile", "--check"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""));
    assert_eq!(
        run.stdout,
        "edited     out/east/40-apps/web.default.yaml\n\
         changed    out/west/.meshlatch\n\
         missing    out/west/40-apps/cart.default.yaml\n\
         left over  out/west/40-apps/old.yaml\n"
    );
    assert_eq!(folder.snapshot("out"), before);

    // What is written is what was listed.
    folder.run(&["compile", "--force"]).says(0, &[]);
    assert_eq!(folder.run(&["compile", "--check"]).code, Some(0));
    assert!(!folder.exists("out/west/40-apps/old.yaml") && folder.exists("out/west/mine.txt"));
}

#[test]
fn a_foreign_file_in_the_way_stops_everything() {
    let folder = Folder::new(TWO);
    folder.write("out/west/40-apps/cart.default.yaml", "mine\n");
    folder.write("out/west/kustomization.yaml", "mine too\n");
    let before = folder.snapshot("out");
    let run = folder.run(&["compile"]);
    run.says(
        2,
        &[
            "2 things are in the way; nothing was changed",
            "out/west/40-apps/cart.default.yaml was not written by `meshlatch`",
            "out/west/kustomization.yaml was not",
            "-o",
        ],
    );
    assert_eq!(run.stdout, "");
    assert_eq!(folder.snapshot("out"), before, "`east` is not written either");
    let run = folder.run(&["compile", "--check"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("foreign    out/west/kustomization.yaml\n"), "{}", run.stdout);
}

#[test]
fn a_foreign_file_that_is_equal_is_taken_over() {
    let folder = Folder::new(TWO);
    folder.compile();
    let before = folder.snapshot("out");
    std::fs::remove_file(folder.path(INVENTORY)).expect("it is there");
    assert_eq!(folder.run(&["compile", "--check"]).stdout, "missing    out/west/.meshlatch\n");
    folder.compile();
    assert_eq!(folder.snapshot("out"), before);
}

#[test]
fn folders_and_files_in_each_others_place_are_refused() {
    let folder = Folder::new(TWO);
    folder.compile();
    std::fs::remove_file(folder.path("out/east/kustomization.yaml")).expect("it is there");
    folder.write("out/east/kustomization.yaml/mine.txt", "mine\n");
    std::fs::remove_dir_all(folder.path("out/west/40-apps")).expect("it is there");
    folder.write("out/west/40-apps", "mine\n");
    folder.write("topology.yaml", &TWO.replace("80}", "81}"));
    let before = folder.snapshot("out");
    let run = folder.run(&["compile"]);
    run.says(2, &["out/east/kustomization.yaml is not a file", "out/west/40-apps is not a folder"]);
    assert_eq!(folder.snapshot("out"), before);

    std::fs::remove_dir_all(folder.path("out")).expect("it is there");
    folder.write("out/west", "mine\n");
    folder.run(&["compile"]).says(2, &["out/west is not a folder"]);
}

#[test]
fn a_file_of_ours_makes_room_for_a_folder() {
    let folder = Folder::new(TWO);
    folder.compile();
    std::fs::remove_dir_all(folder.path("out/west/40-apps")).expect("it is there");
    folder.write("out/west/40-apps", "written by an older release\n");
    let file = line("written by an older release\n", "40-apps");
    folder.write(INVENTORY, &(folder.read(INVENTORY) + &file));
    folder.compile();
    assert!(folder.exists("out/west/40-apps/cart.default.yaml"));
    assert_eq!(folder.run(&["compile", "--check"]).code, Some(0));
}

#[cfg(unix)]
#[test]
fn a_link_is_never_followed() {
    use std::os::unix::fs::symlink;

    let folder = Folder::new(TWO);
    folder.compile();
    let elsewhere = folder.path("elsewhere");
    for path in ["west", "west/40-apps", "west/40-apps/cart.default.yaml", "west/.meshlatch"] {
        let (place, target) = (folder.path(&format!("out/{path}")), elsewhere.join("it"));
        std::fs::create_dir_all(&elsewhere).expect("a folder can be made");
        std::fs::rename(&place, &target).expect("it can be moved");
        symlink(&target, &place).expect("a link can be made");
        folder.write("topology.yaml", &TWO.replace("7070", "7071"));
        let before = (folder.snapshot("out"), folder.snapshot("elsewhere"));
        folder.run(&["compile"]).says(2, &[&format!("out/{path} is a symbolic link")]);
        folder.run(&["compile", "--check"]).says(2, &[&format!("out/{path} is a symbolic link")]);
        folder.run(&["compile", "--force"]).says(2, &[&format!("out/{path} is a symbolic link")]);
        // Nor is it followed to remove what is left over.
        folder.write("topology.yaml", &TWO.replace("cart", "shop"));
        folder.run(&["compile"]).says(2, &[&format!("out/{path} is a symbolic link")]);
        assert_eq!((folder.snapshot("out"), folder.snapshot("elsewhere")), before);
        std::fs::remove_file(&place).expect("it is there");
        std::fs::rename(&target, &place).expect("it can be moved");
    }
    symlink(&elsewhere, folder.path("out/.meshlatch-staging")).expect("a link can be made");
    folder.run(&["compile"]).says(2, &["out/.meshlatch-staging is not a folder"]);
    assert!(folder.exists("out/.meshlatch-staging") && folder.exists("elsewhere"));
}

#[test]
fn runs_into_one_folder_wait_for_each_other() {
    let folder = Folder::new(TWO);
    let children: Vec<_> = (0..8)
        .map(|number| {
            let text = TWO.replace("7070", &format!("707{}", number % 2));
            folder.write(&format!("{number}.yaml"), &text);
            let mut command = folder.command();
            command.args(["compile", &format!("{number}.yaml")]).stdout(std::process::Stdio::null());
            command.spawn().expect("the binary can be started")
        })
        .collect();
    for mut child in children {
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
    }
    let clean = ["0.yaml", "1.yaml"].map(|it| folder.run(&["compile", "--check", it]).code == Some(0));
    assert_ne!(clean[0], clean[1], "the tree is that of one run, whole");
    assert!(!folder.exists("out/.meshlatch-staging"));
}

#[cfg(unix)]
#[test]
fn scripts_can_be_run_and_other_files_cannot() {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Folder::new(TWO);
    let files = || folder.snapshot("out").into_iter().filter(|(path, _)| !path.ends_with('/'));
    let can_be_run = |path: &str| {
        let metadata = folder.path(&format!("out/{path}")).metadata().expect("it was written");
        metadata.permissions().mode() & 0o100 != 0
    };
    let check = || {
        for (path, text) in files() {
            assert_eq!(can_be_run(&path), text.starts_with(b"#!"), "{path}");
        }
    };
    folder.compile();
    check();

    // A script that lost its mode differs; a copy by FAT or by an archive does that.
    for (path, _) in files() {
        std::fs::set_permissions(folder.path(&format!("out/{path}")), Permissions::from_mode(0o644))
            .expect("it is ours");
    }
    let scripts: Vec<_> = files().filter(|(_, text)| text.starts_with(b"#!")).map(|(path, _)| path).collect();
    let listed = folder.run(&["compile", "--check"]).stdout;
    assert_eq!(listed, scripts.iter().map(|it| format!("changed    out/{it}\n")).collect::<Vec<_>>().concat());
    folder.compile();
    check();
}

#[test]
fn clusters_come_in_the_order_of_the_topology() {
    let names: Vec<_> = (0..20).map(|it| format!("c{}", (it * 7) % 20)).collect();
    let clusters = names.iter().map(|it| format!("  {it}: {{istio: \"1.5.2\"}}\n")).collect::<Vec<_>>().concat();
    let folder = Folder::new(&format!(
        "version: 1\nallow: [T0306]\nclusters:\n{clusters}services:\n  a: {{clusters: [{}], ports: {{http: 80}}}}\n",
        names.join(", ")
    ));
    let run: Run = folder.compile();
    let printed: Vec<_> = run.stdout.lines().filter_map(|it| it.split_whitespace().next()).collect();
    assert_eq!(printed, names);
}
