//! Istio 1.27: sidecars are native where Kubernetes can.

use super::{Istio, Release, istio_1_26};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 27),
    tested_on: (Release::minor(1, 29), Release::minor(1, 33)),
    native_sidecars: true,
    loose_gateway_schema: Some(0),
    ..istio_1_26::ISTIO
};
