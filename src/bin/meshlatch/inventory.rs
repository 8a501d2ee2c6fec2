//! `Inventory`: which files of a cluster's folder this program wrote.
//!
//! It lies in the folder itself, so that it moves and is committed with the files: a line that
//! names the format, then a path a line, in order. There are no hashes: a file is compared with
//! what should stand there byte by byte, and what a person changed in a generated file is what
//! `--check` reports. A format that says more gets another first line.

use std::collections::BTreeSet;
use std::fmt;

/// The name of the file that holds it.
pub(crate) const FILE: &str = ".meshlatch";

const FIRST_LINE: &str = "# meshlatch inventory 1: the files here that `meshlatch compile` replaces and removes";

/// Paths relative to the cluster's folder, with `/` between their parts. None leads out of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Inventory(BTreeSet<String>);

impl Inventory {
    /// The inventory of these paths, which the library made.
    pub(crate) fn of<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        Self(paths.into_iter().inspect(|it| debug_assert!(is_inside(it), "{it}")).map(str::to_owned).collect())
    }

    /// Reads the text of an inventory, which anybody may have written.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err("its first line is not one that this release writes".to_owned());
        }
        lines
            .enumerate()
            .map(|(index, path)| {
                if is_inside(path) {
                    return Ok(path.to_owned());
                }
                Err(format!("line {} is no path inside the folder: `{}`", index + 2, path.escape_debug()))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(crate) fn contains(&self, path: &str) -> bool {
        self.0.contains(path)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Everything that either names.
    pub(crate) fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }
}

impl fmt::Display for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        self.paths().try_for_each(|path| writeln!(f, "{path}"))
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
