//! `World::follow`: a call from the caller's pods, or from outside, to everybody who may answer.

use std::sync::Arc;

use super::call::{Call, Caller};
use super::choice::{Balance, Choice};
use super::cluster::Cluster;
use super::endpoint::Endpoint;
use super::hop::{Break, HopKind, Trail};
use super::identity::Expected;
use super::name::{Found, Question};
use super::object::Object;
use super::origin::Origin;
use super::path::{Path, Stopped, Way};
use super::pod::trust_to_run;
use super::reach::Step;
use super::route::{Request, Target, destination};
use super::service::{Known, KnownPort, Lookup};
use super::tls::Speech;
use super::{World, ingress};

/// A call on its way.
pub(super) struct Walk<'a> {
    pub(super) world: &'a World,
    pub(super) call: &'a Call,
    pub(super) origin: Origin<'a>,
}

impl World {
    /// Follows a call.
    ///
    /// # Errors
    /// When it may reach something that does not answer, or nothing at all.
    pub fn follow(&self, call: &Call) -> Result<Path, Box<Stopped>> {
        self.follow_by(call, None)
    }

    /// Follows a call that the pods of this workload make, whatever the cluster has by now.
    ///
    /// # Errors
    /// As those of [`World::follow`].
    pub(crate) fn follow_by(&self, call: &Call, workload: Option<&Arc<Object>>) -> Result<Path, Box<Stopped>> {
        let mut trail = Trail::default();
        let stopped = |trail: Trail, broken: Box<Break>| {
            let waits = self.absent.iter().find(|it| **it == broken.cluster).cloned();
            Box::new(Stopped { hops: trail.hops, broken: *broken, passed: trail.passed, waits })
        };
        let Some(cluster) = self.clusters.get(&call.cluster) else {
            return Err(stopped(trail, Break::new(HopKind::Name, &call.cluster, "nothing is written for the cluster")));
        };
        let origin = Origin::of(call, cluster, workload, &mut trail);
        let walk = Walk { world: self, call, origin };
        let mut ways = Vec::new();
        let outcome = match &call.caller {
            Caller::Service(_) => walk.by_pods(&mut trail, &mut ways),
            Caller::Ingress(_) => walk.by_outside(&mut trail, &mut ways),
        };
        match outcome {
            Ok(()) => {
                let Trail { hops, passed, trusts, latent, unsure } = trail;
                Ok(Path { hops, ways, latent, trusts, passed, unsure })
            }
            Err(broken) => Err(stopped(trail, broken)),
        }
    }
}

impl<'a> Walk<'a> {
    pub(super) fn here(&self) -> &'a Cluster {
        self.origin.viewer.cluster
    }

    pub(super) fn broken(&self, kind: HopKind, why: impl Into<String>) -> Box<Break> {
        Break::new(kind, &self.here().name, why)
    }

    fn by_pods(&self, trail: &mut Trail, ways: &mut Vec<Way>) -> Result<(), Box<Break>> {
        let (host, port) = self.origin.dialed(self.call, trail)?;
        let viewer = &self.origin.viewer;
        let (capture, has_sidecar, outside) = (self.origin.capture(), self.origin.has_sidecar, self.call.outside);
        let question = Question { viewer, capture, has_sidecar, host: &host, port, outside };
        let known = match question.ask(trail)? {
            Found::Known(known) => known,
            Found::Outside => return self.past(&host, trail, ways),
        };
        // Routes may be for a name of which the sidecar knows a wildcard only.
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let asked = if known.host.starts_with('*') { name.as_str() } else { known.host.as_str() };
        let request = Request { viewer, known: &known, host: asked, port, spoken: self.call.spoken };
        let listener = request.listener(trail)?;
        let targets = request.targets(&listener, trail)?;
        self.to_targets(&known, &targets, trail, ways)
    }

    fn by_outside(&self, trail: &mut Trail, ways: &mut Vec<Way>) -> Result<(), Box<Break>> {
        let targets = ingress::targets(self.here(), self.call, trail)?;
        for target in &targets {
            let known = self.look(&target.host, target)?;
            self.port_of(&known, target)?;
            let viewer = &self.origin.viewer;
            let host = &target.host;
            let request = Request { viewer, known: &known, host, port: target.port, spoken: self.call.spoken };
            request.listener(trail)?;
            self.to_targets(&known, std::slice::from_ref(target), trail, ways)?;
        }
        Ok(())
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
        ways.push(Way { cluster: None, via: None, share: None, hops: Vec::new(), choice: Choice::default() });
        Ok(())
    }

    fn look(&self, host: &str, target: &Target) -> Result<Known<'a>, Box<Break>> {
        let broken =
            |why: String| self.broken(HopKind::Route, why).at(target.place.as_ref().map(|it| it.below(&["host"])));
        let viewer = &self.origin.viewer;
        let lookup = match target.place {
            Some(_) => destination(viewer, host, target.port),
            None => viewer.look_at(host, Some(target.port)),
        };
        match lookup {
            // Istio has a cluster of the wildcard, and none of this name.
            Lookup::Seen(known) if known.host != host => {
                Err(broken(format!("a route leads to `{host}`, of which {} has a wildcard only", known.object))
                    .effect("503 NC: no cluster found")
                    .mend("add a ServiceEntry of that host"))
            }
            Lookup::Seen(known) => match known.other_name().filter(|_| self.here().istio.minor >= 9) {
                // Of a name that stands for one that stands for another, Istio takes the next one only.
                Some(name) => match viewer.look(name) {
                    Lookup::Seen(known) if known.other_name().is_none() => Ok(known),
                    _ => Err(broken(format!(
                        "a route leads to `{host}`, which is `{name}`, and that is no host of the mesh"
                    ))
                    .effect("503 NC: no cluster found")
                    .mend("add a ServiceEntry of that host, and lead there")),
                },
                None => Ok(known),
            },
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
            let is_called = target.host == called.host && called.ports().iter().any(|it| it.number == target.port);
            let known = if is_called { called.clone() } else { self.look(&target.host, target)? };
            let port = self.port_of(&known, target)?;
            self.to_endpoints(&known, &port, target, trail, ways)?;
        }
        Ok(())
    }

    fn port_of(&self, known: &Known<'a>, target: &Target) -> Result<KnownPort, Box<Break>> {
        known.ports().into_iter().find(|it| it.number == target.port).ok_or_else(|| {
            let why = format!("a route leads to port {} of `{}`, which has none", target.port, known.host);
            self.broken(HopKind::Route, why)
                .at(target.place.clone())
                .effect("503 NC: no cluster found")
                .mend("lead to a port that the host has")
        })
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
        let order = ways.last().map_or(0, |it| it.choice.target + 1);
        let subset = target.subset.as_deref();
        let speech = Speech { viewer, known, port: port.number, subset, has_sidecar: self.origin.has_sidecar };
        let outside = if self.call.outside {
            known.is_external() || known.is_own_endpoint()
        } else {
            known.is_external() && known.other_name().is_some()
        };
        let is_looked_up = outside && known.is_looked_up();
        if is_looked_up {
            known.can_be_looked_up(viewer, port, subset)?;
        }
        if outside && self.call.outside {
            speech.leaves(self.call.spoken, port)?;
        }
        if is_looked_up {
            let text = format!("the addresses of `{}` are the DNS's outside to say", known.host);
            trail.holds(HopKind::Endpoint, &self.here().name, "", text, known.place(&["spec", "resolution"]));
            let choice = Choice { target: order, ..Choice::default() };
            ways.push(Way { cluster: None, via: None, share: target.share, hops: Vec::new(), choice });
            return Ok(());
        }
        let endpoints = known.chosen(viewer, port, subset, trail)?;
        if endpoints.is_empty() {
            // Who is meant stands beside it: then it is the selector that is missing.
            let meant = self.call.meant.iter().flat_map(|(namespace, labels)| self.here().selected(namespace, labels));
            if meant.into_iter().any(|it| !it.is_told()) {
                let why = format!("nobody stands behind `{}`", known.host);
                return Err(known.nobody(
                    self.broken(HopKind::Endpoint, why)
                        .effect("503 UH: no healthy upstream, or the connection is reset"),
                ));
            }
            let choice = Choice { target: order, ..Choice::default() };
            ways.push(Way { cluster: None, via: None, share: target.share, hops: Vec::new(), choice });
            return Ok(());
        }
        let pods = endpoints.iter().map(|it| match it {
            Endpoint::Pods(pods, _) => Some(pods),
            Endpoint::Address(_) => None,
        });
        if let Some(pods) = pods.collect::<Option<Vec<_>>>() {
            trust_to_run(pods, trail);
        }
        let expected = self.expected(known, port)?;
        let balance = Balance::of(viewer, known, port.number, subset);
        trail.unsure.extend(balance.unsure(&endpoints));
        let ranks: Vec<usize> = endpoints.iter().map(|it| balance.rank(it)).collect();
        let first = ranks.iter().min().copied().unwrap_or_default();
        for (endpoint, rank) in endpoints.iter().zip(ranks) {
            let start = trail.hops.len();
            let choice = balance.choice(order, endpoint);
            let step = Step { speech: &speech, expected: &expected, share: target.share, outside, choice };
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
}
