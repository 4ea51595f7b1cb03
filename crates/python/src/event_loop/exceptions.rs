//! Exceptions that no caller can catch: `call_exception_handler`, `default_exception_handler` and the setter.

use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::core::EventLoop;
use crate::ffi::{Obj, Output, Raised, Signature, Table, context, none};
use crate::frames::Frame;
use crate::names;
use crate::replaced::names::BASE_EVENTS;
use crate::texts;

const SET_HANDLER: Signature<1> = Signature::new("EventLoop.set_exception_handler", "handler");
const DEFAULT_HANDLER: Signature<1> = Signature::new("EventLoop.default_exception_handler", "context");
const CALL_HANDLER: Signature<1> = Signature::new("EventLoop.call_exception_handler", "context");

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.noargs(
        c"get_exception_handler",
        |event_loop| Ok(event_loop.exception_handler.get_or_none(event_loop.py())),
        "The handler that was set, or None for the default.",
    );
    t.method(&SET_HANDLER, |event_loop, args| {
        let [handler] = args.parse(&SET_HANDLER)?;
        if !handler.is_none() && !handler.is_callable() {
            return Err(PyTypeError::new_err(text!(
                "A callable object or None is expected, got {}",
                handler.repr()?
            )?));
        }
        if handler.is_none() {
            event_loop.exception_handler.clear();
        } else {
            event_loop.exception_handler.put(handler);
        }
        Ok(none(event_loop.py()))
    }, "Sets the callable(loop, context) for exceptions that were not caught; None for the default, which logs them.");
    t.method(
        &DEFAULT_HANDLER,
        |event_loop, args| {
            let [report] = args.parse(&DEFAULT_HANDLER)?;
            default_handler(event_loop, &report)
        },
        "Logs the context's message, exception and other entries.",
    );
    t.method(&CALL_HANDLER, |event_loop, args| {
        let [report] = args.parse(&CALL_HANDLER)?;
        call_handler(event_loop, &report)?;
        Ok(none(event_loop.py()))
    }, "Reports an exception: calls the handler with the context, a dict with 'message' and, for instance, 'exception', 'future', 'handle'.");
}

static DEFAULT_FRAME: Frame = Frame::new(&BASE_EVENTS, "BaseEventLoop.default_exception_handler");
static CALL_FRAME: Frame = Frame::new(&BASE_EVENTS, "BaseEventLoop.call_exception_handler");

/// `BaseEventLoop.default_exception_handler`.
fn default_handler<'py>(event_loop: &Obj<'py, EventLoop>, report: &Bound<'py, PyAny>) -> Output<'py> {
    let py = event_loop.py();
    let message = report.call_method1(name!("get"), ("message",))?;
    let message = if message.is_truthy()? {
        text!("{}", message.str()?)?
    } else {
        "Unhandled exception in event loop".to_owned()
    };
    let error = report.call_method1(name!("get"), ("exception",))?;
    let exc_info = if error.is_none() {
        pyo3::types::PyBool::new(py, false).to_owned().into_any()
    } else {
        PyTuple::new(
            py,
            [error.get_type().into_any(), error.clone(), error.getattr(name!("__traceback__"))?],
        )?
        .into_any()
    };
    let mut lines = vec![message];
    let has_source = report.contains("source_traceback")?;
    if !has_source && let Some(handle) = event_loop.current_handle.get(py) {
        let source = handle.getattr(name!("_source_traceback"))?;
        if source.is_truthy()? {
            report.set_item("handle_traceback", source)?;
        }
    }
    let mut keys: Vec<String> =
        report.try_iter()?.map(|key| texts::copied(&key?)).collect::<PyResult<Vec<String>>>()?;
    keys.sort_unstable();
    for key in keys {
        if key == "message" || key == "exception" {
            continue;
        }
        let value = report.get_item(&key)?;
        let text = match key.as_str() {
            "source_traceback" => traceback_text(&value, "Object created at (most recent call last):\n")?,
            "handle_traceback" => traceback_text(&value, "Handle created at (most recent call last):\n")?,
            _ => text!("{}", value.repr()?)?,
        };
        lines.push(text!("{key}: {text}")?);
    }
    DEFAULT_FRAME.log_error(py, "error", (texts::joined(&lines, "\n")?,), &exc_info)?;
    Ok(none(py))
}

fn traceback_text(stack: &Bound<'_, PyAny>, title: &str) -> PyResult<String> {
    let lines = stack.py().import("traceback")?.call_method1(name!("format_list"), (stack,))?;
    let mut text = title.to_owned();
    for line in lines.try_iter()? {
        texts::append(&mut text, format_args!("{}", line?.str()?))?;
    }
    text.truncate(text.trim_end().len());
    Ok(text)
}

/// Lets SystemExit and KeyboardInterrupt pass.
fn unless_fatal<'py>(py: Python<'py>, error: PyErr) -> PyResult<Raised<'py>> {
    let raised = Raised::from_err(py, error);
    if raised.is::<PySystemExit>() || raised.is::<PyKeyboardInterrupt>() {
        Err(raised.into_err())
    } else {
        Ok(raised)
    }
}

/// `BaseEventLoop.call_exception_handler`.
fn call_handler<'py>(event_loop: &Obj<'py, EventLoop>, report: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    let default = |report: &Bound<'py, PyAny>| {
        event_loop.as_any().call_method1(name!("default_exception_handler"), (report,)).map(drop)
    };
    let Some(handler) = event_loop.exception_handler.get(py) else {
        if let Err(error) = default(report) {
            let raised = unless_fatal(py, error)?;
            CALL_FRAME.log_error(
                py,
                "error",
                ("Exception in default exception handler",),
                &raised.into_any(),
            )?;
        }
        return Ok(());
    };
    let called = match context_of(report)? {
        Some(found) => context::run(&found, |_| handler.call1((event_loop.as_any(), report))),
        None => handler.call1((event_loop.as_any(), report)),
    };
    let Err(error) = called else { return Ok(()) };
    let raised = unless_fatal(py, error)?;
    let second = PyDict::new(py);
    second.set_item(names::message(py), "Unhandled error in exception handler")?;
    second.set_item(names::exception(py), raised.as_any())?;
    second.set_item("context", report)?;
    if let Err(error) = raised.handling(|| default(second.as_any())) {
        let raised = unless_fatal(py, error)?;
        let text = "Exception in default exception handler while handling an unexpected error in custom exception handler";
        CALL_FRAME.log_error(py, "error", (text,), &raised.into_any())?;
    }
    Ok(())
}

/// The context of the task, future or handle that the report is about: handlers run inside it since 3.12.
fn context_of<'py>(report: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    if !cfg!(Py_3_12) {
        return Ok(None);
    }
    for key in ["task", "future", "handle"] {
        let thing = report.call_method1(name!("get"), (key,))?;
        if thing.is_none() {
            continue;
        }
        let Some(get_context) = thing.getattr_opt(name!("get_context"))? else { return Ok(None) };
        let found = get_context.call0()?;
        return Ok((!found.is_none() && found.hasattr(name!("run"))?).then_some(found));
    }
    Ok(None)
}
