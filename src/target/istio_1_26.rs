//! Istio 1.26: nothing but its Kubernetes.

use super::{Istio, Release, istio_1_25};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 26),
    tested_on: (Release::minor(1, 29), Release::minor(1, 33)),
    loose_gateway_schema: Some(3),
    ..istio_1_25::ISTIO
};
