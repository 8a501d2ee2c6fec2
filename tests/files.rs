//! A topology in several files: however a text is cut, the bundles are those of the whole.

use std::collections::{BTreeMap, BTreeSet};

use meshlatch::diag::Diagnostics;
use meshlatch::inputs::Inputs;
use meshlatch::migrate::{self, Order};
use meshlatch::source::{Source, Span};
use meshlatch::{Mesh, syntax};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::made::{Line, Made, made};
use crate::support;

type Files = Vec<(String, Vec<u8>)>;

/// A field of the top: its line, and its entries where each begins on a line of its own.
struct Section {
    head: String,
    entries: Vec<String>,
}

/// The fields of a topology in their order; what stands before the first one is left out.
fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in text.split_inclusive('\n') {
        let starts =
            |spaces: usize| line.len() - line.trim_start_matches(' ').len() == spaces && !line.trim().is_empty();
        let comment = line.trim_start().starts_with('#');
        match sections.last_mut() {
            _ if starts(0) && !comment => sections.push(Section { head: line.to_owned(), entries: Vec::new() }),
            // What is repeated elsewhere must stand in one file with its anchor.
            Some(last) if starts(2) && !comment && !text.contains(" &") && last.head.trim().ends_with(':') => {
                last.entries.push(line.to_owned());
            }
            Some(last) => last.entries.last_mut().unwrap_or(&mut last.head).push_str(line),
            None => {}
        }
    }
    sections
}

/// Cuts a text into `count` files. Entries come into the files that are drawn for them, in order if
/// `sorted`.
fn cut(text: &str, count: usize, draw: &mut dyn FnMut(usize) -> usize, sorted: bool) -> Files {
    let mut files = vec!["version: 1\n".to_owned(); count];
    for section in sections(text).iter().filter(|it| !it.head.starts_with("version:")) {
        let whole =
            section.entries.is_empty() || section.head.starts_with("allow") || section.head.starts_with("moving");
        if whole {
            let file = &mut files[draw(count)];
            file.push_str(&section.head);
            file.push_str(&section.entries.concat());
            continue;
        }
        let mut places: Vec<_> = section.entries.iter().map(|_| draw(count)).collect();
        if sorted {
            places.sort_unstable();
        }
        for (index, file) in files.iter_mut().enumerate() {
            let entries = section.entries.iter().zip(&places).filter(|it| *it.1 == index).map(|it| it.0.as_str());
            let entries: String = entries.collect();
            if !entries.is_empty() {
                file.push_str(&section.head);
                file.push_str(&entries);
            }
        }
    }
    let name =
        |index: usize| if index == 0 { "topology.yaml".to_owned() } else { format!("topology.d/{index:02}.yaml") };
    files.into_iter().enumerate().map(|(index, text)| (name(index), text.into_bytes())).collect()
}

fn compile(files: Files, inputs: &Inputs) -> Mesh {
    let shown = format!("{:?}", files.iter().map(|it| String::from_utf8_lossy(&it.1)).collect::<Vec<_>>());
    let (mesh, said, _) = support::compile_files(files, inputs);
    mesh.unwrap_or_else(|| panic!("{said}\n{shown}"))
}

/// The addresses that a mesh has.
fn locked(mesh: &Mesh) -> Inputs {
    let mut inputs = Inputs::default();
    inputs.lock = Some(mesh.lock().adopted());
    inputs
}

/// Numbers that are drawn one after the other, from where there is a beginning.
fn drawn(seed: &[Index]) -> impl FnMut(usize) -> usize {
    let mut numbers = seed.iter().cycle();
    move |below| numbers.next().expect("there is a number").index(below)
}

/// The numbers of a generator that anybody can write down.
fn counted(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).expect("31 bits") % below
    }
}

#[test]
fn a_golden_topology_cut_into_files_becomes_its_tree() {
    let mut cuts = 0;
    for (seed, (name, folder)) in (1u64..).zip(support::golden_cases()) {
        let text = std::fs::read_to_string(folder.join("topology.yaml")).expect("a case has a topology");
        let files = cut(&text, 4, &mut counted(seed), true);
        cuts += files.iter().filter(|it| it.1.len() > 11).count();
        let (mesh, said, _) = support::compile_files(files, &Inputs::default());
        let mesh = mesh.unwrap_or_else(|| panic!("{name}: {said}"));
        assert_eq!(said, "", "{name} has warnings");
        assert_eq!(support::tree(&mesh), support::read_tree(&folder.join("out")), "{name}");
    }
    assert!(cuts > 150, "{cuts} files say something");
}

fn any_mesh() -> impl Strategy<Value = Made> {
    prop_oneof![made(Line::Old, 1), made(Line::New, 1), made(Line::Mixed, 1)].prop_map(Made::granted)
}

/// The objects of a tree, whichever of the files of a phase they stand in.
fn objects(mesh: &Mesh) -> BTreeSet<(String, String)> {
    let tree = support::tree(mesh);
    let files = tree.iter().filter(|it| !it.0.ends_with("kustomization.yaml") && !it.0.ends_with("RUNBOOK.md"));
    files.flat_map(|(path, text)| text.split("---\n").map(move |it| (path[..2].to_owned(), it.to_owned()))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn how_a_topology_is_cut_changes_nothing(
        made in any_mesh(),
        count in 1usize..6,
        seed in prop::collection::vec(any::<Index>(), 40),
    ) {
        let whole = support::compile(&made.yaml());
        let files = cut(&made.yaml(), count, &mut drawn(&seed), true);
        prop_assert_eq!(support::tree(&compile(files, &Inputs::default())), support::tree(&whole));

        // Also the order changes: the same objects, and no address moves.
        let files = cut(&made.yaml(), count, &mut drawn(&seed), false);
        let inputs = locked(&whole);
        let other = compile(files, &inputs);
        prop_assert_eq!(other.lock().to_string(), whole.lock().to_string());
        let addresses = |mesh: &Mesh| mesh.virtual_ips().collect::<BTreeMap<_, _>>();
        prop_assert_eq!(addresses(&other), addresses(&whole));
    }

    #[test]
    fn the_order_of_services_in_files_changes_no_object(
        made in any_mesh(),
        seed in prop::collection::vec(any::<Index>(), 40),
    ) {
        // Clusters stay in their order, which `failover` and the names of some objects follow.
        let head = made.head();
        let services: String = made.services.iter().map(|it| made.service(it)).collect();
        let mut files = cut(&format!("services:\n{services}"), 3, &mut drawn(&seed), false);
        files[0].1 = [head.as_bytes(), &files[0].1["version: 1\n".len()..]].concat();
        let whole = support::compile(&made.yaml());
        let inputs = locked(&whole);
        let (before, after) = (objects(&whole), objects(&compile(files, &inputs)));
        let changed: Vec<_> = before.symmetric_difference(&after).collect();
        prop_assert!(changed.is_empty(), "{:?}", changed);
    }
}

#[test]
fn a_span_is_in_its_file() {
    let mut source = Source::default();
    let parts = [("a", "one\ntwo"), ("b", ""), ("c", "é\nthree\n"), ("d", "four")];
    let spans: Vec<_> = parts.iter().map(|(name, text)| source.push((*name).to_owned(), (*text).to_owned())).collect();
    for ((name, text), span) in parts.iter().zip(&spans) {
        assert_eq!(source.slice(*span), *text);
        for at in span.start..=span.end {
            assert_eq!(source.file(Span::new(at, at)).name, *name, "{at}");
        }
        assert_eq!(source.line_column(Span::new(span.start, span.end)), (1, 1));
        let last = text.rsplit('\n').next().unwrap_or_default().chars().count();
        let end = (1 + text.matches('\n').count(), 1 + last);
        assert_eq!(source.line_column(Span::new(span.end, span.end)), end, "{name}");
    }
}

fn texts(texts: &[&str]) -> Files {
    let name = |index: usize| format!("{index}.yaml");
    texts.iter().enumerate().map(|(index, text)| (name(index), text.as_bytes().to_vec())).collect()
}

/// What is said of texts in several files.
fn said(parts: &[&str]) -> String {
    support::compile_files(texts(parts), &Inputs::default()).1
}

const HEAD: &str = "version: 1\nclusters:\n  east: {istio: \"1.31.0\", gateway: 198.51.100.1}\n  west: {istio: \"1.31.0\", gateway: 198.51.100.2}\n";

#[test]
fn files_have_marks_line_ends_and_anchors_of_their_own() {
    let anchors = "version: 1\nservices:\n  a: &own {clusters: east}\n  b: *own\n";
    let again = "version: 1\nservices:\n  c: &own {clusters: west}\n  d: {<<: *own, namespace: shop}\n";
    let cases = [HEAD.to_owned()
        + "services: {a: {clusters: east}, b: {clusters: east}, c: {clusters: west}, d: {clusters: west, namespace: shop}}\n"];
    let whole = support::tree(&support::compile(&cases[0]));
    let windows = HEAD.replace('\n', "\r\n");
    for head in [HEAD, &format!("\u{feff}{HEAD}"), windows.as_str(), HEAD.trim_end(), &format!("---\n{HEAD}...\n")] {
        for more in [
            anchors.to_owned(),
            format!("\u{feff}{anchors}"),
            anchors.replace('\n', "\r\n"),
            anchors.trim_end().to_owned(),
        ] {
            let tree = support::tree(&compile(texts(&[head, &more, again]), &Inputs::default()));
            assert_eq!(tree, whole, "{head:?} {more:?}");
        }
    }
    assert!(
        said(&[HEAD, "version: 1\nx-a: &a {clusters: east}\n", "version: 1\nservices: {a: *a}\n"])
            .contains("unknown anchor")
    );
}

#[test]
fn settings_and_lists_are_united() {
    let parts = [
        "version: 1\nallow: T0306\nmesh: {suffix: dev}\n",
        HEAD,
        "version: 1\nmesh: {scope: mesh}\nallow: [T1001]\nexternals: {rates: {hosts: www.ecb.europa.eu, ports: {https: 443}}}\n",
        "version: 1\nmesh:\nservices: {cart: {clusters: east, ports: {grpc: 1}}, web: {clusters: west, calls: cart}}\n",
    ];
    assert_eq!(said(&parts), "");
    let mesh = compile(texts(&parts), &Inputs::default());
    assert_eq!(mesh.scope(), meshlatch::syntax::Scope::Mesh);
    assert_eq!(mesh.virtual_ips().map(|it| it.0).collect::<Vec<_>>(), ["cart.default.dev"]);
    // Without the second list, there is a warning.
    let mut fewer = parts;
    let without = parts[2].replace("allow: [T1001]\n", "");
    fewer[2] = &without;
    assert!(said(&fewer).contains("warning[T1001]"));
}

#[test]
fn limits_hold_for_all_files_together() {
    // No file is too large, and all together are.
    let half = vec![b'#'; syntax::MAX_BYTES / 2 + 1];
    let files = vec![("a.yaml".to_owned(), half.clone()), ("b.yaml".to_owned(), half)];
    let said = support::compile_files(files, &Inputs::default()).1;
    assert!(said.contains("error[T0002]: the files are larger than 64 MiB together\n--> b.yaml:1:1\n"), "{said}");
    // What aliases repeat is counted over all files, too.
    let bomb = "version: 1\nallow:\n- &a [x,x,x,x,x,x,x,x,x,x]\n- &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n- &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n- [*c,*c,*c,*c,*c]\n";
    let one = self::said(&[HEAD, bomb]);
    assert!(!one.contains("T0007"), "{one}");
    assert!(self::said(&vec![bomb; 50]).contains("error[T0007]"));
}

#[test]
fn a_file_with_a_hostile_name_moves_no_cursor() {
    let files = vec![
        ("a\u{1b}[31m\n.yaml".to_owned(), b"version: 1\nservices: {cart: {clusters: east}}\n".to_vec()),
        ("\u{202e}lmay.b".to_owned(), b"version: 1\nservices: {cart: {clusters: east}}\n".to_vec()),
        ("c\u{7}.yaml".to_owned(), b"\xff".to_vec()),
    ];
    let said = support::compile_files(files, &Inputs::default()).1;
    assert!(!said.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{said:?}");
    assert!(said.contains("--> \\u{202e}lmay.b:2:12\n") && said.contains("::: a\\u{1b}[31m\\n.yaml:2:12\n"), "{said}");
    assert!(said.contains("--> c\\u{7}.yaml:1:1\n"), "{said}");
}

/// A plan over several files: only the file in which the service stands changes, and `moving` comes into
/// the first.
#[test]
fn a_move_edits_the_file_of_the_service() {
    let clusters = HEAD.replace('\n', "\r\n");
    let cart = "version: 1\nservices:\n  cart:\n    # until the lease ends\n    workload: {image: example.com/cart}\n    ports: {grpc: 7070}\n    clusters: east";
    let web = "version: 1\nservices:\n  web: {clusters: west, ports: {http: 80}, calls: [{service: cart, env: CART}], workload: {image: example.com/web}}\n";
    for names in [["mesh.yaml", "mesh.d/cart.yaml", "mesh.d/web.yaml"], ["c.yml", "../web/cart.yaml", "/a b/<stdin>"]] {
        let mut source = Source::default();
        for (name, text) in names.iter().zip([clusters.as_str(), cart, web]) {
            source.push((*name).to_owned(), text.to_owned());
        }
        let order = Order { service: "cart", from: "east", to: "west", shares: &[0, 50, 100] };
        let (plan, told) = migrate::plan(&source, &Inputs::default(), &order, Diagnostics::new());
        let plan = plan.unwrap_or_else(|| panic!("{}", support::said(&told.diags, &told.source)));
        let [cart_file, web_file] = match names[0] {
            "mesh.yaml" => ["topology.d/cart.yaml", "topology.d/web.yaml"],
            _ => ["topology.d/1-cart.yaml", "topology.d/2--stdin-.yaml"],
        };
        let mut edited = 0;
        for step in &plan.steps {
            let file = |name: &str| plan.files.get(&format!("{}/{name}", step.name)).expect("a step has all files");
            let (first, cart_now) = (file("topology.yaml"), file(cart_file));
            assert_eq!(file(web_file), web);
            let without: String = first.split_inclusive('\n').filter(|it| !it.starts_with("moving:")).collect();
            assert_eq!(without, clusters);
            assert!(!first.replace("\r\n", "").contains('\n'), "the lines end as they do in the file");
            edited += usize::from(cart_now != cart);
            assert!(cart_now.starts_with(&cart[..cart.len() - 4]) && !cart_now.contains("moving"), "{cart_now}");
            // What is written is what was compiled.
            let files = ["topology.yaml", cart_file, web_file].map(|it| (it.to_owned(), file(it).as_bytes().to_vec()));
            compile(files.to_vec(), &Inputs::default());
        }
        assert!(edited >= 3 && edited == plan.steps.len() - 1, "{edited} of {}", plan.steps.len());
    }
}
