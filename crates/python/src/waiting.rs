//! `wait_for`, `wait` and `as_completed`: awaiting futures together, or within a limit. Part of `asyncio.tasks`, native.
//!
//! What the three share is here. They work on any loop and with any future; between native objects a done future reaches them
//! as a [`Reaction`], and what they wait with is an ordinary native Future. Called by programs; calls [`crate::futures`],
//! [`crate::timeouts`] and [`crate::alarms`].

mod as_completed;
mod wait;
mod wait_for;

use pyo3::prelude::*;

use crate::callbacks::{Reaction, forget, react};
use crate::coroutines::{Routine, Step, taken};
use crate::ffi::{Obj, Output, Table, class, none};
use crate::functions::{CoroutineFunction, running_loop};
use crate::futures::ensure::ensure;
use crate::futures::{self, Future};
use crate::mixins::{create_future, is_done};
use crate::tasks::Task;
use crate::{names, tasks};

/// Makes the classes and adds the names.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let (py, any) = (module.py(), module.as_any());
    Table::<wait::Wait>::build(py, None)?;
    Table::<as_completed::AsCompleted>::build(py, None)?;
    let wait_for = CoroutineFunction::of(py, &wait_for::WAIT_FOR, wait_for::wait_for, wait_for::DOC)?;
    module.add("wait_for", wait_for)?;
    module.add("wait", CoroutineFunction::of(py, &wait::WAIT, wait::wait, wait::DOC)?)?;
    let as_completed =
        class::function(py, any, &as_completed::AS_COMPLETED, as_completed::as_completed, as_completed::DOC)?;
    module.add("as_completed", as_completed)
}

/// `_release_waiter`: the one who waits may go on.
fn release(waiter: &Bound<'_, PyAny>) -> PyResult<()> {
    if is_done(waiter)? {
        return Ok(());
    }
    let nothing = none(waiter.py());
    match Obj::<Future>::cast_exact(waiter) {
        Some(native) => futures::set_result(native, nothing),
        None => waiter.call_method1(names::set_result(waiter.py()), (nothing,)).map(drop),
    }
}

/// Lets the owner, a waiter, go on when the future is done.
static RELEASE: Reaction = Reaction {
    name: "_release_waiter",
    run: |waiter, _future| release(waiter),
    waiter: futures::awaiting_task,
};

/// `future.result()` on any future.
fn result_of<'py>(future: &Bound<'py, PyAny>) -> Output<'py> {
    match futures::exact(future) {
        Some(native) => futures::result(native),
        None => future.call_method0(names::result(future.py())),
    }
}

/// `future.cancel()` on any future.
fn cancel<'py>(future: &Bound<'py, PyAny>) -> PyResult<()> {
    let nothing = none(future.py());
    if let Some(native) = Obj::<Future>::cast_exact(future) {
        return futures::cancel(native, nothing).map(drop);
    }
    match Obj::<Task>::cast_exact(future) {
        Some(native) => tasks::cancel(native, &nothing).map(drop),
        None => future.call_method0(names::cancel(future.py())).map(drop),
    }
}

/// `await _cancel_and_wait(future)`; [`cancelled`] is what the next piece begins with. Uses the routine's first slot.
fn cancel_and_wait<'py>(
    routine: &Obj<'py, Routine>,
    future: &Bound<'py, PyAny>,
    next: crate::coroutines::Resume,
) -> PyResult<Step<'py>> {
    let waiter = create_future(&running_loop(routine.py())?)?;
    react(future, &RELEASE, &waiter)?;
    if let Err(error) = cancel(future) {
        forget(future, &RELEASE, &waiter)?;
        return Err(error);
    }
    routine.first.put(waiter.clone());
    Ok(Step::Await(waiter, next))
}

/// The end of `_cancel_and_wait`.
fn cancelled<'py>(
    routine: &Obj<'py, Routine>,
    future: &Bound<'py, PyAny>,
    waited: Output<'py>,
) -> PyResult<()> {
    forget(future, &RELEASE, &taken(routine.py(), &routine.first))?;
    waited.map(drop)
}

/// Call graphs of the standard library's own futures know who waits only when they are told (3.14): native ones read it off
/// their callbacks.
#[cfg(Py_3_14)]
fn note_waiting(future: &Bound<'_, PyAny>, task: Option<&Bound<'_, PyAny>>, waits: bool) -> PyResult<()> {
    let (Some(task), None) = (task, futures::exact(future)) else { return Ok(()) };
    let py = future.py();
    let function = if waits {
        crate::stock::future_add_to_awaited_by(py)?
    } else {
        crate::stock::future_discard_from_awaited_by(py)?
    };
    function.call1((future, task)).map(drop)
}
