//! Istio 1.31: nothing but its number, as far as bundles go.

use super::{Istio, Release, istio_1_30};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 31),
    tested_on: (Release::minor(1, 32), Release::minor(1, 36)),
    ..istio_1_30::ISTIO
};
