//! `Path`: where a call goes, hop by hop; `Stopped`: where it ends.

use std::collections::BTreeSet;
use std::fmt;

use super::choice::Choice;
use super::hop::{Break, Hop, Passed};
use super::object::Place;

/// Where a call goes.
#[derive(Debug)]
pub struct Path {
    /// The hops that all of the call takes.
    pub hops: Vec<Hop>,
    /// Every place that may answer; never empty.
    pub ways: Vec<Way>,
    /// Where the call would end if those that are asked first were gone.
    pub latent: Vec<Break>,
    /// What is taken on trust.
    pub trusts: Vec<String>,
    pub(super) passed: Vec<Passed>,
    /// What is said of the choice among the ways and is not understood.
    pub(super) unsure: Vec<Place>,
}

/// A place that may answer, and the hops to it.
#[derive(Debug)]
pub struct Way {
    /// The cluster whose pods answer; `None` if they are outside.
    pub cluster: Option<String>,
    /// The address and port of the gateway that is passed.
    pub via: Option<String>,
    /// The share of the calls in percent, where a route says it.
    pub share: Option<u64>,
    /// The hops.
    pub hops: Vec<Hop>,
    pub(super) choice: Choice,
}

/// Where a call ends, and how far it got.
#[derive(Debug)]
pub struct Stopped {
    /// The hops that hold.
    pub hops: Vec<Hop>,
    /// The one that does not.
    pub broken: Break,
    pub(super) passed: Vec<Passed>,
    /// The cluster of which nothing is written, if that is why.
    pub(super) waits: Option<String>,
}

impl fmt::Display for Path {
    /// `east via 203.0.113.10:15443 (30 %), west (70 %)`: who answers, each once.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ways: BTreeSet<_> = self.ways.iter().map(|it| (&it.cluster, &it.via, it.share)).collect();
        for (index, (cluster, via, share)) in ways.into_iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            f.write_str(cluster.as_deref().unwrap_or("outside of the mesh"))?;
            if let Some(via) = via {
                write!(f, " via {via}")?;
            }
            if let Some(share) = share {
                write!(f, " ({share} %)")?;
            }
        }
        Ok(())
    }
}
