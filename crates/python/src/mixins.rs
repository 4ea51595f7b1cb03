//! What the primitives of synchronisation have in common: the loop they bind to at their first wait, and how
//! waiters are made and woken. `asyncio.mixins`, native. Called by `locks` and `queues`.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::ffi::{Output, Slot, boolean};
use crate::functions::asked;
pub use crate::futures::create_future_on as create_future;
pub use crate::futures::future_like::{cancel, is_cancelled, is_done, set_result};
use crate::replaced::names::running_loop::OF_MIXINS;

/// The loop an object is bound to: that of its first wait. `_LoopBoundMixin`.
#[derive(Default)]
pub struct LoopBound {
    /// Empty until the first wait.
    pub event_loop: Slot,
}

impl LoopBound {
    /// `_get_loop()`: the running loop; RuntimeError when `owner` is bound to another one, or none runs.
    #[inline]
    pub fn get_loop<'py>(&self, owner: &Bound<'py, PyAny>) -> Output<'py> {
        self.find(owner, || Ok(()))
    }

    #[inline(always)]
    fn find<'py>(&self, owner: &Bound<'py, PyAny>, first: impl FnOnce() -> PyResult<()>) -> Output<'py> {
        let running =
            asked(owner.py(), &OF_MIXINS)?.ok_or_else(|| PyRuntimeError::new_err("no running event loop"))?;
        if self.event_loop.is_empty() {
            self.event_loop.put(running.clone());
            first()?;
        } else if !self.event_loop.is(&running) {
            let text = text!("{} is bound to a different event loop", owner.repr()?)?;
            return Err(PyRuntimeError::new_err(text));
        }
        Ok(running)
    }

    /// `self._get_loop().create_future()`: what a waiter of `owner` waits for.
    #[inline]
    pub fn waiter<'py>(&self, owner: &Bound<'py, PyAny>) -> Output<'py> {
        self.first_waiter(owner, || Ok(()))
    }

    /// The same, after a call of `first` where it is the first one.
    #[inline]
    pub fn first_waiter<'py>(
        &self,
        owner: &Bound<'py, PyAny>,
        first: impl FnOnce() -> PyResult<()>,
    ) -> Output<'py> {
        create_future(&self.find(owner, first)?)
    }
}

/// `waiter.set_result(True)`.
#[inline]
pub fn wake(waiter: &Bound<'_, PyAny>) -> PyResult<()> {
    set_result(waiter, boolean(waiter.py(), true))
}
