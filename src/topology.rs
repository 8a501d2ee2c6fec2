//! `resolve`: from what is written to what is meant. Every reference leads somewhere, every rule
//! holds; after this stage only the allocation of virtual IPs can still fail.
//!
//! The rules live in [`rules`], one family a file. Each takes what is written with its place and
//! gives back the resolved part, or has said why not.

mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use indexmap::IndexMap;
use ipnet::IpNet;

pub use rules::form::Form;
pub(crate) use rules::names::is_dns_name;

use crate::diag::{Code, Diagnostics, Reported};
use crate::inputs::Inputs;
use crate::source::Span;
use crate::syntax::{
    Addon, Authorization, Document, ForwarderSpec, GatewayAddresses, GatewayApi, GatewayBalance, Installer, Names,
    Outbound, Provider, Scope, WorkloadSpec,
};
use crate::target::{Crossing, Istio, Release};

/// The whole mesh, with every reference resolved.
#[derive(Debug)]
pub struct Topology {
    /// What holds for all clusters.
    pub mesh: Mesh,
    /// By [`ClusterId`], in the order of the file.
    pub clusters: Vec<Cluster>,
    /// By [`ServiceId`], in the order of the file.
    pub services: Vec<Service>,
    /// In the order of the file.
    pub externals: Vec<External>,
    /// In the order of the file.
    pub ingresses: Vec<Ingress>,
    /// By [`ClusterId`].
    pub views: Vec<View>,
}

/// What one cluster has to do with the services: an index of the lists above.
#[derive(Debug, Default)]
pub struct View {
    /// What it runs.
    pub local: Vec<ServiceId>,
    /// What it calls and does not run, with the ports that are called.
    pub outgoing: BTreeMap<ServiceId, BTreeSet<usize>>,
    /// What it calls and runs, and other clusters may answer for, with the ports that are called.
    pub shared: BTreeMap<ServiceId, BTreeSet<usize>>,
    /// What other clusters call here.
    pub exports: BTreeMap<ServiceId, Export>,
    /// The clusters that call into it.
    pub callers: BTreeSet<ClusterId>,
}

/// By which names other clusters call a service, and on which ports; not both are empty.
#[derive(Debug, Default, Clone)]
pub struct Export {
    /// Under the name that is the same from everywhere.
    pub global: BTreeSet<usize>,
    /// Under the name that it has in its own cluster.
    pub cluster_local: BTreeSet<usize>,
}

/// Index of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub usize);

/// Index of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub usize);

/// What holds for all clusters.
#[derive(Debug)]
pub struct Mesh {
    /// `global`.
    pub suffix: String,
    /// `cluster.local`.
    pub trust_domain: String,
    /// Where virtual IPs are taken from, and where that is written, or the whole `mesh`: at most one
    /// range of IPv4, then at most one of IPv6; never empty.
    pub virtual_ranges: Vec<(IpNet, Span)>,
    /// By which name a service of another cluster is called, unless it says so itself.
    pub names: Names,
    /// What sidecars are told of.
    pub scope: Scope,
    /// What sidecars let out.
    pub outbound: Outbound,
    /// Who may call a service.
    pub authorization: Authorization,
    /// Where the addresses of other clusters' gateways are written.
    pub gateway_addresses: GatewayAddresses,
}

/// One cluster.
#[derive(Debug)]
pub struct Cluster {
    /// A DNS label, unique.
    pub name: String,
    /// Where it is declared.
    pub at: Span,
    /// The `kubectl` context of the RUNBOOK's commands.
    pub context: String,
    /// The exact release.
    pub istio: Release,
    /// What is known of it.
    pub target: &'static Istio,
    /// What installs it.
    pub installer: Installer,
    /// The name of its network, which no other cluster has.
    pub network: String,
    /// Its trust domain.
    pub trust_domain: String,
    /// The Kubernetes release, if written.
    pub kubernetes: Option<Release>,
    /// Where others reach it; there is one if anybody calls in.
    pub gateway: Option<Gateway>,
    /// How the suffix is resolved; there is one if anybody calls out.
    pub dns: Option<Dns>,
    /// Addresses in use.
    pub ranges: Ranges,
    /// `region/zone/subzone`.
    pub locality: Option<String>,
    /// In alphabetical order.
    pub addons: Vec<Addon>,
    /// Whether Istio's egress gateway is installed.
    pub egress_gateway: bool,
    /// The gateway that serves the outside.
    pub ingress_gateway: IngressGateway,
    /// Where the certificates come from.
    pub trust: Trust,
}

/// The gateway that serves the outside.
#[derive(Debug)]
pub struct IngressGateway {
    /// Labels of its pods.
    pub selector: IndexMap<String, String>,
    /// Its namespace.
    pub namespace: String,
    /// The ServiceAccount of its pods, if it is known.
    pub service_account: Option<String>,
    /// Whether it is the one that the install file brings.
    pub installed: bool,
}

/// Where other clusters reach a cluster.
#[derive(Debug)]
pub struct Gateway {
    /// Its addresses; never empty.
    pub addresses: Vec<Address>,
    /// Other addresses for callers of some clusters; none of them empty.
    pub from: BTreeMap<ClusterId, Vec<Address>>,
    /// How several addresses share the calls.
    pub balance: GatewayBalance,
    /// The kind of object that opens it.
    pub api: GatewayApi,
    /// The port to connect to.
    pub port: u16,
    /// The node port of 15443, if nodes are reached directly.
    pub node_port: Option<u16>,
    /// Whether the install file asks for the address.
    pub pin: bool,
}

/// An address others connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An IP.
    Ip(IpAddr),
    /// A DNS name.
    Name(String),
    /// Not known yet.
    Pending,
}

/// How names of the suffix are resolved in a cluster.
#[derive(Debug)]
pub struct Dns {
    /// What serves the cluster's DNS.
    pub provider: Provider,
    /// The ClusterIP of the server that knows the suffix; `None` if it is not known yet.
    pub address: Option<Ipv4Addr>,
    /// Which server that is.
    pub server: DnsServer,
    /// Whether the cluster's CoreDNS is too old for `forward`.
    pub old_coredns: bool,
    /// NodeLocal DNSCache's own address.
    pub local_address: Option<IpAddr>,
    /// Whether pods try short names too.
    pub search: bool,
    /// What the cluster's DNS already has, if it was said.
    pub existing: Option<ExistingDns>,
}

/// Which server knows the names of the suffix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsServer {
    /// Istio's own.
    Istiocoredns,
    /// A small CoreDNS of the bundle, from this image.
    Coredns {
        /// Registry, name and tag.
        image: String,
    },
}

/// Where Istio lives, and what holds for its whole mesh.
pub const ROOT_NAMESPACE: &str = "istio-system";

/// The Service and the Deployment of the gateway that other clusters call, on today's releases.
pub const EAST_WEST_GATEWAY: &str = "istio-eastwestgateway";
/// The Service and the Deployment of the gateway that serves the outside; before 1.9 other clusters
/// call it, too.
pub const INGRESS_GATEWAY: &str = "istio-ingressgateway";
/// The label by which Istio knows the network of a pod, a namespace, an endpoint.
pub const NETWORK_LABEL: &str = "topology.istio.io/network";
/// Where Istio itself gives addresses to hosts that have none.
pub const ISTIO_RANGES: [&str; 2] = ["240.240.0.0/16", "2001:2::/48"];

/// The name of our forwarder in OpenShift's DNS.
pub const STUB_NAME: &str = "meshlatch";
/// Our key in AKS's `coredns-custom`.
pub const STUB_KEY: &str = "meshlatch.server";

/// What a provider's DNS already has, to be kept.
#[derive(Debug)]
pub enum ExistingDns {
    /// kube-dns.
    KubeDns {
        /// Domain to servers.
        stub_domains: IndexMap<String, Vec<String>>,
        /// Upstream name servers, if any are set.
        upstream_nameservers: Vec<String>,
    },
    /// CoreDNS.
    Corefile {
        /// The whole Corefile.
        text: String,
        /// What the block of the root listens on; empty for all addresses.
        bind: Vec<String>,
    },
    /// The keys of AKS's `coredns-custom`.
    Custom(IndexMap<String, String>),
    /// OpenShift's forwarders.
    Servers(Vec<ForwarderSpec>),
}

/// Address ranges in use in a cluster.
#[derive(Debug, Default)]
pub struct Ranges {
    /// Every declared range: what it is for, the range, where it is written.
    pub all: Vec<(&'static str, IpNet, Span)>,
}

/// Where the secret `cacerts` comes from.
#[derive(Debug)]
pub struct Trust {
    /// SHA-256 of the root, in the spelling of openssl, if given.
    pub root_fingerprint: Option<String>,
    /// Files or a secret store.
    pub origin: TrustOrigin,
}

/// What the secret `cacerts` is made from.
#[derive(Debug)]
pub enum TrustOrigin {
    /// Four PEM files in this folder.
    Files(String),
    /// A key of a secret store.
    ExternalSecret {
        /// Name of the store.
        store: String,
        /// Its kind.
        kind: String,
        /// The key.
        key: String,
    },
}

/// One service.
#[derive(Debug)]
pub struct Service {
    /// Its key in the topology.
    pub key: String,
    /// Where it is declared.
    pub at: Span,
    /// Its name in Kubernetes.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The clusters that run it; never empty, in the order of the topology's clusters.
    pub placement: Vec<ClusterId>,
    /// What it listens on.
    pub ports: Vec<Port>,
    /// The ServiceAccount of its pods.
    pub service_account: String,
    /// Whether that account is known, and not merely the default of what somebody else deploys.
    pub account_known: bool,
    /// Labels of its objects and pods.
    pub labels: IndexMap<String, String>,
    /// Annotations of its pods.
    pub annotations: IndexMap<String, String>,
    /// Labels that select its pods.
    pub selector: IndexMap<String, String>,
    /// Who it calls.
    pub calls: Vec<Call>,
    /// What the bundle holds of it.
    pub workload: Workload,
    /// Pinned virtual IPs and where they are written, at most one a family.
    pub virtual_ips: Vec<(IpAddr, Span)>,
    /// By which name it is called from other clusters.
    pub names: Names,
    /// How calls are shared between the clusters that run it.
    pub balance: Balance,
    /// Whether a cluster that does not run it calls it.
    pub called_from_afar: bool,
    /// Whether callers know it by a virtual IP.
    pub has_virtual_ip: bool,
}

/// How calls are shared between the clusters that run a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Balance {
    /// The caller's own cluster alone; from elsewhere all alike.
    Local,
    /// The caller's own cluster first, then these in order.
    Failover(Vec<ClusterId>),
    /// The nearest locality first.
    Locality,
    /// The caller's own network first, then all others alike.
    Network,
    /// All alike.
    Spread,
    /// In these shares, from wherever the call comes. They sum to 100.
    Weights(Vec<(ClusterId, u32)>),
}

/// What the bundle holds of a service beside mesh objects.
#[derive(Debug)]
pub enum Workload {
    /// ServiceAccount, Service and Deployment.
    Deployment(Arc<WorkloadSpec>),
    /// The Service; the Deployment comes from elsewhere.
    ServiceOnly,
    /// Nothing; Service and Deployment come from elsewhere.
    Elsewhere,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// `grpc`.
    pub name: String,
    /// Of the Service.
    pub number: u16,
    /// Of the container.
    pub target: TargetPort,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Whether the Service must say the protocol beside the name.
    pub app_protocol: bool,
}

/// A port of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetPort {
    /// By number.
    Number(u16),
    /// By name.
    Name(String),
}

pub use rules::protocol::{Family, Protocol};

/// A declared call.
#[derive(Debug)]
pub struct Call {
    /// Who is called.
    pub callee: ServiceId,
    /// Index into the callee's ports.
    pub port: usize,
    /// Variables that carry the address.
    pub variables: Vec<Variable>,
    /// Where it is declared.
    pub at: Span,
}

/// An environment variable that carries an address.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub form: Form,
    /// Where it is named.
    pub at: Span,
}

/// A host outside the mesh.
#[derive(Debug)]
pub struct External {
    /// Its key in the topology and the name of its entry.
    pub name: String,
    /// Where it is declared.
    pub at: Span,
    /// The namespace of its entry.
    pub namespace: String,
    /// Its names.
    pub hosts: Vec<String>,
    /// Its ports.
    pub ports: Vec<Port>,
    /// Its addresses, if given.
    pub addresses: Vec<IpNet>,
    /// The services that call it.
    pub callers: Vec<ServiceId>,
    /// The clusters that run a caller.
    pub clusters: Vec<ClusterId>,
}

/// What can be reached from outside.
#[derive(Debug)]
pub struct Ingress {
    /// Its key in the topology and the name of its objects.
    pub name: String,
    /// Where it is declared.
    pub at: Span,
    /// The service behind it.
    pub service: ServiceId,
    /// Index into the service's ports.
    pub port: usize,
    /// The clusters whose gateway serves it.
    pub clusters: Vec<ClusterId>,
    /// The host names.
    pub hosts: Vec<String>,
    /// The port the gateway listens on.
    pub listen: u16,
    /// TLS: the name of the secret, and whether HTTP is redirected.
    pub tls: Option<(String, bool)>,
    /// Prefixes of paths; empty for all.
    pub paths: Vec<String>,
}

impl Topology {
    /// The cluster of this id.
    #[must_use]
    pub fn cluster(&self, id: ClusterId) -> &Cluster {
        &self.clusters[id.0]
    }

    /// The service of this id.
    #[must_use]
    pub fn service(&self, id: ServiceId) -> &Service {
        &self.services[id.0]
    }

    /// All cluster ids in the order of the file.
    pub fn cluster_ids(&self) -> impl Iterator<Item = ClusterId> + use<> {
        (0..self.clusters.len()).map(ClusterId)
    }

    /// The name a service has everywhere: `cart.shop.global`.
    #[must_use]
    pub fn global_host(&self, id: ServiceId) -> String {
        let service = self.service(id);
        format!("{}.{}.{}", service.name, service.namespace, self.mesh.suffix)
    }

    /// The name a service has in its own cluster.
    #[must_use]
    pub fn local_host(&self, id: ServiceId) -> String {
        let service = self.service(id);
        format!("{}.{}.svc.cluster.local", service.name, service.namespace)
    }

    /// The name by which a cluster calls a service.
    #[must_use]
    pub fn host(&self, from: ClusterId, callee: ServiceId) -> String {
        if self.named(from, callee) == Names::ClusterLocal { self.local_host(callee) } else { self.global_host(callee) }
    }

    /// The kind of name by which a cluster calls a service. Where it runs, it has its own name.
    #[must_use]
    pub fn named(&self, from: ClusterId, callee: ServiceId) -> Names {
        let service = self.service(callee);
        if service.runs_in(from) { Names::ClusterLocal } else { service.names }
    }

    /// Whether a cluster that does not run a service has a Service without pods in its place, whose
    /// endpoints are the gateways.
    #[must_use]
    pub fn has_stub(&self, from: ClusterId, callee: ServiceId) -> bool {
        !self.service(callee).runs_in(from) && self.takes_stub(from, callee)
    }

    /// Whether a cluster would have such a Service if it did not run the service. Such endpoints have IPs; a
    /// DNS name takes an entry of its own, unless it is written apart from the endpoints.
    pub(crate) fn takes_stub(&self, from: ClusterId, callee: ServiceId) -> bool {
        let service = self.service(callee);
        let named = |owner: ClusterId| {
            let gateway = self.cluster(owner).gateway.as_ref();
            gateway.is_some_and(|it| it.addresses_from(from).iter().any(|it| matches!(it, Address::Name(_))))
        };
        let inline = self.addresses_inline(from);
        service.names == Names::ClusterLocal && !(inline && service.elsewhere(from).any(named))
    }

    /// Whether a cluster writes the addresses of other clusters' gateways into its entries. Else
    /// istiod puts them there, and of an endpoint's labels only the network is left.
    #[must_use]
    pub fn addresses_inline(&self, from: ClusterId) -> bool {
        self.mesh.gateway_addresses == GatewayAddresses::Inline || !self.cluster(from).passes_through()
    }

    /// What a cluster has to do with the services.
    #[must_use]
    pub fn view(&self, id: ClusterId) -> &View {
        &self.views[id.0]
    }
}

impl Service {
    /// Whether this cluster runs it.
    #[must_use]
    pub fn runs_in(&self, cluster: ClusterId) -> bool {
        self.placement.contains(&cluster)
    }

    /// The clusters that a call from this one may reach, in tiers: the next is for when the one
    /// before it has nobody left. Never empty, and no tier is.
    #[must_use]
    pub fn tiers(&self, from: ClusterId) -> Vec<Vec<ClusterId>> {
        let here = self.runs_in(from);
        match &self.balance {
            Balance::Local if here => vec![vec![from]],
            Balance::Failover(order) => {
                let own = here.then_some(from);
                own.into_iter().chain(order.iter().copied().filter(|it| *it != from)).map(|it| vec![it]).collect()
            }
            Balance::Weights(shares) => vec![shares.iter().map(|it| it.0).collect()],
            Balance::Local | Balance::Locality | Balance::Network | Balance::Spread => vec![self.placement.clone()],
        }
    }

    /// The other clusters that a call from this one may reach.
    pub fn elsewhere(&self, from: ClusterId) -> impl Iterator<Item = ClusterId> {
        self.tiers(from).into_iter().flatten().filter(move |it| *it != from)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
            Self::Pending => f.write_str("pending"),
        }
    }
}

impl Cluster {
    /// Whether its gateway passes each service through by itself, which is what Istio does today.
    #[must_use]
    pub fn passes_through(&self) -> bool {
        self.target.crossing == Crossing::Passthrough
    }
}

impl Gateway {
    /// The addresses at which callers of a cluster reach it; never empty.
    #[must_use]
    pub fn addresses_from(&self, caller: ClusterId) -> &[Address] {
        self.from.get(&caller).unwrap_or(&self.addresses)
    }

    /// Every address, whoever connects to it.
    pub fn all_addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.iter().chain(self.from.values().flatten())
    }

    /// The port that a caller of another cluster connects to.
    #[must_use]
    pub fn dial(&self) -> u16 {
        self.node_port.unwrap_or(self.port)
    }
}

/// Finds out what a document means.
///
/// # Errors
/// When a rule is broken; every broken rule is reported.
pub fn resolve(document: &Document, inputs: &Inputs, diags: &mut Diagnostics) -> Result<Topology, Reported> {
    let spec = &document.spec;
    let place = document.place();
    rules::allow::check(spec, place, diags);
    rules::moving::check(spec, place, diags);
    let mesh = rules::mesh::resolve(&spec.mesh, place.get("mesh"), diags);
    if spec.clusters.is_empty() {
        diags
            .error(Code::NoClusters, "the topology has no clusters")
            .at(place.get("clusters").value(), "")
            .help("add at least one: `clusters: {east: {istio: \"1.5.2\"}}`");
    }
    let clusters = rules::clusters::resolve(spec, &mesh, place, inputs, diags);
    let services = rules::services::resolve(spec, &mesh, &clusters, place, diags);
    let externals = rules::externals::resolve(spec, &mesh, &services, place, diags);
    let ingresses = rules::ingress::resolve(spec, &clusters, &services, place, diags);
    diags.check()?;
    let views = views(&clusters, &services, &ingresses);
    let mut topology = Topology { mesh, clusters, services, externals, ingresses, views };
    // What can be said only of a mesh whose parts are sound.
    rules::across::check(&mut topology, place, diags);
    rules::old_line::check(&topology, place, diags);
    diags.check()?;
    Ok(topology)
}

fn views(clusters: &[Cluster], services: &[Service], ingresses: &[Ingress]) -> Vec<View> {
    let mut views: Vec<View> = clusters.iter().map(|_| View::default()).collect();
    let mut call = |from: ClusterId, callee: ServiceId, port: usize| {
        let service = &services[callee.0];
        let local = service.runs_in(from);
        let crosses = |it: &usize| service.ports[*it].protocol.family() != Family::Udp;
        if local && !crosses(&port) {
            // It stays beside its caller: no gateway carries it.
            return;
        }
        // An endpoint of a Service answers on all of its ports, whichever of them are declared.
        let called: Vec<usize> = if local { (0..service.ports.len()).filter(crosses).collect() } else { vec![port] };
        for owner in service.elsewhere(from) {
            let export = views[owner.0].exports.entry(callee).or_default();
            let ports = if local || service.names == Names::ClusterLocal {
                &mut export.cluster_local
            } else {
                &mut export.global
            };
            ports.extend(&called);
            views[owner.0].callers.insert(from);
            let calls = if local { &mut views[from.0].shared } else { &mut views[from.0].outgoing };
            calls.entry(callee).or_default().extend(&called);
        }
    };
    for service in services {
        for from in &service.placement {
            service.calls.iter().for_each(|it| call(*from, it.callee, it.port));
        }
    }
    for ingress in ingresses {
        ingress.clusters.iter().for_each(|from| call(*from, ingress.service, ingress.port));
    }
    for (index, service) in services.iter().enumerate() {
        for cluster in &service.placement {
            views[cluster.0].local.push(ServiceId(index));
        }
    }
    views
}
