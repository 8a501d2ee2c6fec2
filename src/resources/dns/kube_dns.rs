//! kube-dns: one string of JSON holds all stub domains.

use indexmap::IndexMap;

use super::script::{Script, program};
use super::{NAMESPACE, Stub, config_map};
use crate::model::Dns;
use crate::resources::template::Template;
use crate::topology::ExistingDns;

pub(super) fn stub(dns: &Dns<'_>) -> Stub {
    match dns.existing {
        Some(ExistingDns::KubeDns { stub_domains, upstream_nameservers }) => {
            let mut stub_domains: IndexMap<_, _> =
                stub_domains.iter().map(|(key, it)| (key.as_str(), it.clone())).collect();
            stub_domains.insert(dns.suffix, vec![dns.address.to_string()]);
            let mut data = vec![("stubDomains".to_owned(), json(&stub_domains))];
            if !upstream_nameservers.is_empty() {
                data.push(("upstreamNameservers".to_owned(), json(upstream_nameservers)));
            }
            Stub::Object("kube-dns.yaml", config_map("kube-dns", data.into_iter().collect()))
        }
        _ => Stub::Script(Script {
            title: format!("Leads names under {} to the server that knows them: a stub domain of kube-dns", dns.suffix),
            notes: &[],
            resource: "configmap",
            name: "kube-dns",
            namespace: Some(NAMESPACE),
            create: true,
            workload: None,
            arguments: vec![],
            program: program(Template::MergeStubDomains),
        }),
    }
}

fn json<T: serde::Serialize>(value: &T) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("maps and lists of strings have a form in JSON");
    text.push('\n');
    text
}
