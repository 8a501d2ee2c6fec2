//! What losses do to calls, for people: a line a call, or a table of all losses.

use std::fmt::Write as _;

use super::{Call, Effect, Fate, Proof, Way};
use crate::diag::shown;

/// What the loss of some things at once does to each call.
#[must_use]
pub fn survival(proof: &Proof<'_>, effect: &Effect<'_>) -> String {
    let mut out = String::new();
    for (call, fate) in &effect.touched {
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "{:11} {}", word(fate), shown(&told(call, fate)));
    }
    if !effect.touched.is_empty() {
        out.push('\n');
    }
    let Effect { surviving, gone, .. } = effect;
    let (over, part, dying) = (effect.falling_over(), effect.failing_in_part(), effect.dying());
    let _ = write!(
        out,
        "without {}: {surviving} of {} calls survive, {over} fall over, {part} fail in part, {dying} die",
        shown(&title(effect)),
        proof.proved.len() - gone,
    );
    if *gone > 0 {
        let _ = write!(out, "; {gone} more {} gone with their caller", if *gone == 1 { "is" } else { "are" });
    }
    out.push('\n');
    out + &left_aside(proof)
}

/// A table of what each loss does, in Markdown, with the calls that each hurts below.
#[must_use]
pub fn review(proof: &Proof<'_>, effects: &[Effect<'_>]) -> String {
    let mut out = "| Without | survive | fall over | fail in part | die | gone with it |\n".to_owned();
    out.push_str("|---|--:|--:|--:|--:|--:|\n");
    for it in effects {
        let (over, part, dying) = (it.falling_over(), it.failing_in_part(), it.dying());
        let title = shown(&title(it));
        let _ = writeln!(out, "| {title} | {} | {over} | {part} | {dying} | {} |", it.surviving, it.gone);
    }
    for it in effects.iter().filter(|it| !it.touched.is_empty()) {
        let _ = writeln!(out, "\nWithout {}:\n", shown(&title(it)));
        for (call, fate) in &it.touched {
            let _ = writeln!(out, "- {}: {}", word(fate), shown(&told(call, fate)));
        }
    }
    let aside = left_aside(proof);
    if aside.is_empty() { out } else { format!("{out}\n{aside}") }
}

/// Calls of which nothing can be said, and what is said of others and not understood.
fn left_aside(proof: &Proof<'_>) -> String {
    let mut out = not_followed(proof);
    for (place, calls) in proof.unsure() {
        let position = place.position();
        let field = place.field();
        let field = field.rsplit('.').next().unwrap_or_default();
        let calls = if calls == 1 { "1 call".to_owned() } else { format!("{calls} calls") };
        let what = shown(&format!("`{field}` of {}", place.object()));
        let _ = writeln!(
            out,
            "not understood: {what}, at {}:{}:{}; {calls} may share out otherwise than is told",
            place.file(),
            position.line,
            position.column
        );
    }
    out
}

fn not_followed(proof: &Proof<'_>) -> String {
    match (proof.broken.len(), proof.absent.len()) {
        (0, 0) => String::new(),
        (broken, absent) => {
            format!("left aside: {broken} that are broken already, {absent} that could not be followed\n")
        }
    }
}

fn title(effect: &Effect<'_>) -> String {
    effect.losses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn word(fate: &Fate<'_>) -> &'static str {
    match fate {
        Fate::Gone => "gone",
        Fate::Survives => "survives",
        Fate::FallsOver(_) => "falls over",
        Fate::FailsInPart { .. } => "in part",
        Fate::Dies(_) => "dies",
    }
}

/// "`web` in `east` calls …, answered by `north` via 198.51.100.3:15443".
fn told(call: &Call, fate: &Fate<'_>) -> String {
    match fate {
        Fate::Gone | Fate::Survives => call.to_string(),
        Fate::FallsOver(ways) => format!("{call}: to {}", listed(ways)),
        Fate::FailsInPart { share, why, broken, over } => {
            let share = share.map_or_else(|| "a part fails".to_owned(), |it| format!("about {it} % fail"));
            let over = if over.is_empty() { String::new() } else { format!("; others go to {}", listed(over)) };
            format!("{call}: {share} at {}, for {}, and {why}{over}", broken.kind, broken.why)
        }
        Fate::Dies(broken) => format!("{call}: at {}, for {}", broken.kind, broken.why),
    }
}

fn listed(ways: &[&Way]) -> String {
    let mut all: Vec<String> = Vec::new();
    for way in ways {
        let text = match (&way.cluster, &way.via) {
            (Some(cluster), Some(via)) => format!("`{cluster}` via {via}"),
            (Some(cluster), None) => format!("the pods of `{cluster}` itself"),
            (None, _) => "the outside".to_owned(),
        };
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all.join(", ")
}
