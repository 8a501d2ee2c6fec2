//! Topologies made at random: as wished, which the compiler may refuse, or as granted, which it may not.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A topology. Whatever it asks for, [`Made::granted`] is one without mistakes.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) mesh: MadeMesh,
    pub(crate) clusters: Vec<MadeCluster>,
    pub(crate) services: Vec<MadeService>,
    externals: Vec<MadeExternal>,
    ingresses: Vec<MadeIngress>,
}

#[derive(Debug, Clone)]
pub(crate) struct MadeMesh {
    names: Option<&'static str>,
    scope: Option<&'static str>,
    outbound: Option<&'static str>,
    authorization: Option<&'static str>,
    addresses: Option<&'static str>,
    suffix: Option<&'static str>,
    trust_domain: Option<&'static str>,
    dual_stack: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct MadeCluster {
    release: &'static str,
    install: Option<&'static str>,
    network: bool,
    trust_domain: bool,
    locality: Option<&'static str>,
    dns: bool,
    ingress: Option<&'static str>,
    /// Kinds of the gateway's addresses.
    addresses: Vec<Kind>,
    /// Callers with addresses of their own.
    from: Vec<Index>,
    in_order: Option<bool>,
    gateway_api: bool,
    port: Option<&'static str>,
    pin: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    V4,
    V6,
    Name,
}

#[derive(Debug, Clone)]
pub(crate) struct MadeService {
    pub(crate) key: String,
    namespace: &'static str,
    pub(crate) clusters: Vec<usize>,
    ports: Vec<usize>,
    /// A service and one of its ports.
    pub(crate) calls: Vec<(usize, usize)>,
    workload: &'static str,
    account: Option<&'static str>,
    names: Option<&'static str>,
    balance: Balance,
    /// Whether it is called something else in Kubernetes, and selected by labels of its own.
    renamed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Balance {
    Unsaid,
    Word(&'static str),
    /// The clusters that run it, turned around; the last is left out if there is another.
    Failover(bool),
    /// Shares by turns.
    Weights(u8),
}

#[derive(Debug, Clone)]
struct MadeExternal {
    form: usize,
    namespace: &'static str,
    callers: Vec<usize>,
}

#[derive(Debug, Clone)]
struct MadeIngress {
    service: usize,
    clusters: Option<Vec<usize>>,
    tls: bool,
}

const OLD: [&str; 6] = ["1.4.2", "1.5.2", "1.5.10", "1.6.14", "1.7.8", "1.8.5"];
const NEW: [&str; 10] =
    ["1.22.8", "1.23.6", "1.24.6", "1.25.5", "1.26.8", "1.27.9", "1.28.10", "1.29.5", "1.30.3", "1.31.0"];

/// A port: its name, and what stands behind it. The last takes a name that does not say the protocol.
const PORTS: [(&str, &str, u16); 7] = [
    ("http", "\"80:8080\"", 80),
    ("grpc", "7001", 7001),
    ("tcp-data", "\"7002:7102\"", 7002),
    ("http-admin", "{port: 7003, targetPort: admin}", 7003),
    ("grpc-web", "7004", 7004),
    ("redis", "6379", 6379),
    ("plain", "{port: 7006, targetPort: 7106, protocol: http2}", 7006),
];
const NAMED_TARGET: usize = 3;
const SAYS_NOTHING: usize = 6;
/// Those that an ingress can lead to.
const HTTP: [usize; 4] = [0, 1, 3, 6];

const EXTERNALS: [&str; 4] = [
    "hosts: www.example.com, ports: {https: 443}",
    "hosts: [a.example.org, b.example.org], ports: {https: 443, http: 8888}",
    "hosts: db.example.net, ports: {tcp: 5432}, addresses: 203.0.113.7",
    "hosts: \"*.example.edu\", ports: {tls: 8443}",
];

/// Which releases a topology has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// Those that rewrite names at the gateway.
    Old,
    /// Those that pass through.
    New,
    /// Both.
    Mixed,
}

/// Topologies of `least` to six clusters.
pub(crate) fn made(line: Line, least: usize) -> impl Strategy<Value = Made> {
    vec(cluster(line), least..=6).prop_flat_map(|clusters| {
        let count = clusters.len();
        (Just(clusters), mesh(), vec(service(count), 1..9), vec(external(), 0..3), vec(ingress(count), 0..3)).prop_map(
            |(clusters, mesh, services, externals, ingresses)| Made {
                mesh,
                clusters,
                services: linked(services),
                externals,
                ingresses,
            },
        )
    })
}

fn mesh() -> impl Strategy<Value = MadeMesh> {
    (
        option::of(select(vec!["global", "cluster-local"])),
        option::of(select(vec!["declared", "mesh"])),
        option::of(select(vec!["allow-any", "registry-only"])),
        option::of(select(vec!["anybody", "declared"])),
        option::of(select(vec!["inline", "istio-remote", "mesh-networks"])),
        option::of(Just("mesh.internal")),
        option::of(Just("td.example")),
        any::<bool>(),
    )
        .prop_map(|(names, scope, outbound, authorization, addresses, suffix, trust_domain, dual_stack)| {
            MadeMesh { names, scope, outbound, authorization, addresses, suffix, trust_domain, dual_stack }
        })
}

fn cluster(line: Line) -> impl Strategy<Value = MadeCluster> {
    let releases = match line {
        Line::Old => OLD.to_vec(),
        Line::New => NEW.to_vec(),
        Line::Mixed => [&OLD[..], &NEW[..]].concat(),
    };
    let kinds = prop_oneof![4 => Just(Kind::V4), 1 => Just(Kind::V6), 1 => Just(Kind::Name)];
    let own = (
        select(releases),
        option::of(select(vec!["istioctl", "helm", "sail"])),
        any::<bool>(),
        any::<bool>(),
        option::weighted(0.7, select(vec!["r1/z1", "r1/z2", "r2/z1"])),
        any::<bool>(),
        option::weighted(0.2, Just("gateways")),
    );
    let gateway = (
        vec(kinds, 1..=3),
        vec(any::<Index>(), 0..2),
        option::of(any::<bool>()),
        any::<bool>(),
        option::of(select(vec!["port: 443", "nodePort: 31443"])),
        any::<bool>(),
    );
    (own, gateway).prop_map(|(own, gateway)| {
        let (release, install, network, trust_domain, locality, dns, ingress) = own;
        let (addresses, from, in_order, gateway_api, port, pin) = gateway;
        MadeCluster {
            release,
            install,
            network,
            trust_domain,
            locality,
            dns,
            ingress,
            addresses,
            from,
            in_order,
            gateway_api,
            port,
            pin,
        }
    })
}

type Links = Vec<(Index, Index)>;

fn service(clusters: usize) -> impl Strategy<Value = (MadeService, Links)> {
    let balance = prop_oneof![
        Just(Balance::Unsaid),
        select(vec!["failover", "local", "locality", "network", "spread"]).prop_map(Balance::Word),
        any::<bool>().prop_map(Balance::Failover),
        any::<u8>().prop_map(Balance::Weights),
    ];
    (
        select(vec!["default", "shop", "bank"]),
        btree_set(0..clusters, 1..=clusters.min(3)),
        btree_set(0..PORTS.len(), 1..=3),
        vec((any::<Index>(), any::<Index>()), 0..4),
        select(vec!["deployment", "deployment", "service", "elsewhere"]),
        option::weighted(0.3, select(vec!["runner", "default"])),
        option::weighted(0.3, select(vec!["global", "cluster-local"])),
        balance,
        any::<bool>(),
    )
        .prop_map(|(namespace, clusters, ports, calls, workload, account, names, balance, renamed)| {
            let service = MadeService {
                key: String::new(),
                namespace,
                clusters: clusters.into_iter().collect(),
                ports: ports.into_iter().collect(),
                calls: Vec::new(),
                workload,
                account,
                names,
                balance,
                renamed,
            };
            (service, calls)
        })
}

/// Calls lead to services that there are.
fn linked(services: Vec<(MadeService, Links)>) -> Vec<MadeService> {
    let ports: Vec<usize> = services.iter().map(|it| it.0.ports.len()).collect();
    let link = |(callee, port): (Index, Index)| {
        let callee = callee.index(ports.len());
        (callee, port.index(ports[callee]))
    };
    let service = |(index, (service, calls)): (usize, (MadeService, Links))| {
        let calls: BTreeSet<_> = calls.into_iter().map(link).collect();
        MadeService { key: format!("s{index}"), calls: calls.into_iter().collect(), ..service }
    };
    services.into_iter().enumerate().map(service).collect()
}

fn external() -> impl Strategy<Value = MadeExternal> {
    (0..EXTERNALS.len(), select(vec!["default", "shop"]), vec(0..8_usize, 1..3))
        .prop_map(|(form, namespace, callers)| MadeExternal { form, namespace, callers })
}

fn ingress(clusters: usize) -> impl Strategy<Value = MadeIngress> {
    let elsewhere = option::of(btree_set(0..clusters, 1..=2.min(clusters)).prop_map(|it| it.into_iter().collect()));
    (0..8_usize, elsewhere, any::<bool>()).prop_map(|(service, clusters, tls)| MadeIngress { service, clusters, tls })
}

impl MadeCluster {
    fn newer(&self) -> bool {
        NEW.contains(&self.release)
    }

    fn named(&self) -> bool {
        self.addresses.contains(&Kind::Name)
    }
}

impl Made {
    /// The same, without what the compiler would refuse.
    pub(crate) fn granted(mut self) -> Self {
        let old = self.clusters.iter().any(|it| !it.newer());
        let count = self.clusters.len();
        for (index, it) in self.clusters.iter_mut().enumerate() {
            it.from.retain(|caller| caller.index(count) != index);
            if !it.newer() {
                (it.install, it.network, it.trust_domain, it.dns) = (None, false, false, true);
                (it.in_order, it.gateway_api) = (None, false);
                it.from.clear();
            }
            // A trust domain of its own is nothing that an old cluster would accept.
            it.trust_domain &= !old;
            let by_node = it.port == Some("nodePort: 31443");
            it.gateway_api &= !by_node;
            it.pin &= it.addresses.len() == 1 && !it.named() && !by_node;
            let families = it.addresses.contains(&Kind::V4) && it.addresses.contains(&Kind::V6);
            if families && ["1.22.8", "1.23.6"].contains(&it.release) {
                it.install = Some("helm");
            }
        }
        if old {
            // Not every old release knows another, and only names of the suffix cross their gateways.
            (self.mesh.suffix, self.mesh.names) = (None, None);
            // What an old cluster would leave open is not promised for the mesh.
            (self.mesh.outbound, self.mesh.authorization) = (None, None);
        }
        // A name that Envoy looks up cannot stand beside pods, or in an order.
        let inline = self.mesh.addresses.is_none_or(|it| it == "inline");
        let named: Vec<bool> = self.clusters.iter().map(|it| it.named() && inline).collect();
        if named.contains(&true) {
            self.clusters.iter_mut().for_each(|it| it.in_order = None);
        }
        // Nearness knows no first and second of one cluster, and neither does istiod where it puts the addresses in.
        if !inline || self.services.iter().any(|it| it.balance == Balance::Word("locality")) {
            self.clusters.iter_mut().for_each(|it| it.in_order = None);
        }
        let declared = self.mesh.authorization == Some("declared");
        let in_two = |it: &MadeService| {
            let ordered = matches!(it.balance, Balance::Unsaid | Balance::Failover(_) | Balance::Word("failover"));
            it.balance != Balance::Word("locality") && (it.clusters.len() < 3 || !ordered)
        };
        for service in &mut self.services {
            let rewrites = service.clusters.iter().any(|it| !self.clusters[*it].newer());
            if old {
                service.names = None;
            }
            if old && service.ports.contains(&SAYS_NOTHING) {
                service.ports = service.ports.iter().map(|it| if *it == SAYS_NOTHING { 2 } else { *it }).collect();
                service.ports.sort_unstable();
                service.ports.dedup();
            }
            let placed = |it: fn(&MadeCluster) -> bool| service.clusters.iter().all(|at| it(&self.clusters[*at]));
            let nowhere = service.balance == Balance::Word("locality") && !placed(|it| it.locality.is_some());
            if rewrites || service.clusters.len() < 2 {
                service.balance = Balance::Unsaid;
            } else if service.clusters.iter().any(|it| named[*it]) {
                service.balance = Balance::Word("local");
            } else if !inline && !in_two(service) {
                // Where istiod puts the addresses in, it knows one cluster from the others and no more.
                service.balance = Balance::Word("network");
            } else if nowhere || old && matches!(service.balance, Balance::Weights(_)) {
                service.balance = Balance::Word("spread");
            }
            if declared && service.workload != "deployment" && service.account.is_none() {
                service.account = Some("runner");
            }
        }
        let ports: Vec<usize> = self.services.iter().map(|it| it.ports.len()).collect();
        for service in &mut self.services {
            let calls: BTreeSet<_> = service.calls.iter().map(|it| (it.0, it.1 % ports[it.0])).collect();
            service.calls = calls.into_iter().collect();
        }
        let services = &self.services;
        for it in &mut self.externals {
            let callers: BTreeSet<_> = it.callers.iter().map(|it| it % services.len()).collect();
            it.callers = callers.into_iter().collect();
        }
        let mut forms = BTreeSet::new();
        self.externals.retain(|it| forms.insert(it.form));
        for it in &mut self.ingresses {
            it.service %= services.len();
        }
        let mut seen = BTreeSet::new();
        let http = |it: &MadeIngress| services[it.service].ports.iter().any(|port| HTTP.contains(port));
        self.ingresses.retain(|it| http(it) && seen.insert(it.service));
        self
    }

    pub(crate) fn yaml(&self) -> String {
        format!("{}services:\n{}", self.head(), self.services.iter().map(|it| self.service(it)).collect::<String>())
    }

    /// Everything before the services.
    pub(crate) fn head(&self) -> String {
        let MadeMesh { names, scope, outbound, authorization, addresses, suffix, trust_domain, dual_stack } =
            &self.mesh;
        let ips = if *dual_stack { "[240.0.0.0/8, \"fd00:240::/64\"]" } else { "240.0.0.0/8" };
        let mut text = format!("version: 1\nallow: [T0306, T0607, T0904]\nmesh:\n  virtualIPs: {ips}\n");
        for (field, value) in [
            ("names", names),
            ("scope", scope),
            ("outbound", outbound),
            ("authorization", authorization),
            ("gatewayAddresses", addresses),
            ("suffix", suffix),
            ("trustDomain", trust_domain),
        ] {
            if let Some(value) = value {
                let _ = writeln!(text, "  {field}: {value}");
            }
        }
        text.push_str("clusters:\n");
        for (index, cluster) in self.clusters.iter().enumerate() {
            let _ = writeln!(text, "  c{index}: {{{}}}", self.cluster(index, cluster).join(", "));
        }
        text.push_str("externals:");
        text.push_str(if self.externals.is_empty() { " {}\n" } else { "\n" });
        for (index, it) in self.externals.iter().enumerate() {
            let callers: Vec<_> = it.callers.iter().map(|it| format!("s{it}")).collect();
            let MadeExternal { form, namespace, .. } = it;
            let callers = callers.join(", ");
            let form = EXTERNALS[*form];
            let _ = writeln!(text, "  x{index}: {{namespace: {namespace}, callers: [{callers}], {form}}}");
        }
        text.push_str("ingress:");
        text.push_str(if self.ingresses.is_empty() { " {}\n" } else { "\n" });
        for (index, it) in self.ingresses.iter().enumerate() {
            let service = self.services.get(it.service);
            let port =
                service.and_then(|it| it.ports.iter().find(|it| HTTP.contains(it))).map_or("http", |it| PORTS[*it].0);
            let clusters = it.clusters.as_ref().map(|it| format!(", clusters: [{}]", names_of(it))).unwrap_or_default();
            let tls = if it.tls { ", tls: {credentialName: cert}" } else { "" };
            let key = it.service;
            let _ = writeln!(
                text,
                "  i{index}: {{service: s{key}, port: {port}, hosts: i{index}.example.com{clusters}{tls}}}"
            );
        }
        text
    }

    /// The same, when services go that externals and ingresses name.
    pub(crate) fn head_without_callers(&self) -> String {
        Self { externals: Vec::new(), ingresses: Vec::new(), ..self.clone() }.head()
    }

    fn cluster(&self, index: usize, it: &MadeCluster) -> Vec<String> {
        let mut fields = vec![format!("istio: \"{}\"", it.release)];
        let mut say = |said: bool, text: String| fields.extend(said.then_some(text));
        say(it.install.is_some(), format!("install: {}", it.install.unwrap_or_default()));
        say(it.network, format!("network: net-{index}"));
        say(it.trust_domain, format!("trustDomain: c{index}.example"));
        say(it.locality.is_some(), format!("locality: {}", it.locality.unwrap_or_default()));
        say(it.dns, format!("dns: {{provider: coredns, address: 10.{}.0.53}}", 100 + index));
        say(it.dns, format!("ranges: {{pods: 10.{index}.0.0/16, services: 10.{}.0.0/20}}", 100 + index));
        say(
            it.ingress.is_some(),
            format!("ingress: {{namespace: {}, serviceAccount: edge}}", it.ingress.unwrap_or_default()),
        );
        let mut gateway = vec![format!("address: {}", addresses(index, 0, &it.addresses))];
        let callers: BTreeSet<_> = it.from.iter().map(|it| it.index(self.clusters.len())).collect();
        let from: Vec<_> =
            callers.iter().map(|at| format!("c{at}: {}", addresses(index, at + 1, &it.addresses))).collect();
        let mut say = |said: bool, text: String| gateway.extend(said.then_some(text));
        say(!from.is_empty(), format!("from: {{{}}}", from.join(", ")));
        say(it.in_order == Some(true), "balance: failover".into());
        say(it.in_order == Some(false), "balance: spread".into());
        say(it.gateway_api, "api: gateway-api".into());
        say(it.port.is_some(), it.port.unwrap_or_default().into());
        say(it.pin, "pin: true".into());
        fields.push(format!("gateway: {{{}}}", gateway.join(", ")));
        fields
    }

    /// A service, as it stands in the file.
    pub(crate) fn service(&self, it: &MadeService) -> String {
        let MadeService { key, namespace, .. } = it;
        let ports: Vec<_> = it.ports.iter().map(|it| format!("{}: {}", PORTS[*it].0, PORTS[*it].1)).collect();
        let calls: Vec<_> = it
            .calls
            .iter()
            .map(|(callee, port)| {
                let callee = &self.services[*callee];
                let (port, _, number) = PORTS[callee.ports[*port]];
                let name = format!("{}_{number}", callee.key.to_uppercase());
                let env = match number % 2 {
                    0 => name,
                    _ => format!("{{{name}_HOST: \"{{host}}\", {name}_URL: \"x://{{host}}:{{port}}/\"}}"),
                };
                format!("{{service: {}, port: {port}, env: {env}}}", callee.key)
            })
            .collect();
        let mut text = format!("  {key}:\n    namespace: {namespace}\n    clusters: [{}]\n", names_of(&it.clusters));
        let _ = writeln!(text, "    ports: {{{}}}\n    calls: [{}]", ports.join(", "), calls.join(", "));
        let mut say = |said: bool, line: String| text.extend(said.then(|| format!("    {line}\n")));
        let container = if it.ports.contains(&NAMED_TARGET) {
            ", container: {ports: [{name: admin, containerPort: 7103}]}"
        } else {
            ""
        };
        say(it.workload == "deployment", format!("workload: {{image: example.com/app{container}}}"));
        say(it.workload == "elsewhere", "workload: elsewhere".into());
        say(it.account.is_some(), format!("serviceAccount: {}", it.account.unwrap_or_default()));
        say(it.names.is_some(), format!("names: {}", it.names.unwrap_or_default()));
        say(it.renamed, format!("name: the-{key}"));
        say(it.renamed, format!("selector: {{part: {key}, tier: back}}"));
        match &it.balance {
            Balance::Unsaid => (),
            Balance::Word(word) => say(true, format!("balance: {word}")),
            Balance::Failover(short) => {
                let mut order: Vec<_> = it.clusters.iter().rev().copied().collect();
                order.truncate(if *short && order.len() > 1 { order.len() - 1 } else { order.len() });
                say(true, format!("balance: {{failover: [{}]}}", names_of(&order)));
            }
            Balance::Weights(first) => {
                let first = usize::from(*first) % 101;
                let rest = [(0, first), (1, 100 - first)]
                    .into_iter()
                    .filter_map(|(at, share)| Some((it.clusters.get(at)?, share)));
                let shares: Vec<_> = rest.map(|(at, share)| format!("c{at}: {share}")).collect();
                say(true, format!("balance: {{weights: {{{}}}}}", shares.join(", ")));
            }
        }
        text
    }

    /// A service that nothing calls and that calls nothing.
    pub(crate) fn newcomer(cluster: usize) -> MadeService {
        MadeService {
            key: "newcomer".into(),
            namespace: "default",
            clusters: vec![cluster],
            ports: vec![0],
            calls: Vec::new(),
            workload: "deployment",
            account: None,
            names: None,
            balance: Balance::Unsaid,
            renamed: false,
        }
    }
}

fn names_of(clusters: &[usize]) -> String {
    clusters.iter().map(|it| format!("c{it}")).collect::<Vec<_>>().join(", ")
}

/// Addresses that no other cluster has, nor this one for other callers.
fn addresses(cluster: usize, caller: usize, kinds: &[Kind]) -> String {
    let one = |(index, kind): (usize, &Kind)| match kind {
        Kind::V4 => format!("198.{}.{caller}.{}", 20 + cluster, index + 1),
        Kind::V6 => format!("\"2600:1900:{cluster}:{caller}::{}\"", index + 1),
        Kind::Name => format!("lb{index}-{caller}.c{cluster}.example.com"),
    };
    format!("[{}]", kinds.iter().enumerate().map(one).collect::<Vec<_>>().join(", "))
}
