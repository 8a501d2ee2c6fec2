//! What must hold outside of the bundles for a roll-out to go as it says.

use std::collections::BTreeSet;

use indexmap::IndexSet;

use super::State;
use super::calls::{is_replaced, stops};
use crate::diff;
use crate::topology::{Cluster, ClusterId, Gateway, Service, Topology, Workload};

/// The conditions, in the order of the topology.
pub(super) fn of(old: &State<'_>, new: &State<'_>) -> Vec<String> {
    let mut all = Vec::new();
    for now in &new.topology().clusters {
        let Some(before) = old.cluster(&now.name) else {
            all.extend(renamed(old, new, now));
            continue;
        };
        all.extend(gateways(before, now));
        all.extend(identity(before, now));
    }
    all.extend(suffix(old.topology(), new.topology()));
    all.extend(virtual_ips(old, new));
    all.extend(callers(old.topology(), new.topology()));
    all.extend(stopped(old, new));
    for service in &new.topology().services {
        let before = old.topology().services.iter().find(|it| it.key == service.key);
        all.extend(before.into_iter().flat_map(|it| protocols(it, service).into_iter().chain(numbers(it, service))));
        all.extend(pods(old.topology(), before, new.topology(), service));
    }
    all
}

/// Where a gateway is reached, by each who may ask.
fn places(gateway: &Gateway) -> BTreeSet<String> {
    gateway.all_addresses().map(|it| format!("`{it}:{}`", gateway.dial())).collect()
}

fn gateways(old: &Cluster, new: &Cluster) -> Option<String> {
    let (before, after) = (places(old.gateway.as_ref()?), places(new.gateway.as_ref()?));
    let gone: Vec<_> = before.difference(&after).map(String::as_str).collect();
    let come: Vec<_> = after.difference(&before).map(String::as_str).collect();
    if gone.is_empty() || come.is_empty() {
        return None;
    }
    Some(format!(
        "The gateway of `{}` answers at {} before the first step, and goes on at {} until the last is done everywhere. \
         If it cannot have both, calls into `{0}` fail from the moment its address moves until a caller's cluster has \
         its turn.",
        new.name,
        come.join(" and "),
        gone.join(" and ")
    ))
}

/// A cluster of another name that is asked at the same place.
fn renamed(old: &State<'_>, new: &State<'_>, now: &Cluster) -> Option<String> {
    let gateway = places(now.gateway.as_ref()?);
    let gone = |it: &&Cluster| new.cluster(&it.name).is_none();
    let mut before = old.topology().clusters.iter().filter(gone);
    let before = before.find(|it| it.gateway.as_ref().is_some_and(|it| !places(it).is_disjoint(&gateway)))?;
    Some(format!(
        "`{}` has the gateway address of `{}`, which goes. If it is the same cluster under another name, keep the old name: \
         what is planned here is a cluster beside it, and an address has only one.",
        now.name, before.name
    ))
}

/// What is in certificates and in the configuration of Istio itself, and not in an object that is applied.
fn identity(old: &Cluster, new: &Cluster) -> Vec<String> {
    let name = &new.name;
    let mut all = Vec::new();
    if old.trust_domain != new.trust_domain {
        all.push(format!(
            "The trust domain of `{name}` changes from `{}` to `{}`: pods have it only once Istio is installed anew and they \
             are replaced. Calls from and to `{name}` may fail meanwhile.",
            old.trust_domain, new.trust_domain
        ));
    }
    if old.trust.root_fingerprint != new.trust.root_fingerprint {
        all.push(format!(
            "The root of `{name}` is another one: calls between clusters fail until all of them trust both roots. Roots are \
             not rolled out by bundles."
        ));
    }
    if old.network != new.network {
        all.push(format!(
            "The network of `{name}` changes from `{}` to `{}`, which is installed by hand: calls to it may fail until it is \
             the same everywhere.",
            old.network, new.network
        ));
    }
    if old.installer != new.installer {
        all.push(format!(
            "Istio in `{name}` is installed by another tool than before: nobody has followed the calls while it is. Install \
             the new gateways beside the old ones, or take calls away from `{name}` first."
        ));
    }
    let api = |it: &Cluster| it.gateway.as_ref().map(|it| it.api);
    if api(old).zip(api(new)).is_some_and(|(was, now)| was != now) {
        all.push(format!(
            "The gateway of `{name}` is made by other objects than before, with other pods: both have to answer at its address \
             until the last step is done, or calls into `{name}` fail for a while."
        ));
    }
    if old.passes_through() != new.passes_through() {
        all.push(format!(
            "`{name}` goes from Istio {} to {}, whose gateways speak in another way: nobody has followed the calls while it \
             is installed.",
            old.istio, new.istio
        ));
    }
    all
}

fn suffix(old: &Topology, new: &Topology) -> Option<String> {
    (old.mesh.suffix != new.mesh.suffix).then(|| {
        format!(
            "Names end in `{}` in place of `{}`: each cluster's DNS knows the new ones before the step in which callers change \
             over.",
            new.mesh.suffix, old.mesh.suffix
        )
    })
}

/// Callers that no variable tells whom to call, and the names that they must call.
fn callers(old: &Topology, new: &Topology) -> impl Iterator<Item = String> {
    diff::renamed_untold(old, new).into_iter().map(|it| {
        format!(
            "In `{}` no variable tells the pods of `{}` whom to call: they call `{}` in place of `{}` from when callers change \
             over, and before the step after that.",
            it.cluster, it.caller, it.new, it.old
        )
    })
}

/// Callers that the new bundles do not replace, and that no longer call who they called.
fn stopped(old: &State<'_>, new: &State<'_>) -> Vec<String> {
    let mut all = IndexSet::new();
    for cluster in old.world.clusters() {
        for call in old.world.calls_of(cluster).iter().filter(|it| !it.caller.is_ingress()) {
            let Some(service) = old.topology().services.iter().find(|it| it.key == call.caller.key()) else { continue };
            if !is_replaced([old, new], cluster, service) && stops(old, new, cluster, call) {
                all.insert(format!(
                    "The pods of {} in `{cluster}` stay as they are: before the first step they no longer call `{}` at \
                     `{}:{}`.",
                    call.caller, call.callee, call.host, call.port
                ));
            }
        }
    }
    all.into_iter().collect()
}

fn virtual_ips(old: &State<'_>, new: &State<'_>) -> Vec<String> {
    let before: std::collections::BTreeMap<_, _> = old.mesh.virtual_ips().collect();
    let moved = new.mesh.virtual_ips().filter_map(|(host, now)| Some((*before.get(&host)?, host, now)));
    moved
        .filter(|(was, _, now)| was != now && was.is_ipv4() == now.is_ipv4())
        .map(|(was, host, now)| {
            format!(
                "`{host}` moves from {was} to {now}: a pod that has looked it up before fails to connect until it asks again."
            )
        })
        .collect()
}

fn numbers(old: &Service, new: &Service) -> Vec<String> {
    let pairs = new.ports.iter().filter_map(|it| Some((old.ports.iter().find(|was| was.name == it.name)?, it)));
    pairs
        .filter(|(was, now)| was.number != now.number)
        .map(|(was, now)| {
            format!(
                "Port `{}` of `{}` moves from {} to {}, and no Service has one name for two ports. A port of another name beside \
                 it, for as long as callers change over, spares the gap.",
                now.name, new.key, was.number, now.number
            )
        })
        .collect()
}

fn protocols(old: &Service, new: &Service) -> Vec<String> {
    let pairs = new.ports.iter().filter_map(|it| Some((old.ports.iter().find(|was| was.number == it.number)?, it)));
    pairs
        .filter(|(was, now)| was.protocol != now.protocol)
        .map(|(was, now)| {
            format!(
                "Port {} of `{}` speaks `{}` in place of `{}`: callers and pods cannot change at the same moment. A second port \
                 beside it spares the gap.",
                now.number, new.key, now.name, was.name
            )
        })
        .collect()
}

/// Pods that somebody else deploys, in the clusters that a service comes to and goes from.
fn pods(old: &Topology, before: Option<&Service>, new: &Topology, service: &Service) -> Option<String> {
    if matches!(service.workload, Workload::Deployment(_)) {
        return None;
    }
    let names = |topology: &Topology, service: &Service| -> BTreeSet<String> {
        service.placement.iter().map(|it: &ClusterId| format!("`{}`", topology.cluster(*it).name)).collect()
    };
    let (was, now) = (before.map(|it| names(old, it)).unwrap_or_default(), names(new, service));
    let come: Vec<_> = now.difference(&was).map(String::as_str).collect();
    let gone: Vec<_> = was.difference(&now).map(String::as_str).collect();
    let (start, stay) = match (come.is_empty(), gone.is_empty()) {
        (true, true) => return None,
        (false, true) => (format!("run in {} before the first step", come.join(" and ")), String::new()),
        (true, false) => (String::new(), format!("stay in {} until the last step is done", gone.join(" and "))),
        (false, false) => (
            format!("run in {} before the first step", come.join(" and ")),
            format!(", and stay in {} until the last is done", gone.join(" and ")),
        ),
    };
    Some(format!("The pods of `{}` come from elsewhere: they {start}{stay}.", service.key))
}
