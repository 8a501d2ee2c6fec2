//! What the arguments of `diff` mean: a topology, a tree, or a revision.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::folder;
use crate::args::SidesArgs;
use crate::failure::Failure;
use crate::files::Files;
use crate::git::{Answer, Git, Kind};
use crate::input;

/// What an argument means.
pub(super) enum Meant {
    /// Files and folders of a topology, which is compiled.
    Topology(Vec<PathBuf>),
    /// A folder with bundles, which is read. Of the folder that is meant where none is named, there may be none yet.
    Tree { folder: PathBuf, named: bool },
    /// A commit: its tree, or else its topology.
    Revision { name: String, id: String },
    /// A topology in a commit: what the commit is called, and the path in it.
    Committed { revision: String, path: String },
    /// A tree in a commit.
    Folder { name: String, id: String },
}

/// The two that the arguments mean.
pub(super) fn meant(args: &SidesArgs, git: &Git) -> Result<[Meant; 2], Failure> {
    let working = || Meant::Topology(args.topology.topology.clone());
    let sides = match (&args.old, &args.new) {
        (None, _) => [Meant::Tree { folder: args.output.clone(), named: false }, working()],
        (Some(old), None) => match range(old, git)? {
            Some(both) => both,
            None => [one(old, git)?, working()],
        },
        (Some(old), Some(new)) => [one(old, git)?, one(new, git)?],
    };
    let read = |it: &Meant| match it {
        Meant::Topology(paths) => paths.iter().filter(|it| input::is_stdin(it)).count(),
        _ => 0,
    };
    let stdin: usize = sides.iter().map(read).sum();
    if stdin > 1 {
        return Err(Failure::new("standard input can be read only once").help("give one of the two as a file"));
    }
    Ok(sides)
}

/// `A..B`, and `A...B`: since the two parted, as a pull request shows it.
fn range(argument: &OsStr, git: &Git) -> Result<Option<[Meant; 2]>, Failure> {
    let Some(text) = argument.to_str().filter(|it| !it.contains(':') && !Path::new(it).exists()) else {
        return Ok(None);
    };
    let (old, new, parted) = match (text.split_once("..."), text.split_once("..")) {
        (Some((old, new)), _) => (old, new, true),
        (None, Some((old, new))) => (old, new, false),
        (None, None) => return Ok(None),
    };
    let revision = |name: &str| {
        let name = if name.is_empty() { "HEAD" } else { name };
        match git.commit(OsStr::new(name)) {
            Answer::Object { id, .. } => Ok((name.to_owned(), id)),
            answer => Err(unknown(OsStr::new(name), &answer, git)),
        }
    };
    let ((mut name, mut id), (new_name, new_id)) = (revision(old)?, revision(new)?);
    if parted {
        id = git.merge_base(&id, &new_id).ok_or_else(|| {
            let failure = Failure::new(format!("`{name}` and `{new_name}` have no commit in common here"));
            if git.is_shallow() { failure.note(SHALLOW) } else { failure }
        })?;
        name = id.chars().take(10).collect();
    }
    Ok(Some([Meant::Revision { name, id }, Meant::Revision { name: new_name, id: new_id }]))
}

const SHALLOW: &str =
    "the clone is shallow: it has only the end of the history; fetch more of it (`git fetch --unshallow`)";

fn one(argument: &OsStr, git: &Git) -> Result<Meant, Failure> {
    let path = Path::new(argument);
    if input::is_stdin(path) {
        return Ok(Meant::Topology(vec![path.to_owned()]));
    }
    let shown = argument.to_string_lossy();
    if let Ok(kind) = fs::metadata(path) {
        if let Answer::Object { .. } = git.commit(argument) {
            return Err(Failure::new(format!("`{shown}` is both a path and a revision"))
                .help(format!("write `./{shown}` for the path, `{shown}^0` for the revision")));
        }
        let path = path.to_owned();
        // A topology may be a folder, too.
        let is_topology = !kind.is_dir() || !folder::is_tree(&path) && Files::find(std::slice::from_ref(&path)).is_ok();
        return Ok(if is_topology { Meant::Topology(vec![path]) } else { Meant::Tree { folder: path, named: true } });
    }
    if let Some((revision, path)) = argument.to_str().and_then(split) {
        let committed = || Meant::Committed { revision: revision.to_owned(), path: path.to_owned() };
        match git.object(argument) {
            Answer::Object { kind: Kind::Blob, .. } => return Ok(committed()),
            Answer::Object { kind: Kind::Tree, id } => {
                let paths = git.paths(&id)?;
                let is_topology =
                    !folder::has_tree(&paths) && paths.iter().any(|it| !it.0.contains('/') && is_yaml(&it.0));
                return Ok(if is_topology { committed() } else { Meant::Folder { name: shown.into_owned(), id } });
            }
            _ => {}
        }
    }
    match git.commit(argument) {
        Answer::Object { id, .. } => Ok(Meant::Revision { name: shown.into_owned(), id }),
        answer => Err(unknown(argument, &answer, git)),
    }
}

/// `REVISION:path`, as git reads it: what stands in braces is a part of the revision.
fn split(argument: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    let at = argument.find(|c| {
        depth = match c {
            '{' => depth + 1,
            '}' => depth.saturating_sub(1),
            _ => depth,
        };
        c == ':' && depth == 0
    })?;
    Some((&argument[..at], &argument[at + 1..]))
}

/// Whether a file is one of those that a folder of a topology is read for.
pub(super) fn is_yaml(name: &str) -> bool {
    !name.starts_with('.') && [".yaml", ".yml"].iter().any(|it| name.ends_with(it))
}

fn unknown(name: &OsStr, answer: &Answer, git: &Git) -> Failure {
    let failure = Failure::new(format!("`{}` is no file, no folder, and no revision", name.to_string_lossy()));
    match answer {
        Answer::Trouble(why) => failure.note(why.as_str()),
        _ if git.is_shallow() => failure.note(SHALLOW),
        _ => failure
            .help("`git log --oneline` lists revisions; a topology in one of them is `REVISION:path/to/topology.yaml`"),
    }
}
