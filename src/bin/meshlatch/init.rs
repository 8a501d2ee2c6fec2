//! `meshlatch init`: a commented topology to start from.

use std::io;
use std::path::Path;

use crate::disk::{self, Flush, Mode};
use crate::failure::Failure;
use crate::{Status, terminal};

/// Compiles without a warning; a test holds it to that.
const TOPOLOGY: &str = include_str!("init.yaml");

/// Writes the topology into a file that does not exist yet; `-` prints it.
pub(crate) fn run(path: &Path) -> Result<Status, Failure> {
    if path == Path::new("-") {
        terminal::print(TOPOLOGY)?;
        return Ok(Status::Well);
    }
    disk::create(path, TOPOLOGY, Mode::Text, Flush::Later).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(format!("{} exists already", path.display()))
            .help("name another file, or print the text: `meshlatch init -`"),
        _ => Failure::io("write", path, &error),
    })?;
    terminal::print(&format!("{}  written\n", path.display()))?;
    Ok(Status::Well)
}
