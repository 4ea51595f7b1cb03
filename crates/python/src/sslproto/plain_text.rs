//! What was decrypted goes to the application's protocol: as bytes, or into the buffer that it lends.

use pyo3::prelude::*;

use super::data::{Protocol, call_soon, nobody};
use super::tls::Plain;
use crate::ffi::call;
use crate::{names, streams};

/// `_do_read__copied`. True when the peer has said that nothing follows.
#[inline]
pub(super) fn deliver_bytes(protocol: Protocol<'_, '_>) -> PyResult<bool> {
    let py = protocol.py();
    let Plain { data, closed } = protocol.tls.read(py)?;
    let Some(data) = data else { return Ok(closed) };
    let Some(app_protocol) = protocol.app_protocol.get(py) else { return Err(nobody("data_received")) };
    if let Some(stream) = streams::plain(&app_protocol) {
        streams::data_received(stream, &data)?;
    } else {
        call::method(names::data_received(py), [&app_protocol, data.as_any()])?;
    }
    Ok(closed)
}

/// `_do_read__buffered`: the same for a protocol that lends its buffer.
pub(super) fn deliver_into_buffer(protocol: Protocol<'_, '_>) -> PyResult<bool> {
    let py = protocol.py();
    if !protocol.tls.may_read(py)? {
        return Ok(false);
    }
    let Some(app_protocol) = protocol.app_protocol.get(py) else { return Err(nobody("get_buffer")) };
    let hint = protocol.tls.incoming_size(py)?.into_pyobject(py)?.into_any();
    let buffer = call::method(names::get_buffer(py), [&app_protocol, &hint])?;
    let filled = protocol.tls.read_into(&buffer)?;
    if filled.full {
        call_soon(protocol, name!("_do_read"))?;
    }
    if filled.count > 0 {
        let count = filled.count.into_pyobject(py)?.into_any();
        call::method(names::buffer_updated(py), [&app_protocol, &count])?;
    }
    Ok(filled.closed)
}
