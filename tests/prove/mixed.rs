//! Meshes of which some clusters are those of another topology: where calls go, and where they end.

use meshlatch::prove::World;

use crate::support;

fn world(topology: &str) -> World {
    World::of_mesh(&support::compile(topology)).expect("a bundle can be read")
}

const MESH: &str = r#"version: 1
allow: [T0306]
clusters:
  c1: {istio: "1.30.3", gateway: 34.70.9.1}
  c2: {istio: "1.30.3", gateway: 34.70.9.2}
  c3: {istio: "1.30.3", gateway: 34.70.9.3}
mesh: {authorization: declared}
services:
  cart: {namespace: shop, clusters: [c2], ports: {http: 80}, workload: {image: example.com/cart}}
  web: {namespace: web, clusters: [c1], calls: [{service: cart, env: CART}], workload: {image: example.com/web}}
"#;

/// The paths of all calls.
fn paths(world: &World) -> Vec<String> {
    world.calls().map(|it| world.follow(it).expect("it has a path").to_string()).collect()
}

#[test]
fn a_path_names_the_cluster_and_the_gateway() {
    assert_eq!(paths(&world(MESH)), ["c2 via 34.70.9.2:15443"]);
    let both = MESH.replace("clusters: [c2]", "clusters: [c1, c2], balance: {weights: {c1: 30, c2: 70}}");
    assert_eq!(paths(&world(&both)), ["c1 (30 %), c2 via 34.70.9.2:15443 (70 %)"]);
    let near = MESH.replace("clusters: [c2]", "clusters: c1");
    assert_eq!(paths(&world(&near)), ["c1"]);
    let once = MESH.replace("mesh: {", "mesh: {gatewayAddresses: istio-remote, ");
    assert_eq!(paths(&world(&once)), ["c2 via 34.70.9.2:15443"]);
    // An address of a gateway may differ by who connects.
    let from = MESH.replace("gateway: 34.70.9.2", "gateway: {address: 34.70.9.2, from: {c1: 10.1.2.3}}");
    assert_eq!(paths(&world(&from)), ["c2 via 10.1.2.3:15443"]);
}

/// A mesh of which some clusters have what another topology says, and what breaks in it.
fn mixed(topology: &str, changed: &str, clusters: &[&str]) -> Vec<String> {
    let (mut old, new) = (world(topology), world(changed));
    old.mean(&new);
    for cluster in clusters {
        old.take(cluster, &new);
    }
    old.breaks().broken.iter().map(|(call, it)| format!("{call}: {}", it.broken)).collect()
}

#[test]
fn it_is_said_where_a_call_ends() {
    let cases = [
        // The caller knows the new name, and the owner's gateway the old one.
        ("namespace: shop", "namespace: sale", "c1", "in `c2`, the gateway does not let `cart.sale.global` in"),
        ("namespace: shop", "namespace: sale", "c2", "in `c2`, the gateway does not let `cart.shop.global` in"),
        ("http: 80", "http: 81", "c2", "in `c2`, ServiceEntry shop/cart-shop-global has no port 80 of TCP"),
        ("clusters: [c2]", "clusters: [c3]", "c1", "in `c3`, no Gateway opens port 15443 at istio-eastwestgateway"),
        ("clusters: [c2]", "clusters: [c3]", "c2", "in `c2`, no Gateway opens port 15443 at istio-eastwestgateway"),
        (
            "web: {namespace: web",
            "web: {namespace: site",
            "c1",
            "AuthorizationPolicy shop/cart-callers does not let `cluster.local/ns/site/sa/web` in",
        ),
        ("cart: {", "cart: {serviceAccount: till, ", "c1", "`spiffe://cluster.local/ns/shop/sa/till` is expected"),
        ("cart: {", "cart: {names: cluster-local, ", "c1", "does not let `cart.shop.svc.cluster.local` in"),
    ];
    for (from, to, cluster, said) in cases {
        let found = mixed(MESH, &MESH.replace(from, to), &[cluster]);
        assert!(found.len() == 1 && found[0].contains(said), "{to} in {cluster}: {found:?} does not say {said}");
        let all = mixed(MESH, &MESH.replace(from, to), &["c1", "c2", "c3"]);
        assert_eq!(all, Vec::<String>::new(), "{to}");
    }
}

/// The gateway of a cluster that is taken from the mesh answers nobody.
#[test]
fn a_cluster_that_is_gone_answers_nobody() {
    let without = MESH.replace("  c2: {istio: \"1.30.3\", gateway: 34.70.9.2}\n", "").replace("[c2]", "[c3]");
    let found = mixed(MESH, &without, &["c2"]);
    assert!(found[0].contains("in `c2`, nothing is written for the cluster"), "{found:?}");
}

#[test]
fn an_old_gateway_passes_on_names_of_the_suffix() {
    let old = MESH.replace("mesh: {authorization: declared}\n", "").replace("1.30.3", "1.7.8");
    let old = old.replace("gateway: 34.70.9.1", "gateway: 34.70.9.1, dns: {provider: kube-dns, address: 10.0.0.53}");
    let old = old.replace("gateway: 34.70.9.2", "gateway: 34.70.9.2, dns: {provider: kube-dns, address: 10.0.1.53}");
    let old = old.replace("gateway: 34.70.9.3", "gateway: 34.70.9.3, dns: {provider: kube-dns, address: 10.0.2.53}");
    assert_eq!(paths(&world(&old)), ["c2 via 34.70.9.2:15443"]);
    let found = mixed(&old, &old.replace("clusters: [c2]", "clusters: [c3]"), &["c2"]);
    assert!(found[0].contains("in `c2`, nothing in `c2` knows `cart.shop.svc.cluster.local`"), "{found:?}");
}
