//! `Gateway` and `VirtualService`: the way in from outside.

use super::template::{Template, fill};
use crate::bundle::Bundle;
use crate::model::ClusterModel;

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    for ingress in &model.ingresses {
        let path = format!("50-ingress/{}.yaml", ingress.name);
        bundle.apply(&path, fill(Template::Gateway, ingress));
        bundle.apply(&path, fill(Template::VirtualService, ingress));
    }
}
