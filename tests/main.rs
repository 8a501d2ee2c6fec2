//! All tests: one binary, so that an edit is followed by its tests within a second.
#![expect(clippy::disallowed_methods, reason = "tests read and write files")]

mod cli;
mod diagnostics;
mod diff;
mod example;
mod files;
mod format;
mod golden;
mod hostile;
mod install;
mod invariants;
mod lock;
mod made;
mod mesh;
mod migrate;
mod prove;
mod rollout;
mod sample;
mod schemas;
mod stats;
mod support;
mod tidy;
mod why;
mod yaml;
