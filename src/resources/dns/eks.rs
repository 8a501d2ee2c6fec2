//! The CoreDNS add-on of EKS: its settings hold the whole Corefile.

use serde::Serialize;

use super::{Stub, coredns, corefile};
use crate::model::Dns;
use crate::topology::ExistingDns;

/// Settings of the add-on, for `aws eks update-addon --configuration-values file://...`.
#[derive(Serialize)]
struct Settings {
    corefile: String,
}

pub(super) fn stub(dns: &Dns<'_>) -> Stub {
    match dns.existing {
        Some(ExistingDns::Corefile { text, bind }) => {
            let settings = Settings { corefile: corefile(dns, text, bind) };
            let mut json = serde_json::to_string_pretty(&settings).expect("a string has a form in JSON");
            json.push('\n');
            Stub::Settings("eks-addon.json", json)
        }
        _ => Stub::Script(coredns::script(
            dns,
            "coredns",
            "deployment/coredns",
            &[
                "",
                "An update of the managed add-on may write its own Corefile over this one: run the script",
                "again after it, or say in the topology what the Corefile holds (`existing: {corefile: ...}`)",
                "to get settings for the add-on, which last.",
            ],
            "",
        )),
    }
}
