//! The report of `meshlatch stats`: what it prints, and whether its numbers are those of the trees.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use meshlatch::inputs::Inputs;
use meshlatch::stats::{Held, Range};
use serde_yaml::Value;

use crate::support;

/// What the binary prints of a golden case.
fn printed(case: &str, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_meshlatch"))
        .arg("stats")
        .arg(support::root().join("tests/golden").join(case).join("topology.yaml"))
        .args(args)
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

fn assert_printed(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(support::root().join("tests/stats"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn the_report_of_an_old_and_of_a_new_mesh_is_read_by_people() {
    for case in ["dual_control_plane_1_5", "weights", "pending"] {
        assert_printed(case, &printed(case, &[]));
    }
}

#[test]
fn programs_read_the_same_numbers() {
    let json = printed("weights", &["--json"]);
    assert_printed("weights_json", &json);
    let report: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(report["total"]["files"], 53);
    let waiting = printed("pending", &["--json"]);
    let report: serde_json::Value = serde_json::from_str(&waiting).expect("it is JSON");
    assert_eq!(report["clusters"][1]["waitsFor"][0], "the gateway address of `east`");
    assert!(report["clusters"][1].get("files").is_none(), "{waiting}");
}

/// The objects of one cluster's tree that are applied.
struct Tree {
    objects: Vec<Value>,
    /// Services without pods, by namespace and name.
    stubs: BTreeSet<(String, String)>,
    files: usize,
}

impl Tree {
    fn read(all: &BTreeMap<String, String>, cluster: &str) -> Self {
        let list: Value = serde_yaml::from_str(&all[&format!("{cluster}/kustomization.yaml")]).expect("YAML");
        let (mut objects, mut stubs) = (Vec::new(), BTreeSet::new());
        for file in items(&list["resources"]).iter().map(text) {
            for document in serde_yaml::Deserializer::from_str(&all[&format!("{cluster}/{file}")]) {
                let object: Value = serde::Deserialize::deserialize(document).expect("an object");
                if file.starts_with("20-mesh/") && object["kind"] == "Service" {
                    stubs.insert((namespace(&object).to_owned(), text(&object["metadata"]["name"]).to_owned()));
                }
                objects.push(object);
            }
        }
        let files = all.keys().filter(|it| it.split('/').next() == Some(cluster)).count();
        Self { objects, stubs, files }
    }

    fn of_kind<'a>(&'a self, group: &'a str, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects.iter().filter(move |it| it["kind"] == kind && text(&it["apiVersion"]).starts_with(group))
    }

    /// The subsets of a host that a namespace sees.
    fn subsets(&self, host: &str, from: &str) -> usize {
        self.of_kind("networking.istio.io/", "DestinationRule")
            .filter(|it| it["spec"]["host"] == host && visible(it, from))
            .map(|it| items(&it["spec"]["subsets"]).len())
            .sum()
    }

    /// Every host and port that a namespace sees: namespace, host, port, whether it is of the mesh.
    fn seen(&self, from: &str) -> Vec<(String, String, u64, bool)> {
        let mut seen = Vec::new();
        for service in self.of_kind("v1", "Service").filter(|it| namespace(it) != "istio-system") {
            let host = format!("{}.{}.svc.cluster.local", text(&service["metadata"]["name"]), namespace(service));
            for port in items(&service["spec"]["ports"]).iter().filter(|it| it["protocol"] != "UDP") {
                seen.push((namespace(service).to_owned(), host.clone(), number(&port["port"]), true));
            }
        }
        for entry in self.of_kind("networking.istio.io/", "ServiceEntry").filter(|it| visible(it, from)) {
            for host in items(&entry["spec"]["hosts"]) {
                for port in items(&entry["spec"]["ports"]) {
                    let internal = entry["spec"]["location"] == "MESH_INTERNAL";
                    let host = text(host).to_owned();
                    seen.push((namespace(entry).to_owned(), host, number(&port["number"]), internal));
                }
            }
        }
        seen
    }

    fn held(&self, from: &str, told: impl Fn(&(String, String, u64, bool)) -> bool) -> usize {
        self.seen(from).iter().filter(|it| told(it)).map(|it| 1 + self.subsets(&it.1, from)).sum()
    }

    /// What each pod holds, with or without the Sidecars, by namespace and service. Of a service without
    /// ports, whose pods come from elsewhere, the tree says nothing.
    fn sidecars<'a>(&'a self, own: usize, scoped: bool, range: Option<&'a Range>) -> BTreeMap<(String, String), usize> {
        let counted = range.map(|it| {
            [
                (it.least.namespace.as_str(), it.least.service.as_str()),
                (it.most.namespace.as_str(), it.most.service.as_str()),
            ]
        });
        let pods: BTreeSet<(&str, &str)> = self
            .objects
            .iter()
            .filter(|it| it["kind"] == "Deployment" || it["kind"] == "Service" && !self.is_stub(it))
            .filter(|it| namespace(it) != "istio-system")
            .map(|it| (namespace(it), text(&it["metadata"]["name"])))
            .chain(counted.into_iter().flatten())
            .collect();
        let held = |(from, name): (&str, &str)| {
            let told: Option<BTreeSet<String>> = scoped.then(|| {
                let mut sidecars = self.of_kind("networking.istio.io/", "Sidecar").filter(|it| namespace(it) == from);
                let sidecar = sidecars.next().expect("a namespace has a Sidecar");
                let hosts = items(&sidecar["spec"]["egress"][0]["hosts"]);
                hosts.iter().map(|it| text(it).replace("./", &format!("{from}/"))).collect()
            });
            let outbound = self.held(from, |(namespace, host, _, _)| {
                told.as_ref().is_none_or(|it| {
                    it.contains(&format!("{namespace}/*")) || it.contains(&format!("{namespace}/{host}"))
                })
            });
            let service = self
                .of_kind("v1", "Service")
                .find(|it| namespace(it) == from && it["metadata"]["name"] == name && !self.is_stub(it));
            let ports = service.map_or(&[][..], |it| items(&it["spec"]["ports"]));
            let targets: BTreeSet<String> = ports
                .iter()
                .filter(|it| it["protocol"] != "UDP")
                .map(|it| it.get("targetPort").unwrap_or(&it["port"]))
                .map(|it| serde_yaml::to_string(it).expect("a scalar"))
                .collect();
            ((from.to_owned(), name.to_owned()), own + outbound + targets.len())
        };
        pods.into_iter().map(held).collect()
    }

    fn is_stub(&self, service: &Value) -> bool {
        self.stubs.contains(&(namespace(service).to_owned(), text(&service["metadata"]["name"]).to_owned()))
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn items(value: &Value) -> &[Value] {
    value.as_sequence().map_or(&[], Vec::as_slice)
}

fn namespace(object: &Value) -> &str {
    text(&object["metadata"]["namespace"])
}

fn visible(object: &Value, from: &str) -> bool {
    let to = items(&object["spec"]["exportTo"]);
    to.is_empty() || to.iter().any(|it| it == from || it == "." && namespace(object) == from)
}

fn assert_range(what: &str, counted: Option<&Range>, pods: &BTreeMap<(String, String), usize>) {
    let of = |held: &Held| pods.get(&(held.namespace.clone(), held.service.clone())).copied();
    let Some(range) = counted else {
        assert!(pods.is_empty(), "{what}: something runs, and nothing was counted");
        return;
    };
    assert_eq!(Some(&range.least.clusters), pods.values().min(), "{what}: the fewest");
    assert_eq!(Some(&range.most.clusters), pods.values().max(), "{what}: the most");
    assert_eq!(of(&range.least), Some(range.least.clusters), "{what}: where the fewest are");
    assert_eq!(of(&range.most), Some(range.most.clusters), "{what}: where the most are");
}

#[test]
fn the_numbers_are_those_of_the_trees() {
    let mut compared = 0;
    for (case, folder) in support::golden_cases() {
        let bytes = std::fs::read(folder.join("topology.yaml")).expect("a case has a topology");
        // What comes from elsewhere stands in no tree, and is told of all the same.
        let topology = String::from_utf8_lossy(&bytes).into_owned();
        let elsewhere = topology.contains("elsewhere");
        let foreign = topology.contains("ingress: {selector") || topology.contains("ingress: {namespace");
        let (mesh, said, _) = support::compile_bytes("topology.yaml", bytes, &Inputs::default());
        let mesh = mesh.unwrap_or_else(|| panic!("{said}"));
        let trees = support::read_tree(&folder.join("out"));
        for (id, name) in mesh.clusters() {
            let Ok(stats) = mesh.stats(id) else { continue };
            let what = format!("{case}/{name}");
            let tree = Tree::read(&trees, name);
            assert_eq!(stats.files, tree.files, "{what}: files");
            let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
            for object in &tree.objects {
                *kinds.entry(text(&object["kind"]).to_owned()).or_default() += 1;
            }
            assert_eq!(stats.objects, kinds, "{what}: objects");
            assert_eq!(stats.object_count(), tree.objects.len(), "{what}");
            if elsewhere {
                continue;
            }
            compared += 1;
            // Of Istio itself there is no object in the tree, but for what the gateways are told.
            let own = stats.of_istio;
            assert!(own >= 7 + 4, "{what}: {own} clusters for Istio itself");
            assert_range(
                &format!("{what}, everything in view"),
                stats.mesh.as_ref(),
                &tree.sidecars(own, false, stats.mesh.as_ref()),
            );
            if tree.of_kind("networking.istio.io/", "Sidecar").next().is_some() {
                assert_range(
                    &format!("{what}, declared"),
                    stats.declared.as_ref(),
                    &tree.sidecars(own, true, stats.declared.as_ref()),
                );
            }
            let old = mesh.release(id).split('.').nth(1).expect("a minor").parse::<u32>().expect("a number") < 10;
            let let_in: Option<BTreeSet<String>> = tree
                .objects
                .iter()
                .find(|it| {
                    it["kind"] == "Gateway"
                        && ["cross-network-gateway", "istio-eastwestgateway"].contains(&text(&it["metadata"]["name"]))
                })
                .map(|it| serde_yaml::to_string(it).expect("YAML"))
                .map(|it| it.split_whitespace().map(|it| it.trim_matches('"').to_owned()).collect());
            // Of a gateway that is not Istio's own the tree does not say the namespace.
            if let Some(count) = stats.ingress_gateway.filter(|_| !foreign) {
                let incoming = if old { tree.held("istio-system", |it| it.3) } else { 0 };
                assert_eq!(count, own + tree.held("istio-system", |_| true) + incoming, "{what}: the ingress gateway");
            }
            if let Some(gateway) = stats.east_west_gateway {
                let out = tree.held("istio-system", |_| true);
                let incoming = tree.held("istio-system", |it| it.3);
                let incoming = if old || let_in.is_some() { incoming } else { 0 };
                assert_eq!(gateway.clusters, own + out + incoming, "{what}: the east-west gateway");
                let chains = let_in.map_or(0, |hosts| tree.held("istio-system", |it| hosts.contains(&it.1)));
                assert_eq!(gateway.filter_chains, (!old).then_some(chains), "{what}: its filter chains");
            }
        }
    }
    assert!(compared > 50, "{compared} clusters");
}

/// Ten namespaces of which each calls the next: a sidecar holds two hosts, not ten.
#[test]
fn a_sidecar_holds_what_is_called_from_its_namespace() {
    let service = |it: usize| {
        let (next, ports) = ((it + 1) % 10, "{http: 80, tcp: 81}");
        format!("  s{it}: {{namespace: n{it}, clusters: a, ports: {ports}, calls: \"s{next}:http\"}}\n")
    };
    let services = (0..10).map(service).collect::<Vec<_>>().concat();
    for scope in ["declared", "mesh"] {
        let text =
            format!("version: 1\nmesh: {{scope: {scope}}}\nclusters:\n  a: {{istio: 1.30.3}}\nservices:\n{services}");
        let mesh = support::compile(&text);
        let (id, _) = mesh.clusters().next().expect("there is a cluster");
        let stats = mesh.stats(id).expect("it waits for nothing");
        // Seven of its own, four of istiod, two ports a host, two ports of the pod.
        let all_alike = |range: Option<Range>, clusters: usize| {
            let range = range.expect("something runs");
            assert_eq!((range.least.clusters, range.most.clusters), (clusters, clusters));
        };
        all_alike(stats.declared, 7 + 4 + 2 * 2 + 2);
        all_alike(stats.mesh, 7 + 4 + 10 * 2 + 2);
        assert_eq!((stats.east_west_gateway, stats.ingress_gateway), (None, None));
    }
}

/// A gateway that passes anything through holds every host of the mesh twice, with each subset.
#[test]
fn a_gateway_holds_each_host_twice() {
    let text = "
version: 1
clusters:
  a: {istio: 1.30.3, gateway: 198.51.100.1}
  b: {istio: 1.30.3, gateway: 198.51.100.2}
  c: {istio: 1.30.3}
services:
  cart: {clusters: [a, b], ports: {http: 80}, balance: {weights: {a: 50, b: 50}}}
  other: {clusters: a, ports: {http: 80}}
  web: {clusters: c, calls: cart}
";
    let mesh = support::compile(text);
    let (id, _) = mesh.clusters().next().expect("there is a cluster");
    let gateway = mesh.stats(id).expect("it waits for nothing").east_west_gateway.expect("there is one");
    // Seven of its own, four of istiod, two of its own Service; cart and other as Services; cart under
    // the name it is called by, with a subset for each cluster. What it lets in is the latter.
    assert_eq!((gateway.clusters, gateway.filter_chains), (7 + 4 + 2 + 2 * (2 + 3), Some(3)));
}
