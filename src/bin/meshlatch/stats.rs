//! `meshlatch stats`: how much each cluster's objects ask of Kubernetes and of Envoy.

use std::fmt::Write as _;

use meshlatch::stats::ClusterStats;

use crate::args::StatsArgs;
use crate::failure::Failure;
use crate::{Status, compile, terminal};

/// Prints a table, or JSON.
pub(crate) fn run(args: &StatsArgs) -> Result<Status, Failure> {
    let Some(mesh) = compile::mesh(&args.topology)? else { return Ok(Status::Wrong) };
    let clusters: Vec<_> = mesh.clusters().filter_map(|(id, _)| mesh.stats(id)).collect();
    let waiting: Vec<_> =
        mesh.clusters().map(|it| it.1).filter(|name| clusters.iter().all(|it| it.cluster != *name)).collect();
    for name in waiting {
        terminal::say(&format!("note: `{name}` is not counted: it waits for an address\n"));
    }
    if args.json {
        let json = serde_json::to_string_pretty(&clusters).expect("counts are plain data");
        terminal::print(&format!("{json}\n"))?;
    } else {
        terminal::print(&table(&clusters))?;
    }
    Ok(Status::Well)
}

fn table(clusters: &[ClusterStats]) -> String {
    let mut text = String::new();
    for (index, stats) in clusters.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{}: {} objects in {} files", stats.cluster, stats.total(), stats.files);
        let kinds: Vec<_> = stats.objects.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let _ = writeln!(text, "  {}", kinds.join(", "));
        let most = stats.sidecars.iter().max_by_key(|it| it.clusters);
        let least = stats.sidecars.iter().min_by_key(|it| it.clusters);
        if let (Some(least), Some(most)) = (least, most) {
            let range = if least.clusters == most.clusters {
                format!("{}", most.clusters)
            } else {
                format!("{} (`{}`) to {} (`{}`)", least.clusters, least.namespace, most.clusters, most.namespace)
            };
            let whole = stats.sidecars.iter().map(|it| it.clusters_of_whole_mesh).max().unwrap_or(0);
            let _ = writeln!(
                text,
                "  a sidecar holds about {range} clusters of Envoy; told of the whole mesh up to {whole}"
            );
        }
        for (what, count) in
            [("the east-west gateway", stats.east_west_gateway), ("the ingress gateway", stats.ingress_gateway)]
        {
            if let Some(count) = count {
                let _ = writeln!(text, "  {what} holds about {count}");
            }
        }
    }
    let objects: usize = clusters.iter().map(ClusterStats::total).sum();
    let files: usize = clusters.iter().map(|it| it.files).sum();
    if clusters.len() > 1 {
        let _ = writeln!(text, "\nall {} clusters: {objects} objects in {files} files", clusters.len());
    }
    text
}
