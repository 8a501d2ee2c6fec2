//! What we write is what the Kubernetes and the Istio of its cluster accept: every object of every
//! golden case against the schemas in `tests/schemas`, which `conformance/schemas.py` makes.

mod rules;
mod validate;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use meshlatch::inputs::Inputs;
use meshlatch::target::{self, Release};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support;
use validate::Nodes;

/// Kinds that no schema describes, and why.
const WITHOUT_SCHEMA: [(&str, &str); 1] = [(
    "kustomize.config.k8s.io/v1beta1 Kustomization",
    "no API server knows it; `kubectl kustomize` builds every one of them (conformance/trees.sh)",
)];

/// Files that hold no object, and what describes them: a schema, or a reason for none.
const VALUES: [(&str, Result<&str, &str>); 3] = [
    ("10-istio/values.yaml", Err("the charts of Istio 1.4 have no schema, and take every value")),
    ("10-istio/istiod.yaml", Ok("values of chart istiod")),
    ("10-istio/", Ok("values of chart gateway")),
];

/// Groups of neither Kubernetes nor Istio: the sources in the index that know them, whose every
/// release must accept what we write, or every one that serves the version.
const NEIGHBOURS: [(&str, &str); 4] = [
    ("external-secrets.io/", "external-secrets "),
    ("gateway.networking.k8s.io/", "gateway-api "),
    ("operator.openshift.io/", "openshift"),
    ("sailoperator.io/", "sail-operator "),
];

#[derive(Deserialize)]
struct Index {
    kubernetes: BTreeMap<String, Source>,
    istio: BTreeMap<String, Source>,
    others: BTreeMap<String, Source>,
}

/// A release of something, and the nodes of its kinds by `apiVersion kind`.
#[derive(Deserialize)]
struct Source {
    /// Those that judge the objects of a cluster that does not say which it has.
    #[serde(default)]
    kubernetes: Vec<String>,
    kinds: BTreeMap<String, String>,
}

static NODES: LazyLock<Nodes> = LazyLock::new(|| read("nodes.json"));
static INDEX: LazyLock<Index> = LazyLock::new(|| read("index.json"));

fn read<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let text = std::fs::read_to_string(support::root().join("tests/schemas").join(name)).expect("the data is there");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What serves the objects of a cluster.
struct Server {
    /// `1.28`.
    minor: String,
    istio: &'static Source,
    kubernetes: Vec<&'static Source>,
}

impl Server {
    /// With an Istio, and the Kubernetes of the cluster if it says so.
    fn new(minor: &str, kubernetes: Option<&str>) -> Self {
        let istio = INDEX.istio.get(minor).unwrap_or_else(|| panic!("add Istio {minor} to conformance/schemas.py"));
        let kubernetes = match kubernetes {
            Some(version) => vec![newest_until(version)],
            None => istio.kubernetes.iter().map(|it| &INDEX.kubernetes[it]).collect(),
        };
        Self { minor: minor.to_owned(), istio, kubernetes }
    }

    /// The nodes that all must accept an object of a kind; none if nothing here serves it.
    fn nodes(&self, kind: &str) -> Vec<&'static String> {
        if let Some((_, name)) = NEIGHBOURS.iter().find(|it| kind.starts_with(it.0)) {
            let releases = INDEX.others.iter().filter(|it| it.0.starts_with(name));
            return releases.filter_map(|it| it.1.kinds.get(kind)).collect();
        }
        if let Some(node) = self.istio.kinds.get(kind) {
            return vec![node];
        }
        let every: Option<_> = self.kubernetes.iter().map(|it| it.kinds.get(kind)).collect();
        every.unwrap_or_default()
    }

    /// What is not accepted of an object.
    fn judge(&self, object: &Value) -> BTreeSet<String> {
        let kind = kind(object);
        if WITHOUT_SCHEMA.iter().any(|it| it.0 == kind) {
            return BTreeSet::new();
        }
        let nodes = self.nodes(&kind);
        if nodes.is_empty() {
            return [format!("nothing beside Istio {} serves `{kind}`", self.minor)].into();
        }
        let mut rest = object.as_object().expect("an object is a map").clone();
        rest.retain(|name, _| !["apiVersion", "kind", "metadata"].contains(&name.as_str()));
        let rest = Value::Object(rest);
        // The schema of a CRD says nothing of metadata; Kubernetes does.
        let metadata = self.kubernetes.iter().map(|it| &it.kinds["metadata"]);
        let of_metadata =
            metadata.filter_map(|it| object.get("metadata").map(|said| NODES.judge(it, said, ".metadata")));
        nodes.into_iter().map(|it| NODES.judge(it, &rest, "")).chain(of_metadata).flatten().collect()
    }

    /// Judges a file of Helm values: what it is, and what is wrong.
    fn judge_values(&self, file: &str, values: &Value) -> (String, BTreeSet<String>) {
        let schema = VALUES.iter().find(|it| file.starts_with(it.0));
        match schema.unwrap_or_else(|| panic!("{file} holds no object: add it to VALUES")).1 {
            Ok(name) => (name.to_owned(), NODES.judge(&self.istio.kinds[name], values, "").into_iter().collect()),
            Err(reason) => (reason.to_owned(), BTreeSet::new()),
        }
    }
}

/// The newest Kubernetes of the data that knows no field which a version does not know; the oldest
/// of all, if there is none.
fn newest_until(version: &str) -> &'static Source {
    let number = |it: &str| it.split_once('.').and_then(|it| it.1.parse::<u32>().ok()).expect("`1.19`");
    let mut known: Vec<_> = INDEX.kubernetes.iter().map(|it| (number(it.0), it.1)).collect();
    known.sort_by_key(|it| it.0);
    let place = known.iter().rposition(|it| it.0 <= number(version)).unwrap_or(0);
    known[place].1
}

/// `apiVersion kind` of an object.
fn kind(object: &Value) -> String {
    let part = |name: &str| object[name].as_str().unwrap_or_else(|| panic!("no {name}: {object}")).to_owned();
    format!("{} {}", part("apiVersion"), part("kind"))
}

fn documents(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text).map(|it| Value::deserialize(it).expect("our own YAML parses")).collect()
}

/// What serves each cluster of a topology.
fn servers(topology: &str) -> BTreeMap<String, Server> {
    let read: Value = serde_yaml::from_str(topology).expect("a topology is YAML");
    let server = |cluster: &Value| {
        let release = Release::parse(cluster["istio"].as_str().expect("a cluster says its release"));
        let (release, _) = release.expect("it is one");
        let istio = target::find(release).expect("it compiles, so it is known");
        Server::new(&istio.line(), cluster["kubernetes"].as_str())
    };
    let clusters = read["clusters"].as_object().into_iter().flatten();
    clusters.map(|(name, it)| (name.clone(), server(it))).collect()
}

/// What was judged, as minor release and kind, and what was wrong.
#[derive(Default)]
struct Judged {
    kinds: BTreeSet<(String, String)>,
    wrong: Vec<String>,
}

impl Judged {
    /// Judges every object of a tree.
    fn tree(&mut self, case: &str, topology: &str, tree: &BTreeMap<String, String>) {
        let servers = servers(topology);
        for (path, text) in tree.iter().filter(|it| it.0.ends_with(".yaml")) {
            let (cluster, file) = path.split_once('/').expect("a file lies in the folder of its cluster");
            let server = &servers[cluster];
            for object in documents(text) {
                let (what, said) = if object.get("apiVersion").is_some() && object.get("kind").is_some() {
                    (kind(&object), server.judge(&object))
                } else {
                    server.judge_values(file, &object)
                };
                let minor = &server.minor;
                self.wrong.extend(said.into_iter().map(|it| format!("{case}: {path}, Istio {minor}, {what}: {it}")));
                self.kinds.insert((minor.clone(), what));
            }
        }
    }

    fn is_accepted(&self) {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
    }
}

#[test]
fn every_object_is_accepted_by_the_release_of_its_cluster() {
    let mut judged = Judged::default();
    for (case, folder) in support::golden_cases().into_iter().chain([("the worked example".into(), support::root())]) {
        let topology = std::fs::read_to_string(folder.join("topology.yaml")).expect("a case has a topology");
        judged.tree(&case, &topology, &support::read_tree(&folder.join("out")));
    }
    judged.is_accepted();
    for release in target::RELEASES {
        assert!(judged.kinds.iter().any(|it| it.0 == release.line()), "no golden case has an Istio {}", release.line());
    }
    // A reason that nothing needs is one too many.
    let reasons = WITHOUT_SCHEMA.iter().map(|it| it.0).chain(VALUES.iter().map(|it| it.1.unwrap_or_else(|it| it)));
    for reason in reasons {
        assert!(judged.kinds.iter().any(|it| it.1 == reason), "no golden case has a {reason}");
    }
}

#[test]
fn what_the_examples_of_the_diagnostics_become_is_accepted() {
    let mut judged = Judged::default();
    let mut count = 0;
    let fixtures = support::read_tree(&support::root().join("tests/diagnostics"));
    let fixtures = fixtures.into_iter().filter(|it| it.0.ends_with(".yaml"));
    let stories = support::read_tree(&support::root().join("src/diag/explain")).into_iter();
    let examples = stories.filter_map(|(name, text)| {
        let (_, rest) = text.split_once("```yaml right\n")?;
        Some((name, rest.split_once("```")?.0.to_owned()))
    });
    for (name, text) in fixtures.chain(examples) {
        let (mesh, ..) = support::compile_bytes(&name, text.clone().into_bytes(), &Inputs::default());
        let Some(mesh) = mesh else { continue };
        judged.tree(&name, &text, &support::tree(&mesh));
        count += 1;
    }
    judged.is_accepted();
    assert!(count > 100, "only {count} of the examples compile");
}

#[test]
fn the_data_is_understood_whole() {
    assert_eq!(NODES.not_understood(), Vec::<String>::new());
    let kinds = INDEX.kubernetes.values().chain(INDEX.istio.values()).chain(INDEX.others.values());
    for name in kinds.flat_map(|it| it.kinds.values()) {
        assert!(NODES.has(name), "no node is called `{name}`");
    }
    let known: BTreeSet<_> = NODES.rules().into_iter().collect();
    for rule in rules::all() {
        assert!(known.contains(rule), "no schema has the rule `{rule}`");
    }
}

#[test]
fn every_rule_holds_for_what_obeys_it_and_breaks_for_what_does_not() {
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("a value of the list is JSON");
    for rule in rules::RULES {
        for text in rule.texts {
            assert_eq!(rules::hold(text, &json(rule.obeys)), Some(true), "{text}: {}", rule.obeys);
            assert_eq!(rules::hold(text, &json(rule.breaks)), Some(false), "{text}: {}", rule.breaks);
        }
    }
    let one = "(has(self.a) ? 1 : 0) + (has(self.b)?1:0) <= 1";
    assert_eq!(rules::hold(one, &json(r#"{"a": 1, "c": 2}"#)), Some(true));
    assert_eq!(rules::hold(one, &json(r#"{"a": 1, "b": 2}"#)), Some(false));
}

#[test]
fn every_keyword_lets_one_value_pass_and_another_not() {
    for (node, right, wrong) in [
        (json!("string"), json!("a"), json!(1)),
        (json!("integer"), json!(1), json!(1.5)),
        (json!("number"), json!(1.5), json!("1")),
        (json!("boolean"), json!(true), json!("true")),
        (json!("object"), json!({}), json!([])),
        (json!("int-or-string"), json!("a"), json!(true)),
        (json!({"type": "array"}), json!([]), json!({})),
        (json!({"type": "string", "null": true}), json!(null), json!(1)),
        (json!({"type": "string"}), json!("a"), json!(null)),
        (json!({"enum": ["a", 1]}), json!(1), json!("b")),
        (json!({"format": "int32"}), json!(2_147_483_647), json!(2_147_483_648_u32)),
        (json!({"format": "uint32"}), json!(4_294_967_295_u32), json!(-1)),
        (json!({"format": "int64"}), json!(-1), json!(9_223_372_036_854_775_808_u64)),
        (json!({"format": "uint64"}), json!(9_223_372_036_854_775_808_u64), json!(-1)),
        (json!({"format": "ipv4"}), json!("192.0.2.1"), json!("2001:db8::1")),
        (json!({"format": "ipv6"}), json!("2001:db8::1"), json!("192.0.2.1")),
        (json!({"format": "duration"}), json!("1h2.5s"), json!("1 h")),
        (json!({"format": "quantity"}), json!("1.5Gi"), json!("1.5GB")),
        (json!({"pattern": "^a+$"}), json!("aa"), json!("ab")),
        (json!({"minLength": 2}), json!("éé"), json!("é")),
        (json!({"maxLength": 1}), json!("é"), json!("éé")),
        (json!({"minimum": 1}), json!(1), json!(0)),
        (json!({"maximum": 1}), json!(1), json!(2)),
        (json!({"type": "object", "fields": {"a": "string"}}), json!({"a": ""}), json!({"b": ""})),
        (json!({"type": "object", "fields": {"a": "string"}}), json!({}), json!({"a": 1})),
        (json!({"type": "object", "fields": {"a": "string"}, "open": true}), json!({"b": 1}), json!({"a": 1})),
        (json!({"fields": {"a": "string"}}), json!({"b": 1}), json!({"a": 1})),
        (json!({"required": ["a"]}), json!({"a": 1}), json!({"b": 1})),
        (json!({"type": "object", "map": "string"}), json!({"a": ""}), json!({"a": 1})),
        (json!({"minProperties": 1}), json!({"a": 1}), json!({})),
        (json!({"maxProperties": 1}), json!({"a": 1}), json!({"a": 1, "b": 1})),
        (json!({"alone": [["a", "b"]]}), json!({"a": 1, "c": 1}), json!({"a": 1, "b": 1})),
        (json!({"items": "string"}), json!(["a"]), json!(["a", 1])),
        (json!({"minItems": 1}), json!([1]), json!([])),
        (json!({"maxItems": 1}), json!([1]), json!([1, 2])),
        (json!({"uniqueItems": true}), json!([1, 2]), json!([1, 1])),
        (json!({"keys": ["a"]}), json!([{"a": 1}, {"a": 2}]), json!([{"a": 1, "b": 1}, {"a": 1, "b": 2}])),
        (json!({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}), json!({"a": 1}), json!({"a": 1, "b": 1})),
        (json!({"anyOf": ["string", "boolean"]}), json!(true), json!(1)),
        (json!({"allOf": ["string", {"maxLength": 1}]}), json!("a"), json!("ab")),
        (json!({"not": "string"}), json!(1), json!("a")),
        (json!({"rules": ["has(self.address) || has(self.network)"]}), json!({"network": 1}), json!({})),
        (json!("other"), json!("a"), json!(1)),
    ] {
        let nodes: Nodes = serde_json::from_value(json!({"this": node, "other": "string"})).expect("a node");
        assert_eq!(nodes.judge("this", &right, ""), Vec::<String>::new(), "{node}: {right}");
        assert_ne!(nodes.judge("this", &wrong, ""), Vec::<String>::new(), "{node}: {wrong}");
    }
    assert!(serde_json::from_value::<Nodes>(json!({"this": {"minimal": 1}})).is_err(), "an unknown keyword is read");
}

/// An object with one place changed: `place` is where, as in `/spec/hosts/0`.
fn changed(object: &Value, place: &str, new: Option<&Value>) -> Value {
    let mut object = object.clone();
    let (parent, last) = place.rsplit_once('/').expect("a place begins with a slash");
    let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("{place} is not there"));
    match (parent, new) {
        (Value::Object(fields), Some(new)) => drop(fields.insert(last.to_owned(), new.clone())),
        (Value::Object(fields), None) => drop(fields.remove(last).unwrap_or_else(|| panic!("{place} is not there"))),
        (Value::Array(items), Some(new)) => items[last.parse::<usize>().expect("a list has numbers")] = new.clone(),
        (other, _) => panic!("{place}: {other} has no place in it"),
    }
    object
}

#[test]
fn one_mistake_in_an_object_of_a_golden_case_is_found() {
    let path = "tests/golden/every_release_of_today/out/v1-28/20-mesh/app-29.default.yaml";
    let text = std::fs::read_to_string(support::root().join(path)).expect("the golden case is there");
    let [entry] = documents(&text).try_into().expect("the file has one object");
    let server = Server::new("1.28", None);
    assert_eq!(server.judge(&entry), BTreeSet::new());
    for (place, new, said) in [
        ("/spec/host", Some(json!(["a"])), ".spec: unknown field `host`"),
        ("/metadata/label", Some(json!({})), ".metadata: unknown field `label`"),
        ("/statuses", Some(json!({})), ": unknown field `statuses`"),
        ("/spec/hosts", Some(json!("a")), ".spec.hosts: \"a\" is no array"),
        ("/spec/ports/0/number", Some(json!("80")), ".spec.ports[0].number: \"80\" is no integer"),
        ("/spec/ports/0/number", Some(json!(80.5)), ".spec.ports[0].number: 80.5 is no integer"),
        ("/metadata/name", Some(json!(12)), ".metadata.name: 12 is no string"),
        ("/metadata/labels", Some(json!({"a": true})), ".metadata.labels.a: true is no string"),
        ("/spec/resolution", Some(json!("static")), ".spec.resolution: \"static\" is none of the values it may have"),
        ("/spec/hosts", None, ".spec: `hosts` is missing"),
        ("/spec/ports/0/name", None, ".spec.ports[0]: `name` is missing"),
        ("/spec", None, ": `spec` is missing"),
        ("/spec/hosts", Some(json!([])), ".spec.hosts: 0 items"),
        ("/spec/addresses/0", Some(json!("1".repeat(65))), ".spec.addresses[0]: `1"),
        ("/spec/ports/0/number", Some(json!(0)), ".spec.ports[0].number: breaks the rule"),
        ("/spec/ports/0/number", Some(json!(-1)), ".spec.ports[0].number: -1 is out of range"),
        ("/spec/workloadSelector", Some(json!({"labels": {"a": "b"}})), ".spec: breaks the rule"),
        ("/spec/resolution", Some(json!("NONE")), ".spec: breaks the rule"),
        ("/apiVersion", Some(json!("networking.istio.io/v2")), "nothing beside Istio 1.28 serves"),
    ] {
        let wrong = server.judge(&changed(&entry, place, new.as_ref()));
        assert!(wrong.iter().any(|it| it.starts_with(said)), "{place} {new:?}: {wrong:?} instead of {said}");
    }
    let twice = json!([{"number": 80, "name": "http"}, {"number": 81, "name": "http"}]);
    let wrong = server.judge(&changed(&entry, "/spec/ports", Some(&twice)));
    assert!(wrong.iter().any(|it| it.ends_with("is there twice")), "{wrong:?}");
}

#[test]
fn a_version_that_a_release_does_not_serve_is_found() {
    for (minor, api_version, kind, served) in [
        ("1.4", "networking.istio.io/v1alpha3", "ServiceEntry", true),
        ("1.4", "networking.istio.io/v1beta1", "ServiceEntry", false),
        ("1.4", "security.istio.io/v1beta1", "PeerAuthentication", false),
        ("1.5", "networking.istio.io/v1beta1", "ServiceEntry", true),
        ("1.5", "networking.istio.io/v1alpha3", "WorkloadEntry", false),
        ("1.8", "networking.istio.io/v1", "ServiceEntry", false),
        ("1.22", "networking.istio.io/v1", "ServiceEntry", true),
        ("1.22", "security.istio.io/v1", "PeerAuthentication", true),
        ("1.22", "authentication.istio.io/v1alpha1", "Policy", false),
        ("1.31", "external-secrets.io/v1beta1", "ExternalSecret", true),
        ("1.31", "external-secrets.io/v2", "ExternalSecret", false),
        ("1.31", "apps/v1beta1", "Deployment", false),
    ] {
        let nodes = Server::new(minor, None).nodes(&format!("{api_version} {kind}"));
        assert_eq!(!nodes.is_empty(), served, "Istio {minor}, {api_version} {kind}");
    }
    // A field that a newer Kubernetes brought.
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"ports": [{"name": "http", "port": 80, "appProtocol": "http"}]}});
    assert_eq!(Server::new("1.8", Some("1.20")).judge(&service), BTreeSet::new());
    let said = Some(".spec.ports[0]: unknown field `appProtocol`");
    assert_eq!(Server::new("1.8", Some("1.18")).judge(&service).first().map(String::as_str), said);
}

/// `apiVersion kind`, the rest of an object that is accepted, a place in it, a mistake for the place.
type Case = (&'static str, Value, &'static str, Value);

fn cases() -> Vec<Case> {
    vec![
        (
            "networking.istio.io/v1 Gateway",
            json!({"selector": {"istio": "eastwestgateway"}, "servers": [{"port": {"number": 15443, "name": "tls",
                "protocol": "TLS"}, "tls": {"mode": "AUTO_PASSTHROUGH"}, "hosts": ["*.global"]}]}),
            "/spec/servers/0/tls/mode",
            json!("AUTO-PASSTHROUGH"),
        ),
        (
            "networking.istio.io/v1 ServiceEntry",
            json!({"hosts": ["web.shop.global"], "location": "MESH_INTERNAL", "resolution": "STATIC",
                "addresses": ["240.0.0.1"], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
                "endpoints": [{"address": "192.0.2.1", "network": "east", "ports": {"http": 15443}}]}),
            "/spec/endpoints/0/ports/http",
            json!("15443"),
        ),
        (
            "networking.istio.io/v1 WorkloadEntry",
            json!({"address": "192.0.2.1", "network": "east", "labels": {"app": "web"}, "ports": {"http": 15443},
                "locality": "a/b", "weight": 1, "serviceAccount": "web"}),
            "/spec/port",
            json!({"http": 15443}),
        ),
        (
            "networking.istio.io/v1 DestinationRule",
            json!({"host": "web.shop.global", "trafficPolicy": {"loadBalancer": {"localityLbSetting":
                {"enabled": true, "failoverPriority": ["meshlatch/failover-1"]}},
                "outlierDetection": {"consecutive5xxErrors": 5, "interval": "10s", "baseEjectionTime": "30s"}},
                "subsets": [{"name": "east", "labels": {"topology.istio.io/network": "east"}}]}),
            "/spec/trafficPolicy/outlierDetection/consecutiveErrors5xx",
            json!(5),
        ),
        (
            // `simple` and `consistentHash` exclude each other, by oneOf.
            "networking.istio.io/v1 DestinationRule",
            json!({"host": "web", "trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}}}),
            "/spec/trafficPolicy/loadBalancer/consistentHash",
            json!({"useSourceIp": true}),
        ),
        (
            "networking.istio.io/v1 VirtualService",
            json!({"hosts": ["web.shop.global"], "http": [{"route": [{"destination": {"host": "web", "subset": "east",
                "port": {"number": 80}}, "weight": 90}], "timeout": "5s", "retries": {"attempts": 2}}]}),
            "/spec/http/0/route/0/weight",
            json!("90"),
        ),
        (
            "networking.istio.io/v1 Sidecar",
            json!({"egress": [{"hosts": ["./*", "istio-system/*"]}]}),
            "/spec/egress/0/hosts",
            json!("./*"),
        ),
        (
            "security.istio.io/v1 PeerAuthentication",
            json!({"selector": {"matchLabels": {"app": "web"}}, "mtls": {"mode": "STRICT"},
                "portLevelMtls": {"8080": {"mode": "PERMISSIVE"}}}),
            "/spec/mtls/mode",
            json!("strict"),
        ),
        (
            "security.istio.io/v1 AuthorizationPolicy",
            json!({"selector": {"matchLabels": {"app": "web"}}, "action": "ALLOW", "rules": [{"from": [{"source":
                {"principals": ["a/ns/b/sa/c"]}}], "to": [{"operation": {"ports": ["80"]}}]}]}),
            "/spec/rules/0/to/0/operation/ports/0",
            json!(80),
        ),
        (
            "install.istio.io/v1alpha1 IstioOperator",
            json!({"profile": "minimal", "meshConfig": {"trustDomain": "a", "defaultConfig": {"proxyMetadata": {"A": "b"}}},
                "values": {"global": {"network": "east", "multiCluster": {"clusterName": "east"}}},
                "components": {"ingressGateways": [{"name": "gateway", "enabled": true, "label": {"a": "b"},
                "k8s": {"service": {"ports": [{"name": "tls", "port": 15443, "targetPort": 15443}]}}}]}}),
            "/spec/values/global/multiCluster/cluster",
            json!("east"),
        ),
        (
            "install.istio.io/v1alpha1 IstioOperator",
            json!({"meshConfig": {"defaultConfig": {}}}),
            "/spec/meshConfig/defaultConfig/proxyMetaData",
            json!({}),
        ),
        (
            "install.istio.io/v1alpha1 IstioOperator",
            json!({"components": {"pilot": {"k8s": {"env": [{"name": "A", "value": "b"}]}}}}),
            "/spec/components/pilot/k8s/env/0/value",
            json!(1),
        ),
        (
            "gateway.networking.k8s.io/v1 Gateway",
            json!({"gatewayClassName": "istio", "listeners": [{"name": "tls", "port": 15443, "protocol": "TLS",
                "tls": {"mode": "Passthrough"}}], "addresses": [{"type": "IPAddress", "value": "192.0.2.1"}]}),
            "/spec/listeners/0/tls/mode",
            json!("AUTO_PASSTHROUGH"),
        ),
        (
            "sailoperator.io/v1 Istio",
            json!({"version": "v1.28.3", "namespace": "istio-system", "values": {"global": {"network": "east"}}}),
            "/spec/values/global/networks",
            json!("east"),
        ),
        (
            "external-secrets.io/v1beta1 ExternalSecret",
            json!({"secretStoreRef": {"kind": "ClusterSecretStore", "name": "vault"}, "target": {"name": "cacerts"},
                "dataFrom": [{"extract": {"key": "a"}}]}),
            "/spec/secretStoreRef/kind",
            json!("Vault"),
        ),
        (
            "operator.openshift.io/v1 DNS",
            json!({"servers": [{"name": "a", "zones": ["global"], "forwardPlugin": {"upstreams": ["192.0.2.1"]}}]}),
            "/spec/servers/0/forwardPlugin/policy",
            json!("sequential"),
        ),
        (
            "v1 Service",
            json!({"ports": [{"name": "http", "port": 80, "targetPort": "web"}], "selector": {"app": "web"}}),
            "/spec/ports/0/targetPort",
            json!(true),
        ),
        (
            "apps/v1 Deployment",
            json!({"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web:1", "resources": {"requests": {"cpu": "100m"}}}]}}}),
            "/spec/template/spec/containers/0/resources/requests/cpu",
            json!("100 m"),
        ),
    ]
}

#[test]
fn every_kind_is_judged_beside_the_oldest_and_the_newest_istio_of_today() {
    for (kind, spec, place, mistake) in cases() {
        let (api_version, kind) = kind.split_once(' ').expect("two words");
        let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": spec});
        for minor in ["1.22", "1.31"] {
            let server = Server::new(minor, None);
            assert_eq!(server.judge(&object), BTreeSet::new(), "Istio {minor}, {object}");
            let broken = changed(&object, place, Some(&mistake));
            assert_ne!(server.judge(&broken), BTreeSet::new(), "Istio {minor}, {broken}");
        }
    }
}

#[test]
fn values_of_charts_are_judged() {
    let server = Server::new("1.31", None);
    for (file, values, said) in [
        ("10-istio/istiod.yaml", json!({"meshConfig": {"trustDomain": "a"}, "pilot": {"env": {"A": "b"}}}), None),
        ("10-istio/istiod.yaml", json!({"meshconfig": {}}), Some(": unknown field `meshconfig`")),
        ("10-istio/istiod.yaml", json!({"meshConfig": {"trust": "a"}}), Some(".meshConfig: unknown field `trust`")),
        ("10-istio/gateway.yaml", json!({"labels": {"a": "b"}, "service": {"ports": [{"port": 80}]}}), None),
        ("10-istio/gateway.yaml", json!({"label": {"a": "b"}}), Some(": unknown field `label`")),
    ] {
        let (_, wrong) = server.judge_values(file, &values);
        assert_eq!(wrong.first().map(String::as_str), said, "{file} {values}");
    }
}
