//! `meshlatch migrate`: the steps by which a service moves, as a folder or as text.
#![expect(clippy::disallowed_types, reason = "the binary is where files are read")]

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use meshlatch::diag::{self, Diagnostics};
use meshlatch::migrate::{self, Order, Plan, Told};
use meshlatch::topology::ClusterId;
use meshlatch::{Outcome, syntax};

use crate::args::MigrateArgs;
use crate::failure::Failure;
use crate::files::Files;
use crate::inventory::{self, Inventory};
use crate::lock_file::LockFile;
use crate::tree;
use crate::{Status, input, terminal};

/// Writes the plan, or prints it.
pub(crate) fn run(args: &MigrateArgs) -> Result<Status, Failure> {
    let Some(plan) = plan(args)? else { return Ok(Status::Wrong) };
    if args.dry_run || args.output == Path::new("-") {
        terminal::print(&plan.text)?;
        return Ok(Status::Well);
    }
    write(&args.output, &plan, args.force)?;
    let names = plan.steps.iter().skip(1).map(|it| it.name.as_str()).chain(["PLAN.md"]);
    let lines: Vec<_> = names.map(|it| args.output.join(it).display().to_string()).collect();
    terminal::print(&format!("{}\n", lines.join("\n")))?;
    Ok(Status::Well)
}

/// Makes the plan and says all there is to say of it; `None` if there is an error.
fn plan(args: &MigrateArgs) -> Result<Option<Plan>, Failure> {
    let mut diags = Diagnostics::new();
    let files = Files::find(&args.topology.topology)?;
    let texts = input::topology(&args.topology, &files)?;
    let mut inputs = input::addresses(&args.topology.addresses, &mut diags)?;
    match LockFile::beside(&files)? {
        Some(Ok(lock)) => inputs.lock = Some(lock.said().clone()),
        Some(Err(())) => return Ok(None),
        None => {}
    }
    let order = Order { service: &args.service, from: &args.from, to: &args.to, shares: &args.steps };
    let (plan, Told { source, diags }) = match syntax::decode_all(texts, &mut diags) {
        Ok(source) => migrate::plan(&source, &inputs, &order, diags),
        Err((source, _)) => (None, Told { source, diags }),
    };
    terminal::say(&diag::render(&diags, &source, true));
    if let Some(summary) = diag::summary(&diags) {
        terminal::say(&format!("{summary}\n"));
    }
    Ok(plan)
}

/// Puts the plan in place of an earlier one, or where nothing is.
fn write(folder: &Path, plan: &Plan, force: bool) -> Result<(), Failure> {
    let named = folder.file_name().and_then(|it| it.to_str());
    let name = named.ok_or_else(|| {
        Failure::new(format!("{} has no name of its own", folder.display())).help("name a folder: `-o moves`")
    })?;
    is_ours(folder)?;
    let parent = folder.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let order = tree::Order {
        bundle: &|_| Outcome::Ready(plan.files.clone()),
        folder: parent,
        clusters: &[(ClusterId(0), name)],
        whole: false,
        force,
    };
    tree::write(&order, |_, _| Ok(()))?;
    Ok(())
}

/// Refuses a folder in which there is something else than an earlier plan.
fn is_ours(folder: &Path) -> Result<(), Failure> {
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::io("read", folder, &error)),
    };
    let mut text = String::new();
    let read = File::open(folder.join(inventory::FILE)).and_then(|mut it| it.read_to_string(&mut text));
    let is_plan = read.is_ok() && Inventory::parse(&text).is_ok_and(|it| it.contains("PLAN.md"));
    if is_plan || entries.next().is_none() {
        return Ok(());
    }
    Err(Failure::new(format!("{} holds something else than a plan of `meshlatch migrate`", folder.display()))
        .note("nothing was changed")
        .help("name another folder: `-o moves/cart`"))
}
