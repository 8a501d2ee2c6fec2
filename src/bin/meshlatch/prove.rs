//! `meshlatch prove` and `trace`: calls followed through a tree on the disk, as text.

use std::io;

use annotate_snippets::Level;
use meshlatch::Mesh;
use meshlatch::prove::{self as proving, Detail, World};

use crate::args::{Format, ProveArgs, TopologyArgs, TraceArgs, WrittenArgs};
use crate::failure::Failure;
use crate::{Status, compile, diff, terminal};

/// Follows every call; [`Status::Wrong`] if one is broken.
pub(crate) fn run(args: &ProveArgs) -> Result<Status, Failure> {
    let Some((_, world)) = read(&args.written)? else { return Ok(Status::Wrong) };
    let proof = world.prove();
    let detail = match (args.quiet, args.verbose) {
        (true, _) => Detail::Quiet,
        (_, true) => Detail::Hops,
        _ => Detail::Line,
    };
    match args.format {
        Format::Human => terminal::print_styled(&proving::human(&proof, detail, true))?,
        Format::Json => terminal::print(&proving::json(&proof))?,
    }
    Ok(if proof.broken.is_empty() && proof.absent.is_empty() { Status::Well } else { Status::Wrong })
}

/// Follows one call; [`Status::Wrong`] if it is broken.
pub(crate) fn trace(args: &TraceArgs) -> Result<Status, Failure> {
    let Some((mesh, world)) = read(&args.written)? else { return Ok(Status::Wrong) };
    let call = world.call(&mesh, &args.caller, &args.cluster, &args.to).map_err(|unknown| {
        let failure = Failure::new(unknown.message);
        unknown.help.into_iter().fold(failure, Failure::help)
    })?;
    let outcome = world.follow(&call);
    terminal::print_styled(&proving::traced(&call, &outcome, true))?;
    Ok(if outcome.is_ok() { Status::Well } else { Status::Wrong })
}

/// Whether every declared call has a path through the bundles of a mesh; says which has none, and why.
/// Calls that a cluster answers which waits for an address are not followed yet.
pub(crate) fn made(mesh: &Mesh) -> Result<bool, Failure> {
    let world = World::of_mesh(mesh).map_err(|error| Failure::new(format!("a bundle cannot be read: {error}")))?;
    let proof = world.breaks();
    if proof.broken.is_empty() {
        return Ok(true);
    }
    terminal::say(&proving::human(&proof, Detail::Quiet, true));
    let notes = ["nothing was written".to_owned()];
    let help = ["write it all the same: `meshlatch compile --no-prove`".to_owned()];
    terminal::report(Level::ERROR, "a declared call has no path through the bundles", &notes, &help);
    Ok(false)
}

fn read(args: &WrittenArgs) -> Result<Option<(Mesh, World)>, Failure> {
    let topology = TopologyArgs { topology: args.calls.clone(), addresses: args.addresses.clone() };
    let Some(mesh) = compile::mesh(&topology)? else { return Ok(None) };
    let names = mesh.clusters().map(|it| it.1);
    let files = diff::folder::of_clusters(&args.tree, names).map_err(|failure| match args.tree.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => failure.help("`meshlatch compile` writes it"),
        _ => failure,
    })?;
    let folder = args.tree.display().to_string();
    let world = World::of_tree(&mesh, &folder, &files, &args.namespace)
        .map_err(|error| Failure::new(format!("the tree cannot be read: {error}")))?;
    if files.is_empty() {
        let failure = Failure::new(format!("{folder} has no folder and no file of a cluster of the topology"));
        return Err(failure.help("a bundle lies in a folder, or a file, called like its cluster"));
    }
    Ok(Some((mesh, world)))
}
