//! What several tests need: compile a text, read folders, compare trees.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use meshlatch::diag::{self, Diagnostics};
use meshlatch::inputs::Inputs;
use meshlatch::source::Source;
use meshlatch::{Mesh, Outcome};

/// The top of the project.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Compiles bytes as the binary does; gives the mesh, if there are no errors, and what was said.
pub(crate) fn compile_bytes(name: &str, bytes: Vec<u8>, inputs: &Inputs) -> (Option<Mesh>, String, Diagnostics) {
    compile_files(vec![(name.to_owned(), bytes)], inputs)
}

/// Compiles the bytes of several files, each with its name.
pub(crate) fn compile_files(files: Vec<(String, Vec<u8>)>, inputs: &Inputs) -> (Option<Mesh>, String, Diagnostics) {
    let mut diags = Diagnostics::new();
    let (mesh, source) = match meshlatch::syntax::decode_all(files, &mut diags) {
        Ok(source) => (meshlatch::compile(&source, inputs, &mut diags).ok(), source),
        Err((source, _)) => (None, source),
    };
    let said = said(&diags, &source);
    (mesh, said, diags)
}

/// What the binary would print of these diagnostics.
pub(crate) fn said(diags: &Diagnostics, source: &Source) -> String {
    let mut said = diag::render(diags, source, false);
    if let Some(summary) = diag::summary(diags) {
        said.push_str(&summary);
        said.push('\n');
    }
    said
}

/// Compiles a text that must have no errors.
pub(crate) fn compile(text: &str) -> Mesh {
    let (mesh, said, _) = compile_bytes("topology.yaml", text.as_bytes().to_vec(), &Inputs::default());
    mesh.unwrap_or_else(|| panic!("{said}"))
}

/// Every file of every cluster that is ready, by `<cluster>/<path>`.
pub(crate) fn tree(mesh: &Mesh) -> BTreeMap<String, String> {
    let mut tree = BTreeMap::new();
    for (id, name) in mesh.clusters() {
        if let Outcome::Ready(bundle) = mesh.bundle(id) {
            for (path, file) in bundle.files() {
                tree.insert(format!("{name}/{path}"), file.text.clone());
            }
        }
    }
    tree
}

/// Every file below a folder, by its path in it; empty if there is no such folder. What begins
/// with a dot is not read.
pub(crate) fn read_tree(folder: &Path) -> BTreeMap<String, String> {
    let mut tree = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(current) = folders.pop() {
        for entry in std::fs::read_dir(&current).into_iter().flatten() {
            let path = entry.expect("a folder can be listed").path();
            if path.file_name().is_some_and(|it| it.to_string_lossy().starts_with('.')) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("it lies below").to_string_lossy().replace('\\', "/");
                tree.insert(
                    name,
                    String::from_utf8_lossy(&std::fs::read(&path).expect("a test's file can be read")).into_owned(),
                );
            }
        }
    }
    tree
}

/// The names of the files of a folder, in order.
pub(crate) fn file_names(folder: &Path) -> std::collections::BTreeSet<String> {
    std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|it| it.expect("a folder can be listed").file_name().to_string_lossy().into_owned())
        .filter(|it| !it.starts_with('.'))
        .collect()
}

/// The golden cases: name and folder, in order.
pub(crate) fn golden_cases() -> Vec<(String, PathBuf)> {
    let mut cases: Vec<_> = std::fs::read_dir(root().join("tests/golden"))
        .expect("there are golden cases")
        .map(|it| it.expect("a folder can be listed"))
        .map(|it| (it.file_name().to_string_lossy().into_owned(), it.path()))
        .collect();
    cases.sort();
    cases
}

/// Compares what was made with what is kept. `BLESS=1` keeps what was made.
pub(crate) fn check_tree(folder: &Path, made: &BTreeMap<String, String>) {
    let kept = read_tree(folder);
    if kept == *made {
        return;
    }
    if std::env::var_os("BLESS").is_some() {
        for name in kept.keys().filter(|it| !made.contains_key(*it)) {
            std::fs::remove_file(folder.join(name)).expect("a kept file can be removed");
        }
        for (name, text) in made {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("a folder can be made");
            std::fs::write(path, text).expect("a file can be written");
        }
        return;
    }
    let names: BTreeSet<_> = kept.keys().chain(made.keys()).collect();
    let differences: Vec<_> = names
        .into_iter()
        .filter(|name| kept.get(*name) != made.get(*name))
        .map(|name| match (kept.get(name), made.get(name)) {
            (Some(old), Some(new)) => {
                let line = old.lines().zip(new.lines()).find(|(old, new)| old != new);
                format!("{name}: {line:?}")
            }
            (None, _) => format!("{name} is new"),
            (_, None) => format!("{name} is gone"),
        })
        .collect();
    panic!("{}: run `BLESS=1 cargo test` and read the difference\n{}", folder.display(), differences.join("\n"));
}

/// Lets git run as somebody without any settings.
pub(crate) fn as_somebody(command: &mut std::process::Command) {
    for (name, value) in [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "somebody"),
        ("GIT_AUTHOR_EMAIL", "somebody@example.com"),
        ("GIT_COMMITTER_NAME", "somebody"),
        ("GIT_COMMITTER_EMAIL", "somebody@example.com"),
    ] {
        command.env(name, value);
    }
}
