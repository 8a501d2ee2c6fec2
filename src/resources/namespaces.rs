//! `Namespace`: where pods get their sidecar.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::bundle::Bundle;
use crate::model::ClusterModel;
use crate::topology::NETWORK_LABEL;
use crate::yaml;

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    for namespace in &model.namespaces {
        let injected = namespace.injected.then_some(("istio-injection", "enabled"));
        let network = namespace.network.map(|it| (NETWORK_LABEL, it));
        let labels: BTreeMap<_, _> =
            injected.into_iter().chain(network).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let labels = (!labels.is_empty()).then_some(labels);
        let metadata = ObjectMeta { name: Some(namespace.name.to_owned()), labels, ..ObjectMeta::default() };
        let object = Namespace { metadata, ..Namespace::default() };
        bundle.apply(format!("00-namespaces/{}.yaml", namespace.name), yaml::to_string(&object));
    }
}
