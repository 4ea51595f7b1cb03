//! Runs the pieces of one routine: up to where it waits, ends, or awaits another routine
//! ([`super::nesting`]).
//!
//! Called by [`super`] and [`super::nesting`]; calls the pieces, and what they await.

use pyo3::exceptions::{PyGeneratorExit, PyRuntimeError, PyStopIteration, PyTypeError, PyValueError};
use pyo3::prelude::*;

use super::nesting::{self, Push};
use super::{Phase, Resume, Routine, Step, lost};
#[cfg(Py_3_14)]
use crate::coroutines::driving::driving as running;
use crate::coroutines::protocol::{Advanced, ensure_not_awaited};
use crate::ffi::send::{Sent, awaitable_iterator, send, throw};
use crate::ffi::{Obj, Output, Raised, none};
use crate::futures::{self, Future, Outcome, State};
use crate::names;

/// The caller that runs a routine, and what it gets when the routine waits, ends, or awaits another one.
pub(super) trait Caller {
    type Gets<'py>;
    fn yielded<'py>(object: Bound<'py, PyAny>) -> Self::Gets<'py>;
    fn ended<'py>(outcome: Output<'py>) -> Self::Gets<'py>;
    /// Something is to be done to the routine that is awaited, `inner`.
    fn awaits<'py>(
        routine: &Obj<'py, Routine>,
        inner: &Obj<'py, Routine>,
        resume: Resume,
        push: Push,
    ) -> Self::Gets<'py>;
}

/// Whatever drives coroutines: it gets what the interpreter's protocol asks for.
pub(super) struct Driver;

impl Caller for Driver {
    type Gets<'py> = Advanced<'py>;

    #[inline(always)]
    fn yielded<'py>(object: Bound<'py, PyAny>) -> Advanced<'py> {
        Ok(Ok(object))
    }

    #[inline(always)]
    fn ended<'py>(outcome: Output<'py>) -> Advanced<'py> {
        outcome.map(Err)
    }

    fn awaits<'py>(
        routine: &Obj<'py, Routine>,
        inner: &Obj<'py, Routine>,
        resume: Resume,
        push: Push,
    ) -> Advanced<'py> {
        nesting::run(routine, inner, resume, push)
    }
}

/// Runs a routine; one that panics, as where PyO3 has no memory for an object, has ended.
#[inline(always)] // it only adds to what unwinding does
pub(super) fn running_ended_by_panic<'py, R>(routine: &Obj<'py, Routine>, run: impl FnOnce() -> R) -> R {
    struct Running<'a>(&'a Routine);
    impl Drop for Running<'_> {
        fn drop(&mut self) {
            self.0.end();
        }
    }
    let running = Running(routine);
    let result = run();
    std::mem::forget(running);
    result
}

/// Runs pieces until something is awaited that is not there yet.
#[inline]
pub(super) fn drive<'py, C: Caller>(
    routine: &Obj<'py, Routine>,
    mut step: PyResult<Step<'py>>,
) -> C::Gets<'py> {
    loop {
        match step {
            Ok(Step::Return(value)) => {
                Routine::returned(routine);
                return C::ended(Ok(value));
            }
            Ok(Step::Await(object, resume)) => match wait(routine, object, resume) {
                Begun::Yield(object) => {
                    routine.track();
                    return C::yielded(object);
                }
                Begun::Inner(inner) => return C::awaits(routine, &inner, resume, Push::Send),
                Begun::Over(outcome) => step = resume(routine, outcome),
            },
            Ok(Step::GiveWay(resume)) => {
                routine.phase.set(Phase::GaveWay(resume));
                return C::yielded(none(routine.py()));
            }
            Err(error) => {
                Routine::raised(routine, &error);
                return C::ended(Err(refuse_stop_iteration(routine.py(), error)));
            }
        }
    }
}

/// Suspends a routine that awaits an iterator.
#[inline]
pub(super) fn suspend<'py>(routine: &Obj<'py, Routine>, iterator: Bound<'py, PyAny>, resume: Resume) {
    routine.awaiting.put(iterator);
    routine.phase.set(Phase::Iterator(resume));
    routine.track();
}

/// PEP 479: a StopIteration that leaves a coroutine would look like its end.
fn refuse_stop_iteration(py: Python<'_>, error: PyErr) -> PyErr {
    let raised = Raised::from_err(py, error);
    if !raised.is::<PyStopIteration>() {
        return raised.into_err();
    }
    let refused = PyRuntimeError::new_err("coroutine raised StopIteration");
    refused.set_cause(py, Some(raised.into_err()));
    refused
}

/// What beginning to await leads to.
enum Begun<'py> {
    Yield(Bound<'py, PyAny>),
    Inner(Obj<'py, Routine>),
    Over(Output<'py>),
}

/// Before 3.14 no call graph asks which routine runs the coroutine that it awaits.
#[cfg(not(Py_3_14))]
#[inline]
fn running<'py, R>(_: &Obj<'py, Routine>, _: &Bound<'py, PyAny>, run: impl FnOnce() -> R) -> R {
    run()
}

#[inline]
fn wait<'py>(routine: &Obj<'py, Routine>, object: Bound<'py, PyAny>, resume: Resume) -> Begun<'py> {
    if let Some(future) = futures::exact(&object) {
        if let Err(error) = future.ensure_alive() {
            return Begun::Over(Err(error));
        }
        if future.state() != State::Pending {
            return Begun::Over(futures::result(future));
        }
        if future.blocking.replace(true) {
            return Begun::Over(Err(not_used_with_future()));
        }
        routine.awaiting.put(object.clone());
        routine.phase.set(Phase::Future(resume));
        return Begun::Yield(object);
    }
    if let Some(inner) = Obj::<Routine>::cast_exact(&object) {
        return match ensure_not_awaited(inner) {
            Ok(()) => Begun::Inner(inner.clone()),
            Err(error) => Begun::Over(Err(error)),
        };
    }
    let iterator = match awaitable_iterator(&object) {
        Ok(iterator) => iterator,
        Err(error) => return Begun::Over(Err(error)),
    };
    match running(routine, &iterator, || send(&iterator, &none(routine.py()))) {
        Sent::Yielded(object) => {
            routine.awaiting.put(iterator);
            routine.phase.set(Phase::Iterator(resume));
            Begun::Yield(object)
        }
        Sent::Returned(value) => Begun::Over(Ok(value)),
        Sent::Raised(error) => Begun::Over(Err(error)),
    }
}

/// What is awaited is the method, not what it returns.
#[cold]
pub(super) fn not_called() -> PyErr {
    let text = if cfg!(Py_3_14) {
        "'method' object can't be awaited"
    } else {
        "object method can't be used in 'await' expression"
    };
    PyTypeError::new_err(text)
}

#[cold]
fn not_used_with_future() -> PyErr {
    PyRuntimeError::new_err("await wasn't used with future")
}

/// The future that was yielded should be done by now.
#[inline]
fn resume_after_future<'py, C: Caller>(routine: &Obj<'py, Routine>, resume: Resume) -> C::Gets<'py> {
    let py = routine.py();
    let awaited = routine.awaiting.take().map(|future| future.into_any(py));
    let Some(future) = awaited.as_ref().and_then(Obj::<Future>::cast) else {
        return C::ended(Err(lost()));
    };
    if future.state() == State::Pending {
        // The coroutine was resumed before the future was done: yield the future again, as its own iterator
        // would.
        if future.blocking.replace(true) {
            return drive::<C>(routine, resume(routine, Err(not_used_with_future())));
        }
        routine.awaiting.put(future.as_any().clone());
        routine.phase.set(Phase::Future(resume));
        return C::yielded(future.as_any().clone());
    }
    let outcome = match futures::take_outcome(future) {
        Ok(Some(Outcome::Value(value))) => Ok(value),
        Ok(Some(Outcome::Raised(raised))) => Err(raised.raise()),
        Ok(None) => Err(not_used_with_future()),
        Err(error) => Err(error),
    };
    drop(awaited);
    drive::<C>(routine, resume(routine, outcome))
}

/// The inner iterator did something.
fn resume_after_iterator<'py, C: Caller>(
    routine: &Obj<'py, Routine>,
    resume: Resume,
    iterator: Bound<'py, PyAny>,
    sent: Sent<'py>,
) -> C::Gets<'py> {
    let outcome = match sent {
        Sent::Yielded(object) => {
            suspend(routine, iterator, resume);
            return C::yielded(object);
        }
        Sent::Returned(value) => Ok(value),
        Sent::Raised(error) => Err(error),
    };
    drop(iterator);
    drive::<C>(routine, resume(routine, outcome))
}

/// Closes what a routine awaits, as closing a coroutine does before it sees the GeneratorExit itself.
fn close_inner(iterator: &Bound<'_, PyAny>) -> PyResult<()> {
    match iterator.getattr_opt(names::close(iterator.py()))? {
        Some(close) => close.call0().map(drop),
        None => Ok(()),
    }
}

/// Runs a routine until it waits.
#[inline]
pub(super) fn sent_to<'py, C: Caller>(routine: &Obj<'py, Routine>) -> C::Gets<'py> {
    running_ended_by_panic(routine, || resumed::<C>(routine))
}

#[inline(always)] // the body of `sent_to`
fn resumed<'py, C: Caller>(routine: &Obj<'py, Routine>) -> C::Gets<'py> {
    let py = routine.py();
    match routine.phase.replace(Phase::Running) {
        Phase::New(start) => {
            routine.started.set(true);
            drive::<C>(routine, start(routine))
        }
        Phase::Future(resume) => resume_after_future::<C>(routine, resume),
        Phase::Iterator(resume) => {
            let Some(iterator) = routine.awaiting.take() else { return C::ended(Err(lost())) };
            let iterator = iterator.into_any(py);
            if let Some(inner) = Obj::<Routine>::cast_exact(&iterator) {
                return C::awaits(routine, inner, resume, Push::Send);
            }
            let sent = running(routine, &iterator, || send(&iterator, &none(py)));
            resume_after_iterator::<C>(routine, resume, iterator, sent)
        }
        Phase::GaveWay(resume) => drive::<C>(routine, resume(routine, Ok(none(py)))),
        other => refuse::<C>(routine, other),
    }
}

/// Throws into a routine.
pub(super) fn thrown_into<'py, C: Caller>(routine: &Obj<'py, Routine>, error: PyErr) -> C::Gets<'py> {
    running_ended_by_panic(routine, || resumed_by_error::<C>(routine, error))
}

fn resumed_by_error<'py, C: Caller>(routine: &Obj<'py, Routine>, error: PyErr) -> C::Gets<'py> {
    let py = routine.py();
    routine.started.set(true);
    match routine.phase.replace(Phase::Running) {
        Phase::New(_) => {
            routine.end();
            C::ended(Err(error))
        }
        Phase::Future(resume) => {
            routine.awaiting.clear();
            drive::<C>(routine, resume(routine, Err(error)))
        }
        Phase::GaveWay(resume) => drive::<C>(routine, resume(routine, Err(error))),
        Phase::Iterator(resume) => {
            let Some(iterator) = routine.awaiting.take() else { return C::ended(Err(lost())) };
            let iterator = iterator.into_any(py);
            if let Some(inner) = Obj::<Routine>::cast_exact(&iterator) {
                return C::awaits(routine, inner, resume, Push::Throw(error));
            }
            let sent = running(routine, &iterator, || throw_into_iterator(&iterator, error));
            resume_after_iterator::<C>(routine, resume, iterator, sent)
        }
        other => refuse::<C>(routine, other),
    }
}

fn throw_into_iterator<'py>(iterator: &Bound<'py, PyAny>, error: PyErr) -> Sent<'py> {
    let py = iterator.py();
    if error.is_instance_of::<PyGeneratorExit>(py) {
        return Sent::Raised(close_inner(iterator).err().unwrap_or(error));
    }
    match iterator.hasattr(names::throw(py)) {
        Ok(true) => throw(iterator, names::throw(py), error),
        Ok(false) => Sent::Raised(error),
        Err(error) => Sent::Raised(error),
    }
}

/// Closes a routine that another one awaits.
pub(super) fn closed<'py, C: Caller>(routine: &Obj<'py, Routine>) -> C::Gets<'py> {
    match routine.phase.get() {
        Phase::New(_) | Phase::Done => {
            routine.started.set(true);
            routine.end();
            C::ended(Ok(none(routine.py())))
        }
        Phase::Running | Phase::Bound(_) => refuse::<C>(routine, routine.phase.get()),
        _ => thrown_into::<C>(routine, PyGeneratorExit::new_err(())),
    }
}

/// A routine in such a phase cannot run. It stays in it.
#[cold]
fn refuse<'py, C: Caller>(routine: &Obj<'py, Routine>, phase: Phase) -> C::Gets<'py> {
    routine.phase.set(phase);
    C::ended(Err(match phase {
        Phase::Bound(_) => not_called(),
        Phase::Done => PyRuntimeError::new_err("cannot reuse already awaited coroutine"),
        _ => PyValueError::new_err("coroutine already executing"),
    }))
}
