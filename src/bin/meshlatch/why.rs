//! `meshlatch why`: which lines of the topology an object comes from.

use std::io;
use std::path::{Component, Path, PathBuf};

use annotate_snippets::Level;
use meshlatch::bundle::Bundle;
use meshlatch::diag::{self, Diagnostics};
use meshlatch::source::Source;
use meshlatch::syntax::{self, Document};
use meshlatch::topology::ClusterId;
use meshlatch::why::{self, Answer, Asked, Id, Query};
use meshlatch::{Mesh, Outcome};

use crate::args::{Format, TopologyArgs, WhyArgs};
use crate::compile::{say_waits, select};
use crate::failure::Failure;
use crate::files::Files;
use crate::lock_file::LockFile;
use crate::{Status, input, terminal};

/// Explains what is asked for.
pub(crate) fn run(args: &WhyArgs) -> Result<Status, Failure> {
    let (words, topology) = args.words();
    let query = Query::parse(words.0, words.1, args.namespace.as_deref());
    let query = query.map_err(|[message, help]| Failure::new(message).help(help))?;
    let mut diags = Diagnostics::new();
    let topology = &TopologyArgs { topology, ..args.topology.clone() };
    let Some(topology) = Topology::read(topology, &mut diags)? else { return Ok(Status::Wrong) };
    let asker = Asker { topology: &topology, clusters: select(&topology.mesh, &args.cluster)?, out: &args.output };
    let answers = match &query {
        Query::File { path, line } => asker.file(path, *line)?,
        Query::Object { .. } => asker.object(&query),
    };
    if answers.is_empty() {
        return Ok(Status::Wrong);
    }
    match args.format {
        Format::Json => terminal::print(&why::json(&answers, &topology.source))?,
        Format::Human => {
            let told: String = answers.iter().map(|it| why::render(it, &topology.source, &diags, true)).collect();
            terminal::print_styled(&told)?;
        }
    }
    Ok(Status::Well)
}

/// A topology without errors.
struct Topology {
    source: Source,
    document: Document,
    mesh: Mesh,
}

impl Topology {
    /// Reads it and says all there is to say of it; `None` if it has errors. Warnings are `check`'s to say.
    fn read(args: &TopologyArgs, diags: &mut Diagnostics) -> Result<Option<Self>, Failure> {
        let files = Files::find(&args.topology)?;
        let texts = input::topology(args, &files)?;
        let mut inputs = input::addresses(&args.addresses, diags)?;
        match LockFile::beside(&files)? {
            Some(Ok(lock)) => inputs.lock = Some(lock.said().clone()),
            Some(Err(())) => return Ok(None),
            None => {}
        }
        let (read, source) = match syntax::decode_all(texts, diags) {
            Ok(source) => {
                let document = diags.check().and_then(|()| syntax::parse(&source, diags));
                let built = document.and_then(|it| Ok((meshlatch::build(&it, &inputs, diags)?, it)));
                (built.ok(), source)
            }
            Err((source, _)) => (None, source),
        };
        let Some((mesh, document)) = read else {
            terminal::say(&diag::render(diags, &source, true));
            if let Some(summary) = diag::summary(diags) {
                terminal::say(&format!("{summary}\n"));
            }
            return Ok(None);
        };
        Ok(Some(Self { source, document, mesh }))
    }
}

struct Asker<'a> {
    topology: &'a Topology,
    clusters: Vec<(ClusterId, &'a str)>,
    /// The folder of the bundles.
    out: &'a Path,
}

impl Asker<'_> {
    /// The bundle of a cluster, unless it waits.
    fn bundle(&self, id: ClusterId, name: &str, level: Level<'_>) -> Option<Bundle> {
        match self.topology.mesh.bundle(id) {
            Outcome::Ready(bundle) => Some(bundle),
            Outcome::Waiting(waits) => {
                say_waits(level, name, &waits);
                None
            }
        }
    }

    fn answer(&self, cluster: (ClusterId, &str), path: &str, id: Option<&Id>, line: usize) -> Option<Answer> {
        let Topology { source, document, mesh } = self.topology;
        let origin = why::origin(mesh, document, source, cluster.0, path, id)?;
        let file = self.out.join(cluster.1).join(path).display().to_string();
        let id = id.cloned();
        Some(Answer { cluster: cluster.1.to_owned(), file, id, line, asked: None, origin, notes: Vec::new() })
    }

    /// The objects of a name, in every cluster that has one.
    fn object(&self, query: &Query) -> Vec<Answer> {
        let mut found: [Vec<Answer>; 2] = Default::default();
        let mut known: Vec<Id> = Vec::new();
        for (id, name) in &self.clusters {
            let Some(bundle) = self.bundle(*id, name, Level::NOTE) else { continue };
            for (path, file) in bundle.files().filter(|it| it.0.ends_with(".yaml")) {
                for object in why::objects(&file.text) {
                    let Some(it) = object.id.filter(|it| query.is_of_kind(it)) else { continue };
                    let rank = usize::from(!query.names(&it));
                    if rank == 0 || query.names_service(&it, path) {
                        found[rank].extend(self.answer((*id, name), path, Some(&it), *object.lines.start()));
                    }
                    known.push(it);
                }
            }
        }
        let [exact, of_service] = found;
        let answers = if exact.is_empty() { of_service } else { exact };
        if answers.is_empty() {
            self.say_unknown(query, &known);
        }
        answers
    }

    /// Says that nothing of this name is written.
    fn say_unknown(&self, query: &Query, known: &[Id]) {
        let Query::Object { kind, namespace, name, .. } = query else { return };
        let within = namespace.as_ref().map_or_else(String::new, |it| format!(" in the namespace `{it}`"));
        let message = format!("no {} `{name}`{within} is written{}", kind.name, self.told_clusters());
        let names: Vec<_> = known.iter().map(Id::qualified).collect();
        let bare = known.iter().map(|it| it.name.as_str());
        let near = diag::nearest(name, bare).or_else(|| diag::nearest(name, names.iter().map(String::as_str)));
        let help = match near {
            Some(near) => format!("a {} with a similar name is: `{near}`", kind.name),
            None if names.is_empty() => format!("no {} is", kind.name),
            None => {
                let mut names = names;
                names.sort();
                names.dedup();
                let more = if names.len() > 8 { ", …" } else { "" };
                names.truncate(8);
                format!("written are {}{more}", list(names.iter().map(String::as_str)))
            }
        };
        terminal::report(Level::ERROR, &message, &[], &[help]);
    }

    fn told_clusters(&self) -> String {
        if self.clusters.len() == self.topology.mesh.clusters().count() {
            return String::new();
        }
        format!(" for {}", list(self.clusters.iter().map(|it| it.1)))
    }

    /// What stands in a file, or at a line of it.
    fn file(&self, written: &str, line: Option<usize>) -> Result<Vec<Answer>, Failure> {
        if line == Some(0) {
            return Err(Failure::new("lines are counted from 1"));
        }
        let places = self.places(Path::new(written));
        let mut answers = Vec::new();
        let mut seen = false;
        for (cluster, path) in &places {
            let Some(bundle) = self.bundle(cluster.0, cluster.1, Level::ERROR) else {
                seen = true;
                continue;
            };
            let on_disk = read(Path::new(written))?;
            if bundle.get(path).is_none() && (on_disk.is_none() || places.len() > 1) {
                continue;
            }
            seen = true;
            answers.extend(self.in_file(*cluster, path, written, on_disk.as_deref(), &bundle, line)?);
        }
        if !seen {
            self.say_unknown_file(written, &places);
        }
        Ok(answers)
    }

    /// The files of bundles that a path may mean: what lies below the folder of a cluster, or in that of the
    /// clusters that were named.
    fn places(&self, written: &Path) -> Vec<((ClusterId, &str), String)> {
        let absolute = written.canonicalize().or_else(|_| std::path::absolute(written));
        let words = |path: &Path| -> Vec<String> {
            let normal = path.components().filter_map(|it| match it {
                Component::Normal(word) => Some(word.to_string_lossy().into_owned()),
                _ => None,
            });
            normal.collect()
        };
        let words: [Vec<String>; 2] = [words(&absolute.unwrap_or_else(|_| PathBuf::from(written))), words(written)];
        for words in &words {
            for (index, word) in words.iter().enumerate().rev() {
                let rest = words[index + 1..].join("/");
                if let Some(cluster) = self.clusters.iter().find(|it| it.1 == word)
                    && !rest.is_empty()
                {
                    return vec![(*cluster, rest)];
                }
            }
        }
        // As a bundle itself calls its files.
        self.clusters.iter().map(|it| (*it, words[1].join("/"))).collect()
    }

    fn in_file(
        &self,
        cluster: (ClusterId, &str),
        path: &str,
        written: &str,
        on_disk: Option<&str>,
        bundle: &Bundle,
        line: Option<usize>,
    ) -> Result<Vec<Answer>, Failure> {
        let text = on_disk.or_else(|| bundle.get(path)).expect("one of the two was found");
        let total = text.lines().count();
        if let Some(line) = line.filter(|it| *it > total) {
            let lines = if total == 1 { "1 line".to_owned() } else { format!("{total} lines") };
            return Err(Failure::new(format!("{written} has {lines}, and line {line} is asked for")));
        }
        let is_yaml = path.ends_with(".yaml");
        let objects = if is_yaml { why::objects(text) } else { Vec::new() };
        let asked = |line: usize, field: Option<String>| {
            let text = text.lines().nth(line - 1).unwrap_or_default().to_owned();
            Asked { line, text, field }
        };
        let known: Vec<Id> = objects.iter().filter_map(|it| it.id.clone()).collect();
        if known.is_empty() {
            let Some(mut answer) = self.answer(cluster, path, None, line.unwrap_or(1)) else { return Ok(Vec::new()) };
            written.clone_into(&mut answer.file);
            answer.asked = line.map(|it| asked(it, if is_yaml { why::field(text, it) } else { None }));
            answer.notes.extend(whole(path));
            return Ok(vec![answer]);
        }
        let mut answers = Vec::new();
        // A line between two objects belongs to the one that follows.
        let chosen: Vec<_> = match line {
            Some(line) => objects.iter().find(|it| *it.lines.end() >= line).or(objects.last()).into_iter().collect(),
            None => objects.iter().collect(),
        };
        for object in chosen {
            let first = *object.lines.start();
            let Some(id) = &object.id else {
                let message = format!("{written} holds something that is no object of Kubernetes at line {first}");
                terminal::report(Level::ERROR, &message, &[], &["`meshlatch compile` writes it anew".to_owned()]);
                continue;
            };
            let Some((now, same)) = written_now(bundle, id, object.text) else {
                let message = format!("{} `{}` is no longer written for `{}`", id.kind, id.qualified(), cluster.1);
                let note = format!("{written} has it at line {first}; the topology asks for no such object now");
                terminal::report(Level::ERROR, &message, &[note], &[]);
                continue;
            };
            let Some(mut answer) = self.answer(cluster, now, Some(id), first) else { continue };
            written.clone_into(&mut answer.file);
            answer.asked =
                line.map(|it| asked(it, (it >= first).then(|| why::field(object.text, it + 1 - first)).flatten()));
            if line.is_some_and(|it| it < first) {
                answer.notes.push(format!("line {} stands between objects; this is the one below", line.unwrap_or(1)));
            }
            if !same {
                answer
                    .notes
                    .push("the topology writes it in another way now; `meshlatch compile` would change it".to_owned());
            }
            answer.notes.extend(whole(path));
            answers.push(answer);
        }
        Ok(answers)
    }

    fn say_unknown_file(&self, written: &str, places: &[((ClusterId, &str), String)]) {
        let [((id, cluster), path)] = places else {
            let message = format!("{written} is no file of a bundle");
            let clusters = list(self.clusters.iter().map(|it| it.1));
            let help = format!("a bundle lies in a folder called like its cluster: {clusters}");
            return terminal::report(Level::ERROR, &message, &[], &[help]);
        };
        let message = format!("no file `{path}` is written for `{cluster}`");
        let Outcome::Ready(bundle) = self.topology.mesh.bundle(*id) else { return };
        let paths = bundle.files().map(|it| it.0);
        let help = diag::nearest(path, paths).map(|it| format!("a file with a similar name is: `{it}`"));
        terminal::report(Level::ERROR, &message, &[], &help.into_iter().collect::<Vec<_>>());
    }
}

/// Where the object of this name is written now, and whether with these words.
fn written_now<'a>(bundle: &'a Bundle, id: &Id, text: &str) -> Option<(&'a str, bool)> {
    bundle.files().filter(|it| it.0.ends_with(".yaml")).find_map(|(path, file)| {
        // The name of an object stands in its text.
        let near = file.text.contains(id.name.as_str());
        let objects = if near { why::objects(&file.text) } else { Vec::new() };
        let it = objects.into_iter().find(|it| it.id.as_ref().is_some_and(|it| it.is(id)))?;
        Some((path, it.text == text))
    })
}

/// What there is to know of a file that is more than its objects.
fn whole(path: &str) -> Option<String> {
    let text = match path {
        "kustomization.yaml" => "it lists the files that `kubectl apply -k` applies; ask for one of them",
        "RUNBOOK.md" => "it has the commands for all that the bundle holds",
        _ if path.starts_with("10-istio/") => {
            "it is not applied by `kubectl apply -k`: it is what Istio is installed with"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// The text of a file, if there is one.
fn read(path: &Path) -> Result<Option<String>, Failure> {
    match input::read(path) {
        Ok(bytes) if bytes.len() > syntax::MAX_BYTES => {
            Err(Failure::new(format!("{} is larger than any file of a bundle", path.display())))
        }
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Failure::new(format!("{} is not UTF-8 text", path.display()))),
        },
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Failure::io("read", path, &error)),
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
}
