//! What a git repository holds, asked of git's own command.
//!
//! Names of revisions are the user's: they reach git behind `--end-of-options`, and after the first
//! question only the ids that git gave back are used.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::Failure;

/// The repository that a folder lies in, if any.
#[derive(Debug)]
pub(crate) struct Git {
    folder: PathBuf,
}

/// What git says of a name.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is this object.
    Object { id: String, kind: Kind },
    /// The repository has nothing of this name.
    Unknown,
    /// There is no git, no repository, or none that may be read: why.
    Trouble(String),
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Commit,
    Tree,
    Blob,
}

impl Git {
    /// The repository in which a path lies, there or not.
    pub(crate) fn of(path: &Path) -> Self {
        let parent = absolute(path);
        let folder = parent.ancestors().skip(1).find(|it| it.is_dir()).unwrap_or(Path::new("/")).to_owned();
        Self { folder }
    }

    /// The commit that a name means.
    pub(crate) fn commit(&self, name: &OsStr) -> Answer {
        let mut peeled = name.to_owned();
        peeled.push("^{commit}");
        self.object(&peeled)
    }

    /// The object that a name means, in any way in which git spells names.
    pub(crate) fn object(&self, name: &OsStr) -> Answer {
        let arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options"].map(OsStr::new);
        let id = match self.run(arguments.into_iter().chain([name])) {
            Ok(id) => id,
            Err(answer) => return answer,
        };
        match self.run(["cat-file", "-t", &id].map(OsStr::new)).as_deref() {
            Ok("commit") => Answer::Object { id, kind: Kind::Commit },
            Ok("tree") => Answer::Object { id, kind: Kind::Tree },
            Ok("blob") => Answer::Object { id, kind: Kind::Blob },
            // A tag of an object: whoever names it may peel it.
            _ => Answer::Unknown,
        }
    }

    /// Where the histories of two commits parted.
    pub(crate) fn merge_base(&self, one: &str, other: &str) -> Option<String> {
        self.run(["merge-base", one, other].map(OsStr::new)).ok()
    }

    /// Whether there is only the end of a history here, as CI fetches it.
    pub(crate) fn is_shallow(&self) -> bool {
        self.run(["rev-parse", "--is-shallow-repository"].map(OsStr::new)).is_ok_and(|it| it == "true")
    }

    /// A path as the repository calls it; `None` if it lies outside.
    pub(crate) fn path(&self, path: &Path) -> Option<String> {
        let top = self.run(["rev-parse", "--show-toplevel"].map(OsStr::new)).ok()?;
        let inside = resolved(&absolute(path));
        let inside = inside.strip_prefix(resolved(Path::new(&top))).ok()?;
        Some(inside.to_str()?.replace('\\', "/"))
    }

    /// The bytes of a blob.
    pub(crate) fn blob(&self, id: &str) -> Result<Vec<u8>, Failure> {
        let output = self.command(["cat-file", "blob", id].map(OsStr::new)).output();
        match output {
            Ok(output) if output.status.success() => Ok(output.stdout),
            Ok(output) => Err(unreadable(&first_line(&output.stderr))),
            Err(error) => Err(unreadable(&error.to_string())),
        }
    }

    /// The regular files of a tree, by their path in it.
    pub(crate) fn files(&self, tree: &str) -> Result<Vec<(String, Vec<u8>)>, Failure> {
        let paths = self.paths(tree)?;
        let texts = self.blobs(paths.iter().map(|it| it.1.as_str()))?;
        Ok(paths.into_iter().map(|it| it.0).zip(texts).collect())
    }

    /// The regular files of a tree: path and id. Links and other repositories are none of them.
    pub(crate) fn paths(&self, tree: &str) -> Result<Vec<(String, String)>, Failure> {
        let output = self.command(["ls-tree", "-r", "-z", "--full-tree", tree].map(OsStr::new)).output();
        let output = output.map_err(|error| unreadable(&error.to_string()))?;
        if !output.status.success() {
            return Err(unreadable(&first_line(&output.stderr)));
        }
        let mut paths = Vec::new();
        for entry in output.stdout.split(|it| *it == 0) {
            // A name that is no Unicode is none of ours.
            let Ok(entry) = std::str::from_utf8(entry) else { continue };
            let Some((about, path)) = entry.split_once('\t') else { continue };
            if let [mode, "blob", id] = about.split(' ').collect::<Vec<_>>()[..]
                && mode.starts_with("100")
            {
                paths.push((path.to_owned(), id.to_owned()));
            }
        }
        Ok(paths)
    }

    /// Many blobs, of one run of git.
    fn blobs<'a>(&self, ids: impl Iterator<Item = &'a str>) -> Result<Vec<Vec<u8>>, Failure> {
        let ids: Vec<&str> = ids.collect();
        let failed = |error: &io::Error| unreadable(&error.to_string());
        let mut command = self.command(["cat-file", "--batch"].map(OsStr::new));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|it| failed(&it))?;
        let mut stdin = child.stdin.take().expect("it is piped");
        let mut stdout = child.stdout.take().expect("it is piped");
        let mut bytes = Vec::new();
        // It answers while it is asked: whoever only asks waits for ever.
        let read = std::thread::scope(|scope| {
            scope.spawn(|| {
                let asked = ids.iter().try_for_each(|id| writeln!(stdin, "{id}"));
                drop(stdin);
                asked
            });
            stdout.read_to_end(&mut bytes)
        });
        read.and_then(|_| child.wait()).map_err(|it| failed(&it))?;
        let mut rest = &bytes[..];
        let mut blobs = Vec::new();
        for id in ids {
            let blob = blob(&mut rest).ok_or_else(|| unreadable(&format!("it does not give the object {id}")))?;
            blobs.push(blob);
        }
        Ok(blobs)
    }

    fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a OsStr>) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.folder).args(arguments).stdin(Stdio::null());
        command
    }

    /// What git prints, or why it does not.
    fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<String, Answer> {
        let output = match self.command(arguments).output() {
            Ok(output) => output,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Answer::Trouble("there is no program `git` here".to_owned()));
            }
            Err(error) => return Err(Answer::Trouble(format!("git cannot be run: {error}"))),
        };
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned());
        }
        let said = first_line(&output.stderr);
        Err(if said.is_empty() { Answer::Unknown } else { Answer::Trouble(format!("git says: {said}")) })
    }
}

/// The next answer of `git cat-file --batch`: a line with the length, that many bytes, a newline.
fn blob(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let end = rest.iter().position(|it| *it == b'\n')?;
    let line = std::str::from_utf8(&rest[..end]).ok()?;
    let length: usize = line.split(' ').nth(2)?.parse().ok()?;
    let bytes = rest.get(end + 1..end + 1 + length)?.to_vec();
    *rest = rest.get(end + 2 + length..)?;
    Some(bytes)
}

fn first_line(stderr: &[u8]) -> String {
    String::from_utf8_lossy(stderr).lines().next().unwrap_or_default().to_owned()
}

fn unreadable(why: &str) -> Failure {
    Failure::new("git does not give what it has").note(why)
}

/// A name with more behind it, such as `HEAD:` and a path.
pub(crate) fn joined(one: impl Into<OsString>, more: &str) -> OsString {
    let mut name = one.into();
    name.push(more);
    name
}

/// A path from the root, without `.` and `..`.
fn absolute(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut parts = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts
}

/// The same without links, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|it| Some((it.canonicalize().ok()?, path.strip_prefix(it).ok()?)));
    match there {
        Some((real, rest)) if rest.as_os_str().is_empty() => real,
        Some((real, rest)) => real.join(rest),
        None => path.to_owned(),
    }
}
