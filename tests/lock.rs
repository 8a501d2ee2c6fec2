//! The lock: names keep their addresses through whatever happens to a topology and in git.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::process::Command;

use meshlatch::diag::{Code, Diagnostics};
use meshlatch::inputs::Inputs;
use meshlatch::lock::Lock;
use meshlatch::source::Source;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support;

/// A topology in which `web` of one cluster calls these services of another, of which some are pinned.
fn topology(range: &str, names: &[String], pins: &BTreeMap<String, IpAddr>) -> String {
    let mut text = format!(
        "version: 1\nmesh: {{virtualIPs: {range}}}\nclusters:\n  east: {{istio: \"1.31.0\", gateway: 198.51.100.1}}\n  \
         west: {{istio: \"1.31.0\"}}\nservices:\n"
    );
    let mut calls = Vec::new();
    for name in names {
        // Writing to a `String` cannot fail.
        let pin = pins.get(name).map(|it| format!(", virtualIP: {it}")).unwrap_or_default();
        let _ = writeln!(text, "  {name}: {{clusters: east, ports: {{grpc: 7070}}, serviceAccount: {name}{pin}}}");
        calls.push(name.as_str());
    }
    let _ = writeln!(text, "  web: {{clusters: west, calls: [{}]}}", calls.join(", "));
    text
}

/// Compiles with a lock; gives the one that comes out, or the codes of what is wrong.
fn compiled(text: String, lock: Lock) -> Result<Lock, BTreeSet<Code>> {
    let mut inputs = Inputs::default();
    inputs.lock = Some(lock);
    let (mesh, _, diags) = support::compile_bytes("topology.yaml", text.into_bytes(), &inputs);
    mesh.map(|it| it.lock().clone()).ok_or_else(|| diags.sorted().iter().map(|it| it.code).collect())
}

/// What must compile.
fn locked(range: &str, names: &[String], lock: Lock) -> Lock {
    compiled(topology(range, names, &BTreeMap::new()), lock).expect("it has no mistakes")
}

fn read(text: &str) -> Result<Lock, BTreeSet<Code>> {
    let mut diags = Diagnostics::new();
    let lock = Lock::parse(&Source::new("topology.lock", text), &mut diags);
    lock.map_err(|_| diags.sorted().iter().map(|it| it.code).collect())
}

/// The address that each name has.
fn addresses(lock: &Lock) -> BTreeMap<String, IpAddr> {
    lock.iter().filter_map(|(host, it)| Some((host.to_owned(), *it.now.first()?))).collect()
}

/// No address is that of two names, whoever had it before.
fn assert_unique(lock: &Lock) {
    let mut seen = BTreeSet::new();
    for (host, entry) in lock.iter() {
        assert!(entry.now.len() <= 1, "{host}: {entry:?}");
        for ip in entry.now.iter().chain(&entry.was) {
            assert!(seen.insert(*ip), "{ip} of {host} is somebody else's, too");
        }
    }
}

/// What somebody does to a topology.
#[derive(Debug, Clone)]
enum Edit {
    Add(u8),
    Remove(Index),
    Rename(Index, u8),
    Move(Index, Index),
    Pin(Index, u8),
    Unpin(Index),
    Prune,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => any::<u8>().prop_map(Edit::Add),
        2 => any::<Index>().prop_map(Edit::Remove),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, to)| Edit::Rename(at, to)),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Edit::Move(from, to)),
        2 => (any::<Index>(), 1u8..126).prop_map(|(at, to)| Edit::Pin(at, to)),
        1 => any::<Index>().prop_map(Edit::Unpin),
        1 => Just(Edit::Prune),
    ]
}

fn name(number: u8) -> String {
    format!("s{number}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn survivors_never_move(edits in proptest::collection::vec(edit(), 1..40)) {
        // So few addresses that names fall on one all the time.
        let range = "240.0.1.0/25";
        let mut names: Vec<String> = Vec::new();
        let mut pins: BTreeMap<String, IpAddr> = BTreeMap::new();
        let mut lock = Lock::new("topology.lock").adopted();
        for edit in edits {
            match edit {
                Edit::Add(number) if names.len() < 40 && !names.contains(&name(number)) => names.push(name(number)),
                Edit::Remove(at) if !names.is_empty() => drop(names.remove(at.index(names.len()))),
                Edit::Rename(at, number) if !names.is_empty() && !names.contains(&name(number)) => {
                    let at = at.index(names.len());
                    names[at] = name(number);
                }
                Edit::Move(from, to) if !names.is_empty() => {
                    let it = names.remove(from.index(names.len()));
                    names.insert(to.index(names.len() + 1), it);
                }
                Edit::Pin(at, to) if !names.is_empty() => {
                    pins.insert(names[at.index(names.len())].clone(), IpAddr::from([240, 0, 1, to]));
                }
                Edit::Unpin(at) if !names.is_empty() => drop(pins.remove(&names[at.index(names.len())])),
                Edit::Prune => drop(lock.prune()),
                _ => {}
            }
            // As it would be read again.
            let before = read(&lock.to_string()).expect("what was written can be read");
            // The range may be full of names that are gone.
            if before.iter().map(|(_, it)| it.now.len() + it.was.len()).sum::<usize>() > 80 {
                lock.prune();
                continue;
            }
            pins.retain(|name, _| names.contains(name));
            let after = match compiled(topology(range, &names, &pins), before.clone()) {
                Ok(after) => after,
                Err(codes) => {
                    // Only what is pinned can be refused: to what is another's, or to what nobody may have.
                    prop_assert!(codes.is_subset(&BTreeSet::from([Code::VirtualIpCollision, Code::InvalidVirtualIp])));
                    prop_assert!(!pins.is_empty());
                    pins.clear();
                    compiled(topology(range, &names, &pins), before.clone()).expect("without pins all is well")
                }
            };
            assert_unique(&after);
            let (old, new) = (addresses(&before), addresses(&after));
            prop_assert_eq!(new.len(), names.len());
            for (host, ip) in &old {
                if let Some(now) = new.get(host) {
                    let pinned = pins.values().any(|it| it == now);
                    prop_assert!(ip == now || pinned, "{} moved", host);
                } else {
                    prop_assert!(after.get(host).is_some_and(|it| it.was.contains(ip)), "{host} is forgotten");
                }
            }
            // Who comes back before anybody cleaned up has what it had.
            for (host, ip) in &new {
                let was = before.get(host).filter(|it| it.now.is_empty());
                let pinned = pins.values().any(|it| it == ip);
                prop_assert!(pinned || was.is_none_or(|it| it.was.first() == Some(ip)), "{} came back elsewhere", host);
            }
            let again = read(&after.to_string()).expect("what was written can be read");
            let again = compiled(topology(range, &names, &pins), again).expect("what was compiled is again");
            prop_assert_eq!(again.to_string(), after.to_string(), "a second run changes nothing");
            lock = after;
        }
    }
}

#[test]
fn fifty_thousand_names_have_addresses_of_their_own() {
    let names: Vec<String> = (0..50_000).map(|it| format!("s{it}")).collect();
    let lock = locked("240.0.0.0/8", &names, Lock::new("topology.lock").adopted());
    assert_eq!(addresses(&lock).len(), names.len());
    assert_unique(&lock);
    // A few more move nobody.
    let more: Vec<String> = (0..50_050).rev().map(|it| format!("s{it}")).collect();
    let after = locked("240.0.0.0/8", &more, lock.clone());
    assert_unique(&after);
    let (old, new) = (addresses(&lock), addresses(&after));
    assert!(old.iter().all(|(host, ip)| new[host] == *ip));
}

#[test]
fn before_there_is_a_lock_a_name_has_its_own_address_or_none() {
    // The hashes of these two meet in the default range.
    let names = ["cart", "db34727"].map(str::to_owned);
    let text =
        topology("240.0.0.0/16", &names, &BTreeMap::new()).replace("serviceAccount", "namespace: shop, serviceAccount");
    let fresh = Lock::new("topology.lock");
    assert_eq!(compiled(text.clone(), fresh.clone()).unwrap_err(), BTreeSet::from([Code::VirtualIpCollision]));
    let one = text.replace("calls: [cart, db34727]", "calls: [db34727]");
    let lock = compiled(one, fresh).expect("one alone has its address");
    let after =
        compiled(text.clone(), read(&lock.to_string()).expect("it is written")).expect("the lock keeps them apart");
    assert_eq!(addresses(&after)["db34727.shop.global"], addresses(&lock)["db34727.shop.global"]);
    assert_ne!(addresses(&after)["cart.shop.global"], addresses(&lock)["db34727.shop.global"]);
    // While a service moves, what runs has its address first, with a lock and without.
    let moving = "version: 1
clusters: {east: {istio: \"1.31.0\", gateway: 198.51.100.1}, west: {istio: \"1.31.0\", gateway: 198.51.100.2}}
services:
  db34727: {namespace: shop, clusters: east, ports: {grpc: 7070}, serviceAccount: db}
  cart: {namespace: shop, clusters: [east, west], ports: {grpc: 7070}, calls: db34727, serviceAccount: cart, workload: elsewhere}
  web: {namespace: shop, clusters: west, calls: cart}
moving: {service: cart, phase: open, before: {clusters: east}}
";
    for lock in [Lock::new("topology.lock"), Lock::new("topology.lock").adopted()] {
        let after = compiled(moving.to_owned(), lock).expect("it has no mistakes");
        assert_unique(&after);
        assert_eq!(addresses(&after)["cart.shop.global"], IpAddr::from([240, 0, 158, 45]));
    }
}

#[test]
fn pins_take_nothing_from_anybody() {
    let range = "240.0.1.0/24";
    let names = ["a", "b"].map(str::to_owned);
    let lock = locked(range, &names, Lock::new("topology.lock").adopted());
    let had = addresses(&lock);
    let (a, b) = (had["a.default.global"], had["b.default.global"]);
    let refused = |pins: &[(&str, IpAddr)], names: &[String], lock: &Lock| {
        let pins = pins.iter().map(|(name, ip)| ((*name).to_owned(), *ip)).collect();
        compiled(topology(range, names, &pins), lock.clone())
    };
    let free = IpAddr::from([240, 0, 1, 250]);
    let collision = Err(BTreeSet::from([Code::VirtualIpCollision]));
    assert_eq!(refused(&[("a", b), ("b", a)], &names, &lock), collision, "swapped");
    assert_eq!(refused(&[("a", free), ("b", a)], &names, &lock), collision, "handed over");
    assert_eq!(refused(&[("b", a)], &names[1..], &lock), collision, "inherited");
    // In two steps, once nobody remembers it.
    let mut moved = refused(&[("a", free)], &names, &lock).expect("it moves");
    assert_eq!(refused(&[("a", free), ("b", a)], &names, &moved), collision, "remembered");
    moved.prune();
    let handed = refused(&[("a", free), ("b", a)], &names, &moved).expect("nobody has it any more");
    assert_eq!(addresses(&handed)["b.default.global"], a);
    assert!(read(&handed.to_string()).is_ok());
}

#[test]
fn another_suffix_makes_all_names_new() {
    let names = ["a", "b"].map(str::to_owned);
    let lock = locked("240.0.1.0/24", &names, Lock::new("topology.lock").adopted());
    let text = topology("240.0.1.0/24", &names, &BTreeMap::new()).replace("mesh: {", "mesh: {suffix: mesh.internal, ");
    let after = compiled(text, lock.clone()).expect("it has no mistakes");
    assert_unique(&after);
    assert!(addresses(&after).keys().all(|it| it.ends_with(".mesh.internal")) && addresses(&after).len() == 2);
    assert!(addresses(&lock).iter().all(|(host, ip)| after.get(host).is_some_and(|it| it.was == [*ip])));
}

#[test]
fn who_had_an_address_last_gets_it_back_alone() {
    let first = "# meshlatch lock 1: the virtual IP of every name; written by `meshlatch compile`, to be committed\n";
    let lock = read(&format!("{first}a.default.global was 240.0.1.9 240.0.1.7\nb.default.global was 240.0.1.9\n"));
    let names = ["a".to_owned()];
    let after = locked("240.0.1.0/24", &names, lock.expect("that several had one is no mistake"));
    assert_eq!(after.to_string(), format!("{first}a.default.global 240.0.1.9 was 240.0.1.7\n"));
}

/// Merges two texts as git does; gives the text, and whether there was a conflict.
fn merge(ours: &str, base: &str, theirs: &str) -> (String, bool) {
    let folder = tempfile::TempDir::new().expect("a folder can be made");
    for (file, text) in [("ours", ours), ("base", base), ("theirs", theirs)] {
        std::fs::write(folder.path().join(file), text).expect("a file can be written");
    }
    let merged = Command::new("git")
        .current_dir(folder.path())
        .args(["merge-file", "-p", "-q", "ours", "base", "theirs"])
        .output()
        .expect("git is there");
    let code = merged.status.code().expect("git ends by itself");
    assert!(code < 128, "{merged:?}");
    (String::from_utf8(merged.stdout).expect("a text"), code != 0)
}

/// A name that is the same in every run, anywhere in the alphabet.
fn scattered(pair: u32, side: u32, number: u32) -> String {
    let mut hash = pair.wrapping_mul(0x9e37_79b9) ^ side.wrapping_mul(0x85eb_ca6b) ^ number.wrapping_mul(0xc2b2_ae35);
    hash = (hash ^ (hash >> 15)).wrapping_mul(0x2c1b_3c6d);
    hash ^= hash >> 12;
    let letter = |it: u32| char::from(b'a' + u8::try_from(it % 26).expect("a letter"));
    format!("{}{}{hash}", letter(hash >> 3), letter(hash >> 11))
}

#[test]
fn branches_merge_or_conflict_and_never_share_an_address_unsaid() {
    let range = "240.0.1.0/26";
    let (mut clean, mut conflicts, mut told) = (0, 0, 0);
    for pair in 0..200 {
        let base: Vec<String> = (0..20).map(|it| scattered(pair, 0, it)).collect();
        let old = locked(range, &base, Lock::new("topology.lock").adopted());
        // Some add, some take away; sides of odd pairs differ in how much.
        let branch = |side: u32| {
            let mut names: Vec<String> =
                base.iter().skip(usize::from((pair + side).is_multiple_of(5))).cloned().collect();
            names.extend((0..=(pair + side) % 3).map(|it| scattered(pair, side, it)));
            let lock = locked(range, &names, old.clone());
            (names, lock)
        };
        let ((ours, a), (theirs, b)) = (branch(1), branch(2));
        let (text, conflict) = merge(&a.to_string(), &old.to_string(), &b.to_string());
        if conflict {
            conflicts += 1;
            assert_eq!(read(&text), Err(BTreeSet::from([Code::UnmergedLock])));
            continue;
        }
        let (old, a, b) = (addresses(&old), addresses(&a), addresses(&b));
        match read(&text) {
            Err(codes) => {
                told += 1;
                assert_eq!(codes, BTreeSet::from([Code::ContradictoryLock]));
                let twice = a
                    .iter()
                    .any(|(host, ip)| !old.contains_key(host) && b.iter().any(|(other, it)| it == ip && other != host));
                assert!(twice, "no address is there twice:\n{text}");
            }
            Ok(merged) => {
                clean += 1;
                // Git merges the topology as well: what either side took away is gone.
                let gone = |it: &&String| !base.contains(it) || ours.contains(it) && theirs.contains(it);
                let names: BTreeSet<&String> = ours.iter().chain(&theirs).filter(gone).collect();
                let names: Vec<String> = names.into_iter().cloned().collect();
                let after = locked(range, &names, merged);
                assert_unique(&after);
                // Whoever came with a branch has the address that was reviewed there.
                let after = addresses(&after);
                for name in &names {
                    let host = format!("{name}.default.global");
                    let reviewed = a.get(&host).or_else(|| b.get(&host));
                    assert_eq!(after.get(&host), reviewed, "{host}");
                }
            }
        }
    }
    assert!(clean > 20 && conflicts > 20 && told > 5, "{clean} clean, {conflicts} conflicts, {told} told");
}
