//! The CEL rules of the schemas (`x-kubernetes-validations`), each by hand.

use std::collections::BTreeSet;

use regex_lite::Regex;
use serde_json::Value;

/// A rule in the words of the data, one entry for each way that releases write it.
pub(super) struct Rule {
    pub(super) texts: &'static [&'static str],
    holds: fn(&Value) -> bool,
    /// JSON that obeys it and JSON that breaks it.
    pub(super) obeys: &'static str,
    pub(super) breaks: &'static str,
}

/// Rules that nothing here judges: they ask for more than the object, or for what we never write.
const NOT_EVALUATED: [(&str, &str); 1] = [("self == oldSelf", "it compares with the object before a change")];

/// Whether a value obeys a rule; nothing if the rule is not evaluated.
pub(super) fn hold(text: &str, value: &Value) -> Option<bool> {
    if let Some(names) = at_most_one(text) {
        return Some(names.iter().filter(|it| value.get(it).is_some()).count() <= 1);
    }
    RULES.iter().find(|it| it.texts.contains(&text)).map(|it| (it.holds)(value))
}

/// Whether someone has read this rule.
pub(super) fn is_decided(text: &str) -> bool {
    at_most_one(text).is_some() || all().any(|it| it == text)
}

/// Every text of this file, but for those of "at most one".
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    RULES.iter().flat_map(|it| it.texts).copied().chain(NOT_EVALUATED.iter().map(|it| it.0))
}

/// The fields of a rule that counts them, as in `(has(self.a)?1:0) + (has(self.b)?1:0) <= 1`.
fn at_most_one(text: &str) -> Option<Vec<String>> {
    let text: String = text.split_whitespace().collect();
    let terms = text.strip_suffix("<=1")?.split('+');
    terms.map(|it| Some(it.strip_prefix("(has(self.")?.strip_suffix(")?1:0)")?.to_owned())).collect()
}

/// Seconds of a duration as Go and protos write it; nothing if it is none.
pub(super) fn duration(text: &str) -> Option<f64> {
    let whole = Regex::new(r"^([0-9]+(\.[0-9]*)?(ns|us|ms|s|m|h))+$").expect("an expression of this file");
    let part = Regex::new(r"([0-9.]+)(ns|us|ms|s|m|h)").expect("an expression of this file");
    whole.is_match(text).then(|| {
        part.captures_iter(text)
            .map(|it| {
                let unit = match &it[2] {
                    "ns" => 1e-9,
                    "us" => 1e-6,
                    "ms" => 1e-3,
                    "s" => 1.0,
                    "m" => 60.0,
                    _ => 3600.0,
                };
                it[1].parse::<f64>().expect("digits") * unit
            })
            .sum()
    })
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn has(value: &Value, field: &str) -> bool {
    value.get(field).is_some()
}

fn all_keys(value: &Value, holds: impl Fn(&str) -> bool) -> bool {
    value.as_object().is_none_or(|it| it.keys().all(|key| holds(key)))
}

/// Whether what is asked of the items differs from item to item.
fn differ<'a, K: Ord>(items: &'a [Value], key: impl Fn(&'a Value) -> Option<K>) -> bool {
    let mut seen = BTreeSet::new();
    items.iter().filter_map(key).all(|it| seen.insert(it))
}

fn matches(expression: &str, text: &str) -> bool {
    Regex::new(expression).expect("an expression of this file").is_match(text)
}

fn is_port(number: Option<u64>) -> bool {
    number.is_some_and(|it| (1..=65535).contains(&it))
}

fn resolution(value: &Value) -> &str {
    value.get("resolution").and_then(Value::as_str).unwrap_or("NONE")
}

fn unix_path(value: &Value) -> Option<&str> {
    value.as_str().and_then(|it| it.strip_prefix("unix://"))
}

const HOST: &str = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const LABEL: &str = concat!(
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?",
    r"([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$"
);

fn addresses_differ(value: &Value, kind: &str) -> bool {
    differ(items(value), |it| (text(it, "type") == kind).then(|| it.get("value").map(Value::to_string)).flatten())
}

fn target_kind(value: &Value) -> Option<(&str, &str)> {
    Some((value.get("group")?.as_str()?, value.get("kind")?.as_str()?))
}

pub(super) const RULES: &[Rule] = &[
    // Istio's entries.
    Rule {
        texts: &[
            "!((has(self.addresses) ? self.addresses : []).exists(k, k.contains('/')) && !((has(self.resolution) ? self.resolution : 'NONE') in ['STATIC', 'NONE']))",
            "!(has(self.addresses) && self.addresses.exists(k, k.contains('/')) && (has(self.resolution) && self.resolution != 'STATIC' && self.resolution != 'NONE'))",
        ],
        holds: |it| {
            let ranges = list(it, "addresses").iter().any(|it| it.as_str().is_some_and(|it| it.contains('/')));
            !ranges || matches!(resolution(it), "STATIC" | "NONE")
        },
        obeys: r#"{"addresses": ["10.0.0.0/8"], "resolution": "STATIC"}"#,
        breaks: r#"{"addresses": ["10.0.0.0/8"], "resolution": "DNS"}"#,
    },
    Rule {
        texts: &[
            "((has(self.resolution) ? self.resolution : 'NONE') == 'NONE') ? !has(self.endpoints) : true",
            "(!has(self.resolution) || self.resolution == 'NONE') ? !has(self.endpoints) : true",
        ],
        holds: |it| resolution(it) != "NONE" || !has(it, "endpoints"),
        obeys: r#"{"endpoints": [], "resolution": "STATIC"}"#,
        breaks: r#"{"endpoints": []}"#,
    },
    Rule {
        texts: &[
            "((has(self.resolution) ? self.resolution : '') == 'DNS_ROUND_ROBIN') ? ((has(self.endpoints) ? self.endpoints : []).size() <= 1) : true",
            "(has(self.resolution) && self.resolution == 'DNS_ROUND_ROBIN') ? (!has(self.endpoints) || size(self.endpoints) == 1) : true",
        ],
        holds: |it| resolution(it) != "DNS_ROUND_ROBIN" || list(it, "endpoints").len() <= 1,
        obeys: r#"{"resolution": "DNS_ROUND_ROBIN", "endpoints": [{}]}"#,
        breaks: r#"{"resolution": "DNS_ROUND_ROBIN", "endpoints": [{}, {}]}"#,
    },
    Rule {
        texts: &["has(self.address) || has(self.network)"],
        holds: |it| has(it, "address") || has(it, "network"),
        obeys: r#"{"network": "east"}"#,
        breaks: r#"{"labels": {}}"#,
    },
    Rule {
        texts: &[
            "(has(self.address) ? self.address : '').startsWith('unix://') ? !has(self.ports) : true",
            "(has(self.address) && self.address.startsWith('unix://')) ? !has(self.ports) : true",
        ],
        holds: |it| !text(it, "address").starts_with("unix://") || !has(it, "ports"),
        obeys: r#"{"address": "unix:///a"}"#,
        breaks: r#"{"address": "unix:///a", "ports": {}}"#,
    },
    Rule {
        texts: &["self.startsWith('unix://') ? !self.endsWith('/') : true"],
        holds: |it| unix_path(it).is_none_or(|path| !path.ends_with('/')),
        obeys: r#""unix:///a""#,
        breaks: r#""unix:///a/""#,
    },
    Rule {
        texts: &[
            "self.startsWith('unix://') ? (self.substring(7, 8) == '/' || self.substring(7, 8) == '@') : true",
            "self.startsWith('unix://') ? (self.substring(7,8) == '/' || self.substring(7,8) == '@') : true",
        ],
        holds: |it| unix_path(it).is_none_or(|path| path.starts_with(['/', '@'])),
        obeys: r#""unix://@a""#,
        breaks: r#""unix://a""#,
    },
    Rule { texts: &["0 < self && self <= 65535"], holds: |it| is_port(it.as_u64()), obeys: "65535", breaks: "65536" },
    Rule {
        texts: &["self.all(l1, self.exists_one(l2, l1.number == l2.number))"],
        holds: |it| differ(items(it), |it| it.get("number").and_then(Value::as_u64)),
        obeys: r#"[{"number": 80}, {"number": 81}]"#,
        breaks: r#"[{"number": 80}, {"number": 80}]"#,
    },
    Rule {
        texts: &["self.all(key, size(key) < 63 && key.matches('^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$'))"],
        holds: |it| all_keys(it, |key| key.len() < 63 && matches("^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$", key)),
        obeys: r#"{"http-web": 80}"#,
        breaks: r#"{"http_web": 80}"#,
    },
    Rule { texts: &["self != '*'"], holds: |it| it != "*", obeys: r#""*.a""#, breaks: r#""*""# },
    // Selectors.
    Rule {
        texts: &["!self.contains('*')"],
        holds: |it| it.as_str().is_none_or(|it| !it.contains('*')),
        obeys: r#""a""#,
        breaks: r#""a*""#,
    },
    Rule {
        texts: &["self.all(key, !key.contains('*'))"],
        holds: |it| all_keys(it, |key| !key.contains('*')),
        obeys: r#"{"a": "*"}"#,
        breaks: r#"{"*": "a"}"#,
    },
    Rule {
        texts: &["self.all(key, key.size() != 0)"],
        holds: |it| all_keys(it, |key| !key.is_empty()),
        obeys: r#"{"a": ""}"#,
        breaks: r#"{"": "a"}"#,
    },
    // Policies.
    Rule {
        texts: &["self.all(key, 0 < int(key) && int(key) <= 65535)"],
        holds: |it| all_keys(it, |key| is_port(key.parse().ok())),
        obeys: r#"{"80": {}}"#,
        breaks: r#"{"http": {}}"#,
    },
    Rule {
        texts: &[
            "(has(self.selector) && has(self.selector.matchLabels) && self.selector.matchLabels.size() > 0) || !has(self.portLevelMtls)",
            "has(self.portLevelMtls) ? (((has(self.selector) && has(self.selector.matchLabels)) ? self.selector.matchLabels : {}).size() > 0) : true",
        ],
        holds: |it| {
            let labels = it.pointer("/selector/matchLabels").and_then(Value::as_object);
            !has(it, "portLevelMtls") || labels.is_some_and(|it| !it.is_empty())
        },
        obeys: r#"{"portLevelMtls": {}, "selector": {"matchLabels": {"a": "b"}}}"#,
        breaks: r#"{"portLevelMtls": {}}"#,
    },
    Rule {
        texts: &[
            "(has(self.serviceAccounts) || has(self.notServiceAccounts)) ? (!has(self.principals) && !has(self.notPrincipals) && !has(self.namespaces) && !has(self.notNamespaces)) : true",
        ],
        holds: |it| {
            let accounts = ["serviceAccounts", "notServiceAccounts"].iter().any(|field| has(it, field));
            let others = ["principals", "notPrincipals", "namespaces", "notNamespaces"];
            !accounts || !others.iter().any(|field| has(it, field))
        },
        obeys: r#"{"principals": ["a"], "namespaces": ["b"]}"#,
        breaks: r#"{"principals": ["a"], "serviceAccounts": ["b"]}"#,
    },
    Rule {
        texts: &[
            "[self.group, self.kind] in [['core','Service'], ['','Service'], ['gateway.networking.k8s.io','Gateway'], ['networking.istio.io','ServiceEntry']]",
        ],
        holds: |it| {
            let known =
                ["core/Service", "/Service", "gateway.networking.k8s.io/Gateway", "networking.istio.io/ServiceEntry"];
            target_kind(it).is_some_and(|(group, kind)| known.contains(&format!("{group}/{kind}").as_str()))
        },
        obeys: r#"{"group": "networking.istio.io", "kind": "ServiceEntry"}"#,
        breaks: r#"{"group": "networking.istio.io", "kind": "Gateway"}"#,
    },
    Rule {
        texts: &[
            "[self.group, self.kind] in [['core','Service'], ['','Service'], ['gateway.networking.k8s.io','Gateway']]",
        ],
        holds: |it| {
            let known = ["core/Service", "/Service", "gateway.networking.k8s.io/Gateway"];
            target_kind(it).is_some_and(|(group, kind)| known.contains(&format!("{group}/{kind}").as_str()))
        },
        obeys: r#"{"group": "", "kind": "Service"}"#,
        breaks: r#"{"group": "networking.istio.io", "kind": "ServiceEntry"}"#,
    },
    Rule { texts: &["self.size() == 0"], holds: |it| it == "", obeys: r#""""#, breaks: r#""a""# },
    // Routing.
    Rule {
        texts: &["duration(self) >= duration('1ms')"],
        holds: |it| it.as_str().and_then(duration).is_some_and(|it| it >= 0.001),
        obeys: r#""1ms""#,
        breaks: r#""0s""#,
    },
    // Gateways of the Gateway API.
    Rule {
        texts: &[
            "self.all(a1, a1.type == 'Hostname' ? self.exists_one(a2, a2.type == a1.type && a2.value == a1.value) : true )",
            "self.all(a1, a1.type == 'Hostname' && has(a1.value) ? self.exists_one(a2, a2.type == a1.type && has(a2.value) && a2.value == a1.value) : true )",
        ],
        holds: |it| addresses_differ(it, "Hostname"),
        obeys: r#"[{"type": "Hostname", "value": "a"}, {"type": "Hostname", "value": "b"}]"#,
        breaks: r#"[{"type": "Hostname", "value": "a"}, {"type": "Hostname", "value": "a"}]"#,
    },
    Rule {
        texts: &[
            "self.all(a1, a1.type == 'IPAddress' ? self.exists_one(a2, a2.type == a1.type && a2.value == a1.value) : true )",
            "self.all(a1, a1.type == 'IPAddress' && has(a1.value) ? self.exists_one(a2, a2.type == a1.type && has(a2.value) && a2.value == a1.value) : true )",
        ],
        holds: |it| addresses_differ(it, "IPAddress"),
        obeys: r#"[{"type": "IPAddress", "value": "10.0.0.1"}, {"type": "IPAddress", "value": "10.0.0.2"}]"#,
        breaks: r#"[{"type": "IPAddress", "value": "10.0.0.1"}, {"type": "IPAddress", "value": "10.0.0.1"}]"#,
    },
    Rule {
        texts: &[
            r"self.type == 'Hostname' ? self.value.matches(r'''^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'''): true",
            r"self.type == 'Hostname' ? (!has(self.value) || self.value.matches(r'''^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$''')): true",
        ],
        holds: |it| text(it, "type") != "Hostname" || !has(it, "value") || matches(HOST, text(it, "value")),
        obeys: r#"{"type": "Hostname", "value": "gateway.example.com"}"#,
        breaks: r#"{"type": "Hostname", "value": "Gateway"}"#,
    },
    Rule {
        texts: &[
            r"self.all(key, key.matches(r'''^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$'''))",
        ],
        holds: |it| all_keys(it, |key| matches(LABEL, key)),
        obeys: r#"{"topology.istio.io/network": "a"}"#,
        breaks: r#"{"topology/istio/network": "a"}"#,
    },
    Rule {
        texts: &["self.all(key, key.split('/')[0].size() < 253)"],
        holds: |it| all_keys(it, |key| key.split('/').next().is_some_and(|it| it.len() < 253)),
        obeys: r#"{"a/b": ""}"#,
        breaks: concat!(
            r#"{""#,
            "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
            "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
            "01234567890123456789012345678901234567890123456789012345",
            r#"": ""}"#
        ),
    },
    Rule {
        texts: &["self.all(l1, self.exists_one(l2, l1.name == l2.name))"],
        holds: |it| differ(items(it), |it| Some(text(it, "name"))),
        obeys: r#"[{"name": "a"}, {"name": "b"}]"#,
        breaks: r#"[{"name": "a"}, {"name": "a"}]"#,
    },
    Rule {
        texts: &[
            "self.all(l1, self.exists_one(l2, l1.port == l2.port && l1.protocol == l2.protocol && (has(l1.hostname) && has(l2.hostname) ? l1.hostname == l2.hostname : !has(l1.hostname) && !has(l2.hostname))))",
        ],
        holds: |it| {
            differ(items(it), |it| {
                Some(["port", "protocol", "hostname"].map(|field| it.get(field).map(Value::to_string)))
            })
        },
        obeys: r#"[{"port": 1, "protocol": "TLS"}, {"port": 1, "protocol": "TLS", "hostname": "a"}]"#,
        breaks: r#"[{"port": 1, "protocol": "TLS"}, {"port": 1, "protocol": "TLS"}]"#,
    },
    Rule {
        texts: &["self.all(t1, self.exists_one(t2, t1.port == t2.port))"],
        holds: |it| differ(items(it), |it| it.get("port").and_then(Value::as_u64)),
        obeys: r#"[{"port": 1}, {"port": 2}]"#,
        breaks: r#"[{"port": 1}, {"port": 1}]"#,
    },
    Rule {
        texts: &["self.all(l, l.protocol in ['HTTP', 'TCP', 'UDP'] ? !has(l.tls) : true)"],
        holds: |it| {
            items(it).iter().all(|it| !matches!(text(it, "protocol"), "HTTP" | "TCP" | "UDP") || !has(it, "tls"))
        },
        obeys: r#"[{"protocol": "TLS", "tls": {}}]"#,
        breaks: r#"[{"protocol": "TCP", "tls": {}}]"#,
    },
    Rule {
        texts: &[
            "self.all(l, (l.protocol == 'HTTPS' && has(l.tls)) ? (l.tls.mode == '' || l.tls.mode == 'Terminate') : true)",
        ],
        holds: |it| {
            items(it).iter().all(|it| {
                let mode = it.pointer("/tls/mode").and_then(Value::as_str);
                text(it, "protocol") != "HTTPS" || !has(it, "tls") || matches!(mode, None | Some("" | "Terminate"))
            })
        },
        obeys: r#"[{"protocol": "TLS", "tls": {"mode": "Passthrough"}}]"#,
        breaks: r#"[{"protocol": "HTTPS", "tls": {"mode": "Passthrough"}}]"#,
    },
    Rule {
        texts: &["self.all(l, (l.protocol == 'TLS' ? has(l.tls) && has(l.tls.mode) && l.tls.mode != '' : true))"],
        holds: |it| {
            items(it).iter().all(|it| {
                let mode = it.pointer("/tls/mode").and_then(Value::as_str);
                text(it, "protocol") != "TLS" || mode.is_some_and(|it| !it.is_empty())
            })
        },
        obeys: r#"[{"protocol": "TLS", "tls": {"mode": "Passthrough"}}]"#,
        breaks: r#"[{"protocol": "TLS", "tls": {}}]"#,
    },
    Rule {
        texts: &["self.all(l, l.protocol in ['TCP', 'UDP'] ? (!has(l.hostname) || l.hostname == '') : true)"],
        holds: |it| {
            items(it).iter().all(|it| !matches!(text(it, "protocol"), "TCP" | "UDP") || text(it, "hostname").is_empty())
        },
        obeys: r#"[{"protocol": "TLS", "hostname": "a"}]"#,
        breaks: r#"[{"protocol": "TCP", "hostname": "a"}]"#,
    },
    Rule {
        texts: &["self.mode == 'Terminate' ? size(self.certificateRefs) > 0 || size(self.options) > 0 : true"],
        holds: |it| {
            let options = it.get("options").and_then(Value::as_object).is_some_and(|it| !it.is_empty());
            text(it, "mode") != "Terminate" || !list(it, "certificateRefs").is_empty() || options
        },
        obeys: r#"{"mode": "Terminate", "options": {"a": "b"}}"#,
        breaks: r#"{"mode": "Terminate"}"#,
    },
    // The Sail operator: its namespace is a field of the same object.
    Rule {
        texts: &[
            "!has(self.values) || !has(self.values.global) || !has(self.values.global.istioNamespace) || self.values.global.istioNamespace == self.__namespace__",
        ],
        holds: |it| {
            it.pointer("/values/global/istioNamespace").is_none_or(|namespace| Some(namespace) == it.get("namespace"))
        },
        obeys: r#"{"namespace": "a", "values": {"global": {"istioNamespace": "a"}}}"#,
        breaks: r#"{"namespace": "a", "values": {"global": {"istioNamespace": "b"}}}"#,
    },
];
