//! `diff`: what differs between trees and topologies, and what it means.
//!
//! What is tested, each text as a snapshot beside this file:
//!
//! - a service that moves, from its topology: objects, fields, restarts, addresses, calls, what breaks
//!   between two clusters;
//! - every way in which a field can differ; what is spelled in another way is the same;
//! - a hundred clusters of one change; a cluster that comes, one that goes, one that waits;
//! - trees of other people: lists, several documents, folders in folders, what is missing;
//! - names and values of somebody who means harm, in each format.

mod between;

use meshlatch::diff::{self, File, Files, Report, Side, Summary};

use crate::support;

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(support::root().join("tests/diff"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn files(files: &[(&str, &str)]) -> Files {
    let file = |text: &str| File { bytes: text.as_bytes().to_vec(), foreign: false };
    files.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
}

fn tree(name: &str, all: &[(&str, &str)]) -> Side {
    Side::of_tree(name, name, &files(all)).unwrap_or_else(|error| panic!("{error}"))
}

/// A tree of one cluster with one file of objects.
fn one(text: &str) -> Side {
    tree("east", &[("kustomization.yaml", "resources: [all.yaml]\n"), ("all.yaml", text)])
}

fn compared(old: Side, new: Side) -> Report {
    diff::compare(old, new, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn topologies(old: &str, new: &str) -> Report {
    compared(Side::of_mesh("old.yaml", support::compile(old)), Side::of_mesh("new.yaml", support::compile(new)))
}

fn human(report: &Report) -> String {
    diff::human(report, false, false)
}

const SHOP: &str = r#"version: 1
allow: [T0306]
clusters:
  east: {istio: "1.31.0", gateway: 34.70.9.157}
  west: {istio: "1.31.0", gateway: 35.193.92.27}
  north: {istio: "1.31.0", gateway: 35.193.92.28}
services:
  cart:
    namespace: shop
    clusters: east
    ports: {grpc: 7070}
    workload: {image: "example.com/cart:v1"}
  mail: {namespace: shop, clusters: west, ports: {http: 80}, workload: elsewhere, calls: [cart]}
  web:
    namespace: site
    clusters: [west, north]
    ports: {http: "80:8080"}
    calls: [{service: cart, env: CART_ADDR}]
    workload: {image: "example.com/web:v1", env: {THEME: dark}}
ingress:
  front: {service: web}
"#;

#[test]
fn a_service_that_moves() {
    let report = topologies(SHOP, &SHOP.replace("clusters: east", "clusters: west").replace("dark", "light"));
    snapshot("a_service_that_moves", &human(&report));
    snapshot("a_service_that_moves_markdown", &diff::markdown(&report, false));
    snapshot("a_service_that_moves_json", &diff::json(&report));
}

#[test]
fn nothing_differs() {
    let report = topologies(SHOP, SHOP);
    assert!(report.is_empty());
    assert_eq!(human(&report), "no differences\n");
    assert_eq!(report.summary().clusters, 0);
    let text = diff::json(&report);
    let json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!((json["clusters"].as_array().map(Vec::len), &json["summary"]["breaks"]), (Some(0), &0.into()));
}

#[test]
fn services_come_and_go_and_get_other_names() {
    let new = SHOP
        .replace("  mail: {", "  post: {")
        .replace("    namespace: site", "    name: front\n    namespace: site")
        .replace("clusters: [west, north]", "clusters: [west, east]")
        .replace("ingress:", "  new: {namespace: shop, clusters: north, ports: {http: 80}, calls: [cart]}\ningress:");
    snapshot("services_come_and_go_and_get_other_names", &human(&topologies(SHOP, &new)));
    let gone = SHOP.replace(
        "  mail: {namespace: shop, clusters: west, ports: {http: 80}, workload: elsewhere, calls: [cart]}\n",
        "",
    );
    let text = human(&topologies(SHOP, &gone));
    assert!(text.contains("\n  - mail is gone, from west\n"), "{text}");
    assert!(
        text.contains("\n  - mail -> cart from west\n        cart.shop.global:7070: east via 34.70.9.157:15443\n"),
        "{text}"
    );
}

#[test]
fn addresses_that_move_are_told_first() {
    let pinned = "    ports: {grpc: 7070}\n    virtualIP: 240.0.1.9\n";
    let new = SHOP.replace("    ports: {grpc: 7070}\n", pinned).replace("gateway: 34.70.9.157", "gateway: 34.70.9.158");
    let report = topologies(SHOP, &new);
    assert_eq!(report.summary().addresses, Some(2));
    assert!(report.sentence().contains("; 2 addresses change"), "{}", report.sentence());
    let text = human(&report);
    assert!(
        text.contains(
            "\nAddresses\n  ! gateway of east: 34.70.9.157:15443 -> 34.70.9.158:15443\n  ! cart.shop.global: 240.0."
        ),
        "{text}"
    );
    let come = SHOP.replace("calls: [cart]}", "}").replace("    calls: [{service: cart, env: CART_ADDR}]\n", "");
    let report = topologies(&come, SHOP);
    assert_eq!(report.summary().addresses, Some(0), "a new name moves nobody");
    assert!(human(&report).contains("\nAddresses\n  + cart.shop.global: 240.0."), "{}", human(&report));
}

/// Whoever calls at another port or name, and whose pods no bundle tells.
#[test]
fn callers_that_no_bundle_tells_must_be_told() {
    for (from, to, said) in [
        ("{grpc: 7070}", "{grpc: 7071}", "cart.shop.global:7071 in place of cart.shop.global:7070"),
        ("    namespace: shop\n", "    namespace: till\n", "cart.till.global:7070 in place of cart.shop.global:7070"),
        (
            "    ports: {grpc",
            "    names: cluster-local\n    ports: {grpc",
            "cart.shop.svc.cluster.local:7070 in place of",
        ),
    ] {
        let text = human(&topologies(SHOP, &SHOP.replacen(from, to, 1)));
        let line = format!("! mail in west: no variable tells its pods, which must call cart at {said}");
        assert!(text.contains(&line), "{text}");
    }
    // A new caller is told by whoever deploys it.
    let without = SHOP.replace("calls: [cart]}", "}");
    let renamed = SHOP.replacen("    namespace: shop\n", "    namespace: till\n", 1);
    assert!(!human(&topologies(&without, &renamed)).contains("must be told"));
}

const OBJECTS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  labels: {app: web, app.kubernetes.io/part-of: shop}
spec:
  replicas: 1
  paused: null
  template:
    spec:
      containers:
      - name: proxy
        image: example.com/proxy
      - name: web
        image: example.com/web:v1
        args: [--verbose, --port, "80"]
        env:
        - {name: CART, value: "cart.shop.global:7070"}
        - {name: GONE, value: "1"}
        - name: PASSWORD
          valueFrom: {secretKeyRef: {name: web, key: password}}
        ports:
        - {containerPort: 80}
        volumeMounts:
        - {mountPath: /data, name: data}
      tolerations:
      - {key: a, operator: Exists}
      - {key: a, operator: Equal, value: b}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: coredns, namespace: kube-system}
data:
  Corefile: |
    .:53 {
        errors
        health
        ready
        forward . /etc/resolv.conf
        cache 30
        loop
        reload
    }
---
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: shop}
data: {kept: aGlkZGVu, changed: b2xk}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart, namespace: shop}
spec:
  hosts: [cart.shop.global, cart]
  http:
  - route:
    - {destination: {host: cart, subset: east}, weight: 90}
    - {destination: {host: cart, subset: west}, weight: 10}
---
apiVersion: networking.istio.io/v1beta1
kind: Gateway
metadata: {name: cart, namespace: shop}
spec: {servers: [{port: {number: 80, name: http}, hosts: ["*"]}]}
---
apiVersion: v1
kind: Service
metadata: {name: gone, namespace: shop}
"#;

fn changed_objects() -> String {
    let mut text = OBJECTS.to_owned();
    for (from, to) in [
        ("labels: {app: web, app.kubernetes.io/part-of: shop}", "labels: {app: web, app.kubernetes.io/part-of: mall}"),
        ("replicas: 1", "replicas: \"1\""),
        ("  paused: null\n", ""),
        ("web:v1", "web:v2"),
        ("args: [--verbose, --port, \"80\"]", "args: [--port, \"81\", --verbose]"),
        ("cart.shop.global:7070", "cart.shop.svc.cluster.local:7070"),
        ("        - {name: GONE, value: \"1\"}\n", "        - {name: NEW, value: \"2\"}\n"),
        ("{name: web, key: password}", "{name: web, key: pass}"),
        ("- {containerPort: 80}", "- {containerPort: 81}"),
        ("name: data}", "name: data, readOnly: true}"),
        (
            "      - {key: a, operator: Exists}\n",
            "      - {key: c, operator: Exists}\n      - {key: d, operator: Exists}\n",
        ),
        ("forward . /etc/resolv.conf", "forward . 10.0.0.53"),
        ("b2xk", "bmV3"),
        ("hosts: [cart.shop.global, cart]", "hosts: [cart, cart.shop.global]"),
        ("weight: 90", "weight: 80"),
        ("weight: 10", "weight: 20"),
        ("istio.io/v1beta1", "istio.io/v1"),
        ("hosts: [\"*\"]", "hosts: [a.example.com, b.example.com]"),
        ("kind: Service\nmetadata: {name: gone", "kind: Service\nmetadata: {name: come"),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    text
}

#[test]
fn every_way_in_which_a_field_differs() {
    let report = compared(one(OBJECTS), one(&changed_objects()));
    let text = human(&report);
    snapshot("every_way_in_which_a_field_differs", &text);
    for format in [text, diff::markdown(&report, true), diff::json(&report), diff::human(&report, true, true)] {
        for secret in ["b2xk", "bmV3", "aGlkZGVu"] {
            assert!(!format.contains(secret), "what a Secret keeps is told:\n{format}");
        }
    }
}

/// An object is the same in another file, another order, another spelling, beside another comment.
#[test]
fn spelling_is_no_difference() {
    let text = "kind: A\napiVersion: v1\nmetadata: {name: a}\nspec: {b: [1, \"2\"], c: d}\n---\nkind: B\nmetadata: {name: b}\n";
    let other = "# Not the same.\n---\nmetadata:\n  name: 'b'\nkind: \"B\"\n---\n---\nspec:\n  c: d\n  b:\n  - 1\n  - '2'\nmetadata: &m {name: a}\nkind: A\napiVersion: v1\n";
    assert!(compared(one(text), one(other)).is_empty());
    let moved = tree(
        "east",
        &[
            ("kustomization.yaml", "resources: [b.yaml, a.yaml]\n"),
            ("a.yaml", "kind: A\napiVersion: v1\nmetadata: {name: a}\nspec: {c: d, b: [1, \"2\"]}\n"),
            ("b.yaml", "kind: B\nmetadata: {name: b}\n"),
        ],
    );
    assert!(compared(one(text), moved).is_empty());
    let list = "kind: List\napiVersion: v1\nitems:\n- {kind: B, metadata: {name: b}}\n- {kind: A, apiVersion: v1, metadata: {name: a}, spec: {c: d, b: [1, \"2\"]}}\n";
    assert!(compared(one(text), one(list)).is_empty());
    // A number is no text.
    assert!(!compared(one(text), one(&text.replace("\"2\"", "2"))).is_empty());
}

/// Variables and routes are read in their order.
#[test]
fn an_order_is_a_difference() {
    let text = |list: &str| format!("kind: A\nmetadata: {{name: a}}\nspec: {{list: [{list}]}}\n");
    let old = one(&text("{name: a, b: 1}, {name: c}, {name: d}"));
    let report = compared(old, one(&text("{name: c}, {name: a, b: 2}, {name: e}")));
    let said = "  ~ A a\n      ~ spec.list[a].b: 1 -> 2\n      - spec.list[d]: {\"name\":\"d\"}\n      + spec.list[e]: {\"name\":\"e\"}\n      \
                ~ spec.list: in another order\n        - a, c\n        + c, a\n";
    assert!(human(&report).ends_with(said), "{}", human(&report));
}

/// A mesh of many clusters in which all call one service.
fn wide(clusters: usize, port: u16) -> String {
    let mut text = "version: 1\nallow: [T0306]\nclusters:\n".to_owned();
    for it in 1..=clusters {
        let address = format!("34.70.{}.{}", it / 200, it % 200 + 1);
        text.push_str(&["  c", &it.to_string(), ": {istio: \"1.31.0\", gateway: ", &address, "}\n"].concat());
    }
    let callers: Vec<_> = (2..=clusters).map(|it| format!("c{it}")).collect();
    let call = "calls: [{service: cart, env: CART}], workload: {image: example.com/web}";
    text + &format!(
        "services:\n  cart: {{clusters: c1, ports: {{http: {port}}}}}\n  web: {{clusters: [{}], {call}}}\n",
        callers.join(", ")
    )
}

#[test]
fn what_is_the_same_in_many_clusters_is_told_once() {
    let report = topologies(&wide(100, 80), &wide(100, 81));
    let text = human(&report);
    snapshot("what_is_the_same_in_many_clusters_is_told_once", &text);
    let all = diff::human(&report, true, false);
    assert!(text.len() < 6000 && all.len() > text.len() && all.contains("c97, c98, c99 and c100"), "{all}");
    let markdown = diff::markdown(&report, false);
    assert!(markdown.len() < 65_536, "{} bytes", markdown.len());
}

/// A comment on GitHub has an end; what does not go in is counted.
#[test]
fn a_comment_is_never_too_long() {
    let cluster = |value: &str| -> Vec<(String, String)> {
        (0..60)
            .flat_map(|cluster| {
                let objects: Vec<String> = (0..40)
                    .map(|it| format!("---\nkind: A\nmetadata: {{name: a{it}, cluster: c{cluster}}}\nspec: {value}-{cluster}-{it}\n"))
                    .collect();
                let folder = format!("c{cluster}");
                [(format!("{folder}/kustomization.yaml"), "resources: [a.yaml]".to_owned()), (format!("{folder}/a.yaml"), objects.concat())]
            })
            .collect()
    };
    let side = |value: &str| {
        let all = cluster(value);
        let all: Vec<_> = all.iter().map(|it| (it.0.as_str(), it.1.as_str())).collect();
        tree(value, &all)
    };
    let report = compared(side("old"), side("new"));
    let text = diff::markdown(&report, false);
    assert!(text.len() < 65_536, "{} bytes", text.len());
    assert!(text.contains("There is no room in a comment for "), "{}", &text[text.len() - 300..]);
    assert!(diff::markdown(&report, true).len() > 65_536);
}

#[test]
fn clusters_come_go_and_wait() {
    let two =
        SHOP.replace("  north: {istio: \"1.31.0\", gateway: 35.193.92.28}\n", "").replace("[west, north]", "[west]");
    snapshot("a_cluster_that_comes", &human(&topologies(&two, SHOP)));
    snapshot("a_cluster_that_goes", &human(&topologies(SHOP, &two)));
    let waits = topologies(SHOP, &SHOP.replace("gateway: 34.70.9.157", "gateway: pending"));
    snapshot("clusters_that_wait", &human(&waits));
    assert_eq!(waits.left_out.len(), 2);
    let declared = waits.meaning.declared.as_ref().expect("both sides have a topology");
    assert!(declared.paths.is_none(), "nobody knows the way to a gateway without an address");
}

#[test]
fn one_cluster_alone_is_told_of() {
    let moved = support::compile(&SHOP.replace("clusters: east", "clusters: west"));
    let (old, new) = (Side::of_mesh("a", support::compile(SHOP)), Side::of_mesh("b", moved));
    let report = diff::compare(old, new, &["north".to_owned()]).expect("every bundle can be read");
    let names: Vec<_> = report.clusters.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["north"]);
    let text = human(&report);
    assert!(text.contains("if north is applied first") && !text.contains("if east is applied first"), "{text}");
    assert!(!text.contains("-> cart from west"), "{text}");
}

/// What somebody must run takes no effect by itself, and is told with its lines.
#[test]
fn files_that_nobody_applies() {
    let old = [
        ("kustomization.yaml", "resources: []\n"),
        ("10-istio/values.yaml", "a: 1\nb: 2\nc: 3\nd: 4\ne: 5\nf: 6\n"),
        ("30-dns/gone.sh", "true\n"),
        ("RUNBOOK.md", "one\n"),
        (".hidden", "one\n"),
    ];
    let new = [
        ("kustomization.yaml", "resources: []\nnamePrefix: x-\n"),
        ("10-istio/values.yaml", "a: 1\nb: 2\nc: 3\nd: 4\ne: 5\nf: 7\n"),
        ("30-dns/new.sh", "true\n"),
        ("RUNBOOK.md", "two\n"),
        (".hidden", "two\n"),
    ];
    let report = compared(tree("east", &old), tree("east", &new));
    snapshot("files_that_nobody_applies", &human(&report));
    assert_eq!(report.summary().by_hand, 2);
}

#[test]
fn a_tree_of_somebody_else_is_read_as_kustomize_reads_it() {
    let a = "kind: A\nmetadata: {name: a}\n";
    let old = [
        (
            "east/kustomization.yml",
            "resources:\n- ./a.yaml\n- ../base\n- https://example.com/crds.yaml\nbases: [more/]\n",
        ),
        ("east/a.yaml", a),
        ("east/more/Kustomization", "resources: [b.json, ..]\npatches: [{path: p.yaml}]\n"),
        ("east/more/b.json", "{\"kind\": \"B\", \"metadata\": {\"name\": \"b\"}}"),
        ("base/kustomization.yaml", "resources: [c.yaml]\n"),
        ("base/c.yaml", "kind: C\nmetadata: {name: c}\n"),
        ("empty/kustomization.yaml", ""),
        ("other/notes.txt", "no cluster\n"),
    ];
    let new = [("east/kustomization.yaml", "resources: [a.yaml]\n"), ("east/a.yaml", a)];
    let report = compared(tree("old", &old), tree("new", &new));
    let text = human(&report);
    assert!(text.contains("\n  - B b\n") && text.contains("\n  - C c\n") && !text.contains("A a"), "{text}");
    let names: Vec<_> = report.clusters.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["east", "base", "empty"]);
    assert_eq!(
        report.notes,
        [
            "east/kustomization.yml: `https://example.com/crds.yaml` lies elsewhere and is not looked at",
            "east/more/Kustomization: `patches` is not looked at",
        ]
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    let listed = |entry: &str| format!("resources: [{entry}]\n");
    for (kustomization, object, said) in [
        (listed("missing.yaml"), "", "east/kustomization.yaml: it lists `missing.yaml`, which is not there"),
        (listed("../../x.yaml"), "", "it lists `../../x.yaml`, which is not there"),
        (listed("/etc/passwd"), "", "it lists `/etc/passwd`, which is not there"),
        (listed("{a: b}"), "", "a resource is no path"),
        ("resources: a.yaml\n".to_owned(), "", "`resources` is no list"),
        ("- a\n".to_owned(), "", "it is no map"),
        ("a: [\n".to_owned(), "", "east/kustomization.yaml: "),
        (listed("a.yaml"), "kind: [\n", "east/a.yaml: "),
        (listed("a.yaml"), "metadata: {name: a}\n", "a document is no object: it has no `kind`"),
        (listed("a.yaml"), "kind: A\n", "a A has no name"),
        (listed("a.yaml"), "kind: A\nkind: B\nmetadata: {name: a}\n", "duplicate entry"),
    ] {
        let all = [("east/kustomization.yaml", kustomization.as_str()), ("east/a.yaml", object), ("x.yaml", "")];
        let nothing = [("east/kustomization.yaml", "")];
        let error = Side::of_tree("tree", "", &files(&all))
            .and_then(|it| diff::compare(tree("nothing", &nothing), it, &[]).map(|_| ()))
            .expect_err(said);
        assert!(error.to_string().contains(said), "{error}");
    }
    let mut bytes = files(&[("east/kustomization.yaml", "resources: [a.yaml]\n"), ("east/a.yaml", "")]);
    bytes.get_mut("east/a.yaml").expect("it is there").bytes = vec![0xff];
    let error = Side::of_tree("tree", "", &bytes).expect_err("it is no text");
    assert_eq!(error.to_string(), "east/a.yaml: it is not UTF-8 text");
}

/// Names and values with everything that a terminal, a comment or a reader could take for its own.
#[test]
fn nothing_breaks_out() {
    let evil =
        "x\u{1b}[31m\u{9b}31m\u{202e}|`</code></summary>```\n@everyone\n# <img src=x>\n\r- [ ] **b** $(id) \"'\\";
    let yaml = serde_json::to_string(evil).expect("text has a form in JSON");
    // YAML takes no control characters as they are.
    let escaped = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) };
    let yaml: String = yaml.chars().map(escaped).collect();
    let object = |value: &str| {
        format!(
            "{{\"kind\": {yaml}, \"apiVersion\": {yaml}, \"metadata\": {{\"name\": {yaml}, \"namespace\": {yaml}}}, \
             \"spec\": {{{yaml}: {value}, \"list\": [{{\"name\": {yaml}, \"a\": {value}}}], \"set\": [{value}]}}}}\n"
        )
    };
    let side = |value: &str| {
        let path = format!("{}/a.yaml", "```<b>");
        let kustomization = format!("resources: [{}]\npatches: 1\n{yaml}: 1\n", "'```<b>/a.yaml'");
        tree(evil, &[("kustomization.yaml", &kustomization), (&path, &object(value)), ("`|<i>/\u{1b}.sh", value)])
    };
    let report = compared(side("1"), side(&format!("[{yaml}, {{{yaml}: {yaml}}}]")));
    for color in [false, true] {
        let text = diff::human(&report, true, color);
        let plain = text.replace("\u{1b}[0m", "").replace("\u{1b}[", "<");
        let bad = plain.chars().find(|c| *c != '\n' && (c.is_control() || *c == '\u{202e}'));
        assert_eq!(bad, None, "{plain:?}");
        assert!(color || !text.contains('\u{1b}'), "{text:?}");
    }
    let markdown = diff::markdown(&report, true);
    snapshot("nothing_breaks_out_markdown", &markdown);
    let bad = markdown.chars().find(|c| *c != '\n' && (c.is_control() || *c == '\u{202e}'));
    assert_eq!(bad, None);
    // Outside the fences there is nothing of theirs but in `<code>`, and there only as entities.
    let mut fence: Option<String> = None;
    for line in markdown.lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) if line == open => fence = None,
            Some(open) => assert!(!line.trim_start().starts_with(open.as_str()), "{line} closes {open}"),
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => {
                let own = ["<details>", "</details>", "<summary>", "</summary>", "<code>", "</code>"];
                let rest = own.iter().fold(line.to_owned(), |line, tag| line.replace(tag, ""));
                assert!(!rest.contains(['<', '>', '`', '@', '|', '[']), "{line}");
            }
        }
    }
    assert_eq!(fence, None);
    let json: serde_json::Value = serde_json::from_str(&diff::json(&report)).expect("it is JSON");
    assert_eq!(json["clusters"][0]["objects"][0]["name"], evil);
}

#[test]
fn the_summary_counts_what_is_listed() {
    let report = topologies(SHOP, &SHOP.replace("clusters: east", "clusters: west"));
    let Summary { clusters, added, changed, removed, .. } = report.summary();
    let text = diff::human(&report, true, false);
    let objects = text.split("\nIn ").skip(1).flat_map(str::lines).filter(|it| !it.contains(".md"));
    let count = |mark: &str| objects.clone().filter(|it| it.starts_with(mark)).count();
    assert_eq!((clusters, added, changed), (3, count("  + "), count("  ~ ")));
    assert_eq!(removed, count("  - ") + count("  ! Namespace"));
}

#[test]
fn colors_say_what_the_marks_say() {
    let report = topologies(SHOP, &SHOP.replace("dark", "light"));
    let text = diff::human(&report, false, true);
    assert!(text.contains("\u{1b}[36m~ Deployment site/web\u{1b}[0m"), "{text:?}");
    let plain: String = text
        .split('\u{1b}')
        .map(|it| it.split_once('m').map_or(it, |it| if it.0.starts_with('[') { it.1 } else { it.0 }))
        .collect();
    assert_eq!(plain, human(&report));
}
