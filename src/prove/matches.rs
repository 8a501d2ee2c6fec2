//! `Fit`: which requests a match of a route takes, as far as that is known before one is made.

use std::collections::BTreeMap;

use serde_yaml::Value;

use super::service::{Viewer, covers};
use super::value::{at, keys, list, number, pairs, word, words};

/// What is asked of a route.
pub(super) struct Asker<'a> {
    pub(super) viewer: &'a Viewer<'a>,
    /// The gateway by which requests come, as `namespace/name`; `mesh` if that is a sidecar.
    pub(super) gateway: String,
    /// Of the listener.
    pub(super) port: u16,
    pub(super) host: &'a str,
    /// What all paths begin with.
    pub(super) path: &'a str,
}

/// How many of the requests a match takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    No,
    /// Some, or nobody knows.
    InPart,
    All,
}

/// The gateway of sidecars.
pub(super) const MESH: &str = "mesh";

/// The gateway that an object of a namespace names, as `namespace/name`; `mesh` as it is.
pub(super) fn gateway(name: &str, namespace: &str) -> String {
    match (name.split_once('/'), name.split_once('.')) {
        (Some((".", name)), _) => format!("{namespace}/{name}"),
        (Some(_), _) => name.to_owned(),
        // As `name.namespace.svc.cluster.local`, which is how names were before 1.1.
        (None, Some((name, rest))) => format!("{}/{name}", rest.split('.').next().unwrap_or(rest)),
        (None, None) if name == MESH => name.to_owned(),
        (None, None) => format!("{namespace}/{name}"),
    }
}

/// What a match asks for without looking at the request, and what it only says.
const STATIC: [&str; 8] =
    ["name", "port", "gateways", "sourceLabels", "sourceNamespace", "sniHosts", "statPrefix", "ignoreUriCase"];

impl Asker<'_> {
    /// How many requests a route takes, which stands in a namespace.
    pub(super) fn fit(&self, kind: &str, route: &Value, namespace: &str) -> Fit {
        let all = list(route, &["match"]);
        if all.is_empty() {
            return Fit::All;
        }
        all.iter().map(|it| self.one(kind, it, namespace)).max().unwrap_or(Fit::No)
    }

    fn one(&self, kind: &str, it: &Value, namespace: &str) -> Fit {
        let names = list(it, &["sniHosts"]);
        let of_name = names.is_empty() || names.iter().filter_map(Value::as_str).any(|it| covers(it, self.host));
        if number(it, &["port"]).is_some_and(|it| it != self.port) || !of_name {
            return Fit::No;
        }
        let gateways = list(it, &["gateways"]);
        if !gateways.is_empty() && !words(it, &["gateways"]).any(|it| gateway(it, namespace) == self.gateway) {
            return Fit::No;
        }
        // Who names a gateway for HTTP is not asked for labels.
        let source = if kind == "http" && !gateways.is_empty() { Fit::All } else { self.of_source(it) };
        source.min(self.of_request(it))
    }

    fn of_source(&self, it: &Value) -> Fit {
        let namespace = word(it, &["sourceNamespace"]);
        // Before 1.6 there is no such field.
        if self.viewer.cluster.istio.minor >= 6 && !namespace.is_empty() && namespace != self.viewer.namespace {
            return Fit::No;
        }
        let labels = self.viewer.labels.as_ref();
        let asked = pairs(it, &["sourceLabels"]);
        let of_label = |(key, text): (&String, &String)| match labels.and_then(|it| it.get(key)) {
            Some(own) if own == text => Fit::All,
            None if !self.knows_labels() => Fit::InPart,
            _ => Fit::No,
        };
        asked.iter().map(of_label).min().unwrap_or(Fit::All)
    }

    /// Whether a file says all labels of the caller.
    fn knows_labels(&self) -> bool {
        let none = BTreeMap::new();
        let labels = self.viewer.labels.as_ref().unwrap_or(&none);
        let pods = self.viewer.cluster.selected(&self.viewer.namespace, labels);
        pods.iter().any(|it| it.id.kind != "WorkloadEntry" && !it.is_told())
    }

    fn of_request(&self, it: &Value) -> Fit {
        let is_empty = |key: &str| match at(it, &[key]) {
            Some(Value::Mapping(map)) => map.is_empty(),
            Some(Value::Sequence(list)) => list.is_empty(),
            other => other.is_none_or(Value::is_null),
        };
        let more = keys(it, &[]).any(|key| key != "uri" && !STATIC.contains(&key) && !is_empty(key));
        let path = self.of_path(it);
        if more { path.min(Fit::InPart) } else { path }
    }

    fn of_path(&self, it: &Value) -> Fit {
        let Some(uri) = at(it, &["uri"]) else { return Fit::All };
        let ignores_case = at(it, &["ignoreUriCase"]) == Some(&Value::Bool(true));
        let plain = |text: &str| if ignores_case { text.to_ascii_lowercase() } else { text.to_owned() };
        let (own, prefix, exact) = (plain(self.path), plain(word(uri, &["prefix"])), plain(word(uri, &["exact"])));
        if !exact.is_empty() {
            return if exact.starts_with(&own) { Fit::InPart } else { Fit::No };
        }
        if !word(uri, &["regex"]).is_empty() {
            return if word(uri, &["regex"]) == ".*" { Fit::All } else { Fit::InPart };
        }
        match prefix.as_str() {
            it if own.starts_with(it) => Fit::All,
            it if it.starts_with(&own) => Fit::InPart,
            _ => Fit::No,
        }
    }
}
