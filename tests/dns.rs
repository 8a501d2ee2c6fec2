//! `apply.sh` against a cluster that is a folder: it changes our entry, and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use meshlatch::inputs::Inputs;
use serde_json::{Value, json};

use crate::support;

/// A `kubectl` that keeps one object as a file. A write with an old `resourceVersion` is refused;
/// `meanwhile.json`, if there is one, is what somebody else writes after our first read.
const KUBECTL: &str = r#"#!/bin/sh
set -eu
cluster=$(dirname "$0")
object=$cluster/object.json
[ "$1" = --context ] && [ "$2" = "$(cat "$cluster/context")" ] || { echo "no context $2" >&2; exit 1; }
shift 2
[ "$1" != -n ] || shift 2
case $1 in
get)
    [ "$2 $3" = "$(cat "$cluster/address")" ] || { echo "nobody knows $2 $3" >&2; exit 1; }
    [ "$4 $5 $6" = "--ignore-not-found -o json" ]
    [ ! -f "$object" ] || cat "$object"
    [ ! -f "$cluster/meanwhile.json" ] || mv "$cluster/meanwhile.json" "$object"
    ;;
create)
    [ ! -f "$object" ] || { echo "it exists already" >&2; exit 1; }
    jq '.metadata.resourceVersion = "1"' "$3" >"$object.new"
    mv "$object.new" "$object"
    ;;
replace)
    jq --slurpfile live "$object" 'if .metadata.resourceVersion != $live[0].metadata.resourceVersion
        then error("the object has been modified")
        else .metadata.resourceVersion |= (tonumber + 1 | tostring) end' "$3" >"$object.new" || exit 1
    mv "$object.new" "$object"
    ;;
*) exit 1 ;;
esac
"#;

const COREFILE: &str = ".:53 {\n    errors\n    forward . /etc/resolv.conf\n    reload\n}\ncorp.example.com:53 {\n    forward . 10.1.2.3\n}\n";

const BLOCK: &str = "# meshlatch: global\nglobal:53 {\n    errors\n    cache 30\n    forward . 10.0.0.53\n}\n# meshlatch: end of global\n";

struct Cluster {
    folder: tempfile::TempDir,
}

struct Run {
    ok: bool,
    said: String,
}

impl Cluster {
    /// A cluster whose DNS has this object, and the script of a golden case for it.
    fn new(case: &str, object: Option<&Value>) -> Self {
        let script = support::root().join(format!("tests/golden/{case}/out/east/30-dns/apply.sh"));
        Self::with_script(&std::fs::read_to_string(script).expect("the case has a script"), "east", object)
    }

    fn with_script(script: &str, context: &str, object: Option<&Value>) -> Self {
        for tool in ["sh", "jq"] {
            let found = Command::new(tool).args(["-n", "1"]).output().is_ok();
            assert!(found, "these tests run the scripts of a bundle: install `{tool}`");
        }
        let cluster = Self { folder: tempfile::tempdir().expect("a folder can be made") };
        cluster.write("kubectl", KUBECTL);
        make_executable(&cluster.path("kubectl"));
        cluster.write("apply.sh", script);
        cluster.write("context", context);
        let value = |name: &str| {
            let line = script.lines().find_map(|it| it.strip_prefix(name)).expect("the script names its object");
            line.to_owned()
        };
        cluster.write("address", &format!("{} {}", value("resource="), value("name=")));
        if let Some(object) = object {
            cluster.write("object.json", &object.to_string());
        }
        cluster
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file can be written");
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let path = std::env::var("PATH").expect("there is a PATH");
        let output = Command::new("sh")
            .arg(self.path("apply.sh"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env("PATH", format!("{}:{path}", self.folder.path().display()))
            .output()
            .expect("sh can be started");
        let said = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
        Run { ok: output.status.success(), said }
    }

    fn object(&self) -> Value {
        let text = std::fs::read_to_string(self.path("object.json")).expect("the cluster has the object");
        serde_json::from_str(&text).expect("the object is JSON")
    }

    /// The object without what the API server counts.
    fn content(&self) -> Value {
        let mut object = self.object();
        object["metadata"]["resourceVersion"].take();
        object
    }

    fn corefile(&self) -> String {
        self.object()["data"]["Corefile"].as_str().expect("there is a Corefile").to_owned()
    }

    /// Runs the script, which must refuse with these words and change nothing.
    fn refuses(&self, words: &str) {
        let before = self.object();
        let run = self.run(&[]);
        assert!(!run.ok, "it must refuse: {}", run.said);
        assert!(run.said.contains(words), "{words:?} is missing: {}", run.said);
        assert_eq!(self.object(), before);
    }
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a file of ours takes a mode");
}

fn config_map(name: &str, data: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name, "namespace": "kube-system", "resourceVersion": "41",
            "labels": {"addonmanager.kubernetes.io/mode": "EnsureExists"},
        },
        "data": data,
    })
}

fn coredns(corefile: &str) -> Value {
    config_map("coredns", &json!({"Corefile": corefile, "NodeHosts": "10.0.0.2 node-1\n"}))
}

fn openshift(servers: &Value) -> Value {
    json!({
        "apiVersion": "operator.openshift.io/v1",
        "kind": "DNS",
        "metadata": {"name": "default", "resourceVersion": "7"},
        "spec": {"logLevel": "Normal", "servers": servers},
        "status": {"clusterIP": "172.30.0.10"},
    })
}

fn corp() -> Value {
    json!({"name": "corp", "zones": ["corp.example.com"], "forwardPlugin": {"policy": "Random", "upstreams": ["10.1.2.3"]}})
}

fn ours() -> Value {
    json!({"name": "meshlatch", "zones": ["global"], "forwardPlugin": {"upstreams": ["10.0.0.53"]}})
}

/// A case, the object it finds, what of the object it changes, and the value afterwards.
fn providers() -> Vec<(&'static str, Value, &'static str, Value)> {
    let stub_domains =
        json!({"stubDomains": r#"{"corp.example.com": ["10.1.2.3"]}"#, "upstreamNameservers": "[\"8.8.8.8\"]"});
    let custom = json!({"corp.server": "corp.example.com:53 {\n    forward . 10.1.2.3\n}\n", "log.override": "log\n"});
    let node = ".:53 {\n    errors\n    bind 169.254.20.10 10.0.0.10\n    forward . /etc/resolv.conf\n}\n";
    let node_block = BLOCK.replace("    errors\n", "    bind 169.254.20.10 10.0.0.10\n    errors\n");
    let key = BLOCK.lines().filter(|it| !it.starts_with('#')).collect::<Vec<_>>().join("\n") + "\n";
    vec![
        (
            "dns_kube_dns",
            config_map("kube-dns", &stub_domains),
            "/data/stubDomains",
            json!(r#"{"corp.example.com":["10.1.2.3"],"global":["10.0.0.53"]}"#),
        ),
        ("dns_coredns", coredns(COREFILE), "/data/Corefile", json!(format!("{COREFILE}{BLOCK}"))),
        (
            "dns_coredns_proxy",
            coredns(COREFILE),
            "/data/Corefile",
            json!(format!("{COREFILE}{}", BLOCK.replace("forward", "proxy"))),
        ),
        ("dns_eks", coredns(COREFILE), "/data/Corefile", json!(format!("{COREFILE}{BLOCK}"))),
        (
            "dns_nodelocal",
            config_map("node-local-dns", &json!({"Corefile": node})),
            "/data/Corefile",
            json!(format!("{node}{node_block}")),
        ),
        ("dns_aks", config_map("coredns-custom", &custom), "/data/meshlatch.server", json!(key)),
        ("dns_openshift", openshift(&json!([corp()])), "/spec/servers", json!([corp(), ours()])),
    ]
}

#[test]
fn it_adds_our_entry_once_and_takes_exactly_that_away() {
    for (case, object, pointer, expected) in providers() {
        let cluster = Cluster::new(case, Some(&object));
        let before = cluster.content();

        let run = cluster.run(&["--dry-run"]);
        assert!(run.ok && run.said.contains("dry run"), "{case}: {}", run.said);
        assert_eq!(cluster.object(), object, "{case}");

        let run = cluster.run(&[]);
        assert!(run.ok, "{case}: {}", run.said);
        let added = run.said.lines().any(|it| it.starts_with('+') && it.contains("10.0.0.53"));
        assert!(added, "{case} shows what it changes: {}", run.said);
        let mut after = cluster.content();
        assert_eq!(after.pointer(pointer), Some(&expected), "{case}");

        // All else is as it was.
        let changed = after.pointer_mut(pointer).expect("it was read above");
        match before.pointer(pointer) {
            Some(old) => *changed = old.clone(),
            None => _ = after["data"].as_object_mut().expect("it is a map").remove("meshlatch.server"),
        }
        assert_eq!(after, before, "{case}");

        let once = cluster.object();
        let run = cluster.run(&[]);
        assert!(run.ok && run.said == "nothing to change: the entry for global is in place\n", "{case}: {}", run.said);
        assert_eq!(cluster.object(), once, "{case}");

        let run = cluster.run(&["--remove"]);
        assert!(run.ok, "{case}: {}", run.said);
        if case == "dns_kube_dns" {
            assert_eq!(cluster.object()["data"]["stubDomains"], json!(r#"{"corp.example.com":["10.1.2.3"]}"#));
        } else {
            assert_eq!(cluster.content(), before, "{case}");
        }
        let run = cluster.run(&["--remove"]);
        assert!(run.ok && run.said == "nothing to change: the entry for global is not there\n", "{case}: {}", run.said);
    }
}

#[test]
fn it_makes_the_object_only_where_that_is_whole() {
    for (case, data) in [
        ("dns_kube_dns", json!({"stubDomains": r#"{"global":["10.0.0.53"]}"#})),
        ("dns_aks", json!({"meshlatch.server": "global:53 {\n    errors\n    cache 30\n    forward . 10.0.0.53\n}\n"})),
    ] {
        let cluster = Cluster::new(case, None);
        assert!(cluster.run(&["--remove"]).said.contains("is not there"), "{case}");
        assert!(!cluster.path("object.json").exists(), "{case}");
        let run = cluster.run(&[]);
        assert!(run.ok, "{case}: {}", run.said);
        assert_eq!(cluster.object()["data"], data, "{case}");
    }
    for case in ["dns_coredns", "dns_eks", "dns_nodelocal", "dns_openshift"] {
        let cluster = Cluster::new(case, None);
        let run = cluster.run(&[]);
        assert!(!run.ok && run.said.contains("there is no"), "{case}: {}", run.said);
        assert!(!cluster.path("object.json").exists(), "{case}");
    }
}

#[test]
fn it_leaves_a_suffix_to_whom_it_belongs() {
    let other = "global:53 {\n    forward . 10.9.9.9\n}\n";
    let foreign = [
        ("dns_kube_dns", config_map("kube-dns", &json!({"stubDomains": r#"{"global":["10.9.9.9"]}"#})), "10.9.9.9"),
        ("dns_kube_dns", config_map("kube-dns", &json!({"stubDomains": r#"{"Global.":["10.0.0.53"]}"#})), "Global."),
        ("dns_kube_dns", config_map("kube-dns", &json!({"stubDomains": "global=10.9.9.9"})), "not a JSON object"),
        ("dns_coredns", coredns(&format!("{COREFILE}{other}")), "somebody else's block"),
        // Ours is there too.
        ("dns_coredns", coredns(&format!("{COREFILE}{BLOCK}{other}")), "somebody else's block"),
        ("dns_aks", config_map("coredns-custom", &json!({"mesh.server": other})), "`mesh.server` serves `global`"),
        (
            "dns_openshift",
            openshift(
                &json!([{"name": "mesh", "zones": ["a.example.com", "global"], "forwardPlugin": {"upstreams": ["10.9.9.9"]}}]),
            ),
            "`mesh` of the DNS operator",
        ),
    ];
    for (case, object, words) in foreign {
        Cluster::new(case, Some(&object)).refuses(words);
    }
}

#[test]
fn an_old_entry_of_kube_dns_is_replaced_when_asked_for() {
    let domains = json!({"stubDomains": r#"{"corp.example.com":["10.1.2.3"],"global":["10.9.9.9"]}"#});
    let cluster = Cluster::new("dns_kube_dns", Some(&config_map("kube-dns", &domains)));
    cluster.refuses("--replace");
    let run = cluster.run(&["--replace"]);
    assert!(run.ok, "{}", run.said);
    let now = r#"{"corp.example.com":["10.1.2.3"],"global":["10.0.0.53"]}"#;
    assert_eq!(cluster.object()["data"]["stubDomains"], json!(now));
    // What no single entry can say is left to people.
    let other = "global:53 {\n    forward . 10.9.9.9\n}\n";
    let cluster = Cluster::new("dns_coredns", Some(&coredns(&format!("{COREFILE}{other}"))));
    assert!(!cluster.run(&["--replace"]).ok);
}

#[test]
fn it_tells_its_arguments() {
    let run = Cluster::new("dns_kube_dns", None).run(&["--help"]);
    assert!(run.ok && run.said.contains("apply.sh --remove") && !run.said.contains("set -eu"), "{}", run.said);
}

#[test]
fn it_touches_no_corefile_that_it_does_not_understand() {
    for (corefile, words) in [
        ("", "not whole"),
        ("corp.example.com:53 {\n    errors\n}\n", "not whole"),
        (".:1053 {\n    errors\n}\n", "listens elsewhere"),
        (".:53 {\n    errors\n", "a brace is not closed"),
        (".:53\nerrors\n", "has no braces"),
        (".:53 {\n    errors\n}\n# meshlatch: global\nglobal:53 {\n    errors\n}\n", "do not stand around one block"),
        (".:53 {\n    errors\n}\n# meshlatch: end of global\n# meshlatch: global\n", "do not stand around one block"),
    ] {
        Cluster::new("dns_coredns", Some(&coredns(corefile))).refuses(words);
    }
}

#[test]
fn it_brings_an_older_entry_up_to_date_in_its_place() {
    let old = BLOCK.replace("10.0.0.53", "10.0.0.99");
    let cluster = Cluster::new("dns_coredns", Some(&coredns(&format!("{old}{COREFILE}"))));
    assert!(cluster.run(&[]).ok);
    assert_eq!(cluster.corefile(), format!("{BLOCK}{COREFILE}"));

    // What the API server filled in is no reason to write.
    let filled = json!({
        "name": "meshlatch", "zones": ["global"],
        "forwardPlugin": {"policy": "Random", "upstreams": ["10.0.0.53"], "transportConfig": {}},
    });
    let cluster = Cluster::new("dns_openshift", Some(&openshift(&json!([filled, corp()]))));
    assert!(cluster.run(&[]).said.contains("nothing to change"));
    let mut moved = filled.clone();
    moved["forwardPlugin"]["upstreams"] = json!(["10.0.0.99"]);
    let cluster = Cluster::new("dns_openshift", Some(&openshift(&json!([moved, corp()]))));
    assert!(cluster.run(&[]).ok);
    assert_eq!(cluster.object()["spec"]["servers"], json!([filled, corp()]));
}

#[test]
fn an_edit_by_somebody_else_is_not_lost() {
    // One frame serves all providers: two kinds of object, with a namespace and without.
    for (case, object, _, _) in providers().into_iter().filter(|it| ["dns_coredns", "dns_openshift"].contains(&it.0)) {
        let cluster = Cluster::new(case, Some(&object));
        let mut edited = object.clone();
        edited["metadata"]["resourceVersion"] = json!("99");
        edited["metadata"]["labels"] = json!({"edited": "meanwhile"});
        cluster.write("meanwhile.json", &edited.to_string());
        let run = cluster.run(&[]);
        assert!(!run.ok && run.said.contains("run this again"), "{case}: {}", run.said);
        assert_eq!(cluster.object(), edited, "{case}");
        assert!(cluster.run(&[]).ok, "{case}");
        assert_eq!(cluster.object()["metadata"]["labels"], json!({"edited": "meanwhile"}), "{case}");
    }
}

#[test]
fn it_says_when_coredns_must_be_restarted() {
    let run = Cluster::new("dns_coredns", Some(&coredns(COREFILE))).run(&[]);
    assert!(run.said.ends_with("CoreDNS reads it within two minutes\n"), "{}", run.said);
    let run = Cluster::new("dns_coredns", Some(&coredns(".:53 {\n    errors\n}\n"))).run(&[]);
    assert!(
        run.said.ends_with("kubectl --context east -n kube-system rollout restart deployment/coredns\n"),
        "{}",
        run.said
    );
}

#[test]
fn it_takes_no_argument_that_it_does_not_know() {
    let cluster = Cluster::new("dns_coredns", Some(&coredns(COREFILE)));
    for arguments in [&["--delete"][..], &["--remove", "--dry-run"]] {
        let run = cluster.run(arguments);
        assert!(!run.ok && run.said.contains("argument"), "{}", run.said);
    }
    assert_eq!(cluster.corefile(), COREFILE);
}

const CONTEXT: &str = "it's \"east\"; touch broken #$(touch broken)";

#[test]
fn a_context_stays_one_word() {
    let quoted = serde_json::to_string(CONTEXT).expect("a text has a form in JSON");
    let mesh =
        support::compile(&topology(&format!("context: {quoted}\n    dns: {{provider: coredns, address: 10.0.0.53}}")));
    let tree = support::tree(&mesh);
    let cluster = Cluster::with_script(&tree["east/30-dns/apply.sh"], CONTEXT, Some(&coredns(COREFILE)));
    let run = cluster.run(&[]);
    assert!(run.ok, "{}", run.said);
    assert_eq!(cluster.corefile(), format!("{COREFILE}{BLOCK}"));
    assert!(!cluster.path("broken").exists());
}

/// A topology whose cluster `east` calls out; `east` is more of its fields.
fn topology(east: &str) -> String {
    format!(
        "version: 1
allow: [T0306]
clusters:
  east:
    istio: \"1.5.2\"
    gateway: 34.70.9.157
    {east}
  west: {{istio: \"1.5.2\", gateway: 35.193.92.27}}
services:
  cart: {{clusters: west, ports: {{grpc: 7070}}, workload: elsewhere}}
  frontend: {{clusters: east, calls: [{{service: cart}}], workload: elsewhere}}
"
    )
}

/// Whether our block may stand beside these, whoever reads them: the compiler or the script.
const COREFILES: &[(&str, Result<(), &str>)] = &[
    (".:53 {\n}\n", Ok(())),
    (". {\n}\n", Ok(())),
    ("dns://.:53 {\n}\n", Ok(())),
    ("\".\" {\n}\n", Ok(())),
    (".:53\n{\n}\n", Ok(())),
    ("a.example.com, \nb.example.com .:53 {\n}\n", Ok(())),
    ("# global {\n.:53 { # global\n}\n", Ok(())),
    (".:53 {\n    forward global 10.1.1.1\n    template {\n        global\n    }\n}\n", Ok(())),
    (".:53 {\n}\nglobal:5353 {\n}\n", Ok(())),
    (".:53 {\n}\ntls://global {\n}\n", Ok(())),
    (".:53 {\n}\ncart.global {\n}\n", Err("global")),
    ("(global) {\n    errors\n}\n.:53 {\n    import global\n}\n", Ok(())),
    (".:53 {\n}\nimport custom/*.server\n", Ok(())),
    ("import global\n.:53 {\n}\n", Ok(())),
    (".:53 {\n    log \"{\"x\n}\n", Err("whole")),
    (".:53 {\n    log \"a { b\" \"\\\"}\"\n}\n", Ok(())),
    (".:53 {\r\n}\r\n", Ok(())),
    (".:53 {\n}\nglobal {\n}\n", Err("global")),
    (".:53 {\n}\nGLOBAL.:53 {\n}\n", Err("global")),
    (".:53 global:53 {\n}\n", Err("global")),
    (".:53 {\n} global {\n}\n", Err("global")),
    (".:53 {\n}\na.example.com,\nglobal {\n}\n", Err("global")),
    (".:53 {\n}\n\"global\" {\n}\n", Err("global")),
    (".:53 {\n}\nglobal#x\n{\n}\n", Err("global")),
    (".:53 {\n}\nimport a\nglobal {\n}\n", Err("global")),
    (".:53 {\n}\nglobal{\n}\n", Err("whole")),
    (".:53 {\n}\n}\n", Err("whole")),
    (".:53 {\n    errors {\n}\n", Err("whole")),
    (".:53 {\n    errors # }\n", Err("whole")),
    ("{\n}\n", Err("whole")),
    ("., {\n}\n", Err("whole")),
    (".:53\n", Err("whole")),
    (".:5353 {\n}\n", Err("whole")),
];

#[test]
fn the_compiler_and_the_script_read_a_corefile_alike() {
    for (corefile, verdict) in COREFILES {
        let script = Cluster::new("dns_coredns", Some(&coredns(corefile))).run(&["--dry-run"]);
        let quoted = serde_json::to_string(corefile).expect("a text has a form in JSON");
        let text =
            topology(&format!("dns: {{provider: coredns, address: 10.0.0.53, existing: {{corefile: {quoted}}}}}"));
        let (mesh, said, _) = support::compile_bytes("topology.yaml", text.into_bytes(), &Inputs::default());
        match verdict {
            Ok(()) => {
                assert!(script.ok, "{corefile:?}: {}", script.said);
                let tree = support::tree(&mesh.unwrap_or_else(|| panic!("{corefile:?}: {said}")));
                let object: Value = serde_yaml::from_str(&tree["east/30-dns/stub/coredns.yaml"]).expect("it is YAML");
                let merged = object["data"]["Corefile"].as_str().expect("there is a Corefile");
                assert_eq!(merged, format!("{corefile}{BLOCK}"));
            }
            Err(what) => {
                assert!(!script.ok && mesh.is_none(), "{corefile:?}: {}{said}", script.said);
                let [taken, broken] = [("T0702", "global` already"), ("T0703", "Corefile")];
                let (code, words) = if *what == "global" { taken } else { broken };
                assert!(said.contains(code), "{corefile:?}: {said}");
                assert!(script.said.contains(words), "{corefile:?}: {}", script.said);
            }
        }
    }
}

#[test]
fn the_script_merges_what_the_compiler_merges() {
    for (script, whole, file) in [
        ("dns_coredns", "dns_coredns_existing", "coredns"),
        ("dns_nodelocal", "dns_nodelocal_existing", "node-local-dns"),
    ] {
        let path = format!("tests/golden/{whole}/out/east/30-dns/stub/{file}.yaml");
        let text = std::fs::read_to_string(support::root().join(path)).expect("the case has the object");
        let object: Value = serde_yaml::from_str(&text).expect("it is YAML");
        let merged = object["data"]["Corefile"].as_str().expect("there is a Corefile");
        let (before, _) = merged.split_once("# meshlatch: ").expect("it has our block");
        let cluster = Cluster::new(script, Some(&config_map(file, &json!({"Corefile": before}))));
        assert!(cluster.run(&[]).ok);
        assert_eq!(cluster.corefile(), merged);
    }
}
