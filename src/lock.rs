//! `Lock`: the virtual IPs that services keep, as the file beside the topology says.
//!
//! A line that names the format, then one for each name, in order, so that git merges what two
//! branches add:
//!
//! ```text
//! # meshlatch lock 1: the virtual IP of every name; written by `meshlatch compile`, to be committed
//! cart.shop.global 240.0.215.182
//! old.shop.global was 240.0.3.7
//! web.front.global 240.0.9.9 fd00:240::7 was 240.0.1.2
//! ```
//!
//! Behind `was` stand the addresses that a name had, the last one first: proxies and programs may remember
//! them, so that nobody else is given one until [`Lock::prune`] frees them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::net::IpAddr;

use crate::diag::{Code, Diagnostics, Reported};
use crate::source::{Source, Span};

const FIRST_LINE: &str =
    "# meshlatch lock 1: the virtual IP of every name; written by `meshlatch compile`, to be committed";

/// How the first line begins in every release.
const MARK: &str = "# meshlatch lock ";

/// The word in front of addresses that nobody has any more.
const WAS: &str = "was";

/// The addresses of names, those they have and those they had.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Lock {
    names: BTreeMap<String, Entry>,
    /// What the file is called.
    file: String,
    /// Whether there is no file yet, so that names may have addresses which nobody wrote down.
    fresh: bool,
}

/// The addresses of a name.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Those it has; none once nobody calls it.
    pub now: Vec<IpAddr>,
    /// Those it had, the last one first.
    pub was: Vec<IpAddr>,
    /// The line of the file in which it stands, from 1; 0 if it is new.
    line: usize,
}

/// Who an address belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// The name.
    pub host: &'a str,
    /// Whether it has the address now, or had it.
    pub now: bool,
}

impl Lock {
    /// The lock of a mesh that has none yet; `file` is what to call it in messages.
    #[must_use]
    pub fn new(file: impl Into<String>) -> Self {
        Self { names: BTreeMap::new(), file: file.into(), fresh: true }
    }

    /// Reads a lock, which anybody may have written or merged.
    ///
    /// # Errors
    /// When a line is not one of a lock, or two lines contradict each other.
    pub fn parse(source: &Source, diags: &mut Diagnostics) -> Result<Self, Reported> {
        let mut lock = Self { fresh: false, ..Self::new(source.name()) };
        let lines = lines(source.text());
        conflicts(&lines, diags)?;
        let (first, at) = lines.first().copied().unwrap_or(("", Span::default()));
        if first != FIRST_LINE {
            return Err(first_line(first, at, diags));
        }
        let mut told = 0;
        // Where each name and address stands first.
        let mut places: BTreeMap<&str, Span> = BTreeMap::new();
        let mut holders: BTreeMap<IpAddr, (&str, Span, bool)> = BTreeMap::new();
        for (index, (line, at)) in lines.into_iter().enumerate().skip(1).filter(|(_, it)| !it.0.is_empty()) {
            let (host, mut entry) = match entry(line) {
                Ok(read) => read,
                Err(reason) => {
                    diags
                        .error(Code::InvalidLock, format!("this is no line of a lock: {reason}"))
                        .at(at, "")
                        .help("write the name, its addresses, and behind `was` those it had: `cart.shop.global 240.0.0.7`")
                        .help("without the line, the name gets an address as a new one does");
                    told += 1;
                    if told == SHOWN {
                        break;
                    }
                    continue;
                }
            };
            entry.line = index + 1;
            if let Some(other) = places.insert(host, at) {
                diags
                    .error(Code::ContradictoryLock, format!("`{host}` stands twice"))
                    .at(at, "here again")
                    .context(other, "first here")
                    .help("keep the line whose address is applied already, and remove the other");
                continue;
            }
            let known = entry.now.iter().map(|it| (*it, true)).chain(entry.was.iter().map(|it| (*it, false)));
            for (ip, now) in known {
                match holders.get(&ip) {
                    // Nobody has it: that several names had it harms nobody.
                    Some((_, _, before)) if !before && !now => {}
                    Some((other, there, _)) => {
                        diags
                            .error(Code::ContradictoryLock, format!("`{other}` and `{host}` have one address, {ip}"))
                            .at(at, "")
                            .context(*there, "and here")
                            .help("remove the line of the one that is not applied yet: it gets a free address");
                    }
                    None => {
                        holders.insert(ip, (host, at, now));
                    }
                }
            }
            lock.names.insert(host.to_owned(), entry);
        }
        diags.check()?;
        Ok(lock)
    }

    /// What the file is called.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The same lock, as it is once its file is written.
    #[must_use]
    pub fn adopted(&self) -> Self {
        Self { fresh: false, ..self.clone() }
    }

    /// Whether there is no file yet: names may have addresses that nobody wrote down.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names with their addresses, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.names.iter().map(|(host, entry)| (host.as_str(), entry))
    }

    /// The addresses of a name.
    #[must_use]
    pub fn get(&self, host: &str) -> Option<&Entry> {
        self.names.get(host)
    }

    /// Where a name stands: `topology.lock:7`.
    #[must_use]
    pub fn place(&self, host: &str) -> String {
        match self.names.get(host) {
            Some(entry) if entry.line > 0 => format!("{}:{}", self.file, entry.line),
            _ => self.file.clone(),
        }
    }

    /// Who each address belongs to.
    #[must_use]
    pub fn holders(&self) -> BTreeMap<IpAddr, Holder<'_>> {
        let mut holders = BTreeMap::new();
        for now in [false, true] {
            for (host, entry) in self.iter() {
                let addresses = if now { &entry.now } else { &entry.was };
                holders.extend(addresses.iter().map(|ip| (*ip, Holder { host, now })));
            }
        }
        holders
    }

    /// Keeps the addresses that a name has now; those it had before stay its own.
    pub fn keep(&mut self, host: &str, addresses: &[IpAddr]) {
        let entry = self.names.entry(host.to_owned()).or_default();
        let before = std::mem::replace(&mut entry.now, addresses.to_vec());
        entry.had(before);
    }

    /// Takes the addresses from every name that nobody calls any more.
    pub fn retire(&mut self, called: impl Fn(&str) -> bool) {
        for (_, entry) in self.names.iter_mut().filter(|it| !called(it.0)) {
            let before = std::mem::take(&mut entry.now);
            entry.had(before);
        }
        // Several may have had an address; once somebody has it, it is nobody else's.
        let now: BTreeSet<IpAddr> = self.names.values().flat_map(|it| it.now.iter().copied()).collect();
        self.names.values_mut().for_each(|it| it.was.retain(|ip| !now.contains(ip)));
        self.names.retain(|_, it| !(it.now.is_empty() && it.was.is_empty()));
    }

    /// Frees all addresses that nobody has any more, and says how many they were.
    pub fn prune(&mut self) -> usize {
        let freed = self.names.values_mut().map(|it| std::mem::take(&mut it.was).len()).sum();
        self.names.retain(|_, it| !it.now.is_empty());
        freed
    }

    /// Reports that the lock is not what the topology needs, for who may not change it.
    ///
    /// # Errors
    /// When the two differ.
    pub fn expect(&self, needed: &Self, diags: &mut Diagnostics) -> Result<(), Reported> {
        let line = |lock: &Self, host: &str| lock.names.get(host).map(|it| Line(host, it).to_string());
        let hosts: BTreeSet<_> = self.names.keys().chain(needed.names.keys()).collect();
        let mut changes = Vec::new();
        for host in hosts {
            let (before, after) = (line(self, host), line(needed, host));
            if before != after {
                changes.extend(before.map(|it| format!("-{it}")));
                changes.extend(after.map(|it| format!("+{it}")));
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let more = changes.len().saturating_sub(SHOWN);
        let mut shown = changes[..changes.len() - more].join(", ");
        if more > 0 {
            // Writing to a `String` cannot fail.
            let _ = write!(shown, ", and {more} lines more");
        }
        Err(diags
            .error(Code::LockOutdated, format!("{} is not what the topology needs: {shown}", self.file))
            .help("run `meshlatch compile`, and commit the file with the tree")
            .reported())
    }
}

impl Entry {
    /// Remembers addresses that it has no more, in front of older ones.
    fn had(&mut self, before: Vec<IpAddr>) {
        let mut all = before;
        all.append(&mut self.was);
        let mut seen: BTreeSet<IpAddr> = self.now.iter().copied().collect();
        all.retain(|it| seen.insert(*it));
        self.was = all;
    }
}

/// How many lines are shown of many.
const SHOWN: usize = 10;

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        self.iter().try_for_each(|(host, entry)| writeln!(f, "{}", Line(host, entry)))
    }
}

/// A line of the file.
struct Line<'a>(&'a str, &'a Entry);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(host, entry) = self;
        f.write_str(host)?;
        entry.now.iter().try_for_each(|ip| write!(f, " {ip}"))?;
        if !entry.was.is_empty() {
            write!(f, " {WAS}")?;
        }
        entry.was.iter().try_for_each(|ip| write!(f, " {ip}"))
    }
}

/// The lines of a text without what ends them, each with its place.
fn lines(text: &str) -> Vec<(&str, Span)> {
    let mut start = 0;
    let split = text.split_inclusive('\n').map(|whole| {
        let line = whole.trim_end_matches(['\n', '\r']);
        let at = Span::new(start, start + line.len());
        start += whole.len();
        (line.trim_end(), at)
    });
    split.collect()
}

/// Refuses what git leaves in a file that it could not merge.
fn conflicts(lines: &[(&str, Span)], diags: &mut Diagnostics) -> Result<(), Reported> {
    let marks = ["<<<<<<<", "|||||||", "=======", ">>>>>>>"];
    let Some((_, at)) = lines.iter().find(|it| marks.iter().any(|mark| it.0.starts_with(mark))) else { return Ok(()) };
    Err(diags
        .error(Code::UnmergedLock, "the lock holds a merge conflict")
        .at(*at, "")
        .help("keep the lines of both sides and remove the marks; where a name stands twice, keep the line that is applied already")
        .help("then `meshlatch compile` says whether two names have one address")
        .reported())
}

fn first_line(first: &str, at: Span, diags: &mut Diagnostics) -> Reported {
    if first.starts_with(MARK) {
        let message = "the lock is of a format that this release does not know";
        let help = "use the release of meshlatch that wrote it, or a newer one";
        return diags.error(Code::InvalidLock, message).at(at, "").help(help).reported();
    }
    diags
        .error(Code::InvalidLock, "this is no lock of meshlatch: its first line is another")
        .at(at, "")
        .help(format!("its first line is `{FIRST_LINE}`"))
        .help("take the file from the last commit; deleted, it is written anew, and addresses may move")
        .reported()
}

/// Reads a line: a name, addresses, and behind `was` more of them.
fn entry(line: &str) -> Result<(&str, Entry), String> {
    let mut words = line.split_whitespace();
    let host = words.next().unwrap_or_default();
    let label =
        |it: &str| !it.is_empty() && it.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if line.starts_with(char::is_whitespace) {
        return Err("it begins with a space".to_owned());
    }
    if !host.contains('.') || !host.split('.').all(label) {
        let shown: String = host.chars().take(80).collect();
        return Err(format!("`{}` is no name of a service, such as `cart.shop.global`", shown.escape_debug()));
    }
    let mut entry = Entry::default();
    let mut seen = BTreeSet::new();
    let mut had = false;
    for word in words {
        if word == WAS && !had {
            had = true;
            continue;
        }
        let shown = || word.chars().take(80).collect::<String>();
        let ip: IpAddr = word.parse().map_err(|_| format!("`{}` is no address", shown().escape_debug()))?;
        if ip.to_canonical() != ip {
            return Err(format!("{ip} is an address of IPv4 in the dress of IPv6: write {}", ip.to_canonical()));
        }
        if !seen.insert(ip) {
            return Err(format!("{ip} stands twice"));
        }
        if had { entry.was.push(ip) } else { entry.now.push(ip) }
    }
    if entry.now.is_empty() && entry.was.is_empty() {
        return Err(format!("`{host}` has no address"));
    }
    if had && entry.was.is_empty() {
        return Err(format!("no address stands behind `{WAS}`"));
    }
    Ok((host, entry))
}
