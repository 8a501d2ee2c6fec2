//! Ways to break a good bundle that were seen to end a call, as `conformance/defects` tells of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_yaml::Value;

use crate::support;

#[derive(Debug, Deserialize)]
pub(super) struct Defect {
    pub(super) case: String,
    pub(super) hop: String,
    changes: Vec<Change>,
    pub(super) breaks: Option<Call>,
    #[serde(default)]
    pub(super) still: Vec<Call>,
    #[serde(default)]
    pub(super) harmless: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Call {
    pub(super) caller: String,
    pub(super) cluster: String,
    pub(super) callee: String,
    pub(super) port: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Change {
    file: String,
    kind: Option<String>,
    name: Option<String>,
    #[serde(default)]
    patch: Vec<Operation>,
    #[serde(default)]
    delete: bool,
    add: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Operation {
    op: String,
    path: String,
    value: Option<Value>,
}

impl Defect {
    pub(super) fn all() -> BTreeMap<String, Self> {
        let files = support::read_tree(&support::root().join("conformance/defects"));
        let defects = files.into_iter().filter(|it| it.0.ends_with(".yaml"));
        let read = |(name, text): (String, String)| {
            let defect = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, defect)
        };
        defects.map(read).collect()
    }

    /// The tree with the changes.
    pub(super) fn apply(&self, tree: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut tree = tree.clone();
        for change in &self.changes {
            let path = change.file.strip_prefix("out/").expect("changes are in the tree");
            let text = change.apply(tree.get(path).map_or("", String::as_str));
            if !tree.contains_key(path) {
                let (cluster, inner) = path.split_once('/').expect("a file is of a cluster");
                let list =
                    tree.get_mut(&format!("{cluster}/kustomization.yaml")).expect("a cluster has a kustomization");
                *list = format!("{list}- {inner}\n");
            }
            tree.insert(path.to_owned(), text);
        }
        tree
    }
}

impl Change {
    fn apply(&self, text: &str) -> String {
        if let Some(more) = &self.add {
            return format!("{text}---\n{more}");
        }
        let documents = serde_yaml::Deserializer::from_str(text);
        let mut documents: Vec<Value> =
            documents.map(|it| Value::deserialize(it).expect("a golden file is YAML")).collect();
        let is_meant = |it: &Value| {
            it["kind"].as_str() == self.kind.as_deref()
                && self.name.as_ref().is_none_or(|name| it["metadata"]["name"].as_str() == Some(name))
        };
        let index = documents.iter().position(is_meant).expect("the object is there");
        if self.delete {
            documents.remove(index);
        } else {
            for operation in &self.patch {
                operation.apply(&mut documents[index]);
            }
        }
        documents.iter().map(meshlatch::yaml::to_string).collect::<Vec<_>>().join("---\n")
    }
}

impl Operation {
    fn apply(&self, value: &mut Value) {
        let keys: Vec<String> =
            self.path.split('/').skip(1).map(|it| it.replace("~1", "/").replace("~0", "~")).collect();
        let (end, way) = keys.split_last().expect("a path is not empty");
        let target = way.iter().fold(value, |value, key| match value {
            Value::Sequence(list) => &mut list[key.parse::<usize>().expect("an index is a number")],
            other => other.get_mut(key.as_str()).expect("the path is there"),
        });
        match (target, self.op.as_str()) {
            (Value::Sequence(list), "remove") => {
                list.remove(end.parse().expect("an index is a number"));
            }
            (Value::Sequence(list), "replace") => {
                list[end.parse::<usize>().expect("an index is a number")] = self.value.clone().expect("a value");
            }
            (Value::Sequence(list), "add") => {
                list.insert(end.parse().expect("an index is a number"), self.value.clone().expect("a value"));
            }
            (Value::Mapping(map), "remove") => {
                map.remove(end.as_str()).expect("the field is there");
            }
            (Value::Mapping(map), "add" | "replace") => {
                map.insert(end.as_str().into(), self.value.clone().expect("a value"));
            }
            (target, op) => panic!("{op} in {target:?}"),
        }
    }
}
