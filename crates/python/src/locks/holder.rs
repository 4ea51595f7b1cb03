//! Who holds a lock, and since when: noted while `yibu.inspect()` is on, which is one look at a flag
//! otherwise.
//!
//! `async with` blocks are seen without that, on the stack of the task; `await lock.acquire()` is not. Called
//! by [`super::lock`] and for the task tree.

use pyo3::prelude::*;
use pyo3::types::{PyModule, PyTuple};
use yibu_observing::nanoseconds;

use super::lock::Lock;
use crate::core::current;
use crate::ffi::{Args, Obj, Output, Signature, Slot, none};
use crate::functions::{self, running};
use crate::stock;
use crate::tasks::births;

const HOLDER: Signature<1> = Signature::new("_lock_holder", "lock");

/// Adds the function to the module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = "A weak reference to the task that took a native lock, and for how many seconds it has it; None where that was not noted.";
    functions::add(module, &HOLDER, holder_of, doc)
}

/// The lock was taken by the task that runs.
#[inline]
pub(super) fn note(py: Python<'_>, holder: &Slot) -> PyResult<()> {
    if births::ages_are_wanted() { note_running(py, holder) } else { Ok(()) }
}

#[cold]
fn note_running(py: Python<'_>, holder: &Slot) -> PyResult<()> {
    let Some(event_loop) = running(py)? else { return Ok(()) };
    let Some(task) = current::running_task(&event_loop)? else { return Ok(()) };
    let reference = stock::module(py, "weakref")?.call_method1(name!("ref"), (task,))?;
    let since = nanoseconds();
    holder.put(PyTuple::new(py, [reference, since.into_pyobject(py)?.into_any()])?.into_any());
    Ok(())
}

/// The lock was released.
#[inline]
pub(super) fn forget(holder: &Slot) {
    if !holder.is_empty() {
        holder.clear();
    }
}

fn holder_of<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [lock] = args.parse(&HOLDER)?;
    let py = args.py();
    let Some(noted) = Obj::<Lock>::cast(&lock).and_then(|lock| lock.holder(py)) else { return Ok(none(py)) };
    let (reference, since) = noted.extract::<(Bound<'py, PyAny>, u64)>()?;
    let seconds = nanoseconds().saturating_sub(since) as f64 / 1e9;
    Ok((reference, seconds).into_pyobject(py)?.into_any())
}
