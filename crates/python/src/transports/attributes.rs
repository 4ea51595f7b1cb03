//! Attributes of asyncio's transports that libraries read although they are private.

use pyo3::prelude::*;

use super::endpoint::{Machine, Transport, unless_gone};
use super::link::StreamTransport;
use crate::ffi::{Signature, Table, boolean};

pub(super) const GET_EXTRA_INFO: Signature<2> =
    Signature::new("BaseTransport.get_extra_info", "name, default=None");

/// What all transports have.
pub(super) fn common_table<T: Transport>(t: &mut Table<T>) {
    t.getter(c"_loop", |transport| {
        unless_gone(transport, || Ok(transport.event_loop(transport.py())?.into_any()))
    });
    t.getter(c"_closing", |transport| {
        Ok(boolean(transport.py(), transport.endpoint().machine(|machine| machine.is_closing())))
    });
}

/// What those have that write.
pub(super) fn flow_table<T: StreamTransport>(t: &mut Table<T>) {
    t.getter(c"_protocol_paused", |transport| {
        Ok(boolean(transport.py(), transport.link().stream(|stream| stream.is_writing_paused())))
    });
    t.getter(c"_conn_lost", |transport| {
        let count = transport.link().stream(|stream| stream.lost_count());
        Ok(count.into_pyobject(transport.py())?.into_any())
    });
    t.getter(c"_low_water", |transport| {
        let (low, _) = transport.link().stream(|stream| stream.write_buffer_limits());
        Ok(low.into_pyobject(transport.py())?.into_any())
    });
    t.getter(c"_high_water", |transport| {
        let (_, high) = transport.link().stream(|stream| stream.write_buffer_limits());
        Ok(high.into_pyobject(transport.py())?.into_any())
    });
}
