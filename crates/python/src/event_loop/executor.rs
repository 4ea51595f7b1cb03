//! Executors: `run_in_executor`, `set_default_executor`, `shutdown_default_executor`.

use pyo3::prelude::*;

use super::EventLoop;
use crate::ffi::Obj;

/// Lets the default executor end when its jobs are done: the loop closes.
pub(super) fn shut_down_without_waiting(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    event_loop.executor_shut_down.set(true);
    Ok(())
}
