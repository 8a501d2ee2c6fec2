//! All tests: one binary, so that an edit is followed by its tests within a second.

mod cli;
mod diagnostics;
mod example;
mod golden;
mod hostile;
mod invariants;
mod sample;
mod support;
mod tidy;
mod yaml;
