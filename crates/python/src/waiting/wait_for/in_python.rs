//! `wait_for` where calls nest deep: asyncio's own coroutine function.
//!
//! A Python coroutine that awaits a native one which awaits a Python coroutine again, and so on, nests calls
//! on the thread's stack. Python coroutines that await each other do not (since 3.12). So a program that
//! nests them without limit gets native ones for the first part of the stack, and then Python ones, which
//! have no limit but the interpreter's.

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;

use super::WAIT_FOR;
use crate::ffi::Output;
use crate::stock::counterparts;

/// A coroutine of the interpreter.
#[cold]
pub fn wait_for<'py>(awaitable: &Bound<'py, PyAny>, limit: &Bound<'py, PyAny>) -> Output<'py> {
    match counterparts::function(awaitable.py(), WAIT_FOR.function)? {
        Some(function) => counterparts::copy(&function)?.call1((awaitable, limit)),
        None => Err(PyAttributeError::new_err("asyncio has no wait_for()")),
    }
}
