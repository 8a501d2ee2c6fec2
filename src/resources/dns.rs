//! Names of the suffix in a cluster: the stub that leads to the server, and our own server where
//! asked for.
//!
//! A cluster's DNS is never overwritten. Where the topology says what it has, the stub is the whole
//! object with our entry in it; else it is a script that puts our entry into the live object. Both
//! stay outside the kustomization: whoever removes a bundle must not take the cluster's DNS along.
//!
//! To add a provider: its file here, an arm in [`write`], a golden case with and without `existing`.

mod aks;
mod coredns;
mod eks;
mod kube_dns;
mod nodelocal_dns;
mod openshift;
mod own_server;
mod script;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use super::kustomization;
use super::template::{Template, fill};
use crate::bundle::Bundle;
use crate::model::{ClusterModel, Dns};
use crate::syntax::Provider;
use crate::topology::DnsServer;
use crate::yaml;
use script::Script;

/// Where Kubernetes keeps the cluster's DNS.
const NAMESPACE: &str = "kube-system";

/// Keep tools that prune from taking an object away that was there before us.
const KEEP: [(&str, &str); 2] =
    [("argocd.argoproj.io/sync-options", "Prune=false"), ("kustomize.toolkit.fluxcd.io/prune", "disabled")];

/// How a cluster's DNS comes to know the suffix.
enum Stub {
    /// The whole object with our entry in it: its file and text.
    Object(&'static str, String),
    /// Settings of a managed add-on: their file and text.
    Settings(&'static str, String),
    /// What a script does to the live object.
    Script(Script),
}

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    let Some(dns) = &model.dns else { return };
    if let DnsServer::Coredns { image } = dns.server {
        own_server::write(dns, image, bundle);
    }
    let stub = match dns.provider {
        Provider::KubeDns => kube_dns::stub(dns),
        Provider::Coredns => coredns::stub(dns),
        Provider::Aks => aks::stub(dns),
        Provider::Openshift => openshift::stub(dns),
        Provider::Eks => eks::stub(dns),
        Provider::NodelocalDns => nodelocal_dns::stub(dns),
    };
    match stub {
        Stub::Object(file, text) => {
            bundle.keep(format!("30-dns/stub/{file}"), text);
            bundle.keep("30-dns/stub/kustomization.yaml", yaml::to_string(&kustomization::of(vec![file])));
        }
        Stub::Settings(file, text) => bundle.keep(format!("30-dns/{file}"), text),
        Stub::Script(script) => bundle.script("30-dns/apply.sh", script.text(model.context, dns)),
    }
}

/// A ConfigMap of the cluster's DNS, to be kept.
fn config_map(name: &str, data: BTreeMap<String, String>) -> String {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        annotations: Some(KEEP.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()),
        ..ObjectMeta::default()
    };
    yaml::to_string(&ConfigMap { metadata, data: Some(data), ..ConfigMap::default() })
}

#[derive(Serialize)]
struct Block<'a> {
    suffix: &'a str,
    /// It must listen where the cluster's other blocks do, or nobody's question reaches it.
    bind: &'a [String],
    directive: &'static str,
    address: String,
}

/// The server block that leads to the server of the suffix.
fn block(dns: &Dns<'_>, bind: &[String]) -> String {
    let directive = if dns.old_coredns { "proxy" } else { "forward" };
    fill(Template::CorefileBlock, &Block { suffix: dns.suffix, bind, directive, address: dns.address.to_string() })
}

/// A Corefile with our block at its end, between the comments by which the script knows it.
fn corefile(dns: &Dns<'_>, text: &str, bind: &[String]) -> String {
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    let (suffix, block) = (dns.suffix, block(dns, bind));
    format!("{text}{newline}# meshlatch: {suffix}\n{block}# meshlatch: end of {suffix}\n")
}
