//! What installs Istio. Never part of the kustomization, for no API server knows an install file.
//!
//! The releases that rewrite names have charts of their own ([`charts`]). Today's are told one
//! [`Settings`], which each installer wraps in its own kind of file.

mod charts;
mod gateways;
mod helm;
mod istioctl;
mod sail;
mod settings;

use crate::bundle::Bundle;
use crate::model::{ClusterModel, Install};
use crate::syntax::Installer;
use settings::Settings;

pub(super) fn write(model: &ClusterModel<'_>, bundle: &mut Bundle) {
    let plane = match &model.install {
        Install::Charts(charts) => return charts::write(charts, model.target, bundle),
        Install::ControlPlane(plane) => plane,
    };
    let settings = Settings::of(plane, model);
    match plane.installer {
        Installer::Istioctl => istioctl::write(plane, &settings, bundle),
        Installer::Helm => helm::write(plane, &settings, bundle),
        Installer::Sail => sail::write(plane, &settings, &model.release, bundle),
    }
}
