//! `Root` and what it signs: keys and certificates, and nothing of files.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, SanType,
};
use ring::digest;
use rsa::Generate as _;
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer as _;

/// How far clocks may differ: a certificate begins that much before it was made.
const SKEW: u64 = 60 * 60;

const DAY: u64 = 24 * 60 * 60;

/// When a certificate is made, in seconds since 1970, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) now: u64,
    pub(super) days: u32,
}

/// What kind of key a cluster signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    Ecdsa,
    Rsa,
}

/// The certificate that all clusters have in common, and the key that signs theirs.
pub(super) struct Root {
    certificate: String,
    der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
    end: u64,
}

/// The certificate by which a cluster signs those of its workloads, and its key, in PEM.
pub(super) struct Intermediate {
    pub(super) certificate: String,
    pub(super) key: String,
    /// The day on which it ends.
    pub(super) end: String,
}

impl Root {
    /// A new root, and its key in PEM.
    pub(super) fn make(life: Life) -> (Self, String) {
        let key = new_key(KeyKind::Ecdsa);
        let text = key.serialize_pem();
        // An intermediate below it, and no other CA below that.
        let params = params(&["Root CA"], 1, life.now, life.now + u64::from(life.days) * DAY);
        let certificate = params.self_signed(&key).expect("a key of ours can sign").pem();
        (Self::read(&certificate, &text, life.now).expect("a root of ours can be read"), text)
    }

    /// A root that was made before, or why it is none.
    pub(super) fn read(certificate: &str, key: &str, now: u64) -> Result<Self, &'static str> {
        let der = one_certificate(certificate)?;
        let key = KeyPair::from_pem(key).map_err(|_| "its key cannot be read: it must be in PKCS #8, unencrypted")?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| "it cannot be read")?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err("the key is that of another certificate");
        }
        if parsed.verify_signature(None).is_err() {
            return Err("it is not signed by its own key");
        }
        let signs = parsed.key_usage().is_ok_and(|it| it.is_none_or(|it| it.value.key_cert_sign()));
        let signs_signers = parsed.basic_constraints().is_ok_and(|it| {
            it.is_some_and(|it| it.value.ca && it.value.path_len_constraint.is_none_or(|length| length > 0))
        });
        if !signs || !signs_signers {
            return Err("it may not sign the certificates of other CAs");
        }
        let end = end(&parsed);
        if end <= now {
            return Err("it has ended");
        }
        let issuer = Issuer::from_ca_cert_der(&der.as_slice().into(), key)
            .map_err(|_| "it has a name or a use that is not understood")?;
        Ok(Self { certificate: certificate.to_owned(), der, issuer, end })
    }

    /// In PEM.
    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The day on which it ends.
    pub(super) fn end(&self) -> String {
        day(self.end)
    }

    /// SHA-256 of the certificate in the spelling of openssl: `AB:CD:…`.
    pub(super) fn fingerprint(&self) -> String {
        let hash = digest::digest(&digest::SHA256, &self.der);
        hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }

    /// A new intermediate for a cluster.
    pub(super) fn sign(&self, cluster: &str, kind: KeyKind, life: Life) -> Intermediate {
        let key = new_key(kind);
        let end = self.end.min(life.now + u64::from(life.days) * DAY);
        // Istio signs workloads with it and no other CA.
        let mut params = params(&["Intermediate CA", cluster], 0, life.now, end);
        params.use_authority_key_identifier_extension = true;
        // As Istio's own tools/certs has it, and the commands in the bundle.
        params.subject_alt_names =
            vec![SanType::DnsName("istiod.istio-system.svc".try_into().expect("a DNS name is ASCII"))];
        let certificate = params.signed_by(&key, &self.issuer).expect("a root that was read can sign").pem();
        Intermediate { certificate, key: key.serialize_pem(), end: day(end) }
    }

    /// The day on which an intermediate ends that was signed before, or what is wrong with it.
    pub(super) fn end_of(&self, certificate: &str) -> Result<String, &'static str> {
        let der = one_certificate(certificate).map_err(|_| "is not one certificate in PEM")?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| "is not a certificate")?;
        let (_, root) = X509Certificate::from_der(&self.der).expect("it was read before");
        match parsed.verify_signature(Some(root.public_key())) {
            Ok(()) => Ok(day(end(&parsed))),
            Err(_) => Err("was not signed by this root"),
        }
    }
}

/// What every release of Istio reads, PKCS #8 in PEM; made of the system's randomness.
fn new_key(kind: KeyKind) -> KeyPair {
    match kind {
        KeyKind::Ecdsa => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("the system has randomness"),
        KeyKind::Rsa => {
            let pem = rsa::PrivateKey::generate().to_pkcs8_pem(LineEnding::LF).expect("a key can be written");
            KeyPair::from_pem(&pem).expect("a key of ours can be read")
        }
    }
}

/// A CA with as many CAs below it. Its serial number is left to rcgen, which takes it from the
/// new, and thus random, public key.
fn params(name: &[&str], below: u8, now: u64, end: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // The place is the cluster, as in Istio's tools/certs: its name may be too long for a common name.
    let types = [DnType::CommonName, DnType::LocalityName];
    params.distinguished_name.push(DnType::OrganizationName, "meshlatch trial");
    for (kind, value) in types.into_iter().zip(name) {
        params.distinguished_name.push(kind, *value);
    }
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(now.saturating_sub(SKEW));
    params.not_after = epoch + Duration::from_secs(end);
    params
}

/// The DER of the only certificate in a text.
fn one_certificate(text: &str) -> Result<Vec<u8>, &'static str> {
    let (rest, pem) = parse_x509_pem(text.as_bytes()).map_err(|_| "it is not in PEM")?;
    if pem.label != "CERTIFICATE" {
        return Err("it is no certificate");
    }
    if parse_x509_pem(rest).is_ok() {
        return Err("there are several certificates in it");
    }
    Ok(pem.contents)
}

fn end(certificate: &X509Certificate<'_>) -> u64 {
    u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0)
}

fn day(seconds: u64) -> String {
    (rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)).date().to_string()
}
