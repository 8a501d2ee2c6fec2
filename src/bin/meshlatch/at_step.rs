//! `AtStep`: the file that says of a tree that it is a step of a roll-out, and of which.
#![expect(clippy::disallowed_methods, reason = "the binary is where files are read")]

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::tree::Transaction;

/// Its name, in the folder of the bundles.
const FILE: &str = ".meshlatch-rollout";

const FIRST_LINE: &str =
    "# meshlatch roll-out 1: the bundles here are a step of it; `meshlatch rollout` tells the others";

/// A step of a roll-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AtStep {
    /// What ran before, as `rollout` takes it: a commit, or a file.
    pub(crate) old: String,
    /// What the step is called.
    pub(crate) step: String,
}

impl AtStep {
    /// What the tree in a folder says; `None` if it is what a topology alone says.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, Failure> {
        let path = place(folder);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
                return Ok(None);
            }
            Err(error) => return Err(Failure::io("read", &path, &error)),
        };
        Self::parse(&text).map(Some).ok_or_else(|| {
            Failure::new(format!("{} does not name a step of a roll-out", path.display()))
                .note("its lines are `old` and `step`, each with one value; a merge may have left it with others")
                .help("take it from the commit that delivers the step, or delete it when the roll-out is done")
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<_> = text.lines().collect();
        let [FIRST_LINE, old, step] = lines[..] else { return None };
        let value = |line: &str, key: &str| Some(line.strip_prefix(key)?.to_owned()).filter(|it| !it.is_empty());
        Some(Self { old: value(old, "old ")?, step: value(step, "step ")? })
    }

    /// Makes a tree say that it is this step, or none, as a part of something larger.
    pub(crate) fn set(to: Option<&Self>, folder: &Path, transaction: &mut Transaction) -> Result<(), Failure> {
        let path = place(folder);
        let before = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failure::io("read", &path, &error)),
        };
        match to {
            Some(to) if before.as_ref() == Some(&to.to_string()) => Ok(()),
            Some(to) => transaction.rewrite(&path, before, &to.to_string()),
            None if before.is_some() => transaction.remove(&path),
            None => Ok(()),
        }
    }
}

fn place(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

impl fmt::Display for AtStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}\nold {}\nstep {}", self.old, self.step)
    }
}
