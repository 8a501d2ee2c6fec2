//! `Form`: how a variable writes the address of a callee.

use crate::diag::{Code, Diagnostics, nearest};
use crate::syntax::Place;

/// Text with places for the host and the port: `http://{host}:{port}/api`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Host,
    Port,
}

impl Form {
    /// `{host}:{port}`.
    #[must_use]
    pub fn host_and_port() -> Self {
        Self(vec![Piece::Host, Piece::Text(":".into()), Piece::Port])
    }

    /// The form with its places filled.
    #[must_use]
    pub fn fill(&self, host: &str, port: u16) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Host => host.to_owned(),
                Piece::Port => port.to_string(),
            })
            .collect()
    }
}

/// Reads a form; `{{` and `}}` stand for braces.
pub(super) fn read(text: &str, place: Place<'_>, diags: &mut Diagnostics) -> Option<Form> {
    let mut refuse = |reason: String, help: Option<String>| {
        diags
            .error(Code::InvalidForm, reason)
            .at(place.value(), "")
            .help_if(help)
            .help("a form holds `{host}` and `{port}`: `http://{host}:{port}`; a brace is written twice");
    };
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
            plain.push_str(&rest[..1]);
            rest = after;
            continue;
        }
        let Some((name, after)) = rest.strip_prefix('{').and_then(|it| it.split_once('}')) else {
            refuse("a brace of the form has no partner".into(), None);
            return None;
        };
        if plain.ends_with('$') {
            let help = format!("write `{{{name}}}` alone: the compiler fills it, no shell does");
            refuse("a `$` stands before a place of the form".into(), Some(help));
            return None;
        }
        let piece = match name {
            "host" => Piece::Host,
            "port" => Piece::Port,
            _ => {
                let near = nearest(name, ["host", "port"]).map(|near| format!("did you mean `{{{near}}}`?"));
                refuse(format!("a form knows no `{{{name}}}`"), near);
                return None;
            }
        };
        pieces.extend((!plain.is_empty()).then(|| Piece::Text(std::mem::take(&mut plain))));
        pieces.push(piece);
        rest = after;
    }
    plain.push_str(rest);
    if pieces.is_empty() {
        refuse("the form has no place for the address".into(), None);
        return None;
    }
    pieces.extend((!plain.is_empty()).then_some(Piece::Text(plain)));
    Some(Form(pieces))
}
