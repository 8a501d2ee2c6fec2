//! `Places`: where the topology says what an object comes from, with words for it.

use super::Cause;
use crate::source::{Source, Span};
use crate::syntax::{Place, Shape, TopologySpec};
use crate::topology::{Cluster, ClusterId, External, Ingress, Service, ServiceId, Topology};

/// A topology, and where it is written.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    pub(super) root: Place<'a>,
    pub(super) spec: &'a TopologySpec,
    pub(super) source: &'a Source,
    pub(super) topology: &'a Topology,
}

/// An entry of a map: its key is marked.
pub(super) fn entry(place: Place<'_>, source: &Source, text: impl Into<String>) -> Cause {
    Cause { at: place.key(), whole: whole(place, source), text: text.into() }
}

/// An entry of a map: its value is marked, if that is one word.
fn setting(place: Place<'_>, source: &Source, text: impl Into<String>) -> Cause {
    Cause { at: place.value(), whole: whole(place, source), text: text.into() }
}

/// Key and value, or the element of a list.
fn whole(place: Place<'_>, source: &Source) -> Span {
    let value = place.extent(source);
    // The key is elsewhere where an alias stands in for the value.
    if value.start < place.key().start {
        place.key()
    } else {
        Span::new(place.key().start, value.end.max(place.key().end))
    }
}

impl<'a> Places<'a> {
    fn service_at(&self, service: &Service) -> Place<'a> {
        self.root.get("services").get(&service.key)
    }

    pub(super) fn service(&self, id: ServiceId) -> &'a Service {
        self.topology.service(id)
    }

    pub(super) fn name(&self, id: ClusterId) -> &'a str {
        &self.topology.cluster(id).name
    }

    /// The element of a value that is one or a list.
    fn element(&self, place: Place<'a>, index: usize, text: String) -> Cause {
        if place.shape() == Shape::List {
            let item = place.item(index);
            Cause { at: item.value(), whole: whole(item, self.source), text }
        } else {
            setting(place, self.source, text)
        }
    }

    /// Where a service is declared.
    pub(super) fn declared(&self, service: &Service) -> Cause {
        entry(self.service_at(service), self.source, format!("`{}` is declared here", service.key))
    }

    /// Where it is said that a service runs in a cluster.
    pub(super) fn runs(&self, service: &Service, cluster: ClusterId) -> Cause {
        let name = self.name(cluster);
        let index = self.spec.services[&service.key].clusters.0.iter().position(|it| it == name);
        let index = index.expect("a service runs where it is placed");
        self.element(self.service_at(service).get("clusters"), index, format!("`{}` runs in `{name}`", service.key))
    }

    /// A field of a service.
    pub(super) fn field(&self, service: &Service, field: &str, text: impl Into<String>) -> Cause {
        entry(self.service_at(service).get(field), self.source, text)
    }

    /// The shares of a service's calls.
    pub(super) fn weights(&self, service: &Service) -> Cause {
        let at = self.service_at(service).get("balance").get("weights");
        entry(at, self.source, "calls are shared by weight")
    }

    /// A call that a service declares.
    pub(super) fn call(&self, caller: &Service, index: usize, from: Option<ClusterId>) -> Cause {
        let from = from.map_or_else(String::new, |it| format!(" from `{}`", self.name(it)));
        let text = format!("`{}` calls `{}`{from}", caller.key, self.service(caller.calls[index].callee).key);
        let place = self.service_at(caller).get("calls");
        let whole = self.element(place, index, String::new()).whole;
        Cause { at: caller.calls[index].at, whole, text }
    }

    /// An ingress.
    pub(super) fn ingress(&self, ingress: &Ingress) -> Cause {
        let at = self.root.get("ingress").get(&ingress.name);
        let service = &self.service(ingress.service).key;
        entry(at, self.source, format!("the ingress `{}` leads to `{service}`", ingress.name))
    }

    /// Whether an ingress says itself which clusters serve it.
    pub(super) fn is_served_where_it_says(&self, ingress: &Ingress) -> bool {
        self.spec.ingress[&ingress.name].clusters.is_some()
    }

    /// Where it is said that a cluster serves an ingress: by itself, or because the service runs there.
    pub(super) fn serves(&self, ingress: &Ingress, cluster: ClusterId) -> Cause {
        let Some(names) = &self.spec.ingress[&ingress.name].clusters else {
            return self.runs(self.service(ingress.service), cluster);
        };
        let name = self.name(cluster);
        let index = names.0.iter().position(|it| it == name).expect("an ingress is served where it says");
        let at = self.root.get("ingress").get(&ingress.name).get("clusters");
        self.element(at, index, format!("`{name}` serves it"))
    }

    /// A field of an ingress.
    pub(super) fn ingress_field(&self, ingress: &Ingress, field: &str, text: impl Into<String>) -> Cause {
        entry(self.root.get("ingress").get(&ingress.name).get(field), self.source, text)
    }

    /// A host outside the mesh.
    pub(super) fn external(&self, external: &External) -> Cause {
        let at = self.root.get("externals").get(&external.name);
        entry(at, self.source, format!("`{}` is declared here", external.name))
    }

    /// A caller of a host outside the mesh.
    pub(super) fn external_caller(&self, external: &External, index: usize) -> Cause {
        let at = self.root.get("externals").get(&external.name).get("callers");
        let caller = &self.service(external.callers[index]).key;
        self.element(at, index, format!("`{caller}` calls `{}`", external.name))
    }

    fn cluster_at(&self, cluster: &Cluster) -> Place<'a> {
        self.root.get("clusters").get(&cluster.name)
    }

    /// Where a cluster is declared.
    pub(super) fn cluster(&self, id: ClusterId, text: impl Into<String>) -> Cause {
        entry(self.cluster_at(self.topology.cluster(id)), self.source, text)
    }

    /// A field of a cluster, if it is written.
    pub(super) fn cluster_field(&self, id: ClusterId, fields: &[&str], text: impl Into<String>) -> Option<Cause> {
        let at = self.cluster_at(self.topology.cluster(id));
        find(at, fields).map(|it| entry(it, self.source, text))
    }

    /// A field of the mesh, if it is written.
    pub(super) fn mesh_field(&self, fields: &[&str], text: impl Into<String>) -> Option<Cause> {
        let at = self.root.find("mesh")?;
        find(at, fields).map(|it| entry(it, self.source, text))
    }

    /// The addresses at which callers of a cluster reach another, if they are written: one each.
    pub(super) fn addresses(&self, owner: ClusterId, from: ClusterId) -> Vec<Cause> {
        let Some(at) = self.cluster_at(self.topology.cluster(owner)).find("gateway") else { return Vec::new() };
        let name = self.name(from);
        let from = at.find("from").and_then(|it| it.find(name));
        let at = from.or_else(|| at.find("address")).unwrap_or(at);
        let text = format!("the gateway of `{}`", self.name(owner));
        match at.shape() {
            Shape::List => (0..at.len()).map(|it| self.element(at, it, text.clone())).collect(),
            _ => vec![setting(at, self.source, text)],
        }
    }
}

fn find<'a>(at: Place<'a>, fields: &[&str]) -> Option<Place<'a>> {
    fields.iter().try_fold(at, |at, field| at.find(field))
}
