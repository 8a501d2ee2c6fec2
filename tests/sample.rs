//! The sample this began with, compared object by object with what is compiled at its release.
//!
//! The tables hold the facts of `GoogleCloudPlatform/istio-samples`, `multicluster-gke/
//! dual-control-plane`, at Istio 1.5.2. Objects in the sample's own form are built from them and
//! compared with `golden/dual_control_plane_1_5`. Every difference must have its reason in
//! [`REASONS`], every reason must be seen, and the README tells each.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::Value;

use crate::support;

/// A workload: cluster, name, container, arguments of the service, probes, resources, grace, environment.
struct Workload {
    cluster: &'static str,
    name: &'static str,
    /// Port and target port of the Service; none for a workload without one.
    service: Option<(u16, u16)>,
    /// `name port` of the container port where the sample names it.
    container_port_name: Option<&'static str>,
    readiness: &'static str,
    liveness: &'static str,
    /// cpu and memory: requests, then limits.
    resources: [&'static str; 4],
    grace: Option<u8>,
    env: &'static [(&'static str, &'static str)],
}

const NORMAL: [&str; 4] = ["100m", "64Mi", "200m", "128Mi"];

const WORKLOADS: [Workload; 11] = [
    Workload {
        cluster: "cluster1",
        name: "emailservice",
        service: Some((5000, 8080)),
        container_port_name: None,
        readiness: "grpc period=5",
        liveness: "grpc period=5",
        resources: NORMAL,
        grace: Some(5),
        env: &[],
    },
    Workload {
        cluster: "cluster1",
        name: "checkoutservice",
        service: Some((5050, 5050)),
        container_port_name: None,
        readiness: "grpc",
        liveness: "grpc",
        resources: NORMAL,
        grace: None,
        env: &[
            ("PRODUCT_CATALOG_SERVICE_ADDR", "productcatalogservice.default.global:3550"),
            ("SHIPPING_SERVICE_ADDR", "shippingservice.default.svc.cluster.local:50051"),
            ("PAYMENT_SERVICE_ADDR", "paymentservice.default.svc.cluster.local:50051"),
            ("EMAIL_SERVICE_ADDR", "emailservice.default.svc.cluster.local:5000"),
            ("CURRENCY_SERVICE_ADDR", "currencyservice.default.svc.cluster.local:7000"),
            ("CART_SERVICE_ADDR", "cartservice.default.global:7070"),
        ],
    },
    Workload {
        cluster: "cluster1",
        name: "paymentservice",
        service: Some((50051, 50051)),
        container_port_name: None,
        readiness: "grpc",
        liveness: "grpc",
        resources: NORMAL,
        grace: Some(5),
        env: &[("PORT", "50051")],
    },
    Workload {
        cluster: "cluster1",
        name: "currencyservice",
        service: Some((7000, 7000)),
        container_port_name: Some("grpc"),
        readiness: "grpc",
        liveness: "grpc",
        resources: NORMAL,
        grace: Some(5),
        env: &[("PORT", "7000")],
    },
    Workload {
        cluster: "cluster1",
        name: "shippingservice",
        service: Some((50051, 50051)),
        container_port_name: None,
        readiness: "grpc period=5",
        liveness: "grpc",
        resources: NORMAL,
        grace: None,
        env: &[],
    },
    Workload {
        cluster: "cluster1",
        name: "adservice",
        service: Some((9555, 9555)),
        container_port_name: None,
        readiness: "grpc delay=20 period=15",
        liveness: "grpc delay=20 period=15",
        resources: ["200m", "180Mi", "300m", "300Mi"],
        grace: Some(5),
        env: &[("PORT", "9555")],
    },
    Workload {
        cluster: "cluster2",
        name: "loadgenerator",
        service: None,
        container_port_name: None,
        readiness: "",
        liveness: "",
        resources: ["300m", "256Mi", "500m", "512Mi"],
        grace: Some(5),
        env: &[("FRONTEND_ADDR", "frontend:80"), ("USERS", "10")],
    },
    Workload {
        cluster: "cluster2",
        name: "frontend",
        service: Some((80, 8080)),
        container_port_name: None,
        readiness: "http readiness",
        liveness: "http liveness",
        resources: NORMAL,
        grace: None,
        env: &[
            ("PRODUCT_CATALOG_SERVICE_ADDR", "productcatalogservice.default.svc.cluster.local:3550"),
            ("CURRENCY_SERVICE_ADDR", "currencyservice.default.global:7000"),
            ("CART_SERVICE_ADDR", "cartservice.default.svc.cluster.local:7070"),
            ("RECOMMENDATION_SERVICE_ADDR", "recommendationservice.default.svc.cluster.local:8080"),
            ("SHIPPING_SERVICE_ADDR", "shippingservice.default.global:50051"),
            ("CHECKOUT_SERVICE_ADDR", "checkoutservice.default.global:5050"),
            ("AD_SERVICE_ADDR", "adservice.default.global:9555"),
        ],
    },
    Workload {
        cluster: "cluster2",
        name: "productcatalogservice",
        service: Some((3550, 3550)),
        container_port_name: None,
        readiness: "grpc",
        liveness: "grpc",
        resources: NORMAL,
        grace: Some(5),
        env: &[],
    },
    Workload {
        cluster: "cluster2",
        name: "cartservice",
        service: Some((7070, 7070)),
        container_port_name: None,
        readiness: "grpc delay=15",
        liveness: "grpc delay=15 period=10",
        resources: ["200m", "64Mi", "300m", "128Mi"],
        grace: Some(5),
        env: &[("REDIS_ADDR", ""), ("PORT", "7070"), ("LISTEN_ADDR", "0.0.0.0")],
    },
    Workload {
        cluster: "cluster2",
        name: "recommendationservice",
        service: Some((8080, 8080)),
        container_port_name: None,
        readiness: "grpc period=5",
        liveness: "grpc period=5",
        resources: ["100m", "220Mi", "200m", "450Mi"],
        grace: Some(5),
        env: &[("PRODUCT_CATALOG_SERVICE_ADDR", "productcatalogservice.default.svc.cluster.local:3550")],
    },
];

/// Entries of the mesh: cluster, callee, last byte of 240.0.0.x, gateway, port name, port, protocol.
const ENTRIES: [(&str, &str, u8, &str, &str, u16, &str); 7] = [
    ("cluster1", "frontend", 5, "35.193.92.27", "http1", 80, "http"),
    ("cluster1", "productcatalogservice", 6, "35.193.92.27", "grpc", 3550, "GRPC"),
    ("cluster1", "cartservice", 7, "35.193.92.27", "grpc", 7070, "GRPC"),
    ("cluster2", "adservice", 2, "34.70.9.157", "grpc", 9555, "GRPC"),
    ("cluster2", "checkoutservice", 3, "34.70.9.157", "grpc", 5050, "GRPC"),
    ("cluster2", "currencyservice", 4, "34.70.9.157", "grpc", 7000, "GRPC"),
    ("cluster2", "shippingservice", 8, "34.70.9.157", "grpc", 50051, "GRPC"),
];

/// Why what is compiled is not what the sample says: object, field, reason. `*` stands for anything.
/// The reasons are rows of the README's table.
const REASONS: [(&str, &str, &str); 34] = [
    ("*", "metadata.namespace", "namespace written"),
    ("cluster*/ServiceAccount/*", "", "own ServiceAccount"),
    ("cluster*/Deployment/*", "spec.template.spec.serviceAccountName", "own ServiceAccount"),
    ("cluster*/Namespace/*", "", "Namespaces in the bundle"),
    ("cluster*/PeerAuthentication/default", "", "strict mTLS"),
    ("cluster*/Service/*", "spec.type", "defaults left out"),
    ("cluster*/Service/*", "spec.ports.0.targetPort", "defaults left out"),
    ("cluster2/Deployment/loadgenerator", "spec.template.spec.restartPolicy", "defaults left out"),
    ("cluster*/IstioOperator/install", "spec.addonComponents.istiocoredns.k8s", "ClusterIP pinned"),
    ("cluster*/IstioOperator/install", "spec.addonComponents.*.k8s", "defaults left out"),
    (
        "cluster1/Deployment/currencyservice",
        "spec.template.spec.containers.0.ports.0.name",
        "container ports have no names",
    ),
    ("cluster2/Deployment/loadgenerator", "spec.template.metadata.annotations", "no probe to rewrite"),
    ("cluster2/Deployment/loadgenerator", "spec.template.spec.containers.0.env.0.name", "own variables first"),
    ("cluster2/Deployment/loadgenerator", "spec.template.spec.containers.0.env.0.value", "own variables first"),
    ("cluster2/Deployment/loadgenerator", "spec.template.spec.containers.0.env.1.name", "own variables first"),
    ("cluster2/Deployment/loadgenerator", "spec.template.spec.containers.0.env.1.value", "full names"),
    ("cluster1/ServiceEntry/frontend.default.global", "", "dead frontend entry left out"),
    ("cluster*/ServiceEntry/*", "metadata.name", "one name an entry"),
    ("cluster*/ServiceEntry/*.global", "spec.resolution", "STATIC for IPs"),
    ("cluster*/ServiceEntry/*.global", "spec.endpoints.0.locality", "locality of the endpoint"),
    ("cluster1/ServiceEntry/www.ecb.europa.eu", "spec.location", "MESH_EXTERNAL said"),
    ("cluster1/ServiceEntry/www.ecb.europa.eu", "spec.resolution", "MESH_EXTERNAL said"),
    ("cluster*/ServiceEntry/*", "apiVersion", "v1beta1 of 1.5"),
    ("cluster2/Gateway/frontend-gateway", "apiVersion", "v1beta1 of 1.5"),
    ("cluster2/VirtualService/frontend-gateway", "apiVersion", "v1beta1 of 1.5"),
    ("cluster2/VirtualService/frontend-gateway", "metadata.name", "one name an ingress"),
    ("cluster2/VirtualService/frontend-gateway", "spec.http.0.route.0.destination.host", "full names"),
    ("cluster2/VirtualService/frontend.default.svc.cluster.local", "", "route to itself left out"),
    ("cluster*/IstioOperator/install", "spec.profile", "profile said"),
    ("cluster*/IstioOperator/install", "spec.values.global.multiCluster.clusterName", "cluster named"),
    ("cluster*/IstioOperator/install", "spec.values.kiali", "Kiali without a public password"),
    ("cluster*/IstioOperator/install", "spec.values.security", "selfSigned has no effect"),
    ("cluster*/ConfigMap/kube-dns", "", "stub domain merged"),
    ("cluster*/Secret/cacerts", "", "no public CA"),
];

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn probe(words: &str, port: u16) -> Option<Value> {
    let mut words = words.split(' ');
    let mut probe = match words.next()? {
        "grpc" => yaml(&format!("exec: {{command: [/bin/grpc_health_probe, '-addr=:{port}']}}")),
        "http" => {
            let what = words.next().expect("which one");
            yaml(&format!(
                "httpGet: {{path: /_healthz, port: {port}, httpHeaders: [{{name: Cookie, value: shop_session-id=x-{what}-probe}}]}}\ninitialDelaySeconds: 10"
            ))
        }
        _ => return None,
    };
    for word in words {
        let (name, seconds) = word.split_once('=').expect("a name and seconds");
        let name = if name == "delay" { "initialDelaySeconds" } else { "periodSeconds" };
        probe[name] = seconds.parse::<u32>().expect("seconds").into();
    }
    Some(probe)
}

/// The sample's Deployment, in the sample's own form.
fn deployment(workload: &Workload) -> Value {
    let name = workload.name;
    let [cpu, memory, cpu_limit, memory_limit] = workload.resources;
    let mut object = yaml(&format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - name: server
        image: gcr.io/google-samples/microservices-demo/{name}:v0.3.4
        resources:
          requests: {{cpu: {cpu}, memory: {memory}}}
          limits: {{cpu: {cpu_limit}, memory: {memory_limit}}}
"
    ));
    let spec = &mut object["spec"]["template"]["spec"];
    if let Some(grace) = workload.grace {
        spec["terminationGracePeriodSeconds"] = grace.into();
    }
    let container = &mut spec["containers"][0];
    if !workload.env.is_empty() {
        let env = workload.env.iter().map(|(name, value)| {
            let mut variable = yaml(&format!("name: {name}"));
            variable["value"] = (*value).into();
            variable
        });
        container["env"] = Value::Sequence(env.collect());
    }
    match workload.service {
        Some((_, port)) => {
            container["ports"] = yaml(&format!("[{{containerPort: {port}}}]"));
            if let Some(name) = workload.container_port_name {
                container["ports"][0]["name"] = name.into();
            }
            container["readinessProbe"] = probe(workload.readiness, port).expect("a service is probed");
            container["livenessProbe"] = probe(workload.liveness, port).expect("a service is probed");
        }
        None => {
            container["name"] = "main".into();
            spec["restartPolicy"] = "Always".into();
            object["spec"]["replicas"] = 1.into();
            object["spec"]["template"]["metadata"]["annotations"] =
                yaml("{sidecar.istio.io/rewriteAppHTTPProbers: 'true'}");
        }
    }
    object
}

/// Every object of the sample, by `cluster/kind/name`; entries go by their host.
fn sample() -> BTreeMap<String, Value> {
    let mut objects = BTreeMap::new();
    for workload in &WORKLOADS {
        let Workload { cluster, name, .. } = workload;
        objects.insert(format!("{cluster}/Deployment/{name}"), deployment(workload));
        if let Some((port, target)) = workload.service {
            let protocol = if *name == "frontend" { "http" } else { "grpc" };
            let object = yaml(&format!(
                "{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{type: ClusterIP, selector: {{app: {name}}}, ports: [{{name: {protocol}, port: {port}, targetPort: {target}}}]}}}}"
            ));
            objects.insert(format!("{cluster}/Service/{name}"), object);
        }
    }
    for (cluster, name, byte, gateway, port_name, port, protocol) in ENTRIES {
        let entry = if name == "frontend" { "frontendservice" } else { name };
        let object = yaml(&format!(
            "
apiVersion: networking.istio.io/v1alpha3
kind: ServiceEntry
metadata: {{name: {entry}-entry}}
spec:
  hosts: [{name}.default.global]
  location: MESH_INTERNAL
  resolution: DNS
  addresses: [240.0.0.{byte}]
  ports: [{{name: {port_name}, number: {port}, protocol: {protocol}}}]
  endpoints: [{{address: {gateway}, ports: {{{port_name}: 15443}}}}]
"
        ));
        objects.insert(format!("{cluster}/ServiceEntry/{name}.default.global"), object);
    }
    let external = "
apiVersion: networking.istio.io/v1alpha3
kind: ServiceEntry
metadata: {name: currency-provider-external}
spec:
  hosts: [www.ecb.europa.eu]
  ports: [{name: http, number: 80, protocol: HTTP}, {name: https, number: 443, protocol: HTTPS}]
";
    objects.insert("cluster1/ServiceEntry/www.ecb.europa.eu".into(), yaml(external));
    let route = "http: [{route: [{destination: {host: frontend, port: {number: 80}}}]}]";
    let gateway = "{apiVersion: networking.istio.io/v1alpha3, kind: Gateway, metadata: {name: frontend-gateway}, spec: {selector: {istio: ingressgateway}, servers: [{hosts: ['*'], port: {name: http, number: 80, protocol: HTTP}}]}}";
    objects.insert("cluster2/Gateway/frontend-gateway".into(), yaml(gateway));
    let ingress = format!(
        "{{apiVersion: networking.istio.io/v1alpha3, kind: VirtualService, metadata: {{name: frontend-ingress}}, spec: {{gateways: [frontend-gateway], hosts: ['*'], {route}}}}}"
    );
    objects.insert("cluster2/VirtualService/frontend-gateway".into(), yaml(&ingress));
    let itself = format!(
        "{{apiVersion: networking.istio.io/v1alpha3, kind: VirtualService, metadata: {{name: frontend}}, spec: {{hosts: [frontend.default.svc.cluster.local], {route}}}}}"
    );
    objects.insert("cluster2/VirtualService/frontend.default.svc.cluster.local".into(), yaml(&itself));
    for cluster in ["cluster1", "cluster2"] {
        objects.insert(format!("{cluster}/IstioOperator/install"), yaml(INSTALL));
        // Made by the sample's scripts: the stub domain, and certificates of Istio's public samples.
        objects.insert(
            format!("{cluster}/ConfigMap/kube-dns"),
            yaml("{data: {stubDomains: '{\"global\": [\"$ISTIO_COREDNS\"]}'}}"),
        );
        objects.insert(format!("{cluster}/Secret/cacerts"), yaml("{data: samples/certs}"));
    }
    objects
}

const INSTALL: &str = r#"
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  addonComponents:
    grafana: {enabled: true, k8s: {replicaCount: 1}}
    istiocoredns: {enabled: true}
    kiali: {enabled: true, k8s: {replicaCount: 1}}
    prometheus: {enabled: true, k8s: {replicaCount: 1}}
    tracing: {enabled: true}
  components: {egressGateways: [{name: istio-egressgateway, enabled: true}]}
  values:
    kiali:
      contextPath: /kiali
      createDemoSecret: true
      dashboard: {grafanaInClusterURL: "http://grafana:3000", jaegerInClusterURL: "http://tracing/jaeger", passphraseKey: passphrase, secretName: kiali, usernameKey: username, viewOnlyMode: false}
      hub: quay.io/kiali
      ingress: {enabled: false, hosts: [kiali.local]}
      nodeSelector: {}
      podAntiAffinityLabelSelector: []
      podAntiAffinityTermLabelSelector: []
      security: {cert_file: /kiali-cert/cert-chain.pem, enabled: false, private_key_file: /kiali-cert/key.pem}
      tag: v1.14
    global:
      podDNSSearchNamespaces: [global, '{{ valueOrDefault .DeploymentMeta.Namespace "default" }}.global']
      multiCluster: {enabled: true}
      controlPlaneSecurityEnabled: true
    security: {selfSigned: false}
    gateways: {istio-egressgateway: {env: {ISTIO_META_REQUESTED_NETWORK_VIEW: external}}}
"#;

/// Every object of the golden case, by the same names.
fn compiled() -> BTreeMap<String, Value> {
    let mut objects = BTreeMap::new();
    for (name, text) in support::read_tree(&support::root().join("tests/golden/dual_control_plane_1_5/out")) {
        if !name.ends_with(".yaml") || name.ends_with("kustomization.yaml") {
            continue;
        }
        let cluster = name.split('/').next().expect("a path has a first part");
        for document in serde_yaml::Deserializer::from_str(&text) {
            let object: Value = serde::Deserialize::deserialize(document).expect("a golden file is YAML");
            let kind = object["kind"].as_str().expect("an object has a kind").to_owned();
            let name = match kind.as_str() {
                "ServiceEntry" => object["spec"]["hosts"][0].as_str(),
                "IstioOperator" => Some("install"),
                _ => object["metadata"]["name"].as_str(),
            };
            objects.insert(format!("{cluster}/{kind}/{}", name.expect("an object has a name")), object);
        }
    }
    objects
}

/// The fields in which two objects differ; lists are compared element by element.
fn differences(path: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<String>) {
    let inner = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (old, new) {
        (Some(Value::Mapping(old)), Some(Value::Mapping(new))) => {
            let keys: BTreeSet<_> = old.keys().chain(new.keys()).filter_map(Value::as_str).collect();
            for key in keys {
                differences(&inner(key), old.get(key), new.get(key), found);
            }
        }
        (Some(Value::Sequence(old)), Some(Value::Sequence(new))) => {
            for index in 0..old.len().max(new.len()) {
                differences(&inner(&index.to_string()), old.get(index), new.get(index), found);
            }
        }
        _ if old == new => {}
        _ => found.push(path.to_owned()),
    }
}

/// Whether a text fits a pattern in which `*` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            let Some(rest) = text.strip_prefix(before) else { return false };
            (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| fits(after, &rest[at..]))
        }
    }
}

#[test]
fn every_difference_from_the_sample_has_a_reason() {
    let (sample, compiled) = (sample(), compiled());
    let names: BTreeSet<_> = sample.keys().chain(compiled.keys()).collect();
    let mut seen = BTreeSet::new();
    let mut unexplained = Vec::new();
    for name in names {
        let mut fields = Vec::new();
        differences("", sample.get(name), compiled.get(name), &mut fields);
        for field in fields {
            match REASONS.iter().position(|(object, path, _)| fits(object, name) && fits(path, &field)) {
                Some(index) => drop(seen.insert(index)),
                None => unexplained.push(format!("{name} {field}")),
            }
        }
    }
    assert_eq!(unexplained, Vec::<String>::new(), "differences without a reason");
    let unseen: Vec<_> = (0..REASONS.len()).filter(|it| !seen.contains(it)).map(|it| REASONS[it]).collect();
    assert_eq!(unseen, [], "reasons without a difference");
}

#[test]
fn the_readme_tells_every_reason() {
    let readme = std::fs::read_to_string(support::root().join("README.md")).expect("there is a README");
    for (_, _, reason) in REASONS {
        assert!(readme.contains(&format!("| {reason} |")), "the README's table has no row `{reason}`");
    }
}
