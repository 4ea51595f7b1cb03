//! Runs entries that debug mode times, entries of a loop that is traced, and entries whose handle has a
//! `_run` that a program has replaced.
//!
//! asyncio runs everything through handles. Here most entries are not handles. While `_run` is replaced, as
//! detectors of blocking callbacks do, each entry gets a handle when it is about to run. Called by the core's
//! turn, for each entry of a loop in debug mode, of one that is traced or of one that is not untouched.

use std::time::Instant;

use pyo3::prelude::*;

use super::handles::BY_NAME;
use super::{debug, internals};
use crate::core::entry::Other;
use crate::core::{Entry, EventLoop, Overrides, current, operation, turn};
use crate::events::entries::{POSTED, TIMER};
use crate::events::{self, Handle, PostedHandle, TimerHandle};
use crate::ffi::Obj;
use crate::ffi::originals;
use crate::futures::Future;
use crate::tracing;

/// Runs an entry.
#[inline(never)]
pub(super) fn run(event_loop: &Obj<'_, EventLoop>, entry: Entry) -> PyResult<()> {
    if event_loop.is_traced() {
        return tracing::steps::run(event_loop, entry, run_debugged);
    }
    run_debugged(event_loop, entry)
}

#[inline]
fn run_debugged(event_loop: &Obj<'_, EventLoop>, entry: Entry) -> PyResult<()> {
    if event_loop.debug.get() { run_timed(event_loop, entry) } else { run_one(event_loop, entry) }
}

/// Runs one entry, by way of its handle where Python code sees that.
fn run_one(event_loop: &Obj<'_, EventLoop>, entry: Entry) -> PyResult<()> {
    if !event_loop.is_untouched() && is_replaced(event_loop.py(), &entry) {
        return run_by_handle(event_loop, entry);
    }
    turn::run_entry(event_loop, entry)
}

/// Whether the handle of an entry has another `_run` than the native one.
fn is_replaced(py: Python<'_>, entry: &Entry) -> bool {
    let replaced = match entry.kind() {
        Some(kind) if std::ptr::eq(kind, &TIMER) => originals::replaced_in::<TimerHandle>(py),
        Some(kind) if std::ptr::eq(kind, &POSTED) => {
            originals::replaced_in::<PostedHandle>(py) | originals::replaced_in::<Handle>(py)
        }
        Some(kind) if std::ptr::eq(kind, &BY_NAME) => return false,
        _ => originals::replaced_in::<Handle>(py),
    };
    replaced & events::RUN != 0
}

/// Runs an entry by the `_run` of a handle.
#[cold]
fn run_by_handle(event_loop: &Obj<'_, EventLoop>, entry: Entry) -> PyResult<()> {
    current::flush_leave(event_loop)?;
    let handle = internals::as_handle(event_loop, entry)?;
    if let Some(native) = Obj::<Handle>::cast(&handle) {
        native.track();
        if native.is_cancelled() {
            return Ok(());
        }
    }
    handle.call_method0(name!("_run")).map(drop)
}

/// Runs an entry in debug mode: measures it, and names it when it was slow.
fn run_timed(event_loop: &Obj<'_, EventLoop>, entry: Entry) -> PyResult<()> {
    let (subject, handle) = match &entry {
        // The handle of a watcher, a transport or a server. A future is no callback: what awaits it is named
        // in its own step.
        Entry::Other(Other::Io(id)) => {
            let owner =
                operation::owner(event_loop, *id).filter(|owner| Obj::<Future>::cast(owner).is_none());
            (owner.clone(), owner.filter(|owner| Obj::<Handle>::cast(owner).is_some()))
        }
        entry => {
            let subject = entry.subject(event_loop.py());
            (subject.clone(), subject)
        }
    };
    let began = Instant::now();
    event_loop.current_handle.clear();
    if let Some(handle) = handle {
        event_loop.current_handle.put(handle);
    }
    let result = run_one(event_loop, entry);
    event_loop.current_handle.clear();
    let spent = began.elapsed().as_secs_f64();
    result?;
    match subject {
        Some(subject) => debug::warn_if_slow(event_loop, &subject, spent),
        None => Ok(()),
    }
}
