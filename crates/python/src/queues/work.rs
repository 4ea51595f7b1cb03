//! `task_done`, `join` and `shutdown`: the end of the work, and of the queue.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::data::Queue;
use super::finished::calls_events;
#[cfg(Py_3_13)]
use super::{exchange, hooks, items};
use crate::coroutines::{Routine, Step};
use crate::ffi::{Obj, Output, call, none};
use crate::names;

/// `task_done()`.
pub fn task_done<'py>(queue: &Obj<'py, Queue>) -> Output<'py> {
    let py = queue.py();
    let unfinished = queue.unfinished.get() - 1;
    if unfinished < 0 {
        return Err(PyValueError::new_err("task_done() called too many times"));
    }
    queue.unfinished.set(unfinished);
    if unfinished == 0 {
        finish(queue)?;
    }
    Ok(none(py))
}

/// `self._finished.set()`, by the event's method where a program has replaced that.
fn finish(queue: &Obj<'_, Queue>) -> PyResult<()> {
    let py = queue.py();
    if calls_events(py) {
        queue.finished.event(py)?;
    }
    queue.finished.set(py)
}

/// `join()`.
pub fn join<'py>(queue: &Obj<'py, Queue>) -> Output<'py> {
    let routine = Routine::begin(queue.as_any(), "Queue.join", |routine| {
        let py = routine.py();
        let queue = routine.owner::<Queue>(py)?;
        if queue.unfinished.get() <= 0 {
            return Ok(Step::Return(none(py)));
        }
        let waiting = call::method(names::wait(py), [&queue.finished.event(py)?])?;
        Ok(Step::Await(waiting, |routine, waited| waited.map(|_| Step::Return(none(routine.py())))))
    })?;
    Ok(routine.into_any())
}

/// `shutdown(immediate=False)`.
#[cfg(Py_3_13)]
pub fn shutdown<'py>(queue: &Obj<'py, Queue>, immediate: bool) -> Output<'py> {
    let py = queue.py();
    queue.shut_down.set(true);
    if immediate {
        let hooks = hooks::of(queue)?;
        while !items::is_empty(queue, hooks)? {
            exchange::take(queue, hooks)?;
            queue.unfinished.set((queue.unfinished.get() - 1).max(0));
        }
        if queue.unfinished.get() == 0 {
            finish(queue)?;
        }
    }
    // The waiting tasks look again, and find the queue shut down.
    queue.getters.wake_all(py)?;
    queue.putters.wake_all(py)?;
    Ok(none(py))
}
