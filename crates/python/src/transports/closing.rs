//! The end of a transport: `close`, `abort`, errors that end it, `connection_lost`, and what is left to the
//! collector.
//!
//! The same for streams and datagrams. Calls the machine and the protocol.

use pyo3::exceptions::{PyKeyboardInterrupt, PyResourceWarning, PySystemExit};
use pyo3::prelude::*;

use super::endpoint::{Machine, Transport, act, call_soon};
use super::link::StreamTransport;
use super::reports;
use crate::core::event_loop::descriptor_closed;
use crate::ffi::{Obj, Output, Raised, Table, call, none};
use crate::names;

/// `socket.SHUT_WR`
const SHUT_WR: i32 = 1;

/// Steps of asyncio's transports of sockets that native ones do not call: see `Class::NOT_CALLED`. Those that
/// native ones do not even have are refused in any case.
pub(super) const NOT_CALLED: &[&str] = &[
    "__init__",
    "_add_reader",
    "_call_connection_lost",
    "_fatal_error",
    "_force_close",
    "_maybe_pause_protocol",
    "_maybe_resume_protocol",
    "_read_ready",
    "_sendto_ready",
    "_set_write_buffer_limits",
];

/// What all transports have.
pub(super) fn common_table<T: Transport>(t: &mut Table<T>) {
    t.noargs(
        c"close",
        |transport| if T::closes_by_name(transport)? { Ok(none(transport.py())) } else { close(transport) },
        "Closes when everything written has been sent.",
    );
    t.answer(
        c"is_closing",
        |transport| transport.endpoint().machine(|machine| machine.is_closing()),
        "Whether the transport is closing, or closed.",
    );
    t.action_on(
        c"_call_connection_lost",
        "exc",
        connection_lost,
        "Calls connection_lost() and drops every reference.",
    );
}

/// What those have that write.
pub(super) fn abort_table<T: Transport>(t: &mut Table<T>) {
    t.action(
        c"abort",
        |transport| force_close(transport, &none(transport.py())),
        "Closes at once; what has not been sent is lost.",
    );
}

/// `_fatal_error`, as Python code calls it.
pub(super) fn fail<'py, T: Transport>(
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

pub(super) fn close<'py, T: Transport>(transport: &Obj<'py, T>) -> Output<'py> {
    let py = transport.py();
    if transport.endpoint().machine(|machine| machine.is_closing()) {
        return Ok(none(py));
    }
    T::flush(transport)?;
    transport.leave();
    if act(transport, |machine, kernel| machine.close(kernel))? {
        lose_soon(transport, &none(py))?;
    }
    Ok(none(py))
}

/// `connection_lost(error)` at the next turn.
pub fn lose_soon<T: Transport>(transport: &Obj<'_, T>, error: &Bound<'_, PyAny>) -> PyResult<()> {
    transport.leave();
    let lost = transport.as_any().getattr(names::_call_connection_lost(transport.py()))?;
    call_soon(transport, &lost, [error])
}

/// Sends no more, and takes back what is armed on the descriptor. Whether `connection_lost` is to be called
/// at the next turn.
fn abort<T: Transport>(transport: &Obj<'_, T>) -> PyResult<bool> {
    let (lost, unsent) = act(transport, |machine, kernel| machine.abort(kernel))?;
    drop(unsent);
    Ok(lost)
}

/// `_force_close`.
pub fn force_close<T: Transport>(transport: &Obj<'_, T>, error: &Bound<'_, PyAny>) -> PyResult<()> {
    T::flush_before_abort(transport)?;
    if abort(transport)? { lose_soon(transport, error) } else { Ok(()) }
}

/// `_fatal_error`: reports and closes. An ordinary error is only logged, in debug mode.
pub fn fatal_error<T: Transport>(transport: &Obj<'_, T>, error: &Raised<'_>, message: &str) -> PyResult<()> {
    report(transport, error, message)?;
    force_close(transport, error.as_any())
}

/// The report of `_fatal_error`.
pub fn report<T: Transport>(transport: &Obj<'_, T>, error: &Raised<'_>, message: &str) -> PyResult<()> {
    if !T::is_expected(error) {
        return tell_handler(transport, error, message);
    }
    reports::log_error(
        &transport.event_loop(transport.py())?,
        T::fatal_error_frame(),
        transport.as_any(),
        error,
        message,
    )
}

/// Tells the loop's exception handler about an exception of the protocol.
pub fn tell_handler<T: Transport>(transport: &Obj<'_, T>, error: &Raised<'_>, message: &str) -> PyResult<()> {
    let py = transport.py();
    let protocol = transport.endpoint().protocol.get_or_none(py);
    reports::tell_handler(&transport.event_loop(py)?, transport.as_any(), &protocol, error, message)
}

/// The protocol raised: that ends its connection. SystemExit and KeyboardInterrupt pass.
#[cold]
pub(super) fn protocol_failed<T: Transport>(
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

/// `_call_connection_lost`: whatever the protocol does, every reference is dropped.
pub fn connection_lost<T: Transport>(transport: &Obj<'_, T>, error: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = transport.py();
    let endpoint = transport.endpoint();
    if endpoint.gone.get() {
        return Ok(());
    }
    let told = match endpoint.protocol.get(py) {
        Some(protocol) => call::method(names::connection_lost(py), [&protocol, error]).map(drop),
        None => Ok(()),
    };
    // Nothing may stay armed on a descriptor that is about to be closed: what the protocol has just tried to
    // send, too.
    abort(transport)?;
    let closed = close_file(transport);
    endpoint.gone.set(true);
    transport.leave();
    endpoint.protocol.clear();
    endpoint.own_context.clear();
    let ended = T::ended(transport);
    told.and(closed).and(ended)
}

/// Closes the file, and tells the loop that a descriptor is free.
fn close_file<T: Transport>(transport: &Obj<'_, T>) -> PyResult<()> {
    let closed = T::close_file(transport);
    if let Some(event_loop) = transport.endpoint().event_loop.obj(transport.py()) {
        descriptor_closed(&event_loop);
    }
    closed
}

/// `__del__`: a transport that was not closed is closed, with a ResourceWarning.
pub(super) fn finalize<T: Transport>(transport: &Obj<'_, T>) -> PyResult<()> {
    if !transport.is_open() {
        return Ok(());
    }
    let py = transport.py();
    let text = text!("unclosed transport {}", transport.as_any().repr()?)?;
    let category = py.get_type::<PyResourceWarning>();
    let warned = T::finalize_frame().warn(&text, &category, Some(transport.as_any()));
    transport.leave();
    if !transport.endpoint().event_loop.is_empty() {
        abort(transport)?;
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
