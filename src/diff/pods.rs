//! `Rollout`: pods that are replaced, for their template is another one.

use serde::Serialize;
use serde_yaml::Value;

use super::fields::{Change, Field, json};
use super::object::Header;
use super::words::inline;

/// Pods that are replaced in one cluster.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rollout {
    /// What makes them.
    pub(super) workload: Header,
    /// Variables that are not the same.
    pub(super) variables: Vec<Variable>,
    /// Other fields of the template that are not the same.
    pub(super) fields: Vec<String>,
}

/// A variable of a container that is not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// The container.
    pub container: String,
    /// Its name.
    pub name: String,
    /// What it held; `None` if it is new. Where a value comes from elsewhere, from where, as JSON.
    pub old: Option<String>,
    /// What it holds; `None` if it is gone.
    pub new: Option<String>,
}

/// What makes pods of a template, and replaces them when that changes.
const KINDS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

/// Whether pods are replaced by a change of what makes them.
pub(super) fn rollout(workload: &Header, old: &Value, new: &Value, fields: &[Field]) -> Option<Rollout> {
    if !KINDS.contains(&workload.kind.as_str()) || old["spec"]["template"] == new["spec"]["template"] {
        return None;
    }
    let whole = |it: &Field| !matches!(it.change, Change::Order { .. }) && it.path.ends_with(".env");
    let fields =
        fields.iter().filter(|it| it.path.starts_with("spec.template") && !it.path.contains(".env[") && !whole(it));
    Some(Rollout {
        workload: workload.clone(),
        variables: variables(old, new),
        fields: fields.map(|it| it.path.clone()).collect(),
    })
}

/// Variables of the pods that are not the same: in the order of what is new, then those that are gone.
pub(crate) fn variables(old: &Value, new: &Value) -> Vec<Variable> {
    let (before, after) = (environment(old), environment(new));
    let of =
        |list: &[Held], it: &Held| list.iter().find(|other| other.0 == it.0 && other.1 == it.1).map(|it| it.2.clone());
    let changed = after.iter().filter(|it| !before.contains(it)).map(|it| Variable {
        container: it.0.clone(),
        name: it.1.clone(),
        old: of(&before, it),
        new: Some(it.2.clone()),
    });
    let gone = before.iter().filter(|it| of(&after, it).is_none()).map(|it| Variable {
        container: it.0.clone(),
        name: it.1.clone(),
        old: Some(it.2.clone()),
        new: None,
    });
    changed.chain(gone).collect()
}

/// Container, variable, value.
type Held = (String, String, String);

fn environment(workload: &Value) -> Vec<Held> {
    let pod = &workload["spec"]["template"]["spec"];
    let containers = ["initContainers", "containers"].into_iter().filter_map(|it| pod[it].as_sequence()).flatten();
    let held = |container: &Value| -> Vec<Held> {
        let of = |it: &Value| {
            let value = match (&it["value"], &it["valueFrom"]) {
                (Value::String(text), _) => text.clone(),
                (Value::Null, Value::Null) => String::new(),
                (Value::Null, source) => inline(&json(source)),
                (other, _) => inline(&json(other)),
            };
            Some((container["name"].as_str().unwrap_or_default().to_owned(), it["name"].as_str()?.to_owned(), value))
        };
        container["env"].as_sequence().into_iter().flatten().filter_map(of).collect()
    };
    containers.flat_map(held).collect()
}
