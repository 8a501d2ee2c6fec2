//! Reading what a run is given: the topology, and addresses from elsewhere.
#![expect(clippy::disallowed_types, reason = "the binary is where files are read")]

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use meshlatch::diag::Diagnostics;
use meshlatch::inputs::Inputs;
use meshlatch::syntax;

use crate::args::{AddressArgs, AddressValue, TopologyArgs};
use crate::failure::Failure;
use crate::files::{Files, beside};

/// The files of the topology, each with its name; one byte more than allowed if they are too large.
pub(crate) fn topology(args: &TopologyArgs, topology: &Files) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let stdin = topology.all().iter().chain(files(&args.addresses)).filter(|it| is_stdin(it)).count();
    if stdin > 1 {
        return Err(Failure::new("standard input can be read only once").help("give all but one as files"));
    }
    let mut texts = Vec::new();
    let mut left = syntax::MAX_BYTES + 1;
    for path in topology.all() {
        let bytes = read_most(path, left).map_err(|error| unread(path, &error))?;
        left -= bytes.len();
        texts.push((name(path), bytes));
        if left == 0 {
            break;
        }
    }
    Ok(texts)
}

/// Says that a file of the topology could not be read.
pub(crate) fn unread(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::io("read", path, error);
    let folder = beside(path, "d");
    match error.kind() {
        io::ErrorKind::NotFound if folder.is_dir() => {
            failure.help(format!("to read the folder alone, name it: `{}`", folder.display()))
        }
        io::ErrorKind::NotFound => failure.help("`meshlatch init` writes one to start from"),
        _ => failure,
    }
}

/// The addresses: those of files first, for what stands on the command line has the last word.
pub(crate) fn addresses(args: &AddressArgs, diags: &mut Diagnostics) -> Result<Inputs, Failure> {
    let mut inputs = Inputs::default();
    for path in &args.addresses {
        inputs.merge_file(&name(path), &text(path)?, diags);
    }
    for address in &args.address {
        match &address.value {
            AddressValue::Text(text) => inputs.set(&address.name, text),
            AddressValue::File(path) => inputs.set_from_file(&address.name, &name(path), &text(path)?, diags),
        }
    }
    Ok(inputs)
}

/// What to call a file in messages.
pub(crate) fn name(path: &Path) -> String {
    if is_stdin(path) { "<stdin>".to_owned() } else { path.display().to_string() }
}

fn files(args: &AddressArgs) -> impl Iterator<Item = &std::path::PathBuf> {
    let named = args.address.iter().filter_map(|it| match &it.value {
        AddressValue::File(path) => Some(path),
        AddressValue::Text(_) => None,
    });
    args.addresses.iter().chain(named)
}

fn text(path: &Path) -> Result<String, Failure> {
    let bytes = read(path).map_err(|error| Failure::io("read", path, &error))?;
    if bytes.len() > syntax::MAX_BYTES {
        return Err(Failure::new(format!("{} is larger than any list of addresses", name(path))));
    }
    String::from_utf8(bytes).map_err(|_| Failure::new(format!("{} is not UTF-8 text", name(path))))
}

/// Whether a path means standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// One byte more than is allowed tells a file that is too large; the rest of it is never read.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_most(path, syntax::MAX_BYTES + 1)
}

fn read_most(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(limit).expect("the limit is small");
    let mut bytes = Vec::new();
    if is_stdin(path) {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
