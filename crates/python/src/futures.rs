//! `Future`: a result that comes later. `asyncio.futures.Future`, native.
//!
//! Completing a future pushes its callbacks straight to the ready ring of a native loop, with no Handle:
//! waiting native Tasks, Rust wakers, and callables. On a foreign loop everything goes through that loop's
//! `call_soon`. Called by Python code, by [`crate::tasks`] (a Task is a Future) and by the control plane.

#[cfg(Py_3_14)]
pub mod awaiting;
pub mod bridge;
mod callbacks;
pub mod creating;
mod docs;
pub mod future_like;
mod iteration;
mod outcome;
mod scheduling;
mod state;
pub mod watchers;

use std::ffi::CStr;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use self::scheduling::{callback_list, remove_callback};
use crate::attributes::{assigned, write_flag};
use crate::core::{OwnerKind, finish, ignore_replacement, typed};
use crate::events::loop_debug;
use crate::ffi::class::DictAndWeak;
use crate::ffi::{Args, Class, ClassState, Create, Obj, Ref, Signature, Slot, Table, Visitor, stands_for};
use crate::ffi::{boolean, context, none};
use crate::{sources, stock};

pub use callbacks::Callback;
pub use creating::{create_future, create_future_on, future_maker};
pub use iteration::{BY_COROUTINE, FutureIter, stop_iteration, thrown, warn_about_three_arguments};
pub use outcome::{
    Outcome, cancel, exception, make_cancelled_error, report_unretrieved, result, set_exception, set_result,
    take_outcome,
};
pub use scheduling::{add_callback, remove_reaction};
pub use state::{Future, State, exact, plain};

static FUTURE: ClassState = ClassState::new();
const INIT: Signature<1> = Signature::new_native("Future", "*, loop=None");
const ADD_DONE_CALLBACK: Signature<2> = Signature::new_native("add_done_callback", "fn, /, *, context=None");
const CANCEL: Signature<1> = Signature::new_native("cancel", "msg=None");

/// `Future.__init__` and the shared part of `Task.__init__`.
pub fn init(future: &Obj<'_, Future>, event_loop: Bound<'_, PyAny>) -> PyResult<()> {
    let py = future.py();
    if cfg!(Py_3_15) && future.is_alive() {
        let class = future.as_any().get_type().fully_qualified_name()?;
        return Err(PyRuntimeError::new_err(format!("{class} object is already initialized")));
    }
    let (event_loop, debug) = given_or_current(py, event_loop)?;
    // A second call of __init__ resets the future and drops the old references.
    let old = future.callbacks.with(std::mem::take);
    drop(old);
    future.each_slot(Slot::clear);
    future.state.set(State::Pending);
    future.blocking.set(false);
    future.log_traceback.set(false);
    future.failed.set(false);
    future.event_loop.put(event_loop);
    if debug { remember_source(future) } else { Ok(()) }
}

/// The same for an object that was just made.
#[inline]
pub fn init_new(future: &Obj<'_, Future>, event_loop: Bound<'_, PyAny>) -> PyResult<()> {
    let (event_loop, debug) = given_or_current(future.py(), event_loop)?;
    future.event_loop.put(event_loop);
    if debug { remember_source(future) } else { Ok(()) }
}

/// The loop of a new future, and whether that says it is in debug mode.
#[inline]
fn given_or_current<'py>(
    py: Python<'py>,
    event_loop: Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PyAny>, bool)> {
    let event_loop = if event_loop.is_none() { stock::current_event_loop(py)? } else { event_loop };
    let debug = loop_debug(&event_loop)?;
    Ok((event_loop, debug))
}

/// Completes a native future's creation in debug mode: keeps the stack.
#[cold]
pub fn remember_source(future: &Obj<'_, Future>) -> PyResult<()> {
    let py = future.py();
    future.source_traceback.put(sources::capture(py)?);
    Ok(())
}

/// The owner of an operation whose future is completed when the operation can be finished.
pub static READY: OwnerKind = OwnerKind {
    ready: |event_loop, future, id| {
        let future: Obj<'_, Future> = typed(future, event_loop.py())?;
        // The future is done already: the operation was reported twice before the task ran, or the future was
        // cancelled.
        let is_pending = finish(event_loop, id).is_some() && future.state() == State::Pending;
        if is_pending { set_result(&future, none(event_loop.py())) } else { Ok(()) }
    },
    replaced: ignore_replacement,
};

/// Attributes and methods that Future and Task share by inheritance.
fn table(t: &mut Table<Future>) {
    t.noargs(c"result", result, docs::RESULT);
    t.noargs(c"exception", exception, docs::EXCEPTION);
    t.action_on(
        c"set_result",
        "result",
        |future, value| set_result(future, value.clone()),
        "Marks the future done with a result. Raises InvalidStateError when it is done already.",
    );
    t.action_on(c"set_exception", "exception", set_exception,
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
    t.answer(
        c"cancelled",
        |future| future.is_alive() && future.state.get() == State::Cancelled,
        "Whether the future was cancelled.",
    );
    t.answer(c"done", |future| future.is_alive() && future.state.get() != State::Pending, docs::DONE);
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
    t.getter(c"_source_traceback", |future| sources::shown_or_none(&future.source_traceback, future.py()));
    t.property(
        c"_cancel_message",
        |future| Ok(future.message(future.py())),
        |future, value| assigned(value).map(|value| future.set_message(value.clone())),
    );
    #[cfg(Py_3_14)]
    t.getter(c"_asyncio_awaited_by", awaiting::awaited_by);
}

impl Class for Future {
    const NAME: &'static CStr = c"yibu.Future";
    type Header = DictAndWeak;
    const FREELIST: usize = 1024;
    const IMMUTABLE: bool = true;

    stands_for! { FUTURE, stock::future }

    fn table(t: &mut Table<Self>) {
        t.doc(c"Future(*, loop=None)\n--\n\nA result that comes later, bound to one event loop.");
        t.init(|future, args, kwargs| {
            let [event_loop] = Args::parse_tuple(&INIT, args, kwargs)?;
            init(future, event_loop)
        });
        t.construct(|args| {
            let event_loop = match args.values_of([name!("loop").get(args.py())]) {
                Some([Some(event_loop)]) if args.is_empty() => event_loop.to_owned(),
                _ => args.parse(&INIT).map(|[event_loop]| event_loop)?,
            };
            let future = Self::create(args.py())?;
            init_new(&future, event_loop)?;
            Ok(future)
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
