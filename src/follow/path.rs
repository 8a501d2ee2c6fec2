//! `Path`: where a call goes, hop by hop, or where it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_yaml::Value;

use super::site::{Pods, Site, covers, fits, list, pairs, word, words};
use super::{Call, World};
use crate::topology::{NETWORK_LABEL, ROOT_NAMESPACE};

/// Where a call may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Every place that may answer; never empty.
    pub ways: Vec<Way>,
}

/// One place that may answer a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// The cluster whose pods answer; none if it is no part of the mesh that answers.
    pub cluster: Option<String>,
    /// The gateway that is passed, as `address:port` or by its network; none within a cluster.
    pub via: Option<String>,
    /// The share of the calls in percent, where a route says it.
    pub weight: Option<u64>,
}

/// Where a call ends, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Break {
    /// The cluster in which it ends.
    pub cluster: String,
    /// Why, in words.
    pub why: String,
}

/// What a sidecar connects to.
enum Endpoint {
    Pods(Pods),
    Gateway { address: String, port: u16 },
    Network(String),
}

/// A host as a sidecar sees it: its endpoints, and the identities that may answer.
struct Known {
    endpoints: Vec<Endpoint>,
    identities: BTreeSet<String>,
}

/// Pods that answer, and the gateway through which they are reached.
struct Reached {
    owner: String,
    via: Option<String>,
    pods: Vec<Pods>,
}

impl World {
    /// Follows a call of a cluster's pods.
    ///
    /// # Errors
    /// When it may reach something that does not answer, or nothing at all; says where it ends.
    pub fn follow(&self, cluster: &str, call: &Call) -> Result<Path, Break> {
        let site = self.sites.get(cluster).ok_or_else(|| gone(cluster))?;
        let ends = |why: String| Break { cluster: cluster.to_owned(), why };
        if hides(site, call) {
            return Err(ends(format!("the Sidecar of `{}` does not list `{}`", call.namespace, call.host)));
        }
        if let Some(entry) = site.about("ServiceEntry", &call.host, &call.namespace).0.first()
            && word(entry, &["spec", "location"]) == "MESH_EXTERNAL"
        {
            the_port(entry, "number", &call.host, call.port).map_err(ends)?;
            return Ok(Path { ways: vec![Way { cluster: None, via: None, weight: None }] });
        }
        let mut ways = BTreeSet::new();
        for (host, subset, weight) in targets(site, call) {
            for Reached { owner, via, pods } in self.reach(cluster, call, &host, subset.as_deref())? {
                self.lets_in(&owner, call, &pods)?;
                ways.insert(Way { cluster: Some(owner), via, weight });
            }
        }
        if ways.is_empty() {
            return Err(ends(format!("the route of `{}` leads nowhere", call.host)));
        }
        Ok(Path { ways: ways.into_iter().collect() })
    }

    /// Everything that answers for a host: the cluster, the gateway, the pods.
    fn reach(&self, cluster: &str, call: &Call, host: &str, subset: Option<&str>) -> Result<Vec<Reached>, Break> {
        let site = &self.sites[cluster];
        let ends = |why: String| Break { cluster: cluster.to_owned(), why };
        let only = match subset {
            None => None,
            Some(subset) => Some(network_of(site, &call.namespace, host, subset).map_err(ends)?),
        };
        let is_meant = |owner: &str| {
            only.as_ref().is_none_or(|it| self.places.networks.get(it).is_some_and(|names| names.contains(owner)))
        };
        let known = endpoints(site, &call.namespace, host, call.port).map_err(ends)?;
        let mut reached = Vec::new();
        let mut own = Vec::new();
        for endpoint in known.endpoints {
            let (owners, via) = match endpoint {
                Endpoint::Pods(pods) => {
                    own.push(pods);
                    continue;
                }
                Endpoint::Gateway { address, port } => {
                    let via = format!("{address}:{port}");
                    let owners = self.places.gateways.get(&(address, port));
                    (owners.ok_or_else(|| ends(format!("`{via}` is the gateway of no cluster")))?, via)
                }
                Endpoint::Network(network) => {
                    let owners = self.places.networks.get(&network);
                    (owners.ok_or_else(|| ends(format!("`{network}` is the network of no cluster")))?, network)
                }
            };
            for owner in owners.iter().filter(|it| is_meant(it)) {
                let pods = self.pass(owner, &via, host, call.port, subset)?;
                self.expects(owner, &known.identities, &pods).map_err(ends)?;
                reached.push(Reached { owner: owner.clone(), via: Some(via.clone()), pods });
            }
        }
        if !own.is_empty() && is_meant(cluster) {
            reached.push(Reached { owner: cluster.to_owned(), via: None, pods: own });
        }
        if reached.is_empty() {
            let share = subset.map_or_else(String::new, |it| format!(" in its subset `{it}`"));
            return Err(ends(format!("`{host}` has no endpoint{share}")));
        }
        Ok(reached)
    }

    /// A gateway lets a host in, and pods beside it answer.
    fn pass(&self, owner: &str, via: &str, host: &str, port: u16, subset: Option<&str>) -> Result<Vec<Pods>, Break> {
        let there = self.sites.get(owner).ok_or_else(|| gone(owner))?;
        let ends = |why: String| Break { cluster: owner.to_owned(), why };
        let known = if there.newer {
            if !opened(there).any(|it| covers(it, host)) {
                return Err(ends(format!("its gateway at {via} does not let `{host}` in")));
            }
            if let Some(subset) = subset {
                let network = network_of(there, ROOT_NAMESPACE, host, subset).map_err(ends)?;
                if !self.places.networks.get(&network).is_some_and(|it| it.contains(owner)) {
                    return Err(ends(format!("its subset `{subset}` of `{host}` is that of another cluster")));
                }
            }
            endpoints(there, ROOT_NAMESPACE, host, port)
        } else {
            // It passes every name of the suffix on to the Service of the same name.
            let host = host.strip_suffix(&format!(".{}", there.suffix)).map(|it| format!("{it}.svc.cluster.local"));
            let host = host.ok_or_else(|| ends(format!("its gateway at {via} passes on names of the suffix only")))?;
            endpoints(there, ROOT_NAMESPACE, &host, port)
        };
        // It sees the endpoints of its own network only.
        let pods = known.map_err(ends)?.endpoints.into_iter().filter_map(|it| match it {
            Endpoint::Pods(pods) => Some(pods),
            _ => None,
        });
        let pods: Vec<_> = pods.collect();
        if pods.is_empty() { Err(ends(format!("no pod answers for `{host}`"))) } else { Ok(pods) }
    }

    /// Whether pods have an identity that the caller expects of them.
    fn expects(&self, owner: &str, identities: &BTreeSet<String>, pods: &[Pods]) -> Result<(), String> {
        let domain = &self.sites[owner].trust_domain;
        let other = pods.iter().filter_map(|it| it.account.as_ref()).find(|account| {
            let end = format!("/sa/{account}");
            let of_domain = format!("spiffe://{domain}/");
            !identities.is_empty() && !identities.iter().any(|it| it.ends_with(&end) && it.starts_with(&of_domain))
        });
        match other {
            Some(account) => Err(format!("another identity is expected than `{account}` of `{owner}` with `{domain}`")),
            None => Ok(()),
        }
    }

    /// Whether the policies of the pods that answer let the caller in.
    fn lets_in(&self, owner: &str, call: &Call, pods: &[Pods]) -> Result<(), Break> {
        let (Some(identity), Some(namespace)) = (&call.identity, self.namespace(owner, call)) else { return Ok(()) };
        for policy in self.sites[owner].of_kind("AuthorizationPolicy", &namespace) {
            let selector = pairs(policy, &["spec", "selector", "matchLabels"]);
            if !pods.iter().any(|it| fits(&it.labels, &selector)) {
                continue;
            }
            let from = list(policy, &["spec", "rules"]).iter().flat_map(|it| list(it, &["from"]));
            if !from.flat_map(|it| words(it, &["source", "principals"])).any(|it| it == identity) {
                let name = word(policy, &["metadata", "name"]);
                return Err(Break {
                    cluster: owner.to_owned(),
                    why: format!("the AuthorizationPolicy `{name}` does not let `{identity}` in"),
                });
            }
        }
        Ok(())
    }

    /// The namespace in which a host's pods live.
    fn namespace(&self, owner: &str, call: &Call) -> Option<String> {
        let suffixes = ["svc.cluster.local", self.sites[owner].suffix.as_str()];
        let name = suffixes.iter().find_map(|it| call.host.strip_suffix(it)?.strip_suffix('.'))?;
        Some(name.split_once('.')?.1.to_owned())
    }
}

/// The network that a subset means.
fn network_of(site: &Site, namespace: &str, host: &str, subset: &str) -> Result<String, String> {
    let (rules, _) = site.about("DestinationRule", host, namespace);
    let mut subsets = rules.iter().flat_map(|it| list(it, &["spec", "subsets"]));
    let found = subsets.find(|it| word(it, &["name"]) == subset);
    let found = found.ok_or_else(|| format!("no DestinationRule of `{host}` has the subset `{subset}`"))?;
    Ok(word(found, &["labels", NETWORK_LABEL]).to_owned())
}

fn gone(cluster: &str) -> Break {
    Break { cluster: cluster.to_owned(), why: "it is no cluster of the mesh".to_owned() }
}

/// Whether the caller's sidecar is not told of the host.
fn hides(site: &Site, call: &Call) -> bool {
    let mut sidecars = site.of_kind("Sidecar", &call.namespace).peekable();
    let lets = |it: &str| {
        let (from, name) = it.split_once('/').unwrap_or(("*", it));
        let from = if from == "." { &call.namespace } else { from };
        let is_there = || site.has_entry(from, &call.host) || call.host.contains(&format!(".{from}."));
        (name == "*" || covers(name, &call.host)) && (from == "*" || is_there())
    };
    site.newer
        && sidecars.peek().is_some()
        && !sidecars.flat_map(|it| list(it, &["spec", "egress"])).flat_map(|it| words(it, &["hosts"])).any(lets)
}

/// Where a route of the mesh leads a call: host, subset and share. A call that has no route is its own.
fn targets(site: &Site, call: &Call) -> Vec<(String, Option<String>, Option<u64>)> {
    let plain = || vec![(call.host.clone(), None, None)];
    let (routes, _) = site.about("VirtualService", &call.host, &call.namespace);
    let Some(route) = routes.first() else { return plain() };
    let matches = |it: &&Value| {
        let all = list(it, &["match"]);
        all.is_empty() || all.iter().any(|it| it.get("port").is_none_or(|it| it.as_u64() == Some(call.port.into())))
    };
    let Some(way) = ["http", "tls", "tcp"].iter().flat_map(|it| list(route, &["spec", it])).find(matches) else {
        return plain();
    };
    let targets = list(way, &["route"]).iter().filter(|it| it["weight"].as_u64() != Some(0));
    targets
        .map(|it| {
            let subset = word(it, &["destination", "subset"]);
            let subset = (!subset.is_empty()).then(|| subset.to_owned());
            (word(it, &["destination", "host"]).to_owned(), subset, it["weight"].as_u64())
        })
        .collect()
}

/// What a sidecar or gateway of a namespace connects to for a host.
fn endpoints(site: &Site, namespace: &str, host: &str, port: u16) -> Result<Known, String> {
    let (entries, hidden) = site.about("ServiceEntry", host, namespace);
    if let Some(entry) = entries.first() {
        return of_entry(site, entry, host, port);
    }
    let local = host.strip_suffix(".svc.cluster.local").and_then(|it| it.split_once('.'));
    if let Some((name, in_namespace)) = local
        && let Some(service) = site.service(in_namespace, name)
    {
        let port = the_port(service, "port", host, port)?;
        let target = port.get("targetPort").unwrap_or(&port["port"]);
        let selector = pairs(service, &["spec", "selector"]);
        let endpoints = selected(site, in_namespace, &selector, port, target)?;
        return Ok(Known { endpoints, identities: BTreeSet::new() });
    }
    Err(if hidden { format!("`{namespace}` does not see `{host}`") } else { format!("nothing knows `{host}`") })
}

fn of_entry(site: &Site, entry: &Value, host: &str, port: u16) -> Result<Known, String> {
    let port = the_port(entry, "number", host, port)?;
    let identities = words(entry, &["spec", "subjectAltNames"]).map(str::to_owned).collect();
    let selector = pairs(entry, &["spec", "workloadSelector", "labels"]);
    if !selector.is_empty() {
        let target = port.get("targetPort").unwrap_or(&port["number"]);
        let endpoints = selected(site, word(entry, &["metadata", "namespace"]), &selector, port, target)?;
        return Ok(Known { endpoints, identities });
    }
    let name = word(port, &["name"]);
    let mut endpoints = Vec::new();
    for it in list(entry, &["spec", "endpoints"]) {
        // The Service beside it, under another name.
        let beside = word(it, &["address"]).strip_suffix(".svc.cluster.local").and_then(|it| it.split_once('.'));
        if let Some((service, namespace)) = beside {
            let number = it["ports"][name].as_u64().or(port["number"].as_u64()).and_then(|it| u16::try_from(it).ok());
            let host = format!("{service}.{namespace}.svc.cluster.local");
            endpoints.extend(self::endpoints(site, namespace, &host, number.unwrap_or_default())?.endpoints);
            continue;
        }
        endpoints.push(gateway(it, &[name], port));
    }
    Ok(Known { endpoints, identities })
}

/// Pods and endpoints that a selector names.
fn selected(
    site: &Site,
    namespace: &str,
    selector: &BTreeMap<String, String>,
    port: &Value,
    target: &Value,
) -> Result<Vec<Endpoint>, String> {
    let mut endpoints: Vec<_> = site.pods(namespace, selector, target)?.into_iter().map(Endpoint::Pods).collect();
    let names = [target.as_str().unwrap_or_default(), word(port, &["name"])];
    endpoints.extend(site.workload_entries(namespace, selector).map(|it| gateway(&it["spec"], &names, port)));
    Ok(endpoints)
}

/// An endpoint in another cluster, and its port under the first of these names.
fn gateway(endpoint: &Value, names: &[&str], port: &Value) -> Endpoint {
    let address = word(endpoint, &["address"]);
    if address.is_empty() {
        return Endpoint::Network(word(endpoint, &["network"]).to_owned());
    }
    let number = names.iter().find_map(|it| endpoint["ports"][*it].as_u64());
    let number = number.or(port["targetPort"].as_u64()).or(port["number"].as_u64()).or(port["port"].as_u64());
    let port = number.and_then(|it| u16::try_from(it).ok()).unwrap_or_default();
    Endpoint::Gateway { address: address.to_owned(), port }
}

fn the_port<'a>(object: &'a Value, key: &str, host: &str, port: u16) -> Result<&'a Value, String> {
    let found = list(object, &["spec", "ports"]).iter().find(|it| it[key].as_u64() == Some(port.into()));
    found.ok_or_else(|| no_port(host, port))
}

fn no_port(host: &str, port: u16) -> String {
    format!("`{host}` has no port {port}")
}

/// The hosts that a cluster's gateway lets in.
fn opened(site: &Site) -> impl Iterator<Item = &str> {
    site.of_kind("Gateway", ROOT_NAMESPACE).flat_map(|it| {
        let passing =
            list(it, &["spec", "servers"]).iter().filter(|it| word(it, &["tls", "mode"]) == "AUTO_PASSTHROUGH");
        let listeners =
            list(it, &["spec", "listeners"]).iter().filter(|it| word(it, &["tls", "mode"]) == "Passthrough");
        passing.flat_map(|it| words(it, &["hosts"])).chain(listeners.map(|it| word(it, &["hostname"])))
    })
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cluster.as_deref().unwrap_or("outside of the mesh"))?;
        if let Some(via) = &self.via {
            write!(f, " via {via}")?;
        }
        match self.weight {
            Some(weight) => write!(f, " ({weight} %)"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ways: Vec<_> = self.ways.iter().map(ToString::to_string).collect();
        f.write_str(&ways.join(", "))
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in `{}`, {}", self.cluster, self.why)
    }
}
