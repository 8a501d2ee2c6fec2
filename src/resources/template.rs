//! The one place that runs minijinja.
//!
//! Every value that a template writes becomes a scalar of the file's language: in YAML quoted when
//! need be, in a shell script or a Corefile always one word. No value can leave its place. An
//! undefined value is an error, and an error here is a mistake in this program.

use std::borrow::Cow;
use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use serde::Serialize;

use crate::yaml;

macro_rules! templates {
    ($($name:ident = $path:literal;)*) => {
        /// The templates, each named like its file.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Template {
            $(#[doc = concat!("`", $path, "`")] $name,)*
        }

        impl Template {
            const ALL: &[Self] = &[$(Self::$name),*];

            fn path(self) -> &'static str {
                match self { $(Self::$name => $path),* }
            }

            fn source(self) -> &'static str {
                match self { $(Self::$name => include_str!(concat!("../../templates/", $path))),* }
            }
        }
    };
}

templates! {
    ExternalSecret = "external_secret.yaml.j2";
    CacertsCommands = "cacerts.md.j2";
    CacertsCommand = "cacerts.sh.j2";
    Runbook = "runbook.md.j2";
    Plan = "plan.md.j2";
    PlanActions = "plan_actions.md.j2";
    Rollout = "rollout.md.j2";
    RunbookTools = "runbook_tools.md.j2";
    RunbookInstall = "runbook_install.md.j2";
    RunbookRemove = "runbook_remove.md.j2";
    CorefileBlock = "dns/block.corefile.j2";
    OpenshiftDns = "dns/openshift.yaml.j2";
    ServerCorefile = "dns/server.corefile.j2";
    ServerZone = "dns/server.zone.j2";
    ApplyScript = "dns/apply.sh.j2";
    ReadCorefile = "dns/corefile.jq.j2";
    MergeCorefile = "dns/merge_corefile.jq.j2";
    MergeCustom = "dns/merge_custom.jq.j2";
    MergeServers = "dns/merge_servers.jq.j2";
    MergeStubDomains = "dns/merge_stub_domains.jq.j2";
    HelmValues = "istio/helm_values.yaml.j2";
    IstioOperator = "istio/istio_operator.yaml.j2";
    Gateway = "istio/gateway.yaml.j2";
    EastWestGateway = "istio/east_west_gateway.yaml.j2";
    EastWestGatewayApi = "istio/east_west_gateway_api.yaml.j2";
    RemoteGateway = "istio/remote_gateway.yaml.j2";
    WorkloadEntry = "istio/workload_entry.yaml.j2";
    DestinationRule = "istio/destination_rule.yaml.j2";
    Split = "istio/split.yaml.j2";
    Sidecar = "istio/sidecar.yaml.j2";
    AuthorizationPolicy = "istio/authorization_policy.yaml.j2";
    PeerAuthentication = "istio/peer_authentication.yaml.j2";
    ServiceEntry = "istio/service_entry.yaml.j2";
    VirtualService = "istio/virtual_service.yaml.j2";
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    environment.set_syntax(syntax.build().expect("the default delimiters are distinct"));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_formatter(write_value);
    environment.add_filter("sh", |text: String| Value::from_safe_string(shell_word(&text).into_owned()));
    environment.add_filter("comment", |text: String| Value::from_safe_string(text.replace(char::is_control, " ")));
    for template in Template::ALL {
        environment.add_template(template.path(), template.source()).expect("our templates are well-formed");
    }
    environment
});

/// Fills a template.
pub(super) fn fill<T: Serialize>(template: Template, view: &T) -> String {
    let template = ENVIRONMENT.get_template(template.path()).expect("every template was added");
    match template.render(Value::from(Serde(view))) {
        Ok(text) => text,
        Err(error) => panic!("a template of this program does not fit its view: {error:#}"),
    }
}

fn write_value(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    let language = state.name().trim_end_matches(".j2").rsplit('.').next().unwrap_or("");
    let text: Cow<'_, str> = match (value.kind(), value.as_str()) {
        (ValueKind::String, Some(text)) => match language {
            _ if value.is_safe() => text.into(),
            "yaml" => yaml::scalar(text),
            "sh" => shell_word(text),
            "corefile" | "zone" if !is_word(text) => {
                return Err(Error::new(ErrorKind::InvalidOperation, format!("`{text}` is not one word")));
            }
            _ => text.into(),
        },
        (ValueKind::Number | ValueKind::Bool, _) => value.to_string().into(),
        (kind, _) => return Err(Error::new(ErrorKind::InvalidOperation, format!("a {kind} was written as one value"))),
    };
    out.write_str(&text).map_err(|_| Error::new(ErrorKind::WriteFailure, "out of memory"))
}

/// Whether CoreDNS reads this as one word, in a Corefile and in a zone file. Earlier stages let
/// nothing else pass.
fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "\"#;\\()".contains(c))
}

/// A text as one word of a POSIX shell.
pub fn shell_word(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '=' | ',' | '@' | '+');
    if !text.is_empty() && text.chars().all(plain) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', "'\\''")).into()
    }
}
