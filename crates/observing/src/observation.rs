//! [`Observation`]: what a loop counts while it is observed (`yibu.observe()`): lag, and what each coroutine
//! function uses.
//!
//! A step does not borrow the observation: the turn compares [`Marks`](crate::Marks), and a task counts its
//! own steps until they are added up ([`Observation::add_polls`]).

use std::collections::HashMap;
use std::time::Duration;

use crate::histogram::Recent;
use crate::marks::{INDEX, INDEX_BITS, Place, index_in, now};

/// Times are kept for one to two windows of this many seconds.
const WINDOW: f64 = 60.0;

/// A step as long as this has made the entries behind it late: the clock has ticked at least twice.
const LONG: i64 = 8_000_000;

/// At most this many functions are told apart; all others share the last place.
const FUNCTIONS: usize = 4096;

/// What the tasks of one coroutine function have used. Times are nanoseconds.
pub struct Function<K> {
    /// What stands for the function; nothing for the place that many share.
    pub key: Option<K>,
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

impl<K> Function<K> {
    fn new(key: Option<K>) -> Self {
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

/// What is counted. `K` keeps a function's code alive, so that no other code gets its address.
pub struct Observation<K> {
    /// Which observation of the process this is, from 1, so that places of others are not taken for its own.
    pub number: u32,
    /// When it began, on the driver's clock.
    pub began: f64,
    /// How late entries ran.
    pub lag: Recent,
    /// How long jobs of the executor waited for a thread.
    pub job_waits: Recent,
    /// Coroutine functions by their place.
    pub functions: Vec<Function<K>>,
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

impl<K> Observation<K> {
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
    pub fn begin_task(&mut self, address: usize, key: impl FnOnce() -> K) -> Place {
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

    fn add_function(&mut self, address: usize, key: impl FnOnce() -> K) -> Place {
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

    /// The keys of all functions.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.functions.iter().filter_map(|function| function.key.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observation() -> Observation<&'static str> {
        Observation::new(0, 0.0, 10, Duration::from_millis(100))
    }

    #[test]
    fn tasks_of_one_function_share_a_place() {
        let mut seen = observation();
        let (first, other) = (seen.begin_task(1, || "a"), seen.begin_task(2, || "b"));
        assert_eq!(seen.begin_task(1, || unreachable!()), first);
        assert_ne!(first, other);
        seen.end_task(first, 3, Ending::Failed);
        assert_eq!(seen.endings(), [0, 1, 0]);
        assert_eq!((seen.functions[0].tasks, seen.functions[0].polls), (2, 3));
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), ["a", "b"]);
        // 15 steps were begun, 10 of them before; 3 were steps of tasks.
        assert_eq!(seen.callbacks_until(15), 2);
    }

    #[test]
    fn places_of_another_observation_are_not_taken() {
        let (mut first, mut second) = (observation(), Observation::new(1, 0.0, 0, Duration::from_secs(1)));
        let place = first.begin_task(1, || "a");
        second.begin_task(2, || "b");
        second.spend(place, 7);
        assert_eq!((second.callbacks, second.functions[0].busy), (7, 0));
        first.spend(place, 100_000_000);
        assert_eq!((first.functions[0].busy, first.functions[0].slow_polls), (100_000_000, 1));
    }

    #[test]
    fn functions_beyond_the_limit_share_the_last_place() {
        let mut seen = observation();
        let places: Vec<_> = (1..=FUNCTIONS + 5).map(|address| seen.begin_task(address, || "f")).collect();
        assert_eq!(seen.functions.len(), FUNCTIONS);
        assert!(places[FUNCTIONS - 1..].iter().all(|place| *place == places[FUNCTIONS - 1]));
        assert_eq!((seen.functions[FUNCTIONS - 1].key, seen.functions[FUNCTIONS - 1].tasks), (None, 6));
    }
}
