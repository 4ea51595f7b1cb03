//! [`Bytes`]: an immutable `bytes` object kept for its content, readable without a token.

use std::mem::ManuallyDrop;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A tail of a `bytes` object (exactly of that class: freeing one runs no Python code).
pub struct Bytes {
    object: ManuallyDrop<Py<PyBytes>>,
    start: usize,
}

impl Bytes {
    /// The object, unless a part of it was left out.
    pub fn whole<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        (self.start == 0).then(|| self.object.bind(py).clone())
    }

    /// Keeps `object[start..]`; `None` for an instance of a subclass.
    pub fn keep(object: &Bound<'_, PyBytes>, start: usize) -> Option<Self> {
        object.is_exact_instance_of::<PyBytes>().then(|| Self {
            object: ManuallyDrop::new(object.clone().unbind()),
            start: start.min(object.as_bytes().len()),
        })
    }
}

impl AsRef<[u8]> for Bytes {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        // SAFETY: a `bytes` object never changes and never moves, this reference keeps it alive, and `start`
        // is within it.
        unsafe {
            let object = self.object.as_ptr();
            let (content, len) = (ffi::PyBytes_AS_STRING(object), ffi::Py_SIZE(object));
            std::slice::from_raw_parts(content.cast::<u8>().add(self.start), len.unsigned_abs() - self.start)
        }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        // SAFETY: owns one reference and is dropped on an attached thread (module invariant).
        unsafe { ffi::Py_DECREF(self.object.as_ptr()) }
    }
}
