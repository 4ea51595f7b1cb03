//! Handles of classes that a program has put in the place of `asyncio.events.Handle` and `TimerHandle`.
//!
//! A handle of a class of the program's own is run by its method `_run`, as in asyncio: as an entry or a
//! timer of a kind of its own, and where a native handle is wanted, by a native handle. Called by
//! [`super::schedule`] where the names were replaced, and by [`super::internals`] for what programs put into
//! `_ready` and `_scheduled`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use super::{internal_timers, schedule};
use crate::core::{
    Callable, Entry, EntryKind, EventLoop, Overrides, Runnable, Scheduled, TimerKind, current, named,
    no_callable,
};
use crate::events::entries::{HANDLE, POSTED, SCHEDULED, TIMER};
use crate::events::{self, Handle, PostedHandle, TimerHandle, When, posted};
use crate::ffi::{Args, Create, Obj, Output, Ref, Signature, none};
use crate::{functions, names};

const RUN: Signature<1> = Signature::new("_run_handle", "handle");

/// `_run_once` of asyncio, for one handle.
fn run<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [handle] = args.parse(&RUN)?;
    run_by_name(&handle).map(|()| none(args.py()))
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

/// A handle of a program's class: its `_run` is called, whose errors end the run of the loop, as in asyncio.
pub(super) static BY_NAME: EntryKind = EntryKind {
    run: |event_loop, runnable| {
        current::flush_leave(event_loop)?;
        run_by_name(runnable.object.any(event_loop.py()))
    },
    subject: named,
    callable: Some(|runnable, py| Ok(Callable::Handle(runnable.object.into_any(py)))),
    stands_for: no_callable,
};

/// A timer of a subclass of the native class.
pub(super) static SCHEDULED_BY_NAME: TimerKind = TimerKind {
    is_cancelled: |timer| (SCHEDULED.is_cancelled)(timer),
    left: |timer| (SCHEDULED.left)(timer),
    entry: &BY_NAME,
};

fn run_by_name(handle: &Bound<'_, PyAny>) -> PyResult<()> {
    if handle.getattr(name!("_cancelled"))?.is_truthy()? {
        return Ok(());
    }
    handle.call_method0(name!("_run")).map(drop)
}

/// A handle as an entry of the ring. Only one of a native class itself is run natively.
pub(super) fn entry(handle: &Bound<'_, PyAny>) -> Entry {
    if let Some(native) = Obj::<Handle>::cast_exact(handle) {
        return Entry::of(&HANDLE, native.clone());
    }
    if let Some(native) = Obj::<TimerHandle>::cast_exact(handle) {
        return Entry::of(&TIMER, native.clone());
    }
    if let Some(native) = Obj::<PostedHandle>::cast_exact(handle) {
        return Entry::of(&POSTED, native.clone());
    }
    Entry::Run(Runnable::new(&BY_NAME, Ref::new(handle.clone())))
}

/// A handle for code that wants a native one.
fn native<'py>(event_loop: &Obj<'py, EventLoop>, handle: &Bound<'py, PyAny>) -> PyResult<Obj<'py, Handle>> {
    match Obj::<Handle>::cast_exact(handle) {
        Some(native) => Ok(native.clone()),
        None => Handle::with_arg(event_loop.as_any(), runner(event_loop.py()), Some(handle.clone()), None),
    }
}

/// Puts a timer into the heap.
pub(super) fn schedule_timer<'py>(
    event_loop: &Obj<'py, EventLoop>,
    seconds: f64,
    timer: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let scheduled = if let Some(native) = Obj::<TimerHandle>::cast_exact(timer) {
        Scheduled::new(&SCHEDULED, native.clone())
    } else if let Some(native) = Obj::<TimerHandle>::cast(timer) {
        Scheduled::new(&SCHEDULED_BY_NAME, native.clone())
    } else {
        let py = event_loop.py();
        let native = TimerHandle::create(py)?;
        native.base.prepare_for(event_loop.as_any(), runner(py), timer.clone())?;
        native.own.set(&When { seconds, given: None });
        Scheduled::new(&SCHEDULED, native)
    };
    event_loop.schedule(event_loop.py(), seconds, scheduled)
}

/// A handle as Python code knows it: the program's own, where a native one runs that.
pub(super) fn shown(handle: Bound<'_, PyAny>) -> Output<'_> {
    match Obj::<Handle>::cast(&handle).map(own).transpose()?.flatten() {
        Some(own) => Ok(own),
        None => Ok(handle),
    }
}

/// The program's handle that a native one runs.
fn own<'py>(handle: &Obj<'py, Handle>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = handle.py();
    match handle.call(py)? {
        Some((callback, args)) if RUNNER.get(py).is_some_and(|runner| callback.is(runner)) => {
            args.get_item(0).map(Some)
        }
        _ => Ok(None),
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
    event_loop.push(entry(&handle))?;
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
    handle.prepare(event_loop, callback, args, 2, context)?;
    if event_loop.says_it_debugs()? {
        handle.remember_source(py)?;
    }
    Ok((handle.as_any().clone(), handle))
}

/// Cancels such a handle, and the one of the program's that it runs.
pub fn cancel<'py>(handle: &Obj<'py, Handle>) -> PyResult<()> {
    let py = handle.py();
    if let Some(own) = own(handle)? {
        own.call_method0(names::cancel(py))?;
    } else if events::cancels_are_replaced(py) {
        return handle.as_any().call_method0(names::cancel(py)).map(drop);
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
    let seconds = when.extract()?;
    let handle = class.call1((&when, callback, args, event_loop.as_any(), context))?;
    schedule_timer(event_loop, seconds, &handle)?;
    handle.setattr(name!("_scheduled"), true)?;
    internal_timers::added(event_loop, &handle)?;
    Ok(handle)
}
