//! `Loss`: what is gone, as somebody asks who wants to know what becomes of the calls.

use std::fmt;

use super::asked::{Unknown, unknown};
use super::call::{Call, Caller};
use super::hop::{Break, HopKind};
use super::path::{Path, Way};
use crate::Mesh;

/// Something that is gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// A cluster: its pods, its gateways, and whoever calls there.
    Cluster(String),
    /// The gateway of a cluster: what comes in through it.
    Gateway(String),
    /// The pods of a service, by its key: in all clusters, or in one.
    Service(String, Option<String>),
}

impl Loss {
    /// A cluster of the topology.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn cluster(mesh: &Mesh, name: &str) -> Result<Self, Unknown> {
        let all: Vec<_> = mesh.clusters().map(|it| it.1).collect();
        if all.contains(&name) {
            Ok(Self::Cluster(name.to_owned()))
        } else {
            Err(unknown(format!("the topology has no cluster `{name}`"), name, &all))
        }
    }

    /// The gateway of a cluster of the topology.
    ///
    /// # Errors
    /// When there is no such cluster, or it has none.
    pub fn gateway(mesh: &Mesh, name: &str) -> Result<Self, Unknown> {
        Self::cluster(mesh, name)?;
        let all = gateways(mesh);
        if all.contains(&name) {
            Ok(Self::Gateway(name.to_owned()))
        } else {
            Err(unknown(format!("`{name}` has no gateway for other clusters"), name, &all))
        }
    }

    /// `SERVICE`, or `SERVICE@CLUSTER`.
    ///
    /// # Errors
    /// When there is no such service, or it does not run there.
    pub fn service(mesh: &Mesh, text: &str) -> Result<Self, Unknown> {
        let (key, cluster) = match text.split_once('@') {
            Some((key, cluster)) => (key, Some(cluster)),
            None => (text, None),
        };
        let keys: Vec<_> = mesh.topology.services.iter().map(|it| it.key.as_str()).collect();
        let Some(service) = mesh.topology.services.iter().find(|it| it.key == key) else {
            return Err(unknown(format!("the topology has no service `{key}`"), key, &keys));
        };
        let runs: Vec<_> = service.placement.iter().map(|it| mesh.topology.cluster(*it).name.as_str()).collect();
        match cluster {
            Some(cluster) if !runs.contains(&cluster) => {
                Err(unknown(format!("`{key}` does not run in `{cluster}`"), cluster, &runs))
            }
            _ => Ok(Self::Service(key.to_owned(), cluster.map(str::to_owned))),
        }
    }

    /// Each cluster, each gateway and each service, in the order of the topology; a service of several clusters in
    /// all and in each.
    #[must_use]
    pub fn each(mesh: &Mesh) -> Vec<Self> {
        let clusters = mesh.clusters().map(|it| Self::Cluster(it.1.to_owned()));
        let mut all: Vec<_> =
            clusters.chain(gateways(mesh).into_iter().map(|it| Self::Gateway(it.to_owned()))).collect();
        for service in &mesh.topology.services {
            all.push(Self::Service(service.key.clone(), None));
            if service.placement.len() > 1 {
                let runs = service.placement.iter().map(|it| mesh.topology.cluster(*it).name.clone());
                all.extend(runs.map(|it| Self::Service(service.key.clone(), Some(it))));
            }
        }
        all
    }

    /// Whatever ends a way of a call when it is gone.
    pub(super) fn of_way(call: &Call, way: &Way) -> Vec<Self> {
        let Some(cluster) = &way.cluster else { return Vec::new() };
        let mut all = vec![Self::Service(call.callee.clone(), Some(cluster.clone()))];
        if way.via.is_some() {
            all.extend([Self::Cluster(cluster.clone()), Self::Gateway(cluster.clone())]);
        }
        all
    }

    /// Whether whoever makes a call is gone with it.
    pub(super) fn takes_caller(&self, call: &Call) -> bool {
        match (self, &call.caller) {
            (Self::Cluster(name), _) => *name == call.cluster,
            (Self::Service(key, cluster), Caller::Service(caller)) => {
                key == caller && cluster.as_ref().is_none_or(|it| *it == call.cluster)
            }
            _ => false,
        }
    }

    /// Where a way of a call ends with it, if it does.
    pub(super) fn ends(&self, call: &Call, path: &Path, way: &Way) -> Option<Box<Break>> {
        let there = way.cluster.as_deref()?;
        let is_there = |name: &Option<String>| name.as_deref().is_none_or(|it| it == there);
        let at = |kind: HopKind| way.hops.iter().find(|it| it.kind == kind).and_then(|it| it.place.clone());
        match self {
            Self::Cluster(name) | Self::Gateway(name) if name == there && way.via.is_some() => {
                let text = if matches!(self, Self::Cluster(_)) {
                    format!("`{there}` is gone")
                } else {
                    format!("the gateway of `{there}` is gone")
                };
                Some(Break::new(HopKind::Gateway, there, text).at(at(HopKind::Endpoint)).effect(REFUSED))
            }
            Self::Service(key, cluster) if *key == call.callee && is_there(cluster) => {
                let text = format!("no pod of `{key}` is left in `{there}`");
                Some(if way.via.is_some() {
                    Break::new(HopKind::Owner, there, text).at(at(HopKind::Owner)).effect(RESET)
                } else {
                    let last = path.hops.iter().rfind(|it| it.kind == HopKind::Endpoint);
                    Break::new(HopKind::Endpoint, there, text).at(last.and_then(|it| it.place.clone())).effect(NOBODY)
                })
            }
            _ => None,
        }
    }
}

const REFUSED: &str = "timeout, or connection refused: 503 UF";
const RESET: &str = "the gateway has nobody to pass the connection to, and resets it: 503 UF";
const NOBODY: &str = "503 UH: no healthy upstream, or the connection is reset";

fn gateways(mesh: &Mesh) -> Vec<&str> {
    mesh.clusters().filter(|it| mesh.cluster(it.0).gateway.is_some()).map(|it| it.1).collect()
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster(name) => write!(f, "the cluster `{name}`"),
            Self::Gateway(name) => write!(f, "the gateway of `{name}`"),
            Self::Service(key, None) => write!(f, "the service `{key}`"),
            Self::Service(key, Some(cluster)) => write!(f, "the service `{key}` in `{cluster}`"),
        }
    }
}
