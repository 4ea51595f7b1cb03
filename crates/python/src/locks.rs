//! `Lock`, `Event`, `Condition`, `Semaphore`, `BoundedSemaphore`, `Barrier`: `asyncio.locks`, native.
//!
//! One file for each class; what they share is in `waiters` and `held`.

mod barrier;
mod condition;
pub mod event;
mod held;
mod holder;
mod lock;
mod semaphore;
mod waiters;

use pyo3::prelude::*;

use crate::classes;

/// Makes the classes.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    holder::register(module)?;
    classes::add::<lock::Lock>(module)?;
    classes::add::<event::Event>(module)?;
    classes::add::<condition::Condition>(module)?;
    let semaphore = classes::add::<semaphore::Semaphore>(module)?;
    classes::add_derived::<semaphore::BoundedSemaphore>(module, &semaphore)?;
    classes::add::<barrier::Barrier>(module)?;
    held::install_special_context::<lock::Lock>(module.py())?;
    held::install_special_context::<condition::Condition>(module.py())?;
    held::install_special_context::<semaphore::Semaphore>(module.py())?;
    held::install_special_context::<semaphore::BoundedSemaphore>(module.py())
}
