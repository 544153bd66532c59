//! The table of faults, each row once; `scripts/chaos.sh` runs them many times.

use hearth_integration::real::chaos::{ROWS, once};

macro_rules! rows {
    ($($test:ident $row:literal)*) => {
        $(#[test] fn $test() { once($row); })*

        #[test]
        fn every_row_is_tested() {
            let tested = [$($row),*];
            let missing: Vec<_> = ROWS.iter().filter(|row| !tested.contains(&row.name)).map(|row| row.name).collect();
            assert!(missing.is_empty(), "{missing:?}");
        }
    };
}

rows! {
    a1 "A1"
    a2 "A2"
    a5a "A5a"
    a5b "A5b"
    a20a "A20a"
    a20b "A20b"
    a20c "A20c"
}
