//! The kernel's monotonic clock, as `time.monotonic()` reads it. Called by the epoll driver; calls rustix.

use rustix::time::{ClockId, clock_gettime};

/// Seconds of `CLOCK_MONOTONIC`, rounded as CPython rounds: whole nanoseconds over 1e9.
#[inline]
pub(crate) fn monotonic() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    (now.tv_sec * 1_000_000_000 + now.tv_nsec as i64) as f64 / 1e9
}

/// Whether `CLOCK_MONOTONIC` shows `seconds` or more. The coarse clock costs less and is
/// a few milliseconds late, so a time more than two seconds after it is certainly not due.
#[inline]
pub(crate) fn is_due(seconds: f64) -> bool {
    let coarse = clock_gettime(ClockId::MonotonicCoarse);
    seconds - coarse.tv_sec as f64 <= 2.0 && seconds <= monotonic()
}

/// A tick count that costs less than half of [`monotonic`] and changes every few milliseconds.
#[inline]
pub(crate) fn tick() -> i64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    now.tv_sec.wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as i64)
}
