//! `Transaction`: renames that can be undone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// What was done so far, in order, and where files are kept that were taken away.
#[derive(Debug)]
pub(crate) struct Transaction {
    aside: PathBuf,
    taken: usize,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    /// Something lies in `to` that belongs in `from`.
    Moved {
        from: PathBuf,
        to: PathBuf,
    },
    MadeFolder(PathBuf),
    RemovedFolder(PathBuf),
}

impl Transaction {
    /// Nothing was done yet; `aside` lies on the same file system as all that will be moved.
    pub(super) fn new(aside: PathBuf) -> Self {
        Self { aside, taken: 0, steps: Vec::new() }
    }

    /// Moves a file or a folder to a place where nothing is.
    pub(crate) fn create(&mut self, staged: &Path, place: &Path) -> Result<(), Failure> {
        // A rename would silently replace what came after the comparison, or what a file system
        // that ignores case has under another spelling.
        let free = match fs::symlink_metadata(place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        };
        free.and_then(|()| fs::rename(staged, place)).map_err(|error| Failure::io("write", place, &error))?;
        self.steps.push(Step::Moved { from: staged.to_owned(), to: place.to_owned() });
        Ok(())
    }

    /// Moves a file to the place of another, which is at no time without a file if the file system
    /// knows links.
    pub(super) fn replace(&mut self, staged: &Path, place: &Path) -> Result<(), Failure> {
        let aside = self.aside()?;
        fs::hard_link(place, &aside)
            .or_else(|_| fs::rename(place, &aside))
            .map_err(|error| Failure::io("replace", place, &error))?;
        self.steps.push(Step::Moved { from: place.to_owned(), to: aside });
        fs::rename(staged, place).map_err(|error| Failure::io("replace", place, &error))
    }

    /// Takes a file away.
    pub(super) fn remove(&mut self, place: &Path) -> Result<(), Failure> {
        let aside = self.aside()?;
        fs::rename(place, &aside).map_err(|error| Failure::io("remove", place, &error))?;
        self.steps.push(Step::Moved { from: place.to_owned(), to: aside });
        Ok(())
    }

    /// Makes a folder, unless there is one.
    pub(super) fn make_folder(&mut self, place: &Path) -> Result<(), Failure> {
        match fs::create_dir(place) {
            Ok(()) => self.steps.push(Step::MadeFolder(place.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Failure::io("create", place, &error)),
        }
        Ok(())
    }

    /// Removes a folder in which nothing is left; one in use stays.
    pub(super) fn remove_folder_if_empty(&mut self, place: &Path) {
        if fs::remove_dir(place).is_ok() {
            self.steps.push(Step::RemovedFolder(place.to_owned()));
        }
    }

    /// Takes everything back, last step first; what cannot be taken back is told.
    pub(super) fn undo(self) -> Result<(), String> {
        let mut failed = Vec::new();
        for step in self.steps.into_iter().rev() {
            let (place, result) = match &step {
                Step::Moved { from, to } => (from, fs::rename(to, from)),
                Step::MadeFolder(place) => (place, fs::remove_dir(place)),
                Step::RemovedFolder(place) => (place, fs::create_dir(place)),
            };
            if let Err(error) = result {
                failed.push(format!("{} could not be restored: {error}", place.display()));
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
    }

    /// A free place for a file that is taken away.
    fn aside(&mut self) -> Result<PathBuf, Failure> {
        if self.taken == 0 {
            fs::create_dir_all(&self.aside).map_err(|error| Failure::io("create", &self.aside, &error))?;
        }
        self.taken += 1;
        Ok(self.aside.join(self.taken.to_string()))
    }
}
