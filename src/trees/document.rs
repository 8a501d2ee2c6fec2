//! `Document`: what a file holds, document by document, each with its lines.

use std::sync::Arc;

use serde_yaml::Value;

use super::Unreadable;

/// An object of a file.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// What is written.
    pub(crate) value: Value,
    /// The text in which it stands: all of a list, if it is an element of one.
    pub(crate) text: Arc<str>,
    /// The line of the file at which the text begins, counted from 1.
    pub(crate) line: usize,
    /// The way to it in the text: `items.3`, or nothing.
    pub(crate) within: Vec<String>,
}

/// The objects of a file: of every document, and of lists, which may lie in lists.
pub(crate) fn documents(file: &str, text: &str) -> Result<Vec<Document>, Unreadable> {
    let mut documents = Vec::new();
    for (line, piece) in pieces(text) {
        let wrong = |reason: String| Unreadable { file: file.to_owned(), reason };
        let value = parse(line, piece).map_err(|error| wrong(error.to_string()))?;
        let document = Document { value, text: piece.into(), line, within: Vec::new() };
        add(document, &mut documents).map_err(wrong)?;
    }
    Ok(documents)
}

/// The documents of a file, whatever they hold.
pub(crate) fn values(file: &str, text: &str) -> Result<Vec<Document>, Unreadable> {
    let read = |(line, piece): (usize, &str)| {
        let value =
            parse(line, piece).map_err(|error| Unreadable { file: file.to_owned(), reason: error.to_string() })?;
        Ok(Document { value, text: piece.into(), line, within: Vec::new() })
    };
    pieces(text).into_iter().map(read).collect()
}

/// The documents of a text, each with the line at which it begins. A line of `---` stands in no scalar.
fn pieces(text: &str) -> Vec<(usize, &str)> {
    let mut pieces = Vec::new();
    let (mut start, mut first) = (0, 1);
    let mut at = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line.strip_prefix("---").is_some_and(|it| it.is_empty() || it.starts_with(char::is_whitespace)) {
            pieces.push((first, &text[start..at]));
            // What follows on the line is a part of the document.
            (start, first) = (at + 3, index + 1);
        }
        at += line.len();
    }
    pieces.push((first, &text[start..]));
    let says = |it: &&str| !it.trim().is_empty() && !it.starts_with(['#', '%']);
    pieces.retain(|(_, piece)| piece.lines().any(|line| says(&line)));
    pieces
}

fn parse(line: usize, piece: &str) -> Result<Value, serde_yaml::Error> {
    let read = |text: &str| {
        let mut value: Value = serde_yaml::from_str(text)?;
        value.apply_merge()?;
        Ok(value)
    };
    // Read again only to say the right line.
    read(piece).or_else(|_: serde_yaml::Error| read(&format!("{}{piece}", "\n".repeat(line - 1))))
}

fn add(document: Document, documents: &mut Vec<Document>) -> Result<(), String> {
    if document.value.is_null() {
        return Ok(());
    }
    let Some(kind) = document.value.get("kind").and_then(Value::as_str) else {
        return Err("a document is no object: it has no `kind`".to_owned());
    };
    let is_list = kind.ends_with("List") && document.value.get("items").is_some_and(Value::is_sequence);
    if !is_list {
        documents.push(document);
        return Ok(());
    }
    let Document { mut value, text, line, within } = document;
    let Some(Value::Sequence(items)) = value.get_mut("items").map(std::mem::take) else { return Ok(()) };
    for (index, value) in items.into_iter().enumerate() {
        let within = within.iter().cloned().chain(["items".to_owned(), index.to_string()]).collect();
        add(Document { value, text: text.clone(), line, within }, documents)?;
    }
    Ok(())
}
