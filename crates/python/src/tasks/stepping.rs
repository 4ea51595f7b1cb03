//! One step of a task: `Task.__step` and `Task.__wakeup`.
//!
//! Sends None or throws into the coroutine, then handles its result, its exception, or the object that it
//! yields. Run by the loop's turn ([`STEP`], [`WAKEUP`]), on foreign loops by a [`TaskCallback`]; calls the
//! coroutine.

use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PySystemExit};
use pyo3::prelude::*;
use yibu_observing::Ending;

use super::callback::{Kind, TaskCallback, is_wakeup_of, wakeup_callable};
use super::observed;
use super::state::Task;
use crate::core::{
    Callable, Entry, EntryKind, EventLoop, Runnable, current, mismatch, named, no_callable, typed,
};
use crate::events::{self, Handle};
use crate::ffi::send::{Sent, send, throw};
use crate::ffi::{Obj, Raised, Ref, call, context, none};
use crate::futures::{self, Callback, Future, Outcome, State, future_like};
use crate::{errors, names, stock};

/// Schedules the next step, which throws `error` into the coroutine if there is one.
pub(super) fn schedule_step(task: &Obj<'_, Task>, error: Option<Raised<'_>>) -> PyResult<()> {
    let py = task.py();
    let Some(event_loop) = task.base.event_loop.get(py) else { return task.base.ensure_alive() };
    let error = error.map(|error| Ref::new(error.into_any()));
    if let Some(native) = EventLoop::direct(&event_loop) {
        native.check_open()?;
        return native.push_made(|| {
            let object = Ref::new(task.as_any().clone());
            Entry::Run(Runnable { kind: &STEP, object, first: error, second: None })
        });
    }
    let step = TaskCallback::new(task, Kind::Step, error)?;
    let context = task.own.context.get_or_none(py);
    call::method_with_keyword(
        names::call_soon(py),
        [&event_loop, &step, &context],
        names::context_keyword(py),
    )?;
    Ok(())
}

/// A step of a task as a callable, and the context to call it in.
fn step_callable<'py>(
    task: &Obj<'py, Task>,
    error: Option<Ref>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    Ok((TaskCallback::new(task, Kind::Step, error)?, task.own.context.get_or_none(task.py())))
}

/// The first step of a task, or the one after a bare yield, or one that throws the exception that comes with
/// it.
pub(super) static STEP: EntryKind = EntryKind {
    run: |event_loop, runnable| {
        let py = event_loop.py();
        let Runnable { object, first: error, .. } = runnable;
        let error = match error {
            Some(error) => Some(Raised(error.into_any(py).cast_into()?)),
            None => None,
        };
        run_step(event_loop, &typed(object, py)?, error)
    },
    subject: named,
    callable: Some(|runnable, py| {
        let (callback, context) = step_callable(&typed(runnable.object, py)?, runnable.first)?;
        Ok(Callable::Call { callback, argument: None, context: Some(context) })
    }),
    stands_for: no_callable,
};

/// The future that a task awaits is done: it comes with the task.
pub(super) static WAKEUP: EntryKind = EntryKind {
    run: |event_loop, runnable| {
        let py = event_loop.py();
        let Runnable { object, first: future, .. } = runnable;
        let future = future.ok_or_else(|| PyRuntimeError::new_err("a wake-up without its future"))?;
        let future = future.into_any(py);
        // Most are of the native classes themselves, which takes no look at base classes to find out.
        let future = match Obj::<Task>::cast_exact(&future) {
            Some(awaited) => awaited.upcast(),
            None => Obj::cast(&future).ok_or_else(mismatch)?,
        };
        run_wakeup(event_loop, &typed(object, py)?, future)
    },
    subject: named,
    callable: Some(|runnable, py| {
        let task = typed(runnable.object, py)?;
        let (_, context) = step_callable(&task, None)?;
        let argument = runnable.first.map(|future| future.into_any(py));
        Ok(Callable::Call { callback: wakeup_callable(&task)?, argument, context: Some(context) })
    }),
    stands_for: |function, task| {
        let is_it = typed(task.copy(function.py()), function.py());
        is_it.is_ok_and(|task: Obj<'_, Task>| is_wakeup_of(function, &task))
    },
};

/// Runs a scheduled step: in the task's context, as the current task of its loop.
#[inline]
fn run_step(
    event_loop: &Obj<'_, EventLoop>,
    task: &Obj<'_, Task>,
    error: Option<Raised<'_>>,
) -> PyResult<()> {
    let py = task.py();
    let context = task.own.context.get_or_none(py);
    let stepped = context::run(&context, |_| {
        current::enter(event_loop, task.as_any())?;
        let stepped = step(task, error);
        current::leave(event_loop);
        stepped
    });
    match stepped {
        Ok(()) => Ok(()),
        Err(raised) => report(event_loop, task, Kind::Step, None, raised),
    }
}

/// Runs the wake-up of a task whose future is done.
#[inline]
fn run_wakeup(
    event_loop: &Obj<'_, EventLoop>,
    task: &Obj<'_, Task>,
    future: &Obj<'_, Future>,
) -> PyResult<()> {
    let py = task.py();
    let context = task.own.context.get_or_none(py);
    let stepped = context::run(&context, |_| {
        let error = match futures::take_outcome(future)? {
            Some(Outcome::Raised(error)) => Some(error),
            Some(Outcome::Value(_)) | None => None,
        };
        current::enter(event_loop, task.as_any())?;
        let stepped = step(task, error);
        current::leave(event_loop);
        stepped
    });
    match stepped {
        Ok(()) => Ok(()),
        Err(raised) => report(event_loop, task, Kind::Wakeup, Some(future), raised),
    }
}

/// Treats an exception of a step as `Handle._run` does.
#[cold]
fn report(
    event_loop: &Obj<'_, EventLoop>,
    task: &Obj<'_, Task>,
    kind: Kind,
    future: Option<&Obj<'_, Future>>,
    error: PyErr,
) -> PyResult<()> {
    let callback = TaskCallback::new(task, kind, None)?;
    let arg = future.map(|f| f.as_any().clone());
    let context = task.own.context.get(task.py());
    events::report(&Handle::with_arg(event_loop.as_any(), callback, arg, context)?, error)
}

/// `Task.__step`: sends None or throws into the coroutine, then handles its result, its exception or the
/// object that it yields.
#[inline]
pub(super) fn step<'py>(task: &Obj<'py, Task>, error: Option<Raised<'py>>) -> PyResult<()> {
    let py = task.py();
    let own = &task.own;
    if task.base.state() != State::Pending {
        return Err(already_done(task, error));
    }
    observed::count_poll(task);
    let error = if own.must_cancel.replace(false) { Some(cancellation(task, error)?) } else { error };
    own.waiter.clear();
    let Some(coroutine) = own.coroutine.get(py) else {
        return Err(PyRuntimeError::new_err("uninitialized Task object"));
    };
    let sent = match error {
        None => send(&coroutine, &none(py)),
        Some(error) => throw(&coroutine, names::throw(py), error.into_err()),
    };
    match sent {
        Sent::Yielded(object) => wait_for(task, object),
        Sent::Returned(value) => {
            own.registration.leave();
            if own.must_cancel.replace(false) {
                // Cancelled just before it ended.
                observed::end(task, &coroutine, Ending::Cancelled);
                let message = task.base.message(py);
                futures::cancel(task.upcast(), message).map(drop)
            } else {
                observed::end(task, &coroutine, Ending::Finished);
                futures::set_result(task.upcast(), value)
            }
        }
        Sent::Raised(error) => die(task, &coroutine, Raised::from_err(py, error)),
    }
}

#[cold]
fn already_done(task: &Obj<'_, Task>, error: Option<Raised<'_>>) -> PyErr {
    let text = || -> PyResult<String> {
        let error = match &error {
            Some(error) => text!("{}", error.as_any().repr()?)?,
            None => "None".to_owned(),
        };
        Ok(text!("__step(): already done: {} {error}", task.as_any().repr()?)?)
    };
    match (text(), stock::invalid_state_error(task.py())) {
        (Ok(text), Ok(class)) => errors::raise(class, text),
        (Err(error), _) | (_, Err(error)) => error,
    }
}

/// The CancelledError to throw: the one at hand, or a new one.
fn cancellation<'py>(task: &Obj<'py, Task>, error: Option<Raised<'py>>) -> PyResult<Raised<'py>> {
    match error {
        Some(error) if error.is_instance_of(stock::cancelled_error(task.py())?) => Ok(error),
        _ => futures::make_cancelled_error(task.upcast()),
    }
}

/// The coroutine raised.
#[cold]
fn die(task: &Obj<'_, Task>, coroutine: &Bound<'_, PyAny>, error: Raised<'_>) -> PyResult<()> {
    let py = task.py();
    task.own.registration.leave();
    if error.is_instance_of(stock::cancelled_error(py)?) {
        observed::end(task, coroutine, Ending::Cancelled);
        task.base.keep_cancelled_error(error.into_any());
        return futures::cancel(task.upcast(), none(py)).map(drop);
    }
    observed::end(task, coroutine, Ending::Failed);
    futures::set_exception(task.upcast(), error.as_any())?;
    if error.is::<PyKeyboardInterrupt>() || error.is::<PySystemExit>() {
        return Err(error.into_err());
    }
    Ok(())
}

/// The coroutine yielded `object` and waits.
#[inline]
fn wait_for<'py>(task: &Obj<'py, Task>, object: Bound<'py, PyAny>) -> PyResult<()> {
    if let Some(future) = futures::exact(&object)
        && !object.is(task.as_any())
    {
        if future.event_loop.as_ptr() != task.base.event_loop.as_ptr() {
            return different_loop(task, &object);
        }
        if !future.blocking.replace(false) {
            return yield_instead(task, &object);
        }
        futures::add_callback(
            future,
            Callback::Entry { kind: &WAKEUP, object: Ref::new(task.as_any().clone()) },
        )?;
        task.own.waiter.put(object.clone());
        return cancel_waiter_if_asked(task, &object);
    }
    if object.is_none() {
        // A bare yield waits one turn.
        return schedule_step(task, None);
    }
    wait_for_foreign(task, object)
}

/// Handles the other objects that a coroutine may yield: futures that are not native, and objects that no
/// task can await.
#[cold]
fn wait_for_foreign<'py>(task: &Obj<'py, Task>, object: Bound<'py, PyAny>) -> PyResult<()> {
    let py = task.py();
    if object.is(task.as_any()) {
        return fail_soon(task, text!("Task cannot await on itself: {}", task.as_any().repr()?)?);
    }
    let blocking = object.getattr_opt(names::_asyncio_future_blocking(py))?.filter(|b| !b.is_none());
    if let Some(blocking) = blocking {
        let blocking = blocking.is_truthy()?;
        if future_like::loop_of(&object)?.as_ptr() != task.base.event_loop.as_ptr() {
            return different_loop(task, &object);
        }
        if !blocking {
            return yield_instead(task, &object);
        }
        object.setattr(names::_asyncio_future_blocking(py), false)?;
        let wakeup = wakeup_callable(task)?;
        let context = task.own.context.get_or_none(py);
        call::method_with_keyword(
            names::add_done_callback(py),
            [&object, &wakeup, &context],
            names::context_keyword(py),
        )?;
        task.own.waiter.put(object.clone());
        return cancel_waiter_if_asked(task, &object);
    }
    if object.is_instance(stock::generator(py)?)? {
        return fail_soon(
            task,
            text!(
                "yield was used instead of yield from for generator in task {} with {}",
                task.as_any().repr()?,
                object.repr()?
            )?,
        );
    }
    fail_soon(task, text!("Task got bad yield: {}", object.repr()?)?)
}

#[cold]
fn different_loop(task: &Obj<'_, Task>, future: &Bound<'_, PyAny>) -> PyResult<()> {
    fail_soon(
        task,
        text!("Task {} got Future {} attached to a different loop", task.as_any().repr()?, future.repr()?)?,
    )
}

#[cold]
fn yield_instead(task: &Obj<'_, Task>, future: &Bound<'_, PyAny>) -> PyResult<()> {
    fail_soon(
        task,
        text!(
            "yield was used instead of yield from in task {} with {}",
            task.as_any().repr()?,
            future.repr()?
        )?,
    )
}

/// Throws a RuntimeError into the coroutine at the next step.
#[cold]
fn fail_soon(task: &Obj<'_, Task>, text: String) -> PyResult<()> {
    let py = task.py();
    schedule_step(task, Some(Raised::from_err(py, PyRuntimeError::new_err(text))))
}

/// The task was cancelled while it ran: cancels the future that it awaits now.
#[inline]
fn cancel_waiter_if_asked(task: &Obj<'_, Task>, waiter: &Bound<'_, PyAny>) -> PyResult<()> {
    if task.own.must_cancel.get() && future_like::cancel_with(waiter, &task.base.message(task.py()))? {
        task.own.must_cancel.set(false);
    }
    Ok(())
}
