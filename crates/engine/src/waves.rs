//! How long a loop waits while many timers are due one shortly after the other.
//!
//! A wait and its end cost microseconds of the processor, most of them the kernel's. A loop with a hundred
//! thousand timers in a second would wait between each two of them. After a turn that ran timers such a loop
//! waits a little longer than until the next one, and then runs all that have become due. asyncio and loops
//! on libuv do the same at any time, because they wait for whole milliseconds.
//!
//! Few timers are waited for exactly, and so is the first of many. Called by [`crate::EventLoop`].

use crate::timers::{Timer, Timers};

/// From so many timers on one wait is for all of them.
const MANY: usize = 8;

/// When the present wave of timers began to run.
#[derive(Debug)]
pub struct Waves {
    began: f64,
}

impl Default for Waves {
    fn default() -> Self {
        Self { began: f64::NEG_INFINITY }
    }
}

impl Waves {
    /// Timers run at `now`: a wave begins, unless the last one began less than `slack` seconds ago.
    #[inline]
    pub fn note(&mut self, now: f64, slack: f64) {
        if !self.lasts(now, slack) {
            self.began = now;
        }
    }

    /// Until when to wait: the first deadline, or the end of the wave if many timers are due before that.
    #[inline]
    pub fn wait_until<T: Timer>(&self, first: f64, now: f64, slack: f64, timers: &Timers<T>) -> f64 {
        let end = self.began + slack;
        if first < end && self.lasts(now, slack) && timers.has_due(end, MANY) { end } else { first }
    }

    /// Whether the last wave still lasts; it does not if the clock was set back.
    #[inline]
    fn lasts(&self, now: f64, slack: f64) -> bool {
        (self.began..self.began + slack).contains(&now)
    }
}
