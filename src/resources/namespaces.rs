//! `Namespace`: where pods get their sidecar.

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::bundle::Bundle;
use crate::model::ClusterModel;
use crate::yaml;

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    for namespace in &model.namespaces {
        let labels = namespace.injected.then(|| [("istio-injection".to_owned(), "enabled".to_owned())].into());
        let metadata = ObjectMeta { name: Some(namespace.name.to_owned()), labels, ..ObjectMeta::default() };
        let object = Namespace { metadata, ..Namespace::default() };
        bundle.apply(format!("00-namespaces/{}.yaml", namespace.name), yaml::to_string(&object));
    }
}
