//! Istio 1.8: add-ons left the charts, gateways are told to pass mTLS through. The last of the line.

use super::{Istio, Release, Search, TrustDomain, istio_1_7};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 8),
    patches: (0, 6),
    broken: &[(
        6,
        6,
        "no longer emits the filter that the `.global` rewrite hangs on (ISTIO-SECURITY-2021-006): nothing would route",
    )],
    control_plane_security: false,
    search: Search::Ignored,
    addons: false,
    router_mode: true,
    trust_domain: TrustDomain::MeshConfig,
    tested_on: (Release::minor(1, 16), Release::minor(1, 19)),
    ..istio_1_7::ISTIO
};
