//! A report for programs.

use serde::Serialize;

use super::changes::{FileChange, ObjectChange, Presence};
use super::meaning::Meaning;
use super::sections::Summary;
use super::{LeftOut, Report};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    old: &'a str,
    new: &'a str,
    summary: Summary,
    clusters: Vec<ClusterView<'a>>,
    meaning: &'a Meaning,
    left_out: &'a [LeftOut],
    notes: &'a [String],
}

#[derive(Serialize)]
struct ClusterView<'a> {
    name: &'a str,
    change: Presence,
    objects: &'a [ObjectChange],
    files: &'a [FileChange],
}

/// A report for programs: everything, cluster by cluster, with a newline at the end.
#[must_use]
pub fn json(report: &Report) -> String {
    let view = View {
        old: &report.sides[0],
        new: &report.sides[1],
        summary: report.summary(),
        clusters: report
            .clusters
            .iter()
            .map(|it| ClusterView { name: &it.name, change: it.presence, objects: &it.objects, files: &it.files })
            .collect(),
        meaning: &report.meaning,
        left_out: &report.left_out,
        notes: &report.notes,
    };
    serde_json::to_string_pretty(&view).expect("a report is plain data") + "\n"
}
