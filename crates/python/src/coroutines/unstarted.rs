//! Python coroutines that are made to be looked at, not to run: what a native coroutine shows as its frame is
//! the frame of one.
//!
//! A frame that says which coroutine it belongs to cannot be had without a coroutine. Nobody is going to
//! await this one, which is no mistake that has to be reported. Called by [`super::details`].

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::ffi::{Output, frame};
use crate::stock::{self, counterparts};

/// `function(*args, **keywords)` of a coroutine function in Python: a coroutine that is never started, and
/// never reported for that.
pub fn unstarted<'py>(
    function: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    keywords: &Bound<'py, PyDict>,
) -> Output<'py> {
    let py = function.py();
    let coroutine = counterparts::copy(function)?.call(args, Some(keywords))?;
    if !coroutine.is_exact_instance(stock::coroutine(py)?) {
        // A generator that was never iterated causes no warning.
        return Ok(coroutine);
    }
    let (module, name) = (stock::warnings_module(py)?, name!("_warn_unawaited_coroutine"));
    let report = module.getattr_opt(name)?;
    // An object is finalized once. This does it now, while the report goes to a function that does nothing
    // with it. No Python code runs in between, so no other thread can miss a report of its own.
    module.setattr(name, stock::builtin_id(py)?)?;
    frame::finalize(&coroutine);
    match report {
        Some(report) => module.setattr(name, report)?,
        None => module.delattr(name)?,
    }
    Ok(coroutine)
}
