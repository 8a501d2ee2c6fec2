//! A report for a comment on a pull request.
//!
//! What a topology names stands in fenced blocks or in `<code>`, from which nothing breaks out.

use std::fmt::Write as _;

use super::Report;
use super::changes::Presence;
use super::lines::{self, Limits, Line, Mark};
use super::sections::sections;
use super::story::chapters;
use super::words::{list, shown};

/// GitHub takes comments of 65,536 characters; bytes are never fewer.
const MOST: usize = 60_000;

/// A report for a comment on a pull request; in full if `all` is asked for, however long that is.
#[must_use]
pub fn markdown(report: &Report, all: bool) -> String {
    let limits = Limits::of(all);
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "### {} → {}\n", code(&report.sides[0]), code(&report.sides[1]));
    let _ = writeln!(out, "**{}**", report.sentence());
    let mut remarks: Vec<String> = Vec::new();
    for left in &report.left_out {
        let (cluster, side) = (code(&left.cluster), code(&left.side));
        remarks.push(format!("{cluster} is left out: in {side} it waits for {}", code(&list(&left.waits_for, 8))));
    }
    remarks.extend(report.notes.iter().map(|it| format!("Not looked at: {}", code(it))));
    for (index, remark) in remarks.iter().enumerate() {
        let _ = writeln!(out, "{}- {remark}", if index == 0 { "\n" } else { "" });
    }
    for chapter in chapters(report, limits) {
        let _ = write!(out, "\n#### {}\n\n{}", chapter.title, block(&chapter.lines));
    }
    let sections = sections(&report.clusters);
    let mut left = 0;
    for section in &sections {
        let names = html(&list(&section.clusters, limits.names.max(2)));
        let lines = lines::section(section, 0, limits);
        let count = section.objects.iter().map(Vec::len).sum::<usize>();
        let what = match section.presence {
            Presence::Added => ", new",
            Presence::Removed => ", gone",
            Presence::Changed => "",
        };
        let counted = super::words::count(count, "object");
        let files = match section.files.len() {
            0 => String::new(),
            number => format!(", {}", super::words::count(number, "file")),
        };
        let text = format!(
            "\n<details><summary><code>{names}</code>{what}: {counted}{files}</summary>\n\n{}\n</details>\n",
            block(&lines)
        );
        if all || out.len() + text.len() <= MOST {
            out += &text;
        } else {
            left += 1;
        }
    }
    if left > 0 {
        let _ = writeln!(
            out,
            "\nThere is no room in a comment for {}: `meshlatch diff --all` tells of everything.",
            if left == 1 { "1 more block".to_owned() } else { format!("{left} more blocks") }
        );
    }
    out
}

/// Lines as a block in which marks are colored.
fn block(lines: &[Line]) -> String {
    let text: String = lines.iter().flat_map(|it| [marked(it), "\n".to_owned()]).collect();
    // A fence is longer than any run of its characters inside.
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(3.max(longest + 1));
    format!("{fence}diff\n{text}{fence}\n")
}

fn marked(line: &Line) -> String {
    let mark = match line.mark {
        Mark::Added => '+',
        Mark::Removed => '-',
        Mark::Changed | Mark::Warning => '!',
        Mark::Title => '#',
        Mark::Plain | Mark::Remark => ' ',
    };
    format!("{mark} {}{}", "  ".repeat(line.depth), line.text).trim_end().to_owned()
}

/// A name as code, whatever is in it.
fn code(text: &str) -> String {
    format!("<code>{}</code>", html(text))
}

/// Text in which nothing is a tag, an entity, a mark of Markdown, or a mention of somebody.
fn html(text: &str) -> String {
    let mut out = String::new();
    for c in shown(text).chars() {
        if c.is_ascii_alphanumeric() || matches!(c, ' ' | '/' | '.' | ',' | '-' | ':') || !c.is_ascii() {
            out.push(c);
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(out, "&#{};", u32::from(c));
        }
    }
    out
}
