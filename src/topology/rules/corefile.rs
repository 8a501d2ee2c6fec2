//! Corefile: as much of its syntax as tells what is served on port 53, and on which addresses.
//!
//! It splits words as CoreDNS' own reader does: a `#` begins a comment even within a word, a word
//! in quotes may hold anything, and a brace is a brace only as a word of its own.
//! `templates/dns/corefile.jq.j2` reads the same syntax; `tests/dns.rs` compares the two.

/// A block of a Corefile that serves zones.
#[derive(Debug, Default)]
pub(super) struct ServerBlock {
    /// Zones of plain DNS on port 53, in lower case and without the last dot; the root is empty.
    pub(super) zones: Vec<String>,
    /// The addresses and interfaces it listens on; empty for all.
    pub(super) bind: Vec<String>,
}

struct Word {
    text: String,
    /// The lines of its first and last character.
    first_line: usize,
    last_line: usize,
}

/// The server blocks, or what is wrong with the text.
pub(super) fn read(text: &str) -> Result<Vec<ServerBlock>, &'static str> {
    let words = words(text);
    let mut blocks = Vec::new();
    let mut snippets: Vec<(String, Vec<String>)> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let keys = keys(&words, &mut at)?;
        if keys.is_empty() {
            break;
        }
        let bind = body(&words, &mut at, &snippets)?;
        match keys[0].strip_prefix('(').and_then(|it| it.strip_suffix(')')) {
            Some(name) if keys.len() == 1 => snippets.push((name.to_owned(), bind)),
            _ => blocks.push(ServerBlock { zones: keys.iter().filter_map(|it| zone(it)).collect(), bind }),
        }
    }
    Ok(blocks)
}

/// What stands before the opening brace; empty at the end of the text.
fn keys(words: &[Word], at: &mut usize) -> Result<Vec<String>, &'static str> {
    let mut keys = Vec::new();
    let mut comma = false;
    while let Some(word) = words.get(*at) {
        match word.text.as_str() {
            "{" if keys.is_empty() || comma => return Err("a server block has no zone"),
            "{" => return Ok(keys),
            "}" => return Err("there is a closing brace too many"),
            // Another file, whose blocks cannot be seen from here.
            "import" if keys.is_empty() => *at += 1,
            // A file of one block does without braces; a second block cannot stand beside it.
            _ if !keys.is_empty() && !comma && starts_line(words, *at) => break,
            "" => {}
            text => {
                comma = text.ends_with(',');
                keys.push(text.strip_suffix(',').unwrap_or(text).to_owned());
            }
        }
        *at += 1;
    }
    if keys.is_empty() { Ok(keys) } else { Err("a server block has no braces") }
}

/// Reads past the closing brace; gives the addresses to listen on.
fn body(words: &[Word], at: &mut usize, snippets: &[(String, Vec<String>)]) -> Result<Vec<String>, &'static str> {
    let mut bind = Vec::new();
    let mut depth = 0;
    while let Some(word) = words.get(*at) {
        *at += 1;
        match word.text.as_str() {
            "{" => depth += 1,
            "}" if depth == 1 => return Ok(bind),
            "}" => depth -= 1,
            "bind" if depth == 1 && starts_directive(words, *at - 1) => {
                while words.get(*at).is_some_and(|it| !matches!(it.text.as_str(), "{" | "}"))
                    && !starts_line(words, *at)
                {
                    let word = &words[*at].text;
                    if word.is_empty() || !word.chars().all(|c| c.is_ascii_alphanumeric() || ".:-_%/[]{}$".contains(c))
                    {
                        return Err("`bind` names something that is no address and no interface");
                    }
                    bind.push(words[*at].text.clone());
                    *at += 1;
                }
            }
            "import" if depth == 1 && starts_directive(words, *at - 1) => {
                let name = words.get(*at).map(|it| it.text.as_str());
                let imported = snippets.iter().find(|it| Some(it.0.as_str()) == name);
                bind.extend(imported.into_iter().flat_map(|it| it.1.iter().cloned()));
            }
            _ => {}
        }
    }
    Err("a brace is not closed")
}

fn starts_line(words: &[Word], at: usize) -> bool {
    at == 0 || words[at - 1].last_line < words[at].first_line
}

/// The first directive may follow the opening brace on its line.
fn starts_directive(words: &[Word], at: usize) -> bool {
    starts_line(words, at) || words[at - 1].text == "{"
}

/// The zone of a key, if it is served as plain DNS on port 53.
fn zone(key: &str) -> Option<String> {
    let key = key.strip_prefix("dns://").unwrap_or(key);
    if key.contains("://") {
        return None;
    }
    let (zone, port) = match key.rsplit_once(':') {
        Some((zone, port)) => (zone, port.parse().ok()?),
        None => (key, 53),
    };
    (port == 53).then(|| zone.strip_suffix('.').unwrap_or(zone).to_ascii_lowercase())
}

fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let (mut line, mut quoted, mut escaped, mut comment) = (1, false, false, false);
    for c in text.chars() {
        let next = line + usize::from(c == '\n');
        if quoted {
            let open = word.as_mut().expect("a quote opened a word");
            match c {
                '\\' if !escaped => escaped = true,
                '"' if !escaped => {
                    quoted = false;
                    words.extend(word.take());
                }
                _ => {
                    if escaped && c != '"' {
                        open.text.push('\\');
                    }
                    escaped = false;
                    open.text.push(c);
                    open.last_line = next;
                }
            }
        } else if c == '\r' {
            // It separates nothing.
        } else if c.is_whitespace() {
            comment &= c != '\n';
            words.extend(word.take());
        } else if comment || c == '#' {
            comment = true;
        } else if c == '"' && word.is_none() {
            quoted = true;
            word = Some(Word { text: String::new(), first_line: line, last_line: line });
        } else {
            word.get_or_insert_with(|| Word { text: String::new(), first_line: line, last_line: line }).text.push(c);
        }
        line = next;
    }
    words.extend(word);
    words
}
