//! Whether sockets are the standard library's own: then native code may act on their descriptors, past their
//! methods.

use pyo3::prelude::*;

use super::names::{SOCKET_METHODS, sockets};
use crate::stock;

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
