//! The command `meshlatch`: arguments, files, terminal and exit codes around the library.
//!
//! 0 is well; 1 is a topology with errors, or what `--check` or `--locked` found; 2 is a
//! command line, a file or a disk that does not do.

mod args;
mod at_step;
mod certs;
mod compile;
mod completions;
mod diff;
mod disk;
mod explain;
mod failure;
mod files;
mod fmt;
mod git;
mod init;
mod input;
mod inventory;
mod lock_file;
mod migrate;
mod prove;
mod replace;
mod rollout;
mod stats;
mod terminal;
mod tree;
mod why;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command, LockCommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How a run ended that could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// All is well.
    Well,
    /// The topology has errors, or what was compared differs.
    Wrong,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.color.apply();
    let result = match &cli.command {
        Command::Compile(args) => compile::compile(args),
        Command::Diff(args) => diff::run(args),
        Command::Check(args) => compile::check(args),
        Command::Fmt(args) => fmt::run(args),
        Command::Lock(LockCommand::Prune(args)) => lock_file::prune(args),
        Command::Migrate(args) => migrate::run(args),
        Command::Prove(args) => prove::run(args),
        Command::Trace(args) => prove::trace(args),
        Command::Rollout(args) => rollout::run(args),
        Command::Stats(args) => stats::run(args),
        Command::Why(args) => why::run(args),
        Command::Certs(args) => certs::run(args),
        Command::Explain { code } => explain::run(code.as_deref()),
        Command::Init { file } => init::run(file),
        Command::Completions { shell } => completions::run(*shell),
    };
    match result {
        Ok(Status::Well) => ExitCode::SUCCESS,
        Ok(Status::Wrong) => ExitCode::from(1),
        Err(failure) => {
            failure.report();
            ExitCode::from(2)
        }
    }
}
