//! When a traced loop looks at itself: before and after each step, and when it is about to wait. See
//! [`super::traced`].
//!
//! Called by `tracing/steps.rs` for each step, by the turn and at the end of a run.

use std::sync::Arc;

use yibu_driver::threads::ThreadId;

use super::EventLoop;
use super::recording::{Recording, now};
use super::traced::{Cause, Step, Subject, View};
use crate::ffi::Obj;

/// A wait as short as this is left out of the trace: the gap shows it.
const SHORT: u64 = 100_000;

/// `known` is the time, if it is not 0.
#[inline]
fn view(event_loop: &EventLoop, known: u64) -> View {
    let now = if known == 0 { now() } else { known };
    let later = event_loop.with_trace(|trace| {
        trace.latest = now.max(trace.latest + 1);
        trace.latest
    });
    event_loop.engine.with(|engine| View {
        now: later.unwrap_or(now),
        traffic: engine.driver.traffic().unwrap_or_default(),
        last: event_loop.pulse.steps() + engine.ready.len() as u64,
    })
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

/// Whether the trace knows that this thread runs the loop; from now on it does.
#[inline]
pub fn enter_thread(event_loop: &EventLoop, thread: ThreadId) -> bool {
    event_loop.with_trace(|trace| std::mem::replace(&mut trace.thread, thread) == thread).unwrap_or(true)
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

/// A step begins: records the one before it, and finds out why this one runs. `task` is its number if it is
/// known.
#[inline]
pub fn begin(event_loop: &Obj<'_, EventLoop>, origin: Origin, task: u32) -> Option<Arrival> {
    let begun = event_loop.with_trace(|trace| std::mem::take(&mut trace.turn_begun))?;
    let view = view(event_loop, begun);
    event_loop.with_trace(|trace| {
        let park_count = event_loop.pulse.park_count();
        let has_waited =
            trace.step.is_none() && std::mem::replace(&mut trace.park_count, park_count) != park_count;
        if has_waited && trace.idle_since != 0 && view.now - trace.idle_since >= SHORT {
            trace.tell_idle(event_loop.py(), view.now);
        }
        trace.close(event_loop.py(), &view);
        // What nobody was seen to push has come with the turn: reports of the kernel and timers that are due.
        trace.attribute(view.last, None);
        let cause = match origin {
            Origin::Thread(key) => Cause::Key(key),
            Origin::Place => trace.cause_of(event_loop.pulse.steps()),
            Origin::Timer(key) => match trace.cause_of(event_loop.pulse.steps()) {
                Cause::Unknown => Cause::Key(key),
                known => known,
            },
        };
        let outer = trace.step.take().map(Box::new);
        let is_known = task > trace.recording.first_task;
        let subject = Subject { task: if is_known { task } else { 0 }, ..Subject::default() };
        let since = if let Cause::Moment(moment) = cause { moment } else { view.now };
        let (begun, before) = (view.now, view.traffic);
        trace.step = Some(Step { begun, subject, cause, before, has_ended: false, ending: 0, waits_for: 0 });
        Arrival { since, is_known, outer }
    })
}

/// What runs in the step that has begun.
#[inline]
pub fn describe(event_loop: &EventLoop, subject: Subject) {
    event_loop.with_trace(|trace| {
        if let Some(step) = &mut trace.step {
            step.subject = subject;
        }
    });
}

/// Where the loop records.
pub fn recording(event_loop: &EventLoop) -> Option<Arc<Recording>> {
    event_loop.with_trace(|trace| Arc::clone(&trace.recording))
}

/// The number of the name that has this address, if the loop has used it lately.
#[inline]
pub fn name_at(event_loop: &EventLoop, address: usize) -> Option<u32> {
    event_loop.with_trace(|trace| trace.names.find(address)).flatten()
}

/// The name that has this address has this number, as long as the trace lasts.
pub fn learn_name(event_loop: &EventLoop, address: usize, name: u32) {
    event_loop.with_trace(|trace| trace.names.learn(address, name));
}

/// A step has ended, with the task or with what it waits for from now on.
#[inline]
pub fn end(event_loop: &EventLoop, ending: u8, waits_for: u32) {
    event_loop.with_trace(|trace| {
        if let Some(step) = &mut trace.step {
            (step.has_ended, step.ending, step.waits_for) = (true, ending, waits_for);
        }
    });
}

/// The step goes on within which other steps have run.
#[cold]
pub fn go_on(event_loop: &Obj<'_, EventLoop>, outer: Step) {
    let view = view(event_loop, 0);
    event_loop.with_trace(|trace| {
        trace.close(event_loop.py(), &view);
        trace.step = Some(outer);
    });
}

/// The loop looks for what is ready, or stops to run, at this time of its clock; without, the clock is read.
#[cold]
pub fn leave_turn(event_loop: &Obj<'_, EventLoop>, time: Option<f64>) {
    let view = view(event_loop, time.map_or(0, nanoseconds));
    event_loop.with_trace(|trace| {
        match &trace.step {
            Some(step) if !step.has_ended => trace.attribute(view.last, Some(view.now)),
            _ => trace.close(event_loop.py(), &view),
        }
        trace.idle_since = view.now;
    });
}

/// The loop has found what is ready, at this time of its clock.
#[cold]
pub fn begin_turn(event_loop: &EventLoop, time: f64) {
    event_loop.with_trace(|trace| trace.turn_begun = nanoseconds(time));
}

/// A time of the loop's clock, which is the one of [`now`].
fn nanoseconds(time: f64) -> u64 {
    (time * 1e9) as u64
}

/// The trace ends: records the step that still runs, or has ended.
pub fn finish(event_loop: &Obj<'_, EventLoop>) {
    let view = view(event_loop, 0);
    event_loop.with_trace(|trace| {
        if let Some(step) = trace.step.take() {
            trace.record(event_loop.py(), &step, &view);
        }
    });
}
