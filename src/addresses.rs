//! `allocate`: a virtual IP for every host that is called from another cluster.
//!
//! An address depends on the host's name and the declared ranges, on nothing else: adding or
//! removing a service moves no other. The price is that two hosts may fall on one address; then
//! the compiler names a free one to pin, and never chooses for itself which of the two moves. A
//! lock file would be one more source of pins here.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};

use crate::diag::{Code, Diagnostics, Reported};
use crate::topology::{Address, ServiceId, Topology};

/// Attempts to find an address outside the excluded ranges before the range counts as full.
const ATTEMPTS: u64 = 4096;

/// The virtual IPs of the mesh: one a host, the same in every cluster.
#[derive(Debug, Default)]
pub struct Addresses(BTreeMap<ServiceId, Ipv4Addr>);

impl Addresses {
    /// The virtual IP of a service that is called from another cluster.
    #[must_use]
    pub fn get(&self, service: ServiceId) -> Ipv4Addr {
        *self.0.get(&service).expect("every service that is called from afar was given an address")
    }

    /// All of them, in the order of the services.
    pub fn iter(&self) -> impl Iterator<Item = (ServiceId, Ipv4Addr)> + '_ {
        self.0.iter().map(|(id, ip)| (*id, *ip))
    }
}

/// Gives every service that is called from afar its virtual IP.
///
/// # Errors
/// When a pin cannot be used, two hosts fall on one address, or the range has no room.
pub fn allocate(topology: &Topology, diags: &mut Diagnostics) -> Result<Addresses, Reported> {
    let pool = Pool::of(topology);
    let mut taken: BTreeMap<Ipv4Addr, ServiceId> = BTreeMap::new();
    let called = || (0..topology.services.len()).map(ServiceId).filter(|id| topology.service(*id).called_from_afar);
    for id in called() {
        let service = topology.service(id);
        let Some((ip, at)) = service.virtual_ip else { continue };
        if let Some(reason) = pool.excludes(ip) {
            diags
                .error(Code::InvalidVirtualIp, format!("`{}` cannot have the virtual IP {ip}: {reason}", service.key))
                .at(at, "")
                .help_if(pool.free(&topology.global_host(id), &taken).map(|free| format!("{free} is free")));
        } else if let Some(other) = taken.insert(ip, id) {
            let other = topology.service(other);
            diags
                .error(
                    Code::VirtualIpCollision,
                    format!("`{}` and `{}` are both pinned to {ip}", other.key, service.key),
                )
                .at(at, "here again")
                .context(other.virtual_ip.map_or(other.at, |it| it.1), "first here")
                .help("remove one of the pins");
        }
    }
    for id in called().filter(|id| topology.service(*id).virtual_ip.is_none()) {
        let service = topology.service(id);
        let host = topology.global_host(id);
        let Some(ip) = pool.candidates(&host).next() else {
            return Err(full(topology, diags));
        };
        let Some(other) = taken.get(&ip).copied() else {
            taken.insert(ip, id);
            continue;
        };
        let other = topology.service(other);
        let Some(free) = pool.free(&host, &taken) else {
            return Err(full(topology, diags));
        };
        // Named here, so that a second collision in the same run is not told the same address.
        taken.insert(free, id);
        diags
            .error(Code::VirtualIpCollision, format!("`{}` and `{}` fall on one virtual IP, {ip}", other.key, service.key))
            .at(service.at, "this service")
            .context(other.at, "and this one")
            .help(format!("pin the one that is not in use yet: `virtualIP: {free}`"))
            .help("a larger range makes this rarer: `mesh: {virtualIPs: 240.0.0.0/8}`; it gives every service a new address");
    }
    diags.check()?;
    Ok(Addresses(taken.into_iter().map(|(ip, id)| (id, ip)).collect()))
}

fn full(topology: &Topology, diags: &mut Diagnostics) -> Reported {
    diags
        .error(
            Code::VirtualRangeFull,
            format!("the range of virtual IPs, {}, has no room", topology.mesh.virtual_range),
        )
        .at(topology.mesh.virtual_range_at, "")
        .help("a larger range, `mesh: {virtualIPs: 240.0.0.0/8}`, or one that overlaps fewer declared ranges")
        .reported()
}

/// The addresses that may be given out.
struct Pool {
    range: Ipv4Net,
    excluded: Vec<(IpNet, String)>,
}

impl Pool {
    fn of(topology: &Topology) -> Self {
        let reserved = [
            ("240.240.0.0/16", "Istio allocates there itself"),
            ("127.0.0.0/8", "it is loopback"),
            ("224.0.0.0/4", "it is multicast"),
            ("0.0.0.0/8", "it has no meaning as a destination"),
            ("169.254.0.0/16", "it is link-local"),
            ("255.255.255.255/32", "it is the broadcast address"),
        ];
        let reserved =
            reserved.map(|(range, reason)| (range.parse().expect("a range written above"), reason.to_owned()));
        let declared = topology.clusters.iter().flat_map(|cluster| {
            cluster.ranges.all.iter().map(|(what, range, _)| (*range, format!("`{}` uses it for {what}", cluster.name)))
        });
        let gateways = topology.clusters.iter().filter_map(|cluster| match cluster.gateway.as_ref()?.address {
            Address::Ip(ip) => Some((IpNet::from(ip), format!("it is the gateway of `{}`", cluster.name))),
            _ => None,
        });
        Self {
            range: topology.mesh.virtual_range,
            excluded: reserved.into_iter().chain(declared).chain(gateways).collect(),
        }
    }

    /// Why an address may not be given out.
    fn excludes(&self, ip: Ipv4Addr) -> Option<String> {
        if !self.range.contains(&ip) {
            return Some(format!("it is not in `mesh.virtualIPs`, {}", self.range));
        }
        // Some clients and appliances still take these for a network and its broadcast address.
        if matches!(ip.octets()[3], 0 | 255) {
            return Some("it ends in 0 or 255".to_owned());
        }
        self.excluded
            .iter()
            .find(|(range, _)| range.contains(&std::net::IpAddr::V4(ip)))
            .map(|(_, reason)| reason.clone())
    }

    /// The addresses of a host in the order of preference.
    fn candidates<'a>(&'a self, host: &'a str) -> impl Iterator<Item = Ipv4Addr> + 'a {
        let size = 1u64 << (32 - self.range.prefix_len());
        (0..ATTEMPTS)
            .map(move |attempt| {
                let offset = hash(host, attempt) % size;
                let offset = u32::try_from(offset).expect("a range of IPv4 has at most 2^32 addresses");
                Ipv4Addr::from(u32::from(self.range.network()) + offset)
            })
            .filter(|ip| self.excludes(*ip).is_none())
    }

    fn free(&self, host: &str, taken: &BTreeMap<Ipv4Addr, ServiceId>) -> Option<Ipv4Addr> {
        self.candidates(host).find(|ip| !taken.contains_key(ip))
    }
}

/// FNV-1a over the host and the attempt, with the finalizer of `MurmurHash3`: the same everywhere,
/// for ever. Changing it moves every address of every mesh.
fn hash(host: &str, attempt: u64) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in host.bytes().chain([0xff]).chain(attempt.to_le_bytes()) {
        hash ^= u64::from(byte);
        hash = hash.wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
