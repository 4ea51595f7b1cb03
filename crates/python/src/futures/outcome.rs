//! The outcome of a future: the result, the exception or the cancellation, set once and read by the code that
//! waits.
//!
//! `set_result`, `set_exception`, `cancel`, `result` and `exception` of `asyncio.futures.Future`. Called by
//! Python code, by tasks and by primitives; calls `scheduling` for the callbacks.

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::scheduling::schedule_callbacks;
use super::state::{Future, State};
use crate::ffi::{Obj, Output, Raised, call, make, none};
use crate::{errors, names, stock};

/// The CancelledError to raise. The one that ended a task is returned only once, as by
/// `_make_cancelled_error`.
pub fn make_cancelled_error<'py>(future: &Obj<'py, Future>) -> PyResult<Raised<'py>> {
    let py = future.py();
    let error = match future.cancelled_error.take() {
        Some(error) => error.into_any(py),
        None => match future.cancel_message.get(py) {
            Some(message) => stock::cancelled_error(py)?.call1((message,))?,
            None => stock::cancelled_error(py)?.call0()?,
        },
    };
    Ok(Raised(error.cast_into()?))
}

/// The outcome of a done future.
pub enum Outcome<'py> {
    /// The result.
    Value(Bound<'py, PyAny>),
    /// The exception, or the CancelledError.
    Raised(Raised<'py>),
}

/// The outcome of a done future, marked as retrieved; `None` while it is pending.
pub fn take_outcome<'py>(future: &Obj<'py, Future>) -> PyResult<Option<Outcome<'py>>> {
    let py = future.py();
    Ok(Some(match future.state.get() {
        State::Pending => return Ok(None),
        State::Cancelled => Outcome::Raised(make_cancelled_error(future)?),
        State::Finished => {
            future.log_traceback.set(false);
            let outcome = future.outcome.get_or_none(py);
            if future.failed.get() {
                let exception = Raised(outcome.cast_into::<PyBaseException>()?);
                // Once: an exception that is raised again gets a traceback of its own.
                let kept = future.exception_traceback.take();
                exception.0.setattr(name!("__traceback__"), kept.map(|kept| kept.into_any(py)))?;
                Outcome::Raised(exception)
            } else {
                Outcome::Value(outcome)
            }
        }
    }))
}

/// `Future.result`.
pub fn result<'py>(future: &Obj<'py, Future>) -> Output<'py> {
    match take_outcome(future)? {
        Some(Outcome::Value(value)) => Ok(value),
        Some(Outcome::Raised(raised)) => Err(raised.raise()),
        None => {
            let text =
                if future.is_alive() { "Result is not set." } else { "Future object is not initialized." };
            Err(errors::raise(stock::invalid_state_error(future.py())?, text))
        }
    }
}

/// `Future.exception`.
pub fn exception<'py>(future: &Obj<'py, Future>) -> Output<'py> {
    let py = future.py();
    match future.state.get() {
        _ if !future.is_alive() => {
            Err(errors::raise(stock::invalid_state_error(py)?, "Future object is not initialized."))
        }
        State::Pending => Err(errors::raise(stock::invalid_state_error(py)?, "Exception is not set.")),
        State::Cancelled => Err(make_cancelled_error(future)?.raise()),
        State::Finished if future.failed.get() => {
            future.log_traceback.set(false);
            Ok(future.outcome.get_or_none(py))
        }
        State::Finished => Ok(none(py)),
    }
}

fn ensure_pending(future: &Obj<'_, Future>) -> PyResult<()> {
    future.ensure_alive()?;
    if future.state.get() != State::Pending {
        return Err(errors::raise(stock::invalid_state_error(future.py())?, "invalid state"));
    }
    Ok(())
}

/// `Future.set_result`.
#[inline]
pub fn set_result(future: &Obj<'_, Future>, value: Bound<'_, PyAny>) -> PyResult<()> {
    ensure_pending(future)?;
    future.outcome.put(value);
    future.state.set(State::Finished);
    schedule_callbacks(future)
}

/// `Future.set_exception`, for an instance or a class.
pub fn set_exception(future: &Obj<'_, Future>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    ensure_pending(future)?;
    let py = future.py();
    let exception = match exception.cast::<PyType>() {
        Ok(class) if class.is_subclass_of::<PyBaseException>()? => {
            let instance = class.call0()?;
            if !instance.is_instance_of::<PyBaseException>() {
                return Err(PyTypeError::new_err("calling exception class returned a non-exception"));
            }
            instance
        }
        _ if exception.is_instance_of::<PyBaseException>() => exception.clone(),
        _ => return Err(PyTypeError::new_err("invalid exception object")),
    };
    finish_with(future, Raised(refuse_stop_iteration(py, exception)?.cast_into()?))
}

/// StopIteration cannot be raised into a coroutine: older interpreters refuse exactly that type, newer ones
/// wrap it.
fn refuse_stop_iteration<'py>(py: Python<'py>, exception: Bound<'py, PyAny>) -> Output<'py> {
    if stop_iteration_is_wrapped(py) {
        let stops = exception.is_instance_of::<PyStopIteration>();
        return if stops { wrap_stop_iteration(&exception) } else { Ok(exception) };
    }
    if exception.get_type().is(py.get_type::<PyStopIteration>()) {
        return Err(PyTypeError::new_err(STOP_ITERATION));
    }
    Ok(exception)
}

const STOP_ITERATION: &str =
    "StopIteration interacts badly with generators and cannot be raised into a Future";

/// What is raised in the place of a StopIteration.
pub(super) fn wrap_stop_iteration<'py>(stop: &Bound<'py, PyAny>) -> Output<'py> {
    let py = stop.py();
    let wrapped = PyRuntimeError::new_err(STOP_ITERATION).into_value(py).into_bound(py).into_any();
    wrapped.setattr(name!("__cause__"), stop)?;
    wrapped.setattr(name!("__context__"), stop)?;
    Ok(wrapped)
}

/// Whether this interpreter's own Future wraps StopIteration: asked once, because the change came with a
/// bug-fix release.
fn stop_iteration_is_wrapped(py: Python<'_>) -> bool {
    static WRAPPED: pyo3::sync::PyOnceLock<bool> = pyo3::sync::PyOnceLock::new();
    *WRAPPED.get_or_init(py, || {
        let probe = || -> PyResult<bool> {
            let stub = c"type('Loop', (), {'get_debug': lambda self: False})()";
            let arguments = make::dict(py)?;
            arguments.set_item("loop", py.eval(stub, None, None)?)?;
            let future = stock::future(py)?.call((), Some(&arguments))?;
            let stop = py.get_type::<PyStopIteration>().call0()?;
            if future.call_method1(name!("set_exception"), (stop,)).is_err() {
                return Ok(false);
            }
            future.call_method0(name!("exception"))?;
            Ok(true)
        };
        probe().unwrap_or(cfg!(Py_3_13))
    })
}

/// Fails the future with an exception that needs no checking.
pub fn finish_with(future: &Obj<'_, Future>, exception: Raised<'_>) -> PyResult<()> {
    ensure_pending(future)?;
    let traceback = exception.0.getattr(name!("__traceback__"))?;
    if traceback.is_none() {
        future.exception_traceback.clear();
    } else {
        future.exception_traceback.put(traceback);
    }
    future.outcome.put(exception.into_any());
    future.failed.set(true);
    future.state.set(State::Finished);
    schedule_callbacks(future)?;
    future.log_traceback.set(true);
    Ok(())
}

/// `Future.cancel`, of the Future itself: what a Task does with `cancel()` is in [`crate::tasks`].
pub fn cancel(future: &Obj<'_, Future>, message: Bound<'_, PyAny>) -> PyResult<bool> {
    future.log_traceback.set(false);
    if future.state.get() != State::Pending {
        return Ok(false);
    }
    future.state.set(State::Cancelled);
    future.set_message(message);
    schedule_callbacks(future)?;
    Ok(true)
}

/// Reports an exception that was never retrieved. The finalizer of Future and Task.
pub fn report_unretrieved(future: &Obj<'_, Future>) -> PyResult<()> {
    if !future.log_traceback.replace(false) {
        return Ok(());
    }
    let py = future.py();
    let report = make::dict(py)?;
    let name = future.as_any().get_type().name()?;
    report.set_item(names::message(py), format!("{name} exception was never retrieved"))?;
    report.set_item(names::exception(py), future.outcome.get_or_none(py))?;
    report.set_item(names::future(py), future.as_any())?;
    if let Some(source) = future.source(py)? {
        report.set_item(names::source_traceback(py), source)?;
    }
    let Some(event_loop) = future.event_loop.get(py) else { return Ok(()) };
    call::method(names::call_exception_handler(py), [&event_loop, report.as_any()])?;
    Ok(())
}
