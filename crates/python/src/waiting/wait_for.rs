//! `wait_for`: one awaitable within a limit. Since 3.12 it is awaited in place, under a `Timeout`; before, it becomes a task
//! of its own, beside a timer.
//!
//! The awaitable is the routine's owner until it is awaited, the limit is in the first slot.

use pyo3::prelude::*;

use super::cancel_and_wait;
use crate::coroutines::{Routine, Step};
use crate::ffi::{Args, Obj, Output, Raised, Signature};
use crate::functions::running_loop;
use crate::futures::likes;
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
    let routine = Routine::begin(&awaitable, WAIT_FOR.function, begin)?;
    routine.first.put(limit);
    Ok(routine.into_any())
}

/// A limit that is over before it began: what is not done yet is cancelled, without having been started.
fn at_once<'py>(routine: &Obj<'py, Routine>, event_loop: Option<&Bound<'py, PyAny>>) -> PyResult<Step<'py>> {
    let future = ensure(&routine.owner.get_or_none(routine.py()), event_loop)?;
    if likes::is_done(&future)? {
        return likes::result(&future).map(Step::Return);
    }
    let cancelling = cancel_and_wait(&future)?;
    routine.owner.put(future);
    Ok(Step::Await(cancelling, too_late))
}

/// The awaitable was cancelled and has ended: by that, or in its own way.
fn too_late<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    waited?;
    late_result(&routine.owner.get_or_none(routine.py())).map(Step::Return)
}

/// The result; TimeoutError in place of the cancellation.
fn late_result<'py>(future: &Bound<'py, PyAny>) -> Output<'py> {
    let py = future.py();
    likes::result(future).or_else(|error| {
        if !error.is_instance(py, stock::cancelled_error(py)?) {
            return Err(error);
        }
        let raised = Raised::from_err(py, error);
        Err(raised.handling(|| timeout_error(raised.as_any())))
    })
}

#[cfg(Py_3_12)]
mod in_place {
    use super::*;
    use crate::coroutines::taken;
    use crate::ffi::{none, originals};
    use crate::replaced::names::TIMEOUT;
    use crate::timeouts::{self, Timeout};

    pub fn begin<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
        let py = routine.py();
        let limit = taken(py, &routine.first);
        if !limit.is_none() && limit.le(0)? {
            return at_once(routine, None);
        }
        if TIMEOUT.has_maker::<Timeout>(py) || originals::replaced_in::<Timeout>(py) != 0 {
            return enter_by_name(routine, &limit);
        }
        let event_loop = running_loop(py, &OF_TASKS)?;
        let timeout = Timeout::after(&event_loop, &limit)?;
        timeouts::enter(&timeout, &event_loop)?;
        routine.second.put(timeout.into_any());
        Ok(Step::Await(taken(py, &routine.owner), finish))
    }

    /// `async with timeouts.timeout(limit)`, by the methods of what that is.
    #[cold]
    fn enter_by_name<'py>(routine: &Obj<'py, Routine>, limit: &Bound<'py, PyAny>) -> PyResult<Step<'py>> {
        let timeout = timeouts::make(limit)?;
        let entering = timeout.call_method0("__aenter__")?;
        routine.second.put(timeout);
        Ok(Step::Await(entering, |routine, entered| {
            entered?;
            Ok(Step::Await(taken(routine.py(), &routine.owner), leave_by_name))
        }))
    }

    fn leave_by_name<'py>(routine: &Obj<'py, Routine>, outcome: Output<'py>) -> PyResult<Step<'py>> {
        let py = routine.py();
        let timeout = taken(py, &routine.second);
        let error = match outcome {
            Ok(value) => {
                routine.first.put(value);
                let leaving = timeout.call_method1("__aexit__", (none(py), none(py), none(py)))?;
                return Ok(Step::Await(leaving, |routine, left| {
                    left?;
                    Ok(Step::Return(taken(routine.py(), &routine.first)))
                }));
            }
            Err(error) => error,
        };
        let (class, traceback) = (error.get_type(py), error.traceback(py));
        let raised = Raised::from_err(py, error);
        let arguments = (class, raised.as_any(), traceback);
        let leaving = raised.handling(|| timeout.call_method1("__aexit__", arguments))?;
        routine.first.put(raised.into_any());
        Ok(Step::Await(leaving, |routine, left| {
            let py = routine.py();
            let error = taken(py, &routine.first);
            let raised = Raised(error.cast_into()?);
            match left {
                Ok(swallowed) if swallowed.is_truthy()? => Ok(Step::Return(none(py))),
                Ok(_) => Err(raised.into_err()),
                Err(error) => Err(raised.handling(|| error)),
            }
        }))
    }

    fn finish<'py>(routine: &Obj<'py, Routine>, outcome: Output<'py>) -> PyResult<Step<'py>> {
        let py = routine.py();
        let timeout = taken(py, &routine.second);
        let Some(timeout) = Obj::<Timeout>::cast(&timeout) else { return outcome.map(Step::Return) };
        match outcome {
            Ok(value) => {
                timeouts::leave(timeout, None)?;
                Ok(Step::Return(value))
            }
            Err(error) => {
                let raised = Raised::from_err(py, error);
                raised.handling(|| timeouts::leave(timeout, Some(&raised)))?;
                Err(raised.into_err())
            }
        }
    }
}

#[cfg(Py_3_12)]
use in_place::begin;

#[cfg(not(Py_3_12))]
mod beside {
    //! The timer is in the second slot, the waiter in the first, the cancellation to raise again in the third. The number is 1 when
    //! the task was made here.

    use super::super::{RELEASE, release};
    use super::*;
    use crate::alarms::{self, Alarm};
    use crate::callbacks::{forget, react};
    use crate::core::current;
    use crate::coroutines::taken;
    use crate::mixins::create_future;
    use crate::names;
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

    /// The timer does nothing any more, whichever way the routine ends.
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
            Err(error) if error.is_instance(py, stock::cancelled_error(py)?) => {
                Some(Raised::from_err(py, error))
            }
            Err(error) => return end(routine, Err(error)),
        };
        let next = || {
            if likes::is_done(&future)? {
                return match &cancellation {
                    None => end(routine, likes::result(&future)),
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

    /// The future was done when the wait was cancelled. Neither is lost: what a coroutine returned may have to be given back, a lock for
    /// instance, so the cancellation strikes at the next await. A future that the caller has keeps its result.
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
        end(routine, likes::result(future))
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
}

#[cfg(not(Py_3_12))]
use beside::begin;
