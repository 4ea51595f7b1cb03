//! `wait_for` since 3.12: the awaitable is awaited in place, within a `Timeout`.

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

/// `async with timeouts.timeout(limit)`, by the methods of what that is. Both are looked up on entry, as
/// `async with` does.
#[cold]
fn enter_by_name<'py>(routine: &Obj<'py, Routine>, limit: &Bound<'py, PyAny>) -> PyResult<Step<'py>> {
    let timeout = timeouts::make(limit)?;
    let leave = timeout.getattr(name!("__aexit__"))?;
    let entering = timeout.call_method0(name!("__aenter__"))?;
    routine.second.put(leave);
    Ok(Step::Await(entering, |routine, entered| {
        entered?;
        Ok(Step::Await(taken(routine.py(), &routine.owner), leave_by_name))
    }))
}

fn leave_by_name<'py>(routine: &Obj<'py, Routine>, outcome: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let leave = taken(py, &routine.second);
    let error = match outcome {
        Ok(value) => {
            routine.first.put(value);
            let leaving = leave.call1((none(py), none(py), none(py)))?;
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
    let leaving = raised.handling(|| leave.call1(arguments))?;
    routine.first.put(raised.into_any());
    Ok(Step::Await(leaving, |routine, left| {
        let py = routine.py();
        let error = taken(py, &routine.first);
        let raised = Raised(error.cast_into()?);
        match left {
            Ok(swallowed) if swallowed.is_truthy()? => Ok(Step::Return(none(py))),
            Ok(_) => Err(raised.into_err()),
            // `__aexit__` ran while the first exception was handled.
            Err(error) => {
                let value = error.value(py);
                if !value.is(raised.as_any()) && value.getattr(name!("__context__"))?.is_none() {
                    value.setattr(name!("__context__"), raised.as_any())?;
                }
                Err(error)
            }
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
