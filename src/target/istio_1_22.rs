//! Istio 1.22: the first release of this line. API version v1; the gateway passes each exported
//! service through a filter chain of its own; sidecars answer for the names of the suffix.

use super::{Crossing, InstallFormat, Istio, Release, Search, StrictMtls, TrustDomain};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 22),
    // Patches go on appearing after this was written.
    patches: (0, u32::MAX),
    broken: &[(0, 0, "answers 503 at a gateway that is asked for mTLS after it started, until it is restarted")],
    tested_on: (Release::minor(1, 27), Release::minor(1, 30)),
    // `autoscaling/v2`, of which every gateway and istiod have one.
    needs_kubernetes: Some(Release::minor(1, 23)),
    refused_by: None,
    crossing: Crossing::Passthrough,
    networking: "networking.istio.io/v1",
    security: "security.istio.io/v1",
    external_secrets: "external-secrets.io/v1",
    strict_mtls: StrictMtls::PeerAuthentication,
    install: InstallFormat::Chosen,
    any_suffix: true,
    control_plane_security: false,
    must_disable_self_signed: false,
    search: Search::Ignored,
    addons: false,
    router_mode: false,
    gateway_sds: false,
    rewrites_probes: true,
    app_protocol: true,
    trust_domain: TrustDomain::MeshConfig,
    status_port: 15021,
    web_ports: (8080, 8443),
    manifest_has_namespace: false,
    needs_old_helm: None,
    cacerts_as_tls: true,
    signs_with_ecdsa: true,
    native_sidecars: false,
    finds_remote_gateways: false,
    gateways_of_both_families: false,
    loose_gateway_schema: Some(u32::MAX),
};
