//! Rules of resources: quantities that Kubernetes reads, and requests within the limits.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::diag::{Code, Diagnostics};
use crate::syntax::{Place, WorkloadSpec};

/// Quantities by the name of what is asked for.
type Quantities = BTreeMap<String, Quantity>;

/// Checks what a workload and its container ask for.
pub(super) fn check(workload: &WorkloadSpec, place: Place<'_>, diags: &mut Diagnostics) {
    let inner = workload.container.as_ref().and_then(|it| it.resources.as_ref());
    // What the container says itself wins.
    let both =
        [(inner, place.get("container").get("resources")), (workload.resources.as_ref(), place.get("resources"))];
    let both = both.into_iter().filter_map(|(it, at)| it.map(|it| (it, at)));
    let written: Vec<(&str, &Quantities, Place<'_>)> = both
        .flat_map(|(it, at)| [("requests", it.requests.as_ref(), at), ("limits", it.limits.as_ref(), at)])
        .filter_map(|(field, map, at)| map.map(|map| (field, map, at.get(field))))
        .collect();
    let find = |field: &str, name: &str| {
        written
            .iter()
            .filter(|it| it.0 == field)
            .find_map(|it| it.1.get(name).map(|quantity| (quantity, it.2.get(name))))
    };
    for (field, map, at) in &written {
        for (name, quantity) in *map {
            if !is_quantity(&quantity.0) {
                diags
                    .error(Code::InvalidWorkload, format!("`{}` is not a quantity of `{name}`", quantity.0))
                    .at(at.get(name).value(), "")
                    .help("a number with a unit of Kubernetes, and no blank between: `250m`, `0.5`, `64Mi`, `1Gi`");
            } else if *field == "requests"
                && let Some((request, here)) = find("requests", name)
                && here.value() == at.get(name).value()
                && let Some((limit, limit_at)) = find("limits", name)
                && billionths(&request.0).zip(billionths(&limit.0)).is_some_and(|(request, limit)| request > limit)
            {
                diags
                    .error(
                        Code::InvalidWorkload,
                        format!("more `{name}` is requested, `{}`, than the limit allows, `{}`", request.0, limit.0),
                    )
                    .at(here.value(), "")
                    .context(limit_at.value(), "the limit")
                    .help("Kubernetes refuses the pods: lower the request or raise the limit");
            }
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
