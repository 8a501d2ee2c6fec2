//! Diagnostics as people read them: in the manner of rustc.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::{Code, Diagnostic, Diagnostics, Label, Severity};
use crate::source::{File, Source, Span};

/// All diagnostics in the order of the files and their lines, each followed by an empty line.
#[must_use]
pub fn render(diagnostics: &Diagnostics, source: &Source, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let page = Page::of(source, diagnostics);
    let mut out = String::new();
    for diagnostic in diagnostics.sorted() {
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "{}\n", renderer.render(&[group(diagnostic, &page)]));
    }
    out
}

/// "2 errors, 1 warning", or `None` when there is nothing to count.
#[must_use]
pub fn summary(diagnostics: &Diagnostics) -> Option<String> {
    let count = |severity| diagnostics.sorted().iter().filter(|it| it.code.severity() == severity).count();
    let plural = |n: usize, word: &str| match n {
        0 => None,
        1 => Some(format!("1 {word}")),
        n => Some(format!("{n} {word}s")),
    };
    let parts: Vec<_> = [plural(count(Severity::Error), "error"), plural(count(Severity::Warning), "warning")]
        .into_iter()
        .flatten()
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// More bytes of source than help anybody, and than are worth laying out for each message.
const MAX_SHOWN: usize = 64 << 10;
/// What is shown of an endless line behind the last mark; the renderer cuts it to the terminal.
const MAX_BEHIND: usize = 256;
/// A message repeats the user's words, but no more of them than can be read.
const MAX_MESSAGE: usize = 600;

fn group<'a>(diagnostic: &'a Diagnostic, page: &Page<'a>) -> Group<'a> {
    let level = match diagnostic.code.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(printable(&diagnostic.message)).id(diagnostic.code.as_str());
    let context = diagnostic.context.iter().map(|it| (AnnotationKind::Context, it));
    let marks: Vec<_> = match &diagnostic.primary {
        Some(primary) => std::iter::once((AnnotationKind::Primary, primary)).chain(context).collect(),
        None => Vec::new(),
    };
    let mut elements = page.snippets(&marks);
    elements.extend(diagnostic.help.iter().map(|help| Level::HELP.message(printable(help)).into()));
    title.elements(elements)
}

/// A source as it may be shown.
pub(crate) struct Page<'a> {
    source: &'a Source,
    lines: Lines,
    /// Whether no line may be shown.
    secret: bool,
    /// The lines of passwords.
    passwords: BTreeSet<usize>,
}

/// What is shown of one file.
struct View<'a, 'b> {
    file: File<'a>,
    /// Its places, each with the kind of its mark, in the order in which they were given.
    labels: Vec<(AnnotationKind, &'b Label)>,
    /// The whole lines of them.
    window: Span,
}

impl View<'_, '_> {
    fn spans(&self) -> impl Iterator<Item = Span> + Clone {
        self.labels.iter().map(|it| it.1.span)
    }
}

impl<'a> Page<'a> {
    /// A line with a secret must not reach a terminal's history or the log of a CI job, and a file
    /// that has one may have more: no line of it is shown.
    pub(crate) fn of(source: &'a Source, diagnostics: &Diagnostics) -> Self {
        let lines = Lines::of(source.text());
        let secret = diagnostics.list.iter().any(|it| it.code == Code::SecretInFile)
            || source.text().contains("PRIVATE KEY-----");
        // A password stands behind the name of its variable, or on the line below.
        let passwords = diagnostics
            .list
            .iter()
            .filter(|it| it.code == Code::PlaintextPassword)
            .filter_map(|it| it.primary.as_ref().map(|label| lines.index(label.span.start)))
            .flat_map(|line| [line, line + 1])
            .collect();
        Self { source, lines, secret, passwords }
    }

    /// The index of the line that holds this byte.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.lines.index(at)
    }

    /// The lines of these marks, or where the first of them is, file by file: that of the first mark
    /// comes first.
    pub(crate) fn snippets(&self, marks: &[(AnnotationKind, &Label)]) -> Vec<Element<'a>> {
        let views = self.views(marks);
        let touched = |window: Span| {
            let last = window.end.saturating_sub(1).max(window.start);
            self.lines.index(window.start)..self.lines.index(last) + 1
        };
        let shown = !self.secret && views.iter().all(|it| self.passwords.range(touched(it.window)).next().is_none());
        views.into_iter().map(|it| self.snippet(&it, shown)).collect()
    }

    fn views<'b>(&self, marks: &[(AnnotationKind, &'b Label)]) -> Vec<View<'a, 'b>> {
        let mut views: Vec<View<'a, 'b>> = Vec::new();
        for label in marks {
            let file = self.source.file(label.1.span);
            match views.iter_mut().find(|it| it.file.span == file.span) {
                Some(view) => view.labels.push(*label),
                None => views.push(View { file, labels: vec![*label], window: file.span }),
            }
        }
        for view in &mut views {
            let mut window = self.lines.window(view.file, view.spans());
            if window.end - window.start > MAX_SHOWN {
                window = Lines::shortened(window, self.source.text(), view.spans());
            }
            view.window = window;
        }
        views
    }

    fn snippet(&self, view: &View<'a, '_>, shown: bool) -> Element<'a> {
        let window = view.window;
        if !shown || window.end - window.start > MAX_SHOWN || view.file.span.start == view.file.span.end {
            let (line, column) = self.source.line_column(view.labels[0].1.span);
            return Origin::path(escaped(view.file.name)).line(line).char_column(column).into();
        }
        let shift = |span: Span| {
            // A mark needs a place to stand, also at the end of the file or of a line.
            let start = span.start.clamp(window.start, window.end) - window.start;
            start..(span.end.clamp(window.start, window.end) - window.start).max(start)
        };
        let mut snippet = Snippet::source(self.source.slice(window))
            .path(escaped(view.file.name))
            .line_start(self.lines.number(view.file, window.start));
        for (kind, label) in &view.labels {
            snippet = snippet.annotation(kind.span(shift(label.span)).label(printable(&label.text)));
        }
        snippet.into()
    }
}

/// Whether a character would move a terminal's cursor or turn the direction of a line.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A name as it is, with what cannot be seen as its number.
pub(crate) fn shown(text: &str) -> String {
    if !text.chars().any(is_hidden) {
        return text.to_owned();
    }
    let one = |c: char| if is_hidden(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(one).collect()
}

/// Names reach messages as the user wrote them: what would move a terminal's cursor or turn the
/// direction of a line is shown by its number.
pub(crate) fn printable(text: &str) -> String {
    if let Some((cut, _)) = text.char_indices().nth(MAX_MESSAGE) {
        return escaped(&text[..cut]) + "…";
    }
    escaped(text)
}

fn escaped(text: &str) -> String {
    let text = text.replace("``", "`\"\"`");
    let shown = |c: char| match c {
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        c if is_hidden(c) => c.escape_unicode().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// Where each line starts: found once, so that many messages about a large file stay cheap.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// The index of the line that holds this byte.
    fn index(&self, at: usize) -> usize {
        self.0.partition_point(|&start| start <= at) - 1
    }

    /// The number of the line in its file, from 1.
    fn number(&self, file: File<'_>, at: usize) -> usize {
        self.index(at) - self.index(file.span.start) + 1
    }

    /// The whole lines of a file that these spans touch.
    fn window(&self, file: File<'_>, spans: impl Iterator<Item = Span>) -> Span {
        let (first, last) = spans.fold((usize::MAX, 0), |(first, last), span| {
            (first.min(self.index(span.start)), last.max(self.index(span.end.min(file.span.end).max(span.start))))
        });
        Span::new(self.0[first], self.0.get(last + 1).map_or(file.span.end, |it| file.span.end.min(*it)))
    }

    /// A window without what follows, on an endless line, the last of these spans.
    fn shortened(window: Span, text: &str, spans: impl Iterator<Item = Span>) -> Span {
        let last = spans.map(|span| span.end).max().unwrap_or(window.start);
        let end = (last + MAX_BEHIND).min(window.end);
        let end = (end..window.end).find(|&it| text.is_char_boundary(it)).unwrap_or(window.end);
        Span::new(window.start, end)
    }
}
