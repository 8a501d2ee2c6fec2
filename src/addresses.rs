//! `allocate`: a virtual IP for every host that is called from another cluster.
//!
//! An address depends on the host's name and the declared ranges, so that adding or removing a service
//! moves no other; two names may fall on one address. A [`Lock`] remembers who has which: then a new name
//! gets the next free address. Without one, the compiler names a free address to pin, and never chooses
//! for itself which of the two moves.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::diag::{Code, Diagnostics, Reported};
use crate::lock::{Holder, Lock};
use crate::source::Span;
use crate::topology::{Address, ISTIO_RANGES, ServiceId, Topology};

/// Attempts to find an address outside the excluded ranges before the range counts as full.
const ATTEMPTS: u64 = 4096;

/// The virtual IPs of the mesh: one a host and range, the same in every cluster.
#[derive(Debug, Default)]
pub struct Addresses(BTreeMap<ServiceId, Vec<IpAddr>>);

impl Addresses {
    /// The virtual IPs of a service that is known by one: that of IPv4 first; never empty.
    #[must_use]
    pub fn get(&self, service: ServiceId) -> &[IpAddr] {
        self.0.get(&service).expect("every service that is known by a virtual IP was given one")
    }

    /// The virtual IP of IPv4, if the mesh has a range of it.
    #[must_use]
    pub fn v4(&self, service: ServiceId) -> Option<Ipv4Addr> {
        self.get(service).iter().find_map(|it| if let IpAddr::V4(ip) = it { Some(*ip) } else { None })
    }

    /// All of them, in the order of the services.
    pub fn iter(&self) -> impl Iterator<Item = (ServiceId, IpAddr)> + '_ {
        self.0.iter().flat_map(|(id, ips)| ips.iter().map(move |ip| (*id, *ip)))
    }
}

/// Gives every service that callers know by a virtual IP its own, one of each range: that of the lock, which
/// then knows all of them.
///
/// # Errors
/// When a pin cannot be used, an address of the lock cannot be kept, two hosts fall on one address, or a
/// range has no room.
pub fn allocate(topology: &Topology, lock: &mut Lock, diags: &mut Diagnostics) -> Result<Addresses, Reported> {
    misspelt(topology, lock, diags)?;
    let mut addresses = Addresses::default();
    for (range, at) in &topology.mesh.virtual_ranges {
        let pool = Pool::of(topology, *range, *at);
        // Whoever was given an address before there was a lock has the one that its name says.
        let taken =
            if lock.is_fresh() { by_name(topology, &pool, diags)? } else { of_lock(topology, &pool, lock, diags)? };
        for (ip, id) in taken {
            addresses.0.entry(id).or_default().push(ip);
        }
    }
    diags.check()?;
    for (id, ips) in &addresses.0 {
        lock.keep(&topology.global_host(*id), ips);
    }
    Ok(addresses)
}

/// Refuses names of a lock that end in another suffix than those beside them: whoever is meant would lose
/// the address. Where all end so, the mesh has another suffix now, and all its names are new.
fn misspelt(topology: &Topology, lock: &Lock, diags: &mut Diagnostics) -> Result<(), Reported> {
    let suffix = format!(".{}", topology.mesh.suffix);
    let names = lock.iter().filter(|it| !it.1.now.is_empty()).map(|it| it.0);
    let (ours, others): (Vec<_>, Vec<_>) = names.partition(|it| it.ends_with(&suffix));
    for host in others.into_iter().filter(|_| !ours.is_empty()) {
        let place = lock.place(host);
        diags
            .error(
                Code::InvalidLock,
                format!("`{host}` ({place}) is no name of this mesh, whose names end in `{suffix}`"),
            )
            .help("mend the line; without it, the name that is meant gets an address as a new one does");
    }
    diags.check()
}

/// The services that have a virtual IP.
fn known(topology: &Topology) -> impl Iterator<Item = ServiceId> + '_ {
    (0..topology.services.len()).map(ServiceId).filter(|id| topology.service(*id).has_virtual_ip)
}

/// The addresses of the services that are pinned.
fn pinned(
    topology: &Topology,
    pool: &Pool,
    holders: &BTreeMap<IpAddr, Holder<'_>>,
    diags: &mut Diagnostics,
) -> BTreeMap<IpAddr, ServiceId> {
    let mut taken: BTreeMap<IpAddr, ServiceId> = BTreeMap::new();
    for id in known(topology) {
        let service = topology.service(id);
        let Some((ip, at)) = pool.pin(topology, id) else { continue };
        if let Some(reason) = pool.excludes(ip) {
            diags
                .error(Code::InvalidVirtualIp, format!("`{}` cannot have the virtual IP {ip}: {reason}", service.key))
                .at(at, "")
                .help_if(pool.unused(&topology.global_host(id), &taken, holders).map(|free| format!("{free} is free")));
        } else if let Some(other) = taken.insert(ip, id) {
            diags
                .error(
                    Code::VirtualIpCollision,
                    format!("`{}` and `{}` are both pinned to {ip}", topology.service(other).key, service.key),
                )
                .at(at, "here again")
                .context(pool.pin(topology, other).map_or(topology.service(other).at, |it| it.1), "first here")
                .help("remove one of the pins");
        }
    }
    taken
}

/// Each name keeps what the lock says, and new ones get what is free, in their order.
fn of_lock(
    topology: &Topology,
    pool: &Pool,
    lock: &Lock,
    diags: &mut Diagnostics,
) -> Result<BTreeMap<IpAddr, ServiceId>, Reported> {
    let holders = lock.holders();
    let mut taken = pinned(topology, pool, &holders, diags);
    let stranger = |ip: &IpAddr, host: &str| holders.get(ip).filter(|it| it.host != host);
    let mut fixed: BTreeMap<String, ServiceId> = BTreeMap::new();
    let mut open: BTreeMap<String, ServiceId> = BTreeMap::new();
    for id in known(topology) {
        let list = if pool.pin(topology, id).is_some() { &mut fixed } else { &mut open };
        list.insert(topology.global_host(id), id);
    }
    for (host, id) in &fixed {
        let Some((ip, at)) = pool.pin(topology, *id) else { continue };
        let Some(holder) = stranger(&ip, host) else { continue };
        let service = &topology.service(*id).key;
        let place = lock.place(holder.host);
        let draft = if holder.now && open.contains_key(holder.host) {
            let message = format!("`{service}` is pinned to {ip}, the address of `{}` ({place})", holder.host);
            let draft = diags.error(Code::VirtualIpCollision, message).at(at, "");
            draft.help_if(pool.unused(host, &taken, &holders).map(|free| format!("{free} is free")))
        } else {
            let message = format!(
                "`{service}` is pinned to {ip}, which `{}` had ({place}): its callers may remember it",
                holder.host
            );
            let draft = diags.error(Code::VirtualIpCollision, message).at(at, "");
            // As long as the line says that it has the address, nothing was rolled out without.
            let first =
                if holder.now { "compile without the pin and roll that out; then" } else { "once that is rolled out," };
            draft.help(format!("{first} `meshlatch lock prune` frees the address"))
        };
        draft.help("or remove the pin");
    }
    let mut lost = Vec::new();
    open.retain(|host, id| {
        let Some(entry) = lock.get(host) else { return true };
        let same_family = |it: &&IpAddr| it.is_ipv4() == pool.range.addr().is_ipv4();
        if let Some(ip) = entry.now.iter().find(same_family) {
            match pool.excludes(*ip) {
                Some(reason) => lost.push((host.clone(), *ip, reason)),
                // The pin of somebody else was reported.
                None => drop(taken.entry(*ip).or_insert(*id)),
            }
            return false;
        }
        // What it had and nobody else got is its own again.
        let mut back = entry.was.iter().filter(same_family).filter(|ip| pool.excludes(**ip).is_none());
        match back.find(|ip| !taken.contains_key(*ip)) {
            Some(ip) => {
                taken.insert(*ip, *id);
                false
            }
            None => true,
        }
    });
    pool.lost(&lost, lock, diags);
    for (host, id) in open {
        let Some(free) = pool.unused(&host, &taken, &holders) else {
            let kept = holders.values().any(|it| !it.now);
            return Err(pool.full(kept, diags));
        };
        taken.insert(free, id);
    }
    Ok(taken)
}

/// Each name has the address that its hash says; two that meet are reported.
fn by_name(topology: &Topology, pool: &Pool, diags: &mut Diagnostics) -> Result<BTreeMap<IpAddr, ServiceId>, Reported> {
    let mut taken = pinned(topology, pool, &BTreeMap::new(), diags);
    for id in known(topology).filter(|id| pool.pin(topology, *id).is_none()) {
        let service = topology.service(id);
        let host = topology.global_host(id);
        let Some(ip) = pool.candidates(&host).next() else {
            return Err(pool.full(false, diags));
        };
        let Some(other) = taken.get(&ip).copied() else {
            taken.insert(ip, id);
            continue;
        };
        let other = topology.service(other);
        let Some(free) = pool.free(&host, &taken) else {
            return Err(pool.full(false, diags));
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
    Ok(taken)
}

/// The addresses of a range that may be given out.
struct Pool {
    range: IpNet,
    at: Span,
    excluded: Vec<(IpNet, String)>,
}

impl Pool {
    fn of(topology: &Topology, range: IpNet, at: Span) -> Self {
        // A range that meets any other reserved one was refused where it is written.
        let istio = ISTIO_RANGES
            .map(|it| (it.parse().expect("a range written there"), "Istio allocates there itself".to_owned()));
        let declared = topology.clusters.iter().flat_map(|cluster| {
            cluster.ranges.all.iter().map(|(what, range, _)| (*range, format!("`{}` uses it for {what}", cluster.name)))
        });
        let gateways = topology.clusters.iter().flat_map(|cluster| {
            let addresses = cluster.gateway.iter().flat_map(crate::topology::Gateway::all_addresses);
            addresses.filter_map(|address| match address {
                Address::Ip(ip) => Some((IpNet::from(*ip), format!("it is the gateway of `{}`", cluster.name))),
                _ => None,
            })
        });
        Self { range, at, excluded: istio.into_iter().chain(declared).chain(gateways).collect() }
    }

    /// The pin of a service in the family of this range, and where it is written.
    fn pin(&self, topology: &Topology, id: ServiceId) -> Option<(IpAddr, Span)> {
        let same_family = |ip: &IpAddr| ip.is_ipv4() == self.range.addr().is_ipv4();
        topology.service(id).virtual_ips.iter().copied().find(|it| same_family(&it.0))
    }

    /// Why an address may not be given out, if it may not.
    fn excludes(&self, ip: IpAddr) -> Option<String> {
        if !self.range.contains(&ip) {
            return Some(format!("it is not in `mesh.virtualIPs`, {}", self.range));
        }
        // Some clients and appliances still take these for a network and its broadcast address.
        if matches!(ip, IpAddr::V4(ip) if matches!(ip.octets()[3], 0 | 255)) {
            return Some("it ends in 0 or 255".to_owned());
        }
        if ip == self.range.network() {
            return Some("it is the address of the range itself".to_owned());
        }
        self.excluded.iter().find(|(range, _)| range.contains(&ip)).map(|(_, reason)| reason.clone())
    }

    /// The addresses of a host in the order of preference.
    fn candidates<'a>(&'a self, host: &'a str) -> impl Iterator<Item = IpAddr> + 'a {
        (0..ATTEMPTS).map(move |attempt| self.nth(hash(host, attempt))).filter(|ip| self.excludes(*ip).is_none())
    }

    /// The address at this offset, counted around the range. A range of IPv6 is used as far as 64
    /// bits reach, which no mesh exhausts.
    fn nth(&self, offset: u64) -> IpAddr {
        let bits = self.range.max_prefix_len() - self.range.prefix_len();
        let offset = if bits < 64 { offset % (1 << bits) } else { offset };
        match self.range.network() {
            IpAddr::V4(first) => {
                let offset = u32::try_from(offset).expect("a range of IPv4 has at most 2^32 addresses");
                Ipv4Addr::from(u32::from(first) + offset).into()
            }
            IpAddr::V6(first) => Ipv6Addr::from(u128::from(first) + u128::from(offset)).into(),
        }
    }

    fn free(&self, host: &str, taken: &BTreeMap<IpAddr, ServiceId>) -> Option<IpAddr> {
        self.candidates(host).find(|ip| !taken.contains_key(ip))
    }

    /// The first address of a host that is nobody's in a lock either.
    fn unused(
        &self,
        host: &str,
        taken: &BTreeMap<IpAddr, ServiceId>,
        holders: &BTreeMap<IpAddr, Holder<'_>>,
    ) -> Option<IpAddr> {
        self.candidates(host).find(|ip| !taken.contains_key(ip) && !holders.contains_key(ip))
    }

    /// Reports the addresses of a lock that cannot be kept: those outside of the range together, for one
    /// change of it moved them all.
    fn lost(&self, lost: &[(String, IpAddr, String)], lock: &Lock, diags: &mut Diagnostics) {
        let (outside, inside): (Vec<_>, Vec<_>) = lost.iter().partition(|it| !self.range.contains(&it.1));
        if let Some((host, ip, _)) = outside.first() {
            let others = match outside.len() - 1 {
                0 => String::new(),
                1 => ", and one name more is outside of it".to_owned(),
                more => format!(", and {more} names more are outside of it"),
            };
            let place = lock.place(host);
            diags
                .error(
                    Code::LostAddress,
                    format!(
                        "`{host}` has {ip} ({place}), which is not in the range of virtual IPs, {}{others}",
                        self.range
                    ),
                )
                .at(self.at, "")
                .help("put the range back in which they are, or a larger one")
                .help(format!(
                    "to move them, write `was` in front of these addresses in {}: callers reach nobody until they are rolled out again",
                    lock.file()
                ));
        }
        for (host, ip, reason) in inside {
            let place = lock.place(host);
            diags
                .error(Code::LostAddress, format!("`{host}` cannot keep {ip} ({place}): {reason}"))
                .at(self.at, "")
                .help(format!(
                    "give back what took it, or write `was` in front of the address in {}: `{host}` gets another",
                    lock.file()
                ));
        }
    }

    /// Reports that there is no room; a lock may keep addresses that nobody has any more.
    fn full(&self, kept: bool, diags: &mut Diagnostics) -> Reported {
        diags
            .error(Code::VirtualRangeFull, format!("the range of virtual IPs, {}, has no room", self.range))
            .at(self.at, "")
            .help("a larger range, `mesh: {virtualIPs: 240.0.0.0/8}`, or one that overlaps fewer declared ranges")
            .help_if(kept.then(|| "`meshlatch lock prune` frees the addresses of names that are gone".to_owned()))
            .reported()
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
