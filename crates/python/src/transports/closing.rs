//! The end of a connection: `close`, `abort`, errors that end it, `connection_lost`, and what is left to the collector.
//!
//! Calls the stream machine and the protocol.

use pyo3::exceptions::{PyConnectionError, PyOSError, PyResourceWarning};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::{SocketTransport, act, call_soon, detach, writing};
use crate::events::loop_debug;
use crate::ffi::{Obj, Output, Raised, Signature, Table, boolean, call, none};
use crate::{names, stock};

const FATAL_ERROR: Signature<2> =
    Signature::new("SocketTransport._fatal_error", "exc, message='Fatal error on transport'");

pub(super) fn table(t: &mut Table<SocketTransport>) {
    t.noargs(c"close", close, "Closes the connection when everything written has been sent.");
    t.noargs(
        c"abort",
        |transport| {
            force_close(transport, &none(transport.py()))?;
            Ok(none(transport.py()))
        },
        "Closes the connection at once; what has not been sent is lost.",
    );
    t.noargs(
        c"is_closing",
        |transport| Ok(boolean(transport.py(), transport.stream(|stream| stream.is_closing()))),
        "Whether the connection is closing, or closed.",
    );
    t.one(
        c"_force_close",
        "exc",
        |transport, error| {
            force_close(transport, error)?;
            Ok(none(transport.py()))
        },
        "Closes the connection at once; connection_lost() gets the exception.",
    );
    t.method(
        &FATAL_ERROR,
        |transport, args| {
            let py = transport.py();
            let [error, message] = args.parse(&FATAL_ERROR)?;
            let message = if message.is_none() {
                "Fatal error on transport".into()
            } else {
                message.str()?.to_string()
            };
            let error = Raised::from_err(py, PyErr::from_value(error));
            fatal_error(transport, &error, &message)?;
            Ok(none(py))
        },
        "Reports an exception, unless it is an OSError, and closes the connection at once.",
    );
    t.one(
        c"_call_connection_lost",
        "exc",
        |transport, error| {
            connection_lost(transport, error)?;
            Ok(none(transport.py()))
        },
        "Calls connection_lost() and lets everything go.",
    );
}

fn close<'py>(transport: &Obj<'py, SocketTransport>) -> Output<'py> {
    let py = transport.py();
    if transport.stream(|stream| stream.is_closing()) {
        return Ok(none(py));
    }
    writing::uncork(transport)?;
    transport.listing.leave();
    if act(transport, |stream, kernel| stream.close(kernel))? {
        lose_soon(transport, &none(py))?;
    }
    Ok(none(py))
}

/// `connection_lost(error)` at the next turn.
pub fn lose_soon(transport: &Obj<'_, SocketTransport>, error: &Bound<'_, PyAny>) -> PyResult<()> {
    transport.listing.leave();
    let lost = transport.as_any().getattr(names::_call_connection_lost(transport.py()))?;
    call_soon(transport, &lost, [error])
}

/// `_force_close`.
pub fn force_close(transport: &Obj<'_, SocketTransport>, error: &Bound<'_, PyAny>) -> PyResult<()> {
    // What asyncio would have sent before this call is sent; only what the kernel did not take is lost.
    if transport.is_intact(transport.py())? {
        writing::uncork(transport)?;
    }
    if act(transport, |stream, kernel| stream.abort(kernel))? { lose_soon(transport, error) } else { Ok(()) }
}

/// `_fatal_error`: reports and closes. Errors of the network are nobody's fault and only told in debug mode.
pub fn fatal_error(transport: &Obj<'_, SocketTransport>, error: &Raised<'_>, message: &str) -> PyResult<()> {
    report(transport, error, message)?;
    force_close(transport, error.as_any())
}

/// The report of `_fatal_error`.
pub fn report(transport: &Obj<'_, SocketTransport>, error: &Raised<'_>, message: &str) -> PyResult<()> {
    let py = transport.py();
    let event_loop = transport.event_loop(py)?;
    if !error.is::<PyOSError>() {
        return tell_handler(transport, error, message);
    }
    if loop_debug(event_loop.as_any())? {
        let keywords = PyDict::new(py);
        keywords.set_item("exc_info", error.as_any())?;
        stock::logger(py)?.call_method("debug", ("%r: %s", transport.as_any(), message), Some(&keywords))?;
    }
    Ok(())
}

/// Tells the loop's exception handler about an exception of the protocol.
pub fn tell_handler(transport: &Obj<'_, SocketTransport>, error: &Raised<'_>, message: &str) -> PyResult<()> {
    let py = transport.py();
    let report = PyDict::new(py);
    report.set_item(names::message(py), message)?;
    report.set_item(names::exception(py), error.as_any())?;
    report.set_item("transport", transport.as_any())?;
    report.set_item("protocol", transport.protocol.get_or_none(py))?;
    let event_loop = transport.event_loop(py)?;
    call::method(names::call_exception_handler(py), [event_loop.as_any(), report.as_any()]).map(drop)
}

/// `_call_connection_lost`: whatever the protocol does, everything is let go.
pub fn connection_lost(transport: &Obj<'_, SocketTransport>, error: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = transport.py();
    if transport.gone.get() {
        return Ok(());
    }
    // Nothing may stay armed on a descriptor that is about to be closed.
    act(transport, |stream, kernel| stream.abort(kernel))?;
    let told = match transport.protocol.get(py) {
        Some(protocol) => call::method(names::connection_lost(py), [&protocol, error]).map(drop),
        None => Ok(()),
    };
    let closed = close_connection(transport);
    transport.gone.set(true);
    transport.listing.leave();
    transport.protocol.clear();
    transport.read_context.clear();
    transport.write_context.clear();
    let detached = detach(transport);
    let failed = match transport.empty_waiter.get(py) {
        Some(waiter) => {
            let error = PyConnectionError::new_err("Connection is closed by peer").into_value(py);
            waiter.call_method1("set_exception", (error,)).map(drop)
        }
        None => Ok(()),
    };
    told.and(closed).and(detached).and(failed)
}

fn close_connection(transport: &Obj<'_, SocketTransport>) -> PyResult<()> {
    let py = transport.py();
    transport.connection.close(py, transport.event_loop.obj(py).as_deref())
}

/// `__del__`: a connection that nobody closed is closed, with a ResourceWarning.
pub(super) fn finalize(transport: &Obj<'_, SocketTransport>) -> PyResult<()> {
    if !transport.connection.is_open() {
        return Ok(());
    }
    let py = transport.py();
    let text = PyString::new(py, &format!("unclosed transport {}", transport.as_any().repr()?));
    let keywords = PyDict::new(py);
    keywords.set_item("source", transport.as_any())?;
    let warned = stock::warn(py)?.call((text, py.get_type::<PyResourceWarning>()), Some(&keywords));
    transport.listing.leave();
    if !transport.event_loop.is_empty() {
        act(transport, |stream, kernel| stream.abort(kernel))?;
    }
    let closed = close_connection(transport);
    // Before 3.13 a transport that was dropped counted as connected for ever.
    let detached = if cfg!(Py_3_13) { detach(transport) } else { Ok(()) };
    warned.map(drop).and(closed).and(detached)
}
