//! A tree of files: a folder a cluster, read as kustomize reads its list of resources.
//!
//! Whoever wrote it: files of several documents, lists, folders with a kustomization of their own. What else a
//! kustomization can do is not done here, and [`Cluster::notes`] says so.

mod document;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use indexmap::IndexMap;
use serde_yaml::{Mapping, Value};

pub(crate) use document::{Document, documents, values};

use crate::diag::shown;

/// A file of a tree that cannot be read as what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its path in the tree.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", shown(&self.file), shown(&self.reason))
    }
}

/// Files by their path, with `/` between its parts.
pub type Files = BTreeMap<String, File>;

/// A file of a tree.
#[derive(Debug, Clone)]
pub struct File {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Whether it lies in a folder that meshlatch looks after, and is none of its files.
    pub foreign: bool,
}

/// What a cluster has.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    /// The files that the kustomization lists, in its order, by their path in the cluster's folder.
    pub(crate) applied: IndexMap<String, String>,
    /// The other files.
    pub(crate) kept: BTreeMap<String, Vec<u8>>,
    /// What the kustomization says beside its list.
    pub(crate) transforms: BTreeMap<String, Mapping>,
    /// What was not looked at.
    pub(crate) notes: Vec<String>,
}

/// How kustomize lets a kustomization be called.
pub const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The clusters of a tree by name, or the one cluster whose folder it is.
pub(crate) enum Tree {
    Clusters(IndexMap<String, Cluster>),
    One(Cluster),
}

pub(crate) fn read(files: &Files) -> Result<Tree, Unreadable> {
    if kustomization(files, "").is_some() {
        return Ok(Tree::One(cluster(files, "")?));
    }
    let folders: BTreeSet<&str> = files.keys().filter_map(|it| it.split_once('/')).map(|it| it.0).collect();
    let folders = folders.into_iter().filter(|it| kustomization(files, &format!("{it}/")).is_some());
    let clusters = folders.map(|it| Ok((it.to_owned(), cluster(files, &format!("{it}/"))?)));
    clusters.collect::<Result<_, _>>().map(Tree::Clusters)
}

/// Whether a folder, which is empty or ends in a slash, has a kustomization.
pub(crate) fn has_kustomization(files: &Files, folder: &str) -> bool {
    kustomization(files, folder).is_some()
}

/// The kustomization of a folder, which is empty or ends in a slash.
fn kustomization(files: &Files, folder: &str) -> Option<String> {
    KUSTOMIZATIONS.iter().map(|it| format!("{folder}{it}")).find(|it| files.contains_key(it))
}

/// What a folder's kustomization lists, and what else lies there.
pub(crate) fn cluster(files: &Files, folder: &str) -> Result<Cluster, Unreadable> {
    let mut cluster = Cluster::default();
    let mut seen = BTreeSet::new();
    collect(files, folder, folder, &mut seen, &mut cluster)?;
    let kept = files.iter().filter_map(|(path, file)| Some((path.strip_prefix(folder)?, path, file)));
    for (inner, path, file) in kept {
        let hidden = inner.split('/').any(|it| it.starts_with('.'));
        if !hidden && !file.foreign && !seen.contains(path) {
            cluster.kept.insert(inner.to_owned(), file.bytes.clone());
        }
    }
    Ok(cluster)
}

/// Takes what the kustomization of a folder lists.
fn collect(
    files: &Files,
    root: &str,
    folder: &str,
    seen: &mut BTreeSet<String>,
    cluster: &mut Cluster,
) -> Result<(), Unreadable> {
    let path = kustomization(files, folder).expect("the caller looked");
    if !seen.insert(path.clone()) {
        return Ok(());
    }
    let wrong = |reason: String| Unreadable { file: path.clone(), reason };
    let value: Value = serde_yaml::from_str(&text(&path, files)?).map_err(|error| wrong(error.to_string()))?;
    let mut map = match value {
        Value::Mapping(map) => map,
        Value::Null => Mapping::new(),
        _ => return Err(wrong("it is no map".to_owned())),
    };
    let mut entries = Vec::new();
    for key in ["resources", "bases"] {
        match map.remove(key) {
            None | Some(Value::Null) => {}
            Some(Value::Sequence(list)) => entries.extend(list),
            Some(_) => return Err(wrong(format!("`{key}` is no list"))),
        }
    }
    map.remove("apiVersion");
    map.remove("kind");
    if !map.is_empty() {
        let fields: Vec<_> = map.keys().filter_map(Value::as_str).map(|it| format!("`{}`", shown(it))).collect();
        cluster.notes.push(format!("{}: {} is not looked at", shown(&path), fields.join(", ")));
        cluster.transforms.insert(relative(root, &path), map);
    }
    for entry in &entries {
        let entry = entry.as_str().ok_or_else(|| wrong("a resource is no path".to_owned()))?;
        if entry.contains("://") || entry.starts_with("github.com/") || entry.contains('@') && entry.contains(':') {
            cluster.notes.push(format!("{}: `{}` lies elsewhere and is not looked at", shown(&path), shown(entry)));
            continue;
        }
        let missing = || wrong(format!("it lists `{}`, which is not there", shown(entry)));
        let found = join(folder, entry).ok_or_else(missing)?;
        let below = if found.is_empty() { String::new() } else { format!("{found}/") };
        if files.contains_key(&found) {
            seen.insert(found.clone());
            cluster.applied.insert(relative(root, &found), text(&found, files)?);
        } else if kustomization(files, &below).is_some() {
            collect(files, root, &below, seen, cluster)?;
        } else {
            return Err(missing());
        }
    }
    Ok(())
}

fn text(path: &str, files: &Files) -> Result<String, Unreadable> {
    let text = String::from_utf8(files[path].bytes.clone());
    text.map_err(|_| Unreadable { file: path.to_owned(), reason: "it is not UTF-8 text".to_owned() })
}

/// A path as it is called in the cluster's folder.
fn relative(root: &str, path: &str) -> String {
    path.strip_prefix(root).map_or_else(|| format!("../{path}"), str::to_owned)
}

/// A path from a folder; `None` if it leads out of the tree.
fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|it| !it.is_empty()).collect();
    if path.starts_with('/') {
        return None;
    }
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
