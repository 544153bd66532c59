//! What sizes and durations have in common: a whole number and a unit.

/// The number and the unit in lower case; else what is wrong with the text. `fraction` says that what it stands for has none.
pub(super) fn split(text: &str, fraction: &'static str) -> Result<(u64, String), &'static str> {
    let trimmed = text.trim();
    let end = trimmed.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(trimmed.len());
    let (digits, suffix) = trimmed.split_at(end);
    if digits.is_empty() {
        return Err("it does not begin with a digit");
    }
    if suffix.starts_with(['.', ',']) {
        return Err(fraction);
    }
    // What does not fit is above every limit.
    Ok((digits.parse().unwrap_or(u64::MAX), suffix.trim_start().to_ascii_lowercase()))
}
