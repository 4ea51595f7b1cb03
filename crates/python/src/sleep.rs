//! `sleep`: `asyncio.tasks.sleep`, native. It runs on any loop.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::alarms::{self, Alarm};
use crate::core::seconds;
use crate::coroutines::{Routine, Step, taken};
use crate::ffi::{Args, Obj, Output, Ref, Signature};
use crate::functions::running_loop;
use crate::futures::future_like;
use crate::mixins::create_future;
use crate::replaced::names::running_loop::OF_TASKS;

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
    let seconds = seconds(&delay);
    if seconds.map_or_else(|| delay.le(0), |seconds| Ok(seconds <= 0.0))? {
        return Ok(Step::GiveWay(|routine, waited| {
            waited?;
            Ok(Step::Return(taken(routine.py(), &routine.first)))
        }));
    }
    if seconds.or_else(|| delay.extract::<f64>().ok()).is_some_and(f64::is_nan) {
        return Err(PyValueError::new_err("Invalid delay: NaN (not a number)"));
    }
    let event_loop = running_loop(py, &OF_TASKS)?;
    let future = create_future(&event_loop)?;
    let alarm = if routine.first.is_empty() {
        alarms::set_after(&event_loop, &delay, &future, future_like::set_none)?
    } else {
        let both = PyTuple::new(py, [&future, &taken(py, &routine.first)])?;
        alarms::set_after(&event_loop, &delay, &both, wake_with_result)?
    };
    routine.second.set(Ref::new(alarm.into_any()));
    Ok(Step::Await(future, finish))
}

/// Completes the future of a pair with the other one: `_set_result_unless_cancelled`.
fn wake_with_result(both: &Bound<'_, PyAny>) -> PyResult<()> {
    let (future, result) = both.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
    if future_like::is_done(&future)? { Ok(()) } else { future_like::set_result(&future, result) }
}

/// Takes the timer back. The result is the future's: other code may have completed it, and early.
fn finish<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    if let Some(alarm) = routine.second.take()
        && let Some(alarm) = Obj::<Alarm>::cast(alarm.any(routine.py()))
    {
        alarms::cancel(alarm)?;
    }
    waited.map(Step::Return)
}
