//! `meshlatch diff`: from two arguments to what differs between them, as text.

pub(crate) mod folder;
mod meant;
mod reader;

use std::path::{Path, PathBuf};

use annotate_snippets::Level;
use meshlatch::diff::{self, Side};
use meshlatch::{Mesh, diag};

use crate::args::{DiffArgs, DiffFormat, SidesArgs};
use crate::compile::{list, say_waits};
use crate::failure::Failure;
use crate::git::Git;
use crate::{Status, terminal};

/// Prints what differs; [`Status::Wrong`] if anything does.
pub(crate) fn run(args: &DiffArgs) -> Result<Status, Failure> {
    let [old, new] = sides(&args.sides)?;
    known(&args.cluster, [&old, &new])?;
    for (cluster, waits) in
        new.waits().filter(|it| args.cluster.is_empty() || args.cluster.iter().any(|name| name == it.0))
    {
        say_waits(Level::NOTE, cluster, waits);
    }
    let report = diff::compare(old, new, &args.cluster)
        .map_err(|error| Failure::new(format!("an object cannot be read: {error}")))?;
    if !args.quiet {
        match args.format {
            DiffFormat::Human => terminal::print_styled(&diff::human(&report, args.all, true))?,
            DiffFormat::Markdown => terminal::print(&diff::markdown(&report, args.all))?,
            DiffFormat::Json => terminal::print(&diff::json(&report))?,
        }
    }
    Ok(if report.is_empty() { Status::Well } else { Status::Wrong })
}

fn sides(args: &SidesArgs) -> Result<[Side; 2], Failure> {
    let git = Git::of(args.topology.topology.first().map_or(Path::new("topology.yaml"), PathBuf::as_path));
    reader::read(meant::meant(args, &git)?, args, &git)
}

/// The topologies of two sides: files, or those of revisions.
pub(crate) fn topologies(args: &SidesArgs) -> Result<[Mesh; 2], Failure> {
    let [old, new] = sides(args)?;
    let mesh = |side: Side| {
        let name = side.name().to_owned();
        side.into_topology().ok_or_else(|| {
            Failure::new(format!("{name} is a tree, and who calls whom is not in it"))
                .help("name the topology, or a revision that has it")
        })
    };
    Ok([mesh(old)?, mesh(new)?])
}

/// Refuses a cluster that is on neither side.
fn known(names: &[String], sides: [&Side; 2]) -> Result<(), Failure> {
    let all = || sides.into_iter().flat_map(Side::clusters);
    let Some(name) = names.iter().find(|name| !all().any(|it| it == **name)) else { return Ok(()) };
    let failure = Failure::new(format!("no side has a cluster `{name}`"));
    Err(match diag::nearest(name, all()) {
        Some(near) => failure.help(format!("a cluster with a similar name exists: `{near}`")),
        None => {
            let mut names: Vec<_> = all().collect();
            names.sort_unstable();
            names.dedup();
            failure.help(format!("there are {}", list(names.into_iter())))
        }
    })
}
