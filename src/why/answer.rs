//! `Answer`: an object that was asked for, with where it comes from.

use super::{Id, Origin};

/// What is told of one object of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The cluster's name.
    pub cluster: String,
    /// The file as the user would call it.
    pub file: String,
    /// The object; `None` if the file holds none.
    pub id: Option<Id>,
    /// Its first line in the file, counted from 1.
    pub line: usize,
    /// The line that was asked for.
    pub asked: Option<Asked>,
    /// Where it comes from.
    pub origin: Origin,
    /// What else there is to know.
    pub notes: Vec<String>,
}

/// A line that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its number, counted from 1.
    pub line: usize,
    /// Its text.
    pub text: String,
    /// The field that it is: `spec.endpoints[0].address`.
    pub field: Option<String>,
}
