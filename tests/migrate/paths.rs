//! A small mesh that reads bundles: whether each declared call has a path, at every moment of a plan.
//!
//! It knows nothing of how bundles are made. A cluster is a list of objects; a pod that calls has
//! an address in its variable; what the address leads to is looked up as Istio does: routes,
//! subsets, endpoints, the gateway of another cluster, and what answers there.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::Value;

use crate::support;

type Tree = BTreeMap<String, String>;
type Id = (String, String, String);

/// The call that is watched: the service, and the variable in which its callers have the address.
pub(crate) struct Watched {
    pub(crate) name: &'static str,
    pub(crate) namespace: &'static str,
    pub(crate) variable: &'static str,
}

/// What a cluster holds at a moment.
#[derive(Clone, Default)]
struct Cluster {
    objects: BTreeMap<Id, Value>,
    /// Deployments whose pods are ready.
    ready: BTreeSet<Id>,
    /// What pods of callers have in the variable, by Deployment: old pods live beside new ones.
    addresses: BTreeMap<Id, BTreeSet<String>>,
}

/// All clusters at a moment.
#[derive(Clone)]
pub(crate) struct World<'a> {
    watched: &'a Watched,
    gateways: BTreeMap<String, String>,
    networks: BTreeMap<String, String>,
    old_line: bool,
    /// Clusters to whose ingress gateway nobody outside is led: not yet, or no longer.
    closed: BTreeSet<String>,
    clusters: BTreeMap<String, Cluster>,
}

fn word<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    path.iter().try_fold(value, |value, key| value.get(key)).and_then(Value::as_str).unwrap_or("")
}

fn list<'a>(value: &'a Value, path: &[&str]) -> Vec<&'a Value> {
    let found = path.iter().try_fold(value, |value, key| value.get(key));
    found.and_then(Value::as_sequence).into_iter().flatten().collect()
}

fn id(object: &Value) -> Id {
    let part = |path: &[&str]| word(object, path).to_owned();
    (part(&["kind"]), part(&["metadata", "namespace"]), part(&["metadata", "name"]))
}

/// The objects that `kubectl apply -k` applies, in its order, by cluster.
pub(crate) type Applied = BTreeMap<String, Vec<Value>>;

pub(crate) fn applied(tree: &Tree, cluster: &str) -> Vec<Value> {
    let kustomization: Value =
        serde_yaml::from_str(&tree[&format!("{cluster}/kustomization.yaml")]).expect("a kustomization is YAML");
    let files: Vec<_> = list(&kustomization, &["resources"]).into_iter().filter_map(Value::as_str).collect();
    let mut seen = BTreeSet::new();
    let objects: Vec<Value> = files
        .iter()
        .flat_map(|file| serde_yaml::Deserializer::from_str(&tree[&format!("{cluster}/{file}")]))
        .map(|it| serde::Deserialize::deserialize(it).expect("a bundle is YAML"))
        .collect();
    for object in &objects {
        assert!(seen.insert(id(object)), "{cluster}: {:?} stands twice, which kustomize refuses", id(object));
    }
    objects
}

impl<'a> World<'a> {
    /// A mesh that was applied everywhere. Gateways by address, networks are called as clusters.
    pub(crate) fn settled(watched: &'a Watched, topology: &str, applied: &Applied) -> Self {
        Self::between(watched, [topology, topology], applied)
    }

    /// The same, with the gateways and clusters of what will be.
    pub(crate) fn between(watched: &'a Watched, topologies: [&str; 2], applied: &Applied) -> Self {
        let topologies = topologies.map(|it| serde_yaml::from_str::<Value>(it).expect("a topology is YAML"));
        let declared = topologies.iter().flat_map(|it| it["clusters"].as_mapping().expect("clusters are a map"));
        let mut gateways = BTreeMap::new();
        let mut clusters = BTreeMap::new();
        let mut networks = BTreeMap::new();
        let mut old_line = false;
        for (name, spec) in declared {
            let name = name.as_str().expect("a name is text").to_owned();
            gateways.insert(word(spec, &["gateway"]).to_owned(), name.clone());
            let network = word(spec, &["network"]);
            networks.insert(if network.is_empty() { name.clone() } else { network.to_owned() }, name.clone());
            old_line |= word(spec, &["istio"]).starts_with("1.7");
            clusters.insert(name, Cluster::default());
        }
        let mut world = Self { watched, gateways, networks, old_line, closed: BTreeSet::new(), clusters };
        for name in world.clusters.keys().cloned().collect::<Vec<_>>() {
            for object in applied.get(&name).into_iter().flatten() {
                world.put(&name, object.clone());
            }
            world.roll_out(&name);
        }
        world
    }

    fn put(&mut self, cluster: &str, object: Value) {
        let watched = self.watched;
        let cluster = self.clusters.get_mut(cluster).expect("it exists");
        let id = id(&object);
        if id.0 == "Deployment"
            && let Some(address) = address(&object, watched.variable)
        {
            cluster.addresses.entry(id.clone()).or_default().insert(address);
        }
        cluster.objects.insert(id, object);
    }

    /// New pods are ready, old ones gone.
    fn roll_out(&mut self, cluster: &str) {
        let watched = self.watched;
        let cluster = self.clusters.get_mut(cluster).expect("it exists");
        for (id, object) in cluster.objects.iter().filter(|(id, _)| id.0 == "Deployment") {
            cluster.ready.insert(id.clone());
            if let Some(address) = address(object, watched.variable) {
                cluster.addresses.insert(id.clone(), BTreeSet::from([address]));
            }
        }
    }

    fn remove(&mut self, cluster: &str, id: &Id) {
        let cluster = self.clusters.get_mut(cluster).expect("it exists");
        cluster.objects.remove(id);
        cluster.ready.remove(id);
        cluster.addresses.remove(id);
    }

    /// Applies a bundle object by object, waits for its pods, deletes what went, and looks for the
    /// path of every call after each of these. Gives the first moment at which one has none.
    pub(crate) fn apply(&mut self, cluster: &str, applied: &Applied, backwards: bool) -> Result<(), String> {
        let new = &applied[cluster];
        let keep: BTreeSet<Id> = new.iter().map(id).collect();
        let serves =
            |id: &Id, object: &Value| id.0 == "VirtualService" && !list(object, &["spec", "gateways"]).is_empty();
        let before: BTreeSet<Id> =
            self.clusters[cluster].objects.iter().filter(|(id, it)| serves(id, it)).map(|it| it.0.clone()).collect();
        let after = new.iter().map(|it| (id(it), it)).filter(|(id, it)| serves(id, it)).map(|it| it.0).collect();
        if before != after {
            self.closed.insert(cluster.to_owned());
        }
        for object in new {
            let what = id(object);
            if self.clusters[cluster].objects.get(&what) == Some(object) {
                continue;
            }
            self.put(cluster, object.clone());
            self.look().map_err(|it| format!("after {what:?} was applied in {cluster}: {it}"))?;
        }
        self.roll_out(cluster);
        self.look().map_err(|it| format!("after the pods of {cluster} were ready: {it}"))?;
        let first = ["Deployment", "VirtualService", "WorkloadEntry", "ServiceEntry", "DestinationRule"];
        let mut gone: Vec<Id> =
            self.clusters[cluster].objects.keys().filter(|it| !keep.contains(*it)).cloned().collect();
        gone.sort_by_key(|id| first.iter().position(|it| *it == id.0).unwrap_or(first.len()));
        // Who prunes does so in an order of his own.
        if backwards {
            gone.reverse();
        }
        for id in gone {
            self.remove(cluster, &id);
            self.look().map_err(|it| format!("after {id:?} was deleted in {cluster}: {it}"))?;
        }
        self.closed.remove(cluster);
        self.look().map_err(|it| format!("at the end in {cluster}: {it}"))
    }

    /// Whether every call has a path, and every endpoint that it may reach answers.
    pub(crate) fn look(&self) -> Result<(), String> {
        for (name, cluster) in &self.clusters {
            for (caller, addresses) in &cluster.addresses {
                for address in addresses {
                    let (host, port) = address.rsplit_once(':').expect("host and port");
                    self.call(name, &caller.1, &caller.2, host, port.parse().expect("a port"))
                        .map_err(|it| format!("{}/{} calls {address} in {name}: {it}", caller.1, caller.2))?;
                }
            }
            for (id, object) in cluster.objects.iter().filter(|it| it.0.0 == "VirtualService") {
                if list(object, &["spec", "gateways"]).is_empty() || self.closed.contains(name) {
                    continue;
                }
                for route in list(object, &["spec", "http"]) {
                    for target in list(route, &["route"]).iter().filter(|it| it["weight"].as_u64() != Some(0)) {
                        let destination = &target["destination"];
                        let port = destination["port"]["number"].as_u64().expect("a port");
                        let subset = Some(word(destination, &["subset"])).filter(|it| !it.is_empty());
                        self.reach(name, "istio-system", word(destination, &["host"]), port, subset)
                            .map_err(|it| format!("the ingress {} of {name}: {it}", id.2))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn sees(object: &Value, caller: &str) -> bool {
        let export = list(object, &["spec", "exportTo"]);
        let own = word(object, &["metadata", "namespace"]);
        export.is_empty()
            || export.iter().filter_map(|it| it.as_str()).any(|it| it == caller || it == "." && own == caller)
    }

    /// A call of a pod: its namespace is told of the host, and routes say which subsets it goes to.
    fn call(&self, cluster: &str, namespace: &str, caller: &str, host: &str, port: u64) -> Result<(), String> {
        let here = &self.clusters[cluster];
        if let Some(sidecar) = here.objects.get(&("Sidecar".into(), namespace.into(), "default".into())) {
            let told = list(sidecar, &["spec", "egress"]).into_iter().flat_map(|it| list(it, &["hosts"]));
            let wanted = format!("{}/{host}", self.watched.namespace);
            let own = namespace == self.watched.namespace;
            if !own && !told.into_iter().any(|it| it.as_str() == Some(&wanted)) {
                return Err(format!("the namespace is not told of {host}"));
            }
        }
        let split = here.objects.values().find(|it| {
            it["kind"] == "VirtualService"
                && list(it, &["spec", "gateways"]).is_empty()
                && list(it, &["spec", "hosts"]).iter().any(|it| it.as_str() == Some(host))
                && Self::sees(it, namespace)
        });
        let routes = split.map(|it| [list(it, &["spec", "http"]), list(it, &["spec", "tcp"])].concat());
        let matches = |route: &&&Value| list(route, &["match"]).iter().any(|it| it["port"].as_u64() == Some(port));
        let Some(route) = routes.as_ref().and_then(|it| it.iter().find(matches)) else {
            return self.reach(cluster, namespace, host, port, None).and_then(|it| self.let_in(&it, namespace, caller));
        };
        for target in list(route, &["route"]).iter().filter(|it| it["weight"].as_u64() != Some(0)) {
            let subset = word(target, &["destination", "subset"]);
            let reached = self.reach(cluster, namespace, host, port, Some(subset))?;
            self.let_in(&reached, namespace, caller)?;
        }
        Ok(())
    }

    /// Whether a policy of each cluster that answers knows the caller.
    fn let_in(&self, owners: &BTreeSet<String>, namespace: &str, caller: &str) -> Result<(), String> {
        for owner in owners {
            let name = format!("{}-callers", self.watched.name);
            let policy = ("AuthorizationPolicy".into(), self.watched.namespace.into(), name);
            let Some(policy) = self.clusters[owner].objects.get(&policy) else { continue };
            let from = list(policy, &["spec", "rules"]).into_iter().flat_map(|it| list(it, &["from"]));
            let known = from.flat_map(|it| list(it, &["source", "principals"])).filter_map(Value::as_str);
            if !known.into_iter().any(|it| it.ends_with(&format!("/ns/{namespace}/sa/{caller}"))) {
                return Err(format!("{owner} does not let {caller} in"));
            }
        }
        Ok(())
    }

    /// The clusters whose pods answer for a host, as a cluster sees it.
    fn reach(
        &self,
        cluster: &str,
        namespace: &str,
        host: &str,
        port: u64,
        subset: Option<&str>,
    ) -> Result<BTreeSet<String>, String> {
        let network = match subset {
            None => None,
            Some(subset) => Some(self.subset(cluster, namespace, host, subset)?),
        };
        let mut reached = BTreeSet::new();
        for endpoint in self.endpoints(cluster, namespace, host, port)? {
            let owner = match &endpoint {
                Endpoint::Pods => cluster.to_owned(),
                Endpoint::Gateway(address) => {
                    self.gateways.get(address).cloned().ok_or_else(|| format!("{address} is nobody's gateway"))?
                }
            };
            if network.as_ref().is_some_and(|it| self.networks[it] != owner) {
                continue;
            }
            if let Endpoint::Gateway(_) = endpoint {
                self.pass(&owner, host, port, subset)?;
            }
            reached.insert(owner);
        }
        if reached.is_empty() {
            return Err(format!("no endpoint of {host} {subset:?}"));
        }
        Ok(reached)
    }

    /// The network that a subset means.
    fn subset(&self, cluster: &str, namespace: &str, host: &str, subset: &str) -> Result<String, String> {
        let rules = self.clusters[cluster].objects.values().filter(|it| it["kind"] == "DestinationRule");
        let mut rules = rules.filter(|it| word(it, &["spec", "host"]) == host && Self::sees(it, namespace));
        let rule = rules.next().ok_or_else(|| format!("{cluster} has no rule with subsets of {host}"))?;
        let subsets = list(rule, &["spec", "subsets"]);
        let found = subsets.iter().find(|it| word(it, &["name"]) == subset);
        let found = found.ok_or_else(|| format!("{cluster} has no subset {subset} of {host}"))?;
        Ok(word(found, &["labels", "topology.istio.io/network"]).to_owned())
    }

    /// A gateway lets a host in, and pods beside it answer.
    fn pass(&self, owner: &str, host: &str, port: u64, subset: Option<&str>) -> Result<(), String> {
        let there = &self.clusters[owner];
        if self.old_line {
            // It passes every name of the suffix on to the Service of the same name.
            let host = host.replace(".global", ".svc.cluster.local");
            let pods = self.endpoints(owner, "istio-system", &host, port)?;
            return if pods.contains(&Endpoint::Pods) { Ok(()) } else { Err(format!("no pod of {host} in {owner}")) };
        }
        let gateway = there.objects.get(&("Gateway".into(), "istio-system".into(), "cross-network-gateway".into()));
        let hosts = gateway.iter().flat_map(|it| list(it, &["spec", "servers"])).flat_map(|it| list(it, &["hosts"]));
        if !hosts.into_iter().any(|it| it.as_str() == Some(host)) {
            return Err(format!("the gateway of {owner} does not let {host} in"));
        }
        if let Some(subset) = subset {
            let network = self.subset(owner, "istio-system", host, subset)?;
            if self.networks[&network] != owner {
                return Err(format!("the subset {subset} of {owner} is somewhere else"));
            }
        }
        // It sees the endpoints of its own network only.
        let pods = self.endpoints(owner, "istio-system", host, port)?;
        if pods.contains(&Endpoint::Pods) { Ok(()) } else { Err(format!("no pod answers for {host} in {owner}")) }
    }

    fn endpoints(&self, cluster: &str, namespace: &str, host: &str, port: u64) -> Result<Vec<Endpoint>, String> {
        let here = &self.clusters[cluster];
        let entries = here.objects.values().filter(|it| it["kind"] == "ServiceEntry");
        let mut entries = entries.filter(|it| list(it, &["spec", "hosts"]).iter().any(|it| it.as_str() == Some(host)));
        let selected = |selector: &Value, target: &Value| -> Result<Vec<Endpoint>, String> {
            let mut endpoints = self.pods(cluster, selector, target)?;
            for entry in here.objects.values().filter(|it| it["kind"] == "WorkloadEntry") {
                if word(entry, &["metadata", "namespace"]) == self.watched.namespace
                    && fits(&entry["spec"]["labels"], selector)
                {
                    endpoints.push(Endpoint::Gateway(word(entry, &["spec", "address"]).to_owned()));
                }
            }
            Ok(endpoints)
        };
        let the_port = |object: &Value, key: &str| -> Result<Value, String> {
            let ports = list(object, &["spec", "ports"]);
            let found = ports.into_iter().find(|it| it[key].as_u64() == Some(port)).cloned();
            found.ok_or_else(|| format!("{host} has no port {port} in {cluster}"))
        };
        if let Some(entry) = entries.next() {
            if !Self::sees(entry, namespace) {
                return Err(format!("{namespace} in {cluster} does not see {host}"));
            }
            let port = the_port(entry, "number")?;
            if let Some(selector) = entry["spec"].get("workloadSelector") {
                let target = port.get("targetPort").unwrap_or(&port["number"]);
                return selected(&selector["labels"], target);
            }
            let endpoints = list(entry, &["spec", "endpoints"]);
            return Ok(endpoints.iter().map(|it| Endpoint::Gateway(word(it, &["address"]).to_owned())).collect());
        }
        let local = format!("{}.{}.svc.cluster.local", self.watched.name, self.watched.namespace);
        let service = ("Service".into(), self.watched.namespace.into(), self.watched.name.into());
        match here.objects.get(&service).filter(|_| host == local) {
            Some(service) => {
                let port = the_port(service, "port")?;
                let target = port.get("targetPort").unwrap_or(&port["port"]);
                selected(&service["spec"]["selector"], target)
            }
            None => Err(format!("nothing in {cluster} knows {host}")),
        }
    }

    /// The pods of a selector that are ready; they listen on the port that is asked for.
    fn pods(&self, cluster: &str, selector: &Value, target: &Value) -> Result<Vec<Endpoint>, String> {
        let here = &self.clusters[cluster];
        let mut found = Vec::new();
        for id in here.ready.iter().filter(|it| it.1 == self.watched.namespace) {
            let template = &here.objects[id]["spec"]["template"];
            if !fits(&template["metadata"]["labels"], selector) {
                continue;
            }
            let ports = list(template, &["spec", "containers"]).into_iter().flat_map(|it| list(it, &["ports"]));
            if !ports.into_iter().any(|it| it["containerPort"] == *target) {
                return Err(format!("the pods of {} in {cluster} do not listen on {target:?}", id.2));
            }
            found.push(Endpoint::Pods);
        }
        Ok(found)
    }
}

#[derive(Debug, PartialEq)]
enum Endpoint {
    Pods,
    Gateway(String),
}

fn fits(labels: &Value, selector: &Value) -> bool {
    let selector = selector.as_mapping().expect("a selector is a map");
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn address(deployment: &Value, variable: &str) -> Option<String> {
    let containers = list(&deployment["spec"], &["template", "spec", "containers"]);
    let variables = containers.into_iter().flat_map(|it| list(it, &["env"]));
    let found = variables.into_iter().find(|it| word(it, &["name"]) == variable)?;
    Some(word(found, &["value"]).to_owned())
}

/// What the topology of each step of a plan is compiled to.
pub(crate) fn steps(plan: &meshlatch::migrate::Plan) -> Vec<Applied> {
    let topology = |name: &str| plan.files.get(&format!("{name}/topology.yaml")).expect("a step has its topology");
    let of = |name: &str| {
        let mesh = support::compile(topology(name));
        let tree = support::tree(&mesh);
        mesh.clusters().map(|(_, cluster)| (cluster.to_owned(), applied(&tree, cluster))).collect()
    };
    plan.steps.iter().map(|it| of(&it.name)).collect()
}
