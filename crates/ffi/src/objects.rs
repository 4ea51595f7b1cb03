//! What functions of class tables return, the objects that are returned most, and another reference to an
//! object. Used by all of the crate.

use pyo3::ffi;
use pyo3::prelude::*;

/// What every function in a class table returns.
pub type Output<'py> = PyResult<Bound<'py, PyAny>>;

/// `None` as an owned object.
#[inline]
pub fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

/// A Python bool as an owned object.
#[inline]
pub fn boolean(py: Python<'_>, value: bool) -> Bound<'_, PyAny> {
    pyo3::types::PyBool::new(py, value).to_owned().into_any()
}

/// How many references there are to an object.
pub fn reference_count(object: &Bound<'_, PyAny>) -> isize {
    // SAFETY: attached; the object is alive.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) }
}

/// Another reference to an object, soon to be dropped.
///
/// The `Py_INCREF` of 3.12 and 3.13 writes one half of the count, their `Py_DECREF` reads the whole: when it
/// follows at once, the processor has to wait until the store is in the cache. Here the whole is written.
#[inline]
pub fn new_reference<'py, T>(object: &Bound<'py, T>) -> Bound<'py, T> {
    #[cfg(all(Py_3_12, not(Py_3_14), target_pointer_width = "64"))]
    // SAFETY: attached; the object is alive. The count of a mortal one is in the lower half, so adding to the
    // whole is adding to it; that of an immortal one has the lower half's sign bit set and stays.
    unsafe {
        let count = &raw mut (*object.as_ptr()).ob_refcnt.ob_refcnt;
        if (*count as i32) >= 0 {
            *count += 1;
        }
        Bound::from_owned_ptr(object.py(), object.as_ptr()).cast_into_unchecked()
    }
    #[cfg(not(all(Py_3_12, not(Py_3_14), target_pointer_width = "64")))]
    object.clone()
}
