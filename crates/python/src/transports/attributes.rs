//! Attributes of asyncio's transports that libraries read although they are private.

use super::endpoint::{Machine, Transport, unless_gone};
use super::link::StreamTransport;
use crate::ffi::{Signature, Table};

pub(super) const GET_EXTRA_INFO: Signature<2> =
    Signature::new("BaseTransport.get_extra_info", "name, default=None");

/// What all transports have.
pub(super) fn common_table<T: Transport>(t: &mut Table<T>) {
    t.getter(c"_loop", |transport| {
        unless_gone(transport, || Ok(transport.event_loop(transport.py())?.into_any()))
    });
    t.value(c"_closing", |transport| transport.endpoint().machine(|machine| machine.is_closing()));
}

/// What those have that write.
pub(super) fn flow_table<T: StreamTransport>(t: &mut Table<T>) {
    t.value(c"_protocol_paused", |transport| transport.link().stream(|stream| stream.is_writing_paused()));
    t.value(c"_conn_lost", |transport| transport.link().stream(|stream| stream.lost_count()));
    t.value(c"_low_water", |transport| transport.link().stream(|stream| stream.write_buffer_limits()).0);
    t.value(c"_high_water", |transport| transport.link().stream(|stream| stream.write_buffer_limits()).1);
}
