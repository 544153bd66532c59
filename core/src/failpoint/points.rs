//! Points that are reached.

use super::{
    VARIABLE,
    clause::{Action, Plan},
    deed::Deeds,
    ledger,
};
use bytes::{Bytes, BytesMut};
use std::{
    collections::BTreeMap,
    fmt::Display,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::FileExt,
    path::Path,
    sync::{Mutex, OnceLock, PoisonError},
};

/// Something that is known at a point.
pub type Fact<'a> = &'a (dyn Display + Sync);

/// How often a clause was met with the same known at its point.
#[derive(Debug, Default)]
struct Visits(Mutex<BTreeMap<u64, u64>>);

/// Those of this process.
static VISITS: Visits = Visits(Mutex::new(BTreeMap::new()));

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
    plan().map(|plan| due(plan, point, facts, &VISITS)).unwrap_or_default()
}

fn due(plan: &Plan, point: &str, facts: &[(&'static str, Fact<'_>)], visits: &Visits) -> Deeds {
    if plan.clauses.iter().all(|clause| clause.point != point) {
        return Deeds::default();
    }
    let mut known: Vec<_> = facts.iter().map(|(name, fact)| (*name, fact.to_string())).collect();
    let facts = known.clone();
    known.push(("dir", std::env::current_dir().unwrap_or_default().display().to_string()));
    let find = |key: &str| known.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone());
    let mut deeds = Deeds::default();
    for (place, clause) in plan.clauses.iter().enumerate() {
        let is_meant = clause.fits(point, find) && chance(plan.seed, place, &facts, visits) < clause.percent;
        if is_meant && ledger::enter(&plan.dir, place, clause, &known) {
            deeds.0.push(clause.action);
        }
    }
    deeds
}

/// 0 to 99, by the seed, the clause, what is known at its point, and how often this process was there knowing the same: neither
/// by where directories are, which tests choose by chance, nor by which thread comes first.
fn chance(seed: u64, place: usize, known: &[(&str, String)], visits: &Visits) -> u8 {
    let mut hasher = DefaultHasher::new();
    (seed, place).hash(&mut hasher);
    for (name, value) in known {
        // Of a path its end.
        let value = if value.starts_with('/') { value.rsplit('/').next().unwrap_or_default() } else { value };
        (name, value).hash(&mut hasher);
    }
    let mut visits = visits.0.lock().unwrap_or_else(PoisonError::into_inner);
    let visit = visits.entry(hasher.finish()).or_default();
    *visit += 1;
    visit.hash(&mut hasher);
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
        let at = |n: u32| due(&plan, "a", &[("n", &n)], &Visits::default());
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
    fn chance_is_drawn() {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan(dir.path(), "seed=3; a=note%30");
        let visits = Visits::default();
        let fired = (0..1000_u32).filter(|n| !due(&plan, "a", &[("n", n)], &visits).0.is_empty()).count();
        assert!((200..400).contains(&fired), "{fired}");
        // A message has nothing but its number.
        let said = (0..1000).filter(|_| !due(&plan, "a", &[], &visits).0.is_empty()).count();
        assert!((200..400).contains(&said), "{said}");
    }

    #[test]
    fn the_same_seed_draws_the_same_wherever_files_are_and_whoever_comes_first() {
        let draw = |seed, root: &str, order: &mut dyn Iterator<Item = u32>| {
            let visits = Visits::default();
            let at = |n: u32| {
                let known = [("n", n.to_string()), ("path", format!("{root}/shuffle_0_{n}_0"))];
                (n, [(); 3].map(|()| chance(seed, 0, &known, &visits)))
            };
            order.map(at).collect::<BTreeMap<_, _>>()
        };
        let one = draw(7, "/tmp/x", &mut (0..50));
        assert_eq!(one, draw(7, "/var/tmp/y", &mut (0..50).rev()));
        assert_ne!(one, draw(8, "/tmp/x", &mut (0..50)));
        assert!(one.values().any(|drawn| drawn[0] != drawn[1]), "each visit is another draw");
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
