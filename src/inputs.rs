//! `Inputs`: addresses that a topology cannot know, given from outside.
//!
//! What can be given: `<cluster>` (its gateway), `<cluster>.gateway`, `<cluster>.dns`. From where:
//! a word on the command line, `kubectl get service -o json`, `terraform output -json`, or a map
//! in YAML or JSON.

use std::collections::BTreeMap;

use serde_yaml::{Mapping, Value};

use crate::diag::{Code, Diagnostics};
use crate::lock::Lock;

/// Addresses by the name of what they belong to.
#[derive(Debug, Default, Clone)]
pub struct Inputs {
    /// The virtual IPs that are kept; none where nobody keeps any.
    pub lock: Option<Lock>,
    given: BTreeMap<(String, Part), Given>,
    outputs: Vec<Outputs>,
}

/// A file of Terraform's whose outputs must name a cluster, for nothing else in it does.
#[derive(Debug, Clone)]
pub struct Outputs {
    /// Its name.
    pub file: String,
    /// Its outputs that are text, each with the cluster that it means.
    pub names: Vec<(String, String)>,
}

/// Which address of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Where other clusters reach it.
    Gateway,
    /// Its DNS server for the suffix.
    Dns,
}

/// An address and who gave it.
#[derive(Debug, Clone)]
pub struct Given {
    /// The address, not yet looked at.
    pub address: String,
    /// `--address cluster2=…`, or a file name.
    pub origin: String,
    /// Whether nobody minds if no cluster has this name.
    optional: bool,
}

impl Inputs {
    /// The address given for a part of a cluster.
    #[must_use]
    pub fn get(&self, cluster: &str, part: Part) -> Option<&Given> {
        self.given.get(&(cluster.to_owned(), part))
    }

    /// The names that must be clusters.
    pub fn required(&self) -> impl Iterator<Item = (&str, &Given)> {
        self.given.iter().filter(|(_, given)| !given.optional).map(|((name, _), given)| (name.as_str(), given))
    }

    /// The same, where nobody minds if no cluster has a name that is given.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.given.values_mut().for_each(|it| it.optional = true);
        self.outputs.clear();
        self
    }

    /// Files of which one output at least must mean a cluster.
    pub fn outputs(&self) -> impl Iterator<Item = &Outputs> {
        self.outputs.iter()
    }

    /// Takes `NAME=ADDRESS`, as on a command line.
    pub fn set(&mut self, name: &str, address: &str) {
        let (cluster, part) = split(name);
        let origin = format!("--address {name}={address}");
        self.given.insert((cluster, part), Given { address: address.to_owned(), origin, optional: false });
    }

    /// Takes the address of `name` from a file: the JSON of a Service, or nothing but the address.
    pub fn set_from_file(&mut self, name: &str, file: &str, text: &str, diags: &mut Diagnostics) {
        let (cluster, part) = split(name);
        let address = match serde_yaml::from_str::<Value>(text) {
            Ok(Value::String(address)) => Ok(address),
            Ok(value @ Value::Mapping(_)) => service_address(&value, part),
            Ok(_) | Err(_) => Err("it holds neither an address nor the JSON of a Service".to_owned()),
        };
        match address {
            Ok(address) => {
                let given = Given { address: address.trim().to_owned(), origin: file.to_owned(), optional: false };
                self.given.insert((cluster, part), given);
            }
            Err(reason) => {
                diags
                    .error(Code::InvalidAddressValue, format!("`{file}` gives no address for `{name}`: {reason}"))
                    .help("`kubectl get service istio-eastwestgateway -n istio-system -o json` prints what is expected here");
            }
        }
    }

    /// Takes every address of a file: a map of names, or `terraform output -json`.
    ///
    /// Of Terraform's outputs those count whose name is a cluster's, with `_gateway` or `_dns` at
    /// the end, and maps of such names called `gateways` or `dns`; all others are none of our
    /// business.
    pub fn merge_file(&mut self, file: &str, text: &str, diags: &mut Diagnostics) {
        let Ok(Value::Mapping(map)) = serde_yaml::from_str::<Value>(text) else {
            diags
                .error(Code::InvalidAddressValue, format!("`{file}` is no map of names to addresses"))
                .help("`terraform output -json` prints one; so does `cluster2: 34.1.2.3` in YAML");
            return;
        };
        if map.get("kind").is_some_and(|it| it == "Service" || it == "List") && map.len() > 1 {
            diags
                .error(
                    Code::InvalidAddressValue,
                    format!("`{file}` is what kubectl prints, not a map of names to addresses"),
                )
                .help(format!("say whose address it gives: `--address NAME=@{file}`"));
            return;
        }
        let mut outputs = Outputs { file: file.to_owned(), names: Vec::new() };
        let mut named = false;
        for (name, value) in &map {
            let Some(name) = name.as_str() else { continue };
            match value {
                Value::String(address) => {
                    self.insert(split(name), address, file, false);
                    named = true;
                }
                Value::Mapping(output) if output.contains_key("value") => match &output["value"] {
                    Value::String(address) => {
                        let key = output_key(name);
                        outputs.names.push((name.to_owned(), key.0.clone()));
                        self.insert(key, address, file, true);
                    }
                    Value::Mapping(addresses) => named |= self.map_output(name, addresses, file),
                    _ => {}
                },
                _ => {
                    diags
                        .error(
                            Code::InvalidAddressValue,
                            format!("`{file}` gives no address for `{name}`: it is not text"),
                        )
                        .help("write `name: address`, or pass the whole output of `terraform output -json`");
                    named = true;
                }
            }
        }
        if !named {
            self.outputs.push(outputs);
        }
    }

    /// Takes the addresses of an output that is a map; tells whether there was any.
    fn map_output(&mut self, name: &str, addresses: &Mapping, file: &str) -> bool {
        let Some((_, part)) = PARTS.iter().find(|(word, _)| name.trim_end_matches('s') == *word) else {
            return false;
        };
        let mut any = false;
        for (cluster, address) in addresses {
            if let (Some(cluster), Some(address)) = (cluster.as_str(), address.as_str()) {
                self.insert((cluster.to_owned(), *part), address, file, false);
                any = true;
            }
        }
        any
    }

    fn insert(&mut self, key: (String, Part), address: &str, file: &str, optional: bool) {
        self.given.insert(key, Given { address: address.to_owned(), origin: file.to_owned(), optional });
    }
}

/// How an output of Terraform says which address it is.
const PARTS: [(&str, Part); 2] = [("gateway", Part::Gateway), ("dns", Part::Dns)];

/// What an output of Terraform means, if it means a cluster.
fn output_key(name: &str) -> (String, Part) {
    let suffixed = PARTS.iter().find_map(|(word, part)| {
        let cluster = name.strip_suffix(word)?.strip_suffix(['_', '-'])?;
        Some((cluster, *part))
    });
    let (cluster, part) = suffixed.unwrap_or((name, Part::Gateway));
    // Terraform's names have no dashes by habit; a cluster's name has no underscores by rule.
    (cluster.replace('_', "-"), part)
}

fn split(name: &str) -> (String, Part) {
    if let Some(cluster) = name.strip_suffix(".dns") {
        (cluster.to_owned(), Part::Dns)
    } else {
        (name.strip_suffix(".gateway").unwrap_or(name).to_owned(), Part::Gateway)
    }
}

/// The one object of a list that can be meant.
fn the_one(items: &[Value], part: Part) -> Result<&Value, String> {
    // Where there are two gateways, the first of these is the one that other clusters call.
    let names: &[&str] = match part {
        Part::Gateway => &["istio-eastwestgateway", "istio-eastwestgateway-istio", "istio-ingressgateway"],
        Part::Dns => &["istiocoredns", "meshlatch-dns"],
    };
    let name = |it: &Value| it.get("metadata")?.get("name")?.as_str().map(str::to_owned);
    let called = |wanted: &'static str| {
        let fits = move |it: &&Value| {
            it.get("kind").is_some_and(|kind| kind == "Service") && name(it).as_deref() == Some(wanted)
        };
        items.iter().filter(fits).collect::<Vec<_>>()
    };
    let found: Vec<_> = match part {
        Part::Gateway => names.iter().map(|it| called(it)).find(|it| !it.is_empty()).unwrap_or_default(),
        Part::Dns => names.iter().flat_map(|it| called(it)).collect(),
    };
    match found[..] {
        [one] => Ok(one),
        _ => Err(format!(
            "it lists {} objects, and {} of them {} a Service called `{}`; name one Service",
            items.len(),
            if found.is_empty() { "none".to_owned() } else { found.len().to_string() },
            if found.is_empty() { "is" } else { "are" },
            names.join("` or `")
        )),
    }
}

/// The address in what `kubectl get service -o json` prints.
fn service_address(value: &Value, part: Part) -> Result<String, String> {
    let item = match value.get("items") {
        Some(Value::Sequence(items)) if items.len() == 1 => &items[0],
        Some(Value::Sequence(items)) => the_one(items, part)?,
        _ => value,
    };
    let kind = item.get("kind").and_then(Value::as_str).unwrap_or("nothing with a kind");
    if kind != "Service" {
        return Err(format!("it holds a {kind}, not a Service"));
    }
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    match part {
        Part::Dns => text(item.get("spec").and_then(|it| it.get("clusterIP")))
            .filter(|it| it != "None")
            .ok_or_else(|| "the Service has no ClusterIP".to_owned()),
        Part::Gateway => {
            let first = item
                .get("status")
                .and_then(|it| it.get("loadBalancer"))
                .and_then(|it| it.get("ingress"))
                .and_then(|it| it.get(0));
            text(first.and_then(|it| it.get("ip")))
                .or_else(|| text(first.and_then(|it| it.get("hostname"))))
                .ok_or_else(|| "the load balancer has no address yet".to_owned())
        }
    }
}
