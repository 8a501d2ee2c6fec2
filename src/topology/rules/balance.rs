//! Rules of how calls are shared between the clusters that run a service.

use super::references::{References, element};
use crate::diag::{Code, Diagnostics, nearest};
use crate::syntax::{BalanceSpec, Place, ServiceSpec, Short};
use crate::target::Crossing;
use crate::topology::{Balance, Cluster, ClusterId};

const WORDS: [&str; 5] = ["failover", "local", "locality", "network", "spread"];

/// What `balance` says, or what it says when it is left out.
pub(super) fn resolve(
    who: &str,
    spec: &ServiceSpec,
    placement: &[ClusterId],
    clusters: &[Cluster],
    references: References<'_>,
    place: Place<'_>,
    diags: &mut Diagnostics,
) -> Balance {
    let rewrites = |id: &&ClusterId| clusters[id.0].target.crossing == Crossing::Rewrite;
    let old = placement.iter().find(rewrites);
    let Some(written) = &spec.balance else {
        // A gateway that rewrites names cannot be kept from sending calls on.
        return if old.is_some() { Balance::Local } else { Balance::Failover(as_written(spec, references)) };
    };
    let at = place.get("balance");
    if placement.len() < 2 && spec.clusters.0.len() < 2 {
        diags
            .error(Code::InvalidBalance, format!("{who} runs in one cluster: there is nobody to share its calls with"))
            .at(at.key(), "")
            .context(place.get("clusters").value(), "it runs here")
            .help("name a second cluster, or leave `balance` out");
        return Balance::Local;
    }
    // What an old cluster does anyway may be said.
    let local = matches!(written, Short::Text(word) if word == "local");
    if let Some(old) = old.filter(|_| !local).map(|it| &clusters[it.0]) {
        diags
            .error(
                Code::FieldNotInRelease,
                format!("{who} runs in `{}`, where Istio {} cannot share its calls with other clusters", old.name, old.target.line()),
            )
            .at(at.key(), "")
            .context(old.at, "this cluster")
            .help("its gateway cannot be kept from sending calls on, so that two clusters might pass one back and forth; Istio 1.22 and newer can")
            .help("write `balance: local`, or leave it out, which means the same here");
        return Balance::Local;
    }
    match written {
        Short::Text(word) => match word.as_str() {
            "local" => Balance::Local,
            "failover" => Balance::Failover(as_written(spec, references)),
            "locality" => by_locality(who, placement, clusters, at, diags),
            "network" => Balance::Network,
            "spread" => Balance::Spread,
            _ => {
                let near = nearest(word, WORDS).map(|near| format!("did you mean `{near}`?"));
                let ways = || {
                    let words: Vec<_> = WORDS.iter().map(|it| format!("`{it}`")).collect();
                    format!(
                        "the ways are {}, `{{failover: [cluster, …]}}` and `{{weights: {{cluster: percent, …}}}}`",
                        words.join(", ")
                    )
                };
                diags
                    .error(Code::InvalidBalance, format!("`{word}` is no way to share the calls to {who}"))
                    .at(at.value(), "")
                    .help(near.unwrap_or_else(ways));
                Balance::Local
            }
        },
        Short::Full(map) => of_map(who, map, placement, references, at, diags),
    }
}

/// The clusters in the order in which the service names them.
fn as_written(spec: &ServiceSpec, references: References<'_>) -> Vec<ClusterId> {
    spec.clusters.0.iter().filter_map(|it| references.spec.clusters.get_index_of(it)).map(ClusterId).collect()
}

fn by_locality(
    who: &str,
    placement: &[ClusterId],
    clusters: &[Cluster],
    place: Place<'_>,
    diags: &mut Diagnostics,
) -> Balance {
    for cluster in placement.iter().map(|it| &clusters[it.0]).filter(|it| it.locality.is_none()) {
        diags
            .error(Code::InvalidBalance, format!("the calls to {who} go by locality, and `{}` has none", cluster.name))
            .at(place.value(), "")
            .context(cluster.at, "no `locality:` here")
            .help("write it as its nodes are labelled: `locality: us-east1/us-east1-b`");
    }
    Balance::Locality
}

fn of_map(
    who: &str,
    map: &BalanceSpec,
    placement: &[ClusterId],
    references: References<'_>,
    place: Place<'_>,
    diags: &mut Diagnostics,
) -> Balance {
    match (&map.failover, &map.weights) {
        (Some(order), None) => {
            let at = place.get("failover");
            let mut clusters: Vec<ClusterId> = Vec::new();
            for (index, name) in order.0.iter().enumerate() {
                let at = element(at, index);
                let Some(id) = owner(who, name, at, false, placement, references, diags) else { continue };
                if clusters.contains(&id) {
                    diags
                        .error(Code::InvalidBalance, format!("{who} falls back to the cluster `{name}` twice"))
                        .at(at.value(), "here again")
                        .help("name each once, the first to be tried first");
                } else {
                    clusters.push(id);
                }
            }
            if order.0.is_empty() {
                diags
                    .error(Code::InvalidBalance, format!("{who} names no cluster to fall back to"))
                    .at(at.value(), "")
                    .help("write `balance: failover` for all of them in order, or `balance: local` for none");
            }
            Balance::Failover(clusters)
        }
        (None, Some(weights)) => {
            let at = place.get("weights");
            let mut shares: Vec<(ClusterId, u32)> = Vec::new();
            let mut good = true;
            for (name, text) in weights {
                let id = owner(who, name, at.get(name), true, placement, references, diags);
                let percent = text.parse::<u32>().ok().filter(|it| *it <= 100);
                if percent.is_none() {
                    diags
                        .error(Code::InvalidBalance, format!("`{text}` is no share of the calls to {who}"))
                        .at(at.get(name).value(), "")
                        .help("a share is a whole number of percent, from 0 to 100: `75`");
                }
                match (id, percent) {
                    (Some(id), Some(percent)) => shares.push((id, percent)),
                    _ => good = false,
                }
            }
            let sum: u32 = shares.iter().map(|it| it.1).sum();
            if good && sum != 100 {
                diags
                    .error(Code::InvalidBalance, format!("the shares of the calls to {who} sum to {sum}, not to 100"))
                    .at(at.key(), "")
                    .help("they are percent; a cluster that is left out has 0");
            }
            // A cluster without a share stays ready to have one.
            for id in placement {
                if !shares.iter().any(|it| it.0 == *id) {
                    shares.push((*id, 0));
                }
            }
            shares.sort_by_key(|it| it.0);
            Balance::Weights(shares)
        }
        (Some(_), Some(_)) => {
            diags
                .error(Code::InvalidBalance, format!("the calls to {who} are shared in order and by weight at once"))
                .at(place.get("weights").key(), "by weight")
                .context(place.get("failover").key(), "in order")
                .help("write one of the two");
            Balance::Local
        }
        (None, None) => {
            diags
                .error(Code::InvalidBalance, format!("`balance` of {who} says nothing"))
                .at(place.key(), "")
                .help("write `{failover: [cluster, …]}` or `{weights: {cluster: percent, …}}`, or leave `balance` out");
            Balance::Local
        }
    }
}

/// A cluster that runs the service.
fn owner(
    who: &str,
    name: &str,
    place: Place<'_>,
    is_key: bool,
    placement: &[ClusterId],
    references: References<'_>,
    diags: &mut Diagnostics,
) -> Option<ClusterId> {
    let at = if is_key { place.key() } else { place.value() };
    let id = references.cluster_at(who, name, at, diags)?;
    if !placement.contains(&id) {
        let names: Vec<_> = placement
            .iter()
            .filter_map(|it| references.spec.clusters.get_index(it.0))
            .map(|it| format!("`{}`", it.0))
            .collect();
        diags
            .error(Code::InvalidBalance, format!("`{name}` is to answer calls to {who}, and does not run it"))
            .at(at, "")
            .help(format!("it runs in {}", names.join(", ")));
        return None;
    }
    Some(id)
}
