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

mod shares;
mod widen;

use std::borrow::Cow;
use std::collections::BTreeSet;

use indexmap::{IndexMap, IndexSet};
use serde_yaml::Value;
use similar::TextDiff;

use crate::bundle::{Bundle, File, is_by_hand};
use crate::resources;
use crate::syntax::Phase;
use widen::{seen_as, united, widened, with_hosts, with_ports};

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

/// Which files that install something a mixture has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Install {
    /// Those of before.
    Old,
    /// Those of after.
    New,
    /// Those that install what either does.
    Both,
}

/// What mixes the bundles of a cluster.
pub(crate) struct Mixing<'a> {
    /// How far it is.
    pub(crate) phase: Phase,
    /// The part that the cluster plays for the service that a file is about.
    pub(crate) part: &'a dyn Fn(&str) -> Part,
    /// The clusters to which the service comes that a file is about, and those from which it goes.
    pub(crate) moving: &'a dyn Fn(&str) -> BTreeSet<String>,
    /// What installs.
    pub(crate) install: Install,
    /// Whether what is for people is that of after already.
    pub(crate) told: bool,
}

impl<'a> Mixing<'a> {
    /// While one service moves, every file is about that service.
    pub(crate) fn of_move(phase: Phase, part: Part, parts: &'a dyn Fn(&str) -> Part, grows: bool) -> Self {
        // What is not applied is for whoever knows more of the mesh.
        let early = phase <= Phase::Open && matches!(part, Part::Calling | Part::Leaving);
        let install = if grows && !early { Install::New } else { Install::Old };
        // Shares of a service that moves are steps of their own.
        Self { phase, part: parts, moving: &|_| BTreeSet::new(), install, told: !early }
    }
}

/// The bundle of a cluster in a phase.
pub(crate) fn between(before: &Bundle, after: Bundle, mixing: &Mixing<'_>) -> Bundle {
    let [old, new] = differing(before, &after);
    let install = installing(before, &after, mixing.install);
    if old.is_empty()
        && new.is_empty()
        && mixing.told
        && install.iter().all(|(path, it)| after.get(path) == Some(&it.text))
    {
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
            // Others of the new bundle lead the same hosts in.
            (Some(old), None) if is_ingress(old) && phase >= Phase::Switch && is_served(id, old, &after) => None,
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
        if let Some(mut object) = object {
            if id.0 == "VirtualService" && has_shares(&object) && [Phase::Open, Phase::Switch].contains(&phase) {
                object = shares::without(&object, &(mixing.moving)(&object.path));
            }
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
    let words = if mixing.told { &after } else { before };
    mixture(applied, &install, words)
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

/// The files that install something, in the order of their folders.
fn installing(before: &Bundle, after: &Bundle, install: Install) -> IndexMap<String, File> {
    let of = |bundle: &Bundle| -> IndexMap<String, File> {
        let files = bundle.files().filter(|(path, file)| !file.applied && is_by_hand(path));
        files.map(|(path, file)| (path.to_owned(), file.clone())).collect()
    };
    let (mut old, new) = (of(before), of(after));
    match install {
        Install::Old => return old,
        Install::New => return new,
        Install::Both => {}
    }
    for (path, file) in new {
        let text = old.get(&path).and_then(|it| united(&it.text, &file.text));
        old.insert(path, File { text: text.unwrap_or_else(|| file.text.clone()), ..file });
    }
    old.sort_by(|a, _, b, _| folder(a).cmp(folder(b)));
    old
}

/// Whether a file that installs something only takes away from what it installed; `None` if it gives and takes.
pub(crate) fn only_takes(old: Option<&str>, new: Option<&str>) -> Option<bool> {
    let (Some(old), Some(new)) = (old, new) else { return Some(new.is_none()) };
    match united(old, new) {
        None => Some(false),
        Some(both) if both == new => Some(false),
        Some(both) if both == old => Some(true),
        Some(_) => None,
    }
}

/// The files that are applied, those that install, and those for people.
fn mixture(applied: IndexMap<&str, String>, install: &IndexMap<String, File>, words: &Bundle) -> Bundle {
    let mut bundle = Bundle::default();
    let list = resources::kustomization(applied.keys().copied().collect());
    let mut rest = install.iter().map(|(path, file)| (path.as_str(), file)).peekable();
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
        _ => false,
    }
}

/// Whether a ServiceEntry is that of pods beside it.
fn is_own(object: &Object) -> bool {
    let spec = &object.value["spec"];
    let is_here = |it: &Value| it["address"].as_str().is_some_and(|it| it.ends_with(".svc.cluster.local"));
    spec.get("workloadSelector").is_some() || spec["endpoints"].as_sequence().is_some_and(|it| it.iter().any(is_here))
}

/// Whether an object is about what lies outside of the mesh.
fn is_external(object: &Object) -> bool {
    object.path.starts_with("20-mesh/external-")
}

/// Whether an object leads from the outside into the mesh.
fn is_ingress(object: &Object) -> bool {
    object.path.starts_with("50-ingress/")
}

/// Whether a bundle leads in all hosts that an object of an ingress is about.
fn is_served(id: &Id, object: &Object, bundle: &Bundle) -> bool {
    let files = bundle.files().filter(|(path, file)| file.applied && path.starts_with("50-ingress/"));
    let objects = files.flat_map(|(path, file)| objects(path, &file.text));
    let served: Vec<_> = objects.filter(|it| it.0.0 == id.0).flat_map(|(_, it)| led_in(&it)).collect();
    led_in(object).iter().all(|it| served.contains(it))
}

/// The hosts that an object of an ingress leads in.
pub(crate) fn led_in(object: &Object) -> Vec<String> {
    let words = |it: &Value| -> Vec<String> {
        let all = it["hosts"].as_sequence().into_iter().flatten();
        all.filter_map(|it| Some(it.as_str()?.to_owned())).collect()
    };
    let spec = &object.value["spec"];
    let servers = spec["servers"].as_sequence().into_iter().flatten().flat_map(words);
    words(spec).into_iter().chain(servers).collect()
}

/// Whether an object of after is there already; it may be among the first that the cluster has of a service.
fn comes(id: &Id, object: &Object, is_first: bool, phase: Phase, part: Part) -> bool {
    match (phase, part) {
        // Pods may call it as soon as they start.
        _ if is_external(object) => true,
        // Whoever is led there finds everything else.
        _ if is_ingress(object) => phase >= Phase::Switch,
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
        // Old pods call it to their end.
        _ if is_external(object) => false,
        _ if is_ingress(object) => phase >= Phase::Release,
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
    if is_external(new) {
        return with_hosts(old, new);
    }
    if is_ingress(new) {
        return match phase {
            Phase::Open if has_shares_beside(new, old) => with_hosts(old, new),
            Phase::Prepare | Phase::Open => old.clone(),
            Phase::Switch if has_shares_beside(old, new) => with_hosts(new, old),
            // Until nobody is led to the old hosts any more.
            Phase::Switch => with_hosts(old, new),
            Phase::Release => new.clone(),
        };
    }
    match (id.0.as_str(), part) {
        // On the way back a route goes before the subsets that it names, and a pod before its names.
        ("DestinationRule" | "Sidecar" | "Gateway" | "AuthorizationPolicy", Part::Calling | Part::Leaving) if early => {
            widened(new, old)
        }
        // Shares are there before the pods and gateways that have none yet, and until the gateways that have none any more
        // are gone.
        ("VirtualService", _) if phase == Phase::Open && has_shares_beside(new, old) => new.clone(),
        ("VirtualService", _) if phase == Phase::Switch && has_shares_beside(old, new) => old.clone(),
        // Ports that nobody calls yet, for all who will.
        ("ServiceEntry", _) if early && !is_own(old) => seen_as(&with_ports(old, new), new),
        ("VirtualService", _) if early => seen_as(old, new),
        ("Service", Part::Staying | Part::Calling) if early => with_ports(old, new),
        (_, Part::Calling | Part::Leaving) if early => old.clone(),
        // The Service of pods knows the ports of the pods, that of gateways does not.
        ("Service", Part::Leaving) => old.clone(),
        ("Service", Part::Joining) => new.clone(),
        // Whoever left is asked by nobody.
        ("ServiceEntry", _) if is_own(old) && !is_own(new) => new.clone(),
        ("Service" | "ServiceEntry" | "Gateway" | "DestinationRule" | "AuthorizationPolicy" | "Sidecar", _) => {
            widened(old, new)
        }
        _ if early => old.clone(),
        // Callers beside it change over in this step.
        ("Deployment", Part::Staying) if phase == Phase::Switch && only_closes(old, new) => old.clone(),
        _ => new.clone(),
    }
}

/// Whether pods listen on fewer ports than before, and call whom they called.
fn only_closes(old: &Object, new: &Object) -> bool {
    let lists = |it: &Object, key: &str| -> Vec<Value> {
        let containers = it.value["spec"]["template"]["spec"]["containers"].as_sequence().cloned().unwrap_or_default();
        containers.iter().flat_map(|it| it[key].as_sequence().cloned().unwrap_or_default()).collect()
    };
    let ports = lists(new, "ports");
    lists(old, "ports").iter().any(|it| !ports.contains(it)) && lists(old, "env") == lists(new, "env")
}

/// Whether an object is about the same service as a file.
fn is_of(object: &Object, path: &str) -> bool {
    object.path.rsplit('/').next() == path.rsplit('/').next()
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
