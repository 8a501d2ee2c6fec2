//! `Obstacle`: what stands where the tree should be, and is not ours to take away.

use std::path::Path;

use crate::failure::Failure;

/// What is in the way, by its path in the cluster's folder; empty for the folder itself.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// A file that no run wrote, with another text than the bundle's.
    Foreign(String),
    /// A file that was edited since a run wrote it, and what it would lose.
    Edited { path: String, loss: String },
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
            Self::Edited { path, .. }
            | Self::Foreign(path)
            | Self::Link(path)
            | Self::NoFolder(path)
            | Self::NoFile(path) => path,
        }
    }

    fn reason(&self) -> String {
        match self {
            Self::Foreign(_) => "was not written by `meshlatch`".to_owned(),
            Self::Edited { loss, .. } => format!("was edited since `meshlatch` wrote it, and would lose\n{loss}"),
            Self::Link(_) => "is a symbolic link".to_owned(),
            Self::NoFolder(_) => "is not a folder".to_owned(),
            Self::NoFile(_) => "is not a file".to_owned(),
        }
    }

    /// Whether it is a file where one belongs.
    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::Foreign(_) | Self::Edited { .. })
    }

    fn is_edited(&self) -> bool {
        matches!(self, Self::Edited { .. })
    }
}

/// A failure that tells every obstacle, each with its cluster, if there is one.
pub(super) fn refuse<'a>(
    folder: &Path,
    obstacles: impl Iterator<Item = (&'a str, &'a Obstacle)>,
) -> Result<(), Failure> {
    let obstacles: Vec<_> = obstacles.collect();
    let edited = obstacles.iter().filter(|(_, it)| it.is_edited()).count();
    let message = match (obstacles.len(), edited) {
        (0, _) => return Ok(()),
        (1, 1) => "a file was edited by hand; nothing was changed".to_owned(),
        (n, edited) if n == edited => format!("{n} files were edited by hand; nothing was changed"),
        (1, _) => "something is in the way; nothing was changed".to_owned(),
        (n, _) => format!("{n} things are in the way; nothing was changed"),
    };
    let mut failure = Failure::new(message);
    for (cluster, obstacle) in obstacles.iter().take(NAMED) {
        let cluster = folder.join(cluster);
        let path = if obstacle.path().is_empty() { cluster } else { cluster.join(obstacle.path()) };
        failure = failure.note(format!("{} {}", path.display(), obstacle.reason()));
    }
    if let more @ 1.. = obstacles.len().saturating_sub(NAMED) {
        failure = failure.note(format!("and {more} more"));
    }
    if edited < obstacles.len() {
        failure =
            failure.help("`meshlatch` replaces only what it wrote itself: move it away, or write elsewhere with `-o`");
    }
    if edited > 0 {
        failure = failure
            .help("say it in the topology, or in a kustomization of your own that has this one as a resource")
            .help("`--force` writes over what was edited, and over nothing that others put there");
    }
    Err(failure)
}
