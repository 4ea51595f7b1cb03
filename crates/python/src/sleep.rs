//! `sleep`: `asyncio.tasks.sleep`, native. Exported as a [`crate::functions::CoroutineFunction`]; it runs on any loop.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::alarms::{self, Alarm};
use crate::coroutines::{Routine, Step, taken};
use crate::ffi::{Args, Obj, Output, Ref, Signature, none};
use crate::functions::running_loop;
use crate::futures::likes;
use crate::mixins::create_future;

/// `sleep`'s parameters.
pub const SLEEP: Signature<2> = Signature::new("sleep", "delay, result=None");
/// What `help(sleep)` says.
pub const DOC: &str =
    "Coroutine that completes after delay seconds with result; a delay of 0 or less gives way for one turn.";

/// `sleep(delay, result=None)`. The delay is the routine's owner, the result its first slot.
#[inline]
pub fn sleep<'py>(args: Args<'_, 'py>) -> Output<'py> {
    if let Some(delay) = args.only() {
        return Ok(Routine::begin(&delay, SLEEP.function, begin)?.into_any());
    }
    let [delay, result] = args.parse(&SLEEP)?;
    let routine = Routine::begin(&delay, SLEEP.function, begin)?;
    routine.first.put(result);
    Ok(routine.into_any())
}

/// Gives way, or sets the timer.
fn begin<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let delay = routine.owner.get_or_none(py);
    if delay.le(0)? {
        return Ok(Step::GiveWay(finish));
    }
    if cfg!(Py_3_13) && delay.extract::<f64>().is_ok_and(f64::is_nan) {
        return Err(PyValueError::new_err("Invalid delay: NaN (not a number)"));
    }
    let event_loop = running_loop(py)?;
    let future = create_future(&event_loop)?;
    let alarm = alarms::set_after(&event_loop, &delay, &future, wake)?;
    routine.second.set(Ref::new(alarm.into_any()));
    Ok(Step::Await(future, finish))
}

/// Completes a future; nobody looks at the result. What the alarm of a pause does.
pub fn wake(future: &Bound<'_, PyAny>) -> PyResult<()> {
    if likes::is_done(future)? {
        return Ok(());
    }
    likes::set_result(future, none(future.py()))
}

/// Takes the timer back, and returns the result unless the wait was cancelled.
fn finish<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    if let Some(alarm) = routine.second.take()
        && let Some(alarm) = Obj::<Alarm>::cast(alarm.any(py))
    {
        alarms::cancel(alarm)?;
    }
    waited?;
    Ok(Step::Return(taken(py, &routine.first)))
}
