//! `Hop`: a step of a call that holds, or the one at which it breaks.

use std::fmt;

use serde::Serialize;

use super::object::Place;

/// The steps on the way of a call, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HopKind {
    /// The caller's pod finds an address for the name.
    Name,
    /// The address leads into the caller's sidecar, and to nobody else.
    Address,
    /// The caller's sidecar is told of the host.
    Scope,
    /// A listener and its routes take the call, in the protocol that is spoken.
    Route,
    /// The host has endpoints, which are somebody.
    Endpoint,
    /// The sidecar speaks TLS as the other side expects it.
    Tls,
    /// The gateway of the other cluster listens.
    Gateway,
    /// The gateway has a filter chain for the server name.
    Chain,
    /// The gateway knows the service, and pods of it.
    Owner,
    /// The pods have a sidecar that takes mTLS.
    Pod,
    /// Each side is who the other expects.
    Identity,
}

/// A step that holds.
#[derive(Debug, Clone)]
pub struct Hop {
    /// Which step.
    pub kind: HopKind,
    /// The cluster in which it is decided.
    pub cluster: String,
    /// In a word or two; may be empty.
    pub brief: String,
    /// What was decided.
    pub text: String,
    /// What decided it; `None` if nothing that is written did.
    pub place: Option<Place>,
}

/// A step that does not hold.
#[derive(Debug, Clone)]
pub struct Break {
    /// Which step.
    pub kind: HopKind,
    /// The cluster in which it breaks.
    pub cluster: String,
    /// Why, in a sentence.
    pub why: String,
    /// What decided it; `None` if it is that nothing is there.
    pub place: Option<Place>,
    /// What Istio does with the call.
    pub effect: String,
    /// How to mend it.
    pub mend: Vec<String>,
}

/// What holds so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Trail {
    pub(super) hops: Vec<Hop>,
    /// Whose objects may act on the call: namespaces of clusters that it passes.
    pub(super) passed: Vec<Passed>,
    /// Where it would end if those that are asked first were gone.
    pub(super) latent: Vec<Break>,
    /// What the call takes on trust.
    pub(super) trusts: Vec<String>,
    /// What is said of the choice among those that may answer and is not understood.
    pub(super) unsure: Vec<Place>,
}

/// Pods that a call passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) cluster: String,
    pub(super) namespace: String,
    pub(super) labels: std::collections::BTreeMap<String, String>,
}

impl Trail {
    pub(super) fn holds(
        &mut self,
        kind: HopKind,
        cluster: &str,
        brief: impl Into<String>,
        text: impl Into<String>,
        place: Option<Place>,
    ) {
        let hop = Hop { kind, cluster: cluster.to_owned(), brief: brief.into(), text: text.into(), place };
        self.hops.push(hop);
    }

    pub(super) fn trusts(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.trusts.contains(&text) {
            self.trusts.push(text);
        }
    }
}

impl Break {
    pub(super) fn new(kind: HopKind, cluster: &str, why: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            kind,
            cluster: cluster.to_owned(),
            why: why.into(),
            place: None,
            effect: String::new(),
            mend: Vec::new(),
        })
    }

    /// What decided it.
    pub(super) fn at(mut self: Box<Self>, place: impl Into<Option<Place>>) -> Box<Self> {
        self.place = place.into();
        self
    }

    /// What Istio does with the call.
    pub(super) fn effect(mut self: Box<Self>, text: impl Into<String>) -> Box<Self> {
        self.effect = text.into();
        self
    }

    /// A way to mend it.
    pub(super) fn mend(mut self: Box<Self>, text: impl Into<String>) -> Box<Self> {
        self.mend.push(text.into());
        self
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in `{}`, {}", self.cluster, self.why)
    }
}

impl HopKind {
    /// Every step, in their order.
    pub const ALL: [Self; 11] = [
        Self::Name,
        Self::Address,
        Self::Scope,
        Self::Route,
        Self::Endpoint,
        Self::Tls,
        Self::Gateway,
        Self::Chain,
        Self::Owner,
        Self::Pod,
        Self::Identity,
    ];

    /// As it is printed: `tls`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Address => "address",
            Self::Scope => "scope",
            Self::Route => "route",
            Self::Endpoint => "endpoint",
            Self::Tls => "tls",
            Self::Gateway => "gateway",
            Self::Chain => "chain",
            Self::Owner => "owner",
            Self::Pod => "pod",
            Self::Identity => "identity",
        }
    }
}

impl fmt::Display for HopKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
