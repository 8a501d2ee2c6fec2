//! What stands at the end of a way into a value.

use std::collections::BTreeMap;

use serde_yaml::Value;

/// A value in a value; elements of lists are named by their index.
pub(super) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| match value {
        Value::Sequence(list) => list.get(key.parse::<usize>().ok()?),
        _ => value.get(*key),
    })
}

/// A text; empty if there is none.
pub(super) fn word<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// A list; empty if there is none.
pub(super) fn list<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path).and_then(Value::as_sequence).map_or(&[], Vec::as_slice)
}

/// The texts of a list.
pub(super) fn words<'a>(value: &'a Value, path: &[&str]) -> impl Iterator<Item = &'a str> {
    list(value, path).iter().filter_map(Value::as_str)
}

/// The texts of a map.
pub(super) fn pairs(value: &Value, path: &[&str]) -> BTreeMap<String, String> {
    let map = at(value, path).and_then(Value::as_mapping).into_iter().flatten();
    map.filter_map(|(key, value)| Some((key.as_str()?.to_owned(), text(value)?))).collect()
}

/// The keys of a map.
pub(super) fn keys<'a>(value: &'a Value, path: &[&str]) -> impl Iterator<Item = &'a str> {
    let map = at(value, path).and_then(Value::as_mapping).into_iter().flatten();
    map.filter_map(|(key, _)| key.as_str())
}

/// A number of a port.
pub(super) fn number(value: &Value, path: &[&str]) -> Option<u16> {
    at(value, path)?.as_u64().and_then(|it| u16::try_from(it).ok())
}

/// A scalar as text: charts take `true` for `"true"`.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(it) => Some(it.clone()),
        Value::Number(it) => Some(it.to_string()),
        Value::Bool(it) => Some(it.to_string()),
        _ => None,
    }
}

/// Whether labels have all that a selector names.
pub(super) fn fits(labels: &BTreeMap<String, String>, selector: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// `a=b, c=d`.
pub(super) fn shown(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}
