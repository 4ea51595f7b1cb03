//! What a program has replaced of handles: their `__init__`, `_run` and `cancel`, and the names by which the
//! loop finds their classes.
//!
//! Asked by the loop's methods before they make or run a handle natively, and by [`crate::alarms`], which has
//! no handles.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use super::{Handle, PostedHandle, TimerHandle};
use crate::ffi::originals::{self, INIT, ORDER, Replaced};
use crate::ffi::{Class, Output};
use crate::replaced::names::{self as replaced, THREADSAFE_HANDLE};

/// `_run` of a handle.
pub const RUN: Replaced = 1;
/// `cancel` of a handle.
const CANCEL: Replaced = 1 << 1;
/// The names behind the bits.
pub(super) const HOOKS: &[&[&str]] = &[&["_run"], &["cancel"]];

/// Whether any handles have another `_run` than the native one; `None` where a change of that would not be
/// noticed.
pub fn runs_are_replaced(py: Python<'_>) -> Option<bool> {
    let replaced = originals::replaced_in::<Handle>(py)
        | originals::replaced_in::<TimerHandle>(py)
        | originals::replaced_in::<PostedHandle>(py);
    let is_known = originals::is_known::<Handle>()
        && originals::is_known::<TimerHandle>()
        && originals::is_known::<PostedHandle>();
    is_known.then_some(replaced & RUN != 0)
}

/// Whether `cancel` of handles was replaced: a program that did so sees asyncio's own calls of it.
#[inline]
pub fn cancels_are_replaced(py: Python<'_>) -> bool {
    (originals::replaced_in::<Handle>(py) | originals::replaced_in::<TimerHandle>(py)) & CANCEL != 0
}

/// Whether what `call_soon` returns is to be made by a call of what `asyncio.events.Handle` means now.
#[inline]
pub fn handles_are_made_otherwise(py: Python<'_>) -> bool {
    replaced::HANDLE.has_maker::<Handle>(py)
}

/// What makes the handles of `call_soon`: called where native code must not.
pub fn handle_maker(py: Python<'_>) -> Output<'_> {
    Ok(replaced::HANDLE.replacement(py)?.unwrap_or_else(|| Handle::class(py).into_any()))
}

/// The same for `call_soon_threadsafe`.
pub fn posted_handle_maker(py: Python<'_>) -> Output<'_> {
    Ok(THREADSAFE_HANDLE.replacement(py)?.unwrap_or_else(|| PostedHandle::class(py).into_any()))
}

/// The same of `call_soon_threadsafe`.
#[inline]
pub fn posted_handles_are_made_otherwise(py: Python<'_>) -> bool {
    THREADSAFE_HANDLE.has_maker::<PostedHandle>(py) || originals::replaced_in::<Handle>(py) & INIT != 0
}

/// What makes the timers, if native code must not.
#[inline]
pub fn timer_maker(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let own = originals::replaced_in::<TimerHandle>(py);
    if own & ORDER != 0 {
        let text = "TimerHandle.__lt__ is replaced, but yibu's event loop orders timers by their time alone";
        return Err(PyTypeError::new_err(text));
    }
    if (own | originals::replaced_in::<Handle>(py)) & INIT != 0 {
        let class = replaced::TIMER_HANDLE.replacement(py)?;
        return Ok(Some(class.unwrap_or_else(|| TimerHandle::class(py).into_any())));
    }
    replaced::TIMER_HANDLE.replacement(py)
}

/// Whether something makes the timers, or will not, or is to see how they are cancelled.
#[inline]
pub fn timers_are_made_otherwise(py: Python<'_>) -> bool {
    let (timers, handles) = (originals::replaced_in::<TimerHandle>(py), originals::replaced_in::<Handle>(py));
    timers & (INIT | ORDER | CANCEL) | handles & (INIT | CANCEL) != 0
        || replaced::TIMER_HANDLE.is_replaced(py)
}
