//! The attributes of `SSLProtocol` that tests and libraries look at although they are private.

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::data::{AppState, Protocol, SslProtocol, extra_info, set_app_protocol, wake_waiter};
use super::flow;
use crate::attributes::write;
use crate::ffi::{Output, Ref, Signature, Slot, Table, none};
use crate::names::interned;

const EXTRA: Signature<2> = Signature::new("SSLProtocol._get_extra_info", "name, default=None");
const WAKE: Signature<1> = Signature::new("SSLProtocol._wakeup_waiter", "exc=None");

fn number<'py>(py: Python<'py>, number: i64) -> Output<'py> {
    Ok(number.into_pyobject(py)?.into_any())
}

fn size<'py>(py: Python<'py>, size: usize) -> Output<'py> {
    Ok(size.into_pyobject(py)?.into_any())
}

fn object<'py>(protocol: Protocol<'_, 'py>, slot: &Slot) -> Output<'py> {
    Ok(slot.get_or_none(protocol.py()))
}

/// A member of one of the enumerations of `asyncio.sslproto`.
fn member<'py>(py: Python<'py>, enumeration: &str, name: &str) -> Output<'py> {
    py.import("asyncio.sslproto")?.getattr(interned(py, enumeration))?.getattr(interned(py, name))
}

pub(super) fn table(t: &mut Table<SslProtocol>) {
    neighbours(t);
    states(t);
    amounts(t);
}

fn neighbours(t: &mut Table<SslProtocol>) {
    t.method(
        &EXTRA,
        |protocol, args| {
            let [name, default] = args.parse(&EXTRA)?;
            extra_info(protocol, name, default)
        },
        "What is known about the connection.",
    );
    t.command(
        &WAKE,
        |protocol, args| {
            let [error] = args.parse(&WAKE)?;
            wake_waiter(protocol, (!error.is_none()).then_some(&error))
        },
        "Completes the waiter, once.",
    );
    t.action_on(
        c"_set_app_protocol",
        "app_protocol",
        set_app_protocol,
        "Gives what is read from now on to another protocol.",
    );
    t.getter(c"_app_transport", |p| Ok(p.app_transport(p.py())));
    t.getter(c"_loop", |p| object(p, &p.event_loop));
    t.getter(c"_app_protocol", |p| object(p, &p.app_protocol));
    t.value(c"_app_protocol_is_buffer", |p| p.app_buffered.get());
    t.property(c"_transport", |p| object(p, &p.transport), |p, value| write(&p.transport, value));
    t.property(c"_waiter", |p| object(p, &p.waiter), |p, value| write(&p.waiter, value));
    t.getter(c"_sslcontext", |p| object(p, &p.context));
    t.value(c"_server_side", |p| p.server_side.get());
    t.getter(c"_server_hostname", |p| object(p, &p.server_hostname));
    t.getter(c"_extra", |p| object(p, &p.extra));
    t.getter(c"_ssl_handshake_timeout", |p| object(p, &p.handshake_timeout));
    t.getter(c"_ssl_shutdown_timeout", |p| object(p, &p.shutdown_timeout));
    t.property(
        c"_sslobj",
        |p| Ok(p.tls.object(p.py())),
        |p, value| p.tls.set_object(value.unwrap_or(&none(p.py()))),
    );
    t.property(
        c"_incoming",
        |p| Ok(p.tls.incoming(p.py())),
        |p, value| p.tls.set_incoming(value.unwrap_or(&none(p.py()))),
    );
    t.property(
        c"_outgoing",
        |p| Ok(p.tls.outgoing(p.py())),
        |p, value| p.tls.set_outgoing(value.unwrap_or(&none(p.py()))),
    );
}

fn states(t: &mut Table<SslProtocol>) {
    t.getter(c"_state", |p| member(p.py(), "SSLProtocolState", p.state.get().name()));
    t.getter(c"_app_state", |p| {
        let name = match p.app_state.get() {
            AppState::Init => "STATE_INIT",
            AppState::Made => "STATE_CON_MADE",
            AppState::Eof => "STATE_EOF",
            AppState::Lost => "STATE_CON_LOST",
        };
        member(p.py(), "AppProtocolState", name)
    });
    t.getter(c"_conn_lost", |p| number(p.py(), p.conn_lost.get().into()));
    t.value(c"_eof_received", |p| p.eof_received.get());
    t.value(c"_app_reading_paused", |p| p.app_reading_paused.get());
    t.value(c"_app_writing_paused", |p| p.app_writing_paused.get());
    t.value(c"_ssl_reading_paused", |p| p.ssl_reading_paused.get());
    t.value(c"_ssl_writing_paused", |p| p.ssl_writing_paused.get());
}

fn amounts(t: &mut Table<SslProtocol>) {
    t.noargs(
        c"_get_read_buffer_size",
        |p| size(p.py(), p.tls.incoming_size(p.py())?),
        "The number of bytes that wait to be decrypted.",
    );
    t.noargs(
        c"_get_write_buffer_size",
        |p| size(p.py(), flow::write_buffer_size(p)?),
        "The number of bytes that were not handed to the transport below.",
    );
    t.getter(c"_write_backlog", |p| {
        let copy = |item: &Ref| item.any(p.py()).clone();
        let waiting: Vec<_> = p.backlog.with(|backlog| backlog.items().map(copy).collect());
        Ok(PyList::new(p.py(), waiting)?.into_any())
    });
    t.getter(c"_write_buffer_size", |p| size(p.py(), p.backlog.with(|backlog| backlog.size())));
    t.getter(c"_incoming_high_water", |p| number(p.py(), p.incoming_limits.get().high));
    t.getter(c"_incoming_low_water", |p| number(p.py(), p.incoming_limits.get().low));
    t.getter(c"_outgoing_high_water", |p| number(p.py(), p.outgoing_limits.get().high));
    t.getter(c"_outgoing_low_water", |p| number(p.py(), p.outgoing_limits.get().low));
}
