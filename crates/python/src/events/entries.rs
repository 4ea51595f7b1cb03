//! Handles as entries of the loop's ring and as timers of its heap: how each kind runs.

use pyo3::prelude::*;

use super::{Handle, PostedHandle, TimerHandle, contexts, posted, run_posted};
use crate::core::{
    Callable, Entry, EntryKind, EventLoop, Runnable, TimerKind, current, named, no_callable, typed,
};
use crate::ffi::Obj;

impl Handle {
    /// The callback; `None` when it has run or was cancelled.
    pub fn callback<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.callback.get(py)
    }
}

/// `call_soon(callback)`
pub static HANDLE: EntryKind = EntryKind {
    run: |event_loop, runnable| {
        current::flush_leave(event_loop)?;
        run_handle(event_loop, &runnable.object(event_loop.py())?)
    },
    subject: named,
    callable: Some(handle_itself),
    stands_for: no_callable,
};

/// `call_soon_threadsafe(callback)`
pub static POSTED: EntryKind = EntryKind {
    run: |event_loop, runnable| {
        current::flush_leave(event_loop)?;
        let handle: Obj<'_, PostedHandle> = runnable.object(event_loop.py())?;
        if handle.is_shared() {
            handle.track();
        }
        match posted(&handle).is_cancelled() {
            true => Ok(()),
            false => run_posted(&handle, |handle| contexts::run(event_loop, handle)),
        }
    },
    subject: named,
    callable: Some(handle_itself),
    stands_for: no_callable,
};

/// A timer that is due.
pub static TIMER: EntryKind = EntryKind {
    run: |event_loop, runnable| {
        current::flush_leave(event_loop)?;
        run_handle(event_loop, runnable.object::<TimerHandle>(event_loop.py())?.upcast())
    },
    subject: named,
    callable: Some(handle_itself),
    stands_for: no_callable,
};

/// `call_at(callback)`
pub static SCHEDULED: TimerKind = TimerKind {
    is_cancelled: |timer| timer.data_as::<TimerHandle>().is_some_and(|timer| timer.base.is_cancelled()),
    left: |timer| {
        if let Some(timer) = timer.data_as::<TimerHandle>() {
            timer.own.leave();
        }
    },
    entry: &TIMER,
};

fn handle_itself(runnable: Runnable, py: Python<'_>) -> PyResult<Callable<'_>> {
    Ok(Callable::Handle(runnable.object.into_any(py)))
}

/// Runs a handle that nobody cancelled: what its callback raises is reported.
#[inline]
pub fn run_handle<'py>(event_loop: &Obj<'py, EventLoop>, handle: &Obj<'py, Handle>) -> PyResult<()> {
    if handle.is_shared() {
        handle.track();
    }
    if handle.is_cancelled() { Ok(()) } else { contexts::run(event_loop, handle) }
}

/// The loop stops to run and may become garbage: shows the handles that it was about to run to the collector.
pub fn track_all(event_loop: &Obj<'_, crate::core::EventLoop>) -> PyResult<()> {
    let py = event_loop.py();
    let is_handle = |kind| std::ptr::eq(kind, &HANDLE) || std::ptr::eq(kind, &POSTED);
    let copy = |entry: &Entry| match entry {
        Entry::Run(runnable) if is_handle(runnable.kind) => Some(runnable.object.copy(py)),
        _ => None,
    };
    let handle = |place| event_loop.engine.with(|engine| engine.ready.get(place).map(copy));
    (0..)
        .map_while(handle)
        .flatten()
        .try_for_each(|handle| typed::<Handle>(handle, py).map(|handle| handle.track()))
}
