//! [`LoopTrace`]: what a loop keeps while a trace is recorded: the step that runs, and which steps have made
//! which entries ready.
//!
//! The ring of ready entries is a queue, so an entry runs as the step whose number is that of the present
//! step and its place in the ring. What has entered the ring during a step was made ready by that step: no
//! entry and no push has to be marked for it. A step is recorded when the next one begins, or when the loop
//! is about to wait, so that what the loop sends after a step belongs to the step. Filled by
//! [`super::tracing`].

use std::collections::VecDeque;
use std::sync::Arc;

use pyo3::prelude::*;
use yibu_driver::threads::{self, ThreadId};
use yibu_driver::{Fd, Traffic};

use super::recording::{Kind, Record, Recording, halves, now};
use crate::ffi::Ref;

/// What kind of operation of the kernel a step finishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Readiness {
    /// None.
    #[default]
    None = 0,
    /// There is something to read.
    Readable,
    /// There is room for what is to be written, or a connection is made.
    Writable,
    /// There are connections to accept.
    Accepts,
}

/// Why a step runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cause {
    /// The kernel or a clock says so, or nobody knows.
    #[default]
    Unknown,
    /// Because of this moment in the thread of the loop.
    Moment(u64),
    /// Because of what was done before with the object of this address: another thread sent it, or a step set
    /// the timer.
    Key(u64),
}

/// What runs in a step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject {
    /// The number of the task; 0 where it is none.
    pub task: u32,
    /// The number of the name, where it is no task.
    pub name: u32,
    /// The descriptor whose operation it finishes.
    pub fd: Fd,
    /// What is to be done there.
    pub readiness: Readiness,
}

/// A step, while it runs and until it is recorded.
#[derive(Debug)]
pub struct Step {
    pub(super) begun: u64,
    pub(super) subject: Subject,
    pub(super) cause: Cause,
    pub(super) before: Traffic,
    pub(super) has_ended: bool,
    pub(super) ending: u8,
    pub(super) waits_for: u32,
}

/// The state of one loop.
pub struct LoopTrace {
    /// Where the loop records.
    pub recording: Arc<Recording>,
    /// Where it runs, once that was told.
    pub thread: ThreadId,
    pub(super) step: Option<Step>,
    /// Up to which step the entries of the ring have which cause, oldest first.
    causes: VecDeque<(u64, Option<u64>)>,
    pub(super) park_count: u64,
    pub(super) idle_since: u64,
    /// The time at which the turn began, for its first step.
    pub(super) turn_begun: u64,
    /// The latest time so far. Times of two clocks may differ by their rounding, and no step is to end before
    /// it has begun.
    pub(super) latest: u64,
    pub(super) names: Recent,
}

/// Numbers of names that the loop has used lately, by address, so that most steps need no lock and no hash.
pub(super) struct Recent([(usize, u32); RECENT]);

const RECENT: usize = 64;

impl Recent {
    const fn place(address: usize) -> usize {
        (address >> 4 ^ address >> 10) % RECENT
    }

    #[inline]
    pub(super) const fn find(&self, address: usize) -> Option<u32> {
        let (known, name) = self.0[Self::place(address)];
        if known == address { Some(name) } else { None }
    }

    pub(super) const fn learn(&mut self, address: usize, name: u32) {
        self.0[Self::place(address)] = (address, name);
    }
}

/// What the loop shows of itself when a step begins or the loop is about to wait.
pub struct View {
    /// The time.
    pub now: u64,
    /// What was moved so far.
    pub traffic: Traffic,
    /// The number of the step that the last entry of the ring will be.
    pub last: u64,
}

impl LoopTrace {
    /// Nothing was seen yet.
    pub fn new(recording: Arc<Recording>, park_count: u64) -> Self {
        Self {
            recording,
            thread: 0,
            step: None,
            causes: VecDeque::new(),
            park_count,
            idle_since: 0,
            turn_begun: 0,
            latest: 0,
            names: Recent([(0, 0); RECENT]),
        }
    }

    /// Entries of the ring up to that of the step `last` have this cause, unless it is known already.
    #[inline]
    pub(super) fn attribute(&mut self, last: u64, cause: Option<u64>) {
        if self.causes.back().is_none_or(|(known, _)| *known != last) {
            self.attribute_more(last, cause);
        }
    }

    fn attribute_more(&mut self, last: u64, cause: Option<u64>) {
        // A program may take entries out of the ring.
        while self.causes.back().is_some_and(|(known, _)| *known > last) {
            self.causes.pop_back();
        }
        if self.causes.back().is_none_or(|(known, _)| *known < last) {
            self.causes.push_back((last, cause));
        }
    }

    /// The cause of a step.
    pub(super) fn cause_of(&mut self, number: u64) -> Cause {
        while self.causes.front().is_some_and(|(last, _)| *last < number) {
            self.causes.pop_front();
        }
        match self.causes.front() {
            Some((_, Some(moment))) => Cause::Moment(*moment),
            _ => Cause::Unknown,
        }
    }

    /// Records the step that has ended, if there is one.
    #[inline]
    pub(super) fn close(&mut self, py: Python<'_>, view: &View) {
        match &self.step {
            Some(step) if step.has_ended => self.record(py, step, view),
            _ => return,
        }
        self.step = None;
        self.attribute(view.last, Some(view.now.saturating_sub(1)));
    }

    /// A timer is set: if a step does that, the timer leads back to this moment of it.
    #[cold]
    pub(super) fn note_timer(&mut self, py: Python<'_>, timer: &Ref) {
        let (runs, thread) = (self.step.as_ref().is_some_and(|step| !step.has_ended), threads::current());
        if runs && self.thread == thread {
            // Later than the beginning of the step and earlier than its end, by their clock.
            self.latest = now().max(self.latest + 1);
            let (thread, key) = (thread.cast_unsigned().into(), timer.as_ptr().addr() as u64);
            self.recording.push(py, &[[Kind::Cause as u64, self.latest, thread, key, 0, 0, 0, 0]]);
        }
    }

    /// The loop has waited until now.
    #[cold]
    pub(super) fn tell_idle(&self, py: Python<'_>, now: u64) {
        let thread = self.thread.cast_unsigned().into();
        self.recording.push(py, &[[Kind::Idle as u64, self.idle_since, now, thread, 0, 0, 0, 0]]);
    }

    pub(super) fn record(&self, py: Python<'_>, step: &Step, view: &View) {
        let (before, after) = (&step.before, &view.traffic);
        let accepted = (after.accepted - before.accepted).min(u8::MAX.into());
        let (by_key, cause) = match step.cause {
            Cause::Unknown => (0, 0),
            Cause::Moment(moment) => (0, moment),
            Cause::Key(key) => (1, key),
        };
        let flags = u64::from(step.ending) << 8
            | (step.subject.readiness as u64) << 16
            | by_key << 24
            | accepted << 32;
        let moved = |before: u64, after: u64| u32::try_from(after - before).unwrap_or(u32::MAX);
        let record: Record = [
            Kind::Step as u64 | flags,
            step.begun,
            view.now,
            halves(step.subject.task, step.subject.name),
            cause,
            halves(self.thread.cast_unsigned(), step.subject.fd.cast_unsigned()),
            halves(
                moved(before.received_bytes, after.received_bytes),
                moved(before.sent_bytes, after.sent_bytes),
            ),
            step.waits_for.into(),
        ];
        self.recording.push(py, &[record]);
    }
}
