//! `contextvars` without Python frames: copy the current context, and run a closure inside one.

pub mod variables;

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{ffi, intern};

use crate::objects::Output;

/// `contextvars.copy_context()`.
#[inline]
pub fn copy_current(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: attached; the call returns a new reference or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent()) }
}

/// `context.copy()`.
#[inline]
pub fn copy<'py>(context: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: attached; the call checks the type of its argument, and returns a new reference or null with an
    // exception set.
    unsafe { Bound::from_owned_ptr_or_err(context.py(), ffi::PyContext_Copy(context.as_ptr())) }
}

/// A context without variables.
pub fn empty(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: attached; a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_New()) }
}

/// Whether the object is a `contextvars.Context`.
pub fn is_context(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the check reads the type pointer of a live object.
    unsafe { ffi::PyContext_CheckExact(object.as_ptr()) != 0 }
}

/// `context.run(f)`: RuntimeError when the context is already entered, TypeError when it is no context.
#[inline]
pub fn run<'py, R>(context: &Bound<'py, PyAny>, f: impl FnOnce(Python<'py>) -> PyResult<R>) -> PyResult<R> {
    let py = context.py();
    // SAFETY: attached; PyContext_Enter checks the type of its argument itself.
    if unsafe { ffi::PyContext_Enter(context.as_ptr()) } != 0 {
        return Err(PyErr::fetch(py));
    }
    let guard = Exit(context);
    let result = f(py);
    std::mem::forget(guard);
    leave(context, result)
}

/// `context.run(callback, *args)` of what is no `contextvars.Context`: asyncio takes whatever has such a
/// method.
#[cold]
pub fn run_by_method<'py>(
    context: &Bound<'py, PyAny>,
    callback: &Bound<'py, PyAny>,
    args: &Bound<'py, PyAny>,
) -> Output<'py> {
    let py = context.py();
    let mut all = vec![callback.clone()];
    for arg in args.try_iter()? {
        all.push(arg?);
    }
    context.call_method1(intern!(py, "run"), PyTuple::new(py, all)?)
}

/// Runs `f` inside a context, or where we are when that is inside of it already.
#[inline]
pub fn run_or_stay<'py, R>(
    context: &Bound<'py, PyAny>,
    f: impl FnOnce(Python<'py>) -> PyResult<R>,
) -> PyResult<R> {
    let py = context.py();
    // SAFETY: attached; PyContext_Enter checks the type of its argument itself.
    if unsafe { ffi::PyContext_Enter(context.as_ptr()) } != 0 {
        drop(PyErr::fetch(py));
        return f(py);
    }
    let guard = Exit(context);
    let result = f(py);
    std::mem::forget(guard);
    leave(context, result)
}

#[inline(always)] // results are moved otherwise
fn leave<R>(context: &Bound<'_, PyAny>, result: PyResult<R>) -> PyResult<R> {
    // SAFETY: attached; entered above. No exception is set here: errors travel as values.
    if unsafe { ffi::PyContext_Exit(context.as_ptr()) } != 0 {
        return Err(PyErr::fetch(context.py()));
    }
    result
}

/// Leaves the context when a panic unwinds through [`run`].
struct Exit<'a, 'py>(&'a Bound<'py, PyAny>);

impl Drop for Exit<'_, '_> {
    fn drop(&mut self) {
        drop(leave(self.0, Ok(())));
    }
}
