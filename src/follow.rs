//! `follow`: the path of each declared call through the objects of all clusters, at one moment.
//!
//! A [`World`] is what the API servers of all clusters hold, and which pods are ready. It reads
//! objects, and nothing of how they were made; only who calls whom, which gateway has which
//! address and which pods somebody else deploys is the topology's to say.
//!
//! A call is followed as Istio leads it: what its sidecar is told of, routes, subsets, endpoints,
//! the gateway of the far cluster, what answers behind it, whether the caller is let in there, and
//! whether it is the one that the caller expects. A path is whole only if every endpoint that the
//! call may reach answers, for any of them may be chosen.

mod path;
mod site;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use indexmap::IndexMap;
use serde_yaml::Value;

pub use path::{Break, Path, Way};

pub(crate) use site::Site;

use crate::Mesh;
use crate::bundle::Bundle;
use crate::model::{self, Wait};
use crate::phases;
use crate::topology::{Address, ClusterId, Port, Service, ServiceId, TargetPort, Topology, Workload};
use site::Foreign;

/// A call that pods of one cluster make.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call {
    /// The key of the service that calls, or of the ingress.
    pub caller: Caller,
    /// The key of the service that is called, or of what is called outside of the mesh.
    pub callee: String,
    /// The name that is called.
    pub host: String,
    /// The port that is called.
    pub port: u16,
    /// The namespace of the caller's pods.
    namespace: String,
    /// What the caller's certificate says, if it is known.
    identity: Option<String>,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Caller {
    /// The pods of the service of this key.
    Service(String),
    /// The gateway that serves the outside, for the ingress of this key.
    Ingress(String),
}

/// The objects and ready pods of all clusters, at one moment.
#[derive(Debug, Clone)]
pub struct World {
    /// By name, in the order of the topology.
    pub(crate) sites: IndexMap<String, Site>,
    places: Places,
}

/// Where the clusters are.
#[derive(Debug, Clone, Default)]
struct Places {
    /// The clusters behind an address and port of a gateway.
    gateways: BTreeMap<(String, u16), BTreeSet<String>>,
    /// The clusters of a network.
    networks: BTreeMap<String, BTreeSet<String>>,
}

impl World {
    /// A mesh whose bundles were applied everywhere, with all pods ready.
    ///
    /// # Errors
    /// When clusters wait for an address; says for which.
    pub fn of(mesh: &Mesh) -> Result<Self, Vec<Wait>> {
        Ok(Self::with(mesh, &mesh.bundles()?))
    }

    /// The same, of bundles that are at hand.
    pub(crate) fn with(mesh: &Mesh, bundles: &IndexMap<String, Bundle>) -> Self {
        let sites = mesh.clusters().filter_map(|(id, name)| {
            let applied = bundles.get(name)?.files().filter(|(_, file)| file.applied);
            let mut site = Site::empty(mesh, id);
            applied
                .flat_map(|(path, file)| phases::objects(path, &file.text))
                .for_each(|(id, object)| site.put(id, object.value.into()));
            site.roll_out();
            site.calls = calls(mesh, id);
            Some((name.to_owned(), site))
        });
        Self { sites: sites.collect(), places: Places::of(&mesh.topology) }
    }

    /// Makes a cluster what it is in another world, or takes it away if that has none of this name.
    /// The gateways of both worlds answer from now on.
    pub fn take(&mut self, cluster: &str, from: &Self) {
        self.places.add(&from.places);
        match from.sites.get(cluster) {
            Some(site) => {
                self.sites.insert(cluster.to_owned(), site.clone());
            }
            None => {
                self.sites.shift_remove(cluster);
            }
        }
    }

    /// Adds the clusters of another world, as they are `empty`, its gateways, and the pods that
    /// somebody else deploys there.
    pub(crate) fn join(&mut self, other: &Self, empty: impl Fn(&str) -> Site) {
        self.places.add(&other.places);
        for (name, site) in &other.sites {
            match self.sites.get_mut(name) {
                Some(own) => own.join(site),
                None => {
                    self.sites.insert(name.clone(), empty(name));
                }
            }
        }
    }

    /// The clusters, in the order of the topology.
    pub fn clusters(&self) -> impl Iterator<Item = &str> {
        self.sites.keys().map(String::as_str)
    }

    /// The calls that pods of a cluster make.
    pub fn calls(&self, cluster: &str) -> &[Call] {
        self.sites.get(cluster).map_or(&[], |it| &it.calls)
    }

    /// Every call that has no whole path: the cluster of the caller, the call, and where it ends.
    pub fn broken(&self) -> Vec<(&str, &Call, Break)> {
        let all = self.sites.iter().flat_map(|(cluster, site)| site.calls.iter().map(move |it| (cluster.as_str(), it)));
        all.filter_map(|(cluster, call)| Some((cluster, call, self.follow(cluster, call).err()?))).collect()
    }
}

impl Places {
    fn of(topology: &Topology) -> Self {
        let mut places = Self::default();
        for cluster in &topology.clusters {
            places.networks.entry(cluster.network.clone()).or_default().insert(cluster.name.clone());
            let Some(gateway) = &cluster.gateway else { continue };
            for address in gateway.all_addresses().filter(|it| **it != Address::Pending) {
                let at = (address.to_string(), gateway.dial());
                places.gateways.entry(at).or_default().insert(cluster.name.clone());
            }
        }
        places
    }

    fn add(&mut self, other: &Self) {
        for (at, names) in &other.gateways {
            self.gateways.entry(at.clone()).or_default().extend(names.iter().cloned());
        }
        for (network, names) in &other.networks {
            self.networks.entry(network.clone()).or_default().extend(names.iter().cloned());
        }
    }
}

/// What pods of a cluster call, as the topology says it.
pub(crate) fn calls(mesh: &Mesh, here: ClusterId) -> Vec<Call> {
    let topology = &mesh.topology;
    let cluster = topology.cluster(here);
    let call = |caller, namespace: &str, identity, callee: ServiceId, port: usize| Call {
        caller,
        callee: topology.service(callee).key.clone(),
        host: topology.host(here, callee),
        port: topology.service(callee).ports[port].number,
        namespace: namespace.to_owned(),
        identity,
    };
    let pods = topology.view(here).local.iter().map(|it| topology.service(*it)).flat_map(|it| {
        let identity = it.account_known.then(|| model::identity(cluster, it));
        let caller = Caller::Service(it.key.clone());
        it.calls.iter().map(move |to| call(caller.clone(), &it.namespace, identity.clone(), to.callee, to.port))
    });
    let outward = topology.externals.iter().flat_map(|external| {
        let callers = external.callers.iter().map(|it| topology.service(*it)).filter(|it| it.runs_in(here));
        callers.flat_map(move |caller| {
            let ports = external.hosts.iter().flat_map(|host| external.ports.iter().map(move |port| (host, port)));
            ports.map(|(host, port)| Call {
                caller: Caller::Service(caller.key.clone()),
                callee: external.name.clone(),
                host: host.clone(),
                port: port.number,
                namespace: caller.namespace.clone(),
                identity: None,
            })
        })
    });
    let gateway = &cluster.ingress_gateway;
    let identity = Some(model::ingress_identity(cluster));
    let served =
        topology.ingresses.iter().filter(|it| it.clusters.contains(&here)).map(|it| {
            call(Caller::Ingress(it.name.clone()), &gateway.namespace, identity.clone(), it.service, it.port)
        });
    pods.chain(outward).chain(served).collect()
}

impl Site {
    /// A cluster in which nothing was applied yet.
    pub(crate) fn empty(mesh: &Mesh, id: ClusterId) -> Self {
        let cluster = mesh.topology.cluster(id);
        let mut site = Self::new(cluster.passes_through(), &mesh.topology.mesh.suffix, &cluster.trust_domain);
        site.foreign = foreign(&mesh.topology, id);
        site
    }
}

/// What answers in a cluster and is in no bundle.
fn foreign(topology: &Topology, here: ClusterId) -> Vec<Foreign> {
    let local = topology.view(here).local.iter().map(|it| topology.service(*it));
    local
        .filter(|it| !matches!(it.workload, Workload::Deployment(_)))
        .map(|it| Foreign {
            namespace: it.namespace.clone(),
            name: it.name.clone(),
            labels: it.selector.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            account: it.account_known.then(|| it.service_account.clone()),
            service: matches!(it.workload, Workload::Elsewhere).then(|| service_of(it)),
        })
        .collect()
}

/// What the mesh is told of a Service that somebody else deploys.
fn service_of(service: &Service) -> Value {
    let port = |it: &Port| {
        let target = match &it.target {
            TargetPort::Number(number) => Value::from(*number),
            TargetPort::Name(name) => Value::from(name.as_str()),
        };
        let fields = [("name", it.name.as_str().into()), ("port", it.number.into()), ("targetPort", target)];
        map(fields)
    };
    let selector = service.selector.iter().map(|(key, value)| (key.as_str(), value.as_str().into()));
    let ports: Vec<Value> = service.ports.iter().map(port).collect();
    map([("spec", map([("selector", map(selector)), ("ports", ports.into())]))])
}

fn map<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Mapping(fields.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

impl Call {
    /// Whether the caller's pods are in this namespace.
    pub(crate) fn is_from(&self, namespace: &str) -> bool {
        self.namespace == namespace
    }
}

impl Caller {
    /// Its key in the topology.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Service(key) | Self::Ingress(key) => key,
        }
    }

    /// Whether it is the gateway that serves the outside.
    #[must_use]
    pub fn is_ingress(&self) -> bool {
        matches!(self, Self::Ingress(_))
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(key) => write!(f, "`{key}`"),
            Self::Ingress(key) => write!(f, "the ingress `{key}`"),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls `{}` at `{}:{}`", self.caller, self.callee, self.host, self.port)
    }
}
