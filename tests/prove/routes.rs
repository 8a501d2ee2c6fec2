//! Routes: to which port they lead, which requests they take, and which of several is asked.

use std::collections::BTreeMap;

use meshlatch::prove::{Path, Stopped, UnaskedKind, World};

use crate::support;

/// Services beside their caller, and one behind an ingress.
pub(super) const MESH: &str = r#"version: 1
clusters: {one: {istio: "1.31.0"}}
services:
  cart: {clusters: one, ports: {tcp: 7070}, workload: {image: example.com/cart}}
  shop: {clusters: one, ports: {http: 8080}, workload: {image: example.com/shop}}
  web: {clusters: one, ports: {http: 8000}, calls: [cart, shop], workload: {image: example.com/web}}
ingress:
  door: {service: web, hosts: door.example.com, clusters: one}
"#;

fn of_release(release: &str) -> String {
    MESH.replace("1.31.0", release).replace("clusters: {one: {", "allow: [T0306]\nclusters: {one: {")
}

/// Another name of the pods of a service, with another port.
pub(super) fn alias(name: &str, app: &str, port: u16, target: u16, protocol: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\n\
         spec: {{selector: {{app: {app}}}, ports: [{{name: {protocol}, port: {port}, targetPort: {target}}}]}}\n"
    )
}

pub(super) fn route(name: &str, host: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: default}}\n\
         spec: {{hosts: [{host}], {spec}}}\n"
    )
}

fn cart(spec: &str) -> String {
    route("cart", "cart.default.svc.cluster.local", spec)
}

pub(super) fn shop(spec: &str) -> String {
    route("shop", "shop.default.svc.cluster.local", spec)
}

/// The bundles of a topology, with further objects in the cluster `one`.
pub(super) fn tree(topology: &str, more: &[String]) -> BTreeMap<String, String> {
    let mut tree = support::tree(&support::compile(topology));
    tree.insert("one/more.yaml".to_owned(), more.join("---\n"));
    *tree.get_mut("one/kustomization.yaml").expect("a cluster has one") += "- more.yaml\n";
    tree
}

pub(super) fn followed(topology: &str, tree: &BTreeMap<String, String>, callee: &str) -> Result<Path, Box<Stopped>> {
    let mesh = support::compile(topology);
    let world: World = super::world(&mesh, tree);
    let call = world.calls().find(|it| it.callee == callee).expect("it is declared");
    world.follow(call)
}

/// `proved`, or the hop at which it breaks, and why.
pub(super) fn end(topology: &str, more: &[String], callee: &str) -> String {
    match followed(topology, &tree(topology, more), callee) {
        Ok(_) => "proved".to_owned(),
        Err(it) => format!("{}: {}", it.broken.kind, it.broken.why),
    }
}

pub(super) fn trusts(topology: &str, more: &[String], callee: &str) -> String {
    let path = followed(topology, &tree(topology, more), callee).unwrap_or_else(|it| panic!("{:?}", it.broken));
    path.trusts.join(", ")
}

#[test]
fn a_route_without_a_port_leads_to_the_only_one_or_that_of_the_listener() {
    let tcp = [
        cart("tcp: [{route: [{destination: {host: till.default.svc.cluster.local}}]}]"),
        alias("till", "cart", 9999, 7070, "tcp"),
    ];
    assert_eq!(end(MESH, &tcp, "cart"), "proved");
    // A sidecar looks for HTTP at those ports only that are the listener's.
    let http = [shop("http: [{route: [{destination: {host: till}}]}]"), alias("till", "shop", 9999, 8080, "http")];
    let wrong = "route: a route leads to port 8080 of `till.default.svc.cluster.local`, which has none";
    assert_eq!(end(MESH, &http, "shop"), wrong);
    let said = "http: [{route: [{destination: {host: till, port: {number: 9999}}}]}]";
    assert_eq!(end(MESH, &[shop(said), http[1].clone()], "shop"), "proved");
}

/// The call of the ingress, with the port left out of its route, and a second port at its service, or none.
fn by_ingress(second: bool) -> String {
    let mut tree = tree(MESH, &[]);
    let routes = tree.get_mut("one/50-ingress/door.yaml").expect("it is written");
    assert!(routes.contains("        port:\n          number: 8000\n"), "{routes}");
    *routes = routes.replace("        port:\n          number: 8000\n", "");
    let web = tree.get_mut("one/40-apps/web.default.yaml").expect("it is written");
    let ports = "  ports:\n  - name: http\n    port: 8000\n";
    assert!(web.contains(ports), "{web}");
    if second {
        *web = web.replace(ports, &ports.replace("ports:\n", "ports:\n  - {name: more, port: 9000}\n"));
    }
    followed(MESH, &tree, "web").map_or_else(|it| format!("{}: {}", it.broken.kind, it.broken.why), |_| "proved".into())
}

#[test]
fn a_route_of_an_ingress_without_a_port_leads_to_the_only_one_or_that_of_the_gateway() {
    assert_eq!(by_ingress(false), "proved");
    assert_eq!(by_ingress(true), "route: a route leads to port 80 of `web.default.svc.cluster.local`, which has none");
}

#[test]
fn what_fits_no_match_is_told() {
    let to = |host: &str| format!("route: [{{destination: {{host: {host}, port: {{number: 8080}}}}}}]");
    let own = to("shop");
    let trust =
        "that a match of VirtualService default/shop fits, for what fits none is answered with 404 NR: no route";
    for matched in ["headers: {x: {exact: a}}", "uri: {prefix: /api}", "uri: {regex: '/a.*'}", "method: {exact: GET}"] {
        let spec = format!("http: [{{match: [{{{matched}}}], {own}}}]");
        assert_eq!(trusts(MESH, &[shop(&spec)], "shop"), trust, "{matched}");
        let caught = format!("http: [{{match: [{{{matched}}}], {own}}}, {{{own}}}]");
        assert_eq!(trusts(MESH, &[shop(&caught)], "shop"), "", "{matched}");
        // Who takes a part is followed, and so is who takes the rest.
        let (first, last) = (to("nobody"), to("nobody"));
        let wrong = "route: a route leads to `nobody.default.svc.cluster.local`, which nothing in `one` knows";
        let spec = format!("http: [{{match: [{{{matched}}}], {first}}}, {{{own}}}]");
        assert_eq!(end(MESH, &[shop(&spec)], "shop"), wrong, "{matched}");
        let spec = format!("http: [{{match: [{{{matched}}}], {own}}}, {{{last}}}]");
        assert_eq!(end(MESH, &[shop(&spec)], "shop"), wrong, "{matched}");
    }
    // For every request, whatever else they say.
    for matched in [
        "uri: {prefix: /}",
        "uri: {regex: '.*'}",
        "headers: {}",
        "method: null",
        "port: 8080",
        "sourceNamespace: default",
        "name: x",
        "statPrefix: x",
    ] {
        let spec = format!("http: [{{match: [{{{matched}}}], {own}}}, {{{}}}]", to("nobody"));
        assert_eq!(trusts(MESH, &[shop(&spec)], "shop"), "", "{matched}");
    }
    // What fits no match of TCP goes on as if there were none.
    let subnet = "tcp: [{match: [{destinationSubnets: [10.0.0.0/8]}], route: [{destination: {host: cart}}]}]";
    assert_eq!(trusts(MESH, &[cart(subnet)], "cart"), "");
    assert_eq!(
        end(MESH, &[cart(&subnet.replace("host: cart", "host: nobody"))], "cart").split(':').next(),
        Some("route")
    );
}

#[test]
fn a_match_that_cannot_fit_is_no_route() {
    let nobody = "route: [{destination: {host: nobody}}]";
    let fits = |spec: String, with: &[String]| {
        let more = [&[shop(&spec)], with].concat();
        end(MESH, &more, "shop") != "proved"
    };
    let http = |matched: &str| format!("http: [{{match: [{{{matched}}}], {nobody}}}]");
    // Before 1.6 no match asks for the namespace.
    for (release, is_asked) in [("1.5.10", false), ("1.6.14", true)] {
        let to = "tcp: [{match: [{sourceNamespace: other}], route: [{destination: {host: nobody}}]}]";
        assert_eq!(end(&of_release(release), &[cart(to)], "cart") == "proved", is_asked);
    }
    let pods = tree(MESH, &[])["one/40-apps/web.default.yaml"].contains("app: web");
    assert!(pods, "the labels of the caller are written");
    for (matched, expected) in [
        ("sourceLabels: {app: web}", true),
        ("sourceLabels: {app: other}", false),
        ("sourceLabels: {team: a}", false),
        ("sourceLabels: {app: web, team: a}", false),
        ("sourceNamespace: default", true),
        ("sourceNamespace: other", false),
        ("gateways: [mesh]", true),
        ("gateways: [door]", false),
        ("gateways: [mesh, door], sourceLabels: {app: other}", true),
        ("port: 8080", true),
        ("port: 80", false),
    ] {
        assert_eq!(fits(http(matched), &[]), expected, "{matched}");
        // Of TCP both are asked.
        let spec = format!("tcp: [{{match: [{{{matched}}}], {nobody}}}]").replace("8080", "7070");
        let expected = expected && !matched.contains("mesh, door");
        assert_eq!(end(MESH, &[cart(&spec)], "cart") != "proved", expected, "{matched}");
    }
}

/// Of labels that no file says, nobody knows.
#[test]
fn labels_of_pods_of_others_may_fit() {
    let elsewhere = MESH.replace(
        "calls: [cart, shop], workload: {image: example.com/web}}",
        "calls: [cart, shop], workload: elsewhere, serviceAccount: web}",
    );
    assert_ne!(elsewhere, MESH);
    let machine = "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: web, namespace: default}\n\
                   spec: {address: 10.0.0.9, labels: {app: web}}\n";
    let labelled = |labels: &str, more: &[String]| {
        let spec =
            format!("http: [{{match: [{{sourceLabels: {labels}}}], route: [{{destination: {{host: nobody}}}}]}}]");
        end(&elsewhere, &[&[shop(&spec)], more].concat(), "shop") != "proved"
    };
    assert!(labelled("{team: a}", &[]));
    assert!(labelled("{team: a}", &[machine.to_owned()]), "what is no pod says nothing of those that are");
    assert!(!labelled("{app: other}", &[]));
}

#[test]
fn an_ingress_is_followed_by_its_paths() {
    let topology = MESH.replace("hosts: door.example.com,", "hosts: door.example.com, paths: [/shop],");
    let own = "route: [{destination: {host: web, port: {number: 8000}}}]";
    let nobody = "route: [{destination: {host: nobody}}]";
    let ends = |http: &str| {
        let mut tree = tree(&topology, &[]);
        let text = tree.get_mut("one/50-ingress/door.yaml").expect("it is written");
        let start = text.find("  http:\n").expect("it has routes");
        *text = format!("{}  http: [{http}]\n", &text[..start]);
        match followed(&topology, &tree, "web") {
            Ok(path) => path.trusts.join(", "),
            Err(it) => it.broken.why,
        }
    };
    assert_eq!(ends(&format!("{{match: [{{uri: {{prefix: /shop}}}}], {own}}}, {{{nobody}}}")), "");
    assert_eq!(ends(&format!("{{match: [{{uri: {{prefix: /admin}}}}], {nobody}}}, {{{own}}}")), "");
    assert!(ends(&format!("{{match: [{{uri: {{prefix: /shop/a}}}}], {nobody}}}, {{{own}}}")).contains("nobody"));
    assert!(ends(&format!("{{match: [{{uri: {{exact: /shop}}}}], {own}}}")).contains("404"));
    for others in ["uri: {exact: /admin}", "uri: {prefix: /admin}, headers: {x: {exact: a}}"] {
        assert_eq!(ends(&format!("{{match: [{{{others}}}], {nobody}}}, {{{own}}}")), "", "{others}");
    }
    assert!(ends(&format!("{{match: [{{uri: {{prefix: /admin}}}}], {own}}}")).contains("takes the path `/shop`"));
    assert!(ends(&format!("{{match: [{{uri: {{prefix: /SHOP}}}}], {own}}}")).contains("takes the path `/shop`"));
    assert_eq!(ends(&format!("{{match: [{{uri: {{prefix: /SHOP}}, ignoreUriCase: true}}], {own}}}")), "");
    for others in ["other", "other/door", "mesh"] {
        assert_eq!(ends(&format!("{{match: [{{gateways: [{others}]}}], {nobody}}}, {{{own}}}")), "", "{others}");
    }
    assert_eq!(ends(&format!("{{match: [{{gateways: [default/door]}}], {own}}}, {{{nobody}}}")), "");
    assert_eq!(ends(&format!("{{match: [{{gateways: [door], port: 80}}], {own}}}, {{{nobody}}}")), "");
}

/// Of several destinations, one without a weight is never asked.
#[test]
fn weights_are_as_istio_takes_them() {
    let old = of_release("1.7.8");
    let aliases = [
        alias("a", "cart", 7070, 7070, "tcp"),
        alias("b", "cart", 7070, 7070, "tcp"),
        alias("c", "cart", 7070, 7070, "tcp"),
    ];
    let route = |weights: &[(&str, Option<u32>)]| {
        let weight = |it: Option<u32>| it.map_or_else(String::new, |it| format!(", weight: {it}"));
        let one = |it: &(&str, Option<u32>)| format!("{{destination: {{host: {}}}{}}}", it.0, weight(it.1));
        let all: Vec<_> = weights.iter().map(one).collect();
        [&[cart(&format!("tcp: [{{route: [{}]}}]", all.join(", ")))], &aliases[..]].concat()
    };
    let wrong = |sum: u32| format!("route: the weights of a route of VirtualService default/cart are {sum} in all");
    for (topology, weights, expected) in [
        (MESH, &[("a", None), ("b", None)][..], wrong(0)),
        (MESH, &[("a", Some(0)), ("b", Some(0))], wrong(0)),
        (MESH, &[("a", Some(7)), ("nobody", None)], "proved".to_owned()),
        (
            MESH,
            &[("nobody", None)],
            "route: a route leads to `nobody.default.svc.cluster.local`, which nothing in `one` knows".to_owned(),
        ),
        (MESH, &[("a", None)], "proved".to_owned()),
        (&old, &[("a", None), ("b", None)], wrong(0)),
        (&old, &[("a", Some(50)), ("b", Some(40))], wrong(90)),
        (&old, &[("a", Some(100)), ("nobody", None)], "proved".to_owned()),
        (&old, &[("a", None)], "proved".to_owned()),
    ] {
        assert_eq!(end(topology, &route(weights), "cart"), expected, "{weights:?}");
    }
    let shares_at = |callee: &str, more: &[String]| {
        let path = followed(MESH, &tree(MESH, more), callee).unwrap_or_else(|it| panic!("{:?}", it.broken));
        path.ways.iter().map(|it| it.share).collect::<Vec<_>>()
    };
    let shares_of = |more: &[String]| shares_at("cart", more);
    let shares = |weights: &[(&str, Option<u32>)]| shares_of(&route(weights));
    assert_eq!(shares(&[("a", Some(1)), ("b", Some(1)), ("c", Some(1))]), [Some(33), Some(34), Some(33)]);
    assert_eq!(shares(&[("a", Some(3)), ("b", Some(1))]), [Some(75), Some(25)]);
    assert_eq!(shares(&[("a", None)]), [None]);
    // Of how many calls they are nobody knows where a match or another object takes some.
    let two = route(&[("a", Some(1)), ("b", Some(1))]);
    let with = |from: &str, to: &str| [&[two[0].replace(from, to)], &two[1..]].concat();
    assert_eq!(shares_of(&two), [Some(50), Some(50)]);
    let other = self::route("z", "cart.default.svc.cluster.local", "tcp: [{route: [{destination: {host: c}}]}]");
    assert_eq!(shares_of(&[&two[..], &[other]].concat()), [None; 3]);
    let part = "tcp: [{match: [{destinationSubnets: [10.0.0.0/8]}], ";
    assert_eq!(shares_of(&with("tcp: [{", part)), [None; 3]);
    let rest = with("tcp: [{", &format!("{part}route: [{{destination: {{host: c}}}}]}}, {{"));
    assert_eq!(shares_of(&rest), [None; 3]);
    let halves =
        "gateways: [door], http: [{route: [{destination: {host: a}, weight: 1}, {destination: {host: b}, weight: 1}]}]";
    let merged = [
        self::route("more", "door.example.com", halves),
        alias("a", "web", 8000, 8000, "http"),
        alias("b", "web", 8000, 8000, "http"),
    ];
    assert_eq!(shares_at("web", &merged), [None; 3]);
    // One object is one, whichever of its hosts is asked for.
    assert_eq!(shares_of(&with("hosts: [", "hosts: ['*.default.svc.cluster.local', ")), [Some(50), Some(50)]);
}

/// The first of two that a caller's namespace is told of; where no file says which that is, both.
#[test]
fn a_second_route_counts_for_whom_it_is_told() {
    let host = "shop.default.svc.cluster.local";
    let own = |namespace: &str, name: &str, to: &str, export: &str| {
        let spec = format!("{export}http: [{{route: [{{destination: {{host: {to}.default.svc.cluster.local}}}}]}}]");
        route(name, host, &spec).replace("namespace: default", &format!("namespace: {namespace}"))
    };
    let seen = |more: &[String]| {
        // Without Sidecars of its own.
        let topology = MESH.replace("version: 1\n", "version: 1\nmesh: {scope: mesh}\n");
        let mesh = support::compile(&topology);
        let world = super::world(&mesh, &tree(&topology, more));
        let proof = world.prove();
        let odd = proof.odd.iter().filter(|it| !it.1.is_empty()).count();
        let broken = proof.broken.iter().find(|it| it.0.callee == "shop");
        (broken.map_or("proved", |it| if it.1.broken.why.contains("nobody") { "nobody" } else { "else" }), odd)
    };
    // Both are for all: nobody knows which is older.
    assert_eq!(seen(&[own("default", "a", "shop", ""), own("default", "b", "nobody", "")]), ("nobody", 1));
    assert_eq!(seen(&[own("default", "a", "nobody", ""), own("default", "b", "shop", "")]), ("nobody", 1));
    // One that is for others is none.
    let other = "exportTo: [other], ";
    assert_eq!(seen(&[own("default", "a", "nobody", other), own("default", "b", "shop", "")]), ("proved", 0));
    assert_eq!(seen(&[own("default", "a", "nobody", ""), own("default", "b", "shop", other)]), ("nobody", 0));
    // One of its own for itself comes before one for some, and that before one for all.
    let itself = "exportTo: [.], ";
    assert_eq!(seen(&[own("default", "a", "nobody", ""), own("default", "b", "shop", itself)]), ("proved", 0));
    let some = "exportTo: [default], ";
    assert_eq!(seen(&[own("default", "a", "nobody", ""), own("z", "b", "shop", some)]), ("proved", 0));
    assert_eq!(seen(&[own("default", "a", "shop", itself), own("z", "b", "nobody", some)]), ("proved", 0));
    // One of a precise name comes before one of a wide name.
    let wide = route("a", "'*.default.svc.cluster.local'", "http: [{route: [{destination: {host: nobody}}]}]");
    let precise = own("default", "b", "shop", "");
    assert_eq!(seen(&[wide.clone(), precise.clone()]), ("proved", 0));
    assert_eq!(seen(std::slice::from_ref(&wide)), ("nobody", 0));
    // Not before 1.9, nor for TCP.
    assert!(end(&of_release("1.7.8"), &[wide.clone(), precise], "shop").contains("nobody"));
    let of_tcp = [wide.replace("http:", "tcp:"), cart("tcp: [{route: [{destination: {host: cart}}]}]")];
    assert!(end(MESH, &of_tcp, "cart").contains("nobody"));
    // One that a Sidecar does not let in is none.
    let sidecar = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: own, namespace: default}\n\
                   spec: {egress: [{hosts: ['./*', 'istio-system/*']}]}\n"
        .to_owned();
    assert_eq!(seen(&[own("z", "a", "nobody", ""), sidecar]), ("proved", 0));
    assert_eq!(seen(&[own("z", "a", "nobody", "")]), ("nobody", 0));
}

/// The Sidecar of the caller's pods, of its namespace, or of the root restricts it, in that order; a gateway none.
#[test]
fn a_sidecar_lets_in_what_it_lists() {
    let all = MESH.replace("version: 1\n", "version: 1\nmesh: {scope: mesh}\n");
    let sidecar = |name: &str, namespace: &str, selector: &str, egress: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             spec: {{{selector}{egress}}}\n"
        )
    };
    let sees = |more: &[String]| end(&all, more, "shop") == "proved";
    for (hosts, is_seen) in [
        ("./*", true),
        ("~/*", false),
        ("'*/*'", true),
        ("default/*", true),
        ("other/*", false),
        ("default/shop.default.svc.cluster.local", true),
        ("default/cart.default.svc.cluster.local", false),
    ] {
        assert_eq!(
            sees(&[sidecar("a", "default", "", &format!("egress: [{{hosts: [{hosts}]}}]"))]),
            is_seen,
            "{hosts}"
        );
    }
    assert!(sees(&[sidecar("a", "default", "", "")]));
    let none = "egress: [{hosts: ['~/*']}]";
    let of = |app: &str| format!("workloadSelector: {{labels: {{app: {app}}}}}, ");
    assert!(!sees(&[sidecar("a", "default", &of("web"), none)]));
    assert!(sees(&[sidecar("a", "default", &of("other"), none)]));
    assert!(sees(&[sidecar("a", "default", "", none), sidecar("b", "default", &of("web"), "")]));
    let root = sidecar("a", "istio-system", "", none);
    assert!(!sees(std::slice::from_ref(&root)) && sees(&[root.clone(), sidecar("a", "default", "", "")]));
    assert!(sees(&[sidecar("a", "istio-system", &of("web"), none)]));
    assert_eq!(end(&all, &[root], "web"), "proved");
    // Routes of a wide name are seen by who sees one that it covers.
    let wide = route("a", "'*.default.svc.cluster.local'", "http: [{route: [{destination: {host: nobody}}]}]");
    let one = sidecar("a", "default", "", "egress: [{hosts: [default/shop.default.svc.cluster.local]}]");
    assert!(end(&all, &[wide, one], "shop").contains("nobody"));
}

#[test]
fn a_route_of_tcp_that_is_for_others_leaves_the_call_to_the_next() {
    let of = |name: &str, matched: &str, to: &str| {
        let spec = format!("tcp: [{{{matched}route: [{{destination: {{host: {to}}}}}]}}]");
        route(name, "cart.default.svc.cluster.local", &spec)
    };
    let for_others = of("a", "match: [{sourceLabels: {app: other}}], ", "cart");
    assert!(end(MESH, &[for_others, of("b", "", "nobody")], "cart").contains("nobody"));
    // What fits no match goes on to one that is asked later, which is not so of HTTP.
    let first = |it: &str| it.replace("spec: {", "spec: {exportTo: [.], ");
    let part = first(&of("a", "match: [{destinationSubnets: [10.0.0.0/8]}], ", "cart"));
    assert!(end(MESH, &[part.clone(), of("b", "", "nobody")], "cart").contains("nobody"));
    assert_eq!(end(MESH, &[part.replace("10.0.0.0/8", ""), of("b", "", "nobody")], "cart"), "proved");
    let part = first(&shop("http: [{match: [{uri: {prefix: /a}}], route: [{destination: {host: shop}}]}]"));
    let rest = route("z", "shop.default.svc.cluster.local", "http: [{route: [{destination: {host: nobody}}]}]");
    assert_eq!(end(MESH, &[part, rest], "shop"), "proved");
}

/// Routes of TLS are asked for the name that is called.
#[test]
fn a_route_of_tls_is_for_its_server_names() {
    let topology =
        MESH.replace("  cart: {clusters: one, ports: {tcp: 7070}", "  cart: {clusters: one, ports: {tls: 7070}");
    let ends = |name: &str, to: &str| {
        let spec =
            format!("tls: [{{match: [{{port: 7070, sniHosts: [{name}]}}], route: [{{destination: {{host: {to}}}}}]}}]");
        followed(&topology, &tree(&topology, &[cart(&spec)]), "cart")
            .map_or_else(|it| it.broken.why, |it| it.trusts.concat())
    };
    for own in ["cart.default.svc.cluster.local", "'*.default.svc.cluster.local'"] {
        assert_eq!(ends(own, "cart"), "");
        assert!(ends(own, "nobody").contains("nobody"));
    }
    assert_eq!(ends("other.default.svc.cluster.local", "nobody"), "");
}

/// Of several rules those of the most precise host, in the nearest namespace, that are told to the caller.
#[test]
fn a_rule_counts_for_whom_it_is_told() {
    let rule = |name: &str, host: &str, spec: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}, namespace: default}}\n\
             spec: {{host: {host}, {spec}}}\n"
        )
    };
    let simple = "trafficPolicy: {tls: {mode: SIMPLE}}";
    let wide = |more: &str| rule("wide", "'*.default.svc.cluster.local'", &format!("{more}{simple}"));
    assert!(end(MESH, &[wide("")], "shop").starts_with("tls: "));
    assert_eq!(end(MESH, &[wide("exportTo: [other], ")], "shop"), "proved");
    let precise = rule("shop", "shop.default.svc.cluster.local", "trafficPolicy: {}");
    assert_eq!(end(MESH, &[wide(""), precise], "shop"), "proved");
}

/// Names without dots are those of the own namespace, in rules as in routes.
#[test]
fn a_short_name_is_one_of_the_own_namespace() {
    let routed = route("shop", "shop", "http: [{route: [{destination: {host: nobody}}]}]");
    assert!(end(MESH, &[routed], "shop").contains("nobody"));
    let rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: shop, namespace: default}\n\
                spec: {host: shop, trafficPolicy: {tls: {mode: SIMPLE}}}\n";
    assert!(end(MESH, &[rule.to_owned()], "shop").starts_with("tls: "));
    let mesh = support::compile(MESH);
    let led = route("shop", "shop", "http: [{route: [{destination: {host: till}}]}]");
    let more = [
        led,
        alias("till", "shop", 8080, 8080, "http"),
        rule.replace("tls: {mode: SIMPLE}", "tls: {mode: ISTIO_MUTUAL}"),
    ];
    let world = super::world(&mesh, &tree(MESH, &more));
    let proof = world.prove();
    let dead: Vec<_> = proof.unasked.iter().filter(|it| it.kind == UnaskedKind::Dead).map(|it| &it.what).collect();
    assert!(dead.is_empty(), "{dead:?}");
}

#[test]
fn an_ingress_whose_gateway_may_be_left_out_is_told() {
    let other = |server: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: a-other, namespace: default}}\n\
             spec: {{selector: {{istio: ingressgateway}}, servers: [{{{server}}}]}}\n"
        )
    };
    let ends = |server: &str| end(MESH, &[other(server)], "web");
    let changed = |from: &str, to: &str, server: &str| with_door(MESH, &[(from, to)], &[other(server)]);
    for hosts in ["'*'", "x.example.com"] {
        let tcp = ends(&format!("port: {{number: 80, name: x, protocol: TCP}}, hosts: [{hosts}]"));
        assert!(tcp.contains("and only the older is taken"), "{tcp}");
    }
    let tcp = other("port: {number: 80, name: x, protocol: TCP}, hosts: ['*']");
    assert_eq!(end(MESH, &[tcp.replace("istio: ingress", "istio: other-")], "web"), "proved");
    // One that redirects whoever speaks no TLS is of HTTP all the same, and does so for both.
    let http = "port: {number: 80, name: x, protocol: HTTP}, hosts: [door.example.com]";
    let redirects = "    tls: {httpsRedirect: true}\n    hosts:\n";
    let redirected = |name: &str| format!("route: Gateway default/{name} redirects to HTTPS, with 301");
    assert_eq!(ends(&format!("tls: {{httpsRedirect: true}}, {http}")), redirected("a-other"));
    assert_eq!(ends(&format!("tls: {{httpsRedirect: true}}, {}", http.replace("door.", "x."))), "proved");
    assert_eq!(ends(&format!("tls: {{httpsRedirect: true}}, {}", http.replace("door.example.com", "'*'"))), "proved");
    assert!(changed("    hosts:\n", redirects, http).starts_with(&redirected("door")));
    let of_tcp = changed("protocol: HTTP", "protocol: TCP", &http.replace("door.", "x."));
    assert!(of_tcp.contains("and only the older is taken"), "{of_tcp}");
    // Servers of HTTP are merged; of several that take a host, one has the routes.
    assert_eq!(ends("port: {number: 80, name: x, protocol: HTTP}, hosts: [door.example.com]"), "proved");
    assert_eq!(ends("port: {number: 443, name: x, protocol: TCP}, hosts: ['*']"), "proved");
}

/// What becomes of the call of an ingress with one text of its file replaced, and where that stands.
fn with_door(topology: &str, changes: &[(&str, &str)], more: &[String]) -> String {
    let mut tree = tree(topology, more);
    let door = tree.get_mut("one/50-ingress/door.yaml").expect("it is written");
    for (from, to) in changes {
        assert!(door.contains(from), "{door}");
        *door = door.replacen(from, to, 1);
    }
    match followed(topology, &tree, "web") {
        Ok(_) => "proved".to_owned(),
        Err(it) => {
            let field = it.broken.place.as_ref().map(meshlatch::prove::Place::field).unwrap_or_default();
            format!("{}: {} at {field}", it.broken.kind, it.broken.why)
        }
    }
}

#[test]
fn what_an_ingress_lacks_is_told_where_it_stands() {
    let ends = |from: &str, to: &str| with_door(MESH, &[(from, to)], &[]);
    let gateway = "gateway: no Gateway takes calls of `door.example.com` at port 80 of istio-ingressgateway";
    assert_eq!(ends("istio: ingress", "istio: other-"), format!("{gateway} at spec.selector"));
    assert_eq!(ends("number: 80", "number: 81"), format!("{gateway} at spec.servers.0.port"));
    assert_eq!(ends("    - door.", "    - window."), format!("{gateway} at spec.servers.0.hosts"));
    let routes = "route: no VirtualService leads calls of `door.example.com` on from Gateway default/door";
    for (from, to, field) in [
        ("  gateways:\n  - door\n", "  gateways: [other/door]\n", "metadata.name"),
        ("  gateways:\n  - door\n", "  gateways: [default/other]\n", "metadata.name"),
        ("  hosts:\n  - door.", "  hosts:\n  - window.", "spec.hosts"),
        ("  hosts:\n  - door.", "  exportTo: [other]\n  hosts:\n  - door.", "spec.exportTo"),
        ("  - route:", "  - match: [{gateways: [other]}]\n    route:", "spec"),
    ] {
        assert_eq!(ends(from, to), format!("{routes} at {field}"), "{to}");
    }
    // Of another protocol there are no paths.
    let paths = MESH.replace("hosts: door.example.com,", "hosts: door.example.com, paths: [/web],");
    for change in [("protocol: HTTP", "protocol: TCP"), ("  http:\n", "  tcp: []\n  tls:\n")] {
        assert_eq!(with_door(&paths, &[change], &[]), format!("{routes} at spec"));
    }
}

/// The routes that a server of a Gateway serves are those of its protocol.
#[test]
fn a_gateway_serves_the_routes_of_its_protocol() {
    let serves = |server: &str, kind: &str| {
        let routes = format!("  {kind}:\n");
        with_door(MESH, &[("      protocol: HTTP\n", server), ("  http:\n", &routes)], &[]) == "proved"
    };
    let with = |protocol: &str, mode: &str| format!("      protocol: {protocol}\n    tls: {{mode: {mode}}}\n");
    for (server, kind) in [
        ("      protocol: HTTP\n".to_owned(), "http"),
        ("      protocol: TCP\n".to_owned(), "tcp"),
        (with("HTTPS", "SIMPLE"), "http"),
        (with("HTTPS", "PASSTHROUGH"), "tls"),
        (with("TLS", "SIMPLE"), "tcp"),
        (with("TLS", "PASSTHROUGH"), "tls"),
    ] {
        let kinds: Vec<_> = ["http", "tls", "tcp"].into_iter().filter(|it| serves(&server, it)).collect();
        assert_eq!(kinds, [kind], "{server}");
    }
}

/// Of routes behind Gateways those count that are for the most precise host, be it that of the server.
#[test]
fn routes_behind_a_gateway_are_those_of_the_most_precise_host() {
    let nobody = "http: [{route: [{destination: {host: nobody}}]}]";
    let ends = |host: &str, gateway: &str, namespace: &str| {
        let more = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: wide, namespace: default}\n\
                    spec: {selector: {istio: ingressgateway}, servers: [{hosts: ['*'], \
                    port: {number: 80, name: x, protocol: HTTP}}]}\n";
        let routes = route("more", host, &format!("gateways: [{gateway}], {nobody}"));
        let routes = routes.replace("namespace: default", &format!("namespace: {namespace}"));
        with_door(MESH, &[], &[more.to_owned(), routes]).contains("nobody")
    };
    assert!(ends("'*'", "door", "default") && ends("door.example.com", "wide", "default"));
    assert!(!ends("'*.example.com'", "wide", "default"));
    assert!(ends("door.example.com", "default/door", "other") && !ends("door.example.com", "door", "other"));
    // One of the hosts of a wide one is not all of them.
    let wide = MESH.replace("hosts: door.example.com,", "hosts: '*.example.com',");
    let said = with_door(&wide, &[("  hosts:\n  - \"*.", "  hosts:\n  - \"a.")], &[]);
    assert!(said.starts_with("route: no VirtualService leads calls of `*.example.com` on"), "{said}");
}

/// Gateways of HTTP are merged: a path may be led on behind either.
#[test]
fn paths_behind_several_gateways_of_a_host_are_followed() {
    let topology = MESH.replace("hosts: door.example.com,", "hosts: door.example.com, paths: [/shop, /web],");
    let ends = |own: &str, other: &str, server: &str, to: &str| {
        let leads = |path: &str, to: &str| {
            let to = format!("route: [{{destination: {{host: {to}, port: {{number: 8000}}}}}}]");
            format!("http: [{{match: [{{uri: {{prefix: {path}}}}}], {to}}}]")
        };
        let gateway = format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: other, namespace: default}}\n\
             spec: {{selector: {{istio: ingressgateway}}, servers: [{{{server}, hosts: [door.example.com]}}]}}\n"
        );
        let routes = route("other", "door.example.com", &format!("gateways: [other], {}", leads(other, to)));
        let mut tree = tree(&topology, &[gateway, routes]);
        let install = tree.get_mut("one/10-istio/istio-operator.yaml").expect("it is written");
        *install += "      k8s: {service: {ports: [{name: http2, port: 80, targetPort: 8080}]}}\n";
        let text = tree.get_mut("one/50-ingress/door.yaml").expect("it is written");
        let start = text.find("  http:\n").expect("it has routes");
        *text = format!("{}  {}\n", &text[..start], leads(own, "web"));
        followed(&topology, &tree, "web").map_or_else(|it| it.broken.why, |_| "proved".to_owned())
    };
    let http = "port: {number: 80, name: x, protocol: HTTP}";
    assert_eq!(ends("/shop", "/web", http, "web"), "proved");
    assert!(ends("/shop", "/web", http, "nobody").contains("nobody"));
    assert!(ends("/shop", "/other", http, "web").contains("takes the path `/web`"));
    assert_eq!(ends("/shop", "/web", &format!("{http}, tls: null"), "web"), "proved");
    let elsewhere = http.replace("80", "8080");
    let redirected = ends("/shop", "/web", &format!("{http}, tls: {{httpsRedirect: true}}"), "web");
    assert_eq!(redirected, "Gateway default/other redirects to HTTPS, with 301");
    for others in [elsewhere, http.replace("HTTP", "TCP")] {
        assert!(ends("/shop", "/web", &others, "web").contains("takes the path `/web`"), "{others}");
    }
}

/// What a proxy answers itself reaches nobody; what it does so for a part of the requests is told.
#[test]
fn a_route_that_answers_itself_leads_nowhere() {
    let own = "route: [{destination: {host: shop, port: {number: 8080}}}]";
    let part = "match: [{uri: {prefix: /old}}]";
    for (answer, said) in [
        ("redirect: {uri: /new}", "redirects, with 301"),
        ("redirect: {uri: /new, redirectCode: 308}", "redirects, with 308"),
        ("directResponse: {status: 503}", "answers itself, with 503"),
    ] {
        let wrong = format!("route: VirtualService default/shop {said}");
        assert_eq!(end(MESH, &[shop(&format!("http: [{{{answer}}}, {{{own}}}]"))], "shop"), wrong);
        let trust = format!("that the request is none of those that VirtualService default/shop {said}");
        for rest in ["", "match: [{uri: {prefix: /}}], "] {
            let spec = format!("http: [{{{part}, {answer}}}, {{{rest}{own}}}]");
            assert_eq!(trusts(MESH, &[shop(&spec)], "shop"), trust, "{rest}");
        }
        // The rest of the requests is for nobody else.
        let spec = format!("http: [{{{part}, {own}}}, {{{answer}}}]");
        assert_eq!(trusts(MESH, &[shop(&spec)], "shop"), trust);
        let nowhere = "route: the route of VirtualService default/shop leads nowhere";
        assert_eq!(end(MESH, &[shop(&format!("http: [{{{part}, {answer}}}]"))], "shop"), nowhere);
        // It is for others.
        let spec = format!("http: [{{match: [{{sourceLabels: {{app: other}}}}], {answer}}}, {{{own}}}]");
        assert_eq!(trusts(MESH, &[shop(&spec)], "shop"), "");
    }
    let spec = format!("http: [{{match: [{{sourceLabels: {{app: web}}}}], redirect: {{uri: /}}}}, {{{own}}}]");
    assert_eq!(end(MESH, &[shop(&spec)], "shop"), "route: VirtualService default/shop redirects, with 301");
    assert_eq!(
        end(MESH, &[shop("http: [{}]")], "shop"),
        "route: the route of VirtualService default/shop leads nowhere"
    );
}

#[test]
fn a_redirect_of_an_ingress_for_a_part_of_the_requests_is_told() {
    let mut tree = tree(MESH, &[]);
    let routes = tree.get_mut("one/50-ingress/door.yaml").expect("it is written");
    let all = "  http:\n";
    assert!(routes.contains(all), "{routes}");
    *routes = routes.replace(all, "  http:\n  - {match: [{uri: {exact: /old}}], redirect: {uri: /new}}\n");
    let path = followed(MESH, &tree, "web").unwrap_or_else(|it| panic!("{:?}", it.broken));
    let expected = ["that the request is none of those that VirtualService default/door redirects, with 301"];
    assert_eq!(path.trusts, expected);
}

/// Routes of a delegate stand in the place of the route that names it, with both matches, from 1.8 on.
#[test]
fn the_routes_of_a_delegate_are_followed() {
    let own = "route: [{destination: {host: shop.default.svc.cluster.local, port: {number: 8080}}}]";
    let delegate = |namespace: &str, spec: &str| {
        route("part", "x", spec)
            .replace("hosts: [x], ", "")
            .replace("namespace: default", &format!("namespace: {namespace}"))
    };
    let root = |more: &str| shop(&format!("http: [{{{more}delegate: {{name: part, namespace: other}}}}]"));
    let good = format!("http: [{{{own}}}]");
    let bad = "http: [{route: [{destination: {host: nobody}}]}]";
    assert_eq!(end(MESH, &[root(""), delegate("other", &good)], "shop"), "proved");
    // Names without dots are those of the delegate's namespace.
    let wrong = "route: a route leads to `nobody.other.svc.cluster.local`, which nothing in `one` knows";
    assert_eq!(end(MESH, &[root(""), delegate("other", bad)], "shop"), wrong);
    let near = shop("http: [{delegate: {name: part}}]");
    assert_eq!(end(MESH, &[near, delegate("default", bad)], "shop"), wrong.replace("other", "default"));
    // Nobody is there, or is told: the route is none.
    assert_eq!(end(MESH, &[root("")], "shop"), "proved");
    let hidden = delegate("other", &format!("exportTo: [.], {bad}"));
    assert_eq!(end(MESH, &[root(""), hidden.clone()], "shop"), "proved");
    let there = root("").replace("namespace: default", "namespace: other");
    let all = MESH.replace("version: 1\n", "version: 1\nmesh: {scope: mesh}\n");
    assert_eq!(end(&all, &[there, hidden], "shop"), wrong, "it is told to the object that names it");
    let unweighed = "http: [{route: [{destination: {host: a}}, {destination: {host: b}}]}]";
    let wrong = "route: the weights of a route of VirtualService other/part are 0 in all";
    assert_eq!(end(MESH, &[root(""), delegate("other", unweighed)], "shop"), wrong);
    // Both matches have to fit.
    let trust =
        "that a match of VirtualService default/shop fits, for what fits none is answered with 404 NR: no route";
    let part = "match: [{uri: {prefix: /a}}], ";
    assert_eq!(trusts(MESH, &[root(part), delegate("other", &good)], "shop"), trust);
    assert_eq!(trusts(MESH, &[root(""), delegate("other", &format!("http: [{{{part}{own}}}]"))], "shop"), trust);
    let others = "match: [{sourceLabels: {app: other}}], ";
    assert_eq!(end(MESH, &[root(others), delegate("other", bad)], "shop"), "proved");
    let spec = bad.replace("[{route", &format!("[{{{others}route"));
    assert_eq!(end(MESH, &[root(""), delegate("other", &spec)], "shop"), "proved");
    // Before, an object with a delegate is none.
    let old = of_release("1.7.8");
    assert_eq!(end(&old, &[root(""), delegate("other", bad)], "shop"), "proved");
    let more = "{match: [{uri: {prefix: /a}}], route: [{destination: {host: nobody}}]}, {delegate: {name: part}}";
    assert_eq!(end(&old, &[shop(&format!("http: [{more}]"))], "shop"), "proved");
}

/// Gateways without a namespace, in a match of a delegate, are those of its own.
#[test]
fn a_delegate_of_an_ingress_is_followed() {
    let ends = |namespace: &str, gateway: &str| {
        let to = "route: [{destination: {host: web.default.svc.cluster.local, port: {number: 8000}}}]";
        let part = route("part", "x", &format!("http: [{{match: [{{gateways: [{gateway}]}}], {to}}}]"))
            .replace("hosts: [x], ", "")
            .replace("namespace: default", &format!("namespace: {namespace}"));
        let mut tree = tree(MESH, &[part]);
        let text = tree.get_mut("one/50-ingress/door.yaml").expect("it is written");
        let start = text.find("  http:\n").expect("it has routes");
        *text = format!("{}  http: [{{delegate: {{name: part, namespace: {namespace}}}}}]\n", &text[..start]);
        followed(MESH, &tree, "web").is_ok()
    };
    assert!(ends("default", "door") && ends("other", "default/door"));
    assert!(!ends("other", "door"));
}

/// The call of the ingress, with its file changed, and with further objects.
fn by_door(topology: &str, more: &[String], change: impl Fn(&str) -> String) -> Result<Path, Box<Stopped>> {
    let mut tree = tree(topology, more);
    let text = tree.get_mut("one/50-ingress/door.yaml").expect("it is written");
    let changed = change(text);
    assert!(!more.is_empty() || changed != *text, "{text}");
    *text = changed;
    followed(topology, &tree, "web")
}

/// `proved`, with what is taken on trust, or the hop at which it breaks, and why.
fn told(path: Result<Path, Box<Stopped>>) -> String {
    match path {
        Ok(it) if it.trusts.is_empty() => "proved".to_owned(),
        Ok(it) => it.trusts.join(", "),
        Err(it) => format!("{}: {}", it.broken.kind, it.broken.why),
    }
}

fn at_door(name: &str, host: &str, to: &str) -> String {
    let to = format!("http: [{{route: [{{destination: {{host: {to}, port: {{number: 8000}}}}}}]}}]");
    route(name, host, &format!("gateways: [door], {to}"))
}

#[test]
fn an_ingress_is_followed_by_the_routes_of_its_own_host() {
    let every = MESH.replace("hosts: door.example.com, ", "");
    let nobody = |text: &str| text.replace("host: web.default.svc.cluster.local", "host: nobody");
    let good = at_door("admin", "admin.example.com", "web");
    assert!(told(by_door(&every, &[good], nobody)).starts_with("route: a route leads to `nobody.default"));
    let bad = at_door("admin", "admin.example.com", "nobody");
    assert_eq!(told(by_door(&every, &[bad], str::to_owned)), "proved");
    // Routes of the name itself come before those of a wider one, if the Gateway does not narrow both down to it.
    let wide = at_door("wide", "'*.example.com'", "nobody");
    assert!(told(by_door(MESH, std::slice::from_ref(&wide), str::to_owned)).contains("nobody"));
    let open = |it: &str| it.replacen("- door.example.com", "- '*'", 1);
    assert_eq!(told(by_door(MESH, &[wide], open)), "proved");
}

#[test]
fn hosts_of_a_gateway_may_be_bound_to_a_namespace() {
    let bound = |to: &str| {
        told(by_door(MESH, &[], |it| it.replacen("- door.example.com", &format!("- '{to}/door.example.com'"), 1)))
    };
    for (to, is_proved) in [("default", true), (".", true), ("*", true), ("infra", false)] {
        assert_eq!(bound(to) == "proved", is_proved, "{to}: {}", bound(to));
    }
    assert!(bound("infra").starts_with("route: no VirtualService leads calls of `door.example.com` on"));
}

#[test]
fn a_gateway_that_redirects_to_https_leads_nobody_on() {
    let with = |tls: &str| {
        told(by_door(MESH, &[], |it| {
            it.replacen("      protocol: HTTP\n", &format!("      protocol: HTTP\n    tls: {tls}\n"), 1)
        }))
    };
    assert_eq!(with("{httpsRedirect: true}"), "route: Gateway default/door redirects to HTTPS, with 301");
    assert_eq!(with("{httpsRedirect: false}"), "proved");
}

#[test]
fn a_gateway_of_https_needs_its_certificate() {
    let with = |tls: &str, more: &[String]| {
        told(by_door(MESH, more, |it| {
            it.replacen("      protocol: HTTP\n", &format!("      protocol: HTTPS\n{tls}"), 1)
        }))
    };
    let tls = "    tls: {mode: SIMPLE, credentialName: door}\n";
    assert_eq!(with(tls, &[]), "the Secret istio-system/door in `one`, which no file brings");
    let secret = |kind: &str, name: &str, spec: &str| {
        format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: istio-system}}\n{spec}\n")
    };
    assert_eq!(with(tls, &[secret("Secret", "door", "type: kubernetes.io/tls")]), "proved");
    let made = secret("Certificate", "any", "spec: {secretName: door}").replace("v1\n", "cert-manager.io/v1\n");
    assert_eq!(with(tls, &[made]), "proved");
    assert_ne!(with(tls, &[secret("Secret", "other", "type: kubernetes.io/tls")]), "proved");
    assert_eq!(with("", &[]), "gateway: Gateway default/door takes TLS, and does not say how");
}

#[test]
fn a_gateway_may_be_named_in_each_way_that_istio_reads() {
    for (name, is_proved) in [
        ("door", true),
        ("./door", true),
        ("default/door", true),
        ("door.default", true),
        ("door.default.svc.cluster.local", true),
        ("other/door", false),
        ("door.other", false),
    ] {
        let said = told(by_door(MESH, &[], |it| {
            let changed = it.replacen("  gateways:\n  - door\n", &format!("  gateways:\n  - \"{name}\"\n"), 1);
            assert_ne!(changed, it);
            changed
        }));
        assert_eq!(said == "proved", is_proved, "{name}: {said}");
    }
}

/// Nothing says which paths an ingress means; of those that lead to others it is told.
#[test]
fn paths_of_an_ingress_that_lead_to_others_are_told() {
    let part = |to: &str, rest: &str| {
        told(by_door(MESH, &[], |it| {
            let start = it.find("  http:\n").expect("it has routes");
            let port = if to == "shop" { 8080 } else { 8000 };
            let route = format!("route: [{{destination: {{host: {to}, port: {{number: {port}}}}}}}]");
            let parts = format!("{{match: [{{uri: {{prefix: /api}}}}], {route}}}");
            format!("{}  http: [{parts}{rest}]\n", &it[..start])
        }))
    };
    let web = ", {route: [{destination: {host: web, port: {number: 8000}}}]}";
    let told =
        "that the request is none of those that VirtualService default/door leads to `shop.default.svc.cluster.local`";
    assert_eq!(part("shop", web), told);
    assert_eq!(part("web", web), "proved");
    assert!(part("shop", "").starts_with("owner: "), "{}", part("shop", ""));
    assert!(part("nobody", web).contains("nobody"));
}

#[test]
fn a_weight_is_a_number_of_the_api() {
    let with = |weight: &str| {
        let to = format!("{{destination: {{host: shop, port: {{number: 8080}}}}, weight: {weight}}}");
        end(MESH, &[shop(&format!("http: [{{route: [{to}, {to}]}}]"))], "shop")
    };
    for bad in ["-100", "9223372036854775807", "922337203685477580", "2147483648", "half", "0.5"] {
        let wrong = "route: a weight of VirtualService default/shop is no whole number from 0 on";
        assert_eq!(with(bad), wrong, "{bad}");
    }
    assert_eq!(with("2147483647"), "proved");
    assert_eq!(with("null"), "route: the weights of a route of VirtualService default/shop are 0 in all");
}

/// A route of a delegate that asks for what the route that names it does not take is none.
#[test]
fn a_route_of_a_delegate_that_conflicts_is_left_out() {
    let own = "route: [{destination: {host: shop, port: {number: 8080}}}]";
    let root = |matched: &str| shop(&format!("http: [{{match: [{matched}], delegate: {{name: part}}}}, {{{own}}}]"));
    let part = |matched: &str| {
        let spec = format!("http: [{{match: [{matched}], route: [{{destination: {{host: nobody}}}}]}}]");
        route("part", "x", &spec).replace("hosts: [x], ", "")
    };
    for (of_root, of_part, is_taken) in [
        ("{uri: {prefix: /a}}", "{uri: {prefix: /b}}", false),
        ("{uri: {prefix: /a}}", "{uri: {prefix: /a/b}}", true),
        ("{uri: {prefix: /a/b}}", "{uri: {prefix: /a}}", false),
        ("{uri: {prefix: /a}}", "{uri: {exact: /a/b}}", true),
        ("{uri: {exact: /a}}", "{uri: {exact: /a}}", true),
        ("{uri: {exact: /a}}", "{uri: {prefix: /a}}", false),
        ("{uri: {regex: /a}}", "{uri: {prefix: /a}}", false),
        ("{uri: {prefix: /a}}", "{method: {exact: GET}}", true),
        ("{method: {exact: PUT}}", "{method: {exact: GET}}", false),
        ("{headers: {x: {exact: a}}}", "{headers: {x: {exact: b}}}", false),
        ("{headers: {x: {exact: a}}}", "{headers: {y: {exact: b}}}", true),
        ("{uri: {prefix: /a}}, {uri: {prefix: /b}}", "{uri: {prefix: /b}}", true),
        ("{uri: {prefix: /a}}", "{uri: {prefix: /a}}, {uri: {prefix: /b}}", false),
        ("{uri: {prefix: /a}, ignoreUriCase: true}", "{uri: {prefix: /a}}", false),
        ("{sourceNamespace: default}", "{uri: {prefix: /a}}", false),
    ] {
        let ends = end(MESH, &[root(of_root), part(of_part)], "shop");
        assert_eq!(ends != "proved", is_taken, "{of_root} {of_part}: {ends}");
    }
}

/// Where requests are copied to is needed.
#[test]
fn a_mirror_is_not_dead() {
    let topology = MESH.replace(
        "ingress:\n",
        "externals: {stripe: {hosts: api.stripe.com, ports: {https: 443}, callers: [web]}}\ningress:\n",
    );
    let entry = |host: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: copy, namespace: default}}\n\
             spec: {{hosts: [{host}], location: MESH_EXTERNAL, resolution: DNS, \
             ports: [{{number: 80, name: http, protocol: HTTP}}]}}\n"
        )
    };
    let dead = |mirror: &str| {
        let own = "route: [{destination: {host: shop, port: {number: 8080}}}]";
        let more = [shop(&format!("http: [{{{own}, {mirror}}}]")), entry("copy.example.com")];
        let mesh = support::compile(&topology);
        let world = super::world(&mesh, &tree(&topology, &more));
        let proof = world.prove();
        let dead = proof.unasked.iter().filter(|it| it.kind == UnaskedKind::Dead);
        dead.map(|it| it.what.clone()).collect::<Vec<_>>()
    };
    assert_eq!(dead("timeout: 1s"), ["ServiceEntry default/copy"]);
    assert_eq!(dead("mirror: {host: copy.example.com}"), Vec::<String>::new());
    assert_eq!(dead("mirrors: [{destination: {host: copy.example.com}}]"), Vec::<String>::new());
}

/// Whoever is told of routes is told of the hosts to which they lead, from 1.5 on.
#[test]
fn a_sidecar_lets_in_to_where_routes_lead() {
    let topology = MESH
        .replace("cart: {clusters", "cart: {namespace: back, clusters")
        .replace("shop: {clusters", "shop: {namespace: back, clusters")
        .replace("web: {clusters", "web: {namespace: front, clusters");
    let of = |istio: &str| {
        let allowed = "allow: [T0306]\nclusters: {one: {";
        topology.replace("1.31.0", istio).replace("clusters: {one: {", allowed)
    };
    let in_back = |text: String| text.replace("namespace: default", "namespace: back");
    let host = "shop.back.svc.cluster.local";
    let leads = "http: [{route: [{destination: {host: shop-v2.back.svc.cluster.local}}]}]";
    let routes = route("shop", host, leads).replace("namespace: default", "namespace: front");
    let second = in_back(alias("shop-v2", "shop", 8080, 8080, "http"));
    // Of old, the bundles have none of their own.
    let sidecar = format!(
        "apiVersion: networking.istio.io/v1alpha3\nkind: Sidecar\nmetadata: {{name: default, namespace: front}}\n\
         spec: {{egress: [{{hosts: ['front/*', 'istio-system/*', 'back/{host}', 'back/cart.back.svc.cluster.local']}}]}}\n"
    );
    assert_eq!(end(&topology, &[routes.clone(), second.clone()], "shop"), "proved");
    let more = [routes.clone(), second.clone(), sidecar];
    assert_eq!(end(&of("1.5.10"), &more, "shop"), "proved");
    let hides = |ends: &str| ends.contains("does not list `back/shop-v2.back.svc.cluster.local`");
    assert!(hides(&end(&of("1.4.10"), &more, "shop")));
    // To whom it is not exported it is not told all the same.
    let kept = second.replace("namespace: back}", "namespace: back, annotations: {networking.istio.io/exportTo: .}}");
    assert!(end(&topology, &[routes, kept], "shop").contains("is not exported to the namespace `front`"));
}
