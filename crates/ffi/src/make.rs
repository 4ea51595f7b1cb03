//! New objects of the builtin classes, or MemoryError.
//!
//! PyO3's constructors of most of them panic where there is no memory, and that of slices keeps the integers
//! that it makes. Called by every other file of the crate.

use std::mem::MaybeUninit;

use pyo3::exceptions::PyMemoryError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PySlice, PyString};

unsafe extern "C" {
    // PyO3 does not declare it.
    fn _PyBytes_Resize(object: *mut *mut ffi::PyObject, size: ffi::Py_ssize_t) -> std::ffi::c_int;
}

/// A new reference as an object of the class that its maker promises; the interpreter's exception when it is
/// null.
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

/// A `bytes` that `fill` writes: it gets memory for `most` bytes and returns the part from the beginning that
/// it has written. None where `fill` fails; its error is not kept.
pub fn bytes_filled<'py, E>(
    py: Python<'py>,
    most: usize,
    fill: impl for<'a> FnOnce(&'a mut [MaybeUninit<u8>]) -> Result<&'a mut [u8], E>,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let size = isize::try_from(most).map_err(|_| PyMemoryError::new_err(()))?;
    // SAFETY: attached; a null pointer asks for an object whose content is not initialised.
    let object: Bound<'py, PyBytes> =
        unsafe { made(py, ffi::PyBytes_FromStringAndSize(std::ptr::null(), size))? };
    // SAFETY: the object is new and nobody else has it; its content is `most` bytes, which nothing else uses
    // before this returns.
    let room = unsafe {
        std::slice::from_raw_parts_mut(ffi::PyBytes_AsString(object.as_ptr()).cast::<MaybeUninit<u8>>(), most)
    };
    let start = room.as_ptr().cast::<u8>();
    let written = match fill(room) {
        // Another slice than the beginning of the room would say nothing about what the room holds.
        Ok(written) if written.is_empty() || std::ptr::eq(written.as_ptr(), start) => written.len(),
        Ok(_) | Err(_) => return Ok(None),
    };
    if written == most {
        return Ok(Some(object));
    }
    let mut object = object.into_ptr();
    // SAFETY: attached; this is the only reference to the object, which has at least `written` bytes. On
    // failure the object is released and the pointer is null.
    unsafe {
        _PyBytes_Resize(&mut object, written.cast_signed());
        made(py, object).map(Some)
    }
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
