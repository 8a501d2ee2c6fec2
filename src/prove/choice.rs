//! `Choice`: how an endpoint is chosen among all that may answer.

use serde_yaml::Value;

use super::endpoint::Endpoint;
use super::object::Place;
use super::rules::{of_port, rules, subset};
use super::service::{Known, Viewer};
use super::value::{word, words};
use crate::topology::NETWORK_LABEL;

/// How a way is chosen among those of its call.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Choice {
    /// Which destination of the routes it belongs to.
    pub(super) target: usize,
    /// Those of a lower rank come first, as long as they answer.
    pub(super) rank: usize,
    /// How many endpoints it stands for; `None` if nobody says.
    pub(super) endpoints: Option<u64>,
    /// How much of all endpoints in percent is left out while it does not answer; 0 if there is no outlier detection.
    pub(super) left_out: u64,
}

/// What every `DestinationRule` says of the choice among the endpoints of a host.
pub(super) struct Balance<'a> {
    viewer: &'a Viewer<'a>,
    failover: Failover,
    /// As for [`Choice`].
    left_out: u64,
    /// What is said of the choice and is not understood.
    unsure: Vec<Place>,
}

/// Which endpoints come first.
enum Failover {
    /// All alike.
    No,
    /// Those with most of these labels.
    Labels(Vec<String>),
    /// The nearest.
    Locality,
}

impl<'a> Balance<'a> {
    /// What holds for a port of a host, or a subset of it.
    pub(super) fn of(viewer: &'a Viewer<'a>, known: &Known<'a>, port: u16, name: Option<&str>) -> Self {
        let rules = rules(viewer, known);
        let of_subset = name.and_then(|it| subset(&rules, it)).map(|it| it.1.below(&["trafficPolicy"]));
        let general = rules.iter().map(|it| Place::new(it, &["spec", "trafficPolicy"])).find(|it| it.value().is_some());
        let policies: Vec<Place> = of_subset.into_iter().chain(general).map(|it| of_port(&it, port)).collect();
        let place = |name: &str| policies.iter().map(|it| it.below(&[name])).find(|it| it.value().is_some());
        let detection = place("outlierDetection");
        let left_out = detection.as_ref().and_then(Place::value).map_or(0, ejected);
        let setting =
            place("loadBalancer").map(|it| it.below(&["localityLbSetting"])).filter(|it| it.value().is_some());
        let of_mesh = viewer.cluster.install.mesh(&["localityLbSetting"]).map(|it| it.1);
        let unsure = [(&setting, "distribute"), (&setting, "failover"), (&detection, "minHealthPercent")];
        let unsure = unsure.into_iter().filter_map(|(it, field)| Some(it.as_ref()?.below(&[field])));
        // What holds for the whole mesh is not understood, unless a rule has its own.
        let unsure = unsure.chain(of_mesh.filter(|_| setting.is_none())).filter(|it| it.value().is_some()).collect();
        let locality = setting.as_ref().and_then(Place::value);
        let priority: Vec<_> =
            locality.iter().flat_map(|it| words(it, &["failoverPriority"])).map(str::to_owned).collect();
        let said = |name: &str| locality.and_then(|it| it.get(name));
        let failover = match said("enabled") {
            // Whoever fails is asked for ever, so nobody needs to come first.
            _ if left_out == 0 => Failover::No,
            _ if !priority.is_empty() => Failover::Labels(priority),
            Some(Value::Bool(false)) => Failover::No,
            _ if said("distribute").is_some() => Failover::No,
            _ => Failover::Locality,
        };
        Self { viewer, failover, left_out, unsure }
    }

    /// How one endpoint is chosen.
    pub(super) fn choice(&self, target: usize, endpoint: &Endpoint<'_>) -> Choice {
        let endpoints = match endpoint {
            Endpoint::Address(_) => Some(1),
            Endpoint::Pods(pods, _) => pods.count(),
        };
        let rank = self.rank(endpoint).max(self.distance(endpoint));
        Choice { target, rank, endpoints, left_out: self.left_out }
    }

    /// What is said of the choice among endpoints and is not understood.
    pub(super) fn unsure(&self, endpoints: &[Endpoint<'_>]) -> Vec<Place> {
        let weight = |it: &Endpoint<'_>| match it {
            Endpoint::Address(it) => it.place.below(&["weight"]).value().and_then(Value::as_u64).unwrap_or(1),
            Endpoint::Pods(..) => 1,
        };
        // Those of one weight are as those of none.
        let differ = endpoints.windows(2).any(|it| weight(&it[0]) != weight(&it[1]));
        let weighed = endpoints.iter().filter(|_| differ).filter_map(|it| match it {
            Endpoint::Address(it) => Some(it.place.below(&["weight"])).filter(|it| it.value().is_some()),
            Endpoint::Pods(..) => None,
        });
        self.unsure.iter().cloned().chain(weighed).collect()
    }

    /// How many endpoints with more of the labels that a rule of failover asks for come before one.
    pub(super) fn rank(&self, endpoint: &Endpoint<'_>) -> usize {
        let Failover::Labels(priority) = &self.failover else { return 0 };
        let network = self.viewer.cluster.install.network();
        let labels = endpoint.labels(&network);
        let mut own = self.viewer.labels.clone().unwrap_or_default();
        own.entry(NETWORK_LABEL.to_owned()).or_insert(network);
        let matches = |it: &&String| match it.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|it| it == value),
            None => labels.get(*it) == own.get(*it),
        };
        priority.len() - priority.iter().take_while(matches).count()
    }

    /// How far an endpoint is: 0 in the same subzone, 3 in another region.
    fn distance(&self, endpoint: &Endpoint<'_>) -> usize {
        let own = &self.viewer.cluster.locality;
        let Endpoint::Address(remote) = endpoint else { return 0 };
        if !matches!(self.failover, Failover::Locality) || own.is_empty() {
            return 0;
        }
        let part = |text: &str, index: usize| text.split('/').nth(index).unwrap_or_default().to_owned();
        3 - (0..3).take_while(|it| part(own, *it) == part(&remote.locality, *it)).count()
    }
}

/// The share of the endpoints that outlier detection leaves out at most, in percent; 0 if it is off.
fn ejected(detection: &Value) -> u64 {
    let count = |name: &str| detection.get(name).and_then(Value::as_u64);
    // Only the first is on if nobody says anything.
    let is_off = count("consecutive5xxErrors").or(count("consecutiveErrors")) == Some(0)
        && ["consecutiveGatewayErrors", "consecutiveLocalOriginFailures"].iter().all(|it| count(it).unwrap_or(0) == 0);
    if is_off || word(detection, &["mode"]) == "OFF" { 0 } else { count("maxEjectionPercent").unwrap_or(10) }
}
