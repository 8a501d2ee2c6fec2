//! The one emitter of YAML: text that YAML 1.1 and 1.2 readers understand alike.
//!
//! Kubernetes tools read YAML 1.1, where `no`, `12:30`, `1e3`, `0o7` and `2001-01-01` are not
//! text. A scalar stays plain only if no reader could take it for anything else.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde::ser::{self, Serialize};

/// A value in block style, with one newline at the end. Lists stand under their key, as `kubectl`
/// prints them.
///
/// # Panics
/// When a type has no form in YAML, which is a mistake in this program.
#[must_use]
pub fn to_string<T: Serialize>(value: &T) -> String {
    let mut out = String::new();
    value.serialize(Emitter { out: &mut out, indent: 0, at: At::Top }).expect("a manifest is maps, lists and scalars");
    out
}

/// A text as a scalar on one line.
#[must_use]
pub fn scalar(text: &str) -> Cow<'_, str> {
    if is_plain(text) { Cow::Borrowed(text) } else { Cow::Owned(quoted(text)) }
}

/// Whether every reader takes these characters, unquoted, for text.
fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '-');
    let inner = |c: char| word(c) || matches!(c, ':' | ' ' | '=' | '+' | '@' | ',' | ';' | '(' | ')' | '$' | '~');
    let starts = first.is_ascii_alphabetic()
        || matches!(first, '_' | '/')
        || first.is_ascii_digit()
        || (matches!(first, '-' | '.')
            && text[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '-' | '/' | '_')));
    starts
        && text.chars().all(inner)
        && !text.ends_with([':', ' '])
        && !text.contains(": ")
        && !text.starts_with("---")
        && !is_word_of_yaml(text)
        && !looks_like_number(text)
}

/// Booleans and nothing, in the spellings of YAML 1.1; its one-letter ones too.
fn is_word_of_yaml(text: &str) -> bool {
    const WORDS: [&str; 11] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", ".inf", ".nan"];
    text.len() <= 5 && WORDS.iter().any(|word| text.trim_start_matches(['-', '+']).eq_ignore_ascii_case(word))
}

/// Whether any reader could see a number, a sexagesimal or a date. An IPv4 address is none.
fn looks_like_number(text: &str) -> bool {
    let body = text.trim_start_matches(['-', '+', '.']);
    let Some(first) = body.chars().next().filter(char::is_ascii_digit) else { return false };
    if first == '0'
        && text.len() > 1
        && body.as_bytes().get(1).is_some_and(|b| matches!(b, b'x' | b'X' | b'o' | b'O' | b'b' | b'B'))
    {
        return true;
    }
    let date = body.len() >= 8 && body.bytes().take(4).all(|b| b.is_ascii_digit()) && body.as_bytes()[4] == b'-';
    // Letters that stand in exponents; any other letter or a slash makes it text.
    let numeric = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '_' | ':' | '-' | '+' | 'e' | 'E' | ' ');
    date || (body.chars().all(numeric) && !is_ipv4(text))
}

fn is_ipv4(text: &str) -> bool {
    text.parse::<std::net::Ipv4Addr>().is_ok()
}

fn quoted(text: &str) -> String {
    let printable = |c: char| (' '..='~').contains(&c) || c.is_alphanumeric();
    if text.contains(['"', '\\']) && !text.contains('\'') && text.chars().all(printable) {
        return format!("'{text}'");
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        // Writing to a `String` cannot fail.
        let _ = match c {
            '"' => out.write_str("\\\""),
            '\\' => out.write_str("\\\\"),
            '\n' => out.write_str("\\n"),
            '\t' => out.write_str("\\t"),
            '\r' => out.write_str("\\r"),
            c if printable(c) => out.write_char(c),
            c if u32::from(c) <= 0xff => write!(out, "\\x{:02x}", u32::from(c)),
            c if u32::from(c) <= 0xffff => write!(out, "\\u{:04x}", u32::from(c)),
            c => write!(out, "\\U{:08x}", u32::from(c)),
        };
    }
    out.push('"');
    out
}

/// Whether a text can stand as a literal block: lines of plain characters, readable as they are.
fn is_block(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\n'])
        && !text.ends_with("\n\n")
        && text.lines().all(|line| {
            !line.ends_with([' ', '\t'])
                && line.chars().all(|c| (' '..='~').contains(&c) || c == '\t' || c.is_alphanumeric())
        })
        && !text.lines().any(|line| line.starts_with('\t'))
        && !text.contains('\r')
}

/// Where the value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// At the beginning of the document.
    Top,
    /// Behind a key and its colon.
    Key,
    /// Behind the dash of a list.
    Dash,
    /// It is a key itself: a scalar on one line.
    Name,
}

struct Emitter<'a> {
    out: &'a mut String,
    /// The indentation of the key or dash before the value.
    indent: usize,
    at: At,
}

impl<'a> Emitter<'a> {
    fn plain(self, value: impl fmt::Display) -> Result<(), Error> {
        if self.at == At::Key {
            self.out.push(' ');
        }
        writeln!(self.out, "{value}").map_err(ser::Error::custom)
    }

    fn block(self, text: &str) {
        if self.at == At::Key {
            self.out.push(' ');
        }
        self.out.push_str(if text.ends_with('\n') { "|\n" } else { "|-\n" });
        let indent = if self.at == At::Top { 2 } else { self.indent + 2 };
        for line in text.lines() {
            if !line.is_empty() {
                self.out.extend(std::iter::repeat_n(' ', indent));
                self.out.push_str(line);
            }
            self.out.push('\n');
        }
    }

    fn list(self) -> List<'a> {
        let indent = match self.at {
            At::Top => 0,
            At::Key => self.indent,
            At::Dash | At::Name => self.indent + 2,
        };
        List { out: self.out, indent, at: self.at, empty: true }
    }

    fn map(self) -> Map<'a> {
        let indent = if self.at == At::Top { 0 } else { self.indent + 2 };
        Map { out: self.out, indent, at: self.at, empty: true }
    }
}

struct List<'a> {
    out: &'a mut String,
    indent: usize,
    at: At,
    empty: bool,
}

impl List<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        begin(self.out, self.at, self.indent, self.empty);
        self.empty = false;
        self.out.push_str("- ");
        value.serialize(Emitter { out: self.out, indent: self.indent, at: At::Dash })
    }

    fn finish(self) {
        if self.empty {
            self.out.push_str(if self.at == At::Key { " []\n" } else { "[]\n" });
        }
    }
}

struct Map<'a> {
    out: &'a mut String,
    indent: usize,
    at: At,
    empty: bool,
}

impl Map<'_> {
    fn key(&mut self, key: &str) {
        begin(self.out, self.at, self.indent, self.empty);
        self.empty = false;
        self.out.push_str(&scalar(key));
        self.out.push(':');
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(Emitter { out: self.out, indent: self.indent, at: At::Key })
    }

    fn finish(self) {
        if self.empty {
            self.out.push_str(if self.at == At::Key { " {}\n" } else { "{}\n" });
        }
    }
}

/// The first element of a structure behind a key starts a line; behind a dash it stays on the line.
fn begin(out: &mut String, at: At, indent: usize, first: bool) {
    match (at, first) {
        (At::Key, true) => out.push('\n'),
        (At::Dash, true) => return,
        _ => {}
    }
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Why a value has no form in YAML.
#[derive(Debug)]
struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

macro_rules! plain {
    ($($method:ident($type:ty))*) => {
        $(fn $method(self, value: $type) -> Result<(), Error> {
            self.plain(value)
        })*
    };
}

impl<'a> ser::Serializer for Emitter<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = List<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = ser::Impossible<(), Error>;
    type SerializeMap = Map<'a>;
    type SerializeStruct = Map<'a>;
    type SerializeStructVariant = ser::Impossible<(), Error>;

    plain! {
        serialize_bool(bool)
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        if value.is_finite() { self.plain(value) } else { Err(ser::Error::custom("a number that JSON does not have")) }
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        if self.at != At::Name && is_block(value) {
            self.block(value);
            return Ok(());
        }
        self.plain(scalar(value))
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Error> {
        Err(ser::Error::custom("bytes"))
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.plain("null")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.plain("null")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.plain("null")
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(ser::Error::custom("a variant with a value"))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'a>, Error> {
        Ok(self.list())
    }

    fn serialize_tuple(self, _: usize) -> Result<List<'a>, Error> {
        Ok(self.list())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'a>, Error> {
        Ok(self.list())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(ser::Error::custom("a variant with values"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Map<'a>, Error> {
        Ok(self.map())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Map<'a>, Error> {
        Ok(self.map())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(ser::Error::custom("a variant with fields"))
    }
}

macro_rules! list {
    ($($trait:ident $method:ident)*) => {
        $(impl ser::$trait for List<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.element(value)
            }

            fn end(self) -> Result<(), Error> {
                self.finish();
                Ok(())
            }
        })*
    };
}

list! { SerializeSeq serialize_element SerializeTuple serialize_element SerializeTupleStruct serialize_field }

impl ser::SerializeMap for Map<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        // Emitted as a value, whose newline is taken back.
        begin(self.out, self.at, self.indent, self.empty);
        self.empty = false;
        let start = self.out.len();
        key.serialize(Emitter { out: self.out, indent: self.indent, at: At::Name })?;
        if self.out.pop() != Some('\n') || self.out[start..].contains('\n') {
            return Err(ser::Error::custom("a key of several lines"));
        }
        self.out.push(':');
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish();
        Ok(())
    }
}

impl ser::SerializeStruct for Map<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        self.key(key);
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish();
        Ok(())
    }
}
