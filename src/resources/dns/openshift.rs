//! OpenShift: a server in the list of its DNS operator.

use serde::Serialize;

use super::script::{Script, program};
use super::{KEEP, Stub};
use crate::model::Dns;
use crate::resources::template::{Template, fill};
use crate::topology::{ExistingDns, STUB_NAME};

#[derive(Serialize)]
struct View<'a> {
    annotations: [(&'a str, &'a str); 2],
    servers: Vec<Server<'a>>,
}

#[derive(Serialize)]
struct Server<'a> {
    name: &'a str,
    zones: Vec<&'a str>,
    upstreams: Vec<&'a str>,
    policy: Option<&'a str>,
}

pub(super) fn stub(dns: &Dns<'_>) -> Stub {
    match dns.existing {
        Some(ExistingDns::Servers(servers)) => {
            let address = dns.address.to_string();
            let mut servers: Vec<_> = servers
                .iter()
                .map(|it| Server {
                    name: &it.name,
                    zones: it.zones.iter().map(String::as_str).collect(),
                    upstreams: it.upstreams.iter().map(String::as_str).collect(),
                    policy: it.policy.as_deref(),
                })
                .collect();
            servers.push(Server { name: STUB_NAME, zones: vec![dns.suffix], upstreams: vec![&address], policy: None });
            Stub::Object("dns.yaml", fill(Template::OpenshiftDns, &View { annotations: KEEP, servers }))
        }
        _ => Stub::Script(Script {
            title: format!(
                "Leads names under {} to the server that knows them: a server of the DNS operator",
                dns.suffix
            ),
            notes: &[],
            resource: "dnses.operator.openshift.io",
            name: "default",
            namespace: None,
            create: false,
            workload: None,
            arguments: vec![("key", STUB_NAME.to_owned())],
            program: program(Template::MergeServers),
        }),
    }
}
