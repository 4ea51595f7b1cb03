//! One turn of the loop: `BaseEventLoop._run_once`. Called by the methods that run loops; runs every entry with nothing borrowed.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::prelude::*;
use yibu_engine::Plan;

use super::clock::{self, now};
use super::{Engine, Entry, EventLoop, current, operation};
use crate::core::Overrides;
use crate::errors;
use crate::ffi::Obj;

/// Waits for work if there is none, then runs what is ready.
pub fn run_once(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    // A clock of the program's own may jump: only the program knows what is due.
    let hurried = if clock::is_replaced(event_loop) || !event_loop.selector.is_empty() {
        None
    } else {
        event_loop.engine.with(Engine::hurry_on)
    };
    let count = match hurried {
        Some(count) => count,
        None => gather(event_loop)?,
    };
    for _ in 0..count {
        let Some(entry) = event_loop.engine.with(|engine| engine.ready.pop()) else { break };
        event_loop.after_entry.open();
        let ran = if event_loop.is_untouched() && !event_loop.debug.get() {
            run_entry(event_loop, entry)
        } else {
            (event_loop.services.run_observed)(event_loop, entry)
        };
        // Mostly there is nothing to tell and nothing to do: results are large, so they are not moved about.
        if event_loop.after_entry.shut() || ran.is_err() {
            ran.and(event_loop.after_entry.run(event_loop))?;
        }
    }
    Ok(())
}

/// Asks kernel and timers what is ready, blocking when nothing is; the number of entries of the turn.
#[inline(never)] // most turns do not
fn gather(event_loop: &Obj<'_, EventLoop>) -> PyResult<usize> {
    let py = event_loop.py();
    let engine = &event_loop.engine;
    current::settle(event_loop)?;
    while let Some(timer) = engine.with(Engine::pop_cancelled_timer) {
        timer.leave();
    }
    if let Some(selector) = event_loop.selector.get(py) {
        (event_loop.services.ask_selector)(event_loop, &selector)?;
        let time = now(event_loop)?;
        return Ok(engine.with(|engine| engine.begin_turn(time)));
    }
    let mut time = now(event_loop)?;
    match engine.with(|engine| engine.plan(time, event_loop.stopping.get())) {
        Plan::Run => {}
        Plan::Poll => {
            engine.with(Engine::poll).map_err(|error| errors::os_error(&error))?;
            py.check_signals()?;
            time = now(event_loop)?;
        }
        Plan::Park(timeout) => {
            // A signal that came after the last Python instruction does not interrupt a wait that begins after it.
            py.check_signals()?;
            park(event_loop, timeout)?;
            py.check_signals()?;
            time = now(event_loop)?;
        }
    }
    Ok(engine.with(|engine| engine.begin_turn(time)))
}

/// How often loops have let go of the interpreter to park: by this a thread that a loop has woken sees that it may go on.
static PARKS: AtomicU32 = AtomicU32::new(1);

/// See [`PARKS`].
#[inline]
pub fn parks() -> u32 {
    PARKS.load(Ordering::Relaxed)
}

/// Blocks with the interpreter released.
pub fn park(event_loop: &Obj<'_, EventLoop>, timeout: Option<std::time::Duration>) -> PyResult<()> {
    let engine = &event_loop.engine;
    let Some(mut wait) = engine.with(Engine::begin_wait).map_err(|error| errors::os_error(&error))? else {
        return Ok(());
    };
    let blocked = if timeout.is_some_and(|t| t.is_zero()) {
        wait.block(timeout)
    } else {
        event_loop.py().detach(|| {
            PARKS.fetch_add(1, Ordering::Relaxed);
            wait.block(timeout)
        })
    };
    let ended = engine.with(|engine| engine.end_wait(wait));
    blocked.and(ended).map_err(|error| errors::os_error(&error))
}

/// Runs one entry. Only what must leave the loop comes out.
#[inline]
pub fn run_entry(event_loop: &Obj<'_, EventLoop>, entry: Entry) -> PyResult<()> {
    match entry {
        Entry::Run(runnable) => (runnable.kind.run)(event_loop, runnable),
        Entry::React { reaction, owner, future } => {
            let py = event_loop.py();
            let (owner, future) = (owner.into_any(py), future.into_any(py));
            match (reaction.run)(&owner, &future) {
                Ok(()) => Ok(()),
                Err(error) => {
                    (event_loop.services.report_reaction)(event_loop, reaction, &owner, future, error)
                }
            }
        }
        Entry::Io(id) => {
            current::settle(event_loop)?;
            operation::ready(event_loop, id)
        }
    }
}
