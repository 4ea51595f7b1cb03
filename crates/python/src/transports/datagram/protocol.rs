//! What the protocol of a datagram socket is told of datagrams and of errors. Nothing is borrowed meanwhile.

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::data::DatagramTransport;
use crate::ffi::{Obj, Raised, call};
use crate::transports::closing::{tell_handler, unless_fatal};
use crate::{errors, names};

/// `protocol.datagram_received(data, sender)`
#[inline]
pub(super) fn datagram_received<'py>(
    transport: &Obj<'py, DatagramTransport>,
    data: &Bound<'py, PyAny>,
    sender: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = transport.py();
    let Some(protocol) = transport.endpoint.protocol.get(py) else { return Ok(()) };
    call::method(names::datagram_received(py), [&protocol, data, sender]).map(drop)
}

/// Python code closed the socket itself: as far as asyncio's transport can tell, what it does fails.
#[cold]
pub(super) fn closed_by_the_program(transport: &Obj<'_, DatagramTransport>) -> PyResult<()> {
    let error = errors::bad_descriptor();
    error_received(transport, &Raised::from_err(transport.py(), error))
}

/// `protocol.error_received(error)`: a datagram was refused, on its way out or where it was to go.
pub(super) fn error_received(transport: &Obj<'_, DatagramTransport>, error: &Raised<'_>) -> PyResult<()> {
    let py = transport.py();
    let protocol = transport.endpoint.protocol.get_or_none(py);
    error.handling(|| call::method(names::error_received(py), [&protocol, error.as_any()])).map(drop)
}

/// A protocol method without arguments whose failure is reported and changes nothing.
pub(super) fn tell<'py>(
    transport: &Obj<'py, DatagramTransport>,
    method: &Bound<'py, PyString>,
    message: &str,
) -> PyResult<()> {
    let py = transport.py();
    let Some(protocol) = transport.endpoint.protocol.get(py) else { return Ok(()) };
    match call::method(method, [&protocol]) {
        Ok(_) => Ok(()),
        Err(error) => tell_handler(transport, &unless_fatal(py, error)?, message),
    }
}
