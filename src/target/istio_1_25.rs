//! Istio 1.25: nothing but its Kubernetes; entries without an address are given one, ours have their own.

use super::{Istio, Release, istio_1_24};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 25),
    tested_on: (Release::minor(1, 29), Release::minor(1, 32)),
    broken: &[],
    loose_gateway_schema: Some(4),
    ..istio_1_24::ISTIO
};
