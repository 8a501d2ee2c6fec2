//! How long a compile takes, against `cp -r` of its result, in the same run on the same file system; and a proof,
//! against a compile.
//!
//! `cargo bench` prints ratios: 1,000 services over 20 clusters, and ten times that; in memory and
//! on the disk; a first compile with the proof that it makes and without, and one that changes nothing. Then a
//! proof of 5,000 calls over 100 clusters, and of ten times that, with the memory that it takes. Each figure is the
//! median of several runs, which write into folders of their own, after a `sync`, so that nobody pays for
//! what another one left to the disk.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(clippy::disallowed_methods, reason = "a benchmark has files and a clock")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CLUSTERS: usize = 20;
const RUNS: usize = 5;

fn main() {
    // `cargo test --benches` asks for nothing more than that it builds.
    if std::env::args().any(|it| it == "--test") {
        return;
    }
    println!(
        "where    services  files   MB     fresh / cp -r  unproved / cp -r  no-op / cp -r  fresh   unproved  no-op   cp -r (seconds)"
    );
    for (name, folder) in [("memory", "/dev/shm"), ("disk", env!("CARGO_TARGET_TMPDIR"))] {
        if Path::new(folder).is_dir() {
            for services in [1_000, 10_000] {
                measure(name, Path::new(folder), services);
            }
        }
    }
    println!("clusters  services  calls   prove / unproved compile  prove   unproved (seconds)  MB of memory");
    for services in [500, 5_000] {
        prove(services);
    }
}

/// A proof of ten calls a service over a hundred clusters.
fn prove(services: usize) {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir().expect("a folder can be made");
    let topology = folder.path().join("topology.yaml");
    std::fs::write(&topology, connected(services)).expect("the topology can be written");
    let (mut proofs, mut unproved, mut memory) = (Vec::new(), Vec::new(), 0);
    for run in 0..RUNS {
        let out = folder.path().join(format!("out{run}"));
        unproved.push(timed(compile(&topology, &out).arg("--no-prove")));
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshlatch"));
        command.arg("prove").arg(&out).arg("--quiet").arg("--calls").arg(&topology);
        proofs.push(timed(&mut command));
        memory = memory.max(peak(&mut command));
    }
    let (proof, unproved) = (median(proofs), median(unproved));
    let calls = services * CALLS;
    println!(
        "{:<9} {services:<9} {calls:<7} {:<25.2} {proof:<7.3} {unproved:<19.3} {memory}",
        HUNDRED,
        proof / unproved
    );
}

/// The largest part of the memory that a command holds at one time, in MB, as far as it is seen.
fn peak(command: &mut Command) -> u64 {
    let mut child = command.stdout(Stdio::null()).spawn().expect("the program starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().expect("it can be waited for").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|it| it.strip_prefix("VmHWM:"));
        let size = line.and_then(|it| it.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(size.unwrap_or_default() / 1_000);
        std::thread::sleep(Duration::from_millis(5));
    }
    peak
}

const HUNDRED: usize = 100;
const CALLS: usize = 10;

/// Every service runs in one of a hundred clusters and calls ten others, most of them elsewhere.
fn connected(services: usize) -> String {
    let mut text =
        "version: 1\nmesh: {virtualIPs: 240.0.0.0/8, authorization: declared, outbound: registry-only}\nclusters:\n"
            .to_owned();
    for cluster in 0..HUNDRED {
        let _ = writeln!(text, "  c{cluster}: {{istio: \"1.31.0\", gateway: 198.51.100.{}}}", cluster + 1);
    }
    text.push_str("services:\n");
    for service in 0..services {
        let calls: Vec<_> = (0..CALLS)
            .map(|index| format!("{{service: s{}, env: ADDR_{index}}}", (service + 1 + index * index * 7) % services))
            .collect();
        let _ = writeln!(
            text,
            "  s{service}: {{namespace: n{}, clusters: c{}, ports: {{http: 80}}, virtualIP: 240.{}.{}.{}, calls: [{}], workload: {{image: \"example.com/s{service}:v1\"}}}}",
            service % 200,
            service * 31 % HUNDRED,
            service / 62_500,
            service / 250 % 250,
            service % 250 + 1,
            calls.join(", ")
        );
    }
    text
}

fn measure(name: &str, folder: &Path, services: usize) {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(folder).expect("a folder can be made");
    let topology = folder.path().join("topology.yaml");
    std::fs::write(&topology, text(services)).expect("the topology can be written");
    let (mut fresh, mut unproved, mut noop, mut cp) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for run in 0..RUNS {
        let out = folder.path().join(format!("out{run}"));
        let copy = folder.path().join(format!("copy{run}"));
        fresh.push(timed(&mut compile(&topology, &out)));
        unproved.push(timed(compile(&topology, &folder.path().join(format!("unproved{run}"))).arg("--no-prove")));
        cp.push(timed(Command::new("cp").arg("-r").arg(&out).arg(&copy)));
        noop.push(timed(&mut compile(&topology, &out)));
    }
    let (files, bytes) = size(&folder.path().join("out0"));
    let (fresh, unproved, noop, cp) = (median(fresh), median(unproved), median(noop), median(cp));
    println!(
        "{name:<8} {services:<9} {files:<7} {:<6} {:<14.2} {:<17.2} {:<14.2} {fresh:<7.3} {unproved:<9.3} {noop:<7.3} {cp:.3}",
        bytes / 1_000_000,
        fresh / cp,
        unproved / cp,
        noop / cp,
    );
}

fn compile(topology: &Path, out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshlatch"));
    command.arg("compile").arg(topology).arg("-o").arg(out);
    command
}

fn timed(command: &mut Command) -> Duration {
    assert!(Command::new("sync").status().expect("the program starts").success());
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).status().expect("the program starts");
    assert!(status.success(), "{command:?}");
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

fn size(folder: &Path) -> (usize, u64) {
    std::fs::read_dir(folder).expect("the result is there").fold((0, 0), |(files, bytes), entry| {
        let entry = entry.expect("it can be listed");
        let meta = entry.metadata().expect("it can be asked");
        if meta.is_dir() {
            let (more, size) = size(&entry.path());
            (files + more, bytes + size)
        } else {
            (files + 1, bytes + meta.len())
        }
    })
}

/// Every service runs in one cluster, or two, and calls three others.
fn text(services: usize) -> String {
    let mut text = "version: 1\nallow: [T0306]\nmesh: {virtualIPs: 240.0.0.0/8}\nclusters:\n".to_owned();
    for cluster in 0..CLUSTERS {
        let _ = writeln!(
            text,
            "  c{cluster}: {{istio: \"1.7.8\", gateway: 198.51.100.{}, dns: {{provider: coredns, address: 10.{cluster}.0.53}}}}",
            cluster + 1
        );
    }
    text.push_str("services:\n");
    for service in 0..services {
        let (first, second) = (service % CLUSTERS, (service / CLUSTERS) % CLUSTERS);
        let clusters =
            if service % 10 == 0 && first != second { format!("[c{first}, c{second}]") } else { format!("c{first}") };
        let _ = write!(
            text,
            "  s{service}:
    namespace: n{}
    clusters: {clusters}
    ports: {{grpc: 9000, http-admin: \"80:8080\"}}
    virtualIP: 240.{}.{}.{}
    workload:
      image: example.com/team/s{service}:v1
      env: {{PORT: 9000, MODE: production}}
      probe: {{exec: {{command: [/bin/grpc_health_probe, \"-addr=:9000\"]}}, periodSeconds: 5}}
      resources: {{requests: {{cpu: 100m, memory: 64Mi}}, limits: {{cpu: 200m, memory: 128Mi}}}}
    calls:
",
            service % 50,
            service / 62_500,
            service / 250 % 250,
            service % 250 + 1,
        );
        for step in [1, 7, 33] {
            let callee = (service + step) % services;
            let _ = writeln!(text, "      - {{service: s{callee}, port: grpc, env: S{callee}_ADDR}}");
        }
    }
    text
}
