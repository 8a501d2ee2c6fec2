//! `LockFile`: the file beside the topology that says which addresses stay.
#![expect(clippy::disallowed_types, reason = "the binary is where files are read and written")]

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use meshlatch::diag::{self, Diagnostics};
use meshlatch::lock::Lock;
use meshlatch::syntax;

use crate::args::LockArgs;
use crate::failure::Failure;
use crate::{Status, input, terminal};

/// A lock as it lies on the disk.
#[derive(Debug)]
pub(crate) struct LockFile {
    path: PathBuf,
    /// None if there is no file.
    text: Option<String>,
    /// What it says; nothing if there is no file.
    said: Lock,
}

impl LockFile {
    /// Reads the file beside a topology and says what is wrong with it; then there is no lock. A topology
    /// that comes from standard input has none.
    pub(crate) fn beside(topology: &Path) -> Result<Option<Result<Self, ()>>, Failure> {
        if input::is_stdin(topology) {
            return Ok(None);
        }
        let path = topology.with_extension("lock");
        let name = input::name(&path);
        let bytes = match input::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let said = Lock::new(name);
                return Ok(Some(Ok(Self { path, text: None, said })));
            }
            Err(error) => return Err(Failure::io("read", &path, &error)),
        };
        let mut diags = Diagnostics::new();
        let (said, source) = match syntax::decode(&name, bytes, &mut diags) {
            Ok(source) => (Lock::parse(&source, &mut diags).ok(), source),
            Err((source, _)) => (None, source),
        };
        terminal::say(&diag::render(&diags, &source, true));
        Ok(Some(said.map(|said| Self { path, text: Some(source.text().to_owned()), said }).ok_or(())))
    }

    /// Whether there is a file.
    pub(crate) fn exists(&self) -> bool {
        self.text.is_some()
    }

    /// What it says.
    pub(crate) fn said(&self) -> &Lock {
        &self.said
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it is to be from now on, if that is something else. Of nothing there is no file.
    pub(crate) fn change(&self, to: &Lock) -> Option<String> {
        let nothing = to.is_empty() && !self.exists();
        let text = to.to_string();
        // Git may have given the lines other ends.
        let same = self.text.as_ref().is_some_and(|it| it.replace("\r\n", "\n") == text);
        (!nothing && !same).then_some(text)
    }

    /// Puts a text in its place: the old one is there, or the new one, and never a part of it.
    pub(crate) fn replace(&self, text: &str) -> Result<(), Failure> {
        let path = &self.path;
        if fs::symlink_metadata(path).is_ok_and(|it| it.is_symlink()) {
            return Err(Failure::new(format!("{} is a symbolic link", path.display()))
                .note("it would become a file, and what it names would stay as it is")
                .help("put the file itself beside the topology"));
        }
        let mut staged = path.clone().into_os_string();
        staged.push(".new");
        let staged = PathBuf::from(staged);
        let written = File::create(&staged)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&staged, path));
        written.map_err(|error| {
            let _ = fs::remove_file(&staged);
            Failure::io("write", path, &error)
        })
    }
}

/// Frees the addresses that nobody has any more.
pub(crate) fn prune(args: &LockArgs) -> Result<Status, Failure> {
    let Some(file) = LockFile::beside(&args.topology)? else {
        return Err(Failure::new("a topology from standard input has no lock").help("name its file"));
    };
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
