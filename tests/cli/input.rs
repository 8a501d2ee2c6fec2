//! What a run is given: the topology from files and stdin, addresses from elsewhere, and what comes
//! of it on both streams.

use std::fs::File;

use super::{Folder, TWO};

/// `TWO`, when the gateway of `west` is not known yet.
fn pending() -> String {
    let text = TWO.replace("203.0.113.20", "pending");
    assert_ne!(text, TWO);
    text
}

#[test]
fn check_says_what_is_wrong_and_writes_nothing() {
    let folder = Folder::new(TWO);
    let run = folder.run(&["check"]);
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(0), "", ""));

    folder.write("topology.yaml", &TWO.replace("clusters: west", "clusters: wets"));
    let run = folder.run(&["check"]);
    run.says(1, &["error[T0201]", "--> topology.yaml:8:20", "`west`", "\n2 errors\n"]);
    assert_eq!(run.stdout, "");
    let run = folder.run(&["compile"]);
    run.says(1, &["error[T0201]"]);
    assert_eq!(run.stdout, "");
    assert!(!folder.exists("out"));
}

#[test]
fn a_warning_alone_is_no_reason_to_fail() {
    let folder = Folder::new(&TWO.replace("allow: [T0306]", ""));
    folder.run(&["check"]).says(0, &["warning[T0306]", "\n1 warning\n"]);
    let run = folder.run(&["compile"]);
    run.says(0, &["warning[T0306]"]);
    assert!(run.stdout.starts_with("east  "), "{}", run.stdout);
    assert!(folder.exists("out/east/kustomization.yaml"));
}

#[test]
fn a_missing_topology_names_path_act_and_a_way_out() {
    let folder = Folder::new(TWO);
    std::fs::remove_file(folder.path("topology.yaml")).expect("it is there");
    folder.run(&["compile"]).says(2, &["cannot read topology.yaml: No such file or directory\n", "`meshlatch init`"]);
    folder.run(&["check", "."]).says(2, &["no file in . ends in .yaml or .yml"]);
    assert!(!folder.exists("out"));
}

#[test]
fn a_topology_is_read_from_stdin() {
    let folder = Folder::new("not this one");
    folder.compile_stdin(TWO);
    assert!(folder.exists("out/west/kustomization.yaml"));
    folder.run_with(&["check", "-"], b"version: 2\n").says(1, &["--> <stdin>:1:10"]);
}

impl Folder {
    fn compile_stdin(&self, text: &str) {
        let run = self.run_with(&["compile", "-"], text.as_bytes());
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    }
}

#[test]
fn a_file_of_any_size_is_refused_in_time() {
    let folder = Folder::new(TWO);
    File::create(folder.path("large.yaml")).and_then(|it| it.set_len(100 << 20)).expect("a file can be made");
    folder.run(&["check", "large.yaml"]).says(1, &["error[T0002]", "64 MiB"]);
}

#[cfg(unix)]
#[test]
fn an_endless_file_is_refused() {
    let folder = Folder::new(TWO);
    folder.run(&["check", "/dev/zero"]).says(1, &["error[T0002]"]);
    let zero = File::open("/dev/zero").expect("it exists on Unix");
    let output = folder.command().args(["check", "-"]).stdin(zero).output().expect("the binary can be started");
    assert_eq!(output.status.code(), Some(1));
    folder.run(&["check", "--addresses", "/dev/zero"]).says(2, &["/dev/zero is larger"]);
}

#[test]
fn a_binary_file_is_refused() {
    let folder = Folder::new(TWO);
    std::fs::write(folder.path("binary"), [0x7f, b'E', b'L', b'F', 0xff, 0xfe, 0, 1]).expect("a file can be written");
    folder.run(&["check", "binary"]).says(1, &["error[T0001]"]);
    folder.run(&["check", "--addresses", "binary"]).says(2, &["binary is not UTF-8 text"]);
}

#[test]
fn one_cluster_is_printed_as_a_stream() {
    let folder = Folder::new(TWO);
    let run = folder.run(&["compile", "-o", "-", "--cluster", "east"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(
        run.stdout.contains("\n---\napiVersion: networking.istio.io/v1beta1\nkind: ServiceEntry\n"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.ends_with('\n') && !run.stdout.contains("kind: IstioOperator"), "{}", run.stdout);
    assert!(!folder.exists("out"), "a stream leaves no tree");

    // The one cluster of a topology need not be named.
    let only = TWO.lines().filter(|it| !it.contains("west")).collect::<Vec<_>>().join("\n").replace("[cart]", "[]");
    let run = folder.run_with(&["compile", "-", "-o", "-"], only.as_bytes());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(run.stdout.contains("kind: Service\n"), "{}", run.stdout);
}

#[test]
fn several_clusters_are_no_stream() {
    let folder = Folder::new(TWO);
    for args in [&["compile", "-o", "-"][..], &["compile", "-o-", "--cluster=east", "--cluster=west"]] {
        let run = folder.run(args);
        run.says(2, &["would all land in one of them", "`east`, `west`"]);
        assert_eq!(run.stdout, "");
    }
    folder.run(&["compile", "-o", "-", "--check"]).says(2, &["--check"]);
}

#[test]
fn an_unknown_cluster_is_a_usage_error() {
    let folder = Folder::new(TWO);
    folder.run(&["compile", "--cluster", "wset"]).says(2, &["no cluster `wset`", "similar name exists: `west`"]);
    folder.run(&["compile", "--cluster", "nowhere"]).says(2, &["no cluster `nowhere`", "`east`, `west`"]);
    assert!(!folder.exists("out"));
}

#[test]
fn a_cluster_that_waits_is_not_written_and_the_others_are() {
    let folder = Folder::new(&pending());
    let run = folder.run(&["compile"]);
    run.says(
        0,
        &[
            "note: `east` is not written yet",
            "the gateway address of `west`",
            "`cart` is called",
            "--address west=ADDRESS",
        ],
    );
    assert!(run.stdout.starts_with("east  not written, for it waits\nwest  "), "{}", run.stdout);
    assert!(!folder.exists("out/east") && folder.exists("out/west/kustomization.yaml"));

    let run = folder.run(&["compile", "--check"]);
    run.says(0, &["`east` is not written yet"]);
    assert_eq!(run.stdout, "", "a cluster that waits does not differ");

    let run = folder.run(&["compile", "-o", "-", "--cluster", "east"]);
    run.says(1, &["error: `east` is not written yet"]);
    assert_eq!(run.stdout, "");
}

#[test]
fn a_cluster_that_waits_keeps_its_tree() {
    let folder = Folder::new(TWO);
    folder.compile();
    let before = folder.snapshot("out/east");
    folder.write("topology.yaml", &pending().replace("web:", "shop:").replace("7070", "7071"));
    let run = folder.run(&["compile"]);
    run.says(0, &["`east` is not written yet"]);
    assert_eq!(folder.snapshot("out/east"), before);
    assert!(folder.read("out/west/40-apps/cart.default.yaml").contains("7071"));
}

#[test]
fn an_address_is_given_on_the_command_line() {
    let folder = Folder::new(&pending());
    let entry = |args: &[&str], stdin: &str| {
        let run = folder.run_with(&[&["compile"], args].concat(), stdin.as_bytes());
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{args:?}");
        folder.read("out/east/20-mesh/cart.default.yaml")
    };
    assert!(entry(&["--address", "west=198.51.100.1"], "").contains("address: 198.51.100.1\n"));

    let named = |name: &str, ip: &str| {
        format!(
            r#"{{"apiVersion": "v1", "kind": "Service", "metadata": {{"name": "{name}"}},
                 "status": {{"loadBalancer": {{"ingress": [{{"ip": "{ip}"}}]}}}}}}"#
        )
    };
    let service = |ip: &str| named("istio-ingressgateway", ip);
    folder.write("service.json", &service("198.51.100.2"));
    assert!(entry(&["--address", "west=@service.json"], "").contains("address: 198.51.100.2\n"));
    assert!(entry(&["--address", "west=@-"], &service("198.51.100.3")).contains("address: 198.51.100.3\n"));

    // Of two gateways, the one that other clusters call.
    let both = [service("198.51.100.7"), named("istio-eastwestgateway", "198.51.100.8")].join(", ");
    let both = format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{both}]}}"#);
    assert!(entry(&["--address", "west=@-"], &both).contains("address: 198.51.100.8\n"));

    let outputs = |ip: &str| {
        format!(
            r#"{{"west_gateway": {{"sensitive": false, "type": "string", "value": "{ip}"}},
                 "vpc_id": {{"sensitive": false, "type": "string", "value": "vpc-1"}}}}"#
        )
    };
    folder.write("outputs.json", &outputs("198.51.100.4"));
    assert!(entry(&["--addresses", "outputs.json"], "").contains("address: 198.51.100.4\n"));
    assert!(entry(&["--addresses", "-"], &outputs("198.51.100.5")).contains("address: 198.51.100.5\n"));

    // Wherever it stands, `--address` has the last word.
    let both = entry(&["--address", "west=198.51.100.6", "--addresses", "outputs.json"], "");
    assert!(both.contains("address: 198.51.100.6\n"), "{both}");
}

#[test]
fn wrong_addresses_are_told() {
    let folder = Folder::new(&pending());
    folder.run(&["check", "--address", "wset=198.51.100.1"]).says(1, &["error[T1101]", "`west`"]);
    folder.run(&["check", "--address", "west=somewhere"]).says(1, &["error[T1102]"]);
    folder.run(&["check", "--address", "west=@gone.json"]).says(2, &["cannot read gone.json: No such file"]);
    folder.run(&["check", "--addresses", "gone.json"]).says(2, &["cannot read gone.json: No such file"]);
    folder.write("service.json", r#"{"kind": "Service", "status": {"loadBalancer": {}}}"#);
    folder
        .run(&["check", "--address", "west=@service.json"])
        .says(1, &["error[T1102]", "`service.json`", "no address yet"]);
}

#[test]
fn stdin_is_read_once() {
    let folder = Folder::new(TWO);
    folder.run(&["check", "-", "--addresses", "-"]).says(2, &["standard input can be read only once"]);
    folder.run(&["check", "--address", "east=@-", "--address", "west=@-"]).says(2, &["only once"]);
}
