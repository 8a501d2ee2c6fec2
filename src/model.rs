//! `lower`: one cluster's point of view, with every decision made. Rendering only writes it down.
//!
//! Strings are final here: hosts, addresses, names of objects. A [`ClusterModel`] needs no look at
//! another cluster, and no look at the topology it came from beyond what it borrows.

mod apps;
mod entries;
mod ingress;
mod install;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use indexmap::IndexMap;
use serde::Serialize;

use crate::addresses::Addresses;
use crate::syntax::{Provider, WorkloadSpec};
use crate::target::Istio;
use crate::topology::{Address, ClusterId, DnsServer, ExistingDns, Gateway, ServiceId, Topology, Trust};

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
    /// The install file.
    pub install: Install<'a>,
    /// Names of the suffix in this cluster.
    pub dns: Option<Dns<'a>>,
    /// Whether strict mTLS is an object of its own.
    pub peer_authentication: bool,
    /// Whether the charts of this very patch need an old Helm.
    pub needs_old_helm: bool,
    /// Services of other clusters that are called from here.
    pub remotes: Vec<Entry<'a>>,
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

/// The install file of a release.
#[derive(Debug)]
pub struct Install<'a> {
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

/// A port of the gateway's Service.
#[derive(Debug, Serialize)]
pub struct GatewayPort {
    /// Its name.
    pub name: String,
    /// Its number.
    pub port: u16,
    /// The container port.
    pub target_port: u16,
    /// The node port, if pinned.
    pub node_port: Option<u16>,
}

/// A ServiceEntry.
#[derive(Debug, Serialize)]
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
}

/// An endpoint of a ServiceEntry.
#[derive(Debug, Serialize)]
pub struct Endpoint<'a> {
    /// Of a gateway.
    pub address: String,
    /// Port names and the port to connect to.
    pub ports: Vec<EndpointPort<'a>>,
    /// Where it is.
    pub locality: Option<&'a str>,
}

/// A port of an endpoint.
#[derive(Debug, Serialize)]
pub struct EndpointPort<'a> {
    /// A port of the entry.
    pub name: &'a str,
    /// What to connect to.
    pub number: u16,
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
    let waits = waits(topology, id, calls);
    if !waits.is_empty() {
        return Lowered::Waiting(waits);
    }
    let apps = apps::lower(topology, id);
    let ingresses = ingress::lower(topology, id);
    let remotes: Vec<_> =
        calls.iter().map(|(callee, ports)| entries::remote(topology, addresses, id, *callee, ports)).collect();
    let externals: Vec<_> = topology
        .externals
        .iter()
        .filter(|it| it.clusters.contains(&id))
        .map(|it| entries::external(cluster, it))
        .collect();
    let dns = cluster.dns.as_ref().map(|dns| Dns {
        provider: dns.provider,
        suffix: &topology.mesh.suffix,
        address: dns.address.expect("a cluster without it waits"),
        server: &dns.server,
        old_coredns: dns.old_coredns,
        local_address: dns.local_address,
        existing: dns.existing.as_ref(),
        hosts: calls.keys().map(|callee| (topology.global_host(*callee), addresses.get(*callee))).collect(),
    });
    let mut namespaces: IndexMap<&str, bool> = IndexMap::from([("istio-system", false)]);
    let used = view.local.iter().map(|it| topology.service(*it).namespace.as_str());
    namespaces.extend(
        used.chain(remotes.iter().map(|it| it.namespace))
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
        namespaces: namespaces.into_iter().map(|(name, injected)| Namespace { name, injected }).collect(),
        trust: &cluster.trust,
        install: install::lower(topology, id, &ingresses),
        dns,
        needs_old_helm: cluster.target.needs_old_helm.is_some_and(|last| cluster.istio.patch <= last),
        peer_authentication: cluster.target.strict_mtls == crate::target::StrictMtls::PeerAuthentication,
        remotes,
        externals,
        apps,
        ingresses,
        callers: view.callers.iter().map(|it| topology.cluster(*it).name.as_str()).collect(),
    }))
}

/// The addresses that must be known before this cluster's bundle can be written.
fn waits(topology: &Topology, id: ClusterId, calls: &BTreeMap<ServiceId, BTreeSet<usize>>) -> Vec<Wait> {
    let cluster = topology.cluster(id);
    let mut owners: BTreeMap<ClusterId, ServiceId> = BTreeMap::new();
    for callee in calls.keys() {
        for owner in &topology.service(*callee).placement {
            owners.entry(*owner).or_insert(*callee);
        }
    }
    let pending =
        |owner: ClusterId| topology.cluster(owner).gateway.as_ref().is_some_and(|it| it.address == Address::Pending);
    let mut waits: Vec<_> = owners
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
    if cluster.gateway.as_ref().is_some_and(|it| it.pin && it.address == Address::Pending) {
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
