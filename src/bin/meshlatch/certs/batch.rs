//! `Batch`: new files, staged as they will lie and then put in place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{self, Access, Flush, Mode};
use crate::failure::Failure;
use crate::tree::Transaction;

/// Files and folders by their path below the folder of keys, in the order in which they come.
pub(super) struct Batch {
    staging: PathBuf,
    paths: Vec<String>,
}

impl Batch {
    /// Nothing yet.
    pub(super) fn new(staging: &Path) -> Result<Self, Failure> {
        disk::create_folder(staging, Access::Owner).map_err(|error| Failure::io("create", staging, &error))?;
        Ok(Self { staging: staging.to_owned(), paths: Vec::new() })
    }

    /// Makes a folder with all that lead to it.
    pub(super) fn make_folder(&mut self, path: &str) -> Result<(), Failure> {
        for part in ancestors(path) {
            let place = self.staging.join(part);
            match disk::create_folder(&place, Access::Owner) {
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
        self.create(path, text, Mode::Public)
    }

    /// Writes what only the user may read, at no time with another mode.
    pub(super) fn write_key(&mut self, path: &str, text: &str) -> Result<(), Failure> {
        self.create(path, text, Mode::Key)
    }

    fn create(&mut self, path: &str, text: &str, mode: Mode) -> Result<(), Failure> {
        let place = self.staging.join(path);
        // On the disk before it is told: unlike a bundle, a key cannot be made a second time.
        disk::create(&place, text, mode, Flush::Now).map_err(|error| Failure::io("write", &place, &error))?;
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
