//! `Path`: where a call goes, hop by hop; `Stopped`: where it ends.

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
