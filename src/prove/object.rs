//! `Object`: an object of Kubernetes as it is written, with the place of each of its fields.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, Span};
use serde_yaml::Value;

use super::value::{at, word};
use crate::trees::Document;

/// What tells objects of a cluster apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// `ServiceEntry`.
    pub kind: String,
    /// Empty if it has none.
    pub namespace: String,
    /// `cart`.
    pub name: String,
    /// `networking.istio.io`; two groups have a Gateway.
    pub group: String,
}

impl Id {
    /// Of an object that is written for a namespace.
    fn within(value: &Value, namespace: &str) -> Self {
        let own = word(value, &["metadata", "namespace"]);
        let kind = word(value, &["kind"]);
        let namespace = if CLUSTER_WIDE.contains(&kind) { "" } else { or(own, namespace) };
        Self {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: word(value, &["metadata", "name"]).to_owned(),
            group: word(value, &["apiVersion"]).rsplit_once('/').map_or("", |it| it.0).to_owned(),
        }
    }

    /// Of an object of a bundle.
    pub(crate) fn of(value: &Value) -> Self {
        Self::within(value, super::DEFAULT)
    }
}

/// An object and where it stands.
#[derive(Debug)]
pub struct Object {
    pub(super) id: Id,
    pub(super) value: Value,
    /// Its file; empty if nobody wrote it down, and the topology tells of it.
    pub(super) file: Arc<str>,
    document: Arc<str>,
    line: usize,
    within: Vec<String>,
}

/// A field of an object, as the one that decided something.
#[derive(Debug, Clone)]
pub struct Place {
    object: Arc<Object>,
    field: Vec<String>,
}

/// Where a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
}

impl Object {
    /// An object of a file. One that has no namespace is given this one.
    pub(super) fn new(file: Arc<str>, document: Document, namespace: &str) -> Self {
        let Document { value, text, line, within } = document;
        let id = Id::within(&value, namespace);
        Self { id, value, file, document: text, line, within }
    }

    /// An object of a bundle, from a document of this text.
    pub(crate) fn of_bundle(path: &str, text: &str, value: Value) -> Self {
        let document = Document { value, text: text.into(), line: 1, within: Vec::new() };
        Self::new(path.into(), document, super::DEFAULT)
    }

    /// What tells it apart.
    #[must_use]
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// Whether the same is written.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.value == other.value
    }

    /// Values, which are no object; they are called like their file.
    pub(super) fn of_values(file: Arc<str>, document: Document, name: &str) -> Self {
        let Document { value, text, line, within } = document;
        let [kind, namespace, group] = [const { String::new() }; 3];
        let id = Id { kind, namespace, name: name.to_owned(), group };
        Self { id, value, file, document: text, line, within }
    }

    /// An object that the topology tells of.
    pub(super) fn told(kind: &str, namespace: &str, name: &str, value: Value) -> Self {
        let id =
            Id { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned(), group: String::new() };
        Self { id, value, file: "".into(), document: "".into(), line: 1, within: Vec::new() }
    }

    /// The API server adds five characters to `generateName`; which ones, nobody knows before. A number is theirs here.
    pub(super) fn generate_name(&mut self, number: usize) {
        let prefix = word(&self.value, &["metadata", "generateName"]);
        if self.id.name.is_empty() && !prefix.is_empty() {
            self.id.name = format!("{prefix}{number:05}");
        }
    }

    /// Whether the topology tells of it, and no file.
    pub(super) fn is_told(&self) -> bool {
        self.file.is_empty()
    }
}

/// Kinds that have no namespace, of those that are looked at.
const CLUSTER_WIDE: [&str; 8] = [
    "Namespace",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "GatewayClass",
    "DNS",
    "MeshPolicy",
    "ClusterRbacConfig",
];

fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Id { kind, namespace, name, .. } = &self.id;
        match (kind.as_str(), namespace.as_str()) {
            ("", _) => write!(f, "the values"),
            (kind, _) if name.is_empty() => write!(f, "{kind}"),
            (kind, "") => write!(f, "{kind} {name}"),
            (kind, namespace) => write!(f, "{kind} {namespace}/{name}"),
        }
    }
}

impl Place {
    /// A field of an object.
    pub(super) fn new(object: &Arc<Object>, field: &[&str]) -> Self {
        Self { object: object.clone(), field: field.iter().map(|it| (*it).to_owned()).collect() }
    }

    /// A field below.
    pub(super) fn below(&self, field: &[&str]) -> Self {
        let field = self.field.iter().cloned().chain(field.iter().map(|it| (*it).to_owned())).collect();
        Self { object: self.object.clone(), field }
    }

    /// What stands there.
    pub(super) fn value(&self) -> Option<&Value> {
        self.field.iter().try_fold(&self.object.value, |value, key| at(value, &[key]))
    }

    /// The object, to point at another of its fields.
    pub(super) fn shared(&self) -> &Arc<Object> {
        &self.object
    }

    /// The object.
    #[must_use]
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// The file; empty if the topology tells of the object.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.object.file
    }

    /// `spec.hosts.0`.
    #[must_use]
    pub fn field(&self) -> String {
        self.field.join(".")
    }

    /// The line and column at which the field stands, or the nearest above that is there.
    #[must_use]
    pub fn position(&self) -> Position {
        let Range { start, .. } = self.range();
        let before = &self.object.document[..start];
        let line = before.matches('\n').count();
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
        Position { line: self.object.line + line, column: column + 1 }
    }

    /// The text in which the object stands, and the line at which that begins.
    pub(super) fn text(&self) -> (&str, usize) {
        (&self.object.document, self.object.line)
    }

    /// The bytes of the field in that text.
    pub(super) fn range(&self) -> Range<usize> {
        let text = &*self.object.document;
        let events: Result<Vec<_>, _> = Parser::new_from_str(text).collect();
        let path: Vec<&str> = self.object.within.iter().chain(&self.field).map(String::as_str).collect();
        let Some(span) = events.ok().and_then(|events| Seeker { events, at: 0 }.find(&path)) else { return 0..0 };
        let byte = |index: usize| text.char_indices().nth(index).map_or(text.len(), |it| it.0);
        let start = byte(span.start.index());
        start..byte(span.end.index()).max(start)
    }
}

/// Looks for a field among the events of a parser.
struct Seeker<'a> {
    events: Vec<(Event<'a>, Span)>,
    at: usize,
}

impl<'a> Seeker<'a> {
    fn find(&mut self, path: &[&str]) -> Option<Span> {
        while matches!(self.events.get(self.at)?.0, Event::StreamStart | Event::DocumentStart(_) | Event::Nothing) {
            self.at += 1;
        }
        self.seek(path)
    }

    fn next(&mut self) -> Option<(Event<'a>, Span)> {
        self.at += 1;
        self.events.get(self.at - 1).cloned()
    }

    /// The span of a scalar, or of where a structure starts.
    fn seek(&mut self, path: &[&str]) -> Option<Span> {
        let (event, span) = self.next()?;
        let Some((first, rest)) = path.split_first() else { return Some(span) };
        match event {
            Event::SequenceStart(..) => {
                let index: usize = first.parse().ok()?;
                for _ in 0..index {
                    if matches!(self.events.get(self.at)?.0, Event::SequenceEnd) {
                        return None;
                    }
                    self.skip()?;
                }
                if matches!(self.events.get(self.at)?.0, Event::SequenceEnd) { None } else { self.seek(rest) }
            }
            Event::MappingStart(..) => loop {
                let (key, key_span) = self.next()?;
                match key {
                    Event::Scalar(name, ..) if name == *first => {
                        let is_scalar = matches!(self.events.get(self.at)?.0, Event::Scalar(..) | Event::Alias(_));
                        let found = self.seek(rest);
                        return if rest.is_empty() && !is_scalar { Some(key_span) } else { found.or(Some(key_span)) };
                    }
                    Event::Scalar(..) | Event::Alias(_) => self.skip()?,
                    _ => return None,
                }
            },
            _ => None,
        }
    }

    fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.next()?.0 {
                Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
                Event::SequenceEnd | Event::MappingEnd => depth = depth.checked_sub(1)?,
                _ => {}
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}
