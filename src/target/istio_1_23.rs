//! Istio 1.23: nothing but its Kubernetes.

use super::{Istio, Release, istio_1_22};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 23),
    tested_on: (Release::minor(1, 27), Release::minor(1, 30)),
    broken: &[],
    finds_remote_gateways: true,
    ..istio_1_22::ISTIO
};
