//! The data of a future: its state, its outcome and its callbacks.
//!
//! A Task begins with the same data. The methods are in `outcome` and `scheduling`, the class is in
//! [`crate::futures`].

use std::cell::Cell;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::callbacks::Callbacks;
use crate::ffi::{LoopCell, Obj, Slot};
use crate::sources;

/// `Future._state`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum State {
    /// Neither result, exception nor cancellation yet.
    #[default]
    Pending,
    /// `cancel()` was called.
    Cancelled,
    /// A result or an exception is set.
    Finished,
}

/// The data of a `Future`; a Task begins with it too.
#[derive(Default)]
pub struct Future {
    pub(crate) event_loop: Slot,
    pub(super) state: Cell<State>,
    /// `_asyncio_future_blocking`: the future was yielded to a task that has not read this yet.
    pub(crate) blocking: Cell<bool>,
    pub(super) log_traceback: Cell<bool>,
    pub(super) callbacks: LoopCell<Callbacks>,
    /// The result, or the exception when `failed`.
    pub(super) outcome: Slot,
    pub(super) failed: Cell<bool>,
    pub(super) exception_traceback: Slot,
    pub(super) cancel_message: Slot,
    /// The CancelledError that ended a task: raised once, in the first task that awaits it.
    pub(super) cancelled_error: Slot,
    pub(super) source_traceback: Slot,
    /// The set of futures that were added by `future_add_to_awaited_by`; see [`super::awaiting`].
    #[cfg(Py_3_14)]
    pub(super) awaited_by: Slot,
}

impl Future {
    /// The state.
    #[inline]
    pub fn state(&self) -> State {
        self.state.get()
    }

    /// Whether `__init__` ran.
    #[inline]
    pub fn is_alive(&self) -> bool {
        !self.event_loop.is_empty()
    }

    /// RuntimeError when `__init__` did not run.
    #[inline]
    pub fn ensure_alive(&self) -> PyResult<()> {
        if self.is_alive() { Ok(()) } else { Err(uninitialized()) }
    }

    /// The cancellation's message.
    pub fn message<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.cancel_message.get_or_none(py)
    }

    /// Sets the message of a coming CancelledError.
    pub fn set_message(&self, message: Bound<'_, PyAny>) {
        if message.is_none() { self.cancel_message.clear() } else { self.cancel_message.put(message) }
    }

    /// Keeps the exception a task was cancelled by.
    pub fn keep_cancelled_error(&self, error: Bound<'_, PyAny>) {
        self.cancelled_error.put(error);
    }

    /// No "never retrieved" report for this future.
    #[inline]
    pub fn mark_retrieved(&self) {
        self.log_traceback.set(false);
    }

    /// The stack of the code that made the future, in debug mode.
    pub fn source<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        sources::shown(&self.source_traceback, py)
    }

    /// The references both Future and Task show to the collector.
    pub(super) fn each_slot(&self, mut f: impl FnMut(&Slot)) {
        for slot in [
            &self.event_loop,
            &self.outcome,
            &self.exception_traceback,
            &self.cancel_message,
            &self.cancelled_error,
            &self.source_traceback,
            #[cfg(Py_3_14)]
            &self.awaited_by,
        ] {
            f(slot);
        }
    }

    /// Whether it has ended with an exception that is not a cancellation.
    pub fn has_failed(&self) -> bool {
        self.failed.get()
    }

    /// Whether an exception has to be reported if the future is freed now.
    #[inline]
    pub fn has_unretrieved_exception(&self) -> bool {
        self.log_traceback.get()
    }
}

/// The native future behind an object that is exactly a Future, a Task or what `gather()` returns: no Python
/// subclass can have replaced its methods. Those that the three do not have in common are `cancel` and
/// `set_result`, `set_exception`.
#[inline]
pub fn exact<'a, 'py>(object: &'a Bound<'py, PyAny>) -> Option<&'a Obj<'py, Future>> {
    Obj::<Future>::cast_native(object)
}

/// The native future whose methods nobody has replaced, neither in a subclass nor on the object itself.
#[inline]
pub fn plain<'a, 'py>(object: &'a Bound<'py, PyAny>) -> Option<&'a Obj<'py, Future>> {
    exact(object).filter(|future| future.attribute_count() == 0)
}

pub(super) fn uninitialized() -> PyErr {
    PyRuntimeError::new_err("Future object is not initialized.")
}
