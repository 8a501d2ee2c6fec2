//! `Path`: where a call goes, hop by hop, or where it ends.

use super::call::{Call, Caller};
use super::cluster::Cluster;
use super::crossing::{Crossing, ServerName};
use super::endpoint::{Endpoint, Remote};
use super::gateways::{self, is_of_kubernetes};
use super::hop::{Break, Hop, HopKind, Passed, Trail};
use super::identity::{self, Expected, Peer};
use super::name::{Found, Question};
use super::object::Place;
use super::pod::{Injection, Mtls, Pods};
use super::route::{Request, Target, rules};
use super::service::{Known, KnownPort, Lookup, Viewer};
use super::tls::{self, Speech, Spoken};
use super::value::{at, fits, list, number, pairs, shown, text, word, words};
use super::{World, ingress};
use crate::topology::{NETWORK_LABEL, ROOT_NAMESPACE};

/// Where a call goes.
#[derive(Debug)]
pub struct Path {
    /// The hops that all of the call takes.
    pub hops: Vec<Hop>,
    /// Every place that may answer; never empty.
    pub ways: Vec<Way>,
    /// Where the call would end if those that are asked first were gone.
    pub latent: Vec<Break>,
    /// What is taken on trust.
    pub trusts: Vec<String>,
    pub(super) passed: Vec<Passed>,
}

/// A place that may answer, and the hops to it.
#[derive(Debug)]
pub struct Way {
    /// The cluster whose pods answer; `None` if they are outside.
    pub cluster: Option<String>,
    /// The address and port of the gateway that is passed.
    pub via: Option<String>,
    /// The share of the calls in percent, where a route says it.
    pub share: Option<u64>,
    /// The hops.
    pub hops: Vec<Hop>,
}

/// Where a call ends, and how far it got.
#[derive(Debug)]
pub struct Stopped {
    /// The hops that hold.
    pub hops: Vec<Hop>,
    /// The one that does not.
    pub broken: Break,
    pub(super) passed: Vec<Passed>,
    /// The cluster of which nothing is written, if that is why.
    pub(super) waits: Option<String>,
}

/// The caller, as its cluster knows it.
struct Origin<'a> {
    viewer: Viewer<'a>,
    pods: Option<Pods<'a>>,
    account: Option<String>,
    has_sidecar: bool,
}

/// A call on its way.
struct Walk<'a> {
    world: &'a World,
    call: &'a Call,
    origin: Origin<'a>,
}

/// What holds for every endpoint of a target.
struct Step<'a> {
    speech: &'a Speech<'a>,
    /// Who may answer.
    expected: &'a Expected,
    share: Option<u64>,
    /// Whether whoever answers is outside of the mesh.
    outside: bool,
}

impl World {
    /// Follows a call.
    ///
    /// # Errors
    /// When it may reach something that does not answer, or nothing at all.
    pub fn follow(&self, call: &Call) -> Result<Path, Box<Stopped>> {
        let mut trail = Trail::default();
        let stopped = |trail: Trail, broken: Box<Break>| {
            let waits = self.absent.iter().find(|it| **it == broken.cluster).cloned();
            Box::new(Stopped { hops: trail.hops, broken: *broken, passed: trail.passed, waits })
        };
        let Some(cluster) = self.clusters.get(&call.cluster) else {
            return Err(stopped(trail, Break::new(HopKind::Name, &call.cluster, "nothing is written for the cluster")));
        };
        let origin = Origin::of(call, cluster, &mut trail);
        let walk = Walk { world: self, call, origin };
        let mut ways = Vec::new();
        let outcome = match &call.caller {
            Caller::Service(_) => walk.by_pods(&mut trail, &mut ways),
            Caller::Ingress(_) => walk.by_outside(&mut trail, &mut ways),
        };
        match outcome {
            Ok(()) => {
                let Trail { hops, passed, trusts, latent } = trail;
                Ok(Path { hops, ways, latent, trusts, passed })
            }
            Err(broken) => Err(stopped(trail, broken)),
        }
    }
}

impl<'a> Origin<'a> {
    fn of(call: &'a Call, cluster: &'a Cluster, trail: &mut Trail) -> Self {
        let is_gateway = call.door.is_some();
        if is_gateway {
            let pods = gateways::all(cluster).into_iter().find(|it| fits(&it.labels, &call.selector));
            let account = pods.as_ref().and_then(|it| it.account.clone());
            let labels = pods.map_or_else(|| call.selector.clone(), |it| it.labels);
            let viewer =
                Viewer { cluster, namespace: call.namespace.clone(), labels: Some(labels.clone()), is_gateway };
            trail.passed.push(Passed { cluster: cluster.name.clone(), namespace: call.namespace.clone(), labels });
            return Self { viewer, pods: None, account, has_sidecar: true };
        }
        let pods = cluster.selected(&call.namespace, &call.selector).into_iter().find_map(Pods::of);
        let has_sidecar = match pods.as_ref().map(|it| it.injection(cluster)) {
            Some(Injection::No(..)) => false,
            Some(Injection::Presumed) => {
                trail.trusts(format!("sidecars in the namespace `{}` of `{}`", call.namespace, cluster.name));
                true
            }
            _ => true,
        };
        let labels = pods.as_ref().map_or_else(|| call.selector.clone(), |it| it.labels.clone());
        trail.passed.push(Passed {
            cluster: cluster.name.clone(),
            namespace: call.namespace.clone(),
            labels: labels.clone(),
        });
        let account = pods.as_ref().and_then(|it| it.account.clone());
        let viewer = Viewer { cluster, namespace: call.namespace.clone(), labels: Some(labels), is_gateway };
        Self { viewer, pods, account, has_sidecar }
    }

    /// Whether the caller's sidecar answers for names, and what says so.
    fn capture(&self) -> Option<Place> {
        if !self.has_sidecar {
            return None;
        }
        // What pods say of themselves is before what holds for all.
        let field = ["metadata", "annotations", "proxy.istio.io/config"];
        let config = self.pods.as_ref().and_then(|it| it.place(&field));
        let of_pods = config.filter(|it| {
            let text = it.value().and_then(serde_yaml::Value::as_str).unwrap_or_default();
            let read: Option<serde_yaml::Value> = serde_yaml::from_str(text).ok();
            let said = read.as_ref().and_then(|it| at(it, &["proxyMetadata", "ISTIO_META_DNS_CAPTURE"]));
            said.and_then(self::text).is_some_and(|it| it == "true")
        });
        of_pods.or_else(|| self.viewer.cluster.install.captures_names())
    }
}

impl<'a> Walk<'a> {
    fn here(&self) -> &'a Cluster {
        self.origin.viewer.cluster
    }

    fn broken(&self, kind: HopKind, why: impl Into<String>) -> Box<Break> {
        Break::new(kind, &self.here().name, why)
    }

    fn by_pods(&self, trail: &mut Trail, ways: &mut Vec<Way>) -> Result<(), Box<Break>> {
        let (host, port) = self.dialed(trail)?;
        let viewer = &self.origin.viewer;
        let outside = self.call.outside;
        let question = Question { viewer, capture: self.origin.capture(), host: &host, port, outside };
        let known = match question.ask(trail)? {
            Found::Known(known) => known,
            Found::Outside => return self.past(&host, trail, ways),
        };
        let request = Request { viewer, known: &known, port, spoken: self.call.spoken };
        let listener = request.listener(trail)?;
        let targets = request.targets(&listener, trail)?;
        self.to_targets(&known, &targets, trail, ways)
    }

    fn by_outside(&self, trail: &mut Trail, ways: &mut Vec<Way>) -> Result<(), Box<Break>> {
        let targets = ingress::targets(self.here(), self.call, trail)?;
        for target in &targets {
            let known = self.look(&target.host, target)?;
            let request =
                Request { viewer: &self.origin.viewer, known: &known, port: target.port, spoken: self.call.spoken };
            request.listener(trail)?;
            self.to_targets(&known, std::slice::from_ref(target), trail, ways)?;
        }
        Ok(())
    }

    /// The name and port that the application is told.
    fn dialed(&self, trail: &mut Trail) -> Result<(String, u16), Box<Break>> {
        let call = self.call;
        let mut dialed = (call.host.clone(), call.port);
        let Some(pods) = self.origin.pods.as_ref().filter(|it| !it.object.is_told()) else { return Ok(dialed) };
        for (name, form) in &call.variables {
            let wanted = form.fill(&call.host, call.port);
            match pods.variable(name) {
                None if pods.has_more_variables() => {
                    trail.trusts(format!("the variable {name}, which comes from elsewhere"));
                }
                None => {
                    return Err(self
                        .broken(HopKind::Name, format!("no container of {} has the variable {name}", pods.object))
                        .at(pods.place(&["spec", "containers"]))
                        .effect("the application is not told whom to call")
                        .mend(format!("add {name} with `{wanted}`")));
                }
                Some((None, _)) => trail.trusts(format!("the variable {name}, whose value is elsewhere")),
                Some((Some(said), place)) => {
                    if said != wanted {
                        let Some(read) = address(&said, &dialed) else {
                            return Err(self
                                .broken(
                                    HopKind::Name,
                                    format!("the variable {name} says `{said}`, which is no address"),
                                )
                                .at(place)
                                .effect("the application calls nobody")
                                .mend(format!("say `{wanted}`")));
                        };
                        dialed = read;
                    }
                    trail.holds(
                        HopKind::Name,
                        &self.here().name,
                        "",
                        format!("the application is told `{said}`"),
                        place,
                    );
                }
            }
        }
        Ok(dialed)
    }

    /// What the sidecar does not know.
    fn past(&self, host: &str, trail: &mut Trail, ways: &mut Vec<Way>) -> Result<(), Box<Break>> {
        if let Some(place) = self.here().install.registry_only().filter(|_| self.origin.has_sidecar) {
            return Err(self
                .broken(HopKind::Route, format!("the sidecar lets out only what it knows, and `{host}` is not"))
                .at(place)
                .effect("502, or the connection is reset: BlackHoleCluster")
                .mend("add a ServiceEntry of the host"));
        }
        trail.holds(HopKind::Route, &self.here().name, "", "the sidecar passes on what it does not know", None);
        ways.push(Way { cluster: None, via: None, share: None, hops: Vec::new() });
        Ok(())
    }

    fn look(&self, host: &str, target: &Target) -> Result<Known<'a>, Box<Break>> {
        let broken =
            |why: String| self.broken(HopKind::Route, why).at(target.place.as_ref().map(|it| it.below(&["host"])));
        match self.origin.viewer.look(host) {
            Lookup::Seen(known) => Ok(known),
            Lookup::Hidden(why) => Err(why.effect("503 NC: no cluster found")),
            Lookup::Missing => {
                Err(broken(format!("a route leads to `{host}`, which nothing in `{}` knows", self.here().name))
                    .effect("503 NC: no cluster found")
                    .mend("lead to a host that is known"))
            }
        }
    }

    fn to_targets(
        &self,
        called: &Known<'a>,
        targets: &[Target],
        trail: &mut Trail,
        ways: &mut Vec<Way>,
    ) -> Result<(), Box<Break>> {
        for target in targets {
            let known = if target.host == called.host { called.clone() } else { self.look(&target.host, target)? };
            let Some(port) = known.ports().into_iter().find(|it| it.number == target.port) else {
                return Err(self
                    .broken(
                        HopKind::Route,
                        format!("a route leads to port {} of `{}`, which has none", target.port, known.host),
                    )
                    .at(target.place.clone())
                    .effect("503 NC: no cluster found")
                    .mend("lead to a port that the host has"));
            };
            self.to_endpoints(&known, &port, target, trail, ways)?;
        }
        Ok(())
    }

    fn to_endpoints(
        &self,
        known: &Known<'a>,
        port: &KnownPort,
        target: &Target,
        trail: &mut Trail,
        ways: &mut Vec<Way>,
    ) -> Result<(), Box<Break>> {
        let viewer = &self.origin.viewer;
        let outside = self.call.outside && known.is_external();
        if outside && known.is_looked_up() {
            let text = format!("the addresses of `{}` are the DNS's outside to say", known.host);
            trail.holds(HopKind::Endpoint, &self.here().name, "", text, known.place(&["spec", "resolution"]));
            ways.push(Way { cluster: None, via: None, share: target.share, hops: Vec::new() });
            return Ok(());
        }
        let endpoints = known.chosen(viewer, port, target.subset.as_deref(), trail)?;
        let expected = self.expected(known, port)?;
        let speech = Speech {
            viewer,
            known,
            port: port.number,
            subset: target.subset.as_deref(),
            has_sidecar: self.origin.has_sidecar,
        };
        let ranks: Vec<usize> = endpoints.iter().map(|it| self.rank(known, it)).collect();
        let first = ranks.iter().min().copied().unwrap_or_default();
        for (endpoint, rank) in endpoints.iter().zip(ranks) {
            let start = trail.hops.len();
            let step = Step { speech: &speech, expected: &expected, share: target.share, outside };
            match self.to_endpoint(&step, endpoint, trail, ways) {
                Err(broken) if rank > first => {
                    trail.hops.truncate(start);
                    trail.latent.push(*broken);
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    fn to_endpoint(
        &self,
        step: &Step<'_>,
        endpoint: &Endpoint<'a>,
        trail: &mut Trail,
        ways: &mut Vec<Way>,
    ) -> Result<(), Box<Break>> {
        let start = trail.hops.len();
        let mut add = |trail: &mut Trail, cluster: Option<&str>, via: Option<String>| {
            let hops = trail.hops.split_off(start);
            ways.push(Way { cluster: cluster.map(str::to_owned), via, share: step.share, hops });
        };
        match endpoint {
            Endpoint::Pods(pods, listens) => {
                self.beside(step, pods, *listens, trail)?;
                add(trail, Some(&self.here().name), None);
            }
            Endpoint::Address(it) if step.outside => add(trail, None, Some(it.shown())),
            Endpoint::Address(remote) => {
                for remote in self.dials(remote, trail)? {
                    for owner in self.owners(&remote)? {
                        self.across(step, &remote, owner, trail)?;
                        add(trail, Some(owner.0), Some(remote.shown()));
                    }
                }
            }
        }
        Ok(())
    }

    /// How many endpoints with more of the labels that a rule of failover asks for come before one.
    fn rank(&self, known: &Known<'a>, endpoint: &Endpoint<'a>) -> usize {
        let here = self.here();
        let network = here.install.network();
        let labels = endpoint.labels(&network);
        let mut own = self.origin.viewer.labels.clone().unwrap_or_default();
        own.entry(NETWORK_LABEL.to_owned()).or_insert(network);
        let priority = failover_priority(&self.origin.viewer, known);
        let matches = |it: &&String| match it.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|it| it == value),
            None => labels.get(*it) == own.get(*it),
        };
        priority.len() - priority.iter().take_while(matches).count()
    }

    /// Who may answer for a host: what the entry says, and the accounts of all who stand behind it.
    fn expected(&self, known: &Known<'a>, port: &KnownPort) -> Result<Expected, Box<Break>> {
        let mut expected = known.alternatives();
        let (domain, _) = self.here().install.trust_domain();
        for endpoint in known.endpoints(&self.origin.viewer, port)? {
            match endpoint {
                Endpoint::Address(it) => expected.extend(it.account.map(|(name, place)| (name, Some(place)))),
                Endpoint::Pods(pods, _) => {
                    let Some(account) = &pods.account else { continue };
                    let identity = format!("spiffe://{domain}/ns/{}/sa/{account}", pods.namespace());
                    expected.push((identity, pods.place(&["spec", "serviceAccountName"])));
                }
            }
        }
        Ok(expected)
    }

    fn peer(&self, is_mutual: bool) -> Peer<'_> {
        Peer {
            cluster: self.here(),
            namespace: &self.origin.viewer.namespace,
            account: self.origin.account.as_deref(),
            is_mutual,
        }
    }

    /// To pods of the own cluster.
    fn beside(&self, step: &Step<'_>, pods: &Pods<'a>, port: Option<u16>, trail: &mut Trail) -> Result<(), Box<Break>> {
        let Step { speech, expected, .. } = step;
        let here = self.here();
        self.are_meant(here, pods)?;
        pass(trail, here, pods);
        let has_sidecar = match pods.injection(here) {
            Injection::Yes => true,
            Injection::No(..) => false,
            Injection::Presumed => {
                trail.trusts(format!("sidecars in the namespace `{}` of `{}`", pods.namespace(), here.name));
                true
            }
        };
        let (mode, place) = pods.mtls(here, port);
        let is_mutual = match speech.spoken(has_sidecar && mode != Mtls::Disable, place.clone()) {
            Spoken::Mutual(_, said) => {
                trail.holds(HopKind::Tls, &here.name, "mTLS", "the sidecar speaks mTLS", said);
                let place = pods.take_mtls(here, port)?;
                trail.holds(HopKind::Pod, &here.name, "", format!("{} take mTLS", described(pods)), place);
                true
            }
            Spoken::Simple(mode, said) => {
                return Err(self
                    .broken(HopKind::Tls, format!("the sidecar speaks TLS as `{mode}` says, which no sidecar takes"))
                    .at(said)
                    .effect("503 UF: the certificate is refused, or the connection is reset")
                    .mend("take ISTIO_MUTUAL, or leave `tls` out"));
            }
            Spoken::Plain(why, said) => {
                if has_sidecar && mode == Mtls::Strict {
                    return Err(self
                        .broken(HopKind::Tls, format!("the call comes in plain text, which the pods refuse: {why}"))
                        .at(said.or(place))
                        .effect("the connection is reset: 503 UC")
                        .mend("let nothing switch mTLS off"));
                }
                trail.holds(HopKind::Tls, &here.name, "plain text", format!("plain text: {why}"), said);
                false
            }
        };
        if is_mutual {
            identity::expected(here, expected, here, pods, trail)?;
        }
        if has_sidecar {
            self.peer(is_mutual).let_in(here, pods, port, trail)?;
        }
        Ok(())
    }

    /// The addresses to which the sidecar connects for an endpoint: those of its network's gateways, if istiod
    /// knows any.
    fn dials(&self, remote: &Remote, trail: &mut Trail) -> Result<Vec<Remote>, Box<Break>> {
        let here = self.here();
        let known = if remote.network.is_empty() || remote.network == here.install.network() {
            Vec::new()
        } else {
            network_gateways(here, &remote.network)
        };
        if known.is_empty() {
            if remote.address.is_empty() {
                return Err(self
                    .broken(HopKind::Endpoint, format!("istiod knows no gateway of the network `{}`", remote.network))
                    .at(remote.place.below(&["network"]))
                    .effect("503 UH: no healthy upstream")
                    .mend("write the `address`, or tell istiod the gateway"));
            }
            return Ok(vec![remote.clone()]);
        }
        let shown: Vec<_> = known.iter().map(|it| format!("{}:{}", it.0, it.1)).collect();
        let text = format!("the network `{}` is reached at {}", remote.network, shown.join(", "));
        trail.holds(HopKind::Endpoint, &here.name, "", text, Some(known[0].2.clone()));
        Ok(known.into_iter().map(|(address, port, place)| Remote { address, port, place, ..remote.clone() }).collect())
    }

    /// The clusters whose gateway has the address of an endpoint.
    fn owners(&self, remote: &Remote) -> Result<impl Iterator<Item = (&'a str, bool)>, Box<Break>> {
        let at = remote.shown();
        let owners = self.world.gateways.get(&(remote.address.clone(), remote.port));
        let Some(owners) = owners else {
            let mut ports = self.world.gateways.keys().filter(|it| it.0 == remote.address).map(|it| it.1);
            return Err(match ports.next() {
                Some(port) => self
                    .broken(HopKind::Endpoint, format!("the endpoint is {at}, and the gateway there listens on {port}"))
                    .effect("connection refused: 503 UF")
                    .mend(format!("write {port} under the name of the port")),
                None => self
                    .broken(HopKind::Endpoint, format!("the endpoint is {at}, which is the gateway of no cluster"))
                    .effect("timeout, or connection refused: 503 UF")
                    .mend("write the address of the gateway of a cluster that runs the service"),
            }
            .at(remote.place.clone()));
        };
        if owners.contains_key(&self.here().name) {
            return Err(self
                .broken(HopKind::Endpoint, format!("the endpoint is {at}, which is the own gateway"))
                .at(remote.place.clone())
                .effect("the call comes back to the own cluster, whose gateway does not let it in: 503 UF")
                .mend("write the address of the gateway of a cluster that runs the service"));
        }
        Ok(owners.iter().map(|(owner, of_nodes)| (owner.as_str(), *of_nodes)))
    }

    /// Through the gateway of another cluster.
    fn across(
        &self,
        step: &Step<'_>,
        remote: &Remote,
        (owner, of_nodes): (&str, bool),
        trail: &mut Trail,
    ) -> Result<(), Box<Break>> {
        let Step { speech, expected, .. } = step;
        let here = self.here();
        let place = remote.place.clone();
        trail.holds(
            HopKind::Endpoint,
            &here.name,
            remote.shown(),
            format!("{} is the gateway of `{owner}`", remote.shown()),
            Some(place.clone()),
        );
        let takes = remote.place.below(&["labels"]);
        let takes = if takes.value().is_some() { takes } else { place };
        let (asked, said) = tls::mutual(&here.name, speech.spoken(remote.takes_mtls, Some(takes)))?;
        let usual = ServerName {
            port: speech.port,
            subset: speech.subset.unwrap_or_default().to_owned(),
            host: speech.known.host.clone(),
        };
        let server_name = match &asked {
            None => usual,
            Some((text, place)) => ServerName::read(text).ok_or_else(|| {
                self.broken(HopKind::Tls, format!("the server name `{text}` is none that a gateway passes on"))
                    .at(place.clone())
                    .effect("the gateway has no filter chain for it, and resets the connection")
                    .mend(format!("say `{usual}`, or leave `sni` out"))
            })?,
        };
        trail.holds(HopKind::Tls, &here.name, "mTLS", format!("mTLS with the server name `{server_name}`"), said);
        let Some(there) = self.world.clusters.get(owner) else {
            return Err(Break::new(HopKind::Gateway, owner, "nothing is written for the cluster"));
        };
        let crossing =
            Crossing { owner: there, dialed: remote.port, of_nodes, server_name, said: asked.map(|it| it.1) };
        for (pods, port) in crossing.pass(trail)? {
            self.are_meant(there, &pods)?;
            pass(trail, there, &pods);
            let place = pods.take_mtls(there, port)?;
            trail.holds(HopKind::Pod, &there.name, "", format!("{} take mTLS", described(&pods)), place);
            if matches!(pods.injection(there), Injection::Presumed) {
                trail.trusts(format!("sidecars in the namespace `{}` of `{}`", pods.namespace(), there.name));
            }
            identity::expected(here, expected, there, &pods, trail)?;
            self.peer(true).let_in(there, &pods, port, trail)?;
        }
        Ok(())
    }

    /// Breaks if pods are not those of the service that the topology names.
    fn are_meant(&self, cluster: &Cluster, pods: &Pods<'_>) -> Result<(), Box<Break>> {
        let Some((namespace, labels)) = &self.call.meant else { return Ok(()) };
        if pods.namespace() == namespace && fits(&pods.labels, labels) {
            return Ok(());
        }
        let why = format!(
            "{} answer, and `{}` is meant: {} in `{namespace}`",
            described(pods),
            self.call.callee,
            shown(labels)
        );
        Err(Break::new(HopKind::Owner, &cluster.name, why)
            .at(pods.place(&["metadata", "labels"]))
            .effect("another service gets the call")
            .mend("lead to the pods that are meant"))
    }
}

/// "the pods of Deployment shop/cart".
fn described(pods: &Pods<'_>) -> String {
    if pods.object.is_told() {
        format!("pods with {}", shown(&pods.labels))
    } else {
        format!("the pods of {}", pods.object)
    }
}

fn pass(trail: &mut Trail, cluster: &Cluster, pods: &Pods<'_>) {
    if pods.object.is_told() {
        trail.trusts(format!("pods with {} in `{}`, which somebody else deploys", shown(&pods.labels), cluster.name));
    }
    trail.passed.push(Passed {
        cluster: cluster.name.clone(),
        namespace: pods.namespace().to_owned(),
        labels: pods.labels.clone(),
    });
}

/// The labels by which endpoints come first, as long as failing ones are thrown out.
fn failover_priority(viewer: &Viewer<'_>, known: &Known<'_>) -> Vec<String> {
    let rules = rules(viewer, known);
    let Some(policy) = rules.iter().find_map(|it| at(&it.value, &["spec", "trafficPolicy"])) else { return Vec::new() };
    if policy.get("outlierDetection").is_none() {
        return Vec::new();
    }
    let all = words(policy, &["loadBalancer", "localityLbSetting", "failoverPriority"]);
    all.map(str::to_owned).collect()
}

/// The gateways of a network of which istiod is told: by Gateways of another place, or by the install file.
fn network_gateways(cluster: &Cluster, network: &str) -> Vec<(String, u16, Place)> {
    let mut gateways = Vec::new();
    for object in cluster.gateway_objects().filter(|it| is_of_kubernetes(it)) {
        let labels = pairs(&object.value, &["metadata", "labels"]);
        let is_remote = word(&object.value, &["spec", "gatewayClassName"]) == "istio-remote";
        if !is_remote
            || labels.get(NETWORK_LABEL).is_none_or(|it| it != network)
            || object.id.namespace != ROOT_NAMESPACE
        {
            continue;
        }
        let port = list(&object.value, &["spec", "listeners"]).iter().find_map(|it| number(it, &["port"]));
        for (index, it) in list(&object.value, &["spec", "addresses"]).iter().enumerate() {
            let place = Place::new(object, &["spec", "addresses", &index.to_string(), "value"]);
            gateways.extend(port.map(|port| (word(it, &["value"]).to_owned(), port, place)));
        }
    }
    gateways.extend(cluster.install.network_gateways(network));
    gateways
}

/// Host and port of a text such as `http://cart.shop.global:7070/api`; what it does not say is as declared.
fn address(text: &str, declared: &(String, u16)) -> Option<(String, u16)> {
    let rest = text.split_once("://").map_or(text, |it| it.1);
    let rest = rest.split(['/', '?', ',']).next()?;
    let rest = rest.rsplit('@').next()?;
    if let Ok(port) = rest.parse() {
        return Some((declared.0.clone(), port));
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (rest, declared.1),
    };
    let is_name = |it: &str| !it.is_empty() && it.chars().all(|c| c.is_ascii_alphanumeric() || "-._[]:".contains(c));
    is_name(host).then(|| (host.to_owned(), port))
}
