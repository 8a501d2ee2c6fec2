//! A topology from which lines can be taken away, with what refers to them.

use std::collections::{BTreeMap, BTreeSet};

use meshlatch::source::{Source, Span};
use meshlatch::syntax::{Document, Place, Shape};
use serde_yaml::Value;

/// A value, every part with the lines that it stands in.
#[derive(Debug, Clone)]
pub(super) enum Tree {
    Scalar(Value),
    List(Vec<(Span, Tree)>),
    Map(Vec<(String, Span, Tree)>),
}

use Tree::{List, Map, Scalar};

impl Tree {
    pub(super) fn of(document: &Document, source: &Source) -> Self {
        let mut value: Value = serde_yaml::from_str(source.text()).expect("it compiles");
        merge(&mut value);
        build(document.place(), &value, source)
    }

    pub(super) fn text(&self) -> String {
        serde_yaml::to_string(&self.value()).expect("it was YAML")
    }

    fn value(&self) -> Value {
        match self {
            Scalar(value) => value.clone(),
            List(list) => Value::Sequence(list.iter().map(|it| it.1.value()).collect()),
            Map(map) => Value::Mapping(map.iter().map(|it| (Value::String(it.0.clone()), it.2.value())).collect()),
        }
    }

    pub(super) fn has_clusters(&self) -> bool {
        !self.entries("clusters").is_empty()
    }

    /// The lines of everything that has a name, and of every call.
    pub(super) fn named(&self) -> Vec<Span> {
        let parts = ["clusters", "services", "externals", "ingress"].into_iter().flat_map(|it| self.entries(it));
        let calls = self.entries("services").iter().filter_map(|it| match it.2.get("calls") {
            Some(List(list)) => Some(list.iter().map(|it| it.0)),
            _ => None,
        });
        parts.map(|it| it.1).chain(calls.flatten()).collect()
    }

    /// The lines of the orders and shares of clusters.
    pub(super) fn balances(&self) -> BTreeSet<Span> {
        let balances = self.entries("services").iter().filter_map(|it| it.2.get("balance"));
        balances.flat_map(Self::spans).collect()
    }

    /// The lines of settings that bring objects.
    pub(super) fn settings(&self) -> Vec<Span> {
        let fields = |tree: &Self, names: &[&str]| {
            let Map(map) = tree else { return Vec::new() };
            map.iter().filter(|it| names.contains(&it.0.as_str())).map(|it| it.1).collect()
        };
        let mesh = self.get("mesh").map(|it| fields(it, &["authorization", "gatewayAddresses", "names", "trust"]));
        let clusters = self.entries("clusters").iter().map(|it| fields(&it.2, &["dns", "install", "trust"]));
        let services = self.entries("services").iter().map(|it| fields(&it.2, &["names", "workload"]));
        mesh.into_iter().chain(clusters).chain(services).flatten().collect()
    }

    /// The lines in which a cluster is declared.
    pub(super) fn cluster(&self, name: &str) -> Span {
        self.entries("clusters").iter().find(|it| it.0 == name).expect("it is declared").1
    }

    /// The lines of every part.
    pub(super) fn spans(&self) -> BTreeSet<Span> {
        let mut spans = BTreeSet::new();
        self.visit(&mut |it| {
            spans.insert(it);
        });
        spans
    }

    fn visit(&self, see: &mut impl FnMut(Span)) {
        match self {
            Scalar(_) => {}
            List(list) => list.iter().for_each(|it| {
                see(it.0);
                it.1.visit(see);
            }),
            Map(map) => map.iter().for_each(|it| {
                see(it.1);
                it.2.visit(see);
            }),
        }
    }

    /// Takes away what stands in these lines, and what cannot be without it; tells whether anything had to
    /// be said that was not said before.
    pub(super) fn remove(&mut self, lines: &BTreeSet<Span>) -> bool {
        let before = self.clone();
        self.before(lines);
        let changed = before.text() != self.text();
        self.drop(lines);
        loop {
            let count = self.spans().len();
            self.mend();
            if self.spans().len() == count {
                return changed;
            }
        }
    }

    fn drop(&mut self, lines: &BTreeSet<Span>) {
        match self {
            Scalar(_) => {}
            List(list) => {
                list.retain(|it| !lines.contains(&it.0));
                for it in list {
                    it.1.drop(lines);
                }
            }
            Map(map) => {
                map.retain(|it| !lines.contains(&it.1));
                for it in map {
                    it.2.drop(lines);
                }
            }
        }
    }

    fn get(&self, key: &str) -> Option<&Self> {
        let Map(map) = self else { return None };
        map.iter().find(|it| it.0 == key).map(|it| &it.2)
    }

    fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        let Map(map) = self else { return None };
        map.iter_mut().find(|it| it.0 == key).map(|it| &mut it.2)
    }

    fn entries(&self, key: &str) -> &[(String, Span, Self)] {
        if let Some(Map(map)) = self.get(key) { map } else { &[] }
    }

    fn entries_mut(&mut self, key: &str) -> Vec<(&str, &mut Self)> {
        match self.get_mut(key) {
            Some(Map(map)) => map.iter_mut().map(|it| (it.0.as_str(), &mut it.2)).collect(),
            _ => Vec::new(),
        }
    }

    fn delete(&mut self, key: &str) {
        if let Map(map) = self {
            map.retain(|it| it.0 != key);
        }
    }

    fn retain(&mut self, key: &str, keep: impl Fn(&str, &Self) -> bool) {
        if let Some(Map(map)) = self.get_mut(key) {
            map.retain(|it| keep(&it.0, &it.2));
        }
    }

    fn word(&self) -> Option<&str> {
        if let Scalar(value) = self { value.as_str() } else { None }
    }

    /// One word or a list of them.
    fn words(&self, key: &str) -> Vec<String> {
        match self.get(key) {
            Some(List(list)) => list.iter().filter_map(|it| it.1.word()).map(str::to_owned).collect(),
            Some(one) => one.word().map(str::to_owned).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// Of one or a list, those that are kept; without any, the key goes too.
    fn keep(&mut self, key: &str, keep: impl Fn(&Self) -> bool) {
        let empty = match self.get_mut(key) {
            Some(List(list)) => {
                list.retain(|it| keep(&it.1));
                list.is_empty()
            }
            Some(one) => !keep(one),
            None => false,
        };
        if empty {
            self.delete(key);
        }
    }

    /// Services in several clusters answer in that of the caller.
    fn keep_calls_local(&mut self) {
        for (_, service) in self.entries_mut("services") {
            if service.words("clusters").len() > 1 {
                service.delete("balance");
                let Map(map) = service else { panic!("a service is a map") };
                map.push(("balance".to_owned(), Span::default(), Scalar("local".into())));
            }
        }
    }

    /// What the rest of the mesh has to do without before these lines go.
    fn before(&mut self, lines: &BTreeSet<Span>) {
        if self.entries("mesh").iter().any(|it| it.0 == "gatewayAddresses" && lines.contains(&it.1)) {
            // Names of gateways cannot stand beside pods.
            self.keep_calls_local();
        }
        let clusters: Vec<(String, bool, bool)> = self
            .entries("clusters")
            .iter()
            .map(|(name, _, cluster)| {
                let Map(fields) = cluster else { panic!("a cluster is a map") };
                let goes = |field: &str| fields.iter().any(|it| it.0 == field && lines.contains(&it.1));
                (name.clone(), goes("dns"), goes("gateway"))
            })
            .collect();
        let places: BTreeMap<String, Vec<String>> =
            self.entries("services").iter().map(|it| (it.0.clone(), it.2.words("clusters"))).collect();
        let declared = self.get("mesh").and_then(|it| it.get("authorization")).is_some();
        for (key, service) in self.entries_mut("services") {
            let Map(map) = service else { panic!("a service is a map") };
            let workload = map.iter().any(|it| it.0 == "workload" && lines.contains(&it.1));
            // Whoever calls by identity has one, with or without pods of ours.
            if declared && workload && !map.iter().any(|it| it.0 == "serviceAccount") {
                map.push(("serviceAccount".to_owned(), Span::default(), Scalar(key.into())));
            }
        }
        for (name, dns, gateway) in clusters {
            let runs = |service: &str| places.get(service).is_some_and(|it| it.contains(&name));
            if gateway {
                // Nobody calls into it any more.
                for (_, service) in self.entries_mut("services") {
                    service.keep("calls", |it| !runs(callee(it)));
                }
                self.keep_calls_local();
                for (_, ingress) in self.entries_mut("ingress") {
                    let inside = ingress.get("service").and_then(Self::word).is_some_and(runs);
                    if inside {
                        ingress.keep("clusters", |it| it.word() == Some(&name));
                    }
                }
            }
            if dns {
                // Nobody calls out of it any more.
                for (key, service) in self.entries_mut("services") {
                    if runs(key) {
                        service.keep("calls", |it| runs(callee(it)));
                    }
                }
                for (_, ingress) in self.entries_mut("ingress") {
                    let inside = ingress.get("service").and_then(Self::word).is_some_and(runs);
                    if !inside {
                        ingress.keep("clusters", |it| it.word() != Some(&name));
                    }
                }
            }
        }
    }

    /// Takes away what refers to something that is gone.
    fn mend(&mut self) {
        let clusters: BTreeSet<String> = self.entries("clusters").iter().map(|it| it.0.clone()).collect();
        let exists = |it: &Self| it.word().is_some_and(|it| clusters.contains(it));

        for (_, cluster) in self.entries_mut("clusters") {
            if let Some(gateway) = cluster.get_mut("gateway") {
                gateway.retain("from", |it, _| clusters.contains(it));
            }
        }
        for (_, service) in self.entries_mut("services") {
            service.keep("clusters", exists);
            let placed = service.words("clusters");
            if let Some(balance) = service.get_mut("balance") {
                balance.keep("failover", |it| it.word().is_some_and(|it| placed.iter().any(|at| at == it)));
                balance.retain("weights", |it, _| placed.iter().any(|at| at == it));
                let sum: i64 = balance.entries("weights").iter().filter_map(|it| number(&it.2)).sum();
                if let Some((_, first)) = balance.entries_mut("weights").into_iter().next() {
                    // The first takes over the shares of those that are gone.
                    *first = Scalar((number(first).expect("a share") + 100 - sum).into());
                }
                if placed.len() < 2 || matches!(balance, Map(map) if map.is_empty()) {
                    service.delete("balance");
                }
            }
        }
        self.retain("services", |_, it| it.get("clusters").is_some());
        // Whoever calls what ran beside it needs names of other clusters.
        let places: BTreeMap<String, Vec<String>> =
            self.entries("services").iter().map(|it| (it.0.clone(), it.2.words("clusters"))).collect();
        let mut calling: BTreeSet<String> = BTreeSet::new();
        for (key, _, service) in self.entries("services") {
            let Some(List(calls)) = service.get("calls") else { continue };
            let from = |it: &&String| {
                let far = |call: &(Span, Self)| places.get(callee(&call.1)).is_some_and(|at| !at.contains(it));
                calls.iter().any(far)
            };
            calling.extend(places[key].iter().filter(from).cloned());
        }
        for (name, cluster) in self.entries_mut("clusters") {
            let line = cluster.get("istio").and_then(Self::word).and_then(|it| it.split('.').nth(1)?.parse().ok());
            let Map(map) = cluster else { panic!("a cluster is a map") };
            if matches!(line, Some(0..=8)) && calling.contains(name) && !map.iter().any(|it| it.0 == "dns") {
                let dns = [("provider", "kube-dns"), ("address", "10.0.0.53")];
                let dns = dns.map(|(key, value)| (key.to_owned(), Span::default(), Scalar(value.into())));
                map.push(("dns".to_owned(), Span::default(), Map(dns.to_vec())));
            }
        }
        let services: BTreeSet<String> = self.entries("services").iter().map(|it| it.0.clone()).collect();
        let known = |it: &Self| services.contains(callee(it));
        for (_, service) in self.entries_mut("services") {
            service.keep("calls", known);
        }
        for (_, external) in self.entries_mut("externals") {
            external.keep("callers", known);
        }
        // One that nobody serves any more is not served where its service runs.
        let served = |it: &Self| {
            let by = it.words("clusters");
            by.is_empty() || by.iter().any(|it| clusters.contains(it))
        };
        self.retain("ingress", |_, it| it.get("service").is_some_and(known) && served(it));
        for (_, ingress) in self.entries_mut("ingress") {
            ingress.keep("clusters", exists);
        }
        if self.get("moving").is_some_and(|it| !it.get("service").is_some_and(known)) {
            self.delete("moving");
        }
    }
}

fn number(tree: &Tree) -> Option<i64> {
    if let Scalar(value) = tree { value.as_i64() } else { None }
}

/// Who is called: `cart`, `cart:grpc`, `{service: cart}`.
fn callee(call: &Tree) -> &str {
    let word = call.get("service").unwrap_or(call).word().unwrap_or_default();
    word.split(':').next().unwrap_or(word)
}

fn build(place: Place<'_>, value: &Value, source: &Source) -> Tree {
    let whole = |it: Place<'_>| {
        let extent = it.extent(source);
        if extent.start < it.key().start { it.key() } else { Span::new(it.key().start, extent.end.max(it.key().end)) }
    };
    match (place.shape(), value) {
        (Shape::List, Value::Sequence(list)) => {
            let items = (0..place.len()).map(|it| place.item(it)).zip(list);
            List(items.map(|(at, it)| (whole(at), build(at, it, source))).collect())
        }
        (Shape::Map, Value::Mapping(map)) => {
            let entries = place.entries().map(|(key, at)| {
                let value = map.get(key).expect("both readers see the same keys");
                (key.to_owned(), whole(at), build(at, value, source))
            });
            Map(entries.collect())
        }
        _ => Scalar(value.clone()),
    }
}

/// Applies `<<`.
fn merge(value: &mut Value) {
    match value {
        Value::Sequence(list) => list.iter_mut().for_each(merge),
        Value::Mapping(map) => {
            map.values_mut().for_each(merge);
            let sources = match map.remove("<<") {
                Some(Value::Sequence(list)) => list,
                Some(source) => vec![source],
                None => return,
            };
            for (key, value) in sources.into_iter().filter_map(|it| it.as_mapping().cloned()).flatten() {
                map.entry(key).or_insert(value);
            }
        }
        _ => {}
    }
}
