//! Istio 1.6: the suffix becomes a value, `istioctl install`, `appProtocol`.

use super::{InstallFormat, Istio, Release, Search, istio_1_5};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 6),
    patches: (0, 14),
    broken: &[],
    tested_on: (Release::minor(1, 15), Release::minor(1, 18)),
    install: InstallFormat::IstioOperator { command: "install" },
    any_suffix: true,
    // The template behind the pod's namespace was dropped as a failed experiment.
    search: Search::Suffix,
    app_protocol: true,
    status_port: 15021,
    web_ports: (8080, 8443),
    manifest_has_namespace: false,
    ..istio_1_5::ISTIO
};
