//! `Source`: the files that were read, and places in them.
//!
//! The texts of all files stand one behind the other in one text, with an end of line between two
//! of them that belongs to neither. So a [`Span`] is two numbers, whatever file it lies in, and the
//! order of spans is that of files, then of lines; [`Source::file`] says whose it is.

use std::ops::Range;

/// The texts of the input files and the names to call them by in messages.
#[derive(Debug, Clone, Default)]
pub struct Source {
    names: Vec<String>,
    /// Where each file starts and ends in the text.
    spans: Vec<Span>,
    text: String,
}

/// One file of a [`Source`].
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// What the user calls it: a path, or `<stdin>`.
    pub name: &'a str,
    /// All of its bytes.
    pub span: Span,
}

impl Source {
    /// A source of one file; `text` is the whole of it, without a byte order mark.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let mut source = Self::default();
        source.push(name.into(), text.into());
        source
    }

    /// Adds a file behind the others; gives the place of its text.
    pub fn push(&mut self, name: String, text: String) -> Span {
        let start = self.next_start();
        if self.names.is_empty() {
            self.text = text;
        } else {
            self.text.push('\n');
            self.text.push_str(&text);
        }
        let span = Span::new(start, self.text.len());
        self.names.push(name);
        self.spans.push(span);
        span
    }

    /// Where the next file will start.
    fn next_start(&self) -> usize {
        self.spans.last().map_or(0, |last| last.end + 1)
    }

    /// What the user calls the first file.
    #[must_use]
    pub fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// The files, in order.
    pub fn files(&self) -> impl ExactSizeIterator<Item = File<'_>> {
        self.names.iter().zip(&self.spans).map(|(name, span)| File { name, span: *span })
    }

    /// The file in which a span starts.
    #[must_use]
    pub fn file(&self, span: Span) -> File<'_> {
        let index = self.spans.partition_point(|it| it.start <= span.start).saturating_sub(1);
        self.files().nth(index).unwrap_or(File { name: "", span: Span::default() })
    }

    /// The texts of all files.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text a span covers.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or("")
    }

    /// Line and column of a span's start in its file, both counted from 1; columns count characters.
    #[must_use]
    pub fn line_column(&self, span: Span) -> (usize, usize) {
        let before = self.text.get(self.file(span).span.start..span.start).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (1 + before.bytes().filter(|&b| b == b'\n').count(), 1 + before[line_start..].chars().count())
    }
}

/// A range of bytes in a [`Source`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The span from `start` up to, not including, `end`.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end: end.max(start) }
    }

    /// As a range, to slice with.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}
