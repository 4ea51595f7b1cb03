//! The timer is in the second slot, the waiter in the first, the cancellation to raise again in the third.
//! The number is 1 when the task was made here.

use super::*;
use crate::alarms::{self, Alarm};
use crate::callbacks::{forget, react};
use crate::core::current;
use crate::coroutines::taken;
use crate::mixins::create_future;
use crate::names;
use crate::waiting::release::{RELEASE, release};
use pyo3::types::PyTuple;

pub fn begin<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let event_loop = running_loop(py, &OF_TASKS)?;
    let limit = taken(py, &routine.first);
    if limit.is_none() {
        return Ok(Step::Await(taken(py, &routine.owner), |_, outcome| outcome.map(Step::Return)));
    }
    if limit.le(0)? {
        return at_once(routine, Some(&event_loop));
    }
    let waiter = create_future(&event_loop)?;
    let alarm = alarms::set_after(&event_loop, &limit, &waiter, release)?;
    let awaitable = routine.owner.get_or_none(py);
    let future = ensure(&awaitable, Some(&event_loop))?;
    routine.number.set((!future.is(&awaitable)).into());
    react(&future, &RELEASE, &waiter)?;
    routine.owner.put(future);
    routine.first.put(waiter.clone());
    routine.second.put(alarm.into_any());
    Ok(Step::Await(waiter, first_of_both))
}

/// Cancels the timer. Called on every way out of the routine.
fn end<'py>(routine: &Obj<'py, Routine>, result: Output<'py>) -> PyResult<Step<'py>> {
    if let Some(alarm) = Obj::<Alarm>::cast(&taken(routine.py(), &routine.second)) {
        alarms::cancel(alarm)?;
    }
    result.map(Step::Return)
}

/// Future or timer woke the routine, or it was cancelled.
fn first_of_both<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let future = routine.owner.get_or_none(py);
    let cancellation = match waited {
        Ok(_) => None,
        Err(error) if error.is_instance(py, stock::cancelled_error(py)?) => Some(Raised::from_err(py, error)),
        Err(error) => return end(routine, Err(error)),
    };
    let next = || {
        if future_like::is_done(&future)? {
            return match &cancellation {
                None => end(routine, future_like::result(&future)),
                Some(raised) => both(routine, &future, raised),
            };
        }
        forget(&future, &RELEASE, &taken(py, &routine.first))?;
        let next = if cancellation.is_none() { after_timeout } else { after_cancellation };
        Ok(Step::Await(cancel_and_wait(&future)?, next))
    };
    let step = match &cancellation {
        None => next(),
        Some(raised) => raised.handling(next),
    };
    match step {
        Ok(step) => {
            if let Some(raised) = cancellation {
                routine.third.put(raised.into_any());
            }
            Ok(step)
        }
        Err(error) => end(routine, Err(error)),
    }
}

/// The future was done when the wait was cancelled. Neither the result nor the cancellation is lost: the
/// result of a coroutine (a lock that was acquired) is returned, because the caller may have to release it,
/// and the cancellation is raised at the next await. A future that the caller has keeps its result.
fn both<'py>(
    routine: &Obj<'py, Routine>,
    future: &Bound<'py, PyAny>,
    cancellation: &Raised<'py>,
) -> PyResult<Step<'py>> {
    let py = routine.py();
    let task = current::running_task(&running_loop(py, &OF_TASKS)?)?;
    let Some(task) = task.filter(|_| routine.number.get() == 1) else {
        return end(routine, Err(cancellation.clone().into_err()));
    };
    task.call_method0(name!("uncancel"))?;
    let message = cancellation.as_any().getattr(name!("args"))?.cast_into::<PyTuple>()?;
    task.call_method1(names::cancel(py), message)?;
    end(routine, future_like::result(future))
}

fn after_timeout<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    let future = routine.owner.get_or_none(routine.py());
    end(routine, waited.and_then(|_| late_result(&future)))
}

fn after_cancellation<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let cancellation = Raised(taken(py, &routine.third).cast_into()?);
    let error = match waited {
        Ok(_) => cancellation.into_err(),
        Err(error) => {
            let once_more = Raised::from_err(py, error);
            cancellation.handling(|| once_more.raise())
        }
    };
    end(routine, Err(error))
}
