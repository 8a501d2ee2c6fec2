//! Why a change makes no difference to any declared call.

use super::change::Change;

/// What becomes of a change that breaks nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// The calls go on as before.
    Harmless,
    /// The API server, Istio's webhook or istioctl does not take it.
    Refused,
    /// A proof takes it on trust, and says so or is no judge of it.
    Trusted,
}

use Verdict::{Harmless, Refused, Trusted};

/// Changes of a kind at a way that make no difference, and why. `*` stands for any part, `**` for the rest.
pub(super) struct Class {
    kinds: &'static [&'static str],
    path: &'static str,
    /// `drop` or `change`; empty for both.
    verb: &'static str,
    pub(super) verdict: Verdict,
    pub(super) reason: &'static str,
}

const fn class(
    kinds: &'static [&'static str],
    path: &'static str,
    verb: &'static str,
    verdict: Verdict,
    reason: &'static str,
) -> Class {
    Class { kinds, path, verb, verdict, reason }
}

const POLICY: &[&str] = &["AuthorizationPolicy"];
const MAP: &[&str] = &["ConfigMap"];
const RULE: &[&str] = &["DestinationRule"];
const GATEWAY: &[&str] = &["Gateway"];
const NAMESPACE: &[&str] = &["Namespace"];
const PEERS: &[&str] = &["PeerAuthentication"];
const SERVICE: &[&str] = &["Service"];
const ACCOUNT: &[&str] = &["ServiceAccount"];
const ENTRY: &[&str] = &["ServiceEntry"];
const SIDECAR: &[&str] = &["Sidecar"];
const ROUTES: &[&str] = &["VirtualService"];
const WORKLOAD: &[&str] = &["WorkloadEntry"];
const PODS: &[&str] = &["Deployment"];
const INSTALL: &[&str] = &["IstioOperator", "Istio", "values"];
const OPERATOR: &[&str] = &["IstioOperator"];
const ANY: &[&str] = &[];
const BY_CONTENT: &[&str] = &[
    "AuthorizationPolicy",
    "DestinationRule",
    "Gateway",
    "PeerAuthentication",
    "ServiceEntry",
    "Sidecar",
    "VirtualService",
    "WorkloadEntry",
    "Deployment",
];

const NO_CALL: &str = "no declared call comes this way, or another object says the same";

pub(super) const CLASSES: &[Class] = &[
    class(ANY, "apiVersion", "", Refused, "the API server serves no such version, and istioctl reads none"),
    class(BY_CONTENT, "metadata/name", "change", Harmless, "Istio finds an object by what it says, not by its name"),
    class(INSTALL, "metadata/**", "", Harmless, "istioctl and the operator install whatever the object is called"),
    class(INSTALL, "metadata", "drop", Harmless, "istioctl and the operator install whatever the object is called"),
    // Policies.
    class(POLICY, "", "drop", Harmless, "without a policy everybody is let in"),
    class(POLICY, "kind", "change", Refused, "there is no such kind"),
    class(POLICY, "metadata/namespace", "", Harmless, "a policy of another namespace selects none of these pods"),
    class(POLICY, "spec", "drop", Harmless, "a policy without rules lets in nobody, and nobody calls these pods"),
    class(POLICY, "spec/action", "drop", Harmless, "ALLOW is the default"),
    class(POLICY, "spec/action", "change", Harmless, "a rule that denies nobody denies no declared call"),
    class(POLICY, "spec/rules/*/from", "drop", Harmless, "a rule that says no `from` is for everybody"),
    class(POLICY, "spec/rules/*/from/*", "drop", Refused, "the webhook of Istio takes no empty `from`"),
    class(
        POLICY,
        "spec/rules/*/from/*/source",
        "drop",
        Refused,
        "the webhook of Istio takes no `from` without `source`",
    ),
    class(
        POLICY,
        "spec/rules/*/from/*/source/principals",
        "drop",
        Refused,
        "the webhook of Istio takes no empty `source`",
    ),
    class(
        POLICY,
        "spec/rules/*/from/*/source/principals/*",
        "",
        Harmless,
        "no declared call of this caller ends at these pods",
    ),
    class(
        POLICY,
        "spec/selector/**",
        "",
        Harmless,
        "a policy for no pods lets everybody in, one for all of the namespace these callers",
    ),
    class(POLICY, "spec/selector", "drop", Harmless, "a policy for all pods of the namespace lets the same callers in"),
    // The DNS of a cluster.
    class(
        MAP,
        "data/Corefile",
        "",
        Harmless,
        "other lines lead other names, and CoreDNS keeps what it has while a new Corefile is faulty",
    ),
    class(MAP, "data/zone", "", Harmless, "no line of the zone but that of the name is asked for"),
    class(
        MAP,
        "metadata/name",
        "",
        Trusted,
        "whichever of kube-system has a Corefile is taken for that of the cluster",
    ),
    class(MAP, "metadata/labels/**", "", Harmless, "no one selects a ConfigMap by its labels"),
    class(MAP, "metadata/labels", "drop", Harmless, "no one selects a ConfigMap by its labels"),
    class(MAP, "metadata/annotations/**", "", Harmless, "they are for tools that apply it"),
    class(MAP, "metadata/annotations", "drop", Harmless, "they are for tools that apply it"),
    // DestinationRules.
    class(
        RULE,
        "",
        "drop",
        Harmless,
        "it shares out calls or names subsets that no declared call asks for: the default serves",
    ),
    class(RULE, "kind", "change", Refused, "there is no such kind"),
    class(RULE, "metadata/namespace", "", Harmless, "a rule that nobody reads leaves the default"),
    class(RULE, "spec", "drop", Refused, "the API server wants a `host`"),
    class(RULE, "spec/host", "", Harmless, "a rule for another host leaves the default"),
    class(RULE, "spec/exportTo", "drop", Harmless, "everybody is told of it, also those who were"),
    class(
        RULE,
        "spec/exportTo/*",
        "",
        Harmless,
        "whoever reads it is named by another element, or does well without it",
    ),
    class(RULE, "spec/subsets", "drop", Harmless, "no route or server name asks for a subset"),
    class(RULE, "spec/subsets/*", "drop", Harmless, "no declared call asks for this subset here"),
    class(RULE, "spec/subsets/*/name", "", Harmless, "no declared call asks for this subset here"),
    class(RULE, "spec/subsets/*/labels", "drop", Harmless, "a subset without labels has all endpoints"),
    class(
        RULE,
        "spec/subsets/*/labels/**",
        "",
        Harmless,
        "a subset without labels has all endpoints, and this one is not asked for here",
    ),
    class(
        RULE,
        "spec/trafficPolicy",
        "drop",
        Harmless,
        "it only says who is asked first, and for how long a connection lasts",
    ),
    class(RULE, "spec/trafficPolicy/connectionPool/**", "", Harmless, "it only says how long a connection lasts"),
    class(RULE, "spec/trafficPolicy/connectionPool", "drop", Harmless, "it only says how long a connection lasts"),
    class(
        RULE,
        "spec/trafficPolicy/loadBalancer/**",
        "",
        Harmless,
        "it only says who is asked first, and all of them answer",
    ),
    class(
        RULE,
        "spec/trafficPolicy/loadBalancer",
        "drop",
        Harmless,
        "it only says who is asked first, and all of them answer",
    ),
    class(
        RULE,
        "spec/trafficPolicy/outlierDetection/**",
        "",
        Harmless,
        "it only says when one that fails is left alone",
    ),
    class(
        RULE,
        "spec/trafficPolicy/outlierDetection",
        "drop",
        Harmless,
        "it only says when one that fails is left alone",
    ),
    // Gateways.
    class(GATEWAY, "metadata/namespace", "", Harmless, "a Gateway selects pods of all namespaces"),
    class(GATEWAY, "spec/selector", "drop", Harmless, "a Gateway without a selector is for the pods of every gateway"),
    class(GATEWAY, "spec/selector/*", "", Harmless, "a Gateway without a selector is for the pods of every gateway"),
    class(GATEWAY, "spec/servers/*/hosts/*", "", Harmless, "no declared call asks for this host here"),
    class(GATEWAY, "spec/servers/*/port/name", "", Harmless, "it is for who reads it"),
    class(
        GATEWAY,
        "spec/servers/*/port/protocol",
        "",
        Refused,
        "the webhook of Istio takes no `tls` of a port that has none",
    ),
    class(GATEWAY, "spec/addresses/**", "", Trusted, "at which address a gateway is reached is the topology's to say"),
    class(GATEWAY, "spec/addresses", "drop", Trusted, "at which address a gateway is reached is the topology's to say"),
    class(GATEWAY, "spec/listeners/*/hostname", "drop", Harmless, "a listener without a hostname is for all of them"),
    class(
        GATEWAY,
        "spec/listeners/*/name",
        "change",
        Harmless,
        "routes ask for it, and nothing routes behind a passthrough of the mesh",
    ),
    class(GATEWAY, "spec/listeners/*/name", "drop", Refused, "the API server wants a name of each listener"),
    // Namespaces.
    class(NAMESPACE, "", "drop", Trusted, "a Namespace that no file brings is there, with sidecars"),
    class(NAMESPACE, "kind", "change", Trusted, "a Namespace that no file brings is there, with sidecars"),
    class(NAMESPACE, "metadata/name", "change", Trusted, "a Namespace that no file brings is there, with sidecars"),
    class(
        NAMESPACE,
        "metadata/labels/topology.istio.io/network",
        "",
        Harmless,
        "injected pods have a label of the network themselves",
    ),
    class(NAMESPACE, "metadata/labels/istio-injection", "", Harmless, NO_CALL),
    class(NAMESPACE, "metadata/labels", "drop", Harmless, "pods of gateways ask for their template themselves"),
    // PeerAuthentications.
    class(PEERS, "", "drop", Harmless, "PERMISSIVE is the default, and takes mTLS as well"),
    class(PEERS, "kind", "change", Refused, "there is no such kind"),
    class(PEERS, "metadata/namespace", "", Harmless, "PERMISSIVE is the default, and takes mTLS as well"),
    class(PEERS, "spec", "drop", Harmless, "PERMISSIVE is the default, and takes mTLS as well"),
    class(PEERS, "spec/mtls", "drop", Harmless, "PERMISSIVE is the default, and takes mTLS as well"),
    class(PEERS, "spec/mtls/mode", "drop", Harmless, "PERMISSIVE is the default, and takes mTLS as well"),
    class(PEERS, "spec/mtls/mode", "change", Harmless, "no declared call of mTLS comes to pods of this cluster"),
    // Services.
    class(SERVICE, "", "drop", Harmless, "nobody calls it, or an entry of its host serves"),
    class(SERVICE, "kind", "change", Harmless, "nobody calls it, or an entry of its host serves"),
    class(SERVICE, "metadata/name", "change", Harmless, "nobody calls it, or an entry of its host serves"),
    class(SERVICE, "metadata/namespace", "", Harmless, "nobody calls it, or it stays where it is"),
    class(SERVICE, "metadata/labels/**", "", Harmless, "nobody selects it, and its network is that of its pods"),
    class(SERVICE, "metadata/labels", "drop", Harmless, "nobody selects it, and its network is that of its pods"),
    class(SERVICE, "spec", "drop", Harmless, "nobody calls it"),
    class(SERVICE, "spec/type", "", Harmless, "at which address a gateway is reached is the topology's to say"),
    class(SERVICE, "spec/ports", "drop", Harmless, "nobody calls it"),
    class(SERVICE, "spec/ports/*", "drop", Harmless, "no declared call asks for this port"),
    class(SERVICE, "spec/ports/*/port", "", Harmless, "no declared call asks for this port"),
    class(
        SERVICE,
        "spec/ports/*/name",
        "",
        Harmless,
        "sidecars find out what is spoken on a port whose name does not say it",
    ),
    class(SERVICE, "spec/ports/*/protocol", "", Harmless, "no declared call asks for this port, or TCP is the default"),
    class(
        SERVICE,
        "spec/ports/*/targetPort",
        "",
        Harmless,
        "a gateway listens at the target port of its Service, and nobody calls the others",
    ),
    class(
        SERVICE,
        "spec/selector",
        "drop",
        Trusted,
        "nobody calls it, or whoever deploys its pods may write its endpoints",
    ),
    class(SERVICE, "spec/selector/*", "", Harmless, "nobody calls it, or its other labels suffice"),
    // Accounts.
    class(ACCOUNT, "", "drop", Trusted, "a ServiceAccount that no file brings is there"),
    class(ACCOUNT, "kind", "change", Trusted, "a ServiceAccount that no file brings is there"),
    class(ACCOUNT, "metadata/name", "change", Trusted, "a ServiceAccount that no file brings is there"),
    class(ACCOUNT, "metadata/namespace", "", Trusted, "a ServiceAccount that no file brings is there"),
    class(ACCOUNT, "metadata/labels/**", "", Harmless, "nobody selects an account by its labels"),
    class(ACCOUNT, "metadata/labels", "drop", Harmless, "nobody selects an account by its labels"),
    // ServiceEntries.
    class(ENTRY, "", "drop", Harmless, "nobody calls it through this entry"),
    class(ENTRY, "kind", "change", Harmless, "nobody calls it through this entry"),
    class(
        ENTRY,
        "metadata/namespace",
        "",
        Harmless,
        "whoever calls is told of entries of all namespaces that are exported to it",
    ),
    class(ENTRY, "spec", "drop", Refused, "the API server wants `hosts`"),
    class(ENTRY, "spec/hosts/**", "", Harmless, "nobody calls it through this entry"),
    class(ENTRY, "spec/hosts", "drop", Harmless, "nobody calls it through this entry"),
    class(ENTRY, "spec/addresses", "drop", Harmless, "from 1.25 on istiod gives a host without an address one"),
    class(
        ENTRY,
        "spec/addresses/*",
        "",
        Harmless,
        "another address that is nobody's, or one that istiod gives, leads into the sidecar as well",
    ),
    class(ENTRY, "spec/endpoints/*", "drop", Harmless, "another endpoint serves"),
    class(
        ENTRY,
        "spec/endpoints/*/address",
        "",
        Harmless,
        "it is another gateway of a cluster that runs the service, or istiod knows that of the network",
    ),
    class(
        ENTRY,
        "spec/endpoints/*/labels/**",
        "",
        Harmless,
        "it is of the order in which endpoints are asked, or the rule of the suffix asks for mTLS",
    ),
    class(ENTRY, "spec/endpoints/*/locality", "", Harmless, "it only says who is asked first"),
    class(
        ENTRY,
        "spec/endpoints/*/network",
        "",
        Harmless,
        "without a gateway of this network an address is taken as it is written",
    ),
    class(ENTRY, "spec/exportTo", "drop", Harmless, "everybody is told of it, also those who were"),
    class(ENTRY, "spec/exportTo/*", "", Harmless, "whoever calls is named by another element, or nobody calls"),
    class(ENTRY, "spec/location", "", Harmless, "the rule of the suffix asks for mTLS whatever the location"),
    class(ENTRY, "spec/ports/*", "drop", Harmless, "no declared call asks for this port"),
    class(ENTRY, "spec/ports/*/number", "", Harmless, "no declared call asks for this port"),
    class(
        ENTRY,
        "spec/ports/*/name",
        "",
        Harmless,
        "the name of a port is the key of endpoints, and these have none of it",
    ),
    class(
        ENTRY,
        "spec/ports/*/protocol",
        "",
        Harmless,
        "what is HTTP may be passed on as TCP, and sidecars find out what is not said",
    ),
    class(
        ENTRY,
        "spec/resolution",
        "",
        Harmless,
        "gateways take the endpoints that a selector finds, whatever the resolution",
    ),
    class(ENTRY, "spec/subjectAltNames", "drop", Harmless, "whoever has a certificate of the mesh may answer"),
    class(ENTRY, "spec/subjectAltNames/*", "drop", Harmless, "whoever has a certificate of the mesh may answer"),
    // Sidecars.
    class(SIDECAR, "", "drop", Harmless, "without a Sidecar everything is told"),
    class(SIDECAR, "kind", "change", Refused, "there is no such kind"),
    class(SIDECAR, "metadata/namespace", "", Harmless, "a Sidecar of another namespace restricts none of these pods"),
    class(SIDECAR, "spec", "drop", Harmless, "without `egress` everything is told"),
    class(SIDECAR, "spec/egress", "drop", Harmless, "without `egress` everything is told"),
    class(SIDECAR, "spec/egress/*", "drop", Harmless, "without `egress` everything is told"),
    class(SIDECAR, "spec/egress/*/hosts", "drop", Refused, "the webhook of Istio wants hosts"),
    class(SIDECAR, "spec/egress/*/hosts/*", "", Harmless, "no declared call of this namespace needs this element"),
    // VirtualServices.
    class(ROUTES, "", "drop", Harmless, "without a route a host leads to itself"),
    class(ROUTES, "kind", "change", Refused, "there is no such kind"),
    class(ROUTES, "metadata/namespace", "", Harmless, "routes of a host are those of any namespace that exports them"),
    class(ROUTES, "spec", "drop", Refused, "the webhook of Istio wants hosts"),
    class(ROUTES, "spec/hosts", "drop", Refused, "the webhook of Istio wants hosts"),
    class(ROUTES, "spec/hosts/*", "", Harmless, "without a route a host leads to itself"),
    class(ROUTES, "spec/exportTo", "drop", Harmless, "everybody is told of it, also those who were"),
    class(ROUTES, "spec/exportTo/*", "", Harmless, "without a route a host leads to itself"),
    class(ROUTES, "spec/http", "drop", Harmless, "without a route a host leads to itself"),
    class(ROUTES, "spec/http/*", "drop", Harmless, "without a route a host leads to itself"),
    class(
        ROUTES,
        "spec/*/*/match/**",
        "",
        Harmless,
        "no call of this port is made, or a route is for calls of all ports",
    ),
    class(ROUTES, "spec/*/*/match", "drop", Harmless, "a route without a match is for all calls"),
    class(ROUTES, "spec/tcp", "drop", Harmless, "without a route a host leads to itself"),
    class(ROUTES, "spec/tcp/*", "drop", Harmless, "without a route a host leads to itself"),
    class(ROUTES, "spec/*/*/route/*", "drop", Harmless, "the other destinations serve"),
    class(
        ROUTES,
        "spec/*/*/route/*/destination/**",
        "",
        Harmless,
        "a destination without a subset is all endpoints, one without a port that of the call; and some are not called from here",
    ),
    class(
        ROUTES,
        "spec/*/*/route/*/weight",
        "",
        Harmless,
        "weights are taken as parts of their sum, and all destinations answer",
    ),
    // WorkloadEntries.
    class(WORKLOAD, "", "drop", Harmless, "another endpoint serves"),
    class(WORKLOAD, "kind", "change", Harmless, "another endpoint serves"),
    class(WORKLOAD, "metadata/namespace", "", Harmless, "another endpoint serves, or it stays where it is"),
    class(WORKLOAD, "spec", "drop", Harmless, "another endpoint serves"),
    class(WORKLOAD, "spec/labels", "drop", Harmless, "another endpoint serves"),
    class(
        WORKLOAD,
        "spec/labels/**",
        "",
        Harmless,
        "another endpoint serves, its account says that it takes mTLS, or it is of the order",
    ),
    class(
        WORKLOAD,
        "spec/network",
        "",
        Harmless,
        "without a gateway of this network an address is taken as it is written",
    ),
    class(
        WORKLOAD,
        "spec/serviceAccount",
        "",
        Harmless,
        "other endpoints have the account, and each of the list may answer",
    ),
    // Pods.
    class(
        PODS,
        "",
        "drop",
        Trusted,
        "pods of a caller that no file brings are there; of a callee, another endpoint serves",
    ),
    class(
        PODS,
        "kind",
        "change",
        Trusted,
        "pods of a caller that no file brings are there; of a callee, another endpoint serves",
    ),
    class(PODS, "metadata/namespace", "", Trusted, "pods of a caller that no file brings are there"),
    class(PODS, "metadata/labels/**", "", Harmless, "they are not the pods' labels"),
    class(PODS, "metadata/labels", "drop", Harmless, "they are not the pods' labels"),
    class(PODS, "spec", "drop", Refused, "the API server wants a selector, a template and containers"),
    class(PODS, "spec/replicas", "", Harmless, "one pod answers as well as two"),
    class(PODS, "spec/selector/**", "", Refused, "the API server wants a selector of the template's labels"),
    class(PODS, "spec/selector", "drop", Refused, "the API server wants a selector of the template's labels"),
    class(PODS, "spec/template", "drop", Refused, "the API server wants a selector, a template and containers"),
    class(
        PODS,
        "spec/template/metadata",
        "drop",
        Refused,
        "the API server wants the template to have the labels of the selector",
    ),
    class(
        PODS,
        "spec/template/metadata/labels",
        "drop",
        Refused,
        "the API server wants the template to have the labels of the selector",
    ),
    class(
        PODS,
        "spec/template/metadata/labels/**",
        "",
        Trusted,
        "pods of a caller that no file brings are there; and a gateway finds its network in its variables",
    ),
    class(PODS, "spec/template/metadata/annotations", "drop", Harmless, "nobody calls these pods through the mesh"),
    class(PODS, "spec/template/metadata/annotations/**", "", Harmless, "nobody calls these pods through the mesh"),
    class(PODS, "spec/template/spec", "drop", Refused, "the API server wants a selector, a template and containers"),
    class(PODS, "spec/template/spec/serviceAccountName", "", Harmless, "nobody asks for the identity of these pods"),
    class(
        PODS,
        "spec/template/spec/containers",
        "drop",
        Refused,
        "the API server wants a selector, a template and containers",
    ),
    class(
        PODS,
        "spec/template/spec/containers/*",
        "drop",
        Refused,
        "the API server wants a selector, a template and containers",
    ),
    class(
        PODS,
        "spec/template/spec/containers/*/ports",
        "drop",
        Harmless,
        "ports of containers are for who reads them",
    ),
    class(PODS, "spec/template/spec/containers/*/ports/**", "", Harmless, "ports of containers are for who reads them"),
    class(
        PODS,
        "spec/template/spec/containers/*/env/**",
        "",
        Harmless,
        "a gateway without a view sees all networks, and its own pods among them",
    ),
    class(PODS, "spec/template/spec/**", "", Trusted, "containers start, and do what their image does"),
    // What installs Istio.
    class(INSTALL, "", "drop", Harmless, "no declared call begins in this cluster or comes to it"),
    class(INSTALL, "kind", "change", Harmless, "no declared call begins in this cluster or comes to it"),
    class(INSTALL, "kind", "drop", Harmless, "no declared call begins in this cluster or comes to it"),
    class(INSTALL, "spec", "drop", Harmless, "no declared call begins in this cluster or comes to it"),
    class(INSTALL, "spec/namespace", "", Harmless, "where istiod runs is not asked for"),
    class(INSTALL, "spec/version", "", Trusted, "the release of a cluster is the topology's to say"),
    class(
        OPERATOR,
        "spec/addonComponents/istiocoredns/k8s/**",
        "drop",
        Trusted,
        "an address that nobody says is that to which the stub domain leads",
    ),
    class(
        OPERATOR,
        "spec/addonComponents/istiocoredns/k8s",
        "drop",
        Trusted,
        "an address that nobody says is that to which the stub domain leads",
    ),
    class(
        OPERATOR,
        "spec/components/ingressGateways/*/k8s/env/**",
        "",
        Harmless,
        "a gateway without a view sees all networks, and its own pods among them",
    ),
    class(
        OPERATOR,
        "spec/components/ingressGateways/*/k8s/env",
        "drop",
        Harmless,
        "a gateway without a view sees all networks, and its own pods among them",
    ),
    class(
        OPERATOR,
        "spec/components/ingressGateways/*/k8s/service/ports/*/name",
        "",
        Harmless,
        "it is for who reads it",
    ),
    class(
        OPERATOR,
        "spec/components/ingressGateways/*/k8s/service/ports/*/targetPort",
        "",
        Harmless,
        "a gateway listens at the target port of its Service",
    ),
    class(OPERATOR, "spec/components/ingressGateways/*/label/*", "", Harmless, "the Gateway selects by another label"),
    class(
        OPERATOR,
        "spec/components/ingressGateways/*/label/topology.istio.io/network",
        "",
        Harmless,
        "the own network is not reached through its gateway",
    ),
    class(OPERATOR, "spec/components/ingressGateways/*/name", "", Harmless, "a Gateway selects pods by their labels"),
    class(OPERATOR, "spec/components/**", "", Harmless, "no declared call passes this gateway, or this port of it"),
    class(
        OPERATOR,
        "spec/profile",
        "",
        Harmless,
        "the components that are written down do not depend on it; istioctl refuses one that it does not know",
    ),
    class(
        INSTALL,
        "spec/meshConfig/outboundTrafficPolicy/**",
        "",
        Harmless,
        "declared calls are of hosts that the sidecar knows",
    ),
    class(
        INSTALL,
        "spec/meshConfig/outboundTrafficPolicy",
        "drop",
        Harmless,
        "declared calls are of hosts that the sidecar knows",
    ),
    class(INSTALL, "**/holdApplicationUntilProxyStarts", "", Harmless, "it is of the time before a pod is ready"),
    class(
        INSTALL,
        "**/ISTIO_META_DNS_CAPTURE",
        "",
        Harmless,
        "nobody in this cluster calls a name that only the mesh knows",
    ),
    class(
        INSTALL,
        "**/proxyMetadata",
        "drop",
        Harmless,
        "nobody in this cluster calls a name that only the mesh knows",
    ),
    class(
        INSTALL,
        "**/defaultConfig",
        "drop",
        Harmless,
        "nobody in this cluster calls a name that only the mesh knows",
    ),
    class(INSTALL, "**/meshConfig", "drop", Harmless, "nobody in this cluster calls a name that only the mesh knows"),
    class(
        INSTALL,
        "**/clusterName",
        "",
        Harmless,
        "control planes that do not read one another's clusters do not compare names",
    ),
    class(
        INSTALL,
        "**/multiCluster",
        "drop",
        Harmless,
        "control planes that do not read one another's clusters do not compare names",
    ),
    class(INSTALL, "**/multiCluster/enabled", "", Harmless, "nobody calls a name of the suffix here"),
    class(INSTALL, "**/globalDomainSuffix", "drop", Harmless, "`global` is the default"),
    class(
        INSTALL,
        "**/includeEnvoyFilter",
        "",
        Harmless,
        "it is for a gateway that no declared call passes, or true, which is the default",
    ),
    class(INSTALL, "**/controlPlaneSecurityEnabled", "", Harmless, "it is of how sidecars reach the control plane"),
    class(
        INSTALL,
        "**/network",
        "",
        Harmless,
        "an endpoint of no network is seen by all, and nobody calls across in the others",
    ),
    class(INSTALL, "**/gateways/**", "", Harmless, "another address of the network serves"),
    class(INSTALL, "**/global", "drop", Harmless, "an endpoint of no network is seen by all"),
    class(INSTALL, "**/values", "drop", Harmless, "an endpoint of no network is seen by all"),
    class(
        &["values"],
        "env/**",
        "",
        Harmless,
        "a gateway without a view sees all networks, and its own pods among them",
    ),
    class(
        &["values"],
        "env",
        "drop",
        Harmless,
        "a gateway without a view sees all networks, and its own pods among them",
    ),
    class(&["values"], "labels", "drop", Harmless, "the own network is not reached through its gateway"),
    class(&["values"], "service/ports/*/name", "", Harmless, "it is for who reads it"),
    class(
        &["values"],
        "service/ports/*/targetPort",
        "",
        Harmless,
        "a gateway listens at the target port of its Service",
    ),
    class(&["values"], "service/ports/**", "", Harmless, "no declared call asks for this port"),
];

impl Class {
    /// The first class that is about a change of an object of this kind.
    pub(super) fn of(kind: &str, change: &Change) -> Option<usize> {
        CLASSES.iter().position(|it| {
            (it.kinds.is_empty() || it.kinds.contains(&kind))
                && (it.verb.is_empty() || it.verb == change.verb())
                && fits(it.path, &change.path)
        })
    }

    /// As a failing test names it.
    pub(super) fn name(&self) -> String {
        format!("{} {} {}", self.kinds.join("|"), self.path, self.verb)
    }
}

/// Keys such as `topology.istio.io/network` have a slash of their own, so ways are compared as texts.
fn fits(pattern: &str, path: &[String]) -> bool {
    let way = path.join("/");
    if let Some(end) = pattern.strip_prefix("**/").filter(|it| !it.contains('*')) {
        return way == end || way.ends_with(&format!("/{end}"));
    }
    let (pattern, is_open) = pattern.strip_suffix("/**").map_or((pattern, false), |it| (it, true));
    let (pattern, is_free) = pattern.strip_prefix("**/").map_or((pattern, false), |it| (it, true));
    let parts: Vec<&str> = if pattern.is_empty() { Vec::new() } else { pattern.split('/').collect() };
    let keys: Vec<&str> = way.split('/').filter(|it| !it.is_empty()).collect();
    let at = |from: usize| {
        keys.len() >= from + parts.len()
            && parts.iter().zip(&keys[from..]).all(|(part, key)| *part == "*" || part == key)
            && if is_open { keys.len() > from + parts.len() } else { keys.len() == from + parts.len() }
    };
    if is_free { (0..keys.len()).any(at) } else { at(0) }
}
