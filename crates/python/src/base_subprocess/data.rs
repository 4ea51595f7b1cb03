//! The data of a [`BaseSubprocessTransport`].

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::ffi::Slot;

/// The data of a `BaseSubprocessTransport`.
#[derive(Default)]
pub struct BaseSubprocessTransport {
    /// Whether `__init__` has run; before, there is nothing to close.
    pub(super) begun: Cell<bool>,
    pub(super) closed: Cell<bool>,
    pub(super) finished: Cell<bool>,
    pub(super) event_loop: Slot,
    pub(super) protocol: Slot,
    /// The Popen object.
    pub(super) process: Slot,
    pub(super) pid: Slot,
    pub(super) returncode: Slot,
    /// Futures of those in `_wait`.
    pub(super) exit_waiters: Slot,
    /// The task that connects the pipes, until it has.
    pub(super) connecting: Slot,
    /// What is to be called when the pipes are connected; empty from then on.
    pub(super) pending_calls: Slot,
    /// The protocols of the pipes by the child's descriptor, None until the pipe is connected.
    pub(super) pipes: Slot,
    pub(super) extra: Slot,
}

impl BaseSubprocessTransport {
    pub(super) fn slots(&self) -> [&Slot; 10] {
        [
            &self.event_loop,
            &self.protocol,
            &self.process,
            &self.pid,
            &self.returncode,
            &self.exit_waiters,
            &self.connecting,
            &self.pending_calls,
            &self.pipes,
            &self.extra,
        ]
    }

    /// `_pipes`.
    pub(super) fn pipes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        Ok(self.pipes.get_or_none(py).cast_into()?)
    }

    /// The task that connects the pipes, if it has not.
    pub fn connecting<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.connecting.get(py)
    }

    /// `_proc`, for the subclass that starts the child.
    pub fn set_process(&self, process: Bound<'_, PyAny>) {
        self.process.put(process);
    }
}
