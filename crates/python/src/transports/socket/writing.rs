//! Writing to a socket: `write`, `writelines`, `write_eof`, and the future that is done when everything has
//! been sent.
//!
//! Calls the stream machine and, with its answers, the upcalls.

use pyo3::exceptions::{PyConnectionError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyList, PyMemoryView};
#[cfg(Py_3_12)]
use yibu_driver::memory::MakeRoom;
use yibu_engine::transport::Coalesced;

use super::data::SocketTransport;
use crate::core::{EventLoop, typed};
use crate::errors;
use crate::ffi::buffer::Buffer;
use crate::ffi::{Obj, Output, Raised, Ref, Signature, Table, none};
use crate::futures::{self, Future, create_future};
use crate::transports::chunk::Chunk;
use crate::transports::endpoint::{Transport, act};
use crate::transports::link::StreamTransport;
use crate::transports::writing::{
    closed_by_the_program, flow_table, kept, send, unreadable, unsent, unwritable, with_copies,
};
#[cfg(Py_3_12)]
use crate::transports::writing::{conclude, copied, is_late};
use crate::transports::{by_methods, upcall};

const WRITE: Signature<1> = Signature::new("_SelectorSocketTransport.write", "data");
const WRITELINES: Signature<1> = Signature::new("_SelectorSocketTransport.writelines", "list_of_data");

pub(super) fn table(t: &mut Table<SocketTransport>) {
    t.method(
        &WRITE,
        |transport, args| write(transport, &args.single(&WRITE)?),
        "Sends data, or keeps what cannot be sent at once. Does not block.",
    );
    t.method(
        &WRITELINES,
        |transport, args| {
            let [data] = args.parse(&WRITELINES)?;
            writelines(transport, &data)
        },
        "Sends several pieces of data as one.",
    );
    t.noargs(
        c"write_eof",
        write_eof,
        "Closes the writing half when everything has been sent; the peer sees end of file.",
    );
    flow_table(t);
    t.noargs(
        c"_make_empty_waiter",
        make_empty_waiter,
        "A future for the moment when everything has been sent. Nothing can be written until _reset_empty_waiter().",
    );
    t.action(
        c"_reset_empty_waiter",
        |transport| {
            transport.stream(|stream| stream.unwatch_drain());
            transport.empty_waiter.clear();
        },
        "Allows writing again.",
    );
    t.getter(c"_empty_waiter", |transport| Ok(transport.empty_waiter.get_or_none(transport.py())));
    t.getter(c"_buffer", |transport| {
        let py = transport.py();
        flush(transport)?;
        let unsent = transport.stream(|stream| unsent(stream.unsent()))?;
        Ok(PyList::new(py, unsent.iter().map(|chunk| PyBytes::new(py, chunk)))?.into_any())
    });
}

/// `write`. The common case is a `bytes` object that the socket takes at once.
#[inline]
pub fn write<'py>(transport: &Obj<'py, SocketTransport>, data: &Bound<'py, PyAny>) -> Output<'py> {
    let py = transport.py();
    let own = SocketTransport::own_methods(transport)?;
    if let Some(socket) = &own
        && (data.is_instance_of::<PyBytes>()
            || data.is_instance_of::<PyByteArray>()
            || data.is_instance_of::<PyMemoryView>())
    {
        flush(transport)?;
        by_methods::write(transport, socket, data)?;
        return Ok(none(py));
    }
    if let Ok(bytes) = data.cast_exact::<PyBytes>() {
        let slice = bytes.as_bytes();
        if !coalesce(transport, slice.len(), || kept(bytes, 0))? {
            send(transport, slice, |sent| kept(bytes, sent))?;
        }
        return Ok(none(py));
    }
    if !data.is_instance_of::<PyByteArray>()
        && !data.is_instance_of::<PyMemoryView>()
        && !data.is_instance_of::<PyBytes>()
    {
        let expected = if cfg!(Py_3_14) {
            "data argument must be a bytes, bytearray, or memoryview object, not"
        } else {
            "data argument must be a bytes-like object, not"
        };
        let class = data.get_type();
        return Err(PyTypeError::new_err(text!("{expected} {}", class.name()?.repr()?)?));
    }
    transport
        .stream(|stream| stream.check_writable())
        .map_err(|error| unwritable(transport, &error, "write"))?;
    match Buffer::get(data, false) {
        Ok(buffer) => {
            write_copied(transport, buffer.bytes())?;
        }
        Err(error) => unreadable(transport, data, error)?,
    }
    Ok(none(py))
}

/// `write` for memory that is not an object's: what cannot be sent at once is copied.
#[inline]
pub fn write_copied(transport: &Obj<'_, SocketTransport>, data: &[u8]) -> PyResult<()> {
    if let Some(socket) = SocketTransport::own_methods(transport)? {
        flush(transport)?;
        return by_methods::write(transport, &socket, PyBytes::new(transport.py(), data).as_any());
    }
    if with_copies(data, |copied| coalesce(transport, data.len(), || copied(0)))? {
        return Ok(());
    }
    with_copies(data, |copied| send(transport, data, copied))
}

/// Keeps a write until the entry that the loop runs has ended, so that several writes of one callback, or of
/// one step of a task, cost one system call. False when it has to be sent now: outside entries; when it is
/// large, or behind data that waits for the kernel; and when it is the entry's first, unless the transport
/// usually writes more than once.
#[inline]
fn coalesce(
    transport: &Obj<'_, SocketTransport>,
    len: usize,
    make_chunk: impl FnOnce() -> Chunk,
) -> PyResult<bool> {
    let event_loop = transport.event_loop(transport.py())?;
    if !event_loop.after_entry.is_open() || !transport.coalescing.expects_more(event_loop.pulse.steps()) {
        return Ok(false);
    }
    match transport
        .stream(|stream| stream.coalesce(len, make_chunk))
        .map_err(|error| unwritable(transport, &error, "write"))?
    {
        Coalesced::First => {
            event_loop.after_entry.push(send_at_the_end, transport.clone());
            Ok(true)
        }
        Coalesced::Joined => Ok(true),
        Coalesced::Refused => {
            flush(transport)?;
            Ok(false)
        }
    }
}

/// Sends a transport's writes at the end of the entry. A failure is reported.
fn send_at_the_end(event_loop: &Obj<'_, EventLoop>, transport: Ref) -> PyResult<()> {
    let transport: Obj<'_, SocketTransport> = typed(transport, event_loop.py())?;
    flush(&transport).or_else(|error| upcall::report(event_loop, &transport, error))
}

/// Sends what was kept by `coalesce`: at the end of the entry, and before anything that could tell the
/// difference.
pub fn flush(transport: &Obj<'_, SocketTransport>) -> PyResult<()> {
    if !transport.stream(|stream| stream.is_coalescing()) {
        return Ok(());
    }
    let py = transport.py();
    if let Some(socket) = SocketTransport::own_methods(transport)? {
        return if transport.stream(|stream| stream.stop_coalescing()) {
            by_methods::flush(transport, &socket, true)
        } else {
            Ok(())
        };
    }
    if !transport.is_intact(py)? {
        return closed_by_the_program(transport);
    }
    match act(transport, |stream, kernel| stream.send_coalesced(kernel))? {
        None => Ok(()),
        Some(upcall) => upcall::execute_in_context(transport, upcall),
    }
}

/// `writelines`. In 3.11 it joined the data and wrote it.
#[cfg(not(Py_3_12))]
fn writelines<'py>(transport: &Obj<'py, SocketTransport>, data: &Bound<'py, PyAny>) -> Output<'py> {
    let joined = PyBytes::new(transport.py(), b"").call_method1(name!("join"), (data,))?;
    transport.as_any().call_method1(name!("write"), (joined,))
}

/// `writelines`.
#[cfg(Py_3_12)]
fn writelines<'py>(transport: &Obj<'py, SocketTransport>, data: &Bound<'py, PyAny>) -> Output<'py> {
    let py = transport.py();
    let method = "writelines";
    transport
        .stream(|stream| stream.check_writable())
        .map_err(|error| unwritable(transport, &error, method))?;
    if !data.is_truthy()? || (cfg!(Py_3_14) && is_late(transport, method)?) {
        return Ok(none(py));
    }
    let mut chunks = Vec::new();
    for item in data.try_iter()? {
        let item = item?;
        errors::room(chunks.make_room(1))?;
        if let Ok(bytes) = item.cast_exact::<PyBytes>() {
            chunks.push(kept(bytes, 0));
            continue;
        }
        let view = PyMemoryView::from(&item)?;
        match Buffer::get(view.as_any(), false) {
            Ok(buffer) => chunks.push(copied(buffer.bytes(), 0).ok_or_else(errors::no_memory)?),
            // There is nothing in it to send.
            Err(_) if view.len()? == 0 => {}
            // The kernel would have refused all the pieces because of one.
            Err(error) => return unreadable(transport, view.as_any(), error).map(|()| none(py)),
        }
    }
    flush(transport)?;
    let own = match SocketTransport::own_methods(transport)? {
        // Several pieces sent at once are an event.
        None if crate::ffi::audit::is_watched(py) => SocketTransport::socket_object(transport)?,
        own => own,
    };
    if let Some(socket) = own {
        by_methods::writelines(transport, &socket, chunks)?;
        return Ok(none(py));
    }
    if !transport.is_intact(py)? {
        closed_by_the_program(transport)?;
        return Ok(none(py));
    }
    let written = act(transport, |stream, kernel| stream.writelines(kernel, chunks))?;
    conclude(transport, written, method)?;
    Ok(none(py))
}

fn write_eof<'py>(transport: &Obj<'py, SocketTransport>) -> Output<'py> {
    let py = transport.py();
    if transport.stream(|stream| stream.is_closing() || stream.is_eof_written()) {
        return Ok(none(py));
    }
    flush(transport)?;
    if let Some(socket) = SocketTransport::own_methods(transport)? {
        by_methods::write_eof(transport, &socket)?;
        return Ok(none(py));
    }
    if !transport.is_intact(py)? {
        // As far as asyncio's transport can tell, shutting down fails.
        return if transport.stream(|stream| stream.end_writing()) {
            Err(errors::bad_descriptor())
        } else {
            Ok(none(py))
        };
    }
    act(transport, |stream, kernel| stream.write_eof(kernel))?.map_err(|error| errors::os_error(&error))?;
    Ok(none(py))
}

/// Completes the future that waits for the buffer to drain: it has drained, or never will.
pub(super) fn drained(transport: &Obj<'_, SocketTransport>, error: Option<&Raised<'_>>) -> PyResult<()> {
    let py = transport.py();
    let Some(waiter) = transport.empty_waiter.get(py) else { return Ok(()) };
    match error {
        None => waiter.call_method1(name!("set_result"), (none(py),)),
        Some(error) => waiter.call_method1(name!("set_exception"), (error.as_any(),)),
    }
    .map(drop)
}

/// The connection was lost, so the buffer will never drain: the future that waits for that gets
/// ConnectionError.
pub(super) fn never_drained(transport: &Obj<'_, SocketTransport>) -> PyResult<()> {
    let py = transport.py();
    let Some(waiter) = transport.empty_waiter.get(py) else { return Ok(()) };
    let error = PyConnectionError::new_err("Connection is closed by peer").into_value(py);
    waiter.call_method1(name!("set_exception"), (error,)).map(drop)
}

fn make_empty_waiter<'py>(transport: &Obj<'py, SocketTransport>) -> Output<'py> {
    let py = transport.py();
    if !transport.empty_waiter.is_empty() {
        return Err(PyRuntimeError::new_err("Empty waiter is already set"));
    }
    flush(transport)?;
    let waiter = create_future(&transport.event_loop(py)?)?;
    transport.empty_waiter.set(Ref::new(waiter.as_any().clone()));
    if transport.stream(|stream| stream.watch_drain()) {
        futures::set_result(&waiter, none(py))?;
    }
    Ok(waiter.into_any())
}

/// For sendfile and TLS, which use the socket directly after the buffer has drained: a future that fails when
/// the connection is lost.
pub fn watch_for_loss<'py>(transport: &Obj<'py, SocketTransport>) -> PyResult<Obj<'py, Future>> {
    let lost = create_future(&transport.event_loop(transport.py())?)?;
    transport.empty_waiter.put(lost.as_any().clone());
    Ok(lost)
}
