//! Extra information, and the attributes of asyncio's transport that libraries read although they are private.

use pyo3::prelude::*;

use super::{SocketTransport, StreamTransport, connection, writing};
use crate::ffi::{Obj, Output, Signature, Table, boolean, none};

pub(super) const GET_EXTRA_INFO: Signature<2> =
    Signature::new("BaseTransport.get_extra_info", "name, default=None");

pub(super) fn table(t: &mut Table<SocketTransport>) {
    t.method(
        &GET_EXTRA_INFO,
        |transport, args| {
            let [name, default] = args.parse(&GET_EXTRA_INFO)?;
            // Whoever asks for the socket may use it: what was written comes first.
            writing::uncork(transport)?;
            if connection::shows_socket(&name) {
                transport.exposed.set(true);
            }
            transport.connection.extra_info(&name, default)
        },
        "What is known about the connection: 'peername', 'sockname', 'socket'.",
    );
    t.property(
        c"_extra",
        |transport| {
            transport.exposed.set(true);
            transport.connection.extra(transport.py())
        },
        |transport, extra| {
            transport.connection.set_extra(extra.map_or_else(|| none(transport.py()), Clone::clone));
            Ok(())
        },
    );
    t.getter(c"_sock", |transport| {
        writing::uncork(transport)?;
        transport.exposed.set(true);
        unless_gone(transport, || transport.connection.socket(transport.py()))
    });
    t.getter(c"_sock_fd", |transport| {
        Ok(transport.connection.fd().into_pyobject(transport.py())?.into_any())
    });
    t.getter(c"_server", |transport| Ok(transport.server.get_or_none(transport.py())));
    #[cfg(Py_3_15)]
    t.getter(c"_context", |transport| Ok(transport.link.context.get_or_none(transport.py())));
    t.getter(c"_eof", |transport| {
        Ok(boolean(transport.py(), transport.stream(|stream| stream.is_eof_written())))
    });
    t.getter(c"_protocol_connected", |transport| Ok(boolean(transport.py(), transport.connection.fd() >= 0)));
    common_table(t);
    flow_table(t);
}

/// What all transports have.
pub(super) fn common_table<T: StreamTransport>(t: &mut Table<T>) {
    t.getter(c"_loop", |transport| {
        unless_gone(transport, || Ok(transport.event_loop(transport.py())?.into_any()))
    });
    t.getter(c"_closing", |transport| {
        Ok(boolean(transport.py(), transport.link().stream(|stream| stream.is_closing())))
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

fn unless_gone<'py, T: StreamTransport>(
    transport: &Obj<'py, T>,
    read: impl FnOnce() -> Output<'py>,
) -> Output<'py> {
    let link = transport.link();
    if link.gone.get() || link.event_loop.is_empty() { Ok(none(transport.py())) } else { read() }
}
