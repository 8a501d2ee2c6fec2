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

pub(crate) mod paths;

use meshlatch::diag::Diagnostics;
use meshlatch::inputs::Inputs;
use meshlatch::migrate::{self, Order, Plan};
use meshlatch::source::Source;

use paths::{Applied, Watched, World};

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

fn order(shares: &[u32]) -> Order<'_> {
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
    let mut text =
        format!("{head}services:\n  cart:\n    namespace: shop\n    workload: {{image: example.com/cart}}\n{cart}");
    for (name, clusters) in callers {
        let call = "calls: [{service: cart, env: CART}], workload: {image: example.com/app}";
        text.push_str(&["  ", *name, ": {namespace: shop, clusters: ", *clusters, ", ", call, "}\n"].concat());
    }
    text
}

/// The steps as they are followed: a name, the clusters in order, what is applied.
type Way<'a> = Vec<(&'a str, Vec<String>, &'a Applied)>;

fn way<'a>(plan: &'a Plan, steps: &'a [Applied]) -> Way<'a> {
    plan.steps.iter().zip(steps).map(|(step, applied)| (step.name.as_str(), step.clusters.clone(), applied)).collect()
}

/// Follows a plan there, and back, and gives the first moment at which a call has no path.
fn follow(text: &str, way: &Way<'_>, backwards: bool) -> Result<(), String> {
    follow_calls(&CART, text, way, backwards)
}

fn follow_calls(watched: &Watched, text: &str, way: &Way<'_>, backwards: bool) -> Result<(), String> {
    let mut world = World::settled(watched, text, way[0].2);
    world.look().map_err(|it| format!("before the first step: {it}"))?;
    for (name, clusters, applied) in &way[1..] {
        for cluster in clusters {
            world.apply(cluster, applied, backwards).map_err(|it| format!("{name}: {it}"))?;
        }
    }
    for index in (1..way.len()).rev() {
        for cluster in way[index].1.iter().rev() {
            let before = way[index - 1].2;
            world.apply(cluster, before, backwards).map_err(|it| format!("back from {}: {it}", way[index].0))?;
        }
    }
    Ok(())
}

fn check(text: &str) -> Plan {
    let plan = plan(text);
    let steps = paths::steps(&plan);
    for backwards in [false, true] {
        if let Err(gap) = follow(text, &way(&plan, &steps), backwards) {
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

const PORTS: [&str; 3] = ["{grpc: 7070}", "{http: \"80:8080\"}", "{tcp: \"6379:6380\"}"];

#[test]
fn every_call_has_a_path_at_every_moment() {
    for (index, callers) in CALLERS.iter().enumerate() {
        for (turn, names) in ["global", "cluster-local"].iter().enumerate() {
            let ports = PORTS[(index + turn) % PORTS.len()];
            let cart = format!("    clusters: c1\n    names: {names}\n    ports: {ports}\n");
            check(&topology(CLUSTERS, &cart, callers));
        }
    }
}

#[test]
fn every_call_of_the_old_line_has_a_path_at_every_moment() {
    for callers in &CALLERS[1..] {
        let text = topology(OLD_CLUSTERS, "    clusters: c1\n    ports: {grpc: \"7070:8080\"}\n", callers);
        let plan = check(&text);
        assert!(!plan.text.contains("percent of the calls go") && plan.text.contains("cannot be shared by weight"));
    }
}

/// While a gateway stands beside pods, or beside another gateway, a route that names no share would send
/// it calls.
#[test]
fn no_route_forgets_the_shares() {
    let head =
        [CLUSTERS, "ingress: {shop: {service: cart, clusters: [c1, c2, c3], hosts: shop.example.com}}\n"].concat();
    for names in ["global", "cluster-local"] {
        let cart = format!("    clusters: c1\n    names: {names}\n    ports: {{http: \"80:8080\"}}\n");
        let plan = check(&topology(&head, &cart, &[("web", "[c1, c2, c3]")]));
        let all = paths::steps(&plan);
        for (before, after) in all.iter().zip(&all[1..]) {
            for (cluster, objects) in after {
                let is = |it: &serde_yaml::Value, kind: &str, name: &str| {
                    it["kind"] == kind && it["metadata"]["name"].as_str().is_some_and(|it| it.starts_with(name))
                };
                let has = |list: &[serde_yaml::Value], kind, name| list.iter().any(|it| is(it, kind, name));
                if has(objects, "WorkloadEntry", "cart.c2") && !has(&before[cluster], "WorkloadEntry", "cart.c2") {
                    let known = has(&before[cluster], "VirtualService", "cart-shop-");
                    assert!(known, "{names}: {cluster} knows the new gateway with the shares, not after");
                }
            }
        }
        let mut several = 0;
        for (step, applied) in plan.steps.iter().zip(paths::steps(&plan)) {
            for (cluster, objects) in &applied {
                let of = |kind: &str, name: &str| {
                    let fits = |it: &&serde_yaml::Value| {
                        it["kind"] == kind && it["metadata"]["name"].as_str().is_some_and(|it| it.starts_with(name))
                    };
                    objects.iter().filter(fits).count()
                };
                if of("Deployment", "cart") + of("WorkloadEntry", "cart.") < 2 {
                    continue;
                }
                several += 1;
                for route in objects.iter().filter(|it| it["kind"] == "VirtualService") {
                    let ways = route["spec"]["http"].as_sequence().expect("a route of HTTP").iter();
                    let mut ends = ways.flat_map(|it| it["route"].as_sequence().expect("it leads somewhere"));
                    let whole = ends.any(|it| {
                        let host = it["destination"]["host"].as_str().expect("it names a host");
                        host == "cart.shop.svc.cluster.local" && it["destination"].get("subset").is_none()
                    });
                    assert!(!whole, "{}: {cluster}: {:?} leads to all", step.name, route["metadata"]["name"]);
                }
            }
        }
        assert!(several > 4, "{several}");
    }
}

#[test]
fn what_goes_is_called_by_its_group() {
    let head = CLUSTERS.replacen("gateway: 34.70.9.1}", "gateway: {address: 34.70.9.1, api: gateway-api}}", 1);
    let plan = plan(&topology(&head, "    clusters: c1\n    ports: {grpc: 7070}\n", &[("web", "c3")]));
    let gone = |what: &str| plan.text.lines().any(|it| it.starts_with("kubectl --context c") && it.contains(what));
    assert!(gone(" gateways.gateway.networking.k8s.io istio-eastwestgateway"), "{}", plan.text);
    assert!(gone(" gateways.networking.istio.io cross-network-gateway"), "{}", plan.text);
    assert!(gone(" serviceentries.networking.istio.io cart-shop-global") && gone(" deployment cart"), "{}", plan.text);
}

/// A service that moves calls others, too: its new pods find them from the first moment, whichever of a bundle's objects
/// comes first, and so do its old ones to the last.
#[test]
fn the_calls_of_who_moves_have_a_path_at_every_moment() {
    const REDIS: Watched = Watched { name: "redis", namespace: "shop", variable: "REDIS" };
    let policies = "mesh: {authorization: declared, outbound: registry-only}\n";
    for (turn, clusters) in ["c1", "c3", "[c1, c3]", "[c3, c1]", "[c2, c3]"].into_iter().enumerate() {
        for names in ["global", "cluster-local"] {
            let mesh = if turn % 2 == 0 { policies } else { "" };
            let balance = if clusters.contains(',') { ", balance: spread" } else { "" };
            let redis = format!("namespace: shop, clusters: {clusters}, names: {names}{balance}, ports: {{tcp: 6379}}");
            let text = format!(
                "{CLUSTERS}{mesh}services:
  redis: {{{redis}, workload: {{image: example.com/redis}}}}
  cart:
    namespace: shop
    clusters: c1
    ports: {{http: 80}}
    calls: [{{service: redis, env: REDIS}}]
    workload: {{image: example.com/cart}}
  web: {{namespace: shop, clusters: [c1, c2, c3], calls: [{{service: cart, env: CART}}], workload: {{image: example.com/web}}}}
"
            );
            let plan = plan(&text);
            let mut steps = paths::steps(&plan);
            for objects in steps.iter_mut().flat_map(|it| it.values_mut()) {
                objects.sort_by_key(|it| it["kind"] != "Deployment");
            }
            for backwards in [false, true] {
                if let Err(gap) = follow_calls(&REDIS, &text, &way(&plan, &steps), backwards) {
                    panic!("{gap}\n{text}");
                }
            }
        }
    }
}

/// A pod that ends answers nobody: as long as it does, the routes stay that lead past it.
#[test]
fn pods_are_gone_before_the_routes_past_them() {
    for names in ["global", "cluster-local"] {
        let cart = format!("    clusters: c1\n    names: {names}\n    ports: {{http: \"80:8080\"}}\n");
        let plan = plan(&topology(CLUSTERS, &cart, &[("web", "[c1, c2, c3]")]));
        let deletions: Vec<_> = plan.text.lines().filter(|it| it.contains(" delete ")).collect();
        let pods: Vec<_> =
            deletions.iter().filter(|it| it.ends_with(" --cascade=foreground deployment cart")).collect();
        assert_eq!(pods.len(), 2, "it leaves c1, and on the way back c2: {}", plan.text);
        for (index, line) in deletions.iter().enumerate().filter(|(_, it)| it.contains(" virtualservices.")) {
            let cluster = line.split_whitespace().nth(2).expect("a context");
            let next = deletions.get(index + 1).filter(|it| it.contains(&format!(" {cluster} ")));
            assert!(next.is_none_or(|it| !it.contains(" deployment ")), "{}", plan.text);
        }
    }
}

#[test]
fn an_ingress_other_namespaces_and_policies_have_a_path_at_every_moment() {
    let mesh = "mesh: {authorization: declared, outbound: registry-only}\n";
    let callers = "  web: {namespace: web, clusters: [c1, c2, c3], calls: [{service: cart, env: CART}], workload: {image: example.com/app}}\n";
    for names in ["global", "cluster-local"] {
        let cart = format!("    clusters: c1\n    names: {names}\n    ports: {{http: \"80:8080\"}}\n");
        let text = topology(&format!("{CLUSTERS}{mesh}"), &cart, &[]);
        for ingress in [
            "",
            "ingress:\n  shop: {service: cart, hosts: shop.example.com}\n",
            "ingress:\n  shop: {service: cart, clusters: c3}\n",
        ] {
            let plan = check(&format!("{text}{callers}{ingress}"));
            assert_eq!(plan.text.contains("public DNS name"), ingress.contains("hosts"), "{}", plan.text);
        }
    }
}

#[test]
fn a_service_in_a_third_cluster_keeps_its_share_there() {
    let callers = [("web", "[c1, c2, c3]"), ("app", "c3")];
    for balance in ["", "balance: spread", "balance: {failover: [c3, c1]}", "balance: local"] {
        let text = topology(
            CLUSTERS,
            &format!("    clusters: [c1, c3]\n    {balance}\n    ports: {{grpc: 7070}}\n"),
            &callers,
        );
        let plan = check(&text);
        let last = &plan.steps.last().expect("it has steps").name;
        let last = plan.files.get(&format!("{last}/topology.yaml")).expect("it is there");
        assert!(last.contains("clusters: [c2, c3]\n") && last.contains(&balance.replace("c1", "c2")), "{last}");
    }
    let text = topology(
        CLUSTERS,
        "    clusters: [c1, c3]\n    balance: {weights: {c1: 60, c3: 40}}\n    ports: {grpc: 7070}\n",
        &callers,
    );
    let plan = check(&text);
    let balance = |step: &str| {
        let found = plan.steps.iter().find(|it| it.name.ends_with(step)).expect("a step");
        let text = plan.files.get(&format!("{}/topology.yaml", found.name)).expect("it is there").to_owned();
        text.lines().find(|it| it.contains("    balance:")).expect("a balance").trim().to_owned()
    };
    assert_eq!(balance("-start"), "balance: {weights: {c1: 60, c2: 0, c3: 40}}");
    assert_eq!(balance("-25-percent"), "balance: {weights: {c1: 45, c2: 15, c3: 40}}");
    assert_eq!(balance("-leave"), "balance: {weights: {c2: 60, c3: 40}}");
}

/// The plan is only as good as its order: with two steps turned round, or one left out, a call is lost.
#[test]
fn a_wrong_order_is_found() {
    let cart = "    clusters: c1\n    names: cluster-local\n    ports: {http: \"80:8080\"}\n";
    let global = cart.replace("cluster-local", "global");
    let mut lost = std::collections::BTreeSet::new();
    let mut turned = 0;
    for text in [
        topology(CLUSTERS, cart, &[("web", "[c1, c2, c3]")]),
        topology(CLUSTERS, &global, &[("web", "[c1, c2, c3]")]),
        topology(CLUSTERS, &global, &[("web", "c2")]),
        topology(CLUSTERS, &global, &[("web", "[c1, c3]")]),
        topology(CLUSTERS, &global, &[("web", "[c2, c3]")]),
    ] {
        let plan = plan(&text);
        let steps = paths::steps(&plan);
        for index in 1..plan.steps.len() - 1 {
            let mut other = way(&plan, &steps);
            other.swap(index, index + 1);
            turned += usize::from(follow(&text, &other, false).is_err());
        }
        for index in 1..plan.steps.len() - 1 {
            let mut other = way(&plan, &steps);
            let (name, clusters, _) = other.remove(index);
            for cluster in clusters {
                if !other[index].1.contains(&cluster) {
                    other[index].1.push(cluster);
                }
            }
            if follow(&text, &other, false).is_err() || follow(&text, &other, true).is_err() {
                lost.insert(name.split_once('-').expect("a number").1.to_owned());
            }
        }
    }
    assert!(turned >= 8, "{turned}");
    for phase in ["start-prepare", "start-open", "leave-switch", "leave-release"] {
        assert!(lost.contains(phase), "nobody misses `{phase}`: {lost:?}");
    }
}

#[test]
fn the_text_is_the_users_own() {
    let weights = "balance: {weights: {c1: 100, c2: 0}}";
    let cases = [
        (
            "services:\n  cart:\n    # Where it runs.\n    clusters: c1 # home\n    ports: {grpc: 7070}\n",
            format!(
                "services:\n  cart:\n    # Where it runs.\n    clusters: [c1, c2] # home\n    {weights}\n    ports: {{grpc: 7070}}\n"
            ),
            "services:\n  cart:\n    # Where it runs.\n    clusters: c2 # home\n    ports: {grpc: 7070}\n",
        ),
        (
            "services:\n  cart: {clusters: 'c1', ports: {grpc: 7070}}  # the cart\n",
            format!("services:\n  cart: {{clusters: [c1, c2], {weights}, ports: {{grpc: 7070}}}}  # the cart\n"),
            "services:\n  cart: {clusters: c2, ports: {grpc: 7070}}  # the cart\n",
        ),
        (
            "services:\n  cart:\n    ports: {grpc: 7070}\n    clusters:\n      # The first.\n      - \"c1\"  # home\n\n  web: {clusters: c1}\n",
            format!(
                "services:\n  cart:\n    ports: {{grpc: 7070}}\n    clusters:\n      # The first.\n      - \"c1\"  # home\n      - c2\n    {weights}\n\n  web: {{clusters: c1}}\n"
            ),
            "services:\n  cart:\n    ports: {grpc: 7070}\n    clusters:\n      # The first.\n      - c2  # home\n\n  web: {clusters: c1}\n",
        ),
        (
            "services: {cart: {ports: {grpc: 7070}, clusters: [\n  c1\n]}}",
            format!("services: {{cart: {{ports: {{grpc: 7070}}, clusters: [c1, c2], {weights}}}}}"),
            "services: {cart: {ports: {grpc: 7070}, clusters: [c2]}}",
        ),
        (
            "services:\r\n  cart:\r\n    ports: {grpc: 7070}\r\n    clusters: c1",
            format!("services:\r\n  cart:\r\n    ports: {{grpc: 7070}}\r\n    clusters: [c1, c2]\r\n    {weights}"),
            "services:\r\n  cart:\r\n    ports: {grpc: 7070}\r\n    clusters: c2",
        ),
        // It runs in both already; what has gone over is not taken back.
        (
            "services:\n  cart:\n    balance:\n      weights:\n        c1: 100\n        c2: 0\n    clusters:\n      - c1\n      - c2\n    ports: {grpc: 7070}\n",
            format!(
                "services:\n  cart:\n    {weights}\n    clusters:\n      - c1\n      - c2\n    ports: {{grpc: 7070}}\n"
            ),
            "services:\n  cart:\n    clusters:\n      - c2\n    ports: {grpc: 7070}\n",
        ),
    ];
    for (before, first, last) in cases {
        let text = format!("{CLUSTERS}{before}");
        let plan = plan_of(&text, &order(&[])).unwrap_or_else(|said| panic!("{said}\n{text}"));
        let ends = |ends: &str| {
            let step = plan.steps.iter().find(|it| it.name.ends_with(ends))?;
            plan.files.get(&format!("{}/topology.yaml", step.name)).map(|it| it[CLUSTERS.len()..].to_owned())
        };
        if !before.contains("weights") {
            assert_eq!(ends("-start").as_deref(), Some(first.as_str()));
        }
        assert_eq!(ends("-leave").as_deref(), Some(last), "{before}");
        assert_eq!(plan.files.get("00-now/topology.yaml"), Some(text.as_str()));
    }
}

#[test]
fn a_plan_is_the_same_every_time_and_its_differences_lead_from_step_to_step() {
    let text = topology(CLUSTERS, "    clusters: c1\n    ports: {grpc: 7070}\n", &[("web", "[c1, c3]")]);
    let plan = plan(&text);
    assert_eq!(plan.files, plan_of(&text, &order(&[0, 25, 100])).expect("it went well before").files);
    for pair in plan.steps.windows(2) {
        let tree = |name: &str| {
            support::tree(&support::compile(plan.files.get(&format!("{name}/topology.yaml")).expect("it has one")))
        };
        let (old, new) = (tree(&pair[0].name), tree(&pair[1].name));
        let difference = plan.files.get(&format!("{}/changes.diff", pair[1].name)).expect("a step has a difference");
        for path in old.keys().chain(new.keys()) {
            let told =
                difference.contains(&format!("--- a/{path}\n")) || difference.contains(&format!("+++ b/{path}\n"));
            assert_eq!(told, old.get(path) != new.get(path), "{path} in {}", pair[1].name);
        }
        // A cluster whose files differ is one of those that are applied.
        let objects = |it: &&str| !it.ends_with("RUNBOOK.md") && !it.ends_with("kustomization.yaml");
        let changed: std::collections::BTreeSet<_> = difference
            .lines()
            .filter_map(|it| it.strip_prefix("--- a/").or_else(|| it.strip_prefix("+++ b/")))
            .filter(objects)
            .filter_map(|it| it.split('/').next())
            .collect();
        let applied: std::collections::BTreeSet<_> = pair[1].clusters.iter().map(String::as_str).collect();
        assert_eq!(changed, applied, "{}", pair[1].name);
    }
}

/// What is said of a move that cannot be.
fn refused(text: &str, order: &Order<'_>) -> String {
    plan_of(text, order).err().unwrap_or_else(|| panic!("it can be done:\n{text}"))
}

#[test]
fn what_cannot_be_done_is_said() {
    let text = topology(CLUSTERS, "    clusters: c1\n    ports: {grpc: 7070}\n", &[("web", "[c1, c3]")]);
    let good = order(&[0, 100]);
    let says = |order: Order<'_>, words: &[&str]| {
        let said = refused(&text, &order);
        for word in words {
            assert!(said.contains(word), "no `{word}` in:\n{said}");
        }
    };
    says(Order { service: "crat", ..good }, &["T0202", "`cart`"]);
    says(
        Order { from: "c9", to: "d", ..good },
        &["`--from` names the cluster `c9`", "`--to` names the cluster `d`", "T0201"],
    );
    says(Order { to: "c1", ..good }, &["T1201", "to itself"]);
    says(Order { from: "c3", ..good }, &["T1201", "does not run in `c3`, but in `c1`", "--from c1"]);
    says(Order { from: "c3", to: "c1", ..good }, &["it is where it should be"]);
    says(Order { shares: &[0, 50, 50], ..good }, &["T1202", "50 comes after 50"]);
    says(Order { shares: &[0, 101], ..good }, &["T1202", "101 is no share"]);

    // The newcomer has no gateway, and callers elsewhere need one.
    let said = refused(&text.replace(", gateway: 34.70.9.2", ""), &good);
    assert!(said.contains("T0402") && said.contains("T1204") && said.contains("start/topology.yaml:"), "{said}");
    let said = refused(&text.replace("34.70.9.2", "pending"), &good);
    assert!(said.contains("T1205") && said.contains("--address c2=ADDRESS"), "{said}");
    let step = plan(&text);
    let step = step.files.get(&format!("{}/topology.yaml", step.steps[1].name)).expect("it has one");
    assert!(refused(step, &good).contains("is a step of a move already"));
}

#[test]
fn a_text_that_others_share_is_not_edited() {
    let shared = [
        "services:\n  web: {clusters: &home c1}\n  cart: {clusters: *home, ports: {grpc: 7070}}\n",
        "services:\n  web: {clusters: &home [c1]}\n  cart: {clusters: *home, ports: {grpc: 7070}}\n",
        "services:\n  web: &web {clusters: c1, ports: {grpc: 7070}}\n  cart: {<<: *web}\n",
        "services:\n  cart: {clusters: &home c1, ports: {grpc: 7070}}\n  web: {clusters: *home}\n",
        "services:\n  cart: &cart\n    clusters: c1\n    ports: {grpc: 7070}\n  web: *cart\n",
    ];
    for services in shared {
        let said = refused(&format!("{CLUSTERS}{services}"), &order(&[]));
        assert!(said.contains("T1203") && said.contains("clusters: [c1, c2]"), "{said}");
    }
}
