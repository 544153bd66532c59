//! The table of faults on real processes: one code path for the test suite, which runs each row once, and for
//! `scripts/chaos.sh`, which runs each many times and prints what it saw.
//!
//! A row starts a cluster of its own, runs a query of which the answer is known, lets the fault happen, and asserts: that it
//! happened, by what processes wrote down when they failed ([`hearth_core::failpoint`]) or by what the proxy counted; that the
//! rows are right, or the one error clear; that nothing is left five seconds after the end. A row that is run without its fault
//! does all else, which gives the time that it is compared with.

mod executors;
mod ledger;
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
    Row { name: "A1", fault: "an executor is killed while it writes a map output", run: executors::killed_mid_map },
    Row { name: "A2", fault: "an executor is killed while it reads its input", run: executors::killed_mid_reduce },
    Row { name: "A5a", fault: "every executor dies, twice", run: executors::all_killed },
    Row { name: "A5b", fault: "every executor dies as soon as it starts", run: executors::all_killed_for_good },
    Row { name: "A20a", fault: "a task aborts its process", run: executors::poison_abort },
    Row { name: "A20b", fault: "a task breaks off by SIGSEGV", run: executors::poison_segv },
    Row { name: "A20c", fault: "a task overflows its stack", run: executors::poison_overflow },
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
        assert_eq!(named(&["A1", "A5b"]).unwrap(), ["A1", "A5b"]);
        assert_eq!(named(&[]).unwrap().len(), ROWS.len());
        assert!(named(&["A99"]).unwrap_err().contains("there is no row A99; there are A1, "));
    }
}
