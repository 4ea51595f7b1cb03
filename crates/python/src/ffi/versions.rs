//! Whether the names of modules and the attributes of classes have changed since somebody looked: numbers to compare.
//!
//! Since 3.12 the interpreter tells of each change to the dict of a module that is watched; before, a dict has a version of its
//! own. The attributes of a class have one on every Python. Used by [`crate::replaced`].

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

pub use names::{version, watch};

#[cfg(Py_3_12)]
mod names {
    use std::ffi::c_int;
    use std::sync::atomic::{AtomicU64, Ordering};

    use pyo3::ffi;
    use pyo3::prelude::*;
    use pyo3::sync::PyOnceLock;
    use pyo3::types::PyDict;

    /// How many changes there were to all watched dicts. 0 says nothing: it is never reached.
    static CHANGES: AtomicU64 = AtomicU64::new(1);

    type Callback = extern "C" fn(
        event: c_int,
        dict: *mut ffi::PyObject,
        key: *mut ffi::PyObject,
        value: *mut ffi::PyObject,
    ) -> c_int;

    unsafe extern "C" {
        fn PyDict_AddWatcher(callback: Callback) -> c_int;
        fn PyDict_Watch(watcher: c_int, dict: *mut ffi::PyObject) -> c_int;
    }

    /// Called before the change is made, with the interpreter held until it is.
    extern "C" fn changing(
        _event: c_int,
        _dict: *mut ffi::PyObject,
        _key: *mut ffi::PyObject,
        _value: *mut ffi::PyObject,
    ) -> c_int {
        CHANGES.fetch_add(1, Ordering::Relaxed);
        0
    }

    /// Has [`version`] tell of changes to the dict.
    pub fn watch(dict: &Bound<'_, PyDict>) -> PyResult<()> {
        static WATCHER: PyOnceLock<c_int> = PyOnceLock::new();
        let py = dict.py();
        let watcher = WATCHER.get_or_try_init(py, || {
            // SAFETY: attached; the callback has the type of `PyDict_WatchCallback` and touches no object.
            match unsafe { PyDict_AddWatcher(changing) } {
                -1 => Err(PyErr::fetch(py)),
                watcher => Ok(watcher),
            }
        })?;
        // SAFETY: attached; the watcher was added above; the object is a dict.
        if unsafe { PyDict_Watch(*watcher, dict.as_ptr()) } == 0 { Ok(()) } else { Err(PyErr::fetch(py)) }
    }

    /// A number that is another one when a watched dict has changed.
    #[inline(always)]
    pub fn version<'a>(_dicts: impl Iterator<Item = Option<&'a Py<PyDict>>>) -> u64 {
        CHANGES.load(Ordering::Relaxed)
    }
}

#[cfg(not(Py_3_12))]
mod names {
    use pyo3::ffi;
    use pyo3::prelude::*;
    use pyo3::types::PyDict;

    /// Dicts need no watching here.
    pub fn watch(_dict: &Bound<'_, PyDict>) -> PyResult<()> {
        Ok(())
    }

    /// A number that is another one when one of the dicts has changed: a change gives a dict a number that none has had before
    /// and that is greater than all others.
    #[inline(always)]
    pub fn version<'a>(dicts: impl Iterator<Item = Option<&'a Py<PyDict>>>) -> u64 {
        let version = |dict: &Py<PyDict>| {
            // SAFETY: the reference keeps the dict alive, and its layout is that of this interpreter's headers. The field is
            // written with the interpreter held, as it is read.
            unsafe { (*dict.as_ptr().cast::<ffi::PyDictObject>()).ma_version_tag }
        };
        dicts.flatten().map(version).max().unwrap_or(0)
    }
}

/// A number that is another one when the attributes of the class, or of one of its bases, have changed; `None` when that cannot
/// be told. It means something once an attribute has been looked up.
#[inline]
pub fn class_version(class: &Bound<'_, PyType>) -> Option<u32> {
    // SAFETY: the object is a class; the field is written with the interpreter held, as it is read.
    let version = unsafe { (*class.as_ptr().cast::<ffi::PyTypeObject>()).tp_version_tag };
    (version != 0).then_some(version)
}
