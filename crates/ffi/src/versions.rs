//! Whether the names of modules and the attributes of classes have changed since the last comparison: numbers
//! to compare.
//!
//! Since 3.12 the interpreter tells of each change to a module or class that is watched. All of them share
//! one count, because such changes are rare: a caller keeps what it has found as a [`Finding`], which holds
//! as long as that count stays as it is. Before 3.12 a dict has a version of its own. The attributes of a
//! class have one on every Python. Used by code that takes a short cut past what a program may replace.

#[cfg(not(Py_3_12))]
mod by_dicts;
#[cfg(Py_3_12)]
mod by_watchers;

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

#[cfg(not(Py_3_12))]
pub use by_dicts::{changes, version, watch, watch_class};
#[cfg(Py_3_12)]
pub use by_watchers::{changes, version, watch, watch_class};

pub use crate::types::class_version;

/// That something was found to be as it came, at a count of changes ([`changes`]). Before 3.12 changes are
/// not counted, so it never holds.
pub struct Finding(Cell<u64>);

// SAFETY: every access is made by attached code holding the interpreter lock (the module declares that it
// uses the GIL).
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
