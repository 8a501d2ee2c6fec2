//! `changed`: where a text has other values than another one, by the reader that gives the values.

use serde_yaml::Value;

use super::tree::{self, Count, Place};
use super::values;
use crate::diag::Diagnostics;
use crate::source::{Source, Span};

/// The place of the first value of a file that another text does not have; none if all are the same.
///
/// # Errors
/// When the other text cannot be read; says at which of its bytes.
pub fn changed(before: &Source, after: &str) -> Result<Option<Span>, usize> {
    let new = values(after).map_err(|error| error.location().map_or(0, |it| it.index()))?;
    let Some(file) = before.files().next() else { return Ok(None) };
    let root = tree::read(before, file, &mut Count::default(), &mut Diagnostics::new());
    let (Ok(root), Ok(old)) = (root, values(before.text())) else { return Ok(None) };
    Ok(differs(&old, &new, Place::root(&root)))
}

fn differs(old: &Value, new: &Value, place: Place<'_>) -> Option<Span> {
    match (old, new) {
        (Value::Mapping(old), Value::Mapping(new)) => {
            let entry = |name: &Value| name.as_str().map_or(place, |it| place.get(it));
            old.iter().find_map(|(name, old)| match new.get(name) {
                Some(new) => differs(old, new, entry(name)),
                None => Some(entry(name).key()),
            })
        }
        (Value::Sequence(old), Value::Sequence(new)) if old.len() == new.len() => {
            let mut pairs = old.iter().zip(new).enumerate();
            pairs.find_map(|(index, (old, new))| differs(old, new, place.item(index)))
        }
        _ => (old != new).then(|| place.value()),
    }
}
