//! [`Name`]: a name of a module of the standard library, and whether it still means what that library has
//! there.
//!
//! The names themselves are in `names`. Calls `modules`.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::{PyAttributeError, PyNameError};
use pyo3::prelude::*;

use super::modules::Module;
use crate::ffi::originals::{self, INIT, NOT_CALLED};
use crate::ffi::{Class, Output, versions};

/// A name of a module, and where that is a module, a name there: `["base_events.time", "time.monotonic"]`.
pub struct Name<const N: usize> {
    steps: [(&'static Module, &'static str); N],
    /// The version of the modules in which it was found to be the original one.
    verified: AtomicU64,
}

impl<const N: usize> Name<N> {
    pub const fn new(steps: [(&'static Module, &'static str); N]) -> Self {
        // No version is this one.
        Self { steps, verified: AtomicU64::new(u64::MAX) }
    }

    #[inline(always)]
    fn version(&self, py: Python<'_>) -> u64 {
        versions::version(
            self.steps
                .iter()
                .flat_map(|(module, _)| [module.dict(py), module.yibu_names.get(py).map(|(names, _)| names)]),
        )
    }

    /// What the program has put in its place, if it did.
    #[inline]
    pub fn replacement<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.is_verified(py) { Ok(None) } else { self.find(py) }
    }

    /// Whether the program has put something in its place, or taken it away.
    #[inline]
    pub fn is_replaced(&self, py: Python<'_>) -> bool {
        !self.is_verified(py) && !matches!(self.find(py), Ok(None))
    }

    #[inline(always)]
    fn is_verified(&self, py: Python<'_>) -> bool {
        self.verified.load(Ordering::Relaxed) == self.version(py)
    }

    #[cold]
    fn find<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        // Before looking: what changes meanwhile is noticed next time.
        let version = self.version(py);
        for (index, (module, name)) in self.steps.iter().enumerate() {
            match module.value(py, name)? {
                Some((_, false)) => {}
                Some((mut value, true)) => {
                    for (_, name) in &self.steps[index + 1..] {
                        value = value.getattr(*name)?;
                    }
                    return Ok(Some(value));
                }
                None if index == 0 => {
                    return Err(PyNameError::new_err(format!("name '{name}' is not defined")));
                }
                None => {
                    let text = format!("module '{}' has no attribute '{name}'", module.name);
                    return Err(PyAttributeError::new_err(text));
                }
            }
        }
        self.verified.store(version, Ordering::Relaxed);
        Ok(None)
    }

    /// What makes objects where this is the name of native class `T`, if native code must not: another class,
    /// or that class because `__init__` of it is replaced, or a method that makes it refuse.
    #[inline]
    pub fn maker<'py, T: Class>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.replacement(py)? {
            None if originals::replaced_in::<T>(py) & (INIT | NOT_CALLED) != 0 => {
                Ok(Some(T::class(py).into_any()))
            }
            class => Ok(class),
        }
    }

    /// Whether there is such a maker.
    #[inline]
    pub fn has_maker<T: Class>(&self, py: Python<'_>) -> bool {
        self.is_replaced(py) || originals::replaced_in::<T>(py) & (INIT | NOT_CALLED) != 0
    }

    /// How asyncio's code spells it.
    pub fn text(&self) -> String {
        let names = self.steps.iter().map(|(_, name)| *name);
        format!("{}.{}", self.steps[0].0.name, names.collect::<Vec<_>>().join("."))
    }

    /// What it means now.
    pub fn current<'py>(&self, py: Python<'py>) -> Output<'py> {
        if let Some(value) = self.replacement(py)? {
            return Ok(value);
        }
        let (module, name) = self.steps[N - 1];
        module.global(py, name)
    }
}
