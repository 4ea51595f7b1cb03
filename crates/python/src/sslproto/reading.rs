//! From the transport below to the application: what arrives is decrypted and handed over, a batch at a time.

use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyMemoryView};

use super::data::{Protocol, SslProtocol, State, call_soon};
use super::{handshake, steps};
use crate::ffi::{Obj, Output, Table, make, none};
use crate::transports::receiver::{NotTaken, Received, Receiver};

/// What a transport that fills buffers is lent. Ours never is: it hands over bytes.
pub const BUFFER_SIZE: usize = 256 * 1024;

pub(super) fn table(t: &mut Table<SslProtocol>) {
    t.action_on(c"data_received", "data", received, "Bytes from the transport below.");
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
    t.action(c"_do_read", steps::read, "Hands over what can be decrypted.");
    t.action(
        c"_pause_reading",
        |protocol| protocol.app_reading_paused.set(true),
        "The application wants no data for now.",
    );
    t.action(
        c"_resume_reading",
        |protocol| {
            if protocol.app_reading_paused.replace(false) {
                call_soon(protocol, name!("_go_on_reading"))?;
            }
            Ok(())
        },
        "The application wants data again.",
    );
    t.action(
        c"_go_on_reading",
        |protocol| {
            match protocol.state.get() {
                State::Wrapped => steps::read(protocol)?,
                State::Flushing => steps::flush(protocol)?,
                State::Shutdown => steps::shut_down(protocol)?,
                State::Unwrapped | State::DoHandshake => {}
            }
            Ok(())
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
        State::Wrapped => steps::read(protocol),
        State::DoHandshake => handshake::step(protocol),
        State::Flushing => steps::flush(protocol),
        State::Shutdown => steps::shut_down(protocol),
        State::Unwrapped => Ok(()),
    }
}
