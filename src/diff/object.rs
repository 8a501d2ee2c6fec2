//! `Object`: what Kubernetes is told in a file, whoever wrote the file.

use std::fmt;

use serde_yaml::Value;

use super::Unreadable;
use super::words::shown;
use crate::trees::documents;

/// What tells objects of a cluster apart. A new version of a group is still the same object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ObjectId {
    group: String,
    kind: String,
    namespace: String,
    name: String,
}

/// An object and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Object {
    /// Its file.
    pub(super) file: String,
    /// What is written.
    pub(super) value: Value,
}

impl Object {
    /// What the object says of itself.
    pub(super) fn header(&self) -> Header {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Header {
            api_version: text(&self.value["apiVersion"]),
            kind: text(&self.value["kind"]),
            namespace: text(&self.value["metadata"]["namespace"]),
            name: text(&self.value["metadata"]["name"]),
            file: self.file.clone(),
        }
    }
}

/// Which object it is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// Its group and version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace; empty if it has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The file in which it stands.
    pub file: String,
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Two groups have a Gateway.
        let group = self.api_version.split_once('/').map_or("", |it| it.0);
        let group =
            if group.ends_with(".k8s.io") && self.kind == "Gateway" { format!(".{group}") } else { String::new() };
        let namespace = if self.namespace.is_empty() { String::new() } else { format!("{}/", self.namespace) };
        write!(f, "{}{} {}{}", shown(&self.kind), shown(&group), shown(&namespace), shown(&self.name))
    }
}

/// The objects of a file: of every document, and of lists.
pub(super) fn read(file: &str, text: &str) -> Result<Vec<(ObjectId, Object)>, Unreadable> {
    let documents = documents(file, text)?;
    documents.into_iter().map(|it| object(file, it.value)).collect()
}

fn object(file: &str, value: Value) -> Result<(ObjectId, Object), Unreadable> {
    let object = Object { file: file.to_owned(), value };
    let Header { api_version, kind, namespace, name, .. } = object.header();
    if name.is_empty() {
        return Err(Unreadable { file: file.to_owned(), reason: format!("a {kind} has no name") });
    }
    let group = api_version.split_once('/').map(|it| it.0.to_owned()).unwrap_or_default();
    Ok((ObjectId { group, kind, namespace, name }, object))
}

/// Both states of an object, without what a Secret keeps: whether it changed is all that is told.
pub(super) fn without_secrets(old: &Value, new: &Value) -> [Value; 2] {
    let mut both = [old.clone(), new.clone()];
    if new["kind"] != "Secret" || new["apiVersion"] != "v1" {
        return both;
    }
    for field in ["data", "stringData"] {
        for (index, word) in ["*** (before)", "*** (after)"].into_iter().enumerate() {
            let other = [new, old][index];
            let Some(Value::Mapping(map)) = both[index].get_mut(field) else { continue };
            for (key, value) in map {
                let same = other.get(field).and_then(|it| it.get(&*key)) == Some(&*value);
                *value = Value::from(if same { "***" } else { word });
            }
        }
    }
    both
}
