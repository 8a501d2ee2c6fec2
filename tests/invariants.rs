//! What holds of every bundle: of all golden cases, and of topologies made at random.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use meshlatch::inputs::Inputs;
use proptest::prelude::*;
use serde_yaml::Value;

use crate::support;

type Tree = BTreeMap<String, String>;

/// The objects of a cluster's kustomization, in its order, each with its file.
fn applied(tree: &Tree, cluster: &str) -> Vec<(String, Value)> {
    let kustomization: Value =
        serde_yaml::from_str(&tree[&format!("{cluster}/kustomization.yaml")]).expect("a kustomization is YAML");
    let files = kustomization["resources"].as_sequence().expect("it lists files").iter();
    files
        .map(|file| file.as_str().expect("a file is text").to_owned())
        .flat_map(|file| objects(&tree[&format!("{cluster}/{file}")]).into_iter().map(move |it| (file.clone(), it)))
        .collect()
}

fn objects(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text).map(|it| serde::Deserialize::deserialize(it).expect("YAML")).collect()
}

fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    path.iter().try_fold(value, |value, key| value.get(key)).and_then(Value::as_str)
}

fn list<'a>(value: &'a Value, path: &[&str]) -> Vec<&'a Value> {
    path.iter()
        .try_fold(value, |value, key| value.get(key))
        .and_then(Value::as_sequence)
        .into_iter()
        .flatten()
        .collect()
}

fn clusters(tree: &Tree) -> BTreeSet<&str> {
    tree.keys().filter_map(|it| it.split('/').next()).collect()
}

const CLUSTER_SCOPED: [&str; 1] = ["Namespace"];

/// What holds of any tree, whatever it was made from.
fn sound(tree: &Tree) {
    let mut virtual_ips: BTreeMap<String, String> = BTreeMap::new();
    let mut hosts: BTreeMap<String, String> = BTreeMap::new();
    for (path, text) in tree {
        assert!(!text.contains("PRIVATE KEY"), "{path} holds a key");
        assert!(
            path.split('/').all(|part| !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))),
            "{path} is not the path of a bundle"
        );
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{path} ends in one newline");
    }
    for cluster in clusters(tree) {
        assert!(tree.contains_key(&format!("{cluster}/RUNBOOK.md")));
        let objects = applied(tree, cluster);
        let mut ids = BTreeSet::new();
        let namespaces: BTreeSet<_> = objects
            .iter()
            .filter(|it| it.1["kind"] == "Namespace")
            .map(|it| text(&it.1, &["metadata", "name"]))
            .collect();
        let mut created: BTreeSet<Option<&str>> = BTreeSet::new();
        for (file, object) in &objects {
            let kind = text(object, &["kind"]).expect("an object has a kind");
            let name = text(object, &["metadata", "name"]).expect("an object has a name");
            let namespace = text(object, &["metadata", "namespace"]);
            assert!(ids.insert((kind, namespace, name)), "{cluster}: {kind} {name} stands twice");
            assert!(!name.is_empty() && name.len() <= 253, "{name}");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.')),
                "{name}"
            );
            if CLUSTER_SCOPED.contains(&kind) {
                created.insert(Some(name));
                continue;
            }
            assert!(
                namespaces.contains(&namespace),
                "{cluster}/{file}: the namespace of {kind} {name} is not in the bundle"
            );
            assert!(created.contains(&namespace), "{cluster}/{file}: {kind} {name} comes before its namespace");
            assert!(!matches!(kind, "IstioOperator" | "Secret"), "{cluster}/{file} applies a {kind}");
            let shared = ["kube-dns", "coredns", "coredns-custom", "node-local-dns"];
            assert!(!(kind == "ConfigMap" && shared.contains(&name)), "{cluster}/{file} applies the cluster's own DNS");
            if kind == "ServiceEntry" && text(object, &["spec", "location"]) == Some("MESH_INTERNAL") {
                let [host] = list(object, &["spec", "hosts"])[..] else { panic!("one host an entry") };
                let host = host.as_str().expect("a host is text");
                let addresses: Vec<_> =
                    list(object, &["spec", "addresses"]).iter().filter_map(|it| it.as_str()).collect();
                assert!(matches!(addresses.len(), 1 | 2), "{host} has a virtual IP of each family");
                for address in addresses {
                    // A cluster of the old line knows the one of IPv4 only.
                    let family = if address.contains(':') { "IPv6" } else { "IPv4" };
                    let first = virtual_ips.entry(format!("{host} {family}")).or_insert_with(|| address.to_owned());
                    assert_eq!(first, address, "{host} has another virtual IP elsewhere");
                    let owner = hosts.entry(address.to_owned()).or_insert_with(|| host.to_owned());
                    assert_eq!(owner, host, "{address} is given twice");
                    if let std::net::IpAddr::V4(ip) = address.parse().expect("a virtual IP") {
                        let [a, b, ..] = ip.octets();
                        let usable = a != 0 && a != 127 && !(224..240).contains(&a) && (a, b) != (240, 240);
                        assert!(usable, "{ip} cannot be used");
                    }
                }
                if object["spec"].get("workloadSelector").is_none() {
                    entry(cluster, object, host);
                }
            }
        }
    }
}

/// A service of another cluster: ports and endpoints fit one another.
fn entry(cluster: &str, object: &Value, host: &str) {
    let names: BTreeSet<_> = list(object, &["spec", "ports"]).iter().filter_map(|it| text(it, &["name"])).collect();
    let endpoints = list(object, &["spec", "endpoints"]);
    assert!(!endpoints.is_empty(), "{cluster}: {host} leads nowhere");
    let by_name =
        endpoints.iter().any(|it| text(it, &["address"]).is_some_and(|it| it.parse::<std::net::IpAddr>().is_err()));
    assert_eq!(
        text(object, &["spec", "resolution"]),
        Some(if by_name { "DNS" } else { "STATIC" }),
        "{cluster}: {host}"
    );
    for endpoint in endpoints {
        // The address of an own Service, or of a gateway that istiod knows, goes without ports.
        let own = text(endpoint, &["address"]).is_none_or(|it| it.ends_with(".svc.cluster.local"));
        let keys: BTreeSet<_> = endpoint
            .get("ports")
            .and_then(Value::as_mapping)
            .map(|it| it.keys().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        assert!(keys == names || own && keys.is_empty(), "{cluster}: the endpoints of {host} name its ports");
        let newer = text(object, &["apiVersion"]) == Some("networking.istio.io/v1");
        assert_eq!(
            endpoint.get("network").is_some(),
            newer && text(endpoint, &["address"]).is_none_or(|it| !it.ends_with(".svc.cluster.local")),
            "an endpoint with a network is invisible before 1.8, and loops without one today"
        );
    }
}

/// Every address that a variable carries leads to a Service of the cluster or to an entry.
fn variables_lead_somewhere(tree: &Tree, suffix: &str) {
    for cluster in clusters(tree) {
        let objects = applied(tree, cluster);
        let mut known = BTreeSet::new();
        for (_, object) in &objects {
            if object["kind"] == "ServiceEntry" {
                known.extend(list(object, &["spec", "hosts"]).into_iter().filter_map(Value::as_str).map(str::to_owned));
            } else if object["kind"] == "Service" {
                let part = |field| text(object, &["metadata", field]).expect("a Service has a name and a namespace");
                known.insert(format!("{}.{}.svc.cluster.local", part("name"), part("namespace")));
            }
        }
        for (file, object) in objects.iter().filter(|it| it.1["kind"] == "Deployment") {
            for container in list(object, &["spec", "template", "spec", "containers"]) {
                for variable in list(container, &["env"]) {
                    let value = text(variable, &["value"]).unwrap_or("");
                    let ends = [format!(".{suffix}"), ".svc.cluster.local".to_owned()];
                    for word in value.split([':', '/']).filter(|it| ends.iter().any(|end| it.ends_with(end))) {
                        assert!(known.contains(word), "{cluster}/{file}: nothing here knows {word}");
                    }
                }
            }
        }
    }
}

#[test]
fn golden_trees_are_sound() {
    for (_, folder) in support::golden_cases() {
        let tree = support::read_tree(&folder.join("out"));
        sound(&tree);
        let text = std::fs::read_to_string(folder.join("topology.yaml")).expect("a case has a topology");
        let topology: Value = serde_yaml::from_str(&text).expect("a topology is YAML");
        variables_lead_somewhere(&tree, topology["mesh"]["suffix"].as_str().unwrap_or("global"));
    }
}

#[test]
fn golden_cases_compile_to_the_same_bytes_in_any_order() {
    for (_, folder) in support::golden_cases() {
        let source = std::fs::read_to_string(folder.join("topology.yaml")).expect("a case has a topology");
        let first = support::tree(&support::compile(&source));
        let mesh = support::compile(&source.replace('\n', "\r\n"));
        let clusters: Vec<_> = mesh.clusters().collect();
        let mut second = Tree::new();
        for (id, name) in clusters.iter().rev() {
            if let meshlatch::Outcome::Ready(bundle) = mesh.bundle(*id) {
                second.extend(bundle.files().map(|(path, file)| (format!("{name}/{path}"), file.text.clone())));
            }
        }
        assert_eq!(first, second);
    }
}

/// A topology that has no mistakes.
#[derive(Debug, Clone)]
struct Made {
    clusters: Vec<MadeCluster>,
    services: Vec<MadeService>,
}

#[derive(Debug, Clone)]
struct MadeCluster {
    release: &'static str,
    gateway: String,
}

#[derive(Debug, Clone)]
struct MadeService {
    name: String,
    namespace: &'static str,
    clusters: Vec<usize>,
    ports: Vec<(&'static str, u16)>,
    calls: Vec<(usize, usize)>,
    workload: bool,
}

const PORTS: [&str; 5] = ["http", "grpc", "tcp-data", "http-admin", "grpc-web"];
const RELEASES: [&str; 6] = ["1.4.2", "1.5.2", "1.5.10", "1.6.14", "1.7.8", "1.8.5"];

fn made() -> impl Strategy<Value = Made> {
    let cluster = (proptest::sample::select(RELEASES.to_vec()), any::<u8>(), any::<bool>());
    let clusters = proptest::collection::vec(cluster, 1..5).prop_map(|list| {
        let gateway = |index: usize, byte: u8, named: bool| {
            if named { format!("lb{index}-{byte}.example.com") } else { format!("198.51.{}.{}", 1 + index, byte) }
        };
        list.into_iter()
            .enumerate()
            .map(|(index, (release, byte, named))| MadeCluster { release, gateway: gateway(index, byte, named) })
            .collect::<Vec<_>>()
    });
    clusters.prop_flat_map(|clusters| {
        let count = clusters.len();
        let service = (
            proptest::sample::select(vec!["default", "shop", "bank"]),
            proptest::collection::btree_set(0..count, 1..=count),
            proptest::collection::btree_set(0..PORTS.len(), 1..=3),
            proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..5),
            any::<bool>(),
        );
        proptest::collection::vec(service, 1..12).prop_map(move |list| {
            let ports: Vec<Vec<_>> = list
                .iter()
                .map(|it| it.2.iter().map(|it| (PORTS[*it], 7000 + u16::try_from(*it).expect("few ports"))).collect())
                .collect();
            let services = list.into_iter().enumerate().map(|(index, (namespace, clusters, _, calls, workload))| {
                let calls: BTreeSet<_> = calls
                    .into_iter()
                    .map(|(callee, port)| {
                        let callee = callee.index(ports.len());
                        (callee, port.index(ports[callee].len()))
                    })
                    .collect();
                MadeService {
                    name: format!("s{index}"),
                    namespace,
                    clusters: clusters.into_iter().collect(),
                    ports: ports[index].clone(),
                    calls: calls.into_iter().collect(),
                    workload,
                }
            });
            Made { clusters: clusters.clone(), services: services.collect() }
        })
    })
}

impl Made {
    fn yaml(&self) -> String {
        let mut text = "version: 1\nallow: [T0306, T0904]\nmesh: {virtualIPs: 240.0.0.0/8}\nclusters:\n".to_owned();
        for (index, cluster) in self.clusters.iter().enumerate() {
            let MadeCluster { release, gateway } = cluster;
            let _ = writeln!(
                text,
                "  c{index}: {{istio: \"{release}\", gateway: {gateway}, dns: {{provider: coredns, address: 10.0.{index}.53}}}}"
            );
        }
        text.push_str("services:\n");
        for service in &self.services {
            text.push_str(&service.yaml(self));
        }
        text
    }

    /// The entries that each cluster must have: host and ports.
    fn entries(&self, cluster: usize) -> BTreeMap<String, BTreeSet<u16>> {
        let mut entries: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
        for caller in self.services.iter().filter(|it| it.clusters.contains(&cluster)) {
            for (callee, port) in &caller.calls {
                let callee = &self.services[*callee];
                if !callee.clusters.contains(&cluster) {
                    entries
                        .entry(format!("{}.{}.global", callee.name, callee.namespace))
                        .or_default()
                        .insert(callee.ports[*port].1);
                }
            }
        }
        entries
    }
}

impl MadeService {
    fn yaml(&self, made: &Made) -> String {
        let Self { name, namespace, .. } = self;
        let clusters: Vec<_> = self.clusters.iter().map(|it| format!("c{it}")).collect();
        let ports: Vec<_> = self.ports.iter().map(|(name, port)| format!("{name}: {port}")).collect();
        let calls: Vec<_> = self
            .calls
            .iter()
            .map(|(callee, port)| {
                let callee = &made.services[*callee];
                let (port, number) = callee.ports[*port];
                format!("{{service: {}, port: {port}, env: {}_{number}}}", callee.name, callee.name.to_uppercase())
            })
            .collect();
        let workload = if self.workload { "\n    workload: {image: example.com/app}" } else { "" };
        format!(
            "  {name}:\n    namespace: {namespace}\n    clusters: [{}]\n    ports: {{{}}}\n    calls: [{}]{workload}\n",
            clusters.join(", "),
            ports.join(", "),
            calls.join(", ")
        )
    }
}

fn tree_of(made: &Made) -> Tree {
    support::tree(&support::compile(&made.yaml()))
}

/// Files that list what others hold.
fn is_index(path: &str) -> bool {
    path.ends_with("kustomization.yaml") || path.ends_with("RUNBOOK.md")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn every_declared_call_has_its_entry_and_no_entry_is_without_a_call(made in made()) {
        let tree = tree_of(&made);
        sound(&tree);
        variables_lead_somewhere(&tree, "global");
        for cluster in 0..made.clusters.len() {
            let objects = applied(&tree, &format!("c{cluster}"));
            let mut found = BTreeMap::new();
            for (_, object) in objects.iter().filter(|it| it.1["kind"] == "ServiceEntry") {
                let host = list(object, &["spec", "hosts"])[0].as_str().expect("a host").to_owned();
                let ports: BTreeSet<_> =
                    list(object, &["spec", "ports"]).iter().map(|it| it["number"].as_u64().expect("a port")).map(|it| u16::try_from(it).expect("a port")).collect();
                let callee = made.services.iter().find(|it| host.starts_with(&format!("{}.", it.name))).expect("it was made");
                let gateways: Vec<_> = callee.clusters.iter().map(|it| made.clusters[*it].gateway.as_str()).collect();
                let endpoints: Vec<_> = list(object, &["spec", "endpoints"]).iter().filter_map(|it| text(it, &["address"])).collect();
                prop_assert_eq!(endpoints, gateways, "the gateways of those who run {}", &host);
                let dialled = list(object, &["spec", "endpoints"]).into_iter().flat_map(|it| it["ports"].as_mapping().expect("ports").values());
                prop_assert!(dialled.into_iter().all(|it| it.as_u64() == Some(15443)), "{} is not called at the gateway", &host);
                found.insert(host, ports);
            }
            prop_assert_eq!(found, made.entries(cluster));
        }
    }

    #[test]
    fn the_order_of_the_file_changes_no_object(made in made()) {
        let tree = tree_of(&made);
        // The same services, declared the other way round.
        let text = made.yaml();
        let (head, _) = text.split_once("services:\n").expect("it has services");
        let services: String = made.services.iter().rev().map(|it| it.yaml(&made)).collect();
        let turned = support::tree(&support::compile(&format!("{head}services:\n{services}")));
        let objects = |tree: &Tree| tree.iter().filter(|it| !is_index(it.0)).map(|(k, v)| (k.clone(), v.clone())).collect::<Tree>();
        prop_assert_eq!(objects(&tree), objects(&turned));
    }

    #[test]
    fn a_new_service_changes_no_file_it_has_no_business_in(made in made(), cluster in any::<prop::sample::Index>()) {
        let cluster = cluster.index(made.clusters.len());
        let before = tree_of(&made);
        let mut more = made.clone();
        more.services.push(MadeService {
            name: "newcomer".into(),
            namespace: "default",
            clusters: vec![cluster],
            ports: vec![("http", 7000)],
            calls: Vec::new(),
            workload: true,
        });
        let after = tree_of(&more);
        for (path, text) in &after {
            let own = path.contains("newcomer") || path == &format!("c{cluster}/00-namespaces/default.yaml");
            let index = is_index(path) && path.starts_with(&format!("c{cluster}/"));
            prop_assert!(own || index || before.get(path) == Some(text), "{} changed", path);
        }
        prop_assert!(before.keys().all(|path| after.contains_key(path)));
    }

    #[test]
    fn removing_services_moves_no_address(made in made(), keep in proptest::collection::vec(any::<bool>(), 12)) {
        let before: BTreeMap<_, _> = support::compile(&made.yaml()).virtual_ips().collect();
        let mut less = made.clone();
        // A service that goes takes the calls to it along.
        for service in &mut less.services {
            service.calls.retain(|(callee, _)| keep[*callee]);
        }
        let text = less.yaml();
        let (head, _) = text.split_once("services:\n").expect("it has services");
        let kept: String = less.services.iter().enumerate().filter(|it| keep[it.0]).map(|it| it.1.yaml(&less)).collect();
        let services = if kept.is_empty() { "services: {}\n".to_owned() } else { format!("services:\n{kept}") };
        let after: BTreeMap<_, _> = support::compile(&format!("{head}{services}")).virtual_ips().collect();
        for (host, ip) in after {
            prop_assert_eq!(before.get(&host), Some(&ip), "{} moved", host);
        }
    }
}

#[test]
fn a_pending_address_holds_back_only_who_needs_it() {
    let text = "
version: 1
allow: [T0306]
clusters:
  a: {istio: \"1.5.2\", gateway: pending}
  b: {istio: \"1.5.2\", gateway: 198.51.100.2, dns: {provider: coredns, address: 10.0.0.53}}
  c: {istio: \"1.5.2\", dns: {provider: coredns, address: 10.0.0.53}}
services:
  in-a: {clusters: a, ports: {http: 80}}
  in-b: {clusters: b, ports: {http: 80}, calls: [in-a]}
  in-c: {clusters: c, calls: [in-b]}
";
    let waiting = support::compile(text);
    let written: BTreeSet<_> = support::tree(&waiting).keys().map(|it| it[..1].to_owned()).collect();
    assert_eq!(written, BTreeSet::from(["a".to_owned(), "c".to_owned()]));
    let mut inputs = Inputs::default();
    inputs.set("a", "198.51.100.1");
    let (mesh, said, _) = support::compile_bytes("topology.yaml", text.as_bytes().to_vec(), &inputs);
    let tree = support::tree(&mesh.unwrap_or_else(|| panic!("{said}")));
    assert!(tree["b/20-mesh/in-a.default.yaml"].contains("- address: 198.51.100.1\n"));
}
