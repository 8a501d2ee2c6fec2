//! Which element of a list is which element of another.

use serde_yaml::Value;
use similar::{Algorithm, DiffOp, capture_diff_slices};

/// What tells the elements of a list apart, in the order in which it is tried: the merge keys of Kubernetes,
/// and what Istio's lists have.
const KEYS: [&[&str]; 15] = [
    &["name"],
    &["mountPath"],
    &["address"],
    &["host"],
    &["number"],
    &["port"],
    &["containerPort"],
    &["ip"],
    &["topologyKey"],
    &["key"],
    &["destination", "subset"],
    &["destination", "host"],
    &["port", "name"],
    &["port", "number"],
    &["path"],
];

/// An element in one list or in both, with its place: that in the new list, if it is there.
pub(super) enum Pair<'a> {
    Both(usize, &'a Value, &'a Value),
    Added(usize, &'a Value),
    Removed(usize, &'a Value),
}

/// The key that every element of both lists has, and no two of one list alike.
pub(super) fn key(old: &[Value], new: &[Value]) -> Option<&'static [&'static str]> {
    KEYS.into_iter().find(|key| {
        [old, new].iter().all(|list| {
            let mut seen = std::collections::BTreeSet::new();
            list.iter().all(|it| match value(it, key) {
                Some(Value::String(text)) => seen.insert(text.clone()),
                Some(Value::Number(number)) => seen.insert(number.to_string()),
                _ => false,
            })
        })
    })
}

/// What an element has under a key.
pub(super) fn value<'a>(element: &'a Value, key: &[&str]) -> Option<&'a Value> {
    key.iter().try_fold(element, |it, key| it.get(*key))
}

/// Plain values that are new, and those that are gone.
pub(super) fn items<'a>(old: &'a [Value], new: &'a [Value]) -> (Vec<&'a Value>, Vec<&'a Value>) {
    // What stands twice counts twice.
    let without = |list: &'a [Value], other: &'a [Value]| -> Vec<&'a Value> {
        let mut rest: Vec<&Value> = other.iter().collect();
        list.iter()
            .filter(|it| match rest.iter().position(|other| other == it) {
                Some(at) => {
                    rest.swap_remove(at);
                    false
                }
                None => true,
            })
            .collect()
    };
    (without(new, old), without(old, new))
}

/// Elements that nothing tells apart: those that stayed are found, and of the others one takes the place of
/// another.
pub(super) fn by_place<'a>(old: &'a [Value], new: &'a [Value]) -> Vec<Pair<'a>> {
    let texts = |list: &[Value]| -> Vec<String> { list.iter().map(|it| super::fields::json(it).to_string()).collect() };
    let mut pairs = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, &texts(old), &texts(new)) {
        if matches!(op, DiffOp::Equal { .. }) {
            continue;
        }
        let (before, after) = (op.old_range(), op.new_range());
        let both = before.len().min(after.len());
        pairs.extend(before.clone().zip(after.clone()).map(|(a, b)| Pair::Both(b, &old[a], &new[b])));
        pairs.extend(before.skip(both).map(|at| Pair::Removed(at, &old[at])));
        pairs.extend(after.skip(both).map(|at| Pair::Added(at, &new[at])));
    }
    pairs
}
