//! What is written although no declared call asks for it.

use meshlatch::prove::{Unasked, UnaskedKind, World};

use crate::support;

/// What is told of a topology's bundles and these further files.
fn told(topology: &str, more: &[(&str, &str)]) -> Vec<(UnaskedKind, String)> {
    let mesh = support::compile(topology);
    let mut files = support::tree(&mesh);
    for (path, text) in more {
        let file = files.entry((*path).to_owned()).or_default();
        if !file.is_empty() {
            file.push_str("---\n");
        }
        file.push_str(text);
    }
    let world = World::of_tree(&mesh, "out", &super::files(&files), "default").expect("it can be read");
    let proof = world.prove();
    assert!(proof.broken.is_empty(), "{:?}", proof.broken);
    let unasked = proof.unasked.iter().filter(|it| it.kind != UnaskedKind::Unguarded);
    unasked.map(|it| (it.kind, format!("{}: {}", it.cluster, it.what))).collect()
}

const MESH: &str = r#"version: 1
clusters:
  east: {istio: "1.31.0", gateway: 34.70.9.157}
  west: {istio: "1.31.0", gateway: 35.193.92.27}
services:
  cart: {clusters: east, ports: {grpc: 7070}, workload: {image: example.com/cart}}
  web: {clusters: west, ports: {http: 80}, calls: [{service: cart, env: CART}], workload: {image: example.com/web}}
"#;

/// Nothing is made in vain.
#[test]
fn nothing_is_dead_in_any_golden_case() {
    for (name, folder) in support::golden_cases() {
        let topology = std::fs::read_to_string(folder.join("topology.yaml")).expect("a case has a topology");
        let mesh = support::compile(&topology);
        let world = World::of_mesh(&mesh).expect("bundles can be read");
        let proof = world.prove();
        let is_vain = |it: &&Unasked| matches!(it.kind, UnaskedKind::Dead | UnaskedKind::Open);
        let unasked = proof.unasked.iter().filter(is_vain);
        let unasked = unasked.map(|it| format!("{:?} {}: {}", it.kind, it.cluster, it.what));
        // A cluster whose share is nothing is ready to get one.
        let is_in_vain = |it: &String| name != "weights" || !it.contains(" north: ") || !it.contains("cart");
        assert_eq!(unasked.filter(is_in_vain).collect::<Vec<_>>(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_no_call_goes_by_is_dead() {
    assert_eq!(told(MESH, &[]), []);
    let left = "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: till, namespace: default}
spec:
  hosts: [till.default.global]
  location: MESH_INTERNAL
  resolution: STATIC
  addresses: [240.0.99.9]
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 34.70.9.157, ports: {http: 15443}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: till, namespace: default}
spec: {host: till.default.global, trafficPolicy: {outlierDetection: {consecutiveGatewayErrors: 5}}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: till, namespace: default}
spec: {selector: {matchLabels: {app: till}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: all, namespace: default}
spec: {host: '*.default.global', trafficPolicy: {connectionPool: {tcp: {maxConnections: 9}}}}
";
    let dead = |what: &str| (UnaskedKind::Dead, format!("west: {what} default/till"));
    assert_eq!(
        told(MESH, &[("west/20-mesh/cart.default.yaml", left)]),
        [dead("AuthorizationPolicy"), dead("DestinationRule"), dead("ServiceEntry")]
    );
}

/// A gateway that lets in more than anybody is declared to call.
#[test]
fn a_host_that_nobody_elsewhere_calls_is_open() {
    let more = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: more, namespace: istio-system}
spec:
  selector: {istio: eastwestgateway}
  servers:
  - port: {number: 15443, name: tls, protocol: TLS}
    tls: {mode: AUTO_PASSTHROUGH}
    hosts: [till.default.global, '*.global', '*.local']
";
    let open = |host: &str| (UnaskedKind::Open, format!("east: {host}"));
    assert_eq!(
        told(MESH, &[("east/20-mesh/east-west-gateway.yaml", more)]),
        [open("till.default.global"), open("*.local")],
        "somebody calls what `*.global` covers"
    );
}

/// Whom anybody may call, whoever is declared to.
#[test]
fn pods_without_a_policy_are_unguarded() {
    let unguarded = |topology: &str| -> Vec<String> {
        let world = World::of_mesh(&support::compile(topology)).expect("bundles can be read");
        let proof = world.prove();
        let found = proof.unasked.iter().filter(|it| it.kind == UnaskedKind::Unguarded);
        found.map(|it| format!("{}: {} at {}", it.cluster, it.what, it.place.file())).collect()
    };
    assert_eq!(unguarded(MESH), ["east: Deployment default/cart at east/40-apps/cart.default.yaml"]);
    assert_eq!(
        unguarded(&MESH.replace("services:", "mesh: {authorization: declared}\nservices:")),
        Vec::<String>::new()
    );
    let is_guarded = |namespace: &str, spec: &str| {
        let mesh = support::compile(MESH);
        let mut files = support::tree(&mesh);
        let policy = format!(
            "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
             metadata: {{name: it, namespace: {namespace}}}\nspec: {{{spec}rules: [{{}}]}}\n"
        );
        files.get_mut("east/40-apps/cart.default.yaml").expect("it is written").push_str(&policy);
        let world = World::of_tree(&mesh, "out", &super::files(&files), "default").expect("it can be read");
        world.prove().unasked.iter().all(|it| it.kind != UnaskedKind::Unguarded)
    };
    let of = |app: &str| format!("selector: {{matchLabels: {{app: {app}}}}}, ");
    assert!(is_guarded("default", "") && is_guarded("default", &of("cart")) && is_guarded("istio-system", ""));
    assert!(is_guarded("default", "action: CUSTOM, provider: {name: x}, "));
    assert!(!is_guarded("default", &of("other")) && !is_guarded("other", ""));
    assert!(!is_guarded("default", "action: AUDIT, "));
}

/// A gateway before 1.9 asks for no host: whatever has a Service there can be called.
#[test]
fn every_name_of_the_suffix_is_open_before_1_9() {
    let old = MESH
        .replace("version: 1\n", "version: 1\nallow: [T0306]\n")
        .replace("1.31.0", "1.5.2")
        .replace("9.157}", "9.157, dns: {provider: kube-dns, address: 10.8.0.53}}")
        .replace("92.27}", "92.27, dns: {provider: kube-dns, address: 10.8.0.53}}");
    let suffix = |cluster: &str| (UnaskedKind::Suffix, format!("{cluster}: *.global"));
    // Who calls `cart` of `east` is declared, and it has no other.
    assert_eq!(told(&old, &[]), [suffix("west")]);
    let till = "apiVersion: v1\nkind: Service\nmetadata: {name: till, namespace: default}\n\
                spec: {selector: {app: till}, ports: [{port: 80}]}\n";
    assert_eq!(told(&old, &[("east/40-apps/cart.default.yaml", till)]), [suffix("east"), suffix("west")]);
    let mesh = support::compile(&old);
    let world = World::of_mesh(&mesh).expect("bundles can be read");
    let proof = world.prove();
    let found = proof.unasked.iter().find(|it| it.kind == UnaskedKind::Suffix).expect("it was told");
    assert!(found.place.file().contains("10-istio/"), "{}", found.place.file());
    let text = meshlatch::prove::human(&proof, meshlatch::prove::Detail::Hops, false);
    assert!(text.contains("open: the gateway of `west` passes on every name of `*.global`"), "{text}");
}
