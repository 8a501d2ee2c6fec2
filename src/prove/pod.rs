//! `Pods`: who answers, and whether a sidecar beside them takes mTLS.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_yaml::Value;

use super::cluster::Cluster;
use super::hop::{Break, HopKind, Trail};
use super::object::{Object, Place};
use super::value::{at, fits, keys, list, number, pairs, text, word};
use crate::topology::ROOT_NAMESPACE;

/// Kinds that have pods.
pub(super) const WORKLOADS: [&str; 9] = [
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "ReplicationController",
    "Rollout",
    "Job",
    "CronJob",
    "Pod",
];

/// The pods of a workload.
#[derive(Debug, Clone)]
pub(super) struct Pods<'a> {
    pub(super) object: &'a Arc<Object>,
    pub(super) labels: BTreeMap<String, String>,
    /// The ServiceAccount; `None` if nobody says it.
    pub(super) account: Option<String>,
}

/// A port on which pods are to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Number(u16),
    Name(String),
}

/// Whether pods have a sidecar.
pub(super) enum Injection {
    /// They have.
    Yes,
    /// They have none; what says so, in words too.
    No(Place, &'static str),
    /// Their Namespace is in no file.
    Presumed,
}

/// What a sidecar takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mtls {
    Disable,
    Permissive,
    Strict,
}

impl<'a> Pods<'a> {
    /// The pods of an object, if it has any.
    pub(super) fn of(object: &'a Arc<Object>) -> Option<Self> {
        let none = at(&object.value, &["spec", "replicas"]).and_then(Value::as_u64) == Some(0);
        if !WORKLOADS.contains(&object.id.kind.as_str()) || none {
            return None;
        }
        let mut pods = Self { object, labels: BTreeMap::new(), account: None };
        pods.labels = pairs(pods.template(), &["metadata", "labels"]);
        let account = word(pods.template(), &["spec", "serviceAccountName"]);
        pods.account = match account {
            "" if object.is_told() => None,
            "" => Some("default".to_owned()),
            account => Some(account.to_owned()),
        };
        Some(pods)
    }

    /// How many there are; `None` if nobody says.
    pub(super) fn count(&self) -> Option<u64> {
        match self.object.id.kind.as_str() {
            "Pod" => Some(1),
            _ => at(&self.object.value, &["spec", "replicas"]).and_then(Value::as_u64),
        }
    }

    fn way(&self) -> &'static [&'static str] {
        match self.object.id.kind.as_str() {
            "Pod" => &[],
            "CronJob" => &["spec", "jobTemplate", "spec", "template"],
            _ => &["spec", "template"],
        }
    }

    fn template(&self) -> &'a Value {
        at(&self.object.value, self.way()).unwrap_or(&Value::Null)
    }

    /// A field of the pods.
    pub(super) fn place(&self, field: &[&str]) -> Option<Place> {
        (!self.object.is_told()).then(|| Place::new(self.object, self.way()).below(field))
    }

    pub(super) fn namespace(&self) -> &str {
        &self.object.id.namespace
    }

    /// The value of a variable of a container, with its place; an empty one if the value is none that is written.
    pub(super) fn variable(&self, name: &str) -> Option<(Option<String>, Option<Place>)> {
        for (index, container) in list(self.template(), &["spec", "containers"]).iter().enumerate() {
            let env = list(container, &["env"]);
            if let Some(variable) = env.iter().position(|it| word(it, &["name"]) == name) {
                // What says neither a value nor from where it comes is empty.
                let is_elsewhere = at(&env[variable], &["valueFrom"]).is_some();
                let value = at(&env[variable], &["value"]).and_then(text);
                let value = value.or_else(|| (!is_elsewhere).then(String::new));
                let is_said = at(&env[variable], &["value"]).is_some();
                let (index, variable) = (index.to_string(), variable.to_string());
                let field: &[&str] = &["spec", "containers", &index, "env", &variable];
                let place = if is_said { [field, &["value"]].concat() } else { field.to_vec() };
                return Some((value, self.place(&place)));
            }
        }
        None
    }

    /// What is said of their traffic or their names and is not understood.
    pub(super) fn oddities(&self) -> Vec<(String, Place)> {
        let template = self.template();
        let annotations = keys(template, &["metadata", "annotations"]);
        let is_known = |it: &&str| [INCLUDED, EXCLUDED].contains(it);
        let annotations = annotations.filter(|it| it.starts_with("traffic.sidecar.istio.io/") && !is_known(it));
        let mut found: Vec<_> =
            annotations.filter_map(|it| Some((it.to_owned(), self.place(&["metadata", "annotations", it])?))).collect();
        let is_usual = |field: &str| field == "dnsPolicy" && word(template, &["spec", field]) == "ClusterFirst";
        for field in ["dnsPolicy", "dnsConfig", "hostAliases"] {
            if at(template, &["spec", field]).is_some() && !is_usual(field) {
                found.extend(self.place(&["spec", field]).map(|it| (field.to_owned(), it)));
            }
        }
        found
    }

    /// Whether variables come from elsewhere, too.
    pub(super) fn has_more_variables(&self) -> bool {
        list(self.template(), &["spec", "containers"]).iter().any(|it| it.get("envFrom").is_some())
    }

    /// The number of a port on which they listen, if it is known; an error if they say their ports, and this is none.
    pub(super) fn listen(&self, target: &Target) -> Result<Option<u16>, ()> {
        let containers = list(self.template(), &["spec", "containers"]).iter();
        // Of those that come first, some go on beside the others.
        let first = list(self.template(), &["spec", "initContainers"]).iter();
        let beside = first.filter(|it| word(it, &["restartPolicy"]) == "Always");
        let ports: Vec<_> = containers.chain(beside).flat_map(|it| list(it, &["ports"])).collect();
        let is_meant = |it: &&&Value| match target {
            Target::Number(number) => self::number(it, &["containerPort"]) == Some(*number),
            Target::Name(name) => word(it, &["name"]) == name,
        };
        match (ports.iter().find(is_meant), target) {
            (Some(port), _) => Ok(number(port, &["containerPort"])),
            (None, Target::Number(number)) if ports.is_empty() => Ok(Some(*number)),
            _ => Err(()),
        }
    }

    /// Whether they have a sidecar.
    pub(super) fn injection(&self, cluster: &Cluster) -> Injection {
        let template = self.template();
        if at(template, &["spec", "hostNetwork"]) == Some(&Value::Bool(true))
            && let Some(place) = self.place(&["spec", "hostNetwork"])
        {
            return Injection::No(place, "the pods use the network of their node, and get no sidecar");
        }
        let asked = ["labels", "annotations"].iter().find_map(|it| {
            let field = ["metadata", *it, "sidecar.istio.io/inject"];
            Some((at(template, &field).and_then(text)?, self.place(&field)))
        });
        if let Some((said, Some(place))) = &asked
            && said == "false"
        {
            return Injection::No(place.clone(), "the pods ask for no sidecar");
        }
        let Some(namespace) = cluster.get("Namespace", "", self.namespace()) else { return Injection::Presumed };
        let said = |label: &str| word(&namespace.value, &["metadata", "labels", label]);
        let place = |label: &str| Place::new(namespace, &["metadata", "labels", label]);
        match said("istio-injection") {
            "enabled" => return Injection::Yes,
            "disabled" => return Injection::No(place("istio-injection"), "the Namespace asks for no sidecars"),
            _ => {}
        }
        if !said("istio.io/rev").is_empty() {
            return Injection::Yes;
        }
        let by_default = cluster.install.value(&["sidecarInjectorWebhook", "enableNamespacesByDefault"]);
        match asked {
            // Pods are asked without their namespace from 1.10 on.
            Some((said, _)) if said == "true" && cluster.istio.minor >= 10 => Injection::Yes,
            _ if by_default.is_some_and(|it| it.0 == &Value::Bool(true)) => Injection::Yes,
            _ => Injection::No(
                Place::new(namespace, &["metadata", "name"]),
                "no label of the Namespace asks for sidecars",
            ),
        }
    }

    /// What their sidecar takes on a port, and what says so.
    pub(super) fn mtls(&self, cluster: &Cluster, port: Option<u16>) -> (Mtls, Option<Place>) {
        let namespaces = [self.namespace(), ROOT_NAMESPACE];
        let mut general = Vec::new();
        for namespace in namespaces {
            for object in cluster.of_kind("PeerAuthentication", namespace) {
                let selector = pairs(&object.value, &["spec", "selector", "matchLabels"]);
                if selector.is_empty() {
                    general.push(object);
                    continue;
                }
                if namespace != self.namespace() || !fits(&self.labels, &selector) {
                    continue;
                }
                let of_port = port.map(|it| it.to_string());
                let fields: [&[&str]; 2] = [
                    &["spec", "portLevelMtls", of_port.as_deref().unwrap_or_default(), "mode"],
                    &["spec", "mtls", "mode"],
                ];
                if let Some(found) = fields.iter().find_map(|it| mode(object, it)) {
                    return found;
                }
            }
        }
        let found = general.into_iter().find_map(|it| mode(it, &["spec", "mtls", "mode"]));
        let of_values = || cluster.install.mutual().map(|it| (Mtls::Strict, Some(it)));
        found.or_else(of_values).unwrap_or((Mtls::Permissive, None))
    }

    /// The annotation that keeps a port from their sidecar.
    fn past_the_sidecar(&self, port: u16) -> Option<Place> {
        let field = |name: &'static str| ["metadata", "annotations", name];
        let ports = |name| at(self.template(), &field(name)).and_then(text);
        let names = |text: &str| text.split(',').any(|it| it.trim() == port.to_string());
        // Ports are left out of all, not of those that are listed.
        match ports(INCLUDED).filter(|it| it != "*") {
            Some(included) => (!names(&included)).then(|| self.place(&field(INCLUDED)))?,
            None => names(&ports(EXCLUDED)?).then(|| self.place(&field(EXCLUDED)))?,
        }
    }

    /// Breaks if they do not take mTLS.
    pub(super) fn take_mtls(&self, cluster: &Cluster, port: Option<u16>) -> Result<Option<Place>, Box<Break>> {
        let effect = "the server answers in plain text, and the connection is reset";
        if let Injection::No(place, why) = self.injection(cluster) {
            return Err(Break::new(HopKind::Pod, &cluster.name, format!("mTLS meets no sidecar: {why}"))
                .at(place)
                .effect(effect)
                .mend("let the pods have a sidecar, and start them anew"));
        }
        if let Some(place) = port.and_then(|it| self.past_the_sidecar(it)) {
            return Err(Break::new(HopKind::Pod, &cluster.name, "mTLS meets no sidecar: the port is kept from it")
                .at(place)
                .effect("the program in the pods gets mTLS and answers in plain text: UF, WRONG_VERSION_NUMBER")
                .mend("let the sidecar have the port"));
        }
        match self.mtls(cluster, port) {
            (Mtls::Disable, place) => {
                Err(Break::new(HopKind::Pod, &cluster.name, "the sidecar of the pods takes no mTLS")
                    .at(place)
                    .effect(effect)
                    .mend("set `mode` to STRICT or PERMISSIVE"))
            }
            (_, place) => Ok(place),
        }
    }
}

/// Takes on trust that pods run if all of them are of kinds that end.
pub(super) fn trust_to_run<'p>(pods: impl IntoIterator<Item = &'p Pods<'p>>, trail: &mut Trail) {
    let all: Vec<_> = pods.into_iter().map(|it| it.object).collect();
    if all.iter().all(|it| ["Job", "CronJob"].contains(&it.id.kind.as_str())) {
        for it in all {
            trail.trusts(format!("that pods of {it} are running"));
        }
    }
}

/// The ports that the sidecar has, and those that it has not.
const INCLUDED: &str = "traffic.sidecar.istio.io/includeInboundPorts";
const EXCLUDED: &str = "traffic.sidecar.istio.io/excludeInboundPorts";

fn mode(object: &Arc<Object>, field: &[&str]) -> Option<(Mtls, Option<Place>)> {
    let mode = match word(&object.value, field) {
        "STRICT" => Mtls::Strict,
        "PERMISSIVE" => Mtls::Permissive,
        "DISABLE" => Mtls::Disable,
        _ => return None,
    };
    Some((mode, Some(Place::new(object, field))))
}
