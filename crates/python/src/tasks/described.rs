//! What others read of tasks: which there are, what each waits for, and since when it exists.
//!
//! Called for the task tree and by `asyncio.all_tasks()`.

use pyo3::prelude::*;
use pyo3::types::PyList;
use yibu_observing::nanoseconds;

use super::state::{TASKS, Task};
use crate::ffi::Obj;
use crate::futures::State;

/// The native tasks of all loops and threads that are not done.
pub fn living(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    PyList::new(py, TASKS.living(py).into_iter().map(Obj::into_any))
}

/// `asyncio.all_tasks(event_loop)`, which is a C function since 3.14. The native tasks take part in it by way
/// of `python/yibu/task_registry.py`; only that function knows the stock tasks of all threads.
#[cfg(Py_3_14)]
pub fn all_tasks<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, pyo3::types::PySet>> {
    Ok(crate::stock::all_tasks(event_loop.py())?.call1((event_loop,))?.cast_into()?)
}

/// Whether a task is done.
pub fn is_over(task: &Obj<'_, Task>) -> bool {
    task.base.state() != State::Pending
}

/// The loop of a task; None while the task is not initialised.
pub fn loop_of<'py>(task: &Obj<'py, Task>) -> Bound<'py, PyAny> {
    task.base.event_loop.get_or_none(task.py())
}

/// The future that the coroutine of a task waits for.
pub fn waiter<'py>(task: &Obj<'py, Task>) -> Option<Bound<'py, PyAny>> {
    task.own.waiter.get(task.py())
}

/// How many seconds ago a task was made, if that was noted.
pub fn age(task: &Task) -> Option<f64> {
    match task.own.created.get() {
        0 => None,
        created => Some(nanoseconds().saturating_sub(created) as f64 / 1e9),
    }
}
