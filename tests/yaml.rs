//! What we write is read alike by YAML 1.1 and YAML 1.2.
//!
//! The 1.2 reader is `serde_yaml`. The 1.1 reader is a parser without opinion on types and, for
//! plain scalars, the regular expressions of the YAML 1.1 type repository, of `PyYAML` and of
//! go-yaml, which `kubectl` and `kustomize` read with. Whatever one of them takes for something
//! else than text must not stand plain where text is meant.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use regex_lite::Regex;
use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_yaml::{Mapping, Value};

use crate::support;

/// Type of a plain scalar to its expression; the first that matches names the type.
const TYPES: [(&str, &str); 8] = [
    ("null", r"^(~|null|Null|NULL|)$"),
    ("bool", r"^(y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$"),
    ("int", r"^[-+]?(0b[01_]+|0o?[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*(:[0-5]?[0-9])+)$"),
    ("float", r"^[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?$"),
    ("float", r"^[-+]?([0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+|[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*|[0-9][0-9_]*)$"),
    ("float", r"^([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"),
    ("timestamp", r"^[0-9][0-9][0-9][0-9]-[0-9][0-9]?-[0-9][0-9]?([Tt ].*)?$"),
    ("merge or value", r"^(<<|=)$"),
];

static EXPRESSIONS: LazyLock<Vec<(&str, Regex)>> =
    LazyLock::new(|| TYPES.map(|(name, it)| (name, Regex::new(it).expect("an expression of this file"))).into());

/// What YAML 1.1 makes of a plain scalar, if not text.
fn type_1_1(plain: &str) -> Option<&'static str> {
    EXPRESSIONS.iter().find(|(_, it)| it.is_match(plain)).map(|(name, _)| *name)
}

/// Reads documents as YAML 1.1.
fn read_1_1(text: &str) -> Vec<Value> {
    let mut documents = Vec::new();
    let mut events = Parser::new_from_str(text).map(|it| it.expect("our own YAML parses").0);
    while let Some(event) = events.next() {
        if matches!(event, Event::DocumentStart(_)) {
            let first = events.next().expect("a document has a value");
            documents.push(value(first, &mut events));
        }
    }
    documents
}

fn value<'a>(event: Event<'a>, events: &mut impl Iterator<Item = Event<'a>>) -> Value {
    match event {
        Event::Scalar(text, ScalarStyle::Plain, ..) => match type_1_1(&text) {
            None => Value::String(text.into_owned()),
            Some("null") => Value::Null,
            Some("bool") if text == "true" || text == "false" => Value::Bool(text == "true"),
            Some("int") if text.parse::<i64>().is_ok_and(|it| it.to_string() == text) => {
                Value::Number(text.parse::<i64>().expect("checked").into())
            }
            // Anything else would differ from 1.2, and the comparison shows it.
            Some(other) => Value::String(format!("!!{other} {text}")),
        },
        Event::Scalar(text, ..) => Value::String(text.into_owned()),
        Event::SequenceStart(..) => {
            let mut list = Vec::new();
            loop {
                match events.next().expect("a list ends") {
                    Event::SequenceEnd => return Value::Sequence(list),
                    event => list.push(value(event, events)),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut map = Mapping::new();
            loop {
                match events.next().expect("a map ends") {
                    Event::MappingEnd => return Value::Mapping(map),
                    event => {
                        let key = value(event, events);
                        let next = events.next().expect("a key has a value");
                        assert!(map.insert(key, value(next, events)).is_none(), "a key stands twice");
                    }
                }
            }
        }
        other => panic!("we write no {other:?}"),
    }
}

fn read_1_2(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text)
        .map(|it| serde::Deserialize::deserialize(it).unwrap_or_else(|error| panic!("{error}\n{text}")))
        .collect()
}

/// Both readers, which must agree.
fn read(text: &str) -> Vec<Value> {
    let new = read_1_2(text);
    assert_eq!(read_1_1(text), new, "YAML 1.1 and 1.2 disagree on\n{text}");
    new
}

const TRAPS: [&str; 74] = [
    "",
    "no",
    "NO",
    "n",
    "N",
    "y",
    "Yes",
    "on",
    "Off",
    "true",
    "False",
    "null",
    "Null",
    "~",
    "12:30",
    "1:2",
    "12:30:45",
    "190:20:30.15",
    "1e3",
    "1E3",
    "1e+3",
    "1.5e3",
    "0o7",
    "0o755",
    "0755",
    "08",
    "0x1F",
    "0b11",
    "1_000",
    "1,000",
    "_1",
    "+1",
    "-1",
    "-0",
    "1",
    "1.",
    ".5",
    "-.5",
    "1.5",
    "1.20",
    ".inf",
    "-.INF",
    ".NaN",
    "2001-01-01",
    "2001-1-1",
    "2001-12-14t21:59:43.10-05:00",
    "2001-12-14 21:59:43",
    "=",
    "<<",
    "-",
    "--",
    "---",
    "...",
    "- a",
    "-a",
    "?",
    ": a",
    "a: b",
    "a:",
    "a #b",
    "#a",
    "*a",
    "&a",
    "!a",
    "|",
    ">",
    "%a",
    "@a",
    "`a`",
    "{a}",
    "[a]",
    "a, b",
    "'",
    "\"",
];

#[test]
fn traps_are_quoted() {
    for text in TRAPS {
        assert_eq!(read(&format!("{}\n", meshlatch::yaml::scalar(text))), [Value::String(text.into())]);
        let map = BTreeMap::from([(text, text)]);
        assert_eq!(read(&meshlatch::yaml::to_string(&map)), [serde_yaml::to_value(&map).expect("a map of text")]);
    }
}

#[test]
fn what_people_leave_plain_stays_plain() {
    let plain = [
        "adservice.default.global",
        "34.70.9.157",
        "240.0.0.0/16",
        "gcr.io/google-samples/adservice:v0.3.4",
        "/bin/grpc_health_probe",
        "-addr=:9555",
        "--flag",
        "us-central1/us-central1-b",
        "200m",
        "64Mi",
        "STATIC",
        "security.istio.io/v1beta1",
        "shop_session-id=x-readiness-probe",
        "v0.3.4",
        "5s",
        "a b",
        "productcatalogservice.default.global:3550",
    ];
    for text in plain {
        assert_eq!(meshlatch::yaml::scalar(text), text);
    }
}

#[test]
fn the_reader_of_1_1_sees_traps() {
    // The check above is worth what this reader catches.
    for plain in ["no", "12:30", "1e3", "0o7", "2001-01-01", "1_000", "=", "~", "0755"] {
        assert!(type_1_1(plain).is_some(), "{plain}");
        assert_ne!(read_1_1(&format!("{plain}\n")), [Value::String(plain.into())]);
    }
}

#[test]
fn every_golden_file_is_read_alike() {
    let mut files = 0;
    for (_, folder) in support::golden_cases() {
        for (name, text) in support::read_tree(&folder.join("out")) {
            if name.ends_with(".yaml") {
                read(&text);
                files += 1;
            }
            assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{name} ends in one newline");
            assert!(!text.contains('\r') && !text.contains('\t'), "{name}");
            assert!(text.lines().all(|line| !line.ends_with(' ')), "{name} has spaces at the end of a line");
        }
    }
    assert!(files > 100, "only {files} files");
}

/// Text of the characters that matter, or a trap with something before or behind.
fn text() -> impl Strategy<Value = String> {
    let nasty = proptest::collection::vec(
        proptest::sample::select(" \t\n\r:#-?,[]{}&*!|>'\"%@`~=<.+_/\\0123456789eExXoObBinfaNyYtTé\u{85}\u{2028}\u{202e}\u{feff}\u{7f}\u{1f600}".chars().collect::<Vec<_>>()),
        0..12,
    )
    .prop_map(|it| it.into_iter().collect::<String>());
    let trap = (proptest::sample::select(TRAPS.to_vec()), "[ -~]{0,2}", "[ -~]{0,2}")
        .prop_map(|(trap, a, b)| format!("{a}{trap}{b}"));
    prop_oneof![nasty, trap, any::<String>()]
}

fn structure() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        text().prop_map(Value::String),
        any::<i64>().prop_map(|it| Value::Number(it.into())),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Sequence),
            proptest::collection::vec((text(), inner), 0..4).prop_map(|it| Value::Mapping(
                it.into_iter().map(|(key, value)| (Value::String(key), value)).collect()
            )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_text_survives(text in text()) {
        let scalar = meshlatch::yaml::scalar(&text);
        prop_assert!(!scalar.contains('\n'));
        prop_assert_eq!(read(&format!("key: {scalar}\n")), read(&format!("key: {scalar} # a comment\n")));
        let found = read(&format!("- {scalar}\n"));
        prop_assert_eq!(&found[0][0], &Value::String(text));
    }

    #[test]
    fn every_structure_survives(value in structure()) {
        let text = meshlatch::yaml::to_string(&value);
        prop_assert!(text.ends_with('\n') && !text.ends_with("\n\n"));
        prop_assert_eq!(read(&text), vec![value], "{}", text);
    }
}
