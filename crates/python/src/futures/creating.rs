//! `create_future`: of a native loop, and of any loop.

use pyo3::prelude::*;

use super::{Future, remember_source};
use crate::core::{EventLoop, Overridable, Overrides};
use crate::ffi::{Create, Obj, Output};
use crate::names;
use crate::replaced::names::FUTURE;

/// `loop.create_future()`.
#[inline]
pub fn create_future<'py>(event_loop: &Obj<'py, EventLoop>) -> PyResult<Obj<'py, Future>> {
    let future = Future::create(event_loop.py())?;
    future.event_loop.put(event_loop.as_any().clone());
    if event_loop.says_it_debugs()? {
        remember_source(&future)?;
    }
    Ok(future)
}

/// The native loop behind an object, when its `create_future` makes native futures, and is the native one.
#[inline]
pub fn future_maker<'a, 'py>(event_loop: &'a Bound<'py, PyAny>) -> Option<&'a Obj<'py, EventLoop>> {
    Obj::<EventLoop>::cast(event_loop)
        .filter(|native| !native.overrides(Overridable::CreateFuture) && !FUTURE.is_replaced(native.py()))
}

/// `loop.create_future()` on any loop.
#[inline]
pub fn create_future_on<'py>(event_loop: &Bound<'py, PyAny>) -> Output<'py> {
    match future_maker(event_loop) {
        Some(native) => Ok(create_future(native)?.into_any()),
        None => event_loop.call_method0(names::create_future(event_loop.py())),
    }
}
