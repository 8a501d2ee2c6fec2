//! `Hash`: SHA-256 of a text, with the line ends of Unix.
//!
//! A checkout that gives files the line ends of Windows leaves their hashes as they are.

use std::fmt;
use std::io::{self, Write};

use ring::digest::{Context, SHA256};

/// 32 bytes; shown and read as 64 digits, as `sha256sum` prints them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hash([u8; 32]);

impl Hash {
    /// The hash of a text.
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(text);
        hasher.finish()
    }

    /// Reads 64 small hexadecimal digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digit = |it: u8| match it {
            b'0'..=b'9' => Some(it - b'0'),
            b'a'..=b'f' => Some(it - b'a' + 10),
            _ => None,
        };
        let mut hash = [0; 32];
        if text.len() != 2 * hash.len() {
            return None;
        }
        for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = digit(digits[0])? << 4 | digit(digits[1])?;
        }
        Some(Self(hash))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A hash in the making: takes a text piece by piece.
pub(crate) struct Hasher {
    context: Context,
    /// Whether the last piece ended between the two halves of what may be a line end.
    half: bool,
}

impl Default for Hasher {
    fn default() -> Self {
        Self { context: Context::new(&SHA256), half: false }
    }
}

impl Hasher {
    /// Takes the next piece.
    pub(crate) fn update(&mut self, mut piece: &[u8]) {
        if piece.is_empty() {
            return;
        }
        if std::mem::take(&mut self.half) && piece[0] != b'\n' {
            self.context.update(b"\r");
        }
        // The search by value is much the faster one, and as a rule finds nothing.
        while piece.contains(&b'\r') {
            let at = piece.iter().position(|it| *it == b'\r').expect("it was seen");
            self.context.update(&piece[..at]);
            match piece.get(at + 1) {
                Some(b'\n') => {}
                Some(_) => self.context.update(b"\r"),
                None => self.half = true,
            }
            piece = &piece[at + 1..];
        }
        self.context.update(piece);
    }

    /// The hash of all that was taken.
    pub(crate) fn finish(mut self) -> Hash {
        if self.half {
            self.context.update(b"\r");
        }
        Hash(self.context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl Write for Hasher {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.update(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
