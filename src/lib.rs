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
//! - [`syntax::parse`] knows YAML, not meaning; from here on, several files are one document.
//! - [`topology::resolve`] knows meaning, not Istio's YAML.
//! - [`addresses::allocate`] gives every host that is called from afar its virtual IP.
//! - [`model::lower`] takes one cluster's point of view and decides everything.
//! - [`resources::render`] writes manifests and decides nothing.
//!
//! While a service moves, two meshes are compiled, and [`phases`] mixes the bundles of both;
//! [`migrate`] writes the topologies of such a move. [`format`](mod@format) makes the spelling of a file uniform.
//! [`why`] says which lines of the topology an object comes from. [`prove`](mod@prove) follows every declared
//! call through the objects of all clusters, and [`rollout`] finds an order of the clusters in which none is cut.
//!
//! A stage collects all its errors in [`diag::Diagnostics`], and the pipeline stops between
//! stages. After `allocate` nothing in the user's hands can fail.
//!
//! There is no I/O here, no clock, no environment, no map with an order of its own.

pub mod addresses;
pub mod bundle;
mod change;
pub mod diag;
pub mod diff;
pub mod format;
pub mod inputs;
pub mod lock;
pub mod migrate;
pub mod model;
mod phases;
pub mod prove;
mod resources;
pub mod rollout;
pub mod source;
pub mod stats;
pub mod syntax;
pub mod target;
pub mod topology;
mod trees;
pub mod why;
pub mod yaml;

use std::collections::BTreeSet;

pub use resources::{CaFiles, shell_word};

use indexmap::IndexMap;

use addresses::Addresses;
use bundle::Bundle;
use diag::{Diagnostics, Reported};
use inputs::Inputs;
use lock::Lock;
use model::{Lowered, Wait};
use phases::{Mixing, Part};
use source::Source;
use stats::Stats;
use syntax::{Document, Phase};
use topology::{Cluster, ClusterId, ServiceId, Topology};

/// A mesh without errors, ready to be written cluster by cluster.
#[derive(Debug)]
pub struct Mesh {
    topology: Topology,
    addresses: Addresses,
    /// The virtual IPs of every name, to be kept.
    lock: Lock,
    /// The mesh that it was before a service began to move, if one is on its way.
    before: Option<(Box<Mesh>, Way)>,
}

/// A service on its way, and how far it is.
#[derive(Debug, Clone, Copy)]
struct Way {
    service: ServiceId,
    phase: Phase,
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
    build(&syntax::parse(source, diags)?, inputs, diags)
}

/// Compiles what was parsed, for whoever looks at it afterwards.
///
/// # Errors
/// When a rule is broken; every broken rule is reported.
pub fn build(document: &Document, inputs: &Inputs, diags: &mut Diagnostics) -> Result<Mesh, Reported> {
    let mut lock = inputs.lock.clone().unwrap_or_else(|| Lock::new("topology.lock"));
    let topology = topology::resolve(document, inputs, diags)?;
    // What runs has its addresses first.
    let before = match document.before() {
        Some(before) => {
            let before = settle(topology::resolve(&before, inputs, diags)?, &mut lock, diags)?;
            lock = lock.adopted();
            Some(before)
        }
        None => None,
    };
    let mut mesh = settle(topology, &mut lock, diags)?;
    if let (Some(before), Some(moving)) = (before, &document.spec.moving) {
        let way = Way { service: mesh.service(&moving.service), phase: moving.phase };
        mesh.before = Some((Box::new(before), way));
    }
    let names = mesh.names();
    lock.retire(|it| names.contains(it));
    mesh.lock = lock;
    Ok(mesh)
}

fn settle(topology: Topology, lock: &mut Lock, diags: &mut Diagnostics) -> Result<Mesh, Reported> {
    let addresses = addresses::allocate(&topology, lock, diags)?;
    Ok(Mesh { topology, addresses, lock: Lock::default(), before: None })
}

impl Mesh {
    /// The virtual IPs of every name: what the lock is to say from now on.
    #[must_use]
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// The names that have a virtual IP, those of before a move too.
    fn names(&self) -> BTreeSet<String> {
        let own = self.addresses.iter().map(|(id, _)| self.topology.global_host(id));
        let before = self.before.iter().flat_map(|(it, _)| it.names());
        own.chain(before).collect()
    }

    /// The clusters, in the order of the topology.
    pub fn clusters(&self) -> impl Iterator<Item = (ClusterId, &str)> {
        self.topology.cluster_ids().map(|id| (id, self.topology.cluster(id).name.as_str()))
    }

    /// What the topology says of one cluster.
    #[must_use]
    pub fn cluster(&self, id: ClusterId) -> &Cluster {
        self.topology.cluster(id)
    }

    /// The command that makes `cacerts` of one cluster out of its PEM files; `None` if a secret
    /// store brings them.
    #[must_use]
    pub fn cacerts_command(&self, id: ClusterId, names: CaFiles) -> Option<String> {
        resources::cacerts_command(self.cluster(id), names)
    }

    /// Writes the bundle of one cluster. Clusters are independent: any order, any thread.
    #[must_use]
    pub fn bundle(&self, id: ClusterId) -> Outcome {
        let now = match model::lower(&self.topology, &self.addresses, id) {
            Lowered::Ready(model) => Outcome::Ready(resources::render(&model)),
            Lowered::Waiting(waits) => Outcome::Waiting(waits),
        };
        let Some((before, way)) = &self.before else { return now };
        match (before.bundle(id), now) {
            (Outcome::Ready(before_it), Outcome::Ready(now)) => {
                let part = self.part(before, way.service, id);
                let parts = move |_: &str| part;
                let mixing = Mixing::of_move(way.phase, part, &parts, self.grows(before, way.service));
                Outcome::Ready(phases::between(&before_it, now, &mixing))
            }
            (Outcome::Waiting(mut waits), Outcome::Waiting(more)) => {
                waits.extend(more);
                waits.dedup();
                Outcome::Waiting(waits)
            }
            (Outcome::Waiting(waits), _) | (_, Outcome::Waiting(waits)) => Outcome::Waiting(waits),
        }
    }

    /// The bundles of all clusters, by name.
    ///
    /// # Errors
    /// When clusters wait for an address; says for which.
    pub fn bundles(&self) -> Result<IndexMap<String, Bundle>, Vec<Wait>> {
        let mut bundles = IndexMap::new();
        let mut pending = Vec::new();
        for (id, name) in self.clusters() {
            match self.bundle(id) {
                Outcome::Ready(bundle) => {
                    bundles.insert(name.to_owned(), bundle);
                }
                Outcome::Waiting(waits) => pending.extend(waits),
            }
        }
        if pending.is_empty() { Ok(bundles) } else { Err(pending) }
    }

    /// The service of this key, which exists.
    fn service(&self, key: &str) -> ServiceId {
        let index = self.topology.services.iter().position(|it| it.key == key);
        ServiceId(index.expect("a rule looks whether the service exists"))
    }

    /// What a port of a service is called.
    #[must_use]
    pub fn port_name(&self, service: &str, number: u16) -> Option<&str> {
        let service = self.topology.services.iter().find(|it| it.key == service)?;
        service.ports.iter().find(|it| it.number == number).map(|it| it.name.as_str())
    }

    /// The part that a cluster plays in a move.
    fn part(&self, before: &Self, service: ServiceId, id: ClusterId) -> Part {
        let runs = |mesh: &Self| mesh.topology.service(service).runs_in(id);
        match (runs(before), runs(self)) {
            (false, true) => Part::Joining,
            (true, true) => Part::Staying,
            (true, false) => Part::Leaving,
            (false, false) => Part::Calling,
        }
    }

    /// Whether the service runs wherever it ran before.
    fn grows(&self, before: &Self, service: ServiceId) -> bool {
        let now = self.topology.service(service);
        before.topology.service(service).placement.iter().all(|it| now.runs_in(*it))
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
