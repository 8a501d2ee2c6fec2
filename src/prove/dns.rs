//! Stub domains: the server to which a cluster's DNS leads the names of the mesh, and whether it knows them.

use std::sync::Arc;

use serde_yaml::Value;

use super::cluster::Cluster;
use super::hop::{Break, HopKind};
use super::object::{Object, Place};
use super::service::Known;
use super::value::{at, list, word, words};

/// Whether a DNS server answers for a name that only the mesh knows, and what says so.
pub(super) fn answers(cluster: &Cluster, name: &str, known: &Known<'_>) -> Result<(String, Option<Place>), Box<Break>> {
    let broken = |why: String| Break::new(HopKind::Name, &cluster.name, why);
    let Some((zone, server, place)) = stub(cluster, name) else {
        let why = format!("the sidecar does not answer for `{name}`, and no stub domain leads to a server that does");
        let mend = if cluster.install.is_missing() {
            "how Istio is installed is not in the tree: put its files into `10-istio/` of the cluster's folder"
        } else {
            "set ISTIO_META_DNS_CAPTURE in `meshConfig.defaultConfig.proxyMetadata`, or add a stub domain"
        };
        return Err(broken(why).at(known.place(&["spec", "hosts"])).mend(mend));
    };
    if let Some((address, said)) = cluster.install.istiocoredns() {
        let address = address.or_else(|| cluster_ip(cluster.get("Service", "istio-system", "istiocoredns")?));
        if address.as_ref().is_none_or(|it| *it == server) {
            if known.addresses().is_empty() {
                let why = format!("istiocoredns knows names with an address only, and `{name}` has none");
                return Err(broken(why).at(known.place(&["spec"])).mend("write `addresses`"));
            }
            return Ok((format!("the stub domain `{zone}` leads `{name}` to istiocoredns"), Some(place)));
        }
        if own_server(cluster, &server).is_none() {
            let why = format!("the stub domain `{zone}` leads to {server}, and istiocoredns has another address");
            return Err(broken(why).at(place).mend(format!("give both the same address, see {}", said.object())));
        }
    }
    let Some(config) = own_server(cluster, &server) else {
        let why = format!("the stub domain `{zone}` leads to {server}, which is no DNS server of the bundle");
        return Err(broken(why).at(place).mend("let it lead to the server that knows the names"));
    };
    let line = |it: &str| it.split_whitespace().skip(1).any(|word| word == name);
    let lists_it = texts(config).any(|it| it.contains(name) && it.lines().any(line));
    if lists_it {
        return Ok((format!("the stub domain `{zone}` leads `{name}` to {config}"), Some(place)));
    }
    Err(broken(format!("the stub domain `{zone}` leads to {config}, which does not list `{name}`"))
        .at(Place::new(config, &["data"]))
        .mend("add the name and its address to its `hosts`"))
}

fn cluster_ip(service: &Arc<Object>) -> Option<String> {
    at(&service.value, &["spec", "clusterIP"])?.as_str().map(str::to_owned)
}

/// The configuration of a DNS server of the bundle that has this address.
fn own_server<'a>(cluster: &'a Cluster, address: &str) -> Option<&'a Arc<Object>> {
    let mut services = cluster.with_address("Service", address);
    services.find_map(|it| cluster.get("ConfigMap", &it.id.namespace, &it.id.name))
}

fn texts(object: &Object) -> impl Iterator<Item = &str> {
    let data = at(&object.value, &["data"]).and_then(Value::as_mapping).into_iter().flatten();
    data.filter_map(|it| it.1.as_str())
}

/// The objects `ConfigMap` that the DNS of clusters reads; beside these any that has a `Corefile`.
const SERVERS: [&str; 4] = ["coredns", "coredns-custom", "kube-dns", "node-local-dns"];

/// The longest zone of a stub domain that a name lies in, its server, and what says so.
fn stub(cluster: &Cluster, name: &str) -> Option<(String, String, Place)> {
    let mut stubs = Vec::new();
    for (object, zone, server) in cluster.scripts() {
        stubs.push((zone, server, Place::new(object, &[])));
    }
    let is_read =
        |it: &&Arc<Object>| SERVERS.contains(&it.id.name.as_str()) || at(&it.value, &["data", "Corefile"]).is_some();
    for object in cluster.of_kind("ConfigMap", "kube-system").filter(is_read) {
        let key = ["data", "stubDomains"];
        let domains: Option<Value> = serde_yaml::from_str(word(&object.value, &key)).ok();
        let domains = domains.as_ref().and_then(Value::as_mapping).into_iter().flatten();
        for (zone, servers) in domains {
            let server = servers.get(0).and_then(Value::as_str);
            if let Some((zone, server)) = zone.as_str().zip(server) {
                stubs.push((zone.to_owned(), server.to_owned(), Place::new(object, &key)));
            }
        }
        let all = at(&object.value, &["data"]).and_then(Value::as_mapping).into_iter().flatten();
        for (key, text) in all {
            let (Some(key), Some(text)) = (key.as_str(), text.as_str()) else { continue };
            let blocks = blocks(text).into_iter();
            stubs.extend(blocks.map(|(zone, server)| (zone, server, Place::new(object, &["data", key]))));
        }
    }
    // An add-on of EKS has its whole Corefile as a value.
    for object in cluster.of_kind_anywhere("") {
        let blocks = blocks(word(&object.value, &["corefile"])).into_iter();
        stubs.extend(blocks.map(|(zone, server)| (zone, server, Place::new(object, &["corefile"]))));
    }
    for object in cluster.of_kind("DNS", "") {
        for (index, it) in list(&object.value, &["spec", "servers"]).iter().enumerate() {
            let Some(server) = words(it, &["forwardPlugin", "upstreams"]).next() else { continue };
            let place = Place::new(object, &["spec", "servers", &index.to_string()]);
            stubs.extend(words(it, &["zones"]).map(|zone| (zone.to_owned(), server.to_owned(), place.clone())));
        }
    }
    let lies_in = |zone: &str| name == zone || name.strip_suffix(zone).is_some_and(|it| it.ends_with('.'));
    let stubs = stubs.into_iter().filter(|it| lies_in(&it.0));
    stubs.max_by_key(|it| it.0.len()).map(|(zone, server, place)| (zone, plain(&server).to_owned(), place))
}

/// An address without its port 53.
fn plain(server: &str) -> &str {
    server.strip_suffix(":53").unwrap_or(server)
}

/// The zones of a Corefile that are led to a server, each with that.
fn blocks(corefile: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut zones: Vec<String> = Vec::new();
    let mut depth = 0_usize;
    for line in corefile.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let mut words = line.split_whitespace();
        if depth == 0 && line.ends_with('{') {
            let named = line.trim_end_matches('{').split([' ', ',', '\t']).filter(|it| !it.is_empty());
            zones = named.map(|it| it.strip_suffix(":53").unwrap_or(it).trim_end_matches('.').to_owned()).collect();
        } else if depth == 1
            && matches!(words.next(), Some("forward" | "proxy"))
            && let Some(server) = words.nth(1)
        {
            blocks.extend(zones.iter().filter(|it| !it.is_empty()).map(|zone| (zone.clone(), server.to_owned())));
        }
        depth += usize::from(line.ends_with('{'));
        depth = depth.saturating_sub(usize::from(line == "}"));
    }
    blocks
}
