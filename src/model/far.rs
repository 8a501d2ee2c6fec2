//! Endpoints that lie in other clusters: their gateways, in the order in which they are tried.

use std::collections::BTreeSet;

use crate::syntax::GatewayBalance;
use crate::topology::{Address, ClusterId, ServiceId, Topology};

/// The label that tells a sidecar to speak mTLS to an endpoint.
pub(super) fn mtls() -> (String, String) {
    ("security.istio.io/tlsMode".to_owned(), "istio".to_owned())
}

/// The label of every endpoint that is tried only after `tier - 1` others.
///
/// Istio sorts endpoints by how many labels of a list they share with the caller, from the front;
/// a label that neither has counts as shared. So an endpoint that comes later carries one label
/// more, and pods carry none.
pub(super) fn tier_label(tier: usize) -> String {
    format!("meshlatch/failover-{tier}")
}

/// A gateway of another cluster as the endpoint of a service.
#[derive(Debug)]
pub(super) struct Far<'a> {
    pub(super) owner: ClusterId,
    /// Its place among the addresses of its cluster.
    pub(super) index: usize,
    /// What to connect to; `None` where istiod knows it by the network.
    pub(super) address: Option<String>,
    /// Whether the address is a DNS name.
    pub(super) named: bool,
    pub(super) port: u16,
    pub(super) network: &'a str,
    pub(super) locality: Option<&'a str>,
    pub(super) labels: Vec<(String, String)>,
    /// 0 is tried first.
    pub(super) tier: usize,
}

/// The gateways behind which a service is called from here.
pub(super) fn endpoints(topology: &Topology, here: ClusterId, callee: ServiceId) -> Vec<Far<'_>> {
    let service = topology.service(callee);
    let inline = topology.addresses_inline(here);
    let mut endpoints = Vec::new();
    let mut base = 0;
    for clusters in service.tiers(here) {
        let mut last = base;
        for owner in clusters {
            if owner == here {
                continue;
            }
            let cluster = topology.cluster(owner);
            let gateway = cluster.gateway.as_ref().expect("a cluster that is called into has a gateway");
            let later = gateway.balance == GatewayBalance::Failover;
            let addresses = if inline { gateway.addresses_from(here) } else { &gateway.addresses[..1] };
            for (index, address) in addresses.iter().enumerate() {
                let tier = base + if later { index } else { 0 };
                last = last.max(tier);
                let (text, named) = match address {
                    Address::Ip(ip) => (ip.to_string(), false),
                    Address::Name(name) => (name.clone(), true),
                    Address::Pending => unreachable!("a cluster that needs a pending address waits"),
                };
                let tiers = (1..=tier).filter(|_| inline).map(|it| (tier_label(it), "true".to_owned()));
                endpoints.push(Far {
                    owner,
                    index,
                    address: inline.then_some(text),
                    named: named && inline,
                    port: gateway.dial(),
                    network: &cluster.network,
                    locality: cluster.locality.as_deref(),
                    labels: std::iter::once(mtls()).chain(tiers).collect(),
                    tier,
                });
            }
        }
        base = last + 1;
    }
    endpoints
}

/// The names of the clusters behind these endpoints, each once.
pub(super) fn owners<'a>(far: &[Far<'_>], topology: &'a Topology) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    far.iter().filter(|it| seen.insert(it.owner)).map(|it| topology.cluster(it.owner).name.as_str()).collect()
}
