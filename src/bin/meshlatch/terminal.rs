//! The two streams: results on stdout, everything else on stderr, in color where that is wanted.

use std::io::{self, Write as _};
use std::path::Path;

use annotate_snippets::{Element, Level, Renderer};
use anstream::ColorChoice;

use crate::args::Color;
use crate::failure::Failure;

impl Color {
    /// Makes it the rule for this process.
    pub(crate) fn apply(self) {
        let choice = match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// Prints a result. That nobody reads it to the end is no mistake: `meshlatch explain | head`.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    finish(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

fn finish(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::io("write to", Path::new("standard output"), &error))
        }
        _ => Ok(()),
    }
}

/// Prints a result in color, which is dropped where it is not wanted.
pub(crate) fn print_styled(text: &str) -> Result<(), Failure> {
    let mut stdout = anstream::AutoStream::auto(io::stdout().lock());
    finish(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// Says something beside the result; colors are dropped where they are not wanted.
pub(crate) fn say(text: &str) {
    // There is nobody left to tell that stderr is closed.
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

/// Says a message in the manner of the diagnostics.
pub(crate) fn report(level: Level<'_>, message: &str, notes: &[String], help: &[String]) {
    let notes = notes.iter().map(|it| Element::from(Level::NOTE.message(it)));
    let help = help.iter().map(|it| Element::from(Level::HELP.message(it)));
    let group = level.primary_title(message).elements(notes.chain(help));
    say(&format!("{}\n\n", Renderer::styled().render(&[group])));
}
