//! Traces (`yibu.trace()`): what loops do, step by step, in a file that Perfetto shows.
//!
//! The loops write records into a ring ([`crate::core::recording`]); a thread of its own makes JSON of them
//! and writes it, without the interpreter. Called by `python/yibu/tracing.py` and, for each step of a loop
//! that is traced, by `event_loop/observed.rs`.

pub mod steps;
mod writer;

use pyo3::prelude::*;
use pyo3::types::PyModule;

/// Adds the class of the writer.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    crate::classes::add::<writer::TraceWriter>(module).map(drop)
}
