//! New objects of the builtin classes, or MemoryError.
//!
//! PyO3's constructors of most of them panic where there is no memory, and that of slices keeps the integers that it makes.
//! Called by every other file of the crate.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PySlice, PyString};

/// A new reference as an object of the class that its maker promises; the interpreter's exception when it is null.
///
/// # Safety
/// `object` must be null, with an exception set, or a new reference to an object of class `T`.
#[inline]
unsafe fn made<T>(py: Python<'_>, object: *mut ffi::PyObject) -> PyResult<Bound<'_, T>> {
    // SAFETY: the caller's promise.
    unsafe { Ok(Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked()) }
}

/// A `str`.
pub fn text<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyString>> {
    // SAFETY: attached; the pointer and the length are those of a text in UTF-8.
    unsafe { made(py, ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), text.len().cast_signed())) }
}

/// A `bytes`.
#[inline]
pub fn bytes<'py>(py: Python<'py>, content: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    // SAFETY: attached; the pointer and the length are those of the content.
    unsafe { made(py, ffi::PyBytes_FromStringAndSize(content.as_ptr().cast(), content.len().cast_signed())) }
}

/// An `int` of a size or a count.
#[inline]
pub fn size(py: Python<'_>, size: usize) -> PyResult<Bound<'_, PyInt>> {
    // SAFETY: attached.
    unsafe { made(py, ffi::PyLong_FromSize_t(size)) }
}

/// A `float`.
#[inline]
pub fn float(py: Python<'_>, number: f64) -> PyResult<Bound<'_, PyFloat>> {
    // SAFETY: attached.
    unsafe { made(py, ffi::PyFloat_FromDouble(number)) }
}

/// `slice(start, stop)`.
pub fn slice(py: Python<'_>, start: usize, stop: usize) -> PyResult<Bound<'_, PySlice>> {
    let (start, stop) = (size(py, start)?, size(py, stop)?);
    // SAFETY: attached; the slice takes references of its own.
    unsafe { made(py, ffi::PySlice_New(start.as_ptr(), stop.as_ptr(), std::ptr::null_mut())) }
}

/// An empty `dict`.
#[inline]
pub fn dict(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    // SAFETY: attached.
    unsafe { made(py, ffi::PyDict_New()) }
}
