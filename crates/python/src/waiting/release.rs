//! A waiter that is released when a future is done; shared by the primitives of this folder.

use pyo3::prelude::*;

use crate::callbacks::{Reaction, forget, react};
use crate::coroutines::{Routine, Step, taken};
use crate::ffi::{Obj, Output, none};
use crate::functions::running_loop;
use crate::futures::{future_like, watchers};
use crate::mixins::create_future;
use crate::replaced::names::running_loop::OF_TASKS;

/// `_release_waiter`: completes a waiter, so that its task goes on.
pub(super) fn release(waiter: &Bound<'_, PyAny>) -> PyResult<()> {
    if future_like::is_done(waiter)? { Ok(()) } else { future_like::set_result(waiter, none(waiter.py())) }
}

/// The reaction on a future that completes its owner, a waiter.
pub(super) static RELEASE: Reaction = Reaction {
    name: "_release_waiter",
    run: |waiter, _future| release(waiter),
    waiter: watchers::awaiting_task,
    standard: None,
};

/// The coroutine of `_cancel_and_wait(future)`. Its owner is the future, the waiter is in its first slot.
pub(super) fn cancel_and_wait<'py>(future: &Bound<'py, PyAny>) -> Output<'py> {
    Ok(Routine::begin(future, "_cancel_and_wait", begin_to_cancel)?.into_any())
}

pub(super) fn begin_to_cancel<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let future = routine.owner.get_or_none(routine.py());
    let waiter = create_future(&running_loop(routine.py(), &OF_TASKS)?)?;
    react(&future, &RELEASE, &waiter)?;
    if let Err(error) = future_like::cancel(&future) {
        forget(&future, &RELEASE, &waiter)?;
        return Err(error);
    }
    routine.first.put(waiter.clone());
    Ok(Step::Await(waiter, |routine, waited| {
        let py = routine.py();
        forget(&routine.owner.get_or_none(py), &RELEASE, &taken(py, &routine.first))?;
        waited.map(Step::Return)
    }))
}
