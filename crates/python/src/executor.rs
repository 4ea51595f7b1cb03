//! The default executor, native: `concurrent.futures.thread`, whose jobs post their outcome straight to the
//! loop.
//!
//! A [`ThreadPool`] is what Python sees of it, an `Executor`. Its jobs wait in a `WorkQueue` until one of the
//! workers, which are ordinary `threading.Thread`s that stay attached between jobs, takes them. All
//! bookkeeping happens with the interpreter lock held, which is the one lock of it; only sleeping and waking
//! are outside. Called by the loop's `run_in_executor`, by `to_thread`, and by programs that get hold of the
//! executor; calls the jobs.

mod job;
mod of_loop;
mod pool;
mod queue;
mod worker;

use pyo3::prelude::*;

pub use job::{Call, Job, returned, unfinished};
pub use of_loop::{current_default, executors};
pub use pool::{ThreadPool, default_pool, standard_pool, stands_in, submit};
pub use queue::AT_ONCE;

use crate::ffi::Table;

/// Makes the classes.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    Table::<Job>::build(py, None)?;
    Table::<queue::WorkQueue>::build(py, None)?;
    Table::<worker::Worker>::build(py, None)?;
    Table::<ThreadPool>::build(py, None)?;
    Ok(())
}
