//! The end: `close`, `abort`, errors that end a transport, `connection_lost`, and what is left to the collector.
//!
//! Calls the machine and the protocol.

use pyo3::exceptions::{PyOSError, PyResourceWarning};
use pyo3::prelude::*;

use super::data::{DatagramTransport, act};
use crate::core::event_loop::descriptor_closed;
use crate::ffi::{Obj, Output, Raised, Signature, Table, boolean, call, none};
use crate::frames::Frame;
use crate::names;
use crate::replaced::names::SELECTOR_EVENTS;
use crate::transports::reports;

const FATAL_ERROR: Signature<2> =
    Signature::new("_SelectorDatagramTransport._fatal_error", "exc, message='Fatal error on transport'");

pub(super) fn table(t: &mut Table<DatagramTransport>) {
    t.noargs(c"close", close, "Closes the socket when everything has been sent.");
    t.noargs(
        c"abort",
        |transport| {
            force_close(transport, &none(transport.py()))?;
            Ok(none(transport.py()))
        },
        "Closes the socket at once; what has not been sent is lost.",
    );
    t.noargs(
        c"is_closing",
        |transport| Ok(boolean(transport.py(), transport.machine(|machine| machine.is_closing()))),
        "Whether the socket is closing, or closed.",
    );
    t.one(
        c"_force_close",
        "exc",
        |transport, error| {
            force_close(transport, error)?;
            Ok(none(transport.py()))
        },
        "Closes the socket at once; connection_lost() gets the exception.",
    );
    t.method(
        &FATAL_ERROR,
        |transport, args| {
            let py = transport.py();
            let [error, message] = args.parse_given(&FATAL_ERROR)?;
            let message = match message {
                Some(message) => text!("{}", message.str()?)?,
                None => "Fatal error on transport".to_owned(),
            };
            let error = Raised::from_err(py, PyErr::from_value(error.unwrap_or_else(|| none(py))));
            fatal_error(transport, &error, &message)?;
            Ok(none(py))
        },
        "Reports an exception, unless it is an OSError, and closes the socket at once.",
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

fn close<'py>(transport: &Obj<'py, DatagramTransport>) -> Output<'py> {
    let py = transport.py();
    if !transport.machine(|machine| machine.is_closing()) {
        transport.listing.leave();
        if act(transport, |machine, kernel| machine.close(kernel))? {
            lose_soon(transport, &none(py))?;
        }
    }
    Ok(none(py))
}

/// `connection_lost(error)` at the next turn.
fn lose_soon(transport: &Obj<'_, DatagramTransport>, error: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = transport.py();
    let lost = transport.as_any().getattr(names::_call_connection_lost(py))?;
    let event_loop = transport.event_loop(py)?.into_any();
    let context = transport.context.get_or_none(py);
    let arguments = [&event_loop, &lost, error, &context];
    call::method_with_keyword(names::call_soon(py), arguments, names::context_keyword(py)).map(drop)
}

/// `_force_close`.
fn force_close(transport: &Obj<'_, DatagramTransport>, error: &Bound<'_, PyAny>) -> PyResult<()> {
    transport.listing.leave();
    let (lost, unsent) = act(transport, |machine, kernel| machine.abort(kernel))?;
    drop(unsent);
    if lost { lose_soon(transport, error) } else { Ok(()) }
}

/// `_fatal_error`: reports and closes. Errors of the network are ordinary, and only logged in debug mode.
pub(super) fn fatal_error(
    transport: &Obj<'_, DatagramTransport>,
    error: &Raised<'_>,
    message: &str,
) -> PyResult<()> {
    if error.is::<PyOSError>() {
        let event_loop = transport.event_loop(transport.py())?;
        static FRAME: Frame = Frame::new(&SELECTOR_EVENTS, "_SelectorTransport._fatal_error");
        reports::log_error(&event_loop, &FRAME, transport.as_any(), error, message)?;
    } else {
        tell_handler(transport, error, message)?;
    }
    force_close(transport, error.as_any())
}

/// Tells the loop's exception handler about an exception.
pub(super) fn tell_handler(
    transport: &Obj<'_, DatagramTransport>,
    error: &Raised<'_>,
    message: &str,
) -> PyResult<()> {
    let py = transport.py();
    let protocol = transport.protocol.get_or_none(py);
    reports::tell_handler(&transport.event_loop(py)?, transport.as_any(), &protocol, error, message)
}

/// `_call_connection_lost`: whatever the protocol does, everything is let go.
pub(super) fn connection_lost(
    transport: &Obj<'_, DatagramTransport>,
    error: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = transport.py();
    if transport.gone.get() {
        return Ok(());
    }
    let told = match transport.protocol.get(py) {
        Some(protocol) => call::method(names::connection_lost(py), [&protocol, error]).map(drop),
        None => Ok(()),
    };
    // Nothing may stay armed on a descriptor that is about to be closed: what the protocol has just tried to send, too.
    let (_, unsent) = act(transport, |machine, kernel| machine.abort(kernel))?;
    drop(unsent);
    let closed = close_socket(transport);
    transport.gone.set(true);
    transport.listing.leave();
    transport.protocol.clear();
    transport.context.clear();
    told.and(closed)
}

fn close_socket(transport: &Obj<'_, DatagramTransport>) -> PyResult<()> {
    let py = transport.py();
    let event_loop = transport.event_loop.obj(py);
    let closed = transport.connection.close(py, event_loop.as_deref());
    if let Some(event_loop) = event_loop {
        descriptor_closed(&event_loop);
    }
    closed
}

/// `__del__`: a socket that nobody closed is closed, with a ResourceWarning.
pub(super) fn finalize(transport: &Obj<'_, DatagramTransport>) -> PyResult<()> {
    if !transport.connection.is_open() {
        return Ok(());
    }
    let py = transport.py();
    static FRAME: Frame = Frame::new(&SELECTOR_EVENTS, "_SelectorTransport.__del__");
    let text = text!("unclosed transport {}", transport.as_any().repr()?)?;
    let warned = FRAME.warn(&text, &py.get_type::<PyResourceWarning>(), Some(transport.as_any()));
    transport.listing.leave();
    if !transport.event_loop.is_empty() {
        let (_, unsent) = act(transport, |machine, kernel| machine.abort(kernel))?;
        drop(unsent);
    }
    warned.and(close_socket(transport))
}
