//! `Output`: the folder of the tree while a run works in it.
#![expect(clippy::disallowed_types, reason = "the binary is where files are written")]

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::transaction::Transaction;
use crate::disk::{self, Access};
use crate::failure::Failure;

/// Where a run keeps what it has not yet put in place, and what it took away. In the output
/// folder, for a rename works within one file system only.
pub(crate) const STAGING: &str = ".meshlatch-staging";

/// The output folder, locked. When it is dropped, the staging folder goes, and the output folder
/// too if this run made it and put nothing in.
#[derive(Debug)]
pub(crate) struct Output {
    staging: PathBuf,
    made: Vec<PathBuf>,
    keep: bool,
    lock: Option<File>,
}

impl Output {
    /// Makes the folder if need be, and waits for other runs that write into it.
    pub(crate) fn open(folder: &Path, access: Access) -> Result<Self, Failure> {
        let mut output = Self { staging: folder.join(STAGING), made: Vec::new(), keep: false, lock: None };
        output.make(folder, access)?;
        output.lock = lock(folder);
        // What a killed run left behind; a living one would hold the lock.
        match fs::symlink_metadata(&output.staging) {
            Ok(it) if it.is_dir() => {
                disk::remove_tree(&output.staging).map_err(|it| Failure::io("remove", &output.staging, &it))?;
            }
            Ok(_) => {
                output.keep = true;
                return Err(Failure::new(format!("{} is not a folder", output.staging.display()))
                    .help("`meshlatch` prepares its files there: move it away"));
            }
            Err(_) => {}
        }
        Ok(output)
    }

    /// The staging folder; it does not exist until something is staged.
    pub(crate) fn staging(&self) -> &Path {
        &self.staging
    }

    /// Puts what is staged in place, all of it or nothing.
    pub(crate) fn put_in_place(
        &mut self,
        work: impl FnOnce(&mut Transaction) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut transaction = Transaction::new(self.staging.join("aside"));
        let Err(failure) = work(&mut transaction) else { return Ok(()) };
        Err(match transaction.undo() {
            Ok(()) => failure.note("nothing was changed"),
            Err(second) => {
                // For a person to look at.
                self.keep = true;
                failure
                    .note(second)
                    .note(format!("what was taken away is kept in {}", self.staging.display()))
                    .note("the inventories say that the tree is unfinished, and the next run finishes it")
            }
        })
    }

    fn make(&mut self, folder: &Path, access: Access) -> Result<(), Failure> {
        let missing: Vec<_> = folder.ancestors().take_while(|it| !it.as_os_str().is_empty() && !it.is_dir()).collect();
        for folder in missing.into_iter().rev() {
            match disk::create_folder(folder, access) {
                Ok(()) => self.made.push(folder.to_owned()),
                // Another run was faster.
                Err(_) if folder.is_dir() => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(Failure::new(format!("{} is not a folder", folder.display()))
                        .help("name another folder with `-o`"));
                }
                Err(error) => return Err(Failure::io("create", folder, &error)),
            }
        }
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.keep && fs::symlink_metadata(&self.staging).is_ok() {
            // The next run would remove it, too.
            let _ = disk::remove_tree(&self.staging);
        }
        for folder in self.made.iter().rev() {
            // Fails, as it should, when there is something in it.
            let _ = disk::remove_folder(folder);
        }
        // Last of all: the next run may begin.
        drop(self.lock.take());
    }
}

/// Two runs into one folder wait for each other where the system can lock a folder; elsewhere, and
/// on file systems that cannot, it is left to the user.
fn lock(folder: &Path) -> Option<File> {
    let file = File::open(folder).ok()?;
    file.lock().ok()?;
    Some(file)
}

/// Waits until nobody writes into a folder, and lets nobody while what is given back lives.
pub(super) fn lock_to_read(folder: &Path) -> Option<File> {
    let file = File::open(folder).ok()?;
    file.lock_shared().ok()?;
    Some(file)
}
