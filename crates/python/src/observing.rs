//! What is seen of running loops: steps that block them, and what they have done so far.
//!
//! The loop's part is a few counters ([`yibu_observing::Pulse`]); everything else is done by the threads that
//! look. Called by `python/yibu/observing/` and by the class of loops.

pub mod loops;
pub mod metrics;
mod step_watch;
pub mod steps;
mod ticker;

use pyo3::prelude::*;
use pyo3::types::PyModule;

/// Adds the class of the watchdog, and the function that begins to observe.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    metrics::register(module)?;
    crate::classes::add::<ticker::Ticker>(module)?;
    crate::classes::add::<step_watch::StepWatch>(module).map(drop)
}
