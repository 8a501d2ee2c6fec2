//! Addresses that are not the same: virtual IPs of names, gateways of clusters.

use indexmap::IndexMap;
use serde::Serialize;

use crate::Mesh;
use crate::topology::{Address, Topology};

/// What is found at other addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressChange {
    /// The host, or the cluster.
    pub name: String,
    /// Where it was; empty if it had none.
    pub old: Vec<String>,
    /// Where it is; empty if it has none any more.
    pub new: Vec<String>,
}

impl AddressChange {
    /// Whether whoever remembers the old address reaches nobody, or somebody else.
    #[must_use]
    pub fn moves(&self) -> bool {
        !self.old.is_empty() && !self.new.is_empty()
    }
}

/// Virtual IPs: of what moves first.
pub(super) fn virtual_ips(old: &Mesh, new: &Mesh) -> Vec<AddressChange> {
    let of = |mesh: &Mesh| {
        let mut all: IndexMap<String, Vec<String>> = IndexMap::new();
        for (host, ip) in mesh.virtual_ips() {
            all.entry(host).or_default().push(ip.to_string());
        }
        all
    };
    changes(&of(old), &of(new))
}

/// Gateways: their addresses with the port, as other clusters call them.
pub(super) fn gateways(old: &Topology, new: &Topology) -> Vec<AddressChange> {
    let of = |topology: &Topology| -> IndexMap<String, Vec<String>> {
        let clusters = topology.clusters.iter().map(|cluster| {
            let Some(gateway) = &cluster.gateway else { return (cluster.name.clone(), Vec::new()) };
            let at = |it: &Address| match it {
                Address::Pending => it.to_string(),
                Address::Ip(std::net::IpAddr::V6(ip)) => format!("[{ip}]:{}", gateway.port),
                it => format!("{it}:{}", gateway.port),
            };
            let general = gateway.addresses.iter().map(at);
            let special = gateway.from.iter().flat_map(|(from, addresses)| {
                let from = &topology.cluster(*from).name;
                addresses.iter().map(move |it| format!("{} from {from}", at(it)))
            });
            (cluster.name.clone(), general.chain(special).collect())
        });
        clusters.collect()
    };
    let (old, new) = (of(old), of(new));
    // A cluster that comes or goes is told of as such.
    let both = |it: &AddressChange| old.contains_key(&it.name) && new.contains_key(&it.name);
    changes(&old, &new).into_iter().filter(both).collect()
}

fn changes(old: &IndexMap<String, Vec<String>>, new: &IndexMap<String, Vec<String>>) -> Vec<AddressChange> {
    let gone = old.keys().filter(|it| !new.contains_key(*it));
    let at = |all: &IndexMap<String, Vec<String>>, name: &str| all.get(name).cloned().unwrap_or_default();
    let mut changes: Vec<AddressChange> = new
        .keys()
        .chain(gone)
        .map(|name| AddressChange { name: name.clone(), old: at(old, name), new: at(new, name) })
        .filter(|it| it.old != it.new)
        .collect();
    changes.sort_by_key(|it| !it.moves());
    changes
}
