//! `meshlatch compile` and `meshlatch check`: from arguments to a tree, a stream, or messages.

use std::fmt::Write as _;
use std::path::Path;

use annotate_snippets::Level;
use meshlatch::diag::{self, Diagnostics};
use meshlatch::model::Wait;
use meshlatch::topology::ClusterId;
use meshlatch::{Mesh, Outcome, syntax};

use crate::args::{CompileArgs, TopologyArgs};
use crate::failure::Failure;
use crate::tree::{self, Difference, Order, Written};
use crate::{Status, input, terminal};

/// Says what is wrong with a topology.
pub(crate) fn check(args: &TopologyArgs) -> Result<Status, Failure> {
    Ok(if mesh(args)?.is_some() { Status::Well } else { Status::Wrong })
}

/// Writes the bundles, or one stream, or what differs.
pub(crate) fn compile(args: &CompileArgs) -> Result<Status, Failure> {
    let stream = args.output == Path::new("-");
    if stream && args.check {
        return Err(
            Failure::new("`--check` compares with a folder, and `-o -` names none").help("leave one of the two out")
        );
    }
    let Some(mesh) = mesh(&args.topology)? else { return Ok(Status::Wrong) };
    let clusters = select(&mesh, &args.cluster)?;
    if stream {
        return print_stream(&mesh, &clusters);
    }
    let order = Order {
        bundle: &|id| mesh.bundle(id),
        folder: &args.output,
        clusters: &clusters,
        whole: args.cluster.is_empty(),
    };
    if args.check { compare(&order) } else { write(&order) }
}

/// Compiles the topology and says all there is to say of it; `None` if it has errors.
pub(crate) fn mesh(args: &TopologyArgs) -> Result<Option<Mesh>, Failure> {
    let mut diags = Diagnostics::new();
    let bytes = input::topology(args)?;
    let inputs = input::addresses(args, &mut diags)?;
    let (mesh, source) = match syntax::decode(&input::name(&args.topology), bytes, &mut diags) {
        Ok(source) => (meshlatch::compile(&source, &inputs, &mut diags).ok(), source),
        Err((source, _)) => (None, source),
    };
    terminal::say(&diag::render(&diags, &source, true));
    if let Some(summary) = diag::summary(&diags) {
        terminal::say(&format!("{summary}\n"));
    }
    Ok(mesh)
}

/// The clusters that were named, or all, in the order of the topology.
pub(crate) fn select<'a>(mesh: &'a Mesh, names: &[String]) -> Result<Vec<(ClusterId, &'a str)>, Failure> {
    for name in names {
        if !mesh.clusters().any(|(_, it)| it == name) {
            let failure = Failure::new(format!("the topology has no cluster `{name}`"));
            return Err(match diag::nearest(name, mesh.clusters().map(|(_, it)| it)) {
                Some(near) => failure.help(format!("a cluster with a similar name exists: `{near}`")),
                None => failure.help(format!("its clusters are {}", list(mesh.clusters().map(|(_, it)| it)))),
            });
        }
    }
    Ok(mesh.clusters().filter(|(_, it)| names.is_empty() || names.iter().any(|name| name == it)).collect())
}

fn print_stream(mesh: &Mesh, clusters: &[(ClusterId, &str)]) -> Result<Status, Failure> {
    let [(id, name)] = clusters else {
        let names = list(clusters.iter().map(|(_, name)| *name));
        return Err(Failure::new("`-o -` prints the objects of one cluster, and several are meant")
            .note("objects of two clusters in one stream would all land in one of them")
            .help(format!("choose one with `--cluster`: {names}")));
    };
    match mesh.bundle(*id) {
        Outcome::Ready(bundle) => {
            terminal::print(&bundle.stream())?;
            Ok(Status::Well)
        }
        Outcome::Waiting(waits) => {
            say_waits(Level::ERROR, name, &waits);
            Ok(Status::Wrong)
        }
    }
}

fn write(order: &Order<'_>) -> Result<Status, Failure> {
    let clusters = tree::write(order)?;
    // Of all clusters, those that can be are written; one that was asked for by name must be.
    let asked_for = |it: &tree::Cluster| !order.whole && matches!(it.outcome, Written::Waiting(_));
    let status = if clusters.iter().any(asked_for) { Status::Wrong } else { Status::Well };
    let width = clusters.iter().map(|it| it.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for cluster in &clusters {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{:width$}  {}", cluster.name, summary(&cluster.outcome));
        if let Written::Waiting(waits) = &cluster.outcome {
            say_waits(Level::NOTE, &cluster.name, waits);
        }
    }
    terminal::print(&text)?;
    Ok(status)
}

fn summary(outcome: &Written) -> String {
    let (files, written, removed) = match *outcome {
        Written::Waiting(_) => return "not written, for it waits".to_owned(),
        Written::Gone { removed } => return format!("no longer in the topology  {removed} removed"),
        Written::Ready { files, written, removed } => (files, written, removed),
    };
    let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    match (written, removed) {
        (0, 0) => format!("{files}  unchanged"),
        (_, 0) => format!("{files}  {written} written"),
        (0, _) => format!("{files}  {removed} removed"),
        _ => format!("{files}  {written} written, {removed} removed"),
    }
}

fn compare(order: &Order<'_>) -> Result<Status, Failure> {
    let mut text = String::new();
    for cluster in tree::compare(order)? {
        for (difference, path) in &cluster.differences {
            let word = match difference {
                Difference::Missing => "missing",
                Difference::Changed => "changed",
                Difference::LeftOver => "left over",
            };
            let path = order.folder.join(&cluster.name).join(path);
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "{word:9}  {}", path.display());
        }
        if !cluster.waits.is_empty() {
            say_waits(Level::NOTE, &cluster.name, &cluster.waits);
            let folder = order.folder.join(&cluster.name);
            // An older bundle lies there, and nobody can say whether it is still right.
            if folder.join(crate::inventory::FILE).is_file() {
                let _ = writeln!(text, "{:9}  {}", "waiting", folder.display());
            }
        }
    }
    terminal::print(&text)?;
    Ok(if text.is_empty() { Status::Well } else { Status::Wrong })
}

/// Says what a cluster waits for.
pub(crate) fn say_waits(level: Level<'_>, cluster: &str, waits: &[Wait]) {
    let what: Vec<_> = waits.iter().map(|it| it.what.as_str()).collect();
    let notes: Vec<_> = waits.iter().map(|it| it.why.clone()).collect();
    let give: Vec<_> = waits.iter().map(|it| it.give.as_str()).collect();
    let message = format!("`{cluster}` is not written yet: it waits for {}", what.join(" and "));
    terminal::report(level, &message, &notes, &[format!("once known: `{}`", give.join(" "))]);
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
}
