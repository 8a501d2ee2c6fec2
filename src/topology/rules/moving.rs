//! Rules of a service that is on its way from some clusters to others.

use super::references::References;
use crate::diag::{Code, Diagnostics};
use crate::syntax::{Place, TopologySpec};

/// It exists, and it comes to a cluster or leaves one, never both at once: between the two it would
/// run nowhere.
pub(in crate::topology) fn check(spec: &TopologySpec, place: Place<'_>, diags: &mut Diagnostics) {
    let Some(moving) = &spec.moving else { return };
    let at = place.get("moving");
    let references = References { spec, root: place };
    let who = "`moving`";
    let Some(id) = references.service(who, &moving.service, at.get("service").value(), diags) else { return };
    let now = &spec.services[id.0].clusters.0;
    let before = &moving.before.clusters.0;
    let within = |some: &[String], all: &[String]| some.iter().all(|it| all.contains(it));
    if !within(now, before) && !within(before, now) {
        let here = place.get("services").get(&moving.service).get("clusters");
        diags
            .error(Code::InvalidMove, format!("`{}` comes to a cluster and leaves another at once", moving.service))
            .at(at.get("before").get("clusters").value(), "it ran here")
            .context(here.value(), "and runs there")
            .help("let it run in both first; `meshlatch migrate` writes the steps");
    }
}
