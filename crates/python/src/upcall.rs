//! Where Rust calls a protocol. The machines of the engine say what has to be told ([`Upcall`]); this file tells it, for every
//! class of transports.
//!
//! Nothing of a machine or of the loop is borrowed meanwhile, so a protocol may call its transport from anywhere. Called by the
//! loop's turn and by the transport's methods; calls protocols, and [`crate::transports`] when one fails.

use pyo3::exceptions::{PyBrokenPipeError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::io::Errno;
use yibu_engine::transport::{Channel, During, ReadInto, Rest, Upcall};
use yibu_engine::{Lease, OpId, Outcome};

use crate::core::EventLoop;
use crate::events::{self, Handle};
use crate::ffi::buffer::Buffer;
use crate::ffi::{Obj, Output, Raised, call, context, none};
use crate::sslproto::{self, SslProtocol};
use crate::streams::StreamReaderProtocol;
use crate::transports::{self, StreamTransport, act};
use crate::{errors, names, streams};

/// Tells the protocol what came of a transport's operation.
#[inline]
pub fn finished<T: StreamTransport>(
    event_loop: &Obj<'_, EventLoop>,
    transport: &Obj<'_, T>,
    id: OpId,
    outcome: Outcome,
) -> PyResult<()> {
    let py = transport.py();
    let upcall = act(transport, |stream, kernel| stream.on_outcome(kernel, id, outcome))?;
    let Some(upcall) = upcall else { return Ok(()) };
    let context = transport.link().upcall_context(py)?;
    context::run(&context, |_| execute(transport, upcall))
        .or_else(|error| report(event_loop, transport, error))
}

/// The same for a transport whose socket Python code may have closed since the report: the number may be another file's.
#[cold]
pub fn finish_carefully<T: StreamTransport>(
    event_loop: &Obj<'_, EventLoop>,
    transport: &Obj<'_, T>,
    id: OpId,
) -> PyResult<()> {
    if transport.is_intact(transport.py())? {
        return match event_loop.engine.with(|engine| engine.finish(id, |_| ())) {
            Some(((), outcome)) => finished(event_loop, transport, id, outcome),
            None => Ok(()),
        };
    }
    let error = Raised::from_err(transport.py(), errors::errno(Errno::BADF.raw_os_error()));
    transports::fatal_error(transport, &error, T::Channel::failure(During::Reading))
}

/// Does everything that an upcall leads to, in the connection's context, where somebody else writes.
pub fn execute_at_home<T: StreamTransport>(transport: &Obj<'_, T>, upcall: Upcall) -> PyResult<()> {
    let context = transport.link().upcall_context(transport.py())?;
    context::run_or_stay(&context, |_| execute(transport, upcall))
}

/// Does everything that an upcall leads to.
fn execute<T: StreamTransport>(transport: &Obj<'_, T>, upcall: Upcall) -> PyResult<()> {
    let mut next = Some(upcall);
    while let Some(upcall) = next {
        next = step(transport, upcall)?;
    }
    Ok(())
}

fn step<T: StreamTransport>(transport: &Obj<'_, T>, upcall: Upcall) -> PyResult<Option<Upcall>> {
    let py = transport.py();
    match upcall {
        Upcall::Data(lease) => {
            let Some(event_loop) = transport.link().event_loop.obj(py) else { return Ok(None) };
            let Some(protocol) = transport.link().protocol.get(py) else { return Ok(None) };
            if let Some(tls) =
                Obj::<SslProtocol>::cast_exact(&protocol).filter(|tls| tls.attribute_count() == 0)
            {
                return decrypt(&event_loop, transport, tls, lease).map(|()| None);
            }
            let received = match streams::plain(&protocol) {
                Some(native) => feed(&event_loop, native, lease),
                None => {
                    let bytes = take(&event_loop, py, lease);
                    call::method(names::data_received(py), [&protocol, bytes.as_any()]).map(drop)
                }
            };
            received.or_else(|error| {
                T::protocol_failed(transport, error, "Fatal error: protocol.data_received() call failed.")
            })?;
            Ok(None)
        }
        Upcall::Readable => readable(transport),
        Upcall::Eof => T::eof_received(transport).map(|()| None),
        Upcall::PeerClosed => peer_closed(transport).map(|()| None),
        Upcall::PauseWriting => {
            tell(transport, names::pause_writing(py), "protocol.pause_writing() failed")?;
            Ok(None)
        }
        Upcall::ResumeWriting(rest) => {
            tell(transport, names::resume_writing(py), "protocol.resume_writing() failed")?;
            go_on(transport, rest)
        }
        Upcall::Drained(rest) => {
            T::drained(transport, None)?;
            go_on(transport, rest)
        }
        Upcall::Fatal { during, error } => {
            let error = Raised::from_err(py, errors::os_error(&error));
            transports::report(transport, &error, T::Channel::failure(during))?;
            transports::lose_soon(transport, error.as_any())?;
            if during == During::Writing {
                T::drained(transport, Some(&error))?;
            }
            Ok(None)
        }
        Upcall::ShutDown => transports::by_methods::shut_down_of(transport).map(|()| None),
        Upcall::ConnectionLost => transports::connection_lost(transport, &none(py)).map(|()| None),
        Upcall::LostWrite(before) => {
            T::frames().write.log_lost_write(py, before, T::Channel::LOST_WRITE_WARNING).map(|()| None)
        }
        Upcall::Raise(error) => Err(errors::os_error(&error)),
    }
}

/// Goes on with what an upcall interrupted. The protocol may have closed the socket in between: then it cannot be shut down.
fn go_on<T: StreamTransport>(transport: &Obj<'_, T>, rest: Rest) -> PyResult<Option<Upcall>> {
    let shuts_down = transport.link().stream(|stream| stream.is_eof_written() && !stream.is_closing());
    if shuts_down && !transport.is_intact(transport.py())? {
        return Err(errors::errno(Errno::BADF.raw_os_error()));
    }
    act(transport, |stream, kernel| stream.go_on(kernel, rest))
}

/// Copies what was received and gives the buffer back.
#[inline]
fn take<'py>(event_loop: &Obj<'py, EventLoop>, py: Python<'py>, lease: Lease) -> Bound<'py, PyBytes> {
    event_loop.engine.with(|engine| {
        let bytes = PyBytes::new(py, engine.driver.bytes(&lease));
        engine.driver.recycle(lease);
        bytes
    })
}

/// Gives what was received to a reader, and the buffer back.
#[inline]
fn feed<'py>(
    event_loop: &Obj<'py, EventLoop>,
    protocol: &Obj<'py, StreamReaderProtocol>,
    lease: Lease,
) -> PyResult<()> {
    let Some(reader) = streams::joining(protocol, lease.len()) else {
        return streams::data_received(protocol, &take(event_loop, protocol.py(), lease));
    };
    event_loop.engine.with(|engine| {
        let joined = streams::join(&reader, engine.driver.bytes(&lease));
        engine.driver.recycle(lease);
        joined
    })?;
    streams::fed(&reader)
}

/// Gives what was received to TLS, and the buffer back.
#[inline]
fn decrypt<T: StreamTransport>(
    event_loop: &Obj<'_, EventLoop>,
    transport: &Obj<'_, T>,
    protocol: &Obj<'_, SslProtocol>,
    lease: Lease,
) -> PyResult<()> {
    let fed = event_loop.engine.with(|engine| {
        let fed = protocol.feed(engine.driver.bytes(&lease));
        if fed {
            engine.driver.recycle(lease);
            Ok(())
        } else {
            Err(lease)
        }
    });
    let received = match fed {
        Ok(()) => sslproto::advance(protocol),
        Err(lease) => sslproto::received(protocol, take(event_loop, transport.py(), lease).as_any()),
    };
    match received {
        Ok(()) => Ok(()),
        // In asyncio TLS is a protocol with a buffer.
        Err(error) => {
            T::protocol_failed(transport, error, "Fatal error: protocol.buffer_updated() call failed.")
        }
    }
}

/// A protocol method without arguments whose failure is reported and changes nothing.
fn tell<'py, T: StreamTransport>(
    transport: &Obj<'py, T>,
    method: &Bound<'py, pyo3::types::PyString>,
    message: &str,
) -> PyResult<()> {
    let py = transport.py();
    let Some(protocol) = transport.link().protocol.get(py) else { return Ok(()) };
    match call::method(method, [&protocol]) {
        Ok(_) => Ok(()),
        Err(error) => transports::tell_handler(transport, &transports::unless_fatal(py, error)?, message),
    }
}

/// `_read_ready` of a writing end.
fn peer_closed<T: StreamTransport>(transport: &Obj<'_, T>) -> PyResult<()> {
    let py = transport.py();
    transports::log_in_debug(transport, &T::frames().end_of_stream, "info", "%r was closed by peer")?;
    match act(transport, |stream, kernel| stream.hang_up(kernel))? {
        None => Ok(()),
        Some(0) => transports::lose_soon(transport, &none(py)),
        Some(_) => transports::lose_soon(transport, PyBrokenPipeError::new_err(()).value(py)),
    }
}

/// `_read_ready__get_buffer`.
fn readable<'py, T: StreamTransport>(transport: &Obj<'py, T>) -> PyResult<Option<Upcall>> {
    let py = transport.py();
    let Some(protocol) = transport.link().protocol.get(py) else { return Ok(None) };
    let buffer = match get_buffer(py, &protocol) {
        Ok(buffer) => buffer,
        Err(error) => {
            T::protocol_failed(transport, error, "Fatal error: protocol.get_buffer() call failed.")?;
            return Ok(None);
        }
    };
    if !transport.is_intact(py)? {
        let error = Raised::from_err(py, errors::errno(Errno::BADF.raw_os_error()));
        transports::fatal_error(transport, &error, T::Channel::failure(During::Reading))?;
        return Ok(None);
    }
    let received = match Buffer::get(&buffer, true) {
        Ok(mut buffer) => act(transport, |stream, kernel| stream.read_into(kernel, buffer.bytes_mut()))?,
        Err(error) => {
            drop(Raised::from_err(py, error));
            // What `socket.recv_into` says.
            let class = buffer.get_type();
            let text =
                format!("recv_into() argument 1 must be read-write bytes-like object, not {}", class.name()?);
            T::protocol_failed(transport, PyTypeError::new_err(text), T::Channel::failure(During::Reading))?;
            return Ok(None);
        }
    };
    let count = match received {
        ReadInto::Bytes(count) => count.into_pyobject(py)?.into_any(),
        ReadInto::Nothing => return Ok(None),
        ReadInto::Upcall(upcall) => return Ok(Some(upcall)),
    };
    if let Err(error) = call::method(names::buffer_updated(py), [&protocol, &count]) {
        T::protocol_failed(transport, error, "Fatal error: protocol.buffer_updated() call failed.")?;
    }
    Ok(None)
}

/// The buffer of a `BufferedProtocol`, which is not empty.
pub fn get_buffer<'py>(py: Python<'py>, protocol: &Bound<'py, PyAny>) -> Output<'py> {
    let hint = (-1_i32).into_pyobject(py)?.into_any();
    let buffer = call::method(names::get_buffer(py), [protocol, &hint])?;
    if buffer.len()? == 0 {
        return Err(PyRuntimeError::new_err("get_buffer() returned an empty buffer"));
    }
    Ok(buffer)
}

/// Reports what a callback of the loop raised: `Handle._run` would have.
#[cold]
pub fn report<T: StreamTransport>(
    event_loop: &Obj<'_, EventLoop>,
    transport: &Obj<'_, T>,
    error: PyErr,
) -> PyResult<()> {
    let function = transport.as_any().getattr(names::_call_connection_lost(transport.py()))?;
    events::report(&Handle::with_arg(event_loop.as_any(), function, None, None)?, error)
}
