//! The shape of `topology.yaml`: what is written, with no meaning yet.
//!
//! These structs are the field reference of the language; the README's table follows them.

use std::fmt;

use indexmap::IndexMap;
use k8s_openapi::api::apps::v1::DeploymentSpec;
use k8s_openapi::api::core::v1::{Container, EnvVarSource, PodSpec, Probe, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::shape::{Many, Short};

/// The whole file.
#[derive(Debug, Clone, Default)]
pub struct TopologySpec {
    /// Codes of warnings to keep quiet about.
    pub allow: Vec<String>,
    /// What holds for all clusters.
    pub mesh: MeshSpec,
    /// The clusters, each with a control plane of its own.
    pub clusters: IndexMap<String, ClusterSpec>,
    /// The services of the mesh.
    pub services: IndexMap<String, ServiceSpec>,
    /// Hosts outside the mesh.
    pub externals: IndexMap<String, ExternalSpec>,
    /// What can be reached from outside.
    pub ingress: IndexMap<String, IngressSpec>,
    /// A service that is on its way from some clusters to others.
    pub moving: Option<MovingSpec>,
}

/// A service on its way: where it stands is what the topology says of it, where it was stands here.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MovingSpec {
    /// Which service.
    pub service: String,
    /// How far it is.
    pub phase: Phase,
    /// What the topology said of it before.
    pub before: BeforeSpec,
}

/// What a topology said of a service before it moved.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BeforeSpec {
    /// The clusters that ran it.
    pub clusters: Many<String>,
    /// How its calls were shared.
    pub balance: Option<Short<BalanceSpec>>,
}

/// How far a service is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Whoever answers does so under the names of before and of after, and knows what routes name.
    Prepare,
    /// The new pods start, with routes that lead past them.
    Open,
    /// Callers call the new way; all that the old way needs is still there.
    Switch,
    /// What led callers the old way is gone; what answered there is still there.
    Release,
}

/// What holds for all clusters.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshSpec {
    /// The last part of every name that works from everywhere; `global` by default.
    pub suffix: Option<String>,
    /// The trust domain of every cluster; `cluster.local` by default.
    pub trust_domain: Option<String>,
    /// The ranges virtual IPs are taken from, at most one of IPv4 and one of IPv6;
    /// `240.0.0.0/16` by default.
    #[serde(rename = "virtualIPs", default)]
    pub virtual_ips: Many<String>,
    /// By which name a service of another cluster is called; `global` by default.
    pub names: Option<Names>,
    /// What sidecars are told of; `declared` by default.
    pub scope: Option<Scope>,
    /// What sidecars let out; `allow-any` by default.
    pub outbound: Option<Outbound>,
    /// Who may call a service; `anybody` by default.
    pub authorization: Option<Authorization>,
    /// Where the addresses of other clusters' gateways are written; `inline` by default.
    pub gateway_addresses: Option<GatewayAddresses>,
    /// Where the certificates come from, unless a cluster says otherwise.
    #[serde(default)]
    pub trust: TrustSpec,
}

/// By which name a service of another cluster is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Names {
    /// `cart.shop.global`, the same from everywhere.
    Global,
    /// `cart.shop.svc.cluster.local`, as if it ran beside its caller.
    ClusterLocal,
}

/// What sidecars are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Their own namespace and what is called from it.
    Declared,
    /// The whole mesh.
    Mesh,
}

/// What sidecars let out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outbound {
    /// Everything; what is not known goes out as it is.
    AllowAny,
    /// Only what the mesh knows.
    RegistryOnly,
}

/// Who may call a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authorization {
    /// Every workload of the mesh.
    Anybody,
    /// The declared callers, by their identity.
    Declared,
}

/// Where the addresses of other clusters' gateways are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayAddresses {
    /// In every entry.
    Inline,
    /// Once a cluster, in a Gateway of the class `istio-remote`.
    IstioRemote,
    /// Once a cluster, in `meshNetworks` of the install file.
    MeshNetworks,
}

/// Where the secret `cacerts` of a cluster comes from. Never a key.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustSpec {
    /// SHA-256 of the root certificate, as `openssl x509 -fingerprint -sha256` prints it.
    pub root_fingerprint: Option<String>,
    /// The folder that holds a cluster's four PEM files; `{cluster}` stands for its name.
    pub files: Option<String>,
    /// An ExternalSecret in place of files.
    pub external_secret: Option<ExternalSecretSpec>,
}

/// The part of an ExternalSecret that differs from mesh to mesh.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalSecretSpec {
    /// The name of the secret store.
    pub store: String,
    /// `ClusterSecretStore` (default) or `SecretStore`.
    pub kind: Option<String>,
    /// The key in the store; `{cluster}` stands for the cluster's name.
    pub key: String,
}

/// One cluster.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSpec {
    /// The exact Istio release: `1.31.0`.
    pub istio: String,
    /// What installs Istio; `istioctl` by default.
    pub install: Option<Installer>,
    /// The name of its network; the cluster's name by default.
    pub network: Option<String>,
    /// Its trust domain, if it is not that of the mesh.
    pub trust_domain: Option<String>,
    /// The Kubernetes release: `1.16`.
    pub kubernetes: Option<String>,
    /// The `kubectl` context of the RUNBOOK's commands; the cluster's name by default.
    pub context: Option<String>,
    /// Where other clusters reach this one: an address, or more than that.
    pub gateway: Option<Short<GatewaySpec>>,
    /// How names of the suffix are resolved.
    pub dns: Option<DnsSpec>,
    /// Ranges of addresses that are in use.
    #[serde(default)]
    pub ranges: RangesSpec,
    /// `region/zone/subzone`.
    pub locality: Option<String>,
    /// Add-ons of the Istio release: `grafana`, `kiali`, `prometheus`, `tracing`.
    #[serde(default)]
    pub addons: Many<Addon>,
    /// Whether to install Istio's egress gateway.
    #[serde(default)]
    pub egress_gateway: bool,
    /// The gateway that serves the outside, if it is not Istio's own.
    pub ingress: Option<IngressGatewaySpec>,
    /// Where this cluster's certificates come from.
    pub trust: Option<TrustSpec>,
}

/// What installs Istio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Installer {
    /// `istioctl` with an IstioOperator.
    Istioctl,
    /// Helm's charts with a file of values each.
    Helm,
    /// The Sail operator with an Istio object.
    Sail,
}

/// Where other clusters reach this one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    /// An IP, a DNS name, or `pending`; several where there are several gateways.
    #[serde(default)]
    pub address: Many<String>,
    /// Addresses for callers of some clusters, by the caller's cluster.
    #[serde(default)]
    pub from: IndexMap<String, Many<String>>,
    /// How several addresses share the calls; `spread` by default.
    pub balance: Option<GatewayBalance>,
    /// The kind of object that opens the gateway; `istio` by default.
    pub api: Option<GatewayApi>,
    /// The port that others connect to; 15443 by default.
    pub port: Option<String>,
    /// The node port of 15443, when nodes are reached in place of a load balancer.
    pub node_port: Option<String>,
    /// Whether the install file asks the cloud for exactly this address.
    #[serde(default)]
    pub pin: bool,
}

/// How several addresses of a gateway share the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayBalance {
    /// All alike.
    Spread,
    /// The first that works.
    Failover,
}

/// The kind of object that opens a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayApi {
    /// Istio's own Gateway; the install file brings the pods.
    Istio,
    /// A Gateway of the Gateway API; istiod brings the pods.
    GatewayApi,
}

/// How names of the suffix are resolved in a cluster.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsSpec {
    /// What serves the cluster's DNS.
    pub provider: Provider,
    /// The ClusterIP of the server that knows the suffix.
    pub address: Option<String>,
    /// Which server knows the suffix; `istiocoredns` by default.
    pub server: Option<Server>,
    /// The image of our own CoreDNS.
    pub image: Option<String>,
    /// The version of the cluster's CoreDNS: `1.3.1`.
    pub version: Option<String>,
    /// The address that NodeLocal DNSCache listens on.
    pub local_address: Option<String>,
    /// Whether pods also try short names with the suffix appended.
    #[serde(default)]
    pub search: bool,
    /// What the cluster's DNS already has.
    pub existing: Option<ExistingDnsSpec>,
}

/// What serves a cluster's DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// kube-dns, as on GKE.
    KubeDns,
    /// CoreDNS, as kubeadm installs it.
    Coredns,
    /// AKS.
    Aks,
    /// OpenShift 4.
    Openshift,
    /// The CoreDNS add-on of EKS.
    Eks,
    /// NodeLocal DNSCache.
    NodelocalDns,
}

/// Which server knows the names of the suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Server {
    /// The server that Istio installs.
    Istiocoredns,
    /// A small CoreDNS of the bundle.
    Coredns,
}

/// What a cluster's DNS already has, to be kept.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExistingDnsSpec {
    /// kube-dns: stub domains and their servers.
    pub stub_domains: Option<IndexMap<String, Many<String>>>,
    /// kube-dns: upstream name servers.
    pub upstream_nameservers: Option<Many<String>>,
    /// CoreDNS: the whole Corefile.
    pub corefile: Option<String>,
    /// AKS: the keys of `coredns-custom`.
    pub custom: Option<IndexMap<String, String>>,
    /// OpenShift: `spec.servers` of the DNS operator.
    pub servers: Option<Vec<ForwarderSpec>>,
}

/// One of OpenShift's DNS forwarders.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForwarderSpec {
    /// Its name.
    pub name: String,
    /// The zones it serves.
    pub zones: Vec<String>,
    /// The servers it forwards to.
    pub upstreams: Vec<String>,
    /// `Random`, `RoundRobin` or `Sequential`.
    pub policy: Option<String>,
}

/// Ranges of addresses that are in use in a cluster.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RangesSpec {
    /// Of pods.
    #[serde(default)]
    pub pods: Many<String>,
    /// Of Services.
    #[serde(default)]
    pub services: Many<String>,
    /// Of nodes.
    #[serde(default)]
    pub nodes: Many<String>,
}

/// An add-on that old Istio releases install.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Addon {
    /// Grafana.
    Grafana,
    /// Kiali.
    Kiali,
    /// Prometheus.
    Prometheus,
    /// Jaeger.
    Tracing,
}

/// The gateway that serves the outside.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressGatewaySpec {
    /// Labels of its pods; `istio: ingressgateway` by default.
    pub selector: IndexMap<String, String>,
    /// Its namespace; `istio-system` by default.
    pub namespace: Option<String>,
    /// The ServiceAccount of its pods.
    pub service_account: Option<String>,
}

/// One service.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// Its name in Kubernetes; its key in the topology by default.
    pub name: Option<String>,
    /// Its namespace; `default` by default.
    pub namespace: Option<String>,
    /// The clusters that run it.
    pub clusters: Many<String>,
    /// What it listens on, by port name: `9555`, `80:8080`, or a map.
    #[serde(default, deserialize_with = "ports")]
    pub ports: IndexMap<String, Short<PortSpec>>,
    /// The ServiceAccount of its pods; its own by default.
    pub service_account: Option<String>,
    /// Labels of its objects and pods.
    #[serde(default)]
    pub labels: IndexMap<String, String>,
    /// Annotations of its pods.
    #[serde(default)]
    pub annotations: IndexMap<String, String>,
    /// Labels that select its pods; `app: <name>` by default.
    pub selector: Option<IndexMap<String, String>>,
    /// Who it calls: `cart`, `cart:grpc`, `cart:7070`, or a map.
    #[serde(default)]
    pub calls: Many<Short<CallSpec>>,
    /// What runs; `elsewhere` if the Deployment and the Service come from somewhere else.
    pub workload: Option<Short<WorkloadSpec>>,
    /// By which name it is called from other clusters; that of the mesh by default.
    pub names: Option<Names>,
    /// How calls are shared between the clusters that run it: `failover`, `local`, `locality`,
    /// `network`, `spread`, or a map.
    pub balance: Option<Short<BalanceSpec>>,
    /// Virtual IPs that must be kept, at most one of IPv4 and one of IPv6.
    #[serde(rename = "virtualIP", default)]
    pub virtual_ip: Many<String>,
}

/// How calls are shared between the clusters that run a service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BalanceSpec {
    /// The caller's own cluster first, then these in order.
    pub failover: Option<Many<String>>,
    /// Shares in percent, by cluster.
    pub weights: Option<IndexMap<String, String>>,
}

/// Ports by their names. People write one port, or a list as in a Service: the message shows the form.
fn ports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IndexMap<String, Short<PortSpec>>, D::Error> {
    struct Ports;

    impl<'de> Visitor<'de> for Ports {
        type Value = IndexMap<String, Short<PortSpec>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("ports by their names, `ports: {grpc: 9555}`")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut ports = IndexMap::new();
            while let Some((name, port)) = map.next_entry()? {
                ports.insert(name, port);
            }
            Ok(ports)
        }
    }

    deserializer.deserialize_map(Ports)
}

/// What a service listens on.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortSpec {
    /// The port of the Service.
    pub port: String,
    /// The port of the container; the same by default.
    pub target_port: Option<IntOrString>,
    /// The protocol, where the name does not say it.
    pub protocol: Option<String>,
}

/// A call to another service.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallSpec {
    /// Who is called.
    pub service: String,
    /// On which port, by name or number; the only one by default.
    pub port: Option<String>,
    /// The environment variable that carries the address, or a map of variables to forms.
    pub env: Option<Short<IndexMap<String, String>>>,
}

/// What runs as a Deployment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadSpec {
    /// The container's image.
    pub image: Option<String>,
    /// The container's command.
    pub command: Option<Vec<String>>,
    /// The command's arguments.
    pub args: Option<Vec<String>>,
    /// Environment variables, beside those that carry addresses.
    #[serde(default)]
    pub env: IndexMap<String, Short<EnvVarSource>>,
    /// Requests and limits.
    pub resources: Option<ResourceRequirements>,
    /// The readiness and the liveness probe, where they are the same.
    pub probe: Option<Probe>,
    /// The readiness probe.
    pub readiness_probe: Option<Probe>,
    /// The liveness probe.
    pub liveness_probe: Option<Probe>,
    /// The startup probe.
    pub startup_probe: Option<Probe>,
    /// How many pods.
    pub replicas: Option<i32>,
    /// Seconds between the signal to stop and the kill.
    pub termination_grace_period_seconds: Option<i64>,
    /// Any other field of the container.
    pub container: Option<Container>,
    /// Any other field of the pod.
    pub pod: Option<PodSpec>,
    /// Any other field of the Deployment's `spec`.
    pub deployment: Option<DeploymentSpec>,
}

/// A host outside the mesh.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalSpec {
    /// Its names.
    pub hosts: Many<String>,
    /// Its ports, by port name.
    #[serde(deserialize_with = "ports")]
    pub ports: IndexMap<String, Short<PortSpec>>,
    /// The services that call it.
    #[serde(default)]
    pub callers: Many<String>,
    /// The namespace of its entry; `default` by default.
    pub namespace: Option<String>,
    /// Its addresses, where a TCP port needs them.
    #[serde(default)]
    pub addresses: Many<String>,
}

/// What can be reached from outside.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressSpec {
    /// The service behind it.
    pub service: String,
    /// Its port, by name or number; the only one by default.
    pub port: Option<String>,
    /// The clusters whose gateway serves it; those that run the service by default.
    pub clusters: Option<Many<String>>,
    /// The host names; all by default.
    pub hosts: Option<Many<String>>,
    /// The port the gateway listens on; 80, or 443 with `tls`.
    pub listen: Option<String>,
    /// TLS at the gateway.
    pub tls: Option<IngressTlsSpec>,
    /// Prefixes of paths; all by default.
    pub paths: Option<Many<String>>,
}

/// TLS at an ingress gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressTlsSpec {
    /// The secret, in `istio-system`, that holds certificate and key.
    pub credential_name: String,
    /// Whether plain HTTP on port 80 is answered with a redirect.
    #[serde(default)]
    pub redirect: bool,
}
