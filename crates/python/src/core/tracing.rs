//! When a traced loop looks at itself: before and after each step, and when it is about to wait. What is to
//! be recorded then, [`Steps`] says.
//!
//! Called by `tracing/steps.rs` for each step, by the turn and at the end of a run.

use std::sync::Arc;

use yibu_driver::threads::ThreadId;
use yibu_observing::trace::{Arrival, Origin, Record, Step, Steps, Subject, View, now};

use super::EventLoop;
use super::recording::{LoopTrace, Recording};
use crate::ffi::Obj;

/// Lets `f` act on the trace of the loop as it is at a time; the clock is read if that is 0.
#[inline]
fn look<R>(event_loop: &EventLoop, time: u64, f: impl FnOnce(&mut LoopTrace, &View) -> R) -> Option<R> {
    let time = if time == 0 { now() } else { time };
    let (steps, park_count) = (event_loop.pulse.steps(), event_loop.pulse.park_count());
    let (traffic, ready) = event_loop.engine.with(|engine| {
        let traffic = engine.driver.traffic().unwrap_or_default();
        (traffic, engine.ready.len() as u64)
    });
    event_loop.with_trace(|trace| {
        let now = trace.steps.order(time);
        f(trace, &View { now, traffic, steps, ready, park_count })
    })
}

/// The same for what returns one record at most.
fn record(event_loop: &Obj<'_, EventLoop>, time: u64, f: impl FnOnce(&mut Steps, &View) -> Option<Record>) {
    look(event_loop, time, |trace, view| {
        let record = f(&mut trace.steps, view);
        trace.push(event_loop.py(), record);
    });
}

/// Whether the trace knows that this thread runs the loop; from now on it does.
#[inline]
pub fn enter_thread(event_loop: &EventLoop, thread: ThreadId) -> bool {
    event_loop.with_trace(|trace| trace.steps.enter_thread(thread)).unwrap_or(true)
}

/// A step begins: records the one before it, and finds out why this one runs. `task` is its number if it is
/// known.
#[inline]
pub fn begin(event_loop: &Obj<'_, EventLoop>, origin: Origin, task: u32) -> Option<Arrival> {
    let begun = event_loop.with_trace(|trace| trace.steps.take_turn_begun())?;
    look(event_loop, begun, |trace, view| {
        let (arrival, untold) = trace.steps.begin(view, origin, task, trace.recording.first_task);
        trace.push(event_loop.py(), untold.into_iter().flatten());
        arrival
    })
}

/// What runs in the step that has begun.
#[inline]
pub fn describe(event_loop: &EventLoop, subject: Subject) {
    event_loop.with_trace(|trace| trace.steps.describe(subject));
}

/// Where the loop records.
pub fn recording(event_loop: &EventLoop) -> Option<Arc<Recording>> {
    event_loop.with_trace(|trace| Arc::clone(&trace.recording))
}

/// The number of the name that has this address, if the loop has used it lately.
#[inline]
pub fn name_at(event_loop: &EventLoop, address: usize) -> Option<u32> {
    event_loop.with_trace(|trace| trace.steps.names.find(address)).flatten()
}

/// The name that has this address has this number, as long as the trace lasts.
pub fn learn_name(event_loop: &EventLoop, address: usize, name: u32) {
    event_loop.with_trace(|trace| trace.steps.names.learn(address, name));
}

/// A step has ended, with the task or with what it waits for from now on.
#[inline]
pub fn end(event_loop: &EventLoop, ending: u8, waits_for: u32) {
    event_loop.with_trace(|trace| trace.steps.end(ending, waits_for));
}

/// The step goes on within which other steps have run.
#[cold]
pub fn go_on(event_loop: &Obj<'_, EventLoop>, outer: Step) {
    record(event_loop, 0, |steps, view| steps.go_on(view, outer));
}

/// The loop looks for what is ready, or stops to run, at this time of its clock; without, the clock is read.
#[cold]
pub fn leave_turn(event_loop: &Obj<'_, EventLoop>, time: Option<f64>) {
    record(event_loop, time.map_or(0, nanoseconds), |steps, view| steps.leave_turn(view));
}

/// The loop has found what is ready, at this time of its clock.
#[cold]
pub fn begin_turn(event_loop: &EventLoop, time: f64) {
    event_loop.with_trace(|trace| trace.steps.begin_turn(nanoseconds(time)));
}

/// A time of the loop's clock, which is the one of [`now`].
fn nanoseconds(time: f64) -> u64 {
    (time * 1e9) as u64
}

/// The trace ends: records the step that still runs, or has ended.
pub fn finish(event_loop: &Obj<'_, EventLoop>) {
    record(event_loop, 0, |steps, view| steps.finish(view));
}
