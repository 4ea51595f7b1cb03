//! What `socket.getaddrinfo` says of a numeric address, without the C library.
//!
//! The C library opens no file for such an address, but takes a microsecond, and the standard library half of
//! one to make enumerations of the numbers. Called by [`super::resolve`] for what the loop's thread answers
//! itself.

use std::net::{IpAddr, SocketAddr};

use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList, PyString, PyTuple};

use super::resolve::{AF_INET, AF_INET6, AF_UNSPEC, IPPROTO_TCP, IPPROTO_UDP, SOCK_DGRAM, SOCK_STREAM};
use crate::ffi::audit;
use crate::replaced::names::sockets;
use crate::{addresses, stock};

/// The answer to `(host, port, family, type, proto, flags)`. `None` where the standard library is to say it:
/// for a question that is not an ordinary one, for one that has several answers or none, and where a program
/// sees which function is asked.
pub(super) fn answer<'py>(question: &Bound<'py, PyTuple>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = question.py();
    let (host, port) = (question.get_item(0)?, question.get_item(1)?);
    let Some(host) = ip(&host) else { return Ok(None) };
    let Some(port) = port_number(&port) else { return Ok(None) };
    let number = |index: usize| -> PyResult<Option<i32>> {
        let number = question.get_item(index)?;
        Ok(number.is_instance_of::<PyInt>().then(|| number.extract()).and_then(Result::ok))
    };
    let (Some(family), Some(kind), Some(protocol), Some(0)) =
        (number(2)?, number(3)?, number(4)?, number(5)?)
    else {
        return Ok(None);
    };
    let (found, family_object) = match host {
        IpAddr::V4(_) => (AF_INET, stock::af_inet(py)?),
        IpAddr::V6(_) => (AF_INET6, stock::af_inet6(py)?),
    };
    // The kind of socket must be given: how many there are for "any" is up to the C library.
    let (only, kind_object) = match kind {
        SOCK_STREAM => (IPPROTO_TCP, stock::sock_stream(py)?),
        SOCK_DGRAM => (IPPROTO_UDP, stock::sock_dgram(py)?),
        _ => return Ok(None),
    };
    let is_ordinary = (family == AF_UNSPEC || family == found) && (protocol == 0 || protocol == only);
    if !is_ordinary || sockets::C_GETADDRINFO.is_replaced(py) || audit::is_watched(py) {
        return Ok(None);
    }
    let address = addresses::of(py, SocketAddr::new(host, port))?;
    let info = (family_object, kind_object, only, "", address).into_pyobject(py)?;
    Ok(Some(PyList::new(py, [info])?.into_any()))
}

fn ip(host: &Bound<'_, PyAny>) -> Option<IpAddr> {
    host.cast_exact::<PyString>().ok()?.to_str().ok()?.parse().ok()
}

/// A port as `getaddrinfo` gives it back; of a number that is none, the C library makes another.
fn port_number(port: &Bound<'_, PyAny>) -> Option<u16> {
    if port.is_none() { Some(0) } else { port.cast_exact::<PyInt>().ok()?.extract().ok() }
}
