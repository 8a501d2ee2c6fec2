//! CoreDNS as kubeadm installs it: one more server block in its Corefile.

use super::script::{Script, corefile_program};
use super::{NAMESPACE, Stub, block, config_map, corefile};
use crate::model::Dns;
use crate::resources::template::Template;
use crate::topology::ExistingDns;

pub(super) fn stub(dns: &Dns<'_>) -> Stub {
    match dns.existing {
        Some(ExistingDns::Corefile { text, bind }) => {
            let data = [("Corefile".to_owned(), corefile(dns, text, bind))].into();
            Stub::Object("coredns.yaml", config_map("coredns", data))
        }
        _ => Stub::Script(script(dns, "coredns", "deployment/coredns", &[], "")),
    }
}

/// The script for a ConfigMap with a Corefile; `bind` is for one that does not say where it listens.
pub(super) fn script(
    dns: &Dns<'_>,
    name: &'static str,
    workload: &'static str,
    notes: &'static [&'static str],
    bind: &str,
) -> Script {
    Script {
        title: format!("Leads names under {} to the server that knows them: a server block of CoreDNS", dns.suffix),
        notes,
        resource: "configmap",
        name,
        namespace: Some(NAMESPACE),
        create: false,
        workload: Some(workload),
        arguments: vec![("block", block(dns, &[])), ("bind", bind.to_owned())],
        program: corefile_program(Template::MergeCorefile),
    }
}
