//! The hops `gateway`, `chain` and `owner`: through the gateway of another cluster to pods beside it.

use std::collections::BTreeMap;

use super::cluster::Cluster;
use super::endpoint::Endpoint;
use super::gateways::{self, GatewayPods, GatewayPort};
use super::hop::{Break, HopKind, Passed, Trail};
use super::object::Place;
use super::pod::{Pods, trust_to_run};
use super::rules::{rules, subset, subsets};
use super::servers::{self, Server};
use super::service::{CLUSTER_DOMAIN, Known, KnownPort, Lookup, Viewer};
use super::tls::{Speech, Spoken};
use super::value::{fits, pairs};
use crate::topology::{Family, NETWORK_LABEL, Protocol};

/// A connection as it reaches a gateway.
pub(super) struct Crossing<'a> {
    pub(super) owner: &'a Cluster,
    /// The port to which the caller connects.
    pub(super) dialed: u16,
    /// Whether that is a port of nodes. Else it is a load balancer's, which leads to a port of the Service.
    pub(super) of_nodes: bool,
    pub(super) server_name: ServerName,
    /// What the caller speaks, if it is known.
    pub(super) spoken: Option<Protocol>,
    /// What says the server name, if it is not the usual one.
    pub(super) said: Option<Place>,
}

/// `outbound_.9000_.subset_.host`.
#[derive(Debug, Clone)]
pub(super) struct ServerName {
    pub(super) port: u16,
    pub(super) subset: String,
    pub(super) host: String,
}

impl ServerName {
    /// Reads one that a rule says.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (port, rest) = text.strip_prefix("outbound_.")?.split_once("_.")?;
        let (subset, host) = rest.split_once("_.")?;
        Some(Self { port: port.parse().ok()?, subset: subset.to_owned(), host: host.to_owned() })
    }
}

impl std::fmt::Display for ServerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "outbound_.{}_.{}_.{}", self.port, self.subset, self.host)
    }
}

/// The port of gateways for other clusters.
const PORT: u16 = 15443;

const REFUSED: &str = "connection refused: 503 UF";
const RESET: &str = "the gateway has no filter chain for the server name, and resets the connection: 503 UF";
const NOBODY: &str = "the gateway has nobody to pass the connection to, and resets it: 503 UF";

impl<'a> Crossing<'a> {
    fn broken(&self, kind: HopKind, why: impl Into<String>) -> Box<Break> {
        Break::new(kind, &self.owner.name, why)
    }

    /// The pods that the gateway leads to, each with the port on which it listens.
    pub(super) fn pass(&self, trail: &mut Trail) -> Result<Vec<(Pods<'a>, Option<u16>)>, Box<Break>> {
        let pods = self.gateway(trail)?;
        trail.passed.push(Passed {
            cluster: self.owner.name.clone(),
            namespace: pods.namespace.clone(),
            labels: pods.labels.clone(),
        });
        let host = if self.owner.passes_through { self.server_name.host.clone() } else { self.rewritten(trail) };
        self.owned(&pods, &host, trail)
    }

    /// The gateway that listens, with a filter chain for the server name.
    fn gateway(&self, trail: &mut Trail) -> Result<GatewayPods, Box<Break>> {
        let all = gateways::all(self.owner);
        let mut first: Option<Box<Break>> = None;
        for pods in &all {
            let ports = pods.ports.as_deref().unwrap_or_default();
            let of_balancer = |it: &&GatewayPort| !self.of_nodes && [self.dialed, PORT].contains(&it.number);
            let port =
                ports.iter().find(|it| it.node_port == Some(self.dialed)).or_else(|| ports.iter().find(of_balancer));
            let Some(port) = port else { continue };
            let opened = [Some(port.number), port.target];
            let text = format!("the gateway {} has port {}", pods.name, port.number);
            let hop = (pods.name.clone(), text, pods.place.clone());
            match self.chain(pods, opened) {
                Ok((text, place)) => {
                    trail.holds(HopKind::Gateway, &self.owner.name, hop.0, hop.1, hop.2);
                    trail.holds(HopKind::Chain, &self.owner.name, "", text, place);
                    return Ok(pods.clone());
                }
                // What got further says more.
                Err(broken) => {
                    let further = first.as_ref().is_none_or(|it| it.kind < broken.kind);
                    if further {
                        first = Some(broken);
                    }
                }
            }
        }
        if let Some(broken) = first {
            return Err(broken);
        }
        let eastwest = all.iter().find(|it| it.view.is_some()).or(all.first());
        let kind = if self.of_nodes { "node port" } else { "port" };
        let wanted = if self.of_nodes { self.dialed } else { PORT };
        let why = format!("no Service of a gateway in `{}` has the {kind} {wanted}", self.owner.name);
        Err(self
            .broken(HopKind::Gateway, why)
            .at(eastwest.and_then(|it| it.place.clone()))
            .effect(REFUSED)
            .mend(format!("give the Service of the gateway the {kind} {wanted}")))
    }

    /// What says that a gateway passes the server name on.
    fn chain(&self, pods: &GatewayPods, opened: [Option<u16>; 2]) -> Result<(String, Option<Place>), Box<Break>> {
        if !self.owner.passes_through {
            return self.old_chain(pods);
        }
        let all = self.owner.servers();
        let of_pods: Vec<&Server> = all.iter().filter(|it| it.is_of(pods) && it.is_at(opened)).collect();
        let name = &self.server_name;
        let Some(first) = of_pods.first() else {
            let port = opened[0].unwrap_or(self.dialed);
            let near = all.iter().find(|it| it.reads_names());
            let broken =
                self.broken(HopKind::Gateway, format!("no Gateway opens port {port} at {}", pods.name)).effect(REFUSED);
            return Err(match near {
                Some(it) if it.is_of(pods) => {
                    broken.at(it.place.below(&["port", "number"])).mend(format!("open port {port}"))
                }
                Some(it) => broken
                    .at(Place::new(it.place.shared(), &["spec", "selector"]))
                    .mend(format!("select the labels of the gateway's pods: {}", super::value::shown(&pods.labels))),
                None => broken.mend("add a Gateway with `tls: {mode: AUTO_PASSTHROUGH}`"),
            });
        };
        let (covering, others): (Vec<&Server>, Vec<&Server>) =
            of_pods.iter().partition(|it| it.passes && it.takes(&name.host));
        let server = match servers::kept(&covering, &others) {
            Some(Ok(server)) => server,
            Some(Err((server, other))) => {
                let why = format!(
                    "{} and {} open port {} in ways that exclude each other, and only the older is taken",
                    server.place.object(),
                    other.place.object(),
                    opened[0].unwrap_or(self.dialed)
                );
                return Err(self
                    .broken(HopKind::Chain, why)
                    .at(other.place.clone())
                    .effect(RESET)
                    .mend("name each host once for a port, or open another port"));
            }
            None => {
                let broken = match of_pods.iter().find(|it| it.passes) {
                    Some(server) => self
                        .broken(HopKind::Chain, format!("the gateway does not let `{}` in", name.host))
                        .at(server.at_hosts())
                        .mend(format!("add `{}` to its hosts", name.host)),
                    None => self
                        .broken(HopKind::Chain, "the gateway does not pass connections on by their server name")
                        .at(first.place.below(&["tls", "mode"]))
                        .mend("set the mode to AUTO_PASSTHROUGH"),
                };
                return Err(self.blamed(broken.effect(RESET)));
            }
        };
        Ok((format!("the gateway lets `{}` in", name.host), Some(server.at_hosts())))
    }

    /// Before 1.9 the charts bring the Gateway, and what rewrites the server name.
    fn old_chain(&self, pods: &GatewayPods) -> Result<(String, Option<Place>), Box<Break>> {
        let install = &self.owner.install;
        let Some(place) = install.multi_cluster() else {
            return Err(self
                .broken(HopKind::Gateway, format!("the gateway {} is not told to serve other clusters", pods.name))
                .at(pods.place.clone())
                .effect(REFUSED)
                .mend("set `values.global.multiCluster.enabled`"));
        };
        if !pods.passes_names {
            return Err(self
                .broken(HopKind::Gateway, format!("the gateway {} is not told to pass connections on", pods.name))
                .at(pods.place.clone())
                .effect(RESET)
                .mend("set its variable ISTIO_META_ROUTER_MODE to sni-dnat, which 1.8 needs"));
        }
        if let Some(place) = install.no_rewriting()
            && (6..=8).contains(&self.owner.istio.minor)
            && self.owner.of_kind_anywhere("EnvoyFilter").next().is_none()
        {
            return Err(self
                .broken(HopKind::Chain, "nothing tells the gateway which Service a name of the suffix means")
                .at(place)
                .effect(RESET)
                .mend("leave `includeEnvoyFilter` out, or bring an EnvoyFilter that rewrites the names"));
        }
        let name = &self.server_name;
        if !name.host.ends_with(&format!(".{}", install.suffix())) {
            return Err(self
                .broken(HopKind::Chain, format!("the gateway passes on names of `{}` only", install.suffix()))
                .at(place)
                .effect(RESET)
                .mend("call it by a name of the suffix"));
        }
        Ok((format!("the charts let `*.{}` in", install.suffix()), Some(place)))
    }

    /// The Service to which a gateway before 1.9 passes a name of the suffix.
    fn rewritten(&self, trail: &mut Trail) -> String {
        let suffix = self.owner.install.suffix();
        let name = self.server_name.host.strip_suffix(suffix).unwrap_or(&self.server_name.host);
        let host = format!("{name}{CLUSTER_DOMAIN}");
        let text = format!("the gateway passes `{}` on to `{host}`", self.server_name.host);
        trail.holds(HopKind::Chain, &self.owner.name, "", text, self.owner.install.multi_cluster());
        host
    }

    /// A rule of the caller that says the server name is to blame for what no gateway knows.
    fn blamed(&self, broken: Box<Break>) -> Box<Break> {
        match &self.said {
            Some(said) => {
                let why = format!("the sidecar asks for `{}`: {}", self.server_name, broken.why);
                let mut blamed =
                    Break::new(HopKind::Tls, &broken.cluster, why).at(said.clone()).effect(broken.effect.clone());
                blamed.mend.push("leave `sni` out, or ask for a name that the gateway lets in".to_owned());
                blamed
            }
            None => broken,
        }
    }

    /// The pods of the service that the server name means.
    fn owned(
        &self,
        gateway: &GatewayPods,
        host: &str,
        trail: &mut Trail,
    ) -> Result<Vec<(Pods<'a>, Option<u16>)>, Box<Break>> {
        let owner = self.owner;
        let name = &self.server_name;
        let viewer = Viewer {
            cluster: owner,
            namespace: gateway.namespace.clone(),
            labels: Some(gateway.labels.clone()),
            is_gateway: true,
        };
        let known = match viewer.look(host) {
            Lookup::Seen(known) => known,
            Lookup::Hidden(why) => {
                return Err(self.blamed(
                    self.broken(HopKind::Owner, format!("the gateway is not told of `{host}`: {}", why.why))
                        .at(why.place)
                        .effect(NOBODY)
                        .mend(format!("add `{}` to its `exportTo`", gateway.namespace)),
                ));
            }
            Lookup::Missing => {
                let broken = self.broken(HopKind::Owner, format!("nothing in `{}` knows `{host}`", owner.name));
                let mend = "add a ServiceEntry of this host, with the labels of its pods, or the Service";
                return Err(self.blamed(broken.effect(NOBODY).mend(mend)));
            }
        };
        if known.is_external() {
            return Err(self
                .broken(HopKind::Owner, format!("{} says that the service is outside of the mesh", known.object))
                .at(known.place(&["spec", "location"]).or_else(|| known.place(&["spec"])))
                .effect(NOBODY)
                .mend("set `location` to MESH_INTERNAL"));
        }
        let is_stream = |it: &KnownPort| it.protocol != Some(Protocol::Udp);
        let Some(port) = known.ports().into_iter().find(|it| it.number == name.port && is_stream(it)) else {
            return Err(self.blamed(
                self.broken(
                    HopKind::Chain,
                    format!("{} has no port {} of TCP, so no chain is for `{name}`", known.object, name.port),
                )
                .at(known.place(&["spec", "ports"]))
                .effect(RESET)
                .mend(format!("give it the port {}", name.port)),
            ));
        };
        let rules = rules(&viewer, &known);
        let labels = match (name.subset.as_str(), subset(&rules, &name.subset)) {
            ("", _) => BTreeMap::default(),
            (_, Some((value, _))) => pairs(value, &["labels"]),
            (wanted, None) => {
                let has = subsets(&rules);
                let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
                return Err(self
                    .broken(
                        HopKind::Chain,
                        format!("no DestinationRule that the gateway sees has the subset `{wanted}` of `{host}`"),
                    )
                    .at(rules.first().map(|it| Place::new(it, &["spec"])).or_else(|| known.place(&["spec"])))
                    .effect(RESET)
                    .mend(format!("add the subset in `{}`, too; there are {has}", owner.name)));
            }
        };
        self.is_mutual(&viewer, &known)?;
        let family = |it: Option<Protocol>| it.map(Protocol::family);
        if family(port.protocol) == Some(Family::Http) && family(self.spoken).is_some_and(|it| it != Family::Http) {
            return Err(self
                .broken(HopKind::Owner, format!("{} says HTTP, and that is not what is spoken", known.object))
                .at(port.place)
                .effect("the sidecar of the pods finds no HTTP in it, and ends the connection")
                .mend(format!("say {}", self.spoken.map_or("", Protocol::istio))));
        }
        let all = known.endpoints(&viewer, &port)?;
        let nobody = |why: String| self.broken(HopKind::Owner, why).effect(NOBODY);
        let network = owner.install.network();
        let pods: Vec<_> = all
            .into_iter()
            .filter_map(|it| match it {
                Endpoint::Pods(pods, port) => Some((pods, port)),
                Endpoint::Address(_) => None,
            })
            .filter(|(pods, _)| {
                let mut own = pods.labels.clone();
                own.entry(NETWORK_LABEL.to_owned()).or_insert_with(|| network.clone());
                fits(&own, &labels)
            })
            .collect();
        if pods.is_empty() {
            return Err(known.nobody(nobody(format!("no pod of `{}` stands behind `{host}`", owner.name))));
        }
        if let Some((view, place)) = &gateway.view
            && owner.passes_through
            && !network.is_empty()
            && *view != network
        {
            let why = format!("the gateway sees the network `{view}` only, and the pods are in `{network}`");
            return Err(nobody(why).at(place.clone()).mend(format!("set it to `{network}`")));
        }
        trust_to_run(pods.iter().map(|it| &it.0), trail);
        let field: &[&str] = if known.is_service() { &["metadata", "name"] } else { &["spec", "hosts"] };
        let text = format!("{} leads to {}", known.object, Endpoint::Pods(pods[0].0.clone(), None));
        trail.holds(HopKind::Owner, &owner.name, &known.object.id.name, text, known.place(field));
        Ok(pods)
    }

    /// Breaks if a rule says that the gateway speaks anything but mTLS to the pods: then it knows no endpoint.
    fn is_mutual(&self, viewer: &Viewer<'a>, known: &Known<'a>) -> Result<(), Box<Break>> {
        let subset = Some(self.server_name.subset.as_str()).filter(|it| !it.is_empty());
        let speech = Speech { viewer, known, port: self.server_name.port, subset, has_sidecar: true };
        match speech.of_rules() {
            Some(Spoken::Simple(_, place) | Spoken::Plain(_, Some(place))) => Err(self
                .broken(HopKind::Owner, "a DestinationRule that the gateway sees asks for another TLS than mTLS")
                .at(place)
                .effect(NOBODY)
                .mend("take ISTIO_MUTUAL, or leave `tls` out")),
            _ => Ok(()),
        }
    }
}

/// What says that a gateway before 1.9 passes on every name of the suffix, whoever is called, if one does.
pub(super) fn passes_all(cluster: &Cluster) -> Option<Place> {
    let opens = |it: &GatewayPods| it.passes_names && it.ports.iter().flatten().any(|it| it.number == PORT);
    let place = cluster.install.multi_cluster().filter(|_| !cluster.passes_through)?;
    gateways::all(cluster).iter().any(opens).then_some(place)
}
