//! Roll-outs of a changed topology.
//!
//! What is tested:
//!
//! - every moment of many changes, followed by the second reader of [`crate::migrate::paths`], which
//!   knows nothing of how the order was found; and that it finds a wrong order;
//! - that the last step is the new bundle, whatever changes into whatever;
//! - what no order spares, and what must hold outside of the bundles;
//! - the forms in which it is printed.

use std::collections::BTreeMap;

use meshlatch::Outcome;
use meshlatch::bundle::Bundle;
use meshlatch::rollout::{self, Delivery, Rollout};
use proptest::prelude::*;

use crate::made::{Line, made};
use crate::migrate::paths::{self, Applied, Watched, World};
use crate::support;

const CART: Watched = Watched { name: "cart", namespace: "shop", variable: "CART" };

const MESH: &str = r#"version: 1
allow: [T0306]
clusters:
  c1: {istio: "1.30.3", gateway: 34.70.9.1}
  c2: {istio: "1.30.3", gateway: 34.70.9.2}
  c3: {istio: "1.30.3", gateway: 34.70.9.3}
mesh: {authorization: declared, outbound: registry-only}
services:
  cart: {namespace: shop, clusters: [c2], ports: {http: 80}, workload: {image: example.com/cart}}
  web: {namespace: shop, clusters: [c1, c2, c3], calls: [{service: cart, env: CART}], workload: {image: example.com/web}}
"#;

fn plan(old: &str, new: &str) -> Rollout {
    rollout::plan(&support::compile(old), &support::compile(new)).expect("no address is pending")
}

/// The objects of bundles that are applied, by cluster.
fn applied<'a>(bundles: impl IntoIterator<Item = (&'a str, &'a Bundle)>) -> Applied {
    let full = bundles.into_iter().filter(|(_, it)| it.files().next().is_some());
    full.map(|(cluster, bundle)| {
        let files = bundle.files().map(|(path, file)| (format!("{cluster}/{path}"), file.text.clone()));
        (cluster.to_owned(), paths::applied(&files.collect(), cluster))
    })
    .collect()
}

/// The bundles of a mesh.
fn bundles(topology: &str) -> BTreeMap<String, Bundle> {
    let mesh = support::compile(topology);
    let ready = mesh.clusters().map(|(id, name)| match mesh.bundle(id) {
        Outcome::Ready(bundle) => (name.to_owned(), bundle),
        Outcome::Waiting(waits) => panic!("{waits:?}"),
    });
    ready.collect()
}

/// The steps as they are followed: the clusters in their order, and what each then has.
type Way = Vec<(Vec<String>, Applied)>;

fn way(plan: &Rollout) -> Way {
    let text: serde_json::Value = serde_json::from_str(&plan.json()).expect("it is JSON");
    let order = |index: usize| {
        let clusters = text["steps"][index]["clusters"].as_array().expect("a list");
        clusters.iter().map(|it| it["cluster"].as_str().expect("a name").to_owned()).collect()
    };
    let steps = plan.steps().iter().enumerate();
    steps.map(|(index, it)| (order(index), applied(it.bundles.iter().map(|(name, it)| (name.as_str(), it))))).collect()
}

/// The first moment at which a call has no path.
fn follow(old: &str, new: &str, way: &Way) -> Result<(), String> {
    let before = bundles(old);
    for backwards in [false, true] {
        let first = applied(before.iter().map(|(name, it)| (name.as_str(), it)));
        let mut world = World::between(&CART, [old, new], &first);
        world.look().map_err(|it| format!("before the first step: {it}"))?;
        for (clusters, applied) in way {
            for cluster in clusters.iter().filter(|it| applied.contains_key(*it)) {
                world.apply(cluster, applied, backwards)?;
            }
        }
    }
    Ok(())
}

/// What changes: what stands in the topology, and what is to stand there.
const CHANGES: [(&str, &[(&str, &str)]); 16] = [
    ("a service moves", &[("clusters: [c2]", "clusters: [c3]")]),
    ("a service moves to where nobody calls it", &[("clusters: [c2]", "clusters: [c1]"), ("[c1, c2, c3]", "[c2, c3]")]),
    ("a service comes to a second cluster", &[("clusters: [c2]", "clusters: [c2, c3], balance: spread")]),
    (
        "a tenth of the calls goes to a second cluster",
        &[("clusters: [c2]", "clusters: [c2, c3], balance: {weights: {c2: 90, c3: 10}}")],
    ),
    (
        "a third of the calls goes to another cluster than before",
        &[
            ("clusters: [c2]", "clusters: [c2, c3], balance: {weights: {c2: 70, c3: 30}}"),
            ("[c1, c2, c3], calls", "[c1, c3], calls"),
        ],
    ),
    (
        "it listens on a second port",
        &[("ports: {http: 80}", "ports: {http: 80, grpc: 90}"), ("{service: cart,", "{service: cart, port: http,")],
    ),
    ("two change places", &[("clusters: [c2]", "clusters: [c1]"), ("clusters: [c1, c2, c3]", "clusters: [c2, c3]")]),
    ("its gateway has another address", &[("34.70.9.2", "34.70.9.7")]),
    ("names are those of its own cluster", &[("outbound:", "names: cluster-local, outbound:")]),
    (
        "names are those of its own cluster, and it moves",
        &[("outbound:", "names: cluster-local, outbound:"), ("clusters: [c2]", "clusters: [c1]")],
    ),
    (
        "a caller comes",
        &[
            ("[c1, c2, c3]", "[c1, c2, c3]"),
            (
                "services:",
                "services:\n  app: {namespace: shop, clusters: [c3], calls: [{service: cart, env: CART}], workload: {image: example.com/app}}",
            ),
        ],
    ),
    ("a caller goes", &[("[c1, c2, c3], calls", "[c1, c2], calls")]),
    ("nobody asks who calls", &[("authorization: declared, ", "")]),
    ("the whole mesh is in view", &[("outbound:", "scope: mesh, outbound:")]),
    ("an image", &[("example.com/web", "example.com/web2")]),
    ("a cluster goes", &[("  c3: {istio: \"1.30.3\", gateway: 34.70.9.3}\n", ""), ("[c1, c2, c3]", "[c1, c2]")]),
];

fn changed(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(MESH.to_owned(), |text, (from, to)| text.replacen(from, to, 1))
}

#[test]
fn every_call_has_a_path_at_every_moment_there_and_back() {
    for (name, changes) in CHANGES {
        let new = changed(changes);
        for (old, new) in [(MESH, new.as_str()), (new.as_str(), MESH)] {
            let plan = plan(old, new);
            assert!(plan.is_gapless(), "{name}\n{}", plan.text("rollout"));
            if let Err(gap) = follow(old, new, &way(&plan)) {
                panic!("{name}: {gap}\n{}", plan.text("rollout"));
            }
        }
    }
}

/// Names of a service that is renamed are two for the second reader, which knows one: it follows the old
/// one to its end.
#[test]
fn a_service_that_is_renamed_is_there_twice_for_a_while() {
    let new = MESH.replace("  cart: {", "  cart: {name: basket, ");
    let plan = plan(MESH, &new);
    assert!(plan.is_gapless(), "{}", plan.text("rollout"));
    let names: Vec<_> = plan.steps().iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["01-prepare", "02-open", "03-switch", "04-release", "05-finish"]);
    insta::assert_snapshot!("renamed", plan.text("meshlatch rollout before.yaml topology.yaml"));
}

#[test]
fn a_new_cluster_answers_before_anybody_is_led_there() {
    let new = MESH
        .replace("34.70.9.3}\n", "34.70.9.3}\n  c4: {istio: \"1.30.3\", gateway: 34.70.9.4}\n")
        .replace("clusters: [c2]", "clusters: [c2, c4], balance: spread")
        .replace("[c1, c2, c3]", "[c1, c2, c3, c4]");
    for (old, new) in [(MESH, new.as_str()), (new.as_str(), MESH)] {
        let plan = plan(old, new);
        assert!(plan.is_gapless(), "{}", plan.text("rollout"));
        follow(old, new, &way(&plan)).unwrap_or_else(|gap| panic!("{gap}\n{}", plan.text("rollout")));
    }
    // What installs it is there from the first step on.
    let plan = plan(MESH, &new);
    assert!(plan.steps()[0].bundles["c4"].get("10-istio/istio-operator.yaml").is_some());
}

/// A service that is called from outside, and one that calls what lies outside.
const OPEN: &str = r#"version: 1
allow: [T0306]
clusters:
  c1: {istio: "1.30.3", gateway: 34.70.9.1}
  c2: {istio: "1.30.3", gateway: 34.70.9.2}
  c3: {istio: "1.30.3", gateway: 34.70.9.3}
mesh: {authorization: declared, outbound: registry-only}
services:
  cart: {namespace: shop, clusters: [c2], ports: {http: 80}, workload: {image: example.com/cart}}
  web: {namespace: shop, clusters: [c1, c2], ports: {http: 8080}, calls: [{service: cart, env: CART}], workload: {image: example.com/web}}
ingress:
  front: {service: web, hosts: [shop.example.com], clusters: [c1]}
externals:
  pay: {hosts: api.example.org, ports: {https: 443}, callers: [cart]}
"#;

/// What is applied in each cluster at the end of each turn: the step, and the objects by cluster.
fn moments(old: &str, plan: &Rollout) -> Vec<(String, Applied)> {
    let mut now = applied(bundles(old).iter().map(|(name, it)| (name.as_str(), it)));
    let mut moments = vec![("before".to_owned(), now.clone())];
    for (step, (clusters, after)) in plan.steps().iter().zip(way(plan)) {
        for cluster in clusters {
            let bundle = after.get(&cluster).cloned().unwrap_or_default();
            now.insert(cluster, bundle);
            moments.push((step.name.clone(), now.clone()));
        }
    }
    moments
}

/// The clusters in which an object of a kind names a host.
fn clusters_with(applied: &Applied, kind: &str, host: &str) -> Vec<String> {
    let names =
        |it: &serde_yaml::Value| it["kind"] == kind && serde_yaml::to_string(it).is_ok_and(|it| it.contains(host));
    applied.iter().filter(|it| it.1.iter().any(names)).map(|it| it.0.clone()).collect()
}

/// Until *switch* is done, clients go where they went; then the public name is changed.
#[test]
fn clients_outside_are_served_at_every_moment() {
    let serves = |it: &Applied| clusters_with(it, "VirtualService", "shop.example.com");
    for (from, to) in [("c1", "c2"), ("c2", "c1"), ("c1", "c3")] {
        let old = OPEN.replace("clusters: [c1]}", &format!("clusters: [{from}]}}"));
        let new = OPEN.replace("clusters: [c1]}", &format!("clusters: [{to}]}}"));
        let plan = plan(&old, &new);
        let text = plan.text("rollout");
        assert!(plan.is_gapless(), "{text}");
        for (step, applied) in moments(&old, &plan) {
            let is_moved = step.ends_with("-release") || step.ends_with("-finish");
            let there = if is_moved { to } else { from };
            assert!(serves(&applied).iter().any(|it| it == there), "{step}: {there}\n{text}");
        }
        let left = "Before this step nobody outside may be led to the ingress gateway of";
        assert!(text.contains(&format!("{left} `{from}` any longer for `shop.example.com`")), "{text}");
        // The gateway itself stays as long.
        for step in plan.steps().iter().filter(|it| !it.name.ends_with("-finish")) {
            let install = step.bundles[from].get("10-istio/istio-operator.yaml").expect("Istio is installed");
            assert!(install.contains("istio-ingressgateway"), "{}: {install}", step.name);
        }
    }
    // Where another cluster serves it all the time, its public name leads there before.
    let both = OPEN.replace("clusters: [c1]}", "clusters: [c1, c2]}");
    let fewer = plan(&both, OPEN);
    let text = fewer.text("rollout");
    assert!(fewer.is_gapless() && fewer.steps().len() == 1, "{text}");
    assert!(text.contains("of `c2` any longer for `shop.example.com`"), "{text}");
    // Another host in the same cluster is served beside the old one.
    let other = OPEN.replace("shop.example.com", "store.example.com");
    let other = plan(OPEN, &other);
    assert!(other.is_gapless(), "{}", other.text("rollout"));
    // The service behind it moves, or goes to another namespace.
    for (from, to) in
        [("clusters: [c1, c2], ports", "clusters: [c3], ports"), ("web: {namespace: shop", "web: {namespace: mall")]
    {
        let new = OPEN.replace(from, to);
        for (old, new) in [(OPEN, new.as_str()), (new.as_str(), OPEN)] {
            let plan = plan(old, new);
            assert!(plan.is_gapless(), "{to}: {}", plan.text("rollout"));
        }
    }
}

/// Whoever calls a host outside knows it, with its old pods and its new ones.
#[test]
fn hosts_outside_are_known_as_long_as_somebody_calls_them() {
    let changes = [
        ("clusters: [c2], ports: {http: 80}", "clusters: [c3], ports: {http: 80}"),
        ("cart: {namespace: shop", "cart: {namespace: till"),
        ("hosts: api.example.org", "hosts: api.example.net"),
        ("hosts: api.example.org", "hosts: [api.example.org, api.example.net]"),
        ("ports: {https: 443}", "ports: {https: 443, http: 80}"),
        ("callers: [cart]", "callers: [cart, web]"),
    ];
    for (from, to) in changes {
        let new = OPEN.replace(from, to);
        for (old, new) in [(OPEN, new.as_str()), (new.as_str(), OPEN)] {
            let plan = plan(old, new);
            assert!(plan.is_gapless(), "{to}: {}", plan.text("rollout"));
            let [before, after] =
                [old, new].map(|it| if it.contains("api.example.net") { "api.example.net" } else { "api.example.org" });
            for (step, applied) in moments(old, &plan) {
                let runs = clusters_with(&applied, "Deployment", "example.com/cart");
                let knows = |host| clusters_with(&applied, "ServiceEntry", host);
                let host = if step.ends_with("-finish") { after } else { before };
                let missing = runs.iter().find(|it| !knows(host).contains(it));
                assert_eq!(missing, None, "{to}: {step}: {host}\n{}", plan.text("rollout"));
            }
        }
    }
}

/// A network whose gateway is written in what is installed.
#[test]
fn what_is_installed_grows_first_and_shrinks_last() {
    let once = OPEN.replace("mesh: {", "mesh: {gatewayAddresses: mesh-networks, ");
    let moved = once.replace("clusters: [c2], ports: {http: 80}", "clusters: [c3], ports: {http: 80}");
    let plan = plan(&once, &moved);
    assert!(plan.is_gapless(), "{}", plan.text("rollout"));
    let networks = |step: &str| {
        let step = plan.steps().iter().find(|it| it.name.ends_with(step)).expect("there is such a step");
        let install = step.bundles["c1"].get("10-istio/istio-operator.yaml").expect("Istio is installed").to_owned();
        ["34.70.9.2", "34.70.9.3"].map(|it| install.contains(it))
    };
    assert_eq!(
        (networks("-prepare"), networks("-release"), networks("-finish")),
        ([true, true], [true, true], [true, true])
    );
    // Calls of `web` in `c3` are none, so that `c1` has nothing else to do with `c2`.
    let alone = [&once, &moved].map(|it| it.replace("clusters: [c1, c2], ports", "clusters: [c1], ports"));
    let plan = self::plan(&alone[0], &alone[1]);
    let text = plan.text("rollout");
    assert!(text.contains("# c1: `10-istio/istio-operator.yaml` changed; the RUNBOOK"), "{text}");
    assert!(text.contains("# c1: `10-istio/istio-operator.yaml` has less in it; now the RUNBOOK"), "{text}");
    let upgraded = OPEN.replacen("1.30.3", "1.31.0", 1);
    let text = self::plan(OPEN, &upgraded).text("rollout");
    assert!(text.contains("# c1: `RUNBOOK.md` changed; the RUNBOOK of the cluster says how to apply that."), "{text}");
}

/// Pods that no variable tells are told between two steps, also where no object changes then.
#[test]
fn callers_that_no_bundle_tells_have_a_step_of_their_own() {
    let old = "version: 1
allow: [T0306]
clusters:
  c1: {istio: \"1.30.3\", gateway: 34.70.9.1}
  c2: {istio: \"1.30.3\", gateway: 34.70.9.2}
services:
  cart: {namespace: shop, clusters: [c2], ports: {http: 80}, workload: {image: example.com/cart}}
  web: {namespace: shop, clusters: [c1], calls: [cart], workload: {image: example.com/web}}
";
    let new = old
        .replace("services:", "mesh: {names: cluster-local}\nservices:")
        .replace("clusters: [c2], ports", "clusters: [c1], ports");
    let plan = plan(old, &new);
    let text = plan.text("rollout");
    assert!(plan.is_gapless(), "{text}");
    assert!(
        text.contains(
            "In `c1` no variable tells the pods of `web` whom to call: they call `cart.shop.svc.cluster.local`"
        ),
        "{text}"
    );
    let switch = plan.steps().iter().position(|it| it.name.ends_with("-switch")).expect("they are told in it");
    assert_eq!(way(&plan)[switch].0, Vec::<String>::new(), "{text}");
    assert!(text.contains("No object changes. Now those change over"), "{text}");
    // Who no longer calls anybody must have stopped before.
    let plan = self::plan(old, &old.replace("calls: [cart], ", ""));
    let text = plan.text("rollout");
    assert!(plan.is_gapless(), "{text}");
    assert!(
        text.contains("The pods of `web` in `c1` stay as they are: before the first step they no longer call `cart` at `cart.shop.global:80`."),
        "{text}"
    );
}

#[test]
fn what_somebody_else_looks_after_from_now_on_is_not_deleted() {
    let new = OPEN.replace("workload: {image: example.com/cart}", "workload: elsewhere, serviceAccount: cart");
    let plan = plan(OPEN, &new);
    let text = plan.text("rollout");
    assert!(
        plan.is_gapless() && !text.contains("delete --ignore-not-found --cascade=foreground deployment cart"),
        "{text}"
    );
    assert!(text.contains("Deployment `shop/cart` of `c2`: somebody else looks after"), "{text}");
    assert!(!text.contains("delete --ignore-not-found service cart"), "{text}");
}

#[test]
fn pods_that_are_selected_in_another_way_are_made_anew() {
    let plan = plan(OPEN, &OPEN.replace("cart: {namespace: shop", "cart: {selector: {app: till}, namespace: shop"));
    let text = plan.text("rollout");
    let delete = "kubectl --context c2 -n shop delete --ignore-not-found --cascade=foreground deployment cart\n";
    let (delete, apply) = (text.find(delete), text.find("kubectl --context c2 apply -k out/c2"));
    assert!(delete.is_some() && delete < apply, "{text}");
    assert!(text.contains("`web` in `c1` calls `cart`") && !plan.is_gapless(), "{text}");
    assert!(!text.contains("In this order no cluster calls what is not there yet"), "{text}");
    // Also where the Service selects the old pods and the new: in between there are none.
    let narrow = OPEN.replace("cart: {namespace: shop", "cart: {selector: {app: cart, tier: back}, namespace: shop");
    let wide = OPEN.replace("cart: {namespace: shop", "cart: {selector: {app: cart}, namespace: shop");
    let plan = self::plan(&narrow, &wide);
    assert!(!plan.is_gapless(), "{}", plan.text("rollout"));
}

/// Nobody applies the folder of a cluster that is gone.
#[test]
fn a_cluster_that_is_gone_has_nothing_to_apply() {
    let new = MESH.replace("  c3: {istio: \"1.30.3\", gateway: 34.70.9.3}\n", "").replace("[c1, c2, c3]", "[c1, c2]");
    let plan = plan(MESH, &new);
    let text = plan.text("rollout");
    let last = text.rsplit("\n## ").next().expect("there is a step");
    assert!(last.contains("kubectl --context c3 ") && !last.contains("apply -k out/c3"), "{last}");
}

/// Backticks in what is typed do not end its block.
#[test]
fn a_command_stays_in_its_block() {
    let text = plan(MESH, &MESH.replace("example.com/web", "example.com/web2")).text("rollout 'a```b'");
    assert!(text.contains("````sh\nrollout 'a```b' --step 01-finish -o out\n````\n"), "{text}");
}

/// A plan is only as good as its order: with steps or clusters turned round, or a step left out, a call is
/// lost.
#[test]
fn a_wrong_order_is_found() {
    let mut lost = [0, 0, 0];
    for (_, changes) in CHANGES {
        let new = changed(changes);
        let way = way(&plan(MESH, &new));
        let wrong = |other: &Way| usize::from(follow(MESH, &new, other).is_err());
        for index in 1..way.len() {
            let mut other = way.clone();
            other.swap(index - 1, index);
            lost[0] += wrong(&other);
        }
        let mut other = way.clone();
        for step in &mut other {
            step.0.reverse();
        }
        lost[1] += wrong(&other);
        for index in 0..way.len().saturating_sub(1) {
            let mut other = way.clone();
            let (clusters, _) = other.remove(index);
            for cluster in clusters {
                if !other[index].0.contains(&cluster) {
                    other[index].0.push(cluster);
                }
            }
            lost[2] += wrong(&other);
        }
    }
    assert!(lost[0] >= 8 && lost[1] >= 2 && lost[2] >= 8, "{lost:?}");
}

#[test]
fn what_no_order_spares_is_said() {
    let cases = [(
        ("http: 80", "http: 81"),
        [
            "- `web` in `c1` calls `cart` at `cart.shop.global:80`",
            "moves from 80 to 81, and no Service has one name for two ports",
        ],
    )];
    for ((from, to), words) in cases {
        let plan = plan(MESH, &MESH.replace(from, to));
        let text = plan.text("rollout");
        assert!(!plan.is_gapless() && words.iter().all(|it| text.contains(it)), "{text}");
    }
    // What comes from outside is led to the old port or the new, and the Service has one of them.
    let text = plan(OPEN, &OPEN.replace("http: 8080", "http: 8081")).text("rollout");
    for port in [8080, 8081] {
        let call =
            format!("- the ingress `front` in `c1` calls `web` at `web.shop.svc.cluster.local:{port}`. It is cut");
        assert!(text.contains(&call), "{text}");
    }
}

#[test]
fn what_must_hold_besides_is_said() {
    let says = |old: &str, new: &str, words: &[&str]| {
        let text = plan(old, new).text("rollout");
        assert!(words.iter().all(|it| text.contains(it)), "{text}");
    };
    says(
        MESH,
        &MESH.replace("34.70.9.2", "34.70.9.7"),
        &["The gateway of `c2` answers at `34.70.9.7:15443` before the first step, and goes on at `34.70.9.2:15443`"],
    );
    says(
        MESH,
        &MESH.replace("ports: {http: 80}", "virtualIP: 240.0.0.99, ports: {http: 80}"),
        &["`cart.shop.global` moves from 240.", " to 240.0.0.99"],
    );
    says(
        MESH,
        &MESH.replace("gateway: 34.70.9.2", "trustDomain: td2, gateway: 34.70.9.2"),
        &["The trust domain of `c2` changes from `cluster.local` to `td2`"],
    );
    says(
        MESH,
        &MESH.replace("gateway: 34.70.9.2", "network: n2, gateway: 34.70.9.2"),
        &["The network of `c2` changes from `c2` to `n2`"],
    );
    says(MESH, &MESH.replace("http: 80", "tcp: 80"), &["Port 80 of `cart` speaks `tcp` in place of `http`"]);
    says(
        MESH,
        &MESH.replace("outbound:", "suffix: mesh.internal, outbound:"),
        &["Names end in `mesh.internal` in place of `global`"],
    );
    let callers = MESH.replace("workload: {image: example.com/web}", "workload: elsewhere, serviceAccount: web");
    let told = "In `c1` no variable tells the pods of `web` whom to call: they call `cart.shop.svc.cluster.local` in place of `cart.shop.global`";
    says(&callers, &callers.replace("outbound:", "names: cluster-local, outbound:"), &[told]);
    let elsewhere = MESH.replace("workload: {image: example.com/cart}", "workload: elsewhere, serviceAccount: cart");
    says(
        &elsewhere,
        &elsewhere.replace("clusters: [c2]", "clusters: [c3]"),
        &[
            "The pods of `cart` come from elsewhere: they run in `c3` before the first step, and stay in `c2` until the last is done.",
        ],
    );
}

/// Steps in which no object changes are left out; what the last one writes is the new bundle for people, too.
#[test]
fn the_last_step_is_the_new_bundle_with_all_its_files() {
    let pair = "  back: {namespace: shop, clusters: c2, ports: {http: 80}, workload: {image: example.com/back}}
  front: {namespace: shop, clusters: c1, calls: [{service: back, env: BACK}], workload: {image: example.com/front}}
";
    let new = format!("{MESH}{pair}");
    let plan = plan(MESH, &new);
    let last = plan.steps().last().expect("there are steps");
    for (name, bundle) in bundles(&new) {
        assert_eq!(last.bundles[&name], bundle, "{name}");
    }
}

/// Pods that start together, or go together, need not find one another at every moment.
#[test]
fn a_new_service_may_come_with_its_callers() {
    let pair = "  back: {namespace: shop, clusters: c1, ports: {http: 80}, workload: {image: example.com/back}}
  front: {namespace: shop, clusters: [c1, c2], calls: [{service: back, env: BACK}], workload: {image: example.com/front}}
";
    let new = format!("{MESH}{pair}");
    let come = plan(MESH, &new);
    assert!(come.is_gapless(), "{}", come.text("rollout"));
    follow(MESH, &new, &way(&come)).unwrap_or_else(|gap| panic!("{gap}\n{}", come.text("rollout")));
}

#[test]
fn nothing_changes_from_a_topology_to_itself() {
    let plan = plan(MESH, MESH);
    assert!(plan.steps().is_empty() && plan.is_gapless());
    assert_eq!(plan.text("rollout"), "# Roll-out\n\nNothing changes in any cluster.\n");
}

#[test]
fn an_order_is_told_to_who_delivers() {
    let new = MESH.replace("clusters: [c2]", "clusters: [c3]");
    let plan = plan(MESH, &new);
    let step = plan.steps().iter().find(|it| it.name.ends_with("-prepare")).expect("there is one");
    insta::assert_snapshot!("argo_cd", step.delivery(Delivery::ArgoCd, &|it| format!("mesh-{it}")));
    insta::assert_snapshot!("flux", step.delivery(Delivery::Flux, &|it| it.to_owned()));
    insta::assert_snapshot!("json", plan.json());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 100, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn whatever_changes_into_whatever_ends_as_it_should(
        old in prop_oneof![made(Line::New, 2), made(Line::Mixed, 2)],
        new in prop_oneof![made(Line::New, 2), made(Line::Mixed, 2)],
    ) {
        let (old, new) = (support::compile(&old.granted().yaml()), support::compile(&new.granted().yaml()));
        let (Ok(plan), Ok(again)) = (rollout::plan(&old, &new), rollout::plan(&old, &new)) else { return Ok(()) };
        prop_assert_eq!(plan.json(), again.json());
        if let Some(last) = plan.steps().last() {
            for (id, name) in new.clusters() {
                let Outcome::Ready(bundle) = new.bundle(id) else { continue };
                prop_assert_eq!(&last.bundles[name], &bundle);
            }
        }
    }
}
