//! What the task tree is made of: every native task with its state, what it waits for and its coroutines,
//! read at one moment; and what else is shown of a process, its sockets.
//!
//! Nothing here runs or is stored before a snapshot is asked for. A snapshot takes references only, so that
//! ten thousand tasks hold up the loop for a few milliseconds; `python/yibu/inspection` makes words, tables
//! and graphs of it afterwards. Called from any attached thread.

mod callbacks;
mod places;
mod snapshot;
mod sockets;
mod stack;

use pyo3::prelude::*;
use pyo3::types::PyModule;

/// Adds the functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    snapshot::register(module)?;
    stack::register(module)?;
    sockets::register(module)?;
    places::register(module)?;
    callbacks::register(module)
}
