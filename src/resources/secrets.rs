//! The secret `cacerts`: how to make it. Never a key.

use serde::Serialize;

use super::template::{Template, fill};
use crate::bundle::Bundle;
use crate::model::ClusterModel;
use crate::topology::{Cluster, TrustOrigin};

/// How the PEM files are called of which `cacerts` is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaFiles {
    /// As every release reads them.
    Cacerts,
    /// As in a secret of the type `kubernetes.io/tls`.
    Tls,
}

impl CaFiles {
    /// The certificate of the intermediate.
    pub fn certificate(self) -> &'static str {
        self.names()[0]
    }

    /// Its private key.
    pub fn key(self) -> &'static str {
        self.names()[1]
    }

    /// The certificate of the root.
    pub fn root(self) -> &'static str {
        self.names()[2]
    }

    /// Both certificates in one file; for the others istiod puts them together.
    pub fn chain(self) -> Option<&'static str> {
        self.names().get(3).copied()
    }

    /// All of them, in this order.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Cacerts => &["ca-cert.pem", "ca-key.pem", "root-cert.pem", "cert-chain.pem"],
            Self::Tls => &["tls.crt", "tls.key", "ca.crt"],
        }
    }
}

#[derive(Serialize)]
struct Commands<'a> {
    cluster: &'a str,
    files: &'a str,
    root_fingerprint: Option<&'a str>,
    #[serde(flatten)]
    command: Command<'a>,
}

/// Puts the files into the cluster.
#[derive(Serialize)]
struct Command<'a> {
    context: &'a str,
    secret_type: Option<&'static str>,
    pem: Vec<String>,
}

impl<'a> Command<'a> {
    fn new(context: &'a str, files: &str, names: CaFiles) -> Self {
        let secret_type = (names == CaFiles::Tls).then_some("kubernetes.io/tls");
        Self { context, secret_type, pem: names.names().iter().map(|name| format!("{files}/{name}")).collect() }
    }
}

#[derive(Serialize)]
struct ExternalSecret<'a> {
    api_version: &'static str,
    store: &'a str,
    kind: &'a str,
    key: &'a str,
}

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    match &model.trust.origin {
        TrustOrigin::Files(files) => {
            let root_fingerprint = model.trust.root_fingerprint.as_deref();
            let command = Command::new(model.context, files, CaFiles::Cacerts);
            let view = Commands { cluster: model.name, files, root_fingerprint, command };
            bundle.keep("05-secrets/cacerts.md", fill(Template::CacertsCommands, &view));
        }
        TrustOrigin::ExternalSecret { store, kind, key } => {
            bundle.keep(
                "05-secrets/cacerts.yaml",
                fill(
                    Template::ExternalSecret,
                    &ExternalSecret { api_version: model.target.external_secrets, store, kind, key },
                ),
            );
        }
    }
}

/// The command alone; `None` if a secret store brings the files.
pub(crate) fn command(cluster: &Cluster, names: CaFiles) -> Option<String> {
    match &cluster.trust.origin {
        TrustOrigin::Files(files) => {
            Some(fill(Template::CacertsCommand, &Command::new(&cluster.context, files, names)))
        }
        TrustOrigin::ExternalSecret { .. } => None,
    }
}
