//! `Changes`: how a cluster's folder differs from its bundle.
#![expect(clippy::disallowed_types, reason = "the binary is where files are read")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use meshlatch::bundle::{self, Bundle};

use super::listing::{Found, Listing};
use super::obstacle::Obstacle;
use crate::failure::Failure;
use crate::inventory::{self, Inventory};

/// How a file differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// The bundle has it, the folder has not.
    Missing,
    /// It has another text, or is a script that cannot be run.
    Changed,
    /// An earlier run wrote it, and the bundle has it no longer.
    LeftOver,
}

/// What must be done to a folder, by path. Nothing of it is done here.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Whether there is no folder yet.
    pub(super) fresh: bool,
    /// How many files the bundle has.
    pub(super) files: usize,
    /// To be created.
    pub(super) missing: Vec<String>,
    /// To be replaced.
    pub(super) changed: Vec<String>,
    /// To be removed.
    pub(super) left_over: Vec<String>,
    /// The inventory that was found, if there is one.
    pub(super) old: Option<Inventory>,
    /// The inventory of the bundle; empty if the cluster is gone.
    pub(super) new: Inventory,
    /// Why it cannot be done.
    pub(super) obstacles: Vec<Obstacle>,
}

impl Changes {
    /// Compares a folder, of which it is known what it is, with a bundle.
    pub(super) fn find(folder: &Path, kind: &Found, bundle: &Bundle) -> Result<Self, Failure> {
        let mut changes = Self {
            new: Inventory::of(bundle.files().map(|(path, _)| path)),
            files: bundle.files().count(),
            ..Self::default()
        };
        match kind {
            Found::Folder => changes.look(folder, bundle)?,
            Found::Nothing => {
                changes.fresh = true;
                changes.missing = bundle.files().map(|(path, _)| path.to_owned()).collect();
            }
            Found::Link(_) => changes.obstacles.push(Obstacle::Link(String::new())),
            Found::File | Found::Special | Found::NoFolder(_) => {
                changes.obstacles.push(Obstacle::NoFolder(String::new()));
            }
        }
        Ok(changes)
    }

    /// Whether the file of the inventory must be written or removed.
    pub(super) fn inventory(&self) -> Option<Difference> {
        match &self.old {
            None if self.new.is_empty() => None,
            None => Some(Difference::Missing),
            Some(_) if self.new.is_empty() => Some(Difference::LeftOver),
            Some(old) => (*old != self.new).then_some(Difference::Changed),
        }
    }

    /// Every file that differs, in the order of their paths.
    pub(super) fn differences(self) -> Vec<(Difference, String)> {
        let inventory = self.inventory().map(|it| (it, inventory::FILE.to_owned()));
        let lists = [
            (Difference::Missing, self.missing),
            (Difference::Changed, self.changed),
            (Difference::LeftOver, self.left_over),
        ];
        let files = lists.into_iter().flat_map(|(it, paths)| paths.into_iter().map(move |path| (it, path)));
        let mut all: Vec<_> = files.chain(inventory).collect();
        all.sort_by(|a, b| a.1.cmp(&b.1));
        all
    }

    fn look(&mut self, folder: &Path, bundle: &Bundle) -> Result<(), Failure> {
        let mut listing = Listing::read(folder)?;
        let found = listing.find(inventory::FILE)?;
        let old = match found {
            Found::Nothing => None,
            Found::File => Some(read_inventory(&folder.join(inventory::FILE))?),
            _ => {
                self.block(found, inventory::FILE);
                return Ok(());
            }
        };
        let written_before = |path: &str| old.as_ref().is_some_and(|it| it.contains(path));
        let wanted: BTreeMap<&str, &bundle::File> = bundle.files().collect();
        let mut buffer = Vec::new();
        for (path, file) in &wanted {
            match listing.find(path)? {
                Found::Nothing => self.missing.push((*path).to_owned()),
                Found::File => {
                    let place = folder.join(path);
                    let found = look_at(&place, file, &mut buffer).map_err(|it| Failure::io("read", &place, &it))?;
                    if found != Content::Same {
                        self.changed.push((*path).to_owned());
                    }
                    // A text of ours is nobody else's loss, as where no inventory was committed.
                    if found == Content::OtherText && !written_before(path) {
                        self.obstacles.push(Obstacle::Foreign((*path).to_owned()));
                    }
                }
                // What an earlier run wrote as a file makes room for a folder.
                Found::NoFolder(at) if written_before(&at) && !wanted.contains_key(at.as_str()) => {
                    self.missing.push((*path).to_owned());
                }
                found => self.block(found, path),
            }
        }
        for path in old.iter().flat_map(Inventory::paths).filter(|it| !wanted.contains_key(it)) {
            match listing.find(path)? {
                Found::File => self.left_over.push(path.to_owned()),
                Found::Link(at) => self.block(Found::Link(at), path),
                // Somebody removed it, or put something else in its place, which is not ours.
                Found::Nothing | Found::Folder | Found::Special | Found::NoFolder(_) => {}
            }
        }
        let mut seen = BTreeSet::new();
        self.obstacles.retain(|it| seen.insert(it.path().to_owned()));
        self.old = old;
        Ok(())
    }

    fn block(&mut self, found: Found, path: &str) {
        self.obstacles.push(match found {
            Found::Link(at) => Obstacle::Link(at),
            Found::NoFolder(at) => Obstacle::NoFolder(at),
            _ => Obstacle::NoFile(path.to_owned()),
        });
    }
}

fn read_inventory(path: &Path) -> Result<Inventory, Failure> {
    let mut text = String::new();
    File::open(path)
        .and_then(|mut it| it.read_to_string(&mut text))
        .map_err(|error| Failure::io("read", path, &error))?;
    Inventory::parse(&text).map_err(|reason| {
        Failure::new(format!("{} is not an inventory of `meshlatch`: {reason}", path.display()))
            .note("it says which files the next run may replace and remove, so it must be right")
            .help("restore it from version control; without it, files that differ count as somebody else's")
    })
}

/// How a file compares with what should stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Same,
    /// The text is right, but a script cannot be run.
    OtherMode,
    OtherText,
}

fn look_at(path: &Path, wanted: &bundle::File, buffer: &mut Vec<u8>) -> io::Result<Content> {
    let text = wanted.text.as_bytes();
    let file = File::open(path)?;
    let runs = !wanted.executable || is_executable(&file)?;
    buffer.clear();
    // One byte more tells a file that goes on; a file that grew is not read to its end.
    let limit = u64::try_from(text.len()).expect("a length fits") + 1;
    buffer.reserve(text.len() + 1);
    file.take(limit).read_to_end(buffer)?;
    Ok(match (buffer == text, runs) {
        (false, _) => Content::OtherText,
        (true, false) => Content::OtherMode,
        (true, true) => Content::Same,
    })
}

#[cfg(unix)]
fn is_executable(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(file.metadata()?.permissions().mode() & 0o100 != 0)
}

#[cfg(not(unix))]
fn is_executable(_: &File) -> io::Result<bool> {
    Ok(true)
}
