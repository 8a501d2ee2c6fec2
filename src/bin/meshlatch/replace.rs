//! `file`: a file gets another text, whole or not at all.

use std::fs;
use std::path::Path;

use crate::disk;
use crate::failure::Failure;

/// Puts a text in the place of a file, or where none is: the old one is there, or the new one, and never a
/// part of it. Who may read and write it stays as it is. `help` is for a disk that refuses.
pub(crate) fn file(path: &Path, text: &str, help: &str) -> Result<(), Failure> {
    refuse_link(path)?;
    disk::replace(path, text).map_err(|error| Failure::io("write", path, &error).help(help))
}

/// Refuses what is no file of its own.
pub(crate) fn refuse_link(path: &Path) -> Result<(), Failure> {
    if !fs::symlink_metadata(path).is_ok_and(|it| it.is_symlink()) {
        return Ok(());
    }
    Err(Failure::new(format!("{} is a symbolic link", path.display()))
        .note("it would become a file, and what it names would stay as it is")
        .help("name the file itself, or put it there"))
}
