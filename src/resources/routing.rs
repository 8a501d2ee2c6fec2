//! `DestinationRule` and `VirtualService` of the mesh: how calls find their endpoint.

use super::template::{Template, fill};
use crate::bundle::Bundle;
use crate::model::ClusterModel;

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    for rule in &model.destination_rules {
        bundle.apply(format!("20-mesh/{}.yaml", rule.file), fill(Template::DestinationRule, rule));
    }
    for split in &model.splits {
        bundle.apply(format!("20-mesh/{}.yaml", split.file), fill(Template::Split, split));
    }
}
