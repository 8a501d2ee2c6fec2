//! `Files`: the files that a topology is made of.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::input::is_stdin;

/// More than any topology is cut into.
const MAX_FILES: usize = 10_000;

/// What was named on the command line, and the files that are meant.
#[derive(Debug)]
pub(crate) struct Files {
    /// The first path that was named: a file, a folder or standard input.
    first: PathBuf,
    all: Vec<PathBuf>,
}

impl Files {
    /// Looks into the folders that were named. A file that stands alone has those of `NAME.d` beside
    /// `NAME.yaml`, too.
    pub(crate) fn find(named: &[PathBuf]) -> Result<Self, Failure> {
        let mut all = Vec::new();
        let mut folders = Vec::new();
        for path in named {
            if is_stdin(path) || !path.is_dir() {
                all.push(path.clone());
                continue;
            }
            let folder = Folder::read(path)?;
            if folder.files.is_empty() && folder.folders.is_empty() {
                return Err(Failure::new(format!("no file in {} ends in .yaml or .yml", path.display()))
                    .help("name the folder of the topology, or its files"));
            }
            all.extend_from_slice(&folder.files);
            folders.push((path.clone(), folder));
        }
        if let [only] = named
            && !is_stdin(only)
            && folders.is_empty()
        {
            let beside = beside(only, "d");
            if beside.is_dir() {
                let folder = Folder::read(&beside)?;
                all.extend_from_slice(&folder.files);
                folders.push((beside, folder));
            }
        }
        no_folder_is_left_out(&folders)?;
        if all.len() > MAX_FILES {
            return Err(Failure::new(format!("these are more than {MAX_FILES} files"))
                .help("is this the right folder? no topology has that many"));
        }
        no_file_is_read_twice(&all)?;
        Ok(Self { first: named.first().cloned().unwrap_or_default(), all })
    }

    /// The files, in the order in which they are read.
    pub(crate) fn all(&self) -> &[PathBuf] {
        &self.all
    }

    /// What was named first.
    pub(crate) fn first(&self) -> &Path {
        &self.first
    }
}

/// What lies in a folder and counts.
struct Folder {
    /// The files that end in `.yaml` or `.yml`, by the bytes of their names.
    files: Vec<PathBuf>,
    /// The folders in it that hold such files.
    folders: Vec<PathBuf>,
}

impl Folder {
    fn read(path: &Path) -> Result<Self, Failure> {
        let mut folder = Self { files: Vec::new(), folders: Vec::new() };
        for path in entries(path)? {
            // A link that leads nowhere is told when it is read.
            let kind = fs::metadata(&path);
            if kind.as_ref().is_ok_and(fs::Metadata::is_dir) {
                if entries(&path).is_ok_and(|it| it.iter().any(|it| is_yaml(it))) {
                    folder.folders.push(path);
                }
            } else if is_yaml(&path) {
                if kind.is_ok_and(|it| !it.is_file()) {
                    return Err(Failure::new(format!("{} is neither a file nor a folder", path.display()))
                        .help("keep it elsewhere, or name the files of the topology"));
                }
                folder.files.push(path);
            }
        }
        Ok(folder)
    }
}

/// What is not hidden in a folder, by the bytes of the names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let read = || -> std::io::Result<Vec<PathBuf>> { fs::read_dir(folder)?.map(|it| it.map(|it| it.path())).collect() };
    let mut paths = read().map_err(|error| Failure::io("read", folder, &error))?;
    paths.retain(|it| !it.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")));
    paths.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    Ok(paths)
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "yaml" || it == "yml")
}

/// What belongs to a file and lies beside it: `prod.lock` and `prod.d` beside `prod.yaml`.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    match path.extension().and_then(OsStr::to_str) {
        Some("yaml" | "yml" | "json") | None => path.with_extension(ending),
        // What stands behind the last dot is a part of the name.
        Some(_) => {
            let mut path = path.to_path_buf().into_os_string();
            path.push(".");
            path.push(ending);
            path.into()
        }
    }
}

/// Whoever has files in a folder of a folder expects them to be read.
fn no_folder_is_left_out(folders: &[(PathBuf, Folder)]) -> Result<(), Failure> {
    let named: Vec<_> = folders.iter().filter_map(|it| it.0.canonicalize().ok()).collect();
    for (outer, folder) in folders {
        let left_out = |it: &&PathBuf| it.canonicalize().is_ok_and(|it| !named.contains(&it));
        if let Some(inner) = folder.folders.iter().find(left_out) {
            let (outer, inner) = (outer.display(), inner.display());
            return Err(Failure::new(format!("{inner} holds YAML files and would not be read"))
                .note(format!("of {outer} only the files that lie in it are read, not those of folders in it"))
                .help(format!("name both, `{outer} {inner}`, or the files that are meant")));
        }
    }
    Ok(())
}

fn no_file_is_read_twice(files: &[PathBuf]) -> Result<(), Failure> {
    if files.len() < 2 {
        return Ok(());
    }
    let mut seen: BTreeMap<PathBuf, &PathBuf> = BTreeMap::new();
    for path in files.iter().filter(|it| !is_stdin(it)) {
        let Ok(real) = path.canonicalize() else { continue };
        if let Some(first) = seen.insert(real, path) {
            let message = if first == path {
                format!("{} is named twice", path.display())
            } else {
                format!("{} and {} are one file", first.display(), path.display())
            };
            return Err(Failure::new(message).help("leave one of the two out"));
        }
    }
    Ok(())
}
