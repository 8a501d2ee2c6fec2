//! A proof for programs.

use serde_json::{Value, json};

use super::hop::{Break, Hop};
use super::object::Place;
use super::{Call, Caller, Effect, Fate, Loss, Proof, UnaskedKind, Way};

/// The proof as JSON, with a newline at the end.
#[must_use]
pub fn json(proof: &Proof<'_>) -> String {
    let proved: Vec<_> = proof
        .proved
        .iter()
        .map(|(call, path)| {
            let ways: Vec<_> = path
                .ways
                .iter()
                .map(|way| {
                    json!({
                        "cluster": way.cluster, "via": way.via, "share": way.share, "hops": hops(&way.hops),
                    })
                })
                .collect();
            let latent: Vec<_> = path.latent.iter().map(self::broken).collect();
        json!({"call": called(call), "hops": hops(&path.hops), "ways": ways, "trusts": path.trusts, "latent": latent})
        })
        .collect();
    let broken: Vec<_> = proof.broken.iter().map(|(call, stopped)| {
        json!({"call": called(call), "hops": hops(&stopped.hops), "break": broken(&stopped.broken)})
    }).collect();
    let absent: Vec<_> =
        proof.absent.iter().map(|(call, cluster)| json!({"call": called(call), "cluster": cluster})).collect();
    let odd: Vec<_> = proof
        .odd
        .iter()
        .map(|(odd, calls)| {
            let calls: Vec<_> = calls.iter().map(|it| called(it)).collect();
            json!({"cluster": odd.cluster, "what": odd.what, "place": place(&odd.place), "calls": calls})
        })
        .collect();
    let points: Vec<_> = proof
        .single_points()
        .into_iter()
        .map(|(loss, calls)| {
            let calls: Vec<_> = calls.into_iter().map(called).collect();
            json!({"without": lost(&loss), "dies": calls})
        })
        .collect();
    let unasked = |kinds: &[UnaskedKind]| -> Vec<Value> {
        let all = proof.unasked.iter().filter(|it| kinds.contains(&it.kind));
        all.map(|it| json!({"cluster": it.cluster, "what": it.what, "place": place(&it.place)})).collect()
    };
    let all = json!({
        "proved": proved, "broken": broken, "notFollowed": absent, "notUnderstood": odd, "singlePoints": points,
        "dead": unasked(&[UnaskedKind::Dead]), "open": unasked(&[UnaskedKind::Open, UnaskedKind::Suffix]),
        "unguarded": unasked(&[UnaskedKind::Unguarded]),
    });
    format!("{all:#}\n")
}

/// What losses do as JSON, with a newline at the end.
#[must_use]
pub fn json_of(proof: &Proof<'_>, effects: &[Effect<'_>]) -> String {
    let effects: Vec<_> = effects
        .iter()
        .map(|it| {
            let without: Vec<_> = it.losses.iter().map(lost).collect();
            let touched: Vec<_> = it.touched.iter().map(|(call, fate)| fated(call, fate)).collect();
            json!({
                "without": without,
                "survive": it.surviving,
                "fallOver": it.falling_over(),
                "failInPart": it.failing_in_part(),
                "die": it.dying(),
                "goneWithIt": it.gone,
                "calls": touched,
            })
        })
        .collect();
    let unsure: Vec<_> =
        proof.unsure().into_iter().map(|(it, calls)| json!({"place": place(it), "calls": calls})).collect();
    let all = json!({
        "losses": effects, "broken": proof.broken.len(), "notFollowed": proof.absent.len(), "notUnderstood": unsure,
    });
    format!("{all:#}\n")
}

fn lost(loss: &Loss) -> Value {
    match loss {
        Loss::Cluster(name) => json!({"kind": "cluster", "cluster": name}),
        Loss::Gateway(name) => json!({"kind": "gateway", "cluster": name}),
        Loss::Service(key, cluster) => json!({"kind": "service", "service": key, "cluster": cluster}),
    }
}

fn fated(call: &Call, fate: &Fate<'_>) -> Value {
    let over = |ways: &[&Way]| -> Vec<Value> {
        ways.iter().map(|it| json!({"cluster": it.cluster, "via": it.via, "share": it.share})).collect()
    };
    match fate {
        Fate::Gone => json!({"call": called(call), "fate": "gone"}),
        Fate::Survives => json!({"call": called(call), "fate": "survives"}),
        Fate::FallsOver(ways) => json!({"call": called(call), "fate": "fallsOver", "to": over(ways)}),
        Fate::FailsInPart { share, why, broken: end, over: ways } => json!({
            "call": called(call), "fate": "failsInPart", "share": share, "why": why, "to": over(ways), "break": broken(end),
        }),
        Fate::Dies(end) => json!({"call": called(call), "fate": "dies", "break": broken(end)}),
    }
}

fn called(call: &Call) -> Value {
    let kind = match call.caller {
        Caller::Service(_) => "service",
        Caller::Ingress(_) => "ingress",
    };
    json!({
        "cluster": call.cluster,
        "caller": {"kind": kind, "name": call.caller.key()},
        "callee": call.callee,
        "host": call.host,
        "port": call.port,
    })
}

fn hops(hops: &[Hop]) -> Vec<Value> {
    let hop = |it: &Hop| json!({"hop": it.kind, "cluster": it.cluster, "text": it.text, "place": it.place.as_ref().map(place)});
    hops.iter().map(hop).collect()
}

fn broken(broken: &Break) -> Value {
    json!({
        "hop": broken.kind,
        "cluster": broken.cluster,
        "why": broken.why,
        "place": broken.place.as_ref().map(place),
        "effect": broken.effect,
        "mend": broken.mend,
    })
}

fn place(place: &Place) -> Value {
    let position = place.position();
    json!({
        "file": place.file(),
        "line": position.line,
        "column": position.column,
        "object": place.object().to_string(),
        "field": place.field(),
    })
}
