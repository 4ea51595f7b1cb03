//! How a time limit is met and left: arms the alarm, cancels the task, and turns its own cancellation into a
//! TimeoutError.
//!
//! Called by the methods of [`Timeout`], and by [`crate::waiting`] for `wait_for`; calls [`crate::alarms`]
//! and the task's `cancel`.

use pyo3::exceptions::{PyAssertionError, PyBaseException, PyBaseExceptionGroup, PyException};
use pyo3::exceptions::{PyRuntimeError, PyTimeoutError};
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::{State, Timeout};
use crate::alarms;
use crate::core::{current, is_due};
#[cfg(Py_3_12)]
use crate::ffi::Raised;
use crate::ffi::{Obj, Ref, none};
use crate::functions::running;
use crate::replaced::names::current_task;
use crate::replaced::names::running_loop::OF_TIMEOUTS;
use crate::tasks;
use crate::{names, stock};

/// Sets the alarm; a deadline that has passed already is met at the next turn.
#[inline]
pub(super) fn arm<'py>(timeout: &Obj<'py, Timeout>, event_loop: &Bound<'py, PyAny>) -> PyResult<()> {
    let owner = timeout.as_any();
    let alarm = match (alarms::heap_of(event_loop), timeout.seconds.get()) {
        (Some(native), Some(seconds)) if is_due(native, seconds)? => {
            alarms::set_soon(event_loop, owner, expire)?
        }
        (Some(native), Some(seconds)) => alarms::set_in_heap(native, seconds, owner, expire)?,
        _ => {
            let when = timeout.when(timeout.py());
            if when.le(event_loop.call_method0(names::time(timeout.py()))?)? {
                alarms::set_soon(event_loop, owner, expire)?
            } else {
                alarms::set_at(event_loop, &when, owner, expire)?
            }
        }
    };
    timeout.alarm.set(Ref::of(alarm));
    Ok(())
}

/// The deadline has come: `self._on_timeout()`.
fn expire(owner: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = owner.py();
    let Some(timeout) = Obj::<Timeout>::cast(owner) else { return Ok(()) };
    current::flush_leave_running(py)?;
    if !timeout.is_native() {
        return owner.call_method0(name!("_on_timeout")).map(drop);
    }
    on_timeout(timeout)
}

/// `Timeout._on_timeout`: cancels the task.
pub(super) fn on_timeout(timeout: &Obj<'_, Timeout>) -> PyResult<()> {
    let py = timeout.py();
    if timeout.state.get() != State::Entered {
        return Err(PyAssertionError::new_err(()));
    }
    let task = timeout.task.get_or_none(py);
    match tasks::plain(&task) {
        Some(native) => tasks::cancel(native, &none(py)).map(drop)?,
        None => task.call_method0(names::cancel(py)).map(drop)?,
    }
    timeout.state.set(State::Expiring);
    timeout.alarm.clear();
    Ok(())
}

/// `Timeout.__aenter__`: from here on the task that runs has a limit.
#[inline]
pub fn enter<'py>(timeout: &Obj<'py, Timeout>, event_loop: &Bound<'py, PyAny>) -> PyResult<()> {
    if timeout.state.get() != State::Created {
        return Err(PyRuntimeError::new_err("Timeout has already been entered"));
    }
    // The task is that of the loop that runs; a program's own function may say which that is, and say
    // something else.
    let task = if let Some(current_task) = current_task::OF_TIMEOUTS.replacement(timeout.py())? {
        Some(current_task.call0()?).filter(|task| !task.is_none())
    } else if OF_TIMEOUTS.is_replaced(timeout.py()) {
        running(timeout.py())?.as_ref().map(current::running_task).transpose()?.flatten()
    } else {
        current::running_task(event_loop)?
    };
    let Some(task) = task else {
        return Err(PyRuntimeError::new_err("Timeout should be used inside a task"));
    };
    timeout.state.set(State::Entered);
    timeout.cancelling.set(match tasks::plain(&task) {
        Some(native) => tasks::cancelling(native).cast_signed(),
        None => task.call_method0(names::cancelling(task.py()))?.extract()?,
    });
    timeout.task.put(task);
    if !timeout.is_native() {
        let py = timeout.py();
        return timeout.as_any().call_method1(names::reschedule(py), (timeout.when(py),)).map(drop);
    }
    if timeout.has_deadline() { arm(timeout, event_loop) } else { Ok(()) }
}

/// `Timeout.__aexit__`: takes the alarm back. `raised` is what the body raised, in whose `except` clause this
/// runs. What comes out is TimeoutError when the cancellation was the limit's own.
#[inline]
#[cfg(Py_3_12)]
pub fn leave<'py>(timeout: &Obj<'py, Timeout>, raised: Option<&Raised<'py>>) -> PyResult<()> {
    end(timeout, raised.map(|raised| (raised.as_any().get_type().into_any(), raised.as_any().clone())))
}

/// The same for the class and the instance that `async with` passes.
#[inline]
pub(super) fn end<'py>(
    timeout: &Obj<'py, Timeout>,
    raised: Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>,
) -> PyResult<()> {
    match timeout.state.get() {
        State::Entered => {
            timeout.state.set(State::Exited);
            timeout.disarm(timeout.py())
        }
        State::Expiring => {
            timeout.state.set(State::Expired);
            timeout.disarm(timeout.py())?;
            expired(timeout, raised)
        }
        _ => Err(PyAssertionError::new_err(())),
    }
}

/// The limit was exceeded: is that why the body ended?
#[cold]
fn expired<'py>(
    timeout: &Obj<'py, Timeout>,
    raised: Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>,
) -> PyResult<()> {
    let py = timeout.py();
    let task = timeout.task.get_or_none(py);
    let requests: isize = match tasks::plain(&task) {
        Some(native) => tasks::uncancel(native).cast_signed(),
        None => task.call_method0(names::uncancel(py))?.extract()?,
    };
    let Some((class, exception)) = raised else { return Ok(()) };
    if requests > timeout.cancelling.get() {
        // Other code asked for a cancellation as well.
        return Ok(());
    }
    let cancelled = stock::cancelled_error(py)?;
    if class.cast::<PyType>()?.is_subclass(cancelled)? {
        return Err(timeout_error(&exception));
    }
    if let Ok(exception) = exception.cast::<PyBaseException>() {
        insert_timeout_error(exception, cancelled)?;
        if exception.is_instance_of::<PyBaseExceptionGroup>() && exception.is_instance_of::<PyException>() {
            for part in exception.getattr(name!("exceptions"))?.try_iter()? {
                insert_timeout_error(part?.cast()?, cancelled)?;
            }
        }
    }
    Ok(())
}

/// `raise TimeoutError from cause`.
pub fn timeout_error(cause: &Bound<'_, PyAny>) -> PyErr {
    let py = cause.py();
    let error = PyTimeoutError::new_err(());
    // Making the instance here is what gives it the exception that is being handled as its context.
    let set = error.value(py).setattr(name!("__cause__"), cause);
    set.err().unwrap_or(error)
}

/// `_insert_timeout_error`: puts a TimeoutError between an exception and the cancellation that it came of.
fn insert_timeout_error<'py>(
    exception: &Bound<'py, PyBaseException>,
    cancelled: &Bound<'py, PyType>,
) -> PyResult<()> {
    let py = exception.py();
    let mut exception = exception.clone().into_any();
    loop {
        let context = exception.getattr(name!("__context__"))?;
        if context.is_none() {
            return Ok(());
        }
        if context.is_instance(cancelled)? {
            let error = py.get_type::<PyTimeoutError>().call0()?;
            error.setattr(name!("__cause__"), &context)?;
            error.setattr(name!("__context__"), &context)?;
            return exception.setattr(name!("__context__"), error);
        }
        exception = context;
    }
}
