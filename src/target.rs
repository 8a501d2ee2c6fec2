//! `Istio`: what there is to know of a release before writing for it.
//!
//! Every release is a file that says what changed since the one before; it reads like release
//! notes. To add one: the file, a line in [`RELEASES`], a golden case.

mod istio_1_22;
mod istio_1_23;
mod istio_1_24;
mod istio_1_25;
mod istio_1_26;
mod istio_1_27;
mod istio_1_28;
mod istio_1_29;
mod istio_1_30;
mod istio_1_31;
mod istio_1_4;
mod istio_1_5;
mod istio_1_6;
mod istio_1_7;
mod istio_1_8;

use std::fmt;

/// Every release that can be compiled for, oldest first.
pub const RELEASES: [&Istio; 15] = [
    &istio_1_4::ISTIO,
    &istio_1_5::ISTIO,
    &istio_1_6::ISTIO,
    &istio_1_7::ISTIO,
    &istio_1_8::ISTIO,
    &istio_1_22::ISTIO,
    &istio_1_23::ISTIO,
    &istio_1_24::ISTIO,
    &istio_1_25::ISTIO,
    &istio_1_26::ISTIO,
    &istio_1_27::ISTIO,
    &istio_1_28::ISTIO,
    &istio_1_29::ISTIO,
    &istio_1_30::ISTIO,
    &istio_1_31::ISTIO,
];

/// What a minor release of Istio takes and does.
#[derive(Debug)]
pub struct Istio {
    /// `1.5`.
    pub minor: Release,
    /// The patch releases that exist, first and last.
    pub patches: (u32, u32),
    /// Patch releases, first and last, that cannot carry a mesh of several clusters, and why.
    pub broken: &'static [(u32, u32, &'static str)],
    /// Kubernetes releases that Istio's own documentation names for this release.
    pub tested_on: (Release, Release),
    /// The first Kubernetes that serves everything the charts of this release are made of.
    pub needs_kubernetes: Option<Release>,
    /// The first Kubernetes that refuses the CRDs or webhooks of this release, if there is one.
    pub refused_by: Option<Release>,
    /// How a call gets through the gateway of another cluster.
    pub crossing: Crossing,
    /// `apiVersion` of ServiceEntry, Gateway, VirtualService, DestinationRule.
    pub networking: &'static str,
    /// `apiVersion` of PeerAuthentication, AuthorizationPolicy.
    pub security: &'static str,
    /// `apiVersion` of ExternalSecret that the operators for this release's Kubernetes serve: those of
    /// 0.16 and newer serve `v1`, those of 0.17 and newer nothing else.
    pub external_secrets: &'static str,
    /// How strict mTLS is asked for.
    pub strict_mtls: StrictMtls,
    /// The format of the install file.
    pub install: InstallFormat,
    /// Whether the charts know a suffix other than `global`; they must then be told it, and to
    /// rewrite it.
    pub any_suffix: bool,
    /// Whether `controlPlaneSecurityEnabled` is a value of this release.
    pub control_plane_security: bool,
    /// Whether `security.selfSigned` must be switched off for the plugged-in root to be used.
    pub must_disable_self_signed: bool,
    /// What pods may be given as DNS search domains.
    pub search: Search,
    /// Whether Grafana, Kiali, Prometheus and tracing come with the release.
    pub addons: bool,
    /// Whether gateways must be told to pass mTLS through by SNI.
    pub router_mode: bool,
    /// Whether gateways must be told to read certificates from secrets.
    pub gateway_sds: bool,
    /// Whether HTTP probes work under strict mTLS without an annotation.
    pub rewrites_probes: bool,
    /// Whether `appProtocol` of a Service port is honoured.
    pub app_protocol: bool,
    /// Where the trust domain is said.
    pub trust_domain: TrustDomain,
    /// The health port of a gateway.
    pub status_port: u16,
    /// The container ports behind 80 and 443 of a gateway.
    pub web_ports: (u16, u16),
    /// Whether the rendered manifest holds the namespace `istio-system`, so that deleting it takes
    /// everything there along.
    pub manifest_has_namespace: bool,
    /// The last patch whose charts do not render with Helm newer than 3.2.4 (istio/istio#22295).
    pub needs_old_helm: Option<u32>,
    /// The last patch whose chart of gateways Helm 3.18.5 and newer refuse, for the schema of its values
    /// forbids every value (release note 57354).
    pub loose_gateway_schema: Option<u32>,
    /// Whether `cacerts` may have the keys of a `kubernetes.io/tls` secret: from Istio 1.15
    /// (`TLSSecretCACertFile` in `security/pkg/pki/ca/ca.go`).
    pub cacerts_as_tls: bool,
    /// Whether `cacerts` may hold an ECDSA key. Before, a workload's certificate asks for the
    /// signature of its own key, which is RSA, and is not signed (`csr.SignatureAlgorithm` in
    /// `security/pkg/pki/util/generate_cert.go`, still there in 1.8.1).
    pub signs_with_ecdsa: bool,
    /// Whether istiod finds Gateways of the class `istio-remote` without being told to look.
    pub finds_remote_gateways: bool,
    /// Whether an IstioOperator can give a gateway's Service both families of addresses.
    pub gateways_of_both_families: bool,
    /// Whether sidecars start before the application by themselves, on Kubernetes 1.33 and newer.
    pub native_sidecars: bool,
}

/// How a call gets through the gateway of another cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crossing {
    /// The gateway rewrites every name of the suffix to that of a local Service (1.4 to 1.8.5).
    Rewrite,
    /// The gateway has a filter chain for each service that it is told to pass (1.22 and newer).
    Passthrough,
}

/// How a release is told to refuse plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrictMtls {
    /// By a value of the chart.
    Value,
    /// By an object in the root namespace.
    PeerAuthentication,
}

/// Where a release is told its trust domain. Before 1.8 `meshConfig` alone leaves parts of the
/// control plane with the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustDomain {
    /// `values.global.trustDomain`.
    Values,
    /// `meshConfig.trustDomain`.
    MeshConfig,
}

/// What kind of file installs a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstallFormat {
    /// Values for Helm's charts `istio-init` and `istio`.
    HelmValues,
    /// An IstioOperator and the `istioctl` command that reads it.
    IstioOperator {
        /// `istioctl <this> -f FILE`.
        command: &'static str,
    },
    /// Whatever the cluster asks for.
    Chosen,
}

/// What pods may be given as DNS search domains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// The suffix, and the suffix behind the pod's namespace.
    WithNamespace,
    /// The suffix alone.
    Suffix,
    /// The release ignores the value.
    Ignored,
}

/// A version: `1.5.2`, or `1.16` with no patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// `1`.
    pub major: u32,
    /// `5`.
    pub minor: u32,
    /// `2`; 0 where none is written.
    pub patch: u32,
}

impl Release {
    /// `major.minor` of any patch.
    #[must_use]
    pub const fn minor(major: u32, minor: u32) -> Self {
        Self { major, minor, patch: 0 }
    }

    /// Reads `1.5.2`, `v1.5.2` or `1.16`; says how many numbers were written.
    #[must_use]
    pub fn parse(text: &str) -> Option<(Self, usize)> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let parts: Vec<u32> = text
            .split('.')
            .map(
                |part| {
                    if part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit()) { part.parse().ok() } else { None }
                },
            )
            .collect::<Option<_>>()?;
        match parts[..] {
            [major, minor] => Some((Self { major, minor, patch: 0 }, 2)),
            [major, minor, patch] => Some((Self { major, minor, patch }, 3)),
            _ => None,
        }
    }

    /// Without the patch, to compare minors.
    #[must_use]
    pub fn line(self) -> Self {
        Self { patch: 0, ..self }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Istio {
    /// `1.5`.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}.{}", self.minor.major, self.minor.minor)
    }
}

/// Why a release is refused, and what to take.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: String,
    /// The way out.
    pub help: String,
}

/// What is known of exactly this release.
///
/// # Errors
/// When no bundle for it can route; says why and what to take instead.
pub fn find(release: Release) -> Result<&'static Istio, Refusal> {
    let refuse = |reason: String, help: &str| Err(Refusal { reason, help: help.to_owned() });
    if release < RELEASES[0].minor {
        return refuse(
            format!("Istio {release} is older than the gateways this compiler writes for"),
            "take 1.4.2 or newer",
        );
    }
    let newest = RELEASES[RELEASES.len() - 1];
    if release.line() > newest.minor {
        // Releases that are not known yet have so far taken what the one before them took.
        return Ok(newest);
    }
    let Some(istio) = RELEASES.into_iter().find(|it| it.minor == release.line()) else {
        // Since 1.8.6 pilot no longer emits the filter that the `.global` rewrite hangs on: it was
        // removed with ISTIO-SECURITY-2021-006 and from the proxy itself in 1.20. What is written for
        // newer releases has API version v1, which 1.22 is the first to serve.
        return refuse(
            format!(
                "Istio {release} no longer rewrites `.global` names at the gateway, and does not serve the API version v1 that newer bundles are written in"
            ),
            "take 1.8.5 or older, or 1.22 or newer",
        );
    };
    let line = istio.line();
    if release.patch > istio.patches.1 {
        let help = format!("the last release of {line} that exists is {line}.{}", istio.patches.1);
        return refuse(format!("Istio {release} was never released"), &help);
    }
    if let Some((_, last, reason)) =
        istio.broken.iter().find(|(first, last, _)| (*first..=*last).contains(&release.patch))
    {
        let help = match (last + 1..=istio.patches.1).next() {
            Some(next) => format!("take {line}.{next} or newer"),
            None => format!(
                "take {line}.{} or older, or 1.22 or newer",
                istio.broken.iter().map(|it| it.0).min().unwrap_or(1) - 1
            ),
        };
        return refuse(format!("Istio {release} {reason}"), &help);
    }
    Ok(istio)
}
