//! Istio 1.4: the first release of this line. Helm values; no istiod yet.

use super::{Crossing, InstallFormat, Istio, Release, Search, StrictMtls, TrustDomain};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 4),
    patches: (0, 10),
    broken: &[],
    tested_on: (Release::minor(1, 13), Release::minor(1, 15)),
    // v1beta1 CustomResourceDefinitions and webhooks.
    needs_kubernetes: None,
    refused_by: Some(Release::minor(1, 22)),
    crossing: Crossing::Rewrite,
    networking: "networking.istio.io/v1alpha3",
    security: "security.istio.io/v1beta1",
    external_secrets: "external-secrets.io/v1beta1",
    strict_mtls: StrictMtls::Value,
    install: InstallFormat::HelmValues,
    any_suffix: false,
    control_plane_security: true,
    must_disable_self_signed: true,
    search: Search::WithNamespace,
    addons: true,
    router_mode: false,
    gateway_sds: true,
    rewrites_probes: false,
    app_protocol: false,
    trust_domain: TrustDomain::Values,
    status_port: 15020,
    web_ports: (80, 443),
    manifest_has_namespace: false,
    needs_old_helm: Some(7),
    cacerts_as_tls: false,
    signs_with_ecdsa: false,
    native_sidecars: false,
    finds_remote_gateways: false,
    gateways_of_both_families: false,
    loose_gateway_schema: None,
};
