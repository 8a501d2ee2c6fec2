//! Istio 1.28: the schema of the chart of gateways is mended.

use super::{Istio, Release, istio_1_27};

pub(super) const ISTIO: Istio = Istio {
    minor: Release::minor(1, 28),
    tested_on: (Release::minor(1, 30), Release::minor(1, 34)),
    loose_gateway_schema: None,
    ..istio_1_27::ISTIO
};
