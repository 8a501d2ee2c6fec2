//! Delegates of routes: whose routes stand in the place of one that names them.

use serde_yaml::Value;

use super::value::{at, keys, list, number, pairs, word, words};

/// The namespace and the name of the delegate that a route names, which stands in a namespace.
pub(super) fn named<'v>(route: &'v Value, namespace: &'v str) -> Option<(&'v str, &'v str)> {
    let delegate = at(route, &["delegate"])?;
    let said = Some(word(delegate, &["namespace"])).filter(|it| !it.is_empty());
    Some((said.unwrap_or(namespace), word(delegate, &["name"])))
}

/// Whether Istio leaves out a route of a delegate, for it asks for what the one that names it does not take.
pub(super) fn conflicts(root: &Value, part: &Value) -> bool {
    let (roots, parts) = (list(root, &["match"]), list(part, &["match"]));
    !roots.is_empty() && parts.iter().any(|part| roots.iter().all(|root| is_outside(root, part)))
}

fn is_outside(root: &Value, part: &Value) -> bool {
    let differ = |path: &[&str]| differ(at(root, path), at(part, path));
    let of_key = |field: &&str| keys(part, &[field]).any(|key| differ(&[field, key]));
    let ignores_case = |it: &Value| at(it, &["ignoreUriCase"]) == Some(&Value::Bool(true));
    let namespace = word(root, &["sourceNamespace"]);
    let labels = pairs(root, &["sourceLabels"]);
    let gateways = list(root, &["gateways"]);
    ["uri", "scheme", "method", "authority"].iter().any(|it| differ(&[it]))
        || ["headers", "withoutHeaders", "queryParams"].iter().any(of_key)
        || ignores_case(root) != ignores_case(part)
        || number(root, &["port"]).zip(number(part, &["port"])).is_some_and(|(root, part)| root != part)
        || !namespace.is_empty() && namespace != word(part, &["sourceNamespace"])
        || pairs(part, &["sourceLabels"]).iter().any(|(key, it)| labels.get(key).is_some_and(|root| root != it))
        || !gateways.is_empty() && words(part, &["gateways"]).any(|it| !gateways.iter().any(|root| root == it))
}

/// Whether a text that one asks for is none that the other takes.
fn differ(root: Option<&Value>, part: Option<&Value>) -> bool {
    let (Some(root), Some(part)) = (root, part) else { return false };
    let [exact, prefix, regex] = ["exact", "prefix", "regex"].map(|it| (word(root, &[it]), word(part, &[it])));
    match (exact, prefix) {
        // Istio compares no expressions.
        _ if !regex.0.is_empty() || !regex.1.is_empty() => true,
        ((root, part), (_, prefix)) if !root.is_empty() => !prefix.is_empty() || root != part,
        ((_, exact), (root, part)) if !root.is_empty() => {
            let part = if part.is_empty() { exact } else { part };
            !part.starts_with(root)
        }
        _ => true,
    }
}
