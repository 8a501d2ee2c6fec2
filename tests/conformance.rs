//! The scripts of the bundles, run by a real shell and jq. `cargo test` alone runs none of this.
#![expect(clippy::disallowed_methods, reason = "tests read and write files")]

mod dns;
#[expect(dead_code, reason = "shared with the hermetic tests, which use more of it")]
mod support;
