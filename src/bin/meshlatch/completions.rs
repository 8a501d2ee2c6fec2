//! `meshlatch completions`: what a shell needs to complete the command line.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::Failure;
use crate::{Status, terminal};

/// Prints the script of a shell.
pub(crate) fn run(shell: Shell) -> Result<Status, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "meshlatch", &mut script);
    terminal::print(&String::from_utf8(script).expect("the script is made of our own words"))?;
    Ok(Status::Well)
}
