//! Judges an object by a schema of `nodes.json`. What the keywords mean is written in
//! `conformance/schemas.py`, which makes that file.
//!
//! Why not `jsonschema`: it is 78 packages and minutes of a build on two cores, and it does not know
//! what a CRD adds to JSON Schema (unknown fields, int-or-string, keys of lists, rules).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use regex_lite::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::rules;

/// A schema: the name of a type or of another node, or keywords.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Node {
    Name(String),
    Keywords(Box<Keywords>),
}

/// Every keyword that the data may use: another one is an error of reading.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Keywords {
    r#type: Option<String>,
    null: bool,
    #[serde(rename = "enum")]
    one_of_values: Option<Vec<Value>>,
    format: Option<String>,
    pattern: Option<String>,
    min_length: Option<usize>,
    max_length: Option<usize>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    fields: Option<BTreeMap<String, Node>>,
    required: Vec<String>,
    open: bool,
    map: Option<Node>,
    min_properties: Option<usize>,
    max_properties: Option<usize>,
    alone: Vec<Vec<String>>,
    items: Option<Node>,
    min_items: Option<usize>,
    max_items: Option<usize>,
    unique_items: bool,
    keys: Vec<String>,
    one_of: Vec<Node>,
    any_of: Vec<Node>,
    all_of: Vec<Node>,
    not: Option<Node>,
    rules: Vec<String>,
}

/// All nodes by name.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Nodes(BTreeMap<String, Node>);

impl Nodes {
    /// What is wrong with a value, each with the place in it.
    pub(super) fn judge(&self, name: &str, value: &Value, at: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        self.name(name, value, at, &mut wrong);
        wrong
    }

    fn node(&self, node: &Node, value: &Value, at: &str, wrong: &mut Vec<String>) {
        match node {
            Node::Name(name) => self.name(name, value, at, wrong),
            Node::Keywords(said) => self.keywords(said, value, at, wrong),
        }
    }

    fn name(&self, name: &str, value: &Value, at: &str, wrong: &mut Vec<String>) {
        if let Some(node) = self.0.get(name) {
            return self.node(node, value, at, wrong);
        }
        if !is_of_type(name, value) {
            wrong.push(format!("{at}: {value} is no {name}"));
        }
    }

    fn holds(&self, node: &Node, value: &Value) -> bool {
        let mut wrong = Vec::new();
        self.node(node, value, "", &mut wrong);
        wrong.is_empty()
    }

    fn keywords(&self, said: &Keywords, value: &Value, at: &str, wrong: &mut Vec<String>) {
        if said.null && value.is_null() {
            return;
        }
        if let Some(name) = said.r#type.as_ref().filter(|name| !is_of_type(name, value)) {
            return wrong.push(format!("{at}: {value} is no {name}"));
        }
        if said.one_of_values.as_ref().is_some_and(|it| !it.contains(value)) {
            wrong.push(format!("{at}: {value} is none of the values it may have"));
        }
        if let Some(format) = said.format.as_ref().filter(|format| !has_format(format, value)) {
            wrong.push(format!("{at}: {value} is no {format}"));
        }
        match value {
            Value::String(text) => string(said, text, at, wrong),
            Value::Number(number) => {
                let number = number.as_f64().expect("a number of JSON");
                if said.minimum.is_some_and(|it| number < it) || said.maximum.is_some_and(|it| number > it) {
                    wrong.push(format!("{at}: {number} is out of range"));
                }
            }
            Value::Array(items) => self.list(said, items, at, wrong),
            Value::Object(fields) => self.object(said, fields, at, wrong),
            Value::Null | Value::Bool(_) => {}
        }
        for node in &said.all_of {
            self.node(node, value, at, wrong);
        }
        if !said.one_of.is_empty() && said.one_of.iter().filter(|it| self.holds(it, value)).count() != 1 {
            wrong.push(format!("{at}: not exactly one of its shapes (oneOf)"));
        }
        if !said.any_of.is_empty() && !said.any_of.iter().any(|it| self.holds(it, value)) {
            wrong.push(format!("{at}: none of its shapes (anyOf)"));
        }
        if said.not.as_ref().is_some_and(|it| self.holds(it, value)) {
            wrong.push(format!("{at}: a shape that it may not have (not)"));
        }
        for rule in &said.rules {
            if rules::hold(rule, value) == Some(false) {
                wrong.push(format!("{at}: breaks the rule `{rule}`"));
            }
        }
    }

    fn list(&self, said: &Keywords, items: &[Value], at: &str, wrong: &mut Vec<String>) {
        if !within(items.len(), said.min_items, said.max_items) {
            wrong.push(format!("{at}: {} items", items.len()));
        }
        for (index, item) in items.iter().enumerate() {
            if let Some(node) = &said.items {
                self.node(node, item, &format!("{at}[{index}]"), wrong);
            }
        }
        let mut seen = BTreeSet::new();
        for item in items {
            let key: Vec<_> = said.keys.iter().map(|it| item.get(it)).collect();
            let key = if key.is_empty() { item.to_string() } else { format!("{key:?}") };
            if (said.unique_items || !said.keys.is_empty()) && !seen.insert(key) {
                wrong.push(format!("{at}: {item} is there twice"));
            }
        }
    }

    fn object(&self, said: &Keywords, fields: &Map<String, Value>, at: &str, wrong: &mut Vec<String>) {
        if !within(fields.len(), said.min_properties, said.max_properties) {
            wrong.push(format!("{at}: {} fields", fields.len()));
        }
        for name in said.required.iter().filter(|it| !fields.contains_key(*it)) {
            wrong.push(format!("{at}: `{name}` is missing"));
        }
        for names in &said.alone {
            if names.iter().filter(|it| fields.contains_key(*it)).count() > 1 {
                wrong.push(format!("{at}: at most one of {names:?}"));
            }
        }
        // A part of oneOf has fields, but no type: it does not know all of them.
        let knows_all = said.r#type.is_some() && said.fields.is_some() && !said.open;
        for (name, value) in fields {
            let node = said.fields.as_ref().and_then(|it| it.get(name)).or(said.map.as_ref());
            match node {
                Some(node) => self.node(node, value, &format!("{at}.{name}"), wrong),
                None if knows_all => wrong.push(format!("{at}: unknown field `{name}`")),
                None => {}
            }
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The rules of all nodes.
    pub(super) fn rules(&self) -> Vec<&str> {
        let mut rules = Vec::new();
        for node in self.0.values() {
            each(node, &mut |said| rules.extend(said.rules.iter().map(String::as_str)));
        }
        rules
    }

    /// What the data says that this file would not understand.
    pub(super) fn not_understood(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (at, node) in &self.0 {
            each_name(node, &mut |name| {
                if !TYPES.contains(&name) && !self.has(name) {
                    wrong.push(format!("{at}: no type and no node is called `{name}`"));
                }
            });
            each(node, &mut |said| {
                let format = said.format.as_ref().filter(|it| !FORMATS.contains(&it.as_str()));
                let pattern = said.pattern.as_ref().filter(|it| Regex::new(it).is_err());
                let rules = said.rules.iter().filter(|it| !rules::is_decided(it));
                wrong.extend(format.into_iter().chain(pattern).chain(rules).map(|it| format!("{at}: `{it}`")));
            });
        }
        wrong
    }
}

/// Does something for every set of keywords inside a node.
fn each<'a>(node: &'a Node, act: &mut impl FnMut(&'a Keywords)) {
    if let Node::Keywords(said) = node {
        act(said);
        said.inner().for_each(|it| each(it, act));
    }
}

/// Does something for every name of a type or of a node inside a node.
fn each_name<'a>(node: &'a Node, act: &mut impl FnMut(&'a str)) {
    match node {
        Node::Name(name) => act(name),
        Node::Keywords(said) => {
            said.r#type.iter().for_each(|it| act(it));
            said.inner().for_each(|it| each_name(it, act));
        }
    }
}

impl Keywords {
    fn inner(&self) -> impl Iterator<Item = &Node> {
        let values = self.fields.iter().flat_map(BTreeMap::values).chain(&self.map).chain(&self.items);
        values.chain(&self.one_of).chain(&self.any_of).chain(&self.all_of).chain(&self.not)
    }
}

const TYPES: [&str; 8] = ["string", "integer", "number", "boolean", "array", "object", "any", "int-or-string"];

fn is_of_type(name: &str, value: &Value) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "int-or-string" => value.is_i64() || value.is_u64() || value.is_string(),
        "any" => true,
        _ => panic!("no type is called `{name}`"),
    }
}

const FORMATS: [&str; 10] =
    ["int32", "int64", "uint32", "uint64", "ipv4", "ipv6", "duration", "quantity", "double", "binary"];

fn has_format(format: &str, value: &Value) -> bool {
    let text = value.as_str();
    match format {
        "int32" => value.as_i64().is_some_and(|it| i32::try_from(it).is_ok()),
        "int64" => value.is_i64(),
        "uint32" => value.as_u64().is_some_and(|it| u32::try_from(it).is_ok()),
        "uint64" => value.is_u64(),
        "ipv4" => text.is_some_and(|it| it.parse::<Ipv4Addr>().is_ok()),
        "ipv6" => text.is_some_and(|it| it.parse::<Ipv6Addr>().is_ok()),
        "duration" => text.is_some_and(|it| rules::duration(it).is_some()),
        "quantity" => text.is_none_or(|it| {
            Regex::new(r"^[+-]?[0-9]+(\.[0-9]*)?([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$")
                .expect("an expression of this file")
                .is_match(it)
        }),
        // Of a number every value, of bytes every text.
        _ => true,
    }
}

fn within(count: usize, least: Option<usize>, most: Option<usize>) -> bool {
    least.is_none_or(|it| count >= it) && most.is_none_or(|it| count <= it)
}

fn string(said: &Keywords, text: &str, at: &str, wrong: &mut Vec<String>) {
    let count = text.chars().count();
    if !within(count, said.min_length, said.max_length) {
        wrong.push(format!("{at}: `{text}` has {count} characters"));
    }
    let pattern = said.pattern.as_ref().map(|it| Regex::new(it).expect("the patterns of the data are tested"));
    if pattern.is_some_and(|it| !it.is_match(text)) {
        wrong.push(format!("{at}: `{text}` does not have the form it must"));
    }
}
