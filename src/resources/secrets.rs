//! The secret `cacerts`: how to make it. Never a key.

use serde::Serialize;

use super::template::{Template, fill};
use crate::bundle::Bundle;
use crate::model::ClusterModel;
use crate::topology::TrustOrigin;

#[derive(Serialize)]
struct Commands<'a> {
    context: &'a str,
    cluster: &'a str,
    files: &'a str,
    root_fingerprint: Option<&'a str>,
}

#[derive(Serialize)]
struct ExternalSecret<'a> {
    store: &'a str,
    kind: &'a str,
    key: &'a str,
}

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    match &model.trust.origin {
        TrustOrigin::Files(files) => {
            let root_fingerprint = model.trust.root_fingerprint.as_deref();
            let view = Commands { context: model.context, cluster: model.name, files, root_fingerprint };
            bundle.keep("05-secrets/cacerts.md", fill(Template::CacertsCommands, &view));
        }
        TrustOrigin::ExternalSecret { store, kind, key } => {
            bundle
                .keep("05-secrets/cacerts.yaml", fill(Template::ExternalSecret, &ExternalSecret { store, kind, key }));
        }
    }
}
