//! Bytes in and out of Python: the buffer protocol as slices that live for one closure.

use std::mem::MaybeUninit;

use pyo3::ffi;
use pyo3::prelude::*;

/// A contiguous buffer exported by a Python object, released on drop.
pub struct Buffer(ffi::Py_buffer);

impl Buffer {
    /// Asks `object` for its bytes; TypeError where it has none. `writable` asks for a mutable buffer.
    pub fn get(object: &Bound<'_, PyAny>, writable: bool) -> PyResult<Self> {
        let mut view = MaybeUninit::<ffi::Py_buffer>::uninit();
        let flags = if writable { ffi::PyBUF_WRITABLE } else { ffi::PyBUF_SIMPLE };
        // SAFETY: attached; on success PyObject_GetBuffer fills `view` completely.
        if unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), view.as_mut_ptr(), flags) } != 0 {
            return Err(PyErr::fetch(object.py()));
        }
        // SAFETY: filled by the successful call above.
        Ok(Self(unsafe { view.assume_init() }))
    }

    /// The length in bytes.
    pub fn len(&self) -> usize {
        self.0.len.unsigned_abs()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// The bytes. The exporter keeps them in place until drop; the interpreter lock keeps other threads from
    /// writing while the slice is used, because no Python code runs during a system call or a copy made with
    /// it.
    pub fn bytes(&self) -> &[u8] {
        if self.is_empty() {
            return &[];
        }
        // SAFETY: a successful PyBUF_SIMPLE export is `len` contiguous readable bytes at `buf`.
        unsafe { std::slice::from_raw_parts(self.0.buf.cast(), self.len()) }
    }

    /// The bytes for writing; empty when the buffer is read-only.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        if self.is_empty() || self.0.readonly != 0 {
            return &mut [];
        }
        // SAFETY: as in `bytes`, writable; `&mut self` makes this the only slice made from this export.
        unsafe { std::slice::from_raw_parts_mut(self.0.buf.cast(), self.len()) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: attached (module invariant); exported once, released once.
        unsafe { ffi::PyBuffer_Release(&mut self.0) }
    }
}
