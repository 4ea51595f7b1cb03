//! [`Steps`]: which step of a traced loop runs, and which steps have made which entries ready.
//!
//! The ring of ready entries is a queue, so an entry runs as the step whose number is that of the present
//! step and its place in the ring. What has entered the ring during a step was made ready by that step: no
//! entry and no push has to be marked for it. A step is recorded when the next one begins, or when the loop
//! is about to wait, so that what the loop sends after a step belongs to the step. Nothing here pushes: what
//! is to be recorded is returned.

use std::collections::VecDeque;

use yibu_driver::threads::{self, ThreadId};
use yibu_driver::{Fd, Traffic};

use super::ring::{Kind, Record, halves, now};

/// A wait as short as this is left out of the trace: the gap shows it.
const SHORT: u64 = 100_000;

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
enum Cause {
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
    begun: u64,
    subject: Subject,
    cause: Cause,
    before: Traffic,
    has_ended: bool,
    ending: u8,
    waits_for: u32,
}

/// What is known of the origin of an entry.
#[derive(Clone, Copy)]
pub enum Origin {
    /// Its place in the ring tells it.
    Place,
    /// Another thread has sent the object of this address.
    Thread(u64),
    /// It is a timer, the object of this address; it leads back to where it was set, unless it was made ready
    /// by a step.
    Timer(u64),
}

/// What is found out when a step begins.
pub struct Arrival {
    /// When the entry was made ready, or else the present.
    pub since: u64,
    /// Whether the trace knows the task.
    pub is_known: bool,
    /// The step within which this one runs, if that is so: see `yibu.allow_nested()`.
    pub outer: Option<Box<Step>>,
}

/// What the loop shows of itself when a step begins or the loop is about to wait.
pub struct View {
    /// The time.
    pub now: u64,
    /// What was moved so far.
    pub traffic: Traffic,
    /// How many steps the loop has begun, as its [`Pulse`](crate::Pulse) counts them.
    pub steps: u64,
    /// How many entries are in the ring.
    pub ready: u64,
    /// How often the loop has parked.
    pub park_count: u64,
}

impl View {
    /// The number of the step that the last entry of the ring will be.
    const fn last(&self) -> u64 {
        self.steps + self.ready
    }
}

/// Numbers of names that the loop has used lately, by address, so that most steps need no lock and no hash.
pub struct RecentNames([(usize, u32); RECENT]);

const RECENT: usize = 64;

impl RecentNames {
    const fn place(address: usize) -> usize {
        (address >> 4 ^ address >> 10) % RECENT
    }

    /// The number of the name that has this address, if the loop has used it lately.
    #[inline]
    pub const fn find(&self, address: usize) -> Option<u32> {
        let (known, name) = self.0[Self::place(address)];
        if known == address { Some(name) } else { None }
    }

    /// The name that has this address has this number, as long as the trace lasts.
    pub const fn learn(&mut self, address: usize, name: u32) {
        self.0[Self::place(address)] = (address, name);
    }
}

/// The steps of one loop.
pub struct Steps {
    /// The names that the loop has used lately.
    pub names: RecentNames,
    /// Where the loop runs, once that was told.
    thread: ThreadId,
    step: Option<Step>,
    /// Up to which step the entries of the ring have which cause, oldest first.
    causes: VecDeque<(u64, Option<u64>)>,
    park_count: u64,
    idle_since: u64,
    /// The time at which the turn began, for its first step.
    turn_begun: u64,
    /// The latest time so far. Times of two clocks may differ by their rounding, and no step is to end before
    /// it has begun.
    latest: u64,
}

impl Steps {
    /// None was seen yet, of a loop that has parked so often.
    pub const fn new(park_count: u64) -> Self {
        Self {
            names: RecentNames([(0, 0); RECENT]),
            thread: 0,
            step: None,
            causes: VecDeque::new(),
            park_count,
            idle_since: 0,
            turn_begun: 0,
            latest: 0,
        }
    }

    /// Whether it is known that this thread runs the loop; from now on it is.
    #[inline]
    pub const fn enter_thread(&mut self, thread: ThreadId) -> bool {
        std::mem::replace(&mut self.thread, thread) == thread
    }

    /// The loop has found what is ready, at this time.
    pub const fn begin_turn(&mut self, time: u64) {
        self.turn_begun = time;
    }

    /// The time of the turn, for the step that begins now if it is the first one of the turn; else 0.
    #[inline]
    pub const fn take_turn_begun(&mut self) -> u64 {
        std::mem::replace(&mut self.turn_begun, 0)
    }

    /// A time for a [`View`]: this one, unless a later one was given before.
    #[inline]
    pub fn order(&mut self, time: u64) -> u64 {
        self.latest = time.max(self.latest + 1);
        self.latest
    }

    /// A step begins, of the task with this number, or of something whose number is not known: finds out why
    /// it runs. Tasks up to `first_task` are of older traces. Returns also what was not recorded yet: that
    /// the loop was idle, and the step before.
    #[inline]
    pub fn begin(
        &mut self,
        view: &View,
        origin: Origin,
        task: u32,
        first_task: u32,
    ) -> (Arrival, [Option<Record>; 2]) {
        let has_parked = self.step.is_none()
            && std::mem::replace(&mut self.park_count, view.park_count) != view.park_count;
        let was_idle = has_parked && self.idle_since != 0 && view.now - self.idle_since >= SHORT;
        let untold = [was_idle.then(|| self.idle(view.now)), self.close(view)];
        // What nobody was seen to push has come with the turn: reports of the kernel and timers that are due.
        self.attribute(view.last(), None);
        let cause = match origin {
            Origin::Thread(key) => Cause::Key(key),
            Origin::Place => self.cause_of(view.steps),
            Origin::Timer(key) => match self.cause_of(view.steps) {
                Cause::Unknown => Cause::Key(key),
                known => known,
            },
        };
        let outer = self.step.take().map(Box::new);
        let is_known = task > first_task;
        let subject = Subject { task: if is_known { task } else { 0 }, ..Subject::default() };
        let since = if let Cause::Moment(moment) = cause { moment } else { view.now };
        let (begun, before) = (view.now, view.traffic);
        self.step = Some(Step { begun, subject, cause, before, has_ended: false, ending: 0, waits_for: 0 });
        (Arrival { since, is_known, outer }, untold)
    }

    /// What runs in the step that has begun.
    #[inline]
    pub const fn describe(&mut self, subject: Subject) {
        if let Some(step) = &mut self.step {
            step.subject = subject;
        }
    }

    /// The step has ended, with the task or with what it waits for from now on.
    #[inline]
    pub const fn end(&mut self, ending: u8, waits_for: u32) {
        if let Some(step) = &mut self.step {
            (step.has_ended, step.ending, step.waits_for) = (true, ending, waits_for);
        }
    }

    /// The step goes on within which other steps have run. Returns the last of these.
    pub fn go_on(&mut self, view: &View, outer: Step) -> Option<Record> {
        let closed = self.close(view);
        self.step = Some(outer);
        closed
    }

    /// The loop looks for what is ready, or stops to run. Returns the step that has ended.
    pub fn leave_turn(&mut self, view: &View) -> Option<Record> {
        self.idle_since = view.now;
        match &self.step {
            Some(step) if !step.has_ended => {
                self.attribute(view.last(), Some(view.now));
                None
            }
            _ => self.close(view),
        }
    }

    /// The trace ends. Returns the step that still runs, or has ended.
    pub fn finish(&mut self, view: &View) -> Option<Record> {
        self.step.take().map(|step| self.record(&step, view))
    }

    /// The timer of this address is set: if a step does that, the timer leads back to this moment of it.
    #[cold]
    pub fn set_timer(&mut self, key: u64) -> Option<Record> {
        let (runs, thread) = (self.step.as_ref().is_some_and(|step| !step.has_ended), threads::current());
        // Later than the beginning of the step and earlier than its end, by their clock.
        (runs && self.thread == thread).then(|| {
            let time = self.order(now());
            [Kind::Cause as u64, time, thread.cast_unsigned().into(), key, 0, 0, 0, 0]
        })
    }

    /// Entries of the ring up to that of the step `last` have this cause, unless it is known already.
    #[inline]
    fn attribute(&mut self, last: u64, cause: Option<u64>) {
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
    fn cause_of(&mut self, number: u64) -> Cause {
        while self.causes.front().is_some_and(|(last, _)| *last < number) {
            self.causes.pop_front();
        }
        match self.causes.front() {
            Some((_, Some(moment))) => Cause::Moment(*moment),
            _ => Cause::Unknown,
        }
    }

    /// The step that has ended, if there is one.
    #[inline]
    fn close(&mut self, view: &View) -> Option<Record> {
        let step = self.step.take_if(|step| step.has_ended)?;
        self.attribute(view.last(), Some(view.now.saturating_sub(1)));
        Some(self.record(&step, view))
    }

    #[cold]
    fn idle(&self, until: u64) -> Record {
        [Kind::Idle as u64, self.idle_since, until, self.thread.cast_unsigned().into(), 0, 0, 0, 0]
    }

    fn record(&self, step: &Step, view: &View) -> Record {
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
        [
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
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The loop at a time, with so many steps begun and entries ready.
    fn view(now: u64, steps: u64, ready: u64) -> View {
        View { now, traffic: Traffic::default(), steps, ready, park_count: 0 }
    }

    fn begin(steps: &mut Steps, view: &View) -> (Arrival, [Option<Record>; 2]) {
        steps.begin(view, Origin::Place, 0, 0)
    }

    #[test]
    fn an_entry_is_caused_by_the_step_during_which_it_entered_the_ring() {
        let mut steps = Steps::new(0);
        begin(&mut steps, &view(10, 1, 0));
        steps.end(0, 0);
        // The first step has pushed two entries, which run as the steps 2 and 3.
        let (arrival, untold) = begin(&mut steps, &view(20, 1, 2));
        assert_eq!(untold[1].map(|record| (record[1], record[2])), Some((10, 20)));
        assert_eq!(arrival.since, 20);
        steps.end(0, 0);
        assert_eq!(begin(&mut steps, &view(30, 2, 1)).0.since, 19);
        steps.end(0, 0);
        assert_eq!(begin(&mut steps, &view(40, 3, 0)).0.since, 19);
    }

    #[test]
    fn a_nested_step_leads_back_to_the_one_around_it() {
        let mut steps = Steps::new(0);
        begin(&mut steps, &view(10, 1, 0));
        assert_eq!(steps.leave_turn(&view(15, 1, 1)), None);
        let (inner, _) = begin(&mut steps, &view(20, 2, 0));
        assert_eq!(inner.since, 15);
        steps.end(0, 0);
        let outer = inner.outer.expect("the step around it");
        assert!(steps.go_on(&view(30, 2, 0), *outer).is_some());
        assert_eq!(steps.finish(&view(40, 2, 0)).map(|record| (record[1], record[2])), Some((10, 40)));
    }

    #[test]
    fn a_long_wait_is_told_and_a_short_one_is_not() {
        let mut steps = Steps::new(0);
        for (until, told) in [(SHORT, false), (2 * SHORT + 1, true)] {
            steps.leave_turn(&view(1, 0, 0));
            let parked = View { park_count: until, ..view(until, 1, 0) };
            assert_eq!(begin(&mut steps, &parked).1[0].is_some(), told);
            steps.finish(&view(until, 1, 0));
        }
    }

    #[test]
    fn times_only_grow() {
        let mut steps = Steps::new(0);
        assert_eq!([5, 5, 4, 9].map(|time| steps.order(time)), [5, 6, 7, 9]);
    }
}
