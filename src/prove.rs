//! `prove`: every declared call, followed through what is written for all clusters, hop by hop.
//!
//! ```text
//! trees or bundles --read--> World --follow--> Path, or Stopped --human, json--> text
//! ```
//!
//! A [`World`] is what the API servers of all clusters would hold. It is read from the files that are applied
//! and those that install Istio, and knows nothing of how they were made. Only what no file says is the
//! topology's to tell: which clusters there are, at which address a gateway is reached, who calls whom, and
//! which pods somebody else deploys.
//!
//! Each step of a call is a [`Hop`], decided by a field of an object. The first that does not hold is a
//! [`Break`]. A path is whole only if every endpoint that the call may reach answers, for any of them may be
//! chosen.

mod asked;
mod call;
mod change;
mod choice;
mod cluster;
mod crossing;
mod delegate;
mod dns;
mod endpoint;
mod fate;
mod follow;
mod gateways;
mod hop;
mod human;
mod identity;
mod ingress;
mod install;
mod json;
mod loss;
mod matches;
mod name;
mod object;
mod odd;
mod origin;
mod path;
mod pod;
mod reach;
mod read;
mod review;
mod route;
mod rules;
mod servers;
mod service;
mod tls;
mod told;
mod unasked;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use rayon::prelude::*;

pub use asked::Unknown;
pub use call::{Call, Caller};
pub(crate) use change::Installed;
pub(crate) use cluster::Cluster;
pub use fate::{Effect, Fate};
pub use hop::{Break, Hop, HopKind};
pub use human::{Detail, human, traced};
pub use json::{json, json_of};
pub use loss::Loss;
pub use object::{Id, Object, Place, Position};
pub use odd::Odd;
pub use path::{Path, Stopped, Way};
pub use review::{review, survival};
pub use unasked::{Unasked, UnaskedKind};

use crate::bundle::Bundle;
use crate::topology::{Address, ClusterId};
use crate::trees::{Files, Unreadable};
use crate::{Mesh, Outcome};
use read::Written;

/// Where objects go that do not say it.
const DEFAULT: &str = "default";

/// The objects of all clusters, at one moment.
#[derive(Debug, Clone)]
pub struct World {
    /// By name, in the order of the topology.
    clusters: IndexMap<String, Cluster>,
    /// The clusters behind an address and port of a gateway.
    gateways: BTreeMap<(String, u16), BTreeMap<String, Entrance>>,
    /// What is called, by the cluster of the caller.
    calls: IndexMap<String, Vec<Call>>,
    /// Clusters of the topology of which nothing is written.
    absent: Vec<String>,
}

/// What became of all calls.
#[derive(Debug)]
pub struct Proof<'a> {
    /// The calls that have a whole path.
    pub proved: Vec<(&'a Call, Path)>,
    /// Those that have none.
    pub broken: Vec<(&'a Call, Stopped)>,
    /// Those that were not followed, for a cluster is not written: its name.
    pub absent: Vec<(&'a Call, String)>,
    /// Objects that are not understood, each with the calls on which it may act.
    pub odd: Vec<(Odd, Vec<&'a Call>)>,
    /// What no declared call asks for.
    pub unasked: Vec<Unasked>,
}

impl World {
    /// Reads the tree of all clusters: a folder or a file a cluster. Objects that have no namespace are given one.
    ///
    /// # Errors
    /// When a file cannot be read as what a cluster would take.
    pub fn of_tree(mesh: &Mesh, folder: &str, files: &Files, namespace: &str) -> Result<Self, Unreadable> {
        let names = mesh.clusters().map(|it| it.1);
        Self::of(mesh, &read::tree(files, names)?, folder, namespace)
    }

    /// Reads the bundles of a mesh, but for those that wait for an address.
    ///
    /// # Errors
    /// When one cannot be read, which is a mistake of this program.
    pub fn of_mesh(mesh: &Mesh) -> Result<Self, Unreadable> {
        let clusters: Vec<_> = mesh.clusters().map(|(id, name)| (id, name.to_owned())).collect();
        let written = clusters.into_par_iter().filter_map(|(id, name)| match mesh.bundle(id) {
            Outcome::Ready(bundle) => Some((name, Written::of_bundle(&bundle))),
            Outcome::Waiting(_) => None,
        });
        Self::of(mesh, &written.collect::<Vec<_>>().into_iter().collect(), "", DEFAULT)
    }

    /// The same, of bundles that are at hand.
    pub(crate) fn of_bundles(mesh: &Mesh, bundles: &IndexMap<String, Bundle>) -> Result<Self, Unreadable> {
        let written = bundles.iter().map(|(name, bundle)| (name.clone(), Written::of_bundle(bundle)));
        Self::of(mesh, &written.collect(), "", DEFAULT)
    }

    fn of(mesh: &Mesh, written: &IndexMap<String, Written>, folder: &str, namespace: &str) -> Result<Self, Unreadable> {
        let all: Vec<_> = mesh.clusters().filter_map(|(id, name)| Some((id, name, written.get(name)?))).collect();
        let read = |(id, name, written): (ClusterId, &str, &Written)| {
            let mut cluster = read::cluster(mesh.cluster(id), written, folder, namespace)?;
            told::tell(&mesh.topology, id, &mut cluster);
            cluster.roll_out();
            Ok((name.to_owned(), cluster))
        };
        let clusters: Vec<Result<_, Unreadable>> = all.into_par_iter().map(read).collect();
        // Of several mistakes the first by order is told, not the first by chance.
        let clusters: IndexMap<String, Cluster> = clusters.into_iter().collect::<Result<_, _>>()?;
        let calls = mesh.clusters().map(|(id, name)| (name.to_owned(), call::of(&mesh.topology, id)));
        let absent = mesh.clusters().map(|it| it.1.to_owned()).filter(|it| !clusters.contains_key(it));
        let absent = absent.collect();
        Ok(Self { gateways: gateways_of(mesh), calls: calls.collect(), absent, clusters })
    }

    /// What is called, in the order of the topology.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.values().flatten()
    }

    /// What is called from a cluster, in the same order.
    #[must_use]
    pub fn calls_of(&self, cluster: &str) -> &[Call] {
        self.calls.get(cluster).map_or(&[], Vec::as_slice)
    }

    /// The clusters of which something is written, in the order of the topology.
    pub fn clusters(&self) -> impl Iterator<Item = &str> {
        self.clusters.keys().map(String::as_str)
    }

    /// Clusters of the topology of which nothing is written.
    #[must_use]
    pub fn absent(&self) -> &[String] {
        &self.absent
    }

    /// Follows every call.
    #[must_use]
    pub fn prove(&self) -> Proof<'_> {
        let mut proof = self.proof(|_| true);
        proof.unasked = self.unasked(&proof);
        proof
    }

    /// Follows every call, and keeps what is broken only.
    #[must_use]
    pub fn breaks(&self) -> Proof<'_> {
        self.proof(Result::is_err)
    }

    fn proof(&self, is_kept: impl Fn(&Result<Path, Box<Stopped>>) -> bool + Sync) -> Proof<'_> {
        let calls: Vec<&Call> = self.calls().collect();
        let follow = |call| Some((call, self.follow(call))).filter(|it| is_kept(&it.1));
        let followed: Vec<_> = calls.into_par_iter().filter_map(follow).collect();
        let mut proof =
            Proof { proved: Vec::new(), broken: Vec::new(), absent: Vec::new(), odd: Vec::new(), unasked: Vec::new() };
        let mut touched: IndexMap<Odd, Vec<&Call>> = self.odd().map(|it| (it, Vec::new())).collect();
        for (call, outcome) in followed {
            let passed = match &outcome {
                Ok(path) => &path.passed,
                Err(stopped) => &stopped.passed,
            };
            for (odd, calls) in &mut touched {
                if passed.iter().any(|it| odd.may_act_on(call, it)) {
                    calls.push(call);
                }
            }
            match outcome {
                Ok(path) => proof.proved.push((call, path)),
                Err(stopped) => match &stopped.waits {
                    Some(cluster) => proof.absent.push((call, cluster.clone())),
                    None => proof.broken.push((call, *stopped)),
                },
            }
        }
        proof.odd = touched.into_iter().collect();
        proof
    }
}

impl Proof<'_> {
    /// Where calls would end if those that are asked first were gone.
    fn latent(&self) -> impl Iterator<Item = (&Call, &Break)> {
        self.proved.iter().flat_map(|(call, path)| path.latent.iter().map(move |it| (*call, it)))
    }
}

/// How an address and port leads to the gateway of a cluster.
#[derive(Debug, Clone)]
struct Entrance {
    /// Whether it is a port of its nodes.
    of_nodes: bool,
    /// The clusters whose callers alone it is for; `None` if it is for all.
    only: Option<BTreeSet<String>>,
}

impl Entrance {
    /// It is for the callers of another one, too.
    fn join(&mut self, other: &Self) {
        match (&mut self.only, &other.only) {
            (Some(own), Some(more)) => own.extend(more.iter().cloned()),
            _ => self.only = None,
        }
    }
}

fn gateways_of(mesh: &Mesh) -> BTreeMap<(String, u16), BTreeMap<String, Entrance>> {
    let mut gateways: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for (id, name) in mesh.clusters() {
        let Some(gateway) = &mesh.cluster(id).gateway else { continue };
        let of_nodes = gateway.node_port.is_some();
        let general = gateway.addresses.iter().map(|it| (it, None));
        let given = gateway.from.iter().flat_map(|(caller, all)| all.iter().map(move |it| (it, Some(*caller))));
        for (address, caller) in general.chain(given).filter(|it| *it.0 != Address::Pending) {
            let at = (address.to_string(), gateway.dial());
            let of_address: &mut BTreeMap<String, Entrance> = gateways.entry(at).or_default();
            let only = caller.map(|it| BTreeSet::from([mesh.cluster(it).name.clone()]));
            let entrance = Entrance { of_nodes, only };
            // Who is given an address of its own may still take the one that is for all.
            of_address.entry(name.to_owned()).and_modify(|it| it.join(&entrance)).or_insert(entrance);
        }
    }
    gateways
}
