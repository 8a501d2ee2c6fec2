//! `Side`: one of the two that are compared.

use indexmap::IndexMap;
use rayon::prelude::*;

use super::Unreadable;
use crate::bundle::Bundle;
use crate::model::Wait;
use crate::trees::{self, Cluster, Files, Tree};
use crate::{Mesh, Outcome};

/// What clusters have, by what was written or would be, and what a topology says of them if there is one.
#[derive(Debug)]
pub struct Side {
    pub(super) name: String,
    pub(super) clusters: IndexMap<String, Cluster>,
    /// Whether it is the folder of one cluster, whatever its name.
    pub(super) alone: bool,
    pub(super) waits: IndexMap<String, Vec<Wait>>,
    pub(super) mesh: Option<Mesh>,
}

impl Side {
    /// What a topology is compiled to.
    #[must_use]
    pub fn of_mesh(name: impl Into<String>, mesh: Mesh) -> Self {
        let mut side = Self::empty(name.into());
        let clusters: Vec<_> = mesh.clusters().map(|(id, name)| (id, name.to_owned())).collect();
        let outcomes: Vec<_> = clusters.into_par_iter().map(|(id, name)| (name, mesh.bundle(id))).collect();
        for (name, outcome) in outcomes {
            match outcome {
                Outcome::Ready(bundle) => {
                    side.clusters.insert(name, of_bundle(&bundle));
                }
                Outcome::Waiting(waits) => {
                    side.waits.insert(name, waits);
                }
            }
        }
        side.mesh = Some(mesh);
        side
    }

    /// The files of a tree: a folder a cluster, or the folder of one, which is then called `one`.
    ///
    /// # Errors
    /// When a kustomization cannot be read, or lists what is not there.
    pub fn of_tree(name: impl Into<String>, one: &str, files: &Files) -> Result<Self, Unreadable> {
        let mut side = Self::empty(name.into());
        match trees::read(files)? {
            Tree::Clusters(clusters) => side.clusters = clusters,
            Tree::One(cluster) => {
                side.clusters.insert(one.to_owned(), cluster);
                side.alone = true;
            }
        }
        Ok(side)
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The topology, if there is one.
    #[must_use]
    pub fn into_topology(self) -> Option<Mesh> {
        self.mesh
    }

    /// The same, with the topology that it was made from.
    #[must_use]
    pub fn with_topology(mut self, mesh: Mesh) -> Self {
        self.mesh = Some(mesh);
        self
    }

    /// Its clusters, also those that wait.
    pub fn clusters(&self) -> impl Iterator<Item = &str> {
        self.clusters.keys().chain(self.waits.keys()).map(String::as_str)
    }

    /// What clusters wait for that are not written yet.
    pub fn waits(&self) -> impl Iterator<Item = (&str, &[Wait])> {
        self.waits.iter().map(|(name, waits)| (name.as_str(), waits.as_slice()))
    }

    /// Keeps these clusters only.
    pub fn restrict(&mut self, names: &[String]) {
        self.clusters.retain(|name, _| names.contains(name));
        self.waits.retain(|name, _| names.contains(name));
    }

    fn empty(name: String) -> Self {
        Self { name, clusters: IndexMap::new(), alone: false, waits: IndexMap::new(), mesh: None }
    }
}

fn of_bundle(bundle: &Bundle) -> Cluster {
    let mut cluster = Cluster::default();
    for (path, file) in bundle.files() {
        if file.applied {
            cluster.applied.insert(path.to_owned(), file.text.clone());
        } else if path != "kustomization.yaml" {
            cluster.kept.insert(path.to_owned(), file.text.clone().into_bytes());
        }
    }
    cluster
}
