//! [`OnSocket`]: what transports of sockets have in common, whatever goes through the socket: extra
//! information, the socket object, which Python code may close once it has it, and their `repr()`.
//! `asyncio.selector_events._SelectorTransport`.

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::closing::{abort_table, fail, force_close};
use super::connection::{self, Connection};
use super::endpoint::{Transport, unless_gone};
use super::{attributes, closing};
use crate::ffi::{Obj, Output, Signature, Table, none};

/// A native transport of a socket.
pub(super) trait OnSocket: Transport {
    /// `_fatal_error`.
    const FATAL_ERROR: &'static Signature<2>;
    /// `get_extra_info`.
    const GET_EXTRA_INFO: &'static Signature<2>;

    /// The descriptor, and the Python socket around it.
    fn connection(&self) -> &Connection;

    /// Whether Python code may close the socket without the transport.
    fn exposed(&self) -> &Cell<bool>;

    /// What the machine is doing.
    fn activity(&self) -> Activity;

    /// The program asks for the socket, and may use it: what was written before is sent first.
    fn before_exposure(_transport: &Obj<'_, Self>) -> PyResult<()> {
        Ok(())
    }
}

/// What a machine is doing, for `repr()`.
pub(super) struct Activity {
    pub closing: bool,
    pub reading: bool,
    pub writing: bool,
    /// Bytes that wait to be sent.
    pub unsent: usize,
}

/// Whether the descriptor may still be used: Python code that holds the socket object may have closed it, and
/// the number may be another file's by now.
#[inline]
pub(super) fn is_intact<T: OnSocket>(transport: &T, py: Python<'_>) -> PyResult<bool> {
    if transport.exposed().get() { transport.connection().is_intact(py) } else { Ok(true) }
}

/// Closes the socket.
pub(super) fn close<T: OnSocket>(transport: &Obj<'_, T>) -> PyResult<()> {
    let py = transport.py();
    transport.connection().close(py, transport.endpoint().event_loop.obj(py).as_deref())
}

/// Python code gets the socket, and may read from it and close it.
pub(super) fn expose<T: OnSocket>(transport: &Obj<'_, T>) {
    transport.exposed().set(true);
    if let Some(event_loop) = transport.endpoint().event_loop.obj(transport.py()) {
        event_loop.engine.with(|engine| engine.driver.share(transport.connection().fd()));
    }
}

/// Extra information, and the attributes of the socket that libraries read although they are private.
pub(super) fn table<T: OnSocket>(t: &mut Table<T>) {
    attributes::common_table(t);
    t.method(
        T::GET_EXTRA_INFO,
        |transport, args| {
            let [name, default] = args.parse(T::GET_EXTRA_INFO)?;
            T::before_exposure(transport)?;
            if connection::shows_socket(&name) {
                expose(transport);
            }
            transport.connection().extra_info(&name, default)
        },
        "What is known about the socket: 'peername', 'sockname', 'socket'.",
    );
    t.property(
        c"_extra",
        |transport| {
            expose(transport);
            transport.connection().extra(transport.py())
        },
        |transport, extra| {
            transport.connection().set_extra(extra.map_or_else(|| none(transport.py()), Clone::clone));
            Ok(())
        },
    );
    t.getter(c"_sock", |transport| {
        T::before_exposure(transport)?;
        expose(transport);
        unless_gone(transport, || transport.connection().socket(transport.py()))
    });
    t.value(c"_sock_fd", |transport| transport.connection().fd());
    t.value(c"_protocol_connected", |transport| transport.connection().fd() >= 0);
    t.repr(repr);
}

/// What ends a transport.
pub(super) fn closing_table<T: OnSocket>(t: &mut Table<T>) {
    closing::common_table(t);
    abort_table(t);
    t.action_on(
        c"_force_close",
        "exc",
        force_close,
        "Closes the socket at once; connection_lost() gets the exception.",
    );
    t.method(
        T::FATAL_ERROR,
        |transport, args| {
            let [error, message] = args.parse(T::FATAL_ERROR)?;
            fail(transport, error, &message, "Fatal error on transport")
        },
        "Reports an exception, unless it is an OSError, and closes the socket at once.",
    );
}

fn repr<'py, T: OnSocket>(transport: &Obj<'py, T>) -> Output<'py> {
    let py = transport.py();
    let (gone, activity) = (transport.endpoint().gone.get(), transport.activity());
    let mut text = text!("<{}", transport.as_any().get_type().name()?)?;
    if gone {
        text.push_str(" closed");
    } else if activity.closing {
        text.push_str(" closing");
    }
    text.push_str(&format!(" fd={}", transport.connection().fd()));
    if !gone && transport.endpoint().event_loop.obj(py).is_some_and(|event_loop| !event_loop.is_closed()) {
        let word = |polls| if polls { "polling" } else { "idle" };
        let (read, write, size) = (word(activity.reading), word(activity.writing), activity.unsent);
        text.push_str(&format!(" read={read} write=<{write}, bufsize={size}>"));
    }
    text.push('>');
    Ok(PyString::new(py, &text).into_any())
}
