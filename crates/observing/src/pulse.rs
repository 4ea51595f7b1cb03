//! [`Pulse`]: what a thread without the interpreter may see of a loop: how many steps it has begun, how often
//! it has parked, and which thread runs it. Two equal snapshots of a loop that is not parked mean that one
//! step has been running all the while, so a watchdog needs no clock in the loop.
//!
//! Written by the thread that runs the loop, read by any.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use yibu_driver::threads::{self, ThreadId};

/// The counters of one loop.
#[derive(Default)]
pub struct Pulse {
    steps: AtomicU64,
    /// Odd while the loop is parked: while it waits for something to do.
    park_count: AtomicU64,
    /// The kernel's number of the thread that runs the loop; 0 while none does.
    thread: AtomicI32,
}

/// The counters of a loop at one moment. They stay equal while one step runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// How many steps the loop has begun.
    pub steps: u64,
    /// How often it has parked, counted twice.
    pub park_count: u64,
    /// The thread that runs the loop.
    pub thread: ThreadId,
}

impl Pulse {
    /// The number of steps that were begun; while one runs it is the number of that one, counted from 1.
    #[inline]
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// How often the loop has parked.
    #[inline]
    pub fn park_count(&self) -> u64 {
        self.park_count.load(Ordering::Relaxed).div_ceil(2)
    }

    /// A step begins. One thread at a time runs a loop, so nothing else writes in between.
    #[inline]
    pub fn begin_step(&self) {
        self.steps.store(self.steps() + 1, Ordering::Relaxed);
    }

    /// Runs `wait`, which blocks until there is something to do.
    #[inline]
    pub fn parked<R>(&self, wait: impl FnOnce() -> R) -> R {
        let before = self.park_count.load(Ordering::Relaxed);
        if is_parked(before) {
            // The selector of a program, which waits by asking the loop's own.
            return wait();
        }
        if self.thread.load(Ordering::Relaxed) == 0 {
            self.set_running(true);
        }
        self.park_count.store(before + 1, Ordering::Relaxed);
        let result = wait();
        self.park_count.store(before + 2, Ordering::Relaxed);
        result
    }

    /// This thread runs the loop from now on, or no thread does.
    pub fn set_running(&self, runs: bool) {
        self.thread.store(if runs { threads::current() } else { 0 }, Ordering::Relaxed);
    }

    /// In the child of a fork: what the child does is no step of the loop, though the step that forked goes
    /// on here. A child that returns to the loop runs it from its next wait on.
    pub fn after_fork_in_child(&self) {
        self.set_running(false);
    }

    /// The counters now; `None` while it is parked or not run, because then it cannot be blocked.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let (thread, park_count) =
            (self.thread.load(Ordering::Relaxed), self.park_count.load(Ordering::Relaxed));
        (thread != 0 && !is_parked(park_count)).then(|| Snapshot { steps: self.steps(), park_count, thread })
    }
}

fn is_parked(park_count: u64) -> bool {
    !park_count.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parked_loop_shows_nothing() {
        let pulse = Pulse::default();
        assert_eq!(pulse.snapshot(), None);
        pulse.set_running(true);
        pulse.begin_step();
        let before = pulse.snapshot();
        assert_eq!(before.map(|seen| (seen.steps, seen.thread)), Some((1, threads::current())));
        assert_eq!(pulse.parked(|| pulse.snapshot()), None);
        assert_ne!(pulse.snapshot(), before);
        assert_eq!(pulse.park_count(), 1);
    }
}
