//! Istio 1.24: install files are read strictly; the operator in the cluster is gone.

use super::{Istio, Release, istio_1_23};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 24),
    tested_on: (Release::minor(1, 28), Release::minor(1, 31)),
    gateways_of_both_families: true,
    broken: &[(0, 0, "never finishes installing two gateways (release note 53880)")],
    ..istio_1_23::ISTIO
};
