//! `meshlatch explain`: the longer story of a code, or the list of all.

use std::fmt::Write as _;

use meshlatch::diag::{self, Code, Severity};

use crate::failure::Failure;
use crate::{Status, terminal};

/// Prints the story of a code, named as printed (`T0201`) or as in the source (`UnknownCluster`).
pub(crate) fn run(code: Option<&str>) -> Result<Status, Failure> {
    let Some(word) = code else {
        terminal::print(&list())?;
        return Ok(Status::Well);
    };
    let named = || Code::ALL.iter().copied().find(|it| it.name().eq_ignore_ascii_case(word));
    let Some(code) = Code::parse(word).or_else(named) else {
        let known = Code::ALL.iter().flat_map(|it| [it.as_str(), it.name()]);
        let failure = Failure::new(format!("there is no code `{word}`"));
        let failure = match diag::nearest(word, known) {
            Some(near) => failure.help(format!("a code with a similar name exists: `{near}`")),
            None => failure,
        };
        return Err(failure.help("`meshlatch explain` lists all codes"));
    };
    terminal::print(code.explanation())?;
    Ok(Status::Well)
}

fn list() -> String {
    let mut text = String::new();
    for code in Code::ALL {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{code}  {:7}  {}", severity(*code), code.title());
    }
    text
}

fn severity(code: Code) -> &'static str {
    match code.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}
