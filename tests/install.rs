//! The three ways to install tell Istio the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::Value;

use crate::support;

type Tree = BTreeMap<String, String>;

/// What an installer sets, in one shape for all.
#[derive(Debug, PartialEq)]
struct Set {
    mesh_config: Value,
    global: Value,
    pilot: Option<Value>,
    gateways: BTreeMap<String, Gateway>,
}

/// A gateway's pods and Service.
#[derive(Debug, PartialEq)]
struct Gateway {
    network: Option<String>,
    view: Option<String>,
    /// Name, port, node port. The target ports differ: the IstioOperator's gateways open no low ports.
    ports: BTreeSet<(String, u64, Option<u64>)>,
    address: Option<String>,
    families: Option<String>,
    by_node: bool,
}

fn yaml(tree: &Tree, path: &str) -> Vec<Value> {
    let text = tree.get(path).unwrap_or_else(|| panic!("no {path}"));
    serde_yaml::Deserializer::from_str(text).map(|it| serde::Deserialize::deserialize(it).expect("YAML")).collect()
}

fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

fn text(value: &Value, path: &[&str]) -> Option<String> {
    at(value, path)?.as_str().map(str::to_owned)
}

fn ports(service: Option<&Value>) -> BTreeSet<(String, u64, Option<u64>)> {
    // Those of the charts, where the file says nothing.
    let usual =
        || [("status-port", 15021), ("http2", 80), ("https", 443)].map(|it| (it.0.to_owned(), it.1, None)).into();
    let Some(ports) = service.and_then(|it| it.get("ports")).and_then(Value::as_sequence) else { return usual() };
    let port = |it: &Value| {
        let number = |key: &str| it.get(key).and_then(Value::as_u64);
        (text(it, &["name"]).expect("a port has a name"), number("port").expect("and a number"), number("nodePort"))
    };
    ports.iter().map(port).collect()
}

fn gateway(network: Option<String>, view: Option<String>, service: Option<&Value>) -> Gateway {
    let said = |key: &str| service.and_then(|it| text(it, &[key]));
    Gateway {
        network,
        view,
        ports: ports(service),
        address: said("loadBalancerIP"),
        families: said("ipFamilyPolicy"),
        by_node: said("type").as_deref() == Some("NodePort"),
    }
}

fn by_istioctl(tree: &Tree) -> Set {
    let [operator] = &yaml(tree, "here/10-istio/istio-operator.yaml")[..] else { panic!("one object") };
    assert_eq!(text(operator, &["spec", "profile"]).as_deref(), Some("minimal"), "the gateways are listed");
    let listed = at(operator, &["spec", "components", "ingressGateways"]).and_then(Value::as_sequence);
    let gateways = listed.into_iter().flatten().map(|it| {
        let view = at(it, &["k8s", "env"]).and_then(Value::as_sequence).and_then(|env| {
            let view = env.iter().find(|it| it["name"] == "ISTIO_META_REQUESTED_NETWORK_VIEW")?;
            text(view, &["value"])
        });
        let network = text(it, &["label", "topology.istio.io/network"]);
        assert_eq!(it["enabled"], true);
        (text(it, &["name"]).expect("a gateway has a name"), gateway(network, view, at(it, &["k8s", "service"])))
    });
    Set {
        gateways: gateways.collect(),
        mesh_config: operator["spec"]["meshConfig"].clone(),
        global: operator["spec"]["values"]["global"].clone(),
        pilot: at(operator, &["spec", "values", "pilot"]).cloned(),
    }
}

fn by_helm(tree: &Tree) -> Set {
    let [values] = &yaml(tree, "here/10-istio/istiod.yaml")[..] else { panic!("one map") };
    let files = tree.keys().filter_map(|it| it.strip_prefix("here/10-istio/")?.strip_suffix(".yaml"));
    let gateways = files.filter(|it| *it != "istiod").map(|name| {
        let [values] = &yaml(tree, &format!("here/10-istio/{name}.yaml"))[..] else { panic!("one map") };
        let view = text(values, &["env", "ISTIO_META_REQUESTED_NETWORK_VIEW"]);
        let network = text(values, &["labels", "topology.istio.io/network"]);
        (name.to_owned(), gateway(network, view, values.get("service")))
    });
    Set {
        gateways: gateways.collect(),
        mesh_config: values["meshConfig"].clone(),
        global: values["global"].clone(),
        pilot: values.get("pilot").cloned(),
    }
}

fn by_sail(tree: &Tree) -> Set {
    let [istio] = &yaml(tree, "here/10-istio/istio.yaml")[..] else { panic!("one object") };
    assert_eq!(text(istio, &["spec", "version"]).as_deref(), Some("v1.30.3"));
    let names = ["istio-eastwestgateway", "istio-ingressgateway"];
    let there = names.iter().filter(|it| tree.contains_key(&format!("here/20-mesh/{it}.yaml")));
    let gateways = there.map(|name| {
        let objects = yaml(tree, &format!("here/20-mesh/{name}.yaml"));
        let of = |kind: &str| objects.iter().find(|it| it["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"));
        let pod = &of("Deployment")["spec"]["template"];
        let env = at(&pod["spec"]["containers"][0], &["env"]).and_then(Value::as_sequence);
        let view = env.and_then(|it| text(&it[0], &["value"]));
        let network = text(pod, &["metadata", "labels", "topology.istio.io/network"]);
        assert_eq!(
            of("Service")["spec"]["selector"],
            of("Deployment")["spec"]["selector"]["matchLabels"],
            "the Service finds the pods"
        );
        ((*name).to_owned(), gateway(network, view, of("Service").get("spec")))
    });
    let values = &istio["spec"]["values"];
    Set {
        gateways: gateways.collect(),
        mesh_config: values["meshConfig"].clone(),
        global: values["global"].clone(),
        pilot: values.get("pilot").cloned(),
    }
}

#[test]
fn every_installer_sets_the_same() {
    let meshes =
        ["{}", "{outbound: registry-only, gatewayAddresses: mesh-networks, virtualIPs: [240.0.0.0/16, \"fd00::/64\"]}"];
    let gateways = [
        "198.51.100.1",
        "{address: 198.51.100.1, pin: true}",
        "{address: [198.51.100.1, \"2001:db8::1\"], nodePort: 31443}",
        "{address: lb.example.com, api: gateway-api}",
    ];
    let ingresses = [
        "{}",
        "{web: {service: web}}",
        "{web: {service: web, hosts: web.example.com, listen: 9443, tls: {credentialName: cert}}}",
    ];
    let mut seen = 0;
    for mesh in meshes {
        for gateway in gateways {
            for ingress in ingresses {
                let tree = |install: &str| {
                    let text = format!(
                        "version: 1\nmesh: {mesh}\nclusters:\n  \
                         here: {{istio: 1.30.3, install: {install}, trustDomain: here.example.com, gateway: {gateway}}}\n  \
                         there: {{istio: 1.30.3, gateway: 198.51.100.7}}\n\
                         services:\n  web: {{clusters: here, ports: {{http: 80}}, calls: [far]}}\n  \
                         far: {{clusters: there, ports: {{http: 80}}}}\ningress: {ingress}\n"
                    );
                    support::tree(&support::compile(&text))
                };
                let istioctl = by_istioctl(&tree("istioctl"));
                assert_eq!(istioctl, by_helm(&tree("helm")), "{mesh} {gateway} {ingress}");
                assert_eq!(istioctl, by_sail(&tree("sail")), "{mesh} {gateway} {ingress}");
                // What is compared is there.
                let east_west = istioctl.gateways.get("istio-eastwestgateway");
                assert_eq!(east_west.is_some(), !gateway.contains("gateway-api"));
                assert!(east_west.is_none_or(|it| it.view.as_deref() == Some("here") && it.network == it.view));
                assert_eq!(istioctl.gateways.contains_key("istio-ingressgateway"), ingress != "{}");
                assert_eq!(istioctl.global["network"], "here");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 24);
}
