//! `wait_for`: one awaitable with a time limit. Since 3.12 it is awaited in place, under a `Timeout`; before,
//! it becomes a task of its own, beside a timer.
//!
//! The awaitable is the routine's owner until it is awaited, the limit is in the first slot.

use pyo3::prelude::*;

use super::release::cancel_and_wait;
use crate::coroutines::{Routine, Step};
use crate::ffi::{Args, Obj, Output, Raised, Signature};
use crate::functions::running_loop;
use crate::futures::future_like;
use crate::replaced::names::running_loop::OF_TASKS;
use crate::stock;
use crate::tasks::ensure::ensure;
use crate::timeouts::timeout_error;

/// `wait_for`'s parameters.
pub const WAIT_FOR: Signature<2> = Signature::new("wait_for", "fut, timeout");
/// What `help(wait_for)` says.
pub const DOC: &str = "Coroutine that awaits fut and returns its result; cancels it and raises TimeoutError if that takes longer than timeout seconds.";

/// `wait_for(fut, timeout)`.
pub fn wait_for<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [awaitable, limit] = args.parse(&WAIT_FOR)?;
    #[cfg(Py_3_12)]
    if depth::is_used() {
        return in_python::wait_for(&awaitable, &limit);
    }
    let routine = Routine::begin(&awaitable, WAIT_FOR.function, begin)?;
    routine.first.put(limit);
    Ok(routine.into_any())
}

/// A limit of zero or less: an awaitable that is not done is cancelled before it starts.
fn at_once<'py>(routine: &Obj<'py, Routine>, event_loop: Option<&Bound<'py, PyAny>>) -> PyResult<Step<'py>> {
    let future = ensure(&routine.owner.get_or_none(routine.py()), event_loop)?;
    if future_like::is_done(&future)? {
        return future_like::result(&future).map(Step::Return);
    }
    let cancelling = cancel_and_wait(&future)?;
    routine.owner.put(future);
    Ok(Step::Await(cancelling, too_late))
}

/// The cancelled awaitable has ended, by the cancellation or with a result or an exception.
fn too_late<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    waited?;
    late_result(&routine.owner.get_or_none(routine.py())).map(Step::Return)
}

/// The result; TimeoutError in place of the cancellation.
fn late_result<'py>(future: &Bound<'py, PyAny>) -> Output<'py> {
    let py = future.py();
    future_like::result(future).or_else(|error| {
        if !error.is_instance(py, stock::cancelled_error(py)?) {
            return Err(error);
        }
        let raised = Raised::from_err(py, error);
        Err(raised.handling(|| timeout_error(raised.as_any())))
    })
}

#[cfg(Py_3_12)]
mod in_place;
#[cfg(Py_3_12)]
mod in_python;

#[cfg(Py_3_12)]
use crate::ffi::depth;
#[cfg(Py_3_12)]
use in_place::begin;

#[cfg(not(Py_3_12))]
mod beside;

#[cfg(not(Py_3_12))]
use beside::begin;
