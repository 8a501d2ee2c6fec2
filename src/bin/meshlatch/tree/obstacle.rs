//! `Obstacle`: what stands where the tree should be, and is not ours to take away.

use std::path::Path;

use crate::failure::Failure;

/// What is in the way, by its path in the cluster's folder; empty for the folder itself.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// A file that no run wrote, with another text than the bundle's.
    Foreign(String),
    /// A link, which might lead anywhere.
    Link(String),
    /// Not a folder, where one must be.
    NoFolder(String),
    /// Not a file, where one must be.
    NoFile(String),
}

/// How many paths a message names.
const NAMED: usize = 10;

impl Obstacle {
    /// Where it stands.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Foreign(path) | Self::Link(path) | Self::NoFolder(path) | Self::NoFile(path) => path,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Foreign(_) => "was not written by `meshlatch`",
            Self::Link(_) => "is a symbolic link",
            Self::NoFolder(_) => "is not a folder",
            Self::NoFile(_) => "is not a file",
        }
    }
}

/// A failure that tells every obstacle, each with its cluster, if there is one.
pub(super) fn refuse<'a>(
    folder: &Path,
    obstacles: impl Iterator<Item = (&'a str, &'a Obstacle)>,
) -> Result<(), Failure> {
    let texts: Vec<_> = obstacles
        .map(|(cluster, obstacle)| {
            let cluster = folder.join(cluster);
            let path = if obstacle.path().is_empty() { cluster } else { cluster.join(obstacle.path()) };
            format!("{} {}", path.display(), obstacle.reason())
        })
        .collect();
    let message = match texts.len() {
        0 => return Ok(()),
        1 => "something is in the way; nothing was changed".to_owned(),
        n => format!("{n} things are in the way; nothing was changed"),
    };
    let failure = texts.iter().take(NAMED).fold(Failure::new(message), Failure::note);
    let failure = match texts.len().saturating_sub(NAMED) {
        0 => failure,
        more => failure.note(format!("and {more} more")),
    };
    Err(failure.help("`meshlatch` replaces only what it wrote itself: move it away, or write elsewhere with `-o`"))
}
