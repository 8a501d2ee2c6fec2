//! `Changes`: how a cluster's folder differs from its bundle.
#![expect(clippy::disallowed_types, reason = "the binary is where files are read")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use meshlatch::bundle::{self, Bundle};

use super::listing::{Found, Listing};
use super::loss;
use super::obstacle::Obstacle;
use super::remarks::Remarks;
use crate::failure::Failure;
use crate::inventory::{self, Claim, Hash, Hasher, Inventory, State};

/// How a file differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// The bundle has it, the folder has not.
    Missing,
    /// It has another text, or is a script that cannot be run.
    Changed,
    /// It has another text than the run gave it that wrote it.
    Edited,
    /// It has another text, and no run wrote it.
    Foreign,
    /// It has the line ends of Windows, and is the same otherwise.
    LineEnds,
    /// An earlier run wrote it, and the bundle has it no longer.
    LeftOver,
    /// An inventory of a run that did not come to its end.
    CutOff,
    /// An inventory with a conflict of git.
    Conflict,
}

/// A file that is there, and is to be replaced or removed.
#[derive(Debug)]
pub(super) struct Present {
    pub(super) path: String,
    difference: Difference,
    hash: Hash,
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
    pub(super) changed: Vec<Present>,
    /// To be removed.
    pub(super) left_over: Vec<Present>,
    /// The inventory that was found, if there is one.
    pub(super) old: Option<Inventory>,
    /// The inventory of the bundle; empty if the cluster is gone.
    pub(super) new: Inventory,
    /// Why it cannot be done.
    pub(super) obstacles: Vec<Obstacle>,
}

impl Changes {
    /// Compares a folder, of which it is known what it is, with a bundle. With `force`, what was
    /// edited is no obstacle.
    pub(super) fn find(folder: &Path, kind: &Found, bundle: &Bundle, force: bool) -> Result<Self, Failure> {
        let mut changes = Self {
            new: Inventory::of(bundle.files().map(|(path, file)| (path, Hash::of(file.text.as_bytes())))),
            files: bundle.files().count(),
            ..Self::default()
        };
        match kind {
            Found::Folder => changes.look(folder, bundle, force)?,
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
            Some(old) if old.state() == State::Unfinished => Some(Difference::CutOff),
            Some(old) if old.state() == State::Conflict => Some(Difference::Conflict),
            Some(_) if self.new.is_empty() => Some(Difference::LeftOver),
            Some(old) => (*old != self.new).then_some(Difference::Changed),
        }
    }

    /// What there is that will be replaced or removed, by path and hash.
    pub(super) fn present(&self) -> impl Iterator<Item = (&str, Hash)> {
        self.changed.iter().chain(&self.left_over).map(|it| (it.path.as_str(), it.hash))
    }

    /// What else the user should know.
    pub(super) fn remarks(&self) -> Remarks {
        Remarks {
            state: self.old.as_ref().map(Inventory::state).unwrap_or_default(),
            line_ends: self.changed.iter().filter(|it| it.difference == Difference::LineEnds).count(),
        }
    }

    /// Every file that differs, in the order of their paths.
    pub(super) fn differences(self) -> Vec<(Difference, String)> {
        let inventory = self.inventory().map(|it| (it, inventory::FILE.to_owned()));
        let missing = self.missing.into_iter().map(|path| (Difference::Missing, path));
        let present = self.changed.into_iter().chain(self.left_over).map(|it| (it.difference, it.path));
        let mut all: Vec<_> = missing.chain(present).chain(inventory).collect();
        all.sort_by(|a, b| a.1.cmp(&b.1));
        all
    }

    fn look(&mut self, folder: &Path, bundle: &Bundle, force: bool) -> Result<(), Failure> {
        let mut listing = Listing::read(folder)?;
        let found = listing.find(inventory::FILE)?;
        self.old = match found {
            Found::Nothing => None,
            Found::File => Some(read_inventory(&folder.join(inventory::FILE))?),
            _ => {
                self.block(found, inventory::FILE);
                return Ok(());
            }
        };
        // Without an inventory nothing is ours.
        let old = self.old.clone().unwrap_or_default();
        let wanted: BTreeMap<&str, &bundle::File> = bundle.files().collect();
        let mut buffer = Vec::new();
        for (path, file) in &wanted {
            match listing.find(path)? {
                Found::Nothing => self.missing.push((*path).to_owned()),
                Found::File => {
                    let content = Content::compare(&folder.join(path), file, &mut buffer)?;
                    self.replace(folder, path, file, content, &old, force)?;
                }
                // What an earlier run wrote as a file makes room for a folder.
                Found::NoFolder(at) if old.contains(&at) && !wanted.contains_key(at.as_str()) => {
                    self.missing.push((*path).to_owned());
                }
                found => self.block(found, path),
            }
        }
        for path in old.paths().filter(|it| !wanted.contains_key(it)) {
            match listing.find(path)? {
                Found::File => self.remove(folder, path, &old, force)?,
                Found::Link(at) => self.block(Found::Link(at), path),
                // Somebody removed it, or put something else in its place, which is not ours.
                Found::Nothing | Found::Folder | Found::Special | Found::NoFolder(_) => {}
            }
        }
        let mut seen = BTreeSet::new();
        self.obstacles.retain(|it| seen.insert(it.path().to_owned()));
        Ok(())
    }

    /// Takes up a file that the bundle has, too.
    fn replace(
        &mut self,
        folder: &Path,
        path: &str,
        file: &bundle::File,
        content: Content,
        old: &Inventory,
        force: bool,
    ) -> Result<(), Failure> {
        let wanted = Hash::of(file.text.as_bytes());
        let (difference, hash) = match content {
            Content::Same => return Ok(()),
            Content::OtherMode => (Difference::Changed, wanted),
            // A text of ours is nobody else's loss, as where no inventory was committed.
            Content::OtherText(hash) if hash == wanted => (Difference::LineEnds, hash),
            Content::OtherText(hash) => match old.claim(path, hash) {
                Claim::Ours => (Difference::Changed, hash),
                Claim::Foreign => {
                    self.obstacles.push(Obstacle::Foreign(path.to_owned()));
                    (Difference::Foreign, hash)
                }
                Claim::Edited => (self.edited(folder, path, &file.text, hash, force)?, hash),
            },
        };
        self.changed.push(Present { path: path.to_owned(), difference, hash });
        Ok(())
    }

    /// Takes up a file that the bundle has no longer.
    fn remove(&mut self, folder: &Path, path: &str, old: &Inventory, force: bool) -> Result<(), Failure> {
        let place = folder.join(path);
        let hash = File::open(&place).and_then(|file| hash(&[], file));
        let hash = hash.map_err(|error| Failure::io("read", &place, &error))?;
        let difference = match old.claim(path, hash) {
            Claim::Edited => self.edited(folder, path, "", hash, force)?,
            Claim::Ours | Claim::Foreign => Difference::LeftOver,
        };
        self.left_over.push(Present { path: path.to_owned(), difference, hash });
        Ok(())
    }

    /// Takes up what a person would lose.
    fn edited(
        &mut self,
        folder: &Path,
        path: &str,
        text: &str,
        hash: Hash,
        force: bool,
    ) -> Result<Difference, Failure> {
        // In an empty file there is nothing to lose; a power cut leaves such.
        if hash == Hash::of(b"") {
            return Ok(if text.is_empty() { Difference::LeftOver } else { Difference::Changed });
        }
        if !force {
            let place = folder.join(path);
            let loss = loss::of(&place, text).map_err(|error| Failure::io("read", &place, &error))?;
            self.obstacles.push(Obstacle::Edited { path: path.to_owned(), loss });
        }
        Ok(Difference::Edited)
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
    /// The text has this hash.
    OtherText(Hash),
}

impl Content {
    fn compare(path: &Path, wanted: &bundle::File, buffer: &mut Vec<u8>) -> Result<Self, Failure> {
        Self::read(path, wanted, buffer).map_err(|error| Failure::io("read", path, &error))
    }

    fn read(path: &Path, wanted: &bundle::File, buffer: &mut Vec<u8>) -> io::Result<Self> {
        let text = wanted.text.as_bytes();
        let mut file = File::open(path)?;
        let runs = !wanted.executable || is_executable(&file)?;
        buffer.clear();
        // One byte more tells a file that goes on.
        let limit = u64::try_from(text.len()).expect("a length fits") + 1;
        buffer.reserve(text.len() + 1);
        file.by_ref().take(limit).read_to_end(buffer)?;
        if buffer == text {
            return Ok(if runs { Self::Same } else { Self::OtherMode });
        }
        Ok(Self::OtherText(hash(buffer, file)?))
    }
}

/// The hash of a text of which the beginning is read already.
fn hash(beginning: &[u8], mut rest: File) -> io::Result<Hash> {
    let mut hasher = Hasher::default();
    hasher.update(beginning);
    io::copy(&mut rest, &mut hasher)?;
    Ok(hasher.finish())
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
