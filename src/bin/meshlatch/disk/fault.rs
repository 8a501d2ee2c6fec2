//! Faults: a run that stops, or whose disk fails, at a chosen step. No release build has them.
//!
//! `MESHLATCH_FAULT=stop:17` says `stopped` in place of the 17th step and waits to be killed, with
//! `fail:17:28` that step ends in error 28 of the system, with `fail:17-:28` all later ones do, too.

use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

enum Fault {
    Stop { at: usize },
    Fail { at: usize, later: bool, error: i32 },
}

static FAULT: OnceLock<Option<Fault>> = OnceLock::new();
static STEPS: AtomicUsize = AtomicUsize::new(0);

/// One step more.
pub(super) fn step() -> io::Result<()> {
    let Some(fault) = FAULT.get_or_init(read) else { return Ok(()) };
    let step = STEPS.fetch_add(1, Ordering::SeqCst) + 1;
    match *fault {
        Fault::Stop { at } if step >= at => {
            if step == at {
                io::stdout().write_all(b"stopped\n").and_then(|()| io::stdout().flush())?;
            }
            loop {
                std::thread::park();
            }
        }
        Fault::Fail { at, later, error } if step == at || later && step > at => {
            Err(io::Error::from_raw_os_error(error))
        }
        _ => Ok(()),
    }
}

#[expect(clippy::disallowed_methods, reason = "a test says so, and only the binary has an environment")]
fn read() -> Option<Fault> {
    let text = std::env::var("MESHLATCH_FAULT").ok()?;
    let fault = match text.split(':').collect::<Vec<_>>()[..] {
        ["stop", at] => at.parse().ok().map(|at| Fault::Stop { at }),
        ["fail", at, error] => {
            let later = at.ends_with('-');
            let numbers = at.trim_end_matches('-').parse().ok().zip(error.parse().ok());
            numbers.map(|(at, error)| Fault::Fail { at, later, error })
        }
        _ => None,
    };
    Some(fault.expect("MESHLATCH_FAULT is `stop:N`, `fail:N:ERROR` or `fail:N-:ERROR`"))
}
