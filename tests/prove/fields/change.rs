//! `Change`: a field, an element of a list or a whole object that is dropped, or says something else.

use serde_yaml::Value;

/// What is done to an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Act {
    Drop,
    /// Of a text of several lines, only the line of this index.
    DropLine(usize),
    Change,
    ChangeLine(usize),
}

/// A change of one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Change {
    /// The way to the field; empty if it is the whole object.
    pub(super) path: Vec<String>,
    pub(super) act: Act,
}

/// Texts of which only those of a list may stand where one does.
const WORDS: [[&str; 2]; 17] = [
    ["GRPC", "HTTP"],
    ["HTTPS", "HTTP"],
    ["TLS", "TCP"],
    ["REDIS", "TCP"],
    ["MESH_EXTERNAL", "MESH_INTERNAL"],
    ["NONE", "STATIC"],
    ["MESH_INTERNAL", "MESH_EXTERNAL"],
    ["STATIC", "NONE"],
    ["DNS", "NONE"],
    ["ISTIO_MUTUAL", "SIMPLE"],
    ["AUTO_PASSTHROUGH", "PASSTHROUGH"],
    ["Passthrough", "Terminate"],
    ["STRICT", "DISABLE"],
    ["ALLOW", "DENY"],
    ["REGISTRY_ONLY", "ALLOW_ANY"],
    ["HTTP", "TCP"],
    ["TCP", "HTTP"],
];

impl Change {
    /// Every change of an object, in the order of its fields.
    pub(super) fn all(object: &Value) -> Vec<Self> {
        let mut all = Vec::new();
        walk(object, &mut Vec::new(), &mut all);
        all
    }

    /// The object with the change; `None` if nothing is left of it.
    pub(super) fn apply(&self, object: &Value) -> Option<Value> {
        let mut object = object.clone();
        let (end, way) = self.path.split_last()?;
        let parent = way.iter().fold(&mut object, |value, key| child(value, key));
        match &self.act {
            Act::Drop => match parent {
                Value::Sequence(list) => drop(list.remove(index(end))),
                Value::Mapping(map) => drop(map.remove(end.as_str())),
                other => panic!("nothing is below {other:?}"),
            },
            Act::Change => {
                let field = child(parent, end);
                *field = other(field);
            }
            Act::DropLine(at) => rewrite(child(parent, end), |lines| drop(lines.remove(*at))),
            Act::ChangeLine(at) => rewrite(child(parent, end), |lines| lines[*at] = other_text(&lines[*at])),
        }
        Some(object)
    }

    /// The way, with `*` for each index.
    pub(super) fn pattern(&self) -> String {
        let parts = self.path.iter().map(|it| if it.parse::<usize>().is_ok() { "*" } else { it });
        parts.collect::<Vec<_>>().join("/")
    }

    /// `drop` or `change`.
    pub(super) fn verb(&self) -> &'static str {
        match self.act {
            Act::Drop | Act::DropLine(_) => "drop",
            Act::Change | Act::ChangeLine(_) => "change",
        }
    }
}

fn walk(value: &Value, path: &mut Vec<String>, all: &mut Vec<Change>) {
    let mut add = |act: Act| all.push(Change { path: path.clone(), act });
    add(Act::Drop);
    match value {
        Value::Mapping(map) => {
            for (key, value) in map {
                path.push(key.as_str().expect("keys are texts").to_owned());
                walk(value, path, all);
                path.pop();
            }
        }
        Value::Sequence(list) => {
            for (index, value) in list.iter().enumerate() {
                path.push(index.to_string());
                walk(value, path, all);
                path.pop();
            }
        }
        Value::String(text) if text.lines().count() > 1 => {
            for line in 0..text.lines().count() {
                add(Act::DropLine(line));
                add(Act::ChangeLine(line));
            }
        }
        Value::Null => {}
        _ => add(Act::Change),
    }
}

fn index(key: &str) -> usize {
    key.parse().expect("elements of lists have an index")
}

fn child<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    match value {
        Value::Sequence(list) => &mut list[index(key)],
        other => other.get_mut(key).expect("the way was walked before"),
    }
}

fn rewrite(field: &mut Value, edit: impl Fn(&mut Vec<String>)) {
    let mut lines = field.as_str().expect("it is a text").lines().map(str::to_owned).collect();
    edit(&mut lines);
    *field = lines.join("\n").into();
}

fn other(value: &Value) -> Value {
    match value {
        Value::Bool(it) => (!it).into(),
        Value::Number(it) => (it.as_u64().expect("numbers are natural") + 1).into(),
        Value::String(it) => other_text(it).into(),
        other => panic!("{other:?} is no leaf"),
    }
}

/// Another text, which may stand where this does: its last letter or digit is the next.
fn other_text(text: &str) -> String {
    if let Some(words) = WORDS.iter().find(|it| it[0] == text) {
        return words[1].to_owned();
    }
    match text {
        "true" => return "false".to_owned(),
        "false" => return "true".to_owned(),
        "*" => return "nowhere".to_owned(),
        // Addresses of the mesh are of 240.0.0.0/16; another of them would do as well.
        _ if text.starts_with("240.0.") => return "127.0.0.1".to_owned(),
        _ => {}
    }
    let Some((at, last)) = text.char_indices().rfind(|it| it.1.is_ascii_alphanumeric()) else {
        return format!("{text}x");
    };
    let next = match last {
        '9' => '8',
        'z' => 'y',
        'Z' => 'Y',
        other => char::from(u8::try_from(other).expect("it is of ASCII") + 1),
    };
    format!("{}{next}{}", &text[..at], &text[at + 1..])
}
