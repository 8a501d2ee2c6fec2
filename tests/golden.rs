//! Golden cases: a topology and the whole tree it becomes, as a reviewer reads it.

use meshlatch::inputs::Inputs;

use crate::support;

#[test]
fn every_case_becomes_its_tree() {
    for (name, folder) in support::golden_cases() {
        let bytes = std::fs::read(folder.join("topology.yaml")).expect("a case has a topology");
        let (mesh, said, _) = support::compile_bytes(&format!("{name}/topology.yaml"), bytes, &Inputs::default());
        let mesh = mesh.unwrap_or_else(|| panic!("{said}"));
        // A golden case says why it warns, or does not warn.
        assert_eq!(said, "", "{name} has warnings");
        support::check_tree(&folder.join("out"), &support::tree(&mesh));
    }
}
