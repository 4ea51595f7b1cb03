//! The loop's clock: `time.monotonic()`, unless a program has replaced that or the loop's `time()`.

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};

use super::{EventLoop, Overridable};
use crate::core::Overrides;
use crate::ffi::Obj;
use crate::names;
use crate::replaced::names::MONOTONIC;

/// Whether the program has replaced the loop's clock: the loop's `time` or `time.monotonic`.
#[inline]
pub(super) fn is_replaced(event_loop: &Obj<'_, EventLoop>) -> bool {
    !event_loop.is_untouched()
        && (event_loop.overrides(Overridable::Time) || MONOTONIC.is_replaced(event_loop.py()))
}

/// `loop.time()`, also when a program replaced it.
#[inline]
pub fn now(event_loop: &Obj<'_, EventLoop>) -> PyResult<f64> {
    if is_replaced(event_loop) {
        return event_loop.as_any().call_method0(names::time(event_loop.py()))?.extract();
    }
    Ok(event_loop.engine.with(|engine| engine.driver.now()))
}

/// `seconds <= loop.time()`. Cheaper than reading the clock when `seconds` is far off.
#[inline]
pub fn is_due(event_loop: &Obj<'_, EventLoop>, seconds: f64) -> PyResult<bool> {
    if is_replaced(event_loop) {
        return Ok(seconds <= now(event_loop)?);
    }
    Ok(event_loop.engine.with(|engine| engine.driver.is_due(seconds)))
}

/// Seconds as a float, for the common types without a call into Python.
#[inline]
pub fn seconds(value: &Bound<'_, PyAny>) -> Option<f64> {
    if let Ok(float) = value.cast_exact::<PyFloat>() {
        return Some(float.value());
    }
    // Through a machine integer: the interpreter's own conversion would make a float object.
    value.cast_exact::<PyInt>().ok()?.extract::<i64>().ok().map(|whole| whole as f64)
}

/// A time of another type. One that is too large for a float is later, or earlier, than all others.
pub fn on_the_clock(when: &Bound<'_, PyAny>) -> PyResult<f64> {
    when.extract().or_else(|error: PyErr| {
        if !(error.is_instance_of::<PyOverflowError>(when.py()) && when.is_instance_of::<PyInt>()) {
            return Err(error);
        }
        Ok(if when.gt(0)? { f64::INFINITY } else { f64::NEG_INFINITY })
    })
}
