//! Istio 1.25: addresses for entries without one, by default; the bundle writes its own.

use super::{Istio, Release, istio_1_24};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 25),
    tested_on: (Release::minor(1, 29), Release::minor(1, 32)),
    ..istio_1_24::ISTIO
};
