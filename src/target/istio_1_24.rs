//! Istio 1.24: the in-cluster operator is gone; install files are read strictly.

use super::{Istio, Release, istio_1_23};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 24),
    tested_on: (Release::minor(1, 28), Release::minor(1, 31)),
    ..istio_1_23::ISTIO
};
