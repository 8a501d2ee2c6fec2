//! Trees of the shape that others give theirs: Google's sample, and Istio's own samples of several clusters.

use std::collections::BTreeMap;

use meshlatch::prove::{HopKind, World};

use super::{broken, files, world};
use crate::support;

/// A cluster's file and the one that installs its Istio.
fn tree(clusters: &[(&str, String, String)]) -> BTreeMap<String, String> {
    let of_cluster = |(name, applied, install): &(&str, String, String)| {
        [(format!("{name}.yaml"), applied.clone()), (format!("{name}/10-istio/install.yaml"), install.clone())]
    };
    clusters.iter().flat_map(of_cluster).collect()
}

/// The essence of the sample: no namespaces, an entry that nobody calls, `DNS` for addresses, an own stub domain.
const OF_GOOGLE: &str = r#"
version: 1
allow: [T0306]
clusters:
  one: {istio: "1.5.2", gateway: 192.0.2.1, dns: {provider: kube-dns, address: 10.8.0.53}}
  two: {istio: "1.5.2", gateway: 192.0.2.2, dns: {provider: kube-dns, address: 10.8.0.53}}
services:
  shelf: {clusters: one, ports: {grpc: 3550}, workload: {image: "example.com/shelf"}}
  window: {clusters: two, ports: {http: 80}, workload: {image: "example.com/window"}, calls: shelf}
  till: {clusters: one, ports: {grpc: 5050}, workload: {image: "example.com/till"}, calls: shelf}
"#;

fn workload(name: &str, port: u16, protocol: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
         spec: {{selector: {{app: {name}}}, ports: [{{name: {protocol}, port: {port}}}]}}\n---\n\
         apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\n\
         spec: {{selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}}}}}, \
         spec: {{containers: [{{name: server, image: \"example.com/{name}\", ports: [{{containerPort: {port}}}]}}]}}}}}}\n---\n"
    )
}

fn entry(name: &str, address: &str, gateway: &str, port: u16, protocol: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1alpha3\nkind: ServiceEntry\nmetadata: {{name: {name}-entry}}\n\
         spec:\n  hosts: [{name}.default.global]\n  location: MESH_INTERNAL\n  resolution: DNS\n  addresses: [{address}]\n\
         \x20 ports: [{{name: {protocol}, number: {port}, protocol: {protocol}}}]\n\
         \x20 endpoints: [{{address: {gateway}, ports: {{{protocol}: 15443}}}}]\n---\n"
    )
}

const STUB: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kube-dns, namespace: kube-system}\n\
                    data: {stubDomains: '{\"global\": [\"10.8.0.53\"]}'}\n---\n";

const OLD_INSTALL: &str = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n\
                           \x20 addonComponents: {istiocoredns: {enabled: true}}\n\
                           \x20 values: {global: {multiCluster: {enabled: true}, controlPlaneSecurityEnabled: true}}\n";

fn of_google() -> BTreeMap<String, String> {
    let one = [
        workload("shelf", 3550, "grpc"),
        workload("till", 5050, "grpc"),
        entry("window", "240.0.0.5", "192.0.2.2", 80, "http"),
        STUB.to_owned(),
    ];
    let two = [workload("window", 80, "http"), entry("shelf", "240.0.0.6", "192.0.2.1", 3550, "grpc"), STUB.to_owned()];
    tree(&[("one", one.concat(), OLD_INSTALL.to_owned()), ("two", two.concat(), OLD_INSTALL.to_owned())])
}

#[test]
fn the_sample_is_proved_with_an_entry_that_nobody_needs() {
    let mesh = support::compile(OF_GOOGLE);
    let mut tree = of_google();
    let sample = world(&mesh, &tree);
    let proof = sample.prove();
    assert_eq!(broken(&proof), Vec::<String>::new());
    assert_eq!(proof.proved.len(), 2);
    // No declared call needs the entry: it leads somewhere, and nobody misses it.
    let call = sample.call(&mesh, "till", "one", "window.default.global:80").expect("it can be asked for");
    assert!(sample.follow(&call).is_ok());
    let one = tree.get_mut("one.yaml").expect("it was made");
    *one = one.replace(&entry("window", "240.0.0.5", "192.0.2.2", 80, "http"), "");
    let without = world(&mesh, &tree);
    assert_eq!(broken(&without.prove()), Vec::<String>::new());
    let stopped = without.follow(&call).expect_err("nothing knows the name");
    assert_eq!(stopped.broken.kind, HopKind::Name);
}

/// RKE2 and others call the ConfigMap of their DNS as they like; what it holds says what it is.
#[test]
fn a_corefile_counts_whatever_its_object_is_called() {
    let mesh = support::compile(OF_GOOGLE);
    let corefile = |namespace: &str, key: &str| {
        let mut tree = of_google();
        let two = tree.get_mut("two.yaml").expect("it was made");
        let object = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: rke2-coredns-rke2-coredns, namespace: {namespace}}}\n\
             data:\n  {key}: |\n    global:53 {{\n        forward . 10.8.0.53\n    }}\n---\n"
        );
        *two = two.replace(STUB, &object);
        let world = world(&mesh, &tree);
        let proof = world.prove();
        proof.broken.iter().map(|it| it.1.broken.kind).collect::<Vec<_>>()
    };
    assert_eq!(corefile("kube-system", "Corefile"), []);
    assert_eq!(corefile("kube-system", "other"), [HopKind::Name]);
    assert_eq!(corefile("default", "Corefile"), [HopKind::Name]);
}

#[test]
fn faults_that_people_make_with_the_sample_are_found() {
    let mesh = support::compile(OF_GOOGLE);
    let good = of_google();
    let ends = |tree: &BTreeMap<String, String>, namespace: &str| {
        let world = World::of_tree(&mesh, "out", &files(tree), namespace).unwrap_or_else(|error| panic!("{error}"));
        let proof = world.prove();
        proof.broken.iter().map(|it| it.1.broken.kind).collect::<Vec<_>>()
    };
    // Applied in another namespace than the one that its names say.
    assert_eq!(ends(&good, "hipster"), [HopKind::Name, HopKind::Owner]);
    let with = |cluster: &str, edit: &dyn Fn(&str) -> String| {
        let mut tree = good.clone();
        let text = tree.get_mut(cluster).expect("it was made");
        let edited = edit(text);
        assert_ne!(*text, edited, "{cluster}");
        *text = edited;
        ends(&tree, "default")
    };
    // A Namespace that asks for no sidecars: of the callee, whose pods get TLS without one to take it.
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n---\n";
    assert!(with("one.yaml", &|it| format!("{namespace}{it}")).contains(&HopKind::Pod));
    // Of the caller, who sends plain text to a gateway that waits for TLS.
    assert_eq!(with("two.yaml", &|it| format!("{namespace}{it}")), [HopKind::Tls]);
    // The address of the other gateway was never filled in.
    assert_eq!(with("two.yaml", &|it| it.replace("192.0.2.1", "192.0.2.9")), [HopKind::Endpoint]);
    assert_eq!(with("two.yaml", &|it| it.replace("address: 192.0.2.1", "address: ''")), [HopKind::Endpoint]);
    // The names of the mesh are led to nobody.
    assert_eq!(with("two.yaml", &|it| it.replace(STUB, "")), [HopKind::Name]);
    assert_eq!(with("two.yaml", &|it| it.replace("name: kube-dns,", "name: other,")), [HopKind::Name]);
    assert_eq!(
        with("two/10-istio/install.yaml", &|it| it
            .replace("{enabled: true}}\n  values", "{enabled: false}}\n  values")),
        [HopKind::Name]
    );
    // One cluster was installed without what serves the others.
    let disabled = |it: &str| it.replace("multiCluster: {enabled: true}", "multiCluster: {enabled: false}");
    assert_eq!(with("one/10-istio/install.yaml", &disabled), [HopKind::Gateway]);
}

/// From 1.6 to 1.8 an `EnvoyFilter` rewrites the names of the suffix at the gateway, which the charts bring or others.
#[test]
fn a_gateway_that_rewrites_no_names_passes_nothing_on() {
    let ends = |release: &str, more: &str| {
        let mesh = support::compile(&OF_GOOGLE.replace("1.5.2", release));
        let mut tree = of_google();
        let install = tree.get_mut("one/10-istio/install.yaml").expect("it was made");
        *install = install.replace("multiCluster: {", "multiCluster: {includeEnvoyFilter: false, ");
        tree.get_mut("one.yaml").expect("it was made").push_str(more);
        let world = world(&mesh, &tree);
        world.prove().broken.iter().map(|it| it.1.broken.kind).collect::<Vec<_>>()
    };
    let filter =
        "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: it, namespace: istio-system}\n";
    assert_eq!(ends("1.6.14", ""), [HopKind::Chain]);
    assert_eq!(ends("1.6.14", filter), []);
    assert_eq!(ends("1.5.2", ""), []);
}

/// The shape of `samples/multicluster` and `samples/helloworld`: one service in two clusters, everything that ends
/// in `local` exposed; and a third cluster that reaches it through the gateways of both, without remote secrets.
const OF_ISTIO: &str = r#"
version: 1
mesh: {names: cluster-local}
clusters:
  cluster1: {istio: "1.31.0", network: network1, gateway: 192.0.2.1}
  cluster2: {istio: "1.31.0", network: network2, gateway: 192.0.2.2}
  cluster3: {istio: "1.31.0", network: network3}
services:
  helloworld: {namespace: sample, clusters: [cluster1, cluster2], ports: {http: 5000}, workload: elsewhere, serviceAccount: default}
  curl: {namespace: sample, clusters: [cluster1, cluster2, cluster3], ports: {http: 80}, workload: elsewhere, calls: helloworld}
"#;

const EXPOSED: &str = r#"
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: cross-network-gateway, namespace: istio-system}
spec:
  selector: {istio: eastwestgateway}
  servers: [{port: {number: 15443, name: tls, protocol: TLS}, tls: {mode: AUTO_PASSTHROUGH}, hosts: ["*.local"]}]
---
"#;

fn namespaces(network: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: sample, labels: {{istio-injection: enabled}}}}\n---\n\
         apiVersion: v1\nkind: Namespace\n\
         metadata: {{name: istio-system, labels: {{topology.istio.io/network: {network}}}}}\n---\n"
    )
}

fn install(cluster: &str, network: &str, gateway: bool) -> String {
    let components = format!(
        "\x20 components:\n    ingressGateways:\n    - name: istio-eastwestgateway\n      enabled: true\n\
         \x20     label: {{istio: eastwestgateway, app: istio-eastwestgateway, topology.istio.io/network: {network}}}\n\
         \x20     k8s:\n        env: [{{name: ISTIO_META_REQUESTED_NETWORK_VIEW, value: {network}}}]\n\
         \x20       service: {{ports: [{{name: tls, port: 15443, targetPort: 15443}}]}}\n"
    );
    format!(
        "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  profile: minimal\n{}\
         \x20 values: {{global: {{meshID: mesh1, multiCluster: {{clusterName: {cluster}}}, network: {network}}}}}\n",
        if gateway { components } else { String::new() }
    )
}

/// The pods of a version, in the namespace of the sample.
fn hello(version: &str) -> String {
    let all = workload("helloworld", 5000, "http").replace("name: helloworld}", "name: helloworld, namespace: sample}");
    all.replace("labels: {app: helloworld}", &format!("labels: {{app: helloworld, version: {version}}}"))
}

fn of_istio() -> BTreeMap<String, String> {
    let behind = |name: &str, network: &str, address: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {{name: {name}, namespace: sample}}\n\
             spec: {{address: {address}, network: {network}, serviceAccount: default, labels: {{app: helloworld}}, \
             ports: {{http: 15443}}}}\n---\n"
        )
    };
    let third = [
        namespaces("network3"),
        hello("none").split_inclusive("---\n").next().unwrap_or_default().to_owned(),
        behind("first", "network1", "192.0.2.1"),
        behind("second", "network2", "192.0.2.2"),
    ];
    tree(&[
        (
            "cluster1",
            [namespaces("network1"), hello("v1"), EXPOSED.to_owned()].concat(),
            install("cluster1", "network1", true),
        ),
        (
            "cluster2",
            [namespaces("network2"), hello("v2"), EXPOSED.to_owned()].concat(),
            install("cluster2", "network2", true),
        ),
        ("cluster3", third.concat(), install("cluster3", "network3", false)),
    ])
}

#[test]
fn the_samples_of_istio_are_proved() {
    let mesh = support::compile(OF_ISTIO);
    let tree = of_istio();
    let world = world(&mesh, &tree);
    let proof = world.prove();
    assert_eq!(broken(&proof), Vec::<String>::new());
    assert!(proof.odd.iter().all(|it| it.1.is_empty()));
    let answers = |cluster: &str| {
        let (_, path) = proof.proved.iter().find(|it| it.0.cluster == cluster).expect("it is declared");
        path.ways.iter().filter_map(|it| it.cluster.as_deref()).collect::<Vec<_>>()
    };
    assert_eq!(answers("cluster1"), ["cluster1"]);
    assert_eq!(answers("cluster2"), ["cluster2"]);
    assert_eq!(answers("cluster3"), ["cluster1", "cluster2"]);
}

#[test]
fn services_that_were_never_exposed_are_found() {
    let mesh = support::compile(OF_ISTIO);
    let mut tree = of_istio();
    let second = tree.get_mut("cluster2.yaml").expect("it was made");
    *second = second.replace(EXPOSED, "");
    let world = world(&mesh, &tree);
    let proof = world.prove();
    let found: Vec<_> = proof.broken.iter().map(|it| (it.0.cluster.as_str(), it.1.broken.kind)).collect();
    assert_eq!(found, [("cluster3", HopKind::Gateway)]);
}
