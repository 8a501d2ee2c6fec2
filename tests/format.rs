//! `format`: the spelling becomes uniform, and nothing else changes.

use meshlatch::diag::{Code, Diagnostics};
use meshlatch::format::{difference, format};
use meshlatch::source::Source;
use proptest::prelude::*;
use serde_yaml::Value;

use crate::hostile::damaged;
use crate::made::{Line, made};
use crate::support;

/// The uniform spelling, or what is said of the text.
fn formatted(text: &str) -> Result<String, (Vec<Code>, String)> {
    let source = Source::new("topology.yaml", text);
    let mut diags = Diagnostics::new();
    format(&source, &mut diags)
        .map_err(|_| (diags.sorted().iter().map(|it| it.code).collect(), support::said(&diags, &source)))
}

/// A text's values in their order; maps of YAML's readers compare without it.
fn values(text: &str) -> String {
    format!("{:?}", serde_yaml::from_str::<Value>(text).expect("it is YAML"))
}

/// Formats, and looks by other means than the formatter's own whether the text says the same.
#[track_caller]
fn says_the_same(text: &str) -> String {
    let once = formatted(text).unwrap_or_else(|(_, said)| panic!("{said}\n{text}"));
    assert_eq!(values(&once), values(text), "{text}\nbecomes\n{once}");
    assert_eq!(marks(&once), marks(text), "{text}\nbecomes\n{once}");
    assert_eq!(formatted(&once).as_ref(), Ok(&once), "twice is once");
    assert!(once.ends_with('\n') && !once.ends_with("\n\n"), "it ends in one end of line");
    once
}

/// The comments that these tests write, `#17`, in the order of the text.
fn marks(text: &str) -> Vec<&str> {
    let numbers = text.split('#').skip(1).map(|it| it.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
    numbers.filter(|it| !it.is_empty()).collect()
}

#[test]
fn every_topology_of_the_project_says_the_same() {
    let mut texts = vec![support::root().join("topology.yaml"), support::root().join("src/bin/meshlatch/init.yaml")];
    texts.extend(support::golden_cases().into_iter().map(|it| it.1.join("topology.yaml")));
    for path in texts {
        says_the_same(&std::fs::read_to_string(path).expect("it is there"));
    }
}

#[test]
fn every_fixture_says_the_same_or_is_left_alone() {
    let folder = support::root().join("tests/diagnostics");
    let (mut well, mut refused) = (0, Vec::new());
    for (name, _) in support::read_tree(&folder).into_iter().filter(|it| it.0.ends_with(".yaml")) {
        let Ok(text) = String::from_utf8(std::fs::read(folder.join(&name)).expect("it is there")) else { continue };
        match formatted(&text) {
            Ok(_) => {
                says_the_same(&text);
                well += 1;
            }
            Err((codes, _)) if codes.contains(&Code::NotFormattable) => refused.push(name),
            Err(_) => {}
        }
    }
    assert!(well > 200, "{well}");
    assert_eq!(refused, ["t0102_wrong_type_nothing.yaml", "t1401_not_formattable.yaml"]);
}

const MESSY: &str = r#"# one

#two
version:   1   # three


# four
allow:  # five
# six
- T0306   # seven
  # eight
-   T1001
clusters:
      east: { istio : '1.31.0',gateway:    1.2.3.4 }   # nine
      west: {istio: "1.31.0", # ten
        gateway: [1.2.3.5,
           1.2.3.6, ]}
services:
  cart:
      clusters: &both [ east , west ]
      workload:
        args:
        - |  # eleven
            # no comment
            text  
              more
        - >-

          folded

          text
        - 'it''s # no comment'
        - "tab\t" 
        - plain  text
      # twelve
  # thirteen
  web: {clusters: *both, labels: {"no": yes, a: "1.20", b: 1.20, c: ~, d: !!str 12}}
# fourteen
"#;

#[test]
fn spelling_becomes_uniform_and_comments_stay() {
    let made = r#"# one

#two
version: 1 # three

# four
allow: # five
  # six
  - T0306 # seven
  # eight
  - T1001
clusters:
  east: {istio: "1.31.0", gateway: 1.2.3.4} # nine
  west: {
    istio: "1.31.0", # ten
    gateway: [1.2.3.5, 1.2.3.6]
  }
services:
  cart:
    clusters: &both [east, west]
    workload:
      args:
        - | # eleven
          # no comment
          text  
            more
        - >-

          folded

          text
        - 'it''s # no comment'
        - "tab\t"
        - plain  text
    # twelve
  # thirteen
  web: {clusters: *both, labels: {"no": yes, a: "1.20", b: 1.20, c: ~, d: !!str 12}}
# fourteen
"#;
    assert_eq!(says_the_same(MESSY), made);
}

#[test]
fn line_ends_stay_and_a_last_one_comes() {
    let text = "version: 1\nclusters:\n    east:   {istio: '1.31.0'} # c\n    west: {istio: \"1.31.0\"}\nx:\n- |\n    a\n\n    b\n";
    let made = says_the_same(text);
    let windows = formatted(&text.replace('\n', "\r\n")).expect("it is YAML");
    assert_eq!(windows, made.replace('\n', "\r\n"));
    assert_eq!(formatted(&windows).as_ref(), Ok(&windows));
    let text = text.replace("x:\n- |\n    a\n\n    b\n", "x:  1\n");
    assert_eq!(says_the_same(text.trim_end_matches('\n')), says_the_same(&text));
}

#[test]
fn what_no_topology_could_be_is_told_and_not_formatted() {
    for (text, code) in [
        ("a: [", Code::InvalidYaml),
        ("", Code::EmptyFile),
        ("a: 1\na: 2\n", Code::DuplicateKey),
        ("- a\n", Code::WrongType),
        ("a: 1\n---\nb: 2\n", Code::SeveralDocuments),
        // What the library does not understand as every reader does.
        ("a: {b: }\n", Code::NotFormattable),
        ("a: |+\n  text\n\n\nb: 1\n", Code::NotFormattable),
        ("a: |\n  text", Code::NotFormattable),
    ] {
        assert_eq!(formatted(text).expect_err(text).0, [code], "{text:?}");
    }
    // What a topology says wrong is no matter here.
    assert_eq!(
        formatted("services:   {cart: {clusters: nowhere}}\n").as_deref(),
        Ok("services: {cart: {clusters: nowhere}}\n")
    );
    // As deep as a topology may be.
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        says_the_same(&format!("x: {}b{}\n", open.repeat(62), close.repeat(62)));
    }
}

#[test]
fn every_difference_is_seen() {
    let text = "a: &x 1 # one\nb: [*x, \"2\"] # two\nc: !!str 3\n# three\nd: |\n  text\n# four\ne: {f: 'g'}\n";
    assert_eq!(difference(text, text), None);
    assert_eq!(difference(text, &text.replace("'g'", "\"g\"").replace("[*x, \"2\"]", "\n  - *x\n  - \"2\"")), None);
    let changes = [
        (" # one", "", "# one"),
        ("# two", "# twice", "# two"),
        (" # two\nc: !!str 3\n# three", "\nc: !!str 3\n# two\n# three", "# two"),
        ("# three\nd: |", "d: | # three", "# three"),
        ("\"2\"", "2", "\"2\""),
        ("!!str 3", "3", "!!str 3"),
        ("!!str 3", "!!int 3", "!!str 3"),
        ("&x 1", "1", "&x"),
        ("*x", "1", "*x"),
        ("  text\n", "  text \n", "text"),
        ("d: |", "d: |-", "text"),
        ("# four\n", "", "# four"),
        ("d: |", "d: | # five", "text"),
        ("{f: 'g'}", "[f, 'g']", "{f"),
        ("e: {f: 'g'}\n", "", "# four"),
        ("c: !!str 3\n", "c: !!str 3\nx: y\n", "# three"),
        (" # one\nb", "\n# one\nb", "# one"),
        ("# three", "   # three", ""),
        ("c: !!str 3", "c:\n- !!str 3", "!!str 3"),
        ("{f: 'g'}", "{f: 'g'", "}"),
    ];
    for (old, new, place) in changes {
        let other = text.replacen(old, new, 1);
        assert_ne!(other, text, "{old}");
        if place.is_empty() {
            assert_eq!(difference(text, &other), None, "{new}");
            continue;
        }
        let at = difference(text, &other).unwrap_or_else(|| panic!("`{new}` for `{old}` is not seen"));
        assert!(text[at..].starts_with(place), "`{new}` for `{old}` is seen at `{}`", &text[at..]);
    }
}

/// A value with comments wherever one may stand, as lines at an indentation of its own.
fn value(indent: usize, depth: u32) -> BoxedStrategy<Vec<String>> {
    let own = " ".repeat(indent);
    let scalar = prop_oneof![
        Just("plain"),
        Just("'single'"),
        Just("\"double # none\""),
        Just("1.20"),
        Just("\"1.20\""),
        Just("~"),
        Just("'it''s'"),
        Just("ünïcödé 漢字"),
        Just("{a:   1,b: [ c, 'd' ]}"),
        Just("[x,y ,  z,]"),
        Just("\"a very long text of many words that goes on and on and on\""),
        Just(
            "{k: \"a very long text of many words\", l: \"another very long text\", m: [\"and one\", \"and one more of them\"]}"
        ),
    ];
    let scalar = (scalar, 1usize..4).prop_map(|(it, spaces)| vec![format!("{}{it}", " ".repeat(spaces))]);
    let block = {
        let own = own.clone();
        (prop_oneof![Just("|"), Just(">-"), Just(">"), Just("|-")], any::<bool>()).prop_map(move |(head, more)| {
            let mut lines =
                vec![format!(" {head}@"), format!("{own}text # none"), String::new(), format!("{own}  deeper")];
            if more {
                lines.push(format!("{own}end"));
            }
            lines
        })
    };
    if depth == 0 {
        return prop_oneof![3 => scalar, 1 => block].boxed();
    }
    let entry = (any::<bool>(), 0usize..3, value(indent + 2, depth - 1));
    let nested = prop::collection::vec(entry, 1..4).prop_flat_map(move |entries| {
        let own = own.clone();
        any::<bool>().prop_map(move |list| {
            let mut lines = vec!["@".to_owned()];
            for (index, (comment, blank, value)) in entries.iter().enumerate() {
                lines.extend(vec![String::new(); *blank]);
                if *comment {
                    lines.push(format!("{own}@"));
                }
                let head = if list { format!("{own}-") } else { format!("{own}k{index}:") };
                // A map in a list begins on the line below.
                lines.push(format!("{head}{}@", value[0].trim_end_matches('@')));
                lines.extend(value[1..].iter().cloned());
            }
            lines
        })
    });
    prop_oneof![1 => scalar, 1 => block, 4 => nested].boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn comments_stay_between_the_same_values(lines in value(2, 3), windows in any::<bool>(), drop in 1usize..5) {
        // Every `@` may become a comment with a number of its own.
        let mut text = String::new();
        for (number, line) in std::iter::once(format!("version: 1\ntop:{}", lines[0])).chain(lines[1..].to_vec()).enumerate() {
            let comment = if number % drop == 0 { format!("  #{number} c") } else { String::new() };
            let line = line.replace('@', &comment);
            text += &(if line.trim().is_empty() { String::new() } else { line });
            text.push('\n');
        }
        if serde_yaml::from_str::<Value>(&text).is_ok() {
            match formatted(&text) {
                Ok(_) => {
                    says_the_same(&text);
                }
                Err((codes, said)) => prop_assert!(false, "{:?}\n{}\n{}", codes, said, text),
            }
            if windows {
                let made = formatted(&text.replace('\n', "\r\n"));
                prop_assert_eq!(made.map(|it| it.replace("\r\n", "\n")), formatted(&text));
            }
        }
    }

    #[test]
    fn a_damaged_topology_is_told_or_says_the_same(bytes in damaged(MESSY.to_owned())) {
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        if formatted(&text).is_ok() {
            says_the_same(&text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(8) })]

    #[test]
    fn a_formatted_topology_compiles_to_the_same_bytes(made in made(Line::New, 1).prop_map(crate::made::Made::granted)) {
        let text = made.yaml();
        let made = says_the_same(&text);
        prop_assert_eq!(support::tree(&support::compile(&made)), support::tree(&support::compile(&text)));
    }
}
