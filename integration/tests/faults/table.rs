//! The table of faults, each row once; `scripts/chaos.sh` runs them many times.

use hearth_integration::real::chaos::{ROWS, once};

macro_rules! rows {
    ($($(#[$when:meta])* $test:ident $row:literal)*) => {
        $($(#[$when])* #[test] fn $test() { once($row); })*

        #[test]
        fn every_row_is_tested() {
            let tested = [$($row),*];
            let missing: Vec<_> = ROWS.iter().filter(|row| !tested.contains(&row.name)).map(|row| row.name).collect();
            assert!(missing.is_empty(), "{missing:?}");
        }
    };
}

rows! {
    a1a "A1a"
    a1b "A1b"
    a2 "A2"
    a3a "A3a"
    a3b "A3b"
    a4a "A4a"
    a4b "A4b"
    a5a "A5a"
    a5b "A5b"
    a6 "A6"
    a7 "A7"
    a11a "A11a"
    a11b "A11b"
    a12 "A12"
    a13 "A13"
    a14a "A14a"
    a14b "A14b"
    a14c "A14c"
    a14d "A14d"
    a15a "A15a"
    a15b "A15b"
    a16 "A16"
    a17a "A17a"
    a17b "A17b"
    a18 "A18"
    a19 "A19"
    a20a "A20a"
    a20b "A20b"
    a20c "A20c"
    a21 "A21"
    a22a "A22a"
    a22b "A22b"
    a22c "A22c"
    a22d "A22d"
    #[cfg(feature = "sql")] a25 "A25"
    a26 "A26"
    a27a "A27a"
    a27b "A27b"
    a27c "A27c"
    a27d "A27d"
}
