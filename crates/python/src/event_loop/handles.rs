//! Handles of classes that a program has put in the place of `asyncio.events.Handle` and `TimerHandle`.
//!
//! The ready ring and the heap hold native handles: one of a class of the program's own is run by a native handle, and by its method
//! `_run`, as in asyncio. Called by [`super::schedule`] where the names were replaced.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use super::schedule;
use crate::core::{Entry, EventLoop, Scheduled};
use crate::events::entries::{HANDLE, SCHEDULED};
use crate::events::{Handle, PostedHandle, TimerHandle, When, posted};
use crate::ffi::{Args, Create, Obj, Output, Signature, none};
use crate::functions;

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
