//! AKS: a key of our own in the ConfigMap that its CoreDNS imports.

use super::script::{Script, corefile_program};
use super::{NAMESPACE, Stub, block, config_map};
use crate::model::Dns;
use crate::resources::template::Template;
use crate::topology::{ExistingDns, STUB_KEY};

pub(super) fn stub(dns: &Dns<'_>) -> Stub {
    let block = block(dns, &[]);
    match dns.existing {
        Some(ExistingDns::Custom(custom)) => {
            let mut data: std::collections::BTreeMap<_, _> =
                custom.iter().map(|(key, text)| (key.clone(), text.clone())).collect();
            data.insert(STUB_KEY.to_owned(), block);
            Stub::Object("coredns-custom.yaml", config_map("coredns-custom", data))
        }
        _ => Stub::Script(Script {
            title: format!("Leads names under {} to the server that knows them: a key of coredns-custom", dns.suffix),
            notes: &[],
            resource: "configmap",
            name: "coredns-custom",
            namespace: Some(NAMESPACE),
            create: true,
            workload: None,
            arguments: vec![("key", STUB_KEY.to_owned()), ("block", block)],
            program: corefile_program(Template::MergeCustom),
        }),
    }
}
