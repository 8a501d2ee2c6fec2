//! `prove` and `trace` as a user meets them: exit codes, what is printed, and trees that are not there.

use super::{Folder, TWO};

const ENTRY: &str = "out/east/20-mesh/cart.default.yaml";

#[test]
fn a_good_tree_is_proved() {
    let folder = Folder::compiled();
    let run = folder.run(&["prove"]);
    run.says(0, &[]);
    assert!(run.stdout.starts_with("ok      `web` in `east` calls `cart`"), "{}", run.stdout);
    assert!(run.stdout.contains("\n1 call proved, 0 broken"), "{}", run.stdout);
    let quiet = folder.run(&["prove", "-q", "out", "--calls", "topology.yaml"]);
    assert!(quiet.code == Some(0) && quiet.stdout.starts_with("1 call proved"), "{}", quiet.stdout);
    let all = folder.run(&["prove", "-v"]);
    assert!(all.stdout.contains(&format!("  {ENTRY}:")), "{}", all.stdout);
}

#[test]
fn a_broken_call_is_told_and_ends_with_1() {
    let folder = Folder::compiled();
    folder.write(ENTRY, &folder.read(ENTRY).replace("203.0.113.20", "203.0.113.21"));
    let run = folder.run(&["prove"]);
    assert_eq!(run.code, Some(1));
    for word in ["error[endpoint]: the endpoint is 203.0.113.21:15443", ENTRY, "0 calls proved, 1 broken"] {
        assert!(run.stdout.contains(word), "no `{word}` in\n{}", run.stdout);
    }
    assert!(!run.stdout.contains('\u{1b}'), "no color in a pipe");
    let json = folder.run(&["prove", "--format", "json"]);
    let read: serde_json::Value = serde_json::from_str(&json.stdout).expect("it is JSON");
    assert_eq!((json.code, &read["broken"][0]["break"]["hop"]), (Some(1), &"endpoint".into()));
    let trace = folder.run(&["trace", "web", "--cluster", "east", "--to", "cart"]);
    assert_eq!(trace.code, Some(1));
    assert!(trace.stdout.contains("error[endpoint]"), "{}", trace.stdout);
}

#[test]
fn a_call_is_traced_hop_by_hop() {
    let folder = Folder::compiled();
    for to in ["cart", "cart:7070", "cart.default.global:7070"] {
        let run = folder.run(&["trace", "web", "--cluster", "east", "--to", to]);
        run.says(0, &[]);
        assert!(run.stdout.contains("203.0.113.20:15443 is the gateway of `west`"), "{to}: {}", run.stdout);
    }
    folder
        .run(&["trace", "wep", "--cluster", "east", "--to", "cart"])
        .says(2, &["runs no service and serves no ingress `wep`", "`web`"]);
    folder.run(&["trace", "web", "--cluster", "est", "--to", "cart"]).says(2, &["no cluster `est`", "`east`"]);
}

#[test]
fn a_tree_that_cannot_be_read_ends_with_2() {
    let folder = Folder::new(TWO);
    folder.run(&["prove"]).says(2, &["cannot read out", "meshlatch compile"]);
    folder.compile();
    folder.run(&["prove", "out/east"]).says(2, &["no folder and no file of a cluster"]);
    folder.write(ENTRY, "kind: [");
    folder.run(&["prove"]).says(2, &["the tree cannot be read", ENTRY]);
    folder.write("topology.yaml", "version: 1\nclusters: {east: {istio: nonsense}}\n");
    folder.run(&["prove"]).says(1, &["error"]);
}

/// What is made is proved before anything is written of it.
#[test]
fn compile_writes_no_bundle_in_which_a_call_is_broken() {
    let kept = r#", annotations: {traffic.sidecar.istio.io/excludeInboundPorts: "7070"}"#;
    let topology = format!(
        r#"version: 1
clusters:
  east: {{istio: "1.31.0", gateway: 34.70.9.157}}
  west: {{istio: "1.31.0", gateway: 35.193.92.27}}
services:
  cart: {{clusters: east, ports: {{grpc: 7070}}, workload: {{image: example.com/cart}}{kept}}}
  web: {{clusters: west, ports: {{http: 80}}, calls: [{{service: cart, env: CART}}], workload: {{image: example.com/web}}}}
"#
    );
    let folder = Folder::new(&topology.replace(kept, ""));
    folder.compile();
    let before = folder.read("out/east/40-apps/cart.default.yaml");
    folder.write("topology.yaml", &topology);
    let broken = [
        "error[pod]: mTLS meets no sidecar: the port is kept from it",
        "--> east/40-apps/cart.default.yaml:31:55",
        "`web` in `west` calls `cart`",
        "nothing was written",
        "`meshlatch compile --no-prove`",
    ];
    folder.run(&["compile"]).says(1, &broken);
    assert_eq!(folder.read("out/east/40-apps/cart.default.yaml"), before);
    folder.run(&["compile", "--check"]).says(1, &[]);
    folder.run(&["compile", "--no-prove"]).says(0, &[]);
    // Where nothing is written, nothing is proved.
    folder.run(&["compile"]).says(0, &[]);
    folder.run(&["prove"]).says(1, &[]);
}

#[test]
fn a_request_from_outside_is_traced_through_the_ingress() {
    let folder = Folder::new(
        r#"version: 1
clusters:
  east: {istio: "1.31.0", gateway: 34.70.9.157}
services:
  web: {clusters: east, ports: {http: 80}, workload: {image: example.com/web}}
ingress:
  shop: {service: web, hosts: [shop.example.com]}
"#,
    );
    folder.compile();
    for caller in ["shop", "outside"] {
        let run = folder.run(&["trace", caller, "--cluster", "east", "--to", "shop.example.com"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        let hops = [
            "istio-ingressgateway has port 80  out/east/10-istio/istio-operator.yaml:",
            "Gateway default/shop takes calls of `shop.example.com`  out/east/50-ingress/shop.yaml:",
            "leads to web.default.svc.cluster.local:80",
            "to `east`",
        ];
        assert!(hops.iter().all(|it| run.stdout.contains(it)), "{}", run.stdout);
    }
    let other = folder.run(&["trace", "outside", "--cluster", "east", "--to", "other.example.com"]);
    assert!(
        other.code == Some(1) && other.stdout.contains("no Gateway takes calls of `other.example.com`"),
        "{other:?}"
    );
    folder.run(&["trace", "sho", "--cluster", "east", "--to", "web"]).says(2, &["serves no ingress `sho`", "`shop`"]);
}

#[test]
fn what_becomes_of_calls_without_something_is_told() {
    let folder = Folder::compiled();
    let run = folder.run(&["prove", "--without-cluster", "west"]);
    run.says(0, &[]);
    let end = "without the cluster `west`: 0 of 1 calls survive, 0 fall over, 0 fail in part, 1 die\n";
    assert!(run.stdout.starts_with("dies        `web` in `east`") && run.stdout.ends_with(end), "{}", run.stdout);
    let both = folder.run(&["prove", "--without-gateway", "west", "--without-service", "web@east", "--format", "json"]);
    let read: serde_json::Value = serde_json::from_str(&both.stdout).expect("it is JSON");
    assert_eq!((both.code, &read["losses"][0]["goneWithIt"]), (Some(0), &1.into()));
    let each = folder.run(&["prove", "--each-failure"]);
    each.says(0, &[]);
    assert!(each.stdout.contains("\n| the gateway of `west` | 0 | 0 | 0 | 1 | 0 |\n"), "{}", each.stdout);
    let point = "single point of failure: the cluster `west`, without which 1 call dies\n";
    assert!(folder.run(&["prove", "-v"]).stdout.contains(point));
    folder.run(&["prove", "--without-cluster", "wset"]).says(2, &["no cluster `wset`", "there is `west`"]);
    folder.run(&["prove", "--without-gateway", "wset"]).says(2, &["no cluster `wset`", "there is `west`"]);
    folder.run(&["prove", "--without-service", "carts"]).says(2, &["no service `carts`", "there is `cart`"]);
    folder.run(&["prove", "--without-service", "cart@east"]).says(2, &["`cart` does not run in `east`", "`west`"]);
    folder.write(ENTRY, &folder.read(ENTRY).replace("203.0.113.20", "203.0.113.21"));
    let broken = folder.run(&["prove", "--each-failure"]);
    assert_eq!(broken.code, Some(1));
    assert!(broken.stdout.ends_with("left aside: 1 that are broken already, 0 that could not be followed\n"));
}
