//! `meshlatch certs`: what is made, what is refused, and who can read it.

use std::process::Command;
use std::time::{Duration, SystemTime};

use pki_types::pem::PemObject as _;
use pki_types::{CertificateDer, UnixTime};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;

use super::{Folder, Run, TWO};

const DAY: u64 = 24 * 60 * 60;

const FILES: [&str; 4] = ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"];

/// Two clusters of today; `web` in `east` calls `cart` in `west`.
const TODAY: &str = r#"
version: 1
allow: [T0306]
clusters:
  east: {istio: "1.31.0", gateway: 203.0.113.10}
  west: {istio: "1.31.0", gateway: 203.0.113.20}
services:
  cart: {clusters: west, ports: {grpc: 7070}}
  web: {clusters: east, ports: {http: 80}, calls: [cart]}
"#;

fn shell(folder: &Folder, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(folder.0.path());
    command
}

/// Keys in `ca`, without a mistake.
fn made(topology: &str) -> (Folder, Run) {
    let folder = Folder::new(topology);
    let run = folder.run(&["certs", "--to", "ca"]);
    run.says(0, &["warning: these keys are for a trial or a test", "production wants a CA"]);
    (folder, run)
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(|it| it.expect("it is a certificate")).collect()
}

fn parsed<'a>(der: &'a CertificateDer<'_>) -> X509Certificate<'a> {
    X509Certificate::from_der(der).expect("it can be read").1
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970").as_secs()
}

/// The certificate of a workload, as istiod signs it: under the intermediate, by its SPIFFE name.
fn workload(folder: &Folder, intermediate: &str) -> CertificateDer<'static> {
    let key = KeyPair::from_pem(&folder.read(&format!("{intermediate}/ca-key.pem"))).expect("it is a key");
    let issuer = Issuer::from_ca_cert_pem(&folder.read(&format!("{intermediate}/ca-cert.pem")), key);
    let mut params = CertificateParams::default();
    params.subject_alt_names =
        vec![SanType::URI("spiffe://cluster.local/ns/default/sa/web".try_into().expect("it is ASCII"))];
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let own = KeyPair::generate().expect("there is randomness");
    params.signed_by(&own, &issuer.expect("it is a CA")).expect("it can sign").der().clone()
}

/// Whether the root that a sidecar has leads to a workload by the chain that the workload shows.
fn trusts(root: &str, chain: &str, workload: &CertificateDer<'_>, time: u64) -> Result<(), webpki::Error> {
    let roots = certificates(root);
    let anchors = [webpki::anchor_from_trusted_cert(&roots[0]).expect("it can be an anchor")];
    let chain = certificates(chain);
    let usage = KeyUsage::client_auth();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(time));
    let algorithms: &[_] = &[webpki::ring::ECDSA_P256_SHA256, webpki::ring::RSA_PKCS1_2048_8192_SHA256];
    EndEntityCert::try_from(workload)?
        .verify_for_usage(algorithms, &anchors, &chain, time, usage, None, None)
        .map(|_| ())
}

#[test]
fn every_cluster_gets_the_four_files_of_cacerts() {
    let (folder, _) = made(TODAY);
    let found: Vec<_> = folder.snapshot("ca").into_keys().collect();
    let mut expected = vec![".gitignore".to_owned(), "root-cert.pem".to_owned(), "root-key.pem".to_owned()];
    expected.extend(["certs/", "certs/east/", "certs/west/"].map(str::to_owned));
    expected.extend(FILES.iter().flat_map(|it| [format!("certs/east/{it}"), format!("certs/west/{it}")]));
    expected.sort();
    assert_eq!(found, expected, "and no staging is left");
    assert_eq!(folder.read("ca/.gitignore"), "*\n");
    let root = folder.read("ca/root-cert.pem");
    for cluster in ["ca/certs/east", "ca/certs/west"] {
        assert_eq!(folder.read(&format!("{cluster}/root-cert.pem")), root);
        let own = folder.read(&format!("{cluster}/ca-cert.pem"));
        assert_eq!(folder.read(&format!("{cluster}/cert-chain.pem")), own + &root);
    }
}

#[cfg(unix)]
#[test]
fn only_the_user_can_read_keys_and_enter_folders() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new(TODAY);
    // The umask that hides least.
    let script = format!("umask 000; exec {} certs --to new/ca", env!("CARGO_BIN_EXE_meshlatch"));
    Run::of(&mut shell(&folder, &script), b"").says(0, &[]);
    for path in folder.snapshot("new").keys() {
        let mode = folder.path("new").join(path).metadata().expect("it is there").permissions().mode() & 0o777;
        let expected = match path {
            it if it.ends_with('/') => 0o700,
            it if it.ends_with("key.pem") => 0o600,
            _ => 0o644,
        };
        assert_eq!(format!("{mode:o}"), format!("{expected:o}"), "{path}");
    }
    assert_eq!(folder.path("new").metadata().expect("it is there").permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_workload_of_either_cluster_is_trusted_by_the_root() {
    let (folder, _) = made(TODAY);
    let root = folder.read("ca/root-cert.pem");
    let chain = |cluster: &str| folder.read(&format!("ca/certs/{cluster}/cert-chain.pem"));
    for cluster in ["east", "west"] {
        let web = workload(&folder, &format!("ca/certs/{cluster}"));
        assert_eq!(trusts(&root, &chain(cluster), &web, now()), Ok(()));
    }
    // No intermediate stands for another, and no root for another.
    let web = workload(&folder, "ca/certs/east");
    assert!(trusts(&root, &chain("west"), &web, now()).is_err());
    let (other, _) = made(TODAY);
    assert!(trusts(&other.read("ca/root-cert.pem"), &chain("east"), &web, now()).is_err());
    // Clocks that go after are no reason to refuse; a year is the end.
    assert!(parsed(&certificates(&root)[0]).validity().not_before.timestamp() < now().cast_signed() - 30 * 60);
    assert!(trusts(&root, &chain("east"), &web, now() - 30 * 60).is_ok());
    assert!(trusts(&root, &chain("east"), &web, now() - 2 * 60 * 60).is_err());
    assert!(trusts(&root, &chain("east"), &web, now() + 364 * DAY).is_ok());
    assert!(trusts(&root, &chain("east"), &web, now() + 366 * DAY).is_err());
}

/// Istio before 1.22 gives workloads RSA keys, and signs them with no key of another kind.
#[test]
fn an_older_istio_gets_a_key_that_it_can_sign_with() {
    let (folder, _) = made(TWO);
    let root = folder.read("ca/root-cert.pem");
    let chain = folder.read("ca/certs/east/cert-chain.pem");
    assert_eq!(trusts(&root, &chain, &workload(&folder, "ca/certs/east"), now()), Ok(()));
    let mut keys = Vec::new();
    for cluster in ["east", "west"] {
        let own = certificates(&folder.read(&format!("ca/certs/{cluster}/ca-cert.pem")));
        let own = parsed(&own[0]);
        let PublicKey::RSA(key) = own.public_key().parsed().expect("it can be read") else { panic!("no RSA key") };
        assert!(key.key_size() >= 2048);
        keys.push(own.public_key().raw.to_vec());
    }
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn certificates_say_what_they_are_for() {
    let (folder, _) = made(TODAY);
    let root = certificates(&folder.read("ca/root-cert.pem"));
    let root = parsed(&root[0]);
    let mut serials = vec![root.raw_serial().to_vec()];
    let mut keys = vec![root.public_key().raw.to_vec()];
    for (path, below) in [("root-cert.pem", 1), ("certs/east/ca-cert.pem", 0), ("certs/west/ca-cert.pem", 0)] {
        let own = certificates(&folder.read(&format!("ca/{path}")));
        assert_eq!(own.len(), 1);
        let own = parsed(&own[0]);
        let constraints = own.basic_constraints().expect("it can be read").expect("it is there");
        assert!(constraints.critical && constraints.value.ca, "{path}");
        assert_eq!(constraints.value.path_len_constraint, Some(below), "{path}");
        let usage = own.key_usage().expect("it can be read").expect("it is there");
        assert!(usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign(), "{path}");
        // A CA for clients and servers alike: istiod refuses what an extended usage leaves out.
        assert!(own.extended_key_usage().expect("it can be read").is_none(), "{path}");
        assert!(own.raw_serial().len() >= 16, "{path}");
        if below == 0 {
            assert_eq!(own.issuer(), root.subject(), "{path}");
            assert_eq!(identifier(&own, true), identifier(&root, false), "{path}");
            assert!(own.validity().not_after.timestamp() <= root.validity().not_after.timestamp());
            let cluster = path.split('/').nth(1).expect("it has a folder");
            assert_eq!(own.subject().to_string(), format!("O=meshlatch trial, CN=Intermediate CA, L={cluster}"));
            let names = own.subject_alternative_name().expect("it can be read").expect("it is there");
            assert_eq!(format!("{:?}", names.value.general_names), "[DNSName(\"istiod.istio-system.svc\")]");
            serials.push(own.raw_serial().to_vec());
            keys.push(own.public_key().raw.to_vec());
        }
    }
    for all in [&mut serials, &mut keys] {
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 3, "each has its own");
    }
}

/// The identifier of its own key, or of the key that signed it.
fn identifier(certificate: &X509Certificate<'_>, authority: bool) -> Vec<u8> {
    let mut found = certificate.extensions().iter().filter_map(|it| match it.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(it) if authority => it.key_identifier.as_ref().map(|it| it.0.to_vec()),
        ParsedExtension::SubjectKeyIdentifier(it) if !authority => Some(it.0.to_vec()),
        _ => None,
    });
    found.next().expect("it is there")
}

#[test]
fn the_commands_are_those_of_the_bundle_and_find_their_files() {
    let own = format!("{TODAY}mesh: {{trust: {{files: \"./pki/{{cluster}}/istio\"}}}}\n");
    for topology in [TODAY, &own] {
        let folder = Folder::new(topology);
        folder.compile();
        let run = folder.run(&["certs", "--to", "trial ca"]);
        run.says(0, &[]);
        assert!(run.stdout.contains("\ncd 'trial ca'\n"), "{}", run.stdout);
        for cluster in ["east", "west"] {
            let start = format!("kubectl --context {cluster} create secret generic cacerts ");
            let command = |text: &str| {
                let from = text.find(&start).unwrap_or_else(|| panic!("no `{start}` in\n{text}"));
                text[from..].lines().take(6).collect::<Vec<_>>().join("\n")
            };
            let page = folder.read(&format!("out/{cluster}/05-secrets/cacerts.md"));
            assert_eq!(command(&run.stdout), command(&page));
            let files: Vec<_> =
                command(&page).lines().filter_map(|it| Some(it.split_once("--from-file=")?.1.to_owned())).collect();
            assert_eq!(files.len(), 4);
            for file in files {
                let file = file.trim_end_matches([' ', '\\', '|']);
                assert!(folder.exists(&format!("trial ca/{file}")), "{file}");
            }
        }
    }
}

#[test]
fn the_fingerprint_fits_the_topology() {
    let (folder, run) = made(TODAY);
    let line = run.stdout.lines().find_map(|it| it.strip_prefix("#   rootFingerprint: ")).expect("it is printed");
    let own = format!("{TODAY}mesh: {{trust: {{rootFingerprint: {line}}}}}\n");
    folder.write("topology.yaml", &own);
    folder.compile();
    assert!(folder.read("out/east/05-secrets/cacerts.md").contains(line.trim_matches('"')));
    let run = folder.run(&["certs", "--to", "ca"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "it is the root that the topology names");

    // Another root than that, old or new, is refused before anything is made.
    folder.run(&["certs", "--to", "new"]).says(2, &["the topology names a root, and a new one would be another"]);
    assert!(!folder.exists("new"));
    folder.write("topology.yaml", TODAY);
    folder.run(&["certs", "--to", "new", "--cluster", "east"]).says(0, &[]);
    folder.write("topology.yaml", &own);
    let before = folder.snapshot("new");
    let run = folder.run(&["certs", "--to", "new"]);
    run.says(2, &["the topology names another root than new/root-cert.pem", line.trim_matches('"')]);
    assert_eq!(folder.snapshot("new"), before);
}

#[test]
fn a_cluster_that_comes_later_gets_an_intermediate_of_the_same_root() {
    let folder = Folder::new(TODAY);
    folder.run(&["certs", "--to", "ca", "--cluster", "east", "--days", "30"]).says(0, &[]);
    assert!(!folder.exists("ca/certs/west"));
    let before = folder.snapshot("ca");
    let run = folder.run(&["certs", "--to", "ca"]);
    run.says(0, &["for a trial"]);
    assert!(run.stdout.contains("# east: there already, valid until "), "{}", run.stdout);
    assert!(run.stdout.contains("# west: made, valid until "), "{}", run.stdout);
    let after = folder.snapshot("ca");
    for (path, bytes) in &before {
        assert_eq!(after.get(path), Some(bytes), "{path}");
    }
    let root = folder.read("ca/root-cert.pem");
    let west = workload(&folder, "ca/certs/west");
    let chain = folder.read("ca/certs/west/cert-chain.pem");
    assert_eq!(trusts(&root, &chain, &west, now()), Ok(()));
    let end = |path: &str| parsed(&certificates(&folder.read(path))[0]).validity().not_after.timestamp();
    assert_eq!(end("ca/certs/west/ca-cert.pem"), end("ca/root-cert.pem"), "it does not outlive its root");

    let run = folder.run(&["certs", "--to", "ca"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "there is nothing left to make");
    assert_eq!(folder.snapshot("ca"), after);
}

#[test]
fn a_root_of_another_hand_signs_too() {
    let folder = Folder::new(TODAY);
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("there is randomness");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Of another hand");
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let write = |params: &CertificateParams, key: &KeyPair| {
        folder.write("ca/root-cert.pem", &params.self_signed(key).expect("it can sign").pem());
        folder.write("ca/root-key.pem", &key.serialize_pem());
    };
    write(&params, &key);
    folder.run(&["certs", "--to", "ca"]).says(0, &[]);
    assert!(!folder.exists("ca/.gitignore"), "the folder is somebody else's");
    let own = certificates(&folder.read("ca/certs/east/ca-cert.pem"));
    let root = certificates(&folder.read("ca/root-cert.pem"));
    assert_eq!(parsed(&own[0]).verify_signature(Some(parsed(&root[0]).public_key())), Ok(()));

    // Roots that cannot be one; nothing is made of them.
    let before = folder.snapshot("ca");
    let refused = |reason: &str| {
        let text = folder.read("ca/root-cert.pem");
        folder
            .run(&["certs", "--to", "ca", "--cluster", "west"])
            .says(2, &["ca/root-cert.pem cannot be the root of these clusters", reason]);
        assert_eq!(folder.read("ca/root-cert.pem"), text);
        assert_eq!(folder.snapshot("ca").len(), before.len());
    };
    let mut last = params.clone();
    last.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    write(&last, &key);
    refused("it may not sign the certificates of other CAs");
    let mut old = params.clone();
    old.not_after = rcgen::date_time_ymd(2020, 1, 1);
    write(&old, &key);
    refused("it has ended");
    write(&params, &key);
    folder.write("ca/root-key.pem", &KeyPair::generate().expect("there is randomness").serialize_pem());
    refused("the key is that of another certificate");
    folder.write("ca/root-key.pem", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n");
    refused("its key cannot be read");
    // Another root, whole, and the intermediates of the first.
    let other = KeyPair::generate().expect("there is randomness");
    write(&params, &other);
    folder.run(&["certs", "--to", "ca"]).says(2, &["ca/certs/east/ca-cert.pem was not signed by this root"]);
}

#[test]
fn nothing_is_ever_replaced() {
    let (folder, _) = made(TODAY);
    let before = folder.snapshot("ca");
    folder
        .run(&["certs", "--to", "ca", "--cluster", "east"])
        .says(2, &["ca/certs/east/ca-cert.pem exists already", "move ca/certs/east away"]);
    assert_eq!(folder.snapshot("ca"), before);

    std::fs::remove_file(folder.path("ca/certs/west/ca-key.pem")).expect("it is there");
    folder.run(&["certs", "--to", "ca"]).says(2, &["ca/certs/west exists already, without `ca-key.pem`"]);
    std::fs::remove_file(folder.path("ca/root-key.pem")).expect("it is there");
    folder
        .run(&["certs", "--to", "ca"])
        .says(2, &["ca/root-cert.pem is there, and its key is not", "bring ca/root-key.pem back"]);
    folder.write("ca/root-key.pem", "a key");
    std::fs::remove_file(folder.path("ca/root-cert.pem")).expect("it is there");
    folder.run(&["certs", "--to", "ca"]).says(2, &["ca/root-key.pem is there, and its certificate is not"]);
    assert_eq!(folder.read("ca/root-key.pem"), "a key");

    folder.write("mine/notes.txt", "mine\n");
    folder.run(&["certs", "--to", "mine"]).says(2, &["mine holds other files, and no root", "`notes.txt`"]);
    folder.run(&["certs", "--to", "topology.yaml"]).says(2, &["topology.yaml is not a folder"]);
    folder.run(&["certs", "--to", "topology.yaml/ca"]).says(2, &["topology.yaml is not a folder"]);
    folder.run(&["certs", "--to", "-"]).says(2, &["keys are never printed"]);
    assert_eq!(folder.snapshot("mine").len(), 1);
}

#[cfg(unix)]
#[test]
fn no_key_goes_to_the_bundles() {
    let folder = Folder::new(TODAY);
    std::fs::create_dir(folder.path("elsewhere")).expect("a folder can be made");
    std::os::unix::fs::symlink("../out", folder.path("elsewhere/link")).expect("a link can be made");
    let refused = |args: &[&str]| {
        let before = folder.snapshot(".");
        folder.run(&[&["certs", "--to"], args].concat()).says(2, &["no key may go to ", " is for bundles"]);
        assert_eq!(folder.snapshot("."), before, "{args:?}");
    };
    // Before there is a bundle, and after.
    for _ in 0..2 {
        refused(&["out"]);
        refused(&["out/keys"]);
        refused(&["./elsewhere/../out/keys"]);
        refused(&["not-there/../out/keys"]);
        refused(&["keys", "-o", "."]);
        refused(&["bundles/keys", "--output", "bundles"]);
        folder.compile();
    }
    refused(&["elsewhere/link/keys"]);
    refused(&["elsewhere/link/east/keys"]);
    // Bundles that were written elsewhere.
    folder.run(&["compile", "-o", "bundles"]).says(0, &[]);
    refused(&["bundles/keys"]);
    refused(&["bundles/east/keys"]);
    folder.run(&["certs", "--to", "bundles"]).says(2, &["bundles holds other files"]);

    // A link in the folder of keys leads out of it.
    folder.run(&["certs", "--to", "ca", "--cluster", "east"]).says(0, &[]);
    folder.write("topology.yaml", &format!("{TODAY}mesh: {{trust: {{files: \"pki/{{cluster}}\"}}}}\n"));
    std::os::unix::fs::symlink("../out", folder.path("ca/pki")).expect("a link can be made");
    let before = folder.snapshot("out");
    folder.run(&["certs", "--to", "ca"]).says(2, &["the files of `east` do not belong into ca", "ca/pki/east"]);
    assert_eq!(folder.snapshot("out"), before);
}

#[test]
fn every_cluster_has_a_folder_of_its_own_in_that_of_the_keys() {
    let folder = Folder::new(TODAY);
    for (files, words) in [
        ("../{cluster}", "the files of `east` do not belong into ca"),
        ("/{cluster}", "the files of `east` do not belong into ca"),
        (".", "the files of `east` do not belong into ca"),
        ("pki", "`east` and `west` would have their keys in one folder"),
    ] {
        folder.write("topology.yaml", &format!("{TODAY}mesh: {{trust: {{files: \"{files}\"}}}}\n"));
        folder.run(&["certs", "--to", "ca"]).says(2, &[words, "`trust.files`"]);
        assert!(!folder.exists("ca"), "{files}");
    }
    let inside = TODAY.replace("gateway: 203.0.113.20", "gateway: 203.0.113.20, trust: {files: certs/east/west}");
    folder.write("topology.yaml", &inside);
    folder.run(&["certs", "--to", "ca"]).says(2, &["`east` and `west` would have their keys in one folder"]);
}

#[test]
fn a_secret_store_gets_files_and_no_command() {
    let store = TODAY.replace(
        "gateway: 203.0.113.20",
        "gateway: 203.0.113.20, trust: {externalSecret: {store: vault, key: \"mesh/{cluster}\"}}",
    );
    let (folder, run) = made(&store);
    assert!(folder.exists("ca/certs/west/ca-key.pem"));
    assert!(run.stdout.contains("#   from certs/west into the store `vault`, as `mesh/west`\n"), "{}", run.stdout);
    assert!(!run.stdout.contains("--context west"), "{}", run.stdout);
}

#[test]
fn the_layout_of_a_tls_secret() {
    let folder = Folder::new(TODAY);
    let run = folder.run(&["certs", "--to", "ca", "--layout", "tls"]);
    run.says(0, &["where they say `root-cert.pem`, read `ca.crt`"]);
    let files: Vec<_> = folder.snapshot("ca/certs/east").into_keys().collect();
    assert_eq!(files, ["ca.crt", "tls.crt", "tls.key"]);
    assert!(run.stdout.contains(" cacerts -n istio-system --type=kubernetes.io/tls "), "{}", run.stdout);
    assert_eq!(run.stdout.matches("--from-file=certs/east/").count(), 3, "{}", run.stdout);
    // istiod puts the chain together of the two.
    let root = folder.read("ca/certs/east/ca.crt");
    assert_eq!(root, folder.read("ca/root-cert.pem"));
    let key = KeyPair::from_pem(&folder.read("ca/certs/east/tls.key")).expect("it is a key");
    let own = certificates(&folder.read("ca/certs/east/tls.crt"));
    assert_eq!(parsed(&own[0]).public_key().raw, rcgen::PublicKeyData::subject_public_key_info(&key));
    // The other layout of the same cluster is not made beside it.
    folder.run(&["certs", "--to", "ca"]).says(2, &["ca/certs/east exists already, without `ca-cert.pem`"]);

    let old = Folder::new(TWO);
    old.run(&["certs", "--to", "ca", "--layout", "tls"]).says(2, &["Istio 1.5.2 of `east` does not read `tls.crt`"]);
    assert!(!old.exists("ca"));
}

#[test]
fn a_wrong_topology_gets_its_diagnostics_and_no_keys() {
    let folder = Folder::new(&TODAY.replace("clusters: west", "clusters: wset"));
    let run = folder.run(&["certs", "--to", "ca"]);
    run.says(1, &["error[T0201]", "topology.yaml:8:", "`west`"]);
    assert_eq!(run.stdout, "");
    assert!(!folder.exists("ca"));
    folder.write("topology.yaml", TODAY);
    folder.run(&["certs", "--to", "ca", "--cluster", "wset"]).says(2, &["no cluster `wset`", "`west`"]);
    folder.run(&["certs", "no.yaml", "--to", "ca"]).says(2, &["cannot read no.yaml"]);
    folder.run(&["certs"]).says(2, &["--to <DIR>"]);
    folder.run(&["certs", "--to", "ca", "--days", "0"]).says(2, &["1..=3650"]);
    assert!(!folder.exists("ca"));
}

/// A disk that is full while files are staged, as a limit on the size of files.
#[cfg(target_os = "linux")]
#[test]
fn a_write_that_fails_leaves_nothing() {
    let folder = Folder::new(TODAY);
    let full = |folder: &Folder| {
        let script = format!("trap '' XFSZ; ulimit -f 0; exec {} certs --to new/ca", env!("CARGO_BIN_EXE_meshlatch"));
        Run::of(&mut shell(folder, &script), b"")
    };
    let run = full(&folder);
    run.says(2, &["cannot write ", "File too large"]);
    assert_eq!(run.stdout, "");
    assert!(!folder.exists("new"), "not even the folders that the run made");
    folder.run(&["certs", "--to", "new/ca", "--cluster", "east"]).says(0, &[]);
    let before = folder.snapshot("new");
    full(&folder).says(2, &["File too large"]);
    assert_eq!(folder.snapshot("new"), before);
}

/// A file where the folder of one cluster belongs: what was put in place before it is taken back.
#[cfg(unix)]
#[test]
fn a_rename_that_fails_takes_all_others_back() {
    let folder = Folder::new(TODAY);
    folder.run(&["certs", "--to", "ca", "--cluster", "east"]).says(0, &[]);
    folder.write("ca/pki", "mine\n");
    let north = "  north: {istio: \"1.31.0\", gateway: 203.0.113.30}\n  west: {trust: {files: pki/west}, ";
    folder.write("topology.yaml", &TODAY.replace("  west: {", north));
    let before = folder.snapshot("ca");
    let run = folder.run(&["certs", "--to", "ca"]);
    run.says(2, &["cannot write ", "/ca/pki/west: Not a directory", "nothing was changed"]);
    assert_eq!(run.stdout, "");
    assert_eq!(folder.snapshot("ca"), before);
    // It was this one.
    folder.run(&["certs", "--to", "ca", "--cluster", "north"]).says(0, &[]);
    assert!(folder.exists("ca/certs/north/ca-key.pem"));
}

/// A run that is killed before its first rename leaves its staging folder, and after it whole
/// folders only.
#[test]
fn the_run_after_a_killed_one_goes_on() {
    let folder = Folder::new(TODAY);
    folder.write("ca/.meshlatch-staging/root-key.pem", "half a k");
    folder.write("ca/.meshlatch-staging/certs/east/ca-key.pem", "half a k");
    folder.run(&["certs", "--to", "ca"]).says(0, &[]);
    assert!(!folder.exists("ca/.meshlatch-staging"));
    std::fs::rename(folder.path("ca/certs/west"), folder.path("west")).expect("it is there");
    let before = folder.snapshot("ca");
    let run = folder.run(&["certs", "--to", "ca"]);
    run.says(0, &[]);
    assert!(run.stdout.contains("# west: made"), "{}", run.stdout);
    for (path, bytes) in &before {
        assert_eq!(folder.snapshot("ca").get(path), Some(bytes), "{path}");
    }
    assert_ne!(folder.read("ca/certs/west/ca-key.pem"), folder.read("west/ca-key.pem"));
}

#[test]
fn keys_are_never_printed() {
    let (folder, first) = made(TODAY);
    let again = folder.run(&["certs", "--to", "ca"]);
    let refused = folder.run(&["certs", "--to", "ca", "--cluster", "east"]);
    let keys = ["root-key.pem", "certs/east/ca-key.pem", "certs/west/ca-key.pem"];
    let keys: Vec<_> = keys.iter().map(|it| folder.read(&format!("ca/{it}"))).collect();
    folder.write("ca/root-cert.pem", &folder.read("ca/certs/east/ca-cert.pem"));
    let wrong = folder.run(&["certs", "--to", "ca"]);
    wrong.says(2, &["the key is that of another certificate"]);
    for key in &keys {
        let lines: Vec<_> = key.lines().filter(|it| !it.starts_with("-----")).collect();
        assert!(lines.len() > 1);
        for run in [&first, &again, &refused, &wrong] {
            for line in &lines {
                assert!(!run.stdout.contains(line) && !run.stderr.contains(line));
            }
        }
    }
}

#[test]
fn git_does_not_see_the_keys_or_the_user_is_told() {
    let folder = Folder::new(TODAY);
    std::fs::create_dir(folder.path(".git")).expect("a folder can be made");
    let run = folder.run(&["certs", "--to", "ca"]);
    run.says(0, &[]);
    assert!(!run.stderr.contains("git"), "{}", run.stderr);
    folder.write("ca/.gitignore", "*.tmp\n");
    folder.run(&["certs", "--to", "ca"]).says(0, &["warning: git may take the keys along", "ca/.gitignore"]);
    assert_eq!(folder.read("ca/.gitignore"), "*.tmp\n");
}
