//! `Call`: what the topology declares, as somebody who looks from outside would put it.

use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexMap;

use crate::topology::{ClusterId, Form, Protocol, ServiceId, Topology};

/// A call that pods of one cluster make, or that comes in from outside.
#[derive(Debug, Clone)]
pub struct Call {
    /// The cluster of the caller.
    pub cluster: String,
    /// Who calls.
    pub caller: Caller,
    /// The key of the service or the external host that is called.
    pub callee: String,
    /// The name that is called.
    pub host: String,
    /// The port that is called.
    pub port: u16,
    /// What is spoken, if it is known.
    pub(super) spoken: Option<Protocol>,
    pub(super) namespace: String,
    /// The labels of the caller's pods.
    pub(super) selector: BTreeMap<String, String>,
    /// Variables that tell the caller whom to call.
    pub(super) variables: Vec<(String, Form)>,
    /// Whether what is called lies outside of the mesh.
    pub(super) outside: bool,
    /// The namespace and labels of the pods that are meant, any of these; none if nobody says so.
    pub(super) meant: Vec<Meant>,
    /// What is asked of the gateway, if the call comes from outside.
    pub(super) door: Option<Door>,
}

/// How the outside comes in.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub(super) hosts: Vec<String>,
    pub(super) port: u16,
    pub(super) paths: Vec<String>,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Caller {
    /// The pods of the service of this key.
    Service(String),
    /// The outside, through the ingress of this key.
    Ingress(String),
}

/// What is called from a cluster.
pub(super) fn of(topology: &Topology, here: ClusterId) -> Vec<Call> {
    let cluster = topology.cluster(here);
    let mut calls = Vec::new();
    for id in &topology.view(here).local {
        let service = topology.service(*id);
        let base = of_service(topology, here, *id);
        for call in &service.calls {
            let callee = topology.service(call.callee);
            let port = &callee.ports[call.port];
            calls.push(Call {
                callee: callee.key.clone(),
                host: topology.host(here, call.callee),
                port: port.number,
                spoken: Some(port.protocol),
                variables: call.variables.iter().map(|it| (it.name.clone(), it.form.clone())).collect(),
                meant: vec![meant(topology, call.callee)],
                ..base.clone()
            });
        }
        for external in topology.externals.iter().filter(|it| it.callers.contains(id)) {
            for host in &external.hosts {
                for port in &external.ports {
                    calls.push(Call {
                        callee: external.name.clone(),
                        host: host.clone(),
                        port: port.number,
                        spoken: Some(port.protocol),
                        outside: true,
                        ..base.clone()
                    });
                }
            }
        }
    }
    for ingress in topology.ingresses.iter().filter(|it| it.clusters.contains(&here)) {
        let service = topology.service(ingress.service);
        let port = &service.ports[ingress.port];
        let gateway = &cluster.ingress_gateway;
        calls.push(Call {
            cluster: cluster.name.clone(),
            caller: Caller::Ingress(ingress.name.clone()),
            callee: service.key.clone(),
            host: topology.host(here, ingress.service),
            port: port.number,
            spoken: Some(port.protocol),
            namespace: gateway.namespace.clone(),
            selector: labels(&gateway.selector),
            variables: Vec::new(),
            outside: false,
            meant: vec![meant(topology, ingress.service)],
            door: Some(Door { hosts: ingress.hosts.clone(), port: ingress.listen, paths: ingress.paths.clone() }),
        });
    }
    calls
}

/// A call of a service of a cluster, to nobody yet.
pub(super) fn base(topology: &Topology, here: ClusterId, key: &str) -> Option<Call> {
    let id = topology.view(here).local.iter().find(|it| topology.service(**it).key == key)?;
    Some(of_service(topology, here, *id))
}

fn of_service(topology: &Topology, here: ClusterId, id: ServiceId) -> Call {
    let service = topology.service(id);
    Call {
        cluster: topology.cluster(here).name.clone(),
        caller: Caller::Service(service.key.clone()),
        callee: String::new(),
        host: String::new(),
        port: 0,
        spoken: None,
        namespace: service.namespace.clone(),
        selector: labels(&service.selector),
        variables: Vec::new(),
        outside: false,
        meant: Vec::new(),
        door: None,
    }
}

/// The namespace and labels of pods.
pub(super) type Meant = (String, BTreeMap<String, String>);

/// Those of a service.
pub(super) fn meant(topology: &Topology, id: ServiceId) -> Meant {
    let service = topology.service(id);
    (service.namespace.clone(), labels(&service.selector))
}

fn labels(selector: &IndexMap<String, String>) -> BTreeMap<String, String> {
    selector.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

impl Call {
    /// Whether the caller's pods are in this namespace.
    pub(crate) fn is_from(&self, namespace: &str) -> bool {
        self.namespace == namespace
    }

    /// What tells calls apart, of whichever mesh: the cluster of the caller, who calls whom, host and port.
    pub(crate) fn key(&self) -> (String, Caller, String, String, u16) {
        (self.cluster.clone(), self.caller.clone(), self.callee.clone(), self.host.clone(), self.port)
    }

    /// Whether it is the call of the same caller to the same host and port.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.key() == other.key()
    }

    /// From outside for one of the hosts alone.
    pub(crate) fn at_host(&self, host: &str) -> Self {
        let door = self.door.as_ref().map(|it| Door { hosts: vec![host.to_owned()], ..it.clone() });
        Self { door, ..self.clone() }
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

    /// Whether it is the outside, through an ingress.
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
        let Self { cluster, caller, callee, host, port, .. } = self;
        write!(f, "{caller} in `{cluster}` calls `{callee}` at `{host}:{port}`")
    }
}
