//! The inventory: what is read, what is refused, what its formats and its merges mean.

use super::{Folder, TWO, line};

const INVENTORY: &str = "out/west/.meshlatch";
const CART: &str = "out/west/40-apps/cart.default.yaml";
const FORMAT_1: &str = "# meshlatch inventory 1: the files here that `meshlatch compile` replaces and removes\n";

#[test]
fn a_forged_inventory_removes_nothing() {
    let folder = Folder::new(TWO);
    folder.compile();
    folder.write("precious.txt", "precious\n");
    folder.write("out/precious.txt", "precious\n");
    let honest = folder.read(INVENTORY);
    let precious = folder.path("precious.txt");
    for path in [
        "../precious.txt",
        "../../precious.txt",
        "40-apps/../../../precious.txt",
        precious.to_str().expect("it is UTF-8"),
        "..\\precious.txt",
        "C:precious.txt",
        "./kustomization.yaml",
        "40-apps//cart.default.yaml",
        "40-apps/",
        ".. /precious.txt",
        ".meshlatch",
        "a\u{1b}[2Jb",
        "",
    ] {
        folder.write(INVENTORY, &format!("{honest}{}", line("precious\n", path)));
        let before = folder.snapshot("");
        let number = honest.lines().count() + 1;
        let run = folder.run(&["compile"]);
        run.says(
            2,
            &["out/west/.meshlatch is not an inventory", &format!("line {number} is no path inside the folder")],
        );
        assert!(!run.stderr.contains('\u{1b}'));
        assert_eq!(folder.snapshot(""), before, "{path}");
    }
    for text in ["", "40-apps/cart.default.yaml\n", "# meshlatch inventory 3: news\n", "\n"] {
        folder.write(INVENTORY, text);
        folder.run(&["compile"]).says(2, &["its first line is not one that this release writes"]);
    }
    // The inventory of a folder that is no cluster's is no better.
    folder.write(INVENTORY, &honest);
    folder.write("out/gone/.meshlatch", &honest.replace("kustomization.yaml", "../precious.txt"));
    folder.run(&["compile"]).says(2, &["out/gone/.meshlatch is not an inventory"]);
    assert_eq!(folder.read("out/precious.txt"), "precious\n");
}

#[test]
fn a_line_that_is_no_hash_and_path_is_refused() {
    let folder = Folder::new(TWO);
    folder.compile();
    let honest = folder.read(INVENTORY);
    let good = line("", "gone.yaml");
    for wrong in ["gone.yaml\n", &good[1..], &good.to_uppercase(), &good.replace("  ", " *"), &format!(" {good}")] {
        folder.write(INVENTORY, &format!("{honest}{wrong}"));
        let number = format!("line {} is no hash with a path", honest.lines().count() + 1);
        folder.run(&["compile"]).says(2, &["out/west/.meshlatch is not an inventory", &number]);
    }
}

#[test]
fn it_names_what_is_gone_or_no_longer_ours() {
    let folder = Folder::new(TWO);
    folder.compile();
    folder.write("out/west/notes/mine.txt", "mine\n");
    let paths = ["gone.yaml", "gone/too.yaml", "notes", "40-apps/cart.default.yaml/x"];
    let lines: String = paths.iter().map(|it| line("", it)).collect();
    // Git gives a file the line ends of a platform.
    folder.write(INVENTORY, &(folder.read(INVENTORY) + &lines).replace('\n', "\r\n"));
    let run = folder.compile();
    assert!(run.stdout.lines().all(|it| it.ends_with("unchanged")), "{}", run.stdout);
    assert_eq!(folder.read("out/west/notes/mine.txt"), "mine\n");
    assert!(!folder.read(INVENTORY).contains("gone") && !folder.read(INVENTORY).contains('\r'));
}

/// A release before this one wrote paths only, so that nobody can say what was edited.
#[test]
fn format_1_is_read_once_more() {
    let folder = Folder::new(TWO);
    folder.compile();
    let whole = folder.snapshot("out");
    let paths: String = folder.read(INVENTORY).lines().skip(1).map(|it| it[66..].to_owned() + "\n").collect();
    folder.write(INVENTORY, &format!("{FORMAT_1}{paths}old.yaml\n"));
    folder.write("out/west/old.yaml", "left over\n");
    folder.write(CART, "of an older release\n");
    folder.write("out/west/mine.yaml", "mine\n");
    let run = folder.run(&["compile", "--check"]);
    assert_eq!(
        run.stdout,
        "changed    out/west/.meshlatch\n\
         changed    out/west/40-apps/cart.default.yaml\n\
         left over  out/west/old.yaml\n"
    );
    folder.compile();
    assert_eq!(folder.read("out/west/mine.yaml"), "mine\n");
    std::fs::remove_file(folder.path("out/west/mine.yaml")).expect("it is there");
    assert_eq!(folder.snapshot("out"), whole);
    folder.write(CART, "edited\n");
    folder.write("topology.yaml", &TWO.replace("7070", "7071"));
    folder.run(&["compile"]).says(2, &["a file was edited by hand"]);
}

/// Two branches that both changed the topology: one took `mail` away, one gave `cart` another port.
#[test]
fn both_sides_of_a_merge_count() {
    let without = TWO.lines().filter(|it| !it.contains("mail:")).collect::<Vec<_>>().join("\n");
    let other = TWO.replace("7070", "7071").replace("mail:", "news:");
    let sides = [without, other].map(|text| {
        let folder = Folder::new(&text);
        folder.compile();
        folder
    });
    let [ours, theirs] = sides.each_ref().map(|it| it.read(INVENTORY));
    let conflict = |base: &str| {
        let (header, ours) = ours.split_once('\n').expect("it has lines");
        let theirs = theirs.split_once('\n').expect("it has lines").1;
        format!("{header}\n<<<<<<< HEAD\n{ours}{base}=======\n{theirs}>>>>>>> other\n")
    };
    let union = format!("{ours}{theirs}");
    let forms = [conflict(""), conflict(&format!("||||||| 1234567\n{}", line("base\n", "base.yaml"))), union];
    for (number, inventory) in forms.iter().enumerate() {
        let folder = Folder::new(&TWO.replace("7070", "7072"));
        folder.run(&["compile"]).says(0, &[]);
        let whole = folder.snapshot("out");
        // Git leaves files of both sides, and what lies in none is a person's.
        for path in ["40-apps/cart.default.yaml", "40-apps/news.default.yaml"] {
            folder.write(&format!("out/west/{path}"), &sides[1].read(&format!("out/west/{path}")));
        }
        folder.write("out/west/RUNBOOK.md", &sides[0].read("out/west/RUNBOOK.md"));
        folder.write("out/west/base.yaml", "base\n");
        folder.write(INVENTORY, inventory);
        let run = folder.run(&["compile", "--check"]);
        if number < 2 {
            run.says(
                1,
                &["the inventory has a conflict of git in out/west: files of both sides", "merge the topology"],
            );
            assert!(run.stdout.contains("conflict   out/west/.meshlatch\n"), "{run:?}");
        } else {
            assert!(run.stdout.contains("changed    out/west/.meshlatch\n") && run.stderr.is_empty(), "{run:?}");
        }
        assert!(run.stdout.contains("left over  out/west/40-apps/news.default.yaml\n"), "{run:?}");
        let run = folder.run(&["compile"]);
        run.says(0, if number < 2 { &["the inventory has a conflict of git in out/west"] } else { &[] });
        if number != 1 {
            assert_eq!(folder.read("out/west/base.yaml"), "base\n", "it is nobody's whom we know");
            std::fs::remove_file(folder.path("out/west/base.yaml")).expect("it is there");
        }
        assert_eq!(folder.snapshot("out"), whole);
    }
}
