//! Reads and compiles what the arguments of `diff` mean.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use annotate_snippets::Level;
use meshlatch::diag::{self, Diagnostics};
use meshlatch::diff::{File, Files, Side};
use meshlatch::lock::Lock;
use meshlatch::{Mesh, Outcome, syntax};

use super::folder;
use super::meant::{Meant, is_yaml};
use crate::args::{SidesArgs, TopologyArgs};
use crate::failure::Failure;
use crate::git::{Answer, Git, Kind, joined};
use crate::{compile, files, input, terminal};

/// Reads and compiles both.
pub(super) fn read([old, new]: [Meant; 2], args: &SidesArgs, git: &Git) -> Result<[Side; 2], Failure> {
    let compiled = [&old, &new]
        .iter()
        .filter(|it| matches!(it, Meant::Topology(_) | Meant::Committed { .. } | Meant::Revision { .. }))
        .count();
    if compiled > 1 && args.topology.addresses.addresses.iter().any(|it| input::is_stdin(it)) {
        return Err(Failure::new("standard input can be read only once").help("give the addresses as a file"));
    }
    let reader = Reader { args, git };
    // Two revisions are compared by what is committed only if both have it.
    let trees = match (&old, &new) {
        (Meant::Revision { id: one, .. }, Meant::Revision { id: other, .. }) => {
            reader.committed(one)?.is_some() && reader.committed(other)?.is_some()
        }
        _ => true,
    };
    let before = reader.side(&old, trees, false)?;
    let after = reader.side(&new, trees, true)?;
    let before = match old {
        Meant::Tree { .. } => reader.with_head(before),
        _ => before.0,
    };
    Ok([before, after.0])
}

struct Reader<'a> {
    args: &'a SidesArgs,
    git: &'a Git,
}

impl Reader<'_> {
    /// A side, with its files if it is a tree.
    fn side(&self, meant: &Meant, trees: bool, is_new: bool) -> Result<(Side, Option<Files>), Failure> {
        match meant {
            Meant::Topology(paths) => {
                let name = input::name(paths.first().map_or(Path::new(""), PathBuf::as_path));
                let addresses = self.args.topology.addresses.clone();
                let args = TopologyArgs { topology: paths.clone(), addresses };
                let mesh = compile::mesh(&args)?.ok_or_else(|| broken(&name))?;
                Ok((Side::of_mesh(name, mesh), None))
            }
            Meant::Tree { folder, named } => {
                let files = folder::read(folder)?;
                if files.is_empty() && *named {
                    return Err(no_tree(&folder.display().to_string()));
                }
                let one = folder.canonicalize().unwrap_or_else(|_| folder.clone());
                let one = one.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
                Ok((tree(&folder.display().to_string(), &one, &files)?, Some(files)))
            }
            Meant::Folder { name, id } => {
                let files = self.files(id)?;
                let one = name.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
                let side = tree(name, one, &files)?;
                if side.clusters().next().is_none() {
                    return Err(no_tree(name));
                }
                Ok((side, Some(files)))
            }
            Meant::Committed { revision, path } => {
                let place = Place { name: revision, id: revision };
                let mesh = self.mesh(&place, std::slice::from_ref(path), is_new)?;
                Ok((Side::of_mesh(place.called(path), mesh), None))
            }
            Meant::Revision { name, id } => self.revision(name, id, trees, is_new),
        }
    }

    fn revision(&self, name: &str, id: &str, trees: bool, is_new: bool) -> Result<(Side, Option<Files>), Failure> {
        let paths = self.committed_paths().map_err(|path| {
            Failure::new(format!("{path} is no path of the repository"))
                .help(format!("name the topology in it: `{name}:path/to/topology.yaml`"))
        })?;
        let place = Place { name, id };
        if let Some(path) = paths.iter().find(|it| !matches!(self.git.object(&place.spec(it)), Answer::Object { .. })) {
            return Err(Failure::new(format!("there is no {path} in `{name}`")).help(format!(
                "name the topology that it had: `{name}:path/to/topology.yaml`, or a tree: `{name}:out`"
            )));
        }
        let called = place.called(&paths[0]);
        let mesh = self.mesh(&place, &paths, is_new)?;
        let Some((tree_path, tree_id)) = self.committed(id)?.filter(|_| trees) else {
            return Ok((Side::of_mesh(called, mesh), None));
        };
        let files = self.files(&tree_id)?;
        let folder = place.called(&tree_path);
        if is_new && !is_written(&mesh, &files) {
            let message = format!("{folder} is not what {called} is compiled to today");
            let notes = ["what is told of services, addresses and calls is what the topology says".to_owned()];
            terminal::report(Level::NOTE, &message, &notes, &["`meshlatch compile` writes the tree".to_owned()]);
        }
        Ok((tree(&folder, "", &files)?.with_topology(mesh), Some(files)))
    }

    /// The tree that a commit has in the place of the output: its path and its id.
    fn committed(&self, commit: &str) -> Result<Option<(String, String)>, Failure> {
        let Some(path) = self.git.path(&self.args.output).filter(|it| !it.is_empty()) else { return Ok(None) };
        let Answer::Object { kind: Kind::Tree, id } = self.git.object(&joined(commit, &format!(":{path}"))) else {
            return Ok(None);
        };
        let paths = self.git.paths(&id)?;
        Ok(folder::has_tree(&paths).then_some((path, id)))
    }

    fn files(&self, tree: &str) -> Result<Files, Failure> {
        let files = self.git.files(tree)?.into_iter();
        let mut files: Files = files.map(|(path, bytes)| (path, File { bytes, foreign: false })).collect();
        folder::disown(&mut files);
        Ok(files)
    }

    /// The paths of the topology as the repository calls them; or one that lies outside.
    fn committed_paths(&self) -> Result<Vec<String>, String> {
        let path = |it: &PathBuf| {
            self.git.path(it).filter(|path| !input::is_stdin(it) && !path.is_empty()).ok_or_else(|| input::name(it))
        };
        self.args.topology.topology.iter().map(path).collect()
    }

    /// Compiles a topology of a commit, and says what is wrong with it if anything is.
    fn mesh(&self, place: &Place<'_>, paths: &[String], is_new: bool) -> Result<Mesh, Failure> {
        // Of what is committed nobody can mend a warning any more.
        self.attempt(place, paths, is_new)?.map_err(|said| {
            terminal::say(&said);
            broken(&place.called(&paths[0]))
        })
    }

    /// A tree on the disk says nothing of calls. If it is what the topology of the last commit is compiled to,
    /// that topology speaks for it.
    fn with_head(&self, (side, files): (Side, Option<Files>)) -> Side {
        let place = Place { name: "HEAD", id: "HEAD" };
        let mesh = self.committed_paths().ok().and_then(|it| self.attempt(&place, &it, false).ok()?.ok());
        match (mesh, files) {
            (Some(mesh), Some(files)) if is_written(&mesh, &files) => side.with_topology(mesh),
            _ => side,
        }
    }

    /// Compiles a topology of a commit with the lock that lies beside it there; or what is wrong with the two.
    fn attempt(&self, place: &Place<'_>, paths: &[String], is_new: bool) -> Result<Result<Mesh, String>, Failure> {
        let (texts, lock_path) = self.topology(place, paths)?;
        let mut diags = Diagnostics::new();
        let mut inputs = input::addresses(&self.args.topology.addresses, &mut diags)?;
        if !is_new {
            // A cluster of today may not have been there.
            inputs = inputs.optional();
        }
        let lock_name = place.called(&lock_path);
        let mut lock = Lock::new(lock_name.as_str());
        if let Answer::Object { id, kind: Kind::Blob } = self.git.object(&place.spec(&lock_path)) {
            let mut diags = Diagnostics::new();
            let (said, source) = match syntax::decode(&lock_name, self.git.blob(&id)?, &mut diags) {
                Ok(source) => (Lock::parse(&source, &mut diags).ok(), source),
                Err((source, _)) => (None, source),
            };
            let Some(said) = said else { return Ok(Err(diag::render(&diags, &source, true))) };
            lock = said;
        }
        inputs.lock = Some(lock);
        let (mesh, source) = match syntax::decode_all(texts, &mut diags) {
            Ok(source) => (meshlatch::compile(&source, &inputs, &mut diags).ok(), source),
            Err((source, _)) => (None, source),
        };
        Ok(mesh.ok_or_else(|| diag::render(&diags, &source, true)))
    }

    /// The files of a topology of a commit, each with its name, and the path of the lock: as
    /// [`crate::files::Files`] finds them on the disk.
    fn topology(&self, place: &Place<'_>, paths: &[String]) -> Result<(Texts, String), Failure> {
        let mut texts = Vec::new();
        let mut lock = None;
        let folder = |path: &str, id: &str, texts: &mut Vec<_>| -> Result<(), Failure> {
            let is_read = |it: &&(String, Vec<u8>)| !it.0.contains('/') && is_yaml(&it.0);
            let mut files: Vec<_> = self.git.files(id)?.iter().filter(is_read).cloned().collect();
            files.sort();
            texts.extend(files.into_iter().map(|(name, bytes)| (place.called(&below(path, &name)), bytes)));
            Ok(())
        };
        for path in paths {
            let path = path.trim_end_matches('/');
            match self.git.object(&place.spec(path)) {
                Answer::Object { id, kind: Kind::Blob } => {
                    lock = lock.or_else(|| Some(beside(path, "lock")));
                    texts.push((place.called(path), self.git.blob(&id)?));
                }
                Answer::Object { id, kind: Kind::Tree } => {
                    lock = lock.or_else(|| Some(below(path, "topology.lock")));
                    folder(path, &id, &mut texts)?;
                }
                _ => return Err(Failure::new(format!("`{}` is no file", place.called(path)))),
            }
        }
        // Only a file has others beside it, and only one that stands alone.
        if let [path] = paths
            && texts.first().is_some_and(|it| it.0 == place.called(path))
        {
            let more = beside(path, "d");
            if let Answer::Object { id, kind: Kind::Tree } = self.git.object(&place.spec(&more)) {
                folder(&more, &id, &mut texts)?;
            }
        }
        Ok((texts, lock.unwrap_or_default()))
    }
}

/// Texts of files, each with its name.
type Texts = Vec<(String, Vec<u8>)>;

/// A commit: what it is called, and what git is asked for.
struct Place<'a> {
    name: &'a str,
    id: &'a str,
}

impl Place<'_> {
    fn called(&self, path: &str) -> String {
        format!("{}:{path}", self.name)
    }

    fn spec(&self, path: &str) -> OsString {
        format!("{}:{path}", self.id).into()
    }
}

/// A file in a folder of a commit, or at its top.
fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// What lies beside a file of a commit.
fn beside(path: &str, ending: &str) -> String {
    files::beside(Path::new(path), ending).to_string_lossy().into_owned()
}

/// Whether a tree is, byte for byte, what a topology is compiled to.
fn is_written(mesh: &Mesh, files: &Files) -> bool {
    let mut written = 0;
    for (id, name) in mesh.clusters() {
        let Outcome::Ready(bundle) = mesh.bundle(id) else { return false };
        for (path, file) in bundle.files() {
            if files.get(&format!("{name}/{path}")).is_none_or(|it| it.bytes != file.text.as_bytes()) {
                return false;
            }
            written += 1;
        }
    }
    let own = files.iter().filter(|(path, it)| !it.foreign && !path.split('/').any(|it| it.starts_with('.')));
    own.count() == written
}

fn tree(name: &str, one: &str, files: &Files) -> Result<Side, Failure> {
    Side::of_tree(name, one, files).map_err(|error| Failure::new(format!("cannot read {name}/{error}")))
}

fn no_tree(name: &str) -> Failure {
    Failure::new(format!("`{name}` holds no bundle"))
        .note("neither it nor a folder in it has a kustomization.yaml")
        .help("a tree is a folder a cluster, such as `meshlatch compile` writes")
}

fn broken(name: &str) -> Failure {
    Failure::new(format!("{name} has errors, and nothing was compared"))
}
