//! How names and values of other people are shown: on one line, and nothing in them moves a terminal.

use serde_json::Value;

pub(super) use crate::diag::shown;

/// A value on one line: JSON, in which text is in quotes.
pub(super) fn inline(value: &Value) -> String {
    // Of what cannot be seen, JSON itself escapes a part.
    shown(&value.to_string())
}

/// "1 object", "2 objects".
pub(super) fn count(number: usize, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

/// "a", "a and b", "a, b and c"; of more than `most` the first ones, and how many are left.
pub(super) fn list<T: AsRef<str>>(names: &[T], most: usize) -> String {
    let all: Vec<String> = names.iter().map(|it| shown(it.as_ref())).collect();
    // One more takes no more room than to say so.
    let (first, rest) = if all.len() > most + 1 { all.split_at(most) } else { (&all[..], &[][..]) };
    match (first, rest.len()) {
        ([], 0) => "nothing".to_owned(),
        ([one], 0) => one.clone(),
        ([others @ .., last], 0) => format!("{} and {last}", others.join(", ")),
        (first, rest) => format!("{} and {rest} more", first.join(", ")),
    }
}
