//! How long a compile takes, against `cp -r` of its result, in the same run on the same file system.
//!
//! `cargo bench` prints ratios: 1,000 services over 20 clusters, and ten times that; in memory and
//! on the disk. Each figure is the median of several runs, which write into folders of their own,
//! after a `sync`, so that nobody pays for what another one left to the disk.
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
    println!("where    services  files   MB     fresh / cp -r  no-op / cp -r  fresh   no-op   cp -r (seconds)");
    for (name, folder) in [("memory", "/dev/shm"), ("disk", env!("CARGO_TARGET_TMPDIR"))] {
        if Path::new(folder).is_dir() {
            for services in [1_000, 10_000] {
                measure(name, Path::new(folder), services);
            }
        }
    }
}

fn measure(name: &str, folder: &Path, services: usize) {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(folder).expect("a folder can be made");
    let topology = folder.path().join("topology.yaml");
    std::fs::write(&topology, text(services)).expect("the topology can be written");
    let (mut fresh, mut noop, mut cp) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..RUNS {
        let out = folder.path().join(format!("out{run}"));
        let copy = folder.path().join(format!("copy{run}"));
        fresh.push(timed(&mut compile(&topology, &out)));
        cp.push(timed(Command::new("cp").arg("-r").arg(&out).arg(&copy)));
        noop.push(timed(&mut compile(&topology, &out)));
    }
    let (files, bytes) = size(&folder.path().join("out0"));
    let (fresh, noop, cp) = (median(fresh), median(noop), median(cp));
    println!(
        "{name:<8} {services:<9} {files:<7} {:<6} {:<14.2} {:<14.2} {fresh:<7.3} {noop:<7.3} {cp:.3}",
        bytes / 1_000_000,
        fresh / cp,
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
