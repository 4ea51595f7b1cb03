//! From the application to the transport below: what is written waits for the handshake, is encrypted, and
//! sent in one write.

use pyo3::exceptions::PyAssertionError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use yibu_engine::backlog::Waiting;

use super::data::{Protocol, SslProtocol, State, below, fail};
use super::flow;
use super::tls::Ciphertext;
use crate::errors;
use crate::ffi::buffer::Buffer;
use crate::ffi::{Obj, Ref, Table, call};
use crate::frames::Frame;
use crate::names;
use crate::replaced::names::SSLPROTO;
use crate::transports::{self, SocketTransport};

pub(super) fn table(t: &mut Table<SslProtocol>) {
    t.action(
        c"pause_writing",
        |protocol| {
            if protocol.ssl_writing_paused.replace(true) {
                return Err(PyAssertionError::new_err(()));
            }
            Ok(())
        },
        "The transport below has enough to send.",
    );
    t.action(
        c"resume_writing",
        |protocol| {
            if !protocol.ssl_writing_paused.replace(false) {
                return Err(PyAssertionError::new_err(()));
            }
            flush(protocol)
        },
        "The transport below can send more.",
    );
}

/// How many bytes an object has; one that has no bytes is refused when it is encrypted.
fn size_of(data: &Bound<'_, PyAny>) -> PyResult<usize> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().len());
    }
    match Buffer::get(data, false) {
        Ok(buffer) => Ok(buffer.len()),
        Err(_) => data.len(),
    }
}

/// Puts something at the end of the backlog.
pub fn append<'py>(protocol: Protocol<'_, 'py>, data: Bound<'py, PyAny>) -> PyResult<()> {
    let len = size_of(&data)?;
    errors::room(protocol.backlog.with(|backlog| backlog.make_room()))?;
    protocol.backlog.with(|backlog| backlog.push(Ref::new(data), len));
    Ok(())
}

/// Whether the application may write. If not, that is counted, and told when it goes on.
pub fn takes_data(protocol: Protocol<'_, '_>) -> PyResult<bool> {
    if !protocol.state.get().is_ending() {
        return Ok(true);
    }
    let lost = protocol.conn_lost.get();
    static FRAME: Frame = Frame::new(&SSLPROTO, "SSLProtocol._write_appdata");
    FRAME.log_lost_write(protocol.py(), lost, "SSL connection is closed")?;
    protocol.conn_lost.set(lost.saturating_add(1));
    Ok(false)
}

/// The second half of `_write_appdata`: sends what was appended, unless the handshake is under way.
#[inline]
pub fn send_appended(protocol: Protocol<'_, '_>) -> PyResult<()> {
    if protocol.state.get() != State::Wrapped {
        return Ok(());
    }
    send_backlog(protocol).or_else(|error| fail(protocol, error, "Fatal error on SSL protocol"))
}

/// Both halves of `_write_appdata` where nothing waits: what is encrypted at once is not put into the backlog
/// first. False where it has to be.
#[inline]
pub fn write_at_once(protocol: Protocol<'_, '_>, data: &Bound<'_, PyBytes>) -> PyResult<bool> {
    let may = protocol.tls.uses_engine()
        && protocol.state.get() == State::Wrapped
        && protocol.backlog.with(|backlog| backlog.is_empty())
        && !protocol.encrypting.replace(true);
    if !may {
        return Ok(false);
    }
    let (len, mut sent) = (data.as_bytes().len(), 0);
    let outcome = loop {
        match protocol.tls.write(data, sent) {
            Ok(None | Some(0)) => break Ok(()),
            Ok(Some(count)) => sent += count,
            Err(error) => break Err(error),
        }
        if sent >= len {
            break Ok(());
        }
    };
    protocol.encrypting.set(false);
    if sent < len {
        errors::room(protocol.backlog.with(|backlog| backlog.make_room()))?;
        let data = Ref::new(data.clone().into_any());
        protocol.backlog.with(|backlog| backlog.push_first(data, len, sent));
    }
    outcome
        .and_then(|()| {
            // OpenSSL may have called Python code that has written more.
            if sent < len || protocol.backlog.with(|backlog| backlog.is_empty()) {
                flush(protocol)
            } else {
                send_backlog(protocol)
            }
        })
        .or_else(|error| fail(protocol, error, "Fatal error on SSL protocol"))?;
    Ok(true)
}

/// `_do_write`: encrypts what waits, and sends it.
#[inline]
pub fn send_backlog(protocol: Protocol<'_, '_>) -> PyResult<()> {
    let py = protocol.py();
    if protocol.encrypting.get() {
        return flush(protocol);
    }
    let first = || {
        let copy = |first: &Waiting<Ref>| (first.data.copy(py), first.sent);
        protocol.backlog.with(|backlog| backlog.first().map(copy))
    };
    while let Some((data, sent)) = first() {
        // Of what may change, asyncio sends what it is now.
        let rest = size_of(data.any(py))?.saturating_sub(sent);
        if rest > 0 {
            match protocol.tls.write(data.any(py), sent)? {
                None | Some(0) => break,
                Some(count) if count < rest => {
                    protocol.backlog.with(|backlog| backlog.advance(count));
                    continue;
                }
                Some(_) => {}
            }
        }
        // OpenSSL may have called Python code that has changed the backlog.
        let is_first = |first: &Waiting<Ref>| first.data.any(py).is(data.any(py));
        let done = protocol
            .backlog
            .with(|backlog| if backlog.first().is_some_and(is_first) { backlog.pop() } else { None });
        if done.is_none() {
            break;
        }
        drop(done);
    }
    flush(protocol)
}

/// `_process_outgoing`: sends what is encrypted, unless the transport below has enough.
#[inline]
pub fn flush(protocol: Protocol<'_, '_>) -> PyResult<()> {
    if !protocol.ssl_writing_paused.get() {
        protocol.tls.send_outgoing(protocol.py(), |data| send(protocol, data))?;
    }
    flow::control_app_writing(protocol)
}

#[inline]
fn send<'py>(protocol: Protocol<'_, 'py>, data: Ciphertext<'_, 'py>) -> PyResult<()> {
    let py = protocol.py();
    let transport = below(protocol, "write")?;
    match (Obj::<SocketTransport>::cast_exact(&transport), data) {
        (Some(socket), Ciphertext::Taken(data)) if socket.attribute_count() == 0 => {
            transports::write_copied(socket, data)
        }
        (_, Ciphertext::Taken(data)) => {
            call::method(names::write(py), [&transport, PyBytes::new(py, data).as_any()]).map(drop)
        }
        (_, Ciphertext::Object(data)) => call::method(names::write(py), [&transport, &data]).map(drop),
    }
}
