//! A topology in several files: which of them are read, where the lock lies, what every command makes of
//! them.

use super::{Folder, Run, TWO};

const CLUSTERS: &str = r#"
version: 1
allow: [T0306]
clusters:
  east: {istio: "1.5.2", gateway: 203.0.113.10, dns: {provider: kube-dns, address: 10.0.0.53}}
  west: {istio: "1.5.2", gateway: 203.0.113.20, dns: {provider: kube-dns, address: 10.1.0.53}}
"#;
const CART: &str = "version: 1\nservices:\n  cart: {clusters: west, ports: {grpc: 7070}}\n  mail: {clusters: west, ports: {grpc: 5000}}\n";
const WEB: &str = "version: 1\nservices:\n  web: {clusters: east, ports: {http: 80}, calls: [cart]}\n";

/// `TWO`, in files below a folder; the first is called as said.
fn folder(first: &str, others: &str) -> Folder {
    let folder = Folder(tempfile::TempDir::new().expect("a folder can be made"));
    folder.write(first, CLUSTERS);
    folder.write(&format!("{others}/cart.yaml"), CART);
    folder.write(&format!("{others}/web.yml"), WEB);
    folder
}

#[track_caller]
fn well(run: &Run) {
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:?}");
}

#[test]
fn each_way_to_name_the_files_gives_the_same_tree() {
    let whole = Folder::new(TWO);
    whole.compile();
    let tree = whole.snapshot("out");
    let split = |args: &[&str], folder: &Folder| {
        well(&folder.run(&[&["compile"], args].concat()));
        assert_eq!(folder.snapshot("out"), tree, "{args:?}");
    };
    split(&[], &folder("topology.yaml", "topology.d"));
    split(&["topology.yaml"], &folder("topology.yaml", "topology.d"));
    split(&["topology.yaml", "topology.d"], &folder("topology.yaml", "topology.d/"));
    split(&["mesh/prod.yaml"], &folder("mesh/prod.yaml", "mesh/prod.d"));
    split(&["clusters.yaml", "teams/"], &folder("clusters.yaml", "teams"));
    split(&["clusters.yaml", "teams/cart.yaml", "teams/web.yml"], &folder("clusters.yaml", "teams"));
    split(&["all"], &folder("all/a.yaml", "all"));
    split(&["."], &folder("a.yaml", "."));
    split(&["a", "b"], &folder("a/clusters.yaml", "b"));
    let run = folder("clusters.yaml", "teams").run_with(&["compile", "-", "teams"], CLUSTERS.as_bytes());
    well(&run);
    // What is named beside a file leaves out what lies beside it.
    let folder = folder("clusters.yaml", "teams");
    folder.write("clusters.d/broken.yaml", "version: 1\nservices: [\n");
    split(&["clusters.yaml", "teams"], &folder);
    folder.run(&["check", "clusters.yaml"]).says(1, &["error[T0004]", "--> clusters.d/broken.yaml:"]);
}

#[test]
fn the_files_of_a_folder_are_those_that_end_in_yaml_in_the_order_of_their_names() {
    let folder = folder("topology.yaml", "topology.d");
    for name in [".hidden.yaml", "web.yaml~", "notes.txt", "yaml", "WEB.YAML", ".d/web.yaml", "empty/notes.txt"] {
        folder.write(&format!("topology.d/{name}"), "[");
    }
    well(&folder.run(&["compile"]));
    // Bytes, not letters: `Z` comes before `a`, and `10` before `9`.
    for name in ["a", "Z", "9", "10", "é"] {
        let cluster = if name == "é" { "e" } else { name }.to_lowercase();
        folder.write(
            &format!("topology.d/{name}.yaml"),
            &format!("version: 1\nclusters: {{c{cluster}: {{istio: \"1.5.2\"}}}}\n"),
        );
    }
    let run = folder.run(&["compile"]);
    let clusters: Vec<_> = run.stdout.lines().filter_map(|it| it.split(' ').next()).collect();
    assert_eq!(clusters, ["east", "west", "c10", "c9", "cz", "ca", "ce"]);
}

#[test]
fn a_folder_that_cannot_be_meant_is_told() {
    let folder = folder("mesh/topology.yaml", "mesh/topology.d");
    folder.write("none/notes.txt", "");
    folder.run(&["check", "none"]).says(2, &["no file in none ends in .yaml or .yml"]);
    folder
        .run(&["check", "mesh"])
        .says(2, &["mesh/topology.d holds YAML files and would not be read", "name both, `mesh mesh/topology.d`"]);
    well(&folder.run(&["check", "mesh", "mesh/topology.d"]));
    well(&folder.run(&["check", "mesh", "mesh/../mesh/topology.d/"]));
    folder.write("mesh/topology.d/deep/er.yaml", CART);
    folder.run(&["check", "mesh/topology.yaml"]).says(2, &["mesh/topology.d/deep holds YAML files"]);
    // An empty folder beside the topology is nobody's mistake.
    let folder = Folder::new(TWO);
    std::fs::create_dir(folder.path("topology.d")).expect("a folder can be made");
    folder.compile();
    // Neither is a file of that name.
    std::fs::remove_dir(folder.path("topology.d")).expect("it is there");
    folder.write("topology.d", "out.o: in.c\n");
    folder.compile();
    folder.run(&["check", "gone.yaml", "topology.yaml"]).says(2, &["cannot read gone.yaml: No such file"]);
    std::fs::remove_file(folder.path("topology.d")).expect("it is there");
    std::fs::remove_file(folder.path("topology.yaml")).expect("it is there");
    folder.write("topology.d/a.yaml", TWO);
    folder.run(&["check"]).says(2, &["cannot read topology.yaml", "name it: `topology.d`"]);
    well(&folder.run(&["check", "topology.d"]));
}

#[test]
fn a_file_is_read_once() {
    let folder = folder("topology.yaml", "teams");
    folder.run(&["check", "topology.yaml", "topology.yaml"]).says(2, &["topology.yaml is named twice"]);
    folder.run(&["check", "topology.yaml", "./topology.yaml"]).says(2, &["topology.yaml and ./topology.yaml are one"]);
    folder.run(&["check", "teams", "teams/cart.yaml"]).says(2, &["teams/cart.yaml is named twice"]);
    folder.run(&["check", "-", "-"]).says(2, &["standard input can be read only once"]);
    folder.run(&["check", "topology.yaml", "-", "--addresses", "-"]).says(2, &["only once"]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("cart.yaml", folder.path("teams/link.yaml")).expect("a link can be made");
        folder.run(&["check", "teams"]).says(2, &["teams/cart.yaml and teams/link.yaml are one file"]);
    }
}

#[cfg(unix)]
#[test]
fn what_cannot_be_read_is_told_by_its_name() {
    let folder = folder("topology.yaml", "topology.d");
    let link = |to: &str, name: &str| {
        let path = folder.path(name);
        let _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(to, path).expect("a link can be made");
    };
    link("nowhere", "topology.d/x.yaml");
    folder.run(&["check"]).says(2, &["cannot read topology.d/x.yaml: No such file"]);
    link("/dev/zero", "topology.d/x.yaml");
    folder.run(&["check"]).says(2, &["topology.d/x.yaml is neither a file nor a folder"]);
    link("../elsewhere.yaml", "topology.d/x.yaml");
    std::fs::write(folder.path("elsewhere.yaml"), [b'a', 0xff]).expect("a file can be written");
    folder.run(&["check"]).says(1, &["error[T0001]", "--> topology.d/x.yaml:1:2"]);
    // Neither a name nor a message moves the cursor.
    for name in ["\u{1b}[31mred.yaml", "line\nend.yaml"] {
        link("nowhere", "topology.d/x.yaml");
        let run = folder.run(&["check", &format!("topology.d/{name}")]);
        assert!(run.code == Some(2) && !run.stderr.contains('\u{1b}'), "{run:?}");
        folder.write(&format!("topology.d/{name}"), "[");
        std::fs::remove_file(folder.path("topology.d/x.yaml")).expect("it is there");
        let run = folder.run(&["check"]);
        assert!(run.code == Some(1) && !run.stderr.contains('\u{1b}') && !run.stderr.contains("line\n"), "{run:?}");
        std::fs::remove_file(folder.path(&format!("topology.d/{name}"))).expect("it is there");
    }
}

#[test]
fn too_much_is_refused_in_time() {
    let folder = folder("topology.yaml", "topology.d");
    for name in ["x.yaml", "y.yaml"] {
        let file = std::fs::File::create(folder.path(&format!("topology.d/{name}")));
        file.and_then(|it| it.set_len(40 << 20)).expect("a file can be made");
    }
    folder.run(&["check"]).says(1, &["error[T0002]", "64 MiB together", "--> topology.d/y.yaml:1:1"]);
    for number in 0..10_001 {
        std::fs::write(folder.path(&format!("topology.d/{number}.yaml")), "").expect("a file can be written");
    }
    folder.run(&["check"]).says(2, &["more than 10000 files"]);
}

#[test]
fn the_mistakes_of_all_files_come_in_one_run() {
    let folder = folder("topology.yaml", "topology.d");
    folder.write("topology.d/again.yaml", &CART.replace("mail", "post"));
    folder.write("topology.d/web.yml", &WEB.replace("clusters", "cluster"));
    let run = folder.run(&["compile"]);
    run.says(1, &["error[T0010]", "--> topology.d/cart.yaml:3:3", "::: topology.d/again.yaml:3:3", "\n2 errors\n"]);
    run.says(1, &["error[T0101]", "--> topology.d/web.yml:3:9"]);
    assert!(!folder.exists("out") && !folder.exists("topology.lock"));
}

#[test]
fn the_lock_belongs_to_what_is_named_first() {
    let locks = |folder: &Folder| -> Vec<String> {
        folder.snapshot(".").into_keys().filter(|it| it.ends_with(".lock")).collect()
    };
    for (args, lock) in [
        (&[][..], "topology.lock"),
        (&["topology.yaml", "topology.d"], "topology.lock"),
        (&["topology.yaml", "topology.d/cart.yaml", "topology.d/web.yml"], "topology.lock"),
        (&[".", "topology.d"], "topology.lock"),
        (&["topology.d", "topology.yaml"], "topology.d/topology.lock"),
    ] {
        let folder = folder("topology.yaml", "topology.d");
        well(&folder.run(&[&["compile"], args].concat()));
        assert_eq!(locks(&folder), [lock], "{args:?}");
        well(&folder.run(&[&["compile", "--check", "--locked"], args].concat()));
        well(&folder.run(&[&["check", "--locked"], args].concat()));
        let run = folder.run(&[&["lock", "prune"], args].concat());
        assert!(run.code == Some(0) && run.stdout.ends_with("topology.lock  0 addresses freed\n"), "{run:?}");
    }
    let folder = folder("topology.yaml", "topology.d");
    well(&folder.run(&["compile"]));
    // With the file before the others gone, so would be the addresses.
    let before = folder.snapshot(".");
    let run = folder.run(&["compile", "topology.d", "topology.yaml"]);
    run.says(
        2,
        &["topology.lock keeps addresses", "name topology.yaml first", "mv topology.lock topology.d/topology.lock"],
    );
    folder.run(&["lock", "prune", "topology.d", "topology.yaml"]).says(2, &["topology.lock keeps addresses"]);
    assert_eq!(folder.snapshot("."), before);
    // Standard input has none, and what stands first decides.
    let run = folder.run_with(&["compile", "--locked", "-", "topology.d"], CLUSTERS.as_bytes());
    run.says(2, &["a topology from standard input has no lock"]);
}

#[test]
fn cutting_a_file_in_two_moves_no_address() {
    let folder = Folder::new(TWO);
    folder.compile();
    let lock = folder.read("topology.lock");
    let (_, was) = lock.trim_end().rsplit_once(' ').expect("a name and an address");
    folder.write("topology.lock", &lock.replace(was, "240.0.77.7"));
    folder.compile();
    let tree = folder.snapshot("out");
    folder.write("topology.yaml", CLUSTERS);
    folder.write("topology.d/web.yaml", WEB);
    // The other order: `cart` stands behind its caller.
    folder.write("topology.d/zart.yaml", CART);
    well(&folder.run(&["check", "--locked"]));
    folder.compile();
    assert_eq!(folder.snapshot("out/east/20-mesh/"), {
        let within =
            |(name, text): (&String, &Vec<u8>)| Some((name.strip_prefix("east/20-mesh/")?.to_owned(), text.clone()));
        tree.iter().filter_map(within).filter(|it| !it.0.is_empty()).collect()
    });
}

#[test]
fn every_command_takes_several_files() {
    let folder = folder("topology.yaml", "topology.d");
    well(&folder.run(&["stats"]));
    let run = folder.run(&["certs", "topology.yaml", "topology.d", "--to", "ca"]);
    assert!(run.code == Some(0) && folder.exists("ca/certs/west/ca-key.pem"), "{run:?}");
    let run = folder.run(&["migrate", "cart", "--from", "west", "--to", "east", "topology.yaml", "topology.d"]);
    assert!(run.code == Some(0), "{run:?}");
    let steps: Vec<_> = run.stdout.lines().filter(|it| !it.ends_with("PLAN.md")).collect();
    assert!(steps.len() > 2, "{steps:?}");
    for step in steps {
        assert_eq!(folder.read(&format!("{step}/topology.d/web.yml")), WEB);
        well(&folder.run(&["compile", &format!("{step}/topology.yaml")]));
    }
    assert!(
        folder.exists("out/east/40-apps/cart.default.yaml") && !folder.exists("out/west/40-apps/cart.default.yaml")
    );
}
