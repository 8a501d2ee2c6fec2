//! Pods: which kinds have them, and on which ports they listen.

use super::routes::{MESH, followed, tree};

/// What becomes of the call of `cart` if the file of its pods is changed.
fn with(changes: &[(&str, &str)]) -> String {
    let mut tree = tree(MESH, &[]);
    let text = tree.get_mut("one/40-apps/cart.default.yaml").expect("it is written");
    for (old, new) in changes {
        assert!(text.contains(old), "{text}");
        *text = text.replace(old, new);
    }
    followed(MESH, &tree, "cart").map_or_else(|it| it.broken.why, |it| it.trusts.join(", "))
}

#[test]
fn other_kinds_have_pods_too() {
    let kind = "apiVersion: apps/v1\nkind: Deployment\n";
    assert_eq!(with(&[]), "");
    assert_eq!(with(&[(kind, "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\n")]), "");
    assert_eq!(with(&[(kind, "apiVersion: v1\nkind: ReplicationController\n")]), "");
    assert!(with(&[(kind, "apiVersion: example.com/v1\nkind: Other\n")]).contains("nobody stands behind"));
}

/// Nobody knows when those run that end.
#[test]
fn pods_that_end_are_trusted_to_run() {
    let kind = "apiVersion: apps/v1\nkind: Deployment\n";
    let trust = "that pods of Job default/cart are running";
    assert_eq!(with(&[(kind, "apiVersion: batch/v1\nkind: Job\n")]), trust);
    let more = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: cart, namespace: default, labels: {app: cart}}\n\
                spec: {serviceAccountName: cart, containers: [{name: x, image: example.com/cart}]}\n";
    let job = ["apiVersion: batch/v1\nkind: Job\n", "---\napiVersion: batch/v1\nkind: Job\n"];
    assert_eq!(with(&[(kind, job[0]), (job[1], &format!("{more}{}", job[1]))]), "");
}

/// A container that runs as long as the others listens as they do.
#[test]
fn a_sidecar_of_ones_own_listens() {
    let port = "        ports:\n        - containerPort: 7070\n";
    let other = "        ports:\n        - containerPort: 9090\n";
    let init = |policy: &str, port: u16| {
        format!(
            "{other}      initContainers:\n      - {{name: front, image: example.com/front, {policy}\
             ports: [{{containerPort: {port}}}]}}\n"
        )
    };
    let wrong = "Service default/cart leads to port 7070, on which Deployment default/cart does not listen";
    assert_eq!(with(&[(port, other)]), wrong);
    assert_eq!(with(&[(port, &init("restartPolicy: Always, ", 7070))]), "");
    assert_eq!(with(&[(port, &init("restartPolicy: Always, ", 7071))]), wrong);
    assert_eq!(with(&[(port, &init("", 7070))]), wrong);
}
