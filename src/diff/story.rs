//! What a change means, in lines.

use super::Report;
use super::lines::{Limits, Line, Mark, cut, line, more};
use super::meaning::{
    AddressChange, Between, Broken, CallChange, Called, Caller, Declared, Restart, Route, ServiceChange, Step,
};
use super::pods::Variable;
use super::words::{list, shown};
use serde_json::Value as Json;

/// A chapter: its title, and its lines; never empty.
pub(super) struct Chapter {
    pub(super) title: &'static str,
    pub(super) lines: Vec<Line>,
}

/// What there is to tell, the most important first.
pub(super) fn chapters(report: &Report, limits: Limits) -> Vec<Chapter> {
    let mut chapters = Vec::new();
    let mut add = |title: &'static str, lines: Vec<Line>| {
        if !lines.is_empty() {
            chapters.push(Chapter { title, lines });
        }
    };
    let declared = report.meaning.declared.as_ref();
    if let Some(it) = declared {
        add("Services", each(&it.services, limits, service));
        add("Callers that must be told", each(&it.callers, limits, caller));
        add("Addresses", addresses(it, limits));
    }
    if let Some(between) = declared.and_then(|it| it.paths.as_ref()?.between.as_ref()) {
        add("Cluster by cluster", on_the_way(between, limits));
    }
    add("Pods that restart", each(&report.meaning.restarts, limits, restart));
    if let Some(paths) = declared.and_then(|it| it.paths.as_ref()) {
        add("Calls", each(&paths.calls, limits, call));
    }
    chapters
}

/// As many as there is room for.
fn each<T>(all: &[T], limits: Limits, tell: impl Fn(&T, Limits) -> Vec<Line>) -> Vec<Line> {
    let (first, rest) = cut(all, limits.objects);
    let mut lines: Vec<Line> = first.iter().flat_map(|it| tell(it, limits)).collect();
    if rest > 0 {
        lines.push(more(0, rest, "change"));
    }
    lines
}

fn service(change: &ServiceChange, limits: Limits) -> Vec<Line> {
    let names = |clusters: &[String]| list(clusters, limits.names.max(8));
    vec![match change {
        ServiceChange::Added { service, clusters } => {
            line(Mark::Added, 0, format!("{} is new, in {}", shown(service), names(clusters)))
        }
        ServiceChange::Removed { service, clusters } => {
            line(Mark::Removed, 0, format!("{} is gone, from {}", shown(service), names(clusters)))
        }
        ServiceChange::Moved { service, old, new } => {
            let come: Vec<_> = new.iter().filter(|it| !old.contains(it)).cloned().collect();
            let left: Vec<_> = old.iter().filter(|it| !new.contains(it)).cloned().collect();
            let stay: Vec<_> = new.iter().filter(|it| old.contains(it)).cloned().collect();
            let how = match (&come[..], &left[..]) {
                ([], left) => format!("leaves {}, and stays in {}", names(left), names(&stay)),
                (come, []) => format!("comes to {}, and stays in {}", names(come), names(&stay)),
                (come, left) if stay.is_empty() => format!("moves from {} to {}", names(left), names(come)),
                (come, left) => format!("moves from {} to {}, and stays in {}", names(left), names(come), names(&stay)),
            };
            line(Mark::Changed, 0, format!("{} {how}", shown(service)))
        }
        ServiceChange::Renamed { service, was, old, new } => {
            let kubernetes = if old == new { String::new() } else { format!(": {} is now {}", shown(old), shown(new)) };
            let who = if was == service {
                format!("{} has another name", shown(service))
            } else {
                format!("{} seems to be what {} was", shown(service), shown(was))
            };
            line(Mark::Changed, 0, format!("{who}{kubernetes}"))
        }
    }]
}

fn caller(it: &Caller, limits: Limits) -> Vec<Line> {
    let text = format!(
        "{} in {}: no variable tells its pods, which must call {} at {} in place of {}",
        shown(&it.caller),
        list(&it.clusters, limits.names),
        shown(&it.callee),
        shown(&it.new),
        shown(&it.old)
    );
    vec![line(Mark::Warning, 0, text)]
}

fn addresses(declared: &Declared, limits: Limits) -> Vec<Line> {
    let tell = |what: &str, change: &AddressChange| {
        let all = |addresses: &[String]| shown(&addresses.join(", "));
        let name = shown(&change.name);
        match (&change.old[..], &change.new[..]) {
            ([], new) => line(Mark::Added, 0, format!("{what}{name}: {}", all(new))),
            (old, []) => line(Mark::Removed, 0, format!("{what}{name}: {}", all(old))),
            (old, new) => line(Mark::Warning, 0, format!("{what}{name}: {} -> {}", all(old), all(new))),
        }
    };
    let gateways = each(&declared.gateways, limits, |it, _| vec![tell("gateway of ", it)]);
    let ips = each(&declared.virtual_ips, limits, |it, _| vec![tell("", it)]);
    gateways.into_iter().chain(ips).collect()
}

fn restart(it: &Restart, limits: Limits) -> Vec<Line> {
    let namespace = if it.namespace.is_empty() { String::new() } else { format!("{}/", shown(&it.namespace)) };
    let title = format!("{} {namespace}{} in {}", shown(&it.kind), shown(&it.name), list(&it.clusters, limits.names));
    let mut lines = vec![line(Mark::Changed, 0, title)];
    let (variables, rest) = cut(&it.variables, limits.fields);
    let quoted = |text: &str| shown(&Json::from(text).to_string());
    for Variable { name, old, new, .. } in variables {
        let name = shown(name);
        lines.push(match (old, new) {
            (Some(old), Some(new)) => line(Mark::Changed, 2, format!("{name}: {} -> {}", quoted(old), quoted(new))),
            (None, Some(new)) => line(Mark::Added, 2, format!("{name}: {}", quoted(new))),
            (old, _) => line(Mark::Removed, 2, format!("{name}: {}", quoted(old.as_deref().unwrap_or_default()))),
        });
    }
    if rest > 0 {
        lines.push(more(2, rest, "variable"));
    }
    if !it.fields.is_empty() {
        lines.push(line(Mark::Plain, 2, format!("for {}", list(&it.fields, limits.names.max(4)))));
    }
    lines
}

fn who(call: &Called) -> String {
    let ingress = if call.ingress { "ingress " } else { "" };
    format!("{ingress}{} -> {}", shown(&call.caller), shown(&call.callee))
}

fn call(it: &CallChange, limits: Limits) -> Vec<Line> {
    let from = list(&it.clusters, limits.names);
    let way = |it: &Route| format!("{}: {}", shown(&it.address), shown(&it.path));
    let head = |mark: Mark| line(mark, 0, format!("{} from {from}", who(&it.call)));
    match (&it.old, &it.new) {
        (None, Some(new)) => vec![head(Mark::Added), line(Mark::Plain, 2, way(new))],
        (Some(old), None) => vec![head(Mark::Removed), line(Mark::Plain, 2, way(old))],
        (old, new) => {
            let mut lines = vec![head(Mark::Changed)];
            lines.extend(old.iter().map(|it| line(Mark::Removed, 2, way(it))));
            lines.extend(new.iter().map(|it| line(Mark::Added, 2, way(it))));
            lines
        }
    }
}

/// What to do about what breaks.
fn on_the_way(between: &Between, limits: Limits) -> Vec<Line> {
    if between.steps.is_empty() {
        return vec![line(
            Mark::Plain,
            0,
            "every declared call has a path, whichever cluster is applied first or last",
        )];
    }
    let mut lines =
        vec![line(Mark::Plain, 0, "`meshlatch rollout` finds an order, and steps between if it takes some")];
    let moments = moments(&between.steps, limits);
    let (first, rest) = cut(&moments, limits.names.max(8));
    for (what, (clusters, when)) in first {
        let one_of = if clusters.len() == 1 { "" } else { "one of " };
        let clusters = list(clusters, limits.names);
        lines.push(line(Mark::Title, 0, format!("if {one_of}{clusters} is applied {when}, there is no path for")));
        lines.extend_from_slice(what);
    }
    if rest > 0 {
        lines.push(more(0, rest, "case"));
    }
    lines
}

/// What breaks, and the clusters of which it is true, with the word for when.
type Moment<'a> = (Vec<Line>, (Vec<&'a str>, &'static str));

/// What breaks, told once for all the clusters of which it is true.
fn moments<'a>(steps: &'a [Step], limits: Limits) -> Vec<Moment<'a>> {
    let mut moments: Vec<Moment<'a>> = Vec::new();
    for step in steps {
        for (broken, when) in [(&step.first, "first"), (&step.last, "last")] {
            if broken.is_empty() {
                continue;
            }
            let lines = broken_calls(broken, &step.cluster, limits);
            match moments.iter_mut().find(|it| it.1.1 == when && it.0 == lines) {
                Some((_, (clusters, _))) => clusters.push(&step.cluster),
                None => moments.push((lines, (vec![&step.cluster], when))),
            }
        }
    }
    moments
}

/// Calls without a path; those of the cluster itself are called so.
fn broken_calls(broken: &[Broken], cluster: &str, limits: Limits) -> Vec<Line> {
    let (first, rest) = cut(broken, limits.names.max(6));
    let mut lines = Vec::new();
    for Broken { call, clusters, address, why } in first {
        let from = if clusters[..] == [cluster] { "it".to_owned() } else { list(clusters, limits.names) };
        lines.push(line(Mark::Removed, 1, format!("{} from {from} at {}: {}", who(call), shown(address), shown(why))));
    }
    if rest > 0 {
        lines.push(more(1, rest, "call"));
    }
    lines
}
