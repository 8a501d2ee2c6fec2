//! `Batch`: new files, staged as they will lie and then put in place.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::tree::{Access, Transaction};

/// Files and folders by their path below the folder of keys, in the order in which they come.
pub(super) struct Batch {
    staging: PathBuf,
    paths: Vec<String>,
}

impl Batch {
    /// Nothing yet.
    pub(super) fn new(staging: &Path) -> Result<Self, Failure> {
        Access::Owner.create_folder(staging).map_err(|error| Failure::io("create", staging, &error))?;
        Ok(Self { staging: staging.to_owned(), paths: Vec::new() })
    }

    /// Makes a folder with all that lead to it.
    pub(super) fn make_folder(&mut self, path: &str) -> Result<(), Failure> {
        for part in ancestors(path) {
            let place = self.staging.join(part);
            match Access::Owner.create_folder(&place) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Failure::io("create", &place, &error));
                }
                _ => {}
            }
        }
        self.paths.push(path.to_owned());
        Ok(())
    }

    /// Writes what everybody may know.
    pub(super) fn write(&mut self, path: &str, text: &str) -> Result<(), Failure> {
        self.create(path, text, 0o644)
    }

    /// Writes what only the user may read, at no time with another mode.
    pub(super) fn write_key(&mut self, path: &str, text: &str) -> Result<(), Failure> {
        self.create(path, text, 0o600)
    }

    fn create(&mut self, path: &str, text: &str, mode: u32) -> Result<(), Failure> {
        let place = self.staging.join(path);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        #[cfg(not(unix))]
        let _ = mode;
        // On the disk before it is told: unlike a bundle, a key cannot be made a second time.
        let written = options.open(&place).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|error| Failure::io("write", &place, &error))?;
        self.paths.push(path.to_owned());
        Ok(())
    }

    /// Moves everything to its place, a new folder with all that is in it in one step.
    pub(super) fn place(&self, folder: &Path, transaction: &mut Transaction) -> Result<(), Failure> {
        for path in &self.paths {
            let missing = ancestors(path).find(|part| fs::symlink_metadata(folder.join(part)).is_err());
            if let Some(part) = missing {
                transaction.create(&self.staging.join(part), &folder.join(part))?;
            }
        }
        Ok(())
    }
}

/// The folders on the way to a path, and itself.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at]).chain([path])
}
