//! [`Observation`]: what a loop counts while it is observed (`yibu.observe()`): lag, and what each coroutine
//! function uses.
//!
//! Steps do not borrow the observation: the turn compares [`Marks`](crate::Marks), a task counts its own steps
//! until it ends or is looked at ([`Observation::see_alive`]), and most tasks that end count that in the
//! [`Tallies`]. Whose function a task runs is asked when the task ends, and of those that are alive when
//! somebody wants to know.

use std::collections::HashMap;
use std::time::Duration;

use crate::histogram::Recent;
use crate::marks::{TICK, lifetime};
use crate::tallies::Tallies;

/// Times are kept for one to two windows of this many seconds.
const WINDOW: f64 = 60.0;

/// A step in which so many nanoseconds have passed has made the entries behind it late: the clock has ticked at
/// least twice.
const LONG: i64 = 2 * TICK.as_nanos() as i64;

/// At most this many functions are told apart; all others share the last place.
const FUNCTIONS: usize = 4096;

/// What the tasks of one coroutine function have used. Times are nanoseconds.
pub struct Function<K> {
    /// What stands for the function; nothing for the place that many share.
    pub key: Option<K>,
    /// Steps, but for those that living tasks have counted since they were last asked.
    pub polls: u64,
    /// Time that the steps took.
    pub busy: i64,
    /// Time that tasks were in the ring.
    pub scheduled: i64,
    /// Steps that took as long as the limit.
    pub slow_polls: u64,
    /// How tasks ended: finished, failed, cancelled.
    pub endings: [u64; 3],
    /// Tasks that were freed before they ended.
    vanished: u64,
    /// For how long tasks lived that are there no more.
    lived: i64,
    /// Tasks that are not done, and for how long they have lived, when they were last asked.
    alive: (u64, i64),
}

impl<K> Function<K> {
    fn new(key: Option<K>) -> Self {
        Self {
            key,
            polls: 0,
            busy: 0,
            scheduled: 0,
            slow_polls: 0,
            endings: [0; 3],
            vanished: 0,
            lived: 0,
            alive: (0, 0),
        }
    }

    /// How many tasks there were.
    pub fn tasks(&self) -> u64 {
        self.endings.iter().sum::<u64>() + self.vanished + self.alive.0
    }

    /// The time that tasks lived until now, added up.
    pub fn lived(&self) -> i64 {
        self.lived + self.alive.1
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
    /// When it began, on the driver's clock.
    pub began: f64,
    /// How late entries ran.
    pub lag: Recent,
    /// How long jobs of the executor waited for a thread.
    pub job_waits: Recent,
    /// Coroutine functions.
    pub functions: Vec<Function<K>>,
    /// Their indexes by the addresses of their code.
    by_code: HashMap<usize, usize>,
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
    pub fn new(now: f64, first_step: u64, slow: Duration) -> Self {
        Self {
            began: now,
            lag: Recent::new(WINDOW, now),
            job_waits: Recent::new(WINDOW, now),
            functions: Vec::new(),
            by_code: HashMap::new(),
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

    /// The index of the function with this code, which becomes known to the tallies.
    pub fn index_of(&mut self, tallies: &Tallies, address: usize, key: impl FnOnce() -> K) -> usize {
        let known = self.by_code.get(&address).copied();
        let index = known.unwrap_or_else(|| self.add_function(address, key));
        tallies.know(address, index);
        index
    }

    fn add_function(&mut self, address: usize, key: impl FnOnce() -> K) -> usize {
        if self.functions.len() >= FUNCTIONS {
            return FUNCTIONS - 1;
        }
        let key = (self.functions.len() + 1 < FUNCTIONS).then(key);
        // Code that is not kept alive has no address for long.
        if key.is_some() {
            self.by_code.insert(address, self.functions.len());
        }
        self.functions.push(Function::new(key));
        self.functions.len() - 1
    }

    /// A task has ended that began at `born`, after so many steps that were not added yet. Without an ending
    /// it was freed before.
    pub fn end_task(&mut self, index: usize, born: u32, polls: u16, ending: Option<Ending>) {
        if let Some(function) = self.functions.get_mut(index) {
            function.polls += u64::from(polls);
            function.lived += lifetime(born);
            match ending {
                Some(ending) => function.endings[ending as usize] += 1,
                None => function.vanished += 1,
            }
        }
    }

    /// Adds what tasks have counted by themselves. After this, all tasks that are alive are to be seen.
    pub fn add_up(&mut self, tallies: &Tallies) {
        self.eager_steps += tallies.take_eager_steps();
        for (function, tally) in self.functions.iter_mut().zip(tallies.of_functions()) {
            function.polls += tally.polls.take();
            function.lived += tally.lived.take();
            for (ending, count) in function.endings.iter_mut().zip(&tally.endings) {
                *ending += count.take();
            }
        }
        self.functions.iter_mut().for_each(|function| function.alive = (0, 0));
    }

    /// A task that is alive, with the steps that were not added yet.
    pub fn see_alive(&mut self, index: usize, born: u32, polls: u16) {
        self.add_polls(index, polls);
        if let Some(function) = self.functions.get_mut(index) {
            function.alive.0 += 1;
            function.alive.1 += lifetime(born);
        }
    }

    /// How tasks ended: finished, failed, cancelled.
    pub fn endings(&self) -> [u64; 3] {
        let counted = |ending: usize| self.functions.iter().map(|function| function.endings[ending]).sum();
        std::array::from_fn(counted)
    }

    /// A task of a function has made so many steps since it was last asked.
    pub fn add_polls(&mut self, index: usize, polls: u16) {
        if let Some(function) = self.functions.get_mut(index) {
            function.polls += u64::from(polls);
        }
    }

    /// How many steps were made by anything but tasks, when as many steps as that were begun.
    pub fn callbacks_until(&self, steps: u64) -> u64 {
        let polls: u64 = self.functions.iter().map(|function| function.polls).sum();
        (steps - self.first_step + self.eager_steps).saturating_sub(polls)
    }

    /// The clock has ticked in the step that has ended, of a task of that function or of something else.
    pub fn spend(&mut self, index: Option<usize>, spent: i64) {
        match index.and_then(|index| self.functions.get_mut(index)) {
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
    pub fn schedule(&mut self, index: usize, spent: i64) {
        if let Some(function) = self.functions.get_mut(index) {
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
    use crate::marks::birth;

    fn observation() -> (Observation<&'static str>, Tallies) {
        (Observation::new(0.0, 10, Duration::from_millis(100)), Tallies::default())
    }

    #[test]
    fn tasks_of_one_function_are_counted_together() {
        let (mut seen, tallies) = observation();
        assert!(!tallies.end_task(16, birth(), 1, Ending::Finished));
        let (first, other) = (seen.index_of(&tallies, 16, || "a"), seen.index_of(&tallies, 32, || "b"));
        assert_eq!(seen.index_of(&tallies, 16, || unreachable!()), first);
        assert_ne!(first, other);
        seen.end_task(first, birth(), 3, Some(Ending::Failed));
        assert!(tallies.end_task(16, birth(), 2, Ending::Cancelled));
        seen.end_task(other, birth(), 0, None);
        tallies.count_eager_step();
        seen.add_up(&tallies);
        seen.see_alive(first, birth(), 1);
        seen.add_up(&tallies);
        seen.see_alive(first, birth(), 0);
        assert_eq!(seen.endings(), [0, 1, 1]);
        assert_eq!((seen.functions[first].tasks(), seen.functions[first].polls), (3, 6));
        assert_eq!((seen.functions[other].tasks(), seen.functions[other].polls), (1, 0));
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), ["a", "b"]);
        // 18 steps were begun, 10 of them before, and one was a part of another; 6 were steps of tasks.
        assert_eq!(seen.callbacks_until(18), 3);
    }

    #[test]
    fn time_is_that_of_a_function_or_of_callbacks() {
        let (mut seen, tallies) = observation();
        let index = seen.index_of(&tallies, 16, || "a");
        seen.spend(None, 7);
        seen.spend(Some(index), 100_000_000);
        assert_eq!(
            (seen.callbacks, seen.functions[index].busy, seen.functions[index].slow_polls),
            (7, 100_000_000, 1)
        );
    }

    #[test]
    fn codes_that_share_a_slot_are_told_apart() {
        let (mut seen, tallies) = observation();
        let addresses = [16, 16 + 32 * 16];
        for address in addresses {
            seen.index_of(&tallies, address, || "f");
            assert!(tallies.end_task(address, birth(), 1, Ending::Finished));
        }
        assert!(!tallies.end_task(addresses[0], birth(), 1, Ending::Finished));
        seen.add_up(&tallies);
        assert_eq!([0, 1].map(|index| seen.functions[index].polls), [1, 1]);
    }

    #[test]
    fn functions_beyond_the_limit_share_the_last_place() {
        let (mut seen, tallies) = observation();
        let indexes: Vec<_> =
            (1..=FUNCTIONS + 5).map(|address| seen.index_of(&tallies, address, || "f")).collect();
        assert_eq!(seen.functions.len(), FUNCTIONS);
        assert!(indexes[FUNCTIONS - 1..].iter().all(|index| *index == FUNCTIONS - 1));
        assert_eq!(seen.functions[FUNCTIONS - 1].key, None);
    }
}
