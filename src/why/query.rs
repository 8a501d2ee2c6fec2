//! `Query`: which object is meant, in the words of a command line.

use super::Id;
use crate::diag::nearest;

/// A kind of object that bundles have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// As manifests say it.
    pub name: &'static str,
    short: &'static [&'static str],
}

const fn kind(name: &'static str, short: &'static [&'static str]) -> Kind {
    Kind { name, short }
}

impl Kind {
    /// Every kind that is written, with the short names of `kubectl api-resources`.
    pub const ALL: [Self; 20] = [
        kind("Namespace", &["ns"]),
        kind("ServiceAccount", &["sa"]),
        kind("Service", &["svc"]),
        kind("Deployment", &["deploy"]),
        kind("ConfigMap", &["cm"]),
        kind("Role", &[]),
        kind("RoleBinding", &[]),
        kind("ServiceEntry", &["se"]),
        kind("WorkloadEntry", &["we"]),
        kind("DestinationRule", &["dr"]),
        kind("VirtualService", &["vs"]),
        kind("Gateway", &["gw", "gtw"]),
        kind("Sidecar", &[]),
        kind("PeerAuthentication", &["pa"]),
        kind("AuthorizationPolicy", &["ap"]),
        kind("ExternalSecret", &["es"]),
        kind("IstioOperator", &["iop", "io"]),
        kind("Istio", &[]),
        kind("DNS", &[]),
        kind("Kustomization", &[]),
    ];

    /// The kind of this name, plural or short name, whatever its case.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.to_lowercase();
        Self::ALL.into_iter().find(|it| {
            let name = it.name.to_lowercase();
            let plural = match name.strip_suffix('y') {
                Some(stem) => format!("{stem}ies"),
                None => format!("{name}s"),
            };
            word == name || word == plural || it.short.contains(&word.as_str())
        })
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// A file, or the object at one of its lines.
    File {
        /// As it was written.
        path: String,
        /// Counted from 1.
        line: Option<usize>,
    },
    /// Objects by their name.
    Object {
        /// Their kind.
        kind: Kind,
        /// The group of their API, or its beginning, if it was said.
        group: Option<String>,
        /// Their namespace, if it was said.
        namespace: Option<String>,
        /// Their name, or that of their service.
        name: String,
    },
}

impl Query {
    /// Whether a word is a kind by itself, so that the name follows it.
    #[must_use]
    pub fn wants_name(word: &str) -> bool {
        typed(word).is_some()
    }

    /// Reads a word, or a kind and a name.
    ///
    /// # Errors
    /// What is wrong with it, and the way out.
    pub fn parse(word: &str, name: Option<&str>, namespace: Option<&str>) -> Result<Self, [String; 2]> {
        if let Some(name) = name {
            let (kind, group) = typed(word).ok_or_else(|| unknown_kind(word))?;
            return object(kind, group, namespace, name);
        }
        let (first, rest) = word.split_once('/').unwrap_or((word, ""));
        if let Some((kind, group)) = typed(first).filter(|_| !rest.is_empty()) {
            return object(kind, group, namespace, rest);
        }
        if let Some((path, line)) = file_and_line(word) {
            return Ok(Self::File { path: path.to_owned(), line: Some(line) });
        }
        let last = word.rsplit('/').next().unwrap_or(word);
        if last.contains('.') || word.ends_with('/') || word.matches('/').count() > 2 {
            return Ok(Self::File { path: word.to_owned(), line: None });
        }
        if rest.is_empty() {
            let message = if typed(word).is_some() {
                format!("`{word}` is a kind, and no name follows it")
            } else {
                format!("`{word}` says neither a kind and a name nor a file and a line")
            };
            let name = if typed(word).is_some() { "cart" } else { word };
            let kind = typed(word).map_or("ServiceEntry", |it| it.0.name);
            return Err([
                message,
                format!("`{kind}/{name}`, or a file and a line: `out/east/20-mesh/cart.shop.yaml:14`"),
            ]);
        }
        Err(unknown_kind(first))
    }

    /// Whether an object has this very name.
    #[must_use]
    pub fn names(&self, id: &Id) -> bool {
        matches!(self, Self::Object { name, .. } if self.is_of_kind(id) && *name == id.name)
    }

    /// Whether it is an object of the service of this name; the objects of a service share a file.
    #[must_use]
    pub fn names_service(&self, id: &Id, path: &str) -> bool {
        let Self::Object { name, .. } = self else { return false };
        let file = path.rsplit('/').next().unwrap_or(path);
        let of_service = file.strip_suffix(".yaml").and_then(|it| it.strip_suffix(&id.namespace)?.strip_suffix('.'));
        self.is_of_kind(id) && of_service == Some(name.as_str())
    }

    /// Whether an object is of the kind that is meant, and where it is meant.
    #[must_use]
    pub fn is_of_kind(&self, id: &Id) -> bool {
        let Self::Object { kind, group, namespace, .. } = self else { return false };
        kind.name == id.kind
            && namespace.as_ref().is_none_or(|it| *it == id.namespace)
            && group.as_ref().is_none_or(|it| {
                // kubectl takes a version before the group.
                let version = id.api_version.rsplit('/').next().unwrap_or_default();
                id.group().starts_with(it.as_str()) || format!("{version}.{}", id.group()).starts_with(it.as_str())
            })
    }
}

/// A kind, and behind its first dot a group.
fn typed(word: &str) -> Option<(Kind, Option<String>)> {
    let (kind, group) = match word.split_once('.') {
        Some((kind, group)) => (kind, Some(group.to_lowercase())),
        None => (word, None),
    };
    Some((Kind::parse(kind)?, group))
}

fn object(kind: Kind, group: Option<String>, namespace: Option<&str>, name: &str) -> Result<Query, [String; 2]> {
    let (within, name) = match name.split_once('/') {
        Some((within, name)) => (Some(within), name),
        None => (None, name),
    };
    if name.is_empty() || name.contains('/') || within == Some("") {
        let name = kind.name;
        return Err([
            format!("this is no name of a {name}"),
            format!("write `{name}/NAME` or `{name}/NAMESPACE/NAME`"),
        ]);
    }
    if let (Some(a), Some(b)) = (within, namespace)
        && a != b
    {
        return Err([format!("two namespaces are meant, `{a}` and `{b}`"), "say it once".to_owned()]);
    }
    let namespace = within.or(namespace).map(str::to_owned);
    Ok(Query::Object { kind, group, namespace, name: name.to_owned() })
}

fn unknown_kind(word: &str) -> [String; 2] {
    let known = Kind::ALL.iter().flat_map(|it| it.short.iter().copied().chain([it.name]));
    let help = match nearest(word, known.filter(|it| it.len() > 3)) {
        Some(near) => format!("a kind with a similar name is written: `{near}`"),
        None => format!("the kinds are {}", Kind::ALL.map(|it| format!("`{}`", it.name)).join(", ")),
    };
    [format!("no object of the kind `{word}` is ever written"), help]
}

/// `FILE:LINE`, or `FILE:LINE:COLUMN` as tools print it.
fn file_and_line(word: &str) -> Option<(&str, usize)> {
    let number = |it: &str| it.parse::<usize>().ok();
    let (path, last) = word.rsplit_once(':')?;
    let last = number(last)?;
    match path.rsplit_once(':') {
        Some((path, line)) if number(line).is_some() => Some((path, number(line)?)),
        _ => Some((path, last)),
    }
}
