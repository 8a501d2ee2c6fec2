//! `Listing`: what lies where in a folder, found by reading each folder once and no file.

use std::collections::BTreeMap;
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The entries of folders that were looked into so far.
#[derive(Debug)]
pub(super) struct Listing {
    root: PathBuf,
    folders: BTreeMap<String, BTreeMap<String, FileType>>,
}

/// What is found at a path. Links are never followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A device, a pipe, a socket.
    Special,
    /// The path is, or leads through, this link.
    Link(String),
    /// This part of the path should be a folder and is none.
    NoFolder(String),
}

impl Listing {
    /// Looks into a folder; one that does not exist is empty.
    pub(super) fn read(root: &Path) -> Result<Self, Failure> {
        let mut listing = Self { root: root.to_owned(), folders: BTreeMap::new() };
        match entries(root) {
            Ok(entries) => listing.folders.insert(String::new(), entries),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                listing.folders.insert(String::new(), BTreeMap::new())
            }
            Err(error) => return Err(Failure::io("read", root, &error)),
        };
        Ok(listing)
    }

    /// What an entry of the folder itself is.
    pub(super) fn kind(&self, name: &str) -> Found {
        self.folders[""].get(name).map_or(Found::Nothing, |it| kind(*it, name))
    }

    /// The names of the folders in the folder itself.
    pub(super) fn folders(&self) -> impl Iterator<Item = &str> {
        self.folders[""].iter().filter(|(_, it)| it.is_dir()).map(|(name, _)| name.as_str())
    }

    /// What is found at a path below; folders on the way are looked into.
    pub(super) fn find(&mut self, path: &str) -> Result<Found, Failure> {
        let mut parent = "";
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let here = &path[..end];
            let name = here.rsplit('/').next().expect("a split has a part");
            let Some(entry) = self.folders[parent].get(name).copied() else { return Ok(Found::Nothing) };
            let found = kind(entry, here);
            if end == path.len() {
                return Ok(found);
            }
            match found {
                Found::Folder => {}
                Found::Link(_) => return Ok(found),
                _ => return Ok(Found::NoFolder(here.to_owned())),
            }
            if !self.folders.contains_key(here) {
                let folder = self.root.join(here);
                let entries = entries(&folder).map_err(|error| Failure::io("read", &folder, &error))?;
                self.folders.insert(here.to_owned(), entries);
            }
            parent = here;
        }
        unreachable!("the last end is that of the path")
    }
}

fn kind(entry: FileType, path: &str) -> Found {
    if entry.is_symlink() {
        Found::Link(path.to_owned())
    } else if entry.is_dir() {
        Found::Folder
    } else if entry.is_file() {
        Found::File
    } else {
        Found::Special
    }
}

/// What the system tells of a folder in one go. A name that is no Unicode is none of ours.
fn entries(folder: &Path) -> io::Result<BTreeMap<String, FileType>> {
    let mut entries = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            entries.insert(name, entry.file_type()?);
        }
    }
    Ok(entries)
}
