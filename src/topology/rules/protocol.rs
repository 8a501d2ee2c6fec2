//! `Protocol`: what is spoken on a port, and how Istio learns of it.

/// A protocol that Istio tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/2.
    Http2,
    /// gRPC.
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
    /// TLS that carries HTTP.
    Https,
    /// TLS.
    Tls,
    /// A stream of bytes.
    Tcp,
    /// Datagrams.
    Udp,
    /// MongoDB.
    Mongo,
    /// MySQL.
    Mysql,
    /// Redis.
    Redis,
}

/// How a sidecar tells calls apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// By the host of the request: all share one listener a port.
    Http,
    /// By the server name of the handshake.
    Tls,
    /// By address and port only.
    Tcp,
    /// Not at all.
    Udp,
}

const NAMES: [(&str, Protocol, &str); 11] = [
    ("http", Protocol::Http, "HTTP"),
    ("http2", Protocol::Http2, "HTTP2"),
    ("grpc", Protocol::Grpc, "GRPC"),
    ("grpc-web", Protocol::GrpcWeb, "GRPC-Web"),
    ("https", Protocol::Https, "HTTPS"),
    ("tls", Protocol::Tls, "TLS"),
    ("tcp", Protocol::Tcp, "TCP"),
    ("udp", Protocol::Udp, "UDP"),
    ("mongo", Protocol::Mongo, "MONGO"),
    ("mysql", Protocol::Mysql, "MYSQL"),
    ("redis", Protocol::Redis, "REDIS"),
];

impl Protocol {
    /// Every spelling that is understood.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|it| it.0)
    }

    /// The protocol of this name, in any case.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        NAMES.iter().find(|it| it.0.eq_ignore_ascii_case(name)).map(|it| it.1)
    }

    /// What Istio reads from a Service port's name: the word before the first dash, in any case.
    pub(crate) fn of_port_name(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        if lower == "grpc-web" || lower.starts_with("grpc-web-") {
            return Some(Self::GrpcWeb);
        }
        Self::parse(lower.split('-').next().unwrap_or(&lower))
    }

    /// As written in a ServiceEntry.
    #[must_use]
    pub fn istio(self) -> &'static str {
        NAMES.iter().find(|it| it.1 == self).expect("every protocol is in the table").2
    }

    /// As written in a port's name or `appProtocol`.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|it| it.1 == self).expect("every protocol is in the table").0
    }

    /// How a sidecar tells calls apart.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::Http | Self::Http2 | Self::Grpc | Self::GrpcWeb => Family::Http,
            Self::Https | Self::Tls => Family::Tls,
            Self::Tcp | Self::Mongo | Self::Mysql | Self::Redis => Family::Tcp,
            Self::Udp => Family::Udp,
        }
    }
}
