//! The tree: `<folder>/<cluster>/` holds the bundle of a cluster, beside files of other people.
//!
//! A run compares every cluster with its folder and stages what differs ([`compare`], [`stage`]).
//! If all of that went well, it puts everything in place by renames that can be undone
//! ([`transaction`]), in three rounds over all clusters: their inventories say that they are
//! unfinished, their files change, their inventories say that they are whole. An error leaves the
//! tree as it was. A run that is killed leaves the old tree, or the new one, or one that says that
//! it is neither; the next run goes on from there.

mod compare;
mod listing;
mod loss;
mod obstacle;
mod output;
mod remarks;
mod stage;
mod transaction;

use std::path::Path;

use meshlatch::Outcome;
use meshlatch::bundle::Bundle;
use meshlatch::model::Wait;
use meshlatch::topology::ClusterId;
use rayon::prelude::*;

pub(crate) use compare::Difference;
pub(crate) use output::{Output, STAGING};
pub(crate) use remarks::Remarks;
pub(crate) use transaction::Transaction;

use crate::disk::Access;
use crate::failure::Failure;
use crate::inventory;
use compare::Changes;
use listing::{Found, Listing};
use stage::Staged;

/// What a run is asked for.
pub(crate) struct Order<'a> {
    /// What is written for a cluster.
    pub(crate) bundle: &'a (dyn Fn(ClusterId) -> Outcome + Sync),
    /// The folder of the clusters' folders.
    pub(crate) folder: &'a Path,
    /// The clusters to write.
    pub(crate) clusters: &'a [(ClusterId, &'a str)],
    /// Whether these are all, so that folders of other clusters are left over.
    pub(crate) whole: bool,
    /// Whether what was edited by hand is replaced and removed, too.
    pub(crate) force: bool,
}

/// What became of a cluster.
pub(crate) struct Cluster {
    /// Its name.
    pub(crate) name: String,
    /// What became of it.
    pub(crate) outcome: Written,
    /// What was out of the ordinary.
    pub(crate) remarks: Remarks,
}

/// What became of a cluster's folder.
pub(crate) enum Written {
    /// It holds the bundle.
    Ready {
        /// How many files the bundle has.
        files: usize,
        /// How many of them were written by this run.
        written: usize,
        /// How many other files were removed.
        removed: usize,
    },
    /// It was left alone.
    Waiting(Vec<Wait>),
    /// The topology no longer has the cluster.
    Gone {
        /// How many files were removed.
        removed: usize,
    },
}

/// How a cluster's folder differs from its bundle.
pub(crate) struct Compared {
    /// Its name.
    pub(crate) name: String,
    /// Every file that differs, by its path in the folder.
    pub(crate) differences: Vec<(Difference, String)>,
    /// What it waits for; then it is not compared.
    pub(crate) waits: Vec<Wait>,
    /// What is out of the ordinary.
    pub(crate) remarks: Remarks,
}

/// Writes the tree. When it is known that this can be done, and whether anything changes, `first` does what
/// belongs to it outside the tree, which is undone with it.
pub(crate) fn write(
    order: &Order<'_>,
    first: impl FnOnce(&mut Transaction, bool) -> Result<(), Failure>,
) -> Result<Vec<Cluster>, Failure> {
    let mut output = Output::open(order.folder, Access::Everybody)?;
    let top = Listing::read(order.folder)?;
    // In parallel, and with no more bundles in memory than there are threads.
    let made = each(order, |index, name, outcome| {
        let bundle = match outcome {
            Outcome::Waiting(waits) => return Ok(Made::Waiting(waits)),
            Outcome::Ready(bundle) => bundle,
        };
        let changes = changes(order, &top, name, &bundle)?;
        let staging = output.staging().join(index.to_string());
        Ok(Made::Staged(Box::new(Staged::new(changes, order.folder.join(name), staging, &bundle)?)))
    })?;
    let named = order.clusters.iter().map(|(_, name)| (*name).to_owned());
    let mut all: Vec<_> = named.zip(made).collect();
    for (name, changes) in gone(order, &top)? {
        let staging = output.staging().join(all.len().to_string());
        let staged = Staged::gone(changes, order.folder.join(&name), staging)?;
        all.push((name, Made::Staged(Box::new(staged))));
    }
    let staged = || all.iter().filter_map(|(name, made)| Some((name.as_str(), made.staged()?)));
    obstacle::refuse(order.folder, staged().flat_map(|(name, it)| it.obstacles().iter().map(move |it| (name, it))))?;

    output.put_in_place(|transaction| {
        first(transaction, staged().any(|(_, it)| it.changes_anything()))?;
        staged().try_for_each(|(_, it)| it.begin(transaction))?;
        staged().try_for_each(|(_, it)| it.place(transaction))?;
        staged().try_for_each(|(_, it)| it.finish(transaction))
    })?;
    let told = |(name, made): (String, Made)| {
        let remarks = made.staged().map(Staged::remarks).unwrap_or_default();
        Cluster { name, outcome: made.written(), remarks }
    };
    Ok(all.into_iter().map(told).collect())
}

/// Compares the tree with what would be written, and writes nothing.
pub(crate) fn compare(order: &Order<'_>) -> Result<Vec<Compared>, Failure> {
    let _lock = output::lock_to_read(order.folder);
    let top = Listing::read(order.folder)?;
    let made = each(order, |_, name, outcome| {
        Ok(match outcome {
            Outcome::Ready(bundle) => (changes(order, &top, name, &bundle)?, Vec::new()),
            Outcome::Waiting(waits) => (Changes::default(), waits),
        })
    })?;
    let named = order.clusters.iter().map(|(_, name)| (*name).to_owned());
    let gone = gone(order, &top)?.into_iter().map(|(name, changes)| (name, (changes, Vec::new())));
    let all: Vec<_> = named.zip(made).chain(gone).collect();
    // What somebody else wrote where a file of ours belongs is a difference like any other here.
    let obstacles = all.iter().flat_map(|(name, (it, _))| it.obstacles.iter().map(move |it| (name.as_str(), it)));
    obstacle::refuse(order.folder, obstacles.filter(|(_, it)| !it.is_file()))?;
    Ok(all
        .into_iter()
        .map(|(name, (changes, waits))| {
            let remarks = changes.remarks();
            Compared { name, differences: changes.differences(), waits, remarks }
        })
        .collect())
}

/// What one cluster came to, before anything is put in place.
enum Made {
    Staged(Box<Staged>),
    Waiting(Vec<Wait>),
}

impl Made {
    fn staged(&self) -> Option<&Staged> {
        match self {
            Self::Staged(staged) => Some(staged),
            Self::Waiting(_) => None,
        }
    }

    fn written(self) -> Written {
        match self {
            Self::Staged(staged) => staged.written(),
            Self::Waiting(waits) => Written::Waiting(waits),
        }
    }
}

/// Renders every cluster and hands it to `work`; results come in the order of the topology.
fn each<T: Send>(
    order: &Order<'_>,
    work: impl Fn(usize, &str, Outcome) -> Result<T, Failure> + Sync,
) -> Result<Vec<T>, Failure> {
    let all: Vec<_> = order
        .clusters
        .par_iter()
        .enumerate()
        .map(|(index, (id, name))| work(index, name, (order.bundle)(*id)))
        .collect();
    // Of several failures the first by order is told, not the first by chance.
    all.into_iter().collect()
}

fn changes(order: &Order<'_>, top: &Listing, name: &str, bundle: &Bundle) -> Result<Changes, Failure> {
    Changes::find(&order.folder.join(name), &top.kind(name), bundle, order.force)
}

/// Folders of clusters that the topology no longer has: those with an inventory.
fn gone(order: &Order<'_>, top: &Listing) -> Result<Vec<(String, Changes)>, Failure> {
    let mut gone = Vec::new();
    if !order.whole {
        return Ok(gone);
    }
    for name in top.folders().filter(|name| !order.clusters.iter().any(|(_, it)| it == name)) {
        let folder = order.folder.join(name);
        let has_inventory = folder.join(inventory::FILE).symlink_metadata().is_ok_and(|it| it.is_file());
        if has_inventory {
            gone.push((name.to_owned(), Changes::find(&folder, &Found::Folder, &Bundle::default(), order.force)?));
        }
    }
    Ok(gone)
}
