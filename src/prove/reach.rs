//! From a sidecar to one endpoint: pods of the own cluster, or those behind the gateway of another.

use super::Entrance;
use super::call::Meant;
use super::choice::Choice;
use super::cluster::Cluster;
use super::crossing::{Crossing, ServerName};
use super::endpoint::{Endpoint, Remote};
use super::follow::Walk;
use super::gateways::{is_gateway, is_of_kubernetes};
use super::hop::{Break, HopKind, Passed, Trail};
use super::identity::{self, Expected, Peer};
use super::object::{Object, Place};
use super::path::Way;
use super::pod::{Injection, Mtls, Pods};
use super::tls::{self, Speech, Spoken};
use super::value::{fits, list, number, pairs, shown, word};
use crate::topology::{NETWORK_LABEL, ROOT_NAMESPACE};

/// What holds for every endpoint of a target.
pub(super) struct Step<'a> {
    pub(super) speech: &'a Speech<'a>,
    /// Who may answer.
    pub(super) expected: &'a Expected,
    pub(super) share: Option<u64>,
    /// Whether whoever answers is outside of the mesh.
    pub(super) outside: bool,
    pub(super) choice: Choice,
}

impl<'a> Walk<'a> {
    pub(super) fn to_endpoint(
        &self,
        step: &Step<'_>,
        endpoint: &Endpoint<'a>,
        trail: &mut Trail,
        ways: &mut Vec<Way>,
    ) -> Result<(), Box<Break>> {
        let start = trail.hops.len();
        let mut add = |trail: &mut Trail, cluster: Option<&str>, via: Option<String>| {
            let hops = trail.hops.split_off(start);
            ways.push(Way { cluster: cluster.map(str::to_owned), via, share: step.share, hops, choice: step.choice });
        };
        match endpoint {
            Endpoint::Pods(pods, listens) => {
                self.beside(step, pods, *listens, trail)?;
                add(trail, Some(&self.here().name), None);
            }
            Endpoint::Address(it) if step.outside => add(trail, None, Some(it.shown())),
            Endpoint::Address(it) if self.is_anybody(it) => {
                trail.trusts(format!("whoever answers at {}, which {} says", it.shown(), it.place.object()));
                match step.speech.spoken(false, Some(it.place.clone())) {
                    Spoken::Plain(why, said) => {
                        trail.holds(HopKind::Tls, &self.here().name, "plain text", format!("plain text: {why}"), said);
                    }
                    Spoken::Mutual(_, said) => {
                        trail.holds(HopKind::Tls, &self.here().name, "mTLS", "the sidecar speaks mTLS", said);
                    }
                    Spoken::Simple(mode, said) => {
                        let text = format!("the sidecar speaks TLS as `{mode}` says");
                        trail.holds(HopKind::Tls, &self.here().name, "TLS", text, Some(said));
                    }
                }
                add(trail, None, Some(it.shown()));
            }
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

    /// Whether an endpoint is one of a Service without a selector, and no gateway.
    fn is_anybody(&self, remote: &Remote) -> bool {
        remote.is_listed && !self.world.gateways.keys().any(|it| it.0 == remote.address)
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
        self.are_meant(here, pods, trail)?;
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
        let is_open = |it: &Entrance| it.only.as_ref().is_none_or(|it| it.contains(&self.here().name));
        if let Some((owner, callers)) = owners.iter().find(|it| !is_open(it.1)).map(|it| (it.0, &it.1.only)) {
            let callers: Vec<_> = callers.iter().flatten().map(|it| format!("`{it}`")).collect();
            let why = format!("the endpoint is {at}, at which `{owner}` is reached from {} only", callers.join(", "));
            return Err(self
                .broken(HopKind::Endpoint, why)
                .at(remote.place.clone())
                .effect("timeout, or connection refused: 503 UF")
                .mend(format!("write the address at which `{owner}` is reached from here")));
        }
        Ok(owners.iter().map(|(owner, entrance)| (owner.as_str(), entrance.of_nodes)))
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
        let crossing = Crossing {
            owner: there,
            dialed: remote.port,
            of_nodes,
            server_name,
            spoken: self.call.spoken,
            said: asked.map(|it| it.1),
        };
        for (pods, port) in crossing.pass(trail)? {
            self.are_meant(there, &pods, trail)?;
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
    fn are_meant(&self, cluster: &Cluster, pods: &Pods<'_>, trail: &mut Trail) -> Result<(), Box<Break>> {
        // Of a name that is asked for and not declared, nobody says that it lies outside.
        if self.call.outside && self.call.callee != self.call.host {
            return self.lead_out(cluster, pods, trail);
        }
        let is_meant = |it: &Meant| pods.namespace() == it.0 && fits(&pods.labels, &it.1);
        let Some((namespace, labels)) = self.call.meant.first() else { return Ok(()) };
        if self.call.meant.iter().any(is_meant) {
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

    /// Breaks if pods get what is for the outside and are no gateway, which may lead it on.
    fn lead_out(&self, cluster: &Cluster, pods: &Pods<'_>, trail: &mut Trail) -> Result<(), Box<Break>> {
        if are_of_gateway(cluster, pods) {
            trail.trusts(format!("that the gateway {} leads `{}` on to the outside", pods.object, self.call.host));
            return Ok(());
        }
        let callee = &self.call.callee;
        let why = format!("{} answer, and `{callee}` is meant, which is outside of the mesh", described(pods));
        Err(Break::new(HopKind::Owner, &cluster.name, why)
            .at(pods.place(&["metadata", "labels"]))
            .effect("a service of the mesh gets the call")
            .mend("lead to the host that is meant"))
    }
}

/// Whether pods are a gateway's: those of one that istiod injects, or that a Gateway selects.
fn are_of_gateway(cluster: &Cluster, pods: &Pods<'_>) -> bool {
    let selects = |it: &Object| {
        let selector = pairs(&it.value, &["spec", "selector"]);
        !is_of_kubernetes(it) && !selector.is_empty() && fits(&pods.labels, &selector)
    };
    is_gateway(pods.object) || cluster.of_kind_anywhere("Gateway").any(|it| selects(it))
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
    let account = pods.account.as_deref().filter(|it| *it != "default" && !pods.object.is_told());
    if let Some(account) = account
        && cluster.get("ServiceAccount", pods.namespace(), account).is_none()
    {
        trail.trusts(format!(
            "the ServiceAccount {}/{account} of `{}`, which no file brings",
            pods.namespace(),
            cluster.name
        ));
    }
    trail.passed.push(Passed {
        cluster: cluster.name.clone(),
        namespace: pods.namespace().to_owned(),
        labels: pods.labels.clone(),
    });
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
