//! `ServiceEntry`, and in its place a Service with `WorkloadEntry`s: services of other clusters, own
//! services under the name that is the same from everywhere, and hosts outside the mesh.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::template::{Template, fill};
use crate::bundle::Bundle;
use crate::model::{ClusterModel, Stub};
use crate::yaml;

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    for entry in model.owned.iter().chain(&model.remotes).chain(&model.externals) {
        bundle.apply(format!("20-mesh/{}.yaml", entry.file), fill(Template::ServiceEntry, entry));
    }
    for stub in &model.stubs {
        bundle.apply(format!("20-mesh/{}.{}.yaml", stub.name, stub.namespace), yaml::to_string(&service(stub)));
    }
    for entry in &model.workload_entries {
        bundle.apply(format!("20-mesh/{}.yaml", entry.file), fill(Template::WorkloadEntry, entry));
    }
}

/// A Service whose endpoints are `WorkloadEntry` objects. It names its ports as the real one does, and has
/// no target ports: there is no pod to have them.
fn service(stub: &Stub<'_>) -> Service {
    let ports = stub.ports.iter().map(|port| ServicePort {
        name: Some(port.name.clone()),
        port: i32::from(port.number),
        app_protocol: port.app_protocol.then(|| port.protocol.name().to_owned()),
        ..ServicePort::default()
    });
    let selector = stub.selector.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let spec = ServiceSpec { ports: Some(ports.collect()), selector: Some(selector), ..ServiceSpec::default() };
    let metadata = ObjectMeta {
        name: Some(stub.name.to_owned()),
        namespace: Some(stub.namespace.to_owned()),
        ..ObjectMeta::default()
    };
    Service { metadata, spec: Some(spec), ..Service::default() }
}
