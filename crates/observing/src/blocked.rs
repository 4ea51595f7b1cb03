//! [`Watched`]: one loop as a watchdog's thread sees it, without the interpreter: since when the same step
//! runs, and how much processor time the threads of the process have used meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use yibu_driver::threads::{self, Activity, ThreadId};

use crate::pulse::{Pulse, Snapshot};

/// How much longer a blockage lasts from one sample to the next, at least: this part of its length so far. So
/// even a blockage of hours has some hundred samples.
const GROWTH: u32 = 16;

/// One loop that is watched.
pub struct Watched {
    /// The loop's counters.
    pub pulse: Arc<Pulse>,
    seen: Option<Seen>,
}

/// The step that was seen last.
struct Seen {
    snapshot: Snapshot,
    since: Instant,
    /// Whether it has been seen again.
    lasts: bool,
    before: Option<Usage>,
    /// When to sample next; `None` until the step has blocked.
    next_sample: Option<Instant>,
}

/// What [`Watched::check`] has found.
pub enum Found {
    /// A step blocks, and it is time for a sample.
    Blocks(Activity),
    /// The step that blocked has ended.
    Ended {
        /// The number of the step.
        steps: u64,
        /// How long it has been running.
        after: Duration,
    },
}

/// The use of processors between two samples.
#[derive(Default)]
pub struct Use {
    /// The time between them.
    pub interval: Duration,
    /// By the thread of the loop.
    pub own: Option<Duration>,
    /// By other threads.
    pub others: Vec<(ThreadId, Duration)>,
}

/// A sample of a step that blocks.
pub struct Sample {
    /// The number of the step.
    pub steps: u64,
    /// How long it has been running.
    pub so_far: Duration,
    /// Whether it still runs.
    pub still_runs: bool,
    /// What the processors did since the last sample.
    pub used: Use,
}

impl Watched {
    /// A loop to watch.
    pub fn new(pulse: Arc<Pulse>) -> Self {
        Self { pulse, seen: None }
    }

    /// Reads the loop's counters. A step blocks when it was the same one for as long as `threshold`.
    pub fn check(&mut self, now: Instant, threshold: Duration, interval: Duration) -> Option<Found> {
        let snapshot = self.pulse.snapshot();
        match &mut self.seen {
            Some(seen) if Some(seen.snapshot) == snapshot => {
                seen.lasts = true;
                let so_far = now.saturating_duration_since(seen.since);
                if seen.before.is_none() && so_far >= threshold / 2 {
                    seen.before = Some(Usage::now(now));
                }
                if so_far < threshold || seen.next_sample.is_some_and(|next| now < next) {
                    return None;
                }
                seen.next_sample = Some(now + interval.max(so_far / GROWTH));
                Some(Found::Blocks(threads::activity(seen.snapshot.thread)))
            }
            seen => {
                let new = snapshot.map(|snapshot| Seen {
                    snapshot,
                    since: now,
                    lasts: false,
                    before: None,
                    next_sample: None,
                });
                let before = std::mem::replace(seen, new)?;
                before.next_sample?;
                Some(Found::Ended { steps: before.snapshot.steps, after: now - before.since })
            }
        }
    }

    /// Whether the last two looks have found the same step, which may become a blockage.
    pub fn lasts(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.lasts)
    }

    /// Forgets since when the step runs, unless it was found to block: the whole process stood still.
    pub fn begin_anew(&mut self, now: Instant) {
        if let Some(seen) = &mut self.seen
            && seen.next_sample.is_none()
        {
            seen.since = now;
            seen.before = None;
        }
    }

    /// Completes a sample of a step that blocks, when the watchdog has the interpreter.
    pub fn sample(&mut self) -> Option<Sample> {
        let seen = self.seen.as_mut()?;
        let now = Instant::now();
        let usage = Usage::now(now);
        let used =
            seen.before.as_ref().map(|before| usage.since(before, seen.snapshot.thread)).unwrap_or_default();
        seen.before = Some(usage);
        Some(Sample {
            steps: seen.snapshot.steps,
            so_far: now - seen.since,
            still_runs: self.pulse.snapshot() == Some(seen.snapshot),
            used,
        })
    }
}

/// The processor time that every thread of the process has used until some moment.
struct Usage {
    at: Instant,
    threads: Vec<(ThreadId, Duration)>,
}

impl Usage {
    fn now(at: Instant) -> Self {
        let threads =
            threads::all().into_iter().filter_map(|thread| Some((thread, threads::cpu_time(thread)?)));
        Self { at, threads: threads.collect() }
    }

    /// The use since `before`; `own` is the thread of the loop. The calling thread is left out.
    fn since(&self, before: &Self, own: ThreadId) -> Use {
        let mut used = Use { interval: self.at - before.at, own: None, others: Vec::new() };
        for &(thread, time) in &self.threads {
            let earlier = before.threads.iter().find(|(other, _)| *other == thread);
            let time = time.saturating_sub(earlier.map_or(Duration::ZERO, |(_, time)| *time));
            if thread == own {
                used.own = Some(time);
            } else if thread != threads::current() && !time.is_zero() {
                used.others.push((thread, time));
            }
        }
        used.others.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
        used
    }
}
