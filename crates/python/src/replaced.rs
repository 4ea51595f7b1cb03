//! What a program has replaced: asked before a native short cut is taken that would go past it.
//!
//! [`functions`] answers for the module-level functions of asyncio, [`mod@names`] for the names of modules
//! (`asyncio.tasks.Task`, `time.monotonic`) and for the classes of others that native code stands in for
//! (`socket.socket`, `ThreadPoolExecutor`). Called where a short cut is taken.

pub mod functions;
mod methods;
mod modules;
mod name;
pub mod names;
pub mod sockets;

use pyo3::prelude::*;

use crate::ffi::{Output, context};

/// `contextvars.copy_context()`, for what asyncio has in Python: tasks and futures, written in C, copy
/// contexts natively.
#[inline]
pub fn copy_context(py: Python<'_>) -> Output<'_> {
    match names::COPY_CONTEXT.replacement(py)? {
        None => context::copy_current(py),
        Some(copy) => copy.call0(),
    }
}
