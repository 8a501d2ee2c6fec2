//! `Tree`: where every key and value of a YAML file stands.
//!
//! Made from parser events beside serde's reading of the same text, which has no places. The
//! same pass refuses what a reader should never be given: a key that stands twice, a bomb of
//! aliases, a hundred thousand brackets.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use saphyr_parser::{Event, Parser, ScalarStyle, Span as ParserSpan};

use super::secret;
use crate::diag::{Code, Diagnostics, Reported};
use crate::source::{Source, Span};

/// More than any topology nests.
const MAX_DEPTH: usize = 64;
/// More nodes than the largest topology has after all aliases are followed.
const MAX_NODES: usize = 20_000_000;
/// An alias may repeat much, but not without bound: expanded against written nodes.
const MAX_EXPANSION: usize = 200;

/// A value and everything in it.
#[derive(Debug)]
pub struct Node {
    span: Span,
    kind: Kind,
    size: usize,
}

#[derive(Debug)]
enum Kind {
    Scalar,
    List(Vec<Arc<Node>>),
    Map(IndexMap<String, Entry>),
}

#[derive(Debug, Clone)]
struct Entry {
    key: Span,
    value: Arc<Node>,
}

/// The shape of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Text, number, boolean or nothing.
    Scalar,
    /// A sequence.
    List,
    /// A mapping.
    Map,
}

/// A place in the file: a value together with the key or dash it stands behind.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    key: Span,
    node: &'a Node,
}

impl<'a> Place<'a> {
    /// The whole document.
    #[must_use]
    pub fn root(node: &'a Node) -> Self {
        Self { key: Span::new(node.span.start, node.span.start), node }
    }

    /// The entry of this key; the place itself when there is none.
    #[must_use]
    pub fn get(self, key: &str) -> Self {
        self.find(key).unwrap_or(self)
    }

    /// The entry of this key.
    #[must_use]
    pub fn find(self, key: &str) -> Option<Self> {
        let Kind::Map(map) = &self.node.kind else { return None };
        map.get(key).map(|entry| Self { key: entry.key, node: &entry.value })
    }

    /// The element of this index; the place itself when it is no list.
    #[must_use]
    pub fn item(self, index: usize) -> Self {
        let Kind::List(list) = &self.node.kind else { return self };
        list.get(index).map_or(self, |node| Self { key: node.span, node })
    }

    /// The entries of a map in the order of the file.
    pub fn entries(self) -> impl Iterator<Item = (&'a str, Self)> {
        let map = if let Kind::Map(map) = &self.node.kind { Some(map) } else { None };
        map.into_iter().flatten().map(|(key, entry)| (key.as_str(), Self { key: entry.key, node: &entry.value }))
    }

    /// How many elements a list has, 0 for others.
    #[must_use]
    pub fn len(self) -> usize {
        if let Kind::List(list) = &self.node.kind { list.len() } else { 0 }
    }

    /// Whether [`Place::len`] is 0.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The shape of the value.
    #[must_use]
    pub fn shape(self) -> Shape {
        match self.node.kind {
            Kind::Scalar => Shape::Scalar,
            Kind::List(_) => Shape::List,
            Kind::Map(_) => Shape::Map,
        }
    }

    /// Where the key stands, or the element itself in a list.
    #[must_use]
    pub fn key(self) -> Span {
        self.key
    }

    /// Where the value stands. For a map or a list that is the key before it: a mark under a
    /// hundred lines helps nobody.
    #[must_use]
    pub fn value(self) -> Span {
        match self.node.kind {
            Kind::Scalar if self.node.span.start < self.node.span.end => self.node.span,
            Kind::Map(_) | Kind::List(_) if self.key == self.node.span => {
                Span::new(self.node.span.start, self.node.span.start + 1)
            }
            _ => self.key,
        }
    }

    /// Tells values apart, also through aliases.
    pub(super) fn identity(self) -> *const Node {
        self.node
    }

    /// The bytes of the value itself.
    pub(super) fn scalar_span(self) -> Span {
        self.node.span
    }
}

/// Reads the one document of `source`.
pub(super) fn read(source: &Source, diags: &mut Diagnostics) -> Result<Arc<Node>, Reported> {
    let mut builder = Builder {
        source,
        offsets: Offsets::of(source.text()),
        stack: Vec::new(),
        anchors: BTreeMap::new(),
        root: None,
        documents: 0,
        written: 0,
        expanded: 0,
    };
    for event in Parser::new_from_str(source.text()) {
        match event {
            Ok((event, span)) => builder.event(&event, span, diags)?,
            Err(error) => {
                let at = builder.offsets.byte(error.marker().index());
                return Err(invalid_yaml(source, at, error.info(), diags));
            }
        }
    }
    // Duplicates were reported on the way; the tree is of no use then.
    diags.check()?;
    match builder.root {
        Some(root) if root.span.start < root.span.end || root.size > 1 => Ok(root),
        _ => Err(diags
            .error(Code::EmptyFile, "the topology is empty")
            .at(Span::default(), "")
            .help("`meshlatch init` writes a commented topology to start from")
            .reported()),
    }
}

/// Reports what the YAML parser refused.
pub(super) fn invalid_yaml(source: &Source, at: usize, reason: &str, diags: &mut Diagnostics) -> Reported {
    let line_start = source.text()[..at].rfind('\n').map_or(0, |it| it + 1);
    let line = source.text()[line_start..].lines().next().unwrap_or("");
    let indent = &line[..line.len() - line.trim_start().len()];
    let end = (at + 1..=source.text().len()).find(|&it| source.text().is_char_boundary(it)).unwrap_or(at);
    let draft = diags.error(Code::InvalidYaml, format!("this is not valid YAML: {reason}")).at(Span::new(at, end), "");
    if indent.contains('\t') {
        draft.help("YAML is indented with spaces; this line begins with a tab").reported()
    } else {
        draft.reported()
    }
}

/// A map or list that is not closed yet.
struct Open {
    start: usize,
    anchor: usize,
    size: usize,
    items: Items,
}

enum Items {
    List(Vec<Arc<Node>>),
    Map(IndexMap<String, Entry>, Option<(String, Span)>),
}

struct Builder<'a> {
    source: &'a Source,
    offsets: Offsets,
    stack: Vec<Open>,
    anchors: BTreeMap<usize, Arc<Node>>,
    root: Option<Arc<Node>>,
    documents: usize,
    written: usize,
    expanded: usize,
}

impl Builder<'_> {
    fn event(&mut self, event: &Event<'_>, at: ParserSpan, diags: &mut Diagnostics) -> Result<(), Reported> {
        let start = self.offsets.byte(at.start.index());
        let end = self.offsets.byte(at.end.index());
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(diags
                        .error(Code::SeveralDocuments, "a topology is one YAML document")
                        .at(Span::new(start, (start + 3).min(self.source.text().len())), "a second one starts here")
                        .help("remove the `---`, or keep the other document in a file of its own")
                        .reported());
                }
            }
            Event::SequenceStart(anchor, _) => self.open(start, *anchor, Items::List(Vec::new()), diags)?,
            Event::MappingStart(anchor, _) => self.open(start, *anchor, Items::Map(IndexMap::new(), None), diags)?,
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.stack.pop().expect("the parser closes only what it opened");
                let kind = match open.items {
                    Items::List(list) => Kind::List(list),
                    Items::Map(map, _) => Kind::Map(merged(map)),
                };
                self.value(Node { span: Span::new(open.start, end), kind, size: open.size }, open.anchor, diags)?;
            }
            Event::Scalar(text, style, anchor, _) => {
                let span = self.scalar_span(start, end, *style);
                secret::check(text, span, diags);
                if let Some(Open { items: Items::Map(map, pending @ None), .. }) = self.stack.last_mut() {
                    if *style == ScalarStyle::Plain && !is_text(text) {
                        diags
                            .error(Code::KeyNotText, format!("the key `{text}` is not text"))
                            .at(span, "YAML reads a number, a boolean or nothing here")
                            .help(format!("quote it: `\"{text}\"`"));
                    }
                    if let Some(first) = map.get(&**text) {
                        diags
                            .error(Code::DuplicateKey, format!("`{text}` stands twice in one map"))
                            .at(span, "here again")
                            .context(first.key, "first here")
                            .help("keep one of the two: YAML readers take the last and say nothing of the first");
                    }
                    *pending = Some((text.to_string(), span));
                    return Ok(());
                }
                self.value(Node { span, kind: Kind::Scalar, size: 1 }, *anchor, diags)?;
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(anchor).cloned();
                let Some(node) = node else {
                    // The anchor is still open: a value that contains itself.
                    return Err(diags
                        .error(Code::TooManyAliases, "an alias stands inside the value it repeats")
                        .at(Span::new(start, end), "")
                        .reported());
                };
                self.expanded += node.size;
                if self.expanded > MAX_NODES || self.expanded > 10_000 + MAX_EXPANSION * self.written {
                    return Err(diags
                        .error(Code::TooManyAliases, "the aliases of this file expand to an unreasonable size")
                        .at(Span::new(start, end), "one alias too many")
                        .help("write the values out where they are needed")
                        .reported());
                }
                self.attach(node, diags)?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn open(&mut self, start: usize, anchor: usize, items: Items, diags: &mut Diagnostics) -> Result<(), Reported> {
        self.key_must_be_text(start, diags)?;
        if self.stack.len() >= MAX_DEPTH {
            return Err(diags
                .error(Code::TooDeep, format!("the file nests more than {MAX_DEPTH} levels deep"))
                .at(Span::new(start, start + 1), "this is the level too many")
                .reported());
        }
        self.stack.push(Open { start, anchor, size: 1, items });
        Ok(())
    }

    fn value(&mut self, node: Node, anchor: usize, diags: &mut Diagnostics) -> Result<(), Reported> {
        self.written += 1;
        let node = Arc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        self.attach(node, diags)
    }

    fn attach(&mut self, node: Arc<Node>, diags: &mut Diagnostics) -> Result<(), Reported> {
        self.key_must_be_text(node.span.start, diags)?;
        let Some(parent) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        parent.size += node.size;
        match &mut parent.items {
            Items::List(list) => list.push(node),
            Items::Map(map, pending) => {
                let (name, key) = pending.take().expect("a map's value follows its key");
                map.entry(name).or_insert(Entry { key, value: node });
            }
        }
        Ok(())
    }

    /// A structure or an alias where a map expects a key.
    fn key_must_be_text(&self, at: usize, diags: &mut Diagnostics) -> Result<(), Reported> {
        let Some(Open { items: Items::Map(_, None), .. }) = self.stack.last() else { return Ok(()) };
        Err(diags
            .error(Code::KeyNotText, "a key of a map is not text")
            .at(Span::new(at, at + 1), "")
            .help("quote it, or check the brackets and braces before it")
            .reported())
    }

    /// The parser's end of a plain scalar may include what follows; a block scalar is marked at its head.
    fn scalar_span(&self, start: usize, end: usize, style: ScalarStyle) -> Span {
        let text = &self.source.text()[start..end];
        match style {
            ScalarStyle::Literal | ScalarStyle::Folded => {
                Span::new(start, start + text.find('\n').unwrap_or(text.len()))
            }
            _ => Span::new(start, start + text.trim_end().len()),
        }
    }
}

/// Applies `<<`, as serde_yaml does: what the map says itself wins.
fn merged(mut map: IndexMap<String, Entry>) -> IndexMap<String, Entry> {
    let Some(merge) = map.shift_remove("<<") else { return map };
    let sources = match &merge.value.kind {
        Kind::List(list) => list.iter().collect(),
        _ => vec![&merge.value],
    };
    for source in sources {
        let Kind::Map(entries) = &source.kind else { continue };
        for (name, entry) in entries {
            map.entry(name.clone()).or_insert_with(|| entry.clone());
        }
    }
    map
}

/// Whether a plain key is text to every YAML 1.2 reader.
fn is_text(plain: &str) -> bool {
    !matches!(plain, "" | "~" | "null" | "Null" | "NULL" | "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
        && !plain.starts_with("0x")
        && !plain.starts_with("0o")
        && !plain.starts_with("0b")
        // The words that Rust's parser takes for floats (`inf`, `nan`) are text in YAML.
        && !(plain.parse::<f64>().is_ok() && plain.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')))
        && !matches!(plain.trim_start_matches(['-', '+']).to_ascii_lowercase().as_str(), ".inf" | ".nan")
}

/// The parser counts characters, we count bytes.
struct Offsets {
    ascii: bool,
    bytes: Vec<usize>,
    len: usize,
}

impl Offsets {
    fn of(text: &str) -> Self {
        let ascii = text.is_ascii();
        let bytes = if ascii { Vec::new() } else { text.char_indices().map(|(at, _)| at).collect() };
        Self { ascii, bytes, len: text.len() }
    }

    fn byte(&self, character: usize) -> usize {
        if self.ascii { character.min(self.len) } else { self.bytes.get(character).copied().unwrap_or(self.len) }
    }
}
