//! `Remarks`: what a run found in a cluster's folder that its user should know.

use annotate_snippets::Level;

use crate::inventory::State;
use crate::terminal;

/// What is out of the ordinary.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Remarks {
    /// What became of the run that wrote the inventory.
    pub(super) state: State,
    /// How many files have the line ends of Windows.
    pub(super) line_ends: usize,
}

impl Remarks {
    /// Says it, once for all folders, each by its path; what is cut off is finished by a run that
    /// does not only look.
    pub(crate) fn say(all: &[(String, Self)], only_looks: bool) {
        let folders = |which: fn(&Self) -> bool| {
            let named: Vec<_> = all.iter().filter(|(_, it)| which(it)).map(|(folder, _)| folder).collect();
            match named.split_first() {
                None => None,
                Some((first, [])) => Some((*first).clone()),
                Some((first, more)) => Some(format!("{first} and {} more", more.len())),
            }
        };
        let note = |message: String, help: &str| terminal::report(Level::NOTE, &message, &[], &[help.to_owned()]);
        if let Some(folders) = folders(|it| it.state == State::Unfinished).filter(|_| only_looks) {
            note(
                format!("an earlier run was cut off, and left {folders} unfinished"),
                "`meshlatch compile` finishes it",
            );
        }
        if let Some(folders) = folders(|it| it.state == State::Conflict) {
            let message =
                format!("the inventory has a conflict of git in {folders}: files of both sides count as ours");
            let help = if only_looks {
                "merge the topology and its lock first; then `meshlatch compile` writes the tree that they mean"
            } else {
                "it is resolved: commit it with the tree"
            };
            note(message, help);
        }
        let count: usize = all.iter().map(|(_, it)| it.line_ends).sum();
        if let Some(folders) = folders(|it| it.line_ends > 0) {
            let files = if count == 1 { "1 file has".to_owned() } else { format!("{count} files have") };
            note(
                format!("{files} the line ends of Windows, in {folders}"),
                "keep git from changing them by a line in `.gitattributes`, such as `out/** -text`",
            );
        }
    }
}
