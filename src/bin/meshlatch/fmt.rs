//! `meshlatch fmt`: the files of a topology in their uniform spelling.

use std::fmt::Write as _;
use std::path::Path;

use meshlatch::diag::{self, Diagnostics};
use meshlatch::{format, syntax};
use similar::TextDiff;

use crate::args::FmtArgs;
use crate::failure::Failure;
use crate::files::Files;
use crate::{Status, input, replace, terminal};

/// Formats every file, or none if there is something to say of one.
pub(crate) fn run(args: &FmtArgs) -> Result<Status, Failure> {
    let files = Files::find(&args.topology)?;
    let stdin = files.all().iter().any(|it| input::is_stdin(it));
    if stdin && files.all().len() > 1 {
        return Err(Failure::new("standard input is printed, and files are written").help("leave one of the two out"));
    }
    let mut mistakes = 0;
    let mut changed: Vec<(&Path, String, String)> = Vec::new();
    for path in files.all() {
        match formatted(path)? {
            None => mistakes += 1,
            Some((_, new)) if stdin && !args.check => terminal::print(&new)?,
            Some((old, new)) if old != new => changed.push((path, old, new)),
            Some(_) => {}
        }
    }
    if mistakes > 0 {
        return Ok(Status::Wrong);
    }
    let mut text = String::new();
    for (path, old, new) in &changed {
        let name = input::name(path);
        if args.check {
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "changed    {name}");
            text += &TextDiff::from_lines(old, new).unified_diff().header(&name, &name).to_string();
        } else {
            replace::file(path, new, "make its folder writable, or format a copy: `meshlatch fmt -`")?;
            let _ = writeln!(text, "{name}  written");
        }
    }
    terminal::print(&text)?;
    Ok(if args.check && !changed.is_empty() { Status::Wrong } else { Status::Well })
}

/// The text of a file and its uniform spelling; `None` after saying why there is none.
fn formatted(path: &Path) -> Result<Option<(String, String)>, Failure> {
    let bytes = input::read(path).map_err(|error| input::unread(path, &error))?;
    let mut diags = Diagnostics::new();
    // What was read is compared, also the mark at its beginning.
    let old = String::from_utf8_lossy(&bytes).into_owned();
    let (new, source) = match syntax::decode(&input::name(path), bytes, &mut diags) {
        Ok(source) => (format::format(&source, &mut diags).ok(), source),
        Err((source, _)) => (None, source),
    };
    terminal::say(&diag::render(&diags, &source, true));
    Ok(new.map(|new| (old, new)))
}
