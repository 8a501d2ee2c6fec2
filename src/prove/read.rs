//! From the files of a tree to the objects of its clusters.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_yaml::Value;

use super::DEFAULT;
use super::cluster::Cluster;
use super::install::Install;
use super::object::Object;
use super::value::word;
use crate::bundle::Bundle;
use crate::topology;
use crate::trees::{self, Document, Files, Unreadable, documents, values};

/// The files of a cluster, each with its path in the cluster's folder.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// What is applied.
    applied: Vec<(String, String)>,
    /// What installs Istio, or leads names to a server.
    kept: Vec<(String, String)>,
    /// Whether it is one file, which has no folder.
    is_file: bool,
}

/// Where the files lie that are not applied with the others.
const INSTALL: &str = "10-istio/";
const DNS: &str = "30-dns/";

/// Kinds that install Istio.
const INSTALLERS: [&str; 3] = ["IstioOperator", "IstioControlPlane", "Istio"];

impl Written {
    pub(super) fn of_bundle(bundle: &Bundle) -> Self {
        let mut written = Self::default();
        for (path, file) in bundle.files() {
            let list = if file.applied { &mut written.applied } else { &mut written.kept };
            list.push((path.to_owned(), file.text.clone()));
        }
        written
    }
}

/// The files of each cluster that has any: those that its kustomization lists, all of its folder, or one file.
pub(super) fn tree<'a>(
    files: &Files,
    names: impl Iterator<Item = &'a str>,
) -> Result<IndexMap<String, Written>, Unreadable> {
    let mut clusters = IndexMap::new();
    for name in names {
        if let Some(written) = one(files, name)? {
            clusters.insert(name.to_owned(), written);
        }
    }
    Ok(clusters)
}

fn one(files: &Files, name: &str) -> Result<Option<Written>, Unreadable> {
    let folder = format!("{name}/");
    let utf8 = |path: &str| {
        let text = String::from_utf8(files[path].bytes.clone());
        text.map_err(|_| Unreadable { file: path.to_owned(), reason: "it is not UTF-8 text".to_owned() })
    };
    let mut written = Written::default();
    let inner = || files.keys().filter_map(|path| Some((path, path.strip_prefix(&folder)?)));
    let is_kept = |path: &str| path.starts_with(INSTALL) || path.starts_with(DNS);
    for (path, inner) in inner().filter(|it| is_kept(it.1)) {
        written.kept.push((inner.to_owned(), utf8(path)?));
    }
    let file = ["yaml", "yml", "json"].iter().map(|it| format!("{name}.{it}")).find(|it| files.contains_key(it));
    if trees::has_kustomization(files, &folder) {
        let cluster = trees::cluster(files, &folder)?;
        if let Some(note) = cluster.notes.first() {
            let reason =
                format!("{note}; build it first: `kustomize build {name} > {name}.yaml`, in a folder of its own");
            return Err(Unreadable { file: folder, reason });
        }
        let applied = cluster.applied.into_iter();
        written.applied = applied.collect();
    } else if let Some(file) = file {
        written.applied.push((file.clone(), utf8(&file)?));
        written.is_file = true;
    } else {
        let is_yaml = |path: &str| [".yaml", ".yml", ".json"].iter().any(|it| path.ends_with(it));
        for (path, inner) in inner().filter(|it| is_yaml(it.1) && !is_kept(it.1) && !it.1.starts_with('.')) {
            written.applied.push((inner.to_owned(), utf8(path)?));
        }
        if written.applied.is_empty() {
            return Ok(None);
        }
    }
    Ok(Some(written))
}

/// A cluster of which only those files are read that install Istio.
pub(super) fn installed(told: &topology::Cluster, bundle: &Bundle) -> Result<Cluster, Unreadable> {
    let mut written = Written::of_bundle(bundle);
    written.applied.clear();
    written.kept.retain(|it| it.0.starts_with(INSTALL));
    cluster(told, &written, "", DEFAULT)
}

/// A cluster with what its files say.
pub(super) fn cluster(
    told: &topology::Cluster,
    written: &Written,
    folder: &str,
    namespace: &str,
) -> Result<Cluster, Unreadable> {
    let within = if folder.is_empty() { String::new() } else { format!("{}/", folder.trim_end_matches('/')) };
    let called = |path: &str, is_file: bool| -> Arc<str> {
        if is_file { format!("{within}{path}").into() } else { format!("{within}{}/{path}", told.name).into() }
    };
    let mut objects = Vec::new();
    let mut installers = Vec::new();
    for (path, text) in &written.applied {
        let file = called(path, written.is_file);
        for document in documents(&file, text)? {
            let mut object = Object::new(file.clone(), document, namespace);
            object.generate_name(objects.len());
            check(&object)?;
            let list = if is_installer(&object) { &mut installers } else { &mut objects };
            list.push(Arc::new(object));
        }
    }
    let is_applied = |path: &str| written.applied.iter().any(|it| it.0 == path);
    for (path, text) in written.kept.iter().filter(|it| !is_applied(&it.0)) {
        let file = called(path, false);
        let stem = path.rsplit('/').next().unwrap_or(path).split('.').next().unwrap_or_default();
        let is_install = path.starts_with(INSTALL);
        if !is_install && !path.starts_with(DNS) {
            continue;
        }
        if path.ends_with(".sh") {
            objects.extend(script(&file, text, stem).map(Arc::new));
            continue;
        }
        if ![".yaml", ".yml", ".json"].iter().any(|it| path.ends_with(it)) {
            continue;
        }
        for document in values(&file, text)? {
            let has_kind = document.value.get("kind").is_some();
            let object = if has_kind {
                Object::new(file.clone(), document, namespace)
            } else {
                Object::of_values(file.clone(), document, stem)
            };
            let list = if is_installer(&object) || is_install && !has_kind { &mut installers } else { &mut objects };
            list.push(Arc::new(object));
        }
    }
    let install = Install::of(&installers, told.istio);
    let mut cluster = Cluster::new(&told.name, told.istio, told.passes_through(), install);
    for object in objects {
        if let Some(other) = cluster.same(&object.id) {
            let reason = format!("{object} stands in {}, too", other.file);
            return Err(Unreadable { file: object.file.to_string(), reason });
        }
        cluster.put(object);
    }
    Ok(cluster)
}

fn is_installer(object: &Object) -> bool {
    INSTALLERS.contains(&object.id.kind.as_str())
}

/// What the API server refuses of any object.
fn check(object: &Object) -> Result<(), Unreadable> {
    let is_list = |it: &Value| it.is_sequence();
    let reason = match &object.value {
        it if word(it, &["apiVersion"]).is_empty() => format!("{object} has no `apiVersion`"),
        _ if object.id.name.is_empty() && object.id.kind != "IstioOperator" => {
            format!("a {} has no name", object.id.kind)
        }
        it if it.get("spec").is_some_and(is_list) => format!("the `spec` of {object} is no map"),
        _ => return Ok(()),
    };
    Err(Unreadable { file: object.file.to_string(), reason })
}

/// A script that leads the names of a suffix to a server, as its variables say.
fn script(file: &Arc<str>, text: &str, stem: &str) -> Option<Object> {
    let line = |name: &str| text.lines().position(|it| it.starts_with(name));
    let value = |index: usize| Some(text.lines().nth(index)?.split_once('=')?.1.to_owned());
    let (suffix, address) = (line("suffix=")?, line("address=")?);
    let fields = [("zone", value(suffix)?), ("server", value(address)?)];
    let value = Value::Mapping(fields.into_iter().map(|(key, value)| (key.into(), value.into())).collect());
    let document = Document { value, text: text.lines().nth(suffix)?.into(), line: suffix + 1, within: Vec::new() };
    let mut object = Object::of_values(file.clone(), document, stem);
    SCRIPT.clone_into(&mut object.id.kind);
    Some(object)
}

/// What a script is called that leads names to a server.
pub(super) const SCRIPT: &str = "script";
