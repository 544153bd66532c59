//! What S3, and stores that are like it, call an object that was put together of parts: the MD5 of the MD5s of the parts, and how
//! many they are. So it says whether an object is one's own, without a look at its bytes.
//!
//! Stores need not keep to it (objects that are encrypted with keys of their own, other providers): then nothing is said.

use arrow::datatypes::{DataType, Field};
use datafusion::{
    common::ScalarValue,
    functions::crypto,
    logical_expr::{ColumnarValue, ScalarFunctionArgs},
};
use std::sync::Arc;

/// Whether this is the tag of an object of these parts, which are called as their uploads were answered.
pub(super) fn is_of_parts(tag: &str, parts: &[String]) -> bool {
    of_parts(parts).is_some_and(|of_parts| of_parts.eq_ignore_ascii_case(tag.trim_matches('"')))
}

fn of_parts(parts: &[String]) -> Option<String> {
    let sums: Option<Vec<[u8; 16]>> = parts.iter().map(|part| md5_of(part.trim_matches('"'))).collect();
    Some(format!("{}-{}", md5(sums?.concat())?, parts.len()))
}

fn md5_of(hex: &str) -> Option<[u8; 16]> {
    let valid = hex.len() == 32 && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
    valid.then(|| u128::from_str_radix(hex, 16).ok()).flatten().map(u128::to_be_bytes)
}

/// In hex. By the function that SQL has: another library would do nothing else.
fn md5(bytes: Vec<u8>) -> Option<String> {
    let field = |name: &str, kind| Arc::new(Field::new(name, kind, false));
    let args = ScalarFunctionArgs {
        args: vec![ColumnarValue::Scalar(ScalarValue::Binary(Some(bytes)))],
        arg_fields: vec![field("bytes", DataType::Binary)],
        number_rows: 1,
        return_field: field("md5", DataType::Utf8View),
        config_options: Arc::default(),
    };
    match crypto::md5().invoke_with_args(args) {
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8View(hex))) => hex,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reckoned with another tool: `md5sum`, of the bytes that the hex digits stand for.
    #[test]
    fn the_tag_is_the_md5_of_the_md5s_and_their_number() {
        let parts = ["\"0cc175b9c0f1b6a831c399e269772661\"", "92eb5ffee6ae2fec3ad71c777531578f"].map(String::from);
        assert!(is_of_parts("\"96e024ba2074fe77e8e965ba43a704be-2\"", &parts));
        assert!(is_of_parts("b6ff9a06b7e20bcb2858c5b8ff744aea-1", &parts[..1]));
        assert!(
            !is_of_parts("96e024ba2074fe77e8e965ba43a704be-2", &parts[..1])
                && !is_of_parts("b6ff9a06b7e20bcb2858c5b8ff744aea-1", &parts)
        );
        assert!(!is_of_parts("0cc175b9c0f1b6a831c399e269772661", &parts[..1]), "an object that was put whole");
        for other in ["", "AAAAB3NzaC1yc2E=", "0cc175b9c0f1b6a831c399e26977266", "+cc175b9c0f1b6a831c399e269772661"] {
            assert_eq!(of_parts(&[other.to_owned()]), None, "{other}");
        }
    }
}
