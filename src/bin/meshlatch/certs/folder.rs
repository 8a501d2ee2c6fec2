//! `Folder`: where the keys go, which is nowhere near the bundles.
#![expect(clippy::disallowed_types, reason = "the binary is where files are read")]

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use meshlatch::Mesh;
use meshlatch::topology::{ClusterId, TrustOrigin};

use super::{GITIGNORE, Places};
use crate::failure::Failure;
use crate::inventory;
use crate::tree::STAGING;

/// The folder as the user calls it, and where it lies without links and `..`.
pub(super) struct Folder {
    given: PathBuf,
    path: PathBuf,
}

impl Folder {
    /// Refuses what is, or lies in, a folder of bundles.
    pub(super) fn find(given: &Path, bundles: &Path) -> Result<Self, Failure> {
        if given == Path::new("-") {
            return Err(Failure::new("keys are never printed").help("name a folder with `--to`"));
        }
        let path = resolve(given)?;
        let has_inventory = |it: &&Path| it.join(inventory::FILE).is_file();
        let holder = if path.starts_with(resolve(bundles)?) {
            Some(bundles.to_owned())
        } else {
            path.ancestors().find(has_inventory).map(Path::to_owned).or_else(|| holds_bundles(path.parent()?))
        };
        if let Some(holder) = holder {
            let (given, holder) = (given.display(), holder.display());
            return Err(Failure::new(format!("no key may go to {given}: {holder} is for bundles"))
                .note("bundles are committed and handed on, and keys must not be")
                .help("name a folder outside it with `--to`"));
        }
        let nearest = path.ancestors().find(|it| it.exists());
        if let Some(file) = nearest.filter(|it| !it.is_dir()) {
            let file = if file == path { given } else { file };
            return Err(Failure::new(format!("{} is not a folder", file.display())).help("name another with `--to`"));
        }
        Ok(Self { given: given.to_owned(), path })
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its name, as the user gave it.
    pub(super) fn shown_path(&self) -> String {
        self.given.display().to_string()
    }

    /// What to call a path in it.
    pub(super) fn shown(&self, path: &str) -> String {
        self.given.join(path).display().to_string()
    }

    /// Whether anything is at a path in it.
    pub(super) fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path.join(path)).is_ok()
    }

    /// The text of a file, if there is one.
    pub(super) fn read(&self, path: &str) -> Result<Option<String>, Failure> {
        let mut text = String::new();
        match File::open(self.path.join(path)).and_then(|mut it| it.read_to_string(&mut text)) {
            Ok(_) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::io("read", &self.given.join(path), &error)),
        }
    }

    /// Keys keep no company: a `.gitignore` of `*` would hide other people's files.
    pub(super) fn refuse_other_files(&self) -> Result<(), Failure> {
        let entries = fs::read_dir(&self.path).map_err(|error| Failure::io("read", &self.given, &error))?;
        for entry in entries {
            let name = entry.map_err(|error| Failure::io("read", &self.given, &error))?.file_name();
            if name != GITIGNORE && name != STAGING {
                return Err(Failure::new(format!("{} holds other files, and no root", self.given.display()))
                    .note(format!("such as `{}`", name.display()))
                    .help("name a folder with `--to` that is new, empty, or of an earlier run"));
            }
        }
        Ok(())
    }

    /// The work tree of git in which it lies.
    pub(super) fn repository(&self) -> Option<&Path> {
        self.path.ancestors().find(|it| fs::symlink_metadata(it.join(".git")).is_ok())
    }
}

/// The folder of each cluster, which is its own, and in the folder of keys.
pub(super) fn places<'a>(
    folder: &Folder,
    mesh: &'a Mesh,
    clusters: Vec<(ClusterId, &'a str)>,
) -> Result<Places<'a>, Failure> {
    let mut places: Places<'a> = Vec::new();
    for (id, name) in clusters {
        let files = match &mesh.cluster(id).trust.origin {
            TrustOrigin::Files(files) => files.clone(),
            TrustOrigin::ExternalSecret { .. } => format!("certs/{name}"),
        };
        let path = resolve(&folder.path.join(&files))?;
        let help = "its folder is `trust.files` of the topology, `certs/{cluster}` by default, in that of `--to`";
        let own = path.strip_prefix(&folder.path).ok().filter(|it| !it.as_os_str().is_empty());
        let Some(own) = own.and_then(Path::to_str) else {
            return Err(Failure::new(format!("the files of `{name}` do not belong into {}", folder.given.display()))
                .note(format!("it reads them from {}", folder.shown(&files)))
                .help(help));
        };
        let shares = |other: &str| Path::new(other).starts_with(own) || Path::new(own).starts_with(other);
        if let Some((_, other, _)) = places.iter().find(|(_, _, it)| shares(it)) {
            return Err(Failure::new(format!("`{other}` and `{name}` would have their keys in one folder"))
                .note(format!("`{name}` reads them from {}", folder.shown(&files)))
                .help(help));
        }
        places.push((id, name, own.to_owned()));
    }
    Ok(places)
}

/// The folder itself, if a folder in it is a bundle.
fn holds_bundles(folder: &Path) -> Option<PathBuf> {
    let bundle = |entry: io::Result<fs::DirEntry>| entry.is_ok_and(|it| it.path().join(inventory::FILE).is_file());
    fs::read_dir(folder).ok()?.any(bundle).then(|| folder.to_owned())
}

/// A path without links and `..`, whether or not there is something yet.
fn resolve(path: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(path).map_err(|error| Failure::io("find", path, &error))?;
    let mut resolved = PathBuf::new();
    for component in absolute.components() {
        if component == Component::ParentDir {
            // No part of what is resolved is a link, so that this is its parent.
            resolved.pop();
            continue;
        }
        resolved.push(component);
        // The prefix of a path of Windows leads nowhere by itself.
        if matches!(component, Component::Normal(_)) && fs::symlink_metadata(&resolved).is_ok() {
            resolved = fs::canonicalize(&resolved).map_err(|error| Failure::io("follow", path, &error))?;
        }
    }
    Ok(resolved)
}
