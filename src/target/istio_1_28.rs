//! Istio 1.28: nothing that a bundle depends on.

use super::{Istio, Release, istio_1_27};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 28),
    tested_on: (Release::minor(1, 30), Release::minor(1, 34)),
    ..istio_1_27::ISTIO
};
