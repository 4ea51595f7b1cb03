//! `Future`: a result that comes later. `asyncio.futures.Future`, native.
//!
//! Completing a future pushes its callbacks straight to the ready ring of a native loop, with no Handle: waiting native Tasks, Rust
//! wakers, and callables. On a foreign loop everything goes through that loop's
//! `call_soon`. Called by Python code, by [`crate::tasks`] (a Task is a Future) and by the control plane.

#[cfg(Py_3_14)]
pub mod awaiting;
pub mod bridge;
mod callbacks;
pub mod creating;
mod docs;
pub mod future_like;
mod iteration;
pub mod watchers;

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyStopIteration, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyType};

use self::callbacks::{Callbacks, Key};
use crate::attributes::{assigned, write_flag};
use crate::callbacks::{Reaction, ReactionCallback, reaction_of};
use crate::core::{
    Callable, Entry, EntryKind, EventLoop, Other, OwnerKind, Runnable, current, finish, ignore_replacement,
    named, no_callable, typed,
};
use crate::events::{Handle, loop_debug};
use crate::ffi::class::DictAndWeak;
use crate::ffi::{
    Args, Class, ClassState, LoopCell, Obj, Output, Raised, Ref, Signature, Slot, Table, Visitor, make,
};
use crate::ffi::{boolean, call, context, none};
use crate::{errors, events, names, stock};

pub use callbacks::Callback;
pub use creating::{create_future, create_future_on, future_maker};
pub use iteration::{BY_COROUTINE, FutureIter, stop_iteration, thrown, warn_about_three_arguments};

/// `Future._state`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum State {
    /// Neither result, exception nor cancellation yet.
    #[default]
    Pending,
    /// `cancel()` was called.
    Cancelled,
    /// A result or an exception is set.
    Finished,
}

/// The data of a `Future`; a Task begins with it too.
#[derive(Default)]
pub struct Future {
    pub(crate) event_loop: Slot,
    state: Cell<State>,
    /// `_asyncio_future_blocking`: the future was yielded to a task that has not read this yet.
    pub(crate) blocking: Cell<bool>,
    log_traceback: Cell<bool>,
    callbacks: LoopCell<Callbacks>,
    /// The result, or the exception when `failed`.
    outcome: Slot,
    failed: Cell<bool>,
    exception_traceback: Slot,
    cancel_message: Slot,
    /// The CancelledError that ended a task: raised once, in the first task that awaits it.
    cancelled_error: Slot,
    source_traceback: Slot,
    /// The set of futures that were added by `future_add_to_awaited_by`; see [`awaiting`].
    #[cfg(Py_3_14)]
    awaited_by: Slot,
}

static FUTURE: ClassState = ClassState::new();
const INIT: Signature<1> = Signature::new_native("Future", "*, loop=None");
const ADD_DONE_CALLBACK: Signature<2> = Signature::new_native("add_done_callback", "fn, /, *, context=None");
const CANCEL: Signature<1> = Signature::new_native("cancel", "msg=None");

impl Future {
    /// The state.
    #[inline]
    pub fn state(&self) -> State {
        self.state.get()
    }

    /// Whether `__init__` ran.
    #[inline]
    pub fn is_alive(&self) -> bool {
        !self.event_loop.is_empty()
    }

    /// RuntimeError when `__init__` did not run.
    #[inline]
    pub fn ensure_alive(&self) -> PyResult<()> {
        if self.is_alive() { Ok(()) } else { Err(uninitialized()) }
    }

    /// The cancellation's message.
    pub fn message<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.cancel_message.get_or_none(py)
    }

    /// Sets the message of a coming CancelledError.
    pub fn set_message(&self, message: Bound<'_, PyAny>) {
        if message.is_none() { self.cancel_message.clear() } else { self.cancel_message.put(message) }
    }

    /// Keeps the exception a task was cancelled by.
    pub fn keep_cancelled_error(&self, error: Bound<'_, PyAny>) {
        self.cancelled_error.put(error);
    }

    /// No "never retrieved" report for this future.
    #[inline]
    pub fn mark_retrieved(&self) {
        self.log_traceback.set(false);
    }

    /// Keeps the stack of the code that made the future.
    pub fn source<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.source_traceback.get(py)
    }

    /// The references both Future and Task show to the collector.
    fn each_slot(&self, mut f: impl FnMut(&Slot)) {
        for slot in [
            &self.event_loop,
            &self.outcome,
            &self.exception_traceback,
            &self.cancel_message,
            &self.cancelled_error,
            &self.source_traceback,
            #[cfg(Py_3_14)]
            &self.awaited_by,
        ] {
            f(slot);
        }
    }

    /// Whether it has ended with an exception that is not a cancellation.
    pub fn has_failed(&self) -> bool {
        self.failed.get()
    }

    /// Whether an exception has to be reported if the future is freed now.
    #[inline]
    pub fn has_unretrieved_exception(&self) -> bool {
        self.log_traceback.get()
    }
}

/// The native future behind an object that is exactly a Future, a Task or what `gather()` returns: no Python subclass can have
/// replaced its methods. Those that the three do not have in common are `cancel` and `set_result`, `set_exception`.
#[inline]
pub fn exact<'a, 'py>(object: &'a Bound<'py, PyAny>) -> Option<&'a Obj<'py, Future>> {
    Obj::<Future>::cast_native(object)
}

fn uninitialized() -> PyErr {
    PyRuntimeError::new_err("Future object is not initialized.")
}

/// `Future.__init__` and the shared part of `Task.__init__`.
pub fn init(future: &Obj<'_, Future>, event_loop: Bound<'_, PyAny>) -> PyResult<()> {
    let py = future.py();
    if cfg!(Py_3_15) && future.is_alive() {
        let class = future.as_any().get_type().fully_qualified_name()?;
        return Err(PyRuntimeError::new_err(format!("{class} object is already initialized")));
    }
    let event_loop = if event_loop.is_none() { stock::current_event_loop(py)? } else { event_loop };
    let debug = loop_debug(&event_loop)?;
    // A second call of __init__ resets the future and drops the old references.
    let old = future.callbacks.with(std::mem::take);
    drop(old);
    future.each_slot(Slot::clear);
    future.state.set(State::Pending);
    future.blocking.set(false);
    future.log_traceback.set(false);
    future.failed.set(false);
    future.event_loop.put(event_loop);
    if debug {
        future.source_traceback.put(stock::extract_stack(py)?.call0()?);
    }
    Ok(())
}

/// Completes a native future's creation in debug mode: keeps the stack.
#[cold]
pub fn remember_source(future: &Obj<'_, Future>) -> PyResult<()> {
    let py = future.py();
    future.source_traceback.put(stock::extract_stack(py)?.call0()?);
    Ok(())
}

/// The CancelledError to raise. The one that ended a task is returned only once, as by `_make_cancelled_error`.
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
pub enum Settled<'py> {
    /// The result.
    Value(Bound<'py, PyAny>),
    /// The exception, or the CancelledError.
    Raised(Raised<'py>),
}

/// The outcome of a done future, marked as retrieved; `None` while it is pending.
pub fn settle<'py>(future: &Obj<'py, Future>) -> PyResult<Option<Settled<'py>>> {
    let py = future.py();
    Ok(Some(match future.state.get() {
        State::Pending => return Ok(None),
        State::Cancelled => Settled::Raised(make_cancelled_error(future)?),
        State::Finished => {
            future.log_traceback.set(false);
            let outcome = future.outcome.get_or_none(py);
            if future.failed.get() {
                let exception = Raised(outcome.cast_into::<PyBaseException>()?);
                // Once: those who ask again get their own traceback.
                let kept = future.exception_traceback.take();
                exception.0.setattr(name!("__traceback__"), kept.map(|kept| kept.into_any(py)))?;
                Settled::Raised(exception)
            } else {
                Settled::Value(outcome)
            }
        }
    }))
}

/// `Future.result`.
pub fn result<'py>(future: &Obj<'py, Future>) -> Output<'py> {
    match settle(future)? {
        Some(Settled::Value(value)) => Ok(value),
        Some(Settled::Raised(raised)) => Err(raised.raise()),
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

/// StopIteration cannot be raised into a coroutine: older interpreters refuse exactly that type, newer ones wrap it.
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
fn wrap_stop_iteration<'py>(stop: &Bound<'py, PyAny>) -> Output<'py> {
    let py = stop.py();
    let wrapped = PyRuntimeError::new_err(STOP_ITERATION).into_value(py).into_bound(py).into_any();
    wrapped.setattr(name!("__cause__"), stop)?;
    wrapped.setattr(name!("__context__"), stop)?;
    Ok(wrapped)
}

/// Whether this interpreter's own Future wraps StopIteration: asked once, because the change came with a bug-fix release.
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

/// Schedules every callback and empties the list.
#[inline]
fn schedule_callbacks(future: &Obj<'_, Future>) -> PyResult<()> {
    future.callbacks.with(std::mem::take).consume(|callback| schedule(future, callback))
}

/// Schedules one callback on the future's loop.
#[inline]
fn schedule(future: &Obj<'_, Future>, callback: Callback) -> PyResult<()> {
    let py = future.py();
    let event_loop = future.event_loop.get(py).ok_or_else(uninitialized)?;
    if let Some(native) = EventLoop::direct(&event_loop)
        && !is_without_context(py, &callback)
    {
        native.check_open()?;
        let another = || Ref::new(future.as_any().clone());
        return native.push_made(|| match callback {
            Callback::Entry { kind, object } => {
                Entry::Run(Runnable { kind, object, first: Some(another()), second: None })
            }
            Callback::Reaction { reaction, owner } => {
                Entry::Other(Other::React { reaction, owner, future: another() })
            }
            Callback::Python { function, context } => {
                let (kind, first, second) = (&CALLBACK, Some(another()), Some(context));
                Entry::Run(Runnable { kind, object: function, first, second })
            }
        });
    }
    let (function, context) = as_python(py, callback)?;
    call_soon(&event_loop, &function, future.as_any(), &context)
}

/// A callback of a future that is done: it comes with the future and with the context to call it in.
static CALLBACK: EntryKind = EntryKind {
    run: |event_loop, runnable| {
        current::flush_leave(event_loop)?;
        let py = event_loop.py();
        let (function, future, context) = parts(runnable, py);
        // If the callback raises, a Handle is made for the report, which names one.
        match context::run(&context, |_| call::call1(&function, &future)) {
            Ok(_) => Ok(()),
            Err(error) => events::report(
                &Handle::with_arg(event_loop.as_any(), function, Some(future), Some(context))?,
                error,
            ),
        }
    },
    subject: named,
    callable: Some(|runnable, py| {
        let (callback, future, context) = parts(runnable, py);
        Ok(Callable::Call { callback, argument: Some(future), context: Some(context) })
    }),
    stands_for: no_callable,
};

/// Function, future and context of an entry of [`CALLBACK`].
#[inline]
fn parts(runnable: Runnable, py: Python<'_>) -> (Bound<'_, PyAny>, Bound<'_, PyAny>, Bound<'_, PyAny>) {
    let part = |part: Option<Ref>| part.map_or_else(|| none(py), |part| part.into_any(py));
    (runnable.object.into_any(py), part(runnable.first), part(runnable.second))
}

/// The owner of an operation whose future is completed when the operation can be finished.
pub static READY: OwnerKind = OwnerKind {
    ready: |event_loop, future, id| {
        let future: Obj<'_, Future> = typed(future, event_loop.py())?;
        // The future is done already: the operation was reported twice before the task ran, or the future was cancelled.
        let is_pending = finish(event_loop, id).is_some() && future.state() == State::Pending;
        if is_pending { set_result(&future, none(event_loop.py())) } else { Ok(()) }
    },
    replaced: ignore_replacement,
};

/// Whether a callback was added with `context=None`, or with what is no context: the loop's `call_soon` knows what to do.
#[inline]
fn is_without_context(py: Python<'_>, callback: &Callback) -> bool {
    matches!(callback, Callback::Python { context, .. } if !context::is_context(context.any(py)))
}

/// `loop.call_soon(function, arg, context=context)` on any loop.
pub fn call_soon<'py>(
    event_loop: &Bound<'py, PyAny>,
    function: &Bound<'py, PyAny>,
    arg: &Bound<'py, PyAny>,
    context: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = event_loop.py();
    call::method_with_keyword(
        names::call_soon(py),
        [event_loop, function, arg, context],
        names::context_keyword(py),
    )?;
    Ok(())
}

/// A callback as Python sees it: function and context.
fn as_python(py: Python<'_>, callback: Callback) -> PyResult<(Bound<'_, PyAny>, Bound<'_, PyAny>)> {
    match callback {
        Callback::Python { function, context } => Ok((function.into_any(py), context.into_any(py))),
        Callback::Entry { kind, object } => {
            match kind.callable.map(|form| form(Runnable::new(kind, object), py)) {
                Some(Ok(Callable::Call { callback, context, .. })) => {
                    Ok((callback, context.map_or_else(|| context::empty(py), Ok)?))
                }
                Some(Ok(Callable::Handle(handle))) => Ok((handle, context::empty(py)?)),
                Some(Err(error)) => Err(error),
                None => Ok((none(py), none(py))),
            }
        }
        // The callback has no context. The current one would be wrong, and would keep alive what its variables refer to.
        Callback::Reaction { reaction, owner } => {
            Ok((ReactionCallback::of(reaction, owner.any(py))?, context::empty(py)?))
        }
    }
}

/// `Future.add_done_callback`, for a callback of any kind.
#[inline]
pub fn add_callback(future: &Obj<'_, Future>, callback: Callback) -> PyResult<()> {
    future.ensure_alive()?;
    if future.state.get() == State::Pending {
        let refused = future.callbacks.with(|callbacks| {
            if !callbacks.make_room() {
                return Some(callback);
            }
            callbacks.push(callback);
            None
        });
        errors::room(refused.is_none())
    } else {
        schedule(future, callback)
    }
}

/// `Future.remove_done_callback`: comparing runs foreign code, which may change the list meanwhile.
fn remove_callback<'py>(future: &Obj<'py, Future>, function: &Bound<'py, PyAny>) -> Output<'py> {
    let py = future.py();
    future.ensure_alive()?;
    let mut removed = match reaction_of(function) {
        Some((reaction, owner)) => remove_reaction(future, reaction, &owner),
        None => 0,
    };
    let mut index = 0;
    while index < future.callbacks.with(|all| all.places()) {
        let candidate = future.callbacks.with(|all| match all.get(index) {
            Some(Callback::Python { function, .. }) => Some((None, function.copy(py))),
            Some(Callback::Entry { kind, object }) => Some((Some(*kind), object.copy(py))),
            Some(Callback::Reaction { .. }) | None => None,
        });
        let equal = match &candidate {
            None => false,
            // A waiting task: its wake-up is what Python code may name.
            Some((Some(kind), object)) => (kind.stands_for)(function, object),
            Some((None, candidate)) => candidate.any(py).eq(function)?,
        };
        if !equal {
            index += 1;
            continue;
        }
        // The list may have changed during the comparison: remove the entry only if it is still there.
        let gone = future.callbacks.with(|all| {
            let same = match (all.get(index), &candidate) {
                (
                    Some(Callback::Python { function: object, .. } | Callback::Entry { object, .. }),
                    Some((_, c)),
                ) => object.as_ptr() == c.as_ptr(),
                _ => false,
            };
            if same { all.remove(index) } else { None }
        });
        match gone {
            Some(callback) => {
                drop(callback);
                removed += 1;
            }
            None => index += 1,
        }
    }
    Ok(removed.into_pyobject(py)?.into_any())
}

/// Removes every callback of one reaction and owner; returns their number.
pub fn remove_reaction(
    future: &Obj<'_, Future>,
    reaction: &'static Reaction,
    owner: &Bound<'_, PyAny>,
) -> usize {
    let key = Key::new(reaction, owner.as_ptr());
    let gone = future.callbacks.with(|all| all.remove_all(key));
    gone.len()
}

/// `Future._callbacks`: `None`, or a list of `(function, context)`.
fn callback_list<'py>(future: &Obj<'py, Future>) -> Output<'py> {
    let py = future.py();
    let copies: Vec<Callback> =
        future.callbacks.with(|all| all.iter().map(|callback| callback.copy(py)).collect());
    if copies.is_empty() {
        return Ok(none(py));
    }
    let list = PyList::empty(py);
    for callback in copies {
        let standard = match &callback {
            Callback::Reaction { reaction, .. } => reaction.standard,
            _ => None,
        };
        let (function, context) = as_python(py, callback)?;
        // Programs (anyio) find the task that a loop runs for by the identity of asyncio's function among its callbacks.
        let function = standard.map_or(Ok(function), |standard| standard(py).cloned())?;
        list.append((function, context))?;
    }
    Ok(list.into_any())
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
    if let Some(source) = future.source_traceback.get(py) {
        report.set_item(names::source_traceback(py), source)?;
    }
    let Some(event_loop) = future.event_loop.get(py) else { return Ok(()) };
    call::method(names::call_exception_handler(py), [&event_loop, report.as_any()])?;
    Ok(())
}

/// Attributes and methods that Future and Task share by inheritance.
fn table(t: &mut Table<Future>) {
    t.noargs(c"result", result, docs::RESULT);
    t.noargs(c"exception", exception, docs::EXCEPTION);
    t.one(
        c"set_result",
        "result",
        |future, value| set_result(future, value.clone()).map(|()| none(future.py())),
        "Marks the future done with a result. Raises InvalidStateError when it is done already.",
    );
    t.one(
        c"set_exception",
        "exception",
        |future, value| set_exception(future, value).map(|()| none(future.py())),
        "Marks the future done with an exception (an instance or a class). Raises InvalidStateError when it is done already.",
    );
    t.method(
        &ADD_DONE_CALLBACK,
        |future, args| {
            let py = future.py();
            if !future.is_alive() {
                return Err(PyRuntimeError::new_err("uninitialized Future object"));
            }
            let [function, given] = args.parse(&ADD_DONE_CALLBACK)?;
            let context =
                if given.is_none() && !args.has_keywords() { context::copy_current(py)? } else { given };
            add_callback(
                future,
                Callback::Python { function: Ref::new(function), context: Ref::new(context) },
            )?;
            Ok(none(py))
        },
        docs::ADD_DONE_CALLBACK,
    );
    t.one(c"remove_done_callback", "fn", remove_callback, docs::REMOVE_DONE_CALLBACK);
    t.method(
        &CANCEL,
        |future, args| {
            future.ensure_alive()?;
            let [message] = args.parse(&CANCEL)?;
            Ok(boolean(future.py(), cancel(future, message)?))
        },
        docs::CANCEL,
    );
    t.noargs(
        c"cancelled",
        |future| Ok(boolean(future.py(), future.is_alive() && future.state.get() == State::Cancelled)),
        "Whether the future was cancelled.",
    );
    t.noargs(
        c"done",
        |future| Ok(boolean(future.py(), future.is_alive() && future.state.get() != State::Pending)),
        docs::DONE,
    );
    t.noargs(
        c"get_loop",
        |future| {
            future.ensure_alive()?;
            Ok(future.event_loop.get_or_none(future.py()))
        },
        "The event loop the future is bound to.",
    );
    t.noargs(
        c"_make_cancelled_error",
        |future| Ok(make_cancelled_error(future)?.into_any()),
        "Makes the CancelledError to raise; once, because it gives away the stored one.",
    );
}

fn properties(t: &mut Table<Future>) {
    t.getter(c"_state", |future| {
        future.ensure_alive()?;
        let text = match future.state.get() {
            State::Pending => "PENDING",
            State::Cancelled => "CANCELLED",
            State::Finished => "FINISHED",
        };
        Ok(PyString::intern(future.py(), text).into_any())
    });
    t.property(
        c"_asyncio_future_blocking",
        |future| Ok(boolean(future.py(), future.is_alive() && future.blocking.get())),
        |future, value| {
            future.ensure_alive()?;
            write_flag(&future.blocking, value)
        },
    );
    t.getter(c"_loop", |future| Ok(future.event_loop.get_or_none(future.py())));
    t.getter(c"_callbacks", |future| {
        future.ensure_alive()?;
        callback_list(future)
    });
    t.getter(c"_result", |future| {
        future.ensure_alive()?;
        Ok(if future.failed.get() { none(future.py()) } else { future.outcome.get_or_none(future.py()) })
    });
    t.getter(c"_exception", |future| {
        future.ensure_alive()?;
        Ok(if future.failed.get() { future.outcome.get_or_none(future.py()) } else { none(future.py()) })
    });
    t.property(
        c"_log_traceback",
        |future| {
            future.ensure_alive()?;
            Ok(boolean(future.py(), future.log_traceback.get()))
        },
        |future, value| {
            if assigned(value)?.is_truthy()? {
                return Err(PyValueError::new_err("_log_traceback can only be set to False"));
            }
            future.log_traceback.set(false);
            Ok(())
        },
    );
    t.getter(c"_source_traceback", |future| Ok(future.source_traceback.get_or_none(future.py())));
    t.property(
        c"_cancel_message",
        |future| Ok(future.message(future.py())),
        |future, value| {
            future.set_message(assigned(value)?.clone());
            Ok(())
        },
    );
    #[cfg(Py_3_14)]
    t.getter(c"_asyncio_awaited_by", awaiting::awaited_by);
}

impl Class for Future {
    const NAME: &'static CStr = c"yibu.Future";
    type Header = DictAndWeak;
    const FREELIST: usize = 1024;
    const IMMUTABLE: bool = true;

    fn state() -> &'static ClassState {
        &FUTURE
    }

    fn stock(py: Python<'_>) -> PyResult<Option<&Bound<'_, PyType>>> {
        stock::future(py).map(Some)
    }

    fn table(t: &mut Table<Self>) {
        t.doc(c"Future(*, loop=None)\n--\n\nA result that comes later, bound to one event loop.");
        t.init(|future, args, kwargs| {
            let [event_loop] = Args::parse_tuple(&INIT, args, kwargs)?;
            init(future, event_loop)
        });
        table(t);
        properties(t);
        t.generic();
        t.repr(|future| {
            future.ensure_alive()?;
            stock::future_repr(future.py())?.call1((future.as_any(),))
        });
        t.iter(FutureIter::over);
        t.await_(FutureIter::over);
        t.finalize(report_unretrieved);
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.each_slot(|slot| slot.traverse(visitor));
        self.callbacks.try_with(|all| {
            all.iter().for_each(|callback| callback.traverse(visitor));
        });
    }

    fn clear(&self) {
        let callbacks = self.callbacks.with(std::mem::take);
        drop(callbacks);
        self.each_slot(Slot::clear);
    }

    fn wants_finalizer(&self) -> bool {
        self.log_traceback.get()
    }
}
