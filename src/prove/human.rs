//! A proof for people: a line a call, and each break as a good compiler tells of it.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Element, Level, Renderer, Snippet};
use indexmap::IndexMap;

use super::hop::{Break, Hop};
use super::object::Place;
use super::{Call, Path, Proof, Stopped, Unasked, UnaskedKind, Way};
use crate::diag::shown;

/// How much is told of each call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Only what is broken, or not understood.
    Quiet,
    /// A line.
    Line,
    /// Every hop, with its file and line.
    Hops,
}

/// The proof as text.
#[must_use]
pub fn human(proof: &Proof<'_>, detail: Detail, color: bool) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    for (call, path) in &proof.proved {
        let _ = match detail {
            Detail::Quiet => Ok(()),
            Detail::Line => writeln!(out, "ok      {}", line(call, path)),
            Detail::Hops => writeln!(out, "ok      {}\n{}", shown(&call.to_string()), hops_of(path)),
        };
    }
    if detail != Detail::Quiet {
        for (call, stopped) in &proof.broken {
            let _ = writeln!(out, "broken  {}: {}", shown(&call.to_string()), stopped.broken.kind);
        }
        if !out.is_empty() {
            out.push('\n');
        }
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    for (broken, calls) in causes(proof.broken.iter().map(|(call, it)| (*call, &it.broken))) {
        let _ = writeln!(out, "{}\n", report(&renderer, &Level::ERROR, broken, &calls));
    }
    for (broken, calls) in causes(proof.latent()) {
        let _ = writeln!(out, "{}\n", report(&renderer, &Level::WARNING, broken, &calls));
    }
    for (odd, calls) in proof.odd.iter().filter(|it| !it.1.is_empty()) {
        let title = format!("{} in `{}` is not understood", odd.what, odd.cluster);
        let title = Level::WARNING.primary_title(shown(&title));
        let note = format!("it may act on {}", listed(calls));
        let elements =
            snippet(Some(&odd.place), "").into_iter().chain([Element::from(Level::NOTE.message(shown(&note)))]);
        let _ = writeln!(out, "{}\n", renderer.render(&[title.elements(elements)]));
    }
    for (cluster, calls) in absent(proof) {
        let _ = writeln!(out, "not followed: {calls}, for nothing is written for `{}`", shown(cluster));
    }
    out.push_str(&summary(proof));
    if detail == Detail::Hops {
        out.push_str(&single_points(proof));
        out.push_str(&unasked(proof));
    }
    out
}

/// What no declared call asks for.
fn unasked(proof: &Proof<'_>) -> String {
    let mut out = String::new();
    for it in &proof.unasked {
        let (what, position) = (shown(&it.what), it.place.position());
        let place = format!("{}:{}:{}", it.place.file(), position.line, position.column);
        let cluster = shown(&it.cluster);
        let _ = match it.kind {
            UnaskedKind::Dead => writeln!(out, "dead: {what} in `{cluster}`, which no declared call uses  {place}"),
            UnaskedKind::Suffix => {
                writeln!(
                    out,
                    "open: the gateway of `{cluster}` passes on every name of `{what}`, whoever is declared to be called  {place}"
                )
            }
            UnaskedKind::Unguarded => {
                writeln!(
                    out,
                    "open: the pods of {what} in `{cluster}` let anybody in: no AuthorizationPolicy is about them  {place}"
                )
            }
            UnaskedKind::Open => {
                writeln!(
                    out,
                    "open: the gateway of `{cluster}` lets `{what}` in, which nobody elsewhere calls  {place}"
                )
            }
        };
    }
    out
}

/// What kills calls when it alone is gone, the most calls first.
fn single_points(proof: &Proof<'_>) -> String {
    let mut points: Vec<_> = proof.single_points().into_iter().map(|(loss, calls)| (calls.len(), loss)).collect();
    points.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    let mut out = String::new();
    for (calls, loss) in points {
        let calls = if calls == 1 { "1 call dies".to_owned() } else { format!("{calls} calls die") };
        let _ = writeln!(out, "single point of failure: {}, without which {calls}", shown(&loss.to_string()));
    }
    out
}

/// The hops of one call, as a traceroute has them.
#[must_use]
pub fn traced(call: &Call, outcome: &Result<Path, Box<Stopped>>, color: bool) -> String {
    let mut out = format!("{}\n", shown(&call.to_string()));
    match outcome {
        Ok(path) => out.push_str(&hops_of(path)),
        Err(stopped) => {
            out.push_str(&numbered(&stopped.hops, 1, "  "));
            let renderer = if color { Renderer::styled() } else { Renderer::plain() };
            let _ = write!(out, "\n{}\n", report(&renderer, &Level::ERROR, &stopped.broken, &[call]));
        }
    }
    out
}

/// "3 calls proved, 1 broken".
fn summary(proof: &Proof<'_>) -> String {
    let calls = if proof.proved.len() == 1 { "1 call" } else { &format!("{} calls", proof.proved.len()) };
    let mut text = format!("{calls} proved, {} broken", proof.broken.len());
    let odd = proof.odd.iter().filter(|it| !it.1.is_empty()).count();
    let trusting = proof.proved.iter().filter(|it| !it.1.trusts.is_empty()).count();
    if !proof.absent.is_empty() {
        let _ = write!(text, ", {} not followed", proof.absent.len());
    }
    let latent = proof.proved.iter().filter(|it| !it.1.latent.is_empty()).count();
    if latent > 0 {
        let _ = write!(text, ", {latent} with nobody to fail over to");
    }
    if odd > 0 {
        let _ = write!(text, ", but for {odd} that {} not understood", if odd == 1 { "is" } else { "are" });
    }
    if trusting > 0 {
        let _ = write!(text, "; {trusting} of them trust in what no file says");
    }
    let is_counted = |it: &&Unasked| matches!(it.kind, UnaskedKind::Dead | UnaskedKind::Open);
    match proof.unasked.iter().filter(is_counted).count() {
        0 => {}
        1 => text.push_str("; 1 thing is written that no declared call asks for"),
        many => {
            let _ = write!(text, "; {many} things are written that no declared call asks for");
        }
    }
    text + "\n"
}

/// Breaks that are one and the same, each with the calls that end there.
fn causes<'a>(breaks: impl Iterator<Item = (&'a Call, &'a Break)>) -> Vec<(&'a Break, Vec<&'a Call>)> {
    let mut causes: IndexMap<_, (&Break, Vec<&Call>)> = IndexMap::new();
    for (call, it) in breaks {
        let place = it.place.as_ref().map(|it| (it.file().to_owned(), it.object().to_string(), it.field()));
        let key = (it.kind, it.cluster.as_str(), it.why.as_str(), place);
        causes.entry(key).or_insert_with(|| (it, Vec::new())).1.push(call);
    }
    causes.into_values().collect()
}

fn absent<'a>(proof: &'a Proof<'_>) -> IndexMap<&'a str, usize> {
    let mut absent = IndexMap::new();
    for (_, cluster) in &proof.absent {
        *absent.entry(cluster.as_str()).or_default() += 1;
    }
    absent
}

fn report(renderer: &Renderer, level: &Level<'_>, broken: &Break, calls: &[&Call]) -> String {
    let title = level.clone().primary_title(shown(&broken.why)).id(broken.kind.name());
    let label = broken.place.as_ref().map(|it| it.object().to_string()).unwrap_or_default();
    let mut elements = snippet(broken.place.as_ref(), &label);
    let is_latent = *level == Level::WARNING;
    let when = if is_latent { "once nobody else is left to answer: " } else { "" };
    elements.push(Level::NOTE.message(shown(&format!("{when}{}", listed(calls)))).into());
    if !broken.effect.is_empty() {
        elements.push(Level::NOTE.message(shown(&broken.effect)).into());
    }
    elements.extend(broken.mend.iter().map(|it| Level::HELP.message(shown(it)).into()));
    renderer.render(&[title.elements(elements)])
}

/// The line of a place, in its file.
fn snippet<'a>(place: Option<&'a Place>, label: &str) -> Vec<Element<'a>> {
    let Some(place) = place.filter(|it| !it.file().is_empty()) else { return Vec::new() };
    let (text, first) = place.text();
    let range = place.range();
    let start = text[..range.start].rfind('\n').map_or(0, |it| it + 1);
    let end = text[range.start..].find('\n').map_or(text.len(), |it| range.start + it);
    let line = &text[start..end];
    let number = first + text[..start].matches('\n').count();
    let mark = range.start - start..range.end.min(end) - start;
    let snippet = Snippet::source(shown(line)).path(shown(place.file())).line_start(number);
    vec![snippet.annotation(AnnotationKind::Primary.span(mark).label(shown(label))).into()]
}

fn listed(calls: &[&Call]) -> String {
    match calls {
        [] => "no declared call".to_owned(),
        [one] => one.to_string(),
        [one, other] => format!("{one}, and {other}"),
        [one, other, rest @ ..] => format!("{one}, {other}, and {} more calls", rest.len()),
    }
}

/// `web in west calls cart at …: mTLS › 34.70.9.157:15443 › east`.
fn line(call: &Call, path: &Path) -> String {
    let briefs = |hops: &[Hop]| {
        let all: Vec<&str> = hops.iter().map(|it| it.brief.as_str()).filter(|it| !it.is_empty()).collect();
        all.join(" › ")
    };
    let ways: Vec<_> = path.ways.iter().map(|way| format!("{}{}", briefs(&way.hops), end(way))).collect();
    let text = format!("{call}: {} › {}", briefs(&path.hops), ways.join(" | "));
    shown(&text)
}

fn end(way: &Way) -> String {
    let whose = way.cluster.as_ref().map_or_else(|| "outside".to_owned(), |it| format!("pods of {it}"));
    let share = way.share.map_or_else(String::new, |it| format!(" ({it} %)"));
    let gap = if way.hops.iter().any(|it| !it.brief.is_empty()) { " › " } else { "" };
    format!("{gap}{whose}{share}")
}

fn hops_of(path: &Path) -> String {
    let mut out = numbered(&path.hops, 1, "  ");
    for way in &path.ways {
        let whose = way.cluster.as_ref().map_or_else(|| "outside".to_owned(), |it| format!("`{it}`"));
        let share = way.share.map_or_else(String::new, |it| format!(", {it} % of the calls"));
        let _ = writeln!(out, "   to {whose}{share}");
        out.push_str(&numbered(&way.hops, path.hops.len() + 1, "  "));
    }
    for it in &path.trusts {
        let _ = writeln!(out, "   taken on trust: {}", shown(it));
    }
    out
}

fn numbered(hops: &[Hop], first: usize, indent: &str) -> String {
    let mut out = String::new();
    for (index, hop) in hops.iter().enumerate() {
        let place = hop.place.as_ref().filter(|it| !it.file().is_empty()).map(|it| {
            let position = it.position();
            format!("  {}:{}:{}", it.file(), position.line, position.column)
        });
        let _ = writeln!(
            out,
            "{indent}{:>2}  {:9} {}: {}{}",
            first + index,
            hop.kind,
            shown(&hop.cluster),
            shown(&hop.text),
            shown(&place.unwrap_or_default())
        );
    }
    out
}
