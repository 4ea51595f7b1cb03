//! Extra information, and the attributes of asyncio's transport that libraries read although they are
//! private.

use std::cell::Cell;

use pyo3::prelude::*;

use super::data::SocketTransport;
use super::writing;
use crate::ffi::{Obj, Signature, Table};
use crate::transports::attributes::{GET_EXTRA_INFO, flow_table};
use crate::transports::connection::Connection;
use crate::transports::on_socket::{self, Activity, OnSocket};

impl OnSocket for SocketTransport {
    const FATAL_ERROR: &'static Signature<2> =
        &Signature::new("_SelectorSocketTransport._fatal_error", "exc, message='Fatal error on transport'");
    const GET_EXTRA_INFO: &'static Signature<2> = &GET_EXTRA_INFO;

    #[inline]
    fn connection(&self) -> &Connection {
        &self.connection
    }

    #[inline]
    fn exposed(&self) -> &Cell<bool> {
        &self.exposed
    }

    fn activity(&self) -> Activity {
        self.stream(|stream| Activity {
            closing: stream.is_closing(),
            reading: stream.read_op().is_some(),
            writing: stream.write_op().is_some(),
            unsent: stream.write_buffer_size(),
        })
    }

    fn before_exposure(transport: &Obj<'_, Self>) -> PyResult<()> {
        writing::flush(transport)
    }
}

pub(super) fn table(t: &mut Table<SocketTransport>) {
    on_socket::table(t);
    t.getter(c"_server", |transport| Ok(transport.server.get_or_none(transport.py())));
    #[cfg(Py_3_15)]
    t.getter(c"_context", |transport| Ok(transport.link.context.get_or_none(transport.py())));
    t.value(c"_eof", |transport| transport.stream(|stream| stream.is_eof_written()));
    flow_table(t);
}
