//! `format`: the spelling of a file made uniform; its comments and its order stay.
//!
//! A library lays the text out anew. What comes out is read again: unless it has the same values and
//! comments at the same places, to the last anchor and tag, and would be left as it is by another
//! round, it is refused.

use pretty_yaml::config::{FormatOptions, LanguageOptions, LayoutOptions, LineBreak};
use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::diag::{Code, Diagnostics, Reported};
use crate::source::{Source, Span};
use crate::syntax;

/// Longer lines with brackets are broken.
const WIDTH: usize = 120;

/// The text of the one file of `source`, in its uniform spelling.
///
/// # Errors
/// When the file is no YAML that a topology could be, or would not say the same.
pub fn format(source: &Source, diags: &mut Diagnostics) -> Result<String, Reported> {
    syntax::read(source, diags)?;
    let text = source.text();
    let made = laid_out(text).map_err(|at| unsafe_at(text, at, diags))?;
    // Two readers look at it: they do not take every spelling for the same.
    let changed = || match syntax::changed(source, &made) {
        Ok(changed) => changed.map(|it| it.start),
        Err(unread) => Some(counterpart(text, &made, unread)),
    };
    if let Some(at) = difference(text, &made).or_else(changed) {
        return Err(unsafe_at(text, at, diags));
    }
    if laid_out(&made).is_ok_and(|it| it == made) { Ok(made) } else { Err(unsafe_at(text, 0, diags)) }
}

fn unsafe_at(text: &str, at: usize, diags: &mut Diagnostics) -> Reported {
    let end = (at + 1..=text.len()).find(|it| text.is_char_boundary(*it)).unwrap_or(at);
    diags
        .error(Code::NotFormattable, "the file cannot be formatted without a change in what it says")
        .at(Span::new(at, end), "it would change here")
        .help("spell it in a more usual way, such as `\"\"` for a value that is left out, and format again")
        .reported()
}

/// The text as the library lays it out, or the byte at which it gives up.
fn laid_out(text: &str) -> Result<String, usize> {
    let line_break = if text.contains("\r\n") { LineBreak::Crlf } else { LineBreak::Lf };
    let options = FormatOptions {
        layout: LayoutOptions { print_width: WIDTH, line_break, ..LayoutOptions::default() },
        // As this project's own topologies are written: `{east: {istio: "1.31.0"}}`.
        // Spaces at the end of a line may belong to a text.
        language: LanguageOptions {
            brace_spacing: false,
            trailing_comma: false,
            trim_trailing_whitespaces: false,
            ..LanguageOptions::default()
        },
    };
    pretty_yaml::format_text(text, &options).map_err(|error| error.offset().min(text.len()))
}

/// A value, a bracket or a comment.
#[derive(PartialEq, Eq)]
enum Said {
    Scalar {
        text: String,
        plain: bool,
        anchor: usize,
        tag: Option<String>,
    },
    Open {
        map: bool,
        anchor: usize,
        tag: Option<String>,
    },
    Close,
    Alias(usize),
    Comment {
        text: String,
        behind_value: bool,
    },
    /// What follows is no YAML.
    Unreadable,
}

/// Where the second text says something else than the first, as a byte of the first; both are YAML.
#[must_use]
pub fn difference(before: &str, after: &str) -> Option<usize> {
    let (before, after) = (said(before), said(after));
    let same = before.iter().zip(&after).take_while(|(a, b)| a.0 == b.0).count();
    if same == before.len() && same == after.len() {
        return None;
    }
    Some(before.get(same).or(before.last()).map_or(0, |it| it.1))
}

/// The byte of the first text whose value is that before a byte of the second; both say the same.
fn counterpart(before: &str, after: &str, at: usize) -> usize {
    let index = said(after).iter().take_while(|it| it.1 < at).count();
    said(before).get(index.saturating_sub(1)).map_or(0, |it| it.1)
}

/// All that a text says, in its order, each with its place. A comment stands before the value that follows it.
fn said(text: &str) -> Vec<(Said, usize)> {
    // The parser counts characters.
    let bytes: Vec<usize> = text.char_indices().map(|it| it.0).chain([text.len()]).collect();
    let byte = |character: usize| bytes.get(character).copied().unwrap_or(text.len());
    let mut all = Vec::new();
    // Behind the value that was read last, and all before it that is no value.
    let mut at = 0;
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else {
            all.push((Said::Unreadable, at));
            break;
        };
        let (start, end) = (byte(span.start.index()), byte(span.end.index()));
        let said = match event {
            Event::Scalar(value, style, anchor, tag) => {
                comments(text, at, start, &mut all);
                at = start + length(&text[start..end], style);
                let plain = style == ScalarStyle::Plain;
                let tag = tag.map(|it| it.to_string());
                all.push((Said::Scalar { text: value.into_owned(), plain, anchor, tag }, start));
                continue;
            }
            Event::MappingStart(anchor, tag) => Said::Open { map: true, anchor, tag: tag.map(|it| it.to_string()) },
            Event::SequenceStart(anchor, tag) => Said::Open { map: false, anchor, tag: tag.map(|it| it.to_string()) },
            Event::MappingEnd | Event::SequenceEnd => Said::Close,
            Event::Alias(anchor) => {
                comments(text, at, start, &mut all);
                at = end.max(at);
                Said::Alias(anchor)
            }
            _ => continue,
        };
        all.push((said, start));
    }
    comments(text, at, text.len(), &mut all);
    all
}

/// How many of its bytes a scalar has: the parser's end may include a comment.
fn length(text: &str, style: ScalarStyle) -> usize {
    match style {
        // It begins behind its head.
        ScalarStyle::Literal | ScalarStyle::Folded => text.len(),
        ScalarStyle::Plain => text.trim_end().len(),
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => syntax::quoted(text),
    }
}

/// The comments among bytes that are no value.
fn comments(text: &str, from: usize, to: usize, all: &mut Vec<(Said, usize)>) {
    let mut at = from;
    while let Some(found) = text.get(at..to.max(at)).and_then(|it| it.find('#')) {
        let start = at + found;
        if !text[..start].chars().next_back().is_none_or(char::is_whitespace) {
            at = start + 1;
            continue;
        }
        let end = text[start..].find('\n').map_or(text.len(), |it| start + it);
        // It may come up to the dash of the value that follows it, and no farther.
        let before = text[..start].trim_end_matches([' ', '\t', '-']);
        let behind_value = !before.is_empty() && !before.ends_with('\n');
        let comment = text[start..end].trim_end().to_owned();
        all.push((Said::Comment { text: comment, behind_value }, start));
        at = end;
    }
}
