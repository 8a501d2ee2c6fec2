//! `meshlatch stats`: the objects of each cluster, and about how many clusters its Envoys hold.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use annotate_snippets::Level;
use meshlatch::Mesh;
use meshlatch::model::Wait;
use meshlatch::stats::{Held, Range, Stats};
use meshlatch::syntax::Scope;
use serde::Serialize;

use crate::args::StatsArgs;
use crate::compile::{mesh, say_waits};
use crate::failure::Failure;
use crate::{Status, terminal};

/// The whole report.
#[derive(Serialize)]
struct Report {
    /// The scope that the topology asks for.
    scope: &'static str,
    clusters: Vec<Cluster>,
    total: Total,
}

/// One cluster: its numbers, or what it waits for.
#[derive(Serialize)]
struct Cluster {
    name: String,
    istio: String,
    #[serde(flatten)]
    stats: Option<Stats>,
    #[serde(rename = "waitsFor", skip_serializing_if = "Vec::is_empty")]
    waits: Vec<String>,
}

/// Over all clusters that are written.
#[derive(Serialize)]
struct Total {
    clusters: usize,
    files: usize,
    objects: BTreeMap<String, usize>,
    declared: Option<Range>,
    mesh: Option<Range>,
}

/// Prints the report.
pub(crate) fn run(args: &StatsArgs) -> Result<Status, Failure> {
    let Some(mesh) = mesh(&args.topology)? else { return Ok(Status::Wrong) };
    let report = report(&mesh);
    let text = if args.json {
        serde_json::to_string_pretty(&report).expect("a report is plain data") + "\n"
    } else {
        text(&report)
    };
    terminal::print(&text)?;
    Ok(Status::Well)
}

fn report(mesh: &Mesh) -> Report {
    let clusters: Vec<_> = mesh
        .clusters()
        .map(|(id, name)| {
            let (stats, waits) = match mesh.stats(id) {
                Ok(stats) => (Some(stats), Vec::new()),
                Err(waits) => {
                    say_waits(Level::NOTE, name, &waits);
                    (None, waits)
                }
            };
            let waits = waits.into_iter().map(|it: Wait| it.what).collect();
            Cluster { name: name.to_owned(), istio: mesh.release(id), stats, waits }
        })
        .collect();
    let total = total(&clusters);
    Report { scope: if mesh.scope() == Scope::Declared { "declared" } else { "mesh" }, clusters, total }
}

fn total(clusters: &[Cluster]) -> Total {
    let stats = || clusters.iter().filter_map(|it| it.stats.as_ref());
    let mut objects = BTreeMap::new();
    for (kind, count) in stats().flat_map(|it| &it.objects) {
        *objects.entry(kind.clone()).or_default() += count;
    }
    Total {
        clusters: stats().count(),
        files: stats().map(|it| it.files).sum(),
        objects,
        declared: stats().filter_map(|it| it.declared.clone()).reduce(wider),
        mesh: stats().filter_map(|it| it.mesh.clone()).reduce(wider),
    }
}

/// The fewest and the most of two ranges; among equals those of the first.
fn wider(a: Range, b: Range) -> Range {
    Range {
        least: if b.least.clusters < a.least.clusters { b.least } else { a.least },
        most: if b.most.clusters > a.most.clusters { b.most } else { a.most },
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for cluster in &report.clusters {
        let title = format!("{}  Istio {}", cluster.name, cluster.istio);
        let Some(stats) = &cluster.stats else {
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "{title}\n  not written, for it waits\n");
            continue;
        };
        let mut envoy = sidecars(stats.declared.as_ref(), stats.mesh.as_ref());
        if let Some(gateway) = &stats.east_west_gateway {
            envoy.push(same("east-west gateway", gateway.clusters));
            envoy.extend(gateway.filter_chains.map(|it| same("  its filter chains", it)));
        }
        envoy.extend(stats.ingress_gateway.map(|it| same("ingress gateway", it)));
        // The old line has no Sidecar of ours: it tells its sidecars of everything, whatever the topology says.
        let scope = if stats.declared.is_some() { report.scope } else { "mesh" };
        block(&mut text, &title, stats.files, &stats.objects, &envoy, scope);
    }
    let total = &report.total;
    let title = match total.clusters {
        1 => "total  1 cluster".to_owned(),
        count => format!("total  {count} clusters"),
    };
    let envoy = sidecars(total.declared.as_ref(), total.mesh.as_ref());
    let scope = if total.declared.is_some() { report.scope } else { "mesh" };
    block(&mut text, &title, total.files, &total.objects, &envoy, scope);
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// A line on what Envoys hold: what, with each scope, where.
type Row = (&'static str, String, String, String);

fn block(text: &mut String, title: &str, files: usize, objects: &BTreeMap<String, usize>, envoy: &[Row], scope: &str) {
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "{title}\n  {:23}{files:>8}", "files");
    let _ = writeln!(text, "  {:23}{:>8}", "objects", objects.values().sum::<usize>());
    for (kind, count) in objects {
        let _ = writeln!(text, "    {kind:21}{count:>8}");
    }
    if !envoy.is_empty() {
        let mark = |it: &str| if it == scope { format!("{it}*") } else { it.to_owned() };
        let _ = writeln!(text, "  {:23}{:>8}{:>10}", "Envoy clusters, about", mark("mesh"), mark("declared"));
    }
    for (what, mesh, declared, place) in envoy {
        let line = format!("    {what:21}{mesh:>8}{declared:>10}  {place}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push('\n');
}

fn sidecars(declared: Option<&Range>, mesh: Option<&Range>) -> Vec<Row> {
    let row = |what, pick: fn(&Range) -> &Held| {
        let mesh = pick(mesh?);
        let declared = declared.map(pick);
        let of = declared.unwrap_or(mesh);
        let place = format!("{} in {}", of.service, of.namespace);
        Some((what, mesh.clusters.to_string(), declared.map_or("-".to_owned(), |it| it.clusters.to_string()), place))
    };
    [row("sidecar, least", |it| &it.least), row("sidecar, most", |it| &it.most)].into_iter().flatten().collect()
}

/// What does not depend on the scope of sidecars.
fn same(what: &'static str, count: usize) -> Row {
    (what, count.to_string(), count.to_string(), String::new())
}
