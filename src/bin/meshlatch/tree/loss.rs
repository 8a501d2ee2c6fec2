//! What a file that was edited would lose, as `diff -u` writes it.
#![expect(clippy::disallowed_types, reason = "the binary is where files are read")]

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use meshlatch::diag;
use similar::TextDiff;

/// How many lines of a difference are shown.
const LINES: usize = 20;

/// How many characters of a line are shown.
const WIDTH: usize = 160;

/// Of a file that is larger nothing is shown: in bytes.
const LARGE: u64 = 1 << 20;

/// What a file loses when this text takes its place; shortened, and safe for a terminal.
pub(super) fn of(path: &Path, text: &str) -> io::Result<String> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > LARGE || text.len() as u64 > LARGE {
        return Ok(format!("{length} bytes, too many to be compared here"));
    }
    let mut bytes = Vec::new();
    file.take(LARGE).read_to_end(&mut bytes)?;
    // Line ends are nothing that a person edits.
    let old = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
    let difference = TextDiff::from_lines(&old, &text.replace("\r\n", "\n")).unified_diff().to_string();
    let lines: Vec<_> = difference.lines().map(shown).collect();
    let more = match lines.len().saturating_sub(LINES) {
        0 => String::new(),
        1 => "\n… 1 more line".to_owned(),
        more => format!("\n… {more} more lines"),
    };
    Ok(lines[..lines.len().min(LINES)].join("\n") + &more)
}

fn shown(line: &str) -> String {
    let mut shown = String::new();
    for (index, c) in line.chars().enumerate() {
        match c {
            _ if index == WIDTH => return shown + "…",
            '\t' => shown.push(c),
            c if diag::is_hidden(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}
