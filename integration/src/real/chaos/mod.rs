//! The table of faults on real processes: one code path for the test suite, which runs each row once, and for
//! `scripts/chaos.sh`, which runs each many times and prints what it saw.
//!
//! A row starts a cluster of its own, runs a query of which the answer is known, lets the fault happen, and asserts: that it
//! happened, by what processes wrote down when they failed ([failpoints](mod@hearth_core::failpoint)) or by what the proxy counted; that the
//! rows are right, or the one error clear; that nothing is left five seconds after the end. A row that is run without its fault
//! does all else, which gives the time that it is compared with.

mod disks;
mod executors;
mod ledger;
mod links;
mod loads;
#[cfg(feature = "sql")]
mod results;
mod services;
mod trial;

pub use ledger::Fired;
pub use trial::{Measured, Trial};

/// A fault, and how it is tried.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name in the table, such as `A1`; a letter tells ways in which the same fault comes apart.
    pub name: &'static str,
    /// What happens.
    pub fault: &'static str,
    /// Tries it once; panics where a promise is broken.
    pub run: fn(&mut Trial),
}

/// The table.
pub const ROWS: &[Row] = &[
    Row { name: "A1a", fault: "an executor is killed while it writes a map output", run: executors::killed_mid_map },
    Row {
        name: "A1b",
        fault: "an executor is killed that served its outputs itself",
        run: executors::killed_with_its_outputs,
    },
    Row { name: "A2", fault: "an executor is killed while it reads its input", run: executors::killed_mid_reduce },
    Row {
        name: "A3",
        fault: "both block services are killed in the middle of an answer",
        run: services::block_service_killed,
    },
    Row { name: "A4", fault: "a machine goes with its files", run: services::worker_lost },
    Row { name: "A5a", fault: "every executor dies, twice", run: executors::all_killed },
    Row { name: "A5b", fault: "every executor dies as soon as it starts", run: executors::all_killed_for_good },
    Row { name: "A6", fault: "an output of random rows is lost and made again", run: disks::other_rows },
    Row { name: "A11a", fault: "the driver is killed", run: services::driver_killed },
    Row { name: "A11b", fault: "the driver stops without a word", run: services::driver_silent },
    Row {
        name: "A13",
        fault: "an executor stops in its commit, is given up, and goes on",
        run: links::executor_stopped,
    },
    Row { name: "A14a", fault: "the driver hears nothing from executors", run: links::driver_deaf },
    Row { name: "A14b", fault: "executors hear nothing from the driver", run: links::driver_mute },
    Row { name: "A14c", fault: "driver and executors hear nothing from each other", run: links::driver_away },
    Row { name: "A14d", fault: "executors hear nothing from another machine's blocks", run: links::peers_parted },
    Row { name: "A15a", fault: "links to the driver break again and again", run: links::flapping },
    Row { name: "A15b", fault: "the wire of blocks breaks, half closes and drips", run: links::lossy },
    Row { name: "A16", fault: "a task never ends on its node", run: loads::slow_node },
    Row { name: "A17a", fault: "no space for map outputs, twice", run: disks::no_space },
    Row { name: "A17b", fault: "the disk of map outputs gives errors, twice", run: disks::broken_disk },
    Row { name: "A20a", fault: "a task aborts its process", run: executors::poison_abort },
    Row { name: "A20b", fault: "a task breaks off by SIGSEGV", run: executors::poison_segv },
    Row { name: "A20c", fault: "a task overflows its stack", run: executors::poison_overflow },
    Row { name: "A21", fault: "news and orders come twice, late, out of order", run: links::unordered_news },
    Row { name: "A22a", fault: "a write's attempt dies with its files staged", run: disks::killed_when_staged },
    Row { name: "A22b", fault: "a write's attempt ends, and nobody hears of it", run: disks::killed_when_answered },
    #[cfg(feature = "sql")]
    Row { name: "A25", fault: "a result is larger than the driver may hold", run: results::too_large },
    Row { name: "A26", fault: "one key has nine rows of ten", run: loads::skewed_key },
    Row { name: "A27a", fault: "a served block is damaged on its disk", run: disks::damaged_on_disk },
    Row { name: "A27b", fault: "a block read from its file is damaged", run: disks::damaged_on_own_disk },
    Row { name: "A27c", fault: "blocks are damaged on the wire", run: disks::damaged_on_wire },
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
    (row.run)(&mut Trial::new(true));
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
