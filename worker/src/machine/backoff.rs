//! When to try again.

use std::time::Duration;

/// Quick tries, which Spark has not: a master that was restarted, or a link that broke, should be noticed fast. Each is
/// varied by half, up and down.
const QUICK: [Duration; 5] = [millis(100), millis(200), millis(500), millis(1000), millis(2000)];
/// Then Spark's: 6 tries at 5 to 15 s …
const SOON: (u32, Duration, Duration) = (6, Duration::from_secs(5), Duration::from_secs(15));
/// … and 16 at 30 to 90 s.
const LATE: (u32, Duration, Duration) = (16, Duration::from_secs(30), Duration::from_secs(90));

/// How many times a lost master is dialed again before the worker gives up.
pub(super) const TRIES: u32 = QUICK.len() as u32 + SOON.0 + LATE.0;

/// The first and the longest delay before the block service is started again.
const RESPAWN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// How long to wait after `failed` failures before the next try; nothing when there is no next. `jitter` is 0 to 1000.
pub(super) fn before_dial(failed: u32, jitter: u32) -> Option<Duration> {
    let between = |low: Duration, high: Duration| low + (high - low) * jitter.min(1000) / 1000;
    if let Some(quick) = QUICK.get(failed as usize) {
        return Some(between(*quick / 2, *quick * 3 / 2));
    }
    let failed = failed - QUICK.len() as u32;
    match failed {
        _ if failed < SOON.0 => Some(between(SOON.1, SOON.2)),
        _ if failed < SOON.0 + LATE.0 => Some(between(LATE.1, LATE.2)),
        _ => None,
    }
}

/// How long to wait before the block service is started again after `deaths` deaths in a row.
pub(super) fn before_respawn(deaths: u32) -> Duration {
    let doubled = deaths.saturating_sub(1).min(16);
    (RESPAWN.0 * (1 << doubled)).min(RESPAWN.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dials_follow_the_specification_after_the_quick_ones() {
        let range = |failed| Some((before_dial(failed, 0)?.as_millis(), before_dial(failed, 1000)?.as_millis()));
        let quick: Vec<_> = (0..5).map_while(range).collect();
        assert_eq!(quick, [(50, 150), (100, 300), (250, 750), (500, 1500), (1000, 3000)]);
        assert!((5..11).all(|n| range(n) == Some((5_000, 15_000))));
        assert!((11..27).all(|n| range(n) == Some((30_000, 90_000))));
        assert_eq!(range(27), None);
        assert_eq!(TRIES, 27);
        assert_eq!(before_dial(5, 500), Some(Duration::from_secs(10)));
        assert_eq!(before_dial(5, 99_999), Some(Duration::from_secs(15)), "a chance out of bounds is cut");
    }

    #[test]
    fn respawns_double_up_to_ten_seconds() {
        let delays: Vec<_> = (1..=9).map(|n| before_respawn(n).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(before_respawn(u32::MAX), Duration::from_secs(10));
    }
}
