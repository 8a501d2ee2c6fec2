//! Istio 1.5: istiod, the IstioOperator file, PeerAuthentication, auto mTLS.

use super::{InstallFormat, Istio, Release, StrictMtls, istio_1_4};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 5),
    patches: (0, 10),
    broken: &[(0, 0, "crashes its gateway as soon as a call from another cluster arrives (istio/istio#21676)")],
    tested_on: (Release::minor(1, 14), Release::minor(1, 16)),
    networking: "networking.istio.io/v1beta1",
    strict_mtls: StrictMtls::PeerAuthentication,
    install: InstallFormat::IstioOperator { command: "manifest apply" },
    // istiod takes the secret `cacerts` whenever it is there.
    must_disable_self_signed: false,
    gateway_sds: false,
    manifest_has_namespace: true,
    needs_old_helm: None,
    rewrites_probes: true,
    ..istio_1_4::ISTIO
};
