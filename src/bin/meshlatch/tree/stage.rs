//! `Staged`: the changes of one cluster, written beside the tree and ready to be put in place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use meshlatch::bundle::{Bundle, File};

use super::Written;
use super::compare::Changes;
use super::obstacle::Obstacle;
use super::transaction::Transaction;
use crate::disk::{self, Flush, Mode};
use crate::failure::Failure;
use crate::inventory;

/// A cluster's folder as it will be, or its new files by number: first what is missing, then what
/// has changed.
#[derive(Debug)]
pub(super) struct Staged {
    changes: Changes,
    folder: PathBuf,
    staging: PathBuf,
    gone: bool,
}

const WHOLE: &str = "whole";
const MEANWHILE: &str = "inventory-meanwhile";
const AFTERWARDS: &str = "inventory-afterwards";

impl Staged {
    /// Writes everything that is to be created or replaced into `staging`, which no other cluster
    /// uses; nothing if there are obstacles.
    pub(super) fn new(changes: Changes, folder: PathBuf, staging: PathBuf, bundle: &Bundle) -> Result<Self, Failure> {
        let staged = Self { changes, folder, staging, gone: false };
        staged.write(&bundle.files().collect())?;
        Ok(staged)
    }

    /// The changes to the folder of a cluster that the topology no longer has.
    pub(super) fn gone(changes: Changes, folder: PathBuf, staging: PathBuf) -> Result<Self, Failure> {
        let staged = Self { changes, folder, staging, gone: true };
        staged.write(&BTreeMap::new())?;
        Ok(staged)
    }

    /// What is in the way.
    pub(super) fn obstacles(&self) -> &[Obstacle] {
        &self.changes.obstacles
    }

    fn write(&self, files: &BTreeMap<&str, &File>) -> Result<(), Failure> {
        let changes = &self.changes;
        if !changes.obstacles.is_empty() || !self.touches() && changes.inventory().is_none() {
            return Ok(());
        }
        let top = if changes.fresh { self.staging.join(WHOLE) } else { self.staging.clone() };
        disk::create_folders(&top).map_err(|error| Failure::io("create", &top, &error))?;
        if changes.fresh {
            for folder in folders(files.keys().copied()) {
                let folder = top.join(folder);
                disk::create_folder(&folder, disk::Access::Everybody)
                    .map_err(|error| Failure::io("create", &folder, &error))?;
            }
        }
        for (number, path) in self.parts().enumerate() {
            let file = files[path];
            let staged = if changes.fresh { top.join(path) } else { top.join(number.to_string()) };
            let mode = if file.executable { Mode::Script } else { Mode::Text };
            self.create(&staged, &file.text, mode, path)?;
        }
        if self.touches() {
            let meanwhile = changes.new.unfinished(changes.present()).to_string();
            let place = if changes.fresh { top.join(inventory::FILE) } else { top.join(MEANWHILE) };
            self.create(&place, &meanwhile, Mode::Text, inventory::FILE)?;
        }
        if !self.gone {
            let afterwards = changes.new.to_string();
            self.create(&self.staging.join(AFTERWARDS), &afterwards, Mode::Text, inventory::FILE)?;
        }
        Ok(())
    }

    /// Not flushed to the disk: that takes four to ten times as long as to write, seconds for a tree of
    /// a hundred clusters. What a power cut leaves has another hash than the inventory says.
    fn create(&self, staged: &Path, text: &str, mode: Mode, path: &str) -> Result<(), Failure> {
        disk::create(staged, text, mode, Flush::Later)
            .map_err(|error| Failure::io("write", &self.folder.join(path), &error))
    }

    fn parts(&self) -> impl Iterator<Item = &str> {
        let changed = self.changes.changed.iter().map(|it| it.path.as_str());
        self.changes.missing.iter().map(String::as_str).chain(changed)
    }

    fn left_over(&self) -> impl Iterator<Item = &str> {
        self.changes.left_over.iter().map(|it| it.path.as_str())
    }

    /// Whether any file but the inventory comes, goes or is replaced.
    fn touches(&self) -> bool {
        self.changes.fresh || self.parts().chain(self.left_over()).next().is_some()
    }

    /// Before any cluster is touched: its inventory says that the run is unfinished, and names
    /// every file that there is or will be.
    pub(super) fn begin(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        if self.changes.fresh || !self.touches() {
            return Ok(());
        }
        let (staged, inventory) = (self.staging.join(MEANWHILE), self.folder.join(inventory::FILE));
        match self.changes.old {
            Some(_) => transaction.replace(&staged, &inventory),
            None => transaction.create(&staged, &inventory),
        }
    }

    /// Puts the files in place.
    pub(super) fn place(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        let changes = &self.changes;
        if changes.fresh {
            return transaction.create(&self.staging.join(WHOLE), &self.folder);
        }
        for path in self.left_over() {
            transaction.remove(&self.folder.join(path))?;
        }
        for folder in folders(self.left_over()).iter().rev() {
            transaction.remove_folder_if_empty(&self.folder.join(folder));
        }
        for folder in folders(changes.missing.iter().map(String::as_str)) {
            transaction.make_folder(&self.folder.join(folder))?;
        }
        for (number, path) in self.parts().enumerate() {
            let (staged, place) = (self.staging.join(number.to_string()), self.folder.join(path));
            if number < changes.missing.len() {
                transaction.create(&staged, &place)?;
            } else {
                transaction.replace(&staged, &place)?;
            }
        }
        Ok(())
    }

    /// When every cluster is in place: its inventory says so.
    pub(super) fn finish(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        let inventory = self.folder.join(inventory::FILE);
        if self.gone {
            transaction.remove(&inventory)?;
            transaction.remove_folder_if_empty(&self.folder);
            return Ok(());
        }
        let afterwards = self.staging.join(AFTERWARDS);
        match (self.touches(), self.changes.inventory()) {
            (false, None) => Ok(()),
            (false, Some(_)) if self.changes.old.is_none() => transaction.create(&afterwards, &inventory),
            _ => transaction.replace(&afterwards, &inventory),
        }
    }

    /// Whether a file comes, changes or goes.
    pub(super) fn changes_anything(&self) -> bool {
        match self.written() {
            Written::Ready { written, removed, .. } => written + removed > 0,
            Written::Gone { removed } => removed > 0,
            Written::Waiting(_) => false,
        }
    }

    /// What to tell of it.
    pub(super) fn written(&self) -> Written {
        let removed = self.changes.left_over.len();
        if self.gone {
            return Written::Gone { removed };
        }
        Written::Ready { files: self.changes.files, written: self.parts().count(), removed }
    }

    /// What else the user should know.
    pub(super) fn remarks(&self) -> super::Remarks {
        self.changes.remarks()
    }
}

/// Every folder on the way to these files, parents before children.
fn folders<'a>(paths: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    paths.flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at])).collect()
}
