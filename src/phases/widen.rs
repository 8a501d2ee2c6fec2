//! `widen`: an object or a file that also does what another one does.

use serde::Deserialize;
use serde_yaml::Value;

use super::Object;
use crate::yaml;

/// A list in an object, by its path, and what tells its elements apart.
type List = (&'static [&'static str], Option<&'static str>);

/// Lists in which more lets more in.
const LISTS: [List; 8] = [
    (&["spec", "servers", "*", "hosts"], None),
    (&["spec", "listeners"], Some("name")),
    (&["spec", "subsets"], Some("name")),
    (&["spec", "rules", "*", "from", "*", "source", "principals"], None),
    (&["spec", "egress", "*", "hosts"], None),
    (&["spec", "ports"], Some("name")),
    (&["spec", "subjectAltNames"], None),
    (&["spec", "exportTo"], None),
];

/// Where the name is not that of a service, which has its own object.
const HOSTS: [List; 2] = [(&["spec", "hosts"], None), (&["spec", "addresses"], None)];

/// An object that also does what another does.
pub(super) fn widened(old: &Object, new: &Object) -> Object {
    let mut value = new.value.clone();
    for (path, key) in LISTS {
        widen(&mut value, &old.value, path, key);
    }
    widen_endpoints(&mut value, &old.value);
    written(new, value, &new.path)
}

/// An object that also is about the hosts that another is about.
pub(super) fn with_hosts(old: &Object, new: &Object) -> Object {
    let mut value = widened(old, new).value;
    for (path, key) in HOSTS {
        widen(&mut value, &old.value, path, key);
    }
    written(new, value, &new.path)
}

/// An object that is seen by all who will see it, too.
pub(super) fn seen_as(old: &Object, new: &Object) -> Object {
    let mut value = old.value.clone();
    widen(&mut value, &new.value, &["spec", "exportTo"], None);
    written(old, value, &new.path)
}

/// An entry that also has the ports of another one, at the endpoints that are the same.
pub(super) fn with_ports(old: &Object, new: &Object) -> Object {
    let mut value = old.value.clone();
    widen(&mut value, &new.value, &["spec", "ports"], Some("name"));
    widen_endpoints(&mut value, &new.value);
    written(old, value, &new.path)
}

/// An object with another value, as it is written already if that is the same.
fn written(object: &Object, value: Value, path: &str) -> Object {
    let text = if value == object.value { object.text.clone() } else { yaml::to_string(&value) };
    Object { path: path.to_owned(), text, value }
}

/// Adds the ports of endpoints that are the same: one that has none of a name is asked at the number that
/// callers use.
fn widen_endpoints(new: &mut Value, old: &Value) {
    let Some(before) = old["spec"]["endpoints"].as_sequence() else { return };
    let endpoints = new.get_mut("spec").and_then(|it| it.get_mut("endpoints")).and_then(Value::as_sequence_mut);
    for endpoint in endpoints.into_iter().flatten() {
        let is_same = |it: &&Value| ["address", "network"].iter().all(|key| it.get(*key) == endpoint.get(*key));
        let was = before.iter().find(is_same).and_then(|it| it.get("ports"));
        if let (Some(was), Some(ports)) = (was.cloned(), endpoint.get_mut("ports")) {
            *ports = unite(&was, ports);
        }
    }
}

/// A file that installs what each of two does; `None` if they are no YAML. What both have is as in the new one.
pub(super) fn united(old: &str, new: &str) -> Option<String> {
    let documents = |text: &str| -> Option<Vec<Value>> {
        serde_yaml::Deserializer::from_str(text).map(|it| Value::deserialize(it).ok()).collect()
    };
    let (before, after) = (documents(old)?, documents(new)?);
    let Value::Mapping(both) = unite(&by_name(&before), &by_name(&after)) else { return None };
    let both: Vec<Value> = both.into_iter().map(|it| it.1).collect();
    Some(match () {
        () if both == after => new.to_owned(),
        () if both == before => old.to_owned(),
        () => both.iter().map(yaml::to_string).collect::<Vec<_>>().join("---\n"),
    })
}

/// The documents of a file by what they are about.
fn by_name(documents: &[Value]) -> Value {
    let key = |it: &Value| format!("{:?}", [&it["kind"], &it["metadata"]["namespace"], &it["metadata"]["name"]]);
    Value::Mapping(documents.iter().map(|it| (key(it).into(), it.clone())).collect())
}

/// What both have, also in lists. Elements of lists are known by their name.
fn unite(old: &Value, new: &Value) -> Value {
    match (old, new) {
        (Value::Mapping(old), Value::Mapping(new)) => {
            let mut both = new.clone();
            for (key, was) in old {
                let value = new.get(key).map_or_else(|| was.clone(), |it| unite(was, it));
                both.insert(key.clone(), value);
            }
            // Fewer hosts outside are the last to come.
            if !old.contains_key(OUTSIDE) {
                both.remove(OUTSIDE);
            }
            Value::Mapping(both)
        }
        (Value::Sequence(old), Value::Sequence(new)) => {
            let is_same = |one: &Value, other: &Value| {
                one == other || one.get("name").is_some_and(|name| other.get("name") == Some(name))
            };
            let find = |all: &[Value], it: &Value| all.iter().find(|one| is_same(one, it)).cloned();
            let come: Vec<&Value> = new.iter().filter(|it| find(old, it).is_none()).collect();
            let goes = old.iter().any(|it| find(new, it).is_none());
            Value::Sequence(if goes {
                let both = old.iter().map(|was| find(new, was).map_or_else(|| was.clone(), |it| unite(was, &it)));
                both.chain(come.into_iter().cloned()).collect()
            } else {
                new.iter().map(|it| find(old, it).map_or_else(|| it.clone(), |was| unite(&was, it))).collect()
            })
        }
        (Value::Bool(old), Value::Bool(new)) => Value::Bool(*old || *new),
        _ => new.clone(),
    }
}

/// What says whether hosts that nobody declared are let through.
const OUTSIDE: &str = "outboundTrafficPolicy";

/// Adds what a list of another object has.
fn widen(new: &mut Value, old: &Value, path: &[&str], key: Option<&str>) {
    let Some((first, rest)) = path.split_first() else {
        let (Value::Sequence(new), Value::Sequence(old)) = (new, old) else { return };
        let known = |list: &[Value], it: &Value| match key {
            // Of two ports with one number the API server takes the one.
            Some(key) => list.iter().any(|other| [key, "number", "port"].iter().any(|key| is_same(it, other, key))),
            None => list.contains(it),
        };
        for item in old {
            if !known(new, item) {
                new.push(item.clone());
            }
        }
        return;
    };
    if *first == "*" {
        let (Value::Sequence(new), Value::Sequence(old)) = (new, old) else { return };
        new.iter_mut().zip(old).for_each(|(new, old)| widen(new, old, rest, key));
        return;
    }
    let (Value::Mapping(new), Value::Mapping(old)) = (new, old) else { return };
    match (new.get_mut(*first), old.get(*first)) {
        (Some(new), Some(old)) => widen(new, old, rest, key),
        // A rule that has no subsets, or lets nobody in, takes those of before. An `exportTo` that is
        // not there means everybody.
        (None, Some(old)) if ["subsets", "rules"].contains(first) => {
            new.insert((*first).into(), old.clone());
        }
        (Some(_), None) if *first == "exportTo" => {
            new.remove(*first);
        }
        _ => {}
    }
}

/// Whether two have a field, and it is the same.
fn is_same(one: &Value, other: &Value, key: &str) -> bool {
    one.get(key).is_some_and(|it| other.get(key) == Some(it))
}
