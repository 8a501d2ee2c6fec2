//! Istio 1.26: nothing that a bundle depends on.

use super::{Istio, Release, istio_1_25};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 26),
    tested_on: (Release::minor(1, 29), Release::minor(1, 32)),
    ..istio_1_25::ISTIO
};
