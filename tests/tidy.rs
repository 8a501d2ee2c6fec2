//! Rules of the project itself, so that nobody has to remember them.

use std::collections::{BTreeMap, BTreeSet};

use meshlatch::diag::Code;

use crate::support;

/// Who may use whom: a module and the modules of this crate that it may name. A new edge is a
/// line of difference here.
const LAYERS: [(&str, &[&str]); 24] = [
    ("source", &[]),
    ("yaml", &[]),
    ("bundle", &[]),
    ("target", &[]),
    ("diag", &["source"]),
    ("lock", &["diag", "source"]),
    ("inputs", &["diag", "lock"]),
    ("syntax", &["diag", "source"]),
    ("format", &["diag", "source", "syntax"]),
    ("topology", &["diag", "inputs", "source", "syntax", "target"]),
    ("addresses", &["diag", "lock", "source", "topology"]),
    ("model", &["addresses", "syntax", "target", "topology"]),
    // Rendering writes what was typed and resolved; it has not seen a whole `Topology`.
    ("resources", &["bundle", "model", "syntax", "target", "topology", "yaml"]),
    // Mixes the bundles of before and after: it reads what was written, and knows no model.
    ("phases", &["bundle", "resources", "syntax", "yaml"]),
    // Reads the files that clusters are given, whoever wrote them.
    ("trees", &["diag"]),
    // Reads objects, and of a topology who calls whom, where the clusters are, and what nobody wrote down.
    ("prove", &["bundle", "diag", "model", "syntax", "target", "topology", "trees"]),
    // What differs between two bundles, and what that takes.
    ("change", &["bundle", "diff", "phases", "resources"]),
    // Compares what was written, by whomever; what that means, the topologies say.
    ("diff", &["bundle", "diag", "model", "prove", "topology", "trees", "yaml"]),
    // Goes from one mesh to another, moment by moment.
    ("rollout", &["bundle", "change", "diff", "model", "phases", "prove", "resources", "syntax", "topology", "yaml"]),
    // Compiles as a user would, and compares what comes out.
    (
        "migrate",
        &[
            "bundle",
            "change",
            "diag",
            "diff",
            "inputs",
            "model",
            "phases",
            "resources",
            "source",
            "syntax",
            "topology",
            "yaml",
        ],
    ),
    ("stats", &["bundle", "model", "topology"]),
    // Knows what the stages decide, and tells it as places of the source.
    ("why", &["diag", "source", "syntax", "topology"]),
    (
        "lib",
        &[
            "addresses",
            "bundle",
            "diag",
            "inputs",
            "lock",
            "model",
            "phases",
            "source",
            "stats",
            "topology",
            "syntax",
            "resources",
        ],
    ),
    ("bin", &[]),
];

fn sources() -> BTreeMap<String, String> {
    support::read_tree(&support::root().join("src")).into_iter().filter(|it| it.0.ends_with(".rs")).collect()
}

/// The module at the top that a file belongs to.
fn layer(path: &str) -> &str {
    path.split('/').next().map_or(path, |it| it.strip_suffix(".rs").unwrap_or(it))
}

#[test]
fn modules_use_only_what_their_layer_may() {
    let layers: BTreeMap<_, _> = LAYERS.into_iter().collect();
    for (path, text) in sources() {
        let layer = layer(&path);
        let allowed = layers.get(layer).unwrap_or_else(|| panic!("add `{layer}` to LAYERS"));
        for (at, _) in text.match_indices("crate::") {
            let used: String = text[at + 7..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            let known = layers.contains_key(used.as_str());
            assert!(
                !known || used == layer || allowed.contains(&used.as_str()),
                "{path}: `{layer}` may not use `{used}`"
            );
        }
        let minijinja = text.contains("minijinja") && !path.ends_with("resources/template.rs");
        assert!(!minijinja, "{path}: only `resources/template.rs` knows minijinja");
        let serializer = text.contains("ser::Serializer for") && path != "yaml.rs";
        assert!(!serializer, "{path}: only `yaml.rs` writes YAML");
        assert!(layer != "resources" || !text.contains("Topology"), "{path}: `resources` has not seen a Topology");
    }
}

/// Tests that stop a run at each change of the disk know of those in one file.
#[test]
fn only_one_file_changes_the_disk() {
    let acts = [
        "fs::write(",
        "fs::rename(",
        "fs::remove_",
        "fs::create_dir",
        "fs::hard_link(",
        "fs::copy(",
        "fs::set_",
        "File::create",
        "OpenOptions",
        "DirBuilder",
        ".set_permissions(",
        ".set_modified(",
        ".set_len(",
        "fs::symlink(",
    ];
    let binary = sources().into_iter().filter(|(path, _)| path.starts_with("bin/"));
    let (disk, others): (BTreeMap<_, _>, BTreeMap<_, _>) = binary.partition(|it| it.0 == "bin/meshlatch/disk.rs");
    for (path, text) in others {
        let act = acts.iter().find(|act| text.contains(*act));
        assert_eq!(act, None, "{path} changes the disk: do it in disk.rs");
    }
    let text = &disk["bin/meshlatch/disk.rs"];
    let functions = text.split("\npub(crate) fn ").skip(1);
    for function in functions {
        let counted = function
            .find("step()?")
            .is_some_and(|at| acts.iter().all(|act| function.find(act).is_none_or(|it| at < it)));
        let changes = acts.iter().any(|act| function.contains(act));
        assert!(!changes || counted, "no step before `{}`", function.split('(').next().unwrap_or_default());
    }
}

#[test]
fn every_source_says_its_subject_first() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{path} begins with one line that names its subject");
    }
    for (name, folder) in support::golden_cases() {
        let text = std::fs::read_to_string(folder.join("topology.yaml")).expect("a case has a topology");
        assert!(text.starts_with("# "), "{name} begins with one line on what it shows");
    }
}

#[test]
fn every_template_is_listed_and_filled() {
    let list = std::fs::read_to_string(support::root().join("src/resources/template.rs")).expect("it is there");
    let sources: String = sources().into_iter().filter(|it| it.0 != "resources/template.rs").map(|it| it.1).collect();
    let templates = support::read_tree(&support::root().join("templates"));
    assert!(!templates.is_empty());
    for path in templates.keys() {
        let line = list.lines().find(|line| line.contains(&format!("\"{path}\"")));
        let line = line.unwrap_or_else(|| panic!("add templates/{path} to src/resources/template.rs"));
        let name = line.trim().split(' ').next().expect("a line has a first word");
        let included = templates.values().any(|it| it.contains(&format!("{{% include \"{path}\" %}}")));
        assert!(included || sources.contains(&format!("Template::{name}")), "nothing fills templates/{path}");
    }
    // A decision is made in Rust, where it has a name and a type.
    for (path, text) in &templates {
        let mut tags = text.split("{%").skip(1).filter_map(|it| it.split("%}").next());
        let comparisons = ["<", ">", "==", "!=", " in "];
        let decides = tags.find(|tag| !tag.contains(" for ") && comparisons.iter().any(|it| tag.contains(it)));
        assert_eq!(decides, None, "templates/{path} decides something");
    }
}

#[test]
fn every_release_has_a_golden_case() {
    let cases: String = support::golden_cases()
        .iter()
        .map(|it| std::fs::read_to_string(it.1.join("topology.yaml")).expect("a case has a topology"))
        .collect();
    for istio in meshlatch::target::RELEASES {
        assert!(cases.contains(&format!("istio: \"{}.", istio.line())), "add a golden case for Istio {}", istio.line());
    }
}

#[test]
fn every_code_is_explained_and_shown() {
    let fixtures = support::read_tree(&support::root().join("tests/diagnostics"));
    let mut ids = BTreeSet::new();
    for code in Code::ALL {
        assert!(ids.insert(code.as_str()), "{code} stands twice");
        assert!(code.explanation().len() > 200, "write src/diag/explain/{code}.md");
        let name = code.as_str().to_lowercase();
        assert!(
            fixtures.keys().any(|it| it.starts_with(&format!("{name}_")) && it.ends_with(".snap")),
            "add a fixture tests/diagnostics/{name}_….yaml and its snapshot"
        );
    }
    let files = std::fs::read_dir(support::root().join("src/diag/explain")).expect("it is there").count();
    assert_eq!(files, Code::ALL.len(), "an explanation belongs to no code");
}

#[test]
fn the_readme_lists_every_code() {
    let readme = std::fs::read_to_string(support::root().join("README.md")).expect("there is a README");
    for code in Code::ALL {
        let row = format!(
            "| {code} | {} | {} |",
            if code.severity() == meshlatch::diag::Severity::Error { "error" } else { "warning" },
            code.title()
        );
        assert!(readme.contains(&row), "the README's table of codes lacks\n{row}");
    }
}

#[test]
fn the_readme_lists_every_word_of_check() {
    let readme = std::fs::read_to_string(support::root().join("README.md")).expect("there is a README");
    let sources = sources();
    let words = sources["bin/meshlatch/compile.rs"].split("Difference::").skip(1).filter_map(|it| it.split('"').nth(1));
    let words: Vec<_> = words.chain(["waiting"]).collect();
    assert!(words.len() > 8, "{words:?}");
    for word in words {
        assert!(readme.contains(&format!("\n| `{word}` | ")), "the README's words of `--check` lack `{word}`");
    }
}

/// The part of the README's field reference in which the fields of a struct stand.
const SECTIONS: [(&str, &str); 19] = [
    ("MeshSpec", "mesh"),
    ("TrustSpec", "trust"),
    ("ExternalSecretSpec", "trust"),
    ("ClusterSpec", "clusters.<name>"),
    ("RangesSpec", "clusters.<name>"),
    ("IngressGatewaySpec", "clusters.<name>"),
    ("GatewaySpec", "gateway"),
    ("DnsSpec", "dns"),
    ("ExistingDnsSpec", "dns"),
    ("ForwarderSpec", "dns"),
    ("ServiceSpec", "services.<name>"),
    ("BalanceSpec", "services.<name>"),
    ("PortSpec", "services.<name>"),
    ("CallSpec", "calls[]"),
    ("WorkloadSpec", "workload"),
    ("ExternalSpec", "externals.<name>"),
    ("IngressSpec", "ingress.<name>"),
    ("MovingSpec", "moving"),
    ("BeforeSpec", "moving"),
];

#[test]
fn the_readme_lists_every_field() {
    let readme = std::fs::read_to_string(support::root().join("README.md")).expect("there is a README");
    let spec = std::fs::read_to_string(support::root().join("src/syntax/spec.rs")).expect("it is there");
    let sections: BTreeMap<_, _> = SECTIONS.into_iter().collect();
    let mut section = None;
    let mut renamed = None;
    let mut seen = 0;
    for line in spec.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("#[serde(rename = \"") {
            renamed = name.split('"').next().map(str::to_owned);
        } else if let Some(name) = line.strip_prefix("pub struct ") {
            let name = name.trim_end_matches(" {");
            section = match name {
                // The rows of the file itself are the headings of the others.
                "TopologySpec" => None,
                "IngressTlsSpec" => Some("ingress.<name>"),
                _ => Some(*sections.get(name).unwrap_or_else(|| panic!("add `{name}` to SECTIONS"))),
            };
        }
        let Some((name, _)) = line.strip_prefix("pub ").and_then(|it| it.split_once(':')) else { continue };
        let field = renamed.take().unwrap_or_else(|| camel(name));
        let Some(section) = section else { continue };
        let (_, rows) =
            readme.split_once(&format!("| **`{section}`** |")).unwrap_or_else(|| panic!("no rows for {section}"));
        let rows = rows.split("| **").next().unwrap_or(rows).split("\n\n").next().unwrap_or(rows);
        assert!(rows.contains(&format!("`{field}`")), "the README's rows of `{section}` lack `{field}`");
        seen += 1;
    }
    assert!(seen > 70, "{seen} fields");
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

#[test]
fn nothing_is_left_to_do_and_no_machine_is_named() {
    let mut files = BTreeMap::new();
    for folder in ["src", "templates", "tests", "conformance", "docs", "benches", "out"] {
        for (path, text) in support::read_tree(&support::root().join(folder)) {
            files.insert(format!("{folder}/{path}"), text);
        }
    }
    for file in ["README.md", "Cargo.toml", "topology.yaml", ".ci/run"] {
        files.insert(file.to_owned(), std::fs::read_to_string(support::root().join(file)).expect("it is there"));
    }
    // Written apart, so that this file does not find itself.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("un", "implemented!"),
    ];
    for (path, text) in files {
        for word in words {
            assert!(!text.contains(word), "{path} says `{word}`");
        }
    }
}
