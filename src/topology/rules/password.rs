//! Rules of passwords: none stands in clear in a variable. What is said never repeats the value.

use crate::diag::{Code, Diagnostics};
use crate::source::Span;

/// Warns of a variable that by its name or its value is a password.
pub(super) fn check(service: &str, name: &str, text: &str, at: Span, diags: &mut Diagnostics) {
    if named_like_one(name) && !text.is_empty() {
        diags
            .warning(
                Code::PlaintextPassword,
                format!("the variable `{name}` of `{service}` looks like a password in clear"),
            )
            .at(at, "")
            .help(format!("take it from a Secret: `{name}: {{secretKeyRef: {{name: …, key: …}}}}`"));
    } else {
        check_url(service, name, text, at, diags);
    }
}

/// Warns of a variable whose value is a URL with a password.
pub(super) fn check_url(service: &str, name: &str, text: &str, at: Span, diags: &mut Diagnostics) {
    if has_password(text) {
        diags
            .warning(
                Code::PlaintextPassword,
                format!("the variable `{name}` of `{service}` holds a URL with a password in clear"),
            )
            .at(at, "")
            .help("take the password from a Secret, into a variable that stands before this one, and write `$(THAT_VARIABLE)` in its place");
    }
}

fn named_like_one(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "APIKEY", "PRIVATE_KEY"].iter().any(|it| upper.ends_with(it))
}

/// Whether a text holds `scheme://user:password@host`. Kubernetes fills `$(NAME)` in the pod.
fn has_password(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ', '"', '\'']).next().unwrap_or(rest);
        let user = authority.rsplit_once('@').and_then(|it| it.0.split_once(':'));
        let filled = |password: &str| password.starts_with("$(") && password.ends_with(')');
        user.is_some_and(|(_, password)| !password.is_empty() && !filled(password))
    })
}
