//! `Failure`: what ended a run outside the topology, a command line, a file or a disk.

use std::io;
use std::path::Path;

use annotate_snippets::Level;

use crate::terminal;

/// What went wrong, and the way out.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    notes: Vec<String>,
    help: Vec<String>,
}

impl Failure {
    /// A failure of which there is only this to say.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), notes: Vec::new(), help: Vec::new() }
    }

    /// The system refused to do something with a path: `cannot read topology.yaml: …`.
    pub(crate) fn io(act: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(format!("cannot {act} {}: {}", path.display(), reason(error)))
    }

    /// More to know.
    pub(crate) fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// A way out.
    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Says so.
    pub(crate) fn report(&self) {
        terminal::report(Level::ERROR, &self.message, &self.notes, &self.help);
    }
}

/// What the system says, without the number that Rust puts behind it.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
