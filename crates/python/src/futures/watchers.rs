//! Who watches a future: the task that awaits it, and what primitives have left on it. Called by
//! [`crate::waiting`] and for the task tree.

use pyo3::prelude::*;

use super::{Callback, Future, exact};
use crate::ffi::Obj;

/// The task that awaits a future, if it is a native one and awaited by a native task.
pub fn awaiting_task<'py>(future: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let py = future.py();
    exact(future)?.callbacks.with(|all| {
        all.iter().find_map(|callback| match callback {
            Callback::Entry { .. } => callback.waiter(py),
            _ => None,
        })
    })
}

/// How many callbacks a future has, of whatever kind.
pub fn callback_count(future: &Obj<'_, Future>) -> usize {
    future.callbacks.with(|all| all.iter().count())
}

/// For each reaction on a future the name of asyncio's callback, and the object it acts on.
pub fn reactions<'py>(future: &Obj<'py, Future>) -> Vec<(&'static str, Bound<'py, PyAny>)> {
    let py = future.py();
    future.callbacks.with(|all| {
        let of_primitives = all.iter().filter_map(|callback| match callback {
            Callback::Reaction { reaction, owner } => Some((reaction.name, owner.copy(py).into_any(py))),
            _ => None,
        });
        of_primitives.collect()
    })
}
