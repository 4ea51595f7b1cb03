//! The data of a task, and the list of tasks that are not done.
//!
//! A task begins with the data of a future. What is done with it is in the other files of this folder; the
//! class is in [`crate::tasks`].

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::ffi::{Obj, Slot, WeakSet, WeakSetEntry, derived, none};
use crate::futures::Future;

/// What a Task adds to a Future.
#[derive(Default)]
pub struct TaskState {
    pub(crate) coroutine: Slot,
    pub(crate) context: Slot,
    /// The name; while it is empty, the name is `Task-` and `number`.
    pub(super) name: Slot,
    pub(super) number: Cell<u64>,
    /// What the coroutine waits for.
    pub(super) waiter: Slot,
    pub(super) must_cancel: Cell<bool>,
    pub(super) log_destroy_pending: Cell<bool>,
    pub(super) cancel_requests: Cell<u32>,
    /// See [`super::births`]; 0 where it was not noted.
    pub(super) created: Cell<u64>,
    pub(super) registration: WeakSetEntry,
    /// What an observation of its loop has noted; see [`super::observed`]. Fields of their own because they
    /// fit in between the others.
    pub(super) born: Cell<u32>,
    pub(super) polls: Cell<u16>,
    pub(super) micros: Cell<u32>,
    /// The number that the task has in the trace that is recorded; of an older trace, if it is not larger
    /// than that trace's first.
    pub(super) traced: Cell<u32>,
}

derived! {
    /// The data of a `Task`.
    pub struct Task { base: Future, own: TaskState }
}

pub(super) static TASKS: WeakSet<Task> = WeakSet::new();

pub(super) fn name<'py>(task: &Obj<'py, Task>) -> Bound<'py, PyAny> {
    let py = task.py();
    task.own.name.get(py).unwrap_or_else(|| match task.own.number.get() {
        0 => none(py),
        number => {
            let name = PyString::new(py, &format!("Task-{number}")).into_any();
            task.own.name.put(name.clone());
            name
        }
    })
}
