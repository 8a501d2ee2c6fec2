//! `meshlatch prove` and `trace`: calls followed through a tree on the disk, as text.

use std::io;

use annotate_snippets::Level;
use meshlatch::Mesh;
use meshlatch::prove::{self as proving, Detail, Effect, Loss, Proof, Unknown, World};

use crate::args::{Format, LostArgs, ProveArgs, TopologyArgs, TraceArgs, WrittenArgs};
use crate::failure::Failure;
use crate::{Status, compile, diff, terminal};

/// Follows every call; [`Status::Wrong`] if one is broken.
pub(crate) fn run(args: &ProveArgs) -> Result<Status, Failure> {
    let Some((mesh, world)) = read(&args.written)? else { return Ok(Status::Wrong) };
    let losses = losses(&mesh, &args.lost)?;
    let proof = world.prove();
    let status = if proof.broken.is_empty() && proof.absent.is_empty() { Status::Well } else { Status::Wrong };
    if args.lost.each_failure || !losses.is_empty() {
        terminal::print(&lost(&mesh, &proof, &losses, args.format))?;
        return Ok(status);
    }
    let detail = match (args.quiet, args.verbose) {
        (true, _) => Detail::Quiet,
        (_, true) => Detail::Hops,
        _ => Detail::Line,
    };
    match args.format {
        Format::Human => terminal::print_styled(&proving::human(&proof, detail, true))?,
        Format::Json => terminal::print(&proving::json(&proof))?,
    }
    Ok(status)
}

/// What is gone, all at once.
fn losses(mesh: &Mesh, args: &LostArgs) -> Result<Vec<Loss>, Failure> {
    let clusters = args.without_cluster.iter().map(|it| Loss::cluster(mesh, it));
    let gateways = args.without_gateway.iter().map(|it| Loss::gateway(mesh, it));
    let services = args.without_service.iter().map(|it| Loss::service(mesh, it));
    clusters.chain(gateways).chain(services).collect::<Result<_, _>>().map_err(failure)
}

/// What becomes of the calls without these, or without each thing, if none is named.
fn lost(mesh: &Mesh, proof: &Proof<'_>, losses: &[Loss], format: Format) -> String {
    let effects: Vec<Effect<'_>> = match losses {
        [] => Loss::each(mesh).into_iter().map(|it| proof.without(&[it])).collect(),
        losses => vec![proof.without(losses)],
    };
    match (format, losses) {
        (Format::Json, _) => proving::json_of(proof, &effects),
        (Format::Human, []) => proving::review(proof, &effects),
        (Format::Human, _) => effects.iter().map(|it| proving::survival(proof, it)).collect(),
    }
}

fn failure(unknown: Unknown) -> Failure {
    unknown.help.into_iter().fold(Failure::new(unknown.message), Failure::help)
}

/// Follows one call; [`Status::Wrong`] if it is broken.
pub(crate) fn trace(args: &TraceArgs) -> Result<Status, Failure> {
    let Some((mesh, world)) = read(&args.written)? else { return Ok(Status::Wrong) };
    let call = world.call(&mesh, &args.caller, &args.cluster, &args.to).map_err(failure)?;
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
