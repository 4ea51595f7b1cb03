//! asyncio's operations on any kind of future. Native futures are used directly where no Python code could
//! see the difference.
//!
//! A future is what `isfuture()` says it is: native, of the standard library, or a class of the program's;
//! and, for the bridge to threads, a `concurrent.futures.Future`, whose methods have the same names. Called
//! by the primitives; calls [`super`] for native futures, methods by name for the others.

use std::sync::OnceLock;

use pyo3::exceptions::PySystemError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{State, exact, plain};
use crate::ffi::{Obj, Output, none};
use crate::{names, stock};

/// `cancel(msg=message)` of an object of exactly one native class derived from Future; `None` for any other
/// object.
pub type Cancel = for<'a, 'py> fn(&'a Bound<'py, PyAny>, &'a Bound<'py, PyAny>) -> Option<PyResult<bool>>;

/// The `Cancel` of each native class derived from Future: that of tasks and that of the future which
/// `gather()` returns.
static DERIVED: [OnceLock<Cancel>; 2] = [OnceLock::new(), OnceLock::new()];

/// Registers a native class derived from Future for [`cancel_with`]. Called once for each when the module is
/// made.
pub fn register_cancel(cancel: Cancel) -> PyResult<()> {
    if DERIVED.iter().any(|place| place.set(cancel).is_ok()) {
        return Ok(());
    }
    Err(PySystemError::new_err("there are more native classes of futures than places for them"))
}

/// `asyncio.isfuture(object)`.
#[inline]
pub fn is_future(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = object.py();
    if exact(object).is_some() {
        return Ok(true);
    }
    if object.get_type().is(stock::coroutine(py)?) {
        return Ok(false);
    }
    let mark = names::_asyncio_future_blocking(py);
    Ok(object.getattr(names::__class__(py))?.hasattr(mark)? && !object.getattr(mark)?.is_none())
}

/// Whether an object is a future of the standard library's class or of the native one, which are not related
/// by inheritance.
#[cfg(Py_3_14)]
pub fn is_asyncio_future(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(Obj::<super::Future>::cast(object).is_some() || object.is_instance(stock::future(object.py())?)?)
}

/// `futures._get_loop(future)`.
#[inline]
pub fn loop_of<'py>(future: &Bound<'py, PyAny>) -> Output<'py> {
    let py = future.py();
    if let Some(native) = plain(future) {
        native.ensure_alive()?;
        return Ok(native.event_loop.get_or_none(py));
    }
    match future.getattr_opt(names::get_loop(py))? {
        Some(get_loop) => get_loop.call0(),
        None => future.getattr(names::_loop(py)),
    }
}

/// `future.done()`.
#[inline]
pub fn is_done(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    match plain(future) {
        Some(native) => Ok(native.state() != State::Pending),
        None => future.call_method0(names::done(future.py()))?.is_truthy(),
    }
}

/// `future.cancelled()`.
#[inline]
pub fn is_cancelled(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    match plain(future) {
        Some(native) => Ok(native.state() == State::Cancelled),
        None => future.call_method0(names::cancelled(future.py()))?.is_truthy(),
    }
}

/// `future.result()`.
#[inline]
pub fn result<'py>(future: &Bound<'py, PyAny>) -> Output<'py> {
    match plain(future) {
        Some(native) => super::result(native),
        None => future.call_method0(names::result(future.py())),
    }
}

/// `future.exception()`, where None is `None`.
#[inline]
pub fn exception<'py>(future: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let exception = match plain(future) {
        Some(native) => super::exception(native)?,
        None => future.call_method0(names::exception(future.py()))?,
    };
    Ok((!exception.is_none()).then_some(exception))
}

/// `future._make_cancelled_error()`.
pub fn make_cancelled_error<'py>(future: &Bound<'py, PyAny>) -> Output<'py> {
    match plain(future) {
        Some(native) => Ok(super::make_cancelled_error(native)?.into_any()),
        None => future.call_method0(names::_make_cancelled_error(future.py())),
    }
}

/// `future._cancel_message`.
pub fn cancel_message<'py>(future: &Bound<'py, PyAny>) -> Output<'py> {
    match exact(future) {
        Some(native) => Ok(native.message(future.py())),
        None => future.getattr(names::_cancel_message(future.py())),
    }
}

/// Marks the exception of a done future as retrieved, so that the future does not report it when it is freed.
pub fn mark_retrieved(future: &Bound<'_, PyAny>) -> PyResult<()> {
    if is_cancelled(future)? { Ok(()) } else { exception(future).map(drop) }
}

/// The object as exactly a native Future whose methods nobody has replaced on the object itself.
#[inline]
fn plain_future<'a, 'py>(object: &'a Bound<'py, PyAny>) -> Option<&'a Obj<'py, super::Future>> {
    Obj::<super::Future>::cast_exact(object).filter(|future| future.attribute_count() == 0)
}

/// `future.set_result(value)`.
#[inline]
pub fn set_result<'py>(future: &Bound<'py, PyAny>, value: Bound<'py, PyAny>) -> PyResult<()> {
    match plain_future(future) {
        Some(native) => super::set_result(native, value),
        None => future.call_method1(names::set_result(future.py()), (value,)).map(drop),
    }
}

/// `future.set_exception(exception)`.
pub fn set_exception<'py>(future: &Bound<'py, PyAny>, exception: &Bound<'py, PyAny>) -> PyResult<()> {
    match plain_future(future) {
        Some(native) => super::set_exception(native, exception),
        None => future.call_method1(names::set_exception(future.py()), (exception,)).map(drop),
    }
}

/// `future.cancel(msg=message)`.
#[inline]
pub fn cancel_with<'py>(future: &Bound<'py, PyAny>, message: &Bound<'py, PyAny>) -> PyResult<bool> {
    if let Some(native) = plain_future(future) {
        return super::cancel(native, message.clone());
    }
    if plain(future).is_some()
        && let Some(cancel) =
            DERIVED.iter().filter_map(OnceLock::get).find_map(|cancel| cancel(future, message))
    {
        return cancel;
    }
    let keywords = PyDict::new(future.py());
    keywords.set_item("msg", message)?;
    future.call_method(names::cancel(future.py()), (), Some(&keywords))?.is_truthy()
}

/// Completes a future with None, unless it is done: what the alarm of a pause does.
pub fn set_none(future: &Bound<'_, PyAny>) -> PyResult<()> {
    if is_done(future)? { Ok(()) } else { set_result(future, none(future.py())) }
}

/// `future.cancel()`.
#[inline]
pub fn cancel(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = future.py();
    match plain(future) {
        Some(_) => cancel_with(future, &none(py)),
        None => future.call_method0(names::cancel(py))?.is_truthy(),
    }
}
