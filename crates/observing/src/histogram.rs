//! [`Histogram`]: times by their length, in buckets that grow with the length; and [`Recent`], a histogram of
//! the last minute or two.
//!
//! A bucket is at most an eighth wide of the times in it, from a microsecond up to more than an hour. The
//! memory is of a fixed size. Used by yibu-python's observation of loops.

use std::time::Duration;

/// Buckets for each power of two.
const PARTS: usize = 8;
/// Powers of two, in microseconds: the last bucket begins after more than an hour.
const POWERS: usize = 32;

/// Counts of times.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u64; PARTS * POWERS]>,
    count: u64,
    sum: Duration,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; PARTS * POWERS]), count: 0, sum: Duration::ZERO, max: Duration::ZERO }
    }
}

/// The bucket of a number of microseconds: exact below [`PARTS`], then the power of two and the next three
/// bits.
fn bucket(micros: u64) -> usize {
    if micros < PARTS as u64 {
        return micros as usize;
    }
    let power = micros.ilog2() as usize;
    let part = (micros >> (power - 3)) as usize & (PARTS - 1);
    (PARTS * (power - 2) + part).min(PARTS * POWERS - 1)
}

/// The longest time of a bucket.
fn longest(bucket: usize) -> Duration {
    if bucket < PARTS {
        return Duration::from_micros(bucket as u64 + 1);
    }
    let power = bucket / PARTS + 2;
    let part = (bucket % PARTS) as u64;
    Duration::from_micros((PARTS as u64 + part + 1) << (power - 3))
}

impl Histogram {
    /// Adds a time, `count` times over.
    pub fn add(&mut self, time: Duration, count: u64) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(micros)] += count;
        self.count += count;
        self.sum = self.sum.saturating_add(time.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX)));
        self.max = self.max.max(time);
    }

    /// Adds what another one has.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts.iter()) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    /// How many times were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The longest one.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The time that this part of the times does not exceed; too long by an eighth at most. Zero when there
    /// are none.
    pub fn quantile(&self, part: f64) -> Duration {
        let wanted = ((self.count as f64 * part).ceil() as u64).max(1);
        let mut so_far = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            so_far += count;
            if so_far >= wanted {
                return longest(bucket).min(self.max);
            }
        }
        self.max
    }

    /// How many times are not longer than each of these limits, which rise; exact to a bucket.
    pub fn at_most<const N: usize>(&self, limits: [Duration; N]) -> [u64; N] {
        let mut so_far = 0;
        let mut next = 0;
        limits.map(|limit| {
            while next < PARTS * POWERS && longest(next) <= limit {
                so_far += self.counts[next];
                next += 1;
            }
            so_far
        })
    }
}

/// The times of the last one or two windows.
#[derive(Debug)]
pub struct Recent {
    window: f64,
    began: f64,
    current: Histogram,
    former: Histogram,
}

impl Recent {
    /// An empty one, whose windows are this many seconds long.
    pub fn new(window: f64, now: f64) -> Self {
        Self { window, began: now, current: Histogram::default(), former: Histogram::default() }
    }

    /// Adds a time, `count` times over.
    pub fn add(&mut self, now: f64, time: Duration, count: u64) {
        self.move_on(now);
        self.current.add(time, count);
    }

    /// The times of the window that began last and of the one before it.
    pub fn summary(&mut self, now: f64) -> Histogram {
        self.move_on(now);
        let mut all = self.former.clone();
        all.merge(&self.current);
        all
    }

    fn move_on(&mut self, now: f64) {
        let over = now - self.began;
        if over < self.window {
            return;
        }
        let current = std::mem::take(&mut self.current);
        self.former = if over < 2.0 * self.window { current } else { Histogram::default() };
        self.began = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn micros(count: u64) -> Duration {
        Duration::from_micros(count)
    }

    #[test]
    fn buckets_rise_and_hold_their_times() {
        let mut last = 0;
        for time in
            (0..5000).chain((13..32).flat_map(|power| [1 << power, (1 << power) + 1, (2 << power) - 1]))
        {
            let index = bucket(time);
            assert!(index >= last && index - last <= 1 || time >= 8192, "{time}");
            assert!(micros(time) < longest(index), "{time}");
            assert!(longest(index).as_micros() as u64 <= (time + 1) + time / 8 + 1, "{time}");
            last = index;
        }
        assert_eq!(bucket(u64::MAX), PARTS * POWERS - 1);
    }

    #[test]
    fn quantiles_are_a_little_too_long_at_most() {
        let mut histogram = Histogram::default();
        assert_eq!(
            (histogram.quantile(0.5), histogram.max(), histogram.count()),
            (Duration::ZERO, Duration::ZERO, 0)
        );
        for time in 1..=1000 {
            histogram.add(micros(time), 1);
        }
        for (part, exact) in [(0.5, 500), (0.99, 990), (1.0, 1000)] {
            let found = histogram.quantile(part);
            assert!(found >= micros(exact) && found <= micros(exact + exact / 8 + 1), "{part}: {found:?}");
        }
        assert_eq!((histogram.max(), histogram.count()), (micros(1000), 1000));
        assert_eq!(histogram.sum(), micros(500_500));
    }

    #[test]
    fn weights_and_limits() {
        let mut histogram = Histogram::default();
        histogram.add(micros(10), 3);
        histogram.add(micros(3000), 1);
        assert_eq!(histogram.at_most([micros(5), micros(100), micros(10_000)]), [0, 3, 4]);
        assert_eq!(histogram.sum(), micros(3030));
        assert!(histogram.quantile(0.75) < micros(20));
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut recent = Recent::new(60.0, 0.0);
        recent.add(1.0, micros(1), 1);
        recent.add(61.0, micros(2), 1);
        assert_eq!(recent.summary(100.0).count(), 2);
        assert_eq!(recent.summary(122.0).count(), 1);
        recent.add(130.0, micros(3), 1);
        assert_eq!(recent.summary(500.0).count(), 0);
    }
}
