//! The rules of a topology, one family a file.

pub(super) mod across;
pub(super) mod addresses;
pub(super) mod allow;
mod balance;
pub(super) mod clusters;
mod corefile;
pub(super) mod dns;
pub(super) mod externals;
pub(super) mod form;
mod gateways;
pub(super) mod ingress;
pub(super) mod mesh;
pub(super) mod moving;
pub(super) mod names;
pub(super) mod old_line;
mod order;
pub(super) mod password;
pub(super) mod pods;
pub(super) mod ports;
pub(super) mod probes;
pub(super) mod protocol;
pub(super) mod references;
pub(super) mod resources;
pub(super) mod services;
pub(super) mod trust;
pub(super) mod workloads;
