//! The scale factor of a TPC-H database, and its name as a schema.

use std::fmt;

/// A scale factor between [`Scale::MIN`] and [`Scale::MAX`]; at 1 the raw data are about 1 GB.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Scale(f64);

impl Scale {
    /// Here `supplier` has ten rows. Far below it would have none, and the generator divides by their number.
    pub const MIN: f64 = 0.001;
    /// The largest that TPC-H defines: 100 TB.
    pub const MAX: f64 = 100_000.0;

    /// A scale of this factor, or `None` outside the bounds.
    pub fn new(factor: f64) -> Option<Self> {
        (Self::MIN..=Self::MAX).contains(&factor).then_some(Self(factor))
    }

    /// The scale that a schema name stands for: `sf10` is 10, `sf0_01` is 0.01.
    ///
    /// A leading zero is refused: `sf01` is more likely to mean `sf0_1` than `sf1`.
    pub fn from_schema_name(name: &str) -> Option<Self> {
        let number = name.strip_prefix("sf")?;
        let (whole, fraction) = match number.split_once('_') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (number, None),
        };
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if !digits(whole) || leading_zero || !fraction.is_none_or(digits) {
            return None;
        }
        Self::new(format!("{whole}.{}", fraction.unwrap_or("0")).parse().ok()?)
    }

    /// The factor.
    pub const fn factor(self) -> f64 {
        self.0
    }

    /// The schema's name: the inverse of [`Scale::from_schema_name`].
    pub fn schema_name(self) -> String {
        format!("sf{self}").replace('.', "_")
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_factors() {
        for (name, factor) in [("sf1", 1.0), ("sf10", 10.0), ("sf0_01", 0.01), ("sf0_001", 0.001), ("sf100000", 1e5)] {
            let scale = Scale::from_schema_name(name).unwrap();
            assert_eq!(scale.factor(), factor);
            assert_eq!(scale.schema_name(), name);
        }
        assert_eq!(Scale::from_schema_name("sf1_50").unwrap().schema_name(), "sf1_5");
    }

    #[test]
    fn what_is_no_scale() {
        let names = [
            "", "sf", "sf_", "sf_1", "sf1_", "sf0", "sf0_0009", "sf100001", "sf01", "sf1e3", "sf-1", "sf+1", "sf1.5",
            "sf1_2_3", "SF1", "sfinf", "sfNaN", "sf٣", "public",
        ];
        for name in names {
            assert_eq!(Scale::from_schema_name(name), None, "{name}");
        }
        assert_eq!(Scale::from_schema_name(&format!("sf{}", "9".repeat(400))), None);
        assert_eq!(Scale::new(f64::NAN), None);
    }
}
