//! `Staged`: the changes of one cluster, written beside the tree and ready to be put in place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use meshlatch::bundle::{Bundle, File};

use super::Written;
use super::compare::Changes;
use super::obstacle::Obstacle;
use super::transaction::Transaction;
use crate::failure::Failure;
use crate::inventory::{self, Inventory};

/// A cluster's folder as it will be, or its new files by number: first what is missing, then what
/// has changed.
#[derive(Debug)]
pub(super) struct Staged {
    changes: Changes,
    folder: PathBuf,
    staging: PathBuf,
    gone: bool,
    /// While the run is at work: names the files that come and those that go.
    meanwhile: Inventory,
}

const MEANWHILE: &str = "inventory-meanwhile";
const AFTERWARDS: &str = "inventory-afterwards";

impl Staged {
    /// Writes everything that is to be created or replaced into `staging`, which no other cluster
    /// uses; nothing if there are obstacles.
    pub(super) fn new(changes: Changes, folder: PathBuf, staging: PathBuf, bundle: &Bundle) -> Result<Self, Failure> {
        let meanwhile = changes.new.union(changes.old.as_ref().unwrap_or(&Inventory::default()));
        let staged = Self { changes, folder, staging, gone: false, meanwhile };
        if staged.changes.obstacles.is_empty() {
            let files = bundle.files().collect();
            let written = if staged.changes.fresh { staged.write_whole(&files) } else { staged.write_parts(&files) };
            written.map_err(|error| Failure::io("write", &staged.folder, &error))?;
        }
        Ok(staged)
    }

    /// The changes to the folder of a cluster that the topology no longer has: there is nothing to
    /// write.
    pub(super) fn gone(changes: Changes, folder: PathBuf) -> Self {
        let meanwhile = changes.old.clone().unwrap_or_default();
        Self { changes, folder, staging: PathBuf::new(), gone: true, meanwhile }
    }

    /// What is in the way.
    pub(super) fn obstacles(&self) -> &[Obstacle] {
        &self.changes.obstacles
    }

    fn write_whole(&self, files: &BTreeMap<&str, &File>) -> io::Result<()> {
        fs::create_dir_all(&self.staging)?;
        for folder in folders(files.keys().copied()) {
            fs::create_dir(self.staging.join(folder))?;
        }
        for (path, file) in files {
            create(&self.staging.join(path), &file.text, file.executable)?;
        }
        create(&self.staging.join(inventory::FILE), &self.changes.new.to_string(), false)
    }

    fn write_parts(&self, files: &BTreeMap<&str, &File>) -> io::Result<()> {
        if self.changes.inventory().is_none() && self.parts().next().is_none() {
            return Ok(());
        }
        fs::create_dir_all(&self.staging)?;
        for (number, path) in self.parts().enumerate() {
            let file = files[path];
            create(&self.staging.join(number.to_string()), &file.text, file.executable)?;
        }
        create(&self.staging.join(MEANWHILE), &self.meanwhile.to_string(), false)?;
        create(&self.staging.join(AFTERWARDS), &self.changes.new.to_string(), false)
    }

    fn parts(&self) -> impl Iterator<Item = &str> {
        self.changes.missing.iter().chain(&self.changes.changed).map(String::as_str)
    }

    /// Puts everything in place. The inventory names a file before it comes and until it is gone:
    /// if the run is killed in between, no file of ours is taken for somebody else's.
    pub(super) fn place(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        let changes = &self.changes;
        if changes.fresh {
            return transaction.create(&self.staging, &self.folder);
        }
        let inventory = self.folder.join(inventory::FILE);
        match &changes.old {
            Some(old) if *old == self.meanwhile => {}
            Some(_) => transaction.replace(&self.staging.join(MEANWHILE), &inventory)?,
            None => transaction.create(&self.staging.join(MEANWHILE), &inventory)?,
        }
        for path in &changes.left_over {
            transaction.remove(&self.folder.join(path))?;
        }
        for folder in folders(changes.left_over.iter().map(String::as_str)).iter().rev() {
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
        if self.gone {
            transaction.remove(&inventory)?;
            transaction.remove_folder_if_empty(&self.folder);
        } else if changes.new != self.meanwhile {
            transaction.replace(&self.staging.join(AFTERWARDS), &inventory)?;
        }
        Ok(())
    }

    /// What to tell of it.
    pub(super) fn written(&self) -> Written {
        let removed = self.changes.left_over.len();
        if self.gone {
            return Written::Gone { removed };
        }
        Written::Ready { files: self.changes.files, written: self.parts().count(), removed }
    }
}

/// Every folder on the way to these files, parents before children.
fn folders<'a>(paths: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    paths.flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at])).collect()
}

/// Not flushed to the disk: what a power cut leaves is compared and written again by the next run.
fn create(path: &Path, text: &str, executable: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if executable {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o755);
    }
    #[cfg(not(unix))]
    let _ = executable;
    options.open(path)?.write_all(text.as_bytes())
}
