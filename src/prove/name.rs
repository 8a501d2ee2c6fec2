//! The hops `name`, `address` and `scope`: what a pod finds for a name, and where that leads.

use std::net::IpAddr;

use super::cluster::Cluster;
use super::dns;
use super::endpoint::Endpoint;
use super::hop::{Break, HopKind, Trail};
use super::object::Place;
use super::service::{CLUSTER_DOMAIN, Known, Lookup, Viewer};
use super::value::{at, text, word};
use crate::topology::{Family, Protocol};

/// What a name leads to.
pub(super) enum Found<'a> {
    /// A host that the sidecar knows.
    Known(Known<'a>),
    /// An address outside, of which the sidecar knows nothing.
    Outside,
}

/// Where names are looked up.
pub(super) struct Question<'a> {
    pub(super) viewer: &'a Viewer<'a>,
    /// Whether the sidecar answers for names, and what says so.
    pub(super) capture: Option<Place>,
    pub(super) has_sidecar: bool,
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// Whether the DNS of the world may know it.
    pub(super) outside: bool,
}

const NOT_FOUND: &str = "the name is not resolved: no such host";

impl<'a> Question<'a> {
    fn cluster(&self) -> &'a Cluster {
        self.viewer.cluster
    }

    fn broken(&self, kind: HopKind, why: impl Into<String>) -> Box<Break> {
        Break::new(kind, &self.cluster().name, why)
    }

    /// Asks as the resolver of a pod does: with each search domain, if the name is short.
    pub(super) fn ask(&self, trail: &mut Trail) -> Result<Found<'a>, Box<Break>> {
        let mut first = None;
        for name in self.expanded() {
            match self.one(&name, trail) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(broken) => first = first.or(Some(broken)),
            }
        }
        match first {
            Some(broken) => Err(broken),
            None if self.outside => {
                trail.holds(
                    HopKind::Name,
                    &self.cluster().name,
                    self.host,
                    "left to the DNS outside of the mesh",
                    None,
                );
                Ok(Found::Outside)
            }
            None => Err(self.unknown()),
        }
    }

    /// Names to try: a resolver takes a name with five dots, or one at its end, as it is.
    fn expanded(&self) -> Vec<String> {
        if let Some(absolute) = self.host.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let host = self.host.to_ascii_lowercase();
        let domains = [format!("{}.{CLUSTER_DOMAIN}", self.viewer.namespace), CLUSTER_DOMAIN.to_owned()];
        let expanded = domains.iter().map(|it| format!("{host}.{it}"));
        if host.matches('.').count() >= 5 {
            return std::iter::once(host.clone()).chain(expanded).collect();
        }
        expanded.chain([host.clone()]).collect()
    }

    fn one(&self, name: &str, trail: &mut Trail) -> Result<Option<Found<'a>>, Box<Break>> {
        let cluster = self.cluster();
        let known = match self.viewer.look_at(name, Some(self.port)) {
            Lookup::Missing => return Ok(None),
            Lookup::Hidden(why) => return self.hidden(name, why),
            Lookup::Seen(known) => known,
        };
        if let Some(other) = known.other_name()
            && cluster.istio.minor >= 9
        {
            return self.other(name, other, &known, trail);
        }
        if known.is_service() {
            self.has_pods(name, &known)?;
            trail.holds(
                HopKind::Name,
                &cluster.name,
                name,
                format!("the DNS of the cluster knows `{name}`: {}", known.object),
                known.place(&["metadata", "name"]),
            );
            return Ok(Some(Found::Known(known)));
        }
        if known.is_external() || self.outside && known.is_own_endpoint() {
            let text = format!("the DNS outside knows `{name}`, and the sidecar {}", known.object);
            trail.holds(HopKind::Name, &cluster.name, name, text, known.place(&["spec", "hosts"]));
            return Ok(Some(Found::Known(known)));
        }
        let by = self.answerer(name, &known)?;
        trail.holds(HopKind::Name, &cluster.name, name, by.0, by.1.or_else(|| known.place(&["spec", "hosts"])));
        self.address(&known, trail)?;
        Ok(Some(Found::Known(known)))
    }

    /// Breaks if a name is that of pods alone, and none of the cluster have it.
    fn has_pods(&self, name: &str, known: &Known<'a>) -> Result<(), Box<Break>> {
        let field = ["spec", "clusterIP"];
        let ports = known.ports();
        let port = ports.iter().find(|it| it.number == self.port);
        let Some(port) = port.filter(|_| word(&known.object.value, &field) == "None") else {
            return Ok(());
        };
        let endpoints = known.endpoints(self.viewer, port)?;
        let is_elsewhere = |it: &Endpoint<'_>| matches!(it, Endpoint::Address(it) if !it.is_listed);
        if endpoints.is_empty() || !endpoints.iter().all(is_elsewhere) {
            return Ok(());
        }
        let why = format!("`{name}` is headless, and no pods of `{}` stand behind it", self.cluster().name);
        Err(self
            .broken(HopKind::Name, why)
            .at(known.place(&field))
            .effect(NOT_FOUND)
            .mend("leave `clusterIP: None` out, so that the name has an address"))
    }

    /// A Service that is but another name leads where that does; what the mesh does not know lies outside.
    fn other(
        &self,
        name: &str,
        other: &str,
        known: &Known<'a>,
        trail: &mut Trail,
    ) -> Result<Option<Found<'a>>, Box<Break>> {
        let cluster = &self.cluster().name;
        let place = known.place(&["spec", "externalName"]);
        trail.holds(HopKind::Name, cluster, name, format!("`{name}` is `{other}`: {}", known.object), place.clone());
        let passed = trail.hops.iter().filter(|it| it.kind == HopKind::Name && it.brief == name).count();
        if passed > 1 {
            let why = format!("`{name}` leads to itself");
            return Err(self.broken(HopKind::Name, why).at(place).effect(NOT_FOUND).mend("lead to another name"));
        }
        let is_own = other.ends_with(&format!(".{CLUSTER_DOMAIN}"));
        match self.one(other, trail)? {
            None if is_own => {
                let why = format!("`{name}` is `{other}`, which nothing in `{cluster}` knows");
                Err(self.broken(HopKind::Name, why).at(place).effect(NOT_FOUND).mend("lead to a name that is known"))
            }
            found => Ok(Some(found.unwrap_or(Found::Outside))),
        }
    }

    /// Who answers for a name that only the mesh knows.
    fn answerer(&self, name: &str, known: &Known<'a>) -> Result<(String, Option<Place>), Box<Break>> {
        let cluster = self.cluster();
        if let Some(place) = &self.capture {
            let gives = cluster.istio.minor >= 25;
            if known.addresses().is_empty() && known.has_addresses() {
                return Err(self
                    .broken(HopKind::Address, "the addresses are ranges, of which the sidecar makes no answer")
                    .at(known.place(&["spec", "addresses", "0"]))
                    .effect(NOT_FOUND)
                    .mend("write a single address"));
            }
            if known.addresses().is_empty() && !gives {
                return Err(self
                    .broken(HopKind::Address, format!("`{name}` has no address, and this release gives it none"))
                    .at(known.place(&["spec"]))
                    .effect(NOT_FOUND)
                    .mend("write `addresses`"));
            }
            return Ok((format!("the sidecar answers for `{name}`"), Some(place.clone())));
        }
        dns::answers(cluster, name, known).map_err(|broken| broken.effect(NOT_FOUND))
    }

    /// Whether an address leads into the sidecar, and to nobody else.
    fn address(&self, known: &Known<'a>, trail: &mut Trail) -> Result<(), Box<Break>> {
        let cluster = self.cluster();
        let addresses = known.addresses();
        let Some(first) = addresses.first() else {
            trail.holds(HopKind::Address, &cluster.name, "", "istiod gives it an address", known.place(&["spec"]));
            return Ok(());
        };
        for (index, address) in addresses.iter().enumerate() {
            let place = known.place(&["spec", "addresses", &index.to_string()]);
            self.leads_in(address, place.as_ref())?;
            self.is_its_own(address, known, place.as_ref())?;
        }
        let place = known.place(&["spec", "addresses", "0"]);
        trail.holds(
            HopKind::Address,
            &cluster.name,
            *first,
            format!("`{}` is {}", known.host, addresses.join(", ")),
            place,
        );
        Ok(())
    }

    fn leads_in(&self, address: &str, place: Option<&Place>) -> Result<(), Box<Break>> {
        let ip: Result<IpAddr, _> = address.parse();
        let broken =
            |why: &str| self.broken(HopKind::Address, why).at(place.cloned()).mend("take an address of 240.0.0.0/4");
        match ip {
            Ok(ip) if ip.is_loopback() => {
                Err(broken("iptables does not hand addresses of the loopback to the sidecar")
                    .effect("connection refused"))
            }
            Ok(ip) if ip.is_multicast() => {
                Err(broken("addresses of a multicast have no route").effect("network is unreachable"))
            }
            Ok(ip) if ip.is_unspecified() => Err(broken("this is no address of anybody").effect("connection refused")),
            _ => self.is_included(ip.ok(), place),
        }
    }

    /// Ranges that iptables hands to sidecars, where they are not all.
    fn is_included(&self, ip: Option<IpAddr>, place: Option<&Place>) -> Result<(), Box<Break>> {
        let said = self.cluster().install.value(&["global", "proxy", "includeIPRanges"]);
        let Some((ip, (value, at))) = ip.zip(said) else { return Ok(()) };
        let ranges = text(value).unwrap_or_default();
        let within = |it: &str| it == "*" || it.parse::<ipnet::IpNet>().is_ok_and(|it| it.contains(&ip));
        if ranges.is_empty() || ranges.split(',').any(|it| within(it.trim())) {
            return Ok(());
        }
        Err(self
            .broken(HopKind::Address, format!("{ip} is in none of the ranges that iptables hands to sidecars"))
            .at(place.cloned().or(Some(at)))
            .effect("the connection leaves past the sidecar, to an address that is nobody's: timeout")
            .mend(format!("add the range to `includeIPRanges`, which is {ranges}")))
    }

    /// Two hosts of TCP that share address and port: the older one gets the calls of both.
    fn is_its_own(&self, address: &str, known: &Known<'a>, place: Option<&Place>) -> Result<(), Box<Break>> {
        let by_address = |it: Option<Protocol>| it.is_none_or(|it| it.family() != Family::Http);
        let takes = |it: &Known<'_>| it.ports().iter().any(|it| it.number == self.port && by_address(it.protocol));
        if !takes(known) {
            return Ok(());
        }
        for object in self.cluster().with_address("ServiceEntry", address) {
            let host = word(&object.value, &["spec", "hosts", "0"]);
            let is_same = at(&object.value, &["spec", "hosts"]) == at(&known.object.value, &["spec", "hosts"]);
            let other = Known { host: host.to_owned(), object };
            if is_same || !takes(&other) || self.viewer.hides(&other).is_some() {
                continue;
            }
            return Err(self
                .broken(HopKind::Address, format!("{address}:{} is that of `{host}`, too: {object}", self.port))
                .at(place.cloned())
                .effect("the older of the two gets the calls of both")
                .mend("give each host of TCP an address of its own"));
        }
        Ok(())
    }

    /// A host of which others are told. The DNS of the cluster knows a Service all the same, and that of the world what
    /// lies outside.
    fn hidden(&self, name: &str, why: Box<Break>) -> Result<Option<Found<'a>>, Box<Break>> {
        let service = self.cluster().known(name).into_iter().any(|it| it.is_service());
        let only = self.cluster().install.registry_only().filter(|_| self.has_sidecar);
        let effect = match (service || self.outside, only) {
            (true, None) if !service => return Ok(None),
            (false, _) => NOT_FOUND,
            (true, Some(_)) => "the sidecar lets out only what it knows: 502, or the connection is reset",
            (true, None) => "the call leaves the sidecar in plain text, past routes and gateways",
        };
        Err(why.effect(effect))
    }

    fn unknown(&self) -> Box<Break> {
        let cluster = self.cluster();
        let broken = self.broken(HopKind::Name, format!("nothing in `{}` knows `{}`", cluster.name, self.host));
        let near = crate::diag::nearest(self.host, cluster.hosts());
        let broken = match near {
            Some(near) => broken.mend(format!("a host with a similar name is known: `{near}`")),
            None => broken.mend("add a ServiceEntry, or a Service that stands in for it"),
        };
        broken.effect(NOT_FOUND)
    }
}
