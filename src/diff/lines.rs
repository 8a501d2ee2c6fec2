//! `Line`: a report as lines with a mark each, before anybody colors or fences them.

use serde_json::Value as Json;

use super::changes::{FileChange, ObjectChange, Presence, Use, What};
use super::fields::{Change, Field};
use super::sections::Section;
use super::words::{count, inline, shown};
use super::{changes, human};
use crate::yaml;

/// What a line says of what it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Added,
    Removed,
    Changed,
    /// It needs somebody's hand.
    Warning,
    /// A heading.
    Title,
    /// Around what differs.
    Plain,
    /// About the report itself.
    Remark,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) mark: Mark,
    /// How far it is indented.
    pub(super) depth: usize,
    pub(super) text: String,
}

pub(super) fn line(mark: Mark, depth: usize, text: impl Into<String>) -> Line {
    Line { mark, depth, text: text.into() }
}

/// How much is shown where everything is too much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Objects of a section, files of it.
    pub(super) objects: usize,
    /// Fields of an object.
    pub(super) fields: usize,
    /// Lines of a text.
    pub(super) lines: usize,
    /// Characters of a value on one line.
    pub(super) value: usize,
    /// Names in a sentence.
    pub(super) names: usize,
}

impl Limits {
    /// No limit where `all` is asked for.
    pub(super) fn of(all: bool) -> Self {
        if all {
            let most = usize::MAX - 1;
            Self { objects: most, fields: most, lines: most, value: most, names: most }
        } else {
            Self { objects: 40, fields: 20, lines: 24, value: 400, names: 3 }
        }
    }
}

/// The first of many lines or blocks, and how many are left.
pub(super) fn cut<T>(all: &[T], most: usize) -> (&[T], usize) {
    // One more takes no more room than to say so.
    if all.len() > most.saturating_add(1) { (&all[..most], all.len() - most) } else { (all, 0) }
}

pub(super) fn more(depth: usize, rest: usize, what: &str) -> Line {
    line(Mark::Remark, depth, format!("… {} more, with `--all`", count(rest, what)))
}

/// What happens in the clusters of a section.
pub(super) fn section(section: &Section<'_>, depth: usize, limits: Limits) -> Vec<Line> {
    let mut lines = Vec::new();
    let (shown_objects, rest) = cut(&section.objects, limits.objects);
    if section.presence != Presence::Changed && limits.objects < usize::MAX - 1 {
        lines.extend(by_kind(section, depth));
    } else {
        for alike in shown_objects {
            objects(alike, depth, limits, &mut lines);
        }
        if rest > 0 {
            let left: usize = section.objects[shown_objects.len()..].iter().map(Vec::len).sum();
            lines.push(more(depth, left, "object"));
        }
    }
    let (files, rest) = cut(&section.files, limits.objects);
    for it in files {
        file(it, section.presence, depth, limits, &mut lines);
    }
    if rest > 0 {
        lines.push(more(depth, rest, "file"));
    }
    lines
}

/// Of a cluster that comes or goes whole, how many objects it has of each kind.
fn by_kind(section: &Section<'_>, depth: usize) -> Option<Line> {
    let mut kinds: indexmap::IndexMap<&str, usize> = indexmap::IndexMap::new();
    for object in section.objects.iter().flatten() {
        *kinds.entry(object.header.kind.as_str()).or_default() += 1;
    }
    let mark = if section.presence == Presence::Added { Mark::Added } else { Mark::Removed };
    let kinds: Vec<_> = kinds.into_iter().map(|(kind, number)| format!("{number} {}", shown(kind))).collect();
    (!kinds.is_empty()).then(|| line(mark, depth, kinds.join(", ")))
}

/// Objects to which the same happens.
fn objects(alike: &[&ObjectChange], depth: usize, limits: Limits, lines: &mut Vec<Line>) {
    let first = alike[0];
    let fields = match &first.what {
        What::Added => return lines.push(line(Mark::Added, depth, first.header.to_string())),
        // With a namespace goes what others have in it.
        What::Removed if first.header.kind == "Namespace" => {
            let text = format!("{}: what prunes deletes all that is in it", first.header);
            return lines.push(line(Mark::Warning, depth, text));
        }
        What::Removed => return lines.push(line(Mark::Removed, depth, first.header.to_string())),
        What::Changed { fields } => fields,
    };
    let (named, rest) = cut(alike, limits.names);
    lines.extend(named.iter().map(|it| line(Mark::Changed, depth, it.header.to_string())));
    if rest > 0 {
        lines.push(more(depth, rest, "object"));
    }
    let (fields, rest) = cut(fields, limits.fields);
    for it in fields {
        field(it, depth + 2, limits, lines);
    }
    if rest > 0 {
        lines.push(more(depth + 2, rest, "field"));
    }
}

fn field(field: &Field, depth: usize, limits: Limits, lines: &mut Vec<Line>) {
    let path = shown(&field.path);
    let whole = |mark: Mark, value: &Json, lines: &mut Vec<Line>| {
        let text = inline(value);
        if text.chars().count() <= human::WIDTH || !matches!(value, Json::Array(_) | Json::Object(_)) {
            return lines.push(line(mark, depth, format!("{path}: {}", shortened(&text, limits.value))));
        }
        lines.push(line(mark, depth, format!("{path}:")));
        let text = yaml::to_string(value);
        let all: Vec<_> = text.lines().map(|it| line(mark, depth + 1, shown(it))).collect();
        block(&all, depth + 1, limits, lines);
    };
    match &field.change {
        Change::Added { new } => whole(Mark::Added, new, lines),
        Change::Removed { old } => whole(Mark::Removed, old, lines),
        Change::Changed { old, new } => {
            if let (Json::String(before), Json::String(after)) = (old, new)
                && (before.contains('\n') || after.contains('\n'))
            {
                lines.push(line(Mark::Changed, depth, format!("{path}:")));
                return text(&changes::lines(before, after), depth + 1, limits, lines);
            }
            let (before, after) = (inline(old), inline(new));
            if before.chars().count() + after.chars().count() <= human::WIDTH {
                return lines.push(line(Mark::Changed, depth, format!("{path}: {before} -> {after}")));
            }
            lines.push(line(Mark::Changed, depth, format!("{path}:")));
            lines.push(line(Mark::Removed, depth + 1, shortened(&before, limits.value)));
            lines.push(line(Mark::Added, depth + 1, shortened(&after, limits.value)));
        }
        Change::Items { added, removed } => {
            let all = |mark: Mark, items: &[Json], lines: &mut Vec<Line>| {
                let (items, rest) = cut(items, limits.lines);
                for it in items {
                    lines.push(line(mark, depth, format!("{path}[]: {}", shortened(&inline(it), limits.value))));
                }
                if rest > 0 {
                    lines.push(more(depth, rest, "item"));
                }
            };
            all(Mark::Removed, removed, lines);
            all(Mark::Added, added, lines);
        }
        Change::Order { old, new } => {
            let all = |names: &[String]| {
                let (names, rest) = cut(names, limits.lines);
                let names = names.iter().map(|it| shown(it)).collect::<Vec<_>>().join(", ");
                if rest == 0 { names } else { format!("{names} and {rest} more") }
            };
            let (old, new) = (all(old), all(new));
            lines.push(line(Mark::Changed, depth, format!("{path}: in another order")));
            lines.push(line(Mark::Removed, depth + 1, old));
            lines.push(line(Mark::Added, depth + 1, new));
        }
    }
}

/// A file that nobody applies.
fn file(file: &FileChange, section: Presence, depth: usize, limits: Limits, lines: &mut Vec<Line>) {
    let mark = match file.change {
        Presence::Added => Mark::Added,
        Presence::Removed => Mark::Removed,
        Presence::Changed => Mark::Changed,
    };
    let path = shown(&file.path);
    match (file.usage, file.change) {
        // With its cluster goes what was run there; what is to be run in a new one, its runbook says.
        (Use::ByHand, Presence::Added | Presence::Changed) if section != Presence::Removed => {
            lines.push(line(Mark::Warning, depth, format!("{path} {}, to be run by hand", word(file.change))));
        }
        (Use::Kustomization, _) => {
            lines.push(line(
                mark,
                depth,
                format!("{path}: what it does beside its list of resources, not looked at further"),
            ));
        }
        _ => lines.push(line(mark, depth, format!("{path} {}", word(file.change)))),
    }
    text(&file.diff, depth + 2, limits, lines);
}

fn word(change: Presence) -> &'static str {
    match change {
        Presence::Added => "added",
        Presence::Removed => "removed",
        Presence::Changed => "changed",
    }
}

/// The lines of a difference as `diff -u` writes it.
fn text(difference: &str, depth: usize, limits: Limits, lines: &mut Vec<Line>) {
    let mut all = Vec::new();
    for (index, it) in difference.lines().enumerate() {
        let (mark, rest) = match it.split_at_checked(1) {
            Some(("+", rest)) => (Mark::Added, rest),
            Some(("-", rest)) => (Mark::Removed, rest),
            Some(("@", _)) if index == 0 => continue,
            Some(("@", _)) => (Mark::Remark, "…"),
            Some((_, rest)) => (Mark::Plain, rest),
            None => (Mark::Plain, ""),
        };
        all.push(line(mark, depth, shortened(&shown(rest), limits.value)));
    }
    block(&all, depth, limits, lines);
}

fn block(all: &[Line], depth: usize, limits: Limits, lines: &mut Vec<Line>) {
    let (first, rest) = cut(all, limits.lines);
    lines.extend_from_slice(first);
    if rest > 0 {
        lines.push(more(depth, rest, "line"));
    }
}

/// A long text, cut, with what it lost.
fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}… ({})", &text[..at], count(text.chars().count() - most, "more character")),
        None => text.to_owned(),
    }
}
