//! All loops of the process, and a number that says whether there are new ones. Each loop enters when it is
//! made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use yibu_observing::Pulse;

use super::metrics;
use crate::core::EventLoop;
use crate::core::recording;
use crate::ffi::{Obj, WeakSet};

static LOOPS: WeakSet<EventLoop> = WeakSet::new();
static MADE: AtomicU64 = AtomicU64::new(0);

/// Enters a new loop.
pub fn enter(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    event_loop.registration.enter(&LOOPS, event_loop)?;
    MADE.fetch_add(1, Ordering::Release);
    metrics::begin(event_loop);
    event_loop.record(recording::current());
    Ok(())
}

/// The loops that are there.
pub fn living(py: Python<'_>) -> Vec<Obj<'_, EventLoop>> {
    LOOPS.living(py)
}

/// How many loops were made; may be asked without the interpreter.
pub fn made() -> u64 {
    MADE.load(Ordering::Acquire)
}

/// The loop that has these counters, unless it was freed.
pub fn of_pulse<'py>(py: Python<'py>, pulse: &Arc<Pulse>) -> Option<Obj<'py, EventLoop>> {
    living(py).into_iter().find(|event_loop| Arc::ptr_eq(&event_loop.pulse, pulse))
}
