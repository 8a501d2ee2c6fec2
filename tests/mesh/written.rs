//! What was written for the clusters of a mesh, read from the text of the files.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::Value;

use super::declared::{Cluster, Declared, Service, Use};

/// Every file of every cluster, by `<cluster>/<path>`.
pub(crate) type Tree = BTreeMap<String, String>;

/// What was declared, and what was written of it.
pub(crate) struct Mesh {
    pub(crate) declared: Declared,
    /// The clusters whose bundles were written; one that waits for an address has none.
    written: BTreeMap<String, Written>,
}

/// The bundle of a cluster.
pub(crate) struct Written {
    /// By path.
    pub(crate) files: BTreeMap<String, String>,
    /// What the kustomization applies, in its order.
    pub(crate) objects: Vec<Object>,
    /// The paths that the kustomization lists.
    pub(crate) applied: BTreeSet<String>,
}

/// One Kubernetes object.
pub(crate) struct Object {
    pub(crate) file: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// Where a call leaves the cluster: an endpoint of a ServiceEntry, or a `WorkloadEntry`.
pub(crate) struct End {
    pub(crate) address: Option<String>,
    pub(crate) ports: BTreeMap<String, u64>,
    pub(crate) network: Option<String>,
    pub(crate) locality: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// The identities that may answer, if they are said at the endpoint.
    pub(crate) account: Option<String>,
}

/// A part of a value; null if there is none.
pub(crate) fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().try_fold(value, |value, key| value.get(key)).unwrap_or(&Value::Null)
}

/// A list in a value; empty if there is none.
pub(crate) fn list<'a>(value: &'a Value, path: &[&str]) -> Vec<&'a Value> {
    at(value, path).as_sequence().into_iter().flatten().collect()
}

/// A text in a value.
pub(crate) fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(value, path).as_str()
}

/// One scalar or several, as text.
pub(crate) fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Sequence(list) => list.iter().flat_map(words).collect(),
        Value::String(text) => vec![text.clone()],
        Value::Number(number) => vec![number.to_string()],
        Value::Bool(it) => vec![it.to_string()],
        other => panic!("no text: {other:?}"),
    }
}

/// The texts of a map.
pub(crate) fn pairs(value: &Value, path: &[&str]) -> BTreeMap<String, String> {
    let map = at(value, path).as_mapping().into_iter().flatten();
    map.map(|(key, value)| (words(key).concat(), words(value).concat())).collect()
}

/// The documents of a file.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text).map(|it| serde::Deserialize::deserialize(it).expect("YAML")).collect()
}

impl Mesh {
    pub(crate) fn read(topology: &str, tree: &Tree) -> Self {
        let mut files: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (path, text) in tree {
            let (cluster, path) = path.split_once('/').expect("a file lies in the folder of a cluster");
            files.entry(cluster.to_owned()).or_default().insert(path.to_owned(), text.clone());
        }
        let written = files.into_iter().map(|(cluster, files)| (cluster, Written::read(files)));
        Self { written: written.collect(), declared: Declared::read(topology) }
    }

    /// Every cluster with its bundle.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = (&Cluster, &Written)> {
        self.written.iter().map(|(name, written)| (self.declared.cluster(name), written))
    }

    /// Those of today's Istio.
    pub(crate) fn newer(&self) -> impl Iterator<Item = (&Cluster, &Written)> {
        self.clusters().filter(|it| it.0.newer())
    }

    /// Every call that gateways answer for, with the cluster that it comes from.
    pub(crate) fn crossings(&self) -> impl Iterator<Item = (&Cluster, &Written, Use<'_>)> {
        self.clusters().flat_map(|(here, written)| {
            self.declared.crossings(&here.name).into_iter().map(move |it| (here, written, it))
        })
    }

    /// The bundle of a cluster, if it was written.
    pub(crate) fn written(&self, cluster: &str) -> Option<&Written> {
        self.written.get(cluster)
    }
}

impl Written {
    fn read(files: BTreeMap<String, String>) -> Self {
        let kustomization = documents(&files["kustomization.yaml"]).remove(0);
        let listed = words(&kustomization["resources"]);
        let objects = listed.iter().filter_map(|it| Some((it, files.get(it)?)));
        let objects = objects
            .flat_map(|(file, text)| documents(text).into_iter().map(move |value| (file, value)))
            .map(|(file, value)| {
                let part = |path: &[&str]| text(&value, path).unwrap_or_default().to_owned();
                Object {
                    file: file.clone(),
                    kind: part(&["kind"]),
                    namespace: part(&["metadata", "namespace"]),
                    name: part(&["metadata", "name"]),
                    value,
                }
            })
            .collect();
        Self { objects, applied: listed.into_iter().collect(), files }
    }

    pub(crate) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(move |it| it.kind == kind)
    }

    pub(crate) fn object(&self, kind: &str, namespace: &str, name: &str) -> Option<&Object> {
        self.of_kind(kind).find(|it| it.namespace == namespace && it.name == name)
    }

    /// The Service of a service, whether pods or gateways answer for it.
    pub(crate) fn service(&self, service: &Service) -> Option<&Object> {
        self.object("Service", &service.namespace, &service.name)
    }

    /// Entries of the mesh with this host.
    pub(crate) fn entries(&self, host: &str) -> Vec<&Object> {
        let has = |it: &&Object| words(at(&it.value, &["spec", "hosts"])).iter().any(|it| it == host);
        self.of_kind("ServiceEntry").filter(has).collect()
    }

    /// The rule of a host.
    pub(crate) fn of_host(&self, kind: &str, host: &str) -> Option<&Object> {
        let is = |it: &&Object| {
            text(&it.value, &["spec", "host"]) == Some(host)
                || words(at(&it.value, &["spec", "hosts"])) == [host] && at(&it.value, &["spec", "gateways"]).is_null()
        };
        self.of_kind(kind).find(is)
    }

    /// Where calls to a service leave this cluster. The Service selects as Kubernetes does, by labels.
    pub(crate) fn ends(&self, host: &str, service: &Service) -> Vec<End> {
        let has_selector = |labels: &BTreeMap<String, String>| {
            service.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        let selected = self
            .of_kind("WorkloadEntry")
            .filter(|it| it.namespace == service.namespace)
            .map(|it| End::read(&it.value["spec"]))
            .filter(|it| has_selector(&it.labels));
        let entries = self.entries(host).into_iter().flat_map(|it| list(&it.value, &["spec", "endpoints"]));
        entries.map(End::read).chain(selected).collect()
    }

    /// The first document of an install file, if there is such a file.
    pub(crate) fn install(&self, file: &str) -> Option<Value> {
        documents(self.files.get(&format!("10-istio/{file}"))?).into_iter().next()
    }
}

impl End {
    fn read(it: &Value) -> Self {
        let word = |field: &str| text(it, &[field]).map(str::to_owned);
        Self {
            address: word("address"),
            ports: pairs(it, &["ports"]).into_iter().map(|it| (it.0, it.1.parse().expect("a port"))).collect(),
            network: word("network"),
            locality: word("locality"),
            labels: pairs(it, &["labels"]),
            account: word("serviceAccount"),
        }
    }
}

impl Object {
    /// `exportTo`: whether a namespace sees the object.
    pub(crate) fn visible_to(&self, namespace: &str) -> bool {
        let to = self.exported_to();
        to.is_empty() || to.contains("*") || to.contains(namespace)
    }

    /// `exportTo`, with its own namespace by name.
    pub(crate) fn exported_to(&self) -> BTreeSet<String> {
        let own = |it: String| if it == "." { self.namespace.clone() } else { it };
        words(at(&self.value, &["spec", "exportTo"])).into_iter().map(own).collect()
    }

    /// For people.
    pub(crate) fn id(&self) -> String {
        format!("{} {}/{} ({})", self.kind, self.namespace, self.name, self.file)
    }
}
