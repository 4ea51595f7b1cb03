//! What native coroutines have in common: they look and behave like the interpreter's own, with `send`,
//! `throw`, `close` and `cr_*`.
//!
//! [`protocol`] makes the methods and attributes of a class of what its [`Coroutine`] says. Called by the
//! interpreter.

use std::cell::Cell;

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::details::{self, Details, Known};
use super::unwinding;
use super::wrapper::CoroutineWrapper;
use crate::ffi::{Class, Obj, Output, Signature, Slot, Table, frame, make, new_reference, none};
use crate::futures::{self, FutureIter, stop_iteration, thrown};
use crate::stock;

/// How running up to the next wait ends: `Ok(Ok(object))` yields, `Ok(Err(value))` returns.
pub type Advanced<'py> = PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>>;

/// What an object must do to be a coroutine; [`protocol`] makes the methods and attributes of it.
pub trait Coroutine: Class {
    /// Runs until the next wait.
    fn advance<'py>(coroutine: &Obj<'py, Self>) -> Advanced<'py>;
    /// Throws into it.
    fn throw<'py>(coroutine: &Obj<'py, Self>, error: PyErr) -> Advanced<'py>;
    /// Ends the coroutine and undoes what was half-done.
    fn finish(coroutine: &Obj<'_, Self>) -> PyResult<()>;
    /// By what name [`crate::stock::counterparts`] knows the standard library's function.
    fn name(&self) -> &'static str;
    /// Whether it has run at all; one that never did is reported.
    fn started(&self) -> &Cell<bool>;
    /// Whether an `await`, or a `yield from` that may, has asked for its iterator, which is the coroutine.
    fn iterated(&self) -> &Cell<bool>;
    /// Whether it runs at this moment.
    fn is_running(&self) -> bool;
    /// Whether it has ended.
    fn is_over(coroutine: &Obj<'_, Self>) -> bool;
    /// Its code, frame and names, for introspection.
    fn details(&self) -> &Details;
    /// `cr_await`: what it waits for.
    fn awaiting<'py>(coroutine: &Obj<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>>;
    /// The value of a parameter of the standard library's function, if it is at hand.
    fn parameter<'py>(coroutine: &Obj<'py, Self>, name: &str) -> Option<Bound<'py, PyAny>>;
    /// `__class__`, by which `isinstance()` goes.
    fn class_of(coroutine: &Obj<'_, Self>) -> PyResult<Py<PyAny>> {
        Ok(stock::coroutine(coroutine.py())?.clone().into_any().unbind())
    }
}

const THROW: Signature<3> =
    Signature::new_native_without_keywords("coroutine.throw", "typ, val=None, tb=None, /");

fn ensure_idle<T: Coroutine>(coroutine: &Obj<'_, T>) -> PyResult<()> {
    if coroutine.is_running() { Err(PyValueError::new_err("coroutine already executing")) } else { Ok(()) }
}

/// Refuses to await a coroutine that is awaited already.
#[inline]
pub fn ensure_not_awaited<T: Coroutine>(coroutine: &Obj<'_, T>) -> PyResult<()> {
    if coroutine.started().get() && is_suspended(coroutine) {
        return Err(PyRuntimeError::new_err("coroutine is being awaited already"));
    }
    Ok(())
}

fn refuse_first_value<T: Coroutine>(coroutine: &Obj<'_, T>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    if value.is_none() || coroutine.started().get() {
        return Ok(());
    }
    Err(PyTypeError::new_err("can't send non-None value to a just-started coroutine"))
}

/// What drives a coroutine sends a value.
#[inline]
pub fn send<'py, T: Coroutine>(coroutine: &Obj<'py, T>, value: &Bound<'py, PyAny>) -> Advanced<'py> {
    refuse_first_value(coroutine, value)?;
    T::advance(coroutine)
}

/// What `await` iterates: the coroutine itself, which is no iterator for anybody else.
#[inline]
pub fn next<'py, T: Coroutine>(coroutine: &Obj<'py, T>) -> Advanced<'py> {
    if !coroutine.iterated().get() {
        return Err(PyTypeError::new_err("'coroutine' object is not an iterator"));
    }
    T::advance(coroutine)
}

/// The coroutine protocol: `send`, `throw`, `close`, `__await__`, `cr_*`, names, `repr` and the report of one
/// never awaited.
pub fn protocol<T: Coroutine>(t: &mut Table<T>) {
    t.iter(iterated);
    t.await_(|coroutine| {
        ensure_not_awaited(coroutine)?;
        coroutine.iterated().set(true);
        Ok(new_reference(coroutine.as_any()))
    });
    // Before the slot of that name: see `wrapper.rs`.
    t.instead_of_slot(
        c"__await__",
        |coroutine| CoroutineWrapper::of(coroutine.as_any()),
        "Return an iterator to be used in await expression.",
    );
    t.send(send);
    t.iterate(|coroutine, _| next(coroutine));
    t.one(
        c"send",
        "value",
        |coroutine, value| match refuse_first_value(coroutine, value).and_then(|()| T::advance(coroutine))? {
            Ok(future) => Ok(future),
            Err(value) => Err(stop_iteration(value)),
        },
        "Runs until the next wait; raises StopIteration with the result at the end.",
    );
    t.method(
        &THROW,
        |coroutine, args| {
            futures::warn_about_three_arguments(&args)?;
            let [class, value, traceback] = args.parse(&THROW)?;
            let error = thrown(&class, &value, &traceback, &futures::BY_COROUTINE)?;
            ensure_idle(coroutine)?;
            match T::throw(coroutine, error)? {
                Ok(future) => Ok(future),
                Err(value) => Err(stop_iteration(value)),
            }
        },
        "Raises an exception where the coroutine waits.",
    );
    t.action(
        c"close",
        |coroutine| {
            ensure_idle(coroutine)?;
            coroutine.started().set(true);
            T::finish(coroutine)
        },
        "Ends the coroutine: what it was doing is undone.",
    );
    t.repr(|coroutine| {
        let (name, address) = (details::qualified_name(coroutine)?, coroutine.as_any().as_ptr());
        let text = text!("<coroutine object {} at {address:p}>", name.str()?)?;
        Ok(make::text(coroutine.py(), &text)?.into_any())
    });
    #[cfg(Py_3_13)]
    t.generic();
    attributes(t);
    t.finalize(|coroutine| {
        if coroutine.started().get() { T::finish(coroutine) } else { unwinding::report(coroutine.as_any()) }
    });
}

fn attributes<T: Coroutine>(t: &mut Table<T>) {
    t.getter(c"__class__", |coroutine| Ok(T::class_of(coroutine)?.into_bound(coroutine.py())));
    t.property(
        c"__name__",
        |coroutine| details::name(coroutine),
        |coroutine, value| set_name(coroutine, "__name__", value, |known| &known.name),
    );
    t.property(
        c"__qualname__",
        |coroutine| details::qualified_name(coroutine),
        |coroutine, value| set_name(coroutine, "__qualname__", value, |known| &known.qualified),
    );
    t.value(c"cr_running", |coroutine| coroutine.is_running());
    t.value(c"cr_suspended", |coroutine| is_suspended(coroutine));
    #[cfg(Py_3_15)]
    t.getter(c"cr_state", |coroutine| Ok(PyString::new(coroutine.py(), state(coroutine)).into_any()));
    t.getter(c"cr_await", |coroutine| {
        let Some(awaited) = T::awaiting(coroutine)? else { return Ok(none(coroutine.py())) };
        // A coroutine of the interpreter awaits a future by its iterator.
        match futures::exact(&awaited) {
            Some(future) => FutureIter::over(future),
            None => Ok(awaited),
        }
    });
    t.getter(c"cr_frame", |coroutine| details::frame(coroutine));
    t.getter(c"cr_code", |coroutine| {
        let py = coroutine.py();
        Ok(details::code(py, coroutine.name())?.unwrap_or_else(|| none(py)))
    });
    t.getter(c"cr_origin", |coroutine| {
        let py = coroutine.py();
        Ok(coroutine.details().known().map_or_else(|| none(py), |known| known.origin.get_or_none(py)))
    });
}

/// `cr_suspended`
pub fn is_suspended<T: Coroutine>(coroutine: &Obj<'_, T>) -> bool {
    coroutine.started().get() && !coroutine.is_running() && !T::is_over(coroutine)
}

/// `cr_state`
#[cfg(Py_3_15)]
fn state<T: Coroutine>(coroutine: &Obj<'_, T>) -> &'static str {
    if coroutine.is_running() {
        "CORO_RUNNING"
    } else if is_suspended(coroutine) {
        "CORO_SUSPENDED"
    } else if T::is_over(coroutine) {
        "CORO_CLOSED"
    } else {
        "CORO_CREATED"
    }
}

fn set_name<'py, T: Coroutine>(
    coroutine: &Obj<'py, T>,
    attribute: &str,
    value: Option<&Bound<'py, PyAny>>,
    slot: fn(&Known) -> &Slot,
) -> PyResult<()> {
    let Some(name) = value.filter(|value| value.is_instance_of::<PyString>()) else {
        return Err(PyTypeError::new_err(format!("{attribute} must be set to a string object")));
    };
    slot(coroutine.details().knowing()).put(name.clone());
    coroutine.track();
    Ok(())
}

/// `iter(coroutine)`: what `yield from` asks in a generator made by `types.coroutine`, where coroutines may
/// be awaited that way. In an `async def` there is no `yield from`: what iterates a coroutine there is a loop
/// or an assignment whose program lacks an `await`.
fn iterated<'py, T: Coroutine>(coroutine: &Obj<'py, T>) -> Output<'py> {
    /// `inspect.CO_ITERABLE_COROUTINE`.
    const AWAITS: u32 = 0x100;
    let caller = frame::current(coroutine.py());
    let flags = caller
        .map(|frame| frame.getattr(name!("f_code"))?.getattr(name!("co_flags"))?.extract::<u32>())
        .transpose()?;
    if flags.is_some_and(|flags| flags & AWAITS != 0) {
        coroutine.iterated().set(true);
        return Ok(new_reference(coroutine.as_any()));
    }
    Err(PyTypeError::new_err("'coroutine' object is not iterable"))
}
