//! `meshlatch rollout`: the order in which clusters take a changed topology, as text or
//! as the bundles of one step.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use annotate_snippets::Level;
use meshlatch::rollout::{self, Delivery, Rollout, Step};
use meshlatch::topology::ClusterId;
use meshlatch::{Mesh, Outcome, diag};

use crate::args::{Address, AddressValue, CompileArgs, RolloutArgs, RolloutFormat, SidesArgs, TOPOLOGY, TopologyArgs};
use crate::at_step::AtStep;
use crate::failure::Failure;
use crate::files::Files;
use crate::git::{Answer, Git};
use crate::lock_file::LockFile;
use crate::tree::Order;
use crate::{Status, compile, diff, terminal};

/// Prints the plan, or writes a step of it.
pub(crate) fn run(args: &RolloutArgs) -> Result<Status, Failure> {
    let folder = args.output.clone().unwrap_or_else(|| "out".into());
    let mut way = Way::find(args.old.clone(), args.new.clone(), &args.topology, &folder)?;
    if let Some(at) = AtStep::read(&folder)?.filter(|at| args.new.is_none() && at.old != way.old) {
        let begun = Way::find(at.old.clone().into(), None, &args.topology, &folder)?;
        let message = format!("{} is at `{}` of a roll-out from `{}`", folder.display(), at.step, at.old);
        if way.rollout.steps().is_empty() {
            terminal::report(Level::NOTE, &message, &["nothing else has changed since: it is told".to_owned()], &[]);
            way = begun;
        } else if way.rollout.json() != begun.rollout.json() {
            let notes = [format!("what is told here begins where every cluster has what `{}` says", way.old)];
            terminal::report(Level::WARNING, &message, &notes, &["end that roll-out first".to_owned()]);
        }
    }
    let rollout = &way.rollout;
    let step = args.step.as_deref().map(|name| find(rollout, name)).transpose()?;
    if let (Some(folder), Some(step)) = (&args.output, step) {
        return way.write(step, folder, args);
    }
    if args.output.is_some() {
        return Err(Failure::new("`-o` writes the bundles of one step, and none is named").help(choose(rollout)));
    }
    let text = match args.format {
        RolloutFormat::Text => rollout.text(&way.command(args)),
        RolloutFormat::Json => rollout.json(),
        RolloutFormat::ArgoCd => delivered(rollout, step, Delivery::ArgoCd, &args.name)?,
        RolloutFormat::Flux => delivered(rollout, step, Delivery::Flux, &args.name)?,
    };
    terminal::print(&text)?;
    Ok(if rollout.is_gapless() { Status::Well } else { Status::Wrong })
}

/// Compares a tree with the step that it says it is.
pub(crate) fn check(at: &AtStep, args: &CompileArgs) -> Result<Status, Failure> {
    let way = Way::find(at.old.clone().into(), None, &args.topology, &args.output)?;
    compile::select(&way.new, &args.cluster)?;
    let Some(step) = way.rollout.steps().iter().find(|it| it.name == at.step) else {
        let message = format!("{} is no step of the way from `{}` to the topology", at.step, at.old);
        let notes = ["the topology has changed since it was written".to_owned()];
        terminal::report(Level::ERROR, &message, &notes, &[choose(&way.rollout)]);
        return Ok(Status::Wrong);
    };
    let lock = lock(None, &args.topology)?;
    let change = lock.as_ref().filter(|it| it.change(way.new.lock()).is_some());
    in_order(step, &args.output, &args.cluster, args.force, |order| compile::compare(order, change))
}

/// The way from one topology to another.
struct Way {
    /// What ran before, as it can be asked for again: a revision stays what it was.
    old: String,
    new: Mesh,
    rollout: Rollout,
}

impl Way {
    fn find(old: OsString, new: Option<OsString>, topology: &TopologyArgs, folder: &Path) -> Result<Self, Failure> {
        let word = word(&old, topology);
        let sides = SidesArgs { old: Some(old), new, topology: topology.clone(), output: folder.to_owned() };
        let [old, new] = diff::topologies(&sides)?;
        let rollout = rollout::plan(&old, &new).map_err(|waits| {
            // Both topologies may wait for the same.
            let what: BTreeSet<_> = waits.iter().map(|it| it.what.as_str()).collect();
            let give: BTreeSet<_> = waits.iter().map(|it| it.give.as_str()).collect();
            let (what, give) = (Vec::from_iter(what), Vec::from_iter(give));
            Failure::new(format!("the way cannot be found yet: it waits for {}", what.join(" and ")))
                .help(format!("once known: `{}`", give.join(" ")))
        })?;
        Ok(Self { old: word, new, rollout })
    }

    /// Writes the bundles of a step into the folder of bundles, and the lock beside the topology.
    fn write(&self, step: &Step, folder: &Path, args: &RolloutArgs) -> Result<Status, Failure> {
        let lock = lock(args.new.as_ref(), &args.topology)?;
        let change = lock.as_ref().and_then(|it| Some((it, it.change(self.new.lock())?)));
        let is_last = self.rollout.steps().last().is_some_and(|it| it.name == step.name);
        let at = (!is_last).then(|| AtStep { old: self.old.clone(), step: step.name.clone() });
        in_order(step, folder, &[], args.force, |order| compile::write(order, change.as_ref(), at.as_ref(), None))
    }

    /// What writes the bundles of a step, but for which.
    fn command(&self, args: &RolloutArgs) -> String {
        let new = args.new.iter().map(|it| word(it, &args.topology));
        let words = std::iter::once(self.old.clone()).chain(new);
        let words = words.map(|it| meshlatch::shell_word(&it).into_owned());
        let address = |it: &Address| match &it.value {
            AddressValue::Text(text) => format!("{}={text}", it.name),
            AddressValue::File(path) => format!("{}=@{}", it.name, path.display()),
        };
        let topology = args.topology.topology.iter().filter(|it| *it != Path::new(TOPOLOGY));
        let topology = topology.map(|it| ("--topology", it.display().to_string()));
        let addresses = &args.topology.addresses;
        let given = addresses.address.iter().map(|it| ("--address", address(it)));
        let files = addresses.addresses.iter().map(|it| ("--addresses", it.display().to_string()));
        let options = topology.chain(given).chain(files);
        let options = options.map(|(flag, value)| format!("{flag} {}", meshlatch::shell_word(&value)));
        format!("meshlatch rollout {}", words.chain(options).collect::<Vec<_>>().join(" "))
    }
}

/// The lock of the new topology, if that is a file and not of a revision.
fn lock(new: Option<&OsString>, topology: &TopologyArgs) -> Result<Option<LockFile>, Failure> {
    let paths = match new {
        None => topology.topology.clone(),
        Some(new) if Path::new(new).exists() => vec![new.into()],
        Some(_) => return Ok(None),
    };
    // What is wrong with it was told when the topology was read.
    Ok(LockFile::beside(&Files::find(&paths)?)?.and_then(Result::ok))
}

/// What is named, as it can be asked for again: steps are committed, and a revision stays what it was.
fn word(argument: &OsStr, topology: &TopologyArgs) -> String {
    let git = Git::of(topology.topology.first().map_or(Path::new(TOPOLOGY), PathBuf::as_path));
    let whole = argument.to_string_lossy();
    let (revision, path) = whole.split_once(':').map_or((&*whole, None), |(it, path)| (it, Some(path)));
    match git.commit(OsStr::new(revision)) {
        Answer::Object { id, .. } if !Path::new(argument).exists() => {
            let id: String = id.chars().take(12).collect();
            path.map_or_else(|| id.clone(), |path| format!("{id}:{path}"))
        }
        _ => whole.into_owned(),
    }
}

/// Each step is a commit of its own, and has its own order.
fn delivered(plan: &Rollout, step: Option<&Step>, delivery: Delivery, name: &str) -> Result<String, Failure> {
    if !name.contains("{cluster}") {
        return Err(Failure::new("`--name` is the same for every cluster").help("such as `--name 'mesh-{cluster}'`"));
    }
    for cluster in plan.steps().iter().flat_map(|it| it.bundles.keys()) {
        let name = name.replace("{cluster}", cluster);
        if !rollout::is_object_name(&name) {
            return Err(Failure::new(format!("`{}` is no name of an object of Kubernetes", name.escape_debug()))
                .help("letters a to z, digits, `-` and `.`, such as `--name 'mesh-{cluster}'`"));
        }
    }
    let step = match (step, plan.steps()) {
        (Some(step), _) | (None, [step]) => step,
        (None, []) => return Ok(String::new()),
        (None, _) => {
            return Err(Failure::new("each step has an order of its own, and none is named").help(choose(plan)));
        }
    };
    Ok(step.delivery(delivery, &|cluster| name.replace("{cluster}", cluster)))
}

fn find<'a>(rollout: &'a Rollout, name: &str) -> Result<&'a Step, Failure> {
    let found = rollout.steps().iter().find(|it| it.name == name);
    found.ok_or_else(|| {
        let failure = Failure::new(format!("there is no step `{}`", name.escape_debug()));
        match diag::nearest(name, rollout.steps().iter().map(|it| it.name.as_str())) {
            Some(near) => failure.help(format!("a step with a similar name exists: `{near}`")),
            None => failure.help(choose(rollout)),
        }
    })
}

fn choose(rollout: &Rollout) -> String {
    let names: Vec<_> = rollout.steps().iter().map(|it| format!("`--step {}`", it.name)).collect();
    if names.is_empty() { "nothing changes, and there are no steps".to_owned() } else { names.join(", ") }
}

/// What is done with the bundles of a step: those of the clusters of these names, or of all.
fn in_order<T>(step: &Step, folder: &Path, names: &[String], force: bool, work: impl FnOnce(&Order<'_>) -> T) -> T {
    let is_meant = |name: &String| names.is_empty() || names.contains(name);
    let bundles = step.bundles.iter().filter(|(name, it)| it.files().next().is_some() && is_meant(name));
    let bundles: Vec<_> = bundles.collect();
    let clusters: Vec<_> = bundles.iter().enumerate().map(|(index, it)| (ClusterId(index), it.0.as_str())).collect();
    work(&Order {
        bundle: &|id: ClusterId| Outcome::Ready(bundles[id.0].1.clone()),
        folder,
        clusters: &clusters,
        whole: names.is_empty(),
        force,
    })
}
