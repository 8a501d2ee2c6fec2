//! A report for a terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::Report;
use super::changes::Presence;
use super::lines::{self, Limits, Line, Mark};
use super::sections::sections;
use super::story::chapters;
use super::words::{list, shown};

/// How long a value may be beside its path, in characters.
pub(super) const WIDTH: usize = 100;

/// A report for a terminal, in color or without; in full if `all` is asked for.
#[must_use]
pub fn human(report: &Report, all: bool, color: bool) -> String {
    let limits = Limits::of(all);
    let mut out = String::new();
    let mut put = |line: &Line, base: usize| {
        let style = if color { style(line.mark) } else { Style::new() };
        let indent = "  ".repeat(base + line.depth);
        let text = format!("{}{}", mark(line.mark), line.text);
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "{indent}{style}{}{style:#}", text.trim_end());
    };
    let title = |text: String| lines::line(Mark::Title, 0, text);
    if !report.is_empty() {
        put(&title(format!("--- {}", shown(&report.sides[0]))), 0);
        put(&title(format!("+++ {}", shown(&report.sides[1]))), 0);
    }
    put(&title(report.sentence()), 0);
    for left in &report.left_out {
        let what = format!("{} is left out: in {} it waits for {}", left.cluster, left.side, list(&left.waits_for, 8));
        put(&lines::line(Mark::Warning, 0, shown(&what)), 0);
    }
    for note in &report.notes {
        put(&lines::line(Mark::Warning, 0, shown(note)), 0);
    }
    for chapter in chapters(report, limits) {
        put(&lines::line(Mark::Plain, 0, ""), 0);
        put(&title(chapter.title.to_owned()), 0);
        for it in &chapter.lines {
            put(it, 1);
        }
    }
    for section in sections(&report.clusters) {
        let names = list(&section.clusters, limits.names.max(2));
        let heading = match section.presence {
            Presence::Added => format!("In {names}, new"),
            Presence::Removed => format!("In {names}, gone"),
            Presence::Changed => format!("In {names}"),
        };
        put(&lines::line(Mark::Plain, 0, ""), 0);
        put(&title(heading), 0);
        for it in lines::section(&section, 0, limits) {
            put(&it, 1);
        }
    }
    out
}

fn mark(mark: Mark) -> &'static str {
    match mark {
        Mark::Added => "+ ",
        Mark::Removed => "- ",
        Mark::Changed => "~ ",
        Mark::Warning => "! ",
        Mark::Title => "",
        Mark::Plain | Mark::Remark => "  ",
    }
}

fn style(mark: Mark) -> Style {
    match mark {
        Mark::Added => AnsiColor::Green.on_default(),
        Mark::Removed => AnsiColor::Red.on_default(),
        Mark::Changed => AnsiColor::Cyan.on_default(),
        Mark::Warning => AnsiColor::Yellow.on_default().bold(),
        Mark::Title => Style::new().bold(),
        Mark::Plain => Style::new(),
        Mark::Remark => Style::new().dimmed(),
    }
}
