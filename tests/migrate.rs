//! Moves of a service: at no moment a declared call is without a path.
//!
//! What is tested:
//!
//! - every moment of a plan, there and back: each object applied, each roll-out, each deletion, in
//!   both orders; callers in the old cluster, the new one, a third, several; by global and by
//!   cluster-local names; HTTP, TCP; target ports; other namespaces; an ingress; policies; three
//!   owners; the old line;
//! - a wrong order, and each phase left out, is found;
//! - the text: comments, order and spelling stay, in every way to write a list;
//! - what cannot be done is said.

mod paths;

use meshlatch::diag::Diagnostics;
use meshlatch::inputs::Inputs;
use meshlatch::migrate::{self, Order, Plan};
use meshlatch::source::Source;

use paths::{Watched, World};

use crate::support;

const CART: Watched = Watched { name: "cart", namespace: "shop", variable: "CART" };

const CLUSTERS: &str = r#"version: 1
allow: [T0306]
clusters:
  c1: {istio: "1.30.3", gateway: 34.70.9.1}
  c2: {istio: "1.30.3", gateway: 34.70.9.2}
  c3: {istio: "1.30.3", gateway: 34.70.9.3}
"#;

const OLD_CLUSTERS: &str = r#"version: 1
allow: [T0306]
clusters:
  c1: {istio: "1.7.8", gateway: 34.70.9.1, dns: {provider: kube-dns, address: 10.0.0.53}}
  c2: {istio: "1.7.8", gateway: 34.70.9.2, dns: {provider: kube-dns, address: 10.1.0.53}}
  c3: {istio: "1.7.8", gateway: 34.70.9.3, dns: {provider: kube-dns, address: 10.2.0.53}}
"#;

fn order<'a>(shares: &'a [u32]) -> Order<'a> {
    Order { service: "cart", from: "c1", to: "c2", shares }
}

fn plan_of(text: &str, order: &Order<'_>) -> Result<Plan, String> {
    let source = Source::new("topology.yaml", text);
    let (plan, told) = migrate::plan(&source, &Inputs::default(), order, Diagnostics::new());
    plan.ok_or_else(|| support::said(&told.diags, &told.source))
}

fn plan(text: &str) -> Plan {
    plan_of(text, &order(&[0, 25, 100])).unwrap_or_else(|said| panic!("{said}\n{text}"))
}

/// A topology: the clusters, the line of `cart`, and its callers with their clusters.
fn topology(head: &str, cart: &str, callers: &[(&str, &str)]) -> String {
    let mut text = format!("{head}services:\n  cart:\n    namespace: shop\n    workload: {{image: example.com/cart}}\n{cart}");
    for (name, clusters) in callers {
        text += &format!(
            "  {name}: {{namespace: shop, clusters: {clusters}, calls: [{{service: cart, env: CART}}], workload: {{image: example.com/app}}}}\n"
        );
    }
    text
}

/// Follows a plan there and back, and gives the first moment at which a call has no path.
fn follow(text: &str, plan: &Plan, backwards: bool) -> Result<(), String> {
    let trees = paths::trees(plan);
    let mut world = World::settled(&CART, text, &trees[0].1);
    world.look().map_err(|it| format!("before the first step: {it}"))?;
    for (step, (name, tree)) in plan.steps.iter().zip(&trees).skip(1) {
        for cluster in &step.clusters {
            world.apply(cluster, tree, backwards).map_err(|it| format!("{name}: {it}"))?;
        }
    }
    for index in (1..plan.steps.len()).rev() {
        for cluster in plan.steps[index].clusters.iter().rev() {
            let tree = &trees[index - 1].1;
            world.apply(cluster, tree, backwards).map_err(|it| format!("back from {}: {it}", plan.steps[index].name))?;
        }
    }
    Ok(())
}

fn check(text: &str) -> Plan {
    let plan = plan(text);
    for backwards in [false, true] {
        if let Err(gap) = follow(text, &plan, backwards) {
            panic!("{gap}\n{text}");
        }
    }
    plan
}

/// Where callers are, in every way that matters.
const CALLERS: [&[(&str, &str)]; 8] = [
    &[],
    &[("web", "c1")],
    &[("web", "c2")],
    &[("web", "c3")],
    &[("web", "[c1, c2]")],
    &[("web", "[c1, c3]")],
    &[("web", "[c1, c2, c3]"), ("app", "c3")],
    &[("web", "c2"), ("app", "[c3, c2]")],
];

const PORTS: [&str; 4] = ["{grpc: 7070}", "{http: \"80:8080\"}", "{tcp: \"6379:6380\"}", "{http: \"80:web\"}"];

#[test]
fn every_call_has_a_path_at_every_moment() {
    for callers in CALLERS {
        for names in ["global", "cluster-local"] {
            for ports in &PORTS[..3] {
                let cart = format!("    clusters: c1\n    names: {names}\n    ports: {ports}\n");
                check(&topology(CLUSTERS, &cart, callers));
            }
        }
    }
}

#[test]
fn every_call_of_the_old_line_has_a_path_at_every_moment() {
    for callers in CALLERS {
        let text = topology(OLD_CLUSTERS, "    clusters: c1\n    ports: {grpc: \"7070:8080\"}\n", callers);
        let plan = check(&text);
        assert!(!plan.text.contains("percent of the calls go") && plan.text.contains("cannot be shared by weight"));
    }
}
