//! What the install files of today's releases say, whichever installer they are for.

use std::collections::BTreeMap;

use serde_yaml::Value;

use super::written::{Object, Written, at, list, pairs, text, words};

/// What the control plane is told.
pub(crate) struct Install {
    pub(crate) mesh_config: Value,
    pub(crate) global: Value,
}

/// The gateway that other clusters call.
#[derive(Default)]
pub(crate) struct EastWest {
    /// Of its pods.
    pub(crate) labels: BTreeMap<String, String>,
    /// The network whose endpoints it sees.
    pub(crate) view: Option<String>,
    /// The ports of its Service, and their node ports.
    pub(crate) ports: Vec<(u64, Option<u64>)>,
}

const GATEWAY: &str = "istio-eastwestgateway";
const VIEW: &str = "ISTIO_META_REQUESTED_NETWORK_VIEW";

impl Install {
    /// An IstioOperator, the values of the chart `istiod`, or the object of the Sail operator.
    pub(crate) fn read(written: &Written) -> Option<Self> {
        let (values, mesh_config) = if let Some(operator) = written.install("istio-operator.yaml") {
            (at(&operator, &["spec", "values"]).clone(), at(&operator, &["spec", "meshConfig"]).clone())
        } else if let Some(values) = written.install("istiod.yaml") {
            (values.clone(), values["meshConfig"].clone())
        } else {
            let values = at(&written.install("istio.yaml")?, &["spec", "values"]).clone();
            (values.clone(), values["meshConfig"].clone())
        };
        Some(Self { mesh_config, global: values["global"].clone() })
    }
}

impl EastWest {
    /// A component of the IstioOperator, the values of a chart, or a Deployment with its Service.
    pub(crate) fn read(written: &Written) -> Option<Self> {
        if let Some(operator) = written.install("istio-operator.yaml") {
            let all = list(&operator, &["spec", "components", "ingressGateways"]);
            let gateway = all.into_iter().find(|it| text(it, &["name"]) == Some(GATEWAY))?;
            let env = list(gateway, &["k8s", "env"]).into_iter();
            return Some(Self {
                labels: pairs(gateway, &["label"]),
                view: view(env),
                ports: ports(at(gateway, &["k8s", "service"])),
            });
        }
        if let Some(values) = written.install(&format!("{GATEWAY}.yaml")) {
            let mut labels = pairs(&values, &["labels"]);
            // The chart names these after its release, which is called like the gateway.
            labels.insert("app".into(), GATEWAY.into());
            labels.insert("istio".into(), GATEWAY.trim_start_matches("istio-").into());
            let view = pairs(&values, &["env"]).remove(VIEW);
            return Some(Self { labels, view, ports: ports(&values["service"]) });
        }
        let find = |kind| written.object(kind, "istio-system", GATEWAY);
        let (pods, service): (&Object, &Object) = (find("Deployment")?, find("Service")?);
        let template = at(&pods.value, &["spec", "template"]);
        let env = list(template, &["spec", "containers"]).into_iter().flat_map(|it| list(it, &["env"]));
        Some(Self {
            labels: pairs(template, &["metadata", "labels"]),
            view: view(env),
            ports: ports(&service.value["spec"]),
        })
    }
}

fn view<'a>(mut env: impl Iterator<Item = &'a Value>) -> Option<String> {
    env.find(|it| text(it, &["name"]) == Some(VIEW)).map(|it| words(&it["value"]).concat())
}

fn ports(service: &Value) -> Vec<(u64, Option<u64>)> {
    let ports = list(service, &["ports"]).into_iter();
    ports.filter_map(|it| Some((it["port"].as_u64()?, it["nodePort"].as_u64()))).collect()
}
