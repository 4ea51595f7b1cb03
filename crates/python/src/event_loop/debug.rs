//! Debug mode: checks that cost time, sources of handles, slow callbacks, origins of coroutines.

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyString};

use crate::attributes::{assigned, objects};
use crate::core::{EventLoop, Overridable, Overrides};
use crate::events::Handle;
use crate::ffi::callable::{self, Known};
use crate::ffi::{Obj, Output, Signature, Table, boolean, none, thread};
use crate::frames::Frame;
use crate::replaced::names::{BASE_EVENTS, COROUTINES, ISCOROUTINE, Name};
use crate::{stock, tasks};

const SET_DEBUG: Signature<1> = Signature::new("EventLoop.set_debug", "enabled");

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.answer(c"get_debug", |event_loop| event_loop.debug.get(), "Whether debug mode is on.");
    t.method(
        &SET_DEBUG,
        |event_loop, args| {
            let [enabled] = args.parse(&SET_DEBUG)?;
            event_loop.set_debug_mode(enabled.is_truthy()?);
            if event_loop.is_running() {
                let track = pyo3::intern!(event_loop.py(), "_set_coroutine_origin_tracking");
                let function = event_loop.as_any().getattr(track)?;
                event_loop.as_any().call_method1(name!("call_soon_threadsafe"), (function, enabled))?;
            }
            Ok(none(event_loop.py()))
        },
        "Turns debug mode on or off.",
    );
    t.action_on(
        c"_set_coroutine_origin_tracking",
        "enabled",
        |event_loop, enabled| track_origins(event_loop, enabled.is_truthy()?),
        "Makes coroutines remember where they were created.",
    );
    objects! {
        t:
        c"slow_callback_duration" => slow_callback_duration,
        c"_exception_handler" => exception_handler,
        c"_task_factory" => task_factory,
    }
    t.property(
        c"_debug",
        |event_loop| Ok(boolean(event_loop.py(), event_loop.debug.get())),
        |event_loop, value| assigned(value)?.is_truthy().map(|value| event_loop.set_debug_mode(value)),
    );
    t.value(c"_coroutine_origin_tracking_enabled", |event_loop| event_loop.origin_tracking.get().is_some());
    t.property(
        c"_coroutine_origin_tracking_saved_depth",
        |event_loop| {
            let depth = event_loop.origin_tracking.get();
            Ok(depth.into_pyobject(event_loop.py())?.into_any())
        },
        |event_loop, value| {
            let depth = assigned(value)?.extract::<Option<i32>>()?;
            if event_loop.origin_tracking.get().is_some() && depth.is_some() {
                event_loop.origin_tracking.set(depth);
            }
            Ok(())
        },
    );
    t.getter(c"_current_handle", |event_loop| Ok(event_loop.current_handle.get_or_none(event_loop.py())));
    t.action(c"_check_thread", check_thread, "RuntimeError when another thread runs the loop.");
}

/// A new loop's settings: `PYTHONASYNCIODEBUG` and development mode are asked for through the standard
/// library.
pub(super) fn init(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    let py = event_loop.py();
    event_loop.slow_callback_duration.put(PyFloat::new(py, 0.1));
    let debug = stock::coroutines_module(py)?.call_method0(name!("_is_debug_mode"))?.is_truthy()?;
    if event_loop.overrides(Overridable::SetDebug) {
        return event_loop.as_any().call_method1(name!("set_debug"), (debug,)).map(drop);
    }
    event_loop.set_debug_mode(debug);
    Ok(())
}

/// RuntimeError when the loop runs in another thread.
pub(super) fn check_thread(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    let running = event_loop.thread();
    if running != 0 && running != thread::ident() {
        return Err(PyRuntimeError::new_err(
            "Non-thread-safe operation invoked on an event loop other than the current one",
        ));
    }
    Ok(())
}

/// How modules of asyncio name the check behind "coroutines cannot be used with call_soon()".
pub(super) const CHECK: &str = if cfg!(Py_3_14) { "_iscoroutinefunction" } else { "iscoroutinefunction" };
static ISCOROUTINEFUNCTION: Name<2> = Name::new([(&BASE_EVENTS, "coroutines"), (&COROUTINES, CHECK)]);

/// `coroutines.iscoroutinefunction(callback)`, as a module of asyncio has it.
pub(super) fn is_coroutine_function(name: &Name<2>, callback: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = callback.py();
    match name.replacement(py)? {
        None if is_ordinary(callback)? => Ok(false),
        None => stock::iscoroutinefunction(py)?.call1((callback,))?.is_truthy(),
        Some(function) => function.call1((callback,))?.is_truthy(),
    }
}

/// Whether a callback is a function or a method of which the standard library would surely say that it is no
/// coroutine function.
fn is_ordinary(callback: &Bound<'_, PyAny>) -> PyResult<bool> {
    match callable::known(callback) {
        None => Ok(false),
        Some(Known::Native) => Ok(true),
        // `inspect.markcoroutinefunction` marks functions that return coroutines.
        Some(Known::Function(function)) => Ok(function.getattr_opt(name!("_is_coroutine_marker"))?.is_none()),
    }
}

/// Whether a callback is a coroutine: `coroutines.iscoroutine(callback)`, as a module of asyncio has it.
fn is_coroutine(callback: &Bound<'_, PyAny>) -> PyResult<bool> {
    match ISCOROUTINE.replacement(callback.py())? {
        None if callable::known(callback).is_some() => Ok(false),
        _ => ISCOROUTINE.current(callback.py())?.call1((callback,))?.is_truthy(),
    }
}

/// TypeError for a coroutine (function) or something that cannot be called.
pub(super) fn check_callback(callback: &Bound<'_, PyAny>, method: &str) -> PyResult<()> {
    if is_coroutine(callback)? || is_coroutine_function(&ISCOROUTINEFUNCTION, callback)? {
        return Err(PyTypeError::new_err(format!("coroutines cannot be used with {method}()")));
    }
    if !callback.is_callable() {
        return Err(PyTypeError::new_err(text!(
            "a callable object was expected by {method}(), got {}",
            callback.repr()?
        )?));
    }
    Ok(())
}

/// `self._set_coroutine_origin_tracking(enabled)`
pub(super) fn track_origins_by_name(event_loop: &Obj<'_, EventLoop>, enabled: bool) -> PyResult<()> {
    if !event_loop.overrides(Overridable::TrackOrigins) {
        return track_origins(event_loop, enabled);
    }
    event_loop.as_any().call_method1(name!("_set_coroutine_origin_tracking"), (enabled,)).map(drop)
}

/// Turns `sys.set_coroutine_origin_tracking_depth` up, or back to what it was.
pub(super) fn track_origins(event_loop: &Obj<'_, EventLoop>, enabled: bool) -> PyResult<()> {
    if enabled == event_loop.origin_tracking.get().is_some() {
        return Ok(());
    }
    let sys = BASE_EVENTS.global(event_loop.py(), "sys")?;
    if enabled {
        let before = sys.call_method0(name!("get_coroutine_origin_tracking_depth"))?.extract()?;
        let depth = BASE_EVENTS.constant(sys.py(), "DEBUG_STACK_DEPTH")?;
        sys.call_method1(name!("set_coroutine_origin_tracking_depth"), (depth,))?;
        event_loop.origin_tracking.set(Some(before));
    } else if let Some(before) = event_loop.origin_tracking.take() {
        sys.call_method1(name!("set_coroutine_origin_tracking_depth"), (before,))?;
    }
    Ok(())
}

/// `base_events._format_handle`: a task's step is named after the task.
fn describe<'py>(subject: &Bound<'py, PyAny>) -> Output<'py> {
    if let Some(handle) = Obj::<Handle>::cast(subject) {
        let callback = handle.as_any().getattr(name!("_callback"))?;
        if let Some(task) = tasks::task_of(&callback) {
            return Ok(task.as_any().repr()?.into_any());
        }
        if let Some(owner) = callback.getattr_opt(name!("__self__"))?
            && tasks::is_asyncio_task(&owner)?
        {
            return Ok(owner.repr()?.into_any());
        }
    }
    Ok(subject.str()?.into_any())
}

/// Logs a callback that took longer than `slow_callback_duration`.
pub(super) fn warn_if_slow(
    event_loop: &Obj<'_, EventLoop>,
    subject: &Bound<'_, PyAny>,
    seconds: f64,
) -> PyResult<()> {
    let py = event_loop.py();
    let limit: f64 = event_loop.slow_callback_duration.get_or_none(py).extract()?;
    if seconds < limit {
        return Ok(());
    }
    let text = PyString::new(py, "Executing %s took %.3f seconds");
    static FRAME: Frame = Frame::new(&BASE_EVENTS, "BaseEventLoop._run_once");
    FRAME.log(py, "warning", (text, describe(subject)?, seconds))
}
