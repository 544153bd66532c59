//! Holds `docs/configuration.md` to the table of keys.

use super::{Reader, keys};
use std::fmt::Write;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");

/// The rows of one reader's table.
fn table(reader: Reader) -> String {
    let mut out = String::from("| key | default | meaning |\n|---|---|---|\n");
    for entry in keys::all().filter(|entry| entry.reader == reader) {
        let default = if entry.default.is_empty() { "unset".into() } else { format!("`{}`", entry.default) };
        let _ = writeln!(out, "| `{}` | {default} | {} |", entry.name, entry.doc.trim());
    }
    out
}

#[test]
fn the_page_on_configuration_shows_the_table_of_keys() {
    let page = std::fs::read_to_string(PATH).unwrap_or_else(|e| panic!("{PATH}: {e}"));
    let tables: Vec<&str> = page.split("\n\n").filter(|part| part.starts_with("| key | default |")).collect();
    assert_eq!(tables.len(), Reader::ALL.len(), "one table a reader");
    for (reader, found) in Reader::ALL.into_iter().zip(tables) {
        let expected = table(reader);
        assert_eq!(
            found.trim_end(),
            expected.trim_end(),
            "docs/configuration.md, {reader:?}; it should be:\n{expected}"
        );
    }
}
