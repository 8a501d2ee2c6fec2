//! `LockFile`: the file beside the topology that says which addresses stay.
#![expect(clippy::disallowed_methods, reason = "the binary is where files are read")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use meshlatch::diag::{self, Diagnostics};
use meshlatch::lock::Lock;
use meshlatch::{shell_word, syntax};

use crate::args::LockArgs;
use crate::failure::Failure;
use crate::files::{Files, beside};
use crate::tree::Transaction;
use crate::{Status, input, replace, terminal};

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
    pub(crate) fn beside(topology: &Files) -> Result<Option<Result<Self, ()>>, Failure> {
        let Some(path) = place(topology.first())? else { return Ok(None) };
        no_other(topology, &path)?;
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
        replace::file(&self.path, text, WRITABLE)
    }

    /// The same as a part of something larger, which fails or goes well as a whole.
    pub(crate) fn replace_with(&self, transaction: &mut Transaction, text: &str) -> Result<(), Failure> {
        replace::refuse_link(&self.path)?;
        let before = self.exists().then(|| fs::read_to_string(&self.path)).transpose();
        let before = before.map_err(|error| Failure::io("read", &self.path, &error))?;
        transaction.rewrite(&self.path, before, text).map_err(|failure| failure.help(WRITABLE))
    }
}

const WRITABLE: &str = "addresses are kept there: make the folder of the topology writable";

/// A topology that is no file has no lock to look after.
pub(crate) fn unlocked() -> Failure {
    Failure::new("a topology from standard input has no lock").help("name its file")
}

/// Where the lock of a topology lies, by what was named first: beside a file, under its name; in a folder,
/// whose files may come and go. What is no file has none.
fn place(first: &Path) -> Result<Option<PathBuf>, Failure> {
    let device = ["/dev", "/proc"].iter().any(|it| first.starts_with(it));
    if first.is_dir() && !device {
        return Ok(Some(first.join("topology.lock")));
    }
    if input::is_stdin(first) || device || fs::metadata(first).is_ok_and(|it| !it.is_file()) {
        return Ok(None);
    }
    if first.extension().is_some_and(|it| it == "lock") {
        return Err(Failure::new(format!("a topology cannot be called {}", first.display()))
            .note("its lock would be the same file")
            .help("name the topology: `topology.yaml`"));
    }
    Ok(Some(beside(first, "lock")))
}

/// Addresses must not move because the files are named in another way than before.
fn no_other(topology: &Files, lock: &Path) -> Result<(), Failure> {
    let exists = |it: &Path| fs::symlink_metadata(it).is_ok();
    if exists(lock) {
        return Ok(());
    }
    let others = topology.all().iter().filter(|it| !input::is_stdin(it));
    match others.map(|it| (it, beside(it, "lock"))).find(|it| exists(&it.1)) {
        None => Ok(()),
        Some((file, other)) => {
            let words = [&other, lock].map(|it| shell_word(&it.display().to_string()).to_string()).join(" ");
            let (file, other, lock) = (file.display(), other.display(), lock.display());
            Err(Failure::new(format!("{other} keeps addresses, and {lock} would be read in its place"))
                .note("the lock belongs to what is named first")
                .help(format!("name {file} first, or rename the lock: `mv {words}`")))
        }
    }
}

/// Frees the addresses that nobody has any more.
pub(crate) fn prune(args: &LockArgs) -> Result<Status, Failure> {
    let files = Files::find(&args.topology)?;
    for path in files.all().iter().filter(|it| !input::is_stdin(it)) {
        fs::metadata(path).map_err(|error| Failure::io("read", path, &error))?;
    }
    let Some(file) = LockFile::beside(&files)? else { return Err(unlocked()) };
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
