//! Rules of references: names of clusters, services and ports that lead somewhere.

use indexmap::IndexMap;

use crate::diag::{Code, Diagnostics, nearest};
use crate::source::Span;
use crate::syntax::{Place, TopologySpec};
use crate::topology::{ClusterId, Port, ServiceId};

/// Looks names up in the maps of a topology.
#[derive(Clone, Copy)]
pub(super) struct References<'a> {
    pub(super) spec: &'a TopologySpec,
    pub(super) root: Place<'a>,
}

impl References<'_> {
    /// The cluster of this name.
    pub(super) fn cluster(self, who: &str, name: &str, at: Place<'_>, diags: &mut Diagnostics) -> Option<ClusterId> {
        self.cluster_at(who, name, at.value(), diags)
    }

    /// The cluster of this name, which may be a key.
    pub(super) fn cluster_at(self, who: &str, name: &str, at: Span, diags: &mut Diagnostics) -> Option<ClusterId> {
        if let Some(index) = self.spec.clusters.get_index_of(name) {
            return Some(ClusterId(index));
        }
        let draft = diags
            .error(Code::UnknownCluster, format!("{who} names the cluster `{name}`, which does not exist"))
            .at(at, "no cluster has this name");
        missing(draft, "cluster", name, &self.spec.clusters, self.root.get("clusters").key());
        None
    }

    /// The clusters of these names, each once, in the order of the topology.
    pub(super) fn clusters(
        self,
        who: &str,
        names: &[String],
        place: Place<'_>,
        diags: &mut Diagnostics,
    ) -> Vec<ClusterId> {
        let mut found: Vec<(ClusterId, Place<'_>)> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let at = element(place, index);
            let Some(id) = self.cluster(who, name, at, diags) else { continue };
            if let Some((_, first)) = found.iter().find(|it| it.0 == id) {
                diags
                    .error(Code::PlacedTwice, format!("{who} names the cluster `{name}` twice"))
                    .at(at.value(), "here again")
                    .context(first.value(), "first here")
                    .help("name it once; how many pods run there is a matter of `replicas`");
            } else {
                found.push((id, at));
            }
        }
        let mut ids: Vec<_> = found.into_iter().map(|it| it.0).collect();
        ids.sort();
        ids
    }

    /// The service of this name.
    pub(super) fn service(self, who: &str, name: &str, at: Span, diags: &mut Diagnostics) -> Option<ServiceId> {
        if let Some(index) = self.spec.services.get_index_of(name) {
            return Some(ServiceId(index));
        }
        let draft = diags
            .error(Code::UnknownService, format!("{who} names the service `{name}`, which does not exist"))
            .at(at, "no service has this name");
        if let Some(key) = self.called(name) {
            draft.help(format!("a service is named by its key in the topology: `{key}`"));
            return None;
        }
        missing(draft, "service", name, &self.spec.services, self.root.get("services").key());
        None
    }
}

impl<'a> References<'a> {
    /// The key of the service that a host means: `cart.shop`, `cart.shop.svc.cluster.local`.
    fn called(self, host: &str) -> Option<&'a str> {
        let mut labels = host.split('.');
        let (name, namespace) = (labels.next()?, labels.next());
        let found = |(key, service): &(&'a String, &'a crate::syntax::ServiceSpec)| {
            let own = service.namespace.as_deref().unwrap_or("default");
            service.name.as_ref().unwrap_or(key) == name && namespace.is_none_or(|it| it == own)
        };
        self.spec.services.iter().find(found).map(|(key, _)| key.as_str())
    }
}

fn missing<T>(draft: crate::diag::Draft<'_>, what: &str, name: &str, map: &IndexMap<String, T>, declared: Span) {
    if let Some(near) = nearest(name, map.keys().map(String::as_str)) {
        draft.help(format!("a {what} with a similar name exists: `{near}`"));
    } else if map.is_empty() {
        draft.help(format!("no {what} is declared yet"));
    } else {
        let names: Vec<_> = map.keys().take(8).map(|it| format!("`{it}`")).collect();
        let more = if map.len() > names.len() { ", …" } else { "" };
        draft.context(declared, format!("the {what}s are declared here")).help(format!(
            "there {} {}{more}",
            if names.len() == 1 { "is only" } else { "are" },
            names.join(", ")
        ));
    }
}

/// The element of a value that is one or a list.
pub(super) fn element(place: Place<'_>, index: usize) -> Place<'_> {
    if place.is_empty() { place } else { place.item(index) }
}

/// The port of a service that is meant; the only one if none is named.
pub(super) fn port(
    who: &str,
    service: &str,
    ports: &[Port],
    wanted: Option<&str>,
    at: Span,
    declared: Span,
    diags: &mut Diagnostics,
) -> Option<usize> {
    let listed = || ports.iter().map(|it| format!("`{}` ({})", it.name, it.number)).collect::<Vec<_>>().join(", ");
    if ports.is_empty() {
        diags
            .error(Code::NoPorts, format!("{who} leads to `{service}`, which listens on no port"))
            .at(at, "")
            .context(declared, "it has no `ports:`")
            .help(format!("give `{service}` a port: `ports: {{grpc: 8080}}`"));
        return None;
    }
    let Some(wanted) = wanted else {
        if ports.len() == 1 {
            return Some(0);
        }
        diags
            .error(Code::AmbiguousPort, format!("{who} does not say which port of `{service}` it means"))
            .at(at, "")
            .context(declared, format!("its ports are {}", listed()))
            .help(format!("write `{service}:{}`, or `port: {}`", ports[0].name, ports[0].name));
        return None;
    };
    let found = ports.iter().position(|it| it.name == wanted || it.number.to_string() == wanted);
    if found.is_none() {
        let by_target = ports.iter().find(
            |it| matches!(it.target, crate::topology::TargetPort::Number(number) if number.to_string() == wanted),
        );
        diags
            .error(Code::UnknownPort, format!("{who} names port `{wanted}` of `{service}`, which has no such port"))
            .at(at, "")
            .context(declared, format!("its ports are {}", listed()))
            .help_if(by_target.map(|it| {
                format!("{wanted} is the port of the container; callers use the port of the Service, {}", it.number)
            }))
            .help_if(
                nearest(wanted, ports.iter().map(|it| it.name.as_str())).map(|near| format!("did you mean `{near}`?")),
            );
    }
    found
}
