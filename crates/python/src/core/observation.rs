//! [`Observation`]: what a loop counts while it is observed (`yibu.observe()`): lag, and what each coroutine
//! function uses.
//!
//! No step reads a clock. Each looks at a number that a thread changes every few milliseconds ([`tick`]): a
//! step in which it has changed gets the time since the last tick. As with a profiler that samples, this is
//! right on the average, and long steps are always seen. Nor does a step borrow the observation: the turn
//! compares [`Marks`], and a task counts its own steps until they are added up ([`Observation::add_polls`]).
//! Filled by `observing/steps.rs`, tasks, the turn and the executor; read by `observing/metrics.rs`.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use yibu_driver::threads;
use yibu_engine::histogram::Recent;

use super::uptime::nanoseconds;
use crate::ffi::{Ref, Visitor};

/// Times are kept for one to two windows of this many seconds.
const WINDOW: f64 = 60.0;

/// A step as long as this has made the entries behind it late: the clock has ticked at least twice.
const LONG: i64 = 8_000_000;

/// At most this many functions are told apart; all others share the last place.
const FUNCTIONS: usize = 4096;

/// What the tasks of one coroutine function have used. Times are nanoseconds.
pub struct Function {
    /// The code object, or the class of a coroutine that has none; nothing for the place that many share.
    pub key: Option<Ref>,
    /// Tasks that were seen.
    pub tasks: u64,
    /// Steps of theirs, but for those that living tasks have counted since they were last asked.
    pub polls: u64,
    /// Time that the steps took.
    pub busy: i64,
    /// Time that tasks were in the ring.
    pub scheduled: i64,
    /// Steps that took as long as the limit.
    pub slow_polls: u64,
    /// How tasks ended: finished, failed, cancelled.
    pub endings: [u64; 3],
    /// The times at which tasks ended, minus those at which they began. The sums wrap, their difference does
    /// not.
    lived: i64,
}

impl Function {
    fn new(key: Option<Ref>) -> Self {
        Self { key, tasks: 0, polls: 0, busy: 0, scheduled: 0, slow_polls: 0, endings: [0; 3], lived: 0 }
    }

    /// The time that tasks lived until now, added up.
    pub fn lived(&self) -> i64 {
        let alive = self.tasks.saturating_sub(self.endings.iter().sum());
        self.lived.wrapping_add(now().wrapping_mul(alive.cast_signed()))
    }
}

/// How a task ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a result.
    Finished,
    /// With an exception.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// The place of a function in the list, with the number of the observation. 0 stands for none.
pub type Place = u32;

const INDEX_BITS: u32 = 16;

const INDEX: Place = (1 << INDEX_BITS) - 1;

/// The index of a place, if it is of the observation with this number.
#[inline]
pub fn index_in(number: u32, place: Place) -> Option<usize> {
    (place != 0 && place >> INDEX_BITS == number).then_some((place & INDEX) as usize)
}

/// The time in nanoseconds, as the last tick has left it.
static NOW: AtomicI64 = AtomicI64::new(1);

/// The time at the last tick.
#[inline]
pub fn now() -> i64 {
    NOW.load(Ordering::Relaxed)
}

/// The clock ticks. Called by a thread of its own, every few milliseconds; and where that thread begins,
/// because the clock stood still before. The clock never goes back, whichever of two threads is the later one
/// to write.
pub fn tick() {
    NOW.fetch_max(i64::try_from(nanoseconds()).unwrap_or(i64::MAX), Ordering::Relaxed);
}

/// What every step of an observed loop looks at.
pub struct Marks {
    /// The number of the observation; 0 while nobody observes.
    number: Cell<u32>,
    /// The time at the tick that was seen last.
    tick: Cell<i64>,
    /// The processor time that the loop's thread had used when it was seen.
    used: Cell<i64>,
    /// The step up to which entries wait that were ready when the clock ticked.
    probe: Cell<u64>,
    /// The tick after which it was last measured how late the loop comes back from the kernel.
    lag: Cell<i64>,
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
            number: Cell::new(0),
            tick: Cell::new(0),
            used: Cell::new(0),
            probe: Cell::new(u64::MAX),
            lag: Cell::new(0),
        }
    }
}

impl Marks {
    /// Whether the loop is observed.
    #[inline]
    pub fn are_set(&self) -> bool {
        self.number.get() != 0
    }

    /// An observation begins, or nobody observes any more.
    pub fn begin(&self, observation: Option<&Observation>) {
        self.number.set(observation.map_or(0, |observation| observation.number));
        self.probe.set(u64::MAX);
        self.take_time();
    }

    /// The index of a place in the list of the observation, if it is of that.
    #[inline]
    pub fn index(&self, place: Place) -> Option<usize> {
        index_in(self.number.get(), place)
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

/// What is counted.
pub struct Observation {
    /// Which observation of the process this is, from 1, so that places of others are not taken for its own.
    pub number: u32,
    /// When it began, on the driver's clock.
    pub began: f64,
    /// How late entries ran.
    pub lag: Recent,
    /// How long jobs of the executor waited for a thread.
    pub job_waits: Recent,
    /// Coroutine functions by their place.
    pub functions: Vec<Function>,
    by_key: HashMap<usize, Place>,
    /// The function that was asked for last. Its code lives as long as the observation, unless it has the
    /// place that many share.
    last: (usize, Place),
    /// The time that steps of anything but tasks took.
    pub callbacks: i64,
    /// The number of the step in which it began.
    pub first_step: u64,
    /// First steps of eager tasks, which are a part of another step.
    pub eager_steps: u64,
    /// A step that takes as many nanoseconds is slow.
    pub slow: i64,
    /// Since when the entry waits that is to come with the step of the probe.
    probe_since: f64,
}

impl Observation {
    /// An empty one.
    pub fn new(number: u32, now: f64, first_step: u64, slow: Duration) -> Self {
        Self {
            number: number % ((1 << (32 - INDEX_BITS)) - 1) + 1,
            began: now,
            lag: Recent::new(WINDOW, now),
            job_waits: Recent::new(WINDOW, now),
            functions: Vec::new(),
            by_key: HashMap::new(),
            last: (0, 0),
            callbacks: 0,
            first_step,
            eager_steps: 0,
            slow: i64::try_from(slow.as_nanos()).unwrap_or(i64::MAX),
            probe_since: 0.0,
        }
    }

    /// The entry that the probe waits for runs now.
    pub fn end_probe(&mut self, now: f64) {
        self.late(now, now - self.probe_since, 1);
    }

    /// An entry ran this many seconds late, or several did.
    pub fn late(&mut self, now: f64, seconds: f64, count: u64) {
        self.lag.add(now, Duration::try_from_secs_f64(seconds).unwrap_or_default(), count);
    }

    #[inline]
    fn index(&self, place: Place) -> Option<usize> {
        index_in(self.number, place)
    }

    /// A task whose coroutine has this code was seen for the first time.
    #[inline]
    pub fn begin_task(&mut self, address: usize, key: impl FnOnce() -> Ref) -> Place {
        if self.last.0 != address {
            let place = self.by_key.get(&address).copied();
            let place = place.unwrap_or_else(|| self.add_function(address, key));
            self.last = (address, place);
        }
        let place = self.last.1;
        if let Some(function) = self.functions.get_mut((place & INDEX) as usize) {
            function.lived = function.lived.wrapping_sub(now());
            function.tasks += 1;
        }
        place
    }

    fn add_function(&mut self, address: usize, key: impl FnOnce() -> Ref) -> Place {
        let full = self.functions.len() >= FUNCTIONS;
        if !full {
            let key = (self.functions.len() + 1 < FUNCTIONS).then(key);
            self.functions.push(Function::new(key));
        }
        let index = u32::try_from(self.functions.len() - 1).unwrap_or(0);
        let place = self.number << INDEX_BITS | index;
        if !full {
            self.by_key.insert(address, place);
        }
        place
    }

    /// A task has ended, after so many steps that were not added yet.
    #[inline]
    pub fn end_task(&mut self, place: Place, polls: u64, ending: Ending) {
        if let Some(function) = self.index(place).and_then(|index| self.functions.get_mut(index)) {
            function.endings[ending as usize] += 1;
            function.polls += polls;
            function.lived = function.lived.wrapping_add(now());
        }
    }

    /// How tasks ended: finished, failed, cancelled.
    pub fn endings(&self) -> [u64; 3] {
        let counted = |ending: usize| self.functions.iter().map(|function| function.endings[ending]).sum();
        std::array::from_fn(counted)
    }

    /// A task has made so many steps since it was last asked.
    pub fn add_polls(&mut self, place: Place, polls: u64) {
        if let Some(function) = self.index(place).and_then(|index| self.functions.get_mut(index)) {
            function.polls += polls;
        }
    }

    /// How many steps were made by anything but tasks, when as many steps as that were begun.
    pub fn callbacks_until(&self, steps: u64) -> u64 {
        let polls: u64 = self.functions.iter().map(|function| function.polls).sum();
        (steps - self.first_step + self.eager_steps).saturating_sub(polls)
    }

    /// The clock has ticked in the step that has ended, of a task with that place or of something else.
    pub fn spend(&mut self, place: Place, spent: i64) {
        match self.index(place).and_then(|index| self.functions.get_mut(index)) {
            Some(function) => {
                function.busy += spent;
                function.slow_polls += u64::from(spent >= self.slow);
            }
            None => self.callbacks += spent,
        }
    }

    /// There are entries in the ring when the clock has ticked, and the probe waits for the last of them if
    /// `is_probed`.
    pub fn wait(&mut self, now: f64, spent: i64, ready: u64, is_probed: bool) {
        if spent >= LONG {
            self.late(now, spent as f64 / 1e9, ready);
        }
        if is_probed {
            self.probe_since = now;
        }
    }

    /// The task of a function was in the ring for so long.
    pub fn schedule(&mut self, place: Place, spent: i64) {
        if let Some(function) = self.index(place).and_then(|index| self.functions.get_mut(index)) {
            function.scheduled += spent;
        }
    }

    /// Shows every reference to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        self.functions
            .iter()
            .filter_map(|function| function.key.as_ref())
            .for_each(|key| visitor.visit(key.as_ptr()));
    }
}
