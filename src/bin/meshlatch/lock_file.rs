//! `LockFile`: the file beside the topology that says which addresses stay.
#![expect(clippy::disallowed_methods, reason = "the binary is where files are read")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use meshlatch::diag::{self, Diagnostics};
use meshlatch::lock::Lock;
use meshlatch::syntax;

use crate::args::LockArgs;
use crate::failure::Failure;
use crate::tree::Transaction;
use crate::{Status, disk, input, terminal};

/// A lock as it lies on the disk.
#[derive(Debug)]
pub(crate) struct LockFile {
    path: PathBuf,
    /// What it says; a fresh one if there is no file.
    said: Lock,
}

impl LockFile {
    /// Reads the file beside a topology and says what is wrong with it; then there is no lock. A topology
    /// that comes from standard input or through a pipe has none.
    pub(crate) fn beside(topology: &Path) -> Result<Option<Result<Self, ()>>, Failure> {
        let Some(path) = place(topology)? else { return Ok(None) };
        let name = input::name(&path);
        let bytes = match input::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let said = Lock::new(name);
                return Ok(Some(Ok(Self { path, said })));
            }
            Err(error) => return Err(Failure::io("read", &path, &error)),
        };
        let mut diags = Diagnostics::new();
        let (said, source) = match syntax::decode(&name, bytes, &mut diags) {
            Ok(source) => (Lock::parse(&source, &mut diags).ok(), source),
            Err((source, _)) => (None, source),
        };
        terminal::say(&diag::render(&diags, &source, true));
        Ok(Some(said.map(|said| Self { path, said }).ok_or(())))
    }

    /// Whether there is a file.
    pub(crate) fn exists(&self) -> bool {
        !self.said.is_fresh()
    }

    /// What it says.
    pub(crate) fn said(&self) -> &Lock {
        &self.said
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it is to be from now on, if it says something else. Of nothing there is no file.
    pub(crate) fn change(&self, to: &Lock) -> Option<String> {
        let text = to.to_string();
        let same = if self.exists() { self.said.to_string() == text } else { to.is_empty() };
        (!same).then_some(text)
    }

    /// Puts a text in its place.
    pub(crate) fn replace(&self, text: &str) -> Result<(), Failure> {
        self.refuse_link()?;
        disk::replace(&self.path, text).map_err(|error| Failure::io("write", &self.path, &error).help(WRITABLE))
    }

    /// The same as a part of something larger, which fails or goes well as a whole.
    pub(crate) fn replace_with(&self, transaction: &mut Transaction, text: &str) -> Result<(), Failure> {
        self.refuse_link()?;
        let before = self.exists().then(|| fs::read_to_string(&self.path)).transpose();
        let before = before.map_err(|error| Failure::io("read", &self.path, &error))?;
        transaction.rewrite(&self.path, before, text).map_err(|failure| failure.help(WRITABLE))
    }

    fn refuse_link(&self) -> Result<(), Failure> {
        let path = &self.path;
        if !fs::symlink_metadata(path).is_ok_and(|it| it.is_symlink()) {
            return Ok(());
        }
        Err(Failure::new(format!("{} is a symbolic link", path.display()))
            .note("it would become a file, and what it names would stay as it is")
            .help("put the file itself beside the topology"))
    }
}

const WRITABLE: &str = "addresses are kept there: make the folder of the topology writable";

/// A topology that is no file has no lock to look after.
pub(crate) fn unlocked() -> Failure {
    Failure::new("a topology from standard input has no lock").help("name its file")
}

/// Where the lock of a topology lies: in its folder, under its name. What is no file has none.
fn place(topology: &Path) -> Result<Option<PathBuf>, Failure> {
    let device = ["/dev", "/proc"].iter().any(|it| topology.starts_with(it));
    if input::is_stdin(topology) || device || fs::metadata(topology).is_ok_and(|it| !it.is_file()) {
        return Ok(None);
    }
    match topology.extension().and_then(|it| it.to_str()) {
        Some("lock") => Err(Failure::new(format!("a topology cannot be called {}", topology.display()))
            .note("its lock would be the same file")
            .help("name the topology: `topology.yaml`")),
        Some("yaml" | "yml" | "json") | None => Ok(Some(topology.with_extension("lock"))),
        // What stands behind the last dot is a part of the name.
        Some(_) => {
            let mut path = topology.to_path_buf().into_os_string();
            path.push(".lock");
            Ok(Some(path.into()))
        }
    }
}

/// Frees the addresses that nobody has any more.
pub(crate) fn prune(args: &LockArgs) -> Result<Status, Failure> {
    if !input::is_stdin(&args.topology) {
        fs::metadata(&args.topology).map_err(|error| Failure::io("read", &args.topology, &error))?;
    }
    let Some(file) = LockFile::beside(&args.topology)? else { return Err(unlocked()) };
    let Ok(file) = file else { return Ok(Status::Wrong) };
    if !file.exists() {
        return Err(Failure::new(format!("there is no {}", file.path().display()))
            .help("`meshlatch compile` writes it beside the topology"));
    }
    let mut lock = file.said().clone();
    let freed = lock.prune();
    if let Some(text) = file.change(&lock) {
        file.replace(&text)?;
    }
    let addresses = if freed == 1 { "1 address" } else { &format!("{freed} addresses") };
    terminal::print(&format!("{}  {addresses} freed\n", file.path().display()))?;
    Ok(Status::Well)
}
