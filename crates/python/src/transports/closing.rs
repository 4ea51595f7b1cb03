//! The end of a connection or a pipe: `close`, `abort`, errors that end it, `connection_lost`, and what is left to the collector.
//!
//! Calls the stream machine and the protocol.

use pyo3::exceptions::{PyKeyboardInterrupt, PyResourceWarning, PySystemExit};
use pyo3::prelude::*;

use super::link::{StreamTransport, act, call_soon};
use super::reports;
use crate::core::event_loop::descriptor_closed;
use crate::ffi::{Obj, Output, Raised, Table, boolean, call, none};
use crate::names;

/// `socket.SHUT_WR`
const SHUT_WR: i32 = 1;

/// Steps of asyncio's transports of sockets that native ones do not call: see `Class::NOT_CALLED`.
pub(super) const NOT_CALLED: &[&str] = &[
    "__init__",
    "_call_connection_lost",
    "_fatal_error",
    "_force_close",
    "_maybe_pause_protocol",
    "_maybe_resume_protocol",
];

/// What all transports have.
pub(super) fn common_table<T: StreamTransport>(t: &mut Table<T>) {
    t.noargs(c"close", close, "Closes when everything written has been sent.");
    t.noargs(
        c"is_closing",
        |transport| Ok(boolean(transport.py(), transport.link().stream(|stream| stream.is_closing()))),
        "Whether the transport is closing, or closed.",
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

/// What those have that write.
pub(super) fn abort_table<T: StreamTransport>(t: &mut Table<T>) {
    t.noargs(
        c"abort",
        |transport| {
            force_close(transport, &none(transport.py()))?;
            Ok(none(transport.py()))
        },
        "Closes at once; what has not been sent is lost.",
    );
}

/// `_fatal_error`, as Python code calls it.
pub(super) fn fail<'py, T: StreamTransport>(
    transport: &Obj<'py, T>,
    error: Bound<'py, PyAny>,
    message: &Bound<'py, PyAny>,
    default: &str,
) -> Output<'py> {
    let py = transport.py();
    let message = if message.is_none() { default.to_owned() } else { text!("{}", message.str()?)? };
    fatal_error(transport, &Raised::from_err(py, PyErr::from_value(error)), &message)?;
    Ok(none(py))
}

pub(super) fn close<'py, T: StreamTransport>(transport: &Obj<'py, T>) -> Output<'py> {
    let py = transport.py();
    if transport.link().stream(|stream| stream.is_closing()) {
        return Ok(none(py));
    }
    T::flush(transport)?;
    transport.leave();
    if act(transport, |stream, kernel| stream.close(kernel))? {
        lose_soon(transport, &none(py))?;
    }
    Ok(none(py))
}

/// `connection_lost(error)` at the next turn.
pub fn lose_soon<T: StreamTransport>(transport: &Obj<'_, T>, error: &Bound<'_, PyAny>) -> PyResult<()> {
    transport.leave();
    let lost = transport.as_any().getattr(names::_call_connection_lost(transport.py()))?;
    call_soon(transport, &lost, [error])
}

/// `_force_close`.
pub fn force_close<T: StreamTransport>(transport: &Obj<'_, T>, error: &Bound<'_, PyAny>) -> PyResult<()> {
    // What asyncio would have sent before this call is sent; only what the kernel did not take is lost.
    if transport.is_intact(transport.py())? {
        T::flush(transport)?;
    }
    if act(transport, |stream, kernel| stream.abort(kernel))? { lose_soon(transport, error) } else { Ok(()) }
}

/// `_fatal_error`: reports and closes. An ordinary error is only logged, in debug mode.
pub fn fatal_error<T: StreamTransport>(
    transport: &Obj<'_, T>,
    error: &Raised<'_>,
    message: &str,
) -> PyResult<()> {
    report(transport, error, message)?;
    force_close(transport, error.as_any())
}

/// The report of `_fatal_error`.
pub fn report<T: StreamTransport>(transport: &Obj<'_, T>, error: &Raised<'_>, message: &str) -> PyResult<()> {
    if !T::is_expected(error) {
        return tell_handler(transport, error, message);
    }
    reports::log_error(
        &transport.event_loop(transport.py())?,
        &T::frames().fatal_error,
        transport.as_any(),
        error,
        message,
    )
}

/// Tells the loop's exception handler about an exception of the protocol.
pub fn tell_handler<T: StreamTransport>(
    transport: &Obj<'_, T>,
    error: &Raised<'_>,
    message: &str,
) -> PyResult<()> {
    let py = transport.py();
    let protocol = transport.link().protocol.get_or_none(py);
    reports::tell_handler(&transport.event_loop(py)?, transport.as_any(), &protocol, error, message)
}

/// The protocol raised: that ends its connection. SystemExit and KeyboardInterrupt pass.
#[cold]
pub(super) fn protocol_failed<T: StreamTransport>(
    transport: &Obj<'_, T>,
    error: PyErr,
    message: &str,
) -> PyResult<()> {
    let error = unless_fatal(transport.py(), error)?;
    fatal_error(transport, &error, message)
}

/// Lets SystemExit and KeyboardInterrupt pass.
pub fn unless_fatal(py: Python<'_>, error: PyErr) -> PyResult<Raised<'_>> {
    let raised = Raised::from_err(py, error);
    if raised.is::<PySystemExit>() || raised.is::<PyKeyboardInterrupt>() {
        Err(raised.into_err())
    } else {
        Ok(raised)
    }
}

/// `_call_connection_lost`: whatever the protocol does, everything is let go.
pub fn connection_lost<T: StreamTransport>(transport: &Obj<'_, T>, error: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = transport.py();
    let link = transport.link();
    if link.gone.get() {
        return Ok(());
    }
    // Nothing may stay armed on a descriptor that is about to be closed.
    act(transport, |stream, kernel| stream.abort(kernel))?;
    let told = match link.protocol.get(py) {
        Some(protocol) => call::method(names::connection_lost(py), [&protocol, error]).map(drop),
        None => Ok(()),
    };
    let closed = close_file(transport);
    link.gone.set(true);
    transport.leave();
    link.protocol.clear();
    link.own_context.clear();
    let ended = T::ended(transport);
    told.and(closed).and(ended)
}

/// Closes the file, of which the loop takes note.
fn close_file<T: StreamTransport>(transport: &Obj<'_, T>) -> PyResult<()> {
    let closed = T::close_file(transport);
    if let Some(event_loop) = transport.link().event_loop.obj(transport.py()) {
        descriptor_closed(&event_loop);
    }
    closed
}

/// `__del__`: what nobody closed is closed, with a ResourceWarning.
pub(super) fn finalize<T: StreamTransport>(transport: &Obj<'_, T>) -> PyResult<()> {
    if !transport.is_open() {
        return Ok(());
    }
    let py = transport.py();
    let text = text!("unclosed transport {}", transport.as_any().repr()?)?;
    let category = py.get_type::<PyResourceWarning>();
    let warned = T::frames().finalize.warn(&text, &category, Some(transport.as_any()));
    transport.leave();
    if !transport.link().event_loop.is_empty() {
        act(transport, |stream, kernel| stream.abort(kernel))?;
    }
    let closed = close_file(transport);
    let dropped = T::dropped(transport);
    warned.and(closed).and(dropped)
}

/// Tells the peer that nothing more is coming.
pub fn shut_down(socket: &Bound<'_, PyAny>) -> PyResult<()> {
    socket.call_method1(name!("shutdown"), (SHUT_WR,)).map(drop)
}

/// The same for a transport, where it has a socket object.
pub fn shut_down_of<T: StreamTransport>(transport: &Obj<'_, T>) -> PyResult<()> {
    match T::socket_object(transport)? {
        Some(socket) => shut_down(&socket),
        None => Ok(()),
    }
}
