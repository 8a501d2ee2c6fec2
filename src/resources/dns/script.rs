//! `apply.sh`: puts our entry into a live object, or takes it out again.

use serde::Serialize;

use crate::model::Dns;
use crate::resources::template::{Template, fill};

/// What differs from provider to provider.
#[derive(Serialize)]
pub(super) struct Script {
    /// What it does, for the first line.
    pub(super) title: String,
    /// What its reader should know besides.
    pub(super) notes: &'static [&'static str],
    /// The kind of object, as `kubectl` takes it.
    pub(super) resource: &'static str,
    /// The object's name.
    pub(super) name: &'static str,
    /// The object's namespace.
    pub(super) namespace: Option<&'static str>,
    /// Whether the object may be absent.
    pub(super) create: bool,
    /// What to restart where CoreDNS does not reload its Corefile.
    pub(super) workload: Option<&'static str>,
    /// What the program is given beside suffix and address.
    pub(super) arguments: Vec<(&'static str, String)>,
    /// In jq: the object as it is to the object as it should be, or to a text that says why not.
    pub(super) program: String,
}

#[derive(Serialize)]
struct View<'a> {
    context: &'a str,
    suffix: &'a str,
    address: String,
    #[serde(flatten)]
    script: Script,
}

impl Script {
    /// The text of the script.
    pub(super) fn text(self, context: &str, dns: &Dns<'_>) -> String {
        let view = View { context, suffix: dns.suffix, address: dns.address.to_string(), script: self };
        fill(Template::ApplyScript, &view)
    }
}

/// A program without the newline at its end.
pub(super) fn program(merge: Template) -> String {
    fill(merge, &()).trim_end().to_owned()
}

/// A program that reads Corefiles.
pub(super) fn corefile_program(merge: Template) -> String {
    format!("{}\n{}", fill(Template::ReadCorefile, &()), program(merge))
}
