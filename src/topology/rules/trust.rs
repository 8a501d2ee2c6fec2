//! Rules of trust: where certificates come from, roots and their fingerprints.

use super::names;
use crate::diag::{Code, Diagnostics};
use crate::source::Span;
use crate::syntax::{Place, TrustSpec};
use crate::topology::{Trust, TrustOrigin};

/// SHA-256 of the certificates under `samples/certs` of Istio's releases, whose keys everybody has.
#[rustfmt::skip]
const PUBLIC_SAMPLES: [&str; 5] = [
    "63727a1785cab47acec5c24cc0669c20824e8ae1ac28079a4d2f8c830592e7b0", // root-cert.pem
    "f867174e4a31f1792f8c0354a23f8f049bd4019729cd2ee579d67033065b2dc2", // ca-cert.pem
    "11c9202c6be8ea5fcfb46d8591a8cf83b20eb97ade97234840851af8763ae428", // root-cert-alt.pem
    "40ff5d9dcaa80833bb7291ef1f89acd9f4da11d6c6006b78897d3f9e2cff86b5", // ca-cert-alt.pem
    "677fbf661531ab421e73bfe7b2ebdb7ec5509174e3dfcd39d24b852e2d46d46c", // ca-cert-alt-2.pem
];

/// The first root fingerprint that was given, to compare the others with.
#[derive(Default)]
pub(super) struct Roots {
    first: Option<(String, Span)>,
}

/// Where the certificates of a cluster come from: what it says itself, or else what the mesh says.
pub(super) fn resolve(
    cluster: &str,
    own: Option<&TrustSpec>,
    mesh: &TrustSpec,
    place: Place<'_>,
    mesh_place: Place<'_>,
    roots: &mut Roots,
    diags: &mut Diagnostics,
) -> Trust {
    let default = TrustSpec::default();
    let own = own.unwrap_or(&default);
    let fill = |text: &str| text.replace("{cluster}", cluster);
    let trust_at = if own.external_secret.is_some() { place } else { mesh_place }.get("trust");
    let secret =
        own.external_secret.as_ref().or(if own.files.is_some() { None } else { mesh.external_secret.as_ref() });
    let origin = match secret {
        Some(secret) => {
            let at = trust_at.get("externalSecret");
            if !names::is_dns_name(&secret.store) {
                diags
                    .error(Code::InvalidName, format!("`{}` cannot be the name of a secret store", secret.store))
                    .at(at.get("store").value(), "")
                    .help("lower-case letters, digits, `-` and `.`, as `kubectl get clustersecretstores` prints it");
            }
            let kind = secret.kind.clone().unwrap_or_else(|| "ClusterSecretStore".into());
            if kind != "ClusterSecretStore" && kind != "SecretStore" {
                diags
                    .error(Code::InvalidName, format!("`{kind}` is no kind of secret store"))
                    .at(at.get("kind").value(), "")
                    .help("`ClusterSecretStore` or `SecretStore`");
            }
            TrustOrigin::ExternalSecret { store: secret.store.clone(), kind, key: fill(&secret.key) }
        }
        None => {
            let files = own.files.as_deref().or(mesh.files.as_deref()).unwrap_or("certs/{cluster}");
            if !names::is_one_word_of_prose(files) || files.starts_with(['~', '-']) || files.contains(['=', ',']) {
                let place = if own.files.is_some() { place } else { mesh_place };
                diags
                    .error(Code::InvalidName, "this cannot be the path of a folder")
                    .at(place.get("trust").get("files").value(), "")
                    .help("the folder that holds the PEM files, such as `certs/{cluster}`; `kubectl --from-file` takes no `=` and no `,` in it");
            }
            TrustOrigin::Files(fill(files))
        }
    };
    let (written, at) = match (&own.root_fingerprint, &mesh.root_fingerprint) {
        (Some(own), _) => (Some(own), place.get("trust").get("rootFingerprint").value()),
        (None, mesh) => (mesh.as_ref(), mesh_place.get("trust").get("rootFingerprint").value()),
    };
    let root_fingerprint = written.and_then(|it| fingerprint(it, at, diags));
    if let Some(root) = &root_fingerprint {
        match &roots.first {
            None => roots.first = Some((root.clone(), at)),
            Some((first, first_at)) if first != root => {
                diags
                    .error(Code::DifferentRoots, format!("`{cluster}` has another root certificate than the cluster before it"))
                    .at(at, "")
                    .context(*first_at, "the other root")
                    .help("sidecars of two clusters trust one another only under one root: give each cluster an intermediate of the same root");
            }
            Some(_) => {}
        }
    }
    Trust { root_fingerprint, origin }
}

/// In the spelling of `openssl x509 -fingerprint`: `AB:CD:…`.
fn fingerprint(written: &str, at: Span, diags: &mut Diagnostics) -> Option<String> {
    let lower = written.to_ascii_lowercase();
    let value = lower.rsplit_once('=').map_or(lower.as_str(), |it| it.1);
    let value = ["sha256:", "sha-256:"].iter().find_map(|it| value.strip_prefix(it)).unwrap_or(value);
    let digits: String = value.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        diags
            .error(Code::InvalidFingerprint, "this is not the SHA-256 fingerprint of a certificate")
            .at(at, "")
            .help("64 hexadecimal digits, as `openssl x509 -in root-cert.pem -noout -fingerprint -sha256` prints them");
        return None;
    }
    if PUBLIC_SAMPLES.contains(&digits.as_str()) {
        diags
            .error(
                Code::PublicSampleCa,
                "this root is the sample that Istio publishes, with its private key, in `samples/certs`",
            )
            .at(at, "")
            .help("anybody can sign certificates under it; make a root of your own");
        return None;
    }
    let pairs: Vec<_> =
        digits.to_ascii_uppercase().as_bytes().chunks(2).map(|it| String::from_utf8_lossy(it).into_owned()).collect();
    Some(pairs.join(":"))
}
