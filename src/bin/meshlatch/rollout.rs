//! `meshlatch rollout`: the order in which clusters take a changed topology, as text or
//! as the bundles of one step.

use std::collections::BTreeSet;
use std::path::Path;

use meshlatch::rollout::{self, Delivery, Rollout, Step};
use meshlatch::topology::ClusterId;
use meshlatch::{Outcome, diag};

use crate::args::{Address, AddressValue, RolloutArgs, RolloutFormat, SidesArgs, TopologyArgs};
use crate::failure::Failure;
use crate::git::{Answer, Git};
use crate::tree::Order;
use crate::{Status, compile, diff, terminal};

/// Prints the plan, or writes a step of it.
pub(crate) fn run(args: &RolloutArgs) -> Result<Status, Failure> {
    let [old, new] = diff::topologies(&SidesArgs {
        old: Some(args.old.clone()),
        new: args.new.clone(),
        topology: TopologyArgs { topology: vec!["topology.yaml".into()], addresses: args.addresses.clone() },
        output: "out".into(),
    })?;
    let rollout = rollout::plan(&old, &new).map_err(|waits| {
        // Both topologies may wait for the same.
        let what: BTreeSet<_> = waits.iter().map(|it| it.what.as_str()).collect();
        let give: BTreeSet<_> = waits.iter().map(|it| it.give.as_str()).collect();
        let (what, give) = (Vec::from_iter(what), Vec::from_iter(give));
        Failure::new(format!("the way cannot be found yet: it waits for {}", what.join(" and ")))
            .help(format!("once known: `{}`", give.join(" ")))
    })?;
    let step = args.step.as_deref().map(|name| find(&rollout, name)).transpose()?;
    if let (Some(folder), Some(step)) = (&args.output, step) {
        return write(step, folder, args.force);
    }
    if args.output.is_some() {
        return Err(Failure::new("`-o` writes the bundles of one step, and none is named").help(choose(&rollout)));
    }
    let text = match args.format {
        RolloutFormat::Text => rollout.text(&command(args)),
        RolloutFormat::Json => rollout.json(),
        RolloutFormat::ArgoCd => delivered(&rollout, step, Delivery::ArgoCd, &args.name)?,
        RolloutFormat::Flux => delivered(&rollout, step, Delivery::Flux, &args.name)?,
    };
    terminal::print(&text)?;
    Ok(if rollout.is_gapless() { Status::Well } else { Status::Wrong })
}

/// What writes the bundles of a step, but for which. Steps are committed, and a revision stays what it was.
fn command(args: &RolloutArgs) -> String {
    let git = Git::of(Path::new("topology.yaml"));
    let words = std::iter::once(&args.old).chain(&args.new).map(|it| match git.commit(it) {
        Answer::Object { id, .. } if !Path::new(it).exists() => id.chars().take(12).collect(),
        _ => meshlatch::shell_word(&it.to_string_lossy()).into_owned(),
    });
    let address = |it: &Address| match &it.value {
        AddressValue::Text(text) => format!("{}={text}", it.name),
        AddressValue::File(path) => format!("{}=@{}", it.name, path.display()),
    };
    let given = args.addresses.address.iter().map(|it| ("--address", address(it)));
    let files = args.addresses.addresses.iter().map(|it| ("--addresses", it.display().to_string()));
    let given = given.chain(files).map(|(flag, value)| format!("{flag} {}", meshlatch::shell_word(&value)));
    format!("meshlatch rollout {}", words.chain(given).collect::<Vec<_>>().join(" "))
}

/// Each step is a commit of its own, and has its own order.
fn delivered(rollout: &Rollout, step: Option<&Step>, delivery: Delivery, name: &str) -> Result<String, Failure> {
    if !name.contains("{cluster}") {
        return Err(Failure::new("`--name` is the same for every cluster").help("such as `--name 'mesh-{cluster}'`"));
    }
    let step = match (step, rollout.steps()) {
        (Some(step), _) | (None, [step]) => step,
        (None, []) => return Ok(String::new()),
        (None, _) => {
            return Err(Failure::new("each step has an order of its own, and none is named").help(choose(rollout)));
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

/// Writes the bundles of a step into the folder of bundles.
fn write(step: &Step, folder: &Path, force: bool) -> Result<Status, Failure> {
    let bundles: Vec<_> = step.bundles.iter().filter(|(_, it)| it.files().next().is_some()).collect();
    let clusters: Vec<_> = bundles.iter().enumerate().map(|(index, it)| (ClusterId(index), it.0.as_str())).collect();
    let order = Order {
        bundle: &|id: ClusterId| Outcome::Ready(bundles[id.0].1.clone()),
        folder,
        clusters: &clusters,
        whole: true,
        force,
    };
    compile::write(&order, None)
}
