//! Istio 1.7: the rewrite filter is broken until 1.7.5.

use super::{Istio, Release, istio_1_6};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 7),
    patches: (0, 8),
    broken: &[(
        0,
        4,
        "loses the pattern of the `.global` rewrite: the gateway answers with no route (istio/istio#27203)",
    )],
    tested_on: (Release::minor(1, 16), Release::minor(1, 18)),
    ..istio_1_6::ISTIO
};
