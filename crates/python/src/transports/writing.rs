//! Writing: `write`, `writelines`, `write_eof`, and the flow control of what could not be sent at once.
//!
//! Calls the stream machine, and [`crate::upcall`] with its answers.

use std::cell::Cell;

use pyo3::exceptions::{PyConnectionError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyList, PyMemoryView};
use yibu_engine::transport::{Channel, Cork, DEFAULT_HIGH, During, Socket, Upcall, WriteError};

use super::link::refused;
use super::{Chunk, SocketTransport, StreamTransport, act, by_methods, closing};
use crate::core::{EventLoop, typed};
use crate::ffi::buffer::Buffer;
use crate::ffi::bytes::Bytes;
use crate::ffi::{Args, Obj, Output, Raised, Ref, Signature, Table, boolean, none};
use crate::futures::create_future;
use crate::futures::{self, Future};
use crate::{errors, upcall};
use yibu_driver::memory::{self, MakeRoom};

const LIMITS: Signature<2> =
    Signature::new("_FlowControlMixin.set_write_buffer_limits", "high=None, low=None");
const WRITE: Signature<1> = Signature::new("SocketTransport.write", "data");
const WRITELINES: Signature<1> = Signature::new("SocketTransport.writelines", "list_of_data");

pub(super) fn table(t: &mut Table<SocketTransport>) {
    t.method(
        &WRITE,
        |transport, args| match args.only() {
            Some(data) => write(transport, &data),
            None => {
                let [data] = args.parse(&WRITE)?;
                write(transport, &data)
            }
        },
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
    t.noargs(
        c"_reset_empty_waiter",
        |transport| {
            transport.stream(|stream| stream.unwatch_drain());
            transport.empty_waiter.clear();
            Ok(none(transport.py()))
        },
        "Allows writing again.",
    );
    t.getter(c"_empty_waiter", |transport| Ok(transport.empty_waiter.get_or_none(transport.py())));
    t.getter(c"_buffer", |transport| {
        let py = transport.py();
        uncork(transport)?;
        let unsent = transport.stream(|stream| unsent(stream.unsent()))?;
        Ok(PyList::new(py, unsent.iter().map(|chunk| PyBytes::new(py, chunk)))?.into_any())
    });
}

/// The flow control of transports that write.
pub(super) fn flow_table<T: StreamTransport>(t: &mut Table<T>) {
    t.noargs(c"can_write_eof", |transport| Ok(boolean(transport.py(), true)), "True.");
    t.method(
        &LIMITS,
        set_write_buffer_limits,
        "Sets the amounts of unsent data, in bytes, at which the protocol is paused and resumed.",
    );
    t.noargs(
        c"get_write_buffer_limits",
        |transport| {
            let limits = transport.link().stream(|stream| stream.write_buffer_limits());
            Ok(limits.into_pyobject(transport.py())?.into_any())
        },
        "The low and the high limit.",
    );
    t.noargs(
        c"get_write_buffer_size",
        |transport| {
            T::flush(transport)?;
            let size = transport.link().stream(|stream| stream.write_buffer_size());
            Ok(size.into_pyobject(transport.py())?.into_any())
        },
        "The number of bytes that wait to be sent.",
    );
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
        uncork(transport)?;
        by_methods::write(transport, socket, data)?;
        return Ok(none(py));
    }
    if let Ok(bytes) = data.cast_exact::<PyBytes>() {
        let slice = bytes.as_bytes();
        if !cork(transport, slice.len(), || kept(bytes, 0))? {
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
        // Not contiguous: the socket would have refused it.
        Err(error) => {
            let error = Raised::from_err(py, error);
            closing::fatal_error(transport, &error, Socket::failure(During::Writing))?;
        }
    }
    Ok(none(py))
}

/// `write` for memory that is not an object's: what cannot be sent at once is copied.
#[inline]
pub fn write_copied(transport: &Obj<'_, SocketTransport>, data: &[u8]) -> PyResult<()> {
    if let Some(socket) = SocketTransport::own_methods(transport)? {
        uncork(transport)?;
        return by_methods::write(transport, &socket, PyBytes::new(transport.py(), data).as_any());
    }
    if with_copies(data, |copied| cork(transport, data.len(), || copied(0)))? {
        return Ok(());
    }
    with_copies(data, |copied| send(transport, data, copied))
}

/// Keeps a write until the entry that the loop runs has ended, so that several writes of one callback, or of one step of a task,
/// cost one system call. False when it has to be sent now: outside entries; when it is large, or behind data that waits for the
/// kernel; and when it is the entry's first, unless the transport is in the habit of more.
#[inline]
fn cork(
    transport: &Obj<'_, SocketTransport>,
    len: usize,
    make_chunk: impl FnOnce() -> Chunk,
) -> PyResult<bool> {
    let event_loop = transport.event_loop(transport.py())?;
    if !event_loop.after_entry.is_open() || !transport.habit.expects_more(event_loop.after_entry.entry()) {
        return Ok(false);
    }
    match transport
        .stream(|stream| stream.cork(len, make_chunk))
        .map_err(|error| unwritable(transport, &error, "write"))?
    {
        Cork::First => {
            event_loop.after_entry.push(send_corked, transport.clone());
            Ok(true)
        }
        Cork::Joined => Ok(true),
        Cork::Refused => {
            uncork(transport)?;
            Ok(false)
        }
    }
}

/// Whether a transport usually writes more than once in an entry. One that does has its first write wait for the others; one that does not
/// has it sent at once, as asyncio does.
#[derive(Default)]
pub struct Habit {
    /// The entry of the last write.
    entry: Cell<u64>,
    /// That entry has seen more than one.
    again: Cell<bool>,
    /// The entry before that did.
    usual: Cell<bool>,
}

impl Habit {
    /// Takes note of a write in `entry`; false when it is the first and no second is to be expected.
    #[inline]
    fn expects_more(&self, entry: u64) -> bool {
        if self.entry.replace(entry) == entry {
            self.again.set(true);
            return true;
        }
        self.usual.set(self.again.replace(false));
        self.usual.get()
    }
}

/// Sends a transport's writes at the end of the entry. A failure is reported.
fn send_corked(event_loop: &Obj<'_, EventLoop>, transport: Ref) -> PyResult<()> {
    let transport: Obj<'_, SocketTransport> = typed(transport, event_loop.py())?;
    uncork(&transport).or_else(|error| upcall::report(event_loop, &transport, error))
}

/// Sends what was kept by `cork`: at the end of the entry, and before anything that could tell the difference.
pub fn uncork(transport: &Obj<'_, SocketTransport>) -> PyResult<()> {
    if !transport.stream(|stream| stream.is_corked()) {
        return Ok(());
    }
    let py = transport.py();
    if let Some(socket) = SocketTransport::own_methods(transport)? {
        return if transport.stream(|stream| stream.take_cork()) {
            by_methods::flush(transport, &socket, true)
        } else {
            Ok(())
        };
    }
    if !transport.is_intact(py)? {
        return closed_behind_our_back(transport);
    }
    match act(transport, |stream, kernel| stream.uncork(kernel))? {
        None => Ok(()),
        Some(upcall) => upcall::execute_at_home(transport, upcall),
    }
}

/// What of an object of exactly this class has not been sent.
#[inline]
pub(super) fn kept(bytes: &Bound<'_, PyBytes>, sent: usize) -> Chunk {
    match Bytes::keep(bytes, sent) {
        Some(kept) => Chunk::Kept(kept),
        // Callers copy instances of subclasses.
        None => Chunk::Copied(Box::default()),
    }
}

/// Does `write` with something that makes a chunk of `data[n..]`, for data that may change. MemoryError where there is no memory
/// for a chunk; what could be sent has been sent then.
pub(super) fn with_copies<R>(
    data: &[u8],
    write: impl FnOnce(&dyn Fn(usize) -> Chunk) -> PyResult<R>,
) -> PyResult<R> {
    let failed = Cell::new(false);
    let written = write(&|sent| {
        copied(data, sent).unwrap_or_else(|| {
            failed.set(true);
            Chunk::Copied(Box::default())
        })
    })?;
    if failed.get() { Err(errors::no_memory()) } else { Ok(written) }
}

/// What has not been sent of something that may change; nothing where there is no memory for it.
pub(super) fn copied(data: &[u8], sent: usize) -> Option<Chunk> {
    memory::copy(data.get(sent..).unwrap_or_default()).map(|copy| Chunk::Copied(copy.into()))
}

/// Copies of pieces that a transport has, or MemoryError.
pub(super) fn unsent<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> PyResult<Vec<Vec<u8>>> {
    let mut copies = Vec::new();
    for piece in pieces {
        errors::room(copies.make_room(1))?;
        copies.push(errors::copied(piece)?);
    }
    Ok(copies)
}

/// Sends what can be sent at once, and keeps the rest as `make_chunk(n)`, a chunk of `data[n..]`.
#[inline]
pub(super) fn send<T: StreamTransport>(
    transport: &Obj<'_, T>,
    data: &[u8],
    make_chunk: impl FnOnce(usize) -> Chunk,
) -> PyResult<()> {
    // Writing nothing touches no socket.
    if !data.is_empty() && !transport.is_intact(transport.py())? {
        return closed_behind_our_back(transport);
    }
    let written = act(transport, |stream, kernel| stream.write(kernel, data, make_chunk))?;
    conclude(transport, written, "write")
}

/// Python code closed the socket itself: as far as asyncio's transport can tell, sending fails.
#[cold]
fn closed_behind_our_back<T: StreamTransport>(transport: &Obj<'_, T>) -> PyResult<()> {
    let bad_descriptor =
        Raised::from_err(transport.py(), errors::errno(rustix::io::Errno::BADF.raw_os_error()));
    closing::fatal_error(transport, &bad_descriptor, T::Channel::failure(During::Writing))
}

/// Does what follows from a write.
#[inline]
pub(super) fn conclude<T: StreamTransport>(
    transport: &Obj<'_, T>,
    written: Result<Option<Upcall>, WriteError>,
    method: &str,
) -> PyResult<()> {
    match written {
        Ok(None) => Ok(()),
        Ok(Some(upcall)) => upcall::execute_at_home(transport, upcall),
        Err(error) => Err(unwritable(transport, &error, method)),
    }
}

#[cold]
pub(super) fn unwritable<T: StreamTransport>(
    transport: &Obj<'_, T>,
    error: &WriteError,
    method: &str,
) -> PyErr {
    match (error.text(method), error) {
        (Some(text), _) => PyRuntimeError::new_err(text),
        (None, WriteError::Unwatched(error)) => refused(transport, error),
        (None, WriteError::NoMemory) => errors::no_memory(),
        (None, error) => PyRuntimeError::new_err(error.to_string()),
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
    if !data.is_truthy()? {
        return Ok(none(py));
    }
    let mut chunks = Vec::new();
    for item in data.try_iter()? {
        let item = item?;
        errors::room(chunks.make_room(1))?;
        chunks.push(match item.cast_exact::<PyBytes>() {
            Ok(bytes) => kept(bytes, 0),
            Err(_) => copied(Buffer::get(PyMemoryView::from(&item)?.as_any(), false)?.bytes(), 0)
                .ok_or_else(errors::no_memory)?,
        });
    }
    uncork(transport)?;
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
        closed_behind_our_back(transport)?;
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
    uncork(transport)?;
    if let Some(socket) = SocketTransport::own_methods(transport)? {
        by_methods::write_eof(transport, &socket)?;
        return Ok(none(py));
    }
    if !transport.is_intact(py)? {
        // As far as asyncio's transport can tell, shutting down fails.
        return if transport.stream(|stream| stream.end_writing()) {
            Err(errors::errno(rustix::io::Errno::BADF.raw_os_error()))
        } else {
            Ok(none(py))
        };
    }
    act(transport, |stream, kernel| stream.write_eof(kernel))?.map_err(|error| errors::os_error(&error))?;
    Ok(none(py))
}

/// `_set_write_buffer_limits`: what is not given follows from what is, or from `default`. A limit is kept as a whole number of
/// bytes: a size is beyond a limit exactly when it is beyond its integral part.
pub fn water_marks<'py>(
    high: &Bound<'py, PyAny>,
    low: &Bound<'py, PyAny>,
    default: i64,
) -> PyResult<(i64, i64)> {
    let py = high.py();
    let number = |value: i64| value.into_pyobject(py).map(Bound::into_any);
    let high = match (high.is_none(), low.is_none()) {
        (false, _) => high.clone(),
        (true, false) => number(4)?.mul(low)?,
        (true, true) => number(default)?,
    };
    let low = if low.is_none() { high.floor_div(4)? } else { low.clone() };
    if !(high.ge(&low)? && low.ge(0)?) {
        let text = text!("high ({}) must be >= low ({}) must be >= 0", high.repr()?, low.repr()?)?;
        return Err(PyValueError::new_err(text));
    }
    let whole = |value: &Bound<'py, PyAny>| match value.extract::<i64>() {
        Ok(whole) => Ok(whole),
        Err(_) if value.gt(i64::MAX)? => Ok(i64::MAX),
        Err(_) => value.extract::<f64>().map(|value| value.floor() as i64),
    };
    Ok((whole(&high)?, whole(&low)?))
}

fn set_write_buffer_limits<'py, T: StreamTransport>(
    transport: &Obj<'py, T>,
    args: Args<'_, 'py>,
) -> Output<'py> {
    let [high, low] = args.parse(&LIMITS)?;
    let (high, low) = water_marks(&high, &low, DEFAULT_HIGH)?;
    T::flush(transport)?;
    let upcall = transport
        .link()
        .stream(|stream| stream.set_write_buffer_limits(Some(high), Some(low)))
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    if let Some(upcall) = upcall {
        upcall::execute_at_home(transport, upcall)?;
    }
    Ok(none(transport.py()))
}

/// Tells whoever waits for the buffer to drain that it has, or never will.
pub(super) fn drained(transport: &Obj<'_, SocketTransport>, error: Option<&Raised<'_>>) -> PyResult<()> {
    let py = transport.py();
    let Some(waiter) = transport.empty_waiter.get(py) else { return Ok(()) };
    match error {
        None => waiter.call_method1(name!("set_result"), (none(py),)),
        Some(error) => waiter.call_method1(name!("set_exception"), (error.as_any(),)),
    }
    .map(drop)
}

/// The connection was lost: whoever waits for the buffer to drain waits in vain.
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
    uncork(transport)?;
    let waiter = create_future(&transport.event_loop(py)?)?;
    transport.empty_waiter.set(Ref::new(waiter.as_any().clone()));
    if transport.stream(|stream| stream.watch_drain()) {
        futures::set_result(&waiter, none(py))?;
    }
    Ok(waiter.into_any())
}

/// For whoever uses the socket directly, after the buffer has drained: a future that fails when the connection is lost.
pub fn watch_for_loss<'py>(transport: &Obj<'py, SocketTransport>) -> PyResult<Obj<'py, Future>> {
    let lost = create_future(&transport.event_loop(transport.py())?)?;
    transport.empty_waiter.put(lost.as_any().clone());
    Ok(lost)
}
