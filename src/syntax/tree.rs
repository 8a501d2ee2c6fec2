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
use crate::source::{File, Source, Span};

/// More than any topology nests.
const MAX_DEPTH: usize = 64;
/// More nodes than the largest topology has after all aliases are followed.
const MAX_NODES: usize = 20_000_000;
/// More values than a topology of 50,000 services writes down: what is larger is something else.
const MAX_WRITTEN: usize = 4_000_000;
/// More keys than the top of a topology can have, misspelt ones included: what has more is
/// something else, and there is no need to read it to its end.
const MAX_TOP: usize = 64;
/// An alias may repeat much, but not without bound: expanded against written nodes.
const MAX_EXPANSION: usize = 200;

/// A value and everything in it.
#[derive(Debug)]
pub struct Node {
    span: Span,
    kind: Kind,
    size: usize,
    /// Levels below and including this one, through aliases too.
    depth: usize,
}

#[derive(Debug)]
enum Kind {
    Scalar,
    List(Vec<Arc<Node>>),
    Map(IndexMap<String, Entry>),
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    key: Span,
    value: Arc<Node>,
}

impl Entry {
    /// Where the key stands.
    pub(super) fn key(&self) -> Span {
        self.key
    }

    /// The value.
    pub(super) fn value(&self) -> &Arc<Node> {
        &self.value
    }

    /// The entry of the same key with another value.
    pub(super) fn holding(&self, value: Node) -> Self {
        Self { key: self.key, value: Arc::new(value) }
    }

    /// The elements of these entries in one list, which stands where the first does.
    pub(super) fn joined(entries: &[Self]) -> Option<Self> {
        let first = entries.first()?;
        let list = entries.iter().flat_map(|it| it.value.elements()).collect();
        let Node { span, size, depth, .. } = *first.value;
        Some(first.holding(Node { span, kind: Kind::List(list), size, depth }))
    }
}

impl Node {
    /// The entry at the end of these keys.
    pub(super) fn entry(&self, keys: &[&str]) -> Option<&Entry> {
        let (first, rest) = keys.split_first()?;
        let Kind::Map(map) = &self.kind else { return None };
        let entry = map.get(*first)?;
        if rest.is_empty() { Some(entry) } else { entry.value.entry(rest) }
    }

    /// The entries of a map, none for others.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&String, &Entry)> {
        let map = if let Kind::Map(map) = &self.kind { Some(map) } else { None };
        map.into_iter().flatten()
    }

    /// A map that starts where this value does.
    pub(super) fn map(&self, entries: IndexMap<String, Entry>) -> Self {
        Self { span: self.span, kind: Kind::Map(entries), size: self.size, depth: self.depth }
    }

    /// The elements of a list, or the one value that stands for a list.
    fn elements(self: &Arc<Self>) -> Vec<Arc<Self>> {
        if let Kind::List(list) = &self.kind { list.clone() } else { vec![Arc::clone(self)] }
    }

    /// This value with another entry at the end of these keys, or with none.
    pub(super) fn with(&self, keys: &[&str], last: Option<&Entry>) -> Self {
        let (Kind::Map(map), Some((first, rest))) = (&self.kind, keys.split_first()) else {
            unreachable!("a topology and its services are maps")
        };
        let mut map = map.clone();
        let inner = || {
            let old = map.get(*first)?;
            Some(Entry { key: old.key, value: Arc::new(old.value.with(rest, last)) })
        };
        match if rest.is_empty() { last.cloned() } else { inner() } {
            Some(entry) => map.insert((*first).to_owned(), entry),
            None => map.shift_remove(*first),
        };
        Self { span: self.span, kind: Kind::Map(map), size: self.size, depth: self.depth }
    }
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

    /// An entry of a map.
    pub(super) fn of(entry: &'a Entry) -> Self {
        Self { key: entry.key, node: &entry.value }
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
        map.get(key).map(Self::of)
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
        map.into_iter().flatten().map(|(key, entry)| (key.as_str(), Self::of(entry)))
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

    /// The bytes of the value, from its first to the last that says something.
    #[must_use]
    pub fn extent(self, source: &Source) -> Span {
        // A bracket ends where it is closed; what is written in lines ends with its last value.
        let inner = match &self.node.kind {
            Kind::List(list) => list.last().map(|it| Self { key: it.span, node: it }),
            Kind::Map(map) => map.values().map(Self::of).next_back(),
            Kind::Scalar => None,
        };
        match inner {
            Some(last) if !self.in_brackets(source) => {
                Span::new(self.node.span.start, last.extent(source).end.max(last.key.end))
            }
            _ => self.node.span,
        }
    }

    /// Whether a map or list is written in brackets, and not in lines.
    #[must_use]
    pub fn in_brackets(self, source: &Source) -> bool {
        source.text()[self.node.span.start..].starts_with(['[', '{'])
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

/// How much was read so far, of all files.
#[derive(Debug, Default)]
pub(super) struct Count {
    /// Values.
    written: usize,
    /// Values that aliases repeat.
    expanded: usize,
}

/// Reads the one document of a file.
pub(super) fn read(
    source: &Source,
    file: File<'_>,
    count: &mut Count,
    diags: &mut Diagnostics,
) -> Result<Arc<Node>, Reported> {
    let text = source.slice(file.span);
    let mut builder = Builder {
        source,
        start: file.span.start,
        text,
        offsets: Offsets::of(text),
        stack: Vec::new(),
        anchors: BTreeMap::new(),
        root: None,
        documents: 0,
        count,
    };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.event(&event, span, diags)?,
            Err(error) => {
                let at = builder.byte(error.marker().index());
                // The parser looks ahead over brackets, further than any topology nests.
                if error.info().contains("recursion limit") {
                    return Err(too_deep(at, diags));
                }
                return Err(invalid_yaml(source, at, error.info(), builder.open_bracket(), diags));
            }
        }
    }
    // Duplicates were reported on the way; the tree is of no use then.
    diags.check()?;
    match builder.root {
        Some(root) if root.span.start < root.span.end || root.size > 1 => Ok(root),
        _ if source.files().len() > 1 => Err(diags
            .error(Code::EmptyFile, "the file is empty")
            .at(Span::new(file.span.start, file.span.start), "")
            .help("remove it, or begin it with `version: 1`")
            .reported()),
        _ => Err(diags
            .error(Code::EmptyFile, "the topology is empty")
            .at(Span::default(), "")
            .help("`meshlatch init` writes a commented topology to start from")
            .reported()),
    }
}

/// Reports what the YAML parser refused.
///
/// `bracket` is the innermost one that was still open there.
pub(super) fn invalid_yaml(
    source: &Source,
    at: usize,
    reason: &str,
    bracket: Option<Span>,
    diags: &mut Diagnostics,
) -> Reported {
    let line_start = source.text()[..at].rfind('\n').map_or(0, |it| it + 1);
    let line = source.text()[line_start..].lines().next().unwrap_or("");
    let indent = &line[..line.len() - line.trim_start().len()];
    let end = (at + 1..=source.text().len()).find(|&it| source.text().is_char_boundary(it)).unwrap_or(at);
    let draft = diags.error(Code::InvalidYaml, format!("this is not valid YAML: {reason}")).at(Span::new(at, end), "");
    if indent.contains('\t') {
        draft.help("YAML is indented with spaces; this line begins with a tab").reported()
    } else if reason.contains("mapping values") {
        draft.help("a value that holds `: ` is quoted: `note: \"see: the wiki\"`").reported()
    } else if reason.contains("unknown anchor") {
        draft.help("an alias repeats what has its anchor, `&NAME`, further up in the same file").reported()
    } else if let Some(bracket) = bracket {
        let name = source.slice(bracket);
        draft.context(bracket, format!("this `{name}` is still open")).help("close it, or quote the value").reported()
    } else {
        draft.reported()
    }
}

fn too_deep(at: usize, diags: &mut Diagnostics) -> Reported {
    diags
        .error(Code::TooDeep, format!("the file nests more than {MAX_DEPTH} levels deep"))
        .at(Span::new(at, at + 1), "this is the level too many")
        .help("look for a bracket or an indentation that repeats; a topology needs a dozen levels")
        .reported()
}

/// A map or list that is not closed yet.
struct Open {
    start: usize,
    anchor: usize,
    size: usize,
    /// The levels below.
    depth: usize,
    items: Items,
}

enum Items {
    List(Vec<Arc<Node>>),
    Map(IndexMap<String, Entry>, Option<(String, Span)>),
}

struct Builder<'a> {
    source: &'a Source,
    /// Where the file starts.
    start: usize,
    /// The text of the file.
    text: &'a str,
    offsets: Offsets,
    stack: Vec<Open>,
    anchors: BTreeMap<usize, Arc<Node>>,
    root: Option<Arc<Node>>,
    documents: usize,
    count: &'a mut Count,
}

impl Builder<'_> {
    /// Where a character of the file stands.
    fn byte(&self, character: usize) -> usize {
        self.start + self.offsets.byte(self.text, character)
    }

    fn event(&mut self, event: &Event<'_>, at: ParserSpan, diags: &mut Diagnostics) -> Result<(), Reported> {
        let start = self.byte(at.start.index());
        let end = self.byte(at.end.index());
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(diags
                        .error(Code::SeveralDocuments, "a topology is one YAML document")
                        .at(Span::new(start, (start + 3).min(self.start + self.text.len())), "a second one starts here")
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
                    Items::Map(map, _) => Kind::Map(merged(map, diags)),
                };
                let span = Span::new(open.start, end);
                self.value(Node { span, kind, size: open.size, depth: open.depth + 1 }, open.anchor, diags)?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                let span = self.scalar_span(start, end, *style);
                secret::check(text, span, diags);
                let is_key = matches!(self.stack.last(), Some(Open { items: Items::Map(_, None), .. }));
                if is_key {
                    self.key(text, *style, *anchor, tag.is_some(), span, diags)?;
                } else {
                    if let Some(tag) = tag.as_ref().filter(|it| !(it.is_yaml_core_schema() && it.suffix == "str")) {
                        self.tagged(&tag.to_string(), span, diags);
                    }
                    if *style == ScalarStyle::Plain && tag.is_none() && is_huge(text) {
                        diags
                            .error(Code::WrongType, format!("the number `{text}` is larger than YAML's readers take"))
                            .at(span, "")
                            .help(format!("quote it if it is text: `\"{text}\"`"));
                    }
                    self.value(Node { span, kind: Kind::Scalar, size: 1, depth: 1 }, *anchor, diags)?;
                }
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(anchor).cloned();
                let Some(node) = node else {
                    // The anchor is still open: a value that contains itself.
                    return Err(diags
                        .error(Code::TooManyAliases, "an alias stands inside the value it repeats")
                        .at(Span::new(start, end), "")
                        .help("write out what is meant, or give the anchor `&…` to a smaller part")
                        .reported());
                };
                self.count.expanded += node.size;
                let bound = 10_000 + MAX_EXPANSION * self.count.written;
                if self.count.expanded > MAX_NODES.min(bound) {
                    return Err(diags
                        .error(Code::TooManyAliases, "the aliases of this file expand to an unreasonable size")
                        .at(Span::new(start, end), "one alias too many")
                        .help("write the values out where they are needed")
                        .reported());
                }
                self.not_too_deep(start, node.depth, diags)?;
                self.attach(node, diags)?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    /// Takes the key of the entry whose value comes next.
    fn key(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tagged: bool,
        span: Span,
        diags: &mut Diagnostics,
    ) -> Result<(), Reported> {
        let top = self.stack.len() == 1;
        let Some(Open { items: Items::Map(map, pending), .. }) = self.stack.last_mut() else { return Ok(()) };
        if top && map.len() >= MAX_TOP {
            return Err(diags
                .error(Code::WrongType, format!("a topology has 8 fields at its top, this has over {MAX_TOP}"))
                .at(span, "")
                .help("is this the right file? `meshlatch init` writes a commented topology to start from")
                .reported());
        }
        if style == ScalarStyle::Plain && !is_text(text) {
            diags
                .error(Code::KeyNotText, format!("the key `{text}` is not text"))
                .at(span, "YAML reads a number, a boolean or nothing here")
                .help(format!("quote it: `\"{text}\"`"));
        }
        if tagged {
            diags
                .error(Code::KeyNotText, format!("the key `{text}` carries a tag"))
                .at(span, "")
                .help("leave out the word with the `!` before it");
        }
        if let Some(first) = map.get(text) {
            diags
                .error(Code::DuplicateKey, format!("`{text}` stands twice in one map"))
                .at(span, "here again")
                .context(first.key, "first here")
                .help("keep one of the two: YAML readers take the last and say nothing of the first");
        }
        *pending = Some((text.to_owned(), span));
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::new(Node { span, kind: Kind::Scalar, size: 1, depth: 1 }));
        }
        Ok(())
    }

    /// A tag would change a value without a word: `serde_yaml` drops those of YAML itself.
    fn tagged(&self, tag: &str, span: Span, diags: &mut Diagnostics) {
        let written = self.source.slice(span).split_whitespace().next().filter(|it| it.starts_with('!'));
        diags
            .error(Code::WrongType, format!("the tag `{}` means nothing in a topology", written.unwrap_or(tag)))
            .at(span, "")
            .help("leave out the word with the `!` before it");
    }

    fn open(&mut self, start: usize, anchor: usize, items: Items, diags: &mut Diagnostics) -> Result<(), Reported> {
        self.key_must_be_text(start, diags)?;
        self.not_too_deep(start, 1, diags)?;
        if let (true, Items::List(_)) = (self.stack.is_empty(), &items) {
            return Err(diags
                .error(Code::WrongType, "a topology is a map, and this is a list")
                .at(Span::new(start, start + 1), "")
                .help("is this the right file? `meshlatch init` writes a commented topology to start from")
                .reported());
        }
        self.stack.push(Open { start, anchor, size: 1, depth: 0, items });
        Ok(())
    }

    fn not_too_deep(&self, start: usize, levels: usize, diags: &mut Diagnostics) -> Result<(), Reported> {
        if self.stack.len() + levels <= MAX_DEPTH {
            return Ok(());
        }
        Err(too_deep(start, diags))
    }

    /// The innermost bracket or brace that is not closed yet.
    fn open_bracket(&self) -> Option<Span> {
        let open = self.stack.last()?;
        let span = Span::new(open.start, open.start + 1);
        ["[", "{"].contains(&self.source.slice(span)).then_some(span)
    }

    fn value(&mut self, node: Node, anchor: usize, diags: &mut Diagnostics) -> Result<(), Reported> {
        self.count.written += 1;
        if self.count.written > MAX_WRITTEN {
            return Err(diags
                .error(Code::TooLarge, format!("the topology holds more than {MAX_WRITTEN} values"))
                .at(Span::new(node.span.start, node.span.start), "")
                .help("is this the right file?")
                .reported());
        }
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
        parent.depth = parent.depth.max(node.depth);
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
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Span::new(start, start + quoted(text)),
            ScalarStyle::Plain => Span::new(start, start + text.trim_end().len()),
        }
    }
}

/// The length of a quoted scalar up to its closing quote: the parser's may include a comment.
pub(crate) fn quoted(text: &str) -> usize {
    let mut characters = text.char_indices();
    let Some((_, quote)) = characters.next() else { return 0 };
    while let Some((at, character)) = characters.next() {
        if character == '\\' && quote == '"' {
            characters.next();
        } else if character == quote {
            let doubled = quote == '\'' && text[at + 1..].starts_with('\'');
            if !doubled {
                return at + 1;
            }
            characters.next();
        }
    }
    text.trim_end().len()
}

/// Applies `<<`: what the map says itself wins, then what is named first.
fn merged(mut map: IndexMap<String, Entry>, diags: &mut Diagnostics) -> IndexMap<String, Entry> {
    let Some(merge) = map.shift_remove("<<") else { return map };
    let sources = match &merge.value.kind {
        Kind::List(list) => list.iter().collect(),
        _ => vec![&merge.value],
    };
    for source in sources {
        let Kind::Map(entries) = &source.kind else {
            diags
                .error(Code::WrongType, "`<<` merges maps, and this is none")
                .at(merge.key, "")
                .help("name a map by its anchor, `<<: *defaults`, or several: `<<: [*a, *b]`");
            continue;
        };
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
        && (plain.parse::<f64>().is_err() || plain.starts_with(|c: char| c.is_ascii_alphabetic()))
        && !matches!(plain.trim_start_matches(['-', '+']).to_ascii_lowercase().as_str(), ".inf" | ".nan")
}

/// Whether a plain value is an integer of more than 64 bits, on which `serde_yaml` gives up.
fn is_huge(plain: &str) -> bool {
    let digits = plain.trim_start_matches(['-', '+']);
    let (radix, digits) = match digits.get(..2) {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.bytes().all(|b| char::from(b).is_digit(radix)) {
        return false;
    }
    if plain.starts_with('-') {
        i64::from_str_radix(&format!("-{digits}"), radix).is_err()
    } else {
        u64::from_str_radix(digits, radix).is_err()
    }
}

/// The parser counts characters, we count bytes.
enum Offsets {
    /// Every character is one byte.
    Same,
    /// Where each [`STEP`]th character stands.
    Table(Vec<usize>),
}

const STEP: usize = 64;

impl Offsets {
    fn of(text: &str) -> Self {
        if text.is_ascii() {
            Self::Same
        } else {
            Self::Table(text.char_indices().step_by(STEP).map(|(at, _)| at).collect())
        }
    }

    fn byte(&self, text: &str, character: usize) -> usize {
        let Self::Table(table) = self else { return character.min(text.len()) };
        let Some(start) = table.get(character / STEP) else { return text.len() };
        text[*start..].char_indices().nth(character % STEP).map_or(text.len(), |(at, _)| start + at)
    }
}
