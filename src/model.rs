//! `lower`: one cluster's point of view, with every decision made. Rendering only writes it down.
//!
//! Strings are final here: hosts, addresses, names of objects. A [`ClusterModel`] needs no look at
//! another cluster, and no look at the topology it came from beyond what it borrows.
//!
//! What must hold of the bundles of a mesh, taken together, and what makes it hold. `tests/mesh/checks.rs`
//! looks at each by its number in the written files, in whatever way it was made to hold.
//!
//! | | invariant | by construction | diagnostic |
//! |---|---|---|---|
//! | I1 | a call has one way out, which its caller sees | `lower` splits the calls by `Topology::has_stub`; `callers::visible_to`; `scope::sidecars` | T0202, T0203 |
//! | I2 | a host is that of a service of another cluster | `View::outgoing`, `View::shared` | T0205, T0304 |
//! | I3 | a host has one entry, every namespace is there | `entries::remote` is called once a callee; `lower` collects the namespaces | T0304, T0308, T0309 |
//! | I4 | ports are the same at both ends | both are made of the one `topology::Port` | T0503, T0504, T0505, T0507 |
//! | I5 | endpoints name those ports, and the gateway's | `entries::endpoint`, `stubs::keys`, `Gateway::dial` | T0501 |
//! | I6 | variables carry host and port | `apps::lower` | T0901, T0903 |
//! | I7 | virtual IPs are unique and stay | a hash of the host, in `addresses` | T0410, T0411, T0412 |
//! | I8 | addresses are those of the owner's gateway | `far::endpoints` leaves out the own cluster | T0401, T0404, T0406, T0417 |
//! | I9 | names are resolved | one `Dns::address` for the install file and the stub; DNS capture | T0413, T0414, T0701, T0702 |
//! | I10 | identities agree | `identity`, `callers::principals` | T0802, T0804, T0908 |
//! | I11 | both ends speak mTLS | `far::mtls`; strict PeerAuthentication; no rule sets a mode | T0906 |
//! | I12 | the gateway lets in what is called | `exports`, from `View::exports` | T0402, T1003 |
//! | I13 | the owner knows the host, callers keep it to themselves | `entries::owned` | |
//! | I14 | networks agree and differ | one `Cluster::network` wherever it is named | T0416 |
//! | I15 | routes and rules name what is there | `routing::rule` at both ends; `far::tier_label` | T0210 |
//! | I16 | objects are those of the release | `target::Istio` | T0602, T0603, T0604 |
//! | I17 | objects are valid | typed objects, filled templates | T0301, T0302, T0303, T0305, T0307, T0506 |
//! | I18 | no secret, nothing of others | `Bundle::keep` does not apply; no kind writes a Secret | T0801 |

mod apps;
mod callers;
mod control_plane;
mod entries;
mod far;
mod ingress;
mod install;
mod routing;
mod scope;
mod stubs;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use indexmap::IndexMap;
use serde::Serialize;

pub use scope::sidecars;

use crate::addresses::Addresses;
use crate::syntax::{GatewayAddresses, Installer, Provider, Scope, WorkloadSpec};
use crate::target::Istio;
use crate::topology::{
    Address, Cluster, ClusterId, DnsServer, ExistingDns, Export, Gateway, Service, ServiceId, Topology, Trust,
};

/// What a cluster waits for, and why it cannot do without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// Such as the gateway address of a cluster.
    pub what: String,
    /// `cart` is called from here and runs there.
    pub why: String,
    /// What to give on the command line once it is known.
    pub give: String,
}

/// A cluster's bundle, or what it waits for.
#[derive(Debug)]
pub enum Lowered<'a> {
    /// Everything is known.
    Ready(Box<ClusterModel<'a>>),
    /// Addresses are pending; never empty.
    Waiting(Vec<Wait>),
}

/// One cluster's point of view.
#[derive(Debug)]
pub struct ClusterModel<'a> {
    /// The cluster's name.
    pub name: &'a str,
    /// The `kubectl` context.
    pub context: &'a str,
    /// `1.5.2`.
    pub release: String,
    /// What is known of the release.
    pub target: &'static Istio,
    /// The Kubernetes release, if written.
    pub kubernetes: Option<String>,
    /// `global`.
    pub suffix: &'a str,
    /// Namespaces and their labels, in the order of the services.
    pub namespaces: Vec<Namespace<'a>>,
    /// Where the certificates come from.
    pub trust: &'a Trust,
    /// What is installed.
    pub install: Install<'a>,
    /// Names of the suffix in this cluster.
    pub dns: Option<Dns<'a>>,
    /// Whether strict mTLS is an object of its own.
    pub peer_authentication: bool,
    /// Whether the charts of this very patch need an old Helm.
    pub needs_old_helm: bool,
    /// Whether the chart of gateways of this very patch forbids every value.
    pub loose_gateway_schema: bool,
    /// The name of its network.
    pub network: &'a str,
    /// What its gateway lets in from other clusters, if it must be told: hosts, by name.
    pub exports: Vec<String>,
    /// Other clusters' gateways, where they are written once.
    pub remote_networks: Vec<RemoteNetwork<'a>>,
    /// Whether that is in the install file, and not in objects.
    pub mesh_networks: bool,
    /// Its own services under the name that is the same from everywhere.
    pub owned: Vec<Entry<'a>>,
    /// Services of other clusters that are called from here by an entry.
    pub remotes: Vec<Entry<'a>>,
    /// Services of other clusters that are called from here by a Service without pods.
    pub stubs: Vec<Stub<'a>>,
    /// Gateways as endpoints of Services.
    pub workload_entries: Vec<WorkloadEntry<'a>>,
    /// How calls find their endpoint.
    pub destination_rules: Vec<DestinationRule<'a>>,
    /// How calls are shared by weight.
    pub splits: Vec<Split<'a>>,
    /// What each namespace is told of.
    pub sidecars: Vec<Sidecar<'a>>,
    /// Who is let in.
    pub policies: Vec<Policy<'a>>,
    /// External hosts that are called from here.
    pub externals: Vec<Entry<'a>>,
    /// What runs here.
    pub apps: Vec<App<'a>>,
    /// What can be reached from outside, here.
    pub ingresses: Vec<IngressModel<'a>>,
    /// Clusters that call into this one.
    pub callers: Vec<&'a str>,
    /// Where other clusters reach this one.
    pub gateway: Option<&'a Gateway>,
    /// Declared address ranges: what for, and the range.
    pub ranges: Vec<(&'static str, String)>,
}

/// A namespace.
#[derive(Debug, PartialEq, Eq)]
pub struct Namespace<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether its pods get a sidecar.
    pub injected: bool,
    /// The network of its pods, where istiod asks the namespace for it.
    pub network: Option<&'a str>,
}

/// The server that knows the suffix, and the stub that leads to it.
#[derive(Debug)]
pub struct Dns<'a> {
    /// What serves the cluster's DNS.
    pub provider: Provider,
    /// `global`.
    pub suffix: &'a str,
    /// The ClusterIP of the server that knows the suffix.
    pub address: Ipv4Addr,
    /// Which server that is.
    pub server: &'a DnsServer,
    /// Whether the cluster's CoreDNS knows `proxy` only.
    pub old_coredns: bool,
    /// Where NodeLocal DNSCache listens.
    pub local_address: Option<IpAddr>,
    /// What the cluster's DNS already has.
    pub existing: Option<&'a ExistingDns>,
    /// Every name that this cluster calls, with its virtual IP, by name.
    pub hosts: BTreeMap<String, Ipv4Addr>,
}

/// What is installed.
#[derive(Debug)]
pub enum Install<'a> {
    /// The charts of a release that rewrites names.
    Charts(Charts<'a>),
    /// The control plane and the gateways of any other release.
    ControlPlane(ControlPlane<'a>),
}

impl<'a> Install<'a> {
    /// The charts, if it is they.
    #[must_use]
    pub fn charts(&self) -> Option<&Charts<'a>> {
        if let Self::Charts(charts) = self { Some(charts) } else { None }
    }

    /// The control plane, if it is one.
    #[must_use]
    pub fn control_plane(&self) -> Option<&ControlPlane<'a>> {
        if let Self::ControlPlane(plane) = self { Some(plane) } else { None }
    }
}

/// What the charts of a release that rewrites names are told.
#[derive(Debug)]
pub struct Charts<'a> {
    /// The cluster's name in telemetry.
    pub cluster: &'a str,
    /// The suffix, for releases that must be told.
    pub suffix: Option<&'a str>,
    /// The ClusterIP of istiocoredns, if it is installed.
    pub istiocoredns: Option<Ipv4Addr>,
    /// Whether strict mTLS is asked for by value.
    pub mtls: bool,
    /// Whether `controlPlaneSecurityEnabled` is written.
    pub control_plane_security: bool,
    /// Whether `security.selfSigned: false` is written.
    pub disable_self_signed: bool,
    /// Search domains of pods.
    pub search: Vec<String>,
    /// The trust domain, unless it is the default.
    pub trust_domain: Option<&'a str>,
    /// The address to ask the cloud for.
    pub load_balancer_ip: Option<IpAddr>,
    /// Ports of the gateway's Service, if the defaults do not do.
    pub gateway_ports: Vec<GatewayPort>,
    /// Whether the gateway must be told to pass mTLS through.
    pub router_mode: bool,
    /// Whether the gateway must be told to read certificates from secrets.
    pub gateway_sds: bool,
    /// Whether the egress gateway is installed.
    pub egress_gateway: bool,
    /// Names of add-ons.
    pub addons: Vec<&'static str>,
}

/// The control plane and the gateways of today's releases.
#[derive(Debug)]
pub struct ControlPlane<'a> {
    /// What installs them.
    pub installer: Installer,
    /// The cluster's name in telemetry.
    pub cluster: &'a str,
    /// The network of its pods.
    pub network: &'a str,
    /// Its trust domain, unless it is the default.
    pub trust_domain: Option<&'a str>,
    /// Those of the other clusters.
    pub trust_domain_aliases: Vec<&'a str>,
    /// Whether sidecars let out only what the mesh knows.
    pub registry_only: bool,
    /// Whether applications are told to wait for their sidecar.
    pub hold_application: bool,
    /// Whether hosts have virtual IPs of both families.
    pub dual_stack: bool,
    /// Whether istiod is told to look for other clusters' gateways among Gateways.
    pub find_remote_gateways: bool,
    /// The gateways that are installed.
    pub gateways: Vec<GatewayPods<'a>>,
}

/// A gateway that is installed: its Deployment and its Service.
#[derive(Debug)]
pub struct GatewayPods<'a> {
    /// Of both.
    pub name: &'static str,
    /// The value of the label `istio` of its pods.
    pub label: &'static str,
    /// The network whose endpoints it sees; all if there is none.
    pub network: Option<&'a str>,
    /// Ports of its Service; empty for those of the chart.
    pub ports: Vec<GatewayPort>,
    /// The address to ask the cloud for.
    pub load_balancer_ip: Option<IpAddr>,
    /// Whether its nodes are reached directly.
    pub node_port: bool,
    /// Whether it has addresses of both families.
    pub dual_stack: bool,
    /// Whether it reads certificates from secrets.
    pub reads_secrets: bool,
}

/// A port of the gateway's Service.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayPort {
    /// Its name.
    pub name: String,
    /// Its number.
    pub port: u16,
    /// The container port.
    pub target_port: u16,
    /// The node port, if pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_port: Option<u16>,
}

/// A ServiceEntry.
#[derive(Debug, Default, Serialize)]
pub struct Entry<'a> {
    /// Of the networking group.
    pub api_version: &'static str,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its hosts.
    pub hosts: Vec<String>,
    /// `MESH_INTERNAL` or `MESH_EXTERNAL`.
    pub location: &'static str,
    /// `STATIC`, `DNS` or `NONE`.
    pub resolution: &'static str,
    /// Virtual or real addresses.
    pub addresses: Vec<String>,
    /// Its ports.
    pub ports: Vec<EntryPort<'a>>,
    /// Where calls go.
    pub endpoints: Vec<Endpoint<'a>>,
    /// Labels of the pods that calls go to, in place of endpoints.
    pub workload_selector: Option<&'a IndexMap<String, String>>,
    /// The identities that may answer.
    pub subject_alt_names: Vec<String>,
    /// The namespaces that see it; empty for all.
    pub export_to: Vec<String>,
    /// The name of its file, without ending.
    #[serde(skip)]
    pub file: String,
    /// Where the service runs, for people.
    #[serde(skip)]
    pub owners: Vec<&'a str>,
}

/// A port of a ServiceEntry.
#[derive(Debug, Serialize)]
pub struct EntryPort<'a> {
    /// As in the callee's Service.
    pub number: u16,
    /// Its key in the endpoints.
    pub name: &'a str,
    /// In Istio's spelling.
    pub protocol: &'static str,
    /// The port of the pods, if it is another one.
    pub target_port: Option<u16>,
}

/// An endpoint of a ServiceEntry.
#[derive(Debug, Default, Serialize)]
pub struct Endpoint<'a> {
    /// Of a gateway; `None` where istiod knows it by the network.
    pub address: Option<String>,
    /// Port names and the port to connect to.
    pub ports: Vec<EndpointPort<'a>>,
    /// Where it is.
    pub locality: Option<&'a str>,
    /// The network of its cluster.
    pub network: Option<&'a str>,
    /// What is known of it.
    pub labels: Vec<(String, String)>,
}

/// A port of an endpoint.
#[derive(Debug, Serialize)]
pub struct EndpointPort<'a> {
    /// A port of the entry.
    pub name: &'a str,
    /// What to connect to.
    pub number: u16,
}

/// Another cluster's gateways.
#[derive(Debug)]
pub struct RemoteNetwork<'a> {
    /// The name of the network.
    pub network: &'a str,
    /// Their addresses.
    pub addresses: &'a [Address],
    /// The port to connect to.
    pub port: u16,
}

/// A Service without pods, in the place of one that runs elsewhere.
#[derive(Debug)]
pub struct Stub<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// What selects its endpoints.
    pub selector: &'a IndexMap<String, String>,
    /// Those of its ports that are called.
    pub ports: Vec<&'a crate::topology::Port>,
    /// Its full name.
    pub host: String,
    /// Where the service runs, for people.
    pub owners: Vec<&'a str>,
}

/// A `WorkloadEntry`.
#[derive(Debug, Serialize)]
pub struct WorkloadEntry<'a> {
    /// Of the networking group.
    pub api_version: &'static str,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: &'a str,
    /// Of a gateway; `None` where istiod knows it by the network.
    pub address: Option<String>,
    /// Port names and the port to connect to.
    pub ports: Vec<EndpointPort<'a>>,
    /// The network of its cluster.
    pub network: &'a str,
    /// Where it is.
    pub locality: Option<&'a str>,
    /// What selects it, and what is known of it.
    pub labels: Vec<(String, String)>,
    /// The ServiceAccount of the pods behind it.
    pub service_account: Option<&'a str>,
    /// The name of its file, without ending.
    #[serde(skip)]
    pub file: String,
}

/// A DestinationRule.
#[derive(Debug, Default, Serialize)]
pub struct DestinationRule<'a> {
    /// Of the networking group.
    pub api_version: &'static str,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: &'a str,
    /// Whose calls it is about.
    pub host: String,
    /// After how many requests a connection is replaced.
    pub requests_a_connection: Option<u32>,
    /// Whether endpoints that fail are left alone for a while.
    pub outlier_detection: bool,
    /// The labels by which endpoints are sorted.
    pub failover_priority: Vec<String>,
    /// Whether all endpoints are alike, wherever they are.
    pub ignore_locality: bool,
    /// The clusters that calls can name.
    pub subsets: Vec<Subset<'a>>,
    /// The namespaces that see it.
    pub export_to: Vec<String>,
    /// The name of its file, without ending.
    #[serde(skip)]
    pub file: String,
}

/// A subset of a service's endpoints: those of one cluster.
#[derive(Debug, Serialize)]
pub struct Subset<'a> {
    /// The cluster's name.
    pub name: &'a str,
    /// Its network.
    pub network: &'a str,
}

/// A VirtualService that shares calls by weight.
#[derive(Debug, Default, Serialize)]
pub struct Split<'a> {
    /// Of the networking group.
    pub api_version: &'static str,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: &'a str,
    /// Whose calls it is about.
    pub host: String,
    /// The ports whose calls are shared, by the kind of route.
    pub routes: IndexMap<&'static str, Vec<u16>>,
    /// Subsets and their percent.
    pub shares: Vec<(&'a str, u32)>,
    /// The namespaces that see it.
    pub export_to: Vec<String>,
    /// The name of its file, without ending.
    #[serde(skip)]
    pub file: String,
}

/// A Sidecar.
#[derive(Debug, Serialize)]
pub struct Sidecar<'a> {
    /// Of the networking group.
    pub api_version: &'static str,
    /// Its namespace, whose pods it is about.
    pub namespace: &'a str,
    /// `<namespace>/<host>`.
    pub hosts: Vec<String>,
}

/// An AuthorizationPolicy.
#[derive(Debug, Serialize)]
pub struct Policy<'a> {
    /// Of the security group.
    pub api_version: &'static str,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: &'a str,
    /// Labels of the pods it is about.
    pub selector: &'a IndexMap<String, String>,
    /// Who is let in; nobody if there is none.
    pub principals: Vec<String>,
    /// The name of its file, without ending.
    #[serde(skip)]
    pub file: String,
}

/// A service that runs here.
#[derive(Debug)]
pub struct App<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// The ServiceAccount to create, if it is not another's.
    pub create_account: Option<&'a str>,
    /// The ServiceAccount of its pods.
    pub service_account: &'a str,
    /// Labels of its objects.
    pub labels: &'a IndexMap<String, String>,
    /// Annotations of its pods.
    pub annotations: IndexMap<&'a str, &'a str>,
    /// What selects its pods.
    pub selector: &'a IndexMap<String, String>,
    /// Its ports.
    pub ports: &'a [crate::topology::Port],
    /// Variables that carry addresses.
    pub variables: Vec<(&'a str, String)>,
    /// The Deployment, if it is written here.
    pub workload: Option<&'a WorkloadSpec>,
    /// Whether the Service is written here.
    pub service: bool,
}

/// A Gateway and its VirtualService.
#[derive(Debug, Serialize)]
pub struct IngressModel<'a> {
    /// Of the networking group.
    pub api_version: &'static str,
    /// The name of both.
    pub name: &'a str,
    /// The namespace of both: the service's.
    pub namespace: &'a str,
    /// Labels of the gateway's pods.
    pub selector: Vec<(&'a str, &'a str)>,
    /// The servers of the Gateway.
    pub servers: Vec<IngressServer<'a>>,
    /// Host names.
    pub hosts: &'a [String],
    /// Prefixes of paths.
    pub paths: &'a [String],
    /// Where requests go.
    pub destination: String,
    /// And to which port.
    pub destination_port: u16,
    /// Subsets and their percent; empty if all go to the whole.
    pub shares: Vec<(&'a str, u32)>,
}

/// A server of an ingress Gateway.
#[derive(Debug, Serialize)]
pub struct IngressServer<'a> {
    /// `http` or `https`.
    pub name: String,
    /// The port.
    pub number: u16,
    /// In Istio's spelling.
    pub protocol: &'static str,
    /// The secret with certificate and key.
    pub credential: Option<&'a str>,
    /// Whether requests are redirected to TLS.
    pub redirect: bool,
}

/// Takes one cluster's point of view.
#[must_use]
pub fn lower<'a>(topology: &'a Topology, addresses: &Addresses, id: ClusterId) -> Lowered<'a> {
    let cluster = topology.cluster(id);
    let view = topology.view(id);
    let calls = &view.outgoing;
    let waits = waits(topology, id);
    if !waits.is_empty() {
        return Lowered::Waiting(waits);
    }
    let apps = apps::lower(topology, id);
    let ingresses = ingress::lower(topology, id);
    let (stubbed, entered): (Vec<_>, Vec<_>) = calls.iter().partition(|it| topology.has_stub(id, *it.0));
    let remotes: Vec<_> =
        entered.into_iter().map(|(callee, ports)| entries::remote(topology, addresses, id, *callee, ports)).collect();
    let beside = stubbed.iter().copied().chain(&view.shared);
    let workload_entries =
        beside.flat_map(|(callee, ports)| stubs::workload_entries(topology, id, *callee, ports)).collect();
    let stubs: Vec<_> =
        stubbed.into_iter().map(|(callee, ports)| stubs::service(topology, id, *callee, ports)).collect();
    let newer = cluster.passes_through();
    let exported = view.exports.iter().filter(|_| newer);
    let owned = exported
        .clone()
        .filter(|it| !it.1.global.is_empty())
        .map(|(callee, export)| entries::owned(topology, addresses, id, *callee, &export.global))
        .collect();
    let (destination_rules, splits) = if newer { routing::lower(topology, id) } else { Default::default() };
    let externals: Vec<_> = topology
        .externals
        .iter()
        .filter(|it| it.clusters.contains(&id))
        .map(|it| entries::external(topology, id, it))
        .collect();
    let dns = cluster.dns.as_ref().map(|dns| Dns {
        provider: dns.provider,
        suffix: &topology.mesh.suffix,
        address: dns.address.expect("a cluster without it waits"),
        server: &dns.server,
        old_coredns: dns.old_coredns,
        local_address: dns.local_address,
        existing: dns.existing.as_ref(),
        hosts: calls
            .keys()
            .filter(|callee| !topology.has_stub(id, **callee))
            .filter_map(|callee| Some((topology.host(id, *callee), addresses.v4(*callee)?)))
            .collect(),
    });
    let mut namespaces: IndexMap<&str, bool> = IndexMap::from([("istio-system", false)]);
    let used = view.local.iter().map(|it| topology.service(*it).namespace.as_str());
    namespaces.extend(
        used.chain(remotes.iter().map(|it| it.namespace))
            .chain(stubs.iter().map(|it| it.namespace))
            .chain(externals.iter().map(|it| it.namespace))
            .map(|it| (it, true)),
    );
    namespaces.extend(ingresses.iter().map(|it| (it.namespace, true)));
    Lowered::Ready(Box::new(ClusterModel {
        gateway: cluster.gateway.as_ref(),
        ranges: cluster.ranges.all.iter().map(|(what, range, _)| (*what, range.to_string())).collect(),
        name: &cluster.name,
        context: &cluster.context,
        release: cluster.istio.to_string(),
        target: cluster.target,
        kubernetes: cluster.kubernetes.map(|it| format!("{}.{}", it.major, it.minor)),
        suffix: &topology.mesh.suffix,
        namespaces: namespaces
            .into_iter()
            .map(|(name, injected)| Namespace {
                name,
                injected,
                // The root namespace speaks for the whole cluster.
                network: (!injected && newer).then_some(cluster.network.as_str()),
            })
            .collect(),
        trust: &cluster.trust,
        install: if newer {
            Install::ControlPlane(control_plane::lower(topology, id, &ingresses))
        } else {
            Install::Charts(install::lower(topology, id, &ingresses))
        },
        dns,
        loose_gateway_schema: cluster.target.loose_gateway_schema.is_some_and(|last| cluster.istio.patch <= last),
        needs_old_helm: cluster.target.needs_old_helm.is_some_and(|last| cluster.istio.patch <= last),
        peer_authentication: cluster.target.strict_mtls == crate::target::StrictMtls::PeerAuthentication,
        network: &cluster.network,
        exports: exports(topology, exported),
        remote_networks: remote_networks(topology, id),
        mesh_networks: topology.mesh.gateway_addresses == GatewayAddresses::MeshNetworks,
        owned,
        remotes,
        stubs,
        workload_entries,
        destination_rules,
        splits,
        sidecars: if newer && topology.mesh.scope == Scope::Declared { sidecars(topology, id) } else { Vec::new() },
        policies: if newer { scope::policies(topology, id) } else { Vec::new() },
        externals,
        apps,
        ingresses,
        callers: view.callers.iter().map(|it| topology.cluster(*it).name.as_str()).collect(),
    }))
}

/// The hosts that the gateway lets in.
fn exports<'a>(topology: &Topology, exported: impl Iterator<Item = (&'a ServiceId, &'a Export)>) -> Vec<String> {
    let hosts: BTreeSet<_> = exported
        .flat_map(|(callee, export)| {
            let global = (!export.global.is_empty()).then(|| topology.global_host(*callee));
            let local = (!export.cluster_local.is_empty()).then(|| topology.local_host(*callee));
            global.into_iter().chain(local)
        })
        .collect();
    hosts.into_iter().collect()
}

/// The gateways that are written once, of all clusters that are called from here.
fn remote_networks(topology: &Topology, id: ClusterId) -> Vec<RemoteNetwork<'_>> {
    if topology.addresses_inline(id) {
        return Vec::new();
    }
    called(topology, id)
        .into_keys()
        .filter_map(|owner| {
            let cluster = topology.cluster(owner);
            let gateway = cluster.gateway.as_ref()?;
            Some(RemoteNetwork {
                network: &cluster.network,
                addresses: gateway.addresses_from(id),
                port: gateway.dial(),
            })
        })
        .collect()
}

/// The clusters that are called from here, each with a service that runs there.
fn called(topology: &Topology, id: ClusterId) -> BTreeMap<ClusterId, ServiceId> {
    let view = topology.view(id);
    let mut owners = BTreeMap::new();
    for callee in view.outgoing.keys().chain(view.shared.keys()) {
        for owner in topology.service(*callee).elsewhere(id) {
            owners.entry(owner).or_insert(*callee);
        }
    }
    owners
}

/// The file of what the mesh is told of a service, without ending. A name with no dot is that of
/// anything else.
fn file(service: &Service) -> String {
    format!("{}.{}", service.name, service.namespace)
}

/// An identity as certificates and policies name it, without the scheme.
pub(crate) fn identity(cluster: &Cluster, service: &Service) -> String {
    format!("{}/ns/{}/sa/{}", cluster.trust_domain, service.namespace, service.service_account)
}

/// The addresses that must be known before this cluster's bundle can be written.
fn waits(topology: &Topology, id: ClusterId) -> Vec<Wait> {
    let cluster = topology.cluster(id);
    let pending = |owner: ClusterId| {
        let gateway = topology.cluster(owner).gateway.as_ref();
        gateway.is_some_and(|it| it.addresses_from(id).contains(&Address::Pending))
    };
    let mut waits: Vec<_> = called(topology, id)
        .into_iter()
        .filter(|(owner, _)| pending(*owner))
        .map(|(owner, callee)| {
            let owner = &topology.cluster(owner).name;
            Wait {
                what: format!("the gateway address of `{owner}`"),
                why: format!("`{}` is called from here and runs there", topology.service(callee).key),
                give: format!("--address {owner}=ADDRESS"),
            }
        })
        .collect();
    if cluster.gateway.as_ref().is_some_and(|it| it.pin && it.addresses.contains(&Address::Pending)) {
        waits.push(Wait {
            what: "its own gateway address".to_owned(),
            why: "the install file pins it".to_owned(),
            give: format!("--address {}=ADDRESS", cluster.name),
        });
    }
    if cluster.dns.as_ref().is_some_and(|it| it.address.is_none()) {
        waits.push(Wait {
            what: "the address of its DNS server".to_owned(),
            why: "the stub domain leads to it".to_owned(),
            give: format!("--address {}.dns=ADDRESS", cluster.name),
        });
    }
    waits
}
