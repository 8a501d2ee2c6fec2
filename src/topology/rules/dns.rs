//! Rules of the cluster's DNS: the server that knows the suffix, the stub that leads to it.

use std::net::IpAddr;

use indexmap::IndexMap;

use super::{addresses, corefile, names, ports, references::element};
use crate::diag::{Code, Diagnostics};
use crate::inputs::{Inputs, Part};
use crate::source::Span;
use crate::syntax::{ClusterSpec, DnsSpec, ExistingDnsSpec, ForwarderSpec, Place, Provider, Server};
use crate::target::{Crossing, Istio, Release};
use crate::topology::{Dns, DnsServer, ExistingDns, Mesh, Ranges, STUB_KEY, STUB_NAME};

/// The image of our own CoreDNS, unless the topology names another.
const COREDNS_IMAGE: &str = "registry.k8s.io/coredns/coredns:v1.14.7";

/// The most upstreams that OpenShift takes.
const MAX_UPSTREAMS: usize = 15;

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
    let passthrough = target.crossing == Crossing::Passthrough;
    if passthrough && spec.server == Some(Server::Istiocoredns) {
        diags
            .error(Code::FieldNotInRelease, format!("Istio {} no longer brings istiocoredns", target.line()))
            .at(place.get("server").value(), "")
            .help("leave `server` out: the bundle then brings a small CoreDNS that knows the names");
    }
    let server = match spec.server {
        Some(Server::Istiocoredns) => DnsServer::Istiocoredns,
        None if !passthrough => DnsServer::Istiocoredns,
        None | Some(Server::Coredns) => DnsServer::Coredns { image: image(spec, place, diags) },
    };
    if server == DnsServer::Istiocoredns && !passthrough && mesh.suffix != "global" && target.any_suffix {
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
    if !names::is_image(&image) {
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
        let draft = match inputs.get(name, Part::Dns) {
            // The file's own address, if it has one, is not to blame.
            Some(given) => diags
                .error(
                    Code::StubOutsideServices,
                    format!(
                        "`{}` gives {ip} as the DNS server of `{name}`, which is not in its service range",
                        given.origin
                    ),
                )
                .at(services[0].2, "the range is here"),
            None => diags
                .error(
                    Code::StubOutsideServices,
                    format!("the DNS server's address {ip} is not in the service range of `{name}`"),
                )
                .at(address.value(), "")
                .context(services[0].2, "the range is here"),
        };
        draft.help("Kubernetes gives a Service only addresses of this range; choose a free one");
    }
    Some(ip)
}

/// CoreDNS before 1.4 needs `proxy`; `forward` was in tree before `proxy` was dropped.
fn old_coredns(spec: &DnsSpec, place: Place<'_>, diags: &mut Diagnostics) -> bool {
    let Some(version) = &spec.version else { return false };
    if let Some((release, _)) = Release::parse(version) {
        return release < Release::minor(1, 4);
    }
    diags
        .error(Code::InvalidDns, format!("`{version}` is not a version of CoreDNS"))
        .at(place.get("version").value(), "")
        .help("such as `1.3.1`; the tag of its image says it");
    false
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
    match provider {
        Provider::KubeDns => {
            let stub_domains = spec.stub_domains.clone().unwrap_or_default();
            let domains = place.get("stubDomains");
            for (domain, servers) in &stub_domains {
                // A longer domain wins over the suffix: it would take the names below it away.
                if names::is_below(&zone(domain), suffix) {
                    taken(domain, domains.get(domain).key(), diags);
                } else {
                    names::dns_name("a stub domain", domain, false, domains.get(domain), diags);
                }
                for (index, server) in servers.0.iter().enumerate() {
                    name_server(server, element(domains.get(domain), index), diags);
                }
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
            corefile(spec.corefile.clone()?, suffix, provider, place.get("corefile"), diags)
        }
        Provider::Aks => Some(custom(spec.custom.clone()?, suffix, place.get("custom"), diags)),
        Provider::Openshift => Some(servers(spec.servers.clone()?, suffix, place.get("servers"), diags)),
    }
}

fn taken(suffix: &str, at: Span, diags: &mut Diagnostics) {
    diags
        .error(Code::StubDomainTaken, format!("the cluster's DNS already has an entry for `{suffix}`"))
        .at(at, "")
        .help(
            "if an earlier bundle put it there, leave it out here; if somebody else did, choose another `mesh.suffix`",
        );
}

fn corefile(
    text: String,
    suffix: &str,
    provider: Provider,
    place: Place<'_>,
    diags: &mut Diagnostics,
) -> Option<ExistingDns> {
    let blocks = match corefile::read(&text) {
        Ok(blocks) => blocks,
        Err(reason) => {
            diags
                .error(Code::InvalidDns, format!("this Corefile cannot be read: {reason}"))
                .at(place.value(), "")
                .help(copy_it(provider));
            return None;
        }
    };
    if let Some(zone) = blocks.iter().flat_map(|it| &it.zones).find(|it| names::is_below(it, suffix)) {
        taken(zone, place.key(), diags);
    }
    // A block on a port that nobody asks would be dead, and part of a Corefile takes DNS down.
    let Some(root) = blocks.into_iter().find(|it| it.zones.iter().any(String::is_empty)) else {
        diags
            .error(Code::InvalidDns, "this is not a whole Corefile: nothing serves `.` on port 53")
            .at(place.value(), "")
            .help(copy_it(provider));
        return None;
    };
    Some(ExistingDns::Corefile { text, bind: root.bind })
}

fn copy_it(provider: Provider) -> String {
    let name = if provider == Provider::NodelocalDns { "node-local-dns" } else { "coredns" };
    format!("copy it whole: `kubectl -n kube-system get configmap {name} -o jsonpath='{{.data.Corefile}}'`")
}

fn custom(custom: IndexMap<String, String>, suffix: &str, place: Place<'_>, diags: &mut Diagnostics) -> ExistingDns {
    for (key, text) in &custom {
        let at = place.get(key);
        let fits = key.len() <= 253
            && !["", ".", ".."].contains(&key.as_str())
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if !fits {
            diags
                .error(Code::InvalidDns, format!("`{key}` cannot be a key of a ConfigMap"))
                .at(at.key(), "")
                .help("letters, digits, `-`, `_` and `.`");
        }
        if key == STUB_KEY {
            taken(suffix, at.key(), diags);
        } else if key.ends_with(".server") {
            match corefile::read(text) {
                Ok(blocks) => {
                    if let Some(zone) = blocks.iter().flat_map(|it| &it.zones).find(|it| names::is_below(it, suffix)) {
                        taken(zone, at.key(), diags);
                    }
                }
                Err(reason) => {
                    diags
                        .error(Code::InvalidDns, format!("`{key}` holds no server blocks: {reason}"))
                        .at(at.value(), "")
                        .help("copy it whole: `kubectl -n kube-system get configmap coredns-custom -o yaml`");
                }
            }
        }
    }
    ExistingDns::Custom(custom)
}

fn servers(servers: Vec<ForwarderSpec>, suffix: &str, place: Place<'_>, diags: &mut Diagnostics) -> ExistingDns {
    for (index, server) in servers.iter().enumerate() {
        let at = place.item(index);
        if let Some(zone) = server.zones.iter().find(|it| names::is_below(&zone(it), suffix)) {
            taken(zone, at.get("zones").key(), diags);
        } else if server.name == STUB_NAME {
            taken(suffix, at.get("name").key(), diags);
        }
        if !ports::is_service_name(&server.name) {
            diags
                .error(Code::InvalidDns, format!("OpenShift takes no forwarder called `{}`", server.name))
                .at(at.get("name").value(), "")
                .help("1 to 15 lower-case letters, digits and single `-`, with a letter among them");
        }
        if let Some(first) = servers[..index].iter().position(|it| it.name == server.name) {
            diags
                .error(Code::InvalidDns, format!("two forwarders are called `{}`", server.name))
                .at(at.get("name").value(), "here again")
                .context(place.item(first).get("name").value(), "first here")
                .help("the names of forwarders differ");
        }
        if server.zones.is_empty() {
            mismatch(
                "zones",
                "a forwarder serves at least one zone",
                "name them: `zones: [corp.example.com]`",
                at,
                diags,
            );
        }
        for (zone, at) in server.zones.iter().enumerate().map(|(index, zone)| (zone, at.get("zones").item(index))) {
            if zone == "cluster.local" {
                diags
                    .error(Code::InvalidDns, "OpenShift forwards no `cluster.local`")
                    .at(at.value(), "")
                    .help("it serves that zone itself");
            } else {
                names::dns_name("a zone", zone, false, at, diags);
            }
        }
        if server.upstreams.is_empty() || server.upstreams.len() > MAX_UPSTREAMS {
            mismatch(
                "upstreams",
                &format!("a forwarder has 1 to {MAX_UPSTREAMS} upstreams, this one has {}", server.upstreams.len()),
                "name the servers it forwards to: `upstreams: [10.1.2.3]`",
                at,
                diags,
            );
        }
        for (index, upstream) in server.upstreams.iter().enumerate() {
            name_server(upstream, at.get("upstreams").item(index), diags);
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
    ExistingDns::Servers(servers)
}

/// A zone in the one spelling in which zones can be compared.
fn zone(written: &str) -> String {
    written.strip_suffix('.').unwrap_or(written).to_ascii_lowercase()
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
