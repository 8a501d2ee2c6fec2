//! The hop `identity`: whether each side is who the other expects.

use std::sync::Arc;

use serde_yaml::Value;

use super::cluster::Cluster;
use super::hop::{Break, HopKind, Trail};
use super::object::{Object, Place};
use super::pod::Pods;
use super::value::{fits, list, pairs, text, words};
use crate::topology::ROOT_NAMESPACE;

/// Identities of whom a caller lets answer, each with what says so.
pub(super) type Expected = Vec<(String, Option<Place>)>;

/// Breaks if pods are none of those that the caller waits for.
pub(super) fn expected(
    caller: &Cluster,
    expected: &Expected,
    owner: &Cluster,
    pods: &Pods<'_>,
    trail: &mut Trail,
) -> Result<(), Box<Break>> {
    if expected.is_empty() {
        return Ok(());
    }
    let (domain, said) = owner.install.trust_domain();
    let Some(account) = &pods.account else {
        trail.trusts(format!(
            "the ServiceAccount of pods with {} in `{}`",
            super::value::shown(&pods.labels),
            owner.name
        ));
        return Ok(());
    };
    let identity = format!("spiffe://{domain}/ns/{}/sa/{account}", pods.namespace());
    let with_aliases = |it: &str| {
        let path = it.strip_prefix("spiffe://").and_then(|it| it.split_once('/'))?.1.to_owned();
        Some(caller.install.aliases().map(|alias| format!("spiffe://{alias}/{path}")).collect::<Vec<_>>())
    };
    let found =
        expected.iter().find(|(it, _)| *it == identity || with_aliases(it).is_some_and(|it| it.contains(&identity)));
    if let Some((_, place)) = found {
        trail.holds(HopKind::Identity, &caller.name, "", format!("`{identity}` is expected"), place.clone());
        return Ok(());
    }
    let names: Vec<_> = expected.iter().map(|it| format!("`{}`", it.0)).collect();
    let why = format!("the pods in `{}` are `{identity}`, and {} is expected", owner.name, names.join(" or "));
    Err(Break::new(HopKind::Identity, &caller.name, why)
        .at(expected[0].1.clone().or(said))
        .effect("the sidecar refuses the certificate: 503 UF, SAN matcher")
        .mend("expect the identity that the pods have, or give them the other account"))
}

/// Who calls, as pods are told.
pub(super) struct Peer<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) namespace: &'a str,
    /// Its ServiceAccount, if it is known.
    pub(super) account: Option<&'a str>,
    /// Whether it comes with mTLS.
    pub(super) is_mutual: bool,
}

/// Whether a rule is for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fits {
    No,
    /// It depends on the request, or on what is not written.
    Perhaps,
    Yes,
}

impl Peer<'_> {
    /// Breaks if pods do not let the peer in.
    pub(super) fn let_in(
        &self,
        owner: &Cluster,
        pods: &Pods<'_>,
        port: Option<u16>,
        trail: &mut Trail,
    ) -> Result<(), Box<Break>> {
        let broken = |why: String| Break::new(HopKind::Identity, &owner.name, why);
        let (domain, said) = self.cluster.install.trust_domain();
        let (own, _) = owner.install.trust_domain();
        if self.is_mutual && domain != own && !owner.install.aliases().any(|it| it == domain) {
            let place = owner.install.mesh(&["trustDomainAliases"]).or_else(|| owner.install.mesh(&[])).map(|it| it.1);
            return Err(broken(format!("`{}` does not take callers of the trust domain `{domain}`", owner.name))
                .at(place.or(said))
                .effect("the sidecar of the pods refuses the certificate: 503 UC, connection termination")
                .mend(format!("add `{domain}` to `meshConfig.trustDomainAliases` of `{}`", owner.name)));
        }
        let who = format!("{domain}/ns/{}/sa/{}", self.namespace, self.account.unwrap_or("?"));
        let policies = policies(owner, pods);
        let of = |action: &str| policies.iter().filter(move |it| action_of(it) == action).collect::<Vec<_>>();
        for policy in of("DENY") {
            let fits = self.any(owner, policy, port);
            if fits == Fits::Yes {
                return Err(broken(format!("{policy} denies `{who}`"))
                    .at(Place::new(policy, &["spec", "rules"]))
                    .effect("403, or grpc status PermissionDenied: RBAC: access denied")
                    .mend("take the caller out of its rules"));
            }
            if fits == Fits::Perhaps {
                trail.trusts(format!("{policy}, which denies some requests"));
            }
        }
        for policy in of("CUSTOM") {
            trail.trusts(format!("{policy}, which asks somebody else"));
        }
        let allow = of("ALLOW");
        let Some(first) = allow.first() else { return Ok(()) };
        let best = allow.iter().map(|it| (self.any(owner, it, port), *it)).max_by_key(|it| it.0);
        match best {
            Some((Fits::Yes, policy)) => {
                trail.holds(
                    HopKind::Identity,
                    &owner.name,
                    "let in",
                    format!("{policy} lets `{who}` in"),
                    Some(Place::new(policy, &["spec", "rules"])),
                );
                Ok(())
            }
            Some((Fits::Perhaps, policy)) => {
                trail.trusts(format!("{policy}, which lets some requests in"));
                Ok(())
            }
            _ => Err(broken(format!("{first} does not let `{who}` in"))
                .at(Place::new(
                    first,
                    if first.value["spec"].get("rules").is_some() { &["spec", "rules"] } else { &["spec"] },
                ))
                .effect("403, or grpc status PermissionDenied: RBAC: access denied")
                .mend(format!("add the principal `{who}`"))),
        }
    }

    fn any(&self, owner: &Cluster, policy: &Object, port: Option<u16>) -> Fits {
        let rules = list(&policy.value, &["spec", "rules"]).iter();
        rules.map(|it| self.one(owner, it, port)).max().unwrap_or(Fits::No)
    }

    fn one(&self, owner: &Cluster, rule: &Value, port: Option<u16>) -> Fits {
        let of_part = |name: &str, fits: &dyn Fn(&Value) -> Fits| {
            let all = list(rule, &[name]);
            if all.is_empty() { Fits::Yes } else { all.iter().map(fits).max().unwrap_or(Fits::Yes) }
        };
        let from = of_part("from", &|it| self.source(owner, &it["source"]));
        let to = of_part("to", &|it| operation(&it["operation"], port));
        let when = if list(rule, &["when"]).is_empty() { Fits::Yes } else { Fits::Perhaps };
        from.min(to).min(when)
    }

    fn source(&self, owner: &Cluster, source: &Value) -> Fits {
        let mut fits = Fits::Yes;
        for key in super::value::keys(source, &[]) {
            let named: Vec<_> = words(source, &[key]).collect();
            let one = match key {
                "principals" => self.is_one_of(owner, &named),
                "notPrincipals" => self.is_one_of(owner, &named).opposite(),
                "namespaces" => self.is_in(&named),
                "notNamespaces" => self.is_in(&named).opposite(),
                _ => Fits::Perhaps,
            };
            fits = fits.min(one);
        }
        fits
    }

    fn is_in(&self, namespaces: &[&str]) -> Fits {
        if self.is_mutual && namespaces.iter().any(|it| like(it, self.namespace)) { Fits::Yes } else { Fits::No }
    }

    fn is_one_of(&self, owner: &Cluster, principals: &[&str]) -> Fits {
        if !self.is_mutual {
            return Fits::No;
        }
        let (domain, _) = self.cluster.install.trust_domain();
        let (own, _) = owner.install.trust_domain();
        let Some(account) = self.account else { return Fits::Perhaps };
        let path = format!("ns/{}/sa/{account}", self.namespace);
        let is_own = |it: &str| it == own || owner.install.aliases().any(|alias| alias == it);
        let means = |principal: &&str| {
            like(principal, &format!("{domain}/{path}"))
                // A trust domain stands for its aliases, too.
                || principal.split_once('/').is_some_and(|(of, rest)| is_own(of) && is_own(&domain) && like(rest, &path))
        };
        if principals.iter().any(means) { Fits::Yes } else { Fits::No }
    }
}

impl Fits {
    fn opposite(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Perhaps => Self::Perhaps,
            Self::Yes => Self::No,
        }
    }
}

fn operation(operation: &Value, port: Option<u16>) -> Fits {
    let mut fits = Fits::Yes;
    for key in super::value::keys(operation, &[]) {
        let ports = list(operation, &[key]).iter().filter_map(text);
        let one = match (key, port) {
            ("ports", Some(port)) if ports.into_iter().any(|it| it == port.to_string()) => Fits::Yes,
            ("ports", Some(_)) => Fits::No,
            _ => Fits::Perhaps,
        };
        fits = fits.min(one);
    }
    fits
}

/// A text with `*` at its beginning or end.
fn like(pattern: &str, text: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(""), _) => !text.is_empty(),
        (Some(end), _) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (None, None) => pattern == text,
    }
}

fn action_of(policy: &Object) -> &str {
    match super::value::word(&policy.value, &["spec", "action"]) {
        "" => "ALLOW",
        action => action,
    }
}

/// The policies of pods.
fn policies<'a>(owner: &'a Cluster, pods: &Pods<'_>) -> Vec<&'a Arc<Object>> {
    let namespaces =
        if pods.namespace() == ROOT_NAMESPACE { vec![ROOT_NAMESPACE] } else { vec![pods.namespace(), ROOT_NAMESPACE] };
    let all = namespaces.into_iter().flat_map(|it| owner.of_kind("AuthorizationPolicy", it));
    let of_pods = |it: &&Arc<Object>| {
        it.value["spec"].get("targetRefs").is_none()
            && it.value["spec"].get("targetRef").is_none()
            && fits(&pods.labels, &pairs(&it.value, &["spec", "selector", "matchLabels"]))
    };
    all.filter(of_pods).collect()
}
