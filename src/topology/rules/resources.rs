//! Rules of resources: quantities that Kubernetes reads, and requests within the limits.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::diag::{Code, Diagnostics};
use crate::source::Span;
use crate::syntax::{Place, WorkloadSpec};

/// Quantities by the name of what is asked for.
type Quantities = BTreeMap<String, Quantity>;

/// Checks what a workload and its container ask for.
pub(super) fn check(workload: &WorkloadSpec, place: Place<'_>, diags: &mut Diagnostics) {
    let inner = workload.container.as_ref().and_then(|it| it.resources.as_ref());
    let both =
        [(workload.resources.as_ref(), place.get("resources")), (inner, place.get("container").get("resources"))];
    // What the container says itself wins.
    let (mut requests, mut limits) = (BTreeMap::new(), BTreeMap::new());
    for (written, at) in both.into_iter().filter_map(|(it, at)| it.map(|it| (it, at))) {
        quantities(written.requests.as_ref(), at.get("requests"), &mut requests, diags);
        quantities(written.limits.as_ref(), at.get("limits"), &mut limits, diags);
    }
    for (name, (request, at)) in requests {
        let Some((limit, limit_at)) = limits.get(name) else { continue };
        if billionths(request).zip(billionths(limit)).is_some_and(|(request, limit)| request > limit) {
            diags
                .error(
                    Code::InvalidWorkload,
                    format!("more `{name}` is requested, `{request}`, than the limit allows, `{limit}`"),
                )
                .at(at, "")
                .context(*limit_at, "the limit")
                .help("Kubernetes refuses the pods: lower the request or raise the limit");
        }
    }
}

/// Puts those that are quantities into `good`, with their places, and tells of the others.
fn quantities<'a>(
    written: Option<&'a Quantities>,
    place: Place<'_>,
    good: &mut BTreeMap<&'a str, (&'a str, Span)>,
    diags: &mut Diagnostics,
) {
    for (name, quantity) in written.into_iter().flatten() {
        let at = place.get(name).value();
        if is_quantity(&quantity.0) {
            good.insert(name, (&quantity.0, at));
        } else {
            diags
                .error(Code::InvalidWorkload, format!("`{}` is not a quantity of `{name}`", quantity.0))
                .at(at, "")
                .help("a number with a unit of Kubernetes, and no blank between: `250m`, `0.5`, `64Mi`, `1Gi`");
        }
    }
}

/// The units of Kubernetes in billionths.
const UNITS: [(&str, i128); 16] = [
    ("", NANO),
    ("n", 1),
    ("u", 1_000),
    ("m", 1_000_000),
    ("k", NANO * 1_000),
    ("M", NANO * 1_000_000),
    ("G", NANO * 1_000_000_000),
    ("T", NANO * 1_000_000_000_000),
    ("P", NANO * 1_000_000_000_000_000),
    ("E", NANO * 1_000_000_000_000_000_000),
    ("Ki", NANO << 10),
    ("Mi", NANO << 20),
    ("Gi", NANO << 30),
    ("Ti", NANO << 40),
    ("Pi", NANO << 50),
    ("Ei", NANO << 60),
];
const NANO: i128 = 1_000_000_000;

/// The number before the unit, and the unit.
fn split(text: &str) -> (&str, &str) {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    unsigned.split_at(unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len()))
}

/// A number, and a unit, or an exponent of ten. Nothing less than nothing can be asked for.
fn is_quantity(text: &str) -> bool {
    let (number, unit) = split(text);
    let exponent = unit.strip_prefix(['e', 'E']).map(|it| it.strip_prefix(['+', '-']).unwrap_or(it));
    let is_number = number.matches('.').count() <= 1 && number.contains(|c: char| c.is_ascii_digit());
    is_number
        && (UNITS.iter().any(|it| it.0 == unit)
            || exponent.is_some_and(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit())))
}

/// A quantity in billionths, to compare; `None` for an exponent or a number beyond all machines.
fn billionths(text: &str) -> Option<i128> {
    let (number, unit) = split(text);
    let unit = UNITS.iter().find(|it| it.0 == unit)?.1;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    digits.checked_mul(unit)?.checked_div(scale)
}
