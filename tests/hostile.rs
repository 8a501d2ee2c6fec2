//! Hostile input: whatever is read becomes a diagnostic, or a value in its place; never a panic,
//! a hang, or a byte where it does not belong.

#![expect(
    clippy::disallowed_methods,
    clippy::format_collect,
    reason = "tests read their fixtures and have a clock; the ban is for the library; large inputs are put together as text"
)]

use std::collections::BTreeMap;

use meshlatch::Mesh;
use meshlatch::diag::{Code, Diagnostics};
use meshlatch::inputs::Inputs;
use meshlatch::source::Source;
use proptest::prelude::*;
use serde_yaml::Value;

use crate::support;

const CLUSTER: &str = "version: 1\nallow: [T0306]\nclusters:\n  east: {istio: \"1.5.2\"}\n";

/// The codes that bytes give, in the order in which they are told.
fn told(bytes: impl Into<Vec<u8>>) -> Vec<Code> {
    let (_, said, diags) = support::compile_bytes("topology.yaml", bytes.into(), &Inputs::default());
    assert!(!said.contains(|c: char| c.is_control() && c != '\n'), "a message moves the cursor: {said:?}");
    diags.sorted().iter().map(|it| it.code).collect()
}

/// A workload with these lines below `workload:`, which must compile; gives its Deployment.
fn deployment(workload: &str) -> Value {
    let text = format!("{CLUSTER}services:\n  cart:\n    clusters: east\n    workload:\n      image: cart\n{workload}");
    let tree = support::tree(&support::compile(&text));
    object(&tree["east/40-apps/cart.default.yaml"], "Deployment")
}

/// The object of a kind in a file of a bundle.
fn object(file: &str, kind: &str) -> Value {
    objects(file).into_iter().find(|it| it["kind"] == kind).expect("the file has an object of the kind")
}

fn objects(file: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(file)
        .map(|it| serde::Deserialize::deserialize(it).expect("a bundle's file is YAML"))
        .collect()
}

#[test]
fn what_says_nothing_is_refused() {
    for text in ["", "\n", " \n\n", "# a comment\n", "---\n", "...\n", "null", "~"] {
        assert!(matches!(told(text)[..], [Code::EmptyFile | Code::WrongType]), "{text:?}: {:?}", told(text));
    }
    for text in ["[]", "- a\n- b\n", "42", "text", "\"text\"", "!tag {}", "true"] {
        assert_eq!(told(text), [Code::WrongType], "{text:?}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    for bytes in
        [&b"\xff\xfe\0v\0"[..], b"\x7fELF\x02\x01\x01\0\0", b"a: \x80", b"a: b\0c", b"a: \x1b[31m", b"\xed\xa0\x80"]
    {
        assert_eq!(told(bytes), [Code::NotText], "{bytes:?}");
    }
    assert_eq!(told((0..=255).cycle().take(100_000).collect::<Vec<u8>>()), [Code::NotText]);
}

#[test]
fn a_byte_order_mark_and_windows_lines_change_nothing() {
    let text = std::fs::read_to_string(support::root().join("topology.yaml")).expect("the example is there");
    let plain = support::tree(&support::compile(&text));
    assert_eq!(plain, support::tree(&support::compile(&format!("\u{feff}{text}"))));
    assert_eq!(plain, support::tree(&support::compile(&text.replace('\n', "\r\n"))));
    assert_eq!(plain, support::tree(&support::compile(&format!("---\n{text}...\n"))));
}

#[test]
fn anchors_and_merges_work() {
    let text = format!(
        "{CLUSTER}services:\n  \
         a: &a {{clusters: &where east, ports: {{grpc: 80}}, labels: {{team: shop}}}}\n  \
         b: &b {{<<: *a, namespace: back}}\n  \
         c: {{<<: *b, labels: {{team: cart}}}}\n  \
         d: {{<<: [{{namespace: front}}, *b]}}\n  \
         e: {{clusters: *where, ports: {{grpc: 80}}}}\n"
    );
    let tree = support::tree(&support::compile(&text));
    let namespace = |path: &str| object(&tree[path], "Service")["metadata"]["namespace"].clone();
    let team = |path: &str| object(&tree[path], "Service")["metadata"]["labels"]["team"].clone();
    assert_eq!(namespace("east/40-apps/b.back.yaml"), "back");
    assert_eq!(team("east/40-apps/b.back.yaml"), "shop");
    // What was merged into what is merged, and what a map says itself.
    assert_eq!(team("east/40-apps/c.back.yaml"), "cart");
    assert_eq!(team("east/40-apps/d.front.yaml"), "shop");
    assert_eq!(object(&tree["east/40-apps/e.default.yaml"], "Service")["kind"], "Service");
    // A key may carry an anchor, too.
    let text = format!("{CLUSTER}services:\n  &name cart: {{clusters: east, ports: {{grpc: 80}}, namespace: *name}}\n");
    assert!(support::tree(&support::compile(&text)).contains_key("east/40-apps/cart.cart.yaml"));
    assert_eq!(told(format!("{CLUSTER}services:\n  a: {{clusters: east, <<: 5}}\n")), [Code::WrongType]);
    assert_eq!(told(format!("{CLUSTER}services:\n  a: {{clusters: east, <<: *b}}\n")), [Code::InvalidYaml]);
}

#[test]
fn depth_and_size_are_bounded() {
    let open = |text: &str| format!("{CLUSTER}services: {}", text.repeat(100_000));
    for text in ["[", "{", "{a: ", "- ", "? ", "[[]", "!!a "] {
        let codes = told(open(text));
        assert!(
            matches!(codes[..], [Code::TooDeep | Code::InvalidYaml | Code::KeyNotText | Code::WrongType, ..]),
            "{text}: {codes:?}"
        );
    }
    // Brackets are counted, and the line is shown, whatever comes before them.
    for text in [
        open("["),
        open("{"),
        open("{a: "),
        "[".repeat(100_000),
        "{".repeat(100_000),
        "{a: ".repeat(100_000),
        format!("{CLUSTER}services:\n  {}", "- ".repeat(100_000)),
    ] {
        let (_, said, diags) = support::compile_bytes("topology.yaml", text.clone().into_bytes(), &Inputs::default());
        let codes: Vec<_> = diags.sorted().iter().map(|it| it.code).collect();
        assert_eq!(codes, [Code::TooDeep], "{}", &text[..100]);
        assert!(said.contains("^ this is the level too many") && said.len() < 2_000, "{said}");
    }
    for text in ["[", "{", "- ", "? ", "\"", "'", "|\n", "&a ", "*", "%"] {
        assert!(!told(text.repeat(100_000)).is_empty(), "{text}");
    }
    let indented: String = (0..1_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert_eq!(told(indented), [Code::TooDeep]);
    // Aliases of aliases, each a little deeper than the last: shallow as written, deep as read.
    let (open, close) = ("[".repeat(40), "]".repeat(40));
    let chain: String = (1..1000).map(|i| format!("  a{i}: &a{i} {open}*a{}{close}\n", i - 1)).collect();
    assert_eq!(told(format!("{CLUSTER}services:\n  a0: &a0 {{}}\n{chain}")), [Code::TooDeep]);
    let bomb: String =
        (1..30).map(|i| format!("  b{i}: &b{i} [{}]\n", vec![format!("*b{}", i - 1); 9].join(", "))).collect();
    assert_eq!(told(format!("{CLUSTER}services:\n  b0: &b0 [x]\n{bomb}")), [Code::TooManyAliases]);
}

#[test]
fn a_large_file_that_is_no_topology_is_refused_quickly() {
    assert_eq!(told("a".repeat((64 << 20) + 1)), [Code::TooLarge]);
    assert_eq!(told(vec![0xff; 100 << 20]), [Code::TooLarge]);
    // 6 MB of a list, as another tool writes it; of a map; of one line.
    assert_eq!(told("- {name: a, value: b}\n".repeat(6_000_000 / 22)), [Code::WrongType]);
    let map: String = (0..500_000).map(|i| format!("k{i:07}: 1\n")).collect();
    assert_eq!(told(map), [Code::WrongType]);
    assert_eq!(told(format!("services: [{}]\n", "1,".repeat(4_100_000))), [Code::TooLarge]);
    assert_eq!(told("x".repeat(6_000_000)), [Code::WrongType]);
}

#[test]
fn many_mistakes_on_one_long_line_cost_little() {
    let services: String = (0..1_000).map(|i| format!("s{i}: {{clusters: east, bogus: 1}}, ")).collect();
    let (_, said, diags) = support::compile_bytes(
        "topology.yaml",
        format!("{CLUSTER}services: {{{services}}}\n").into_bytes(),
        &Inputs::default(),
    );
    assert_eq!(diags.sorted().len(), 1_000);
    assert!(said.len() < 1_000 * 1_000, "{} bytes were said", said.len());
}

#[test]
fn no_line_of_a_file_with_a_secret_is_shown() {
    let key = "-----BEGIN RSA PRIVATE KEY-----";
    for text in [
        format!("{CLUSTER}services:\n  a: {{x: \"{key}\\nhunter2\"}}\n"),
        format!("{CLUSTER}services:\n  a: {{x: |\n  {key}\nhunter2: [\n"),
        format!("{CLUSTER}services:\n  a: {{x: ghp_0123456789012345678901234567890123hunter2, x: 1, 2: 3}}\n"),
    ] {
        let (mesh, said, _) = support::compile_bytes("topology.yaml", text.clone().into_bytes(), &Inputs::default());
        assert!(mesh.is_none() && !said.contains("hunter2") && said.contains("topology.yaml:"), "{said}");
    }
}

/// Names that would leave a path, a manifest, a template, a shell, a page or a line of text.
const NAMES: [&str; 22] = [
    "../../etc",
    "/etc/passwd",
    "x\nkind: Secret",
    "x\r\n---\nkind: Secret",
    "{{ 7 }}",
    "{% raw %}",
    "$(reboot)",
    "`reboot`",
    "; reboot #",
    "' || reboot '",
    "\"",
    "%s%n",
    "🚀",
    "\u{202e}gnp.exe",
    "\u{200b}",
    "\0",
    "\u{1b}[31m",
    "",
    " ",
    ".",
    "-",
    "*",
];

#[test]
fn hostile_names_are_refused_wherever_a_name_stands() {
    let long = "a".repeat(300);
    for name in NAMES.into_iter().chain([long.as_str()]) {
        let name = serde_json_like(name);
        for text in [
            format!("version: 1\nclusters:\n  {name}: {{istio: \"1.5.2\"}}\n"),
            format!("version: 1\nmesh: {{suffix: {name}}}\nclusters:\n  east: {{istio: \"1.6.14\"}}\n"),
            format!("version: 1\nmesh: {{trustDomain: {name}}}\nclusters:\n  east: {{istio: \"1.6.14\"}}\n"),
            format!("{CLUSTER}services: {{{name}: {{clusters: east}}}}\n"),
            format!("{CLUSTER}services: {{a: {{clusters: east, name: {name}}}}}\n"),
            format!("{CLUSTER}services: {{a: {{clusters: east, namespace: {name}}}}}\n"),
            format!("{CLUSTER}services: {{a: {{clusters: east, serviceAccount: {name}}}}}\n"),
            format!("{CLUSTER}services: {{a: {{clusters: {name}}}}}\n"),
            format!("{CLUSTER}services: {{a: {{clusters: east, calls: [{name}]}}}}\n"),
            format!("{CLUSTER}services: {{a: {{clusters: east, labels: {{{name}: x}}}}}}\n"),
            format!("{CLUSTER}services: {{a: {{clusters: east, annotations: {{{name}: x}}}}}}\n"),
            format!("{CLUSTER}services: {{a: {{clusters: east, ports: {{{name}: 80}}}}}}\n"),
            format!("{CLUSTER}services: {{a: {{clusters: east, ports: {{tcp: {name}}}}}}}\n"),
            format!("{CLUSTER}services: {{a: {{clusters: east, workload: {{image: a, env: {{{name}=: x}}}}}}}}\n"),
            format!(
                "{CLUSTER}services: {{a: {{clusters: east}}}}\nexternals: {{{name}: {{hosts: b.example.com, ports: {{https: 443}}, callers: a}}}}\n"
            ),
            format!(
                "{CLUSTER}services: {{a: {{clusters: east, ports: {{http: 80}}}}}}\ningress: {{{name}: {{service: a}}}}\n"
            ),
            format!(
                "{CLUSTER}services: {{a: {{clusters: east, ports: {{http: 80}}}}}}\ningress: {{b: {{service: a, tls: {{credentialName: {name}}}}}}}\n"
            ),
        ] {
            let codes = told(text.clone());
            assert!(codes.iter().any(|it| it.severity() == meshlatch::diag::Severity::Error), "{text}\n{codes:?}");
        }
    }
}

/// A text in double quotes, with escapes that YAML and JSON share.
fn serde_json_like(text: &str) -> String {
    let inner: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{inner}\"")
}

#[test]
fn keys_and_values_of_other_kinds_are_told() {
    let service = |line: &str| told(format!("{CLUSTER}services:\n  a: {{clusters: east, {line}}}\n"));
    for key in ["1", "1.5", "true", "False", "~", "null", "0x1F", "1e3", ".inf", "[a]", "{a: b}", "!x a", "!!str a"] {
        assert!(service(&format!("labels: {{{key}: x}}")).contains(&Code::KeyNotText), "{key}");
    }
    for (line, code) in [
        ("namespace: !!binary aGk=", Code::WrongType),
        ("namespace: !secret cart", Code::WrongType),
        ("namespace: [a]", Code::WrongType),
        ("name: 1.20", Code::InvalidName),
        ("labels: [a]", Code::WrongType),
        ("labels: {a: {b: c}}", Code::WrongType),
        ("ports: {http: 99999999999999999999}", Code::WrongType),
        ("ports: {http: -1}", Code::InvalidPort),
        ("ports: {http: 80.0}", Code::InvalidPort),
        ("ports: {http: 0o120}", Code::InvalidPort),
        ("ports: {http: 080}", Code::InvalidPort),
        ("ports: {http: true}", Code::InvalidPort),
        ("workload: {image: a, replicas: 1.5}", Code::WrongType),
        ("workload: {image: a, replicas: 3000000000}", Code::WrongType),
        ("workload: {image: a, replicas: on}", Code::WrongType),
        ("workload: {image: a, args: [{a: b}]}", Code::WrongType),
        ("workload: {image: a, env: {A: ~}}", Code::WrongType),
        ("workload: {image: a, env: {A: [b]}}", Code::WrongType),
        ("workload: {image: a, env: {A: !!binary aGk=}}", Code::WrongType),
    ] {
        assert_eq!(service(line), [code], "{line}");
    }
    assert_eq!(told("version: 1\nclusters:\n  east: {istio: 1.20}\n"), [Code::InvalidRelease]);
}

#[test]
fn values_of_variables_keep_their_characters() {
    let written = [
        ("1.20", "1.20"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("010", "010"),
        ("1e3", "1e3"),
        ("+1", "+1"),
        ("-0.0", "-0.0"),
        (".5", ".5"),
        (".inf", ".inf"),
        ("18446744073709551615", "18446744073709551615"),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("y", "y"),
        ("true", "true"),
        ("False", "False"),
        ("12:30:45", "12:30:45"),
        ("2001-01-01", "2001-01-01"),
        ("1_000", "1_000"),
        ("\"~\"", "~"),
        ("'null'", "null"),
        ("\"\"", ""),
        ("'it''s'", "it's"),
        ("\"a\\tb\\nc\\e\\0\"", "a\tb\nc\u{1b}\0"),
        ("\"{{ 7 }} {% x %}\"", "{{ 7 }} {% x %}"),
        ("$(reboot)", "$(reboot)"),
        ("\"\\u202e\\ufeff🚀\"", "\u{202e}\u{feff}🚀"),
        ("\" # no comment: \"", " # no comment: "),
        ("\"---\\nkind: Secret\"", "---\nkind: Secret"),
    ];
    let lines: String = written.iter().enumerate().map(|(i, (text, _))| format!("        V{i}: {text}\n")).collect();
    let container = &deployment(&format!("      env:\n{lines}"))["spec"]["template"]["spec"]["containers"][0];
    let env = container["env"].as_sequence().expect("there are variables");
    for (variable, (text, meant)) in env.iter().zip(written) {
        assert_eq!(variable["value"], Value::from(meant), "{text}");
    }
    assert_eq!(env.len(), written.len());
}

/// Kind, namespace and name of every object, by file.
fn shape(mesh: &Mesh) -> BTreeMap<String, Vec<String>> {
    support::tree(mesh)
        .into_iter()
        .map(|(path, text)| {
            let yaml = std::path::Path::new(&path).extension().is_some_and(|it| it == "yaml");
            let names = objects(if yaml { &text } else { "" }).into_iter().filter(Value::is_mapping).map(|it| {
                let name = |field: &str| it["metadata"][field].as_str().unwrap_or_default().to_owned();
                format!("{} {}/{}", it["kind"].as_str().unwrap_or_default(), name("namespace"), name("name"))
            });
            (path, names.collect())
        })
        .collect()
}

/// A topology with this text wherever text is free, quoted as only the test knows how.
fn filled(text: &str) -> String {
    // The path of a folder is shown in the RUNBOOK and refuses what no path has.
    let refused = |it: char| {
        let hidden =
            matches!(it, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        hidden || it.is_control() || matches!(it, '`' | '=' | ',')
    };
    let path: String = "certs/".chars().chain(text.chars().filter(|it| !refused(*it))).collect();
    let path = serde_json_like(&path);
    let text = serde_json_like(text);
    format!(
        "version: 1
allow: [T0306, T0805]
mesh: {{trust: {{files: {path}}}}}
clusters:
  east: {{istio: \"1.5.2\", gateway: 34.1.2.3, dns: {{provider: kube-dns, address: 10.0.0.53}}}}
  west: {{istio: \"1.5.2\", gateway: 34.1.2.4, dns: {{provider: kube-dns, address: 10.0.0.53}}, trust: {{externalSecret: {{store: vault, key: {text}}}}}}}
services:
  cart: {{clusters: east, ports: {{grpc: 7070}}}}
  web:
    clusters: west
    ports: {{http: 80}}
    annotations: {{example.com/note: {text}}}
    calls:
      - service: cart
        env: {{CART_URL: \"{{host}}:{{port}}\"}}
    workload:
      image: web
      command: [{text}]
      args: [a, {text}]
      env: {{NOTE: {text}}}
      container: {{workingDir: {text}}}
      pod: {{nodeSelector: {{a: {text}}}, hostAliases: [{{ip: 10.0.0.1, hostnames: [{text}]}}]}}
"
    )
}

/// What the filled topology holds in each of the places of a Deployment.
fn places(deployment: &Value) -> Vec<Value> {
    let pod = &deployment["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    let note = container["env"].as_sequence().expect("variables").iter().find(|it| it["name"] == "NOTE");
    vec![
        pod["metadata"]["annotations"]["example.com/note"].clone(),
        container["command"][0].clone(),
        container["args"][1].clone(),
        note.expect("the variable is there")["value"].clone(),
        container["workingDir"].clone(),
        pod["spec"]["nodeSelector"]["a"].clone(),
        pod["spec"]["hostAliases"][0]["hostnames"][0].clone(),
    ]
}

fn stays_in_its_place(text: &str, plain: &BTreeMap<String, Vec<String>>) {
    let (mesh, said, _) = support::compile_bytes("topology.yaml", filled(text).into_bytes(), &Inputs::default());
    let mesh = mesh.unwrap_or_else(|| panic!("{text:?}:\n{said}"));
    assert_eq!(*plain, shape(&mesh), "{text:?} made or unmade an object");
    let tree = support::tree(&mesh);
    let deployment = object(&tree["west/40-apps/web.default.yaml"], "Deployment");
    for (place, value) in places(&deployment).into_iter().enumerate() {
        assert_eq!(value, Value::from(text), "place {place}");
    }
}

#[test]
fn known_breakers_of_text_stay_in_their_place() {
    let plain = shape(&support::compile(&filled("plain")));
    assert!(plain.values().flatten().count() > 8, "{plain:?}");
    for text in
        NAMES.into_iter().chain(["no", "1.20", "0x1F", "~", "=", "<<", "? a", "- a", "a: b", "a #b", "a\u{85}b"])
    {
        stays_in_its_place(text, &plain);
    }
}

/// The words of a topology, for mutations that are nearly right.
const TOKENS: [&str; 28] = [
    "{",
    "}",
    "[",
    "]",
    ": ",
    ", ",
    "- ",
    "\n",
    "\n  ",
    "\t",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "!x ",
    "<<: ",
    "~",
    "0",
    "-1",
    "1.20",
    "99999999999999999999",
    "cluster1",
    "cartservice",
    "é🚀",
    "|\n",
    "---\n",
    "? ",
];

fn example() -> String {
    std::fs::read_to_string(support::root().join("topology.yaml")).expect("the example is there")
}

/// One change of a text.
#[derive(Debug, Clone)]
enum Change {
    Delete { at: usize, len: usize },
    Repeat { at: usize, len: usize },
    Swap { first: usize, second: usize },
    Insert { at: usize, token: usize },
    Byte { at: usize, byte: u8 },
}

fn change() -> impl Strategy<Value = Change> {
    let at = 0usize..10_000;
    prop_oneof![
        (at.clone(), 1usize..40).prop_map(|(at, len)| Change::Delete { at, len }),
        (at.clone(), 1usize..80).prop_map(|(at, len)| Change::Repeat { at, len }),
        (at.clone(), at.clone()).prop_map(|(first, second)| Change::Swap { first, second }),
        (at.clone(), 0..TOKENS.len()).prop_map(|(at, token)| Change::Insert { at, token }),
        (at, any::<u8>()).prop_map(|(at, byte)| Change::Byte { at, byte }),
    ]
}

/// A text with some changes that nobody meant.
pub(crate) fn damaged(text: String) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(change(), 1..6).prop_map(move |it| changed(&text, &it))
}

fn changed(text: &str, changes: &[Change]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for change in changes {
        let len = bytes.len();
        let spot = |at: usize| at % len.max(1);
        match *change {
            _ if len == 0 => {}
            Change::Delete { at, len: n } => drop(bytes.drain(spot(at)..(spot(at) + n).min(len))),
            Change::Repeat { at, len: n } => {
                let part = bytes[spot(at)..(spot(at) + n).min(len)].to_vec();
                bytes.splice(spot(at)..spot(at), part);
            }
            Change::Swap { first, second } => bytes.swap(spot(first), spot(second)),
            Change::Insert { at, token } => drop(bytes.splice(spot(at)..spot(at), TOKENS[token].bytes())),
            Change::Byte { at, byte } => bytes[spot(at)] = byte,
        }
    }
    bytes
}

/// Compiles; gives what was said, the places of it, and the bundles.
fn run(bytes: Vec<u8>) -> (String, BTreeMap<String, String>) {
    let mut diags = Diagnostics::new();
    let (mesh, source) = match meshlatch::syntax::decode("topology.yaml", bytes, &mut diags) {
        Ok(source) => (meshlatch::compile(&source, &Inputs::default(), &mut diags).ok(), source),
        Err((source, _)) => (None, source),
    };
    assert_eq!(mesh.is_none(), diags.check().is_err(), "no mesh and no reason, or a mesh with an error");
    places_lie_in_the_file(&diags, &source);
    (support::said(&diags, &source), mesh.map(|it| support::tree(&it)).unwrap_or_default())
}

fn places_lie_in_the_file(diags: &Diagnostics, source: &Source) {
    for diagnostic in diags.sorted() {
        for label in diagnostic.primary.iter().chain(&diagnostic.context) {
            let span = label.span;
            let text = source.text();
            assert!(
                span.start <= span.end && span.end <= text.len(),
                "{}: {span:?} of {}",
                diagnostic.message,
                text.len()
            );
            assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end), "{}", diagnostic.message);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_topology_is_told_or_compiled(bytes in damaged(example())) {
        prop_assert_eq!(run(bytes.clone()), run(bytes));
    }

    #[test]
    fn any_text_stays_in_its_place(text in prop_oneof!["\\PC{0,40}", "[ -~\\n\\t]{0,60}", any::<String>()]) {
        stays_in_its_place(&text, &shape(&support::compile(&filled("plain"))));
    }

    #[test]
    fn any_bytes_are_told(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(!run(bytes).0.is_empty());
    }
}
