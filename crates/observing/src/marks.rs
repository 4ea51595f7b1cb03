//! [`Marks`]: what every step of an observed loop looks at, and the clock that it compares with.
//!
//! No step reads a clock. Each looks at a number that a thread changes every few milliseconds ([`tick`]): a
//! step in which it has changed gets the time since the last tick. As with a profiler that samples, this is
//! right on the average, and long steps are always seen.

use std::cell::{Cell, OnceCell};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use yibu_driver::threads;

use crate::tallies::Tallies;
use crate::uptime::nanoseconds;

/// The time between two ticks.
pub const TICK: Duration = Duration::from_millis(10);

/// A birth is noted in units of 2 to this power of nanoseconds, four milliseconds: shorter than a tick, and
/// long enough for a task to live 200 days.
const UNIT: u32 = 22;

/// The time in nanoseconds, as the last tick has left it.
static NOW: AtomicI64 = AtomicI64::new(1);

/// The time at the last tick.
#[inline]
pub fn now() -> i64 {
    NOW.load(Ordering::Relaxed)
}

/// What a task notes of the time when it begins. Not 0, which stands for a task that is not observed.
#[inline]
pub fn birth() -> u32 {
    ((now() >> UNIT) as u32).wrapping_add(1)
}

/// The nanoseconds since a task has begun, as far as ticks tell.
#[inline]
pub fn lifetime(born: u32) -> i64 {
    i64::from(birth().wrapping_sub(born)) << UNIT
}

/// The clock ticks. Called by a thread of its own, every few milliseconds; and where that thread begins,
/// because the clock stood still before. The clock never goes back, whichever of two threads is the later one
/// to write.
pub fn tick() {
    NOW.fetch_max(i64::try_from(nanoseconds()).unwrap_or(i64::MAX), Ordering::Relaxed);
}

/// What every step of an observed loop looks at.
pub struct Marks {
    /// Whether the loop is observed.
    are_set: Cell<bool>,
    /// The time at the tick that was seen last.
    tick: Cell<i64>,
    /// The processor time that the loop's thread had used when it was seen.
    used: Cell<i64>,
    /// The step up to which entries wait that were ready when the clock ticked.
    probe: Cell<u64>,
    /// The tick after which it was last measured how late the loop comes back from the kernel.
    lag: Cell<i64>,
    /// What tasks count; there from the first observation on.
    tallies: OnceCell<Box<Tallies>>,
}

/// Whether it is to be measured how late the loop comes back from the kernel: once a tick.
#[derive(Clone, Copy)]
pub struct LagMark(Option<i64>);

impl LagMark {
    /// Whether the clock has ticked since. May be asked without the interpreter.
    #[inline]
    pub fn is_wanted(self) -> bool {
        self.0.is_some_and(|tick| tick != now())
    }
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            are_set: Cell::new(false),
            tick: Cell::new(0),
            used: Cell::new(0),
            probe: Cell::new(u64::MAX),
            lag: Cell::new(0),
            tallies: OnceCell::new(),
        }
    }
}

impl Marks {
    /// Whether the loop is observed.
    #[inline]
    pub fn are_set(&self) -> bool {
        self.are_set.get()
    }

    /// An observation begins, or none goes on.
    pub fn begin(&self, is_observed: bool) {
        self.are_set.set(is_observed);
        if is_observed {
            self.tallies.get_or_init(Box::default).clear();
        }
        self.probe.set(u64::MAX);
        self.take_time();
    }

    /// What tasks count, while the loop is observed.
    #[inline]
    pub fn tallies(&self) -> Option<&Tallies> {
        if self.are_set() { self.tallies.get().map(|tallies| &**tallies) } else { None }
    }

    /// The loop did not run, or waited in the kernel: that time belongs to no step.
    pub fn skip_time(&self) {
        if self.are_set() && now() != self.tick.get() {
            self.take_time();
        }
    }

    /// When the loop was last late, for a wait that begins.
    #[inline]
    pub fn lag(&self) -> LagMark {
        LagMark(self.are_set().then(|| self.lag.get()))
    }

    /// It was measured how late the loop has come back.
    pub fn note_lag(&self) {
        self.lag.set(now());
    }

    /// Whether the clock has ticked in the step that has ended, or [`Self::end_probe`] has to be called.
    #[inline]
    pub fn are_reached(&self, step: u64) -> bool {
        now() != self.tick.get() || step + 1 >= self.probe.get()
    }

    /// The time since the tick that was seen last, and how much of it the thread has had a processor, in
    /// nanoseconds.
    pub fn take_time(&self) -> (i64, i64) {
        let tick = now();
        let spent = tick - self.tick.replace(tick);
        let used = threads::cpu_time(threads::current()).unwrap_or_default();
        let used = i64::try_from(used.as_nanos()).unwrap_or(i64::MAX);
        (spent, (used - self.used.replace(used)).clamp(0, spent.max(0)))
    }

    /// Whether the entry that was last in the ring at some tick runs now, if its step comes next.
    pub fn end_probe(&self, step: u64) -> bool {
        let reached = step + 1 >= self.probe.get();
        if reached {
            self.probe.set(u64::MAX);
        }
        reached
    }

    /// There are entries in the ring when the clock has ticked, and the last of them will be that step.
    /// Whether it is waited for.
    pub fn begin_probe(&self, step: u64) -> bool {
        let is_free = self.probe.get() == u64::MAX;
        if is_free {
            self.probe.set(step);
        }
        is_free
    }
}
