//! `Field`: how two states of an object differ, field by field.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value as Json;
use serde_yaml::Value;

use super::lists::{self, Pair};

/// A field that is not the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Field {
    /// Where it is: `spec.template.spec.containers[web].env[CART].value`. An element of a list is named by
    /// what tells it from the others, or by its place.
    pub path: String,
    /// What became of it.
    #[serde(flatten)]
    pub change: Change,
}

/// What became of a field.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "camelCase")]
pub enum Change {
    /// It is there now.
    Added {
        /// What it says.
        new: Json,
    },
    /// It is gone.
    Removed {
        /// What it said.
        old: Json,
    },
    /// It says something else.
    Changed {
        /// What it said.
        old: Json,
        /// What it says.
        new: Json,
    },
    /// A list of plain values has others.
    Items {
        /// Those that are new.
        added: Vec<Json>,
        /// Those that are gone.
        removed: Vec<Json>,
    },
    /// A list has the same elements in another order.
    Order {
        /// How they stood.
        old: Vec<String>,
        /// How they stand.
        new: Vec<String>,
    },
}

/// Every field that differs, in the order of their paths as they are written.
pub(super) fn differences(old: &Value, new: &Value) -> Vec<Field> {
    let mut fields = Vec::new();
    walk("", old, new, &mut fields);
    fields
}

fn walk(path: &str, old: &Value, new: &Value, fields: &mut Vec<Field>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Value::Mapping(before), Value::Mapping(after)) => {
            let mut seen = BTreeSet::new();
            for key in before.keys().chain(after.keys()) {
                let name = key_text(key);
                if !seen.insert(name.clone()) {
                    continue;
                }
                let path = member(path, &name);
                match (before.get(key), after.get(key)) {
                    (Some(old), Some(new)) => walk(&path, old, new, fields),
                    (None, Some(new)) => added(path, new, fields),
                    (Some(old), None) => removed(path, old, fields),
                    (None, None) => {}
                }
            }
        }
        (Value::Sequence(before), Value::Sequence(after)) => sequence(path, before, after, fields),
        _ => fields.push(Field { path: path.to_owned(), change: Change::Changed { old: json(old), new: json(new) } }),
    }
}

fn added(path: String, new: &Value, fields: &mut Vec<Field>) {
    fields.push(Field { path, change: Change::Added { new: json(new) } });
}

fn removed(path: String, old: &Value, fields: &mut Vec<Field>) {
    fields.push(Field { path, change: Change::Removed { old: json(old) } });
}

fn sequence(path: &str, before: &[Value], after: &[Value], fields: &mut Vec<Field>) {
    let order =
        |old: Vec<String>, new: Vec<String>| Field { path: path.to_owned(), change: Change::Order { old, new } };
    let is_plain = |it: &Value| !matches!(it, Value::Mapping(_) | Value::Sequence(_));
    if before.iter().chain(after).all(is_plain) {
        let (added, removed) = lists::items(before, after);
        let texts = |list: &[Value]| list.iter().map(key_text).collect::<Vec<_>>();
        if added.is_empty() && removed.is_empty() {
            fields.push(order(texts(before), texts(after)));
        } else {
            let all = |list: Vec<&Value>| list.into_iter().map(json).collect();
            let change = Change::Items { added: all(added), removed: all(removed) };
            fields.push(Field { path: path.to_owned(), change });
        }
        return;
    }
    let Some(key) = lists::key(before, after) else {
        for pair in lists::by_place(before, after) {
            match pair {
                Pair::Both(at, old, new) => walk(&format!("{path}[{at}]"), old, new, fields),
                Pair::Added(at, new) => added(format!("{path}[{at}]"), new, fields),
                Pair::Removed(at, old) => removed(format!("{path}[{at}]"), old, fields),
            }
        }
        return;
    };
    let name = |it: &Value| key_text(lists::value(it, key).expect("every element has the key"));
    let element = |it: &Value| format!("{path}[{}]", quoted_if_needed(&name(it), true));
    let find = |list: &'_ [Value], it: &Value| list.iter().position(|other| name(other) == name(it));
    for old in before {
        match find(after, old) {
            Some(at) => walk(&element(old), old, &after[at], fields),
            None => removed(element(old), old, fields),
        }
    }
    for new in after.iter().filter(|it| find(before, it).is_none()) {
        added(element(new), new, fields);
    }
    // Of those that are in both, the order may say something, too.
    let common = |list: &[Value], other: &[Value]| -> Vec<String> {
        list.iter().filter(|it| find(other, it).is_some()).map(name).collect()
    };
    let (old, new) = (common(before, after), common(after, before));
    if old != new {
        fields.push(order(old, new));
    }
}

/// A path one field further.
fn member(path: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    match (path, plain) {
        ("", true) => name.to_owned(),
        (_, true) => format!("{path}.{name}"),
        (_, false) => format!("{path}[{}]", Json::from(name)),
    }
}

/// A key as it is, if nothing in it could be taken for the path around it.
fn quoted_if_needed(name: &str, bare: bool) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:/*@+".contains(c);
    if bare && !name.is_empty() && name.chars().all(plain) { name.to_owned() } else { Json::from(name).to_string() }
}

/// A plain value as a word.
fn key_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => json(other).to_string(),
    }
}

/// A value of YAML as JSON has it; JSON has no tags, and keys that are text.
pub(super) fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(it) => Json::Bool(*it),
        Value::Number(it) => serde_json::to_value(it).unwrap_or_else(|_| Json::String(it.to_string())),
        Value::String(it) => Json::String(it.clone()),
        Value::Sequence(list) => Json::Array(list.iter().map(json).collect()),
        Value::Mapping(map) => Json::Object(map.iter().map(|(key, it)| (key_text(key), json(it))).collect()),
        Value::Tagged(it) => Json::Object([(it.tag.to_string(), json(&it.value))].into_iter().collect()),
    }
}
