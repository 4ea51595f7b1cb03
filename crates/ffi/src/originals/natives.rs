//! The native classes, as they are known after the module was made.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::class::definition::Class;
use crate::class::state::ClassState;

/// A native class.
pub(crate) struct Native {
    pub class: Py<PyType>,
    pub state: &'static ClassState,
    pub hooks: &'static [&'static [&'static str]],
    pub not_called: &'static [&'static str],
    /// What `vars()` shows of its objects.
    pub shown: &'static [&'static str],
    /// The same, where it is set.
    pub shown_when_set: &'static [&'static str],
    /// An attribute that is None until `__init__` was called.
    pub none_before_init: Option<&'static str>,
    /// Whether asyncio's class is among its bases, so that it has all methods.
    pub derives: bool,
    pub stock: for<'py> fn(Python<'py>) -> PyResult<Option<&'py Bound<'py, PyType>>>,
}

/// The native classes, while the module is being made.
static MADE: Mutex<Vec<Native>> = Mutex::new(Vec::new());

static NATIVES: PyOnceLock<Vec<Native>> = PyOnceLock::new();

/// A native class was made.
pub(crate) fn expect<T: Class>(class: &Bound<'_, PyType>) {
    let native = Native {
        class: class.clone().unbind(),
        state: T::CLASS,
        hooks: T::HOOKS,
        not_called: T::NOT_CALLED,
        shown: T::SHOWN,
        shown_when_set: T::SHOWN_WHEN_SET,
        none_before_init: T::NONE_BEFORE_INIT,
        derives: T::DERIVES_FROM_STOCK,
        stock: if T::STANDS_FOR_STOCK { T::stock } else { |_| Ok(None) },
    };
    MADE.lock().unwrap_or_else(PoisonError::into_inner).push(native);
}

/// All of them.
pub(crate) fn natives(py: Python<'_>) -> &[Native] {
    NATIVES.get(py).map_or(&[], Vec::as_slice)
}

/// Those that were made. They are [`natives`] from now on.
pub(crate) fn finish(py: Python<'_>) {
    let made = std::mem::take(&mut *MADE.lock().unwrap_or_else(PoisonError::into_inner));
    // Only importing the module a second time finds it full, and then it is right.
    let _ = NATIVES.set(py, made);
}
