//! `why` as a user meets it: what can be asked for, in which words, and what is said of what is not there.

use super::{Folder, TWO};

const ENTRY: &str = "out/east/20-mesh/cart.default.yaml";

#[test]
fn a_line_is_explained_by_the_lines_that_asked_for_it() {
    let folder = Folder::compiled();
    let text = folder.read(ENTRY);
    let line = 1 + text.lines().position(|it| it.contains("address: 203.0.113.20")).expect("it leads to the gateway");
    let run = folder.run(&["why", &format!("{ENTRY}:{line}")]);
    run.says(0, &[]);
    assert_eq!(run.stderr, "", "warnings are those of `check`");
    for word in [
        "ServiceEntry: `default/cart-default-global` in `east`",
        "spec.endpoints[0].address",
        "`web` calls `cart`",
        "`web` runs in `east`",
        "`cart` runs in `west`",
        "the gateway of `west`",
    ] {
        assert!(run.stdout.contains(word), "no `{word}` in\n{}", run.stdout);
    }
    assert!(!run.stdout.contains('\u{1b}'), "no color in a pipe");
    // As tools print it, and from within the tree.
    let same = folder.run(&["why", &format!("{ENTRY}:{line}:5")]);
    assert_eq!(same.stdout, run.stdout);
    let mut command = folder.command();
    command.current_dir(folder.path("out/east"));
    let inside =
        super::Run::of(command.args(["why", &format!("20-mesh/cart.default.yaml:{line}"), "../../topology.yaml"]), b"");
    assert!(inside.stdout.contains("ServiceEntry: `default/cart-default-global` in `east`"), "{inside:?}");
}

#[test]
fn an_object_is_named_as_with_kubectl() {
    let folder = Folder::compiled();
    let wanted = folder.run(&["why", "ServiceEntry/default/cart-default-global"]);
    wanted.says(0, &[]);
    for words in [
        &["se/cart"][..],
        &["SE", "cart"],
        &["serviceentries", "cart"],
        &["serviceentry/cart", "-n", "default"],
        &["serviceentry.networking.istio.io/cart"],
        &["serviceentry.networking.istio.io", "cart-default-global", "--cluster", "east"],
        &["se", "default/cart", "topology.yaml"],
        &["se/cart", "topology.yaml"],
        &["se/cart", "--format", "human"],
    ] {
        let run = folder.run(&[&["why"], words].concat());
        assert_eq!((run.code, &run.stdout), (Some(0), &wanted.stdout), "{words:?}: {}", run.stderr);
    }
    // It reads standard input, and needs no tree.
    let run = folder.run_with(&["why", "se", "cart", "-"], TWO.as_bytes());
    assert_eq!(run.stdout, wanted.stdout.replace("topology.yaml", "<stdin>"), "{}", run.stderr);
    // An object that several clusters have is told of each.
    let run = folder.run(&["why", "ns/istio-system"]);
    for cluster in ["east", "west"] {
        assert!(run.stdout.contains(&format!("Namespace: `istio-system` in `{cluster}`")), "{}", run.stdout);
    }
}

#[test]
fn what_is_not_applied_has_an_answer_too() {
    let folder = Folder::compiled();
    for (path, word) in [
        ("out/east/RUNBOOK.md", "it has the commands"),
        ("out/east/RUNBOOK.md:3", "it has the commands"),
        ("out/east/kustomization.yaml:4", "it lists the files"),
        ("out/east/05-secrets/cacerts.md", "`east` is declared here"),
        ("out/east/10-istio/istio-operator.yaml:2", "what Istio is installed with"),
        ("out/east/30-dns/apply.sh:1", "resolve names of the mesh by its DNS"),
    ] {
        let run = folder.run(&["why", path]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{path}");
        assert!(run.stdout.contains(word), "{path}: no `{word}` in\n{}", run.stdout);
    }
    // Every object of a file, where no line is said.
    let run = folder.run(&["why", ENTRY]);
    assert_eq!(run.stdout.matches("ServiceEntry: ").count(), 1, "{}", run.stdout);
}

#[test]
fn the_file_may_be_older_than_the_topology_or_not_there() {
    let folder = Folder::compiled();
    let before = folder.run(&["why", &format!("{ENTRY}:1")]).stdout;
    std::fs::remove_dir_all(folder.path("out")).expect("the tree can be removed");
    assert_eq!(folder.run(&["why", &format!("{ENTRY}:1")]).stdout, before, "what would be written does");

    folder.compile();
    folder.write(ENTRY, &format!("# by hand\n\n---\n{}", folder.read(ENTRY).replace("7070", "7071")));
    let run = folder.run(&["why", &format!("{ENTRY}:3")]);
    run.says(0, &[]);
    assert!(run.stdout.contains("stands between objects"), "{}", run.stdout);
    assert!(run.stdout.contains("writes it in another way now"), "{}", run.stdout);

    folder.write("topology.yaml", &TWO.replace(", calls: [cart]", ""));
    folder.run(&["why", &format!("{ENTRY}:5")]).says(1, &["`default/cart-default-global` is no longer written"]);
    folder.run(&["why", "se/cart"]).says(1, &["no ServiceEntry `cart` is written"]);
}

#[test]
fn what_is_not_there_is_said_with_what_is_near() {
    let folder = Folder::compiled();
    folder.run(&["why", "se/crat-default-global"]).says(1, &["similar name is: `cart-default-global`"]);
    folder.run(&["why", "se/cart", "--cluster", "west"]).says(1, &["no ServiceEntry `cart` is written for `west`"]);
    folder.run(&["why", "se/cart", "-n", "shop"]).says(1, &["in the namespace `shop`"]);
    folder.run(&["why", "servceentry/cart"]).says(2, &["a kind with a similar name is written: `ServiceEntry`"]);
    folder.run(&["why", "cart"]).says(2, &["`ServiceEntry/cart`, or a file and a line"]);
    folder.run(&["why", "se"]).says(2, &["`se` is a kind, and no name follows it"]);
    folder.run(&["why", "se//cart"]).says(2, &["no name of a ServiceEntry"]);
    folder.run(&["why", "se/shop/cart", "-n", "default"]).says(2, &["two namespaces"]);
    folder.run(&["why", "se/cart", "--cluster", "eats"]).says(2, &["`east`"]);
    folder.run(&["why", "se/cart", "a.yaml", "b.yaml"]).says(2, &["a.yaml"]);
    folder.run(&["why"]).says(2, &["<OBJECT>"]);
    folder.run(&["why", &format!("{ENTRY}:0")]).says(2, &["counted from 1"]);
    folder.run(&["why", &format!("{ENTRY}:4000")]).says(2, &["and line 4000 is asked for"]);
    folder.run(&["why", "topology.yaml:3"]).says(1, &["topology.yaml is no file of a bundle"]);
    folder.run(&["why", "elsewhere/notes.txt"]).says(1, &["is no file of a bundle", "`east`, `west`"]);
    folder.run(&["why", "out/east/20-mesh/crat.default.yaml:3"]).says(1, &["`20-mesh/cart.default.yaml`"]);
    folder.run(&["why", "se/cart", "nowhere.yaml"]).says(2, &["cannot read nowhere.yaml"]);
    folder.write("topology.yaml", &TWO.replace("calls: [cart]", "calls: [crat]"));
    folder.run(&["why", "se/cart"]).says(1, &["T0202", "1 error"]);
    // A cluster that waits has no objects yet.
    folder.write("topology.yaml", &TWO.replace("203.0.113.20", "pending"));
    folder.run(&["why", &format!("{ENTRY}:1")]).says(1, &["`east` is not written yet"]);
}

#[test]
fn programs_get_places_and_bytes() {
    let folder = Folder::compiled();
    let run = folder.run(&["why", "--format", "json", "se/cart"]);
    run.says(0, &[]);
    let value: serde_json::Value = serde_json::from_str(&run.stdout).expect("it is JSON");
    let object = &value["objects"][0];
    assert_eq!((&object["kind"], &object["name"]), (&"ServiceEntry".into(), &"cart-default-global".into()));
    let call = &object["needs"][0]["anyOf"][0][0];
    let bytes = |it: &str| usize::try_from(call[it].as_u64().expect("a number")).expect("a small one");
    assert_eq!(&TWO[bytes("start")..bytes("end")], "cart");
    assert_eq!((&call["file"], &call["line"]), (&"topology.yaml".into(), &10.into()));
}
