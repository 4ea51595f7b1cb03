//! `Lock`, `Event`, `Condition`, `Semaphore`, `BoundedSemaphore`, `Barrier`: `asyncio.locks`, native.
//!
//! One file for each class; what they share is in `waiters` and `async_with`.

mod async_with;
mod barrier;
mod condition;
pub mod event;
mod holder;
mod lock;
mod semaphore;
mod waiters;

use pyo3::prelude::*;

use crate::{classes, stock};

/// Makes the classes, with the bases that asyncio's have. Each native class has all that the bases give.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let bound = [stock::loop_bound_mixin(py)?];
    let with_manager = [stock::context_manager_mixin(py)?, stock::loop_bound_mixin(py)?];
    holder::register(module)?;
    classes::add_on::<lock::Lock>(module, &with_manager)?;
    classes::add_on::<event::Event>(module, &bound)?;
    classes::add_on::<condition::Condition>(module, &with_manager)?;
    let semaphore = classes::add_on::<semaphore::Semaphore>(module, &with_manager)?;
    classes::add_derived::<semaphore::BoundedSemaphore>(module, &semaphore)?;
    classes::add_on::<barrier::Barrier>(module, &bound)?;
    async_with::install_special_context::<lock::Lock>(py)?;
    async_with::install_special_context::<condition::Condition>(py)?;
    async_with::install_special_context::<semaphore::Semaphore>(py)?;
    async_with::install_special_context::<semaphore::BoundedSemaphore>(py)
}
