//! Calls from Rust into Python, by the vectorcall protocol: no argument tuple is built.

use std::ffi::CStr;

use pyo3::exceptions::PyMemoryError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use yibu_driver::memory;

use crate::depth;
use crate::objects::Output;

/// `function()`.
#[inline]
pub fn call0<'py>(function: &Bound<'py, PyAny>) -> Output<'py> {
    // SAFETY: attached; the object is alive for the call; a new reference or null is returned.
    unsafe { Bound::from_owned_ptr_or_err(function.py(), ffi::PyObject_CallNoArgs(function.as_ptr())) }
}

/// `function(arg)`.
#[inline]
pub fn call1<'py>(function: &Bound<'py, PyAny>, arg: &Bound<'py, PyAny>) -> Output<'py> {
    // SAFETY: attached; both objects are alive for the call; a new reference or null is returned.
    unsafe {
        Bound::from_owned_ptr_or_err(function.py(), ffi::PyObject_CallOneArg(function.as_ptr(), arg.as_ptr()))
    }
}

/// `function(*args)` with the arguments in an array.
#[inline]
pub fn call<'py, const N: usize>(function: &Bound<'py, PyAny>, args: [&Bound<'py, PyAny>; N]) -> Output<'py> {
    let pointers = args.map(|a| a.as_ptr());
    // SAFETY: attached; `pointers` holds N borrowed references that outlive the call.
    unsafe {
        Bound::from_owned_ptr_or_err(
            function.py(),
            ffi::PyObject_Vectorcall(function.as_ptr(), pointers.as_ptr(), N, std::ptr::null_mut()),
        )
    }
}

/// `function(*args)` with the arguments in a tuple.
#[inline]
pub fn call_tuple<'py>(function: &Bound<'py, PyAny>, args: &Bound<'py, PyTuple>) -> Output<'py> {
    // SAFETY: attached; both objects are alive for the call; a new reference or null is returned.
    unsafe {
        Bound::from_owned_ptr_or_err(
            function.py(),
            ffi::PyObject_Call(function.as_ptr(), args.as_ptr(), std::ptr::null_mut()),
        )
    }
}

/// The arguments of `function(*first, *rest)`, where `rest` is a tuple.
pub fn joined<'py>(first: &[&Bound<'py, PyAny>], rest: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    let rest = rest.cast::<PyTuple>()?;
    let first = first.iter().map(|argument| (*argument).clone());
    let all = memory::collect(first.chain(rest.iter())).ok_or_else(|| PyMemoryError::new_err(()))?;
    PyTuple::new(rest.py(), all)
}

/// `object.name(*args)`; `args[0]` is the object.
#[inline]
pub fn method<'py, const N: usize>(
    name: &Bound<'py, PyString>,
    args: [&Bound<'py, PyAny>; N],
) -> Output<'py> {
    const { assert!(N > 0, "the object itself is the first argument") };
    let pointers = args.map(|a| a.as_ptr());
    // SAFETY: attached; `pointers` holds N borrowed references that outlive the call.
    unsafe {
        Bound::from_owned_ptr_or_err(
            name.py(),
            ffi::PyObject_VectorcallMethod(name.as_ptr(), pointers.as_ptr(), N, std::ptr::null_mut()),
        )
    }
}

/// `object.name(arg, keyword=value)`: the shape of `add_done_callback(cb, context=ctx)`.
#[inline]
pub fn method_with_keyword<'py, const N: usize>(
    name: &Bound<'py, PyString>,
    args: [&Bound<'py, PyAny>; N],
    keywords: &Bound<'py, PyTuple>,
) -> Output<'py> {
    let pointers = args.map(|a| a.as_ptr());
    let positional = N.saturating_sub(keywords.len());
    // SAFETY: attached; `pointers` holds N borrowed references, the last `keywords.len()` of which are
    // keyword values.
    unsafe {
        Bound::from_owned_ptr_or_err(
            name.py(),
            ffi::PyObject_VectorcallMethod(name.as_ptr(), pointers.as_ptr(), positional, keywords.as_ptr()),
        )
    }
}

/// Runs a function that calls itself through this: RecursionError, with `place` at its end, when that goes
/// too deep.
pub fn recursing<R>(py: Python<'_>, place: &'static CStr, f: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    struct Entered;
    impl Drop for Entered {
        fn drop(&mut self) {
            // SAFETY: attached; entered below.
            unsafe { ffi::Py_LeaveRecursiveCall() }
        }
    }
    depth::enter()?;
    // SAFETY: attached; the text is NUL-terminated.
    if unsafe { ffi::Py_EnterRecursiveCall(place.as_ptr()) } != 0 {
        return Err(PyErr::fetch(py));
    }
    let _entered = Entered;
    f()
}
