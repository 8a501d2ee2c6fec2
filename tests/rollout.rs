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
const CHANGES: [(&str, &[(&str, &str)]); 13] = [
    ("a service moves", &[("clusters: [c2]", "clusters: [c3]")]),
    ("a service moves to where nobody calls it", &[("clusters: [c2]", "clusters: [c1]"), ("[c1, c2, c3]", "[c2, c3]")]),
    ("a service comes to a second cluster", &[("clusters: [c2]", "clusters: [c2, c3], balance: spread")]),
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
            "In `c1` `web` calls `cart` at `cart.shop.global:80`",
            "moves from 80 to 81, and no Service has one name for two ports",
        ],
    )];
    for ((from, to), words) in cases {
        let plan = plan(MESH, &MESH.replace(from, to));
        let text = plan.text("rollout");
        assert!(!plan.is_gapless() && words.iter().all(|it| text.contains(it)), "{text}");
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
    let told = "In `c1` the pods of `web` come from elsewhere: they call `cart.shop.svc.cluster.local` in place of `cart.shop.global`";
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
