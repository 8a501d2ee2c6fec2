//! Istio 1.29: nothing but its Kubernetes.

use super::{Istio, Release, istio_1_28};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 29),
    tested_on: (Release::minor(1, 31), Release::minor(1, 35)),
    ..istio_1_28::ISTIO
};
