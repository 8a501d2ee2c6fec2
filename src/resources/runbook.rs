//! `RUNBOOK.md`: what to do with a bundle, in order.

use crate::bundle::Bundle;
use crate::model::ClusterModel;

pub(super) fn write(_model: &ClusterModel<'_>, _bundle: &mut Bundle) {}
