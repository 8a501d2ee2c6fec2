//! `Bundle`: what is written for one cluster.

use indexmap::IndexMap;
use indexmap::map::Entry;

/// Files by their path relative to the cluster's folder, in the order in which they are applied.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Bundle {
    files: IndexMap<String, File>,
}

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its whole text.
    pub text: String,
    /// Whether the kustomization lists it.
    pub applied: bool,
    /// Whether it is a script.
    pub executable: bool,
}

impl Bundle {
    /// Adds objects that `kubectl apply -k` applies; those of one path share a file.
    pub(crate) fn apply(&mut self, path: impl Into<String>, text: String) {
        let file = self.add(path.into(), text);
        file.applied = true;
    }

    /// Adds a file that a person or another tool uses.
    pub(crate) fn keep(&mut self, path: impl Into<String>, text: String) {
        self.add(path.into(), text);
    }

    /// Adds a script.
    pub(crate) fn script(&mut self, path: impl Into<String>, text: String) {
        self.add(path.into(), text).executable = true;
    }

    fn add(&mut self, path: String, text: String) -> &mut File {
        match self.files.entry(path) {
            Entry::Vacant(entry) => entry.insert(File { text, applied: false, executable: false }),
            Entry::Occupied(entry) => {
                let file = entry.into_mut();
                file.text.push_str("---\n");
                file.text.push_str(&text);
                file
            }
        }
    }

    /// Every file with its path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// The text of a file.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(|it| it.text.as_str())
    }

    /// The paths that the kustomization lists, in its order.
    pub fn applied(&self) -> impl Iterator<Item = &str> {
        self.files().filter(|(_, file)| file.applied).map(|(path, _)| path)
    }

    /// All objects that `kubectl apply -k` applies, as one stream for `kubectl apply -f -`.
    #[must_use]
    pub fn stream(&self) -> String {
        let texts: Vec<_> = self.files().filter(|(_, file)| file.applied).map(|(_, file)| file.text.as_str()).collect();
        texts.join("---\n")
    }
}

/// Whether a file that is not applied is one that somebody runs or hands to a tool, and not merely reads.
pub(crate) fn is_by_hand(path: &str) -> bool {
    path.contains('/')
}
