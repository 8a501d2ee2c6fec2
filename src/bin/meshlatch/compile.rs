//! `meshlatch compile` and `meshlatch check`: from arguments to a tree, a stream, or messages.

use std::fmt::Write as _;
use std::path::Path;

use annotate_snippets::Level;
use meshlatch::diag::{self, Diagnostics};
use meshlatch::lock::{Entry, Lock};
use meshlatch::model::Wait;
use meshlatch::source::Source;
use meshlatch::topology::ClusterId;
use meshlatch::{Mesh, Outcome, syntax};

use crate::args::{CheckArgs, CompileArgs, TopologyArgs};
use crate::at_step::AtStep;
use crate::failure::Failure;
use crate::files::Files;
use crate::lock_file::LockFile;
use crate::tree::{self, Difference, Order, Remarks, Written};
use crate::{Status, input, lock_file, prove, rollout, terminal};

/// Says what is wrong with a topology.
pub(crate) fn check(args: &CheckArgs) -> Result<Status, Failure> {
    let Some(compiled) = compiled(&args.topology, true)? else { return Ok(Status::Wrong) };
    Ok(if !args.locked || compiled.is_locked()? { Status::Well } else { Status::Wrong })
}

/// Writes the bundles, or one stream, or what differs.
pub(crate) fn compile(args: &CompileArgs) -> Result<Status, Failure> {
    let stream = args.output == Path::new("-");
    if stream && args.check {
        return Err(
            Failure::new("`--check` compares with a folder, and `-o -` names none").help("leave one of the two out")
        );
    }
    match AtStep::read(&args.output)? {
        Some(at) if args.check => return rollout::check(&at, args),
        Some(at) if !args.force => return Err(skipped(&at, &args.output)),
        _ => {}
    }
    let Some(compiled) = compiled(&args.topology, !stream || args.locked)? else { return Ok(Status::Wrong) };
    if args.locked && !compiled.is_locked()? {
        return Ok(Status::Wrong);
    }
    let mesh = &compiled.mesh;
    let clusters = select(mesh, &args.cluster)?;
    if stream {
        compiled.say_unlocked();
        return print_stream(mesh, &clusters);
    }
    let order = Order {
        bundle: &|id| mesh.bundle(id),
        folder: &args.output,
        clusters: &clusters,
        whole: args.cluster.is_empty(),
        force: args.force,
    };
    let lock = compiled.lock_change();
    if args.check {
        return compare(&order, lock.map(|it| it.0));
    }
    write(&order, lock.as_ref(), None, (!args.no_prove).then_some(mesh))
}

/// The rest of a roll-out is not left out unasked.
fn skipped(at: &AtStep, folder: &Path) -> Failure {
    let (AtStep { old, step }, folder) = (at, folder.display());
    Failure::new(format!("{folder} is at `{step}` of a roll-out from `{old}`"))
        .note("the steps that are left keep calls from being cut")
        .help(format!("`meshlatch rollout {}` tells what is next", meshlatch::shell_word(old)))
        .help("or leave them out: `--force`")
}

/// A mesh, and the lock beside its topology.
struct Compiled {
    mesh: Mesh,
    /// None where the topology comes from standard input.
    lock: Option<LockFile>,
}

impl Compiled {
    /// The lock and what it is to say from now on, if that is something else.
    fn lock_change(&self) -> Option<(&LockFile, String)> {
        let lock = self.lock.as_ref()?;
        Some((lock, lock.change(self.mesh.lock())?))
    }

    /// Whether the lock is what the topology needs; says so if it is not.
    fn is_locked(&self) -> Result<bool, Failure> {
        let lock = self.lock.as_ref().ok_or_else(lock_file::unlocked)?;
        let mut diags = Diagnostics::new();
        let same = lock.said().expect(self.mesh.lock(), &mut diags).is_ok();
        terminal::say(&diag::render(&diags, &Source::new(lock.said().file(), ""), true));
        Ok(same)
    }

    /// Says that what is printed has addresses which no lock keeps.
    fn say_unlocked(&self) {
        let Some(lock) = &self.lock else { return };
        let known =
            |host: &str, it: &Entry| it.now.is_empty() || lock.said().get(host).is_some_and(|was| was.now == it.now);
        if lock.exists() && !self.mesh.lock().iter().all(|(host, it)| known(host, it)) {
            let message = format!("{} does not know all of these addresses yet", lock.path().display());
            terminal::report(Level::NOTE, &message, &[], &["`meshlatch compile` writes it with the tree".to_owned()]);
        }
    }
}

/// Compiles the topology and says all there is to say of it; `None` if it has errors.
pub(crate) fn mesh(args: &TopologyArgs) -> Result<Option<Mesh>, Failure> {
    Ok(compiled(args, true)?.map(|it| it.mesh))
}

/// Compiles with the lock; where there is none, with a new one only if it can be `kept`.
fn compiled(args: &TopologyArgs, kept: bool) -> Result<Option<Compiled>, Failure> {
    let mut diags = Diagnostics::new();
    let files = Files::find(&args.topology)?;
    let texts = input::topology(args, &files)?;
    let mut inputs = input::addresses(&args.addresses, &mut diags)?;
    let lock = LockFile::beside(&files)?;
    let lock = lock.filter(|it| kept || it.as_ref().map_or(true, LockFile::exists));
    // Beside a broken lock the topology's own mistakes are told, too.
    inputs.lock = lock.as_ref().map(|it| it.as_ref().map_or_else(|()| Lock::default(), |it| it.said().clone()));
    let (mesh, source) = match syntax::decode_all(texts, &mut diags) {
        Ok(source) => (meshlatch::compile(&source, &inputs, &mut diags).ok(), source),
        Err((source, _)) => (None, source),
    };
    terminal::say(&diag::render(&diags, &source, true));
    if let Some(summary) = diag::summary(&diags) {
        terminal::say(&format!("{summary}\n"));
    }
    Ok(match (mesh, lock.transpose()) {
        (Some(mesh), Ok(lock)) => Some(Compiled { mesh, lock }),
        _ => None,
    })
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

/// Writes the tree and the lock, and says what became of each cluster. The tree may be a step of a roll-out. What
/// is to be proved is, if anything is written.
pub(crate) fn write(
    order: &Order<'_>,
    lock: Option<&(&LockFile, String)>,
    at: Option<&AtStep>,
    to_prove: Option<&Mesh>,
) -> Result<Status, Failure> {
    let mut is_proved = true;
    let clusters = tree::write(order, |transaction, changes| {
        if let Some(mesh) = to_prove.filter(|_| changes) {
            is_proved = prove::made(mesh)?;
            if !is_proved {
                return Err(Failure::new("a declared call has no path through the bundles"));
            }
        }
        // First the lock: a tree has no address that nobody keeps.
        if let Some((lock, to)) = lock {
            lock.replace_with(transaction, to)?;
        }
        if order.whole { AtStep::set(at, order.folder, transaction) } else { Ok(()) }
    });
    // It has been told which, and why.
    let clusters = if is_proved { clusters? } else { return Ok(Status::Wrong) };
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
    if let Some((lock, _)) = lock {
        let _ = writeln!(text, "{:width$}  written", lock.path().display());
    }
    say_remarks(order, clusters.iter().map(|it| (&it.name, it.remarks)), false);
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

/// Compares the tree and the lock with what would be written, and lists what differs.
pub(crate) fn compare(order: &Order<'_>, lock: Option<&LockFile>) -> Result<Status, Failure> {
    let mut text = String::new();
    if let Some(lock) = lock {
        let word = if lock.exists() { "changed" } else { "missing" };
        let _ = writeln!(text, "{word:9}  {}", lock.path().display());
    }
    let clusters = tree::compare(order)?;
    for cluster in &clusters {
        for (difference, path) in &cluster.differences {
            let word = match difference {
                Difference::Missing => "missing",
                Difference::Changed => "changed",
                Difference::Edited => "edited",
                Difference::Foreign => "foreign",
                Difference::LineEnds => "line ends",
                Difference::LeftOver => "left over",
                Difference::CutOff => "cut off",
                Difference::Conflict => "conflict",
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
    say_remarks(order, clusters.iter().map(|it| (&it.name, it.remarks)), true);
    terminal::print(&text)?;
    Ok(if text.is_empty() { Status::Well } else { Status::Wrong })
}

fn say_remarks<'a>(order: &Order<'_>, remarks: impl Iterator<Item = (&'a String, Remarks)>, only_looks: bool) {
    let folder = |name: &String| order.folder.join(name).display().to_string();
    Remarks::say(&remarks.map(|(name, it)| (folder(name), it)).collect::<Vec<_>>(), only_looks);
}

/// Says what a cluster waits for.
pub(crate) fn say_waits(level: Level<'_>, cluster: &str, waits: &[Wait]) {
    let what: Vec<_> = waits.iter().map(|it| it.what.as_str()).collect();
    let notes: Vec<_> = waits.iter().map(|it| it.why.clone()).collect();
    let give: Vec<_> = waits.iter().map(|it| it.give.as_str()).collect();
    let message = format!("`{cluster}` is not written yet: it waits for {}", what.join(" and "));
    terminal::report(level, &message, &notes, &[format!("once known: `{}`", give.join(" "))]);
}

/// Names as a sentence has them.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
}
