//! Where Rust calls a protocol. The machines of the engine say what has to be told ([`Upcall`]); this file
//! tells it, for every class of transports.
//!
//! Nothing of a machine or of the loop is borrowed meanwhile, so a protocol may call its transport from
//! anywhere. Called by the loop's turn and by the transport's methods; calls protocols, and
//! [`super::closing`] when one fails.

use pyo3::exceptions::{PyBrokenPipeError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use yibu_engine::transport::{Channel, During, ReadInto, Rest, Upcall};
use yibu_engine::{OpId, Outcome};

use super::closing;
use super::endpoint::{act, log_in_debug};
use super::link::StreamTransport;
use super::receiver::{NotTaken, Received};
use crate::core::EventLoop;
use crate::events::{self, Handle};
use crate::ffi::buffer::Buffer;
use crate::ffi::{Obj, Output, Raised, call, context, none};
use crate::{errors, names};

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
    let context = transport.endpoint().upcall_context(py)?;
    context::run(&context, |_| execute(transport, upcall))
        .or_else(|error| report(event_loop, transport, error))
}

/// The same for a transport whose socket Python code may have closed since the report: the number may be
/// another file's.
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
    let error = Raised::from_err(transport.py(), errors::bad_descriptor());
    closing::fatal_error(transport, &error, T::Channel::failure(During::Reading))
}

/// Does everything that an upcall leads to, in the connection's context, where other code writes.
pub fn execute_in_context<T: StreamTransport>(transport: &Obj<'_, T>, upcall: Upcall) -> PyResult<()> {
    let context = transport.endpoint().upcall_context(transport.py())?;
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
            let link = transport.link();
            let Some(event_loop) = link.endpoint.event_loop.obj(py) else { return Ok(None) };
            let Some(protocol) = link.endpoint.protocol.get(py) else { return Ok(None) };
            deliver(transport, &protocol, Received::new(&event_loop, lease)).map(|()| None)
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
            closing::report(transport, &error, T::Channel::failure(during))?;
            closing::lose_soon(transport, error.as_any())?;
            if during == During::Writing {
                T::drained(transport, Some(&error))?;
            }
            Ok(None)
        }
        Upcall::ShutDown => closing::shut_down_of(transport).map(|()| None),
        Upcall::ConnectionLost => closing::connection_lost(transport, &none(py)).map(|()| None),
        Upcall::LostWrite(before) => {
            T::frames().write.log_lost_write(py, before, T::Channel::LOST_WRITE_WARNING).map(|()| None)
        }
        Upcall::Raise(error) => Err(errors::os_error(&error)),
    }
}

/// Goes on with what an upcall interrupted. The protocol may have closed the socket in between: then it
/// cannot be shut down.
fn go_on<T: StreamTransport>(transport: &Obj<'_, T>, rest: Rest) -> PyResult<Option<Upcall>> {
    let shuts_down = transport.link().stream(|stream| stream.is_eof_written() && !stream.is_closing());
    if shuts_down && !transport.is_intact(transport.py())? {
        return Err(errors::bad_descriptor());
    }
    act(transport, |stream, kernel| stream.go_on(kernel, rest))
}

/// Gives the protocol what was received: natively where its class knows how, else by `data_received`.
#[inline]
fn deliver<'a, 'py, T: StreamTransport>(
    transport: &Obj<'py, T>,
    protocol: &'a Bound<'py, PyAny>,
    received: Received<'a, 'py>,
) -> PyResult<()> {
    let received = match transport.link().receiver.get() {
        None => received,
        Some(receiver) => match (receiver.received)(protocol, received) {
            Ok(()) => return Ok(()),
            Err(NotTaken::Declined(received)) => received,
            Err(NotTaken::Failed(error)) => return T::protocol_failed(transport, error, receiver.failure),
        },
    };
    let (method, bytes) = (names::data_received(transport.py()), received.copy());
    match call::method(method, [protocol, bytes.as_any()]) {
        Ok(_) => Ok(()),
        Err(error) => {
            T::protocol_failed(transport, error, "Fatal error: protocol.data_received() call failed.")
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
    let Some(protocol) = transport.endpoint().protocol.get(py) else { return Ok(()) };
    match call::method(method, [&protocol]) {
        Ok(_) => Ok(()),
        Err(error) => closing::tell_handler(transport, &closing::unless_fatal(py, error)?, message),
    }
}

/// `_read_ready` of a writing end.
fn peer_closed<T: StreamTransport>(transport: &Obj<'_, T>) -> PyResult<()> {
    let py = transport.py();
    log_in_debug(transport, &T::frames().end_of_stream, "info", "%r was closed by peer")?;
    match act(transport, |stream, kernel| stream.hang_up(kernel))? {
        None => Ok(()),
        Some(0) => closing::lose_soon(transport, &none(py)),
        Some(_) => closing::lose_soon(transport, PyBrokenPipeError::new_err(()).value(py)),
    }
}

/// `_read_ready__get_buffer`.
fn readable<'py, T: StreamTransport>(transport: &Obj<'py, T>) -> PyResult<Option<Upcall>> {
    let py = transport.py();
    let Some(protocol) = transport.endpoint().protocol.get(py) else { return Ok(None) };
    let buffer = match get_buffer(py, &protocol) {
        Ok(buffer) => buffer,
        Err(error) => {
            T::protocol_failed(transport, error, "Fatal error: protocol.get_buffer() call failed.")?;
            return Ok(None);
        }
    };
    if !transport.is_intact(py)? {
        let error = Raised::from_err(py, errors::bad_descriptor());
        closing::fatal_error(transport, &error, T::Channel::failure(During::Reading))?;
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
