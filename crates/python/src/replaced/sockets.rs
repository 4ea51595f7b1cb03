//! Whether sockets are the standard library's own: then native code may act on their descriptors, past their
//! methods.

use pyo3::prelude::*;
use yibu_engine::Fd;

use super::names::{SOCKET_METHODS, sockets};
use crate::ffi::{call, socket};
use crate::{names, stock};

/// Whether it is a `socket.socket` and no subclass, and has its methods as they came: then they need not be
/// asked.
#[inline]
pub fn is_plain(socket: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = socket.py();
    Ok(socket.get_type().is(stock::socket(py)?) && SOCKET_METHODS.are_original(py)?)
}

/// Whether no program has replaced `socket.socket`, of which `accept()` makes what it accepts, or any of its
/// methods.
#[inline]
pub fn are_original(py: Python<'_>) -> PyResult<bool> {
    Ok(SOCKET_METHODS.are_original(py)? && !sockets::CLASS_FOR_ACCEPT.is_replaced(py))
}

/// `socket.fileno()`: the number of the descriptor, -1 once the socket is closed.
#[inline]
pub fn fileno(socket: &Bound<'_, PyAny>) -> PyResult<Fd> {
    if SOCKET_METHODS.are_original(socket.py())?
        && let Some(number) = socket::number(socket)
    {
        return Ok(number);
    }
    ask(socket)
}

/// The same by the method.
#[inline(never)]
fn ask(socket: &Bound<'_, PyAny>) -> PyResult<Fd> {
    let number = call::method(names::fileno(socket.py()), [socket])?.extract()?;
    if is_plain(socket)? {
        socket::learn(socket, number)?;
    }
    Ok(number)
}
