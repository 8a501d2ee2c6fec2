//! What holds of a mesh, of all its clusters together: the invariants I1 to I18, read from nothing but
//! the topology's text and the written files, of all golden cases and of topologies made at random.

mod breaks;
mod checks;
mod declared;
mod install;
pub(crate) mod written;

use meshlatch::inputs::Inputs;
use proptest::prelude::*;

use crate::made::{Line, Made, made};
use crate::support;
use checks::broken;
use written::{Mesh, Tree};

/// Says what does not hold of a tree, if anything.
pub(crate) fn verdict(topology: &str, tree: &Tree) -> String {
    let broken = broken(&Mesh::read(topology, tree));
    broken.into_iter().fold(String::new(), |said, (number, what)| said + number + ": " + &what + "\n")
}

#[test]
fn the_invariants_hold_of_every_golden_case() {
    let mut said = String::new();
    for (name, folder) in support::golden_cases() {
        let topology = std::fs::read_to_string(folder.join("topology.yaml")).expect("a case has a topology");
        let verdict = verdict(&topology, &support::read_tree(&folder.join("out")));
        said.extend(verdict.lines().map(|it| format!("{name}: {it}\n")));
    }
    assert_eq!(said, "");
}

/// Compiles a topology without mistakes and says what does not hold of it.
fn compiled(made: &Made) -> String {
    let topology = made.yaml();
    verdict(&topology, &support::tree(&support::compile(&topology)))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn the_invariants_hold_of_meshes_of_today(made in made(Line::New, 2)) {
        let made = made.granted();
        prop_assert_eq!(compiled(&made), "", "{}", made.yaml());
    }

    #[test]
    fn the_invariants_hold_of_old_and_mixed_meshes(made in prop_oneof![made(Line::Old, 2), made(Line::Mixed, 2)]) {
        let made = made.granted();
        prop_assert_eq!(compiled(&made), "", "{}", made.yaml());
    }

    #[test]
    fn whatever_is_wished_is_refused_or_holds(made in made(Line::Mixed, 1)) {
        let topology = made.yaml();
        let (mesh, said, _) = support::compile_bytes("topology.yaml", topology.clone().into_bytes(), &Inputs::default());
        prop_assert!(mesh.is_some() || said.contains("error[T"), "refused without a word\n{}", topology);
        if let Some(mesh) = mesh {
            prop_assert_eq!(verdict(&topology, &support::tree(&mesh)), "", "{}", topology);
        }
    }
}
