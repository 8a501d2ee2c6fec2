//! The invariants I1 to I18: what must hold of the bundles of a mesh, taken together.
//!
//! Each reads what was written and what was declared, and nothing of the compiler. It gives back what
//! does not hold, for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_yaml::Value;

use super::declared::{Balance, Cluster, Declared, Port, Service, Use, Workload, protocol};
use super::install::{EastWest, Install};
use super::written::{End, Mesh, Object, Written, at, documents, list, pairs, text, words};

/// What does not hold.
#[derive(Default)]
pub(crate) struct Broken(Vec<String>);

impl Broken {
    fn unless(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }

    fn unless_same<T: PartialEq + Debug>(&mut self, is: &T, should: &T, what: impl FnOnce() -> String) {
        self.unless(is == should, || format!("{}: {is:?} should be {should:?}", what()));
    }
}

type Check = fn(&Mesh, &mut Broken);

/// Every invariant under its number.
const CHECKS: [(&str, Check); 18] = [
    ("I1", i01_every_call_has_one_way_that_its_caller_sees),
    ("I2", i02_every_host_is_that_of_a_service_of_another_cluster),
    ("I3", i03_a_host_has_one_entry_and_every_namespace_is_there),
    ("I4", i04_ports_are_those_of_the_owners_service),
    ("I5", i05_endpoints_name_those_ports_and_the_port_of_the_gateway),
    ("I6", i06_variables_carry_the_host_and_the_port),
    ("I7", i07_virtual_ips_are_unique_and_stay),
    ("I8", i08_addresses_are_those_of_the_owners_gateway),
    ("I9", i09_names_are_resolved),
    ("I10", i10_identities_are_those_of_the_owner_and_of_the_callers),
    ("I11", i11_both_ends_speak_mtls),
    ("I12", i12_the_gateway_lets_in_what_is_called_and_nothing_else),
    ("I13", i13_the_owner_knows_the_host_and_callers_keep_it_to_themselves),
    ("I14", i14_networks_agree),
    ("I15", i15_routes_and_rules_name_what_is_there),
    ("I16", i16_every_object_is_one_that_the_release_serves),
    ("I17", i17_every_object_is_valid),
    ("I18", i18_no_secret_and_nothing_of_others_is_applied),
];

/// Everything that does not hold, under the number of its invariant.
pub(crate) fn broken(mesh: &Mesh) -> Vec<(&'static str, String)> {
    let run = |(number, check): (&'static str, Check)| {
        let mut broken = Broken::default();
        check(mesh, &mut broken);
        broken.0.into_iter().map(move |it| (number, it))
    };
    CHECKS.into_iter().flat_map(run).collect()
}

/// Every callee is local, or has exactly one way out in its caller's cluster: an entry, or a Service
/// with gateways as endpoints. The caller's namespace sees it, and its Sidecar lets it through. There
/// is none without a caller.
fn i01_every_call_has_one_way_that_its_caller_sees(mesh: &Mesh, broken: &mut Broken) {
    let declared = &mesh.declared;
    for (here, written) in mesh.clusters() {
        let mut used: BTreeSet<String> = BTreeSet::new();
        for call in declared.uses(&here.name) {
            let host = declared.host(&here.name, call.service);
            let who = || format!("{}: {host}", here.name);
            let entries = written.entries(&host);
            let service = written.service(call.service);
            if call.service.runs_in(&here.name) {
                let theirs = call.service.workload == Workload::Elsewhere;
                broken.unless(theirs || service.is_some(), || format!("{} has no Service", who()));
            } else {
                let ways = entries.len() + usize::from(service.is_some());
                broken.unless_same(&ways, &1, || format!("{}: ways out", who()));
            }
            for namespace in &call.namespaces {
                let seen = entries.iter().all(|it| it.visible_to(namespace));
                broken.unless(seen, || format!("{} is hidden from {namespace}", who()));
                let through = sidecar_lets(written, namespace, &call.service.namespace, &host);
                broken.unless(through, || format!("{}: the Sidecar of {namespace} hides it", who()));
            }
            used.insert(host);
        }
        for entry in written.of_kind("ServiceEntry") {
            let internal = text(&entry.value, &["spec", "location"]) == Some("MESH_INTERNAL");
            let owned =
                declared.local(&here.name).any(|it| words(&entry.value["spec"]["hosts"]) == [declared.global(it)]);
            let hosts = words(&entry.value["spec"]["hosts"]);
            broken.unless(!internal || owned || used.contains(&hosts[0]), || format!("{} has no caller", entry.id()));
        }
        workload_entries_have_callers(declared, here, written, broken);
        externals_are_known(declared, here, written, broken);
        sidecars(declared, here, written, broken);
    }
}

fn sidecar_lets(written: &Written, caller: &str, namespace: &str, host: &str) -> bool {
    let Some(sidecar) = written.of_kind("Sidecar").find(|it| it.namespace == caller) else { return true };
    let lets = |it: &String| {
        let (from, name) = it.split_once('/').unwrap_or(("", it));
        (from == "*" || from == namespace || from == "." && caller == namespace) && (name == "*" || name == host)
    };
    egress(sidecar).iter().any(lets)
}

fn egress(sidecar: &Object) -> Vec<String> {
    list(&sidecar.value, &["spec", "egress"]).iter().flat_map(|it| words(&it["hosts"])).collect()
}

fn workload_entries_have_callers(declared: &Declared, here: &Cluster, written: &Written, broken: &mut Broken) {
    let crossings = declared.crossings(&here.name);
    for entry in written.of_kind("WorkloadEntry") {
        let labels = pairs(&entry.value, &["spec", "labels"]);
        let selects = |it: &Use<'_>| {
            it.service.namespace == entry.namespace
                && it.service.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        broken.unless(crossings.iter().any(selects), || format!("{}: {} has no caller", here.name, entry.id()));
    }
}

/// Hosts outside the mesh are known where somebody calls them, to whoever does.
fn externals_are_known(declared: &Declared, here: &Cluster, written: &Written, broken: &mut Broken) {
    for external in &declared.externals {
        let callers: Vec<_> = external.callers.iter().map(|it| declared.service(it)).collect();
        let callers: Vec<_> = callers.into_iter().filter(|it| it.runs_in(&here.name)).collect();
        let entry = written.object("ServiceEntry", &external.namespace, &external.name);
        broken.unless_same(&entry.is_some(), &!callers.is_empty(), || format!("{}: {}", here.name, external.name));
        for caller in &callers {
            let seen = entry.is_some_and(|it| it.visible_to(&caller.namespace))
                && external
                    .hosts
                    .iter()
                    .all(|host| sidecar_lets(written, &caller.namespace, &external.namespace, host));
            broken.unless(seen, || format!("{}: {} does not see {}", here.name, caller.key, external.name));
        }
    }
}

/// A namespace that runs something has one Sidecar, which lists what is called and nothing else.
fn sidecars(declared: &Declared, here: &Cluster, written: &Written, broken: &mut Broken) {
    let namespaces: BTreeSet<_> = declared.local(&here.name).map(|it| it.namespace.as_str()).collect();
    let mut should: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for namespace in namespaces.into_iter().filter(|_| declared.scoped && here.newer()) {
        let callees = declared.uses(&here.name).into_iter().filter(|it| it.namespaces.contains(namespace));
        let callees = callees.map(|it| (it.service.namespace.clone(), declared.host(&here.name, it.service)));
        let outside = declared.externals.iter().filter(|it| {
            let runs = |it: &Service| it.runs_in(&here.name) && it.namespace == namespace;
            it.callers.iter().any(|it| runs(declared.service(it)))
        });
        let outside = outside.flat_map(|it| it.hosts.iter().map(|host| (it.namespace.clone(), host.clone())));
        let hosts = callees.chain(outside).filter(|it| it.0 != namespace).map(|it| format!("{}/{}", it.0, it.1));
        let always = ["./*", "istio-system/*"].map(str::to_owned);
        should.insert(namespace, hosts.chain(always).collect());
    }
    let is: Vec<(&str, BTreeSet<String>)> =
        written.of_kind("Sidecar").map(|it| (it.namespace.as_str(), egress(it).into_iter().collect())).collect();
    broken.unless_same(&is, &should.into_iter().collect(), || format!("{}: Sidecars", here.name));
}

/// The host of an entry is that of a service which other clusters run. Where it runs itself, gateways
/// answer beside its pods only if its calls are shared.
fn i02_every_host_is_that_of_a_service_of_another_cluster(mesh: &Mesh, broken: &mut Broken) {
    let declared = &mesh.declared;
    for (here, written) in mesh.clusters() {
        for entry in written.of_kind("ServiceEntry") {
            if text(&entry.value, &["spec", "location"]) != Some("MESH_INTERNAL") {
                continue;
            }
            let hosts = words(&entry.value["spec"]["hosts"]);
            let known = |it: &&Service| hosts == [declared.global(it)] || hosts == [it.local()];
            let Some(service) = declared.services.iter().find(known) else {
                broken.unless(false, || format!("{}: {hosts:?} is the host of no service", here.name));
                continue;
            };
            broken.unless(entry.namespace == service.namespace, || {
                format!("{}: {} is not in the namespace of its service", here.name, entry.id())
            });
            for owner in service.clusters.iter().filter_map(|it| mesh.written(it)) {
                let there = service.workload == Workload::Elsewhere || owner.service(service).is_some();
                broken.unless(there, || format!("{}: an owner has no Service of {hosts:?}", here.name));
            }
        }
        for service in declared.local(&here.name) {
            let ends = written.ends(&service.local(), service).len();
            let shared = declared.crossings(&here.name).iter().any(|it| it.service.key == service.key);
            broken.unless(ends == 0 || shared, || format!("{}: {} leaves its cluster", here.name, service.key));
        }
    }
}

/// One entry a host; none for the name of a Service that is there; every namespace is in the bundle,
/// before what lies in it.
fn i03_a_host_has_one_entry_and_every_namespace_is_there(mesh: &Mesh, broken: &mut Broken) {
    for (here, written) in mesh.clusters() {
        let services: BTreeSet<_> =
            written.of_kind("Service").map(|it| format!("{}.{}.svc.cluster.local", it.name, it.namespace)).collect();
        let mut hosts = BTreeSet::new();
        for entry in written.of_kind("ServiceEntry") {
            for host in words(&entry.value["spec"]["hosts"]) {
                broken
                    .unless(!services.contains(&host), || format!("{}: {host} has a Service and an entry", here.name));
                broken.unless(hosts.insert(host), || format!("{}: the host of {} stands twice", here.name, entry.id()));
            }
        }
        let mut created = BTreeSet::new();
        for object in &written.objects {
            if object.kind == "Namespace" {
                created.insert(&object.name);
            } else {
                broken.unless(created.contains(&object.namespace), || {
                    format!("{}: {} comes before its namespace", here.name, object.id())
                });
            }
        }
    }
}

/// Number, name and protocol of a port are the same at both ends, and the called ports are there.
fn i04_ports_are_those_of_the_owners_service(mesh: &Mesh, broken: &mut Broken) {
    let declared = &mesh.declared;
    for (here, written, call) in mesh.crossings().filter(|it| !it.2.service.runs_in(&it.0.name)) {
        let host = declared.host(&here.name, call.service);
        let should: BTreeSet<_> = call.ports.iter().map(|it| spoken(call.service.port(Some(it)))).collect();
        let stub = written.service(call.service).map(service_ports);
        let is = stub.unwrap_or_else(|| written.entries(&host).into_iter().flat_map(entry_ports).collect());
        broken.unless_same(&is, &should, || format!("{}: the ports of {host}", here.name));
    }
    for (here, written) in mesh.clusters() {
        for service in declared.local(&here.name) {
            let should: BTreeSet<_> = service.ports.iter().map(spoken).collect();
            if let Some(object) = written.service(service) {
                broken.unless_same(&service_ports(object), &should, || format!("{}: {}", here.name, object.id()));
                broken.unless_same(&service_targets(object), &declared_targets(service), || {
                    format!("{}: the target ports of {}", here.name, object.id())
                });
            }
        }
        for (host, export) in declared.exports(&here.name).into_iter().filter(|_| here.newer()) {
            for entry in written.entries(&host) {
                let should: BTreeSet<_> = export.ports.iter().map(|it| spoken(export.service.port(Some(it)))).collect();
                broken.unless_same(&entry_ports(entry), &should, || format!("{}: {}", here.name, entry.id()));
                let selects = !at(&entry.value, &["spec", "workloadSelector"]).is_null();
                for port in list(&entry.value, &["spec", "ports"]).into_iter().filter(|_| selects) {
                    let declared = export.service.port(text(port, &["name"]));
                    let target = port["targetPort"].as_u64().or(port["number"].as_u64());
                    broken.unless_same(&target, &export.service.target(declared), || {
                        format!("{}: the target port of {} of {}", here.name, declared.name, entry.id())
                    });
                }
            }
        }
    }
}

/// A port as both ends must have it: name, number, protocol.
type Spoken = (String, u64, String);

fn spoken(port: &Port) -> Spoken {
    (port.name.clone(), port.number, port.protocol.clone())
}

fn entry_ports(entry: &Object) -> BTreeSet<Spoken> {
    let ports = list(&entry.value, &["spec", "ports"]).into_iter();
    let word = |it: &Value, field: &str| text(it, &[field]).unwrap_or_default().to_owned();
    ports.map(|it| (word(it, "name"), it["number"].as_u64().unwrap_or(0), word(it, "protocol"))).collect()
}

/// Ports of a Service, with the protocol that Istio infers.
fn service_ports(service: &Object) -> BTreeSet<Spoken> {
    let ports = list(&service.value, &["spec", "ports"]).into_iter();
    let spoken = |it: &Value| {
        let name = text(it, &["name"]).unwrap_or_default();
        let said = text(it, &["appProtocol"]).and_then(protocol);
        let udp = (text(it, &["protocol"]) == Some("UDP")).then_some("UDP");
        let protocol = udp.or(said).or_else(|| protocol(name)).unwrap_or("?");
        (name.to_owned(), it["port"].as_u64().unwrap_or(0), protocol.to_owned())
    };
    ports.map(spoken).collect()
}

fn service_targets(service: &Object) -> BTreeMap<String, String> {
    let ports = list(&service.value, &["spec", "ports"]).into_iter();
    let target = |it: &Value| words(if it["targetPort"].is_null() { &it["port"] } else { &it["targetPort"] }).concat();
    ports.map(|it| (text(it, &["name"]).unwrap_or_default().to_owned(), target(it))).collect()
}

fn declared_targets(service: &Service) -> BTreeMap<String, String> {
    service.ports.iter().map(|it| (it.name.clone(), it.target.clone())).collect()
}

/// The ports of an endpoint are keyed by the names of the ports that are called, or of all where it
/// stands beside pods, and lead to the port of the gateway or to its node port.
fn i05_endpoints_name_those_ports_and_the_port_of_the_gateway(mesh: &Mesh, broken: &mut Broken) {
    let declared = &mesh.declared;
    for (here, written, call) in mesh.crossings() {
        let host = declared.host(&here.name, call.service);
        let is_entry = !written.entries(&host).is_empty();
        let mut names: BTreeSet<String> = BTreeSet::new();
        let all = call.service.ports.iter().filter(|it| call.service.runs_in(&here.name) && it.protocol != "UDP");
        for port in call.ports.iter().map(|it| call.service.port(Some(it))).chain(all) {
            names.insert(port.name.clone());
            // A Service with a named target port looks for that name.
            names.extend(Some(port.target.clone()).filter(|it| !is_entry && it.parse::<u64>().is_err()));
        }
        for end in written.ends(&host, call.service) {
            let keys: BTreeSet<_> = end.ports.keys().cloned().collect();
            let who = || format!("{}: an endpoint of {host}", here.name);
            if end.address.is_none() {
                // istiod puts the gateway's port in, where the Service with pods names its target port.
                let targets = call.service.ports.iter().map(|it| it.target.clone());
                let looked_for: BTreeSet<_> = targets.filter(|it| names.contains(it)).collect();
                let beside = call.service.runs_in(&here.name) && !is_entry;
                broken.unless_same(&keys, &if beside { looked_for } else { BTreeSet::new() }, who);
                continue;
            }
            broken.unless_same(&keys, &names, who);
            let dialled: BTreeSet<_> = end.ports.values().copied().collect();
            let owner = owner(declared, here, &call, &end);
            broken.unless(owner.is_some_and(|it| dialled == BTreeSet::from([it.dial])), || {
                format!("{} is called at {dialled:?}", who())
            });
        }
        if let Some(service) = written.service(call.service) {
            let selector = pairs(&service.value, &["spec", "selector"]);
            broken.unless_same(&selector, &call.service.selector, || format!("{}: {}", here.name, service.id()));
        }
    }
}

/// The cluster that an endpoint leads to: by its network, or by its address where there is none.
fn owner<'a>(declared: &'a Declared, here: &Cluster, call: &Use<'_>, end: &End) -> Option<&'a Cluster> {
    let mut owners = call.service.elsewhere(&here.name).into_iter().map(|it| declared.cluster(it));
    owners.find(|it| match &end.network {
        Some(network) => it.network == *network,
        None => end.address.as_ref().is_some_and(|address| it.addresses(&here.name).contains(address)),
    })
}

/// Variables that we write hold the host and port of the call.
fn i06_variables_carry_the_host_and_the_port(mesh: &Mesh, broken: &mut Broken) {
    let declared = &mesh.declared;
    for (here, written) in mesh.clusters() {
        for caller in declared.local(&here.name).filter(|it| it.workload == Workload::Deployment) {
            let Some(pods) = written.object("Deployment", &caller.namespace, &caller.name) else {
                broken.unless(false, || format!("{}: {} has no Deployment", here.name, caller.key));
                continue;
            };
            let containers = list(&pods.value, &["spec", "template", "spec", "containers"]);
            let env: BTreeMap<_, _> = containers
                .into_iter()
                .flat_map(|it| list(it, &["env"]))
                .map(|it| (text(it, &["name"]), text(it, &["value"])))
                .collect();
            for call in &caller.calls {
                let callee = declared.service(&call.callee);
                let host = declared.host(&here.name, callee);
                let port = callee.port(Some(&call.port)).number.to_string();
                for (name, form) in &call.variables {
                    let should = form.replace("{host}", &host).replace("{port}", &port);
                    let should = should.replace("{{", "{").replace("}}", "}");
                    let is = env.get(&Some(name.as_str())).copied().flatten();
                    broken
                        .unless_same(&is, &Some(should.as_str()), || format!("{}: {name} of {}", here.name, pods.id()));
                }
            }
        }
    }
}

/// Where no virtual IP may lie, beside what the topology declares.
const RESERVED: [&str; 9] = [
    "240.240.0.0/16",
    "127.0.0.0/8",
    "224.0.0.0/4",
    "0.0.0.0/8",
    "169.254.0.0/16",
    "255.255.255.255/32",
    "2001:2::/48",
    "fe80::/10",
    "ff00::/8",
];

/// A host has one virtual IP of each declared range, the same in every cluster, which no other host
/// has and nothing else uses.
fn i07_virtual_ips_are_unique_and_stay(mesh: &Mesh, broken: &mut Broken) {
    let declared = &mesh.declared;
    let mut taken: Vec<IpNet> = RESERVED.iter().map(|it| it.parse().expect("a range")).collect();
    for cluster in &declared.clusters {
        taken.extend(&cluster.ranges);
        taken.extend(cluster.all_addresses().filter_map(|it| Some(IpNet::from(it.parse::<IpAddr>().ok()?))));
    }
    let mut of_host: BTreeMap<(String, bool), IpAddr> = BTreeMap::new();
    let mut of_address: BTreeMap<String, String> = BTreeMap::new();
    for (here, written) in mesh.clusters() {
        for entry in written.of_kind("ServiceEntry") {
            if text(&entry.value, &["spec", "location"]) != Some("MESH_INTERNAL") {
                continue;
            }
            let who = || format!("{}: {}", here.name, entry.id());
            let host = words(&entry.value["spec"]["hosts"]).concat();
            let service = declared.services.iter().find(|it| declared.global(it) == host || it.local() == host);
            let addresses = words(at(&entry.value, &["spec", "addresses"]));
            let ips: Vec<_> = addresses.iter().filter_map(|it| it.parse::<IpAddr>().ok()).collect();
            broken.unless_same(&ips.len(), &addresses.len(), || format!("{}: addresses that are no IPs", who()));
            // The old line knows those of IPv4 only.
            let ranges = declared.virtual_ips.iter().filter(|it| here.newer() || it.addr().is_ipv4());
            let in_range = ranges.map(|it| ips.iter().filter(|ip| it.contains(*ip)).count());
            broken.unless(ips.len() == in_range.clone().count() && in_range.clone().all(|it| it == 1), || {
                format!("{}: {addresses:?} is not one of each range", who())
            });
            for ip in &ips {
                broken.unless(!taken.iter().any(|it| it.contains(ip)), || format!("{}: {ip} is taken", who()));
                let pinned = service.into_iter().flat_map(|it| &it.pins).find(|it| it.is_ipv4() == ip.is_ipv4());
                broken.unless(pinned.is_none_or(|it| it == ip), || format!("{}: {ip} is not the pin", who()));
                // One service may be called by both its names.
                let key = service.map_or(host.clone(), |it| it.key.clone());
                let first = of_address.entry(ip.to_string()).or_insert_with(|| key.clone());
                broken.unless(*first == key, || format!("{}: {ip} is also that of {first}", who()));
            }
            for ip in &ips {
                let first = of_host.entry((host.clone(), ip.is_ipv4())).or_insert(*ip);
                broken.unless(first == ip, || format!("{}: {ip} was {first} elsewhere", who()));
            }
        }
    }
}

/// Calls leave for the addresses that the owners' gateways have for this caller, all of them and no
/// other; never for the caller's own. IPs are static, names are looked up.
fn i08_addresses_are_those_of_the_owners_gateway(mesh: &Mesh, broken: &mut Broken) {
    let declared = &mesh.declared;
    for (here, written, call) in mesh.crossings() {
        let host = declared.host(&here.name, call.service);
        let who = || format!("{}: {host}", here.name);
        let owners = || call.service.elsewhere(&here.name).into_iter().map(|it| declared.cluster(it));
        let inline = declared.inline || !here.newer();
        let mut should: Vec<Option<String>> = owners()
            .flat_map(
                |it| if inline { it.addresses(&here.name).iter().cloned().map(Some).collect() } else { vec![None] },
            )
            .collect();
        let ends = written.ends(&host, call.service);
        let mut is: Vec<_> = ends.iter().map(|it| it.address.clone()).collect();
        should.sort();
        is.sort();
        broken.unless_same(&is, &should, || format!("{}: the gateways", who()));
        let own = |it: &End| it.address.as_ref().is_some_and(|it| here.all_addresses().any(|own| own == it));
        broken.unless(!ends.iter().any(own), || format!("{} leads to the own gateway", who()));
        let named = is.iter().flatten().any(|it| it.parse::<IpAddr>().is_err());
        for entry in written.entries(&host) {
            let resolution = text(&entry.value, &["spec", "resolution"]);
            broken.unless_same(&resolution, &Some(if named { "DNS" } else { "STATIC" }), who);
        }
        let beside_pods = written.entries(&host).is_empty();
        broken.unless(!(named && beside_pods), || format!("{}: a Service has a DNS name among its endpoints", who()));
        for end in &ends {
            let locality = owner(declared, here, &call, end).map(|it| &it.locality);
            broken.unless(locality == Some(&end.locality), || format!("{} is said to be in {:?}", who(), end.locality));
        }
        if !inline {
            for owner in owners() {
                let gateways = remote_gateways(written, &owner.network);
                let should = owner.addresses(&here.name).iter().map(|it| (it.clone(), owner.dial)).collect();
                broken.unless_same(&gateways, &should, || format!("{}: the gateways of {}", here.name, owner.network));
            }
        }
    }
}

/// The gateways of a network, where they are written once: by an object, or in the install file.
fn remote_gateways(written: &Written, network: &str) -> BTreeSet<(String, u64)> {
    let remote = |it: &&Object| {
        text(&it.value, &["spec", "gatewayClassName"]) == Some("istio-remote")
            && text(&it.value, &["metadata", "labels", "topology.istio.io/network"]) == Some(network)
    };
    let mut gateways = BTreeSet::new();
    for object in written.of_kind("Gateway").filter(remote) {
        for address in list(&object.value, &["spec", "addresses"]) {
            for listener in list(&object.value, &["spec", "listeners"]) {
                gateways.insert((words(&address["value"]).concat(), listener["port"].as_u64().unwrap_or(0)));
            }
        }
    }
    let install = Install::read(written);
    let networks = install.as_ref().map_or(&Value::Null, |it| at(&it.global, &["meshNetworks", network]));
    for gateway in list(networks, &["gateways"]) {
        gateways.insert((words(&gateway["address"]).concat(), gateway["port"].as_u64().unwrap_or(0)));
    }
    gateways
}

/// The server that knows the suffix has the declared address, in the install file or the object that
/// pins it and in the stub that leads to it. Sidecars of today answer for names themselves.
fn i09_names_are_resolved(mesh: &Mesh, broken: &mut Broken) {
    for (here, written) in mesh.clusters() {
        if here.newer() {
            let install = Install::read(written);
            let capture = install
                .as_ref()
                .and_then(|it| text(&it.mesh_config, &["defaultConfig", "proxyMetadata", "ISTIO_META_DNS_CAPTURE"]));
            broken.unless(capture == Some("true"), || format!("{}: sidecars do not answer for names", here.name));
        }
        let stub: Vec<_> = written.files.iter().filter(|it| it.0.starts_with("30-dns/")).map(|it| it.1).collect();
        let Some(address) = &here.dns else {
            broken.unless(stub.is_empty(), || format!("{}: a stub that leads nowhere", here.name));
            continue;
        };
        let Ok(ip) = address.parse::<IpAddr>() else { continue };
        let calls = mesh.declared.uses(&here.name);
        let mut names = calls.iter().map(|it| mesh.declared.host(&here.name, it.service));
        let called = names.any(|it| it.ends_with(&format!(".{}", mesh.declared.suffix)));
        let mut pins: BTreeSet<String> = written
            .of_kind("Service")
            .filter(|it| it.namespace == "istio-system")
            .filter_map(|it| text(&it.value, &["spec", "clusterIP"]).map(str::to_owned))
            .collect();
        for (file, path) in [
            ("istio-operator.yaml", &["spec", "addonComponents", "istiocoredns", "k8s", "service", "clusterIP"][..]),
            ("istiocoredns-service.yaml", &["spec", "clusterIP"][..]),
        ] {
            pins.extend(written.install(file).and_then(|it| text(&it, path).map(str::to_owned)));
        }
        broken.unless(pins.is_empty() || pins == BTreeSet::from([address.clone()]), || {
            format!("{}: the server is pinned to {pins:?}, not {address}", here.name)
        });
        let leads = |it: &&String| {
            // The script says what it leads where in two lines of its own.
            let says = |what: &str, it: &str| !it.starts_with("#!") || it.contains(&format!("\n{what}\n"));
            let suffix = &mesh.declared.suffix;
            it.contains(address)
                && it.contains(suffix)
                && says(&format!("address={address}"), it)
                && says(&format!("suffix={suffix}"), it)
        };
        broken.unless(!called || !pins.is_empty() && stub.iter().any(leads), || {
            format!("{}: no stub leads to {ip}", here.name)
        });
    }
}

/// Trust domains, the identities that may answer, and the identities that are let in.
fn i10_identities_are_those_of_the_owner_and_of_the_callers(mesh: &Mesh, broken: &mut Broken) {
    let declared = &mesh.declared;
    for (here, written) in mesh.newer() {
        let Some(install) = Install::read(written) else { continue };
        let domain = text(&install.mesh_config, &["trustDomain"]).unwrap_or("cluster.local");
        broken.unless_same(&domain, &here.trust_domain.as_str(), || format!("{}: its trust domain", here.name));
        let aliases: BTreeSet<_> = words(at(&install.mesh_config, &["trustDomainAliases"])).into_iter().collect();
        let others: BTreeSet<_> = declared
            .clusters
            .iter()
            .map(|it| &it.trust_domain)
            .filter(|it| **it != here.trust_domain)
            .cloned()
            .collect();
        broken.unless_same(&aliases, &others, || format!("{}: the other trust domains", here.name));
        for call in declared.crossings(&here.name) {
            let host = declared.host(&here.name, call.service);
            let owners = call.service.elsewhere(&here.name).into_iter().map(|it| declared.cluster(it));
            let should: BTreeSet<_> =
                owners.filter_map(|it| call.service.identity(it)).map(|it| format!("spiffe://{it}")).collect();
            for entry in written.entries(&host) {
                let is = words(at(&entry.value, &["spec", "subjectAltNames"])).into_iter().collect();
                broken.unless_same(&should, &is, || format!("{}: who may answer for {host}", here.name));
            }
            if written.entries(&host).is_empty() {
                for end in written.ends(&host, call.service) {
                    broken.unless_same(&end.account, &call.service.account, || {
                        format!("{}: the account behind {host}", here.name)
                    });
                }
            }
        }
        policies(declared, here, written, broken);
    }
    if let Some(fingerprint) = &declared.fingerprint {
        let root: String = fingerprint.rsplit('=').next().unwrap_or_default().to_owned();
        for (here, written) in mesh.clusters() {
            let says = written.files.get("05-secrets/cacerts.md").is_none_or(|it| it.contains(&root));
            broken.unless(says, || format!("{}: another root", here.name));
        }
    }
}

fn policies(declared: &Declared, here: &Cluster, written: &Written, broken: &mut Broken) {
    let mut should = BTreeMap::new();
    for service in declared.local(&here.name).filter(|_| declared.authorized) {
        let selector: Vec<_> = service.selector.clone().into_iter().collect();
        should.insert((service.namespace.clone(), selector), declared.callers(&here.name, service));
    }
    let mut is = BTreeMap::new();
    for policy in written.of_kind("AuthorizationPolicy") {
        let selector = pairs(&policy.value, &["spec", "selector", "matchLabels"]).into_iter().collect();
        let sources = list(&policy.value, &["spec", "rules"]).into_iter().flat_map(|it| list(it, &["from"]));
        let principals = sources.flat_map(|it| words(at(it, &["source", "principals"]))).collect();
        is.insert((policy.namespace.clone(), selector), principals);
        let allow = text(&policy.value, &["spec", "action"]) == Some("ALLOW");
        broken.unless(allow, || format!("{}: {} does not say who may", here.name, policy.id()));
    }
    broken.unless_same(&is, &should, || format!("{}: who may call", here.name));
}

/// Every endpoint elsewhere is called with mTLS, which is refused by nothing and spoken by every pod
/// that takes part.
fn i11_both_ends_speak_mtls(mesh: &Mesh, broken: &mut Broken) {
    let declared = &mesh.declared;
    for (here, written, call) in mesh.crossings() {
        let host = declared.host(&here.name, call.service);
        for end in written.ends(&host, call.service) {
            let label = end.labels.get("security.istio.io/tlsMode").map(String::as_str);
            broken.unless_same(&label, &here.newer().then_some("istio"), || {
                format!("{}: the mode of an endpoint of {host}", here.name)
            });
        }
    }
    for (here, written) in mesh.clusters() {
        let strict = |it: &&Object| it.namespace == "istio-system" && at(&it.value, &["spec", "selector"]).is_null();
        let modes: Vec<_> = written
            .of_kind("PeerAuthentication")
            .filter(strict)
            .map(|it| text(&it.value, &["spec", "mtls", "mode"]))
            .collect();
        if here.release > (1, 4) {
            broken.unless_same(&modes, &vec![Some("STRICT")], || format!("{}: PeerAuthentication", here.name));
        }
        if !here.newer() {
            let on = rewrites(written);
            broken.unless(on, || format!("{}: the gateway does not rewrite names", here.name));
        }
        for rule in written.of_kind("DestinationRule") {
            let tls = at(&rule.value, &["spec", "trafficPolicy", "tls"]);
            broken.unless(tls.is_null(), || format!("{}: {} sets a mode of its own", here.name, rule.id()));
        }
        for service in declared.local(&here.name) {
            let labels =
                written.object("Namespace", "", &service.namespace).map(|it| pairs(&it.value, &["metadata", "labels"]));
            let injected = labels.is_some_and(|it| it.get("istio-injection").is_some_and(|it| it == "enabled"));
            broken.unless(injected, || format!("{}: {} gets no sidecars", here.name, service.namespace));
            let exported = declared.exports(&here.name).values().any(|it| it.service.key == service.key);
            let calls_out = declared
                .crossings(&here.name)
                .iter()
                .any(|it| service.calls.iter().any(|call| call.callee == it.service.key));
            let Some(pods) = written.object("Deployment", &service.namespace, &service.name) else { continue };
            let annotation =
                text(&pods.value, &["spec", "template", "metadata", "annotations", "sidecar.istio.io/inject"]);
            let host_network = at(&pods.value, &["spec", "template", "spec", "hostNetwork"]).as_bool() == Some(true);
            broken.unless(!(exported || calls_out) || annotation != Some("false") && !host_network, || {
                format!("{}: {} takes part without a sidecar", here.name, pods.id())
            });
        }
    }
}

/// Whether the charts of an old release were told to bring the rewrite and the rule of `*.global`.
fn rewrites(written: &Written) -> bool {
    let operator = written.install("istio-operator.yaml");
    let values = written.install("values.yaml");
    let global = operator
        .as_ref()
        .map_or_else(|| values.as_ref().map(|it| &it["global"]), |it| Some(at(it, &["spec", "values", "global"])));
    global.is_some_and(|it| at(it, &["multiCluster", "enabled"]).as_bool() == Some(true))
}

/// The owner's gateway passes through exactly the hosts that are called from elsewhere, listens where
/// others connect to, and shares no port and host with another Gateway.
fn i12_the_gateway_lets_in_what_is_called_and_nothing_else(mesh: &Mesh, broken: &mut Broken) {
    for (here, written) in mesh.newer() {
        let should: Vec<_> = mesh.declared.exports(&here.name).into_keys().collect();
        let mut is = Vec::new();
        for gateway in written.of_kind("Gateway") {
            for server in list(&gateway.value, &["spec", "servers"]) {
                if text(server, &["tls", "mode"]) == Some("AUTO_PASSTHROUGH") {
                    is.extend(words(&server["hosts"]));
                    let port = (server["port"]["number"].as_u64(), text(server, &["port", "protocol"]));
                    broken
                        .unless_same(&port, &(Some(15443), Some("TLS")), || format!("{}: {}", here.name, gateway.id()));
                    let selector = pairs(&gateway.value, &["spec", "selector"]);
                    let pods = east_west(here, written).map(|it| it.labels).unwrap_or_default();
                    let found = selector.iter().all(|(key, value)| pods.get(key) == Some(value));
                    broken.unless(found, || format!("{}: {} selects no gateway", here.name, gateway.id()));
                }
            }
            if text(&gateway.value, &["spec", "gatewayClassName"]) == Some("istio") {
                for listener in list(&gateway.value, &["spec", "listeners"]) {
                    is.extend(text(listener, &["hostname"]).map(str::to_owned));
                    let port = (listener["port"].as_u64(), text(listener, &["tls", "mode"]));
                    broken.unless_same(&port, &(Some(15443), Some("Passthrough")), || {
                        format!("{}: {}", here.name, gateway.id())
                    });
                }
            }
        }
        is.sort();
        broken.unless_same(&is, &should, || format!("{}: what its gateway lets in", here.name));
        if let Some(gateway) = east_west(here, written) {
            let node_port = gateway.ports.iter().find(|it| it.0 == 15443).map(|it| it.1);
            broken.unless_same(&node_port, &Some(here.node_port), || format!("{}: 15443 of its gateway", here.name));
        }
    }
    for (here, written) in mesh.clusters() {
        let mut served = BTreeSet::new();
        for gateway in written.of_kind("Gateway") {
            let selector = pairs(&gateway.value, &["spec", "selector"]);
            for server in list(&gateway.value, &["spec", "servers"]) {
                for host in words(&server["hosts"]) {
                    let one = (selector.clone(), server["port"]["number"].as_u64(), host);
                    broken.unless(served.insert(one), || format!("{}: {} repeats a server", here.name, gateway.id()));
                }
            }
        }
        if let Some(port) = here.node_port.filter(|_| !here.newer()) {
            let pins = |it: &&String| it.contains(&format!("nodePort: {port}\n"));
            let pinned = written.files.iter().filter(|it| it.0.starts_with("10-istio/")).map(|it| it.1).find(pins);
            broken.unless(pinned.is_some(), || format!("{}: no node port {port}", here.name));
        }
    }
}

/// The gateway between clusters, where the bundle installs one.
fn east_west(here: &Cluster, written: &Written) -> Option<EastWest> {
    EastWest::read(written).filter(|_| here.has_gateway() && !here.gateway_api)
}

/// The owner has a service of the called host and port that its gateway sees and whose endpoints are
/// its pods. The caller's entry is seen by callers alone: the gateway must not send a call on.
fn i13_the_owner_knows_the_host_and_callers_keep_it_to_themselves(mesh: &Mesh, broken: &mut Broken) {
    let declared = &mesh.declared;
    for (here, written) in mesh.newer() {
        for (host, export) in declared.exports(&here.name) {
            let service = export.service;
            let who = || format!("{}: {host}", here.name);
            if host == service.local() {
                let there = service.workload == Workload::Elsewhere || written.service(service).is_some();
                broken.unless(there, || format!("{} has no Service", who()));
                continue;
            }
            let entries = written.entries(&host);
            let [entry] = entries[..] else {
                broken.unless(false, || format!("{} is unknown to its owner", who()));
                continue;
            };
            broken.unless(entry.visible_to("istio-system"), || format!("{} is hidden from the gateway", who()));
            let selector = pairs(&entry.value, &["spec", "workloadSelector", "labels"]);
            let addresses: Vec<_> = list(&entry.value, &["spec", "endpoints"])
                .into_iter()
                .filter_map(|it| text(it, &["address"]))
                .collect();
            if selector.is_empty() {
                let local =
                    addresses == [service.local()] && text(&entry.value, &["spec", "resolution"]) == Some("DNS");
                broken.unless(local, || format!("{} does not lead to its own Service", who()));
                for end in written.ends(&host, service) {
                    let marked = end.labels.get("security.istio.io/tlsMode").is_some_and(|it| it == "istio");
                    broken.unless(marked, || format!("{} is not called with mTLS", who()));
                }
                continue;
            }
            broken.unless(addresses.is_empty(), || format!("{} has pods and endpoints", who()));
            broken.unless_same(&selector, &service.selector, || format!("{}: its pods", who()));
            if let Some(pods) = written.object("Deployment", &service.namespace, &service.name) {
                let labels = pairs(&pods.value, &["spec", "template", "metadata", "labels"]);
                let selected = selector.iter().all(|(key, value)| labels.get(key) == Some(value));
                broken.unless(selected, || format!("{} selects none of {}", who(), pods.id()));
            }
        }
        for call in declared.uses(&here.name).iter().filter(|it| !it.service.runs_in(&here.name)) {
            let host = declared.host(&here.name, call.service);
            let should: BTreeSet<_> = call.namespaces.iter().map(|it| (*it).to_owned()).collect();
            for entry in written.entries(&host) {
                broken.unless_same(&entry.exported_to(), &should, || format!("{}: who sees {host}", here.name));
            }
        }
    }
}

/// A network is the same wherever it is named, and no other cluster has it. What leads to another
/// cluster carries that cluster's, so that its own gateway does not see it.
fn i14_networks_agree(mesh: &Mesh, broken: &mut Broken) {
    const LABEL: &str = "topology.istio.io/network";
    let declared = &mesh.declared;
    let networks: BTreeSet<_> = declared.clusters.iter().map(|it| &it.network).collect();
    broken.unless(networks.len() == declared.clusters.len(), || "two clusters are on one network".into());
    for (here, written) in mesh.newer() {
        let own = Some(here.network.as_str());
        let root = written.object("Namespace", "", "istio-system");
        let label = root.and_then(|it| text(&it.value, &["metadata", "labels", LABEL]));
        broken.unless_same(&label, &own, || format!("{}: the network of istio-system", here.name));
        if let Some(install) = Install::read(written) {
            broken.unless_same(&text(&install.global, &["network"]), &own, || format!("{}: global.network", here.name));
            let cluster = text(&install.global, &["multiCluster", "clusterName"]);
            broken.unless_same(&cluster, &Some(here.name.as_str()), || format!("{}: clusterName", here.name));
        } else {
            broken.unless(false, || format!("{} has no install file", here.name));
        }
        if let Some(gateway) = east_west(here, written) {
            broken.unless_same(&gateway.labels.get(LABEL).map(String::as_str), &own, || {
                format!("{}: its gateway", here.name)
            });
            broken.unless_same(&gateway.view.as_deref(), &own, || format!("{}: what its gateway sees", here.name));
        } else {
            let api = |it: &&Object| text(&it.value, &["spec", "gatewayClassName"]) == Some("istio");
            let label = written.of_kind("Gateway").find(api).map(|it| text(&it.value, &["metadata", "labels", LABEL]));
            let exports = !declared.exports(&here.name).is_empty();
            broken.unless(label.is_none() && !exports || label == Some(own), || format!("{}: its Gateway", here.name));
        }
    }
    for (here, written, call) in mesh.crossings() {
        let host = declared.host(&here.name, call.service);
        for end in written.ends(&host, call.service) {
            let who = || format!("{}: an endpoint of {host}", here.name);
            broken.unless_same(&end.network.is_some(), &here.newer(), || format!("{} has a network", who()));
            let owner = owner(declared, here, &call, &end);
            broken.unless(owner.is_some_and(|it| it.network != here.network), || format!("{} is nowhere", who()));
            let there =
                owner.zip(end.address.as_ref()).is_none_or(|(it, address)| it.addresses(&here.name).contains(address));
            broken.unless(there, || format!("{} has the network of another address", who()));
        }
    }
}

/// A subset that a route names is in the rules of caller and owner; shares sum to 100; a rule puts
/// endpoints in the order that was declared.
fn i15_routes_and_rules_name_what_is_there(mesh: &Mesh, broken: &mut Broken) {
    let declared = &mesh.declared;
    for (here, written, call) in mesh.crossings().filter(|it| it.0.newer()) {
        let host = declared.host(&here.name, call.service);
        let rule = written.of_host("DestinationRule", &host);
        if let Some(rule) = rule {
            broken.unless(seen(rule, here, &call), || format!("{}: {} is hidden from a caller", here.name, rule.id()));
        }
        order(declared, here, written, &call, rule, broken);
        if let Balance::Weights(weights) = &call.service.balance {
            shares(here, written, &call, &host, weights, broken);
        }
    }
    for (here, written) in mesh.newer() {
        for (route, destination) in destinations(written) {
            let Some(subset) = text(destination, &["subset"]) else { continue };
            let host = text(destination, &["host"]).unwrap_or_default();
            let rule = written.of_host("DestinationRule", host);
            let network = rule.and_then(|it| subset_network(it, subset));
            broken.unless(network.is_some(), || format!("{}: {} names no subset of {host}", here.name, route.id()));
            let Some(owner) = declared.clusters.iter().find(|it| Some(&it.network) == network.as_ref()) else {
                continue;
            };
            let Some(there) = mesh.written(&owner.name).filter(|_| owner.name != here.name) else { continue };
            let rule = there.of_host("DestinationRule", host).filter(|it| it.visible_to("istio-system"));
            broken.unless(rule.is_some_and(|it| subset_network(it, subset) == network), || {
                format!("{}: the gateway of {} knows no {subset} of {host}", here.name, owner.name)
            });
        }
    }
}

/// Whether whoever may call sees an object: a Service that other clusters answer for, too, has any caller.
fn seen(object: &Object, here: &Cluster, call: &Use<'_>) -> bool {
    let anybody = call.service.runs_in(&here.name);
    if anybody { object.exported_to().is_empty() } else { call.namespaces.iter().all(|it| object.visible_to(it)) }
}

fn destinations(written: &Written) -> Vec<(&Object, &Value)> {
    let mut found = Vec::new();
    for route in written.of_kind("VirtualService") {
        for way in ["http", "tcp"].iter().flat_map(|it| list(&route.value, &["spec", it])) {
            found.extend(list(way, &["route"]).into_iter().map(|it| (route, &it["destination"])));
        }
    }
    found
}

fn subset_network(rule: &Object, subset: &str) -> Option<String> {
    let subsets = list(&rule.value, &["spec", "subsets"]);
    let subset = subsets.into_iter().find(|it| text(it, &["name"]) == Some(subset))?;
    text(subset, &["labels", "topology.istio.io/network"]).map(str::to_owned)
}

/// Every called port is routed, in the declared shares.
fn shares(
    here: &Cluster,
    written: &Written,
    call: &Use<'_>,
    host: &str,
    weights: &BTreeMap<String, u64>,
    broken: &mut Broken,
) {
    let should: BTreeMap<String, u64> = weights.iter().filter(|it| *it.1 > 0).map(|it| (it.0.clone(), *it.1)).collect();
    let own: Vec<_> = written.of_kind("VirtualService").collect();
    let in_mesh = |it: &&&Object| at(&it.value, &["spec", "gateways"]).is_null();
    let of_host = own.iter().filter(in_mesh).find(|it| words(at(&it.value, &["spec", "hosts"])) == [host]);
    let Some(route) = of_host else {
        broken.unless(false, || format!("{}: nothing shares the calls to {host}", here.name));
        return;
    };
    broken.unless(seen(route, here, call), || format!("{}: {} is hidden from a caller", here.name, route.id()));
    for port in call.ports.iter().map(|it| call.service.port(Some(it))) {
        let kind = if port.is_http() { "http" } else { "tcp" };
        let ways = list(&route.value, &["spec", kind]);
        let matches = |it: &&Value| list(it, &["match"]).iter().any(|it| it["port"].as_u64() == Some(port.number));
        let way = ways.into_iter().find(matches).unwrap_or(&Value::Null);
        let is: BTreeMap<_, _> = list(way, &["route"])
            .into_iter()
            .map(|it| (words(at(it, &["destination", "subset"])).concat(), it["weight"].as_u64().unwrap_or(0)))
            .collect();
        broken.unless_same(&is, &should, || format!("{}: the shares of {host}:{}", here.name, port.number));
        broken.unless_same(&is.values().sum(), &100, || format!("{}: the sum of {host}:{}", here.name, port.number));
    }
}

/// Sorts the endpoints of a host as Istio does, by the labels that a rule lists, and compares the
/// result with the declared order.
fn order(
    declared: &Declared,
    here: &Cluster,
    written: &Written,
    call: &Use<'_>,
    rule: Option<&Object>,
    broken: &mut Broken,
) {
    let service = call.service;
    let host = declared.host(&here.name, service);
    let ends = written.ends(&host, service);
    let pods = service.runs_in(&here.name);
    if ends.len() + usize::from(pods) < 2 {
        return;
    }
    let who = || format!("{}: {host}", here.name);
    let policy = rule.map_or(&Value::Null, |it| at(&it.value, &["spec", "trafficPolicy"]));
    broken.unless(!policy["outlierDetection"].is_null(), || format!("{}: nobody notices what fails", who()));
    let locality = at(policy, &["loadBalancer", "localityLbSetting"]);
    if service.balance == Balance::Locality {
        broken.unless(locality.is_null(), || format!("{}: the nearest is not the first", who()));
        return;
    }
    let priority = words(&locality["failoverPriority"]);
    broken.unless_same(&at(locality, &["enabled"]).as_bool(), &Some(!priority.is_empty()), || {
        format!("{}: whether there is an order", who())
    });
    // A label that neither side has counts as shared; the first that differs decides.
    let rank = |end: Option<&End>| {
        let shared = |label: &String| {
            let (label, value) = label.split_once('=').map_or((label.as_str(), None), |it| (it.0, Some(it.1)));
            match (label, end) {
                ("topology.istio.io/network", end) => {
                    let network = end.map_or(Some(&here.network), |it| it.network.as_ref());
                    network.map(String::as_str) == Some(value.unwrap_or(&here.network))
                }
                (_, None) => true,
                // Where istiod puts the address in, it keeps no label but the network.
                (label, Some(end)) => end.address.is_none() || !end.labels.contains_key(label),
            }
        };
        priority.len() - priority.iter().take_while(|it| shared(it)).count()
    };
    let tier_of = |end: &End| {
        let owner = owner(declared, here, call, end)?;
        let tier = service.tiers(&here.name).iter().position(|it| it.contains(&owner.name.as_str()))?;
        let later = end.address.as_ref().and_then(|it| owner.addresses(&here.name).iter().position(|at| at == it));
        Some((tier, later.filter(|_| owner.in_order).unwrap_or(0)))
    };
    let mut members: Vec<_> = ends.iter().map(|it| (tier_of(it), rank(Some(it)))).collect();
    members.extend(pods.then(|| (Some((0, 0)), rank(None))));
    members.sort();
    for pair in members.windows(2) {
        let same = pair[0].0.cmp(&pair[1].0) == pair[0].1.cmp(&pair[1].1);
        broken.unless(same, || format!("{}: {members:?} are not tried in order by {priority:?}", who()));
    }
}

/// The API versions of an object are those of the release, and none is of a kind that it lacks.
fn i16_every_object_is_one_that_the_release_serves(mesh: &Mesh, broken: &mut Broken) {
    for (here, written) in mesh.clusters() {
        let (networking, security) = match here.release {
            (1, 4) => ("v1alpha3", "v1beta1"),
            (1, 5..=8) => ("v1beta1", "v1beta1"),
            _ => ("v1", "v1"),
        };
        for object in &written.objects {
            let version = text(&object.value, &["apiVersion"]).unwrap_or_default();
            let istio = version.starts_with("networking.istio.io/");
            let should = match object.kind.as_str() {
                "Namespace" | "Service" | "ServiceAccount" | "ConfigMap" => "v1".to_owned(),
                "Deployment" => "apps/v1".to_owned(),
                "PodDisruptionBudget" => version.to_owned(),
                "Role" | "RoleBinding" => "rbac.authorization.k8s.io/v1".to_owned(),
                "PeerAuthentication" | "AuthorizationPolicy" if here.release > (1, 4) => {
                    format!("security.istio.io/{security}")
                }
                "Gateway" if !istio && here.newer() => "gateway.networking.k8s.io/v1".to_owned(),
                "ServiceEntry" | "Gateway" | "VirtualService" => format!("networking.istio.io/{networking}"),
                "DestinationRule" | "Sidecar" | "WorkloadEntry" if here.newer() => {
                    format!("networking.istio.io/{networking}")
                }
                _ => "no object of this kind".to_owned(),
            };
            broken.unless_same(&version, &should.as_str(), || format!("{}: {}", here.name, object.id()));
            let fields = ["workloadSelector", "exportTo", "subjectAltNames"];
            let newer = fields.iter().any(|it| !at(&object.value, &["spec", it]).is_null());
            broken.unless(here.newer() || object.kind != "ServiceEntry" || !newer, || {
                format!("{}: {} has a field of newer releases", here.name, object.id())
            });
        }
    }
}

/// What Istio's own validation would refuse, as far as anything here could break it.
fn i17_every_object_is_valid(mesh: &Mesh, broken: &mut Broken) {
    let suffix = mesh.declared.suffix.as_str();
    broken.unless(is_host(suffix) && suffix != "cluster.local", || format!("{suffix} cannot be a suffix"));
    for (here, written) in mesh.clusters() {
        let mut ids = BTreeSet::new();
        for object in &written.objects {
            let who = || format!("{}: {}", here.name, object.id());
            let id = (&object.kind, &object.namespace, &object.name);
            broken.unless(ids.insert(id), || format!("{} stands twice", who()));
            let dotted = !matches!(object.kind.as_str(), "Gateway" | "Namespace" | "Service");
            let name = if dotted { is_host(&object.name) && object.name.len() <= 253 } else { is_label(&object.name) };
            broken.unless(name, || format!("{}: its name", who()));
            let spec = &object.value["spec"];
            let to = words(&spec["exportTo"]);
            let namespaces = object.exported_to();
            let known = |it: &String| is_label(it) || it == "*" && to.len() == 1;
            broken.unless(namespaces.len() == to.len() && namespaces.iter().all(known), || {
                format!("{}: exportTo", who())
            });
            match object.kind.as_str() {
                "ServiceEntry" => entry(spec, who, broken),
                "WorkloadEntry" => endpoint(spec, None, who, broken),
                "Sidecar" => broken.unless(!egress(object).is_empty(), || format!("{} is empty", who())),
                "AuthorizationPolicy" => {
                    broken.unless(!pairs(spec, &["selector", "matchLabels"]).is_empty(), || {
                        format!("{} is about all", who())
                    });
                }
                "Gateway" => servers(spec, who, broken),
                "DestinationRule" => rule(spec, who, broken),
                "VirtualService" => {
                    let ways = ["http", "tcp"].iter().flat_map(|it| list(spec, &[it]));
                    let routes = ways.map(|it| list(it, &["route"]).len()).collect::<Vec<_>>();
                    let good = !routes.is_empty() && routes.iter().all(|it| *it > 0);
                    broken.unless(good, || format!("{} leads nowhere", who()));
                }
                _ => (),
            }
        }
    }
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_host(text: &str) -> bool {
    text.len() <= 253 && text.strip_prefix("*.").unwrap_or(text).split('.').all(is_label)
}

fn entry(spec: &Value, who: impl Fn() -> String, broken: &mut Broken) {
    let hosts = words(&spec["hosts"]);
    broken.unless(!hosts.is_empty() && hosts.iter().all(|it| is_host(it)), || format!("{}: {hosts:?}", who()));
    let ports = list(spec, &["ports"]);
    let names: BTreeSet<_> = ports.iter().filter_map(|it| text(it, &["name"])).collect();
    let numbers: BTreeSet<_> = ports.iter().filter_map(|it| it["number"].as_u64()).collect();
    broken.unless(!ports.is_empty() && names.len() == ports.len() && numbers.len() == ports.len(), || {
        format!("{}: its ports", who())
    });
    let endpoints = list(spec, &["endpoints"]);
    let resolution = text(spec, &["resolution"]);
    broken.unless(spec["workloadSelector"].is_null() || endpoints.is_empty(), || {
        format!("{} has pods and endpoints", who())
    });
    let wildcard = hosts.iter().any(|it| it.starts_with('*'));
    broken.unless(resolution != Some("DNS") || !endpoints.is_empty() || !wildcard, || {
        format!("{} cannot be looked up", who())
    });
    for end in endpoints {
        endpoint(end, Some(&names), &who, broken);
        let ip = text(end, &["address"]).is_none_or(|it| it.parse::<IpAddr>().is_ok());
        broken.unless(resolution != Some("STATIC") || ip, || format!("{} looks nothing up", who()));
        let somewhere = text(end, &["address"]).is_some();
        broken.unless(resolution == Some("STATIC") || somewhere, || {
            format!("{}: a network has no address to look up", who())
        });
    }
}

fn endpoint(end: &Value, names: Option<&BTreeSet<&str>>, who: impl Fn() -> String, broken: &mut Broken) {
    let somewhere = text(end, &["address"]).is_some() || text(end, &["network"]).is_some();
    broken.unless(somewhere, || format!("{}: an endpoint is nowhere", who()));
    for (name, port) in pairs(end, &["ports"]) {
        let known = names.is_none_or(|it| it.contains(name.as_str())) && is_label(&name);
        broken.unless(known && port.parse::<u16>().is_ok_and(|it| it > 0), || {
            format!("{}: port {name} of an endpoint", who())
        });
    }
}

fn servers(spec: &Value, who: impl Fn() -> String, broken: &mut Broken) {
    let servers = list(spec, &["servers"]);
    let names: BTreeSet<_> = servers.iter().map(|it| text(it, &["port", "name"])).collect();
    broken.unless(names.len() == servers.len(), || format!("{}: names of its ports", who()));
    for server in servers {
        let hosts = words(&server["hosts"]);
        let full = |it: &String| it == "*" || it.contains('.') && is_host(it);
        broken.unless(!hosts.is_empty() && hosts.iter().all(full), || format!("{}: {hosts:?}", who()));
    }
    let listeners = list(spec, &["listeners"]);
    let names: BTreeSet<_> = listeners.iter().filter_map(|it| text(it, &["name"])).collect();
    broken.unless(names.len() == listeners.len() && names.iter().all(|it| is_host(it)), || {
        format!("{}: its listeners", who())
    });
}

fn rule(spec: &Value, who: impl Fn() -> String, broken: &mut Broken) {
    let policy = &spec["trafficPolicy"];
    broken.unless(policy.is_null() || policy.as_mapping().is_some_and(|it| !it.is_empty()), || {
        format!("{} says nothing", who())
    });
    let failover = !at(policy, &["loadBalancer", "localityLbSetting", "failoverPriority"]).is_null();
    broken
        .unless(!failover || !policy["outlierDetection"].is_null(), || format!("{}: nobody notices what fails", who()));
    let subsets: Vec<_> = list(spec, &["subsets"]).into_iter().filter_map(|it| text(it, &["name"])).collect();
    let unique: BTreeSet<_> = subsets.iter().collect();
    broken.unless(unique.len() == subsets.len() && subsets.iter().all(|it| is_label(it)), || {
        format!("{}: its subsets", who())
    });
}

/// No key anywhere; no secret, no install file and nothing of the cluster's own DNS is applied.
fn i18_no_secret_and_nothing_of_others_is_applied(mesh: &Mesh, broken: &mut Broken) {
    for (here, written) in mesh.clusters() {
        for (path, text) in &written.files {
            broken.unless(!text.contains("PRIVATE KEY"), || format!("{}/{path} holds a key", here.name));
            if path.ends_with(".yaml") {
                let secret = documents(text).iter().any(|it| it["kind"] == "Secret");
                broken.unless(!secret, || format!("{}/{path} holds a Secret", here.name));
            }
        }
        for path in &written.applied {
            broken.unless(written.files.contains_key(path), || format!("{}/{path} is not there", here.name));
            broken.unless(!path.starts_with("10-istio/"), || format!("{}/{path} is for an installer", here.name));
        }
        for object in &written.objects {
            let installers = matches!(object.kind.as_str(), "IstioOperator" | "Istio" | "Secret");
            broken.unless(!installers, || format!("{}: {} is applied", here.name, object.id()));
            broken.unless(!object.namespace.starts_with("kube-"), || {
                format!("{}: {} is the cluster's own", here.name, object.id())
            });
        }
    }
}
