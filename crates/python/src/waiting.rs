//! `wait_for`, `wait` and `as_completed`: awaiting futures together, or within a limit. Part of
//! `asyncio.tasks`, native.
//!
//! What the three share is here. They work on any loop and with any future; between native objects a done
//! future reaches them as a `Reaction`, and what they wait with is an ordinary native Future. Called by
//! programs; calls [`crate::futures`], [`crate::timeouts`] and [`crate::alarms`].

mod as_completed;
mod release;
mod wait;
mod wait_for;

use pyo3::prelude::*;

use crate::ffi::Table;
use crate::functions;

/// Makes the classes and adds the names.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    Table::<wait::Wait>::build(py, None)?;
    Table::<as_completed::AsCompleted>::build(py, None)?;
    Table::<as_completed::AsCompletedIterator>::build(py, None)?;
    functions::add(module, &wait_for::WAIT_FOR, wait_for::wait_for, wait_for::DOC)?;
    functions::add(module, &wait::WAIT, wait::wait, wait::DOC)?;
    functions::add(module, &as_completed::AS_COMPLETED, as_completed::as_completed, as_completed::DOC)
}
