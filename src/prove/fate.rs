//! `Fate`: what becomes of a call when something is gone.

use std::collections::{BTreeMap, BTreeSet};

use super::hop::Break;
use super::loss::Loss;
use super::object::Place;
use super::{Call, Path, Proof, Way};

/// What becomes of a call.
#[derive(Debug)]
pub enum Fate<'a> {
    /// Whoever makes it is gone.
    Gone,
    /// Whoever answers goes on answering.
    Survives,
    /// Others answer: those that are left.
    FallsOver(Vec<&'a Way>),
    /// A part of it goes on failing.
    FailsInPart {
        /// About how much, in percent, if it is known.
        share: Option<u64>,
        /// Why the rest does not help.
        why: &'static str,
        /// Where the part ends.
        broken: Box<Break>,
        /// Who answers in the place of those that are gone.
        over: Vec<&'a Way>,
    },
    /// Nobody answers.
    Dies(Box<Break>),
}

/// What a loss does to the calls that have a path.
#[derive(Debug)]
pub struct Effect<'a> {
    /// What is gone, all at once.
    pub losses: Vec<Loss>,
    /// How many calls go on as they did.
    pub surviving: usize,
    /// How many calls are made by whoever is gone.
    pub gone: usize,
    /// All other calls.
    pub touched: Vec<(&'a Call, Fate<'a>)>,
}

impl Effect<'_> {
    /// How many calls fall over.
    #[must_use]
    pub fn falling_over(&self) -> usize {
        self.touched.iter().filter(|it| matches!(it.1, Fate::FallsOver(_))).count()
    }

    /// How many calls fail in part.
    #[must_use]
    pub fn failing_in_part(&self) -> usize {
        self.touched.iter().filter(|it| matches!(it.1, Fate::FailsInPart { .. })).count()
    }

    /// How many calls die.
    #[must_use]
    pub fn dying(&self) -> usize {
        self.touched.iter().filter(|it| matches!(it.1, Fate::Dies(_))).count()
    }
}

impl Proof<'_> {
    /// What becomes of the calls that have a path, when these are gone at once.
    #[must_use]
    pub fn without(&self, losses: &[Loss]) -> Effect<'_> {
        let mut effect = Effect { losses: losses.to_vec(), surviving: 0, gone: 0, touched: Vec::new() };
        for (call, path) in &self.proved {
            match path.without(call, losses) {
                Fate::Gone => effect.gone += 1,
                Fate::Survives => effect.surviving += 1,
                fate => effect.touched.push((call, fate)),
            }
        }
        effect
    }

    /// What is said of the choice among those that may answer and is not understood, each with how many calls it is
    /// about.
    pub(super) fn unsure(&self) -> Vec<(&Place, usize)> {
        let mut all: Vec<(&Place, usize)> = Vec::new();
        for (_, path) in &self.proved {
            let mut seen: Vec<String> = Vec::new();
            for place in &path.unsure {
                let name = |it: &Place| format!("{} {} {}", it.file(), it.object(), it.field());
                if seen.contains(&name(place)) {
                    continue;
                }
                seen.push(name(place));
                match all.iter_mut().find(|it| name(it.0) == name(place)) {
                    Some(it) => it.1 += 1,
                    None => all.push((place, 1)),
                }
            }
        }
        all
    }

    /// Whatever kills a call when it alone is gone, with these calls: clusters, gateways, and services of a cluster.
    #[must_use]
    pub fn single_points(&self) -> BTreeMap<Loss, Vec<&Call>> {
        let mut points: BTreeMap<Loss, Vec<&Call>> = BTreeMap::new();
        for (call, path) in &self.proved {
            let losses: BTreeSet<Loss> = path.ways.iter().flat_map(|it| Loss::of_way(call, it)).collect();
            for loss in losses {
                if matches!(path.without(call, std::slice::from_ref(&loss)), Fate::Dies(_)) {
                    points.entry(loss).or_default().push(call);
                }
            }
        }
        points
    }
}

/// A way, and where it ends now.
type End<'a> = (&'a Way, Option<Box<Break>>);

/// What becomes of the calls that take one destination of the routes.
enum Part<'a> {
    Same,
    Over(Vec<&'a Way>),
    /// The failing of all endpoints, if that is known.
    Fails(Option<(u64, u64)>, &'static str, Box<Break>, Vec<&'a Way>),
    Dead(Box<Break>),
}

const KEPT: &str = "no outlier detection leaves out who does not answer";
const LIMITED: &str = "`maxEjectionPercent` keeps outlier detection from leaving out all that do not answer";
const WEIGHED: &str = "a route does not turn to another destination";

impl Path {
    fn without(&self, call: &Call, losses: &[Loss]) -> Fate<'_> {
        if losses.iter().any(|it| it.takes_caller(call)) {
            return Fate::Gone;
        }
        let ends: Vec<_> = self.ways.iter().map(|way| losses.iter().find_map(|it| it.ends(call, self, way))).collect();
        if ends.iter().all(Option::is_none) {
            return Fate::Survives;
        }
        let mut targets: BTreeMap<usize, Vec<End<'_>>> = BTreeMap::new();
        for (way, end) in self.ways.iter().zip(ends) {
            targets.entry(way.choice.target).or_default().push((way, end));
        }
        // Of how many calls each destination is; where matches decide, nobody knows.
        let shares: Vec<u64> = match targets.len() {
            1 => vec![100],
            _ => targets.values().map(|it| it[0].0.share.unwrap_or(0)).collect(),
        };
        let is_known = shares.iter().sum::<u64>() == 100;
        let all = targets.len();
        let mut dead = 0;
        // In hundredths of a percent.
        let mut lost = is_known.then_some(0);
        let mut over = Vec::new();
        let mut failing: Option<(&str, Box<Break>)> = None;
        for (ways, share) in targets.into_values().zip(shares) {
            match part(ways) {
                Part::Same => {}
                Part::Over(ways) => over.extend(ways),
                Part::Fails(of, why, broken, ways) => {
                    lost = lost.zip(of).map(|(lost, (some, all))| lost + share * 100 * some / all);
                    over.extend(ways);
                    failing = failing.or(Some((why, broken)));
                }
                Part::Dead(broken) => {
                    dead += 1;
                    lost = lost.map(|it| it + share * 100);
                    failing = failing.or(Some((WEIGHED, broken)));
                }
            }
        }
        match failing {
            Some((_, broken)) if dead == all => Fate::Dies(broken),
            Some((why, broken)) => Fate::FailsInPart { share: lost.map(|it| (it + 50) / 100), why, broken, over },
            None if over.is_empty() => Fate::Survives,
            None => Fate::FallsOver(over),
        }
    }
}

fn part(mut ways: Vec<End<'_>>) -> Part<'_> {
    ways.sort_by_key(|it| it.0.choice.rank);
    let first = ways[0].0.choice.rank;
    let Some(index) = ways.iter().position(|(way, end)| end.is_some() && way.choice.rank == first) else {
        return Part::Same;
    };
    let broken = ways[index].1.clone().expect("it was looked for by this");
    if ways.iter().all(|it| it.1.is_some()) {
        return Part::Dead(broken);
    }
    // Pods beside the caller are no endpoints any more as soon as they are gone. Those of others do not answer.
    ways.retain(|(way, end)| end.is_none() || way.via.is_some());
    let (all, failing) = (count(ways.iter()), count(ways.iter().filter(|it| it.1.is_some())));
    let left_out = ways[0].0.choice.left_out;
    if failing > 0 && left_out == 0 {
        let is_known = ways.iter().all(|it| it.0.choice.endpoints.is_some());
        return Part::Fails(is_known.then_some((failing, all)), KEPT, broken, Vec::new());
    }
    let over = loaded(&ways);
    if failing * 100 > all * left_out { Part::Fails(None, LIMITED, broken, over) } else { Part::Over(over) }
}

fn count<'a>(ways: impl Iterator<Item = &'a End<'a>>) -> u64 {
    ways.map(|it| it.0.choice.endpoints.unwrap_or(1)).sum()
}

/// Who takes the calls: Envoy turns to the next rank for a part as soon as less than 5 of 7 endpoints of one answer.
fn loaded<'a>(ways: &[End<'a>]) -> Vec<&'a Way> {
    let mut over = Vec::new();
    let mut left = 100;
    for rank in ways.chunk_by(|one, other| one.0.choice.rank == other.0.choice.rank) {
        let answering: Vec<_> = rank.iter().filter(|it| it.1.is_none()).collect();
        if left > 0 {
            left -= left.min(140 * count(answering.iter().copied()) / count(rank.iter()).max(1));
            over.extend(answering.iter().map(|it| it.0));
        }
    }
    over
}
