//! Rules of the cluster's DNS: the server that knows the suffix, the stub that leads to it.

use std::net::IpAddr;

use super::{addresses, names, ports, references::element};
use crate::diag::{Code, Diagnostics};
use crate::inputs::{Inputs, Part};
use crate::syntax::{ClusterSpec, DnsSpec, ExistingDnsSpec, Place, Provider, Server};
use crate::target::{Istio, Release};
use crate::topology::{Dns, DnsServer, ExistingDns, Mesh, Ranges};

/// The image of our own CoreDNS, unless the topology names another.
const COREDNS_IMAGE: &str = "registry.k8s.io/coredns/coredns:v1.14.7";

/// Checks `dns:` of a cluster.
#[expect(clippy::too_many_arguments, reason = "the place, the inputs and the four things a cluster's DNS depends on")]
pub(super) fn resolve(
    name: &str,
    cluster: &ClusterSpec,
    mesh: &Mesh,
    target: &Istio,
    ranges: &Ranges,
    inputs: &Inputs,
    place: Place<'_>,
    diags: &mut Diagnostics,
) -> Option<Dns> {
    let spec = cluster.dns.as_ref()?;
    let place = place.get("dns");
    let server = match spec.server {
        None | Some(Server::Istiocoredns) => DnsServer::Istiocoredns,
        Some(Server::Coredns) => DnsServer::Coredns { image: image(spec, place, diags) },
    };
    if server == DnsServer::Istiocoredns && mesh.suffix != "global" && target.any_suffix {
        diags
            .error(
                Code::SuffixNeedsOwnServer,
                format!("istiocoredns serves `.global` only; `{name}` would not resolve `.{}`", mesh.suffix),
            )
            .at(place.get("server").value(), "")
            .help("write `server: coredns`: the bundle then brings a small CoreDNS that knows the names");
    }
    if spec.image.is_some() && server == DnsServer::Istiocoredns {
        mismatch(
            "image",
            "`image` is for the bundle's own server",
            "write `server: coredns`, or leave `image` out",
            place,
            diags,
        );
    }
    if spec.version.is_some() && spec.provider != Provider::Coredns {
        mismatch("version", "`version` is for the provider `coredns`", "leave `version` out", place, diags);
    }
    let local_address = local_address(spec, place, diags);
    Some(Dns {
        provider: spec.provider,
        address: stub_address(name, spec, ranges, inputs, place, diags),
        server,
        old_coredns: old_coredns(spec, place, diags),
        local_address,
        search: spec.search,
        existing: spec.existing.as_ref().and_then(|it| existing(it, spec.provider, mesh, place.get("existing"), diags)),
    })
}

fn mismatch(field: &str, message: &str, help: &str, place: Place<'_>, diags: &mut Diagnostics) {
    diags.error(Code::InvalidDns, message).at(place.get(field).key(), "").help(help);
}

fn image(spec: &DnsSpec, place: Place<'_>, diags: &mut Diagnostics) -> String {
    let image = spec.image.clone().unwrap_or_else(|| COREDNS_IMAGE.into());
    if image.is_empty() || image.contains(char::is_whitespace) {
        diags.error(Code::InvalidDns, "this is not the name of an image").at(place.get("image").value(), "");
    }
    image
}

fn stub_address(
    name: &str,
    spec: &DnsSpec,
    ranges: &Ranges,
    inputs: &Inputs,
    place: Place<'_>,
    diags: &mut Diagnostics,
) -> Option<std::net::Ipv4Addr> {
    let address = place.get("address");
    let ip = match (inputs.get(name, Part::Dns), &spec.address) {
        (Some(given), _) => given.address.parse().ok().or_else(|| {
            diags
                .error(
                    Code::InvalidAddressValue,
                    format!(
                        "`{}` gives `{}` as the DNS server of `{name}`, which is no IPv4 address",
                        given.origin, given.address
                    ),
                )
                .help("the ClusterIP of the server that knows the suffix");
            None
        })?,
        (None, Some(text)) if text == "pending" => return None,
        (None, Some(text)) => addresses::ipv4("the address of a DNS server", text, address, diags)?,
        (None, None) => {
            diags
                .error(
                    Code::MissingStubAddress,
                    format!("`{name}` does not say which address its DNS server for the suffix has"),
                )
                .at(place.key(), "")
                .help("choose a free address of the service range: `address: 10.0.0.53`; the bundle then asks for it");
            return None;
        }
    };
    let services: Vec<_> = ranges.all.iter().filter(|it| it.0 == "services").collect();
    if !services.is_empty() && !services.iter().any(|it| it.1.contains(&IpAddr::V4(ip))) {
        diags
            .error(
                Code::StubOutsideServices,
                format!("the DNS server's address {ip} is not in the service range of `{name}`"),
            )
            .at(address.value(), "")
            .context(services[0].2, "the range is here")
            .help("Kubernetes gives a Service only addresses of this range; choose a free one");
    }
    Some(ip)
}

/// CoreDNS before 1.4 needs `proxy`; `forward` was in tree before `proxy` was dropped.
fn old_coredns(spec: &DnsSpec, place: Place<'_>, diags: &mut Diagnostics) -> bool {
    let Some(version) = &spec.version else { return false };
    match Release::parse(version) {
        Some((release, _)) => release < Release::minor(1, 4),
        None => {
            diags
                .error(Code::InvalidDns, format!("`{version}` is not a version of CoreDNS"))
                .at(place.get("version").value(), "")
                .help("such as `1.3.1`; the tag of its image says it");
            false
        }
    }
}

fn local_address(spec: &DnsSpec, place: Place<'_>, diags: &mut Diagnostics) -> Option<IpAddr> {
    let needed = spec.provider == Provider::NodelocalDns;
    match (&spec.local_address, needed) {
        (None, false) => None,
        (None, true) => Some(IpAddr::from([169, 254, 20, 10])),
        (Some(_), false) => {
            mismatch(
                "localAddress",
                "`localAddress` is for the provider `nodelocal-dns`",
                "leave `localAddress` out",
                place,
                diags,
            );
            None
        }
        (Some(text), true) => {
            addresses::ipv4("the address of NodeLocal DNSCache", text, place.get("localAddress"), diags).map(IpAddr::V4)
        }
    }
}

fn existing(
    spec: &ExistingDnsSpec,
    provider: Provider,
    mesh: &Mesh,
    place: Place<'_>,
    diags: &mut Diagnostics,
) -> Option<ExistingDns> {
    let written = [
        ("stubDomains", spec.stub_domains.is_some(), &[Provider::KubeDns][..]),
        ("upstreamNameservers", spec.upstream_nameservers.is_some(), &[Provider::KubeDns]),
        ("corefile", spec.corefile.is_some(), &[Provider::Coredns, Provider::Eks, Provider::NodelocalDns]),
        ("custom", spec.custom.is_some(), &[Provider::Aks]),
        ("servers", spec.servers.is_some(), &[Provider::Openshift]),
    ];
    let mut fits = true;
    for (field, _, _) in written.iter().filter(|it| it.1 && !it.2.contains(&provider)) {
        let wanted: Vec<_> =
            written.iter().filter(|it| it.2.contains(&provider)).map(|it| format!("`{}`", it.0)).collect();
        mismatch(
            field,
            &format!("this provider has no `{field}`"),
            &format!("what it has goes into {}", wanted.join(" and ")),
            place,
            diags,
        );
        fits = false;
    }
    if !fits {
        return None;
    }
    let suffix = &mesh.suffix;
    let taken = |zone: &str, at: Place<'_>, diags: &mut Diagnostics| {
        diags
            .error(Code::StubDomainTaken, format!("the cluster's DNS already has an entry for `{zone}`"))
            .at(at.key(), "")
            .help("if an earlier bundle put it there, leave it out here; if somebody else did, choose another `mesh.suffix`");
    };
    match provider {
        Provider::KubeDns => {
            let stub_domains = spec.stub_domains.clone().unwrap_or_default();
            let domains = place.get("stubDomains");
            for (domain, servers) in &stub_domains {
                names::dns_name("a stub domain", domain, false, domains.get(domain), diags);
                for (index, server) in servers.0.iter().enumerate() {
                    name_server(server, element(domains.get(domain), index), diags);
                }
            }
            // A longer domain wins over the suffix: it would take the names below it away.
            for domain in stub_domains.keys().filter(|it| names::is_below(it, suffix)) {
                taken(domain, domains.get(domain), diags);
            }
            let upstream = spec.upstream_nameservers.clone().unwrap_or_default();
            for (index, server) in upstream.0.iter().enumerate() {
                name_server(server, element(place.get("upstreamNameservers"), index), diags);
            }
            Some(ExistingDns::KubeDns {
                stub_domains: stub_domains.into_iter().map(|(domain, servers)| (domain, servers.0)).collect(),
                upstream_nameservers: upstream.0,
            })
        }
        Provider::Coredns | Provider::Eks | Provider::NodelocalDns => {
            let corefile = spec.corefile.clone()?;
            let at = place.get("corefile");
            if !balanced(&corefile) {
                diags.error(Code::InvalidDns, "the braces of the Corefile do not match").at(at.value(), "").help(
                    "copy it whole: `kubectl -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}'`",
                );
            }
            if serves(&corefile, suffix) {
                taken(suffix, at, diags);
            }
            Some(ExistingDns::Corefile(corefile))
        }
        Provider::Aks => {
            let custom = spec.custom.clone()?;
            let at = place.get("custom");
            for (key, text) in &custom {
                let fits = !key.is_empty()
                    && key.len() <= 253
                    && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
                if !fits {
                    mismatch(
                        key,
                        &format!("`{key}` cannot be a key of a ConfigMap"),
                        "letters, digits, `-`, `_` and `.`",
                        at,
                        diags,
                    );
                }
                if key.ends_with(".server") && serves(text, suffix) {
                    taken(suffix, at.get(key), diags);
                }
            }
            Some(ExistingDns::Custom(custom))
        }
        Provider::Openshift => {
            let servers = spec.servers.clone()?;
            let at = place.get("servers");
            for (index, server) in servers.iter().enumerate() {
                let at = at.item(index);
                for (index, zone) in server.zones.iter().enumerate() {
                    let place = at.get("zones").item(index);
                    if names::is_below(zone.trim_end_matches('.'), suffix) {
                        taken(zone, place, diags);
                    } else if zone == "cluster.local" {
                        diags
                            .error(Code::InvalidDns, "the DNS operator takes no forwarder for `cluster.local`")
                            .at(place.value(), "")
                            .help("copy what it has: `kubectl get dns.operator/default -o jsonpath='{.spec.servers}'`");
                    } else {
                        names::dns_name("a zone", zone, false, place, diags);
                    }
                }
                for (index, server) in server.upstreams.iter().enumerate() {
                    name_server(server, at.get("upstreams").item(index), diags);
                }
                if server.upstreams.is_empty() || server.upstreams.len() > 15 {
                    mismatch(
                        "upstreams",
                        &format!("a forwarder has 1 to 15 upstreams, `{}` has {}", server.name, server.upstreams.len()),
                        "an IP each, with a port if need be: `upstreams: [10.1.0.10]`",
                        at,
                        diags,
                    );
                }
                if !ports::is_service_name(&server.name) {
                    diags
                        .error(Code::InvalidDns, format!("`{}` cannot be the name of a forwarder", server.name))
                        .at(at.get("name").value(), "")
                        .help("at most 15 lower-case letters, digits and `-`, with a letter among them");
                }
                if let Some(policy) = &server.policy
                    && !["Random", "RoundRobin", "Sequential"].contains(&policy.as_str())
                {
                    mismatch(
                        "policy",
                        &format!("OpenShift knows no policy `{policy}`"),
                        "`Random`, `RoundRobin` or `Sequential`",
                        at,
                        diags,
                    );
                }
            }
            Some(ExistingDns::Servers(servers))
        }
    }
}

/// An address, with a port if need be. kube-dns also takes names, CoreDNS does not; we take neither's word.
fn name_server(text: &str, place: Place<'_>, diags: &mut Diagnostics) {
    let address = text.parse::<IpAddr>().is_ok() || text.parse::<std::net::SocketAddr>().is_ok();
    if !address {
        diags
            .error(Code::InvalidDns, format!("`{text}` is not the address of a name server"))
            .at(place.value(), "")
            .help("an IP, with a port if need be: `10.0.0.10`, `10.0.0.10:5353`");
    }
}

fn balanced(corefile: &str) -> bool {
    let mut depth = 0i64;
    for word in corefile.lines().flat_map(|line| line.split('#').next().unwrap_or("").split_whitespace()) {
        match word {
            _ if word.ends_with('{') => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

/// Whether a Corefile has a server block for this zone.
fn serves(corefile: &str, zone: &str) -> bool {
    let mut depth = 0i64;
    for line in corefile.lines().map(|line| line.split('#').next().unwrap_or("").trim()) {
        if depth == 0 {
            let zones = line.trim_end_matches('{').split([' ', ',', '\t']).filter(|it| !it.is_empty());
            for word in zones {
                let word = word.strip_prefix("dns://").unwrap_or(word);
                if word.split(':').next().unwrap_or(word).trim_end_matches('.') == zone {
                    return true;
                }
            }
        }
        if line.ends_with('{') {
            depth += 1;
        } else if line == "}" {
            depth -= 1;
        }
    }
    false
}
