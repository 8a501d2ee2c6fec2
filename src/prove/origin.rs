//! `Origin`: the caller's pods, what their sidecar does, and whom they are told to call.

use std::sync::Arc;

use super::call::Call;
use super::cluster::Cluster;
use super::gateways;
use super::hop::{Break, HopKind, Passed, Trail};
use super::object::{Object, Place};
use super::pod::{Injection, Pods};
use super::service::Viewer;
use super::value::{at, fits, text};

/// The caller, as its cluster knows it.
pub(super) struct Origin<'a> {
    pub(super) viewer: Viewer<'a>,
    pub(super) pods: Option<Pods<'a>>,
    pub(super) account: Option<String>,
    pub(super) has_sidecar: bool,
}

impl<'a> Origin<'a> {
    /// Who makes a call in a cluster: the pods of a workload, or those that the call says.
    pub(super) fn of(
        call: &'a Call,
        cluster: &'a Cluster,
        workload: Option<&'a Arc<Object>>,
        trail: &mut Trail,
    ) -> Self {
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
        let pods = match workload {
            Some(workload) => Pods::of(workload),
            None => cluster.selected(&call.namespace, &call.selector).into_iter().find_map(Pods::of),
        };
        let has_sidecar = match pods.as_ref().map(|it| it.injection(cluster)) {
            Some(Injection::No(..)) => false,
            Some(Injection::Presumed) => {
                trail.trusts(format!("sidecars in the namespace `{}` of `{}`", call.namespace, cluster.name));
                true
            }
            _ => true,
        };
        if pods.is_none() {
            trail.trusts(format!("the pods of {} in `{}`, which no file brings", call.caller, cluster.name));
        }
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
    pub(super) fn capture(&self) -> Option<Place> {
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

    /// The name and port that the application is told.
    pub(super) fn dialed(&self, call: &Call, trail: &mut Trail) -> Result<(String, u16), Box<Break>> {
        let here = &self.viewer.cluster.name;
        let mut dialed = (call.host.clone(), call.port);
        let Some(pods) = self.pods.as_ref().filter(|it| !it.object.is_told()) else { return Ok(dialed) };
        for (name, form) in &call.variables {
            let wanted = form.fill(&call.host, call.port);
            match pods.variable(name) {
                None if pods.has_more_variables() => {
                    trail.trusts(format!("the variable {name}, which comes from elsewhere"));
                }
                None => {
                    return Err(Break::new(
                        HopKind::Name,
                        here,
                        format!("no container of {} has the variable {name}", pods.object),
                    )
                    .at(pods.place(&["spec", "containers"]))
                    .effect("the application is not told whom to call")
                    .mend(format!("add {name} with `{wanted}`")));
                }
                Some((None, _)) => trail.trusts(format!("the variable {name}, whose value is elsewhere")),
                Some((Some(said), place)) => {
                    if said != wanted {
                        let Some(read) = address(&said, &dialed) else {
                            return Err(Break::new(
                                HopKind::Name,
                                here,
                                format!("the variable {name} says `{said}`, which is no address"),
                            )
                            .at(place)
                            .effect("the application calls nobody")
                            .mend(format!("say `{wanted}`")));
                        };
                        dialed = read;
                    }
                    trail.holds(HopKind::Name, here, "", format!("the application is told `{said}`"), place);
                }
            }
        }
        Ok(dialed)
    }
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
