//! Helm values or an IstioOperator for the charts of the releases that rewrite names.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use crate::bundle::Bundle;
use crate::model::{Charts, GatewayPort};
use crate::resources::template::{Template, fill};
use crate::target::{InstallFormat, Istio, TrustDomain};
use crate::yaml;

#[derive(Serialize)]
struct View<'a> {
    cluster: &'a str,
    suffix: Option<&'a str>,
    istiocoredns: bool,
    stub_address: Option<String>,
    mtls: bool,
    control_plane_security: bool,
    disable_self_signed: bool,
    search: &'a [String],
    trust_domain_value: Option<&'a str>,
    trust_domain_config: Option<&'a str>,
    load_balancer_ip: Option<String>,
    gateway_ports: &'a [GatewayPort],
    router_mode: bool,
    gateway_sds: bool,
    gateway_values: bool,
    egress_gateway: bool,
    addons: &'a [&'static str],
}

pub(super) fn write(charts: &Charts<'_>, target: &Istio, bundle: &mut Bundle) {
    let view = view(charts, target.trust_domain);
    if target.install == InstallFormat::HelmValues {
        bundle.keep("10-istio/values.yaml", fill(Template::HelmValues, &view));
        if let Some(address) = charts.istiocoredns {
            bundle.keep("10-istio/istiocoredns-service.yaml", yaml::to_string(&istiocoredns(address)));
        }
    } else {
        bundle.keep("10-istio/istio-operator.yaml", fill(Template::IstioOperator, &view));
    }
}

fn view<'a>(charts: &'a Charts<'a>, trust_domain: TrustDomain) -> View<'a> {
    View {
        cluster: charts.cluster,
        suffix: charts.suffix,
        istiocoredns: charts.istiocoredns.is_some(),
        stub_address: charts.istiocoredns.map(|it| it.to_string()),
        mtls: charts.mtls,
        control_plane_security: charts.control_plane_security,
        disable_self_signed: charts.disable_self_signed,
        search: &charts.search,
        trust_domain_value: charts.trust_domain.filter(|_| trust_domain == TrustDomain::Values),
        trust_domain_config: charts.trust_domain.filter(|_| trust_domain == TrustDomain::MeshConfig),
        load_balancer_ip: charts.load_balancer_ip.map(|it| it.to_string()),
        gateway_ports: &charts.gateway_ports,
        router_mode: charts.router_mode,
        gateway_sds: charts.gateway_sds,
        gateway_values: charts.load_balancer_ip.is_some() || charts.gateway_sds || !charts.gateway_ports.is_empty(),
        egress_gateway: charts.egress_gateway,
        addons: &charts.addons,
    }
}

/// The chart of 1.4 cannot be told an address; it keeps that of a Service which is there already.
fn istiocoredns(address: Ipv4Addr) -> Service {
    let port = |name: &str, protocol: &str| ServicePort {
        name: Some(name.to_owned()),
        port: 53,
        protocol: Some(protocol.to_owned()),
        ..ServicePort::default()
    };
    Service {
        metadata: ObjectMeta {
            name: Some("istiocoredns".to_owned()),
            namespace: Some("istio-system".to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            cluster_ip: Some(address.to_string()),
            ports: Some(vec![port("dns", "UDP"), port("dns-tcp", "TCP")]),
            selector: Some([("app".to_owned(), "istiocoredns".to_owned())].into()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
