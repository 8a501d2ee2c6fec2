//! `parse`: from text to what is written, in the right shape. YAML is known here, meaning is not.
//!
//! Two readers see the same text: `serde_yaml` gives the values, [`tree`] their places. `serde_yaml`
//! is archived upstream; this file and `shape` are all that would change with another reader.

mod compare;
mod secret;
mod shape;
mod spec;
mod tree;
mod unite;

use std::sync::Arc;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_yaml::Value;

pub use compare::changed;
pub use shape::{Many, Short};
pub use spec::*;
pub(crate) use tree::quoted;
pub use tree::{Node, Place, Shape};

use crate::diag::{Code, Diagnostics, Reported, nearest};
use crate::source::{File, Source, Span};

/// The largest file that is read, in bytes: 10,000 services with their workloads take a tenth.
pub const MAX_BYTES: usize = 64 << 20;

/// What is written, and where.
#[derive(Debug)]
pub struct Document {
    /// The values.
    pub spec: TopologySpec,
    root: Arc<Node>,
}

impl Document {
    /// The place of the whole document.
    #[must_use]
    pub fn place(&self) -> Place<'_> {
        Place::root(&self.root)
    }

    /// What was written before a service began to move, if one is on its way.
    #[must_use]
    pub fn before(&self) -> Option<Self> {
        let mut spec = self.spec.clone();
        let moving = spec.moving.take()?;
        let service = spec.services.get_mut(&moving.service)?;
        service.clusters = moving.before.clusters;
        service.balance = moving.before.balance;
        let root = ["clusters", "balance"].iter().fold(Arc::clone(&self.root), |root, field| {
            let was = root.entry(&["moving", "before", field]);
            Arc::new(root.with(&["services", &moving.service, field], was))
        });
        Some(Self { spec, root })
    }
}

/// Turns the bytes of a file into a source; a byte order mark is dropped.
///
/// # Errors
/// When the bytes are too many or no text.
pub fn decode(name: &str, bytes: Vec<u8>, diags: &mut Diagnostics) -> Result<Source, (Source, Reported)> {
    decode_all(vec![(name.to_owned(), bytes)], diags)
}

/// Turns the bytes of several files, each with its name, into one source.
///
/// # Errors
/// When the bytes are too many, or those of a file are no text; then all that can be said of the others
/// is said, too.
pub fn decode_all(files: Vec<(String, Vec<u8>)>, diags: &mut Diagnostics) -> Result<Source, (Source, Reported)> {
    let several = files.len() > 1;
    let mut source = Source::default();
    let mut sound = Vec::new();
    let mut failed = None;
    let mut size = 0;
    for (index, (name, bytes)) in files.into_iter().enumerate() {
        size += bytes.len();
        if size > MAX_BYTES {
            let start = source.push(name, String::new()).start;
            let (what, help) = if several {
                ("files are larger than", "are these the right files?")
            } else {
                ("file is larger than", "is this the right file?")
            };
            let together = if several { " together" } else { "" };
            let message = format!("the {what} {} MiB{together}", MAX_BYTES >> 20);
            let reported = diags.error(Code::TooLarge, message).at(Span::new(start, start), "").help(help).reported();
            return Err((source, reported));
        }
        match text(bytes) {
            Ok(text) => {
                source.push(name, text);
                sound.push(index);
            }
            Err(NoText { shown, at, end, message, help }) => {
                let start = source.push(name, shown).start;
                let span = Span::new(start + at, start + end);
                failed = Some(diags.error(Code::NotText, message).at(span, "").help(help).reported());
            }
        }
    }
    match failed {
        None => Ok(source),
        Some(reported) => {
            let sound: Vec<_> = sound.into_iter().filter_map(|it| source.files().nth(it)).collect();
            let _ = document(&source, &sound, diags);
            Err((source, reported))
        }
    }
}

/// Why bytes are no text: what to show of them, the place in that, and what to say.
struct NoText {
    shown: String,
    at: usize,
    end: usize,
    message: String,
    help: &'static str,
}

fn text(bytes: Vec<u8>) -> Result<String, NoText> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        NoText {
            message: format!("the file is not UTF-8: it holds the byte 0x{:02x}", error.as_bytes()[at]),
            // The bytes that are no text are shown as one sign each; those before them stay where they are.
            shown: String::from_utf8_lossy(error.as_bytes()).into_owned(),
            at,
            end: at + char::REPLACEMENT_CHARACTER.len_utf8(),
            help: "save the file as UTF-8; Windows calls UTF-16 `Unicode`",
        }
    })?;
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{85}');
    match text.char_indices().find(|it| control(it.1)) {
        None => Ok(text),
        Some((at, character)) => Err(NoText {
            message: format!("the file holds the control character {}", character.escape_unicode()),
            shown: text,
            at,
            end: at + character.len_utf8(),
            help: "it is plain text; in a quoted value of YAML a control character is written as an escape: \"\\e\"",
        }),
    }
}

/// Reads a topology.
///
/// # Errors
/// When a text is no YAML or has the wrong shape; every place is reported.
pub fn parse(source: &Source, diags: &mut Diagnostics) -> Result<Document, Reported> {
    document(source, &source.files().collect::<Vec<_>>(), diags)
}

/// Looks whether every file is YAML of the kind that a topology is written in, whatever it says.
///
/// # Errors
/// When a text is none; every place is reported.
pub fn read(source: &Source, diags: &mut Diagnostics) -> Result<(), Reported> {
    let tame = is_tame(source.text());
    let mut count = tree::Count::default();
    for file in source.files() {
        diags.apart(|diags| part(source, file, tame, &mut count, diags))?;
    }
    Ok(())
}

/// Reads these files of a source. Each is a YAML document of its own; what they say is one topology.
fn document(source: &Source, files: &[File<'_>], diags: &mut Diagnostics) -> Result<Document, Reported> {
    let tame = is_tame(source.text());
    let mut count = tree::Count::default();
    let mut read = |file: &File<'_>, diags: &mut Diagnostics| {
        let part = part(source, *file, tame, &mut count, diags)?;
        head(&part, source, diags);
        Ok(part)
    };
    // A file that is no YAML is no reason to keep quiet about the others.
    let parts: Vec<Result<Part, Reported>> = files.iter().map(|file| diags.apart(|diags| read(file, diags))).collect();
    let failed = parts.iter().find_map(|it| it.as_ref().err().copied());
    let part = unite::united(source, parts.into_iter().flatten().collect(), diags);
    let Some(Part { root, value }) = part else {
        diags.check()?;
        return Err(failed.expect("there is no source without a file"));
    };
    let spec = topology(source, &value, Place::root(&root), diags);
    // Taking it apart takes as long as much of the reading did.
    rayon::spawn(move || drop(value));
    diags.check()?;
    Ok(Document { spec, root })
}

/// What a file says, or all of them together: the places and the values.
struct Part {
    root: Arc<Node>,
    value: Value,
}

fn part(
    source: &Source,
    file: File<'_>,
    tame: bool,
    count: &mut tree::Count,
    diags: &mut Diagnostics,
) -> Result<Part, Reported> {
    let text = source.slice(file.span);
    let (root, value) = if tame {
        let (root, value) = rayon::join(|| tree::read(source, file, count, diags), || values(text));
        (root?, value)
    } else {
        (tree::read(source, file, count, diags)?, values(text))
    };
    let value = value.map_err(|error| refused(source, file, &error, diags))?;
    Ok(Part { root, value })
}

/// Whether both readers can be let loose at once. `serde_yaml` takes minutes over sizes and depths
/// that the tree refuses at once; then it has to wait for the verdict.
fn is_tame(text: &str) -> bool {
    const BYTES: usize = 8_000_000;
    const OPEN: usize = 1_000;
    let mut open = 0usize;
    text.len() <= BYTES
        && text.bytes().all(|byte| {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
            open <= OPEN
        })
}

fn values(text: &str) -> Result<Value, serde_yaml::Error> {
    let mut value: Value = serde_yaml::from_str(text)?;
    merge(&mut value);
    Ok(value)
}

/// Reports what `serde_yaml` refused and the other reader did not.
fn refused(source: &Source, file: File<'_>, error: &serde_yaml::Error, diags: &mut Diagnostics) -> Reported {
    let at = error.location().map_or(file.span.start, |it| (file.span.start + it.index()).min(file.span.end));
    let at = (0..=at).rev().find(|&it| source.text().is_char_boundary(it)).unwrap_or(0);
    tree::invalid_yaml(source, at, &error.to_string(), None, diags)
}

/// Applies `<<` as [`tree`] does, which reported what cannot be merged. `serde_yaml`'s own function
/// leaves the `<<` of what it merged.
fn merge(value: &mut Value) {
    match value {
        Value::Sequence(list) => list.iter_mut().for_each(merge),
        Value::Mapping(map) => {
            map.values_mut().for_each(merge);
            let sources = match map.remove("<<") {
                Some(Value::Sequence(list)) => list,
                Some(source) => vec![source],
                None => return,
            };
            for (key, value) in sources.into_iter().filter_map(|it| it.as_mapping().cloned()).flatten() {
                map.entry(key).or_insert(value);
            }
        }
        Value::Tagged(tagged) => merge(&mut tagged.value),
        _ => {}
    }
}

/// The fields of the top level.
const FIELDS: [&str; 8] = ["version", "allow", "mesh", "clusters", "services", "externals", "ingress", "moving"];

/// What every file is looked at for: that it is a map of known fields, and of a version that is known.
fn head(part: &Part, source: &Source, diags: &mut Diagnostics) {
    let root = Place::root(&part.root);
    let Value::Mapping(top) = &part.value else {
        diags
            .error(Code::WrongType, "a topology is a map")
            .at(root.value(), "")
            .help("start with `version: 1`, `clusters:` and `services:`; `meshlatch init` writes an example");
        return;
    };
    for (name, place) in root.entries().filter(|(name, _)| !FIELDS.contains(name)) {
        let help = match nearest(name, FIELDS) {
            Some(near) => format!("a field with a similar name exists: `{near}`"),
            None => format!("the fields here are {}", FIELDS.map(|it| format!("`{it}`")).join(", ")),
        };
        diags.error(Code::UnknownField, format!("there is no field `{name}` here")).at(place.key(), "").help(help);
    }
    version(top.get("version"), root, source.files().len() > 1, diags);
}

/// The top level is read by hand, so that each entry is reported on its own.
fn topology(source: &Source, value: &Value, root: Place<'_>, diags: &mut Diagnostics) -> TopologySpec {
    let mut spec = TopologySpec::default();
    let Value::Mapping(top) = value else { return spec };
    let part = |name: &str| top.get(name).filter(|it| !it.is_null()).zip(root.find(name));
    if let Some((value, place)) = part("allow") {
        spec.allow = shape::read::<Many<String>>(source, value, place, diags).unwrap_or_default().0;
    }
    if let Some((value, place)) = part("mesh") {
        spec.mesh = shape::read(source, value, place, diags).unwrap_or_default();
    }
    spec.clusters = entries(source, part("clusters"), diags);
    spec.services = entries(source, part("services"), diags);
    spec.externals = entries(source, part("externals"), diags);
    spec.ingress = entries(source, part("ingress"), diags);
    if let Some((value, place)) = part("moving") {
        spec.moving = shape::read(source, value, place, diags);
    }
    spec
}

fn version(value: Option<&Value>, root: Place<'_>, several: bool, diags: &mut Diagnostics) {
    let misspelt = |name: &str| !FIELDS.contains(&name) && nearest(name, FIELDS) == Some("version");
    match value {
        // That is said where it stands.
        None if root.entries().any(|(name, _)| misspelt(name)) => {}
        None => {
            diags.error(Code::MissingField, "the field `version` is missing").at(root.value(), "").help(if several {
                "every file of a topology says it: begin this one with `version: 1`"
            } else {
                "begin the file with `version: 1`"
            });
        }
        Some(version) if version.as_u64() == Some(1) => {}
        Some(version) => {
            let help = match version.as_u64() {
                Some(_) => "a newer meshlatch may read it; this one needs `version: 1`",
                None => "write the number: `version: 1`",
            };
            diags
                .error(Code::UnknownVersion, "this compiler reads version 1 of a topology")
                .at(root.get("version").value(), "")
                .help(help);
        }
    }
}

fn entries<'a, T: Deserialize<'a> + Send>(
    source: &'a Source,
    part: Option<(&'a Value, Place<'a>)>,
    diags: &mut Diagnostics,
) -> IndexMap<String, T> {
    let Some((value, place)) = part else { return IndexMap::new() };
    let Value::Mapping(map) = value else {
        no_names(place, diags);
        return IndexMap::new();
    };
    let read = |(name, place): (&str, Place<'a>), diags: &mut Diagnostics| {
        let entry = shape::read(source, map.get(name)?, place, diags)?;
        Some((name.to_owned(), entry))
    };
    diags.each(place.entries().collect(), read).into_iter().flatten().collect()
}

fn no_names(place: Place<'_>, diags: &mut Diagnostics) {
    diags
        .error(Code::WrongType, "expected a map of names to their descriptions")
        .at(place.value(), "")
        .help("write `name:` and below it, indented, what there is to say of it");
}
