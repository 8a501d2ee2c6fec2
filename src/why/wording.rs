//! Answers as people and as programs read them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Element, Level, Origin as File, Renderer, Snippet};
use serde::Serialize;

use super::{Answer, Cause, Need};
use crate::diag::{Diagnostics, Label, Page, printable};
use crate::source::{Source, Span};

/// How many ways of one need are shown.
const MAX_WAYS: usize = 5;
/// Lines that lie further apart than this are shown apart.
const MAX_GAP: usize = 200;

/// An answer in the manner of the diagnostics, followed by an empty line.
#[must_use]
pub fn render(answer: &Answer, source: &Source, diagnostics: &Diagnostics, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let page = Page::of(source, diagnostics);
    let cluster = &answer.cluster;
    let (kind, title) = match &answer.id {
        Some(id) if id.name.is_empty() => (id.kind.as_str(), format!("of `{cluster}`")),
        Some(id) => (id.kind.as_str(), format!("`{}` in `{cluster}`", id.qualified())),
        None => ("file", format!("of `{cluster}`")),
    };
    let level = Level::NOTE.with_name(printable(kind));
    let mut elements: Vec<Element<'_>> = vec![match &answer.asked {
        Some(asked) => {
            let start = asked.text.len() - asked.text.trim_start().len();
            let span = start..asked.text.trim_end().len().max(start);
            let label = asked.field.as_deref().unwrap_or_default();
            let mark = AnnotationKind::Primary.span(span).label(printable(label));
            Snippet::source(asked.text.as_str())
                .path(answer.file.as_str())
                .line_start(asked.line)
                .annotation(mark)
                .into()
        }
        None => File::path(answer.file.as_str()).line(answer.line).into(),
    }];
    let marks = marks(answer);
    let chunks = marks.chunk_by(|a, b| page.line(b.1.span.start) - page.line(a.1.span.start) <= MAX_GAP);
    elements.extend(chunks.flat_map(|chunk| {
        let marks: Vec<_> = chunk.iter().map(|(kind, label)| (*kind, label)).collect();
        page.snippets(&marks)
    }));
    let of_needs = answer.origin.needs.iter().filter_map(|it| note(it, source));
    let notes: Vec<_> = of_needs.chain(answer.notes.iter().cloned()).collect();
    elements.extend(notes.iter().map(|it| Level::NOTE.message(printable(it)).into()));
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "{}\n", renderer.render(&[level.primary_title(printable(&title)).elements(elements)]));
    out
}

/// The places of a need that say something of their own, in the order of the file.
fn leads(need: &Need) -> Vec<&Cause> {
    let causes = need.ways.iter().flat_map(|it| &it[..if enough(need) > 1 { it.len() } else { 1 }]);
    let mut leads: Vec<_> = causes.collect();
    leads.sort();
    leads.dedup_by_key(|it| it.at);
    leads
}

/// How many of its places a need asks for, whichever: more than one where every choice of so many is a way.
fn enough(need: &Need) -> usize {
    let count = need.ways[0].len();
    let mut all: Vec<_> = need.ways.iter().flatten().collect();
    all.sort();
    all.dedup();
    // So many ways there are to choose.
    let choices = (0..count).fold(1, |choices, it| choices * all.len().saturating_sub(it) / (it + 1));
    let every = need.ways.len() > 1 && need.ways.len() == choices && need.ways.iter().all(|it| it.len() == count);
    if every { count } else { 1 }
}

/// What is marked, in the order of the file; a place that has two things to say says both.
fn marks<'a>(answer: &'a Answer) -> Vec<(AnnotationKind, Label)> {
    let mut all: BTreeMap<Span, (bool, Vec<&str>)> = BTreeMap::new();
    let mut mark = |cause: &'a Cause, asks: bool| {
        let (asking, said) = all.entry(cause.at).or_default();
        *asking |= asks;
        if !said.contains(&cause.text.as_str()) {
            said.push(&cause.text);
        }
    };
    for (index, need) in answer.origin.needs.iter().enumerate() {
        let leads = leads(need);
        let few = leads.iter().take(MAX_WAYS);
        few.for_each(|it| mark(it, index == 0));
        // Of a single way, all that it takes is told.
        if let ([_], 1) = (&leads[..], enough(need)) {
            need.ways[0].iter().skip(1).for_each(|it| mark(it, false));
        }
    }
    answer.origin.related.iter().for_each(|it| mark(it, false));
    let kind = |asks| if asks { AnnotationKind::Primary } else { AnnotationKind::Context };
    all.into_iter().map(|(span, (asks, said))| (kind(asks), Label { span, text: said.join("; ") })).collect()
}

/// What is said of a need that can be met in several ways.
fn note(need: &Need, source: &Source) -> Option<String> {
    let leads = leads(need);
    if need.ways.len() < 2 || leads.len() < 2 {
        return None;
    }
    let places: Vec<_> = leads.iter().map(|it| (source.file(it.at).name, source.line_column(it.at))).collect();
    let shown = if leads.len() > MAX_WAYS { MAX_WAYS } else { leads.len() };
    let one_line = places.windows(2).any(|it| it[0].0 == it[1].0 && it[0].1.0 == it[1].1.0);
    let one_file = places.iter().all(|it| it.0 == places[0].0);
    let place = |(file, (line, column)): &(&str, (usize, usize))| {
        let place = if one_line { format!("{line}:{column}") } else { line.to_string() };
        if one_file { place } else { format!("{file}:{place}") }
    };
    let mut text: Vec<_> = places[..shown].iter().map(place).collect();
    text.extend((leads.len() > shown).then(|| format!("{} more", leads.len() - shown)));
    let last = text.pop().unwrap_or_default();
    let count = match enough(need) {
        1 => "one of them is enough".to_owned(),
        count => format!("{count} of them are enough"),
    };
    Some(format!("lines {} and {last}: {count}", text.join(", ")))
}

/// All answers, for programs.
#[must_use]
pub fn json(answers: &[Answer], source: &Source) -> String {
    let place = |cause: &Cause| {
        let (line, column) = source.line_column(cause.at);
        Place {
            file: source.file(cause.at).name.to_owned(),
            line,
            column,
            start: cause.whole.start - source.file(cause.at).span.start,
            end: cause.whole.end - source.file(cause.at).span.start,
            what: cause.text.clone(),
        }
    };
    let objects: Vec<_> = answers
        .iter()
        .map(|it| Told {
            cluster: &it.cluster,
            file: &it.file,
            line: it.asked.as_ref().map_or(it.line, |it| it.line),
            field: it.asked.as_ref().and_then(|it| it.field.as_deref()),
            api_version: it.id.as_ref().map(|it| it.api_version.as_str()),
            kind: it.id.as_ref().map(|it| it.kind.as_str()),
            namespace: it.id.as_ref().map(|it| it.namespace.as_str()).filter(|it| !it.is_empty()),
            name: it.id.as_ref().map(|it| it.name.as_str()).filter(|it| !it.is_empty()),
            needs: it
                .origin
                .needs
                .iter()
                .map(|it| AnyOf { any_of: it.ways.iter().map(|it| it.iter().map(place).collect()).collect() })
                .collect(),
            related: it.origin.related.iter().map(place).collect(),
            notes: &it.notes,
        })
        .collect();
    serde_json::to_string_pretty(&Answers { objects }).expect("an answer is plain data") + "\n"
}

#[derive(Serialize)]
struct Answers<'a> {
    objects: Vec<Told<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    cluster: &'a str,
    file: &'a str,
    line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    needs: Vec<AnyOf>,
    related: Vec<Place>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notes: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnyOf {
    any_of: Vec<Vec<Place>>,
}

#[derive(Serialize)]
struct Place {
    file: String,
    line: usize,
    column: usize,
    start: usize,
    end: usize,
    what: String,
}
