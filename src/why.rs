//! `why`: which lines of a topology an object of a bundle comes from.
//!
//! An [`Origin`] is a list of needs: take away all the ways in which one of them is met, and the object
//! is no longer written. [`rules`] says so for each kind of object, from what was resolved, without
//! compiling anything twice; `tests/why.rs` takes the lines away and looks.
//!
//! To add a kind of object: its rule at the place of its folder in [`rules`]; the test names the kinds
//! that have none.

mod answer;
mod object;
mod places;
mod query;
mod rules;
mod wording;

pub use answer::{Answer, Asked};
pub use object::{Id, Object, field, objects};
pub use query::{Kind, Query};
pub use wording::{json, render};

use crate::source::{Source, Span};
use crate::syntax::Document;
use crate::topology::ClusterId;
use crate::{Mesh, Way as Move};
use places::Places;

/// A place of the topology that an object comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// Where to look.
    pub at: Span,
    /// What to take away.
    pub whole: Span,
    /// What it does.
    pub text: String,
}

/// Causes that do together; the first says the most. Never empty.
pub type Way = Vec<Cause>;

/// What an object needs to be there: any one of these ways. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Each is enough.
    pub ways: Vec<Way>,
}

/// Where an object comes from.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Origin {
    /// All of them are needed. The first is what asked for the object.
    pub needs: Vec<Need>,
    /// What else shaped it.
    pub related: Vec<Cause>,
}

impl Origin {
    fn need(mut self, cause: Cause) -> Self {
        self.needs.push(Need { ways: vec![vec![cause]] });
        self
    }

    fn any(mut self, mut ways: Vec<Way>) -> Self {
        let mut seen = std::collections::BTreeSet::new();
        ways.retain(|it| seen.insert(it.clone()));
        self.needs.extend((!ways.is_empty()).then_some(Need { ways }));
        self
    }

    fn related(mut self, causes: impl IntoIterator<Item = Cause>) -> Self {
        self.related.extend(causes);
        self
    }

    /// With the needs of another, too.
    fn both(mut self, other: Self) -> Self {
        self.needs.extend(other.needs);
        self.related(other.related)
    }

    /// What is there for either of two origins: the needs of both, side by side.
    fn or(self, other: Self) -> Self {
        if self.needs == other.needs {
            return self;
        }
        let pairs = self.needs.into_iter().zip(other.needs).map(|(mut need, more)| {
            let new: Vec<_> = more.ways.into_iter().filter(|it| !need.ways.contains(it)).collect();
            need.ways.extend(new);
            need
        });
        Self { needs: pairs.collect(), related: self.related.into_iter().chain(other.related).collect() }
    }
}

/// Where an object of a cluster comes from, or the file of this path where there is none; `None` if
/// nothing of this kind is ever written there.
#[must_use]
pub fn origin(
    mesh: &Mesh,
    document: &Document,
    source: &Source,
    cluster: ClusterId,
    path: &str,
    id: Option<&Id>,
) -> Option<Origin> {
    let of = |mesh: &Mesh, document: &Document| {
        let places = Places { root: document.place(), spec: &document.spec, source, topology: &mesh.topology };
        rules::origin(places, cluster, path, id)
    };
    let now = of(mesh, document);
    let Some((before, Move { service, .. })) = &mesh.before else { return now };
    let then = document.before().and_then(|document| of(before, &document));
    match (now, then) {
        (Some(now), Some(then)) => Some(now.or(then)),
        (None, Some(then)) => {
            let at = document.place().get("moving");
            let name = &mesh.topology.service(*service).key;
            let text = format!("`{name}` is moving: this is of before");
            Some(then.need(places::entry(at, source, text)))
        }
        (now, None) => now,
    }
}
