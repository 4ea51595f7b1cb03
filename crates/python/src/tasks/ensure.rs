//! `ensure_future`: a future for any awaitable object. Called by Python code, by the primitives and by the
//! control plane.

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::spawn_on;
use crate::coroutines::{Routine, Step, is_coroutine};
use crate::ffi::{Args, Obj, Output, Signature};
use crate::functions::{self, current_loop};
use crate::futures::future_like::{is_future, loop_of};
use crate::replaced::names::ENSURE_FUTURE as REPLACED;
use crate::stock;

const ENSURE_FUTURE: Signature<2> = Signature::new("ensure_future", "coro_or_future, *, loop=None");

/// What `ensure_future` calls, and asyncio's other functions directly. A function of its own: asyncio's of
/// that name stands behind it.
#[cfg(not(Py_3_12))]
const PRIVATE: Signature<2> = Signature::new("_ensure_future", "coro_or_future, *, loop=None");

/// Adds the function.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = "A future for whatever can be awaited: the future itself, or a task.";
    #[cfg(not(Py_3_12))]
    functions::add(module, &PRIVATE, ensure_future, doc)?;
    functions::add(module, &ENSURE_FUTURE, ensure_future, doc)
}

/// `asyncio.ensure_future(coro_or_future, *, loop=None)`.
fn ensure_future<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [object, event_loop] = args.parse(&ENSURE_FUTURE)?;
    future_of(&object, (!event_loop.is_none()).then_some(&event_loop))
}

/// `ensure_future(object, loop=event_loop)`, as asyncio's own functions call it.
#[inline]
pub fn ensure<'py>(object: &Bound<'py, PyAny>, event_loop: Option<&Bound<'py, PyAny>>) -> Output<'py> {
    match REPLACED.replacement(object.py())? {
        None => future_of(object, event_loop),
        Some(function) => {
            let keywords = PyDict::new(object.py());
            keywords.set_item("loop", event_loop)?;
            function.call((object,), Some(&keywords))
        }
    }
}

/// The object itself when it is a future, otherwise a task for it: on `event_loop`, or on the current loop.
#[inline]
fn future_of<'py>(object: &Bound<'py, PyAny>, event_loop: Option<&Bound<'py, PyAny>>) -> Output<'py> {
    if is_future(object)? {
        return match event_loop {
            Some(expected) if !loop_of(object)?.is(expected) => Err(PyValueError::new_err(
                "The future belongs to a different loop than the one specified as the loop argument",
            )),
            _ => Ok(object.clone()),
        };
    }
    if !is_coroutine(object)? {
        let name = if cfg!(Py_3_12) { "ensure_future.<locals>._wrap_awaitable" } else { "_wrap_awaitable" };
        return spawn(&wrap(object, name)?, event_loop);
    }
    match spawn(object, event_loop) {
        Err(error) if error.is_instance_of::<PyRuntimeError>(object.py()) => {
            object.call_method0(name!("close"))?;
            Err(error)
        }
        spawned => spawned,
    }
}

#[inline]
fn spawn<'py>(coroutine: &Bound<'py, PyAny>, event_loop: Option<&Bound<'py, PyAny>>) -> Output<'py> {
    match event_loop {
        Some(event_loop) => spawn_on(event_loop, coroutine),
        None => spawn_on(&current_loop(coroutine.py())?, coroutine),
    }
}

/// `_wrap_awaitable(object)`: a coroutine for an awaitable that is none.
pub fn wrap<'py>(object: &Bound<'py, PyAny>, name: &'static str) -> Output<'py> {
    if !stock::isawaitable(object.py())?.call1((object,))?.is_truthy()? {
        return Err(PyTypeError::new_err("An asyncio.Future, a coroutine or an awaitable is required"));
    }
    Ok(Routine::begin(object, name, await_it)?.into_any())
}

fn await_it<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let awaitable = routine.owner.get_or_none(routine.py());
    Ok(Step::Await(awaitable, |_, outcome| outcome.map(Step::Return)))
}
