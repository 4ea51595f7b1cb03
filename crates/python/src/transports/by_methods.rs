//! Transports whose socket has methods of the program's own: of a subclass of `socket.socket` (a meter, a
//! proxy, a fault injector), or replaced on the class itself (a guard of tests).
//!
//! Bytes go through `recv`, `recv_into`, `send`, `sendmsg` and `shutdown` of the socket object then, with
//! nothing borrowed, as in `asyncio.selector_events._SelectorSocketTransport`; the machine is told what came
//! of it. Called by the loop's turn and by `writing`, which ask [`StreamTransport::own_methods`] first.

use pyo3::exceptions::{PyBlockingIOError, PyInterruptedError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use yibu_engine::OpId;
use yibu_engine::transport::{Channel, During, Stream};

use super::chunk::Chunk;
use super::endpoint::act;
use super::link::StreamTransport;
use super::writing::{self, conclude, copied, unwritable};
use super::{closing, upcall};
use crate::core::EventLoop;
use crate::errors;
use crate::ffi::buffer::Buffer;
use crate::ffi::{Obj, Output, Raised, call, context};
use crate::{names, stock};

/// `_SelectorSocketTransport.max_size`.
const MAX_SIZE: usize = 256 * 1024;

/// What a method of the socket came to.
enum Tried<'py, T> {
    Done(T),
    /// BlockingIOError or InterruptedError.
    NotNow,
    Failed(Raised<'py>),
}

/// SystemExit and KeyboardInterrupt pass.
fn tried<'py, T>(py: Python<'py>, result: PyResult<T>) -> PyResult<Tried<'py, T>> {
    let error = match result {
        Ok(value) => return Ok(Tried::Done(value)),
        Err(error) => closing::unless_fatal(py, error)?,
    };
    let not_now = error.is::<PyBlockingIOError>() || error.is::<PyInterruptedError>();
    Ok(if not_now { Tried::NotNow } else { Tried::Failed(error) })
}

/// The kernel says that one side of the socket is ready, and nothing has been done about it yet.
pub fn ready<'py, T: StreamTransport>(
    event_loop: &Obj<'py, EventLoop>,
    transport: &Obj<'py, T>,
    socket: &Bound<'py, PyAny>,
    id: OpId,
) -> PyResult<()> {
    let link = transport.link();
    let reading = link.stream(|stream| stream.read_op() == Some(id));
    let context = link.endpoint.upcall_context(transport.py())?;
    let done = context::run(&context, |_| {
        if reading { read(transport, socket) } else { flush(transport, socket, false) }
    });
    done.or_else(|error| upcall::report(event_loop, transport, error))
}

/// `_read_ready`.
fn read<'py, T: StreamTransport>(transport: &Obj<'py, T>, socket: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = transport.py();
    if transport.link().stream(|stream| stream.is_lost()) {
        return Ok(());
    }
    let Some(protocol) = transport.endpoint().protocol.get(py) else { return Ok(()) };
    if protocol.is_instance(stock::buffered_protocol(py)?)? {
        return read_into(transport, socket, &protocol);
    }
    let data = match tried(py, socket.call_method1(name!("recv"), (MAX_SIZE,)))? {
        Tried::Done(data) => data,
        Tried::NotNow => return Ok(()),
        Tried::Failed(error) => {
            return closing::fatal_error(transport, &error, T::Channel::failure(During::Reading));
        }
    };
    if !data.is_truthy()? {
        return T::eof_received(transport);
    }
    match call::method(names::data_received(py), [&protocol, &data]) {
        Ok(_) => Ok(()),
        Err(error) => {
            T::protocol_failed(transport, error, "Fatal error: protocol.data_received() call failed.")
        }
    }
}

/// `_read_ready__get_buffer`.
fn read_into<'py, T: StreamTransport>(
    transport: &Obj<'py, T>,
    socket: &Bound<'py, PyAny>,
    protocol: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = transport.py();
    let buffer = match upcall::get_buffer(py, protocol) {
        Ok(buffer) => buffer,
        Err(error) => {
            return T::protocol_failed(transport, error, "Fatal error: protocol.get_buffer() call failed.");
        }
    };
    let count = match tried(py, socket.call_method1(name!("recv_into"), (buffer,)))? {
        Tried::Done(count) => count,
        Tried::NotNow => return Ok(()),
        Tried::Failed(error) => {
            return closing::fatal_error(transport, &error, T::Channel::failure(During::Reading));
        }
    };
    if !count.is_truthy()? {
        return T::eof_received(transport);
    }
    match call::method(names::buffer_updated(py), [protocol, &count]) {
        Ok(_) => Ok(()),
        Err(error) => {
            T::protocol_failed(transport, error, "Fatal error: protocol.buffer_updated() call failed.")
        }
    }
}

/// `write`, of something with a buffer.
pub fn write<'py, T: StreamTransport>(
    transport: &Obj<'py, T>,
    socket: &Bound<'py, PyAny>,
    data: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = transport.py();
    let link = transport.link();
    link.stream(|stream| stream.check_writable()).map_err(|error| unwritable(transport, &error, "write"))?;
    let mut sent = 0;
    if data.is_truthy()? && link.stream(|stream| stream.sends_at_once()) {
        let taken = call::method(names::send(py), [socket, data]).and_then(|taken| taken.extract());
        match tried(py, taken)? {
            Tried::Done(taken) => sent = taken,
            Tried::NotNow => {}
            Tried::Failed(error) => return fail(transport, &error),
        }
    }
    let rest = {
        let buffer = Buffer::get(data, false)?;
        (buffer.len(), copied(buffer.bytes(), sent).ok_or_else(errors::no_memory)?)
    };
    let written = act(transport, |stream, kernel| {
        stream.embed();
        stream.write_rest(kernel, rest.0, sent, || rest.1)
    })?;
    conclude(transport, written, "write")
}

/// `writelines`, which until 3.11 is a `write`.
#[cfg(Py_3_12)]
pub fn writelines<T: StreamTransport>(
    transport: &Obj<'_, T>,
    socket: &Bound<'_, PyAny>,
    chunks: Vec<Chunk>,
) -> PyResult<()> {
    let queued = transport.link().stream(|stream| stream.queue(chunks));
    match queued.map_err(|error| unwritable(transport, &error, "writelines"))? {
        Ok(true) => flush(transport, socket, true),
        Ok(false) => Ok(()),
        Err(upcall) => upcall::execute_in_context(transport, upcall),
    }
}

/// `_write_ready`. `queued_first` says that what waits was queued without trying to send it.
pub fn flush<'py, T: StreamTransport>(
    transport: &Obj<'py, T>,
    socket: &Bound<'py, PyAny>,
    queued_first: bool,
) -> PyResult<()> {
    let py = transport.py();
    let link = transport.link();
    if link.stream(|stream| stream.is_lost() || stream.write_buffer_size() == 0) {
        return Ok(());
    }
    let count = match tried(py, send_all(transport, socket).and_then(|count| count.extract::<usize>()))? {
        Tried::Done(count) => count,
        Tried::NotNow => 0,
        Tried::Failed(error) => {
            fail(transport, &error)?;
            return T::drained(transport, Some(&error));
        }
    };
    let upcall = act(transport, |stream, kernel| {
        stream.embed();
        stream.sent(kernel, count.min(stream.write_buffer_size()), queued_first)
    })?;
    conclude(transport, Ok(upcall), "write")
}

/// Everything that waits, in one call: `socket.sendmsg`, or until 3.11 `socket.send`.
fn send_all<'py, T: StreamTransport>(transport: &Obj<'py, T>, socket: &Bound<'py, PyAny>) -> Output<'py> {
    /// `SC_IOV_MAX` of Linux.
    const PIECES: usize = 1024;
    let py = transport.py();
    let unsent = |stream: &mut Stream<Chunk, T::Channel>| writing::unsent(stream.unsent().take(PIECES));
    let pieces = transport.link().stream(unsent)?;
    if cfg!(Py_3_12) {
        let pieces = PyList::new(py, pieces.iter().map(|piece| PyBytes::new(py, piece)))?;
        socket.call_method1(name!("sendmsg"), (pieces,))
    } else {
        call::method(names::send(py), [socket, PyBytes::new(py, &pieces.concat()).as_any()])
    }
}

fn fail<T: StreamTransport>(transport: &Obj<'_, T>, error: &Raised<'_>) -> PyResult<()> {
    closing::fatal_error(transport, error, T::Channel::failure(During::Writing))
}

/// `write_eof`.
pub fn write_eof<T: StreamTransport>(transport: &Obj<'_, T>, socket: &Bound<'_, PyAny>) -> PyResult<()> {
    let now = transport.link().stream(|stream| {
        stream.embed();
        stream.end_writing()
    });
    if now { closing::shut_down(socket) } else { Ok(()) }
}
