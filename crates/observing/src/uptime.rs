//! A clock for ages and samples. Unlike the loop's clock, a program cannot replace it. Called by whatever
//! observes.

use std::sync::OnceLock;
use std::time::Instant;

/// Nanoseconds since this was asked for the first time, and at least 1: a time for places where 0 stands for
/// none.
pub fn nanoseconds() -> u64 {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    let elapsed = BEGINNING.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX).max(1)
}
