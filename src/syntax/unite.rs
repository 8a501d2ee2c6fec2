//! `unite`: what several files say becomes one topology.
//!
//! Maps are united entry by entry, in the order of the files; so are the settings of `mesh`, and the
//! list `allow`. What two files say is told, with both places.

use indexmap::IndexMap;
use indexmap::map::Entry as Slot;
use serde_yaml::{Mapping, Value};

use super::tree::{Entry, Place};
use super::{MeshSpec, Part, no_names, shape};
use crate::diag::{Code, Diagnostics};
use crate::source::Source;

/// What one file says of a field at the top.
struct Said {
    entry: Entry,
    value: Value,
}

/// All parts as one; one alone stays as it is.
pub(super) fn united(source: &Source, mut parts: Vec<Part>, diags: &mut Diagnostics) -> Option<Part> {
    if parts.len() < 2 {
        return parts.pop();
    }
    let first = parts.first()?.root.clone();
    let mut fields: IndexMap<String, Vec<Said>> = IndexMap::new();
    for part in parts {
        // That it is none was told.
        let Value::Mapping(mut map) = part.value else { continue };
        for (name, entry) in part.root.entries() {
            let value = map.remove(name).filter(|it| !it.is_null());
            let said = value.map(|value| Said { entry: entry.clone(), value });
            fields.entry(name.clone()).or_default().extend(said);
        }
    }
    let mut entries = IndexMap::new();
    let mut values = Mapping::new();
    for (name, mut all) in fields {
        let said = match name.as_str() {
            _ if all.len() < 2 => all.pop(),
            "allow" => lists(all),
            "mesh" | "clusters" | "services" | "externals" | "ingress" => maps(&name, source, all, diags),
            "moving" => once(&name, all, diags),
            // Every file has its version, and was looked at for it.
            _ => all.into_iter().next(),
        };
        if let Some(Said { entry, value }) = said {
            entries.insert(name.clone(), entry);
            values.insert(Value::String(name), value);
        }
    }
    Some(Part { root: first.map(entries).into(), value: Value::Mapping(values) })
}

/// The elements of all lists in one; a single value stands for a list of one.
fn lists(all: Vec<Said>) -> Option<Said> {
    let entries: Vec<_> = all.iter().map(|it| it.entry.clone()).collect();
    let elements = |it: Said| if let Value::Sequence(list) = it.value { list } else { vec![it.value] };
    let value = Value::Sequence(all.into_iter().flat_map(elements).collect());
    Some(Said { entry: Entry::joined(&entries)?, value })
}

/// The entries of all maps in one.
fn maps(field: &str, source: &Source, all: Vec<Said>, diags: &mut Diagnostics) -> Option<Said> {
    let mut whole = None;
    let mut entries: IndexMap<String, Entry> = IndexMap::new();
    let mut values = Mapping::new();
    for Said { entry, value } in all {
        let Value::Mapping(mut map) = value else {
            if field == "mesh" {
                let _ = shape::read::<MeshSpec>(source, &value, Place::of(&entry), diags);
            } else {
                no_names(Place::of(&entry), diags);
            }
            continue;
        };
        for (name, inner) in entry.value().entries() {
            match entries.entry(name.clone()) {
                Slot::Occupied(first) => twice(field, name, inner, first.get(), diags),
                Slot::Vacant(slot) => {
                    slot.insert(inner.clone());
                    if let Some(value) = map.remove(name) {
                        values.insert(Value::String(name.clone()), value);
                    }
                }
            }
        }
        whole.get_or_insert(entry);
    }
    let whole: Entry = whole?;
    let node = whole.value().map(entries);
    Some(Said { entry: whole.holding(node), value: Value::Mapping(values) })
}

/// What only one file can say.
fn once(field: &str, all: Vec<Said>, diags: &mut Diagnostics) -> Option<Said> {
    let mut all = all.into_iter();
    let first = all.next()?;
    for other in all {
        twice("", field, &other.entry, &first.entry, diags);
    }
    Some(first)
}

fn twice(field: &str, name: &str, again: &Entry, first: &Entry, diags: &mut Diagnostics) {
    let what = match field {
        "clusters" => format!("the cluster `{name}` is declared"),
        "services" => format!("the service `{name}` is declared"),
        "externals" => format!("the external `{name}` is declared"),
        "ingress" => format!("the ingress `{name}` is declared"),
        "mesh" => format!("`{name}` of the mesh is set"),
        _ => format!("`{name}` stands"),
    };
    diags
        .error(Code::DeclaredTwice, format!("{what} in two files"))
        .at(again.key(), "here again")
        .context(first.key(), "first here")
        .help("keep one of the two; whatever one file declares, every other may name");
}
