//! Whether the names of modules and the attributes of classes have changed since somebody looked: numbers to compare.
//!
//! Since 3.12 the interpreter tells of each change to a module or class that is watched. All of them share one count, because
//! such changes are rare: whoever has found something out keeps it as a [`Finding`], which holds as long as that count stays as
//! it is. Before 3.12 a dict has a version of its own. The attributes of a class have one on every Python.
//! Used by [`crate::replaced`], [`super::originals`] and the loop.

use std::cell::Cell;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

pub use names::{changes, version, watch, watch_class};

/// That something was found to be as it came, at a count of changes ([`changes`]). Before 3.12 nobody counts, so it never holds.
pub struct Finding(Cell<u64>);

// SAFETY: every access is made by attached code holding the interpreter lock (the module declares that it uses the GIL).
unsafe impl Sync for Finding {}

impl Finding {
    /// Nothing was found out yet.
    pub const fn new() -> Self {
        Self(Cell::new(0))
    }

    /// Whether it was found and nothing has changed since.
    #[inline(always)]
    pub fn holds(&self) -> bool {
        cfg!(Py_3_12) && self.0.get() == changes()
    }

    /// It was found by a look that began at this count of changes.
    pub fn set(&self, changes: u64) {
        self.0.set(changes);
    }

    /// It has to be found out again.
    pub fn forget(&self) {
        self.0.set(0);
    }
}

/// What was found out about names of some modules, and the version of the dicts of these for which it holds.
pub struct Verified {
    dicts: PyOnceLock<Vec<Py<PyDict>>>,
    at: Cell<u64>,
}

// SAFETY: as for `Finding`; the dicts are written once.
unsafe impl Sync for Verified {}

impl Verified {
    /// Nothing was found out yet.
    pub const fn new() -> Self {
        // No version is this one.
        Self { dicts: PyOnceLock::new(), at: Cell::new(u64::MAX) }
    }

    /// Says which dicts it is about, before anything is found out.
    pub fn depend_on(&self, py: Python<'_>, dicts: Vec<Py<PyDict>>) {
        // Who looks again finds the same.
        let _ = self.dicts.set(py, dicts);
    }

    /// Whether it was found and the dicts are as they were then.
    #[inline(always)]
    pub fn holds(&self, py: Python<'_>) -> bool {
        self.at.get() == self.version(py)
    }

    /// The version of the dicts now. A look begins with this.
    #[inline(always)]
    pub fn version(&self, py: Python<'_>) -> u64 {
        version(self.dicts.get(py).into_iter().flatten().map(Some))
    }

    /// It was found by a look that began at this version.
    pub fn set(&self, version: u64) {
        self.at.set(version);
    }
}

impl Default for Verified {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Finding {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(Py_3_12)]
mod names {
    use std::cell::Cell;
    use std::ffi::c_int;

    use pyo3::ffi;
    use pyo3::prelude::*;
    use pyo3::sync::PyOnceLock;
    use pyo3::types::{PyDict, PyType};

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

    /// The same for classes: no Python code runs between this and the change, on whichever side of it the interpreter calls.
    extern "C" fn class_changing(_class: *mut ffi::PyTypeObject) -> c_int {
        CHANGES.increase();
        0
    }

    /// The count of changes.
    #[inline(always)]
    pub fn changes() -> u64 {
        CHANGES.0.get()
    }

    /// Has [`changes`] count the next change of the class. Whether it will: a class needs a version tag to be watched, of which
    /// each change takes the one that it has, and the interpreter has only so many watchers.
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
        super::class_version(class).is_some()
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
        // What is looked up there is new to those who have found something out.
        CHANGES.increase();
        // SAFETY: attached; the watcher was added above; the object is a dict.
        if unsafe { PyDict_Watch(*watcher, dict.as_ptr()) } == 0 { Ok(()) } else { Err(PyErr::fetch(py)) }
    }

    /// A number that is another one when a watched dict has changed.
    #[inline(always)]
    pub fn version<'a>(_dicts: impl Iterator<Item = Option<&'a Py<PyDict>>>) -> u64 {
        changes()
    }
}

#[cfg(not(Py_3_12))]
mod names {
    use pyo3::ffi;
    use pyo3::prelude::*;
    use pyo3::types::{PyDict, PyType};

    /// Nobody counts.
    pub fn changes() -> u64 {
        0
    }

    /// Nobody is told.
    pub fn watch_class(_class: &Bound<'_, PyType>) -> bool {
        false
    }

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
