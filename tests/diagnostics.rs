//! Diagnostics: every code has a fixture that shows it and an explanation whose examples hold.
//!
//! A fixture is `<code>_<name>[_<face>].yaml`; beside it stand what the binary says of it (`.snap`)
//! and, if need be, what the command line adds (`.flags`), the lock (`.lock`), and the other files of the topology, in a
//! folder (`.d`). Files of other names show how several mistakes are told together.

#![expect(
    clippy::disallowed_methods,
    reason = "tests read their fixtures and have a clock; the ban is for the library"
)]

use std::collections::BTreeSet;
use std::path::Path;

use meshlatch::diag::{Code, Diagnostics};
use meshlatch::inputs::Inputs;
use meshlatch::lock::Lock;
use meshlatch::source::Source;

use crate::support;

/// `UnknownCluster` as it stands in the name of a fixture: `unknown_cluster`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// `t0201_unknown_cluster`: how the fixtures of a code begin.
fn stem(code: Code) -> String {
    format!("{}_{}", code.as_str().to_ascii_lowercase(), snake_case(code.name()))
}

/// The codes among what was said, each once.
fn codes(diags: &Diagnostics) -> BTreeSet<Code> {
    diags.sorted().iter().map(|it| it.code).collect()
}

/// The files of a topology: name and bytes.
type Files = Vec<(String, Vec<u8>)>;

/// What is said of a move that is asked for as `service,from,to,share,…`.
fn say_move(files: Files, inputs: &Inputs, order: &str) -> (bool, String, Diagnostics) {
    let words: Vec<_> = order.split(',').collect();
    let [service, from, to, shares @ ..] = &words[..] else { panic!("service,from,to: {order}") };
    let shares: Vec<u32> = shares.iter().map(|it| it.parse().expect("a share")).collect();
    let order = meshlatch::migrate::Order { service, from, to, shares: &shares };
    let source = meshlatch::syntax::decode_all(files, &mut Diagnostics::new()).expect("a fixture of a move is text");
    let (plan, told) = meshlatch::migrate::plan(&source, inputs, &order, Diagnostics::new());
    (plan.is_some(), support::said(&told.diags, &told.source), told.diags)
}

/// What is said when a file is formatted.
fn say_format(files: Files) -> (String, Diagnostics) {
    let mut diags = Diagnostics::new();
    let source = meshlatch::syntax::decode_all(files, &mut diags).expect("a fixture of a format is text");
    let formatted = meshlatch::format::format(&source, &mut diags);
    assert_eq!(formatted.is_ok(), diags.check().is_ok(), "a text without errors, or errors");
    (support::said(&diags, &source), diags)
}

/// Compiles with a lock, which must be what comes out of it if it is `locked`.
fn say_lock(lock: &str, files: Files, mut inputs: Inputs, locked: bool) -> (String, Diagnostics) {
    let mut diags = Diagnostics::new();
    let source = Source::new("topology.lock", lock);
    let Ok(lock) = Lock::parse(&source, &mut diags) else { return (support::said(&diags, &source), diags) };
    inputs.lock = Some(lock.clone());
    let (mesh, said, diags) = support::compile_files(files, &inputs);
    let Some(mesh) = mesh.filter(|_| locked) else { return (said, diags) };
    let mut diags = Diagnostics::new();
    let _ = lock.expect(mesh.lock(), &mut diags);
    (support::said(&diags, &source), diags)
}

/// Compiles a fixture with the flags beside it.
fn say(path: &Path) -> (String, Diagnostics) {
    let mut bytes = std::fs::read(path).expect("a fixture can be read");
    let mut inputs = Inputs::default();
    let mut order = None;
    let mut locked = false;
    let mut format = false;
    let flags = std::fs::read_to_string(path.with_extension("flags")).unwrap_or_default();
    for line in flags.lines() {
        match line.split_once(' ').expect("a flag has a value") {
            ("--address", given) => {
                let (name, address) = given.split_once('=').expect("NAME=ADDRESS");
                inputs.set(name, address);
            }
            // What is too large to keep is made here.
            ("--pad-to", size) => bytes.resize(size.parse().expect("a number of bytes"), b'#'),
            ("--migrate", given) => order = Some(given),
            ("--locked", "yes") => locked = true,
            ("--fmt", "yes") => format = true,
            (other, _) => panic!("{}: no flag `{other}`", path.display()),
        }
    }
    let mut files = vec![("topology.yaml".to_owned(), bytes)];
    let others = path.with_extension("d");
    if others.is_dir() {
        let other = |name: String| {
            (format!("topology.d/{name}"), std::fs::read(others.join(name)).expect("a fixture can be read"))
        };
        files.extend(support::file_names(&others).into_iter().map(other));
    }
    if format {
        return say_format(files);
    }
    if let Some(order) = order {
        let (planned, said, diags) = say_move(files, &inputs, order);
        assert_eq!(planned, diags.check().is_ok(), "{}: a plan without errors, or errors", path.display());
        return (said, diags);
    }
    if let Ok(lock) = std::fs::read_to_string(path.with_extension("lock")) {
        return say_lock(&lock, files, inputs, locked);
    }
    let (mesh, said, diags) = support::compile_files(files, &inputs);
    assert_eq!(mesh.is_some(), diags.check().is_ok(), "{}: a mesh without errors, or errors", path.display());
    (said, diags)
}

#[test]
fn every_fixture_is_told_as_its_snapshot_says() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(support::root().join("tests/diagnostics"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.remove_snapshot_suffix();
    settings.bind(|| {
        insta::glob!("diagnostics/*.yaml", |path| {
            let name = path.file_stem().expect("a fixture has a name").to_string_lossy().into_owned();
            let first = std::fs::read(path).expect("a fixture can be read");
            assert!(first.starts_with(b"# "), "{name}.yaml begins with a line on what it shows");
            let (said, diags) = say(path);
            if name.starts_with('t') {
                let code = codes(&diags).into_iter().find(|code| name.starts_with(&stem(*code)));
                assert!(code.is_some(), "{name}.yaml is called by a code that it does not give:\n{said}");
            }
            let mut settings = insta::Settings::clone_current();
            settings.remove_snapshot_suffix();
            settings.bind(|| insta::assert_snapshot!(name, said));
        });
    });
}

#[test]
fn every_code_has_a_fixture() {
    let names: BTreeSet<String> = support::file_names(&support::root().join("tests/diagnostics"));
    for code in Code::ALL {
        let wanted = format!("{}.yaml", stem(*code));
        assert!(names.contains(&wanted), "add tests/diagnostics/{wanted}");
    }
    // What a failed comparison leaves behind is looked at by that test.
    for name in names.iter().filter(|it| !it.ends_with(".snap.new")) {
        let (stem, kind) = name.rsplit_once('.').expect("a file has an ending");
        assert!(["yaml", "snap", "flags", "lock", "d"].contains(&kind), "tests/diagnostics/{name} is none of ours");
        assert!(names.contains(&format!("{stem}.yaml")), "tests/diagnostics/{name} belongs to no fixture");
    }
}

/// The fenced blocks of an explanation: the words behind the fence, and the text.
fn blocks(markdown: &str) -> Vec<(Vec<&str>, String)> {
    let mut blocks: Vec<(Vec<&str>, String)> = Vec::new();
    let mut open = false;
    for line in markdown.lines() {
        match line.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(info) => {
                open = true;
                blocks.push((info.split_whitespace().collect(), String::new()));
            }
            None if open => {
                let (_, text) = blocks.last_mut().expect("a block is open");
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    assert!(!open, "a block is not closed");
    blocks
}

/// The topology of examples that are locks.
const LOCKED: &str = "\
version: 1
clusters: {east: {istio: \"1.31.0\", gateway: 198.51.100.1}, west: {istio: \"1.31.0\"}}
services:
  cart: {namespace: shop, clusters: east, ports: {grpc: 7070}, serviceAccount: cart}
  web: {namespace: web, clusters: west, calls: cart}
";

/// The files of an example; `# topology.d/NAME.yaml` on a line of its own begins another.
fn files(info: &[&str], text: &str) -> Files {
    let mut files = vec![("topology.yaml".to_owned(), String::new())];
    for line in text.split_inclusive('\n') {
        match line.trim_end().strip_prefix("# topology.d/") {
            Some(name) => files.push((format!("topology.d/{name}"), String::new())),
            None => files.last_mut().expect("there is a first").1.push_str(line),
        }
    }
    files.into_iter().map(|(name, text)| (name, example(info, &text))).collect()
}

/// The bytes of an example. What cannot stand in Markdown is written `\x9b` in a block of `text`.
fn example(info: &[&str], text: &str) -> Vec<u8> {
    if info[0] == "yaml" {
        return text.as_bytes().to_vec();
    }
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend(before.as_bytes());
        bytes.push(u8::from_str_radix(&after[..2], 16).expect("two hexadecimal digits"));
        rest = &after[2..];
    }
    bytes.extend(rest.as_bytes());
    if let Some(size) = info.iter().find_map(|it| it.strip_prefix("pad-to=")) {
        bytes.resize(size.parse().expect("a number of bytes"), b'#');
    }
    bytes
}

#[test]
fn every_explanation_has_a_wrong_and_a_right_example() {
    for code in Code::ALL {
        let text = code.explanation();
        let prose = text.lines().take_while(|line| !line.starts_with("```")).filter(|it| !it.is_empty()).count();
        assert!((4..=20).contains(&prose), "{code}: the story has {prose} lines");
        assert!(text.starts_with(&format!("# {code}: {}\n", code.title())), "{code}: the story begins with its title");
        let blocks = blocks(text);
        let kinds: Vec<_> = blocks.iter().map(|it| it.0[1]).collect();
        assert_eq!(kinds, ["wrong", "right"], "{code}: one wrong example, then a right one");
        for (info, text) in &blocks {
            let mut inputs = Inputs::default();
            for given in info.iter().filter_map(|it| it.strip_prefix("address=")) {
                let (name, address) = given.split_once('=').expect("address=NAME=ADDRESS");
                inputs.set(name, address);
            }
            let word = |name: &str| info.iter().find_map(|it| it.strip_prefix(name));
            let (said, diags) = match word("migrate=") {
                _ if info.contains(&"fmt") => say_format(files(info, text)),
                _ if info.contains(&"lock") => {
                    say_lock(text, files(&["yaml"], LOCKED), inputs, info.contains(&"locked"))
                }
                Some(order) => {
                    let (_, said, diags) = say_move(files(info, text), &inputs, order);
                    (said, diags)
                }
                None => {
                    let (_, said, diags) = support::compile_files(files(info, text), &inputs);
                    (said, diags)
                }
            };
            // A code that tells of another has that one beside it.
            let also = word("also=");
            if info[1] == "wrong" {
                assert!(codes(&diags).contains(code), "{code}: the wrong example does not give it:\n{said}");
                let others: Vec<_> = diags
                    .sorted()
                    .into_iter()
                    .filter(|it| it.is_error() && it.code != *code && Some(it.code.as_str()) != also)
                    .collect();
                assert!(others.is_empty(), "{code}: the wrong example gives other errors too:\n{said}");
            } else {
                assert_eq!(said, "", "{code}: the right example is not right");
            }
        }
    }
}

/// Where the lines are that a text says, in its order: what its file has behind `topology.`, and the line.
fn lines_told(said: &str) -> Vec<(&str, usize)> {
    said.lines()
        .filter_map(|line| line.trim_start().strip_prefix("--> ")?.split_once("topology."))
        .filter_map(|it| it.1.split_once(':'))
        .map(|(file, it)| (file, it.split(':').next().expect("a line").parse().expect("a number")))
        .collect()
}

#[test]
fn mistakes_are_told_in_the_order_of_the_files() {
    for entry in std::fs::read_dir(support::root().join("tests/diagnostics")).expect("there are fixtures") {
        let path = entry.expect("a folder can be listed").path();
        if path.extension().is_some_and(|it| it == "yaml") {
            let (said, diags) = say(&path);
            let lines = lines_told(&said);
            // The first file is `topology.yaml`, and the others follow by name.
            let in_order = |&(file, line): &(&str, usize)| (file != "yaml" && file != "lock", file.to_owned(), line);
            assert!(lines.is_sorted_by_key(in_order), "{}: {lines:?}", path.display());
            let placed = diags.sorted().iter().filter(|it| it.primary.is_some()).count();
            assert_eq!(lines.len(), placed, "{}: every place is told", path.display());
        }
    }
}

#[test]
fn several_mistakes_are_told_in_one_run() {
    let (_, diags) = say(&support::root().join("tests/diagnostics/several_mistakes.yaml"));
    let (_, shapes) = say(&support::root().join("tests/diagnostics/several_shapes.yaml"));
    assert!(codes(&diags).len() >= 8, "{:?}", codes(&diags));
    assert!(shapes.sorted().len() >= 8, "{:?}", shapes.sorted());
}

#[test]
fn what_only_follows_is_not_told() {
    let (said, diags) = say(&support::root().join("tests/diagnostics/no_follow_on.yaml"));
    let told: Vec<_> = diags.sorted().iter().map(|it| it.code).collect();
    let own = [Code::UnsupportedIstio, Code::UnsupportedKubernetes, Code::InvalidPort, Code::ProtocolNotSaid];
    assert_eq!(told, own, "{said}");
}

/// What is said of files of addresses.
fn told_of_files(read: impl Fn(&mut Inputs, &mut Diagnostics)) -> Vec<String> {
    let (mut inputs, mut diags) = (Inputs::default(), Diagnostics::new());
    read(&mut inputs, &mut diags);
    let text = "version: 1\nallow: [T0306]\nclusters:\n  east: {istio: \"1.5.2\", gateway: pending}\n";
    let source = meshlatch::source::Source::new("topology.yaml", text);
    let compiled = meshlatch::compile(&source, &inputs, &mut diags);
    assert_eq!(compiled.is_ok(), diags.check().is_ok());
    diags.sorted().iter().map(|it| format!("{}: {}", it.code, it.message)).collect()
}

#[test]
fn files_of_addresses_are_read_or_told() {
    let service = |status: &str| format!("{{kind: Service, spec: {{clusterIP: None}}, status: {status}}}");
    let ready = service("{loadBalancer: {ingress: [{ip: 34.1.2.3}]}}");
    let file = |name: &'static str, text: &str| {
        let text = text.to_owned();
        told_of_files(move |inputs, diags| inputs.set_from_file(name, "east.json", &text, diags))
    };
    let none: [&str; 0] = [];
    assert_eq!(file("east", "34.1.2.3\n"), none);
    assert_eq!(file("east", &ready), none);
    assert_eq!(file("east", &format!("{{kind: List, items: [{ready}]}}")), none);
    let called = |name: &str, it: &str| it.replacen('{', &format!("{{metadata: {{name: {name}}}, "), 1);
    let list = |items: &[String]| format!("{{kind: List, items: [{}]}}", items.join(", "));
    let gateway = called("istio-ingressgateway", &ready);
    let dns = called("istiocoredns", "{kind: Service, spec: {clusterIP: 10.0.0.9}}");
    let all = list(&[called("istio-pilot", &service("{}")), gateway.clone(), dns.clone()]);
    assert_eq!(file("east", &all), none);
    assert_eq!(
        file("east.dns", &list(&[gateway.clone(), gateway.clone()])),
        [
            "T1102: `east.json` gives no address for `east.dns`: it lists 2 objects, and none of them is a Service called \
             `istiocoredns` or `meshlatch-dns`; name one Service"
        ]
    );
    let own = called("meshlatch-dns", "{kind: Service, spec: {clusterIP: 10.0.0.9}}");
    assert!(file("east.dns", &list(&[dns, own]))[0].contains("it lists 2 objects, and 2 of them are a Service called"));
    let refused = [
        ("east", "", "it holds neither an address nor the JSON of a Service"),
        ("east", "[34.1.2.3]", "it holds neither an address nor the JSON of a Service"),
        ("east", "{", "it holds neither an address nor the JSON of a Service"),
        ("east", "{kind: Pod}", "it holds a Pod, not a Service"),
        (
            "east",
            "{kind: List, items: []}",
            "it lists 0 objects, and none of them is a Service called `istio-eastwestgateway` or \
             `istio-eastwestgateway-istio` or `istio-ingressgateway`; name one Service",
        ),
        ("east", &service("{loadBalancer: {}}"), "the load balancer has no address yet"),
        ("east.dns", &ready, "the Service has no ClusterIP"),
    ];
    for (name, text, reason) in refused {
        assert_eq!(file(name, text), [format!("T1102: `east.json` gives no address for `{name}`: {reason}")], "{text}");
    }

    let map = |text: &'static str| told_of_files(move |inputs, diags| inputs.merge_file("all.json", text, diags));
    assert_eq!(map("east: 34.1.2.3"), none);
    assert_eq!(
        map("{east_gateway: {value: 34.1.2.3}, vpc: {value: vpc-1}, gateways: {value: {east: 34.1.2.3}}}"),
        none
    );
    assert_eq!(map("{outputs: {value: {}}, vpc: {value: vpc-1}, east_gateway: {value: 34.1.2.3}}"), none);
    for text in ["{}", "{vpc: {value: vpc-1}, zones: {value: [a, b]}, gateways: {value: {}}}"] {
        assert_eq!(map(text), ["T1101: `all.json` gives no address: none of its outputs names a cluster"], "{text}");
    }
    assert_eq!(
        map("{kind: Service, spec: {clusterIP: 10.0.0.9}, status: {}}"),
        ["T1102: `all.json` is what kubectl prints, not a map of names to addresses"]
    );
    // The help leads from a misspelt output to the cluster.
    let mut diags = Diagnostics::new();
    let mut inputs = Inputs::default();
    inputs.merge_file("all.json", "{vpc: {value: vpc-1}, eats_gateway: {value: 34.1.2.3}}", &mut diags);
    let source = meshlatch::source::Source::new("topology.yaml", "version: 1\nclusters: {east: {istio: \"1.5.2\"}}\n");
    assert!(meshlatch::compile(&source, &inputs, &mut diags).is_err());
    assert_eq!(diags.sorted()[0].help, ["did you mean the cluster `east` with `eats_gateway`?"]);
    assert_eq!(map("[]"), ["T1102: `all.json` is no map of names to addresses"]);
    assert_eq!(map("east: 34"), ["T1102: `all.json` gives no address for `east`: it is not text"]);
    assert_eq!(
        map("eats: 34.1.2.3"),
        ["T1101: `all.json` gives an address for `eats`, which is no cluster of the topology"]
    );
    assert_eq!(
        map("east: 34.1.2.3:15443"),
        ["T1102: `all.json` gives `34.1.2.3:15443` as the gateway of `east`, which is no address"]
    );
}
