//! Datagrams that go by the methods of the socket object: names to be resolved, other families, sockets of a
//! class of their own.

use pyo3::exceptions::{PyBlockingIOError, PyInterruptedError, PyOSError};
use pyo3::prelude::*;
use yibu_engine::transport::{DatagramUpcall, Handed};

use super::data::{DatagramTransport, MAX_SIZE};
use super::protocol::{datagram_received, error_received};
use super::queued::{Queued, Route};
use crate::ffi::{Obj, call, none};
use crate::names;
use crate::transports::closing::{fatal_error, unless_fatal};
use crate::transports::endpoint::act;

/// An upcall of this crate's datagrams.
pub(super) type Upcall = DatagramUpcall<Queued>;

pub(super) const FATAL_WRITE_ERROR: &str = "Fatal write error on datagram transport";

/// `_read_ready`, by the socket object.
pub(super) fn receive(transport: &Obj<'_, DatagramTransport>) -> PyResult<()> {
    let py = transport.py();
    if transport.machine(|machine| machine.is_lost()) {
        return Ok(());
    }
    let size = MAX_SIZE.into_pyobject(py)?.into_any();
    let received = call::method(names::recvfrom(py), [&transport.connection.socket(py)?, &size])
        .and_then(|pair| pair.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>());
    let error = match received {
        Ok((data, sender)) => return datagram_received(transport, &data, &sender),
        Err(error) => unless_fatal(py, error)?,
    };
    if error.is::<PyBlockingIOError>() || error.is::<PyInterruptedError>() {
        Ok(())
    } else if error.is::<PyOSError>() {
        error_received(transport, &error)
    } else {
        fatal_error(transport, &error, "Fatal read error on datagram transport")
    }
}

/// Sends by the methods of the socket object.
pub(super) fn send_by_object<'py>(
    transport: &Obj<'py, DatagramTransport>,
    data: &Bound<'py, PyAny>,
    address: &Bound<'py, PyAny>,
) -> PyResult<Handed<()>> {
    let py = transport.py();
    let socket = transport.connection.socket(py)?;
    // The other end of a pair has no name, but is there.
    let sent = if transport.connected.get() || (transport.paired.get() && address.is_none()) {
        call::method(names::send(py), [&socket, data])
    } else {
        call::method(names::sendto(py), [&socket, data, address])
    };
    let Err(error) = sent else { return Ok(Handed::Done) };
    let error = unless_fatal(py, error)?;
    if error.is::<PyBlockingIOError>() || error.is::<PyInterruptedError>() {
        return Ok(Handed::Again(()));
    }
    if error.is::<PyOSError>() {
        error_received(transport, &error)?;
    } else {
        fatal_error(transport, &error, FATAL_WRITE_ERROR)?;
    }
    Ok(Handed::Refused)
}

/// Sends what waited for the socket object, and tells the machine whether it was sent.
pub(super) fn hand_over(
    transport: &Obj<'_, DatagramTransport>,
    datagram: Queued,
) -> PyResult<Option<Upcall>> {
    let py = transport.py();
    let address = match &datagram.route {
        Route::Object(address) => address.copy(py).into_any(py),
        Route::Connected | Route::Kernel(_) => none(py),
    };
    let came_of_it = match send_by_object(transport, datagram.data(py).as_any(), &address)? {
        Handed::Done => Handed::Done,
        Handed::Again(()) => Handed::Again(datagram),
        Handed::Refused => Handed::Refused,
    };
    act(transport, |machine, kernel| machine.handed_over(kernel, came_of_it))
}
