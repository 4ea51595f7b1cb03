//! A selector that the program gives to the loop, `EventLoop(selector)`: the loop waits in its `select()`.
//!
//! What the loop watches stays with its own poller, whose descriptor is the one that the selector watches. Selectors of the
//! standard library end their waits by it; one of the program's own may count, skip or invent time. Called by `event_loop`,
//! `internals` and `lifecycle`.

use std::time::Duration;

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;
use yibu_engine::Wait;

use super::{Engine, EventLoop};
use crate::errors;
use crate::ffi::Obj;

/// `selectors.EVENT_READ`.
const READ: u32 = 1;

/// Has the loop wait by this selector.
pub(super) fn take(event_loop: &Obj<'_, EventLoop>, selector: &Bound<'_, PyAny>) -> PyResult<()> {
    let wait = event_loop.engine.with(Engine::begin_wait).map_err(|error| errors::os_error(&error))?;
    if let Some(wait) = wait {
        let registered = register(event_loop, selector, &wait);
        end(event_loop, wait)?;
        registered?;
    }
    event_loop.selector.put(selector.clone());
    event_loop.selector_is_given.set(true);
    Ok(())
}

/// `selector.select(timeout)`: what came of the descriptors that the program has registered itself. Those of the loop are in the ring.
pub(super) fn select<'py>(
    event_loop: &Obj<'py, EventLoop>,
    selector: &Bound<'py, PyAny>,
    timeout: Option<f64>,
) -> PyResult<Bound<'py, PyAny>> {
    let wait = event_loop.engine.with(Engine::begin_wait).map_err(|error| errors::os_error(&error))?;
    let Some(mut wait) = wait else {
        let came = selector.call_method1("select", (0,))?;
        return others(event_loop, came);
    };
    let came =
        register(event_loop, selector, &wait).and_then(|()| selector.call_method1("select", (timeout,)));
    let blocked = wait.block(Some(Duration::ZERO));
    end(event_loop, wait)?;
    blocked.map_err(|error| errors::os_error(&error))?;
    others(event_loop, came?)
}

fn end(event_loop: &Obj<'_, EventLoop>, wait: Wait) -> PyResult<()> {
    event_loop.engine.with(|engine| engine.end_wait(wait)).map_err(|error| errors::os_error(&error))
}

/// `selector.register(...)` of the poller, which is another one after a fork.
fn register(event_loop: &Obj<'_, EventLoop>, selector: &Bound<'_, PyAny>, wait: &Wait) -> PyResult<()> {
    let (py, fd) = (selector.py(), wait.descriptor());
    let registered = event_loop.poller.replace(fd);
    if registered == fd {
        return Ok(());
    }
    if let Some(former) = registered
        && let Err(error) = selector.call_method1("unregister", (former,))
        && !(error.is_instance_of::<PyKeyError>(py) || error.is_instance_of::<PyValueError>(py))
    {
        return Err(error);
    }
    let nobody = (py.None(), py.None());
    match fd {
        Some(fd) => selector.call_method1("register", (fd, READ, nobody)).map(drop),
        None => Ok(()),
    }
}

/// All but the loop's own descriptor.
fn others<'py>(event_loop: &Obj<'py, EventLoop>, came: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let others = PyList::empty(came.py());
    for event in came.try_iter()? {
        let event = event?;
        let fd = event.get_item(0)?.getattr("fd")?;
        if event_loop.poller.get().is_none_or(|own| !fd.extract::<i32>().is_ok_and(|fd| fd == own)) {
            others.append(event)?;
        }
    }
    Ok(others.into_any())
}

/// Closes it with the loop.
pub(super) fn close(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    if !event_loop.selector_is_given.take() {
        return Ok(());
    }
    let Some(selector) = event_loop.selector.take() else { return Ok(()) };
    let selector = selector.into_any(event_loop.py());
    selector.call_method0("close").map(drop)
}
