//! Istio 1.30: nothing but its Kubernetes.

use super::{Istio, Release, istio_1_29};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 30),
    tested_on: (Release::minor(1, 32), Release::minor(1, 36)),
    ..istio_1_29::ISTIO
};
