//! The one call that somebody asks for, whether it is declared or not.

use super::World;
use super::call::{self, Call, Caller, Door};
use super::service::CLUSTER_DOMAIN;
use crate::Mesh;
use crate::diag::nearest;
use crate::topology::{ClusterId, Topology};

/// What is asked for and does not exist.
#[derive(Debug)]
pub struct Unknown {
    /// What does not exist.
    pub message: String,
    /// What does.
    pub help: Option<String>,
}

impl World {
    /// The call of a service of a cluster to a service, by its key, or to a host; with `:port`, if it has several.
    /// Instead of a service, an ingress that the cluster serves may call, or `outside` for any of them.
    ///
    /// # Errors
    /// When there is no such caller or cluster, or the port is not said.
    pub fn call(&self, mesh: &Mesh, caller: &str, cluster: &str, to: &str) -> Result<Call, Unknown> {
        let topology = &mesh.topology;
        let clusters: Vec<_> = mesh.clusters().map(|it| it.1).collect();
        let Some((here, _)) = mesh.clusters().find(|it| it.1 == cluster) else {
            return Err(unknown(format!("the topology has no cluster `{cluster}`"), cluster, &clusters));
        };
        let (name, port) = parts(to)?;
        let Some(base) = call::base(topology, here, caller) else {
            return from_outside(topology, here, caller, name, port).ok_or_else(|| {
                let local = topology.view(here).local.iter().map(|it| topology.service(*it).key.as_str());
                let ingresses = topology.ingresses.iter().filter(|it| it.clusters.contains(&here));
                let keys: Vec<_> = local.chain(ingresses.map(|it| it.name.as_str())).collect();
                unknown(format!("`{cluster}` runs no service and serves no ingress `{caller}`"), caller, &keys)
            });
        };
        let declared = call::of(topology, here).into_iter().find(|it| {
            it.caller == Caller::Service(caller.to_owned())
                && (it.callee == name || it.host == name)
                && port.is_none_or(|port| it.port == port)
        });
        if let Some(call) = declared {
            return Ok(call);
        }
        let service = topology.services.iter().position(|it| it.key == name).map(crate::topology::ServiceId);
        let (host, meant, ports) = match service {
            Some(id) => {
                let ports: Vec<u16> = topology.service(id).ports.iter().map(|it| it.number).collect();
                (topology.host(here, id), vec![call::meant(topology, id)], ports)
            }
            None => (name.to_owned(), Vec::new(), Vec::new()),
        };
        let port = match (port, ports.as_slice()) {
            (Some(port), _) => port,
            (None, [port]) => *port,
            (None, _) => {
                let help = match ports.as_slice() {
                    [] => format!("write `{name}:80`"),
                    all => format!("its ports are {}", all.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")),
                };
                return Err(Unknown { message: format!("no port of `{name}` is named"), help: Some(help) });
            }
        };
        let outside = service.is_none() && is_outside(topology, &host);
        Ok(Call { callee: name.to_owned(), host, port, meant, outside, ..base })
    }
}

/// What anybody outside calls.
const OUTSIDE: &str = "outside";

/// A call of the outside, through an ingress of this key or any. A host that none serves is asked for all the same.
fn from_outside(topology: &Topology, here: ClusterId, caller: &str, name: &str, port: Option<u16>) -> Option<Call> {
    let is_asked = |it: &Call| matches!(&it.caller, Caller::Ingress(key) if caller == OUTSIDE || key == caller);
    let doors: Vec<Call> = call::of(topology, here).into_iter().filter(is_asked).collect();
    let serves = |it: &&Call| it.door.as_ref().is_some_and(|door| door.hosts.iter().any(|it| it == name));
    let leads = |it: &&Call| it.callee == name || it.host == name;
    if let Some(served) = doors.iter().find(serves) {
        let mut call = served.clone();
        if let Some(door) = &mut call.door {
            door.hosts = vec![name.to_owned()];
            door.port = port.unwrap_or(door.port);
        }
        return Some(call);
    }
    if let Some(call) = doors.iter().find(leads) {
        return Some(call.clone());
    }
    let mut call = doors.into_iter().next()?;
    let door = call.door.as_mut()?;
    *door = Door { hosts: vec![name.to_owned()], port: port.unwrap_or(door.port), paths: Vec::new() };
    Some(Call { callee: name.to_owned(), host: name.to_owned(), port: door.port, meant: Vec::new(), ..call })
}

/// Whether the DNS of the world may know a name: it has dots, and does not end as those of the mesh do.
fn is_outside(topology: &Topology, host: &str) -> bool {
    let own = [CLUSTER_DOMAIN, topology.mesh.suffix.as_str()];
    host.contains('.') && !own.iter().any(|it| host.strip_suffix(it).is_some_and(|it| it.ends_with('.')))
}

fn parts(to: &str) -> Result<(&str, Option<u16>), Unknown> {
    match to.rsplit_once(':') {
        None => Ok((to, None)),
        Some((name, port)) => match port.parse() {
            Ok(port) if port > 0 => Ok((name, Some(port))),
            _ => Err(Unknown { message: format!("`{port}` is no port"), help: None }),
        },
    }
}

pub(super) fn unknown(message: String, name: &str, known: &[&str]) -> Unknown {
    let help = match nearest(name, known.iter().copied()) {
        Some(near) => format!("there is `{near}`"),
        None => format!("there are {}", known.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")),
    };
    Unknown { message, help: Some(help) }
}
