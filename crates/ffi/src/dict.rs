//! Dicts asked for more than the safe API tells: whether they have changed, and by hashes that are known
//! already.
//!
//! For the table of running tasks, which is written to in every step of a task up to 3.13. Called by
//! `crates/python/src/core/current.rs`.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

unsafe extern "C" {
    /// What the standard library's `_asyncio` notes tasks by.
    fn _PyDict_SetItem_KnownHash(
        dict: *mut ffi::PyObject,
        key: *mut ffi::PyObject,
        value: *mut ffi::PyObject,
        hash: ffi::Py_hash_t,
    ) -> std::ffi::c_int;
}

/// A number that no dict has had before its last change, and no other dict has.
#[inline]
pub fn version(dict: &Bound<'_, PyDict>) -> u64 {
    #[cfg_attr(Py_3_12, expect(deprecated, reason = "3.14 is the first without it"))]
    // SAFETY: a live dict, whose layout is that of this interpreter's headers. The field is written with the
    // interpreter held, as it is read.
    unsafe {
        (*dict.as_ptr().cast::<ffi::PyDictObject>()).ma_version_tag
    }
}

/// `dict[key] = value` for a key of a known hash.
#[inline]
pub fn set_item<'py>(
    dict: &Bound<'py, PyDict>,
    key: &Bound<'py, PyAny>,
    hash: isize,
    value: &Bound<'py, PyAny>,
) -> PyResult<()> {
    // SAFETY: attached; all three are alive, the first is a dict; references are not taken over.
    let failed = unsafe { _PyDict_SetItem_KnownHash(dict.as_ptr(), key.as_ptr(), value.as_ptr(), hash) } != 0;
    if failed { Err(PyErr::fetch(dict.py())) } else { Ok(()) }
}
