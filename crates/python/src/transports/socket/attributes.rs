//! Extra information, and the attributes of asyncio's transport that libraries read although they are private.

use pyo3::IntoPyObject;

use super::data::SocketTransport;
use super::writing;
use crate::ffi::{Table, boolean, none};
use crate::transports::attributes::{GET_EXTRA_INFO, common_table, flow_table, unless_gone};
use crate::transports::connection;

pub(super) fn table(t: &mut Table<SocketTransport>) {
    t.method(
        &GET_EXTRA_INFO,
        |transport, args| {
            let [name, default] = args.parse(&GET_EXTRA_INFO)?;
            // Whoever asks for the socket may use it: what was written comes first.
            writing::flush(transport)?;
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
        writing::flush(transport)?;
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
