//! Before 3.12: the versions of dicts.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

/// Changes are not counted.
pub fn changes() -> u64 {
    0
}

/// No watcher is registered.
pub fn watch_class(_class: &Bound<'_, PyType>) -> bool {
    false
}

/// Dicts need no watching here.
pub fn watch(_dict: &Bound<'_, PyDict>) -> PyResult<()> {
    Ok(())
}

/// A number that is another one when one of the dicts has changed: a change gives a dict a number that none
/// has had before and that is greater than all others.
#[inline(always)]
pub fn version<'a>(dicts: impl Iterator<Item = Option<&'a Py<PyDict>>>) -> u64 {
    let version = |dict: &Py<PyDict>| {
        // SAFETY: the reference keeps the dict alive, and its layout is that of this interpreter's headers.
        // The field is written with the interpreter held, as it is read.
        unsafe { (*dict.as_ptr().cast::<ffi::PyDictObject>()).ma_version_tag }
    };
    dicts.flatten().map(version).max().unwrap_or(0)
}
