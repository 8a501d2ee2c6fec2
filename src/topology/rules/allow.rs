//! `allow`: which warnings to keep quiet about.

use crate::diag::{Code, Diagnostics, Severity, nearest};
use crate::syntax::{Place, TopologySpec};

/// Every entry must name a warning.
pub(in crate::topology) fn check(spec: &TopologySpec, place: Place<'_>, diags: &mut Diagnostics) {
    let list = place.get("allow");
    for (index, id) in spec.allow.iter().enumerate() {
        let at = if list.is_empty() { list } else { list.item(index) };
        match Code::parse(id) {
            Some(code) if code.severity() == Severity::Warning => diags.allow(code),
            Some(code) => {
                diags
                    .error(Code::InvalidAllow, format!("`{code}` is an error and cannot be allowed"))
                    .at(at.value(), "")
                    .help("mend what it reports; only warnings can be allowed");
            }
            None => {
                let warnings = Code::ALL.iter().filter(|it| it.severity() == Severity::Warning).map(|it| it.as_str());
                diags
                    .error(Code::InvalidAllow, format!("`{id}` is not the code of a warning"))
                    .at(at.value(), "")
                    .help_if(nearest(id, warnings).map(|near| format!("a similar code exists: `{near}`")));
            }
        }
    }
}
