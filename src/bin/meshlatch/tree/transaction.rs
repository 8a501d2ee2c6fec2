//! `Transaction`: changes that can be undone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{self, Access};
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
    /// A file elsewhere had this text, or was not there.
    Rewritten {
        place: PathBuf,
        before: Option<String>,
    },
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
        free.and_then(|()| disk::rename(staged, place)).map_err(|error| Failure::io("write", place, &error))?;
        self.steps.push(Step::Moved { from: staged.to_owned(), to: place.to_owned() });
        Ok(())
    }

    /// Moves a file to the place of another, which is at no time without a file.
    pub(super) fn replace(&mut self, staged: &Path, place: &Path) -> Result<(), Failure> {
        let aside = self.aside()?;
        // Until the rename there is nothing to take back.
        disk::link_or_copy(place, &aside)
            .and_then(|()| disk::rename(staged, place))
            .map_err(|error| Failure::io("replace", place, &error))?;
        self.steps.push(Step::Moved { from: place.to_owned(), to: aside });
        Ok(())
    }

    /// Takes a file away.
    pub(crate) fn remove(&mut self, place: &Path) -> Result<(), Failure> {
        let aside = self.aside()?;
        disk::rename(place, &aside).map_err(|error| Failure::io("remove", place, &error))?;
        self.steps.push(Step::Moved { from: place.to_owned(), to: aside });
        Ok(())
    }

    /// Makes a folder, unless there is one.
    pub(super) fn make_folder(&mut self, place: &Path) -> Result<(), Failure> {
        match disk::create_folder(place, Access::Everybody) {
            Ok(()) => self.steps.push(Step::MadeFolder(place.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Failure::io("create", place, &error)),
        }
        Ok(())
    }

    /// Removes a folder in which nothing is left; one in use stays.
    pub(super) fn remove_folder_if_empty(&mut self, place: &Path) {
        if disk::remove_folder(place).is_ok() {
            self.steps.push(Step::RemovedFolder(place.to_owned()));
        }
    }

    /// Writes a file outside the tree, of which it is known what it says, if it is there.
    pub(crate) fn rewrite(&mut self, place: &Path, before: Option<String>, text: &str) -> Result<(), Failure> {
        disk::replace(place, text).map_err(|error| Failure::io("write", place, &error))?;
        self.steps.push(Step::Rewritten { place: place.to_owned(), before });
        Ok(())
    }

    /// Takes everything back, last step first. If a step cannot be taken back, those before it stay,
    /// too: the first of all say that the run is unfinished, which is then the truth.
    pub(super) fn undo(self) -> Result<(), String> {
        for step in self.steps.into_iter().rev() {
            let (place, result) = match &step {
                Step::Moved { from, to } => (from, disk::rename(to, from)),
                Step::MadeFolder(place) => (place, disk::remove_folder(place)),
                Step::RemovedFolder(place) => (place, disk::create_folder(place, Access::Everybody)),
                Step::Rewritten { place, before: Some(text) } => (place, disk::replace(place, text)),
                Step::Rewritten { place, before: None } => (place, disk::remove(place)),
            };
            result.map_err(|error| format!("{} could not be restored: {error}", place.display()))?;
        }
        Ok(())
    }

    /// A free place for a file that is taken away.
    fn aside(&mut self) -> Result<PathBuf, Failure> {
        if self.taken == 0 {
            disk::create_folders(&self.aside).map_err(|error| Failure::io("create", &self.aside, &error))?;
        }
        self.taken += 1;
        Ok(self.aside.join(self.taken.to_string()))
    }
}
