//! The hop `tls`: what a sidecar speaks to an endpoint, and with which server name.

use serde_yaml::Value;

use super::hop::{Break, HopKind};
use super::object::Place;
use super::rules::{rules, subset};
use super::service::{Known, KnownPort, Viewer};
use super::value::{at, list, number, word};
use crate::topology::{Family, Protocol};

/// What is spoken to an endpoint.
#[derive(Debug, Clone)]
pub(super) enum Spoken {
    /// mTLS with the certificates of Istio; the server name if a rule says it, and what says so.
    Mutual(Option<(String, Place)>, Option<Place>),
    /// TLS with other certificates, or none.
    Simple(String, Place),
    /// Whatever the application speaks; why, and what says so.
    Plain(String, Option<Place>),
}

/// A server name that a rule says, if one does, and what asks for mTLS.
pub(super) type Asked = (Option<(String, Place)>, Option<Place>);

/// Who speaks to whom.
pub(super) struct Speech<'a> {
    pub(super) viewer: &'a Viewer<'a>,
    pub(super) known: &'a Known<'a>,
    pub(super) port: u16,
    pub(super) subset: Option<&'a str>,
    /// Whether the caller has a sidecar, or is a gateway.
    pub(super) has_sidecar: bool,
}

impl Speech<'_> {
    /// What the sidecar speaks to an endpoint that takes mTLS, or does not, as the place says.
    pub(super) fn spoken(&self, takes_mtls: bool, place: Option<Place>) -> Spoken {
        if !self.has_sidecar {
            return Spoken::Plain("the caller has no sidecar".to_owned(), None);
        }
        if let Some(said) = self.of_rules() {
            return said;
        }
        let install = &self.viewer.cluster.install;
        if !self.viewer.cluster.passes_through {
            let of_suffix = self.known.host.ends_with(&format!(".{}", install.suffix()));
            match install.multi_cluster() {
                Some(place) if of_suffix => return Spoken::Mutual(None, Some(place)),
                _ if self.viewer.cluster.istio.minor > 4 => {}
                _ => match install.mutual() {
                    Some(place) => return Spoken::Mutual(None, Some(place)),
                    None => return Spoken::Plain("nothing asks for mTLS".to_owned(), None),
                },
            }
        }
        if self.known.is_external() {
            let why = format!("{} says that it is outside of the mesh", self.known.object);
            let location = self.known.place(&["spec", "location"]);
            return Spoken::Plain(why, location);
        }
        if let Some((Value::Bool(false), place)) = install.mesh(&["enableAutoMtls"]) {
            return Spoken::Plain("`enableAutoMtls` is off".to_owned(), Some(place));
        }
        if takes_mtls {
            Spoken::Mutual(None, place)
        } else {
            Spoken::Plain("the endpoint does not say that it takes mTLS".to_owned(), place)
        }
    }

    /// Breaks if the server outside of the mesh that has a port does not take what a rule makes of the call.
    pub(super) fn leaves(&self, spoken: Option<Protocol>, port: &KnownPort) -> Result<(), Box<Break>> {
        if !self.has_sidecar {
            return Ok(());
        }
        let host = &self.known.host;
        let broken = |why: String| Break::new(HopKind::Tls, &self.viewer.cluster.name, why);
        let is_tls = |it: Option<Protocol>| it.is_some_and(|it| it.family() == Family::Tls);
        let is_plain = spoken.is_some_and(|it| it.family() == Family::Http);
        let place = match self.of_rules() {
            Some(Spoken::Mutual(_, place)) => {
                return Err(broken(format!("the sidecar speaks mTLS to `{host}`, which is outside of the mesh"))
                    .at(place)
                    .effect("the server does not take the certificate, or no TLS at all: 503 UF")
                    .mend("let a rule of the host itself say DISABLE"));
            }
            Some(Spoken::Simple(mode, place)) if is_tls(spoken) => {
                return Err(broken(format!(
                    "the sidecar speaks TLS as `{mode}` says, around the TLS that the caller speaks"
                ))
                .at(place)
                .effect("the server finds TLS within TLS, and resets the connection")
                .mend("leave `tls` out, or let the caller speak plain text"));
            }
            Some(Spoken::Simple(..)) => return Ok(()),
            Some(Spoken::Plain(_, place)) => place,
            None => None,
        };
        if is_plain && is_tls(port.protocol) {
            let takes = port.protocol.map_or("", Protocol::istio);
            let why = format!("plain text comes to port {} of `{host}`, which takes {takes}", port.number);
            return Err(broken(why)
                .at(place.or_else(|| port.place.clone()))
                .effect("the server answers 400, or resets the connection")
                .mend("let a DestinationRule say `tls: {mode: SIMPLE}` for the port"));
        }
        Ok(())
    }

    /// What a DestinationRule says.
    pub(super) fn of_rules(&self) -> Option<Spoken> {
        let rules = rules(self.viewer, self.known);
        let of_subset = self.subset.and_then(|name| subset(&rules, name)).map(|(value, place)| {
            (value.get("trafficPolicy").unwrap_or(&Value::Null), place.below(&["trafficPolicy"]))
        });
        let general = rules.iter().find_map(|rule| {
            let place = Place::new(rule, &["spec", "trafficPolicy"]);
            Some((at(&rule.value, &["spec", "trafficPolicy"])?, place))
        });
        of_subset.into_iter().chain(general).find_map(|(policy, place)| self.of_policy(policy, &place))
    }

    fn of_policy(&self, policy: &Value, place: &Place) -> Option<Spoken> {
        let of_port = list(policy, &["portLevelSettings"]);
        let index = of_port.iter().position(|it| number(it, &["port", "number"]) == Some(self.port));
        let (tls, place) = match index {
            // What a port does not say is not taken from the whole.
            Some(index) => (of_port[index].get("tls")?, place.below(&["portLevelSettings", &index.to_string(), "tls"])),
            None => (policy.get("tls")?, place.below(&["tls"])),
        };
        let mode = place.below(&["mode"]);
        Some(match word(tls, &["mode"]) {
            "ISTIO_MUTUAL" => match word(tls, &["sni"]) {
                "" => Spoken::Mutual(None, Some(mode)),
                name => Spoken::Mutual(Some((name.to_owned(), place.below(&["sni"]))), Some(mode)),
            },
            "" | "DISABLE" => Spoken::Plain("a DestinationRule switches mTLS off".to_owned(), Some(mode)),
            other => Spoken::Simple(other.to_owned(), mode),
        })
    }
}

/// Breaks where a gateway waits for mTLS; else the server name that a rule says.
pub(super) fn mutual(cluster: &str, spoken: Spoken) -> Result<Asked, Box<Break>> {
    let broken = |why: String| Break::new(HopKind::Tls, cluster, why);
    match spoken {
        Spoken::Mutual(name, place) => Ok((name, place)),
        Spoken::Simple(mode, place) => {
            Err(broken(format!("the sidecar speaks TLS as `{mode}` says, without the server name that leads on"))
                .at(place)
                .effect("the gateway has no filter chain for it, and resets the connection")
                .mend("take ISTIO_MUTUAL, or leave `tls` out"))
        }
        Spoken::Plain(why, place) => {
            Err(broken(format!("the sidecar sends plain text to a gateway that waits for TLS: {why}"))
                .at(place)
                .effect("the gateway waits, or ends the connection: timeout, 503 UC")
                .mend(
                    "give the endpoint the label `security.istio.io/tlsMode: istio`, and let nothing switch mTLS off",
                ))
        }
    }
}
