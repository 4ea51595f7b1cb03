//! Reading from a socket: how a protocol wants its data, and the end of what is read.

use pyo3::prelude::*;
use yibu_engine::transport::Reading;

use super::data::SocketTransport;
use crate::ffi::{Obj, call};
use crate::transports::endpoint::{Transport, act, log_in_debug, refused};
use crate::transports::link::StreamTransport;
use crate::transports::receiver;
use crate::{names, stock};

/// How a protocol wants its data from a socket.
pub(super) fn kind(protocol: &Bound<'_, PyAny>) -> PyResult<Reading> {
    // A native receiver takes bytes, and without a buffer of its own.
    let buffered = receiver::find(protocol).is_none()
        && protocol.is_instance(stock::buffered_protocol(protocol.py())?)?;
    Ok(if buffered { Reading::Buffered } else { Reading::Leased })
}

/// A socket's next protocol may want its data another way.
pub(super) fn follow(transport: &Obj<'_, SocketTransport>, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
    let reading = kind(protocol)?;
    act(transport, |stream, kernel| stream.set_reading(kernel, reading))?
        .map_err(|error| refused(transport, &error))
}

/// `_read_ready__on_eof` of a socket.
pub(super) fn eof_received(transport: &Obj<'_, SocketTransport>) -> PyResult<()> {
    let py = transport.py();
    log_in_debug(transport, &SocketTransport::frames().end_of_stream, "debug", "%r received EOF")?;
    let Some(protocol) = transport.endpoint().protocol.get(py) else { return Ok(()) };
    let answer = call::method(names::eof_received(py), [&protocol]);
    match answer.and_then(|answer| answer.is_truthy()) {
        Ok(true) => act(transport, |stream, kernel| stream.on_eof_reply(kernel, true)).map(drop),
        // By name: a subclass, or the instance, may have its own.
        Ok(false) => transport.as_any().call_method0(names::close(py)).map(drop),
        Err(error) => SocketTransport::protocol_failed(
            transport,
            error,
            "Fatal error: protocol.eof_received() call failed.",
        ),
    }
}
