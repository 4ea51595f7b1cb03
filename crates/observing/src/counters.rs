//! [`Counters`]: what every loop counts, because it costs next to nothing: turns, tasks, and how long the
//! loop ran and was idle.

use std::cell::Cell;

/// The counts of one loop. Times are seconds of the loop's clock.
pub struct Counters {
    turns: Cell<u64>,
    tasks_made: Cell<u64>,
    ran: Cell<f64>,
    idle: Cell<f64>,
    /// Since when the loop runs; no number while it does not.
    since: Cell<f64>,
    /// Since when the loop is parked; no number while it is not. Another thread may read the times during a
    /// park.
    parked: Cell<f64>,
    /// Whether a program's clock or selector has made the times useless.
    timeless: Cell<bool>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            turns: Cell::new(0),
            tasks_made: Cell::new(0),
            ran: Cell::new(0.0),
            idle: Cell::new(0.0),
            since: Cell::new(f64::NAN),
            parked: Cell::new(f64::NAN),
            timeless: Cell::new(false),
        }
    }
}

impl Counters {
    /// A turn begins.
    #[inline]
    pub fn begin_turn(&self) {
        self.turns.set(self.turns.get() + 1);
    }

    /// The number of turns.
    pub fn turns(&self) -> u64 {
        self.turns.get()
    }

    /// A task was made.
    #[inline]
    pub fn count_task(&self) {
        self.tasks_made.set(self.tasks_made.get() + 1);
    }

    /// Tasks that were made on this loop.
    pub fn tasks_made(&self) -> u64 {
        self.tasks_made.get()
    }

    /// The time of a turn. Whether it is the first turn of a run.
    #[inline]
    pub fn note_time(&self, now: f64) -> bool {
        let first = self.since.get().is_nan();
        if first {
            self.since.set(now);
        }
        first
    }

    /// The loop parks.
    #[inline]
    pub fn begin_park(&self, now: f64) {
        self.parked.set(now);
    }

    /// The loop goes on after [`Self::begin_park`].
    #[inline]
    pub fn end_park(&self, now: f64) {
        self.idle.set(self.idle.get() + (now - self.parked.replace(f64::NAN)));
    }

    /// Times are not known any more.
    pub fn lose_time(&self) {
        self.timeless.set(true);
    }

    /// The run ends.
    pub fn end_run(&self, now: f64) {
        let since = self.since.replace(f64::NAN);
        if !since.is_nan() {
            self.ran.set(self.ran.get() + now - since);
        }
    }

    /// For how many seconds the loop ran, and was parked in them. The run and the park that go on count up to
    /// now.
    pub fn times(&self, now: f64) -> Option<(f64, f64)> {
        let lasted = |since: f64| if since.is_nan() { 0.0 } else { now - since };
        let (running, parked) = (lasted(self.since.get()), lasted(self.parked.get()));
        (!self.timeless.get()).then(|| (self.ran.get() + running, self.idle.get() + parked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_and_a_park_that_go_on_count() {
        let counters = Counters::default();
        assert!(counters.note_time(1.0) && !counters.note_time(2.0));
        counters.begin_park(3.0);
        assert_eq!(counters.times(5.0), Some((4.0, 2.0)));
        counters.end_park(6.0);
        counters.end_run(7.0);
        assert_eq!(counters.times(100.0), Some((6.0, 3.0)));
        counters.lose_time();
        assert_eq!(counters.times(100.0), None);
    }
}
