//! The disk: whatever the command changes on it, it changes here.
//!
//! In debug builds a test can stop a run before any of these steps, or let the step fail.

#[cfg(debug_assertions)]
mod fault;

use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use crate::tree::STAGING;

/// Who may look into a folder that a run makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Whom the umask lets.
    Everybody,
    /// The user alone.
    Owner,
}

/// What may be done with a file that a run makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Read by whom the umask lets.
    Text,
    /// Run as well.
    Script,
    /// Read by everybody, written by the user alone.
    Public,
    /// Read by the user alone, from the start.
    Key,
}

/// Whether a file is on the disk when it is written, or some time later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    /// A power cut may take it.
    Later,
    /// It is there to stay.
    Now,
}

/// Makes a folder, with this access from the start.
pub(crate) fn create_folder(path: &Path, access: Access) -> io::Result<()> {
    step()?;
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    if access == Access::Owner {
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    }
    #[cfg(not(unix))]
    let _ = access;
    builder.create(path)
}

/// Makes a folder and those around it, unless they are there.
pub(crate) fn create_folders(path: &Path) -> io::Result<()> {
    step()?;
    fs::create_dir_all(path)
}

/// Makes a file where nothing is.
pub(crate) fn create(path: &Path, text: &str, mode: Mode, flush: Flush) -> io::Result<()> {
    step()?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        let mode = match mode {
            Mode::Text => 0o666,
            Mode::Script => 0o755,
            Mode::Public => 0o644,
            Mode::Key => 0o600,
        };
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    }
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path)?;
    step()?;
    file.write_all(text.as_bytes())?;
    if flush == Flush::Now {
        step()?;
        file.sync_all()?;
    }
    Ok(())
}

/// Puts a text in the place of a file, or where none is: the old one is there, or the new one, and
/// never a part of it, whatever happens. Who may read and write it stays as it is.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = OsString::from(STAGING);
    name.push("-");
    name.push(path.file_name().unwrap_or_default());
    let staged = path.with_file_name(name);
    // What a killed run left there goes; the name is nobody else's.
    if fs::symlink_metadata(&staged).is_ok() {
        remove(&staged)?;
    }
    let written = create(&staged, text, Mode::Text, Flush::Now)
        .and_then(|()| keep_access(path, &staged))
        .and_then(|()| rename(&staged, path));
    written.inspect_err(|_| {
        // The first error is the one to tell.
        let _ = remove(&staged);
    })
}

/// Lets those read and write a file who may do so with another, if that is there.
pub(crate) fn keep_access(of: &Path, file: &Path) -> io::Result<()> {
    step()?;
    fs::symlink_metadata(of).map_or(Ok(()), |it| fs::set_permissions(file, it.permissions()))
}

/// Moves a file or a folder; a file that is there is replaced.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    step()?;
    fs::rename(from, to)
}

/// Gives a file another name beside its own. Where the file system knows no such thing, a copy.
pub(crate) fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    step()?;
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop))
}

/// Removes a file.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    step()?;
    fs::remove_file(path)
}

/// Removes a folder in which nothing is left.
pub(crate) fn remove_folder(path: &Path) -> io::Result<()> {
    step()?;
    fs::remove_dir(path)
}

/// Removes a folder with all that is in it. Links are removed, and not followed.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    step()?;
    fs::remove_dir_all(path)
}

/// Comes before every change.
fn step() -> io::Result<()> {
    #[cfg(debug_assertions)]
    fault::step()?;
    Ok(())
}
