//! Since 3.12: watchers of dicts and classes, which the interpreter calls.

use std::cell::Cell;
use std::ffi::c_int;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

use crate::types::class_version;

struct Count(Cell<u64>);

// SAFETY: as for `Finding`: the interpreter calls watchers with its lock held.
unsafe impl Sync for Count {}

impl Count {
    fn increase(&self) {
        self.0.set(self.0.get() + 1);
    }
}

/// How many changes there were to all watched dicts and classes. 0 says nothing: it is never reached.
static CHANGES: Count = Count(Cell::new(1));

type DictCallback = extern "C" fn(
    event: c_int,
    dict: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int;

type TypeCallback = extern "C" fn(class: *mut ffi::PyTypeObject) -> c_int;

unsafe extern "C" {
    fn PyDict_AddWatcher(callback: DictCallback) -> c_int;
    fn PyDict_Watch(watcher: c_int, dict: *mut ffi::PyObject) -> c_int;
    fn PyType_AddWatcher(callback: TypeCallback) -> c_int;
    fn PyType_Watch(watcher: c_int, class: *mut ffi::PyObject) -> c_int;
}

/// Called before the change is made, with the interpreter held until it is.
extern "C" fn changing(
    _event: c_int,
    _dict: *mut ffi::PyObject,
    _key: *mut ffi::PyObject,
    _value: *mut ffi::PyObject,
) -> c_int {
    CHANGES.increase();
    0
}

/// The same for classes: no Python code runs between this and the change, on whichever side of it the
/// interpreter calls.
extern "C" fn class_changing(_class: *mut ffi::PyTypeObject) -> c_int {
    CHANGES.increase();
    0
}

/// The count of changes.
#[inline(always)]
pub fn changes() -> u64 {
    CHANGES.0.get()
}

/// Has [`changes`] count the next change of the class. Whether it will: a class needs a version tag to be
/// watched, of which each change takes the one that it has, and the interpreter has only so many watchers.
pub fn watch_class(class: &Bound<'_, PyType>) -> bool {
    static WATCHER: PyOnceLock<Option<c_int>> = PyOnceLock::new();
    let py = class.py();
    let watcher = WATCHER.get_or_init(py, || {
        // SAFETY: attached; the callback has the type of `PyType_WatchCallback` and touches no object.
        match unsafe { PyType_AddWatcher(class_changing) } {
            -1 => {
                drop(PyErr::fetch(py));
                None
            }
            watcher => Some(watcher),
        }
    });
    let Some(watcher) = watcher else { return false };
    // SAFETY: attached; the watcher was added above; the object is a type.
    if unsafe { PyType_Watch(*watcher, class.as_ptr()) } != 0 {
        drop(PyErr::fetch(py));
        return false;
    }
    class_version(class).is_some()
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
    // What is looked up there has to be compared again.
    CHANGES.increase();
    // SAFETY: attached; the watcher was added above; the object is a dict.
    if unsafe { PyDict_Watch(*watcher, dict.as_ptr()) } == 0 { Ok(()) } else { Err(PyErr::fetch(py)) }
}

/// A number that is another one when a watched dict has changed.
#[inline(always)]
pub fn version<'a>(_dicts: impl Iterator<Item = Option<&'a Py<PyDict>>>) -> u64 {
    changes()
}
