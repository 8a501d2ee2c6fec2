//! `Order`: what is asked for, and the placements that the service has on its way.

use std::collections::BTreeSet;

use super::{impossible, weighs};
use crate::Mesh;
use crate::diag::{Code, Diagnostics, Draft, Reported, nearest};
use crate::syntax::{BalanceSpec, Document, Short};
use crate::topology::ClusterId;
use crate::yaml;

/// Which service moves from where to where, and in what shares.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The key of the service.
    pub service: &'a str,
    /// The cluster that it leaves.
    pub from: &'a str,
    /// The cluster that it comes to.
    pub to: &'a str,
    /// The share in percent of the calls that the new cluster gets, step by step; 0 comes first and
    /// 100 last, also if they are not named.
    pub shares: &'a [u32],
}

/// What a topology says of the service in one step.
#[derive(Debug, Clone)]
pub(super) struct Placement {
    /// The clusters that run it.
    pub(super) clusters: Vec<String>,
    /// How calls are shared, as YAML on one line.
    pub(super) balance: Option<String>,
    /// What the step is called.
    pub(super) slug: String,
    /// What the step is for.
    pub(super) aim: String,
}

/// The placements of a move, and why it has no shares, if it has none.
pub(super) struct Route {
    /// From what is there now to the end.
    pub(super) placements: Vec<Placement>,
    /// Whether calls are shared by weight on the way.
    pub(super) by_weight: bool,
}

/// Where the service runs, from now to the end.
pub(super) fn route(
    mesh: &Mesh,
    document: &Document,
    order: &Order<'_>,
    diags: &mut Diagnostics,
) -> Result<Route, Reported> {
    names(mesh, document, order, diags)?;
    let steps = shares(order.shares, diags)?;
    let spec = &document.spec.services[order.service];
    let now = &spec.clusters.0;
    let Order { from, to, .. } = *order;
    let there = now.iter().any(|it| it == to);
    let pair = |it: &String| if it == from && !there { vec![it.clone(), to.to_owned()] } else { vec![it.clone()] };
    let joined: Vec<String> = now.iter().flat_map(pair).collect();
    let left: Vec<String> = joined.iter().filter(|it| *it != from).cloned().collect();
    let all = mesh.clusters().filter(|(_, name)| joined.iter().any(|it| it == name));
    let all: Vec<ClusterId> = all.map(|it| it.0).collect();
    let weights = weights(spec.balance.as_ref());
    let only_both = joined.iter().all(|it| it == from || it == to);
    // Among three clusters there are shares to keep only where the topology says them.
    let by_weight = weighs(mesh, mesh.service(order.service), &all) && (weights.is_some() || only_both);
    let balance = spec.balance.as_ref();
    let now =
        Placement { clusters: now.clone(), balance: balance.map(flow), slug: "now".to_owned(), aim: String::new() };
    let mut placements = vec![now];
    if by_weight {
        let shares = Shares { order, weights, clusters: &joined, total: 0 }.counted(only_both);
        placements.extend(steps.into_iter().filter(|it| shares.is_ahead(*it)).map(|it| shares.step(it)));
        placements.push(leave(order, &left, (left.len() > 1).then(|| shares.written(100, &left))));
    } else {
        if !there {
            placements.push(Placement {
                clusters: joined,
                balance: balance.map(|it| replaced(it, from, &[from, to])),
                slug: "start".to_owned(),
                aim: format!("`{}` starts in `{to}`", order.service),
            });
        }
        let others: &[&str] = if there { &[] } else { &[to] };
        let balance = balance.filter(|_| left.len() > 1).map(|it| replaced(it, from, others));
        placements.push(leave(order, &left, balance));
    }
    Ok(Route { placements, by_weight })
}

fn leave(order: &Order<'_>, left: &[String], balance: Option<String>) -> Placement {
    Placement {
        clusters: left.to_vec(),
        balance,
        slug: "leave".to_owned(),
        aim: format!("`{}` leaves `{}`", order.service, order.from),
    }
}

/// The shares of a service's calls on its way. Those of other clusters stay as they are.
struct Shares<'a> {
    order: &'a Order<'a>,
    /// As the topology has them.
    weights: Option<Vec<(String, u32)>>,
    clusters: &'a [String],
    /// What the two clusters have together.
    total: u32,
}

impl Shares<'_> {
    fn counted(mut self, only_both: bool) -> Self {
        self.total = if only_both { 100 } else { self.has(self.order.from) + self.has(self.order.to) };
        self
    }

    /// The share that a cluster has now.
    fn has(&self, name: &str) -> u32 {
        self.weights.iter().flatten().find(|it| it.0 == name).map_or(0, |it| it.1)
    }

    /// Whether a step gives the new cluster more than it has: a move that was begun goes on.
    fn is_ahead(&self, step: u32) -> bool {
        let has = self.has(self.order.to);
        has == 0 || self.part(step) > has
    }

    /// What the new cluster has after a step.
    fn part(&self, step: u32) -> u32 {
        self.total * step / 100
    }

    fn written(&self, step: u32, clusters: &[String]) -> String {
        let share = |name: &str| match name {
            name if name == self.order.from => self.total - self.part(step),
            name if name == self.order.to => self.part(step),
            name => self.has(name),
        };
        written(clusters.iter().map(|it| (it.as_str(), share(it))))
    }

    fn step(&self, step: u32) -> Placement {
        let Order { service, to, .. } = self.order;
        Placement {
            clusters: self.clusters.to_vec(),
            balance: Some(self.written(step, self.clusters)),
            slug: if step == 0 { "start".to_owned() } else { format!("{step}-percent") },
            aim: if step == 0 {
                format!("`{service}` starts in `{to}`, where no call goes yet")
            } else {
                format!("{} percent of the calls go to `{to}`", self.part(step))
            },
        }
    }
}

/// Looks whether the service can go from one cluster to the other.
fn names(mesh: &Mesh, document: &Document, order: &Order<'_>, diags: &mut Diagnostics) -> Result<(), Reported> {
    let Order { service, from, to, .. } = *order;
    if document.spec.moving.is_some() {
        let message = "the topology is a step of a move already: it says `moving`".to_owned();
        return Err(impossible(message, "plan from a topology that does not, such as that of the last step", diags));
    }
    let Some(spec) = document.spec.services.get(service) else {
        let draft = diags.error(Code::UnknownService, format!("there is no service `{service}` to move"));
        return Err(known(draft, "service", service, document.spec.services.keys()).reported());
    };
    for (flag, name) in [("--from", from), ("--to", to)] {
        if !mesh.clusters().any(|it| it.1 == name) {
            let message = format!("`{flag}` names the cluster `{name}`, which does not exist");
            let draft = diags.error(Code::UnknownCluster, message);
            known(draft, "cluster", name, document.spec.clusters.keys());
        }
    }
    diags.check()?;
    if from == to {
        let message = format!("`{service}` cannot move from `{from}` to itself");
        return Err(impossible(message, "`--to` is the cluster that runs it in the end", diags));
    }
    let runs = |name: &str| spec.clusters.0.iter().any(|it| it == name);
    if !runs(from) {
        let names: Vec<_> = spec.clusters.0.iter().map(|it| format!("`{it}`")).collect();
        let message = format!("`{service}` does not run in `{from}`, but in {}", names.join(", "));
        let help = if runs(to) {
            "it is where it should be".to_owned()
        } else {
            format!("move it from there: `--from {}`", spec.clusters.0[0])
        };
        return Err(impossible(message, help, diags));
    }
    Ok(())
}

fn known<'a, 'b>(draft: Draft<'a>, what: &str, name: &str, all: impl Iterator<Item = &'b String> + Clone) -> Draft<'a> {
    match nearest(name, all.clone().map(String::as_str)) {
        Some(near) => draft.help(format!("a {what} with a similar name exists: `{near}`")),
        None => {
            let names: Vec<_> = all.take(8).map(|it| format!("`{it}`")).collect();
            draft.help(format!("the {what}s are {}", names.join(", ")))
        }
    }
}

/// The steps, from 0 to 100.
fn shares(wanted: &[u32], diags: &mut Diagnostics) -> Result<Vec<u32>, Reported> {
    if let Some(share) = wanted.iter().find(|it| **it > 100) {
        let draft = diags.error(Code::InvalidShares, format!("{share} is no share of the calls"));
        return Err(draft.help("a number from 0 to 100, in percent: `--steps 0,5,25,100`").reported());
    }
    if let Some((before, share)) = wanted.iter().zip(&wanted[1.min(wanted.len())..]).find(|(a, b)| a >= b) {
        let draft =
            diags.error(Code::InvalidShares, format!("the share {share} comes after {before}, and is not more"));
        return Err(draft.help("each step gives the new cluster more: `--steps 0,5,25,100`").reported());
    }
    let between = wanted.iter().copied().filter(|it| !matches!(it, 0 | 100));
    Ok(std::iter::once(0).chain(between).chain([100]).collect())
}

fn weights(balance: Option<&Short<BalanceSpec>>) -> Option<Vec<(String, u32)>> {
    let Some(Short::Full(spec)) = balance else { return None };
    let weights = spec.weights.as_ref()?.iter();
    Some(weights.map(|(name, share)| (name.clone(), share.parse().unwrap_or(0))).collect())
}

fn written<'a>(shares: impl Iterator<Item = (&'a str, u32)>) -> String {
    let shares: Vec<_> = shares.map(|(name, share)| format!("{}: {share}", yaml::scalar(name))).collect();
    format!("{{weights: {{{}}}}}", shares.join(", "))
}

/// A `balance` on one line.
pub(super) fn flow(balance: &Short<BalanceSpec>) -> String {
    replaced(balance, "", &[])
}

/// A `balance` on one line, with other clusters in the place of one.
fn replaced(balance: &Short<BalanceSpec>, from: &str, by: &[&str]) -> String {
    let spec = match balance {
        Short::Text(word) => return word.clone(),
        Short::Full(spec) => spec,
    };
    if spec.failover.is_none() {
        return written(weights(Some(balance)).iter().flatten().map(|it| (it.0.as_str(), it.1)));
    }
    let mut seen = BTreeSet::new();
    let names = spec.failover.iter().flat_map(|it| &it.0);
    let names = names.flat_map(|it| if it == from { by.to_vec() } else { vec![it.as_str()] });
    let names: Vec<_> = names.filter(|it| seen.insert(*it)).map(yaml::scalar).collect();
    format!("{{failover: [{}]}}", names.join(", "))
}
