//! Trees that somebody else wrote, what is not understood in them, and bad ones.

use std::collections::BTreeMap;

use meshlatch::Mesh;
use meshlatch::prove::World;

use super::{broken, files, topology, world};
use crate::support;

const CASE: &str = "tests/golden/cluster_local";

fn case() -> (Mesh, BTreeMap<String, String>) {
    let folder = support::root().join(CASE);
    (topology(&folder), support::read_tree(&folder.join("out")))
}

/// The tree as a file a cluster, with the files that install Istio beside it.
fn built(tree: &BTreeMap<String, String>, whole: impl Fn(&[serde_yaml::Value]) -> String) -> BTreeMap<String, String> {
    let mut made = BTreeMap::new();
    for cluster in ["east", "west"] {
        let of_cluster = tree.iter().filter(|it| it.0.starts_with(cluster) && it.0.ends_with(".yaml"));
        let mut objects = Vec::new();
        for (path, text) in of_cluster.filter(|it| !it.0.ends_with("kustomization.yaml")) {
            if path.contains("10-istio") {
                made.insert(path.clone(), text.clone());
                continue;
            }
            for document in serde_yaml::Deserializer::from_str(text) {
                objects.push(serde::Deserialize::deserialize(document).expect("a golden file is YAML"));
            }
        }
        made.insert(format!("{cluster}.yaml"), whole(&objects));
    }
    made
}

fn proved(mesh: &Mesh, tree: &BTreeMap<String, String>) -> usize {
    let world = world(mesh, tree);
    let proof = world.prove();
    assert_eq!(broken(&proof), Vec::<String>::new());
    proof.proved.len()
}

#[test]
fn a_cluster_may_be_a_file_a_list_or_json() {
    let (mesh, tree) = case();
    let calls = proved(&mesh, &tree);
    let documents = built(&tree, |it| it.iter().map(meshlatch::yaml::to_string).collect::<Vec<_>>().join("---\n"));
    assert_eq!(proved(&mesh, &documents), calls);
    let list = |it: &[serde_yaml::Value]| serde_json::json!({"apiVersion": "v1", "kind": "List", "items": it});
    assert_eq!(proved(&mesh, &built(&tree, |it| meshlatch::yaml::to_string(&list(it)))), calls);
    assert_eq!(proved(&mesh, &built(&tree, |it| list(it).to_string())), calls);
    let mut folders = tree;
    folders.retain(|path, _| !path.ends_with("kustomization.yaml"));
    assert_eq!(proved(&mesh, &folders), calls);
}

#[test]
fn a_place_in_a_list_is_that_of_its_element() {
    let (mesh, tree) = case();
    let list = |it: &[serde_yaml::Value]| serde_json::json!({"apiVersion": "v1", "kind": "List", "items": it});
    let mut tree = built(&tree, |it| meshlatch::yaml::to_string(&list(it)));
    let east = tree.get_mut("east.yaml").expect("it was made");
    *east = east.replace("    - cart.shop.svc.cluster.local\n", "");
    let of_gateway = east.find("kind: Gateway").expect("there is a Gateway");
    let hosts = of_gateway + east[of_gateway..].find("hosts:").expect("it has hosts");
    let line = 1 + east[..hosts].matches('\n').count();
    let world = world(&mesh, &tree);
    let proof = world.prove();
    let place = proof.broken[0].1.broken.place.as_ref().expect("a field decides it");
    assert_eq!((place.file(), place.position().line), ("out/east.yaml", line));
}

#[test]
fn names_may_be_left_to_the_api_server() {
    let (mesh, tree) = case();
    let whole = proved(&mesh, &tree);
    let mut tree = built(&tree, |it| it.iter().map(meshlatch::yaml::to_string).collect::<Vec<_>>().join("---\n"));
    let job = "---\napiVersion: batch/v1\nkind: Job\nmetadata: {generateName: once-, namespace: default}\n";
    for cluster in ["east.yaml", "west.yaml"] {
        tree.get_mut(cluster).expect("it is built").push_str(&job.repeat(2));
    }
    assert_eq!(proved(&mesh, &tree), whole);
}

#[test]
fn objects_without_a_namespace_are_given_one() {
    let (mesh, mut tree) = case();
    for text in tree.values_mut() {
        *text = text.replace("  namespace: shop\n", "");
    }
    let world = World::of_tree(&mesh, "out", &files(&tree), "shop").expect("the tree can be read");
    assert_eq!(broken(&world.prove()), Vec::<String>::new());
    let world = World::of_tree(&mesh, "out", &files(&tree), "default").expect("the tree can be read");
    assert_eq!(world.prove().broken.len(), 2);
}

#[test]
fn what_is_not_understood_is_named_with_the_calls_on_which_it_may_act() {
    let (mesh, tree) = case();
    let odd = |cluster: &str, text: &str| {
        let mut tree = tree.clone();
        tree.insert(format!("{cluster}/odd.yaml"), text.to_owned());
        *tree.get_mut(&format!("{cluster}/kustomization.yaml")).expect("it is there") += "- odd.yaml\n";
        let world = world(&mesh, &tree);
        let proof = world.prove();
        proof.odd.iter().map(|(it, calls)| (it.what.clone(), calls.len())).collect::<Vec<_>>()
    };
    let filter = "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: it, namespace: NS}\nspec: {workloadSelector: {labels: {app: APP}}}\n";
    let filter = |namespace: &str, app: &str| filter.replace("NS", namespace).replace("APP", app);
    assert_eq!(odd("west", &filter("shop", "web")), [("EnvoyFilter shop/it".to_owned(), 2)]);
    assert_eq!(odd("east", &filter("shop", "cart")), [("EnvoyFilter shop/it".to_owned(), 1)]);
    assert_eq!(odd("east", &filter("shop", "other")), [("EnvoyFilter shop/it".to_owned(), 0)]);
    let all = filter("istio-system", "x").replace("spec: {workloadSelector: {labels: {app: x}}}\n", "");
    assert_eq!(odd("east", &all), [("EnvoyFilter istio-system/it".to_owned(), 2)]);
    let plugin = "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: it, namespace: shop}\nspec: {selector: {matchLabels: {app: stock}}}\n";
    assert_eq!(odd("east", plugin), [("WasmPlugin shop/it".to_owned(), 1)]);
    let route = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: it, namespace: shop}\nspec: {hosts: [stock.shop.global], http: [{fault: {abort: {httpStatus: 500}}, route: [{destination: {host: cart}}]}]}\n";
    assert_eq!(odd("west", route), [("`fault` of VirtualService shop/it".to_owned(), 1)]);
    let telemetry = "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: it, namespace: shop}\n";
    assert_eq!(odd("west", telemetry), []);
}

#[test]
fn a_bad_tree_is_refused_with_the_file_and_the_reason() {
    let (mesh, tree) = case();
    let refused = |path: &str, text: &str| {
        let mut tree = tree.clone();
        tree.insert(path.to_owned(), text.to_owned());
        World::of_tree(&mesh, "out", &files(&tree), "default").expect_err("it is refused").to_string()
    };
    let path = "west/20-mesh/cart.shop.yaml";
    let cases = [
        ("a: [", "out/west/20-mesh/cart.shop.yaml: "),
        ("a: 1", "has no `kind`"),
        ("kind: Service\nmetadata: {name: a}", "has no `apiVersion`"),
        ("apiVersion: v1\nkind: Service", "has no name"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: []", "is no map"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a, name: b}", "duplicate"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}", "stands in"),
    ];
    for (text, reason) in cases {
        let said = refused(path, text);
        assert!(said.contains(reason), "{said} does not say {reason}");
    }
    let patched = format!("{}patches: []\n", tree["west/kustomization.yaml"]);
    assert!(refused("west/kustomization.yaml", &patched).contains("kustomize build"));
}

#[test]
fn a_cluster_of_which_nothing_is_written_is_not_taken_for_well() {
    let (mesh, mut tree) = case();
    tree.retain(|path, _| !path.starts_with("east"));
    let world = world(&mesh, &tree);
    let proof = world.prove();
    assert_eq!(world.absent(), ["east"]);
    assert_eq!((proof.proved.len(), proof.broken.len(), proof.absent.len()), (0, 0, 2));
}

/// A Service drops an endpoint that does not name its target port; of a gateway that istiod looks up, too.
#[test]
fn an_endpoint_beside_pods_has_the_name_of_the_target_port() {
    let topology = r#"version: 1
mesh: {suffix: mesh.internal, gatewayAddresses: istio-remote, names: cluster-local}
clusters: {c0: {istio: "1.29.5", gateway: 198.51.100.1}, c1: {istio: "1.28.10", gateway: 198.51.100.2}}
services:
  cart:
    clusters: [c0, c1]
    ports: {http: {port: 80, targetPort: web}}
    calls: cart
    workload: {image: example.com/cart, container: {ports: [{name: web, containerPort: 8080}]}}
    balance: {weights: {c0: 50, c1: 50}}
"#;
    let mesh = support::compile(topology);
    let mut tree = support::tree(&mesh);
    assert_eq!(proved(&mesh, &tree), 2);
    let file = tree.get_mut("c0/20-mesh/cart.default.yaml").expect("it is written");
    *file = file.replace("    web: 15443\n", "    other: 15443\n");
    let world = world(&mesh, &tree);
    assert_eq!(broken(&world.prove()).len(), 1);
}

/// What a proof takes on trust is said, and is not taken for written.
#[test]
fn what_no_file_says_is_told() {
    let (mesh, tree) = case();
    let trusts = |without: &str| {
        let mut tree = tree.clone();
        for text in tree.values_mut() {
            let kept: Vec<_> = text.split("---\n").filter(|it| !it.contains(without)).collect();
            *text = kept.join("---\n");
        }
        let world = world(&mesh, &tree);
        let proof = world.prove();
        let cart = proof.proved.iter().find(|it| it.0.callee == "cart").expect("it is proved");
        cart.1.trusts.join(", ")
    };
    assert_eq!(trusts("nothing of it"), "");
    assert!(trusts("kind: ServiceAccount\nmetadata:\n  name: cart").contains("the ServiceAccount shop/cart of `east`"));
    assert!(
        trusts("kind: Namespace\nmetadata:\n  labels:\n    istio-injection")
            .contains("sidecars in the namespace `shop`")
    );
    assert!(
        trusts("name: web\n  namespace: shop\nspec:\n  selector:\n    matchLabels")
            .contains("the pods of `web` in `west`")
    );
}

/// Pods that keep their traffic from the sidecar, or find names in another way.
#[test]
fn what_pods_say_of_their_own_traffic_is_not_understood() {
    let (mesh, mut tree) = case();
    let web = tree.get_mut("west/40-apps/web.shop.yaml").expect("it is written");
    let annotations = "      annotations: {traffic.sidecar.istio.io/excludeOutboundPorts: \"7070\"}\n      labels:\n        app: web\n    spec:\n      dnsPolicy: Default\n";
    *web = web.replace("      labels:\n        app: web\n    spec:\n", annotations);
    let world = world(&mesh, &tree);
    let odd: Vec<_> = world.prove().odd.into_iter().map(|(it, calls)| (it.what, calls.len())).collect();
    let named = |field: &str| (format!("`{field}` of Deployment shop/web"), 2);
    assert_eq!(odd, [named("traffic.sidecar.istio.io/excludeOutboundPorts"), named("dnsPolicy")]);
}

/// Further ways to break the tree, each with the hop at which that shows.
#[test]
fn what_was_not_run_on_a_cluster_is_found_as_the_sources_of_istio_say() {
    let (mesh, tree) = case();
    let entry = "west/20-mesh/stock.shop.yaml";
    let cases = [
        (entry, "resolution: STATIC", "resolution: NONE", "endpoint"),
        (entry, "address: 34.70.9.157", "address: east.example.com", "endpoint"),
        ("west/20-mesh/cart.shop.yaml", "address: 34.70.9.157", "address: east.example.com", "endpoint"),
        (entry, "240.0.38.22", "224.0.0.5", "address"),
        ("west/40-apps/web.shop.yaml", "          value: cart.shop.svc.cluster.local:7070\n", "", "name"),
        ("east/20-mesh/east-west-gateway.yaml", "number: 15443", "targetPort: 15443", "gateway"),
        ("east/00-namespaces/shop.yaml", "istio-injection: enabled", "istio-injection: disabled", "pod"),
        ("west/00-namespaces/shop.yaml", "istio-injection: enabled", "team: shop", "name"),
        ("east/20-mesh/peer-authentication.yaml", "mode: STRICT", "mode: DISABLE", "pod"),
        ("east/20-mesh/stock.shop.yaml", "protocol: TCP", "protocol: UDP", "chain"),
        ("east/20-mesh/stock.shop.yaml", "protocol: TCP", "protocol: HTTP", "owner"),
        ("west/20-mesh/sidecar-shop.yaml", "\"./*\"", "\"other/*\"", "scope"),
    ];
    for (path, from, to, hop) in cases {
        let mut tree = tree.clone();
        let text = tree.get_mut(path).expect("it is written");
        assert!(text.contains(from), "{path} does not say {from}");
        *text = text.replace(from, to);
        let world = world(&mesh, &tree);
        let proof = world.prove();
        let hops: Vec<_> = proof.broken.iter().map(|it| it.1.broken.kind.name()).collect();
        assert!(hops.contains(&hop), "{path} with {to}: {hops:?}");
    }
}

/// A listener passes on what comes to the port for other clusters as TLS, and is not opened.
#[test]
fn a_listener_that_does_not_pass_on_is_found() {
    let folder = support::root().join("tests/golden/gateway_api");
    let (mesh, tree) = (topology(&folder), support::read_tree(&folder.join("out")));
    for (from, to) in [
        ("protocol: TLS", "protocol: TCP"),
        ("mode: Passthrough", "mode: Terminate"),
        (
            "    topology.istio.io/network: east\n",
            "    topology.istio.io/network: east\n    networking.istio.io/gatewayPort: \"15444\"\n",
        ),
    ] {
        let mut tree = tree.clone();
        let text = tree.get_mut("east/20-mesh/east-west-gateway.yaml").expect("it is written");
        assert!(text.contains(from), "{text}");
        *text = text.replace(from, to);
        let world = world(&mesh, &tree);
        let kinds: Vec<_> = world.prove().broken.iter().map(|it| it.1.broken.kind.name()).collect();
        assert_eq!(kinds, ["chain"; 2], "{to}");
    }
}

#[test]
fn a_second_route_of_a_host_is_not_understood() {
    let folder = support::root().join("tests/golden/weights");
    let (mesh, mut tree) = (topology(&folder), support::read_tree(&folder.join("out")));
    let route = |name: &str, host: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec: {{hosts: [{host}], exportTo: [web], http: [{{route: [{{destination: {{host: {host}}}}}]}}]}}\n"
        )
    };
    let texts = [route("z-second", "cart.shop.global"), route("z-other", "other.shop.global")];
    tree.insert("south/second.yaml".to_owned(), texts.join("---\n"));
    *tree.get_mut("south/kustomization.yaml").expect("it is there") += "- second.yaml\n";
    let world = world(&mesh, &tree);
    let odd: Vec<_> = world.prove().odd.into_iter().map(|(it, calls)| (it.what, calls.len())).collect();
    let what = "VirtualService shop/z-second beside VirtualService shop/cart-shop-global, which has the host \
                `cart.shop.global`, too,";
    assert_eq!(odd, [(what.to_owned(), 2)]);
}

/// An address for callers of one cluster leads nobody else to the gateway; who has one may take that for all, too.
#[test]
fn an_address_for_callers_of_a_cluster_is_for_no_others() {
    let topology = r#"version: 1
clusters:
  east: {istio: "1.31.0", gateway: {address: 34.70.9.157, from: {west: 10.8.0.9}}}
  west: {istio: "1.31.0", gateway: 34.70.9.158}
  north: {istio: "1.31.0", gateway: 34.70.9.159}
services:
  cart: {clusters: east, ports: {grpc: 7070}, workload: {image: example.com/cart}}
  web: {clusters: [west, north], ports: {http: 80}, calls: cart, workload: {image: example.com/web}}
"#;
    let mesh = support::compile(topology);
    let good = support::tree(&mesh);
    assert_eq!(proved(&mesh, &good), 2);
    let ends = |cluster: &str, from: &str, to: &str| {
        let mut tree = good.clone();
        let file = tree.get_mut(&format!("{cluster}/20-mesh/cart.default.yaml")).expect("it is written");
        assert!(file.contains(from), "{file}");
        *file = file.replace(from, to);
        broken(&world(&mesh, &tree).prove()).join("\n")
    };
    assert_eq!(ends("west", "10.8.0.9", "34.70.9.157"), "");
    let wrong = "the endpoint is 10.8.0.9:15443, at which `east` is reached from `west` only";
    assert!(ends("north", "34.70.9.157", "10.8.0.9").contains(wrong));
}

/// Of two servers that exclude each other istiod takes that of the older Gateway, or the first of one.
#[test]
fn a_gateway_that_may_be_left_out_for_another_is_told() {
    let (mesh, tree) = case();
    let ends = |object: &str| {
        let mut tree = tree.clone();
        let file = tree.get_mut("east/20-mesh/east-west-gateway.yaml").expect("it is written");
        *file = format!("{file}---\n{object}");
        let mut all = broken(&world(&mesh, &tree).prove());
        all.retain(|it| it.contains("chain: ") && it.contains("and only the older is taken"));
        all.len()
    };
    let other = |server: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: other, namespace: other}}\n\
             spec: {{selector: {{istio: eastwestgateway}}, servers: [{{{server}}}]}}\n"
        )
    };
    let port = "port: {number: 15443, name: x, protocol: TLS}";
    let cart = "cart.shop.svc.cluster.local";
    let simple = "tls: {mode: SIMPLE, credentialName: x}";
    let passing = "tls: {mode: AUTO_PASSTHROUGH}";
    // All of a server is left out for one host that another has.
    assert_eq!(ends(&other(&format!("{port}, {simple}, hosts: [{cart}]"))), 2);
    assert_eq!(ends(&other(&format!("{port}, {simple}, hosts: ['*/{cart}']"))), 2);
    // The other passes this host on, too.
    assert_eq!(ends(&other(&format!("{port}, {passing}, hosts: [{cart}]"))), 1);
    assert_eq!(ends(&other(&format!("{port}, {passing}, hosts: [{cart}, stock.shop.global]"))), 0);
    // Plain text leaves no room for TLS.
    let plain = port.replace("TLS", "HTTP");
    assert_eq!(ends(&other(&format!("{plain}, hosts: ['*']"))), 2);
    assert_eq!(ends(&other(&format!("{}, hosts: ['*']", port.replace("TLS", "TCP")))), 2);
    // Hosts of its own, a namespace, an address or a port of its own, or other pods.
    assert_eq!(ends(&other(&format!("{port}, {simple}, hosts: [x.example.com]"))), 0);
    assert_eq!(ends(&other(&format!("{port}, {simple}, hosts: [./{cart}]"))), 0);
    assert_eq!(ends(&other(&format!("{port}, {simple}, bind: 10.0.0.1, hosts: [{cart}]"))), 0);
    let elsewhere = port.replace("15443", "15444");
    assert_eq!(ends(&other(&format!("{elsewhere}, {simple}, hosts: [{cart}]"))), 0);
    let of_others =
        other(&format!("{port}, {simple}, hosts: [{cart}]")).replace("istio: eastwestgateway", "istio: other");
    assert_eq!(ends(&of_others), 0);
    // Hosts of namespaces are hosts, and those of another namespace are others.
    let within = |it: &str| {
        let mut tree = tree.clone();
        let file = tree.get_mut("east/20-mesh/east-west-gateway.yaml").expect("it is written");
        let object = other(&format!("{port}, {simple}, hosts: [./{cart}]"));
        *file = format!("{}---\n{object}", file.replace(&format!("- {cart}"), &format!("- '{it}/{cart}'")));
        broken(&world(&mesh, &tree).prove()).len()
    };
    assert_eq!([within("."), within("*"), within("other")], [0, 0, 2]);
    // Of one Gateway the first is taken, and that comes first here.
    let mut same = tree.clone();
    let file = same.get_mut("east/20-mesh/east-west-gateway.yaml").expect("it is written");
    *file = format!("{file}  - {{{port}, {simple}, hosts: [{cart}]}}\n");
    assert_eq!(proved(&mesh, &same), 2);
    let file = same.get_mut("east/20-mesh/east-west-gateway.yaml").expect("it is written");
    *file = file.replace("  servers:\n", &format!("  servers:\n  - {{{port}, {simple}, hosts: [{cart}]}}\n"));
    assert_eq!(broken(&world(&mesh, &same).prove()).len(), 2);
}

/// The name of a headless Service is that of its pods: who stands behind the gateway of another cluster has none there.
#[test]
fn a_headless_service_needs_pods_of_the_own_cluster() {
    let folder = support::root().join("tests/golden/cluster_local");
    let (mesh, good) = (topology(&folder), support::read_tree(&folder.join("out")));
    let ends = |more: &str| {
        let mut tree = good.clone();
        let file = tree.get_mut("west/20-mesh/cart.shop.yaml").expect("it is written");
        assert!(file.contains("spec:\n  ports:\n"), "{file}");
        *file = file.replacen("spec:\n  ports:\n", "spec:\n  clusterIP: None\n  ports:\n", 1) + more;
        broken(&world(&mesh, &tree).prove()).join("\n")
    };
    let wrong = "name: `cart.shop.svc.cluster.local` is headless, and no pods of `west` stand behind it";
    assert!(ends("").contains(wrong), "{}", ends(""));
    let pods = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: cart, namespace: shop, labels: {app: cart}}\n\
                spec: {serviceAccountName: cart, containers: [{name: cart, image: example.com/cart}]}\n";
    assert!(!ends(pods).contains("headless"), "{}", ends(pods));
}
