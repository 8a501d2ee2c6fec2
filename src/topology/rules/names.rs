//! Rules of names: DNS labels and names, Kubernetes labels and annotations.

use indexmap::IndexMap;

use crate::diag::{Code, Diagnostics};
use crate::syntax::Place;

/// The longest DNS label.
const MAX_LABEL: usize = 63;
/// The longest DNS name.
const MAX_NAME: usize = 253;

/// A DNS label as Kubernetes takes it for the names of Services and Namespaces.
pub(super) fn label(what: &str, name: &str, place: Place<'_>, diags: &mut Diagnostics) -> bool {
    label_at(what, name, place.value(), diags)
}

/// Like [`label`], for a name that is a key.
pub(super) fn key_label(what: &str, name: &str, place: Place<'_>, diags: &mut Diagnostics) -> bool {
    label_at(what, name, place.key(), diags)
}

fn label_at(what: &str, name: &str, at: crate::source::Span, diags: &mut Diagnostics) -> bool {
    if !is_label(name) {
        let suggestion = suggested_label(name);
        diags
            .error(Code::InvalidName, format!("`{}` cannot be the name of a {what}", shortened(name)))
            .at(at, "not a DNS label")
            .help("a name is lower-case letters, digits and `-`, begins with a letter and ends with a letter or digit")
            .help_if(suggestion.map(|it| format!("`{it}` would do")));
        return false;
    }
    if name.len() > MAX_LABEL {
        diags
            .error(
                Code::NameTooLong,
                format!("the name of a {what} has at most {MAX_LABEL} characters, this one has {}", name.len()),
            )
            .at(at, "")
            .help("choose a shorter name");
        return false;
    }
    true
}

/// Lower-case letters, digits and dashes. A Service's name must begin with a letter (RFC 1035), so
/// we ask it of all.
pub(super) fn is_label(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn suggested_label(name: &str) -> Option<String> {
    let dashed: String =
        name.chars().map(|c| if matches!(c, '_' | '.' | ' ') { '-' } else { c.to_ascii_lowercase() }).collect();
    let trimmed = dashed.trim_matches('-');
    (is_label(trimmed) && trimmed.len() <= MAX_LABEL).then(|| trimmed.to_owned())
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= 80 { name.to_owned() } else { name.chars().take(77).chain("...".chars()).collect() }
}

/// A DNS name of one or more labels. With `wildcard` the first label may be `*`.
pub(super) fn dns_name(what: &str, name: &str, wildcard: bool, place: Place<'_>, diags: &mut Diagnostics) -> bool {
    let rest = if wildcard { name.strip_prefix("*.").unwrap_or(name) } else { name };
    if name.len() > MAX_NAME || rest.split('.').any(|it| it.len() > MAX_LABEL) {
        diags
            .error(
                Code::NameTooLong,
                format!("{what} has at most {MAX_NAME} characters, and {MAX_LABEL} between two dots"),
            )
            .at(place.value(), format!("this one has {}", name.len()));
        return false;
    }
    if !is_dns_name(rest) {
        diags
            .error(Code::InvalidDnsName, format!("`{}` is not a DNS name, as {what} must be", shortened(name)))
            .at(place.value(), "")
            .help("labels of lower-case letters, digits and `-`, with dots between: `cart.example.com`");
        return false;
    }
    true
}

/// Whether this is a DNS name; its last label is not a number, or it would be an IP address.
pub(crate) fn is_dns_name(name: &str) -> bool {
    let part = |it: &str| {
        !it.is_empty()
            && it.len() <= MAX_LABEL
            && it.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !it.starts_with('-')
            && !it.ends_with('-')
    };
    name.len() <= MAX_NAME
        && name.split('.').all(part)
        && !name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether a DNS name is this domain or lies in it.
pub(super) fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether a text stays on its line, and between its backticks, wherever a person reads it.
pub(super) fn is_one_word_of_prose(text: &str) -> bool {
    let hidden =
        |c| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !text.is_empty() && !text.contains(|c: char| c.is_control() || c == '`' || hidden(c))
}

/// Whether this can name an image. A blank or a sign of the shell is what remains of a template
/// that was not filled in.
pub(super) fn is_image(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@');
    !text.is_empty() && text.chars().all(word)
}

/// Labels as Kubernetes takes them.
pub(super) fn labels(map: &IndexMap<String, String>, place: Place<'_>, diags: &mut Diagnostics) {
    for (key, value) in map {
        let place = place.get(key);
        if let Err(reason) = qualified_name(key) {
            diags
                .error(Code::InvalidLabel, format!("`{}` cannot be the key of a label", shortened(key)))
                .at(place.key(), "")
                .help(reason);
        }
        let edge = |c: char| c.is_ascii_alphanumeric();
        let fits = value.is_empty()
            || value.len() <= MAX_LABEL
                && value.starts_with(edge)
                && value.ends_with(edge)
                && value.chars().all(|c| edge(c) || matches!(c, '-' | '_' | '.'));
        if !fits {
            diags
                .error(Code::InvalidLabel, format!("`{}` cannot be the value of a label", shortened(value)))
                .at(place.value(), "")
                .help("at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends");
        }
    }
}

/// Annotations: the keys are restricted, the values are not.
pub(super) fn annotations(map: &IndexMap<String, String>, place: Place<'_>, diags: &mut Diagnostics) {
    for key in map.keys() {
        if let Err(reason) = qualified_name(key) {
            diags
                .error(Code::InvalidLabel, format!("`{}` cannot be the key of an annotation", shortened(key)))
                .at(place.get(key).key(), "")
                .help(reason);
        }
    }
}

fn qualified_name(key: &str) -> Result<(), &'static str> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if prefix.is_some_and(|it| !is_dns_name(it)) {
        return Err("what stands before the `/` is a DNS name: `example.com/team`");
    }
    let edge = |c: char| c.is_ascii_alphanumeric();
    if name.is_empty() || name.len() > MAX_LABEL || !name.starts_with(edge) || !name.ends_with(edge) {
        return Err("a key has 1 to 63 characters, behind a `/` if there is one, and a letter or digit at both ends");
    }
    if !name.chars().all(|c| edge(c) || matches!(c, '-' | '_' | '.')) {
        return Err("a key is letters, digits, `-`, `_` and `.`, with at most one `/` behind a DNS name");
    }
    Ok(())
}
