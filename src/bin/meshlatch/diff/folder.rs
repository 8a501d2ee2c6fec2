//! A tree on the disk, as it is compared.
#![expect(clippy::disallowed_methods, reason = "the binary is where files are read")]

use std::fs;
use std::io;
use std::path::Path;

use meshlatch::diff::{File, Files, KUSTOMIZATIONS};

use crate::failure::Failure;
use crate::inventory::{self, Inventory};

/// The files of a tree; none if there is no such folder.
pub(super) fn read(folder: &Path) -> Result<Files, Failure> {
    let mut files = Files::new();
    let entries = match entries(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(Failure::io("read", folder, &error)),
    };
    if is_listed(folder) {
        visit(folder, "", &mut files)?;
    } else {
        // Whatever else lies beside the clusters may be large, and is none of the tree.
        for name in entries.iter().filter(|it| !it.starts_with('.') && is_listed(&folder.join(it))) {
            visit(&folder.join(name), &format!("{name}/"), &mut files)?;
        }
    }
    disown(&mut files);
    Ok(files)
}

/// The files of these clusters: of the folder that is called like one, or the file.
pub(crate) fn of_clusters<'a>(folder: &Path, names: impl Iterator<Item = &'a str>) -> Result<Files, Failure> {
    let mut files = Files::new();
    let there = entries(folder).map_err(|error| Failure::io("read", folder, &error))?;
    for name in names {
        if folder.join(name).is_dir() {
            visit(&folder.join(name), &format!("{name}/"), &mut files)?;
        }
        let of_cluster =
            |it: &&String| it.strip_prefix(name).is_some_and(|it| [".yaml", ".yml", ".json"].contains(&it));
        for file in there.iter().filter(of_cluster) {
            let path = folder.join(file);
            let bytes = fs::read(&path).map_err(|error| Failure::io("read", &path, &error))?;
            files.insert(file.clone(), File { bytes, foreign: false });
        }
    }
    Ok(files)
}

/// Marks what lies in a folder that meshlatch looks after, and is none of its files.
pub(super) fn disown(files: &mut Files) {
    let inventories: Vec<(String, Inventory)> = files
        .iter()
        .filter_map(|(path, file)| {
            let folder = path.strip_suffix(inventory::FILE).filter(|it| it.is_empty() || it.ends_with('/'))?;
            Some((folder.to_owned(), Inventory::parse(std::str::from_utf8(&file.bytes).ok()?).ok()?))
        })
        .collect();
    for (folder, inventory) in inventories {
        for (path, file) in files.iter_mut() {
            if let Some(inner) = path.strip_prefix(&folder) {
                file.foreign = !inventory.contains(inner);
            }
        }
    }
}

/// Whether a folder is a tree, or one cluster's folder of it.
pub(super) fn is_tree(folder: &Path) -> bool {
    let inner = |it: Vec<String>| it.iter().any(|it| !it.starts_with('.') && is_listed(&folder.join(it)));
    is_listed(folder) || entries(folder).is_ok_and(inner)
}

/// Whether files of a commit are a tree, by their path in it.
pub(super) fn has_tree(files: &[(String, String)]) -> bool {
    let at_most_one = |path: &str| path.split('/').count() <= 2;
    let name = |path: &str| path.rsplit('/').next().is_some_and(|it| KUSTOMIZATIONS.contains(&it));
    files.iter().any(|(path, _)| at_most_one(path) && name(path))
}

fn is_listed(folder: &Path) -> bool {
    KUSTOMIZATIONS.iter().any(|it| folder.join(it).is_file())
}

/// The names in a folder, in order. A name that is no Unicode is none of ours.
fn entries(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

fn visit(folder: &Path, prefix: &str, files: &mut Files) -> Result<(), Failure> {
    for name in entries(folder).map_err(|error| Failure::io("read", folder, &error))? {
        if name.starts_with('.') && name != inventory::FILE {
            continue;
        }
        let path = folder.join(&name);
        let kind = fs::symlink_metadata(&path).map_err(|error| Failure::io("read", &path, &error))?;
        let inner = format!("{prefix}{name}");
        if kind.is_dir() {
            visit(&path, &format!("{inner}/"), files)?;
        } else if kind.is_file() || kind.is_symlink() && path.is_file() {
            let bytes = fs::read(&path).map_err(|error| Failure::io("read", &path, &error))?;
            files.insert(inner, File { bytes, foreign: false });
        }
    }
    Ok(())
}
