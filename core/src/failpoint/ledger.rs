//! What happened, as files: the budget of all processes, and the proof.

use super::clause::Clause;
use std::{
    fmt::Write as _,
    fs, io,
    path::Path,
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// Firings of this process so far, for names.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Writes down that a clause fires; false when its budget is spent. The place is the clause's in the plan.
///
/// A firing is a file that is there whole or not at all: written under another name, and linked to its own, which only one of
/// all processes can do.
pub(super) fn enter(dir: &Path, place: usize, clause: &Clause, facts: &[(&str, String)]) -> bool {
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let pid = process::id();
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let mut line = format!("point={} deed={:?} pid={pid} at={millis}", clause.point, clause.action);
    for (name, value) in facts {
        let _ = write!(line, " {name}={}", value.replace(char::is_whitespace, "_"));
    }
    let draft = dir.join(format!("draft-{pid}-{count}"));
    fs::write(&draft, line).unwrap_or_else(|e| panic!("{}: {e}", draft.display()));
    let entered = match clause.budget {
        None => link(&draft, &dir.join(format!("fired-{place}-{pid}-{count}"))),
        Some(budget) => (0..budget).any(|n| link(&draft, &dir.join(format!("fired-{place}-{n}")))),
    };
    let _ = fs::remove_file(&draft);
    entered
}

fn link(draft: &Path, name: &Path) -> bool {
    match fs::hard_link(draft, name) {
        Ok(()) => true,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => false,
        Err(e) => panic!("{}: {e}", name.display()),
    }
}
