//! Secrets: what must not stand in a file that is committed, printed and copied.

use crate::diag::{Code, Diagnostics};
use crate::source::Span;

/// Reports a scalar that is a secret by marks that no other text has.
pub(super) fn check(text: &str, span: Span, diags: &mut Diagnostics) {
    // Shorter than any of them.
    if text.len() < 20 {
        return;
    }
    let Some(what) = secret(text) else { return };
    diags
        .error(Code::SecretInFile, format!("the topology holds {what}"))
        .at(span, "")
        .help("take it out, replace it wherever it is used, and refer to a Secret: `secretKeyRef: {name: …, key: …}`");
}

/// What kind of secret a text is, going by marks that no other text has.
fn secret(text: &str) -> Option<&'static str> {
    let word = text.trim();
    let token = |prefix: &str, len: usize| {
        word.len() >= len
            && word.starts_with(prefix)
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'='))
    };
    if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
        Some("a private key")
    } else if token("AKIA", 20) && word.len() == 20 {
        Some("an access key of AWS")
    } else if token("ghp_", 40) || token("github_pat_", 40) {
        Some("a token of GitHub")
    } else if token("xoxb-", 30) || token("xoxp-", 30) {
        Some("a token of Slack")
    } else if token("eyJ", 60) && word.matches('.').count() == 2 {
        Some("a JSON Web Token")
    } else {
        None
    }
}
