//! Python coroutines that are made to be looked at, not to run: what a native coroutine shows as its frame is the frame of one.
//!
//! A frame that says which coroutine it belongs to cannot be had without a coroutine. Nobody is going to await this one, which
//! is no mistake that has to be reported.

use std::ffi::c_int;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFunction, PyTuple};

use crate::stock;

/// `function(*args, **keywords)` of a coroutine function in Python: a coroutine that is never started, and never reported for that.
pub fn dormant<'py>(
    function: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    keywords: &Bound<'py, PyDict>,
) -> super::Output<'py> {
    let py = function.py();
    let coroutine = copy(function)?.call(args, Some(keywords))?;
    if !coroutine.is_exact_instance(stock::coroutine(py)?) {
        // Nobody asks whether a generator was used.
        return Ok(coroutine);
    }
    let (module, name) = (stock::warnings_module(py)?, "_warn_unawaited_coroutine");
    let report = module.getattr_opt(name)?;
    // An object is finalized once. This does it now, while the report goes to a function that does nothing with it. No
    // Python code runs in between, so no other thread can miss a report of its own.
    module.setattr(name, stock::builtin_id(py)?)?;
    // SAFETY: attached; the object is alive, and the interpreter notes that its finalizer has run.
    unsafe { ffi::PyObject_CallFinalizer(coroutine.as_ptr()) };
    match report {
        Some(report) => module.setattr(name, report)?,
        None => module.delattr(name)?,
    }
    Ok(coroutine)
}

/// A function of the same code. Calling the original on a native object would lead to the native method ([`super::stand_ins`]).
pub fn copy<'py>(function: &Bound<'py, PyAny>) -> super::Output<'py> {
    let attribute = |name| function.getattr(name);
    let (code, globals, name) = (attribute("__code__")?, attribute("__globals__")?, attribute("__name__")?);
    let (defaults, closure) = (attribute("__defaults__")?, attribute("__closure__")?);
    let copy = function.py().get_type::<PyFunction>().call1((code, globals, name, defaults, closure))?;
    copy.setattr("__qualname__", attribute("__qualname__")?)?;
    copy.setattr("__kwdefaults__", attribute("__kwdefaults__")?)?;
    Ok(copy)
}

/// How a frame object begins, in all versions from 3.11 to 3.15.
#[repr(C)]
struct Frame {
    object: ffi::PyObject,
    back: *mut ffi::PyObject,
    content: *mut ffi::PyObject,
    trace: *mut ffi::PyObject,
    /// Zero where the interpreter is to find out.
    line: c_int,
}

/// Has the frame of a coroutine that never runs say that it is at this line; at its first one without.
pub fn set_line(frame: &Bound<'_, PyAny>, line: Option<u32>) {
    let line = line.and_then(|line| c_int::try_from(line).ok()).unwrap_or(0);
    // SAFETY: attached; `PyFrame_Type` objects begin as `Frame` does, and this field of one that never runs is written by nobody
    // else.
    unsafe {
        if ffi::PyFrame_Check(frame.as_ptr()) != 0 {
            (*frame.as_ptr().cast::<Frame>()).line = line;
        }
    }
}
