//! A `World` that changes: objects come and go, Istio is installed anew, a cluster becomes that of another world.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::call::Meant;
use super::cluster::Cluster;
use super::hop::Break;
use super::install::Install;
use super::object::{Id, Object};
use super::{Call, World, ingress, read, told};
use crate::Mesh;
use crate::bundle::Bundle;
use crate::target::Release;
use crate::topology::ClusterId;
use crate::trees::Unreadable;

/// How Istio is installed in a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Installed {
    istio: Release,
    passes_through: bool,
    install: Install,
}

impl Installed {
    /// As a bundle of a cluster says it.
    pub(crate) fn of(mesh: &Mesh, id: ClusterId, bundle: &Bundle) -> Result<Self, Unreadable> {
        let mut cluster = read::installed(mesh.cluster(id), bundle)?;
        told::tell_gateway(&mesh.topology, id, &mut cluster);
        Ok(Self { istio: cluster.istio, passes_through: cluster.passes_through, install: cluster.install })
    }
}

impl World {
    /// An object of a cluster is applied. Pods that are new are not ready until it is rolled out.
    pub fn put(&mut self, cluster: &str, object: Arc<Object>) {
        if let Some(cluster) = self.clusters.get_mut(cluster) {
            cluster.put(object);
        }
    }

    /// An object of a cluster is deleted, with its pods.
    pub fn remove(&mut self, cluster: &str, id: &Id) {
        if let Some(cluster) = self.clusters.get_mut(cluster) {
            cluster.remove(id);
        }
    }

    /// All pods of a cluster are ready.
    pub fn roll_out(&mut self, cluster: &str) {
        if let Some(cluster) = self.clusters.get_mut(cluster) {
            cluster.roll_out();
        }
    }

    /// Istio is installed in a cluster.
    pub(crate) fn install(&mut self, cluster: &str, installed: &Installed) {
        if let Some(cluster) = self.clusters.get_mut(cluster) {
            cluster.istio = installed.istio;
            cluster.passes_through = installed.passes_through;
            let before = std::mem::replace(&mut cluster.install, installed.install.clone());
            cluster.keep_gateways(&before);
        }
    }

    /// A Deployment that is written, by namespace and name.
    pub(crate) fn deployment(&self, cluster: &str, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        let id = Id {
            kind: "Deployment".to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            group: "apps".to_owned(),
        };
        self.clusters.get(cluster)?.same(&id)
    }

    /// Every Deployment that is written for a cluster.
    pub(crate) fn deployments(&self, cluster: &str) -> impl Iterator<Item = &Arc<Object>> {
        let all = self.clusters.get(cluster).into_iter().flat_map(|it| it.of_kind_anywhere("Deployment"));
        all.filter(|it| !it.is_told())
    }

    /// Where what comes from outside is led: hosts and ports.
    pub(crate) fn led(&self, call: &Call) -> Result<Vec<(String, u16)>, Box<Break>> {
        let Some(cluster) = self.clusters.get(&call.cluster) else { return Ok(Vec::new()) };
        let targets = ingress::targets(cluster, call, &mut super::hop::Trail::default())?;
        Ok(targets.into_iter().map(|it| (it.host, it.port)).collect())
    }

    /// Makes a cluster what it is in another world, with its calls, or takes it away if that has none of this name.
    /// The gateways of both worlds answer from now on.
    pub fn take(&mut self, cluster: &str, from: &Self) {
        self.add_gateways(from);
        match from.clusters.get(cluster) {
            Some(there) => self.restore(there.clone()),
            None => {
                self.clusters.shift_remove(cluster);
            }
        }
        match from.calls.get(cluster) {
            Some(calls) => {
                self.calls.insert(cluster.to_owned(), calls.clone());
            }
            None => {
                self.calls.shift_remove(cluster);
            }
        }
    }

    /// A cluster as it is now.
    pub(crate) fn saved(&self, cluster: &str) -> Option<Cluster> {
        self.clusters.get(cluster).cloned()
    }

    /// A cluster is as it was.
    pub(crate) fn restore(&mut self, cluster: Cluster) {
        self.clusters.insert(cluster.name.clone(), cluster);
    }

    /// Adds the clusters of another world, in which nothing was applied yet, its gateways, and what somebody else
    /// deploys there.
    pub(crate) fn join(&mut self, other: &Self) {
        self.add_gateways(other);
        for (name, there) in &other.clusters {
            match self.clusters.get_mut(name) {
                Some(own) => own.join(there),
                None => {
                    self.clusters.insert(name.clone(), there.bare());
                }
            }
        }
    }

    /// Pods that answer for a service in another world are meant, too.
    pub fn mean(&mut self, other: &Self) {
        let of = |it: &Call| (it.callee.clone(), it.meant.clone());
        let meant: BTreeMap<String, Vec<Meant>> = other.calls().map(of).collect();
        for call in self.calls.values_mut().flatten() {
            let more = meant.get(&call.callee).into_iter().flatten();
            let more: Vec<_> = more.filter(|it| !call.meant.contains(it)).cloned().collect();
            call.meant.extend(more);
        }
    }

    fn add_gateways(&mut self, other: &Self) {
        for (at, owners) in &other.gateways {
            let own = self.gateways.entry(at.clone()).or_default();
            for (name, entrance) in owners {
                own.entry(name.clone()).and_modify(|it| it.join(entrance)).or_insert_with(|| entrance.clone());
            }
        }
    }
}

impl Cluster {
    /// Nothing was applied yet but what somebody else deploys.
    fn bare(&self) -> Self {
        let mut bare = Self::new(&self.name, self.istio, self.passes_through, self.install.clone());
        bare.locality.clone_from(&self.locality);
        bare.join(self);
        bare
    }

    /// What somebody else deploys in another state of it is there, too.
    fn join(&mut self, other: &Self) {
        for object in other.objects().filter(|it| it.is_told()) {
            if self.same(&object.id).is_none() {
                self.put(object.clone());
            }
        }
        self.keep_gateways(&other.install);
        self.roll_out();
    }

    /// Gateways of which no file tells stay, however Istio is installed.
    fn keep_gateways(&mut self, before: &Install) {
        for pods in before.gateways.iter().filter(|it| it.place.is_none()) {
            if !self.install.gateways.iter().any(|it| it.labels == pods.labels) {
                self.install.gateways.push(pods.clone());
            }
        }
    }
}
