//! `Inventory`: which files of a cluster's folder this program wrote, and with what content.
//!
//! It lies in the folder itself, so that it moves and is committed with the files: a line that
//! names the format, then a line a file, in the order of their paths, as `sha256sum` writes and
//! `sha256sum -c` checks them. A file of another content was edited since, and is not replaced
//! unasked.
//!
//! While a run puts files in place, the first line says that it is unfinished, and a file that is
//! replaced has two lines: what it was and what it becomes. After a run that was cut off, the next
//! one so knows every file as its own, whichever of the two it is.
//!
//! Where git merges two inventories, with marks of a conflict or without, both sides count: a file
//! has all the hashes that stand beside its path.
//!
//! Format 1 had paths only. What it names counts as unedited once more, as it did until now; the
//! run that finds it writes the hashes.

mod hash;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub(crate) use hash::{Hash, Hasher};

/// The name of the file that holds it.
pub(crate) const FILE: &str = ".meshlatch";

const FIRST_LINE: &str = "# meshlatch inventory 2: the files here that `meshlatch compile` replaces and removes";
const UNFINISHED: &str =
    "# meshlatch inventory 2, unfinished: a run was cut off; the next `meshlatch compile` finishes it";
const FORMAT_1: &str = "# meshlatch inventory 1: the files here that `meshlatch compile` replaces and removes";

/// What lines of git in a conflict begin with.
const MARKS: [&str; 4] = ["<<<<<<<", "|||||||", "=======", ">>>>>>>"];

/// Paths relative to the cluster's folder, with `/` between their parts, and for each the hashes
/// that are ours. No path leads out of the folder.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Inventory {
    state: State,
    files: BTreeMap<String, BTreeSet<Hash>>,
}

/// What became of the run that wrote an inventory.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It came to its end.
    #[default]
    Whole,
    /// It is at work, or was cut off.
    Unfinished,
    /// Two of them were merged, and there is a conflict.
    Conflict,
}

/// What an inventory says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is as a run wrote it.
    Ours,
    /// A run wrote it, and then somebody changed it.
    Edited,
    /// No run wrote it.
    Foreign,
}

impl Inventory {
    /// The inventory of these files, whose paths the library made.
    pub(crate) fn of<'a>(files: impl IntoIterator<Item = (&'a str, Hash)>) -> Self {
        let mut inventory = Self::default();
        for (path, hash) in files {
            inventory.add(path, hash);
        }
        inventory
    }

    /// The same on the way from what there is of it now.
    pub(crate) fn unfinished<'a>(&self, now: impl IntoIterator<Item = (&'a str, Hash)>) -> Self {
        let mut inventory = Self { state: State::Unfinished, ..self.clone() };
        for (path, hash) in now {
            inventory.add(path, hash);
        }
        inventory
    }

    fn add(&mut self, path: &str, hash: Hash) {
        debug_assert!(is_inside(path), "{path}");
        self.files.entry(path.to_owned()).or_default().insert(hash);
    }

    /// Reads the text of an inventory, which anybody may have written.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut inventory = Self::default();
        let mut with_hashes = None;
        for (index, line) in text.lines().enumerate() {
            if MARKS.iter().any(|it| line.strip_prefix(it).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
            {
                inventory.state = State::Conflict;
                continue;
            }
            match line {
                FIRST_LINE => with_hashes = Some(true),
                FORMAT_1 => with_hashes = Some(false),
                UNFINISHED => {
                    with_hashes = Some(true);
                    if inventory.state == State::Whole {
                        inventory.state = State::Unfinished;
                    }
                }
                _ => {
                    let with_hashes = with_hashes.ok_or("its first line is not one that this release writes")?;
                    let wrong = |what| format!("line {} is no {what}: `{}`", index + 1, line.escape_debug());
                    let (hash, path) = match line.split_once("  ").filter(|_| with_hashes) {
                        Some((hash, path)) => (Some(Hash::parse(hash).ok_or_else(|| wrong("hash with a path"))?), path),
                        None if with_hashes => return Err(wrong("hash with a path")),
                        None => (None, line),
                    };
                    if !is_inside(path) {
                        return Err(wrong("path inside the folder"));
                    }
                    inventory.files.entry(path.to_owned()).or_default().extend(hash);
                }
            }
        }
        with_hashes.map(|_| inventory).ok_or_else(|| "its first line is not one that this release writes".to_owned())
    }

    /// What became of the run that wrote it.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn contains(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Whose a file is that has this content.
    pub(crate) fn claim(&self, path: &str, hash: Hash) -> Claim {
        match self.files.get(path) {
            None => Claim::Foreign,
            Some(hashes) if hashes.is_empty() || hashes.contains(&hash) => Claim::Ours,
            Some(_) => Claim::Edited,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }
}

impl fmt::Display for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", if self.state == State::Whole { FIRST_LINE } else { UNFINISHED })?;
        for (path, hashes) in &self.files {
            for hash in hashes {
                writeln!(f, "{hash}  {path}")?;
            }
        }
        Ok(())
    }
}

/// Whether a path leads to a file below the folder on every system: also where `\` separates, `:`
/// names a drive or a stream, and dots at the end of a name are dropped.
fn is_inside(path: &str) -> bool {
    path != FILE
        && path.split('/').all(|part| {
            !part.is_empty()
                && !part.ends_with(['.', ' '])
                && !part.contains(|c: char| c.is_control() || "\\:".contains(c))
        })
}
