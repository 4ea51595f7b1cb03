//! Handles of classes that a program has put in the place of `asyncio.events.Handle` and `TimerHandle`.
//!
//! The ready ring and the heap hold native handles: one of a class of the program's own is run by a native handle, and by its method
//! `_run`, as in asyncio. Called by [`super::schedule`] where the names were replaced.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use super::schedule;
use crate::core::{Entry, EventLoop, Overrides, Scheduled};
use crate::events::entries::{HANDLE, SCHEDULED};
use crate::events::{self, Handle, PostedHandle, TimerHandle, When, posted};
use crate::ffi::{Args, Create, Obj, Output, Signature, none};
use crate::{functions, names};

const RUN: Signature<1> = Signature::new("_run_handle", "handle");

/// `_run_once` of asyncio, for one handle.
fn run<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [handle] = args.parse(&RUN)?;
    if handle.getattr(name!("_cancelled"))?.is_truthy()? {
        Ok(none(args.py()))
    } else {
        handle.call_method0(name!("_run"))
    }
}

static RUNNER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Makes the function.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let runner = functions::make(module, &RUN, run, "Runs a handle that was not cancelled.")?;
    RUNNER.get_or_init(module.py(), || runner.unbind());
    Ok(())
}

/// What runs `_run` of the handle, as the callback of a native one.
fn runner(py: Python<'_>) -> Bound<'_, PyAny> {
    RUNNER.get(py).map_or_else(|| none(py), |runner| runner.bind(py).clone())
}

/// The handle as an entry of the ring. Only one of the very class of native handles is run natively.
fn native<'py>(event_loop: &Obj<'py, EventLoop>, handle: &Bound<'py, PyAny>) -> PyResult<Obj<'py, Handle>> {
    match Obj::<Handle>::cast_exact(handle) {
        Some(native) => Ok(native.clone()),
        None => Handle::with_arg(event_loop.as_any(), runner(event_loop.py()), Some(handle.clone()), None),
    }
}

/// `class(callback, args, loop, context)`, in the ready ring.
#[cold]
pub fn soon<'py>(
    event_loop: &Obj<'py, EventLoop>,
    class: &Bound<'py, PyAny>,
    callback: Bound<'py, PyAny>,
    args: Bound<'py, PyTuple>,
    context: Option<Bound<'py, PyAny>>,
) -> Output<'py> {
    let handle = class.call1((callback, args, event_loop.as_any(), context))?;
    event_loop.push(Entry::of(&HANDLE, native(event_loop, &handle)?))?;
    Ok(handle)
}

/// The handle of a watched descriptor or a signal: what Python code sees of it, and what is run.
pub fn watching<'py>(
    event_loop: &Obj<'py, EventLoop>,
    callback: Bound<'py, PyAny>,
    args: &Args<'_, 'py>,
    context: Option<Bound<'py, PyAny>>,
) -> PyResult<(Bound<'py, PyAny>, Obj<'py, Handle>)> {
    let py = event_loop.py();
    if events::handles_are_made_otherwise(py) {
        let arguments = (callback, args.tuple_from(2)?, event_loop.as_any(), context);
        let handle = events::handle_maker(py)?.call1(arguments)?;
        let entry = native(event_loop, &handle)?;
        return Ok((handle, entry));
    }
    let handle = Handle::create(py)?;
    handle.prepare(event_loop.as_any(), callback, args, 2, context)?;
    if event_loop.says_it_debugs()? {
        handle.remember_source(py)?;
    }
    Ok((handle.as_any().clone(), handle))
}

/// Cancels such a handle, and the one of the program's that it runs.
pub fn cancel<'py>(handle: &Obj<'py, Handle>) -> PyResult<()> {
    let py = handle.py();
    if let Some((callback, args)) = handle.call(py)?
        && RUNNER.get(py).is_some_and(|runner| callback.is(runner))
    {
        args.get_item(0)?.call_method0(names::cancel(py))?;
    }
    events::cancel(handle)
}

/// The same from any thread.
#[cold]
pub fn threadsafe<'py>(
    event_loop: &Obj<'py, EventLoop>,
    class: &Bound<'py, PyAny>,
    callback: Bound<'py, PyAny>,
    args: Bound<'py, PyTuple>,
    context: Option<Bound<'py, PyAny>>,
) -> Output<'py> {
    let py = event_loop.py();
    let handle = class.call1((callback, args, event_loop.as_any(), context))?;
    let entry = PostedHandle::create(py)?;
    posted(&entry).prepare_for(event_loop.as_any(), runner(py), handle.clone())?;
    schedule::post(event_loop, entry)?;
    Ok(handle)
}

/// `class(when, callback, args, loop, context)`, in the heap.
#[cold]
pub fn at<'py>(
    event_loop: &Obj<'py, EventLoop>,
    class: &Bound<'py, PyAny>,
    when: Bound<'py, PyAny>,
    callback: Bound<'py, PyAny>,
    args: Bound<'py, PyTuple>,
    context: Option<Bound<'py, PyAny>>,
) -> Output<'py> {
    let py = event_loop.py();
    let seconds = when.extract()?;
    let handle = class.call1((&when, callback, args, event_loop.as_any(), context))?;
    let timer = match Obj::<TimerHandle>::cast_exact(&handle) {
        Some(native) => native.clone(),
        None => {
            let timer = TimerHandle::create(py)?;
            timer.base.prepare_for(event_loop.as_any(), runner(py), handle.clone())?;
            timer
        }
    };
    timer.own.set(&When { seconds, given: None });
    event_loop.schedule(seconds, Scheduled::new(&SCHEDULED, timer))?;
    handle.setattr(name!("_scheduled"), true)?;
    Ok(handle)
}
