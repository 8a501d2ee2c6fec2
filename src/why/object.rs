//! `Object`: the objects in the text of a file, and what a line of one says.

use std::ops::RangeInclusive;

use serde_yaml::Value;

/// What tells an object from others of its cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// `networking.istio.io/v1`.
    pub api_version: String,
    /// `ServiceEntry`.
    pub kind: String,
    /// Empty if it has none.
    pub namespace: String,
    /// Empty for files that merely look like an object.
    pub name: String,
}

impl Id {
    /// Whether it is the same object, be it written for another version.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let names = |it: &Self| (it.kind.clone(), it.namespace.clone(), it.name.clone());
        self.group() == other.group() && names(self) == names(other)
    }

    /// `networking.istio.io`; empty for the core of Kubernetes.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.rsplit_once('/').map_or("", |it| it.0)
    }

    /// `shop/cart`, or `cart` for what has no namespace.
    #[must_use]
    pub fn qualified(&self) -> String {
        if self.namespace.is_empty() { self.name.clone() } else { format!("{}/{}", self.namespace, self.name) }
    }
}

/// An object in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object<'a> {
    /// Its name; `None` if the text is no object.
    pub id: Option<Id>,
    /// Its lines, counted from 1, without the `---` before it.
    pub lines: RangeInclusive<usize>,
    /// Its text.
    pub text: &'a str,
}

/// The objects in a text.
#[must_use]
pub fn objects(text: &str) -> Vec<Object<'_>> {
    let mut objects = Vec::new();
    let (mut start, mut first) = (0, 1);
    let (mut at, mut line) = (0, 1);
    let mut end = |start: usize, at: usize, first: usize, line: usize| {
        let text = &text[start..at];
        if !text.trim().is_empty() {
            objects.push(Object { id: id(text), lines: first..=line - 1, text });
        }
    };
    for it in text.split_inclusive('\n') {
        if it.trim_end() == "---" {
            end(start, at, first, line);
            (start, first) = (at + it.len(), line + 1);
        }
        at += it.len();
        line += 1;
    }
    end(start, at, first, line);
    objects
}

/// The name of an object. As every bundle writes it, it is read off the lines; for any other spelling the
/// text is read as YAML.
fn id(text: &str) -> Option<Id> {
    let [mut api_version, mut kind, mut namespace, mut name] = [const { None }; 4];
    let mut in_metadata = false;
    for line in text.lines().filter(|it| !it.trim_start().starts_with('#')) {
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        match key {
            "apiVersion" => api_version = scalar(value),
            "kind" => kind = scalar(value),
            "  namespace" if in_metadata => namespace = scalar(value),
            "  name" if in_metadata => name = scalar(value),
            _ => {}
        }
        if !line.starts_with([' ', '-']) && !line.trim().is_empty() {
            in_metadata = line.trim_end() == "metadata:";
        }
    }
    if let (Some(api_version), Some(kind), Some(name)) = (api_version, kind, name) {
        return Some(Id { api_version, kind, namespace: namespace.unwrap_or_default(), name });
    }
    let value: Value = serde_yaml::from_str(text).ok()?;
    let word = |value: &Value| value.as_str().map(str::to_owned);
    let metadata = value.get("metadata");
    let named = |key: &str| metadata.and_then(|it| it.get(key)).and_then(word).unwrap_or_default();
    Some(Id {
        api_version: word(value.get("apiVersion")?)?,
        kind: word(value.get("kind")?)?,
        namespace: named("namespace"),
        name: named("name"),
    })
}

fn scalar(written: &str) -> Option<String> {
    match written.trim() {
        "" => None,
        plain if plain.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.' | b'/')) => {
            Some(plain.to_owned())
        }
        other => serde_yaml::from_str(other).ok(),
    }
}

/// Where in an object a line stands, counted from 1: `spec.endpoints[0].address`. For texts in lines, not
/// in brackets, as every bundle is.
#[must_use]
pub fn field(text: &str, line: usize) -> Option<String> {
    let mut open: Vec<(usize, Part)> = Vec::new();
    // Where a text in lines of its own began, if the line is in one.
    let mut block: Option<usize> = None;
    for text in text.lines().take(line) {
        let indent = text.len() - text.trim_start_matches(' ').len();
        let content = text.trim();
        if content.is_empty() || block.is_some_and(|it| indent > it) {
            continue;
        }
        block = None;
        if content.starts_with('#') {
            continue;
        }
        block = descend(&mut open, indent, content);
    }
    let parts = open.into_iter().map(|(_, part)| match part {
        Part::Item(index) => format!("[{index}]"),
        Part::Key(key) if key.contains(['.', '/', '[']) => format!("[\"{key}\"]"),
        Part::Key(key) => format!(".{key}"),
    });
    let path: String = parts.collect();
    (!path.is_empty()).then(|| path.trim_start_matches('.').to_owned())
}

enum Part {
    Key(String),
    Item(usize),
}

/// Goes to where a line leads; tells where the text began that follows it in lines of its own.
fn descend(open: &mut Vec<(usize, Part)>, indent: usize, content: &str) -> Option<usize> {
    if let Some(rest) = content.strip_prefix("- ").or_else(|| content.strip_prefix('-').filter(|it| it.is_empty())) {
        while open.last().is_some_and(|it| it.0 > indent) {
            open.pop();
        }
        match open.last_mut() {
            Some((at, Part::Item(index))) if *at == indent => *index += 1,
            _ => open.push((indent, Part::Item(0))),
        }
        let inner = rest.trim_start();
        return descend(open, indent + content.len() - inner.len(), inner);
    }
    let (key, value) = content.split_once(": ").or_else(|| Some((content.strip_suffix(':')?, "")))?;
    while open.last().is_some_and(|it| it.0 >= indent) {
        open.pop();
    }
    open.push((indent, Part::Key(key.trim_matches(['"', '\'']).to_owned())));
    value.trim_start().starts_with(['|', '>']).then_some(indent)
}
