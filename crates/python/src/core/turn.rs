//! One turn of the loop: `BaseEventLoop._run_once`. Called by the methods that run loops; runs every entry
//! with nothing borrowed.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use pyo3::prelude::*;
use yibu_engine::Plan;

use super::clock::{self, now};
use super::{Engine, Entry, EventLoop, Other, Overridable, current, operation, tracing};
use crate::core::Overrides;
use crate::errors;
use crate::ffi::Obj;

/// Waits until an entry is ready, then runs the ready entries.
pub fn run_once(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    event_loop.counters.begin_turn();
    // A clock that the program has put in place of `time.monotonic` may jump, and a program that has the list
    // of timers may change it, so timers are checked in every turn.
    let is_watched = !event_loop.is_untouched()
        && (clock::is_replaced(event_loop) || event_loop.overrides(Overridable::ShowTimers));
    let fast = if is_watched || !event_loop.selector.is_empty() {
        None
    } else {
        event_loop.engine.with(Engine::begin_fast_turn)
    };
    let count = match fast {
        Some(count) => count,
        None => gather(event_loop)?,
    };
    for _ in 0..count {
        let popped = event_loop.engine.with(|engine| {
            let entry = engine.ready.pop();
            engine.ready.first().inspect(|next| next.prefetch());
            entry
        });
        let Some(entry) = popped else { break };
        event_loop.pulse.begin_step();
        event_loop.after_entry.begin_entry();
        let mut ran = if event_loop.is_untouched() && !event_loop.steps_are_seen.get() {
            run_entry(event_loop, entry)
        } else {
            (event_loop.services.run_observed)(event_loop, entry)
        };
        if event_loop.has_observer() && event_loop.marks.are_reached(event_loop.pulse.steps()) {
            ran = ran.and((event_loop.services.reach_marks)(event_loop));
        }
        // Mostly there is no error and nothing to do after the entry. Checked first, because a result is
        // large and costs time to move.
        if event_loop.after_entry.end_entry() || ran.is_err() {
            ran.and(event_loop.after_entry.run(event_loop))?;
        }
    }
    event_loop.contexts.end_turn();
    Ok(())
}

/// Moves due timers and reported operations to the ring, and blocks while no entry is ready; returns the
/// number of entries of the turn.
#[inline(never)] // most turns are fast turns
fn gather(event_loop: &Obj<'_, EventLoop>) -> PyResult<usize> {
    current::flush_leave(event_loop)?;
    if !event_loop.overrides(Overridable::ShowTimers) {
        return wait_and_take(event_loop);
    }
    (event_loop.services.sync_timers)(event_loop, false)?;
    let count = wait_and_take(event_loop)?;
    (event_loop.services.sync_timers)(event_loop, true)?;
    Ok(count)
}

/// The same for a loop whose timers nobody looks at.
fn wait_and_take(event_loop: &Obj<'_, EventLoop>) -> PyResult<usize> {
    let py = event_loop.py();
    let engine = &event_loop.engine;
    while let Some(timer) = engine.with(Engine::pop_cancelled_timer) {
        timer.leave();
    }
    if let Some(selector) = event_loop.selector.get(py) {
        event_loop.counters.lose_time();
        if event_loop.is_traced() {
            tracing::leave_turn(event_loop, None);
        }
        (event_loop.services.ask_selector)(event_loop, &selector)?;
        let time = now(event_loop)?;
        event_loop.marks.skip_time();
        note_timers(event_loop, time);
        return Ok(engine.with(|engine| engine.begin_turn(time)));
    }
    let mut time = now(event_loop)?;
    let is_traced = event_loop.is_traced();
    if is_traced {
        tracing::leave_turn(event_loop, (!clock::is_replaced(event_loop)).then_some(time));
    }
    if event_loop.counters.note_time(time) {
        event_loop.marks.skip_time();
        if clock::is_replaced(event_loop) {
            // `loop.metrics()` then reads the loop's own clock.
            event_loop.counters.lose_time();
        }
    }
    let mut plan = engine.with(|engine| engine.plan(time, event_loop.stopping.get()));
    if matches!(plan, Plan::Block(_)) {
        let is_first = !event_loop.has_parked.replace(true);
        if is_first {
            (event_loop.services.before_first_park)(event_loop)?;
        }
        // A signal that came before the wait does not interrupt the wait: its Python handler has to run
        // first.
        py.check_signals()?;
        if is_first {
            // The handler may have set a timer or stopped the loop. From now on a signal also makes the
            // loop's pipe readable.
            plan = engine.with(|engine| engine.plan(time, event_loop.stopping.get()));
        }
    }
    match plan {
        Plan::Run => {}
        Plan::Poll => {
            engine.with(Engine::poll).map_err(|error| errors::os_error(&error))?;
            py.check_signals()?;
            time = now(event_loop)?;
        }
        Plan::Block(timeout) => {
            event_loop.contexts.clear();
            event_loop.counters.begin_park(time);
            let ended =
                park(event_loop, timeout).and_then(|()| py.check_signals()).and_then(|()| now(event_loop));
            // A park that ends with an exception was idle time, too.
            let until =
                ended.as_ref().map_or_else(|_| engine.with(|engine| engine.driver.now()), |time| *time);
            event_loop.counters.end_park(until);
            time = ended?;
        }
    }
    note_timers(event_loop, time);
    if is_traced && !clock::is_replaced(event_loop) {
        tracing::begin_turn(event_loop, time);
    }
    Ok(engine.with(|engine| engine.begin_turn(time)))
}

/// Notes how late each due timer is, if the loop is observed.
#[inline]
fn note_timers(event_loop: &Obj<'_, EventLoop>, time: f64) {
    if event_loop.has_observer() {
        note_due_timers(event_loop, time);
    }
}

#[inline(never)] // only observed loops come here
fn note_due_timers(event_loop: &Obj<'_, EventLoop>, time: f64) {
    event_loop.engine.with(|engine| {
        if engine.timers.next_deadline().is_none_or(|deadline| deadline > time) {
            return;
        }
        let now = engine.driver.now();
        event_loop.with_observation(|observation| {
            engine.timers.each_due(time, |deadline| observation.late(now, time - deadline, 1));
        });
    });
}

/// Notes that something ran so many seconds late.
fn note_late(event_loop: &Obj<'_, EventLoop>, seconds: f64) {
    let now = event_loop.engine.with(|engine| engine.driver.now());
    event_loop.with_observation(|observation| observation.late(now, seconds, 1));
}

/// How often loops of this process have released the interpreter to park. A worker that a loop has woken
/// compares two values to see that the loop has parked.
static PARK_COUNT: AtomicU32 = AtomicU32::new(1);

/// See [`PARK_COUNT`].
#[inline]
pub fn park_count() -> u32 {
    PARK_COUNT.load(Ordering::Relaxed)
}

/// Blocks on the kernel with the interpreter released.
pub fn park(event_loop: &Obj<'_, EventLoop>, timeout: Option<std::time::Duration>) -> PyResult<()> {
    let engine = &event_loop.engine;
    let Some(mut wait) = engine.with(Engine::begin_wait).map_err(|error| errors::os_error(&error))? else {
        return Ok(());
    };
    let pulse = &*event_loop.pulse;
    let (lag, mut returned) = (event_loop.marks.lag(), None);
    let blocked = if timeout.is_some_and(|t| t.is_zero()) {
        wait.block(timeout)
    } else {
        event_loop.py().detach(|| {
            PARK_COUNT.fetch_add(1, Ordering::Relaxed);
            let blocked = pulse.parked(|| wait.block(timeout));
            returned = lag.is_wanted().then(Instant::now);
            blocked
        })
    };
    event_loop.marks.skip_time();
    if let Some(returned) = returned {
        event_loop.marks.note_lag();
        // What the kernel has reported waits for the interpreter.
        note_late(event_loop, returned.elapsed().as_secs_f64());
    }
    let ended = engine.with(|engine| engine.end_wait(wait));
    blocked.and(ended).map_err(|error| errors::os_error(&error))
}

/// Runs one entry. Returns only errors that end the run of the loop; others go to the exception handler.
#[inline(always)] // an entry is moved otherwise
pub fn run_entry(event_loop: &Obj<'_, EventLoop>, entry: Entry) -> PyResult<()> {
    match entry {
        Entry::Run(runnable) => (runnable.kind.run)(event_loop, runnable),
        Entry::Other(Other::React { reaction, owner, future }) => {
            let py = event_loop.py();
            let (owner, future) = (owner.into_any(py), future.into_any(py));
            match (reaction.run)(&owner, &future) {
                Ok(()) => Ok(()),
                Err(error) => {
                    (event_loop.services.report_reaction)(event_loop, reaction, &owner, future, error)
                }
            }
        }
        Entry::Other(Other::Io(id)) => {
            current::flush_leave(event_loop)?;
            operation::ready(event_loop, id)
        }
    }
}
