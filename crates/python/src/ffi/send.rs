//! Driving coroutines: `PyIter_Send` as a three-way answer.

use pyo3::ffi;
use pyo3::prelude::*;

/// What a coroutine did.
pub enum Sent<'py> {
    /// It yielded this object and waits.
    Yielded(Bound<'py, PyAny>),
    /// It returned this value.
    Returned(Bound<'py, PyAny>),
    /// It raised.
    Raised(PyErr),
}

/// `coroutine.send(value)` without a StopIteration in between.
#[inline]
pub fn send<'py>(coroutine: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> Sent<'py> {
    let py = coroutine.py();
    let mut result = std::ptr::null_mut();
    // SAFETY: attached; the objects are alive for the call and `result` receives a new reference or null.
    let answer = unsafe { ffi::PyIter_Send(coroutine.as_ptr(), value.as_ptr(), &mut result) };
    match answer {
        // SAFETY: for these two answers CPython guarantees `result` to be a new reference.
        ffi::PySendResult::PYGEN_NEXT => Sent::Yielded(unsafe { Bound::from_owned_ptr(py, result) }),
        // SAFETY: as above.
        ffi::PySendResult::PYGEN_RETURN => Sent::Returned(unsafe { Bound::from_owned_ptr(py, result) }),
        ffi::PySendResult::PYGEN_ERROR => Sent::Raised(PyErr::fetch(py)),
    }
}
