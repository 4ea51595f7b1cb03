//! What others read of tasks: which there are, what each waits for, and since when it exists.
//!
//! The age is noted at creation while somebody wants to know it, and a function is called while somebody wants to know of new tasks,
//! which is one look at a flag otherwise. Called for the task tree, for spans (`yibu.trace()`) and by `asyncio.all_tasks()`.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::{TASKS, Task};
use crate::core::uptime::nanoseconds;
use crate::ffi::Obj;
use crate::futures::State;

/// The native tasks of all loops and threads that are not done.
pub fn living(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    PyList::new(py, TASKS.living(py).into_iter().map(Obj::into_any))
}

/// `asyncio.all_tasks(event_loop)`, which is a C function since 3.14. The native tasks take part in it by way of
/// `python/yibu/task_registry.py`; only that function knows the stock tasks of all threads.
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

/// What is wanted of tasks that are made: [`AGES`], [`CALLS`].
static WANTED: AtomicU8 = AtomicU8::new(0);
const AGES: u8 = 1;
const CALLS: u8 = 2;

static FUNCTION: Mutex<Option<Py<PyAny>>> = Mutex::new(None);

fn want(what: u8, wanted: bool) {
    if wanted {
        WANTED.fetch_or(what, Ordering::Relaxed);
    } else {
        WANTED.fetch_and(!what, Ordering::Relaxed);
    }
}

/// Has the tasks that are made from now on note when they are made, or not.
pub fn want_ages(wanted: bool) {
    want(AGES, wanted);
}

/// Whether tasks note when they are made.
#[inline]
pub fn ages_are_wanted() -> bool {
    WANTED.load(Ordering::Relaxed) & AGES != 0
}

/// Has a function called with each task that is made from now on, its context, and whether that is its own.
pub fn want_calls(function: Option<Py<PyAny>>) {
    want(CALLS, function.is_some());
    let former = std::mem::replace(&mut *FUNCTION.lock().unwrap_or_else(PoisonError::into_inner), function);
    drop(former);
}

/// Does what is wanted of a task that is made now.
#[inline]
pub(super) fn note_birth(task: &Obj<'_, Task>, has_own_context: bool) {
    let wanted = WANTED.load(Ordering::Relaxed);
    if wanted != 0 {
        note(task, wanted, has_own_context);
    }
}

#[cold]
fn note(task: &Obj<'_, Task>, wanted: u8, has_own_context: bool) {
    let py = task.py();
    if wanted & AGES != 0 {
        task.own.created.set(nanoseconds());
    }
    let function =
        FUNCTION.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|known| known.clone_ref(py));
    // A task is made whether or not somebody can be told of it.
    if let Some(function) = function
        && let Err(error) =
            function.call1(py, (task.as_any(), task.own.context.get_or_none(py), has_own_context))
    {
        error.write_unraisable(py, Some(function.bind(py)));
    }
}

/// How many seconds ago a task was made, if that was noted.
pub fn age(task: &Task) -> Option<f64> {
    match task.own.created.get() {
        0 => None,
        created => Some(nanoseconds().saturating_sub(created) as f64 / 1e9),
    }
}
