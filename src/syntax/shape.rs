//! Reads a value into a serde type and tells where its shape is wrong.
//!
//! serde stops at the first error. Here the value that caused it is set aside and the rest is
//! read again, until all that can be said of one entry has been said. Unknown fields are seen
//! through the list of names that every struct hands to its deserializer, Kubernetes' own
//! structs included.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, Expected, IntoDeserializer, Unexpected, Visitor};
use serde_yaml::Value;

use super::tree::{Place, Shape};
use crate::diag::{Code, Diagnostics, nearest};
use crate::source::{Source, Span};

/// The name under which [`Short`] asks for "text or a map".
const SHORT: &str = "$meshlatch::Short";
/// The name under which [`Many`] asks for "one or a list".
const MANY: &str = "$meshlatch::Many";

/// No entry of a topology is worth more messages than this.
const MAX_ERRORS_AN_ENTRY: usize = 20;

/// A value that has a short form, one word, and a long one, a map.
#[derive(Debug, Clone)]
pub enum Short<T> {
    /// The word.
    Text(String),
    /// The map; later stages keep it without a copy.
    Full(Arc<T>),
}

/// One value or a list of them.
#[derive(Debug, Clone)]
pub struct Many<T>(pub Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Reads `value`, which stands at `place`; `None` after saying why not.
pub(super) fn read<'a, T: Deserialize<'a>>(
    source: &'a Source,
    value: &'a Value,
    place: Place<'a>,
    diags: &mut Diagnostics,
) -> Option<T> {
    let context = Context { source, unknown: RefCell::default(), aside: RefCell::default(), last: Cell::default() };
    let mut errors = 0;
    let result = loop {
        match T::deserialize(De { value, place, context: &context }) {
            Ok(value) => break Some(value),
            Err(error) => {
                errors += 1;
                let (span, culprit) = context.last.take().unwrap_or((place.value(), place.identity().addr()));
                // A field is missing because its value was wrong or its name misspelt: that is said where it stands.
                let follows = error
                    .missing
                    .is_some_and(|field| context.misses_something(place, culprit) || context.misspells(field, culprit));
                if !follows {
                    let code = if error.missing.is_some() { Code::MissingField } else { Code::WrongType };
                    diags.error(code, &*error.message).at(span, "").help_if(error.help);
                }
                let new = context.aside.borrow_mut().insert(culprit);
                if !new || culprit == place.identity().addr() || errors >= MAX_ERRORS_AN_ENTRY {
                    break None;
                }
            }
        }
    };
    let good = errors == 0 && context.unknown.borrow().is_empty();
    for unknown in context.unknown.into_inner().into_values() {
        let near = unknown.near();
        let elsewhere = elsewhere(&unknown);
        let draft =
            diags.error(Code::UnknownField, format!("there is no field `{}` here", unknown.name)).at(unknown.span, "");
        match near {
            _ if elsewhere.is_some() => draft.help_if(elsewhere),
            Some(near) => draft.help(format!("a field with a similar name exists: `{near}`")),
            None if unknown.known.len() <= 16 => draft.help(format!("the fields here are {}", listed(unknown.known))),
            None => draft.help("`kubectl explain` lists the fields that Kubernetes has here"),
        };
    }
    result.filter(|_| good)
}

/// Where a field belongs that stands a level too high, as people write it who know Kubernetes.
fn elsewhere(unknown: &Unknown) -> Option<String> {
    const WORKLOAD: [&str; 11] = [
        "image",
        "command",
        "args",
        "env",
        "resources",
        "probe",
        "readinessProbe",
        "livenessProbe",
        "startupProbe",
        "replicas",
        "terminationGracePeriodSeconds",
    ];
    const CONTAINER: [&str; 7] =
        ["envFrom", "imagePullPolicy", "lifecycle", "securityContext", "stdin", "volumeMounts", "workingDir"];
    const POD: [&str; 12] = [
        "affinity",
        "containers",
        "dnsConfig",
        "dnsPolicy",
        "hostAliases",
        "hostNetwork",
        "imagePullSecrets",
        "initContainers",
        "nodeSelector",
        "priorityClassName",
        "tolerations",
        "volumes",
    ];
    const DEPLOYMENT: [&str; 5] =
        ["minReadySeconds", "progressDeadlineSeconds", "revisionHistoryLimit", "strategy", "template"];
    let name = unknown.name.as_str();
    let below = [("container", &CONTAINER[..]), ("pod", &POD), ("deployment", &DEPLOYMENT)];
    let below = below.iter().find(|it| it.1.contains(&name)).map(|it| it.0);
    let has = |field: &str| unknown.known.contains(&field);
    if has("workload") && WORKLOAD.contains(&name) {
        Some(format!("it belongs to the workload: `workload: {{{name}: …}}`"))
    } else if has("workload") {
        below.map(|part| format!("it belongs to the {part} of the workload: `workload: {{{part}: {{{name}: …}}}}`"))
    } else if has("container") && has("pod") && has("deployment") {
        below.map(|part| format!("it belongs to the {part}: `{part}: {{{name}: …}}`"))
    } else {
        None
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

struct Unknown {
    name: String,
    span: Span,
    known: &'static [&'static str],
    /// The map it stands in, by identity.
    map: usize,
}

impl Unknown {
    /// The field that is probably meant.
    fn near(&self) -> Option<&'static str> {
        nearest(&self.name, self.known.iter().copied())
    }
}

struct Context<'a> {
    source: &'a Source,
    unknown: RefCell<std::collections::BTreeMap<Span, Unknown>>,
    /// Values that were wrong, by identity: not read again.
    aside: RefCell<BTreeSet<usize>>,
    /// The innermost place of the error on its way up.
    last: Cell<Option<(Span, usize)>>,
}

impl Context<'_> {
    fn is_aside(&self, place: Place<'_>) -> bool {
        self.aside.borrow().contains(&place.identity().addr())
    }

    /// Whether a field of the map `culprit` stands there under a name that nearly is its own.
    fn misspells(&self, field: &str, culprit: usize) -> bool {
        self.unknown.borrow().values().any(|it| it.map == culprit && it.near() == Some(field))
    }

    /// Whether a child of the value `culprit`, somewhere below `place`, was set aside.
    fn misses_something(&self, place: Place<'_>, culprit: usize) -> bool {
        let children = || place.entries().map(|(_, it)| it).chain((0..place.len()).map(move |it| place.item(it)));
        if place.identity().addr() == culprit {
            return children().any(|it| self.is_aside(it));
        }
        children().any(|it| self.misses_something(it, culprit))
    }
}

#[derive(Debug)]
struct Error {
    message: Box<str>,
    /// The field that is missing, if that is what is wrong.
    missing: Option<&'static str>,
    help: Option<String>,
}

impl Error {
    fn new(message: impl Into<Box<str>>) -> Self {
        Self { message: message.into(), missing: None, help: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = in_words(expected);
        let help = match found {
            Unexpected::Str(text) if expected.contains("number") && text.parse::<i64>().is_ok() => {
                Some(format!("write it without quotes: `{text}`"))
            }
            Unexpected::Str("true" | "false") => Some("write it without quotes".to_owned()),
            Unexpected::Str("yes" | "on" | "no" | "off") if expected.contains("`true`") => {
                Some("`yes`, `no`, `on` and `off` are text to YAML 1.2".to_owned())
            }
            Unexpected::Unit if expected.contains("text") => {
                Some("text without characters is written `\"\"`".to_owned())
            }
            _ => None,
        };
        Self { help, ..Self::new(format!("expected {expected}, found {}", found_in_words(found))) }
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let help = match nearest(variant, expected.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the choices are {}", listed(expected)),
        };
        Self { help: Some(help), ..Self::new(format!("`{variant}` is not one of the choices here")) }
    }

    fn missing_field(field: &'static str) -> Self {
        let help = match field {
            "istio" => Some("name the exact release: `istio: \"1.5.2\"`"),
            "clusters" => Some("name the clusters that run it: `clusters: [east]`"),
            "provider" => Some("say what serves the cluster's DNS: `provider: kube-dns`"),
            "hosts" => Some("name its hosts: `hosts: www.example.com`"),
            "ports" => Some("name its ports: `ports: {https: 443}`"),
            "service" => Some("name the service by its key: `service: cart`"),
            _ => None,
        };
        let help = help.map(str::to_owned);
        Self { missing: Some(field), help, ..Self::new(format!("the field `{field}` is missing")) }
    }
}

/// serde's names of Rust types in the words of a YAML file.
fn in_words(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "u8" => "a number from 0 to 255".into(),
        "u16" => "a number from 0 to 65535".into(),
        "i32" | "i64" | "a 32-bit integer" => "a whole number".into(),
        "u32" | "u64" | "usize" => "a whole number, 0 or more".into(),
        "a string" | "Quantity" => "text".into(),
        "a boolean" => "`true` or `false`".into(),
        "IntOrString" => "a number or text".into(),
        _ if text.starts_with("struct ") || text.starts_with("a map") => "a map of fields".into(),
        _ if text.starts_with("a sequence") => "a list".into(),
        // Kubernetes' structs call themselves by their name: `Container`.
        _ if text.starts_with(char::is_uppercase) => format!("the fields of a {text}"),
        _ => text,
    }
}

fn found_in_words(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("`{value}`"),
        Unexpected::Signed(value) => format!("`{value}`"),
        Unexpected::Float(value) => format!("the number `{value}`"),
        Unexpected::Str(text) => {
            let short: String = text.chars().take(40).collect();
            format!("the text `{short}`")
        }
        Unexpected::Unit | Unexpected::Option => "nothing".into(),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map => "a map".into(),
        other => other.to_string(),
    }
}

/// A value, the place where it stands, and what is known of the reading so far.
#[derive(Clone, Copy)]
struct De<'a, 'c> {
    value: &'a Value,
    place: Place<'a>,
    context: &'c Context<'a>,
}

impl<'a> De<'a, '_> {
    /// Remembers this place for the error, unless an inner place did.
    fn here<T>(self, result: Result<T, Error>) -> Result<T, Error> {
        if result.is_err() && self.context.last.get().is_none() {
            self.context.last.set(Some((self.place.value(), self.place.identity().addr())));
        }
        result
    }

    /// The characters of a number or boolean as the user wrote them: `1.20` stays `1.20`.
    fn written(self) -> &'a str {
        self.context.source.slice(self.place.scalar_span())
    }

    fn unexpected(self) -> Unexpected<'a> {
        match self.value {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(number) => number
                .as_u64()
                .map(Unexpected::Unsigned)
                .or_else(|| number.as_i64().map(Unexpected::Signed))
                .unwrap_or(Unexpected::Float(number.as_f64().unwrap_or_default())),
            Value::String(text) => Unexpected::Str(text),
            Value::Sequence(_) => Unexpected::Seq,
            Value::Mapping(_) => Unexpected::Map,
            Value::Tagged(_) => Unexpected::Other("a value with a tag"),
        }
    }

    fn fields<V: Visitor<'a>>(self, known: Option<&'static [&'static str]>, visitor: V) -> Result<V::Value, Error> {
        let Value::Mapping(mapping) = self.value else {
            let error: Error = de::Error::invalid_type(self.unexpected(), &visitor);
            let help = known.is_none().then(|| self.map_as_list()).flatten();
            return Err(Error { help: help.or(error.help), ..error });
        };
        let mut entries = Vec::with_capacity(mapping.len());
        for (name, place) in self.place.entries() {
            if let Some(known) = known
                && !known.contains(&name)
            {
                let map = self.place.identity().addr();
                let unknown = Unknown { name: name.to_owned(), span: place.key(), known, map };
                self.context.unknown.borrow_mut().insert(place.key(), unknown);
                continue;
            }
            if self.context.is_aside(place) {
                continue;
            }
            let Some(value) = mapping.get(name) else {
                self.context.last.set(Some((place.key(), place.identity().addr())));
                return Err(Error::new(format!("the key `{name}` carries a tag")));
            };
            entries.push((name, De { value, place, ..self }));
        }
        visitor.visit_map(Entries { entries: entries.into_iter(), value: None })
    }

    /// What to say of a map of names that is written as Kubernetes lists such things.
    fn map_as_list(self) -> Option<String> {
        let Value::Sequence(list) = self.value else { return None };
        let Value::Mapping(first) = list.first()? else { return None };
        first.contains_key("name").then(|| "here it is a map: `NAME: value`".to_owned())
    }

    fn elements<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Sequence(list) = self.value else {
            return Err(de::Error::invalid_type(self.unexpected(), &visitor));
        };
        let elements: Vec<_> = list
            .iter()
            .enumerate()
            .map(|(index, value)| De { value, place: self.place.item(index), ..self })
            .filter(|it| !self.context.is_aside(it.place))
            .collect();
        visitor.visit_seq(Elements(elements.into_iter()))
    }

    fn text<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Number(_) | Value::Bool(_) => visitor.visit_borrowed_str(self.written()),
            _ => Err(de::Error::invalid_type(self.unexpected(), &visitor)),
        }
    }

    /// A number without a fraction; one that no integer holds is still a number to the reader.
    fn whole<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Number(number) if number.is_f64() => {
                Err(de::Error::invalid_type(Unexpected::Other(&format!("`{}`", self.written())), &visitor))
            }
            _ => self.any(visitor),
        }
    }

    fn any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => visitor.visit_u64(value),
                (None, Some(value)) => visitor.visit_i64(value),
                // A quantity such as `1.5` or `0.10` keeps the user's digits.
                (None, None) => visitor.visit_borrowed_str(self.written()),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Sequence(_) => self.elements(visitor),
            Value::Mapping(_) => self.fields(None, visitor),
            Value::Tagged(_) => Err(de::Error::invalid_type(self.unexpected(), &visitor)),
        }
    }
}

macro_rules! forward {
    ($($method:ident => $to:ident;)*) => {
        $(fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
            self.here(self.$to(visitor))
        })*
    };
}

impl<'a> Deserializer<'a> for De<'a, '_> {
    type Error = Error;

    forward! {
        deserialize_any => any;
        deserialize_bool => any;
        deserialize_i8 => whole;
        deserialize_i16 => whole;
        deserialize_i32 => whole;
        deserialize_i64 => whole;
        deserialize_u8 => whole;
        deserialize_u16 => whole;
        deserialize_u32 => whole;
        deserialize_u64 => whole;
        deserialize_f32 => any;
        deserialize_f64 => any;
        deserialize_bytes => any;
        deserialize_byte_buf => text;
        deserialize_unit => any;
        deserialize_char => text;
        deserialize_str => text;
        deserialize_string => text;
        deserialize_identifier => text;
        deserialize_seq => elements;
    }

    fn deserialize_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.here(self.fields(None, visitor))
    }

    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.here(self.fields(Some(fields), visitor))
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        let result = match (name, self.place.shape()) {
            (SHORT, Shape::Scalar) => self.text(visitor),
            // What is a map alone, written as a list, has a help of its own.
            (SHORT, Shape::List) if self.map_as_list().is_none() => {
                Err(de::Error::invalid_type(de::Unexpected::Seq, &visitor))
            }
            (MANY, Shape::List) => self.elements(visitor),
            _ => visitor.visit_newtype_struct(self),
        };
        self.here(result)
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let result = match self.value {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(de::Error::invalid_type(self.unexpected(), &"one word")),
        };
        self.here(result)
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_tuple<V: Visitor<'a>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'a>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }
}

struct Entries<'a, 'c> {
    entries: std::vec::IntoIter<(&'a str, De<'a, 'c>)>,
    value: Option<De<'a, 'c>>,
}

impl<'a> de::MapAccess<'a> for Entries<'a, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((name, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(de::value::BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let value = self.value.take().expect("serde asks for a value after its key");
        value.here(seed.deserialize(value))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

struct Elements<'a, 'c>(std::vec::IntoIter<De<'a, 'c>>);

impl<'a> de::SeqAccess<'a> for Elements<'a, '_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(element) = self.0.next() else { return Ok(None) };
        element.here(seed.deserialize(element)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Short<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Words<T> {
            type Value = Short<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a map of fields")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Short<T>, E> {
                Ok(Short::Text(text.to_owned()))
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Short<T>, D::Error> {
                T::deserialize(deserializer).map(|it| Short::Full(Arc::new(it)))
            }
        }

        deserializer.deserialize_newtype_struct(SHORT, Words(std::marker::PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
            type Value = Many<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Many<T>, A::Error> {
                let mut values = Vec::with_capacity(list.size_hint().unwrap_or(0));
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(Many(values))
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Many<T>, D::Error> {
                T::deserialize(deserializer).map(|it| Many(vec![it]))
            }
        }

        deserializer.deserialize_newtype_struct(MANY, Elements(std::marker::PhantomData))
    }
}
