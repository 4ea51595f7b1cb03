//! From the transport below to the application: what arrives is decrypted and handed over, a batch at a time.

use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyMemoryView};

use super::tls::Plain;
use super::{Protocol, SslProtocol, State, call_soon, fail, flow, handshake, nobody, shutdown, writing};
use crate::ffi::{Obj, Output, Table, call, make, none};
use crate::transports::receiver::{NotTaken, Received, Receiver};
use crate::{names, streams};

/// What a transport that fills buffers is lent. Ours never is: it hands over bytes.
pub const BUFFER_SIZE: usize = 256 * 1024;

pub(super) fn table(t: &mut Table<SslProtocol>) {
    t.one(
        c"data_received",
        "data",
        |protocol, data| {
            received(protocol, data)?;
            Ok(none(protocol.py()))
        },
        "Bytes from the transport below.",
    );
    t.one(c"get_buffer", "n", get_buffer, "A buffer for the transport below to fill.");
    t.one(
        c"buffer_updated",
        "nbytes",
        |protocol, count| {
            let py = protocol.py();
            let view = match protocol.buffer.get(py) {
                Some(buffer) => buffer,
                None => get_buffer(protocol, count)?,
            };
            let filled = view.get_item(make::slice(py, 0, count.extract()?)?)?;
            received(protocol, &filled)?;
            Ok(none(py))
        },
        "The transport below has filled that many bytes of the buffer.",
    );
    t.noargs(
        c"_do_read",
        |protocol| {
            read(protocol)?;
            Ok(none(protocol.py()))
        },
        "Hands over what can be decrypted.",
    );
    t.noargs(
        c"_pause_reading",
        |protocol| {
            protocol.app_reading_paused.set(true);
            Ok(none(protocol.py()))
        },
        "The application wants no data for now.",
    );
    t.noargs(
        c"_resume_reading",
        |protocol| {
            if protocol.app_reading_paused.replace(false) {
                call_soon(protocol, "_go_on_reading")?;
            }
            Ok(none(protocol.py()))
        },
        "The application wants data again.",
    );
    t.noargs(
        c"_go_on_reading",
        |protocol| {
            match protocol.state.get() {
                State::Wrapped => read(protocol)?,
                State::Flushing => shutdown::flush(protocol)?,
                State::Shutdown => shutdown::step(protocol)?,
                State::Unwrapped | State::DoHandshake => {}
            }
            Ok(none(protocol.py()))
        },
        "Hands over what has come while reading was paused.",
    );
}

/// The buffer of a connection, made when a transport first wants to fill it.
fn get_buffer<'py>(protocol: Protocol<'_, 'py>, _hint: &Bound<'py, PyAny>) -> Output<'py> {
    let py = protocol.py();
    if let Some(buffer) = protocol.buffer.get(py) {
        return Ok(buffer);
    }
    let memory = PyByteArray::new_with(py, BUFFER_SIZE, |_| Ok(()))?;
    let view = PyMemoryView::from(memory.as_any())?.into_any();
    protocol.buffer.put(view.clone());
    Ok(view)
}

/// Bytes from the transport below.
fn received(protocol: Protocol<'_, '_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
    protocol.tls.feed(data)?;
    advance(protocol)
}

/// How a transport gives such a protocol what it received.
pub(super) static RECEIVER: Receiver = Receiver {
    is: |protocol| Obj::<SslProtocol>::cast_exact(protocol).is_some(),
    received: decrypt,
    // In asyncio TLS is a protocol with a buffer.
    failure: "Fatal error: protocol.buffer_updated() call failed.",
};

/// Takes ciphertext without a `bytes` object where OpenSSL can have it that way.
fn decrypt<'a, 'py>(
    protocol: &'a Bound<'py, PyAny>,
    data: Received<'a, 'py>,
) -> Result<(), NotTaken<'a, 'py>> {
    let native = Obj::<SslProtocol>::cast_exact(protocol).filter(|native| native.attribute_count() == 0);
    let Some(native) = native else { return Err(NotTaken::Declined(data)) };
    match data.offer(|bytes| native.tls.feed_slice(bytes)) {
        Ok(()) => advance(native)?,
        Err(data) => received(native, data.copy().as_any())?,
    }
    Ok(())
}

/// Does what the state asks for when something has arrived.
fn advance(protocol: Protocol<'_, '_>) -> PyResult<()> {
    match protocol.state.get() {
        State::Wrapped => read(protocol),
        State::DoHandshake => handshake::step(protocol),
        State::Flushing => shutdown::flush(protocol),
        State::Shutdown => shutdown::step(protocol),
        State::Unwrapped => Ok(()),
    }
}

/// `_do_read`: hands over what can be decrypted, and sends what that led to.
#[inline]
pub fn read(protocol: Protocol<'_, '_>) -> PyResult<()> {
    if !matches!(protocol.state.get(), State::Wrapped | State::Flushing) {
        return Ok(());
    }
    hand_over(protocol).or_else(|error| fail(protocol, error, "Fatal error on SSL protocol"))
}

#[inline]
fn hand_over(protocol: Protocol<'_, '_>) -> PyResult<()> {
    if !protocol.app_reading_paused.get() {
        let closed = if protocol.app_buffered.get() { fill(protocol)? } else { hand_over_bytes(protocol)? };
        if closed {
            shutdown::tell_eof(protocol)?;
            shutdown::start(protocol)?;
        }
        if protocol.backlog.with(|backlog| backlog.is_empty()) {
            writing::flush(protocol)?;
        } else {
            writing::send_backlog(protocol)?;
        }
    }
    flow::control_ssl_reading(protocol)
}

/// `_do_read__copied`. True when the peer has said that nothing follows.
#[inline]
fn hand_over_bytes(protocol: Protocol<'_, '_>) -> PyResult<bool> {
    let py = protocol.py();
    let Plain { data, closed } = protocol.tls.read(py)?;
    let Some(data) = data else { return Ok(closed) };
    let Some(app_protocol) = protocol.app_protocol.get(py) else { return Err(nobody("data_received")) };
    if let Some(stream) = streams::plain(&app_protocol) {
        streams::data_received(stream, &data)?;
    } else if let Some(inner) = Obj::<SslProtocol>::cast_exact(&app_protocol) {
        received(inner, data.as_any())?;
    } else {
        call::method(names::data_received(py), [&app_protocol, data.as_any()])?;
    }
    Ok(closed)
}

/// `_do_read__buffered`: the same for a protocol that lends its buffer.
fn fill(protocol: Protocol<'_, '_>) -> PyResult<bool> {
    let py = protocol.py();
    if !protocol.tls.may_read(py)? {
        return Ok(false);
    }
    let Some(app_protocol) = protocol.app_protocol.get(py) else { return Err(nobody("get_buffer")) };
    let hint = protocol.tls.incoming_size(py)?.into_pyobject(py)?.into_any();
    let buffer = call::method(names::get_buffer(py), [&app_protocol, &hint])?;
    let filled = protocol.tls.read_into(&buffer)?;
    if filled.full {
        call_soon(protocol, "_do_read")?;
    }
    if filled.count > 0 {
        let count = filled.count.into_pyobject(py)?.into_any();
        call::method(names::buffer_updated(py), [&app_protocol, &count])?;
    }
    Ok(filled.closed)
}
