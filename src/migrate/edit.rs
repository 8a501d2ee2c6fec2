//! The text of a step: the user's own, with other clusters and another `balance` at one service.
//!
//! Only the bytes that must change do: comments, order and spelling stay. What comes out is read
//! again, and if it says anything else than was meant, as where an anchor is shared, it is refused.

use super::order::{self, Placement};
use crate::diag::{Code, Diagnostics, Reported};
use crate::phases;
use crate::source::{Source, Span};
use crate::syntax::{self, Document, Phase, Place, Shape, TopologySpec};
use crate::yaml;

/// What stands in the place of some bytes.
type Edit = (Span, String);

/// The topology with the service placed, and on its way if it is.
pub(super) fn place(
    source: &Source,
    document: &Document,
    service: &str,
    to: &Placement,
    moving: Option<(&Placement, Phase)>,
    diags: &mut Diagnostics,
) -> Result<Source, Reported> {
    let moving = moving.map(|(before, phase)| {
        let balance = before.balance.as_ref().map_or(String::new(), |it| format!(", balance: {it}"));
        let before = format!("{{clusters: {}{balance}}}", one_or_list(&before.clusters));
        format!("{{service: {}, phase: {}, before: {before}}}", yaml::scalar(service), phases::name(phase))
    });
    let made = edits(source, document, service, to, moving.as_deref()).map(|it| apply(source, it));
    if let Some(made) = made.filter(|it| says(it, document, service, to, moving.is_some())) {
        return Ok(made);
    }
    let at = document.place().get("services").get(service);
    let lines = to.balance.as_ref().map_or_else(String::new, |it| format!(" and `balance: {it}`"));
    Err(diags
        .error(
            Code::NotEditable,
            format!("the clusters of `{service}` cannot be changed without changing more than that"),
        )
        .at(at.get("clusters").value(), "")
        .help("an anchor, an alias or `<<` gives it what others have, too, or it is spelled in an unusual way")
        .help(format!(
            "write what is its own at the service itself, such as `clusters: {}`{lines}, and ask again",
            one_or_list(&to.clusters)
        ))
        .reported())
}

/// The changes, if the text has a usual form.
fn edits(
    source: &Source,
    document: &Document,
    service: &str,
    to: &Placement,
    moving: Option<&str>,
) -> Option<Vec<Edit>> {
    let root = document.place();
    let at = root.find("services")?.find(service)?;
    let clusters = at.find("clusters")?;
    let mut edits = names(source, clusters, &to.clusters)?;
    match (at.find("balance"), &to.balance) {
        (None, None) => {}
        (None, Some(balance)) => edits.push(behind(source, at, clusters, &format!("balance: {balance}"))?),
        (Some(old), None) => edits.push(without(source, at, old)?),
        (Some(old), Some(balance)) => edits.push((value(source, old)?, balance.clone())),
    }
    if let Some(moving) = moving {
        edits.push(behind(source, root, root.find("version")?, &format!("moving: {moving}"))?);
    }
    Some(edits)
}

/// The bytes of a value that stands behind its key, and not elsewhere by an alias.
fn value(source: &Source, entry: Place<'_>) -> Option<Span> {
    let span = entry.extent(source);
    let before = source.slice(Span::new(entry.key().end, span.start));
    let marked = before.lines().any(|line| line.split('#').next().unwrap_or(line).contains(['&', '*', '!']));
    (span.start >= entry.key().end && !marked).then_some(span)
}

/// The list of names in place of the one that is there, in its manner.
fn names(source: &Source, entry: Place<'_>, wanted: &[String]) -> Option<Vec<Edit>> {
    let whole = value(source, entry)?;
    if entry.shape() != Shape::List || entry.in_brackets(source) {
        let list = entry.shape() == Shape::List;
        return Some(vec![(whole, if list { list_of(wanted) } else { one_or_list(wanted) })]);
    }
    // A line an element: those that stay keep their line.
    let items: Vec<_> = (0..entry.len()).map(|it| entry.item(it)).collect();
    let name = |it: &Place<'_>| source.slice(it.extent(source)).trim_matches(['"', '\'']).to_owned();
    let there: Vec<String> = items.iter().map(name).collect();
    let mut edits = Vec::new();
    let mut free = there.iter().enumerate().filter(|(_, it)| !wanted.contains(it)).map(|it| it.0);
    let mut previous: Option<usize> = None;
    let mut added: Vec<(usize, String)> = Vec::new();
    for name in wanted {
        match there.iter().position(|it| it == name) {
            Some(index) => previous = Some(index),
            None => match free.next() {
                Some(index) => edits.push((items[index].extent(source), yaml::scalar(name).into_owned())),
                None => added.push((previous?, name.clone())),
            },
        }
    }
    for (index, name) in added {
        let span = items[index].extent(source);
        let (start, end) = line(source.text(), span);
        let before = &source.text()[start..span.start];
        if !before.trim_start().trim_end().eq("-") {
            return None;
        }
        edits.push((Span::new(end, end), format!("{}{before}{}", newline(source, span), yaml::scalar(&name))));
    }
    for index in free {
        let (start, end) = line(source.text(), items[index].extent(source));
        edits.push((Span::new(start, after_newline(source.text(), end)), String::new()));
    }
    Some(edits)
}

/// A new entry behind another of its map.
fn behind(source: &Source, map: Place<'_>, entry: Place<'_>, text: &str) -> Option<Edit> {
    let end = value(source, entry)?.end;
    if map.in_brackets(source) {
        return Some((Span::new(end, end), format!(", {text}")));
    }
    let indent = indent(source.text(), entry.key())?;
    let end = line(source.text(), Span::new(end, end)).1;
    Some((Span::new(end, end), format!("{}{indent}{text}", newline(source, entry.key()))))
}

/// An entry of a map is taken away.
fn without(source: &Source, map: Place<'_>, entry: Place<'_>) -> Option<Edit> {
    let end = value(source, entry)?.end;
    if !map.in_brackets(source) {
        let start = entry.key().start - indent(source.text(), entry.key())?.len();
        let end = after_newline(source.text(), line(source.text(), Span::new(end, end)).1);
        return Some((Span::new(start, end), String::new()));
    }
    let entries: Vec<_> = map.entries().map(|it| it.1).collect();
    let index = entries.iter().position(|it| it.key() == entry.key())?;
    let span = match (index.checked_sub(1).map(|it| entries[it]), entries.get(index + 1)) {
        (Some(previous), _) => Span::new(value(source, previous)?.end, end),
        (None, Some(next)) => Span::new(entry.key().start, next.key().start),
        (None, None) => return None,
    };
    Some((span, String::new()))
}

/// What stands before a key on its line, if that is nothing but spaces.
fn indent(text: &str, key: Span) -> Option<&str> {
    let before = &text[line(text, key).0..key.start];
    before.trim_start_matches(' ').is_empty().then_some(before)
}

/// The first byte of the line on which a span begins, and the end of that on which it ends.
fn line(text: &str, span: Span) -> (usize, usize) {
    let start = text[..span.start].rfind('\n').map_or(0, |it| it + 1);
    let end = text[span.end..].find('\n').map_or(text.len(), |it| span.end + it);
    (start, if text[..end].ends_with('\r') { end - 1 } else { end })
}

fn after_newline(text: &str, end: usize) -> usize {
    text[end..].find('\n').map_or(text.len(), |it| end + it + 1)
}

/// How the file of a span ends its lines.
fn newline(source: &Source, span: Span) -> &'static str {
    if source.slice(source.file(span).span).contains("\r\n") { "\r\n" } else { "\n" }
}

fn list_of(names: &[String]) -> String {
    format!("[{}]", names.iter().map(|it| yaml::scalar(it)).collect::<Vec<_>>().join(", "))
}

fn one_or_list(names: &[String]) -> String {
    match names {
        [one] => yaml::scalar(one).into_owned(),
        several => list_of(several),
    }
}

fn apply(source: &Source, mut edits: Vec<Edit>) -> Source {
    edits.sort_by_key(|it| it.0);
    let mut edits = edits.into_iter().peekable();
    let mut made = Source::default();
    for file in source.files() {
        let Span { mut start, end } = file.span;
        let mut text = String::with_capacity(end - start + 256);
        while let Some((span, new)) = edits.next_if(|it| it.0.start <= end) {
            text.push_str(source.slice(Span::new(start, span.start)));
            text.push_str(&new);
            start = span.end.clamp(start, end);
        }
        text.push_str(source.slice(Span::new(start, end)));
        made.push(file.name.to_owned(), text);
    }
    made
}

/// Whether a text says what was meant, and of everything else what the topology says.
fn says(made: &Source, document: &Document, service: &str, to: &Placement, moving: bool) -> bool {
    let Ok(made) = syntax::parse(made, &mut Diagnostics::new()) else { return false };
    let mut wanted = document.spec.clone();
    let Some(spec) = wanted.services.get_mut(service) else { return false };
    spec.clusters.0.clone_from(&to.clusters);
    let Some(new) = made.spec.services.get(service) else { return false };
    if new.balance.as_ref().map(order::flow) != to.balance || made.spec.moving.is_some() != moving {
        return false;
    }
    spec.balance.clone_from(&new.balance);
    spelled(&wanted) == spelled(&made.spec)
}

/// Everything but the move, in a form that can be compared.
fn spelled(spec: &TopologySpec) -> String {
    let TopologySpec { allow, mesh, clusters, services, externals, ingress, moving: _ } = spec;
    format!("{allow:?}{mesh:?}{clusters:?}{services:?}{externals:?}{ingress:?}")
}
