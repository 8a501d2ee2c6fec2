//! The binary as a user meets it: streams, exit codes, files.
#![expect(clippy::disallowed_types, reason = "these tests are about files")]

mod certs;
mod diff;
mod edited;
mod faults;
mod files;
mod fmt;
mod halfway;
mod input;
mod inventory;
mod lock;
mod migrate;
mod prove;
mod rollout;
mod tree;
mod why;
mod words;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Two clusters; `web` in `east` calls `cart` in `west`.
const TWO: &str = r#"
version: 1
allow: [T0306]
clusters:
  east: {istio: "1.5.2", gateway: 203.0.113.10, dns: {provider: kube-dns, address: 10.0.0.53}}
  west: {istio: "1.5.2", gateway: 203.0.113.20, dns: {provider: kube-dns, address: 10.1.0.53}}
services:
  cart: {clusters: west, ports: {grpc: 7070}}
  mail: {clusters: west, ports: {grpc: 5000}}
  web: {clusters: east, ports: {http: 80}, calls: [cart]}
"#;

/// The line of an inventory.
fn line(text: &str, path: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let hex = hash.as_ref().iter().map(|it| format!("{it:02x}")).collect::<Vec<_>>().concat();
    format!("{hex}  {path}\n")
}

/// An empty folder in which the binary runs, with a `topology.yaml`.
struct Folder(TempDir);

/// What a run came to.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Folder {
    /// [`TWO`] and its tree.
    fn compiled() -> Self {
        let folder = Self::new(TWO);
        folder.compile();
        folder
    }

    fn new(topology: &str) -> Self {
        let folder = Self(TempDir::new().expect("a folder can be made"));
        folder.write("topology.yaml", topology);
        folder
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("a folder can be made");
        std::fs::write(path, text).expect("a file can be written");
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshlatch"));
        command.current_dir(self.0.path());
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command().args(args), b"")
    }

    fn run_with(&self, args: &[&str], stdin: &[u8]) -> Run {
        Run::of(self.command().args(args), stdin)
    }

    /// A first run that must go well.
    fn compile(&self) -> Run {
        let run = self.run(&["compile"]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:?}");
        run
    }

    /// Everything below a folder, by path: the bytes of files, the targets of links; folders end in
    /// a slash.
    fn snapshot(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let mut all = BTreeMap::new();
        visit(&self.path(folder), "", &mut all);
        all
    }
}

fn visit(folder: &Path, prefix: &str, all: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.expect("a folder can be listed");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().expect("it has a type");
        if kind.is_dir() {
            visit(&entry.path(), &format!("{name}/"), all);
            all.insert(format!("{name}/"), Vec::new());
        } else if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).expect("it is a link");
            all.insert(name, target.to_string_lossy().into_owned().into_bytes());
        } else {
            all.insert(name, std::fs::read(entry.path()).expect("a file can be read"));
        }
    }
}

impl Run {
    fn of(command: &mut Command, stdin: &[u8]) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        let mut pipe = child.stdin.take().expect("it is piped");
        // The binary may have seen enough before it has read everything.
        let _ = pipe.write_all(stdin);
        drop(pipe);
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes| String::from_utf8(bytes).expect("the binary prints UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Asserts the exit code and that stderr says all of this.
    #[track_caller]
    fn says(&self, code: i32, words: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for word in words {
            assert!(self.stderr.contains(word), "no `{word}` in:\n{}", self.stderr);
        }
        self
    }
}
