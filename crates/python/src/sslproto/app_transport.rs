//! The data of an [`SslTransport`], and what its protocol does with it. It has no state but whether it was
//! closed.

use std::cell::Cell;

use pyo3::prelude::*;

use super::data::{SslProtocol, nobody};
use crate::ffi::{Create, Obj, Output, Ref, Slot};
use crate::replaced::names as replaced;

/// The data of an `_SSLProtocolTransport`.
#[derive(Default)]
#[repr(C)]
pub struct SslTransport {
    /// Let go by the second `close()`.
    pub(super) protocol: Slot<SslProtocol>,
    pub(super) closed: Cell<bool>,
    pub(super) event_loop: Slot,
}

/// The transport of a connection.
pub fn new<'py>(protocol: &Obj<'py, SslProtocol>) -> Output<'py> {
    let py = protocol.py();
    if let Some(class) = replaced::SSL_TRANSPORT.maker::<SslTransport>(py)? {
        return class.call1((protocol.event_loop.get_or_none(py), protocol.as_any()));
    }
    let transport = SslTransport::create(protocol.py())?;
    transport.protocol.set(Ref::of(protocol.clone()));
    transport.event_loop.put(protocol.event_loop.get_or_none(protocol.py()));
    Ok(transport.into_any())
}

/// `_closed` of a connection's transport: nothing is written any more, and nobody need be warned.
pub fn mark_closed(protocol: &Obj<'_, SslProtocol>) -> PyResult<()> {
    let Some(transport) = protocol.app_transport.get(protocol.py()) else { return Ok(()) };
    match Obj::<SslTransport>::cast(&transport) {
        Some(native) => native.mark_closed(),
        None => transport.setattr(name!("_closed"), true)?,
    }
    Ok(())
}

impl SslTransport {
    /// Nothing is written any more, and nobody need be warned.
    pub fn mark_closed(&self) {
        self.closed.set(true);
    }

    /// The protocol, of which asyncio would want `attribute`.
    #[inline]
    pub(super) fn protocol<'py>(&self, py: Python<'py>, attribute: &str) -> PyResult<Obj<'py, SslProtocol>> {
        self.protocol.obj(py).ok_or_else(|| nobody(attribute))
    }
}
