//! When a traced loop looks at itself: before and after each step, and when it is about to wait. See [`super::traced`].
//!
//! Called by `tracing/steps.rs` for each step, by the turn and at the end of a run.

use super::EventLoop;
use super::recording::{Kind, now};
use super::traced::{Cause, Step, Subject, View};
use crate::ffi::Obj;

/// A wait as short as this is left out of the trace: the gap shows it.
const SHORT: u64 = 100_000;

/// `known` is the time, if it is not 0.
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

/// What is known when a step is about to begin.
pub struct Arrival {
    view: View,
    cause: Cause,
}

impl Arrival {
    /// When the entry was made ready, or else the present.
    pub fn since(&self) -> u64 {
        match self.cause {
            Cause::Moment(moment) => moment,
            Cause::Unknown | Cause::Key(_) => self.view.now,
        }
    }
}

/// A step is about to begin: records the one before it, and finds out why it runs.
#[inline]
pub fn arrive(event_loop: &Obj<'_, EventLoop>, key: Option<u64>) -> Arrival {
    let begun = event_loop.with_trace(|trace| std::mem::take(&mut trace.turn_begun));
    let view = view(event_loop, begun.unwrap_or(0));
    let cause = event_loop.with_trace(|trace| {
        let parks = event_loop.pulse.parks();
        let has_waited = trace.step.is_none() && std::mem::replace(&mut trace.parks, parks) != parks;
        if has_waited && trace.idle_since != 0 && view.now - trace.idle_since >= SHORT {
            let thread = trace.thread.cast_unsigned().into();
            let idle = [Kind::Idle as u64, trace.idle_since, view.now, thread, 0, 0, 0, 0];
            trace.recording.push(event_loop.py(), &[idle]);
        }
        trace.close(event_loop.py(), view);
        // What nobody was seen to push has come with the turn: reports of the kernel and timers that are due.
        trace.attribute(view.last, None);
        match key {
            Some(key) => Cause::Key(key),
            None => trace.cause_of(event_loop.pulse.steps()),
        }
    });
    Arrival { view, cause: cause.unwrap_or(Cause::Unknown) }
}

/// The step begins. Returns the step within which it runs, if that is so: see `yibu.allow_nested()`.
#[inline]
pub fn begin(event_loop: &EventLoop, arrival: &Arrival, subject: Subject) -> Option<Step> {
    let View { now: begun, traffic: before, .. } = arrival.view;
    let cause = arrival.cause;
    let step = Step { begun, subject, cause, before, has_ended: false, ending: 0, waits_for: 0 };
    event_loop.with_trace(|trace| trace.step.replace(step)).flatten()
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
        trace.close(event_loop.py(), view);
        trace.step = Some(outer);
    });
}

/// The loop looks for what is ready, or stops to run, at this time of its clock; without, the clock is read.
#[cold]
pub fn leave_turn(event_loop: &Obj<'_, EventLoop>, time: Option<f64>) {
    let view = view(event_loop, time.map_or(0, nanoseconds));
    event_loop.with_trace(|trace| {
        match trace.step {
            Some(step) if !step.has_ended => trace.attribute(view.last, Some(view.now)),
            _ => trace.close(event_loop.py(), view),
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
            trace.record(event_loop.py(), &step, view);
        }
    });
}
