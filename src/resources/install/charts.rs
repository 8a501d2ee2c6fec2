//! Helm values or an IstioOperator for the charts of the releases that rewrite names.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use crate::bundle::Bundle;
use crate::model::{ClusterModel, GatewayPort, Install};
use crate::resources::template::{Template, fill};
use crate::target::{InstallFormat, TrustDomain};
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

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    let view = view(&model.install, model.target.trust_domain);
    match model.target.install {
        InstallFormat::IstioOperator { .. } | InstallFormat::Chosen => {
            bundle.keep("10-istio/istio-operator.yaml", fill(Template::IstioOperator, &view));
        }
        InstallFormat::HelmValues => {
            bundle.keep("10-istio/values.yaml", fill(Template::HelmValues, &view));
            if let Some(address) = model.install.istiocoredns {
                bundle.keep("10-istio/istiocoredns-service.yaml", yaml::to_string(&istiocoredns(address)));
            }
        }
    }
}

fn view<'a>(install: &'a Install<'a>, trust_domain: TrustDomain) -> View<'a> {
    View {
        cluster: install.cluster,
        suffix: install.suffix,
        istiocoredns: install.istiocoredns.is_some(),
        stub_address: install.istiocoredns.map(|it| it.to_string()),
        mtls: install.mtls,
        control_plane_security: install.control_plane_security,
        disable_self_signed: install.disable_self_signed,
        search: &install.search,
        trust_domain_value: install.trust_domain.filter(|_| trust_domain == TrustDomain::Values),
        trust_domain_config: install.trust_domain.filter(|_| trust_domain == TrustDomain::MeshConfig),
        load_balancer_ip: install.load_balancer_ip.map(|it| it.to_string()),
        gateway_ports: &install.gateway_ports,
        router_mode: install.router_mode,
        gateway_sds: install.gateway_sds,
        gateway_values: install.load_balancer_ip.is_some() || install.gateway_sds || !install.gateway_ports.is_empty(),
        egress_gateway: install.egress_gateway,
        addons: &install.addons,
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
