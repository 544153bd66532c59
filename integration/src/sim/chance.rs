//! All chance of a simulation comes from one seed.

use std::time::Duration;

/// SplitMix64: tiny, and the same everywhere, so that a seed means the same run for ever.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The chance of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// How far it has come: whoever drew anything else is somewhere else.
    pub(super) const fn state(&self) -> u64 {
        self.0
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from `low` to `high`, both included.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.bits() % (high - low + 1)
    }

    /// A number from `low` to `high`, both included.
    pub fn number(&mut self, low: u32, high: u32) -> u32 {
        u32::try_from(self.between(u64::from(low), u64::from(high))).expect("it is not above `high`")
    }

    /// True once in `n` times.
    pub const fn once_in(&mut self, n: u64) -> bool {
        self.bits().is_multiple_of(n)
    }

    /// A time from `low` to `high` milliseconds.
    pub const fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }

    /// One of some things; nothing when there are none.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let last = of.len().checked_sub(1)?;
        Some(of[self.index(last)])
    }

    /// A place from 0 to `last`.
    pub fn index(&mut self, last: usize) -> usize {
        usize::try_from(self.between(0, last as u64)).expect("it is not above `last`")
    }

    /// The jitter that a dialer's events carry: 0 to 1000.
    pub fn jitter(&mut self) -> u32 {
        self.number(0, 1000)
    }
}

/// Stirs 64 bits.
pub(super) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
