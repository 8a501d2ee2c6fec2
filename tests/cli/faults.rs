//! Runs that are killed, and disks that fail, at every step.
//!
//! Debug builds of the binary count each change of the disk (`src/bin/meshlatch/disk/fault.rs`): a
//! run can be stopped before any of them, and is then really killed.
#![cfg(debug_assertions)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::{Folder, Run, TWO};

type Tree = BTreeMap<String, Vec<u8>>;

/// A run, and what is there before it.
struct Case {
    name: &'static str,
    before: Folder,
    args: &'static [&'static str],
    old: Tree,
    new: Tree,
    locks: [Option<String>; 2],
}

impl Case {
    fn new(name: &'static str, before: Folder, topology: &str, args: &'static [&'static str]) -> Self {
        before.write("topology.yaml", topology);
        // Files of other people, wherever there is a folder.
        for path in ["out", "out/west", "out/west/40-apps"] {
            if before.exists(path) {
                before.write(&format!("{path}/mine.txt"), "mine\n");
            }
        }
        let after = Folder::new("");
        copy(&before, &after);
        let run = after.run(args);
        assert_eq!(run.code, Some(0), "{name}: {run:?}");
        let locks = [lock(&before), lock(&after)];
        let (old, new) = (tree(&before), tree(&after));
        assert_ne!(old, new, "{name}");
        Self { name, before, args, old, new, locks }
    }

    fn folder(&self) -> Folder {
        // Memory is quicker, where it is a folder, and a kill leaves in it what it leaves on a disk.
        let memory = Path::new("/dev/shm");
        let folder = Folder(
            if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.expect("a folder can be made"),
        );
        copy(&self.before, &folder);
        folder
    }

    /// What is left by a run that ended somewhere is the old tree, or the new one, or says that it
    /// is neither, and the next run makes it the new one.
    fn judge(&self, folder: &Folder, seen: &Mutex<BTreeSet<(Tree, bool)>>, step: usize) {
        let (is, name) = (tree(folder), self.name);
        // No address of a tree is kept nowhere.
        assert!(lock(folder) == self.locks[1] || is == self.old && lock(folder) == self.locks[0], "{name} {step}");
        if !seen.lock().expect("no test failed").insert((is.clone(), folder.exists("out/.meshlatch-staging"))) {
            return;
        }
        let run = folder.run(&["compile", "--check"]);
        if is != self.new {
            assert_eq!(run.code, Some(1), "{name} {step}: {run:?}");
        }
        let is_mixed = is != self.old && is != self.new;
        if is_mixed {
            run.says(1, &["an earlier run was cut off", "`meshlatch compile` finishes it"]);
            assert!(run.stdout.contains("cut off    out/"), "{name} {step}: {run:?}");
        }
        // What was begun needs no second permission.
        let begun = contents(&is) != contents(&self.old);
        let run = folder.run(if begun { COMPILE } else { self.args });
        assert_eq!(run.code, Some(0), "{name} {step}: {run:?}");
        assert_eq!(tree(folder), self.new, "{name} {step}");
        assert_eq!(lock(folder), self.locks[1], "{name} {step}");
        assert!(!folder.exists("out/.meshlatch-staging"), "{name} {step}");
    }
}

/// The files of the tree. An empty folder is nothing to git, nor what a run prepares to anybody.
fn tree(folder: &Folder) -> Tree {
    let all = folder.snapshot("out").into_iter();
    all.filter(|(path, _)| !path.ends_with('/') && !path.starts_with(".meshlatch-staging/")).collect()
}

/// Without what is said of it.
fn contents(tree: &Tree) -> Vec<(&String, &Vec<u8>)> {
    tree.iter().filter(|(path, _)| !path.ends_with("/.meshlatch")).collect()
}

fn lock(folder: &Folder) -> Option<String> {
    folder.exists("topology.lock").then(|| folder.read("topology.lock"))
}

fn copy(from: &Folder, to: &Folder) {
    fn copy(from: &Path, to: &Path) {
        for entry in std::fs::read_dir(from).expect("a folder can be listed") {
            let (from, to) = entry.map(|it| (it.path(), to.join(it.file_name()))).expect("a folder can be listed");
            if from.is_dir() {
                std::fs::create_dir(&to).expect("a folder can be made");
                copy(&from, &to);
            } else {
                std::fs::copy(&from, &to).expect("a file can be copied");
            }
        }
    }
    copy(&from.path(""), &to.path(""));
}

fn command(folder: &Folder, args: &[&str], fault: &str) -> Command {
    let mut command = folder.command();
    // One thread, so that the steps come in one order.
    command.args(args).env("MESHLATCH_FAULT", fault).env("RAYON_NUM_THREADS", "1");
    command
}

/// Starts a run that stops before a step. There is none if it had no such step, and came to its end.
fn stopped(folder: &Folder, args: &[&str], step: usize) -> Option<Child> {
    let mut child = command(folder, args, &format!("stop:{step}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary can be started");
    let mut said = String::new();
    BufReader::new(child.stdout.as_mut().expect("it is piped")).read_line(&mut said).expect("it prints text");
    if said == "stopped\n" {
        return Some(child);
    }
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    None
}

fn kill(mut child: Child) {
    child.kill().and_then(|()| child.wait()).expect("it can be killed");
}

/// Does something for every step of a run, until it says that there are no more; counts them.
fn each_step(work: impl Fn(usize) -> bool + Sync) -> usize {
    let next = AtomicUsize::new(1);
    let done = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while work(next.fetch_add(1, Ordering::SeqCst)) {
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    done.into_inner()
}

/// A folder in which this was compiled.
fn compiled(topology: &str) -> Folder {
    let folder = Folder::new(topology);
    folder.run(&["compile"]).says(0, &[]);
    folder
}

const COMPILE: &[&str] = &["compile"];

/// Another port, another service, one that is gone, and an address more.
fn changed() -> String {
    TWO.replace("7070", "7071").replace("mail:", "news:").replace("[cart]", "[cart, news]")
}

fn one_cluster() -> String {
    TWO.lines().filter(|it| !it.contains("west")).collect::<Vec<_>>().join("\n").replace("[cart]", "[]")
}

fn edited() -> Folder {
    let folder = compiled(TWO);
    folder.write("out/west/40-apps/cart.default.yaml", "edited\n");
    folder.write("out/west/40-apps/mail.default.yaml", "edited and left over\n");
    folder
}

fn format_1() -> Folder {
    let folder = compiled(TWO);
    for path in ["out/east/.meshlatch", "out/west/.meshlatch"] {
        let text = folder.read(path);
        let paths = text.lines().skip(1).map(|it| format!("{}\n", &it[66..]));
        let first = "# meshlatch inventory 1: the files here that `meshlatch compile` replaces and removes\n";
        folder.write(path, &(first.to_owned() + &paths.collect::<String>()));
    }
    folder
}

/// Runs were killed again and again, until one had removed a file; the next one has another topology.
fn cut_off() -> Folder {
    let folder = compiled(TWO);
    folder.write("topology.yaml", &changed());
    let mut steps = 20..;
    while folder.exists("out/west/40-apps/mail.default.yaml") {
        kill(stopped(&folder, COMPILE, steps.next().expect("it is endless")).expect("it has more steps"));
    }
    assert!(folder.read("out/west/.meshlatch").starts_with("# meshlatch inventory 2, unfinished: "));
    folder
}

/// Another release of Istio, with which nearly all files are others.
fn upgraded() -> String {
    TWO.replace("1.5.2", "1.31.0").replace("allow: [T0306]\n", "")
}

fn cases() -> Vec<Case> {
    let many =
        (0..8).map(|it| format!("  s{it}: {{clusters: [east, west], ports: {{http: 80}}}}\n")).collect::<Vec<_>>();
    let many = format!("{}{}", TWO.trim_start(), many.concat());
    let mut cases = vec![
        Case::new("the first run", Folder::new(TWO), TWO, COMPILE),
        Case::new("many services more", compiled(TWO), &many, COMPILE),
        Case::new("many services less", compiled(&many), TWO, COMPILE),
        Case::new("edited files", edited(), &changed(), &["compile", "--force"]),
        Case::new("inventories without hashes", format_1(), &changed(), COMPILE),
        Case::new("after a killed run", cut_off(), &upgraded(), COMPILE),
    ];
    let [two, changed, one, upgraded] = &[TWO.to_owned(), changed(), one_cluster(), upgraded()];
    let tour = [two, changed, one, two, upgraded, changed, two, one, changed, upgraded, two];
    cases.extend(tour.windows(2).map(|it| Case::new("from one to another", compiled(it[0]), it[1], COMPILE)));
    cases
}

#[test]
fn a_kill_at_any_step_leaves_the_old_tree_or_the_new_or_one_that_says_so() {
    let mut kills = 0;
    for case in cases() {
        let seen = Mutex::new(BTreeSet::new());
        let steps = each_step(|step| {
            let folder = case.folder();
            let Some(child) = stopped(&folder, case.args, step) else {
                assert_eq!(tree(&folder), case.new, "{}", case.name);
                return false;
            };
            kill(child);
            case.judge(&folder, &seen, step);
            true
        });
        let seen = seen.into_inner().expect("no test failed");
        let mixed = seen.iter().filter(|(it, _)| *it != case.old && *it != case.new).count();
        assert!(mixed > 0, "{}: {mixed} of {steps} steps", case.name);
        kills += steps;
    }
    assert!(kills >= 1000, "{kills} kills");
}

/// The same without any help from the binary: it is killed some time after its start.
#[test]
fn a_kill_at_any_time_does_no_harm_either() {
    let case = Case::new("an upgrade", compiled(TWO), &upgraded(), COMPILE);
    let seen = Mutex::new(BTreeSet::new());
    for milliseconds in 0..40 {
        let folder = case.folder();
        let mut command = folder.command();
        let child = command.args(case.args).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        std::thread::sleep(Duration::from_millis(milliseconds));
        kill(child.expect("the binary can be started"));
        case.judge(&folder, &seen, 0);
    }
}

/// What the system says of a full disk, a disk that cannot be written, a folder that may not, and a
/// broken one.
const ERRORS: [(i32, &str); 4] = [
    (28, "No space left on device"),
    (30, "Read-only file system"),
    (13, "Permission denied"),
    (5, "Input/output error"),
];

#[cfg(target_os = "linux")]
#[test]
fn an_error_at_any_step_leaves_the_old_tree() {
    let cases = [
        Case::new("the first run", Folder::new(TWO), TWO, COMPILE),
        Case::new("a change", compiled(TWO), &changed(), COMPILE),
        Case::new("one cluster less", compiled(TWO), &one_cluster(), COMPILE),
        Case::new("edited files", edited(), &changed(), &["compile", "--force"]),
    ];
    for case in &cases {
        let name = case.name;
        // Steps that may fail: removing folders that are empty now, and what was prepared.
        let harmless = AtomicUsize::new(0);
        let steps = each_step(|step| {
            let folder = case.folder();
            let before = folder.snapshot(".");
            let (error, words) = ERRORS[step % ERRORS.len()];
            let run = Run::of(&mut command(&folder, case.args, &format!("fail:{step}:{error}")), b"");
            if run.code == Some(0) {
                assert_eq!((tree(&folder), lock(&folder)), (case.new.clone(), case.locks[1].clone()), "{name} {step}");
                return harmless.fetch_add(1, Ordering::SeqCst) < 8;
            }
            run.says(2, &["error: cannot ", words]);
            let named = ["out/", "out:", "topology.lock"].iter().any(|it| run.stderr.contains(it));
            assert!(named && run.stdout.is_empty(), "{name} {step}: {run:?}");
            assert_eq!(folder.snapshot("."), before, "{name} {step}: {run:?}");
            true
        });
        assert!(steps > 40, "{name}: {steps}");
    }
}

/// Not even what was done can be taken back. What is then in place says so.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fails_for_good_is_as_a_kill() {
    for case in [
        Case::new("a change", compiled(TWO), &changed(), COMPILE),
        Case::new("one cluster less", compiled(TWO), &one_cluster(), COMPILE),
    ] {
        let seen = Mutex::new(BTreeSet::new());
        let kept = AtomicUsize::new(0);
        let steps = each_step(|step| {
            let folder = case.folder();
            let run = Run::of(&mut command(&folder, case.args, &format!("fail:{step}-:30")), b"");
            if run.code == Some(0) {
                // Only what was prepared is still there.
                assert_eq!(tree(&folder), case.new);
                return false;
            }
            run.says(2, &["Read-only file system"]);
            if !run.stderr.contains("nothing was changed") && tree(&folder) != case.old {
                run.says(2, &["could not be restored", "kept in out/.meshlatch-staging", "the next run finishes it"]);
                kept.fetch_add(1, Ordering::SeqCst);
            }
            case.judge(&folder, &seen, step);
            true
        });
        let kept = kept.into_inner();
        assert!(steps > 40 && kept > 5, "{}: {kept} of {steps}", case.name);
    }
}

/// The first of two runs is stopped with half of the tree in place.
#[cfg(target_os = "linux")]
#[test]
fn who_writes_and_who_looks_wait_for_a_run_that_is_at_work() {
    let folder = compiled(TWO);
    folder.write("topology.yaml", &changed());
    let after = Folder::new(&changed());
    after.compile();
    let (new, mut first, mut step) = (tree(&after), None, 20);
    while tree(&folder).contains_key("west/40-apps/mail.default.yaml") {
        first.into_iter().for_each(kill);
        first = stopped(&folder, COMPILE, step);
        step += 1;
    }
    let half = tree(&folder);
    let spawn = |args: &[&str]| {
        let mut command = folder.command();
        command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary can be started")
    };
    let mut looks = spawn(&["compile", "--check"]);
    let mut writes = spawn(COMPILE);
    // It cannot be seen that they will never end, only that they have not.
    std::thread::sleep(Duration::from_millis(200));
    let ended = [&mut looks, &mut writes].map(|it| it.try_wait().expect("it can be asked"));
    assert_eq!(ended, [None, None]);
    assert_eq!(tree(&folder), half);
    kill(first.expect("it was stopped"));
    assert_eq!(writes.wait().expect("it ends").code(), Some(0));
    // It looked before the other one wrote, or after it.
    assert!(matches!(looks.wait().expect("it ends").code(), Some(0 | 1)));
    assert_eq!(tree(&folder), new);
}
