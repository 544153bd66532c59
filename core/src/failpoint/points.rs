//! Points that are reached.

use super::{
    VARIABLE,
    clause::{Action, Plan},
    deed::Deeds,
    ledger,
};
use bytes::{Bytes, BytesMut};
use std::{
    fmt::Display,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Something that is known at a point.
pub type Fact<'a> = &'a (dyn Display + Sync);

/// Times that this process came to a point with a plan, for chance.
static VISITS: AtomicU64 = AtomicU64::new(0);

/// What the variable says, if anything.
fn plan() -> Option<&'static Plan> {
    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    let read = || {
        let text = std::env::var(VARIABLE).ok()?;
        Some(Plan::parse(&text).unwrap_or_else(|e| panic!("{VARIABLE}: {e}")))
    };
    PLAN.get_or_init(read).as_ref()
}

/// Whether anything may ever be due at a point.
pub(super) fn is_set(point: &str) -> bool {
    plan().is_some_and(|plan| plan.clauses.iter().any(|clause| clause.point == point))
}

/// What is due at this point, now. It is written down already.
pub fn reached(point: &str, facts: &[(&'static str, Fact<'_>)]) -> Deeds {
    plan().map(|plan| due(plan, point, facts)).unwrap_or_default()
}

fn due(plan: &Plan, point: &str, facts: &[(&'static str, Fact<'_>)]) -> Deeds {
    if plan.clauses.iter().all(|clause| clause.point != point) {
        return Deeds::default();
    }
    let mut known: Vec<_> = facts.iter().map(|(name, fact)| (*name, fact.to_string())).collect();
    known.push(("dir", std::env::current_dir().unwrap_or_default().display().to_string()));
    let find = |key: &str| known.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone());
    let mut deeds = Deeds::default();
    for (place, clause) in plan.clauses.iter().enumerate() {
        let is_meant = clause.fits(point, find) && chance(plan.seed, point, &known) < clause.percent;
        if is_meant && ledger::enter(&plan.dir, place, clause, &known) {
            deeds.0.push(clause.action);
        }
    }
    deeds
}

/// 0 to 99.
fn chance(seed: u64, point: &str, known: &[(&str, String)]) -> u8 {
    let mut hasher = DefaultHasher::new();
    (seed, point, known, VISITS.fetch_add(1, Ordering::Relaxed)).hash(&mut hasher);
    u8::try_from(hasher.finish() % 100).expect("below 100")
}

/// Bytes as they pass a point.
pub fn flipped(point: &str, facts: &[(&'static str, Fact<'_>)], bytes: Bytes) -> Bytes {
    if bytes.is_empty() || !reached(point, facts).contains(Action::Flip) {
        return bytes;
    }
    let mut other = BytesMut::from(&bytes[..]);
    other[bytes.len() / 2] ^= 0x10;
    other.freeze()
}

/// Flips a bit in the middle of a file.
pub fn damage(point: &str, facts: &[(&'static str, Fact<'_>)], path: &Path) {
    if !reached(point, facts).contains(Action::Flip) {
        return;
    }
    let flip = || {
        let middle = fs::metadata(path)?.len() / 2;
        let file = File::options().read(true).write(true).open(path)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, middle)?;
        file.write_all_at(&[byte[0] ^ 0x10], middle)
    };
    flip().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(dir: &Path, clauses: &str) -> Plan {
        Plan::parse(&format!("dir={};{clauses}", dir.display())).unwrap()
    }

    #[test]
    fn a_budget_is_shared_and_each_firing_is_written_down() {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan(dir.path(), "a[n>=2]=io*2; a=note; b=kill");
        let at = |n: u32| due(&plan, "a", &[("n", &n)]);
        assert_eq!(at(1).0, [Action::Note]);
        assert_eq!(at(2).0, [Action::Io, Action::Note]);
        assert_eq!(at(3).0, [Action::Io, Action::Note]);
        assert_eq!(at(4).0, [Action::Note], "the budget is spent");
        let mut names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names.iter().filter(|name| name.starts_with("fired-0-")).count(), 2, "{names:?}");
        assert_eq!(names.len(), 6, "{names:?}");
        let line = fs::read_to_string(dir.path().join("fired-0-1")).unwrap();
        assert!(line.starts_with("point=a deed=Io pid=") && line.contains(" n=3 "), "{line}");
    }

    #[test]
    fn chance_is_drawn_and_the_same_seed_draws_alike() {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan(dir.path(), "seed=3; a=note%30");
        let fired = (0..1000_u32).filter(|n| !due(&plan, "a", &[("n", n)]).0.is_empty()).count();
        assert!((200..400).contains(&fired), "{fired}");
    }

    #[tokio::test]
    async fn errors_are_those_of_the_system() {
        assert_eq!(Deeds(vec![Action::NoSpace]).perform().await.unwrap_err().raw_os_error(), Some(28));
        assert_eq!(Deeds(vec![Action::Note, Action::Io]).perform_blocking().unwrap_err().raw_os_error(), Some(5));
    }

    #[test]
    fn one_bit_of_a_file_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, [0; 9]).unwrap();
        // Without a plan nothing happens.
        damage("a", &[], &path);
        assert_eq!(fs::read(&path).unwrap(), [0; 9]);
        assert_eq!(flipped("a", &[], Bytes::from_static(b"abc")), "abc");
    }
}
