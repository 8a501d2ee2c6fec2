//! What a topology declares, read by a second reader: it shares nothing with the compiler's own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde_yaml::Value;

use super::written::{at, list, words};

/// A topology that has no mistakes.
pub(crate) struct Declared {
    pub(crate) suffix: String,
    /// Whether sidecars are told of what is called alone.
    pub(crate) scoped: bool,
    /// Whether declared callers alone are let in.
    pub(crate) authorized: bool,
    pub(crate) inline: bool,
    pub(crate) fingerprint: Option<String>,
    pub(crate) virtual_ips: Vec<IpNet>,
    pub(crate) clusters: Vec<Cluster>,
    pub(crate) services: Vec<Service>,
    pub(crate) externals: Vec<External>,
    pub(crate) ingresses: Vec<Ingress>,
}

pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) release: (u32, u32),
    pub(crate) network: String,
    pub(crate) trust_domain: String,
    addresses: Vec<String>,
    from: BTreeMap<String, Vec<String>>,
    /// Whether a later address of its gateway waits for the earlier ones to fail.
    pub(crate) in_order: bool,
    pub(crate) gateway_api: bool,
    /// What others connect to.
    pub(crate) dial: u64,
    pub(crate) node_port: Option<u64>,
    pub(crate) dns: Option<String>,
    pub(crate) ranges: Vec<IpNet>,
    pub(crate) locality: Option<String>,
    pub(crate) ingress_namespace: String,
    pub(crate) ingress_account: String,
}

pub(crate) struct Service {
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) clusters: Vec<String>,
    pub(crate) ports: Vec<Port>,
    /// `None` where nobody said it.
    pub(crate) account: Option<String>,
    pub(crate) selector: BTreeMap<String, String>,
    pub(crate) calls: Vec<Call>,
    pub(crate) workload: Workload,
    cluster_local: bool,
    pub(crate) balance: Balance,
    pub(crate) pins: Vec<IpAddr>,
    container_ports: BTreeMap<String, u64>,
}

#[derive(PartialEq, Eq, Clone, Copy)]
pub(crate) enum Workload {
    Deployment,
    ServiceOnly,
    Elsewhere,
}

#[derive(PartialEq, Eq)]
pub(crate) enum Balance {
    Local,
    Failover(Vec<String>),
    Locality,
    Network,
    Spread,
    Weights(BTreeMap<String, u64>),
}

pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) number: u64,
    pub(crate) target: String,
    /// As Istio spells it.
    pub(crate) protocol: String,
}

pub(crate) struct Call {
    pub(crate) callee: String,
    pub(crate) port: String,
    pub(crate) variables: Vec<(String, String)>,
}

pub(crate) struct External {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) hosts: Vec<String>,
    pub(crate) callers: Vec<String>,
}

pub(crate) struct Ingress {
    pub(crate) service: String,
    port: String,
    pub(crate) clusters: Vec<String>,
}

/// What a cluster calls of a service.
pub(crate) struct Use<'a> {
    pub(crate) service: &'a Service,
    pub(crate) ports: BTreeSet<&'a str>,
    /// Of the callers.
    pub(crate) namespaces: BTreeSet<&'a str>,
}

/// What a cluster lets in under a host.
pub(crate) struct Export<'a> {
    pub(crate) service: &'a Service,
    pub(crate) ports: BTreeSet<&'a str>,
}

fn word(value: &Value) -> Option<String> {
    words(value).into_iter().next()
}

fn number(value: &Value) -> Option<u64> {
    word(value)?.parse().ok()
}

fn map(value: &Value) -> impl Iterator<Item = (String, &Value)> {
    value.as_mapping().into_iter().flatten().map(|(key, value)| (word(key).expect("a key is text"), value))
}

fn strings(value: &Value) -> BTreeMap<String, String> {
    map(value).map(|(key, value)| (key, word(value).expect("text"))).collect()
}

fn nets(value: &Value) -> Vec<IpNet> {
    words(value).iter().map(|it| it.parse().expect("a range")).collect()
}

/// Addresses of gateways; an IP of version 6 has several spellings.
fn addresses(value: &Value) -> Vec<String> {
    words(value).into_iter().map(|it| it.parse::<IpAddr>().map_or(it, |ip| ip.to_string())).collect()
}

impl Declared {
    pub(crate) fn read(text: &str) -> Self {
        let mut file: Value = serde_yaml::from_str(text).expect("a topology is YAML");
        file.apply_merge().expect("its merges can be made");
        let mesh = at(&file, &["mesh"]);
        let is = |field: &str, word: &str| self::word(&mesh[field]).as_deref() == Some(word);
        let clusters: Vec<_> = map(&file["clusters"]).map(|(name, it)| Cluster::read(name, it, mesh)).collect();
        let rewrites: BTreeSet<_> = clusters.iter().filter(|it| !it.newer()).map(|it| it.name.clone()).collect();
        let mut services: Vec<_> = map(&file["services"])
            .map(|(key, it)| Service::read(key, it, is("names", "cluster-local"), &rewrites))
            .collect();
        let calls: Vec<Vec<Call>> = map(&file["services"]).map(|(_, it)| calls(&it["calls"], &services)).collect();
        for (service, calls) in services.iter_mut().zip(calls) {
            service.calls = calls;
        }
        let mut virtual_ips = nets(&mesh["virtualIPs"]);
        if virtual_ips.is_empty() {
            virtual_ips.push("240.0.0.0/16".parse().expect("a range"));
        }
        let externals = map(&file["externals"]).map(|(name, it)| External {
            name,
            namespace: word(&it["namespace"]).unwrap_or_else(|| "default".into()),
            hosts: words(&it["hosts"]),
            callers: words(&it["callers"]),
        });
        let ingresses = map(&file["ingress"]).map(|(_, it)| {
            let service = find(&services, &word(&it["service"]).expect("an ingress has a service"));
            let clusters = words(&it["clusters"]);
            Ingress {
                port: service.port(word(&it["port"]).as_deref()).name.clone(),
                clusters: if clusters.is_empty() { service.clusters.clone() } else { clusters },
                service: service.key.clone(),
            }
        });
        Self {
            suffix: word(&mesh["suffix"]).unwrap_or_else(|| "global".into()),
            scoped: !is("scope", "mesh"),
            authorized: is("authorization", "declared"),
            inline: !is("gatewayAddresses", "istio-remote") && !is("gatewayAddresses", "mesh-networks"),
            fingerprint: word(at(mesh, &["trust", "rootFingerprint"])),
            virtual_ips,
            externals: externals.collect(),
            ingresses: ingresses.collect(),
            clusters,
            services,
        }
    }

    pub(crate) fn cluster(&self, name: &str) -> &Cluster {
        self.clusters.iter().find(|it| it.name == name).expect("a declared cluster")
    }

    pub(crate) fn service(&self, key: &str) -> &Service {
        find(&self.services, key)
    }

    /// The host that works from everywhere.
    pub(crate) fn global(&self, service: &Service) -> String {
        format!("{}.{}.{}", service.name, service.namespace, self.suffix)
    }

    /// The host by which a cluster calls a service.
    pub(crate) fn host(&self, here: &str, service: &Service) -> String {
        if service.cluster_local || service.runs_in(here) { service.local() } else { self.global(service) }
    }

    /// The services that run in a cluster.
    pub(crate) fn local<'a>(&'a self, here: &'a str) -> impl Iterator<Item = &'a Service> {
        self.services.iter().filter(move |it| it.runs_in(here))
    }

    /// Everything that is called from a cluster.
    pub(crate) fn uses(&self, here: &str) -> Vec<Use<'_>> {
        let mut uses: BTreeMap<&str, Use<'_>> = BTreeMap::new();
        let mut add = |key: &str, port: &'_ str, namespace| {
            let service = self.service(key);
            let it = uses.entry(&service.key).or_insert_with(|| Use {
                service,
                ports: BTreeSet::new(),
                namespaces: BTreeSet::new(),
            });
            it.ports.insert(&service.port(Some(port)).name);
            it.namespaces.insert(namespace);
        };
        for caller in self.services.iter().filter(|it| it.runs_in(here)) {
            caller.calls.iter().for_each(|it| add(&it.callee, &it.port, &caller.namespace));
        }
        for ingress in self.ingresses.iter().filter(|it| it.clusters.iter().any(|it| it == here)) {
            add(&ingress.service, &ingress.port, &self.cluster(here).ingress_namespace);
        }
        uses.into_values().collect()
    }

    /// What a cluster calls and gateways of other clusters answer for.
    pub(crate) fn crossings(&self, here: &str) -> Vec<Use<'_>> {
        let mut uses = self.uses(here);
        for it in uses.iter_mut().filter(|it| it.service.runs_in(here)) {
            let service = it.service;
            it.ports.retain(|port| service.port(Some(port)).protocol != "UDP");
        }
        uses.retain(|it| !it.ports.is_empty() && !it.service.elsewhere(here).is_empty());
        uses
    }

    /// What other clusters call in a cluster, by host.
    pub(crate) fn exports(&self, owner: &str) -> BTreeMap<String, Export<'_>> {
        let mut exports: BTreeMap<String, Export<'_>> = BTreeMap::new();
        for from in self.clusters.iter().map(|it| it.name.as_str()).filter(|it| *it != owner) {
            for it in self.crossings(from).into_iter().filter(|it| it.service.elsewhere(from).contains(&owner)) {
                let export = exports
                    .entry(self.host(from, it.service))
                    .or_insert_with(|| Export { service: it.service, ports: BTreeSet::new() });
                export.ports.extend(it.ports);
            }
        }
        exports
    }

    /// The identities that may call a service in a cluster.
    pub(crate) fn callers(&self, here: &str, callee: &Service) -> BTreeSet<String> {
        let reach = |from: &&String| callee.tiers(from).concat().contains(&here);
        let mut identities = BTreeSet::new();
        for caller in self.services.iter().filter(|it| it.calls.iter().any(|call| call.callee == callee.key)) {
            identities.extend(caller.clusters.iter().filter(reach).filter_map(|it| caller.identity(self.cluster(it))));
        }
        for ingress in self.ingresses.iter().filter(|it| it.service == callee.key) {
            identities.extend(ingress.clusters.iter().filter(reach).map(|it| {
                let cluster = self.cluster(it);
                format!("{}/ns/{}/sa/{}", cluster.trust_domain, cluster.ingress_namespace, cluster.ingress_account)
            }));
        }
        identities
    }
}

impl Cluster {
    fn read(name: String, it: &Value, mesh: &Value) -> Self {
        let release: Vec<u32> =
            word(&it["istio"]).expect("a release").split('.').map(|it| it.parse().expect("a number")).collect();
        let release = (release[0], release[1]);
        let gateway = &it["gateway"];
        let full = |field: &str| at(gateway, &[field]);
        let istioctl = match word(&it["install"]).as_deref() {
            Some(installer) => installer == "istioctl",
            None => true,
        };
        let ingress = at(it, &["ingress"]);
        let trust_domain = word(&it["trustDomain"]).or_else(|| word(at(mesh, &["trustDomain"])));
        // Until 1.7 every installer had the charts that istioctl has today.
        let account =
            if istioctl || release < (1, 22) { "istio-ingressgateway-service-account" } else { "istio-ingressgateway" };
        Self {
            release,
            network: word(&it["network"]).unwrap_or_else(|| name.clone()),
            trust_domain: trust_domain.unwrap_or_else(|| "cluster.local".into()),
            addresses: addresses(if gateway.is_mapping() { full("address") } else { gateway }),
            from: map(full("from")).map(|(caller, it)| (caller, addresses(it))).collect(),
            in_order: word(full("balance")).as_deref() == Some("failover"),
            gateway_api: word(full("api")).as_deref() == Some("gateway-api"),
            dial: number(full("nodePort")).or_else(|| number(full("port"))).unwrap_or(15443),
            node_port: number(full("nodePort")),
            dns: word(at(it, &["dns", "address"])),
            ranges: ["pods", "services", "nodes"].iter().flat_map(|what| nets(at(it, &["ranges", what]))).collect(),
            locality: word(&it["locality"]),
            ingress_namespace: word(at(ingress, &["namespace"])).unwrap_or_else(|| "istio-system".into()),
            ingress_account: word(at(ingress, &["serviceAccount"])).unwrap_or_else(|| account.into()),
            name,
        }
    }

    /// Whether its gateway passes through what it is told to, as Istio does today.
    pub(crate) fn newer(&self) -> bool {
        self.release >= (1, 22)
    }

    /// Where callers of a cluster reach its gateway.
    pub(crate) fn addresses(&self, caller: &str) -> &[String] {
        self.from.get(caller).unwrap_or(&self.addresses)
    }

    pub(crate) fn all_addresses(&self) -> impl Iterator<Item = &String> {
        self.addresses.iter().chain(self.from.values().flatten())
    }

    pub(crate) fn has_gateway(&self) -> bool {
        !self.addresses.is_empty()
    }
}

impl Service {
    fn read(key: String, it: &Value, cluster_local: bool, rewrites: &BTreeSet<String>) -> Self {
        let name = word(&it["name"]).unwrap_or_else(|| key.clone());
        let clusters = words(&it["clusters"]);
        let workload = match &it["workload"] {
            Value::Null => Workload::ServiceOnly,
            Value::Mapping(_) => Workload::Deployment,
            _ => Workload::Elsewhere,
        };
        let selector = strings(&it["selector"]);
        let container_ports = list(&it["workload"], &["container", "ports"])
            .into_iter()
            .filter_map(|it| Some((word(&it["name"])?, number(&it["containerPort"])?)));
        Self {
            selector: if selector.is_empty() { BTreeMap::from([("app".into(), name.clone())]) } else { selector },
            account: word(&it["serviceAccount"]).or((workload == Workload::Deployment).then(|| name.clone())),
            namespace: word(&it["namespace"]).unwrap_or_else(|| "default".into()),
            ports: map(&it["ports"]).map(|(name, it)| Port::read(name, it)).collect(),
            calls: Vec::new(),
            cluster_local: word(&it["names"]).map_or(cluster_local, |it| it == "cluster-local"),
            balance: Balance::read(&it["balance"], &clusters, rewrites),
            pins: words(&it["virtualIP"]).iter().map(|it| it.parse().expect("an address")).collect(),
            container_ports: container_ports.collect(),
            key,
            name,
            clusters,
            workload,
        }
    }

    pub(crate) fn local(&self) -> String {
        format!("{}.{}.svc.cluster.local", self.name, self.namespace)
    }

    pub(crate) fn runs_in(&self, cluster: &str) -> bool {
        self.clusters.iter().any(|it| it == cluster)
    }

    /// A port by name or number; the only one if none is named.
    pub(crate) fn port(&self, named: Option<&str>) -> &Port {
        let Some(named) = named else { return &self.ports[0] };
        let by_name = self.ports.iter().find(|it| it.name == named);
        by_name.or_else(|| self.ports.iter().find(|it| it.number.to_string() == named)).expect("a declared port")
    }

    /// The clusters that a call may reach, tier after tier.
    pub(crate) fn tiers(&self, from: &str) -> Vec<Vec<&str>> {
        let all = || self.clusters.iter().map(String::as_str).collect::<Vec<_>>();
        match &self.balance {
            Balance::Local if self.runs_in(from) => {
                vec![self.clusters.iter().map(String::as_str).filter(|it| *it == from).collect()]
            }
            Balance::Failover(order) => {
                let own = self.clusters.iter().filter(|it| *it == from);
                own.chain(order.iter().filter(|it| *it != from)).map(|it| vec![it.as_str()]).collect()
            }
            Balance::Network if self.runs_in(from) => {
                let (own, others) = all().into_iter().partition(|it| *it == from);
                vec![own, others]
            }
            _ => vec![all()],
        }
    }

    /// The other clusters that a call may reach.
    pub(crate) fn elsewhere(&self, from: &str) -> Vec<&str> {
        self.tiers(from).concat().into_iter().filter(|it| *it != from).collect()
    }

    /// Its identity in a cluster, if it is known.
    pub(crate) fn identity(&self, cluster: &Cluster) -> Option<String> {
        Some(format!("{}/ns/{}/sa/{}", cluster.trust_domain, self.namespace, self.account.as_ref()?))
    }

    /// The port of its pods, if its number is known.
    pub(crate) fn target(&self, port: &Port) -> Option<u64> {
        port.target.parse().ok().or_else(|| self.container_ports.get(&port.target).copied())
    }
}

impl Balance {
    fn read(it: &Value, clusters: &[String], rewrites: &BTreeSet<String>) -> Self {
        if it.is_mapping() {
            let weights = strings(&it["weights"]);
            if weights.is_empty() {
                return Self::Failover(words(&it["failover"]));
            }
            let percent = |it: String| it.parse().expect("percent");
            return Self::Weights(weights.into_iter().map(|it| (it.0, percent(it.1))).collect());
        }
        match word(it).as_deref() {
            None if clusters.iter().any(|it| rewrites.contains(it)) => Self::Local,
            None | Some("failover") => Self::Failover(clusters.to_vec()),
            Some("local") => Self::Local,
            Some("locality") => Self::Locality,
            Some("network") => Self::Network,
            Some("spread") => Self::Spread,
            Some(other) => panic!("{other} is no way to share calls"),
        }
    }
}

const PROTOCOLS: [(&str, &str); 11] = [
    ("grpc-web", "GRPC-Web"),
    ("grpc", "GRPC"),
    ("http2", "HTTP2"),
    ("https", "HTTPS"),
    ("http", "HTTP"),
    ("tls", "TLS"),
    ("tcp", "TCP"),
    ("udp", "UDP"),
    ("mongo", "MONGO"),
    ("mysql", "MYSQL"),
    ("redis", "REDIS"),
];

/// What Istio reads from the name of a Service's port, or from `appProtocol`.
pub(crate) fn protocol(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    let is = |word: &str| lower == word || lower.starts_with(&format!("{word}-"));
    PROTOCOLS.iter().find(|it| is(it.0)).map(|it| it.1)
}

impl Port {
    fn read(name: String, it: &Value) -> Self {
        let (number, target, said) = if it.is_mapping() {
            (word(&it["port"]).expect("a port"), word(&it["targetPort"]), word(&it["protocol"]))
        } else {
            let text = word(it).expect("a port");
            let parts: Vec<_> = text.split(':').map(str::to_owned).collect();
            (parts[0].clone(), parts.get(1).cloned(), None)
        };
        let protocol = protocol(&name).or_else(|| protocol(said.as_deref()?)).expect("a protocol").to_owned();
        Self {
            name,
            target: target.unwrap_or_else(|| number.clone()),
            number: number.parse().expect("a port"),
            protocol,
        }
    }

    /// Whether requests say which host they are for.
    pub(crate) fn is_http(&self) -> bool {
        ["HTTP", "HTTP2", "GRPC", "GRPC-Web"].contains(&self.protocol.as_str())
    }
}

fn find<'a>(services: &'a [Service], key: &str) -> &'a Service {
    services.iter().find(|it| it.key == key).expect("a declared service")
}

fn calls(it: &Value, services: &[Service]) -> Vec<Call> {
    let one = |it: &Value| {
        let (callee, port, env) = if it.is_mapping() {
            (word(&it["service"]).expect("a callee"), word(&it["port"]), &it["env"])
        } else {
            let text = word(it).expect("a callee");
            let (callee, port) = text.split_once(':').map_or((text.as_str(), None), |it| (it.0, Some(it.1.to_owned())));
            (callee.to_owned(), port, &Value::Null)
        };
        let variables = match env {
            Value::Mapping(_) => strings(env).into_iter().collect(),
            Value::Null => Vec::new(),
            name => vec![(word(name).expect("a name"), "{host}:{port}".to_owned())],
        };
        Call { port: find(services, &callee).port(port.as_deref()).name.clone(), callee, variables }
    };
    match it {
        Value::Sequence(list) => list.iter().map(one).collect(),
        Value::Null => Vec::new(),
        it => vec![one(it)],
    }
}
