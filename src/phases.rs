//! What a cluster has while a service moves: the objects of before and after, mixed by how far it is.
//!
//! Clusters are applied one after the other, with any time in between. So nothing that somebody may
//! still call is taken away, and nothing is called that may not be there yet:
//!
//! - *prepare*: gateways let in the names of before and of after, and rules know the subsets that
//!   routes will name. Where the service comes to, hosts are known that only its new pods will call:
//!   kustomize has pods start before. No pod starts, no route comes that anybody follows.
//! - *open*: the new pods start, with routes everywhere that lead past them.
//! - *switch*: callers call as after. What the old way needs stays: pods that have the old address
//!   live until the last of them is replaced.
//! - *release*: what led callers the old way goes, and so do the old pods. Hosts that only they called stay.
//! - After that the bundle is that of after: what was open for the old way is closed.
//!
//! Within a phase the order of clusters is [`Part::rank`]'s. The way back is the same in reverse.

use std::borrow::Cow;

use indexmap::{IndexMap, IndexSet};
use serde_yaml::Value;
use similar::TextDiff;

use crate::bundle::{Bundle, File};
use crate::resources;
use crate::syntax::Phase;
use crate::yaml;

/// What a phase is called.
pub(crate) fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Prepare => "prepare",
        Phase::Open => "open",
        Phase::Switch => "switch",
        Phase::Release => "release",
    }
}

/// The part that a cluster plays while a service moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The service comes to it.
    Joining,
    /// It runs the service before and after.
    Staying,
    /// The service goes from it.
    Leaving,
    /// It may call the service, and never runs it.
    Calling,
}

impl Part {
    /// Its place in the order of a phase; `None` stands for the last phase, which is no mixture.
    pub(crate) fn rank(self, phase: Option<Phase>) -> u8 {
        let order = match phase {
            // The newcomer calls the others, too: they answer first.
            Some(Phase::Prepare | Phase::Open) => [Self::Staying, Self::Joining, Self::Leaving, Self::Calling],
            // Nobody is led to the newcomer before it passes calls on to its pods.
            Some(Phase::Switch) => [Self::Joining, Self::Staying, Self::Calling, Self::Leaving],
            // Whoever is called closes after those who call.
            Some(Phase::Release) | None => [Self::Calling, Self::Staying, Self::Joining, Self::Leaving],
        };
        let place = order.iter().position(|it| *it == self).expect("every part has a place");
        u8::try_from(place).expect("there are four")
    }
}

/// Kind, namespace and name of an object.
pub(crate) type Id = (String, String, String);

/// An object of a bundle.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    /// The file it stands in.
    pub(crate) path: String,
    /// As it is written.
    pub(crate) text: String,
    /// What is written.
    pub(crate) value: Value,
}

/// The objects in the text of a file.
pub(crate) fn objects(path: &str, text: &str) -> Vec<(Id, Object)> {
    let mut documents = vec![String::new()];
    for line in text.split_inclusive('\n') {
        match line {
            "---\n" => documents.push(String::new()),
            _ => documents.last_mut().expect("there is a first").push_str(line),
        }
    }
    documents
        .into_iter()
        .map(|text| {
            let value: Value = serde_yaml::from_str(&text).expect("a bundle's files are YAML");
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let metadata = &value["metadata"];
            let id = (word(&value["kind"]), word(&metadata["namespace"]), word(&metadata["name"]));
            (id, Object { path: path.to_owned(), text, value })
        })
        .collect()
}

/// The objects that are applied and not the same in both bundles, by the bundle they are in.
pub(crate) fn differing(before: &Bundle, after: &Bundle) -> [IndexMap<Id, Object>; 2] {
    let same = |path: &str| before.get(path) == after.get(path);
    [before, after].map(|bundle| {
        let files = bundle.files().filter(|(path, file)| file.applied && !same(path));
        files.flat_map(|(path, file)| objects(path, &file.text)).collect()
    })
}

/// What mixes the bundles of a cluster.
pub(crate) struct Mixing<'a> {
    /// How far it is.
    pub(crate) phase: Phase,
    /// The part that the cluster plays for the service that a file is about.
    pub(crate) part: &'a dyn Fn(&str) -> Part,
    /// Whether what installs is that of after already; what is for people is.
    pub(crate) installed: bool,
    /// Whether what is for people is that of after already.
    pub(crate) told: bool,
}

impl<'a> Mixing<'a> {
    /// While one service moves, every file is about that service.
    pub(crate) fn of_move(phase: Phase, part: Part, parts: &'a dyn Fn(&str) -> Part, grows: bool) -> Self {
        // What is not applied is for whoever knows more of the mesh.
        let early = phase <= Phase::Open && matches!(part, Part::Calling | Part::Leaving);
        Self { phase, part: parts, installed: grows && !early, told: !early }
    }
}

/// The bundle of a cluster in a phase.
pub(crate) fn between(before: &Bundle, after: Bundle, mixing: &Mixing<'_>) -> Bundle {
    let [old, new] = differing(before, &after);
    if old.is_empty() && new.is_empty() && mixing.told {
        return after;
    }
    let phase = mixing.phase;
    let starts =
        |path: &str| new.iter().any(|(id, it)| id.0 == "Deployment" && !old.contains_key(id) && !is_of(it, path));
    let mut files: IndexMap<String, Vec<String>> = IndexMap::new();
    let ids: IndexSet<&Id> = new.keys().chain(old.keys()).collect();
    for id in ids {
        let object = match (old.get(id), new.get(id)) {
            (None, Some(new)) => {
                let is_first = before.get(&new.path).is_none();
                let part = (mixing.part)(&new.path);
                // What was not known here is called by nobody yet.
                let calls = part == Part::Calling || part == Part::Leaving && id.0 == "ServiceEntry";
                let is_new_name = calls && phase <= Phase::Open && !is_known(before, id, new);
                (is_new_name || comes(id, new, is_first, phase, part)).then(|| new.clone())
            }
            (Some(old), None) => {
                let is_last = after.get(&old.path).is_none();
                (!goes(id, old, is_last, phase, (mixing.part)(&old.path))).then(|| old.clone())
            }
            // Other pods that start here may call it as after, while its own still answer.
            (Some(old), Some(new))
                if phase <= Phase::Open
                    && id.0 == "ServiceEntry"
                    && is_own(old)
                    && !is_own(new)
                    && starts(&new.path) =>
            {
                Some(seen_as(old, new))
            }
            (Some(old), Some(new)) => Some(changed(id, old, new, phase, (mixing.part)(&new.path))),
            (None, None) => None,
        };
        if let Some(object) = object {
            files.entry(object.path).or_default().push(object.text);
        }
    }
    let mut applied: IndexMap<&str, String> = IndexMap::new();
    for (path, file) in after.files().chain(before.files()).filter(|(_, file)| file.applied) {
        if before.get(path) == after.get(path) {
            applied.insert(path, file.text.clone());
        } else if let Some(texts) = files.get(path) {
            applied.insert(path, texts.join("---\n"));
        }
    }
    // Folders are phases of their own, in the order of their names.
    applied.sort_by(|a, _, b, _| folder(a).cmp(folder(b)));
    let install = if mixing.installed { &after } else { before };
    let words = if mixing.told { &after } else { before };
    mixture(applied, install, words)
}

/// Whether a bundle knows a name that an object is about.
fn is_known(bundle: &Bundle, id: &Id, object: &Object) -> bool {
    let wanted = names(id, object);
    let file = object.path.rsplit('/').next().unwrap_or_default();
    let files = ["20-mesh", "40-apps"].map(|folder| format!("{folder}/{file}"));
    let there = files.iter().filter_map(|path| Some(objects(path, bundle.get(path)?))).flatten();
    wanted.is_empty() || there.into_iter().any(|(id, it)| names(&id, &it).iter().any(|it| wanted.contains(it)))
}

/// The names that an object of a host is about. Endpoints are those of the Service beside them.
fn names<'a>(id: &'a Id, object: &'a Object) -> Vec<Cow<'a, str>> {
    let spec = &object.value["spec"];
    let hosts = || spec["hosts"].as_sequence().into_iter().flatten().filter_map(Value::as_str).map(Cow::Borrowed);
    match id.0.as_str() {
        "ServiceEntry" | "VirtualService" => hosts().collect(),
        "DestinationRule" => spec["host"].as_str().map(Cow::Borrowed).into_iter().collect(),
        "Service" => vec![format!("{}.{}.svc.cluster.local", id.2, id.1).into()],
        "WorkloadEntry" => {
            let service = id.2.split('.').next().unwrap_or_default();
            vec![format!("{service}.{}.svc.cluster.local", id.1).into()]
        }
        _ => Vec::new(),
    }
}

fn folder(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

/// The files that are applied, those that install, and those for people.
fn mixture(applied: IndexMap<&str, String>, install: &Bundle, words: &Bundle) -> Bundle {
    let mut bundle = Bundle::default();
    let list = resources::kustomization(applied.keys().copied().collect());
    let mut rest = install.files().filter(|(path, file)| !file.applied && path.contains('/')).peekable();
    let add = |bundle: &mut Bundle, path: &str, file: &File| {
        if file.executable { bundle.script(path, file.text.clone()) } else { bundle.keep(path, file.text.clone()) }
    };
    for (path, text) in applied {
        while let Some((kept, file)) = rest.next_if(|(kept, _)| folder(kept) <= folder(path)) {
            add(&mut bundle, kept, file);
        }
        bundle.apply(path, text);
    }
    rest.for_each(|(path, file)| add(&mut bundle, path, file));
    bundle.keep("kustomization.yaml", list);
    for (path, file) in words.files().filter(|(path, _)| !path.contains('/') && *path != "kustomization.yaml") {
        add(&mut bundle, path, file);
    }
    bundle
}

/// Whether an object leads calls somewhere, and does not merely answer them.
fn leads(id: &Id, object: &Object) -> bool {
    match id.0.as_str() {
        "WorkloadEntry" | "VirtualService" => true,
        "ServiceEntry" => !is_own(object),
        _ => object.path.starts_with("50-ingress/"),
    }
}

/// Whether a ServiceEntry is that of pods beside it.
fn is_own(object: &Object) -> bool {
    let spec = &object.value["spec"];
    let is_here = |it: &Value| it["address"].as_str().is_some_and(|it| it.ends_with(".svc.cluster.local"));
    spec.get("workloadSelector").is_some() || spec["endpoints"].as_sequence().is_some_and(|it| it.iter().any(is_here))
}

/// Whether an object of after is there already; it may be among the first that the cluster has of a service.
fn comes(id: &Id, object: &Object, is_first: bool, phase: Phase, part: Part) -> bool {
    match (phase, part) {
        // What was not known here is called by nobody yet.
        (Phase::Prepare, Part::Joining) if is_first && object.path.starts_with("20-mesh/") => true,
        (Phase::Prepare, Part::Joining) => !leads(id, object) && id.0 != "Deployment",
        // Pushed together, the endpoints of a new gateway reach an Envoy before the route that leads past them.
        (Phase::Open, _) if id.0 == "VirtualService" && has_shares(object) => true,
        (Phase::Prepare | Phase::Open, Part::Staying) => !leads(id, object),
        // The new pods call here, too.
        (Phase::Prepare | Phase::Open, Part::Calling | Part::Leaving) => {
            ["DestinationRule", "Gateway"].contains(&id.0.as_str()) || id.0 == "ServiceEntry" && is_own(object)
        }
        // A bundle's routes come before its pods.
        (Phase::Open, Part::Joining) | (Phase::Switch | Phase::Release, _) => true,
    }
}

/// Whether an object of before is gone already; it may be among the last that the cluster has of a service.
fn goes(id: &Id, object: &Object, is_last: bool, phase: Phase, part: Part) -> bool {
    match phase {
        // Old pods call as long as they end; nobody else does.
        Phase::Release if part == Part::Leaving && is_last && object.path.starts_with("20-mesh/") => false,
        Phase::Release => leads(id, object) || part == Part::Leaving && id.0 == "Deployment",
        // The gateways of a cluster that has no share any more go before the routes that know shares.
        Phase::Switch => matches!(part, Part::Staying | Part::Calling) && id.0 == "WorkloadEntry",
        Phase::Prepare | Phase::Open => false,
    }
}

/// Whether a route leads to shares of a host.
fn has_shares(route: &Object) -> bool {
    route.text.lines().any(|it| it.trim_start().starts_with("subset: "))
}

/// Whether a route leads to shares of a host, and the other to the whole of it.
fn has_shares_beside(route: &Object, other: &Object) -> bool {
    has_shares(route) && !has_shares(other)
}

/// An object that is not the same before and after.
fn changed(id: &Id, old: &Object, new: &Object, phase: Phase, part: Part) -> Object {
    if id.0 == "ConfigMap" && new.path.starts_with("30-dns/") {
        return with_all_lines(old, new);
    }
    let early = phase <= Phase::Open;
    match (id.0.as_str(), part) {
        // On the way back a route goes before the subsets that it names, and a pod before its names.
        ("DestinationRule" | "Sidecar" | "Gateway" | "AuthorizationPolicy", Part::Calling | Part::Leaving) if early => {
            widened(new, old)
        }
        // Shares are there before the pods and gateways that have none yet, and until the gateways that have none any more
        // are gone.
        ("VirtualService", _) if phase == Phase::Open && has_shares_beside(new, old) => new.clone(),
        ("VirtualService", _) if phase == Phase::Switch && has_shares_beside(old, new) => old.clone(),
        (_, Part::Calling | Part::Leaving) if early => old.clone(),
        // The Service of pods knows the ports of the pods, that of gateways does not.
        ("Service", Part::Leaving) => old.clone(),
        ("Service", Part::Joining) => new.clone(),
        ("ServiceEntry", _) if early && !is_own(old) => old.clone(),
        // Whoever left is asked by nobody.
        ("ServiceEntry", _) if is_own(old) && !is_own(new) => new.clone(),
        ("ServiceEntry" | "Gateway" | "DestinationRule" | "AuthorizationPolicy" | "Sidecar", _) => widened(old, new),
        _ if early => old.clone(),
        _ => new.clone(),
    }
}

/// Whether an object is about the same service as a file.
fn is_of(object: &Object, path: &str) -> bool {
    object.path.rsplit('/').next() == path.rsplit('/').next()
}

/// An object that is seen by all who will see it, too.
fn seen_as(old: &Object, new: &Object) -> Object {
    let mut value = old.value.clone();
    widen(&mut value, &new.value, &["spec", "exportTo"], None);
    Object { path: new.path.clone(), text: yaml::to_string(&value), value }
}

/// The names that a DNS server knows, a line each: those of before and of after.
fn with_all_lines(old: &Object, new: &Object) -> Object {
    let text: String = TextDiff::from_lines(&old.text, &new.text).iter_all_changes().map(|it| it.value()).collect();
    match serde_yaml::from_str(&text) {
        Ok(value) => Object { path: new.path.clone(), text, value },
        // They differ by more than lines of text.
        Err(_) => new.clone(),
    }
}

/// Lists in which more lets more in, and what tells their elements apart.
const LISTS: [(&[&str], Option<&str>); 8] = [
    (&["spec", "servers", "*", "hosts"], None),
    (&["spec", "listeners"], Some("name")),
    (&["spec", "subsets"], Some("name")),
    (&["spec", "rules", "*", "from", "*", "source", "principals"], None),
    (&["spec", "egress", "*", "hosts"], None),
    (&["spec", "ports"], Some("name")),
    (&["spec", "subjectAltNames"], None),
    (&["spec", "exportTo"], None),
];

/// An object that also does what another does.
fn widened(old: &Object, new: &Object) -> Object {
    let mut value = new.value.clone();
    for (path, key) in LISTS {
        widen(&mut value, &old.value, path, key);
    }
    if value == new.value {
        return new.clone();
    }
    Object { path: new.path.clone(), text: yaml::to_string(&value), value }
}

fn widen(new: &mut Value, old: &Value, path: &[&str], key: Option<&str>) {
    let Some((first, rest)) = path.split_first() else {
        let (Value::Sequence(new), Value::Sequence(old)) = (new, old) else { return };
        let known = |list: &[Value], it: &Value| match key {
            Some(key) => list.iter().any(|other| other.get(key) == it.get(key)),
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
