//! A selector that the program gives to the loop, `EventLoop(selector)`: the loop waits in its `select()`.
//!
//! What the loop watches stays with its own poller, whose descriptor is the one that the selector watches.
//! The standard library's selectors wake up when this descriptor is ready. A program's own selector may treat
//! time as it likes. Called by `event_loop`, `internals` and `lifecycle`.

use std::time::Duration;

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;
use yibu_engine::Wait;

use crate::core::{Engine, EventLoop, Part};
use crate::ffi::{Obj, Visitor};
use crate::frames::Frame;
use crate::replaced::names::{PROCESS_EVENTS, SELECTOR, SELECTOR_EVENTS, SELECTOR_METHODS};
use crate::{errors, names, stock};

/// `selectors.EVENT_READ`.
const READ: u32 = 1;

/// What a loop knows of its selector beside the object.
#[derive(Default)]
struct Given {
    /// Whether the program has passed the selector to the loop's constructor.
    is_given: bool,
    /// The poller's descriptor, as it is registered with the selector.
    poller: Option<i32>,
}

impl Part for Given {
    fn traverse(&self, _visitor: &mut Visitor) {}
}

fn given<R>(event_loop: &Obj<'_, EventLoop>, f: impl FnOnce(&mut Given) -> R) -> R {
    event_loop.parts.with(f)
}

/// Whether the program has passed the selector to the loop's constructor.
pub(super) fn is_given(event_loop: &Obj<'_, EventLoop>) -> bool {
    given(event_loop, |given| given.is_given)
}

/// The program has put another selector in the place of the given one.
pub(super) fn forget_given(event_loop: &Obj<'_, EventLoop>) {
    given(event_loop, |given| given.is_given = false);
}

/// Has the loop wait by this selector.
pub(super) fn take(event_loop: &Obj<'_, EventLoop>, selector: &Bound<'_, PyAny>) -> PyResult<()> {
    let wait = event_loop.engine.with(Engine::begin_wait).map_err(|error| errors::os_error(&error))?;
    if let Some(wait) = wait {
        let registered = register(event_loop, selector, &wait);
        end(event_loop, wait)?;
        registered?;
    }
    event_loop.selector.put(selector.clone());
    given(event_loop, |given| given.is_given = true);
    Ok(())
}

/// Has the loop wait by a `selectors.DefaultSelector()`, as asyncio's does, where a program has replaced
/// that, or what is done with it.
pub(super) fn take_replaced(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    let py = event_loop.py();
    if !event_loop.selector.is_empty()
        || !SELECTOR.is_replaced(py)
            && SELECTOR_METHODS.are_original(py)?
            && !replaces_processing(event_loop)?
    {
        return Ok(());
    }
    take(event_loop, &SELECTOR.current(py)?.call0()?)
}

/// Says which selector the loop uses: the one that it was given, or asyncio's own choice, in whose place the
/// loop's poller stands.
pub(super) fn log(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    static FRAME: Frame = Frame::new(&SELECTOR_EVENTS, "BaseSelectorEventLoop.__init__");
    let py = event_loop.py();
    let class = match event_loop.selector.get(py) {
        Some(selector) => selector.getattr(names::__class__(py))?,
        None => SELECTOR.current(py)?,
    };
    FRAME.log(py, "debug", ("Using selector: %s", class.getattr(name!("__name__"))?))
}

/// Whether `_process_events` is the program's own.
fn replaces_processing(event_loop: &Obj<'_, EventLoop>) -> PyResult<bool> {
    let (py, name) = (event_loop.py(), name!("_process_events"));
    if !PROCESS_EVENTS.are_original(py)? {
        return Ok(true);
    }
    let original =
        stock::module(py, "yibu.loop_internals")?.getattr(name!("LoopInternals"))?.getattr(name)?;
    let found = event_loop.as_any().getattr(name)?;
    Ok(!found.getattr_opt(name!("__func__"))?.is_some_and(|function| function.is(&original)))
}

/// `self._process_events(events)`
pub(super) fn process(event_loop: &Obj<'_, EventLoop>, events: Bound<'_, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    if PROCESS_EVENTS.are_original(py)? {
        return event_loop.as_any().call_method1(name!("_process_events"), (events,)).map(drop);
    }
    stock::event_loop(py)?.call_method1(name!("_process_events"), (event_loop.as_any(), events)).map(drop)
}

/// `selector.select(timeout)`: what came of the descriptors that the program has registered itself. Those of
/// the loop are in the ring.
pub(super) fn select<'py>(
    event_loop: &Obj<'py, EventLoop>,
    selector: &Bound<'py, PyAny>,
    timeout: Option<f64>,
) -> PyResult<Bound<'py, PyAny>> {
    let wait = event_loop.engine.with(Engine::begin_wait).map_err(|error| errors::os_error(&error))?;
    let Some(mut wait) = wait else {
        let came = selector.call_method1(name!("select"), (0,))?;
        return others(event_loop, came);
    };
    let came = register(event_loop, selector, &wait)
        .and_then(|()| selector.call_method1(name!("select"), (timeout,)));
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
    let registered = given(event_loop, |given| std::mem::replace(&mut given.poller, fd));
    if registered == fd {
        return Ok(());
    }
    if let Some(former) = registered
        && let Err(error) = selector.call_method1(name!("unregister"), (former,))
        && !(error.is_instance_of::<PyKeyError>(py) || error.is_instance_of::<PyValueError>(py))
    {
        return Err(error);
    }
    let no_data = (py.None(), py.None());
    match fd {
        Some(fd) => selector.call_method1(name!("register"), (fd, READ, no_data)).map(drop),
        None => Ok(()),
    }
}

/// All but the loop's own descriptor.
fn others<'py>(event_loop: &Obj<'py, EventLoop>, came: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let poller = given(event_loop, |given| given.poller);
    let others = PyList::empty(came.py());
    for event in came.try_iter()? {
        let event = event?;
        let fd = event.get_item(0)?.getattr(name!("fd"))?;
        if poller.is_none_or(|own| !fd.extract::<i32>().is_ok_and(|fd| fd == own)) {
            others.append(event)?;
        }
    }
    Ok(others.into_any())
}

/// Closes it with the loop.
pub(super) fn close(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    if !given(event_loop, |given| std::mem::take(&mut given.is_given)) {
        return Ok(());
    }
    let Some(selector) = event_loop.selector.take() else { return Ok(()) };
    let selector = selector.into_any(event_loop.py());
    selector.call_method0(name!("close")).map(drop)
}
