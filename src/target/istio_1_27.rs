//! Istio 1.27: sidecars are native where Kubernetes can; applications no longer start before them.

use super::{Istio, Release, istio_1_26};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 27),
    tested_on: (Release::minor(1, 29), Release::minor(1, 33)),
    native_sidecars: true,
    ..istio_1_26::ISTIO
};
