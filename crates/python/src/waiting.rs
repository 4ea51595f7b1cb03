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
use crate::ffi::{Obj, Output, Table, none};
use crate::functions::{self, running_loop};
use crate::futures::{self, likes};
use crate::mixins::create_future;
use crate::replaced::names::running_loop::OF_TASKS;

/// Makes the classes and adds the names.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    Table::<wait::Wait>::build(py, None)?;
    Table::<as_completed::AsCompleted>::build(py, None)?;
    Table::<as_completed::AsCompletedIterator>::build(py, None)?;
    functions::add(module, &wait_for::WAIT_FOR, wait_for::wait_for, wait_for::DOC)?;
    functions::add(module, &wait::WAIT, wait::wait, wait::DOC)?;
    functions::add(module, &as_completed::AS_COMPLETED, as_completed::as_completed, as_completed::DOC)
}

/// `_release_waiter`: the one who waits may go on.
fn release(waiter: &Bound<'_, PyAny>) -> PyResult<()> {
    if likes::is_done(waiter)? { Ok(()) } else { likes::set_result(waiter, none(waiter.py())) }
}

/// Lets the owner, a waiter, go on when the future is done.
static RELEASE: Reaction = Reaction {
    name: "_release_waiter",
    run: |waiter, _future| release(waiter),
    waiter: futures::awaiting_task,
    standard: None,
};

/// `_cancel_and_wait(future)`: the coroutine of it. Its owner is the future, the waiter is in its first slot.
fn cancel_and_wait<'py>(future: &Bound<'py, PyAny>) -> Output<'py> {
    Ok(Routine::begin(future, "_cancel_and_wait", begin_to_cancel)?.into_any())
}

fn begin_to_cancel<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let future = routine.owner.get_or_none(routine.py());
    let waiter = create_future(&running_loop(routine.py(), &OF_TASKS)?)?;
    react(&future, &RELEASE, &waiter)?;
    if let Err(error) = likes::cancel(&future) {
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
