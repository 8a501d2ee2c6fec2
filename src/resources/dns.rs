//! Names of the suffix in a cluster: the stub domain, and our own server where asked for.

use crate::bundle::Bundle;
use crate::model::ClusterModel;

pub(super) fn write(_model: &ClusterModel<'_>, _bundle: &mut Bundle) {}
