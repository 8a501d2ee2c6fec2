//! meshlatch compiles one topology of a mesh over several clusters into a bundle of YAML for each.
//!
//! It is a pure function from text to files:
//!
//! ```text
//! Source --parse--> Document --resolve--> Topology --allocate--> Addresses
//!                                         Topology + Addresses --lower--> ClusterModel
//!                                         ClusterModel --render--> Bundle
//! ```
//!
//! - [`syntax::parse`] knows YAML, not meaning.
//! - [`topology::resolve`] knows meaning, not Istio's YAML.
//! - [`addresses::allocate`] gives every host that is called from afar its virtual IP.
//! - [`model::lower`] takes one cluster's point of view and decides everything.
//! - [`resources::render`] writes manifests and decides nothing.
//!
//! A stage collects all its errors in [`diag::Diagnostics`], and the pipeline stops between
//! stages. After `allocate` nothing in the user's hands can fail.
//!
//! There is no I/O here, no clock, no environment, no map with an order of its own.

pub mod addresses;
pub mod bundle;
pub mod diag;
pub mod inputs;
pub mod model;
mod resources;
pub mod source;
pub mod stats;
pub mod syntax;
pub mod target;
pub mod topology;
pub mod yaml;

use addresses::Addresses;
use bundle::Bundle;
use diag::{Diagnostics, Reported};
use inputs::Inputs;
use model::{Lowered, Wait};
use source::Source;
use stats::Stats;
use topology::{ClusterId, Topology};

/// A mesh without errors, ready to be written cluster by cluster.
#[derive(Debug)]
pub struct Mesh {
    topology: Topology,
    addresses: Addresses,
}

/// What becomes of a cluster.
#[derive(Debug)]
pub enum Outcome {
    /// Its bundle.
    Ready(Bundle),
    /// What it waits for; never empty.
    Waiting(Vec<Wait>),
}

/// Compiles a topology. Errors and warnings are in `diags`.
///
/// # Errors
/// When the topology has a mistake; every one that could be seen is in `diags`.
pub fn compile(source: &Source, inputs: &Inputs, diags: &mut Diagnostics) -> Result<Mesh, Reported> {
    diags.check()?;
    let document = syntax::parse(source, diags)?;
    let topology = topology::resolve(&document, inputs, diags)?;
    let addresses = addresses::allocate(&topology, diags)?;
    Ok(Mesh { topology, addresses })
}

impl Mesh {
    /// The clusters, in the order of the topology.
    pub fn clusters(&self) -> impl Iterator<Item = (ClusterId, &str)> {
        self.topology.cluster_ids().map(|id| (id, self.topology.cluster(id).name.as_str()))
    }

    /// Writes the bundle of one cluster. Clusters are independent: any order, any thread.
    #[must_use]
    pub fn bundle(&self, id: ClusterId) -> Outcome {
        match model::lower(&self.topology, &self.addresses, id) {
            Lowered::Ready(model) => Outcome::Ready(resources::render(&model)),
            Lowered::Waiting(waits) => Outcome::Waiting(waits),
        }
    }

    /// Counts what becomes of one cluster.
    ///
    /// # Errors
    /// When it is not written yet; says what it waits for.
    pub fn stats(&self, id: ClusterId) -> Result<Stats, Vec<Wait>> {
        match model::lower(&self.topology, &self.addresses, id) {
            Lowered::Ready(model) => {
                let scope = model::sidecars(&self.topology, id);
                let namespace = &self.topology.cluster(id).ingress_gateway.namespace;
                Ok(stats::count(&model, &scope, namespace, &resources::render(&model)))
            }
            Lowered::Waiting(waits) => Err(waits),
        }
    }

    /// The exact release of a cluster.
    #[must_use]
    pub fn release(&self, id: ClusterId) -> String {
        self.topology.cluster(id).istio.to_string()
    }

    /// What sidecars are told of, as the topology says it.
    #[must_use]
    pub fn scope(&self) -> syntax::Scope {
        self.topology.mesh.scope
    }

    /// The virtual IPs: host and address, in the order of the services.
    pub fn virtual_ips(&self) -> impl Iterator<Item = (String, std::net::IpAddr)> {
        self.addresses.iter().map(|(id, ip)| (self.topology.global_host(id), ip))
    }
}
