//! How a group is left: `TaskGroup.__aexit__` waits for the tasks and raises what there is to raise.
//!
//! A [`Routine`] whose slots are the exception of the body, the cancellation to propagate, and the latest
//! cancellation. Called by Python code; calls the tasks of the group and the parent task.

use pyo3::exceptions::{PyBaseExceptionGroup, PyGeneratorExit};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyType};

use super::{AEXIT, TaskGroup, abort, is_base_error};
use crate::coroutines::{Routine, Step, taken};
use crate::ffi::{Args, Obj, Output, Raised, boolean, none};
use crate::futures::future_like;
use crate::mixins::create_future;
use crate::stock;

/// Whether the exception that ended the body is a cancellation.
fn is_cancellation(class: &Bound<'_, PyAny>) -> PyResult<bool> {
    class.cast::<PyType>()?.is_subclass(stock::cancelled_error(class.py())?)
}

/// Takes back the cancellation of the parent task, if the group asked for it. Whether others asked too, None
/// if it did not.
fn uncancel_parent(group: &Obj<'_, TaskGroup>) -> PyResult<Option<bool>> {
    if !group.parent_cancel_requested.get() {
        return Ok(None);
    }
    let parent = group.parent_task.get_or_none(group.py());
    Ok(Some(parent.call_method0(name!("uncancel"))?.is_truthy()?))
}

/// What `__aexit__` has to know of the exception's class later, in the routine's number.
mod body {
    /// The body raised.
    pub const RAISED: u64 = 1;
    /// It was cancelled.
    pub const CANCELLED: u64 = 2;
    /// Its generator was closed.
    pub const CLOSED: u64 = 4;
}

/// `TaskGroup.__aexit__`.
pub(super) fn exit<'py>(group: &Obj<'py, TaskGroup>, args: Args<'_, 'py>) -> Output<'py> {
    let [class, exception, _traceback] = args.parse(&AEXIT)?;
    let routine = Routine::begin(group.as_any(), AEXIT.function, begin_exit)?;
    if !class.is_none() {
        let cancelled = is_cancellation(&class)?;
        let closed = class.cast::<PyType>()?.is_subclass_of::<PyGeneratorExit>()?;
        let flag = |set: bool, flag: u64| if set { flag } else { 0 };
        routine.number.set(body::RAISED | flag(cancelled, body::CANCELLED) | flag(closed, body::CLOSED));
        routine.first.put(exception);
    }
    Ok(routine.into_any())
}

/// Runs a piece of `__aexit__`. When it was the last one, the group lets go of what could be part of a cycle.
fn leave<'py>(
    routine: &Obj<'py, Routine>,
    piece: impl FnOnce(&Obj<'py, TaskGroup>) -> PyResult<Step<'py>>,
) -> PyResult<Step<'py>> {
    let py = routine.py();
    let group = routine.owner::<TaskGroup>(py)?;
    let step = piece(&group);
    if !matches!(step, Ok(Step::Await(..))) {
        for slot in [&group.parent_task, &group.errors, &group.base_error] {
            slot.clear();
        }
    }
    step
}

fn begin_exit<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    leave(routine, |group| {
        group.exiting.set(true);
        let raised = routine.number.get() != 0;
        if raised {
            body_raised(routine, group)?;
        }
        if raised && !group.aborting.get() {
            // The body has failed, so the tasks are cancelled.
            abort(group)?;
        }
        await_tasks(routine, group)
    })
}

/// Keeps what matters of the body's exception.
#[cold]
fn body_raised(routine: &Obj<'_, Routine>, group: &Obj<'_, TaskGroup>) -> PyResult<()> {
    let exception = routine.first.get_or_none(routine.py());
    if !exception.is_none() && is_base_error(group, &exception)? && group.base_error.is_empty() {
        group.base_error.put(exception.clone());
    }
    if routine.number.get() & body::CANCELLED != 0 {
        routine.second.put(exception);
    }
    Ok(())
}

/// Waits until the set of tasks is empty.
fn await_tasks<'py>(routine: &Obj<'py, Routine>, group: &Obj<'py, TaskGroup>) -> PyResult<Step<'py>> {
    let py = routine.py();
    if !group.has_tasks(py)? {
        return finish_exit(routine, group);
    }
    if group.on_completed.is_empty() {
        group.on_completed.put(create_future(&group.event_loop.get_or_none(py))?);
    }
    Ok(Step::Await(group.on_completed.get_or_none(py), tasks_awaited))
}

/// No task is left, or the parent task was cancelled, which may happen again and again.
fn tasks_awaited<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    leave(routine, |group| {
        if let Err(error) = waited {
            cancelled_meanwhile(routine, group, error)?;
        }
        group.on_completed.clear();
        await_tasks(routine, group)
    })
}

#[cold]
fn cancelled_meanwhile(routine: &Obj<'_, Routine>, group: &Obj<'_, TaskGroup>, error: PyErr) -> PyResult<()> {
    let py = routine.py();
    if !error.is_instance(py, stock::cancelled_error(py)?) {
        return Err(error);
    }
    let error = Raised::from_err(py, error);
    routine.third.put(error.as_any().clone());
    if group.aborting.get() {
        return Ok(());
    }
    routine.second.put(error.into_any());
    abort(group)
}

/// All tasks are done: raises what there is to raise.
fn finish_exit<'py>(routine: &Obj<'py, Routine>, group: &Obj<'py, TaskGroup>) -> PyResult<Step<'py>> {
    let py = routine.py();
    if let Some(error) = group.base_error.get(py) {
        return Err(Raised(error.cast_into()?).raise());
    }
    match uncancel_parent(group)? {
        Some(false) => routine.second.clear(),
        // The cancellation that remains is not the group's.
        Some(true) if routine.second.is_empty() => drop(routine.second.replace(routine.third.take())),
        _ => {}
    }
    if let Some(cancellation) = routine.second.take()
        && group.errors(py).is_none()
    {
        return Err(Raised(cancellation.into_any(py).cast_into()?).raise());
    }
    let flags = routine.number.get();
    if flags & body::RAISED != 0 && flags & body::CANCELLED == 0 {
        group.errors.get_or_none(py).cast::<PyList>()?.append(routine.first.get_or_none(py))?;
    }
    match group.errors(py) {
        Some(errors) => Err(failure(routine, group, errors)?.raise()),
        // Newer interpreters drop an exception of the body that was not raised above.
        None => Ok(Step::Return(if cfg!(Py_3_15) { boolean(py, true) } else { none(py) })),
    }
}

/// The exception for what went wrong in the group.
#[cold]
fn failure<'py>(
    routine: &Obj<'py, Routine>,
    group: &Obj<'py, TaskGroup>,
    errors: Bound<'py, PyList>,
) -> PyResult<Raised<'py>> {
    let py = group.py();
    // A cancellation from outside stays counted, and strikes at the next await.
    let parent = group.parent_task.get_or_none(py);
    if parent.call_method0(name!("cancelling"))?.is_truthy()? {
        parent.call_method0(name!("uncancel"))?;
        future_like::cancel(&parent)?;
    }
    // An asynchronous generator that is closed expects its own exception back.
    if routine.number.get() & body::CLOSED != 0 && errors.len() == 1 {
        return Ok(Raised(taken(py, &routine.first).cast_into()?));
    }
    let class = py.get_type::<PyBaseExceptionGroup>();
    let failure = class.call1(("unhandled errors in a TaskGroup", errors))?;
    failure.setattr(name!("__cause__"), none(py))?;
    group.errors.clear();
    Ok(Raised(failure.cast_into()?))
}
