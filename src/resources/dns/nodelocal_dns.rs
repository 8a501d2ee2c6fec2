//! NodeLocal DNSCache: a server block in the cache of every node, which asks the server directly.

use super::{Stub, config_map, coredns, corefile};
use crate::model::Dns;
use crate::topology::ExistingDns;

const NAME: &str = "node-local-dns";

pub(super) fn stub(dns: &Dns<'_>) -> Stub {
    let local: Vec<_> = dns.local_address.iter().map(ToString::to_string).collect();
    if let Some(ExistingDns::Corefile { text, bind }) = dns.existing {
        let bind = if bind.is_empty() { &local } else { bind };
        let data = [("Corefile".to_owned(), corefile(dns, text, bind))].into();
        return Stub::Object("node-local-dns.yaml", config_map(NAME, data));
    }
    let notes = &[
        "",
        "The block listens where that of `.` listens: in most clusters pods ask the ClusterIP of",
        "kube-dns, which the cache of their node takes over.",
    ];
    Stub::Script(coredns::script(dns, NAME, "daemonset/node-local-dns", notes, &local.join(" ")))
}
