//! The table of faults on real processes: one code path for the test suite, which runs each row once, and for
//! `scripts/chaos.sh`, which runs each many times and prints what it saw.
//!
//! A row starts a cluster of its own, runs a query of which the answer is known, lets the fault happen, and asserts: that it
//! happened, by what processes wrote down when they failed ([failpoints](mod@hearth_core::failpoint)) or by what the proxy counted; that the
//! rows are right, or the one error clear, within the row's bound; that nothing ran again but what was lost; that nothing is
//! left five seconds after the end. A row that is run without its fault does all else, which gives the time that it is compared
//! with.

mod daemons;
mod disks;
mod executors;
mod ledger;
mod left;
mod links;
mod loads;
mod memory;
#[cfg(feature = "sql")]
mod results;
mod services;
mod trial;
mod wires;
mod writes;

pub use ledger::Fired;
pub use left::files;
pub use trial::{ANSWER, Measured, QUERY, QUERY_ARGS, Trial};

use std::time::Duration;

/// A fault, and how it is tried.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name in the table, such as `A1`; a letter tells ways in which the same fault comes apart.
    pub name: &'static str,
    /// What happens.
    pub fault: &'static str,
    /// How long its query may take: the specification's time where it has one, else some three times what it takes on two cores,
    /// for machines that do other things too.
    pub bound: Duration,
    /// Tries it once; panics where a promise is broken.
    run: fn(&mut Trial),
}

impl Row {
    const fn new(name: &'static str, fault: &'static str, seconds: u64, run: fn(&mut Trial)) -> Self {
        Self { name, fault, bound: Duration::from_secs(seconds), run }
    }

    /// Runs it once, with its fault or without.
    ///
    /// # Panics
    /// Where a promise is broken.
    pub fn once(self, is_faulty: bool) -> Measured {
        let mut trial = Trial::new(is_faulty, self.bound);
        (self.run)(&mut trial);
        trial.proved()
    }
}

/// The table.
pub const ROWS: &[Row] = &[
    Row::new("A1a", "an executor is killed while it writes a map output", 20, executors::killed_mid_map),
    Row::new("A1b", "an executor is killed that served its outputs itself", 20, executors::killed_with_its_outputs),
    Row::new("A2", "an executor is killed while it reads its input", 20, executors::killed_mid_reduce),
    Row::new("A3a", "both block services are killed in the middle of an answer", 30, services::block_services_killed),
    Row::new("A3b", "a block service is killed, and its readers do not try again", 30, services::block_service_fails),
    Row::new("A4a", "a machine goes with its files", 30, daemons::worker_lost),
    Row::new("A4b", "a machine goes with the two disks that its files are on", 30, daemons::worker_lost_with_disks),
    Row::new("A5a", "every executor dies, twice", 20, executors::all_killed),
    Row::new("A5b", "every executor dies as soon as it starts", 35, executors::all_killed_for_good),
    Row::new("A6", "an output of random rows is lost and made again", 20, disks::other_rows),
    Row::new("A7", "the master is killed and started again", 30, daemons::master_killed),
    Row::new("A11a", "the driver is killed", 20, services::driver_killed),
    Row::new("A11b", "the driver stops without a word", 40, services::driver_silent),
    Row::new("A12", "a worker's daemon is killed, and started again", 30, daemons::worker_daemon_killed),
    Row::new("A13", "an executor stops in its commit, is given up, and goes on", 40, links::executor_stopped),
    Row::new("A14a", "the driver hears nothing from executors", 40, links::driver_deaf),
    Row::new("A14b", "executors hear nothing from the driver", 40, links::driver_mute),
    Row::new("A14c", "driver and executors hear nothing from each other", 40, links::driver_away),
    Row::new("A14d", "executors hear nothing from another machine's blocks", 40, wires::peers_parted),
    Row::new("A15a", "links to the driver break again and again, once for 9 s", 60, links::flapping),
    Row::new("A15b", "the wire of blocks breaks, half closes, loses and drips", 60, wires::lossy),
    Row::new("A16", "a node takes eight times as long for everything", 30, loads::slow_node),
    Row::new("A17a", "no space for map outputs, twice", 20, disks::no_space),
    Row::new("A17b", "the disk of map outputs gives errors, twice", 20, disks::broken_disk),
    Row::new("A18", "a join builds four times the memory that its tasks have", 60, memory::too_little),
    Row::new("A19", "the kernel kills an executor for memory", 60, memory::killed_by_the_kernel),
    Row::new("A20a", "a task aborts its process", 40, executors::poison_abort),
    Row::new("A20b", "a task breaks off by SIGSEGV", 40, executors::poison_segv),
    Row::new("A20c", "a task overflows its stack", 40, executors::poison_overflow),
    Row::new("A21", "news and orders come twice, late, out of order", 20, links::unordered_news),
    Row::new("A22a", "a write's attempt dies with its files staged", 20, writes::killed_when_staged),
    Row::new("A22b", "a write's attempt ends, and nobody hears of it", 20, writes::killed_when_answered),
    Row::new("A22c", "two attempts of a write live with their files staged", 30, writes::two_alive),
    Row::new("A22d", "a write's news come twice, over links that break", 30, writes::told_twice),
    #[cfg(feature = "sql")]
    Row::new("A25", "a result is larger than the driver may hold", 60, results::too_large),
    Row::new("A26", "one key has nine rows of ten, more than fit into memory", 60, memory::skewed_key),
    Row::new("A27a", "a served block is damaged on its disk", 20, disks::damaged_on_disk),
    Row::new("A27b", "a block read from its file is damaged", 20, disks::damaged_on_own_disk),
    Row::new("A27c", "a block is damaged as it arrives", 20, disks::damaged_on_arrival),
    Row::new("A27d", "a bit flips on the wire of blocks", 20, wires::damaged),
];

/// The rows that `names` says; all without any. A name without its letter is all of its letters.
pub fn rows(names: &[String]) -> Result<Vec<Row>, String> {
    let is = |row: &Row, name: &str| row.name == name || row.name.trim_end_matches(char::is_alphabetic) == name;
    if let Some(unknown) = names.iter().find(|name| !ROWS.iter().any(|row| is(row, name))) {
        let known: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        return Err(format!("there is no row {unknown}; there are {}", known.join(", ")));
    }
    Ok(ROWS.iter().filter(|row| names.is_empty() || names.iter().any(|name| is(row, name))).copied().collect())
}

/// Runs one row once, with its fault.
///
/// # Panics
/// Where a promise is broken, or there is no such row.
pub fn once(name: &str) {
    let row = ROWS.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("there is no row {name}"));
    row.once(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_by_its_name_with_or_without_letter() {
        let named = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            rows(&names).map(|rows| rows.iter().map(|row| row.name).collect::<Vec<_>>())
        };
        assert_eq!(named(&["A20"]).unwrap(), ["A20a", "A20b", "A20c"]);
        assert_eq!(named(&["A2", "A5b"]).unwrap(), ["A2", "A5b"]);
        assert_eq!(named(&[]).unwrap().len(), ROWS.len());
        assert!(named(&["A99"]).unwrap_err().contains("there is no row A99; there are A1a, "));
    }
}
